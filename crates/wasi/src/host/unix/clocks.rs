//! The system's clocks and its random bytes.

use crate::services::{Clock, Clocks, Random, Result, Timestamp};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
use std::time::Duration;

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClocks;

fn id(clock: Clock) -> ClockId {
    match clock {
        Clock::Wall => ClockId::Realtime,
        Clock::Monotonic => ClockId::Monotonic,
        Clock::ProcessCpu => ClockId::ProcessCPUTime,
        Clock::ThreadCpu => ClockId::ThreadCPUTime,
    }
}

fn timestamp(time: Timespec) -> Timestamp {
    Timestamp {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec as u32,
    }
}

impl Clocks for HostClocks {
    fn now(&self, clock: Clock) -> Result<Timestamp> {
        Ok(timestamp(clock_gettime(id(clock))))
    }

    fn resolution(&self, clock: Clock) -> Result<Duration> {
        let resolution = timestamp(clock_getres(id(clock))).saturating_nanoseconds();
        Ok(Duration::from_nanos(resolution.max(1)))
    }
}

/// The random bytes of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostRandom;

impl Random for HostRandom {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<()> {
        use rustix::rand::{GetRandomFlags, getrandom};
        while !buffer.is_empty() {
            match getrandom(&mut *buffer, GetRandomFlags::empty()) {
                Ok(count) => buffer = &mut buffer[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        use std::io::Read;
        std::fs::File::open("/dev/urandom")?.read_exact(buffer)?;
        Ok(())
    }
}
