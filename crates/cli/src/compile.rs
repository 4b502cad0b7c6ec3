//! `tepui compile`: how does a module become an image on disk?

use crate::args::CompileArgs;
use crate::engine::{self, Purpose};
use crate::failure::Failure;
use crate::input::{self, Content};
use crate::{Outcome, output, progress, trust};
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

/// Compiles the input file and writes the image.
pub(crate) fn compile(args: &CompileArgs) -> Outcome {
    let engine = engine::engine(
        &args.engine,
        Purpose {
            fuel: args.fuel,
            interruption: args.timeout,
            target: args.target.as_deref(),
            ..Purpose::default()
        },
    )?;
    let name = input::show(&args.input);
    let binary = match input::read(&args.input)? {
        Content::Binary(binary) => binary,
        Content::Image(_) => {
            return Err(Failure::Load(format!("{name}: this is an image already")));
        }
    };
    let what = format!("Compiling {name} ({} KiB)", binary.len().div_ceil(1024));
    let image = progress::during(&what, || trust::compile_image(&engine, &binary))
        .map_err(|e| Failure::load(&name, &e))?;
    if args.output.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "an image is not for a terminal; redirect stdout or name a file".to_string(),
            ));
        }
        return output::write(&image);
    }
    write_whole(&args.output, &image)
        .map_err(|e| Failure::Load(format!("cannot write {}: {e}", args.output.display())))
}

/// Writes a file so that there is either all of it or what was there before:
/// beside its place, then renamed.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("this is not the name of a file"))?;
    // What is not a regular file (a pipe, /dev/null) cannot be replaced.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, bytes);
    }
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What failed is in `written`; that the rest stays behind is no news.
        let _ = fs::remove_file(&temporary);
    }
    written
}
