//! Which instructions follow one another when programs run? Counts for whoever
//! chooses fused instructions; only with the feature `counts`.
//!
//! A run that is counted takes some hundred times as long. Handlers are known by
//! their addresses: `nm --demangle` on the program, built with
//! `-C symbol-mangling-version=v0`, has their names with all parameters.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::vec::Vec;

use crate::dispatch::{Ip, handler_at};

/// How often three handlers were reached one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Their addresses; 0 before the first of a run.
    pub handlers: [usize; 3],
    /// How often.
    pub times: u64,
}

struct Counts {
    before: [usize; 2],
    triples: Option<HashMap<[usize; 3], u64>>,
}

static COUNTS: Mutex<Counts> = Mutex::new(Counts {
    before: [0; 2],
    triples: None,
});

fn lock() -> MutexGuard<'static, Counts> {
    COUNTS.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// Notes that the handler of the instruction at `ip` is about to be called.
///
/// # Safety
///
/// `ip` is the start of an instruction.
pub(crate) unsafe fn note(ip: Ip) {
    // SAFETY: the caller's.
    let handler = unsafe { handler_at(ip) } as usize;
    let mut counts = lock();
    let [first, second] = counts.before;
    counts.before = [second, handler];
    *counts
        .triples
        .get_or_insert_default()
        .entry([first, second, handler])
        .or_default() += 1;
}

/// What was counted so far in this process.
pub fn counts() -> Vec<Count> {
    let counts = lock();
    let triples = counts.triples.iter().flatten();
    triples
        .map(|(handlers, times)| Count {
            handlers: *handlers,
            times: *times,
        })
        .collect()
}
