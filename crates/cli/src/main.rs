//! The `tepui` command.
//!
//! Each subcommand has a module of its own; [`args`] says what can be written
//! on the command line, by tables that [`grammar`] describes and [`line`], [`help`]
//! and `completion` go by, and [`failure`] which exit code means what.

mod args;
#[cfg(feature = "compiler")]
mod compile;
#[cfg(feature = "completion")]
mod completion;
mod engine;
mod failure;
mod grammar;
mod help;
mod host;
mod input;
mod invoke;
mod line;
mod output;
mod progress;
mod run;
mod settings;
mod terminal;
#[cfg(feature = "compiler")]
mod trust;
mod units;
mod validate;
#[cfg(feature = "wast")]
mod wast;

use args::Request;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let request = args::read(std::env::args_os().skip(1));
    let result = request.and_then(|request| match request {
        Request::Run(args) => run::run(args),
        #[cfg(feature = "compiler")]
        Request::Compile(args) => compile::compile(&args),
        Request::Validate(args) => validate::validate(&args),
        #[cfg(feature = "wast")]
        Request::Wast(args) => wast::wast(&args),
        Request::Settings => settings::settings(),
        #[cfg(feature = "completion")]
        Request::Completion(shell) => completion::completion(shell),
        Request::Print(text) => output::write(text.as_bytes()),
    });
    match result.and_then(|()| output::flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// What a subcommand returns.
type Outcome = Result<(), Failure>;
