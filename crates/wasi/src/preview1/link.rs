//! Where the functions meet the runtime: their names, their signatures, and the
//! guest's memory. Nothing else in this crate uses the runtime.

use super::memory::GuestMemory;
use super::types::Snapshot;
use super::{Failure, Result, fd, path, poll, process, sock};
use crate::ctx::WasiCtx;
use crate::host::wait::Interrupted;
use tepui::{Caller, Error, Extern, Linker};

/// Runs a function with the calling guest's memory and context; gives what the
/// guest gets back.
fn run<T: 'static>(
    mut caller: Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut WasiCtx,
    body: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>) -> Result,
) -> tepui::Result<i32> {
    let result = match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => {
            let (bytes, data) = memory.data_and_store_mut(&mut caller);
            body(get(data), &mut GuestMemory::Exclusive(bytes))
        }
        Some(Extern::SharedMemory(memory)) => {
            let mut shared = GuestMemory::Shared(memory.data());
            body(get(caller.data_mut()), &mut shared)
        }
        _ => body(get(caller.data_mut()), &mut GuestMemory::Missing),
    };
    match result {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(i32::from(errno.0)),
        Err(Failure::Exit(exit)) => Err(Error::new(exit)),
        Err(Failure::Interrupted) => Err(Error::new(Interrupted)),
        Err(Failure::NoMemory) => Err(Error::msg(
            "a WASI module has to export its memory under the name `memory`",
        )),
    }
}

/// Defines functions: the name, the parameters as the guest sees them, and what
/// is called with them, converted to the types it takes.
macro_rules! define {
    ($linker:ident, $module:ident, $get:ident;
     $($name:literal ($($arg:ident: $type:ty),*) => $function:path $([$snapshot:ident])?;)*) => {
        $(
            $linker.func_wrap(
                $module,
                $name,
                move |caller: Caller<'_, T>, $($arg: $type),*| -> tepui::Result<i32> {
                    run(caller, $get, |ctx, memory| {
                        $function(ctx, memory, $($snapshot,)? $($arg as _),*)
                    })
                },
            )?;
        )*
    };
}

/// What both interfaces have.
fn add<T: 'static>(
    linker: &mut Linker<T>,
    module: &str,
    snapshot: Snapshot,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> tepui::Result<()> {
    define! { linker, module, get;
        "args_get" (argv: i32, buffer: i32) => process::args_get;
        "args_sizes_get" (count: i32, size: i32) => process::args_sizes_get;
        "environ_get" (environ: i32, buffer: i32) => process::environ_get;
        "environ_sizes_get" (count: i32, size: i32) => process::environ_sizes_get;
        "clock_res_get" (id: i32, out: i32) => process::clock_res_get;
        "clock_time_get" (id: i32, precision: i64, out: i32) => process::clock_time_get;
        "fd_advise" (fd: i32, offset: i64, length: i64, advice: i32) => fd::fd_advise;
        "fd_allocate" (fd: i32, offset: i64, length: i64) => fd::fd_allocate;
        "fd_close" (fd: i32) => fd::fd_close;
        "fd_datasync" (fd: i32) => fd::fd_datasync;
        "fd_fdstat_get" (fd: i32, out: i32) => fd::fd_fdstat_get;
        "fd_fdstat_set_flags" (fd: i32, flags: i32) => fd::fd_fdstat_set_flags;
        "fd_fdstat_set_rights" (fd: i32, base: i64, inheriting: i64) => fd::fd_fdstat_set_rights;
        "fd_filestat_get" (fd: i32, out: i32) => fd::fd_filestat_get [snapshot];
        "fd_filestat_set_size" (fd: i32, size: i64) => fd::fd_filestat_set_size;
        "fd_filestat_set_times" (fd: i32, atim: i64, mtim: i64, flags: i32) => fd::fd_filestat_set_times;
        "fd_pread" (fd: i32, iovs: i32, count: i32, offset: i64, out: i32) => fd::fd_pread;
        "fd_prestat_get" (fd: i32, out: i32) => fd::fd_prestat_get;
        "fd_prestat_dir_name" (fd: i32, path: i32, length: i32) => fd::fd_prestat_dir_name;
        "fd_pwrite" (fd: i32, iovs: i32, count: i32, offset: i64, out: i32) => fd::fd_pwrite;
        "fd_read" (fd: i32, iovs: i32, count: i32, out: i32) => fd::fd_read;
        "fd_readdir" (fd: i32, buffer: i32, length: i32, cookie: i64, out: i32) => fd::fd_readdir;
        "fd_renumber" (fd: i32, to: i32) => fd::fd_renumber;
        "fd_seek" (fd: i32, offset: i64, whence: i32, out: i32) => fd::fd_seek [snapshot];
        "fd_sync" (fd: i32) => fd::fd_sync;
        "fd_tell" (fd: i32, out: i32) => fd::fd_tell;
        "fd_write" (fd: i32, iovs: i32, count: i32, out: i32) => fd::fd_write;
        "path_create_directory" (fd: i32, path: i32, length: i32) => path::path_create_directory;
        "path_filestat_get" (fd: i32, flags: i32, path: i32, length: i32, out: i32)
            => path::path_filestat_get [snapshot];
        "path_filestat_set_times"
            (fd: i32, flags: i32, path: i32, length: i32, atim: i64, mtim: i64, which: i32)
            => path::path_filestat_set_times;
        "path_link"
            (old_fd: i32, flags: i32, old: i32, old_length: i32, new_fd: i32, new: i32, new_length: i32)
            => path::path_link;
        "path_open"
            (fd: i32, dirflags: i32, path: i32, length: i32, oflags: i32, base: i64, inheriting: i64, fdflags: i32, out: i32)
            => path::path_open;
        "path_readlink" (fd: i32, path: i32, length: i32, buffer: i32, buffer_length: i32, out: i32)
            => path::path_readlink;
        "path_remove_directory" (fd: i32, path: i32, length: i32) => path::path_remove_directory;
        "path_rename" (old_fd: i32, old: i32, old_length: i32, new_fd: i32, new: i32, new_length: i32)
            => path::path_rename;
        "path_symlink" (target: i32, target_length: i32, fd: i32, path: i32, length: i32)
            => path::path_symlink;
        "path_unlink_file" (fd: i32, path: i32, length: i32) => path::path_unlink_file;
        "poll_oneoff" (subscriptions: i32, events: i32, count: i32, out: i32)
            => poll::poll_oneoff [snapshot];
        "proc_raise" (signal: i32) => process::proc_raise;
        "sched_yield" () => process::sched_yield;
        "random_get" (buffer: i32, length: i32) => process::random_get;
        "sock_recv" (fd: i32, iovs: i32, count: i32, flags: i32, out_count: i32, out_flags: i32)
            => sock::sock_recv;
        "sock_send" (fd: i32, iovs: i32, count: i32, flags: i32, out: i32) => sock::sock_send;
        "sock_shutdown" (fd: i32, how: i32) => sock::sock_shutdown;
    }
    // The one without a result.
    linker.func_wrap(
        module,
        "proc_exit",
        move |caller: Caller<'_, T>, code: i32| -> tepui::Result<()> {
            run(caller, get, |ctx, memory| {
                process::proc_exit(ctx, memory, code)
            })
            .map(|_| ())
        },
    )?;
    Ok(())
}

/// Defines all of `wasi_snapshot_preview1` in `linker`; `get` finds the context
/// in a store's data.
///
/// # Errors
///
/// When the linker has one of the names already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> tepui::Result<()> {
    let module = "wasi_snapshot_preview1";
    add(linker, module, Snapshot::One, get)?;
    define! { linker, module, get;
        "sock_accept" (fd: i32, flags: i32, out: i32) => sock::sock_accept;
    }
    Ok(())
}

/// Defines all of `wasi_unstable` in `linker`, for programs made in 2019; `get`
/// finds the context in a store's data.
///
/// # Errors
///
/// When the linker has one of the names already.
pub fn add_unstable_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> tepui::Result<()> {
    add(linker, "wasi_unstable", Snapshot::Zero, get)
}
