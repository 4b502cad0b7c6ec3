//! The system's clocks and its random bytes.

use crate::services::{Clock, Clocks, ErrorCode, Random, Result, Timestamp};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_USE_SYSTEM_PREFERRED_RNG, BCryptGenRandom,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessTimes, GetThreadTimes,
};

/// Times of files and of the wall clock are multiples of this.
const UNIT: Duration = Duration::from_nanos(100);

/// The time between two ticks by which the system charges processor time.
const TICK: Duration = Duration::from_nanos(15_625_000);

/// The clocks of the operating system. Its monotonic one counts from the first time
/// that the process asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClocks;

fn timestamp(time: Duration) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: time.subsec_nanos(),
    }
}

/// The time of the standard library, which may be before 1970.
pub(super) fn from_system(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => timestamp(after),
        Err(before) => {
            let before = timestamp(before.duration());
            match before.nanoseconds {
                0 => Timestamp {
                    seconds: -before.seconds,
                    nanoseconds: 0,
                },
                nanoseconds => Timestamp {
                    seconds: -before.seconds - 1,
                    nanoseconds: 1_000_000_000 - nanoseconds,
                },
            }
        }
    }
}

/// The time as the standard library has it; `None` for one that cannot be.
pub(super) fn to_system(time: Timestamp) -> Option<SystemTime> {
    if time.nanoseconds >= 1_000_000_000 {
        return None;
    }
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let seconds = if time.seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    seconds?.checked_add(Duration::from_nanos(time.nanoseconds.into()))
}

/// Reads processor times by a function of the system.
fn processor_time(
    read: impl FnOnce(*mut FILETIME, *mut FILETIME, *mut FILETIME, *mut FILETIME) -> i32,
) -> Result<Timestamp> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    if read(created, ended, kernel, user) == 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let units =
        |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    let units = units(times[2]) + units(times[3]);
    Ok(Timestamp {
        seconds: (units / 10_000_000) as i64,
        nanoseconds: (units % 10_000_000) as u32 * 100,
    })
}

impl Clocks for HostClocks {
    fn now(&self, clock: Clock) -> Result<Timestamp> {
        static START: OnceLock<Instant> = OnceLock::new();
        match clock {
            Clock::Wall => Ok(from_system(SystemTime::now())),
            Clock::Monotonic => Ok(timestamp(START.get_or_init(Instant::now).elapsed())),
            // SAFETY: both write to variables of ours.
            Clock::ProcessCpu => processor_time(|created, ended, kernel, user| unsafe {
                GetProcessTimes(GetCurrentProcess(), created, ended, kernel, user)
            }),
            // SAFETY: as above.
            Clock::ThreadCpu => processor_time(|created, ended, kernel, user| unsafe {
                GetThreadTimes(GetCurrentThread(), created, ended, kernel, user)
            }),
        }
    }

    fn resolution(&self, clock: Clock) -> Result<Duration> {
        Ok(match clock {
            Clock::Wall | Clock::Monotonic => UNIT,
            Clock::ProcessCpu | Clock::ThreadCpu => TICK,
        })
    }
}

/// The random bytes of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostRandom;

impl Random for HostRandom {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        for part in buffer.chunks_mut(1 << 30) {
            // SAFETY: writes as many bytes as the part has.
            let status = unsafe {
                BCryptGenRandom(
                    std::ptr::null_mut(),
                    part.as_mut_ptr(),
                    part.len() as u32,
                    BCRYPT_USE_SYSTEM_PREFERRED_RNG,
                )
            };
            if status < 0 {
                return Err(ErrorCode::Io);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tick_and_have_a_resolution() {
        for clock in [
            Clock::Wall,
            Clock::Monotonic,
            Clock::ProcessCpu,
            Clock::ThreadCpu,
        ] {
            let before = HostClocks.now(clock).unwrap();
            assert!(HostClocks.resolution(clock).unwrap() > Duration::ZERO);
            assert!(HostClocks.now(clock).unwrap() >= before, "{clock:?}");
        }
        assert!(HostClocks.now(Clock::Wall).unwrap().seconds > 1_600_000_000);
    }

    #[test]
    fn times_go_there_and_back() {
        for (seconds, nanoseconds) in [(0, 0), (1, 200), (-1, 500), (-7, 0), (1 << 32, 100)] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(from_system(to_system(time).unwrap()), time);
        }
        for (seconds, nanoseconds) in [(i64::MAX, 0), (i64::MIN, 0), (0, 1_000_000_000)] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(to_system(time), None, "{time:?}");
        }
    }

    #[test]
    fn random_fills_everything() {
        let mut bytes = vec![0; 100_000];
        HostRandom.fill(&mut bytes).unwrap();
        assert!(
            bytes
                .chunks(64)
                .all(|chunk| chunk.iter().any(|&byte| byte != 0))
        );
    }
}
