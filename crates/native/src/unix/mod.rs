//! Linux, macOS and other Unix systems: pages, files in memory, stack bounds.
//!
//! Holds unsafe code: system calls. Each call that can fail for want of memory
//! asks [`crate::inject`] first.

mod code;
#[cfg(all(
    any(target_os = "linux", target_os = "android", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod context;
mod signals;

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use crate::inject;

pub(crate) use code::{
    CodeBacking, SharedCode, code_barrier, make_executable, prepare_code_barrier,
};
pub(crate) use signals::{ensure_signal_stack, install_fault_handlers};

/// Whether addresses can be reserved without memory behind them.
pub(crate) const HAS_ADDRESS_SPACE: bool = true;

pub(crate) fn query_page_size() -> usize {
    // SAFETY: asks a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page)
        .ok()
        .filter(|page| page.is_power_of_two())
        .unwrap_or(4096)
}

/// The result of a system call as Rust has it.
fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Maps pages; `address` is null for a new place, or fixed.
///
/// # Safety
///
/// At a fixed address, the range belongs to the caller, who may lose what was
/// there.
unsafe fn map(
    address: *mut u8,
    len: usize,
    protection: libc::c_int,
    flags: libc::c_int,
    file: Option<(&OwnedFd, usize)>,
) -> io::Result<NonNull<u8>> {
    inject::check()?;
    let fixed = if address.is_null() {
        0
    } else {
        libc::MAP_FIXED
    };
    let (fd, offset) = match file {
        Some((file, offset)) => (
            file.as_raw_fd(),
            libc::off_t::try_from(offset)
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        ),
        None => (-1, 0),
    };
    // SAFETY: a new place is nobody's; a fixed one is the caller's.
    let mapped = unsafe { libc::mmap(address.cast(), len, protection, flags | fixed, fd, offset) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(mapped.cast()).ok_or_else(|| io::Error::other("the system mapped address 0"))
}

const ANONYMOUS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
const READ_EXECUTE: libc::c_int = libc::PROT_READ | libc::PROT_EXEC;

pub(crate) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new place.
    unsafe { map(ptr::null_mut(), len, libc::PROT_NONE, ANONYMOUS, None) }
}

/// # Safety
///
/// The range was reserved, and ends with this call.
pub(crate) unsafe fn release(address: *mut u8, len: usize) {
    // SAFETY: the caller's. When it fails, for want of memory to split a
    // mapping, the range stays reserved: address space is lost, nothing else.
    unsafe { libc::munmap(address.cast(), len) };
}

unsafe fn protect(address: *mut u8, len: usize, protection: libc::c_int) -> io::Result<()> {
    inject::check()?;
    // SAFETY: the caller's range.
    check(unsafe { libc::mprotect(address.cast(), len, protection) })
}

/// # Safety
///
/// The range is part of a reservation.
pub(crate) unsafe fn commit(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { protect(address, len, READ_WRITE) }
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn decommit(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { map(address, len, libc::PROT_NONE, ANONYMOUS, None) }.map(|_| ())
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn replace_by_zeros(address: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { map(address, len, READ_WRITE, ANONYMOUS, None) }.map(|_| ())
}

/// # Safety
///
/// The range is an accessible part of a reservation; nobody uses it.
pub(crate) unsafe fn reset(address: *mut u8, len: usize) -> io::Result<()> {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        // Elsewhere this advice may keep the content.
        inject::check()?;
        // SAFETY: the caller's.
        check(unsafe { libc::madvise(address.cast(), len, libc::MADV_DONTNEED) })
    } else {
        // Images are mapped on Linux only, so that this is their content.
        // SAFETY: the caller's.
        unsafe { replace_by_zeros(address, len) }
    }
}

/// # Safety
///
/// The range is part of a reservation, nobody uses it, and the file is at least
/// as long.
pub(crate) unsafe fn map_private(
    address: *mut u8,
    len: usize,
    file: &SealedFile,
) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
    // SAFETY: the caller's.
    unsafe { map(address, len, READ_WRITE, flags, Some((&file.0, 0))) }.map(|_| ())
}

/// A file in memory whose content never changes again.
#[derive(Debug)]
pub(crate) struct SealedFile(OwnedFd);

impl SealedFile {
    /// A file of `data`, filled up with zeros to `padded` bytes.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new(data: &[u8], padded: usize) -> io::Result<Option<SealedFile>> {
        let Some(file) = memory_file(c"tepui-image", padded, libc::MFD_ALLOW_SEALING)? else {
            return Ok(None);
        };
        write_all(&file, data)?;
        let seals =
            libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        inject::check()?;
        // SAFETY: the descriptor is ours.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        Ok(Some(SealedFile(file)))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new(_data: &[u8], _padded: usize) -> io::Result<Option<SealedFile>> {
        Ok(None)
    }
}

/// Makes a file in memory of `len` zeros. `None` where the system has none, or
/// does not allow one of this length.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn memory_file(
    name: &std::ffi::CStr,
    len: usize,
    flags: libc::c_uint,
) -> io::Result<Option<OwnedFd>> {
    use std::os::fd::FromRawFd;

    if !file_size_allowed(len) {
        return Ok(None);
    }
    let created = inject::check().and_then(|()| {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_CLOEXEC) };
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(fd)
        }
    });
    let fd = match created {
        Ok(fd) => fd,
        // No such call, forbidden by a filter, or flags not known.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL)
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // SAFETY: the descriptor is new and ours.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let len =
        libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    inject::check()?;
    // SAFETY: the descriptor is ours.
    check(unsafe { libc::ftruncate(file.as_raw_fd(), len) })?;
    Ok(Some(file))
}

/// Whether the process may make files of `len` bytes. The system does not
/// answer a longer one with an error but with a signal that ends the process.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn file_size_allowed(len: usize) -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is written to our variable.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
    // The limit has as many bits as the system gives it.
    !known || limit.rlim_cur == libc::RLIM_INFINITY || len as u128 <= u128::from(limit.rlim_cur)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn write_all(file: &OwnedFd, mut data: &[u8]) -> io::Result<()> {
    let mut offset = 0;
    while !data.is_empty() {
        inject::check()?;
        // SAFETY: the bytes are those of the slice.
        let written =
            unsafe { libc::pwrite(file.as_raw_fd(), data.as_ptr().cast(), data.len(), offset) };
        match written {
            0 => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            written if written > 0 => {
                data = &data[written as usize..];
                offset += written as libc::off_t;
            }
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// The stack of the process's first thread, or a few pages less. The C library
/// would look for it in the list of all maps, which takes the system as long as a
/// small guest takes to run.
#[cfg(target_os = "linux")]
fn first_stack() -> Option<Range<usize>> {
    /// The system keeps more than this free for the stack, whatever its limit; a larger
    /// one may meet something before.
    const KEPT_FREE: usize = 64 << 20;
    /// Left out at the far end, for what may lie above the name of the program.
    const MARGIN: usize = 64 << 10;
    let mut limit = std::mem::MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the first call writes the limit; the second asks for a value, the address
    // of a string that lasts.
    let (limit, name) = unsafe {
        if libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) != 0 {
            return None;
        }
        let name = libc::getauxval(libc::AT_EXECFN) as usize;
        if name == 0 {
            return None;
        }
        let len = libc::strlen(ptr::with_exposed_provenance(name));
        (limit.assume_init().rlim_cur, name + len)
    };
    let limit = usize::try_from(limit).ok()?;
    if !(2 * MARGIN..=KEPT_FREE).contains(&limit) {
        return None;
    }
    // The name is what lies last in the stack, which may become as large as the limit.
    let end = name.checked_next_multiple_of(query_page_size())?;
    Some(end.checked_sub(limit - MARGIN)?..end)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: both ask for numbers.
        let is_first = unsafe { libc::gettid() == libc::getpid() };
        if is_first && let Some(bounds) = first_stack() {
            return Some(bounds);
        }
    }
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the attributes are initialized by the first call, read by the
    // second and destroyed by the third.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let mut start = ptr::null_mut();
        let mut len = 0;
        let result = libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut len);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if result != 0 || start.is_null() || len == 0 {
            return None;
        }
        let start = start as usize;
        Some(start..start.checked_add(len)?)
    }
}

#[cfg(target_vendor = "apple")]
pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    // SAFETY: both ask about the thread that calls.
    let (end, len) = unsafe {
        let thread = libc::pthread_self();
        (
            libc::pthread_get_stackaddr_np(thread) as usize,
            libc::pthread_get_stacksize_np(thread),
        )
    };
    Some(end.checked_sub(len)?..end)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::first_stack;

    /// The bounds lie in what the system says of the stack, and have nearly all of it.
    #[test]
    fn the_first_stack_is_found() {
        let Some(bounds) = first_stack() else {
            // The limit is one that the C library is asked about.
            return;
        };
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the list of maps");
        let Some(line) = maps.lines().find(|line| line.ends_with("[stack]")) else {
            // An emulator has its own list.
            return;
        };
        let end = line.split(['-', ' ']).nth(1).expect("the end of the stack");
        let end = usize::from_str_radix(end, 16).expect("an address");
        assert!(bounds.end <= end && end - bounds.end < 64 << 10, "{end:x}");
        assert!(bounds.start < bounds.end);
    }
}
