//! How is a line written on stdout? With an error instead of a panic when
//! nobody reads it.

use crate::failure::Failure;
use std::fmt;
use std::io::{self, Write};

/// Writes `text` on stdout.
pub(crate) fn write(text: &[u8]) -> Result<(), Failure> {
    io::stdout().lock().write_all(text).map_err(failure)
}

/// Writes a line on stdout.
pub(crate) fn line(line: fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(failure)
}

/// Hands on what is still buffered.
pub(crate) fn flush() -> Result<(), Failure> {
    io::stdout().lock().flush().map_err(failure)
}

/// What writing on stdout failed with.
pub(crate) fn failure(e: io::Error) -> Failure {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::Load(format!("cannot write to stdout: {e}")),
    }
}

/// `println!` that returns a [`Failure`] instead of panicking.
macro_rules! out {
    ($($arg:tt)*) => {
        $crate::output::line(::std::format_args!($($arg)*))
    };
}
pub(crate) use out;
