//! The functions on the process and its surroundings: `args_*`, `environ_*`,
//! `clock_*`, `proc_*`, `sched_yield`, `random_get`.

use super::io::BOUNCE;
use super::memory::GuestMemory;
use super::{Failure, Result};
use crate::I32Exit;
use crate::ctx::WasiCtx;
use crate::services::{Clock, ErrorCode};

/// Writes NUL-terminated strings to `buffer` and where each begins to
/// `pointers`.
fn write_strings(
    memory: &mut GuestMemory<'_>,
    strings: &[String],
    pointers: u32,
    buffer: u32,
) -> Result {
    let (count, size) = sizes(strings)?;
    memory.array(pointers, count, 4)?;
    memory.range(buffer, size)?;
    let mut at = buffer;
    for (index, string) in (0..).zip(strings) {
        memory.write_u32(pointers + 4 * index, at)?;
        memory.write(at, string.as_bytes())?;
        // In range, as `size` counts the terminators; what follows the last one
        // may be the end of the address space.
        at += string.len() as u32;
        memory.write(at, &[0])?;
        at = at.wrapping_add(1);
    }
    Ok(())
}

/// How many strings there are and how many bytes they take with terminators.
fn sizes(strings: &[String]) -> Result<(u32, u32)> {
    let size: u64 = strings.iter().map(|string| string.len() as u64 + 1).sum();
    match (u32::try_from(strings.len()), u32::try_from(size)) {
        (Ok(count), Ok(size)) => Ok((count, size)),
        _ => Err(ErrorCode::Overflow.into()),
    }
}

fn write_sizes(
    memory: &mut GuestMemory<'_>,
    strings: &[String],
    out_count: u32,
    out_size: u32,
) -> Result {
    let (count, size) = sizes(strings)?;
    memory.range(out_size, 4)?;
    memory.write_u32(out_count, count)?;
    memory.write_u32(out_size, size)
}

pub(super) fn args_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    pointers: u32,
    buffer: u32,
) -> Result {
    write_strings(memory, &ctx.args, pointers, buffer)
}

pub(super) fn args_sizes_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    out_count: u32,
    out_size: u32,
) -> Result {
    write_sizes(memory, &ctx.args, out_count, out_size)
}

pub(super) fn environ_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    pointers: u32,
    buffer: u32,
) -> Result {
    write_strings(memory, &ctx.env, pointers, buffer)
}

pub(super) fn environ_sizes_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    out_count: u32,
    out_size: u32,
) -> Result {
    write_sizes(memory, &ctx.env, out_count, out_size)
}

/// `clockid`.
pub(super) fn clock(id: u32) -> Result<Clock, ErrorCode> {
    match id {
        0 => Ok(Clock::Wall),
        1 => Ok(Clock::Monotonic),
        2 => Ok(Clock::ProcessCpu),
        3 => Ok(Clock::ThreadCpu),
        _ => Err(ErrorCode::Invalid),
    }
}

pub(super) fn clock_res_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    id: u32,
    out: u32,
) -> Result {
    let resolution = ctx.clocks.resolution(clock(id)?)?;
    let nanoseconds = u64::try_from(resolution.as_nanos()).unwrap_or(u64::MAX);
    memory.write_u64(out, nanoseconds.max(1))
}

pub(super) fn clock_time_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    id: u32,
    _precision: u64,
    out: u32,
) -> Result {
    let now = ctx.clocks.now(clock(id)?)?;
    memory.write_u64(out, now.saturating_nanoseconds())
}

pub(super) fn proc_exit(_ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>, code: i32) -> Result {
    Err(Failure::Exit(I32Exit(code)))
}

/// There are no handlers in a guest, so a signal does what it does by default:
/// nothing, or end the guest with 128 plus the number, as a shell would say.
pub(super) fn proc_raise(_ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>, signal: u32) -> Result {
    /// `signal`: those that are ignored (none, pipe, chld, cont, urg, winch).
    const IGNORED: [u32; 6] = [0, 13, 16, 17, 22, 27];
    /// Those that stop the process (stop, tstp, ttin, ttou).
    const STOPPING: [u32; 4] = [18, 19, 20, 21];
    match signal {
        _ if IGNORED.contains(&signal) => Ok(()),
        // There is nobody who could let it continue.
        _ if STOPPING.contains(&signal) => Err(ErrorCode::NotSupported.into()),
        1..=30 => Err(Failure::Exit(I32Exit(128 + signal as i32))),
        _ => Err(ErrorCode::Invalid.into()),
    }
}

pub(super) fn sched_yield(_ctx: &mut WasiCtx, _memory: &mut GuestMemory<'_>) -> Result {
    std::thread::yield_now();
    Ok(())
}

pub(super) fn random_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    buffer: u32,
    length: u32,
) -> Result {
    let range = memory.range(buffer, length)?;
    if let GuestMemory::Exclusive(bytes) = memory {
        for chunk in bytes[range].chunks_mut(BOUNCE) {
            ctx.random.fill(chunk)?;
        }
        return Ok(());
    }
    let mut bounce = vec![0; BOUNCE.min(length as usize)];
    let mut done = 0;
    while done < length {
        let chunk = &mut bounce[..BOUNCE.min((length - done) as usize)];
        ctx.random.fill(chunk)?;
        memory.write(buffer + done, chunk)?;
        done += chunk.len() as u32;
    }
    Ok(())
}
