//! The system's clocks and its random bytes.

use crate::services::{Clock, Clocks, ErrorCode, Random, Result, Timestamp};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};
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
            Clock::Wall => Ok(SystemTime::now().into()),
            Clock::Monotonic => {
                let since = START.get_or_init(Instant::now).elapsed();
                Ok(Timestamp {
                    seconds: since.as_secs() as i64,
                    nanoseconds: since.subsec_nanos(),
                })
            }
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
