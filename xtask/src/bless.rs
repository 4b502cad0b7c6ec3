//! Writes the golden files anew from what the compilers make now. Look at the difference before you commit it.

use crate::error::Result;
use std::process::{Command, ExitCode};

/// What the list of chores says.
pub(crate) const ABOUT: &str = "write the golden files of generated code anew";

const HELP: &str = "\
Usage: cargo xtask bless

Runs the tests that hold generated code against golden files, and lets them
write the files anew. `git diff` then shows what changed.
";

/// The packages whose test `golden` has golden files.
const PACKAGES: &[&str] = &["tepui-optimizing", "tepui-baseline"];

/// Runs the chore.
///
/// # Errors
///
/// When cargo cannot be started.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(arg) = args.first() {
        return Err(format!("`{arg}` is not known; `cargo xtask bless --help` says more").into());
    }
    for package in PACKAGES {
        let status = Command::new(env!("CARGO"))
            .args(["test", "--package", package, "--test", "golden"])
            .env("BLESS", "1")
            .status()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
