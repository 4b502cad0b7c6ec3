//! `tepui validate`: are these files valid modules?

use crate::args::ValidateArgs;
use crate::engine::{self, Purpose};
use crate::failure::{Failure, complain};
use crate::input::{self, Content};
use crate::{Outcome, progress};
use std::path::Path;
use tepui::{Engine, Module};

/// Checks every file and complains about each that is not valid.
pub(crate) fn validate(args: &ValidateArgs) -> Outcome {
    let engine = engine::engine(&args.engine, Purpose::default())?;
    let mut all_valid = true;
    for file in &args.files {
        match check(&engine, file) {
            Ok(()) => {}
            Err(Failure::Load(message)) => {
                all_valid = false;
                complain(format_args!("error: {message}"));
            }
            Err(other) => return Err(other),
        }
    }
    if all_valid {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

fn check(engine: &Engine, file: &Path) -> Outcome {
    match input::read(file)? {
        Content::Binary(binary) => {
            let what = format!("Validating {}", input::show(file));
            progress::during(&what, || Module::validate(engine, &binary))
                .map_err(|e| Failure::load(input::show(file), &e))
        }
        #[cfg(feature = "compiler")]
        Content::Image(_) => Err(Failure::Load(format!(
            "{}: this is a compiled image, not a module",
            input::show(file)
        ))),
    }
}
