//! Systems without address space to reserve, such as WASI: pages come from the
//! allocator, all at once, and stay accessible. There is no code memory and
//! there are no faults to handle: the interpreter is the only tier, and every
//! access is checked.
//!
//! Holds unsafe code: it allocates. Each call that can fail for want of memory
//! asks [`crate::inject`] first.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::inject;

pub(crate) use crate::no_code::*;
pub(crate) use crate::no_files::*;

/// The grain of reservations; nothing is protected by it.
const PAGE: usize = 4096;

/// Whether addresses can be reserved without memory behind them.
pub(crate) const HAS_ADDRESS_SPACE: bool = false;

pub(crate) fn query_page_size() -> usize {
    PAGE
}

fn layout(len: usize) -> io::Result<Layout> {
    Layout::from_size_align(len, PAGE).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
}

/// All of it is accessible from the start, and zeros.
pub(crate) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    inject::check()?;
    // SAFETY: nobody reserves nothing, so that the length is not 0.
    NonNull::new(unsafe { alloc_zeroed(layout(len)?) })
        .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

/// # Safety
///
/// The range was reserved, and ends with this call.
pub(crate) unsafe fn release(address: *mut u8, len: usize) {
    if let Ok(layout) = layout(len) {
        // SAFETY: the caller's; it was allocated with this layout.
        unsafe { dealloc(address, layout) }
    }
}

/// # Safety
///
/// The range is part of a reservation.
pub(crate) unsafe fn commit(_address: *mut u8, _len: usize) -> io::Result<()> {
    inject::check()
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn decommit(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { replace_by_zeros(address, len) }
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn replace_by_zeros(address: *mut u8, len: usize) -> io::Result<()> {
    inject::check()?;
    // SAFETY: the caller's.
    unsafe { ptr::write_bytes(address, 0, len) };
    Ok(())
}

/// # Safety
///
/// The range is an accessible part of a reservation; nobody uses it.
pub(crate) unsafe fn reset(address: *mut u8, len: usize) -> io::Result<()> {
    // There are no images, so that zeros are what was there first.
    // SAFETY: the caller's.
    unsafe { replace_by_zeros(address, len) }
}

pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    None
}
