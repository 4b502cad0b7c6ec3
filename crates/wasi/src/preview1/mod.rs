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

#![allow(
    clippy::too_many_arguments,
    reason = "the parameters are the interface's"
)]

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

#[cfg(test)]
mod tests {
    use super::memory::GuestMemory;
    use super::*;
    use crate::{MemoryInput, MemoryOutput};
    use std::cell::UnsafeCell;

    fn shared(size: usize) -> Vec<UnsafeCell<u8>> {
        (0..size).map(|_| UnsafeCell::new(0)).collect()
    }

    /// Puts a list of buffers at 0.
    fn iovecs(memory: &mut GuestMemory<'_>, buffers: &[(u32, u32)]) {
        for (index, (pointer, length)) in (0..).zip(buffers) {
            memory.write_u32(index * 8, *pointer).unwrap();
            memory.write_u32(index * 8 + 4, *length).unwrap();
        }
    }

    #[test]
    fn shared_memories_are_read_and_written() {
        let output = MemoryOutput::new(1 << 20);
        let input: Vec<u8> = (0..200_000_u32).map(|index| index as u8).collect();
        let mut ctx = WasiCtx::builder()
            .arg("argument")
            .stdin(MemoryInput::new(input.clone()))
            .stdout(output.clone())
            .build()
            .unwrap();
        let cells = shared(1 << 20);
        let memory = &mut GuestMemory::Shared(&cells);

        // More than the buffer in between holds, over several buffers.
        iovecs(memory, &[(1000, 150_000), (300_000, 100_000)]);
        let mut at = 0;
        loop {
            fd::fd_read(&mut ctx, memory, 0, 0, 2, 500).unwrap();
            let count = memory.read_u32(500).unwrap() as usize;
            if count == 0 {
                break;
            }
            let mut bytes = vec![0; count];
            memory.read(1000, &mut bytes).unwrap();
            assert_eq!(bytes, input[at..at + count]);
            at += count;
        }
        assert_eq!(at, input.len());

        let bytes: Vec<u8> = (0..150_000_u32).map(|index| (index / 7) as u8).collect();
        memory.write(1000, &bytes).unwrap();
        iovecs(memory, &[(1000, 100_000), (101_000, 50_000), (1000, 1)]);
        fd::fd_write(&mut ctx, memory, 1, 0, 3, 500).unwrap();
        assert_eq!(memory.read_u32(500), Ok(150_001));
        assert_eq!(output.contents()[..150_000], bytes);
        assert_eq!(output.contents()[150_000], bytes[0]);

        process::random_get(&mut ctx, memory, 1000, 200_000).unwrap();
        let mut random = vec![0; 200_000];
        memory.read(1000, &mut random).unwrap();
        assert!(
            random
                .chunks(50)
                .all(|chunk| chunk.iter().any(|&byte| byte != 0))
        );
        let mut rest = [1; 8];
        memory.read(201_000, &mut rest).unwrap();

        process::args_get(&mut ctx, memory, 0, 100).unwrap();
        let mut argument = [1; 9];
        memory.read(100, &mut argument).unwrap();
        assert_eq!(&argument, b"argument\0");
        assert_eq!(
            process::random_get(&mut ctx, memory, 1 << 20, 1),
            Err(ErrorCode::Fault.into())
        );
    }
}
