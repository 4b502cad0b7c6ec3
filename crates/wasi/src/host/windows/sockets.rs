//! Sockets of the system that the guest was given.

use super::error::socket_error;
use crate::services::{
    ErrorCode, Interest, Listener, PollState, Received, Result, Shutdown, Socket, SocketKind,
};
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::windows::io::{AsRawSocket, AsSocket, OwnedSocket};
use std::task::Waker;
use windows_sys::Win32::Networking::WinSock::{
    SD_BOTH, SD_RECEIVE, SD_SEND, SO_TYPE, SOCK_STREAM, SOCKET, SOL_SOCKET, WSAEMSGSIZE,
    getsockopt, shutdown,
};

/// The longest message that there can be, in bytes.
const LONGEST_MESSAGE: usize = 64 << 10;

/// Whether a socket is a byte stream.
fn kind_of(socket: &OwnedSocket) -> io::Result<SocketKind> {
    let mut kind = 0i32;
    let mut length = size_of::<i32>() as i32;
    // SAFETY: writes to our variable, whose size it is told.
    let result = unsafe {
        getsockopt(
            socket.as_raw_socket() as SOCKET,
            SOL_SOCKET,
            SO_TYPE,
            (&raw mut kind).cast(),
            &mut length,
        )
    };
    match (result, kind) {
        (0, SOCK_STREAM) => Ok(SocketKind::Stream),
        (0, _) => Ok(SocketKind::Datagram),
        _ => Err(io::Error::other(socket_error())),
    }
}

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct HostListener(TcpListener);

impl HostListener {
    /// Takes over a listening stream socket, such as a [`TcpListener`], and makes
    /// it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(socket: impl Into<OwnedSocket>) -> io::Result<Self> {
        let listener = TcpListener::from(socket.into());
        listener.set_nonblocking(true)?;
        Ok(HostListener(listener))
    }
}

impl Listener for HostListener {
    fn accept(&mut self) -> Result<Box<dyn Socket>> {
        let (stream, _) = self.0.accept()?;
        Ok(Box::new(HostSocket::new(stream)?))
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(self.0.as_socket())
    }
}

#[derive(Debug)]
enum Connected {
    Stream(TcpStream),
    Datagram(UdpSocket),
}

/// A connected socket of the operating system.
#[derive(Debug)]
pub struct HostSocket(Connected);

impl HostSocket {
    /// Takes over a connected socket, such as a [`TcpStream`], and makes it
    /// non-blocking.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(socket: impl Into<OwnedSocket>) -> io::Result<Self> {
        let socket = socket.into();
        Ok(HostSocket(match kind_of(&socket)? {
            SocketKind::Stream => {
                let stream = TcpStream::from(socket);
                stream.set_nonblocking(true)?;
                Connected::Stream(stream)
            }
            SocketKind::Datagram => {
                let socket = UdpSocket::from(socket);
                socket.set_nonblocking(true)?;
                Connected::Datagram(socket)
            }
        }))
    }
}

/// What came of receiving from a socket of messages.
fn received(result: io::Result<usize>, buffer: &[u8]) -> Result<Received> {
    match result {
        Ok(bytes) => Ok(Received {
            bytes,
            truncated: false,
        }),
        Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => Ok(Received {
            bytes: buffer.len(),
            truncated: true,
        }),
        Err(error) => Err(error.into()),
    }
}

impl Socket for HostSocket {
    fn kind(&self) -> SocketKind {
        match self.0 {
            Connected::Stream(_) => SocketKind::Stream,
            Connected::Datagram(_) => SocketKind::Datagram,
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Received> {
        let result = match &mut self.0 {
            Connected::Stream(stream) => stream.read(buffer),
            Connected::Datagram(socket) => socket.recv(buffer),
        };
        received(result, buffer)
    }

    fn peek(&mut self, buffer: &mut [u8]) -> Result<Received> {
        let result = match &self.0 {
            Connected::Stream(stream) => stream.peek(buffer),
            Connected::Datagram(socket) => socket.peek(buffer),
        };
        received(result, buffer)
    }

    fn send(&mut self, data: &[IoSlice<'_>]) -> Result<usize> {
        match &mut self.0 {
            Connected::Stream(stream) => Ok(stream.write_vectored(data)?),
            Connected::Datagram(socket) => match data {
                [one] => Ok(socket.send(one)?),
                // All of them are one message.
                many => {
                    if many.iter().map(|part| part.len()).sum::<usize>() > LONGEST_MESSAGE {
                        return Err(ErrorCode::MessageSize);
                    }
                    let mut message = Vec::new();
                    for part in many {
                        message.extend_from_slice(part);
                    }
                    Ok(socket.send(&message)?)
                }
            },
        }
    }

    fn shutdown(&mut self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => SD_RECEIVE,
            Shutdown::Write => SD_SEND,
            Shutdown::Both => SD_BOTH,
        };
        let socket = match &self.0 {
            Connected::Stream(stream) => stream.as_raw_socket(),
            Connected::Datagram(socket) => socket.as_raw_socket(),
        };
        // SAFETY: the socket is ours.
        match unsafe { shutdown(socket as SOCKET, how) } {
            0 => Ok(()),
            _ => Err(socket_error()),
        }
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        PollState::Descriptor(match &self.0 {
            Connected::Stream(stream) => stream.as_socket(),
            Connected::Datagram(socket) => socket.as_socket(),
        })
    }
}
