//! What can be done with a socket that the guest was given?

use super::{Interest, PollState, Result};
use std::io::IoSlice;
use std::task::Waker;

/// What kind of messages a socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// A byte stream.
    Stream,
    /// Separate messages.
    Datagram,
}

/// Which directions to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Receiving.
    Read,
    /// Sending.
    Write,
    /// Both.
    Both,
}

/// What a receive gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Bytes stored in the buffer; 0 for a buffer that is not empty means the
    /// end of a stream.
    pub bytes: usize,
    /// Whether a message was longer than the buffer and its rest is lost.
    pub truncated: bool,
}

/// A socket that waits for connections.
pub trait Listener: Send {
    /// The next connection.
    ///
    /// # Errors
    ///
    /// [`Again`](super::ErrorCode::Again) when there is none yet.
    fn accept(&mut self) -> Result<Box<dyn Socket>>;

    /// When a connection can be accepted. An implementation that answers
    /// [`PollState::Waker`] wakes `waker` later.
    fn poll(&self, waker: &Waker) -> PollState<'_>;
}

/// A connected socket.
pub trait Socket: Send {
    /// Stream or datagram.
    fn kind(&self) -> SocketKind;

    /// Receives into `buffer`.
    ///
    /// # Errors
    ///
    /// [`Again`](super::ErrorCode::Again) when nothing is there yet.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Received>;

    /// Receives like [`Socket::receive`] and leaves the bytes in the queue.
    ///
    /// # Errors
    ///
    /// As [`Socket::receive`].
    fn peek(&mut self, buffer: &mut [u8]) -> Result<Received>;

    /// Sends the first bytes of `data`, in order; returns how many.
    ///
    /// # Errors
    ///
    /// [`Again`](super::ErrorCode::Again) when there is no room yet,
    /// [`Pipe`](super::ErrorCode::Pipe) when the peer takes no more.
    fn send(&mut self, data: &[IoSlice<'_>]) -> Result<usize>;

    /// Shuts directions down.
    ///
    /// # Errors
    ///
    /// What the system says, as when the socket is not connected.
    fn shutdown(&mut self, how: Shutdown) -> Result<()>;

    /// When `interest` can make progress. An implementation that answers
    /// [`PollState::Waker`] wakes `waker` later.
    fn poll(&self, interest: Interest, waker: &Waker) -> PollState<'_>;
}
