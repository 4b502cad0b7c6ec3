//! What is behind standard input, output and error?

use super::{PollState, Result};
use std::task::Waker;

/// Bytes that a guest can read.
pub trait InputStream: Send {
    /// Reads up to `buffer.len()` bytes; 0 for a buffer that is not empty means
    /// the end.
    ///
    /// # Errors
    ///
    /// [`Again`](super::ErrorCode::Again) when nothing is there yet.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// When a read can make progress. An implementation that answers
    /// [`PollState::Waker`] wakes `waker` later.
    fn poll(&self, waker: &Waker) -> PollState<'_>;

    /// Whether a person sits at the other end.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// Bytes that a guest can write.
pub trait OutputStream: Send {
    /// Writes the first bytes of `data`; returns how many, at least one unless
    /// `data` is empty.
    ///
    /// # Errors
    ///
    /// [`Again`](super::ErrorCode::Again) when there is no room yet,
    /// [`Pipe`](super::ErrorCode::Pipe) when the other end is gone.
    fn write(&mut self, data: &[u8]) -> Result<usize>;

    /// Hands over what is still buffered.
    ///
    /// # Errors
    ///
    /// As [`OutputStream::write`].
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// When a write can make progress. An implementation that answers
    /// [`PollState::Waker`] wakes `waker` later.
    fn poll(&self, waker: &Waker) -> PollState<'_>;

    /// Whether a person sits at the other end.
    fn is_terminal(&self) -> bool {
        false
    }
}
