//! Preview 1 (`wasi_snapshot_preview1`) and snapshot 0 (`wasi_unstable`): thin
//! bindings onto the services.
//!
//! The two have the same functions but for `sock_accept`, which only preview 1
//! has. They differ in the numbers of `whence`, in `filestat` and in
//! `subscription`; nothing else here knows which of them a guest was made for.
//!
//! **Rights.** A descriptor starts with the rights that make sense for what it
//! is; of those asked for in `path_open` only reading and writing count, since
//! that is how the file is opened. `fd_fdstat_set_rights` takes rights away, and
//! then what needs them fails with `notcapable`, also on what is opened later
//! through a directory whose inheriting rights were cut.

mod errno;
mod fd;
mod io;
pub(crate) mod link;
mod memory;
mod path;
mod poll;
mod process;
mod sock;
pub(crate) mod types;

use crate::I32Exit;
use crate::ctx::WasiCtx;
use crate::host::wait::{WaitError, Waiter};
use crate::services::{ErrorCode, Interest, PollState};
use crate::table::Descriptor;
use errno::Errno;

/// Why a function does not answer `success`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The guest is told this number.
    Errno(Errno),
    /// The guest ends, as it asked to.
    Exit(I32Exit),
    /// The guest ends: the host no longer wants to wait.
    Interrupted,
    /// The guest ends: it exports no memory to put results into.
    NoMemory,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Failure::Errno(code.into())
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

impl From<WaitError> for Failure {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Interrupted => Failure::Interrupted,
            WaitError::Failed(code) => code.into(),
        }
    }
}

type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Fails unless `descriptor` has all of `rights`.
fn check_rights(descriptor: &Descriptor, rights: u64) -> Result {
    if descriptor.base & rights == rights {
        Ok(())
    } else {
        Err(Errno::NOTCAPABLE.into())
    }
}

/// Does `operation` on a descriptor; when it would have to wait and the guest
/// did not ask for the contrary, waits and does it again.
fn blocking<T>(
    waiter: &Waiter,
    descriptor: &mut Descriptor,
    interest: Interest,
    mut operation: impl FnMut(&mut Descriptor) -> Result<T>,
) -> Result<T> {
    let again = Failure::from(ErrorCode::Again);
    let interrupted = Failure::from(ErrorCode::Interrupted);
    loop {
        match operation(descriptor) {
            Err(failure) if failure == again && !descriptor.is_nonblocking() => {
                match descriptor.poll(interest, &waiter.waker())? {
                    // It became ready in the meantime.
                    PollState::Ready(_) => waiter.check()?,
                    PollState::Descriptor(host) => {
                        waiter.wait(&[(host, interest)], None)?;
                    }
                    PollState::Waker => {
                        waiter.wait(&[], None)?;
                    }
                }
            }
            // A signal of the host is none of the guest's business.
            Err(failure) if failure == interrupted => waiter.check()?,
            result => return result,
        }
    }
}

impl WasiCtx {
    /// A descriptor, and what is needed to wait for it.
    fn descriptor(&mut self, fd: u32) -> Result<(&mut Descriptor, &Waiter)> {
        Ok((self.table.get_mut(fd)?, &self.waiter))
    }
}
