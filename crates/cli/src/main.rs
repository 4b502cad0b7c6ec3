//! The `tepui` command.
//!
//! Each subcommand has a module of its own; [`args`] says what can be written
//! on the command line and [`failure`] which exit code means what.

mod args;
#[cfg(feature = "compiler")]
mod compile;
#[cfg(feature = "completion")]
mod completion;
mod engine;
mod failure;
mod host;
mod input;
mod invoke;
mod output;
mod progress;
mod run;
mod settings;
#[cfg(feature = "compiler")]
mod trust;
mod units;
mod validate;
#[cfg(feature = "wast")]
mod wast;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(with_default_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        // Prints help on stdout with code 0, or the error on stderr with code 2.
        Err(e) => e.exit(),
    };
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        #[cfg(feature = "compiler")]
        Command::Compile(args) => compile::compile(&args),
        Command::Validate(args) => validate::validate(&args),
        #[cfg(feature = "wast")]
        Command::Wast(args) => wast::wast(&args),
        Command::Settings(args) => settings::settings(&args),
        #[cfg(feature = "completion")]
        Command::Completion(args) => completion::completion(&args),
    };
    match result.and_then(|()| output::flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Puts `run` where no subcommand is named, so that `tepui FILE` runs FILE.
fn with_default_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let Some(first) = args.get(1) else {
        return args;
    };
    // `run` is named here too, so that the usual case does not make the list of
    // commands only to look into it.
    let of_tepui = matches!(
        first.to_str(),
        Some("run" | "help" | "-h" | "--help" | "-V" | "--version")
    ) || Cli::command()
        .get_subcommands()
        .any(|command| first == command.get_name());
    if !of_tepui {
        args.insert(1, "run".into());
    }
    args
}

/// What a subcommand returns.
type Outcome = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        let run = |args: &[&str]| with_default_command(words(args));
        assert_eq!(
            run(&["tepui", "x.wasm", "run"]),
            words(&["tepui", "run", "x.wasm", "run"])
        );
        assert_eq!(
            run(&["tepui", "--fuel", "3", "x.wasm"]),
            words(&["tepui", "run", "--fuel", "3", "x.wasm"])
        );
        for same in [
            &["tepui"][..],
            #[cfg(feature = "wast")]
            &["tepui", "wast", "x"],
            &["tepui", "--help"],
            &["tepui", "help", "run"],
            &["tepui", "-V"],
        ] {
            assert_eq!(run(same), words(same));
        }
    }
}
