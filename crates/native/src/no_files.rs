//! What stands for files in memory on systems that have none which could be mapped
//! in the middle of a reservation.
//!
//! Holds unsafe code: the functions are unsafe where those of other systems are;
//! they do nothing, and none of the values can be made.

use std::convert::Infallible;
use std::io;

/// Initial data of memories: it is copied.
#[derive(Debug)]
pub(crate) struct SealedFile(Infallible);

impl SealedFile {
    pub(crate) fn new(_data: &[u8], _padded: usize) -> io::Result<Option<SealedFile>> {
        Ok(None)
    }
}

/// # Safety
///
/// Nobody has a file to map.
pub(crate) unsafe fn map_private(
    _address: *mut u8,
    _len: usize,
    file: &SealedFile,
) -> io::Result<()> {
    match file.0 {}
}

/// Code that is mapped in many places: it is copied.
#[derive(Debug)]
pub(crate) struct SharedCode(Infallible);

impl SharedCode {
    pub(crate) fn new(_code: &[u8]) -> io::Result<Option<SharedCode>> {
        Ok(None)
    }

    /// # Safety
    ///
    /// Nobody has one.
    pub(crate) unsafe fn map(&self, _address: *mut u8, _len: usize) -> io::Result<()> {
        match self.0 {}
    }
}
