//! Open files of the system.

use crate::host::policy::{Rights, end_of};
use crate::services::{
    Advice, ErrorCode, File, FileType, Interest, Metadata, PollState, Readiness, Result, SetTime,
    Timestamp,
};
use cap_primitives::fs::{self as cap, FileTypeExt as _, MetadataExt as _};
use rustix::fs::{Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::time::Timespec;
use std::fs;
use std::io::{IoSlice, IsTerminal};
use std::os::fd::AsFd;
use std::task::Waker;

/// A file of the operating system.
#[derive(Debug)]
pub struct HostFile {
    file: fs::File,
    seekable: bool,
    rights: Rights,
}

impl HostFile {
    /// `file` was opened without blocking, and with these rights.
    pub(super) fn new(file: fs::File, rights: Rights) -> Result<Self> {
        let file_type = metadata_of(&file)?.file_type;
        Ok(HostFile {
            seekable: matches!(file_type, FileType::Regular | FileType::BlockDevice),
            file,
            rights,
        })
    }
}

/// What is known about an open file or folder.
pub(super) fn metadata_of(file: &fs::File) -> Result<Metadata> {
    Ok(metadata_from(&cap::Metadata::from_file(file)?))
}

/// What the system says about an object as the services have it.
pub(super) fn metadata_from(metadata: &cap::Metadata) -> Metadata {
    let file_type = metadata.file_type();
    let time = |seconds, nanoseconds: i64| Timestamp {
        seconds,
        nanoseconds: nanoseconds.clamp(0, 999_999_999) as u32,
    };
    Metadata {
        device: metadata.dev(),
        inode: metadata.ino(),
        file_type: if file_type.is_file() {
            FileType::Regular
        } else if file_type.is_dir() {
            FileType::Directory
        } else if file_type.is_symlink() {
            FileType::SymbolicLink
        } else if file_type.is_char_device() {
            FileType::CharacterDevice
        } else if file_type.is_block_device() {
            FileType::BlockDevice
        } else if file_type.is_fifo() {
            FileType::Fifo
        } else if file_type.is_socket() {
            FileType::Socket
        } else {
            FileType::Unknown
        },
        links: metadata.nlink(),
        size: metadata.size(),
        accessed: time(metadata.atime(), metadata.atime_nsec()),
        modified: time(metadata.mtime(), metadata.mtime_nsec()),
        changed: time(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The system's form of the two times.
///
/// # Errors
///
/// [`ErrorCode::Invalid`] for a time that the system cannot express.
pub(super) fn timestamps(accessed: SetTime, modified: SetTime) -> Result<Timestamps> {
    let convert = |time| {
        Ok(match time {
            SetTime::Keep => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT as _,
            },
            SetTime::Now => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW as _,
            },
            SetTime::To(time) if time.nanoseconds < 1_000_000_000 => Timespec {
                tv_sec: time.seconds,
                tv_nsec: time.nanoseconds as _,
            },
            SetTime::To(_) => return Err(ErrorCode::Invalid),
        })
    };
    Ok(Timestamps {
        last_access: convert(accessed)?,
        last_modification: convert(modified)?,
    })
}

impl File for HostFile {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn is_terminal(&self) -> bool {
        !self.seekable && self.file.is_terminal()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        end_of(offset, 0).ok_or(ErrorCode::Invalid)?;
        Ok(rustix::io::pread(&self.file, buffer, offset)?)
    }

    fn write_at(&self, data: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        self.rights.check_writable()?;
        end_of(offset, 0).ok_or(ErrorCode::FileTooLarge)?;
        Ok(match data {
            [one] => rustix::io::pwrite(&self.file, one, offset)?,
            #[cfg(not(target_vendor = "apple"))]
            many => rustix::io::pwritev(&self.file, many, offset)?,
            #[cfg(target_vendor = "apple")]
            many => match many.iter().find(|slice| !slice.is_empty()) {
                Some(first) => rustix::io::pwrite(&self.file, first, offset)?,
                None => 0,
            },
        })
    }

    fn append(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.rights.check_writable()?;
        #[cfg(target_os = "linux")]
        {
            use rustix::io::{Errno, ReadWriteFlags, pwritev2};
            match pwritev2(&self.file, data, 0, ReadWriteFlags::APPEND) {
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {}
                result => return Ok(result?),
            }
        }
        // The open file is this guest's alone, and the guest is not running, so
        // nobody else sees the flag.
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        let flags = fcntl_getfl(&self.file)?;
        fcntl_setfl(&self.file, flags | OFlags::APPEND)?;
        let result = rustix::io::writev(&self.file, data);
        fcntl_setfl(&self.file, flags)?;
        Ok(result?)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        // A named pipe that nobody has opened for writing yet reads as ended;
        // asking first makes it wait for a writer.
        if !super::wake::is_ready(self.file.as_fd(), Interest::Read)? {
            return Err(ErrorCode::Again);
        }
        Ok(rustix::io::read(&self.file, buffer)?)
    }

    fn write(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.rights.check_writable()?;
        Ok(rustix::io::writev(&self.file, data)?)
    }

    fn metadata(&self) -> Result<Metadata> {
        metadata_of(&self.file)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.rights.check_set_size(size)?;
        Ok(rustix::fs::ftruncate(&self.file, size)?)
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.rights.check_mutable()?;
        Ok(rustix::fs::futimens(
            &self.file,
            &timestamps(accessed, modified)?,
        )?)
    }

    fn allocate(&self, offset: u64, length: u64) -> Result<()> {
        self.rights.check_allocate(offset, length)?;
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            Ok(fallocate(
                &self.file,
                FallocateFlags::empty(),
                offset,
                length,
            )?)
        }
        #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
        Err(ErrorCode::NotSupported)
    }

    fn advise(&self, offset: u64, length: u64, advice: Advice) -> Result<()> {
        if !self.seekable {
            return Err(ErrorCode::SeekPipe);
        }
        end_of(offset, length).ok_or(ErrorCode::Invalid)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{Advice as Host, fadvise};
            let advice = match advice {
                Advice::Normal => Host::Normal,
                Advice::Sequential => Host::Sequential,
                Advice::Random => Host::Random,
                Advice::WillNeed => Host::WillNeed,
                Advice::DontNeed => Host::DontNeed,
                Advice::NoReuse => Host::NoReuse,
            };
            fadvise(
                &self.file,
                offset,
                std::num::NonZeroU64::new(length),
                advice,
            )?;
        }
        // Elsewhere the advice has no taker, which its meaning allows.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = advice;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.sync_all()?)
    }

    fn sync_data(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        if self.seekable {
            PollState::Ready(Readiness::default())
        } else {
            PollState::Descriptor(self.file.as_fd())
        }
    }
}
