//! How does a system refuse? With its error where there is a system, and otherwise
//! for want of memory.

/// Why the system, or what stands for it, refused.
#[cfg(feature = "std")]
pub type Error = std::io::Error;

/// There is no memory, or there are not so many addresses.
#[cfg(not(feature = "std"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error;

#[cfg(not(feature = "std"))]
impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("out of memory")
    }
}

#[cfg(not(feature = "std"))]
impl core::error::Error for Error {}

/// What the functions of this crate answer.
pub type Result<T> = core::result::Result<T, Error>;

/// The error that there is no memory, or that there are not so many addresses.
pub fn out_of_memory() -> Error {
    #[cfg(feature = "std")]
    return std::io::ErrorKind::OutOfMemory.into();
    #[cfg(not(feature = "std"))]
    Error
}
