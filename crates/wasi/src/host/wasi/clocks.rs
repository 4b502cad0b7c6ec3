//! The clocks and the random bytes of the runtime outside.

use super::raw;
use crate::services::{Clock, Clocks, Random, Result, Timestamp};
use std::time::Duration;

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClocks;

/// `clockid`.
fn id(clock: Clock) -> u32 {
    match clock {
        Clock::Wall => 0,
        Clock::Monotonic => 1,
        Clock::ProcessCpu => 2,
        Clock::ThreadCpu => 3,
    }
}

impl Clocks for HostClocks {
    fn now(&self, clock: Clock) -> Result<Timestamp> {
        raw::clock_time(id(clock)).map(Timestamp::from_nanoseconds)
    }

    fn resolution(&self, clock: Clock) -> Result<Duration> {
        let resolution = raw::clock_resolution(id(clock))?;
        Ok(Duration::from_nanos(resolution.max(1)))
    }
}

/// The random bytes of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostRandom;

impl Random for HostRandom {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        raw::random(buffer)
    }
}
