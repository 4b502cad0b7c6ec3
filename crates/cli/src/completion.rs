//! `tepui completion`: which script makes a shell complete the command line?

use crate::args::{Cli, CompletionArgs};
use crate::{Outcome, output};
use clap::CommandFactory;

/// Prints the script for the shell that was named.
pub(crate) fn completion(args: &CompletionArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tepui", &mut script);
    output::write(&script)
}
