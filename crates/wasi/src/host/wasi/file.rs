//! Open files of the runtime outside.

use super::raw;
use super::wake::is_ready;
use crate::host::policy::Rights;
use crate::preview1::types::fdflags;
use crate::services::{
    Advice, ErrorCode, File, FileType, Interest, Metadata, PollState, Readiness, Result, SetTime,
};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Waker;

/// A file of the operating system.
#[derive(Debug)]
pub struct HostFile {
    fd: OwnedFd,
    seekable: bool,
    rights: Rights,
}

impl HostFile {
    /// `fd` is of this type, and was opened with these rights.
    pub(super) fn new(fd: OwnedFd, file_type: FileType, rights: Rights) -> Self {
        HostFile {
            fd,
            seekable: matches!(file_type, FileType::Regular | FileType::BlockDevice),
            rights,
        }
    }
}

impl File for HostFile {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        raw::read_at(self.fd.as_fd(), buffer, offset)
    }

    fn write_at(&self, data: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        self.rights.check_writable()?;
        raw::write_at(self.fd.as_fd(), data, offset)
    }

    fn append(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.rights.check_writable()?;
        // The open file is this guest's alone, and the guest is not running, so
        // nobody else sees the flag.
        let flags = raw::status(self.fd.as_fd())?.flags;
        raw::set_flags(self.fd.as_fd(), flags | fdflags::APPEND)?;
        let result = raw::write(self.fd.as_fd(), data);
        raw::set_flags(self.fd.as_fd(), flags)?;
        result
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        if !is_ready(self.fd.as_fd(), Interest::Read)? {
            return Err(ErrorCode::Again);
        }
        raw::read(self.fd.as_fd(), buffer)
    }

    fn write(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.rights.check_writable()?;
        raw::write(self.fd.as_fd(), data)
    }

    fn metadata(&self) -> Result<Metadata> {
        raw::metadata(self.fd.as_fd())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.rights.check_set_size(size)?;
        raw::set_size(self.fd.as_fd(), size)
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.rights.check_mutable()?;
        raw::set_own_times(self.fd.as_fd(), accessed, modified)
    }

    fn allocate(&self, offset: u64, length: u64) -> Result<()> {
        self.rights.check_allocate(offset, length)?;
        raw::allocate(self.fd.as_fd(), offset, length)
    }

    fn advise(&self, offset: u64, length: u64, advice: Advice) -> Result<()> {
        if !self.seekable {
            return Err(ErrorCode::SeekPipe);
        }
        let advice = match advice {
            Advice::Normal => 0,
            Advice::Sequential => 1,
            Advice::Random => 2,
            Advice::WillNeed => 3,
            Advice::DontNeed => 4,
            Advice::NoReuse => 5,
        };
        raw::advise(self.fd.as_fd(), offset, length, advice)
    }

    fn sync(&self) -> Result<()> {
        raw::sync(self.fd.as_fd())
    }

    fn sync_data(&self) -> Result<()> {
        raw::sync_data(self.fd.as_fd())
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        if self.seekable {
            PollState::Ready(Readiness::default())
        } else {
            PollState::Descriptor(self.fd.as_fd())
        }
    }
}
