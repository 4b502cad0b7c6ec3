//! The functions on open descriptors, `fd_*`.

use super::errno::Errno;
use super::io::Buffers;
use super::memory::GuestMemory;
use super::types::{self, DIRENT_SIZE, Snapshot, fdflags, filetype, fstflags, rights};
use super::{Result, blocking, check_rights};
use crate::ctx::WasiCtx;
use crate::host::wait::Waiter;
use crate::services::{
    Advice, Directory, ErrorCode, File, FileType, Interest, Metadata, SetTime, SocketKind,
    Timestamp,
};
use crate::table::{Descriptor, Kind};
use std::ops::ControlFlow;

/// The file that a descriptor stands for.
///
/// # Errors
///
/// `badf` for a directory, `spipe` for a stream.
fn file(descriptor: &Descriptor) -> Result<&dyn File> {
    match &descriptor.kind {
        Kind::File { file, .. } => Ok(&**file),
        Kind::Directory { .. } => Err(ErrorCode::BadDescriptor.into()),
        _ => Err(ErrorCode::SeekPipe.into()),
    }
}

/// The directory that a descriptor stands for.
pub(super) fn directory(descriptor: &Descriptor) -> Result<&dyn Directory> {
    match &descriptor.kind {
        Kind::Directory { directory, .. } => Ok(&**directory),
        _ => Err(ErrorCode::NotDirectory.into()),
    }
}

/// What `fstflags` ask for.
pub(super) fn times(accessed: u64, modified: u64, flags: u16) -> Result<(SetTime, SetTime)> {
    if flags & !fstflags::ALL != 0 {
        return Err(ErrorCode::Invalid.into());
    }
    let one = |time, set, now| match (flags & set != 0, flags & now != 0) {
        (false, false) => Ok(SetTime::Keep),
        (true, false) => Ok(SetTime::To(Timestamp::from_nanoseconds(time))),
        (false, true) => Ok(SetTime::Now),
        (true, true) => Err(ErrorCode::Invalid),
    };
    Ok((
        one(accessed, fstflags::ATIM, fstflags::ATIM_NOW)?,
        one(modified, fstflags::MTIM, fstflags::MTIM_NOW)?,
    ))
}

pub(super) fn fd_advise(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: u64,
    length: u64,
    advice: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let file = file(descriptor)?;
    check_rights(descriptor, rights::FD_ADVISE)?;
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(ErrorCode::Invalid.into()),
    };
    Ok(file.advise(offset, length, advice)?)
}

pub(super) fn fd_allocate(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: u64,
    length: u64,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let file = file(descriptor)?;
    check_rights(descriptor, rights::FD_ALLOCATE)?;
    Ok(file.allocate(offset, length)?)
}

pub(super) fn fd_close(ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>, fd: u32) -> Result {
    ctx.table.remove(fd)?;
    Ok(())
}

fn sync(ctx: &mut WasiCtx, fd: u32, right: u64, sync: impl Fn(&dyn File) -> Result) -> Result {
    let (descriptor, _) = ctx.descriptor(fd)?;
    match &mut descriptor.kind {
        Kind::File { .. } => {
            check_rights(descriptor, right)?;
            sync(file(descriptor)?)
        }
        Kind::Directory { .. } => {
            check_rights(descriptor, right)?;
            Ok(directory(descriptor)?.sync()?)
        }
        Kind::Output(stream) => Ok(stream.flush()?),
        _ => Err(ErrorCode::Invalid.into()),
    }
}

pub(super) fn fd_datasync(ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>, fd: u32) -> Result {
    sync(ctx, fd, rights::FD_DATASYNC, |file| Ok(file.sync_data()?))
}

pub(super) fn fd_sync(ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>, fd: u32) -> Result {
    sync(ctx, fd, rights::FD_SYNC, |file| Ok(file.sync()?))
}

/// The `filetype` of what a descriptor stands for.
fn filetype_of(descriptor: &Descriptor) -> Result<u8> {
    let terminal = |is_terminal| {
        if is_terminal {
            filetype::CHARACTER_DEVICE
        } else {
            filetype::UNKNOWN
        }
    };
    Ok(match &descriptor.kind {
        Kind::Input(stream) => terminal(stream.is_terminal()),
        Kind::Output(stream) => terminal(stream.is_terminal()),
        Kind::File { file, .. } => filetype::of(file.metadata()?.file_type),
        Kind::Directory { .. } => filetype::DIRECTORY,
        Kind::Listener(_) => filetype::SOCKET_STREAM,
        Kind::Socket(socket) => match socket.kind() {
            SocketKind::Stream => filetype::SOCKET_STREAM,
            SocketKind::Datagram => filetype::SOCKET_DGRAM,
        },
    })
}

pub(super) fn fd_fdstat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let fdstat = types::fdstat(
        filetype_of(descriptor)?,
        descriptor.flags,
        descriptor.base,
        descriptor.inheriting,
    );
    memory.write(out, &fdstat)
}

pub(super) fn fd_fdstat_set_flags(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
) -> Result {
    let descriptor = ctx.table.get_mut(fd)?;
    check_rights(descriptor, rights::FD_FDSTAT_SET_FLAGS)?;
    // As `fcntl` of POSIX, this cannot change how writes are synchronized.
    let changeable = u32::from(fdflags::APPEND | fdflags::NONBLOCK);
    if (flags ^ u32::from(descriptor.flags)) & !changeable != 0 {
        return Err(ErrorCode::Invalid.into());
    }
    descriptor.flags = flags as u16;
    Ok(())
}

pub(super) fn fd_fdstat_set_rights(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    base: u64,
    inheriting: u64,
) -> Result {
    let descriptor = ctx.table.get_mut(fd)?;
    if base & !descriptor.base != 0 || inheriting & !descriptor.inheriting != 0 {
        return Err(Errno::NOTCAPABLE.into());
    }
    descriptor.base = base;
    descriptor.inheriting = inheriting;
    Ok(())
}

pub(super) fn fd_filestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    snapshot: Snapshot,
    fd: u32,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    check_rights(descriptor, rights::FD_FILESTAT_GET)?;
    let metadata = match &descriptor.kind {
        Kind::File { file, .. } => file.metadata()?,
        Kind::Directory { directory, .. } => directory.metadata()?,
        // A stream has nothing but a type.
        _ => Metadata {
            device: 0,
            inode: 0,
            file_type: FileType::Unknown,
            links: 0,
            size: 0,
            accessed: Timestamp::default(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
        },
    };
    let (bytes, size) = types::filestat(snapshot, filetype_of(descriptor)?, &metadata);
    memory.write(out, &bytes[..size])
}

pub(super) fn fd_filestat_set_size(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    size: u64,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let Kind::File { file, .. } = &descriptor.kind else {
        return Err(match descriptor.kind {
            Kind::Directory { .. } => ErrorCode::BadDescriptor,
            _ => ErrorCode::Invalid,
        }
        .into());
    };
    check_rights(descriptor, rights::FD_FILESTAT_SET_SIZE)?;
    Ok(file.set_size(size)?)
}

pub(super) fn fd_filestat_set_times(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result {
    let flags = u16::try_from(flags).map_err(|_| ErrorCode::Invalid)?;
    let descriptor = ctx.table.get(fd)?;
    let (accessed, modified) = times(accessed, modified, flags)?;
    match &descriptor.kind {
        Kind::File { file, .. } => {
            check_rights(descriptor, rights::FD_FILESTAT_SET_TIMES)?;
            Ok(file.set_times(accessed, modified)?)
        }
        Kind::Directory { directory, .. } => {
            check_rights(descriptor, rights::FD_FILESTAT_SET_TIMES)?;
            Ok(directory.set_times(accessed, modified)?)
        }
        _ => Err(ErrorCode::Invalid.into()),
    }
}

/// Fails unless the descriptor is one to read from.
fn check_readable(descriptor: &Descriptor, right: u64) -> Result {
    match &descriptor.kind {
        Kind::Input(_) | Kind::Socket(_) | Kind::File { readable: true, .. } => {}
        _ => return Err(ErrorCode::BadDescriptor.into()),
    }
    check_rights(descriptor, right)
}

/// Fails unless the descriptor is one to write to.
fn check_writable(descriptor: &Descriptor, right: u64) -> Result {
    match &descriptor.kind {
        Kind::Output(_) | Kind::Socket(_) | Kind::File { writable: true, .. } => {}
        _ => return Err(ErrorCode::BadDescriptor.into()),
    }
    check_rights(descriptor, right)
}

/// Reads once, without waiting.
fn read_now(descriptor: &mut Descriptor, buffer: &mut [u8]) -> Result<usize> {
    Ok(match &mut descriptor.kind {
        Kind::Input(stream) => stream.read(buffer)?,
        Kind::Socket(socket) => socket.receive(buffer)?.bytes,
        Kind::File { file, position, .. } if file.is_seekable() => {
            let count = file.read_at(buffer, *position)?;
            *position = position.saturating_add(count as u64);
            count
        }
        Kind::File { file, .. } => file.read(buffer)?,
        _ => return Err(ErrorCode::BadDescriptor.into()),
    })
}

pub(super) fn fd_read(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    out: u32,
) -> Result {
    let (descriptor, waiter) = ctx.descriptor(fd)?;
    check_readable(descriptor, rights::FD_READ)?;
    memory.range(out, 4)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let mut read = 0;
    if !buffers.is_empty() {
        (read, ()) = buffers.fill(memory, |buffer| {
            blocking(waiter, descriptor, Interest::Read, |descriptor| {
                Ok((read_now(descriptor, buffer)?, ()))
            })
        })?;
    }
    memory.write_u32(out, read as u32)
}

pub(super) fn fd_pread(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let file = file(descriptor)?;
    if !file.is_seekable() {
        return Err(ErrorCode::SeekPipe.into());
    }
    check_readable(descriptor, rights::FD_READ | rights::FD_SEEK)?;
    memory.range(out, 4)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let mut read = 0;
    if !buffers.is_empty() {
        (read, ()) = buffers.fill(memory, |buffer| Ok((file.read_at(buffer, offset)?, ())))?;
    }
    memory.write_u32(out, read as u32)
}

/// Writes the bytes after the first `skip` once, without waiting.
fn write_now(
    descriptor: &mut Descriptor,
    memory: &GuestMemory<'_>,
    buffers: &Buffers,
    skip: usize,
) -> Result<usize> {
    let append = descriptor.flags & fdflags::APPEND != 0;
    match &mut descriptor.kind {
        Kind::Output(stream) => buffers.with_slice(memory, skip, |slice| Ok(stream.write(slice)?)),
        Kind::Socket(socket) => {
            buffers.with_slices(memory, skip, |slices| Ok(socket.send(slices)?))
        }
        Kind::File { file, position, .. } => buffers.with_slices(memory, skip, |slices| {
            if !file.is_seekable() {
                return Ok(file.write(slices)?);
            }
            if append {
                let count = file.append(slices)?;
                *position = file.metadata()?.size;
                return Ok(count);
            }
            let count = file.write_at(slices, *position)?;
            *position = position.saturating_add(count as u64);
            Ok(count)
        }),
        _ => Err(ErrorCode::BadDescriptor.into()),
    }
}

/// Writes everything, waiting for room as often as needed; on a file, a
/// datagram socket or a descriptor that is not to wait, writes once.
pub(super) fn write_buffers(
    waiter: &Waiter,
    descriptor: &mut Descriptor,
    memory: &GuestMemory<'_>,
    buffers: &Buffers,
) -> Result<usize> {
    let once = match &descriptor.kind {
        Kind::File { file, .. } => file.is_seekable(),
        Kind::Socket(socket) => socket.kind() == SocketKind::Datagram,
        _ => false,
    } || descriptor.is_nonblocking();
    let mut written = 0;
    while written < buffers.total() {
        let result = blocking(waiter, descriptor, Interest::Write, |descriptor| {
            write_now(descriptor, memory, buffers, written)
        });
        match result {
            Ok(0) => break,
            Ok(count) => written += count,
            // The guest learns of it by its next call.
            Err(super::Failure::Errno(_)) if written > 0 => break,
            Err(failure) => return Err(failure),
        }
        if once {
            break;
        }
    }
    Ok(written)
}

pub(super) fn fd_write(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    out: u32,
) -> Result {
    let (descriptor, waiter) = ctx.descriptor(fd)?;
    check_writable(descriptor, rights::FD_WRITE)?;
    memory.range(out, 4)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let written = write_buffers(waiter, descriptor, memory, &buffers)?;
    memory.write_u32(out, written as u32)
}

pub(super) fn fd_pwrite(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let file = file(descriptor)?;
    if !file.is_seekable() {
        return Err(ErrorCode::SeekPipe.into());
    }
    check_writable(descriptor, rights::FD_WRITE | rights::FD_SEEK)?;
    memory.range(out, 4)?;
    let buffers = Buffers::read(memory, iovs, count)?;
    let mut written = 0;
    if !buffers.is_empty() {
        written = buffers.with_slices(memory, 0, |slices| Ok(file.write_at(slices, offset)?))?;
    }
    memory.write_u32(out, written as u32)
}

/// The name of a preopened directory.
fn preopen(descriptor: &Descriptor) -> Result<&str> {
    match &descriptor.kind {
        Kind::Directory {
            preopen: Some(name),
            ..
        } => Ok(name),
        // Guests look for preopened directories at 3, 4, … until this.
        _ => Err(ErrorCode::BadDescriptor.into()),
    }
}

pub(super) fn fd_prestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    out: u32,
) -> Result {
    let name = preopen(ctx.table.get(fd)?)?;
    let length = u32::try_from(name.len()).map_err(|_| ErrorCode::Overflow)?;
    memory.write(out, &types::prestat_dir(length))
}

pub(super) fn fd_prestat_dir_name(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Result {
    let name = preopen(ctx.table.get(fd)?)?;
    if name.len() > length as usize {
        return Err(ErrorCode::NameTooLong.into());
    }
    memory.write(path, name.as_bytes())
}

pub(super) fn fd_readdir(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    let directory = directory(descriptor)?;
    check_rights(descriptor, rights::FD_READDIR)?;
    memory.range(buffer, length)?;
    memory.range(out, 4)?;
    let mut used: u32 = 0;
    let mut result = Ok(());
    directory.read_directory(cookie, &mut |entry| {
        let file_type = match entry.file_type {
            // Some file systems do not say; the object itself does.
            FileType::Unknown => entry
                .name
                .to_str()
                .and_then(|name| {
                    directory
                        .metadata_at(name, crate::services::Follow::No)
                        .ok()
                })
                .map_or(FileType::Unknown, |metadata| metadata.file_type),
            known => known,
        };
        // A name that is not Unicode is told as the host has it.
        let name = entry.name.as_encoded_bytes();
        let header: [u8; DIRENT_SIZE] = types::dirent(
            entry.next,
            entry.inode,
            name.len() as u32,
            filetype::of(file_type),
        );
        for bytes in [&header[..], name] {
            // The last entry may be cut; the guest sees that from the lengths.
            let bytes = &bytes[..bytes.len().min((length - used) as usize)];
            if bytes.is_empty() {
                break;
            }
            result = memory.write(buffer + used, bytes);
            if result.is_err() {
                return ControlFlow::Break(());
            }
            used += bytes.len() as u32;
        }
        if used == length {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    result?;
    memory.write_u32(out, used)
}

pub(super) fn fd_renumber(
    ctx: &mut WasiCtx,
    _memory: &mut GuestMemory<'_>,
    from: u32,
    to: u32,
) -> Result {
    Ok(ctx.table.renumber(from, to)?)
}

pub(super) fn fd_seek(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    snapshot: Snapshot,
    fd: u32,
    offset: i64,
    whence: u32,
    out: u32,
) -> Result {
    enum Whence {
        Set,
        Cur,
        End,
    }
    let whence = match (snapshot, whence) {
        (Snapshot::One, 0) | (Snapshot::Zero, 2) => Whence::Set,
        (Snapshot::One, 1) | (Snapshot::Zero, 0) => Whence::Cur,
        (Snapshot::One, 2) | (Snapshot::Zero, 1) => Whence::End,
        _ => {
            ctx.table.get(fd)?;
            return Err(ErrorCode::Invalid.into());
        }
    };
    let descriptor = ctx.table.get_mut(fd)?;
    if !file(descriptor)?.is_seekable() {
        return Err(ErrorCode::SeekPipe.into());
    }
    if !matches!((&whence, offset), (Whence::Cur, 0)) {
        check_rights(descriptor, rights::FD_SEEK)?;
    } else if descriptor.base & (rights::FD_SEEK | rights::FD_TELL) == 0 {
        return Err(Errno::NOTCAPABLE.into());
    }
    memory.range(out, 8)?;
    let Kind::File { file, position, .. } = &mut descriptor.kind else {
        return Err(ErrorCode::SeekPipe.into());
    };
    let base = match whence {
        Whence::Set => 0,
        Whence::Cur => *position,
        Whence::End => file.metadata()?.size,
    };
    let target = base
        .checked_add_signed(offset)
        .filter(|&target| target <= i64::MAX as u64)
        .ok_or(ErrorCode::Invalid)?;
    *position = target;
    memory.write_u64(out, target)
}

pub(super) fn fd_tell(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    out: u32,
) -> Result {
    let descriptor = ctx.table.get(fd)?;
    if !file(descriptor)?.is_seekable() {
        return Err(ErrorCode::SeekPipe.into());
    }
    if descriptor.base & (rights::FD_SEEK | rights::FD_TELL) == 0 {
        return Err(Errno::NOTCAPABLE.into());
    }
    match &descriptor.kind {
        Kind::File { position, .. } => memory.write_u64(out, *position),
        _ => Err(ErrorCode::SeekPipe.into()),
    }
}
