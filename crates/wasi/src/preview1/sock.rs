//! The functions on sockets, `sock_*`.

use super::fd::write_buffers;
use super::io::Buffers;
use super::memory::GuestMemory;
use super::types::{fdflags, rights, sockflags};
use super::{Failure, Result, blocking, check_rights};
use crate::ctx::WasiCtx;
use crate::services::{ErrorCode, Interest, Received, Shutdown, SocketKind};
use crate::table::{Descriptor, Kind};

fn check_socket(descriptor: &Descriptor, right: u64) -> Result {
    match descriptor.kind {
        Kind::Socket(_) => check_rights(descriptor, right),
        Kind::Listener(_) => Err(ErrorCode::NotConnected.into()),
        _ => Err(ErrorCode::NotSocket.into()),
    }
}

pub(super) fn sock_accept(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    out: u32,
) -> Result {
    memory.range(out, 4)?;
    ctx.table.get(fd)?;
    ctx.table.check_room()?;
    let (descriptor, waiter) = ctx.descriptor(fd)?;
    match descriptor.kind {
        Kind::Listener(_) => check_rights(descriptor, rights::SOCK_ACCEPT)?,
        Kind::Socket(_) => return Err(ErrorCode::Invalid.into()),
        _ => return Err(ErrorCode::NotSocket.into()),
    }
    if flags & !u32::from(fdflags::NONBLOCK) != 0 {
        return Err(ErrorCode::Invalid.into());
    }
    let inherited = descriptor.inheriting;
    let socket = blocking(
        waiter,
        descriptor,
        Interest::Read,
        |descriptor| match &mut descriptor.kind {
            Kind::Listener(listener) => Ok(listener.accept()?),
            _ => Err(ErrorCode::NotSocket.into()),
        },
    )?;
    let mut accepted = Descriptor::new(Kind::Socket(socket));
    accepted.base &= inherited;
    accepted.flags = flags as u16;
    let new = ctx.table.push(accepted)?;
    memory.write_u32(out, new)
}

pub(super) fn sock_recv(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    flags: u32,
    out_count: u32,
    out_flags: u32,
) -> Result {
    let (descriptor, waiter) = ctx.descriptor(fd)?;
    check_socket(descriptor, rights::FD_READ)?;
    let peek = flags & u32::from(sockflags::RECV_PEEK) != 0;
    let all = flags & u32::from(sockflags::RECV_WAITALL) != 0;
    if flags & !u32::from(sockflags::RECV_PEEK | sockflags::RECV_WAITALL) != 0 {
        return Err(ErrorCode::Invalid.into());
    }
    memory.range(out_count, 4)?;
    memory.range(out_flags, 2)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let mut received = (0, false);
    if !buffers.is_empty() {
        received = buffers.fill(memory, |buffer| {
            receive(buffer, all && !peek, |buffer| {
                blocking(
                    waiter,
                    descriptor,
                    Interest::Read,
                    |descriptor| match &mut descriptor.kind {
                        Kind::Socket(socket) => {
                            let received = if peek {
                                socket.peek(buffer)?
                            } else {
                                socket.receive(buffer)?
                            };
                            Ok((received, socket.kind()))
                        }
                        _ => Err(ErrorCode::NotSocket.into()),
                    },
                )
            })
        })?;
    }
    let (bytes, truncated) = received;
    memory.write_u32(out_count, bytes as u32)?;
    let flags = if truncated {
        sockflags::RECV_DATA_TRUNCATED
    } else {
        0
    };
    memory.write_u16(out_flags, flags)
}

/// Fills `buffer` by one receive, or, for `all` of a stream, by as many as it
/// takes until it is full or the stream ends.
fn receive(
    buffer: &mut [u8],
    all: bool,
    mut once: impl FnMut(&mut [u8]) -> Result<(Received, SocketKind)>,
) -> Result<(usize, bool)> {
    let mut filled = 0;
    loop {
        match once(&mut buffer[filled..]) {
            Ok((received, kind)) => {
                filled += received.bytes;
                let done = filled == buffer.len() || received.bytes == 0;
                if !all || done || kind == SocketKind::Datagram {
                    return Ok((filled, received.truncated));
                }
            }
            // What came is not lost; the guest learns of the error next time.
            Err(Failure::Errno(_)) if filled > 0 => return Ok((filled, false)),
            Err(failure) => return Err(failure),
        }
    }
}

pub(super) fn sock_send(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    flags: u32,
    out: u32,
) -> Result {
    let (descriptor, waiter) = ctx.descriptor(fd)?;
    check_socket(descriptor, rights::FD_WRITE)?;
    if flags != 0 {
        return Err(ErrorCode::Invalid.into());
    }
    memory.range(out, 4)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let sent = write_buffers(waiter, descriptor, memory, &buffers)?;
    memory.write_u32(out, sent as u32)
}

pub(super) fn sock_shutdown(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    how: u32,
) -> Result {
    let (descriptor, _) = ctx.descriptor(fd)?;
    check_socket(descriptor, rights::SOCK_SHUTDOWN)?;
    let how = match how {
        1 => Shutdown::Read,
        2 => Shutdown::Write,
        3 => Shutdown::Both,
        _ => return Err(ErrorCode::Invalid.into()),
    };
    match &mut descriptor.kind {
        Kind::Socket(socket) => Ok(socket.shutdown(how)?),
        _ => Err(ErrorCode::NotSocket.into()),
    }
}
