//! The functions on paths, `path_*`.

use super::errno::Errno;
use super::fd::{directory, times};
use super::memory::GuestMemory;
use super::types::{self, Snapshot, fdflags, filetype, lookupflags, oflags, rights};
use super::{Result, check_rights};
use crate::ctx::WasiCtx;
use crate::services::{Create, Directory, ErrorCode, Follow, OpenOptions, Opened};
use crate::table::{Descriptor, Kind};

/// The longest path that a guest may give, in bytes, on every host.
const LONGEST_PATH: u32 = 4096;

/// A path: Unicode, not empty, without NUL.
fn path(memory: &GuestMemory<'_>, pointer: u32, length: u32) -> Result<String> {
    memory.range(pointer, length)?;
    if length > LONGEST_PATH {
        return Err(ErrorCode::NameTooLong.into());
    }
    let mut bytes = vec![0; length as usize];
    memory.read(pointer, &mut bytes)?;
    let path = String::from_utf8(bytes).map_err(|_| ErrorCode::IllegalSequence)?;
    if path.is_empty() {
        return Err(ErrorCode::NoEntry.into());
    }
    if path.contains('\0') {
        return Err(ErrorCode::Invalid.into());
    }
    Ok(path)
}

fn follow(flags: u32) -> Result<Follow> {
    match flags {
        0 => Ok(Follow::No),
        lookupflags::SYMLINK_FOLLOW => Ok(Follow::Yes),
        _ => Err(ErrorCode::Invalid.into()),
    }
}

/// The directory `fd`, if it has `rights`.
fn base(ctx: &WasiCtx, fd: u32, rights: u64) -> Result<&dyn Directory> {
    let descriptor = ctx.table.get(fd)?;
    let directory = directory(descriptor)?;
    check_rights(descriptor, rights)?;
    Ok(directory)
}

pub(super) fn path_create_directory(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    pointer: u32,
    length: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_CREATE_DIRECTORY)?;
    let path = path(memory, pointer, length)?;
    Ok(base.create_directory_at(&path)?)
}

pub(super) fn path_filestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    snapshot: Snapshot,
    fd: u32,
    flags: u32,
    pointer: u32,
    length: u32,
    out: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_FILESTAT_GET)?;
    let path = path(memory, pointer, length)?;
    let metadata = base.metadata_at(&path, follow(flags)?)?;
    let (bytes, size) = types::filestat(snapshot, filetype::of(metadata.file_type), &metadata);
    memory.write(out, &bytes[..size])
}

pub(super) fn path_filestat_set_times(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    pointer: u32,
    length: u32,
    accessed: u64,
    modified: u64,
    which: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_FILESTAT_SET_TIMES)?;
    let path = path(memory, pointer, length)?;
    let which = u16::try_from(which).map_err(|_| ErrorCode::Invalid)?;
    let (accessed, modified) = times(accessed, modified, which)?;
    Ok(base.set_times_at(&path, follow(flags)?, accessed, modified)?)
}

pub(super) fn path_link(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    old_fd: u32,
    old_flags: u32,
    old_pointer: u32,
    old_length: u32,
    new_fd: u32,
    new_pointer: u32,
    new_length: u32,
) -> Result {
    let old = base(ctx, old_fd, rights::PATH_LINK_SOURCE)?;
    let new = base(ctx, new_fd, rights::PATH_LINK_TARGET)?;
    let old_path = path(memory, old_pointer, old_length)?;
    let new_path = path(memory, new_pointer, new_length)?;
    if follow(old_flags)? == Follow::Yes {
        // No system resolves and links in one step inside a folder.
        return Err(ErrorCode::Invalid.into());
    }
    Ok(old.link_at(&old_path, new, &new_path)?)
}

pub(super) fn path_open(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    dirflags: u32,
    pointer: u32,
    length: u32,
    open_flags: u32,
    base_rights: u64,
    _inheriting_rights: u64,
    fd_flags: u32,
    out: u32,
) -> Result {
    let parent = ctx.table.get(fd)?;
    let inherited = parent.inheriting;
    let wants = |flag: u16| open_flags & u32::from(flag) != 0;
    let mut needed = rights::PATH_OPEN;
    if wants(oflags::CREAT) {
        needed |= rights::PATH_CREATE_FILE;
    }
    if wants(oflags::TRUNC) {
        needed |= rights::PATH_FILESTAT_SET_SIZE;
    }
    let directory = base(ctx, fd, needed)?;
    let path = path(memory, pointer, length)?;
    if open_flags & !u32::from(oflags::ALL) != 0
        || fd_flags & !u32::from(fdflags::ALL) != 0
        || (wants(oflags::DIRECTORY) && (wants(oflags::CREAT) || wants(oflags::TRUNC)))
    {
        return Err(ErrorCode::Invalid.into());
    }
    let (read, write) = (
        base_rights & rights::FD_READ != 0,
        base_rights & rights::FD_WRITE != 0,
    );
    if base_rights & (rights::FD_READ | rights::FD_WRITE) & !inherited != 0 {
        return Err(Errno::NOTCAPABLE.into());
    }
    // Checked before a file is made that nobody could then use.
    memory.range(out, 4)?;
    ctx.table.check_room()?;
    let flags = fd_flags as u16;
    let options = OpenOptions {
        read,
        // Asking for a directory and for writing is what some guests do to mean
        // "all rights".
        write: write && !wants(oflags::DIRECTORY),
        create: match (wants(oflags::CREAT), wants(oflags::EXCL)) {
            (false, _) => Create::Never,
            (true, false) => Create::IfMissing,
            (true, true) => Create::Exclusive,
        },
        truncate: wants(oflags::TRUNC),
        directory: wants(oflags::DIRECTORY),
        follow: follow(dirflags)?,
        durability: fdflags::durability(flags),
    };
    let mut descriptor = Descriptor::new(match directory.open_at(&path, &options)? {
        Opened::Directory(directory) => Kind::Directory {
            directory,
            preopen: None,
        },
        Opened::File(file) => Kind::File {
            file,
            position: 0,
            readable: read,
            writable: options.write,
        },
    });
    // Everything that was cut from the parent stays cut.
    descriptor.base &= inherited;
    descriptor.inheriting &= inherited;
    descriptor.flags = flags;
    let new = ctx.table.push(descriptor)?;
    memory.write_u32(out, new)
}

pub(super) fn path_readlink(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    pointer: u32,
    length: u32,
    buffer: u32,
    buffer_length: u32,
    out: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_READLINK)?;
    let path = path(memory, pointer, length)?;
    memory.range(buffer, buffer_length)?;
    memory.range(out, 4)?;
    let target = base.read_link_at(&path)?;
    let target = target.as_encoded_bytes();
    // As in POSIX, what does not fit is cut.
    let count = target.len().min(buffer_length as usize);
    memory.write(buffer, &target[..count])?;
    memory.write_u32(out, count as u32)
}

pub(super) fn path_remove_directory(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    pointer: u32,
    length: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_REMOVE_DIRECTORY)?;
    let path = path(memory, pointer, length)?;
    Ok(base.remove_directory_at(&path)?)
}

pub(super) fn path_rename(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    old_fd: u32,
    old_pointer: u32,
    old_length: u32,
    new_fd: u32,
    new_pointer: u32,
    new_length: u32,
) -> Result {
    let old = base(ctx, old_fd, rights::PATH_RENAME_SOURCE)?;
    let new = base(ctx, new_fd, rights::PATH_RENAME_TARGET)?;
    let old_path = path(memory, old_pointer, old_length)?;
    let new_path = path(memory, new_pointer, new_length)?;
    Ok(old.rename_at(&old_path, new, &new_path)?)
}

pub(super) fn path_symlink(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    target_pointer: u32,
    target_length: u32,
    fd: u32,
    pointer: u32,
    length: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_SYMLINK)?;
    let target = path(memory, target_pointer, target_length)?;
    let path = path(memory, pointer, length)?;
    Ok(base.symlink_at(&target, &path)?)
}

pub(super) fn path_unlink_file(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    pointer: u32,
    length: u32,
) -> Result {
    let base = base(ctx, fd, rights::PATH_UNLINK_FILE)?;
    let path = path(memory, pointer, length)?;
    Ok(base.unlink_file_at(&path)?)
}
