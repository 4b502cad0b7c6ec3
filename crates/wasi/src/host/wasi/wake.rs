//! How is a wait for descriptors done? With `poll_oneoff` of the runtime outside.

use super::raw;
use crate::services::{ErrorCode, HostDescriptor, Interest, Readiness, Result};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// What would end a wait from another thread. There is no other thread.
pub(crate) struct WakePipe;

impl WakePipe {
    pub(crate) fn new() -> Result<Self> {
        Ok(WakePipe)
    }

    pub(crate) fn signal(&self) {}

    pub(crate) fn drain(&self) {}
}

/// `clock` of `eventtype`.
const CLOCK: u8 = 0;
/// `monotonic` of `clockid`.
const MONOTONIC: u32 = 1;

/// A subscription with its number as `userdata`.
fn subscription(number: usize, kind: u8, id: u32, timeout: u64) -> [u8; 48] {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&(number as u64).to_le_bytes());
    record[8] = kind;
    record[16..20].copy_from_slice(&id.to_le_bytes());
    record[24..32].copy_from_slice(&timeout.to_le_bytes());
    record
}

/// Waits until one of `on` is ready or `timeout` has passed.
pub(crate) fn wait_for_descriptors(
    on: &[(HostDescriptor<'_>, Interest)],
    _wake: &WakePipe,
    timeout: Duration,
) -> Result<Vec<Option<Readiness>>> {
    let mut subscriptions: Vec<_> = on
        .iter()
        .enumerate()
        .map(|(number, (descriptor, interest))| {
            let kind = match interest {
                Interest::Read => 1,
                Interest::Write => 2,
            };
            // A wait for a descriptor has no timeout: those bytes are nobody's.
            subscription(number, kind, descriptor.as_raw_fd() as u32, 0)
        })
        .collect();
    let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    subscriptions.push(subscription(on.len(), CLOCK, MONOTONIC, nanoseconds));
    let mut ready = vec![None; on.len()];
    for event in raw::poll(&subscriptions)? {
        let field = |offset: usize| u64::from_le_bytes(std::array::from_fn(|i| event[offset + i]));
        let failed = event[8] != 0 || event[9] != 0;
        if let Some(entry) = usize::try_from(field(0))
            .ok()
            .and_then(|number| ready.get_mut(number))
        {
            *entry = Some(Readiness {
                bytes: field(16),
                hangup: failed || event[24] & 1 != 0,
            });
        }
    }
    Ok(ready)
}

/// Whether `interest` in a descriptor can make progress right now.
pub(super) fn is_ready(descriptor: HostDescriptor<'_>, interest: Interest) -> Result<bool> {
    match wait_for_descriptors(&[(descriptor, interest)], &WakePipe, Duration::ZERO) {
        Ok(ready) => Ok(ready.iter().any(Option::is_some)),
        Err(ErrorCode::Interrupted | ErrorCode::Again) => Ok(false),
        Err(error) => Err(error),
    }
}
