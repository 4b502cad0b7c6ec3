//! What goes wrong in a chore: a sentence for the person at the terminal, with what was being done in front of it.

use std::fmt::{self, Display};
use std::path::Path;

/// The result of a chore or a part of one.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A sentence that says what went wrong.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self(message.into())
    }
}

/// Puts what was being done in front of an error.
pub(crate) trait Context<T> {
    /// `what` is a phrase such as "cannot read".
    fn doing(self, what: impl Display) -> Result<T>;

    /// The same, with the path at which it happened.
    fn at(self, what: &str, path: &Path) -> Result<T>
    where
        Self: Sized,
    {
        self.doing(format_args!("{what} {}", path.display()))
    }
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Error(format!("{what}: {error}")))
    }
}
