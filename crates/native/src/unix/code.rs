//! Memory that is written in one place and executed in another.
//!
//! Holds unsafe code: it makes memory executable.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};

use super::{READ_EXECUTE, READ_WRITE, decommit, map, protect};
use crate::memory::{Reservation, page_size};

/// How the code of a region is written.
#[derive(Debug)]
#[cfg_attr(
    all(target_os = "macos", target_arch = "aarch64"),
    allow(dead_code, reason = "every system has one way, and some a second")
)]
pub(crate) enum CodeBacking {
    /// The region maps this file; so does a view for the time of a write.
    Shared(OwnedFd),
    /// Pages change between writable and executable.
    Protected,
    /// The pages of the region are writable by a thread while it says so, and
    /// executable by the others.
    #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
    PerThread,
}

/// Unmaps a view when it ends, also by a panic of the writer.
struct View {
    address: NonNull<u8>,
    len: usize,
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view is ours.
        unsafe { super::release(self.address.as_ptr(), self.len) }
    }
}

impl CodeBacking {
    /// Reserves a region and finds out how code can be written there.
    pub(crate) fn reserve(len: usize) -> io::Result<(Reservation, CodeBacking)> {
        #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
        {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_JIT;
            let protection = READ_WRITE | libc::PROT_EXEC;
            // SAFETY: a new place, which the reservation then owns.
            unsafe {
                let base = map(ptr::null_mut(), len, protection, flags, None)?;
                return Ok((Reservation::from_raw(base, len), CodeBacking::PerThread));
            }
        }
        #[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
        {
            let reservation = Reservation::new(len)?;
            let base = reservation.base().as_ptr();
            let page = page_size();
            #[cfg(any(target_os = "linux", target_os = "android"))]
            if let Ok(Some(file)) = executable_file(len) {
                // Whether such files may be executed is known by trying.
                // SAFETY: the page is ours and in nobody's use.
                unsafe {
                    if map(base, page, READ_EXECUTE, libc::MAP_SHARED, Some((&file, 0))).is_ok() {
                        decommit(base, page)?;
                        return Ok((reservation, CodeBacking::Shared(file)));
                    }
                }
            }
            // SAFETY: as above.
            unsafe {
                protect(base, page, READ_WRITE)?;
                protect(base, page, READ_EXECUTE)?;
                decommit(base, page)?;
            }
            Ok((reservation, CodeBacking::Protected))
        }
    }

    pub(crate) fn writes_beside_running_code(&self) -> bool {
        match self {
            CodeBacking::Shared(_) => true,
            CodeBacking::Protected => false,
            #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
            CodeBacking::PerThread => true,
        }
    }

    /// Makes granules ready to be written and executed.
    ///
    /// # Safety
    ///
    /// The range at `address`, `offset` bytes into the region, is free.
    pub(crate) unsafe fn open(
        &self,
        address: *mut u8,
        offset: usize,
        len: usize,
    ) -> io::Result<()> {
        match self {
            // SAFETY: the caller's; the file is as long as the region.
            CodeBacking::Shared(file) => unsafe {
                map(
                    address,
                    len,
                    READ_EXECUTE,
                    libc::MAP_SHARED,
                    Some((file, offset)),
                )
                .map(|_| ())
            },
            // SAFETY: the caller's.
            CodeBacking::Protected => unsafe { protect(address, len, READ_EXECUTE) },
            #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
            CodeBacking::PerThread => Ok(()),
        }
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
        match self {
            CodeBacking::Shared(file) => {
                // SAFETY: the caller's.
                unsafe { decommit(address, len)? };
                punch_hole(file, offset, len)
            }
            // SAFETY: the caller's.
            CodeBacking::Protected => unsafe { decommit(address, len) },
            #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
            CodeBacking::PerThread => {
                // SAFETY: the caller's; the thread may write until it says
                // otherwise.
                unsafe {
                    libc::pthread_jit_write_protect_np(0);
                    ptr::write_bytes(address, 0, len);
                    libc::pthread_jit_write_protect_np(1);
                    libc::madvise(address.cast(), len, libc::MADV_FREE);
                }
                Ok(())
            }
        }
    }

    /// Calls `write` with the bytes at `address`, `offset` bytes into the
    /// region, seen through a mapping that is writable.
    ///
    /// # Safety
    ///
    /// The range was opened; nobody uses it.
    pub(crate) unsafe fn write(
        &self,
        address: *mut u8,
        offset: usize,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        match self {
            CodeBacking::Shared(file) => {
                let page = page_size();
                let start = offset - offset % page;
                let end = (offset + len).next_multiple_of(page);
                // Memory is found now, because later its want would be a signal.
                allocate(file, start, end - start)?;
                // SAFETY: a new place, which only the view knows.
                let view = unsafe {
                    View {
                        address: map(
                            ptr::null_mut(),
                            end - start,
                            READ_WRITE,
                            libc::MAP_SHARED,
                            Some((file, start)),
                        )?,
                        len: end - start,
                    }
                };
                // SAFETY: the range lies in the view; its bytes are nobody
                // else's, in whatever mapping, by the caller's word.
                write(unsafe {
                    std::slice::from_raw_parts_mut(view.address.as_ptr().add(offset - start), len)
                });
                Ok(())
            }
            CodeBacking::Protected => {
                // SAFETY: the caller's: whole pages, nobody runs code there.
                unsafe {
                    protect(address, len, READ_WRITE)?;
                    write(std::slice::from_raw_parts_mut(address, len));
                    protect(address, len, READ_EXECUTE)
                }
            }
            #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
            CodeBacking::PerThread => {
                struct Writable;
                impl Drop for Writable {
                    fn drop(&mut self) {
                        // SAFETY: concerns this thread's view only.
                        unsafe { libc::pthread_jit_write_protect_np(1) }
                    }
                }
                // SAFETY: the caller's; other threads go on executing.
                unsafe {
                    libc::pthread_jit_write_protect_np(0);
                    let _writable = Writable;
                    write(std::slice::from_raw_parts_mut(address, len));
                }
                Ok(())
            }
        }
    }
}

/// A file in memory that may be executed.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn executable_file(len: usize) -> io::Result<Option<OwnedFd>> {
    /// Since Linux 6.3: asks for a file that may be executed. Older systems
    /// know no others, nor the flag.
    const MFD_EXEC: libc::c_uint = 0x10;
    match super::memory_file(c"tepui-code", len, MFD_EXEC)? {
        Some(file) => Ok(Some(file)),
        None => super::memory_file(c"tepui-code", len, 0),
    }
}

/// Gives the memory of a range of a file back.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn punch_hole(file: &OwnedFd, offset: usize, len: usize) -> io::Result<()> {
    fallocate(
        file,
        libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
        offset,
        len,
    )
}

/// Finds memory for a range of a file.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &OwnedFd, offset: usize, len: usize) -> io::Result<()> {
    match fallocate(file, 0, offset, len) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn fallocate(file: &OwnedFd, mode: libc::c_int, offset: usize, len: usize) -> io::Result<()> {
    loop {
        crate::inject::check()?;
        // SAFETY: the descriptor is ours, and the range inside of the file.
        let result = unsafe {
            libc::fallocate(
                file.as_raw_fd(),
                mode,
                offset as libc::off_t,
                len as libc::off_t,
            )
        };
        match super::check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

// Files in memory are made on Linux only: nobody has one here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn punch_hole(_file: &OwnedFd, _offset: usize, _len: usize) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_file: &OwnedFd, _offset: usize, _len: usize) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Code that is mapped in many places.
#[derive(Debug)]
pub(crate) struct SharedCode(OwnedFd);

impl SharedCode {
    /// A file of `code`, whole pages; `None` where the system has no such file.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new(code: &[u8]) -> io::Result<Option<SharedCode>> {
        let Some(file) = executable_file(code.len())? else {
            return Ok(None);
        };
        super::write_all(&file, code)?;
        Ok(Some(SharedCode(file)))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new(_code: &[u8]) -> io::Result<Option<SharedCode>> {
        Ok(None)
    }

    /// Maps the first `len` bytes at `address`.
    ///
    /// # Safety
    ///
    /// The range is the caller's, and nobody uses it.
    pub(crate) unsafe fn map(&self, address: *mut u8, len: usize) -> io::Result<()> {
        // SAFETY: the caller's.
        unsafe {
            map(
                address,
                len,
                READ_EXECUTE,
                libc::MAP_SHARED,
                Some((&self.0, 0)),
            )
            .map(|_| ())
        }
    }
}

/// Makes written pages executable, and no longer writable.
///
/// # Safety
///
/// The range is the caller's.
pub(crate) unsafe fn make_executable(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { protect(address, len, READ_EXECUTE) }
}

/// Readies the process for [`code_barrier`].
///
/// # Errors
///
/// On aarch64, where the barrier is needed, when the system has none.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn prepare_code_barrier() -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static READY: AtomicBool = AtomicBool::new(false);
    if READY.load(Ordering::Acquire) {
        return Ok(());
    }
    match membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) {
        Ok(()) => {
            READY.store(true, Ordering::Release);
            Ok(())
        }
        // x86-64 notices by physical address that code was written, so that
        // nothing needs to be flushed for code that was not run before.
        Err(_) if cfg!(target_arch = "x86_64") => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes every thread of the process forget instructions that it fetched ahead.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn code_barrier() -> io::Result<()> {
    match membarrier(MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE) {
        Ok(()) => Ok(()),
        // Not registered: a child process may have to do it again.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            let again = membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)
                .and_then(|()| membarrier(MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE));
            if cfg!(target_arch = "x86_64") {
                Ok(())
            } else {
                again
            }
        }
        Err(_) if cfg!(target_arch = "x86_64") => Ok(()),
        Err(error) => Err(error),
    }
}

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE` of `linux/membarrier.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE: libc::c_int = 1 << 5;
/// `MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: libc::c_int = 1 << 6;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn membarrier(command: libc::c_int) -> io::Result<()> {
    crate::inject::check()?;
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

// Elsewhere the invalidation of the instruction cache by the system's own
// function does what is needed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn prepare_code_barrier() -> io::Result<()> {
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn code_barrier() -> io::Result<()> {
    Ok(())
}
