//! Windows: pages and stack bounds.
//!
//! Holds unsafe code: system calls. Each call that can fail for want of memory
//! asks [`crate::inject`] first.
//!
//! Memory that is reserved takes addresses only; what is made accessible counts
//! against what the system has promised to all processes. There is no mapping of
//! initial data into the middle of a reservation: it is copied.

mod code;
mod faults;

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, MEMORY_MAPPED_VIEW_ADDRESS, PAGE_NOACCESS,
    PAGE_PROTECTION_FLAGS, PAGE_READWRITE, UnmapViewOfFile, VIRTUAL_ALLOCATION_TYPE, VirtualAlloc,
    VirtualFree, VirtualProtect,
};
use windows_sys::Win32::System::SystemInformation::GetSystemInfo;
use windows_sys::Win32::System::Threading::{GetCurrentThreadStackLimits, SetThreadStackGuarantee};

use crate::inject;
use crate::memory::page_size;

#[cfg(target_arch = "aarch64")]
pub(crate) use code::flush_instruction_cache;
pub(crate) use code::{CodeBacking, code_barrier, make_executable, prepare_code_barrier};
pub(crate) use faults::install_fault_handlers;

pub(crate) use crate::no_files::*;

/// Whether addresses can be reserved without memory behind them.
pub(crate) const HAS_ADDRESS_SPACE: bool = true;

pub(crate) fn query_page_size() -> usize {
    let mut info = MaybeUninit::zeroed();
    // SAFETY: zeros are a valid value, which the system overwrites.
    let info = unsafe {
        GetSystemInfo(info.as_mut_ptr());
        info.assume_init()
    };
    info.dwPageSize as usize
}

/// The result of a system call as Rust has it.
fn check(result: windows_sys::core::BOOL) -> io::Result<()> {
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// # Safety
///
/// The range, unless `address` is null, is part of a reservation.
unsafe fn allocate(
    address: *mut u8,
    len: usize,
    kind: VIRTUAL_ALLOCATION_TYPE,
    protection: PAGE_PROTECTION_FLAGS,
) -> io::Result<NonNull<u8>> {
    inject::check()?;
    // SAFETY: the caller's.
    let address = unsafe { VirtualAlloc(address.cast(), len, kind, protection) };
    NonNull::new(address.cast()).ok_or_else(io::Error::last_os_error)
}

/// # Safety
///
/// The range is a committed part of a reservation, and may be accessed so.
unsafe fn protect(
    address: *mut u8,
    len: usize,
    protection: PAGE_PROTECTION_FLAGS,
) -> io::Result<()> {
    inject::check()?;
    let mut before = 0;
    // SAFETY: the caller's.
    check(unsafe { VirtualProtect(address.cast(), len, protection, &mut before) })
}

pub(crate) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new place.
    unsafe { allocate(ptr::null_mut(), len, MEM_RESERVE, PAGE_NOACCESS) }
}

/// # Safety
///
/// The range was reserved, and ends with this call.
pub(crate) unsafe fn release(address: *mut u8, _len: usize) {
    // SAFETY: the caller's. The reservation of a code region is a view of a
    // section, which is given back in another way than others.
    unsafe {
        if VirtualFree(address.cast(), 0, MEM_RELEASE) == 0 {
            unmap(address);
        }
    }
}

/// # Safety
///
/// A view begins at the address, and ends with this call.
unsafe fn unmap(address: *mut u8) {
    let view = MEMORY_MAPPED_VIEW_ADDRESS {
        Value: address.cast(),
    };
    // SAFETY: the caller's.
    unsafe { UnmapViewOfFile(view) };
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
    check(unsafe { VirtualFree(address.cast(), len, MEM_DECOMMIT) })
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

/// What is left of a thread's stack when the system reports that it overflows: as
/// much as Rust's threads ask for.
const STACK_GUARANTEE: u32 = 0x5000;

/// Exceptions are handled on the stack that they happen on. Generated code leaves
/// room there; on threads that are not Rust's, the pages that make the stack grow
/// become as many as on those that are.
pub(crate) fn ensure_signal_stack() -> io::Result<()> {
    if stack_guarantee() < STACK_GUARANTEE as usize {
        inject::check()?;
        let mut bytes = STACK_GUARANTEE;
        // SAFETY: concerns this thread's stack, which loses what it keeps for its
        // overflow.
        check(unsafe { SetThreadStackGuarantee(&mut bytes) })?;
    }
    Ok(())
}

/// Bytes at the low end of the thread's stack that are kept for its overflow.
fn stack_guarantee() -> usize {
    let mut bytes = 0;
    // SAFETY: 0 asks, and changes nothing.
    unsafe { SetThreadStackGuarantee(&mut bytes) };
    bytes as usize
}

pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    let (mut low, mut high) = (0, 0);
    // SAFETY: both are written by the system.
    unsafe { GetCurrentThreadStackLimits(&mut low, &mut high) };
    // The last page is never accessible, and the one before makes the stack grow.
    let low = low.checked_add(2 * page_size() + stack_guarantee())?;
    (low < high).then_some(low..high)
}
