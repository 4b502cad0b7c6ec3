//! What does the runtime outside offer? Its functions, and their numbers as the
//! services have them.
//!
//! This file holds unsafe code: calls of imported functions. Every pointer that
//! is passed comes from a reference or a slice that outlives the call.

use crate::preview1::types::filetype;
use crate::services::{ErrorCode, FileType, Metadata, Result, SetTime, Timestamp};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

mod import {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_res_get(clock: u32, resolution: *mut u64) -> u32;
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        pub(super) fn fd_advise(fd: u32, offset: u64, length: u64, advice: u32) -> u32;
        pub(super) fn fd_allocate(fd: u32, offset: u64, length: u64) -> u32;
        pub(super) fn fd_datasync(fd: u32) -> u32;
        pub(super) fn fd_fdstat_get(fd: u32, stat: *mut [u8; 24]) -> u32;
        pub(super) fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
        pub(super) fn fd_filestat_get(fd: u32, stat: *mut [u8; 64]) -> u32;
        pub(super) fn fd_filestat_set_size(fd: u32, size: u64) -> u32;
        pub(super) fn fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, flags: u32) -> u32;
        pub(super) fn fd_pread(
            fd: u32,
            vectors: *const Vector,
            count: usize,
            offset: u64,
            done: *mut usize,
        ) -> u32;
        pub(super) fn fd_pwrite(
            fd: u32,
            vectors: *const Vector,
            count: usize,
            offset: u64,
            done: *mut usize,
        ) -> u32;
        pub(super) fn fd_read(
            fd: u32,
            vectors: *const Vector,
            count: usize,
            done: *mut usize,
        ) -> u32;
        pub(super) fn fd_readdir(
            fd: u32,
            buffer: *mut u8,
            length: usize,
            cookie: u64,
            done: *mut usize,
        ) -> u32;
        pub(super) fn fd_sync(fd: u32) -> u32;
        pub(super) fn fd_write(
            fd: u32,
            vectors: *const Vector,
            count: usize,
            done: *mut usize,
        ) -> u32;
        pub(super) fn path_create_directory(fd: u32, path: *const u8, length: usize) -> u32;
        pub(super) fn path_filestat_get(
            fd: u32,
            lookup: u32,
            path: *const u8,
            length: usize,
            stat: *mut [u8; 64],
        ) -> u32;
        pub(super) fn path_filestat_set_times(
            fd: u32,
            lookup: u32,
            path: *const u8,
            length: usize,
            atim: u64,
            mtim: u64,
            flags: u32,
        ) -> u32;
        pub(super) fn path_link(
            fd: u32,
            lookup: u32,
            path: *const u8,
            length: usize,
            new_fd: u32,
            new_path: *const u8,
            new_length: usize,
        ) -> u32;
        pub(super) fn path_open(
            fd: u32,
            lookup: u32,
            path: *const u8,
            length: usize,
            oflags: u32,
            base: u64,
            inheriting: u64,
            fdflags: u32,
            opened: *mut u32,
        ) -> u32;
        pub(super) fn path_readlink(
            fd: u32,
            path: *const u8,
            length: usize,
            buffer: *mut u8,
            capacity: usize,
            done: *mut usize,
        ) -> u32;
        pub(super) fn path_remove_directory(fd: u32, path: *const u8, length: usize) -> u32;
        pub(super) fn path_rename(
            fd: u32,
            path: *const u8,
            length: usize,
            new_fd: u32,
            new_path: *const u8,
            new_length: usize,
        ) -> u32;
        pub(super) fn path_symlink(
            target: *const u8,
            target_length: usize,
            fd: u32,
            path: *const u8,
            length: usize,
        ) -> u32;
        pub(super) fn path_unlink_file(fd: u32, path: *const u8, length: usize) -> u32;
        pub(super) fn poll_oneoff(
            subscriptions: *const [u8; 48],
            events: *mut [u8; 32],
            count: usize,
            done: *mut usize,
        ) -> u32;
        pub(super) fn random_get(buffer: *mut u8, length: usize) -> u32;
    }

    /// `iovec` and `ciovec`.
    #[repr(C)]
    pub(super) struct Vector {
        pub(super) start: *const u8,
        pub(super) length: usize,
    }
}

/// The most vectors that are passed on at once; callers ask again for the rest.
const VECTORS: usize = 64;

/// The condition behind an error number of this system.
pub(crate) fn error_from_os(number: i32) -> ErrorCode {
    /// `notcapable`, the one number without a condition of its own.
    const NOTCAPABLE: usize = 76;
    // The conditions stand in the order of the numbers, from 1 on.
    match usize::try_from(number) {
        Ok(NOTCAPABLE) => ErrorCode::NotPermitted,
        Ok(number @ 1..) => ErrorCode::ALL
            .get(number - 1)
            .copied()
            .unwrap_or(ErrorCode::Io),
        _ => ErrorCode::Io,
    }
}

fn check(errno: u32) -> Result<()> {
    match errno {
        0 => Ok(()),
        number => Err(error_from_os(number as i32)),
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

/// A field of a record, little-endian.
fn u64_at(record: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| record[offset + i]))
}

fn file_type(number: u8) -> FileType {
    match number {
        filetype::BLOCK_DEVICE => FileType::BlockDevice,
        filetype::CHARACTER_DEVICE => FileType::CharacterDevice,
        filetype::DIRECTORY => FileType::Directory,
        filetype::REGULAR_FILE => FileType::Regular,
        filetype::SOCKET_DGRAM | filetype::SOCKET_STREAM => FileType::Socket,
        filetype::SYMBOLIC_LINK => FileType::SymbolicLink,
        _ => FileType::Unknown,
    }
}

fn metadata_from(record: &[u8; 64]) -> Metadata {
    let time = |offset| Timestamp::from_nanoseconds(u64_at(record, offset));
    Metadata {
        device: u64_at(record, 0),
        inode: u64_at(record, 8),
        file_type: file_type(record[16]),
        links: u64_at(record, 24),
        size: u64_at(record, 32),
        accessed: time(40),
        modified: time(48),
        changed: time(56),
    }
}

/// The nanoseconds and the flag for one time; `now` and `to` are its flags.
fn set_time(time: SetTime, to: u16, now: u16) -> (u64, u32) {
    match time {
        SetTime::Keep => (0, 0),
        SetTime::Now => (0, now.into()),
        SetTime::To(time) => (time.saturating_nanoseconds(), to.into()),
    }
}

/// Both times and all flags.
fn set_times(accessed: SetTime, modified: SetTime) -> (u64, u64, u32) {
    use crate::preview1::types::fstflags::{ATIM, ATIM_NOW, MTIM, MTIM_NOW};
    let (atim, atim_flag) = set_time(accessed, ATIM, ATIM_NOW);
    let (mtim, mtim_flag) = set_time(modified, MTIM, MTIM_NOW);
    (atim, mtim, atim_flag | mtim_flag)
}

fn vectors(data: &[IoSlice<'_>]) -> Vec<import::Vector> {
    data.iter()
        .take(VECTORS)
        .map(|slice| import::Vector {
            start: slice.as_ptr(),
            length: slice.len(),
        })
        .collect()
}

// SAFETY, for all of this file: an imported function reads and writes what its
// parameters point to during the call and not afterwards, and each points to a
// value, a slice or a string that lives as long, with its true length. The
// runtime outside checks descriptors.

pub(super) fn clock_resolution(clock: u32) -> Result<u64> {
    let mut value = 0;
    // SAFETY: see above.
    check(unsafe { import::clock_res_get(clock, &mut value) })?;
    Ok(value)
}

pub(super) fn clock_time(clock: u32) -> Result<u64> {
    let mut value = 0;
    // SAFETY: see above.
    check(unsafe { import::clock_time_get(clock, 0, &mut value) })?;
    Ok(value)
}

pub(super) fn random(buffer: &mut [u8]) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::random_get(buffer.as_mut_ptr(), buffer.len()) })
}

/// What `fdstat` tells.
pub(super) struct Status {
    pub(super) file_type: FileType,
    pub(super) flags: u16,
    pub(super) base: u64,
    pub(super) inheriting: u64,
}

pub(super) fn status(fd: BorrowedFd<'_>) -> Result<Status> {
    let mut record = [0; 24];
    // SAFETY: see above.
    check(unsafe { import::fd_fdstat_get(number(fd), &mut record) })?;
    Ok(Status {
        file_type: file_type(record[0]),
        flags: u16::from_le_bytes([record[2], record[3]]),
        base: u64_at(&record, 8),
        inheriting: u64_at(&record, 16),
    })
}

pub(super) fn set_flags(fd: BorrowedFd<'_>, flags: u16) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_fdstat_set_flags(number(fd), flags.into()) })
}

pub(super) fn metadata(fd: BorrowedFd<'_>) -> Result<Metadata> {
    let mut record = [0; 64];
    // SAFETY: see above.
    check(unsafe { import::fd_filestat_get(number(fd), &mut record) })?;
    Ok(metadata_from(&record))
}

pub(super) fn set_size(fd: BorrowedFd<'_>, size: u64) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_filestat_set_size(number(fd), size) })
}

pub(super) fn set_own_times(
    fd: BorrowedFd<'_>,
    accessed: SetTime,
    modified: SetTime,
) -> Result<()> {
    let (atim, mtim, flags) = set_times(accessed, modified);
    // SAFETY: see above.
    check(unsafe { import::fd_filestat_set_times(number(fd), atim, mtim, flags) })
}

pub(super) fn advise(fd: BorrowedFd<'_>, offset: u64, length: u64, advice: u32) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_advise(number(fd), offset, length, advice) })
}

pub(super) fn allocate(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_allocate(number(fd), offset, length) })
}

pub(super) fn sync(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_sync(number(fd)) })
}

pub(super) fn sync_data(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::fd_datasync(number(fd)) })
}

pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    let vector = import::Vector {
        start: buffer.as_mut_ptr(),
        length: buffer.len(),
    };
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe { import::fd_read(number(fd), &vector, 1, &mut done) })?;
    Ok(done)
}

pub(super) fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let vector = import::Vector {
        start: buffer.as_mut_ptr(),
        length: buffer.len(),
    };
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe { import::fd_pread(number(fd), &vector, 1, offset, &mut done) })?;
    Ok(done)
}

pub(super) fn write(fd: BorrowedFd<'_>, data: &[IoSlice<'_>]) -> Result<usize> {
    let vectors = vectors(data);
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe { import::fd_write(number(fd), vectors.as_ptr(), vectors.len(), &mut done) })?;
    Ok(done)
}

pub(super) fn write_at(fd: BorrowedFd<'_>, data: &[IoSlice<'_>], offset: u64) -> Result<usize> {
    let vectors = vectors(data);
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe {
        import::fd_pwrite(
            number(fd),
            vectors.as_ptr(),
            vectors.len(),
            offset,
            &mut done,
        )
    })?;
    Ok(done)
}

pub(super) fn read_directory(fd: BorrowedFd<'_>, buffer: &mut [u8], cookie: u64) -> Result<usize> {
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe {
        import::fd_readdir(
            number(fd),
            buffer.as_mut_ptr(),
            buffer.len(),
            cookie,
            &mut done,
        )
    })?;
    Ok(done)
}

/// An entry at the start of what [`read_directory`] gave, when it is whole:
/// where to go on, number, kind, name, and the bytes that it takes.
pub(super) fn directory_entry(bytes: &[u8]) -> Option<(u64, u64, FileType, &[u8], usize)> {
    use crate::preview1::types::DIRENT_SIZE;
    let head = bytes.get(..DIRENT_SIZE)?;
    let length = u32::from_le_bytes(std::array::from_fn(|i| head[16 + i])) as usize;
    let end = DIRENT_SIZE.checked_add(length)?;
    let name = bytes.get(DIRENT_SIZE..end)?;
    Some((
        u64_at(head, 0),
        u64_at(head, 8),
        file_type(head[20]),
        name,
        end,
    ))
}

pub(super) fn metadata_at(fd: BorrowedFd<'_>, path: &str, lookup: u32) -> Result<Metadata> {
    let mut record = [0; 64];
    // SAFETY: see above.
    check(unsafe {
        import::path_filestat_get(number(fd), lookup, path.as_ptr(), path.len(), &mut record)
    })?;
    Ok(metadata_from(&record))
}

pub(super) fn set_times_at(
    fd: BorrowedFd<'_>,
    path: &str,
    lookup: u32,
    accessed: SetTime,
    modified: SetTime,
) -> Result<()> {
    let (atim, mtim, flags) = set_times(accessed, modified);
    // SAFETY: see above.
    check(unsafe {
        import::path_filestat_set_times(
            number(fd),
            lookup,
            path.as_ptr(),
            path.len(),
            atim,
            mtim,
            flags,
        )
    })
}

/// The flags of `path_open`.
pub(super) struct OpenFlags {
    pub(super) lookup: u32,
    pub(super) oflags: u16,
    pub(super) base: u64,
    pub(super) inheriting: u64,
    pub(super) fdflags: u16,
}

pub(super) fn open_at(fd: BorrowedFd<'_>, path: &str, flags: &OpenFlags) -> Result<OwnedFd> {
    let mut opened = 0;
    // SAFETY: see above; what was opened is nobody else's.
    unsafe {
        check(import::path_open(
            number(fd),
            flags.lookup,
            path.as_ptr(),
            path.len(),
            flags.oflags.into(),
            flags.base,
            flags.inheriting,
            flags.fdflags.into(),
            &mut opened,
        ))?;
        Ok(OwnedFd::from_raw_fd(opened as i32))
    }
}

pub(super) fn create_directory(fd: BorrowedFd<'_>, path: &str) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::path_create_directory(number(fd), path.as_ptr(), path.len()) })
}

pub(super) fn remove_directory(fd: BorrowedFd<'_>, path: &str) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::path_remove_directory(number(fd), path.as_ptr(), path.len()) })
}

pub(super) fn unlink(fd: BorrowedFd<'_>, path: &str) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { import::path_unlink_file(number(fd), path.as_ptr(), path.len()) })
}

/// As much of the target as `buffer` holds.
pub(super) fn read_link(fd: BorrowedFd<'_>, path: &str, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    // SAFETY: see above.
    check(unsafe {
        import::path_readlink(
            number(fd),
            path.as_ptr(),
            path.len(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut done,
        )
    })?;
    Ok(done)
}

pub(super) fn symlink(target: &str, fd: BorrowedFd<'_>, path: &str) -> Result<()> {
    // SAFETY: see above.
    check(unsafe {
        import::path_symlink(
            target.as_ptr(),
            target.len(),
            number(fd),
            path.as_ptr(),
            path.len(),
        )
    })
}

pub(super) fn link(
    fd: BorrowedFd<'_>,
    path: &str,
    new: BorrowedFd<'_>,
    new_path: &str,
) -> Result<()> {
    // SAFETY: see above.
    check(unsafe {
        import::path_link(
            number(fd),
            0,
            path.as_ptr(),
            path.len(),
            number(new),
            new_path.as_ptr(),
            new_path.len(),
        )
    })
}

pub(super) fn rename(
    fd: BorrowedFd<'_>,
    path: &str,
    new: BorrowedFd<'_>,
    new_path: &str,
) -> Result<()> {
    // SAFETY: see above.
    check(unsafe {
        import::path_rename(
            number(fd),
            path.as_ptr(),
            path.len(),
            number(new),
            new_path.as_ptr(),
            new_path.len(),
        )
    })
}

/// Waits until one of the subscriptions comes about; gives the events.
pub(super) fn poll(subscriptions: &[[u8; 48]]) -> Result<Vec<[u8; 32]>> {
    let mut events = vec![[0; 32]; subscriptions.len()];
    let mut done = 0;
    // SAFETY: see above; there is room for an event of each subscription.
    check(unsafe {
        import::poll_oneoff(
            subscriptions.as_ptr(),
            events.as_mut_ptr(),
            subscriptions.len(),
            &mut done,
        )
    })?;
    events.truncate(done);
    Ok(events)
}
