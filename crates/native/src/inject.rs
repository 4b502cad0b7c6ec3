//! Makes the nth system call fail, so that tests can see what happens then.
//!
//! Every mapping call of this crate asks [`check`] first. The counter is one
//! for the process: tests that use it must not run beside others.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicU64 = AtomicU64::new(u64::MAX);
static END: AtomicU64 = AtomicU64::new(u64::MAX);
static ERROR: AtomicI32 = AtomicI32::new(0);

/// Counts calls anew and makes calls `first .. first + count` (from 0) fail
/// with the system's error number `error`.
pub fn arm(first: u64, count: u64, error: i32) {
    ERROR.store(error, Ordering::SeqCst);
    CALLS.store(0, Ordering::SeqCst);
    END.store(first.saturating_add(count), Ordering::SeqCst);
    FIRST.store(first, Ordering::SeqCst);
}

/// Lets every call through again; returns the number of calls since [`arm`].
pub fn disarm() -> u64 {
    FIRST.store(u64::MAX, Ordering::SeqCst);
    CALLS.load(Ordering::SeqCst)
}

/// Counts one call.
pub(crate) fn check() -> io::Result<()> {
    let call = CALLS.fetch_add(1, Ordering::SeqCst);
    if call >= FIRST.load(Ordering::SeqCst) && call < END.load(Ordering::SeqCst) {
        return Err(io::Error::from_raw_os_error(ERROR.load(Ordering::SeqCst)));
    }
    Ok(())
}
