//! Sockets of the system that the guest was given.

use crate::services::{
    Interest, Listener, PollState, Received, Result, Shutdown, Socket, SocketKind,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags, SocketType,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::task::Waker;

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct HostListener(OwnedFd);

impl HostListener {
    /// Takes over a listening stream socket, such as a
    /// [`TcpListener`](std::net::TcpListener), and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// When the descriptor is no socket.
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = socket.into();
        rustix::net::sockopt::socket_type(&socket)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(HostListener(socket))
    }
}

impl Listener for HostListener {
    fn accept(&mut self) -> Result<Box<dyn Socket>> {
        let socket = rustix::net::accept(&self.0)?;
        // Between the two calls another thread could start a program, which
        // then would have the socket; not every system can do both at once.
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Box::new(HostSocket::new(socket)?))
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.as_fd())
    }
}

/// A connected socket of the operating system.
#[derive(Debug)]
pub struct HostSocket {
    socket: OwnedFd,
    kind: SocketKind,
}

impl HostSocket {
    /// Takes over a connected socket, such as a
    /// [`TcpStream`](std::net::TcpStream), and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// When the descriptor is no socket.
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = socket.into();
        let kind = match rustix::net::sockopt::socket_type(&socket)? {
            SocketType::STREAM => SocketKind::Stream,
            _ => SocketKind::Datagram,
        };
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(HostSocket { socket, kind })
    }

    fn receive_with(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<Received> {
        let message = rustix::net::recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(buffer)],
            &mut RecvAncillaryBuffer::default(),
            flags,
        )?;
        Ok(Received {
            bytes: message.bytes,
            truncated: message.flags.contains(ReturnFlags::TRUNC),
        })
    }
}

impl Socket for HostSocket {
    fn kind(&self) -> SocketKind {
        self.kind
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_with(buffer, RecvFlags::empty())
    }

    fn peek(&mut self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_with(buffer, RecvFlags::PEEK)
    }

    fn send(&mut self, data: &[IoSlice<'_>]) -> Result<usize> {
        // A peer that is gone is an error, not a signal to the process.
        Ok(rustix::net::sendmsg(
            &self.socket,
            data,
            &mut SendAncillaryBuffer::default(),
            SendFlags::NOSIGNAL,
        )?)
    }

    fn shutdown(&mut self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.socket, how)?)
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.socket.as_fd())
    }
}
