//! What was wrong with the module, and where? The error of decoding and validation.

use crate::FuncIndex;
use crate::features::Proposal;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write};

/// The result of decoding or validating.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a module was refused, at which byte and in which function.
///
/// Displays as one line: the rule broken, then the offset in hexadecimal, then
/// the function by index and, where the name section has one, by name.
///
/// ```
/// use tepui_module::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Invalid, 0x1f3, "type mismatch");
/// assert_eq!(error.to_string(), "type mismatch (at offset 0x1f3)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    offset: usize,
    function: Option<ErrorFunction>,
    message: String,
}

/// The function whose body an [`Error`] is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorFunction {
    /// Its index in the function index space.
    pub index: FuncIndex,
    /// Its name in the module's name section, if it has one.
    pub name: Option<Box<str>>,
}

/// The kind of rule that a module broke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes do not follow the binary format (core specification, section 5).
    Malformed,
    /// The module can be read but breaks a validation rule (section 3).
    Invalid,
    /// The module needs a proposal that this version does not implement or
    /// that is switched off.
    Unsupported(Proposal),
    /// The module exceeds one of the implementation [`limits`](crate::limits).
    Limit,
}

/// Text of a module shown in an error is cut after this many bytes.
const SHOWN_BYTES: usize = 512;

impl Error {
    /// An error of the given kind at a byte offset from the start of the module.
    pub fn new<'a>(kind: ErrorKind, offset: usize, message: impl Into<Cow<'a, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            offset,
            function: None,
            message: printable(message.into()),
        }))
    }

    /// The error of a module that needs `proposal`, which `features` lack.
    /// `because` names what was met that needs it.
    pub(crate) fn unsupported(proposal: Proposal, offset: usize, because: &str) -> Self {
        let because = printable(Cow::Borrowed(because));
        let message = if proposal.is_implemented() {
            alloc::format!(
                "the {proposal} proposal is switched off, but the module needs it: {because}"
            )
        } else {
            alloc::format!(
                "the module needs the {proposal} proposal, which this version of Tepui does not implement: {because}"
            )
        };
        Self::new(ErrorKind::Unsupported(proposal), offset, message)
    }

    /// The same error, said to be about a function.
    pub fn in_function(mut self, index: FuncIndex, name: Option<&str>) -> Self {
        self.0.function = Some(ErrorFunction {
            index,
            name: name.map(Into::into),
        });
        self
    }

    /// The kind of rule broken.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where, in bytes from the start of the module.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The function whose body is wrong, when it is a body.
    pub fn function(&self) -> Option<&ErrorFunction> {
        self.0.function.as_ref()
    }

    /// The rule broken, without position.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// Names come from hostile modules: control characters are escaped and length is bounded.
fn printable(text: Cow<'_, str>) -> String {
    let short = text.len() <= SHOWN_BYTES;
    if short && !text.chars().any(char::is_control) {
        return text.into_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.len() > SHOWN_BYTES {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            offset,
            function,
            message,
            ..
        } = &*self.0;
        write!(f, "{message} (at offset {offset:#x}")?;
        if let Some(function) = function {
            write!(f, ", in function {}", function.index)?;
            if let Some(name) = &function.name {
                write!(f, " `{}`", printable(Cow::Borrowed(name)))?;
            }
        }
        f.write_char(')')
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("offset", &self.0.offset)
            .field("function", &self.0.function)
            .field("message", &self.0.message)
            .finish()
    }
}

impl core::error::Error for Error {}
