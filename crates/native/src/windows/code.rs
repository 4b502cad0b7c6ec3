//! Memory that is written in one place and executed in another: a section, which the
//! region maps for reading and executing, and a view for reading and writing that
//! exists for the time of a write.
//!
//! Holds unsafe code: it makes memory executable.
//!
//! The section reserves its pages first and gets memory when a range of it is
//! opened. Memory of a section cannot be given back in part: what was closed is made
//! zeros and inaccessible, and used again by later code.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{self, NonNull};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Diagnostics::Debug::FlushInstructionCache;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP, FILE_MAP_EXECUTE, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT,
    MapViewOfFile, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_NOACCESS, SEC_RESERVE,
};
use windows_sys::Win32::System::Threading::{FlushProcessWriteBuffers, GetCurrentProcess};

use super::{allocate, protect, unmap};
use crate::address_table::GRANULE;
use crate::inject;
use crate::memory::Reservation;

/// How the code of a region is written: through this section.
#[derive(Debug)]
pub(crate) struct CodeBacking {
    section: OwnedHandle,
}

/// Unmaps a view when it ends, also by a panic of the writer.
struct View {
    address: NonNull<u8>,
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view is ours.
        unsafe { unmap(self.address.as_ptr()) }
    }
}

/// Calls `act` with each granule of a range, which it begins and ends with: ranges that
/// got their memory in several calls are not one range to every version of the system.
fn each_granule(
    address: *mut u8,
    len: usize,
    act: impl Fn(*mut u8) -> io::Result<()>,
) -> io::Result<()> {
    (0..len)
        .step_by(GRANULE)
        .try_for_each(|start| act(address.wrapping_add(start)))
}

/// The halves of a number of 64 bits.
fn halves(number: usize) -> (u32, u32) {
    ((number as u64 >> 32) as u32, number as u32)
}

impl CodeBacking {
    /// Reserves a region.
    pub(crate) fn reserve(len: usize) -> io::Result<(Reservation, CodeBacking)> {
        inject::check()?;
        let (high, low) = halves(len);
        // SAFETY: makes a new section without a name.
        let section = unsafe {
            let section = CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                ptr::null(),
                PAGE_EXECUTE_READWRITE | SEC_RESERVE,
                high,
                low,
                ptr::null(),
            );
            if section.is_null() {
                return Err(io::Error::last_os_error());
            }
            OwnedHandle::from_raw_handle(section)
        };
        let backing = CodeBacking { section };
        let view = backing.view(FILE_MAP_READ | FILE_MAP_EXECUTE, 0, len)?;
        // SAFETY: the view is new; the reservation owns it from here on.
        let reservation = unsafe { Reservation::from_raw(view.address, len) };
        std::mem::forget(view);
        Ok((reservation, backing))
    }

    /// Maps a range of the section that begins with a granule at a new place.
    fn view(&self, access: FILE_MAP, offset: usize, len: usize) -> io::Result<View> {
        inject::check()?;
        let (high, low) = halves(offset);
        // SAFETY: the place is new, and only the view knows it.
        let address =
            unsafe { MapViewOfFile(self.section.as_raw_handle(), access, high, low, len) };
        match NonNull::new(address.Value.cast()) {
            Some(address) => Ok(View { address }),
            None => Err(io::Error::last_os_error()),
        }
    }

    pub(crate) fn writes_beside_running_code(&self) -> bool {
        true
    }

    /// Makes granules ready to be written and executed.
    ///
    /// # Safety
    ///
    /// The range at `address`, `_offset` bytes into the region, is free.
    pub(crate) unsafe fn open(
        &self,
        address: *mut u8,
        _offset: usize,
        len: usize,
    ) -> io::Result<()> {
        each_granule(address, len, |granule| {
            // SAFETY: the caller's. Pages that have memory already need the second.
            unsafe {
                allocate(granule, GRANULE, MEM_COMMIT, PAGE_EXECUTE_READ)?;
                protect(granule, GRANULE, PAGE_EXECUTE_READ)
            }
        })
    }

    /// Gives granules back; they are zeros and inaccessible then.
    ///
    /// # Safety
    ///
    /// The range was opened, and nobody uses it.
    pub(crate) unsafe fn close(
        &self,
        address: *mut u8,
        offset: usize,
        len: usize,
    ) -> io::Result<()> {
        each_granule(address, len, |granule| {
            // SAFETY: the caller's.
            unsafe { protect(granule, GRANULE, PAGE_NOACCESS) }
        })?;
        // SAFETY: the caller's.
        unsafe { self.write(address, offset, len, |bytes| bytes.fill(0)) }
    }

    /// Calls `write` with the bytes at `_address`, `offset` bytes into the
    /// region, seen through a mapping that is writable.
    ///
    /// # Safety
    ///
    /// The range was opened; nobody uses it.
    pub(crate) unsafe fn write(
        &self,
        _address: *mut u8,
        offset: usize,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        // Views begin where the system would reserve: at granules.
        let start = offset - offset % GRANULE;
        let view = self.view(FILE_MAP_READ | FILE_MAP_WRITE, start, offset + len - start)?;
        // SAFETY: the range lies in the view and has memory; its bytes are nobody
        // else's, in whatever mapping, by the caller's word.
        write(unsafe {
            std::slice::from_raw_parts_mut(view.address.as_ptr().add(offset - start), len)
        });
        Ok(())
    }
}

/// Makes written pages executable, and no longer writable.
///
/// # Safety
///
/// The range is the caller's.
pub(crate) unsafe fn make_executable(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { protect(address, len, PAGE_EXECUTE_READ) }
}

/// Readies the process for [`code_barrier`]: nothing is to be done.
pub(crate) fn prepare_code_barrier() -> io::Result<()> {
    Ok(())
}

/// Makes every thread of the process forget instructions that it fetched ahead.
pub(crate) fn code_barrier() -> io::Result<()> {
    // SAFETY: an interrupt on every processor that runs a thread of the process,
    // from which it comes back with an empty pipeline.
    unsafe { FlushProcessWriteBuffers() };
    // x86-64 notices by physical address that code was written.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: concerns all of the process, and changes no content.
    super::check(unsafe { FlushInstructionCache(GetCurrentProcess(), ptr::null(), 0) })?;
    Ok(())
}

/// Makes the data that was written to the range what is fetched as instructions.
///
/// # Safety
///
/// The range is readable.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn flush_instruction_cache(start: *const u8, len: usize) {
    // SAFETY: the caller's. It does not fail for memory of the process itself.
    unsafe { FlushInstructionCache(GetCurrentProcess(), start.cast(), len) };
}
