//! Streams over descriptors that the process shares with others, as its
//! standard input and output.
//!
//! Such a descriptor must not be put into non-blocking mode, which others would
//! see. So each read or write first asks whether it can make progress, and
//! writes to pipes and terminals are cut into pieces for which POSIX promises
//! room once there is any.

use super::wake::is_ready;
use crate::services::{ErrorCode, InputStream, Interest, OutputStream, PollState, Result};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::task::Waker;

/// What a pipe that is ready for writing takes at once (`PIPE_BUF` of Linux; a
/// longer write may block).
const PIECE: usize = 4096;

#[derive(Debug)]
struct Stream {
    file: File,
    /// Regular files never block.
    may_block: bool,
    terminal: bool,
}

impl Stream {
    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let file = File::from(descriptor);
        Ok(Stream {
            may_block: !file.metadata()?.is_file(),
            terminal: file.is_terminal(),
            file,
        })
    }

    fn check(&self, interest: Interest) -> Result<()> {
        if self.may_block && !is_ready(self.file.as_fd(), interest)? {
            return Err(ErrorCode::Again);
        }
        Ok(())
    }
}

/// Input from a descriptor of the system.
#[derive(Debug)]
pub struct HostInput(Stream);

impl HostInput {
    /// Input from `descriptor`: a pipe, a terminal, a file.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the descriptor is.
    pub fn new(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        Stream::new(descriptor.into()).map(HostInput)
    }

    /// The process's standard input. What [`std::io::stdin`] has buffered is
    /// not seen.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn stdin() -> io::Result<Self> {
        Self::new(io::stdin().as_fd().try_clone_to_owned()?)
    }
}

impl InputStream for HostInput {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.check(Interest::Read)?;
        Ok(self.0.file.read(buffer)?)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.file.as_fd())
    }

    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

/// Output to a descriptor of the system, unbuffered.
#[derive(Debug)]
pub struct HostOutput(Stream);

impl HostOutput {
    /// Output to `descriptor`: a pipe, a terminal, a file.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the descriptor is.
    pub fn new(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        Stream::new(descriptor.into()).map(HostOutput)
    }

    /// The process's standard output. What [`std::io::stdout`] has buffered
    /// comes whenever that is flushed.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn stdout() -> io::Result<Self> {
        Self::new(io::stdout().as_fd().try_clone_to_owned()?)
    }

    /// The process's standard error.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn stderr() -> io::Result<Self> {
        Self::new(io::stderr().as_fd().try_clone_to_owned()?)
    }
}

impl OutputStream for HostOutput {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        if !self.0.may_block {
            return Ok(self.0.file.write(data)?);
        }
        let mut written = 0;
        for piece in data.chunks(PIECE) {
            let result = self
                .0
                .check(Interest::Write)
                .and_then(|()| Ok(self.0.file.write(piece)?));
            match result {
                Ok(count) => written += count,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.file.as_fd())
    }

    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_never_block() {
        let (reader, writer) = io::pipe().unwrap();
        let mut input = HostInput::new(reader).unwrap();
        let mut output = HostOutput::new(writer).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(input.read(&mut buffer), Err(ErrorCode::Again));
        assert_eq!(output.write(b"hello"), Ok(5));
        assert_eq!(input.read(&mut buffer), Ok(5));
        let data = vec![7; 10 << 20];
        let mut total = 0;
        loop {
            match output.write(&data) {
                Ok(count) => total += count,
                Err(error) => {
                    assert_eq!(error, ErrorCode::Again);
                    break;
                }
            }
        }
        assert!(total > 0 && total < data.len());
        drop(output);
        assert!(!input.is_terminal());
    }
}
