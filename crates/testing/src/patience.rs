//! How long does a test wait for what is to end soon?

use std::time::Duration;

use crate::process::emulator;

/// How much longer all takes behind an emulator, at most.
const EMULATED: u64 = 10;

/// How long something may take that is to end within so many seconds on a machine that is
/// not emulated.
pub fn patience(seconds: u64) -> Duration {
    let factor = if emulator().is_empty() { 1 } else { EMULATED };
    Duration::from_secs(factor.saturating_mul(seconds))
}
