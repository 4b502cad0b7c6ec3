//! What can go wrong when code is laid out and when images are read.

use std::fmt;

use tepui_abi::Target;
use tepui_module::DefinedFuncIndex;

/// Why code could not be laid out, or why an image was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin like an image.
    NotAnImage,
    /// The image ends before all of it was read.
    Truncated {
        /// Where the bytes end.
        offset: u64,
    },
    /// The digest does not fit the bytes: the image was damaged.
    Corrupted,
    /// The image was made by another version.
    WrongVersion {
        /// The version that made the image.
        found: String,
        /// The version that reads it.
        expected: String,
    },
    /// The image holds code for another machine.
    WrongTarget {
        /// The machine that the code was made for.
        found: Target,
        /// The machine that it should run on.
        expected: Target,
    },
    /// The code was made under other settings than it should run under.
    WrongSettings {
        /// The setting, or `compiler`.
        what: &'static str,
        /// Its value in the image.
        found: String,
        /// Its value in the engine.
        expected: String,
    },
    /// The image has no authentication tag.
    Unauthenticated,
    /// The authentication tag was not made with the key.
    Forged,
    /// A rule of the format is broken.
    Invalid {
        /// The rule.
        what: &'static str,
        /// Byte offset in the image.
        offset: u64,
    },
    /// What a compiler handed over contradicts itself.
    BadFunction {
        /// The function.
        function: DefinedFuncIndex,
        /// Byte offset in its code.
        offset: u32,
        /// The contradiction.
        what: &'static str,
    },
    /// A function was added twice.
    DuplicateFunction {
        /// The function.
        function: DefinedFuncIndex,
    },
    /// A function is called directly, but is not in the batch.
    MissingFunction {
        /// The function that calls.
        caller: DefinedFuncIndex,
        /// The function that is missing.
        function: DefinedFuncIndex,
    },
    /// A call that neither its target nor a veneer is near enough for.
    CallTooFar {
        /// The function that calls.
        caller: DefinedFuncIndex,
        /// The function that is called.
        function: DefinedFuncIndex,
    },
    /// The code of the batch is larger than [`MAX_TEXT`](crate::MAX_TEXT).
    TextTooLarge,
    /// The code is needed, but was given up by
    /// [`CodeImage::take_text`](crate::CodeImage::take_text).
    TextReleased,
}

/// Prints a target as the start of a target triple would name it.
struct Named(Target);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target {
            architecture,
            pointer_bytes,
            endianness,
        } = self.0;
        let order = match endianness {
            tepui_abi::target::Endianness::Little => "little",
            tepui_abi::target::Endianness::Big => "big",
        };
        write!(
            f,
            "{architecture} ({}-bit, {order}-endian)",
            u32::from(pointer_bytes) * 8
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotAnImage => f.write_str("not an image: it does not begin like one"),
            Error::Truncated { offset } => {
                write!(f, "the image is truncated: it ends at offset {offset:#x}")
            }
            Error::Corrupted => {
                f.write_str("the image is damaged: its digest does not fit its contents")
            }
            Error::WrongVersion { found, expected } => write!(
                f,
                "the image was made by {found}, this is {expected}: compile the module again"
            ),
            Error::WrongTarget { found, expected } => write!(
                f,
                "the image is for {}, this is {}",
                Named(*found),
                Named(*expected)
            ),
            Error::WrongSettings {
                what,
                found,
                expected,
            } => write!(
                f,
                "the image was compiled with {what} = {found}, the engine has {expected}"
            ),
            Error::Unauthenticated => f.write_str(
                "the image carries no authentication tag, so nobody can tell who made it",
            ),
            Error::Forged => {
                f.write_str("the authentication tag of the image was not made with this key")
            }
            Error::Invalid { what, offset } => {
                write!(f, "invalid image at offset {offset:#x}: {what}")
            }
            Error::BadFunction {
                function,
                offset,
                what,
            } => write!(
                f,
                "code of defined function {} is inconsistent at {offset:#x}: {what}",
                function.as_u32()
            ),
            Error::DuplicateFunction { function } => {
                write!(f, "defined function {} was added twice", function.as_u32())
            }
            Error::MissingFunction { caller, function } => write!(
                f,
                "defined function {} calls {} directly, which is not in the batch",
                caller.as_u32(),
                function.as_u32()
            ),
            Error::CallTooFar { caller, function } => write!(
                f,
                "the call from defined function {} to {} is too far to encode",
                caller.as_u32(),
                function.as_u32()
            ),
            Error::TextTooLarge => write!(
                f,
                "the code is larger than the limit of {} bytes",
                crate::MAX_TEXT
            ),
            Error::TextReleased => f.write_str("the code of this batch was already released"),
        }
    }
}

impl std::error::Error for Error {}
