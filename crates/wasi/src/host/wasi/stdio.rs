//! Streams over descriptors that the process shares with others, as its
//! standard input and output.

use super::raw;
use super::wake::is_ready;
use crate::services::{
    ErrorCode, FileType, InputStream, Interest, OutputStream, PollState, Result,
};
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::task::Waker;

/// The streams of the process cannot be duplicated here, and are not closed.
enum Descriptor {
    Owned(OwnedFd),
    Standard(ManuallyDrop<OwnedFd>),
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Descriptor::Owned(fd) => fd.as_fd(),
            Descriptor::Standard(fd) => fd.as_fd(),
        }
    }
}

struct Stream {
    fd: Descriptor,
    /// Regular files never block.
    may_block: bool,
    terminal: bool,
}

impl Stream {
    fn new(fd: Descriptor) -> io::Result<Self> {
        use crate::preview1::types::rights::{FD_SEEK, FD_TELL};
        let status = raw::status(fd.as_fd()).map_err(io::Error::other)?;
        Ok(Stream {
            may_block: status.file_type != FileType::Regular,
            // As `isatty` of the C library has it.
            terminal: status.file_type == FileType::CharacterDevice
                && status.base & (FD_SEEK | FD_TELL) == 0,
            fd,
        })
    }

    /// A standard stream of the process.
    fn standard(number: i32) -> io::Result<Self> {
        // SAFETY: never closed through this. When the process has no such
        // descriptor, the runtime outside says so.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Stream::new(Descriptor::Standard(ManuallyDrop::new(fd)))
    }
}

/// Input from a descriptor of the system.
pub struct HostInput(Stream);

impl std::fmt::Debug for HostInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostInput").finish_non_exhaustive()
    }
}

impl HostInput {
    /// Input from `descriptor`: a pipe, a terminal, a file.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the descriptor is.
    pub fn new(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        Stream::new(Descriptor::Owned(descriptor.into())).map(HostInput)
    }

    /// The process's standard input. What [`std::io::stdin`] has buffered is
    /// not seen.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stdin() -> io::Result<Self> {
        Stream::standard(0).map(HostInput)
    }
}

impl InputStream for HostInput {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let stream = &self.0;
        if stream.may_block && !is_ready(stream.fd.as_fd(), Interest::Read)? {
            return Err(ErrorCode::Again);
        }
        raw::read(stream.fd.as_fd(), buffer)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.fd.as_fd())
    }

    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

/// Output to a descriptor of the system, unbuffered.
pub struct HostOutput(Stream);

impl std::fmt::Debug for HostOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostOutput").finish_non_exhaustive()
    }
}

impl HostOutput {
    /// Output to `descriptor`: a pipe, a terminal, a file.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the descriptor is.
    pub fn new(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        Stream::new(Descriptor::Owned(descriptor.into())).map(HostOutput)
    }

    /// The process's standard output. What [`std::io::stdout`] has buffered
    /// comes whenever that is flushed.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stdout() -> io::Result<Self> {
        Stream::standard(1).map(HostOutput)
    }

    /// The process's standard error.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stderr() -> io::Result<Self> {
        Stream::standard(2).map(HostOutput)
    }
}

impl OutputStream for HostOutput {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        // Nobody could interrupt a wait for room, so that the runtime outside
        // may as well do it.
        raw::write(self.0.fd.as_fd(), &[IoSlice::new(data)])
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.fd.as_fd())
    }

    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}
