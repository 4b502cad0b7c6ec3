//! How long does a test wait for what is to end soon?

use std::time::Duration;

use crate::process::is_emulated;

/// How much longer all takes behind an emulator, at most.
const EMULATED: u64 = 10;

/// How long something may take that is to end within so many seconds on a machine that is
/// not emulated.
pub fn patience(seconds: u64) -> Duration {
    let factor = if is_emulated() { EMULATED } else { 1 };
    Duration::from_secs(factor.saturating_mul(seconds))
}
