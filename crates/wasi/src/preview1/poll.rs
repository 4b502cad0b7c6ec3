//! `poll_oneoff`: waiting for descriptors and clocks together.
//!
//! The subscriptions are read twice from the guest's memory, before and after
//! the wait, instead of being kept: the host remembers only which descriptors
//! to wait for, and of those there are no more than the guest has open.

use super::errno::Errno;
use super::memory::GuestMemory;
use super::types::{self, EVENT_SIZE, Snapshot, Subscription, rights, subscription_size};
use super::{Result, check_rights, process};
use crate::ctx::WasiCtx;
use crate::services::{Clock, ErrorCode, Interest, PollState, Readiness};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// `eventtype`.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;
/// `subclockflags::subscription_clock_abstime`.
const ABSTIME: u16 = 1;
/// `eventrwflags::fd_readwrite_hangup`.
const HANGUP: u16 = 1;

/// What a subscription waits for.
enum Wait {
    /// For this long after the call began.
    Time(Duration),
    Descriptor(u32, Interest),
}

/// The clocks' readings when the call began.
struct Start {
    wall: Result<u64, ErrorCode>,
    monotonic: Result<u64, ErrorCode>,
}

/// What `subscription` waits for.
///
/// # Errors
///
/// What the guest is told at once as the subscription's event.
fn wait_of(ctx: &WasiCtx, start: &Start, subscription: &Subscription) -> Result<Wait, Errno> {
    let interest = match subscription.kind {
        CLOCK => {
            let now = match process::clock(subscription.id)? {
                Clock::Wall => start.wall?,
                Clock::Monotonic => start.monotonic?,
                // No system wakes anybody by these.
                Clock::ProcessCpu | Clock::ThreadCpu => {
                    return Err(ErrorCode::NotSupported.into());
                }
            };
            return match subscription.flags {
                0 => Ok(Wait::Time(Duration::from_nanos(subscription.timeout))),
                ABSTIME => Ok(Wait::Time(Duration::from_nanos(
                    subscription.timeout.saturating_sub(now),
                ))),
                _ => Err(ErrorCode::Invalid.into()),
            };
        }
        FD_READ => Interest::Read,
        FD_WRITE => Interest::Write,
        _ => return Err(ErrorCode::Invalid.into()),
    };
    let descriptor = ctx.table.get(subscription.id)?;
    if check_rights(descriptor, rights::POLL_FD_READWRITE).is_err() {
        // A directory never had the right; there is nothing to wait for.
        return Err(match descriptor.kind {
            crate::table::Kind::Directory { .. } => ErrorCode::BadDescriptor.into(),
            _ => Errno::NOTCAPABLE,
        });
    }
    Ok(Wait::Descriptor(subscription.id, interest))
}

/// The subscription number `index`.
fn subscription(
    memory: &GuestMemory<'_>,
    snapshot: Snapshot,
    pointer: u32,
    index: u32,
) -> Result<Subscription> {
    let size = subscription_size(snapshot);
    let mut bytes = [0; 56];
    memory.read(pointer + index * size, &mut bytes[..size as usize])?;
    Ok(Subscription::read(snapshot, &bytes))
}

type Ready = BTreeMap<(u32, Interest), Option<Result<Readiness, Errno>>>;

/// Waits until something in `ready` is, or `timeout` has passed; then says what
/// is, in `ready`.
fn wait(
    ctx: &WasiCtx,
    ready: &mut Ready,
    start: Instant,
    timeout: Option<Duration>,
) -> Result<Duration> {
    let waker = ctx.waiter.waker();
    loop {
        let mut descriptors = Vec::new();
        let mut keys = Vec::new();
        let mut any = false;
        for (&(fd, interest), entry) in ready.iter_mut() {
            match ctx.table.get(fd).and_then(|it| it.poll(interest, &waker)) {
                Ok(PollState::Ready(readiness)) => *entry = Some(Ok(readiness)),
                Ok(PollState::Descriptor(host)) => {
                    descriptors.push((host, interest));
                    keys.push((fd, interest));
                }
                Ok(PollState::Waker) => {}
                Err(code) => *entry = Some(Err(code.into())),
            }
            any |= entry.is_some();
        }
        let elapsed = start.elapsed();
        let due = timeout.is_some_and(|timeout| timeout <= elapsed);
        let rest = if any || due {
            Some(Duration::ZERO)
        } else {
            timeout.map(|timeout| timeout - elapsed)
        };
        for (key, readiness) in keys.iter().zip(ctx.waiter.wait(&descriptors, rest)?) {
            if let Some(readiness) = readiness {
                ready.insert(*key, Some(Ok(readiness)));
                any = true;
            }
        }
        let elapsed = start.elapsed();
        if any || timeout.is_some_and(|timeout| timeout <= elapsed) {
            return Ok(elapsed);
        }
    }
}

pub(super) fn poll_oneoff(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    snapshot: Snapshot,
    subscriptions: u32,
    events: u32,
    count: u32,
    out: u32,
) -> Result {
    if count == 0 {
        return Err(ErrorCode::Invalid.into());
    }
    memory.array(subscriptions, count, subscription_size(snapshot))?;
    memory.array(events, count, EVENT_SIZE)?;
    memory.range(out, 4)?;

    let began = Instant::now();
    let read = |clock| {
        ctx.clocks
            .now(clock)
            .map(|time| time.saturating_nanoseconds())
    };
    let start = Start {
        wall: read(Clock::Wall),
        monotonic: read(Clock::Monotonic),
    };
    let mut timeout: Option<Duration> = None;
    let mut ready = Ready::new();
    for index in 0..count {
        let subscription = subscription(memory, snapshot, subscriptions, index)?;
        match wait_of(ctx, &start, &subscription) {
            Ok(Wait::Time(time)) => {
                timeout = Some(timeout.map_or(time, |timeout| timeout.min(time)));
            }
            Ok(Wait::Descriptor(fd, interest)) => {
                ready.insert((fd, interest), None);
            }
            // Told at once, but not without a look at the others.
            Err(_) => timeout = Some(Duration::ZERO),
        }
    }

    let elapsed = wait(ctx, &mut ready, began, timeout)?;

    let mut told: u32 = 0;
    for index in 0..count {
        let subscription = subscription(memory, snapshot, subscriptions, index)?;
        let answer = match wait_of(ctx, &start, &subscription) {
            Ok(Wait::Time(time)) if time <= elapsed => Ok(Readiness::default()),
            Ok(Wait::Time(_)) => continue,
            Ok(Wait::Descriptor(fd, interest)) => match ready.get(&(fd, interest)) {
                Some(Some(answer)) => *answer,
                _ => continue,
            },
            Err(errno) => Err(errno),
        };
        let (errno, readiness) = match answer {
            Ok(readiness) => (0, readiness),
            Err(errno) => (errno.0, Readiness::default()),
        };
        let event = types::event(
            subscription.userdata,
            errno,
            subscription.kind,
            readiness.bytes,
            if readiness.hangup { HANGUP } else { 0 },
        );
        // Events are no longer than subscriptions and no more numerous: where
        // the two arrays are one, this overwrites only what was read.
        memory.write(events + told * EVENT_SIZE, &event)?;
        told += 1;
    }
    memory.write_u32(out, told)
}
