//! Sockets cannot be taken over from the runtime outside: nobody has one here.

use crate::services::{
    Interest, Listener, PollState, Received, Result, Shutdown, Socket, SocketKind,
};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::task::Waker;

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "inside of another WebAssembly runtime there are no sockets to take over",
    )
}

/// A listening socket of the operating system; there is none here.
#[derive(Debug)]
pub struct HostListener(Infallible);

impl HostListener {
    /// Answers [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new(_socket: impl Into<OwnedFd>) -> io::Result<Self> {
        Err(unsupported())
    }
}

impl Listener for HostListener {
    fn accept(&mut self) -> Result<Box<dyn Socket>> {
        match self.0 {}
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        match self.0 {}
    }
}

/// A connected socket of the operating system; there is none here.
#[derive(Debug)]
pub struct HostSocket(Infallible);

impl HostSocket {
    /// Answers [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new(_socket: impl Into<OwnedFd>) -> io::Result<Self> {
        Err(unsupported())
    }
}

impl Socket for HostSocket {
    fn kind(&self) -> SocketKind {
        match self.0 {}
    }

    fn receive(&mut self, _buffer: &mut [u8]) -> Result<Received> {
        match self.0 {}
    }

    fn peek(&mut self, _buffer: &mut [u8]) -> Result<Received> {
        match self.0 {}
    }

    fn send(&mut self, _data: &[IoSlice<'_>]) -> Result<usize> {
        match self.0 {}
    }

    fn shutdown(&mut self, _how: Shutdown) -> Result<()> {
        match self.0 {}
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        match self.0 {}
    }
}
