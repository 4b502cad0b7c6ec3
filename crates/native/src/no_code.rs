//! What stands for code memory on systems that have none here.
//!
//! Holds unsafe code: the functions are unsafe where those of other systems are;
//! they do nothing.
//!
//! [`CodeRegion::new`](crate::code::CodeRegion::new) answers `Unsupported` there
//! before it asks any of these; none of the values can be made.

use std::convert::Infallible;
use std::io;

use crate::memory::Reservation;

fn unsupported() -> io::Error {
    io::Error::from(io::ErrorKind::Unsupported)
}

/// Code memory: there is none.
#[derive(Debug)]
pub(crate) struct CodeBacking(Infallible);

impl CodeBacking {
    pub(crate) fn reserve(_len: usize) -> io::Result<(Reservation, CodeBacking)> {
        Err(unsupported())
    }

    pub(crate) fn writes_beside_running_code(&self) -> bool {
        match self.0 {}
    }

    /// # Safety
    ///
    /// Nobody has a backing.
    pub(crate) unsafe fn open(
        &self,
        _address: *mut u8,
        _offset: usize,
        _len: usize,
    ) -> io::Result<()> {
        match self.0 {}
    }

    /// # Safety
    ///
    /// Nobody has a backing.
    pub(crate) unsafe fn close(
        &self,
        _address: *mut u8,
        _offset: usize,
        _len: usize,
    ) -> io::Result<()> {
        match self.0 {}
    }

    /// # Safety
    ///
    /// Nobody has a backing.
    pub(crate) unsafe fn write(
        &self,
        _address: *mut u8,
        _offset: usize,
        _len: usize,
        _write: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        match self.0 {}
    }
}

/// # Safety
///
/// None: it refuses.
pub(crate) unsafe fn make_executable(_address: *mut u8, _len: usize) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn prepare_code_barrier() -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn code_barrier() -> io::Result<()> {
    Err(unsupported())
}

/// There is no code that could fault.
pub(crate) fn install_fault_handlers() -> io::Result<()> {
    Ok(())
}

/// Nothing needs one.
pub(crate) fn ensure_signal_stack() -> io::Result<()> {
    Ok(())
}
