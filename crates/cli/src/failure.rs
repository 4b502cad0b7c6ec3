//! How does the command end when something goes wrong? The exit codes and what
//! is written on stderr.

use crate::terminal::{Paint, Style};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use tepui::{Error, WasmBacktrace};

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be: code 2.
    Usage(String),
    /// The command line asks for nothing: the help text, and code 2.
    Help(String),
    /// A file cannot be read, decoded, validated, compiled or linked, or one of
    /// several was refused: code 1.
    Load(String),
    /// Code 1; what failed has been reported.
    Reported,
    /// The guest trapped, or a host function failed while it ran: code 134.
    Trap(String),
    /// The guest ended with a code of its own.
    Exit(u8),
    /// Whoever read stdout has gone: code 141 and no message, like a program
    /// that SIGPIPE ended.
    BrokenPipe,
}

impl Failure {
    /// The code of a command line that cannot be carried out.
    pub(crate) const USAGE: u8 = 2;
    /// The code after a trap: 128 + SIGABRT, as a native program would end.
    pub(crate) const TRAP: u8 = 134;
    /// The code when nobody reads stdout any more: 128 + SIGPIPE.
    pub(crate) const BROKEN_PIPE: u8 = 141;

    /// A failure to load `file`, with the error's whole chain of causes.
    pub(crate) fn load(file: impl fmt::Display, error: &Error) -> Failure {
        Failure::Load(format!("{file}: {error:#}"))
    }

    /// Writes the message, if there is one, on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (code, message) = match self {
            Failure::Help(text) => {
                complain(format_args!("{}", text.trim_end()));
                return ExitCode::from(Self::USAGE);
            }
            Failure::Usage(message) => (Self::USAGE, message),
            Failure::Load(message) => (1, message),
            Failure::Trap(message) => (Self::TRAP, message),
            Failure::Reported => return ExitCode::from(1),
            Failure::Exit(code) => return ExitCode::from(code),
            Failure::BrokenPipe => return ExitCode::from(Self::BROKEN_PIPE),
        };
        let error = Style::stderr().paint(Paint::Error, "error:");
        complain(format_args!("{error} {message}"));
        ExitCode::from(code)
    }
}

/// Writes a line on stderr. That nobody reads it is no reason to fail.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The lines about where in the guest an error came from: the frames of its
/// backtrace, innermost first; empty when there is none.
pub(crate) fn backtrace_lines(error: &Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let text = backtrace.to_string();
    // The first line is a headline for use among other messages.
    let frames = text.split_once('\n').map_or("", |(_, frames)| frames);
    if frames.is_empty() {
        return String::new();
    }
    format!("\nwasm backtrace:\n{}", frames.trim_end())
}
