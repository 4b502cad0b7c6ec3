//! Machine code with its tables, as a compiler run leaves it and as
//! ahead-of-time files keep it.
//!
//! [`CodeBuilder`] lays out what compilers make into a [`CodeImage`], which the
//! runtime copies into executable memory and asks about addresses. [`write()`]
//! puts one or several of them, with the module they were compiled from, into a
//! file; [`Image`] reads it back. [`UserKey`] keeps the key by which a user's
//! own files are known.

mod builder;
mod code;
mod error;
mod file;
mod key;
mod positions;
mod profiles;
mod reader;
mod relocation;
mod tables;
mod writer;

pub use builder::{CodeBuilder, MAX_TEXT};
pub use code::{CodeImage, FunctionRecord};
pub use error::Error;
pub use file::{CodeSection, FORMAT_VERSION, Image, MAGIC, VERSION};
pub use key::{KeyError, UserKey};
pub use writer::{CodeContents, ImageContents, ImageParts, assemble, write};
