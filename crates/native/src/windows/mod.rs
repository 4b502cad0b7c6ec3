//! Windows: pages and stack bounds. Generated code does not run there yet
//! ([`NATIVE_CODE`](crate::NATIVE_CODE) is false), so that there is no code
//! memory and no handler for faults: the interpreter is the only tier.
//!
//! Holds unsafe code: system calls. Each call that can fail for want of memory
//! asks [`crate::inject`] first.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::inject;

pub(crate) use crate::no_code::*;

// Constants and functions of `memoryapi.h`, `sysinfoapi.h` and
// `processthreadsapi.h`.
const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_DECOMMIT: u32 = 0x4000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READWRITE: u32 = 0x04;

#[repr(C)]
struct SystemInfo {
    oem_id: u32,
    page_size: u32,
    minimum_application_address: *mut c_void,
    maximum_application_address: *mut c_void,
    active_processor_mask: usize,
    number_of_processors: u32,
    processor_type: u32,
    allocation_granularity: u32,
    processor_level: u16,
    processor_revision: u16,
}

#[link(name = "kernel32")]
unsafe extern "system" {
    fn VirtualAlloc(
        address: *mut c_void,
        size: usize,
        allocation_type: u32,
        protect: u32,
    ) -> *mut c_void;
    fn VirtualFree(address: *mut c_void, size: usize, free_type: u32) -> i32;
    fn GetSystemInfo(info: *mut SystemInfo);
    fn GetCurrentThreadStackLimits(low: *mut usize, high: *mut usize);
}

/// Whether addresses can be reserved without memory behind them.
pub(crate) const HAS_ADDRESS_SPACE: bool = true;

pub(crate) fn query_page_size() -> usize {
    let mut info = std::mem::MaybeUninit::<SystemInfo>::zeroed();
    // SAFETY: zeros are a valid value, which the system overwrites.
    let info = unsafe {
        GetSystemInfo(info.as_mut_ptr());
        info.assume_init()
    };
    info.page_size as usize
}

/// # Safety
///
/// The range, unless `address` is null, is part of a reservation.
unsafe fn allocate(
    address: *mut u8,
    len: usize,
    kind: u32,
    protect: u32,
) -> io::Result<NonNull<u8>> {
    inject::check()?;
    // SAFETY: the caller's.
    let address = unsafe { VirtualAlloc(address.cast(), len, kind, protect) };
    NonNull::new(address.cast()).ok_or_else(io::Error::last_os_error)
}

pub(crate) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new place.
    unsafe { allocate(ptr::null_mut(), len, MEM_RESERVE, PAGE_NOACCESS) }
}

/// # Safety
///
/// The range was reserved, and ends with this call.
pub(crate) unsafe fn release(address: *mut u8, _len: usize) {
    // SAFETY: the caller's.
    unsafe { VirtualFree(address.cast(), 0, MEM_RELEASE) };
}

/// # Safety
///
/// The range is part of a reservation.
pub(crate) unsafe fn commit(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's. Pages that are committed keep their content.
    unsafe { allocate(address, len, MEM_COMMIT, PAGE_READWRITE) }.map(|_| ())
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn decommit(address: *mut u8, len: usize) -> io::Result<()> {
    inject::check()?;
    // SAFETY: the caller's.
    if unsafe { VirtualFree(address.cast(), len, MEM_DECOMMIT) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn replace_by_zeros(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe {
        decommit(address, len)?;
        commit(address, len)
    }
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
    let (mut low, mut high) = (0, 0);
    // SAFETY: both are written by the system.
    unsafe { GetCurrentThreadStackLimits(&mut low, &mut high) };
    (low < high).then_some(low..high)
}
