//! What time is it?

use super::{ErrorCode, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clocks that a host can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Civil time; zero is 1970-01-01T00:00:00Z. It can be set, so it can jump.
    Wall,
    /// Time that only moves forward, from an origin without meaning.
    Monotonic,
    /// Processor time that the host process has used.
    ProcessCpu,
    /// Processor time that the calling thread has used.
    ThreadCpu,
}

/// A point in time, as seconds and nanoseconds after a clock's zero. Before
/// the zero the seconds are negative; the nanoseconds always count forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds after the zero, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, in `0..1_000_000_000`.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The point `nanoseconds` after the zero.
    pub fn from_nanoseconds(nanoseconds: u64) -> Self {
        Timestamp {
            seconds: (nanoseconds / 1_000_000_000) as i64,
            nanoseconds: (nanoseconds % 1_000_000_000) as u32,
        }
    }

    /// Nanoseconds after the zero, clamped to what 64 bits without sign hold:
    /// a time before 1970 gives 0, one after 2554 gives [`u64::MAX`].
    pub fn saturating_nanoseconds(self) -> u64 {
        let total = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        total.clamp(0, i128::from(u64::MAX)) as u64
    }
}

impl From<SystemTime> for Timestamp {
    /// The time after 1970-01-01T00:00:00Z, or before.
    fn from(time: SystemTime) -> Self {
        let seconds = |of: Duration| i64::try_from(of.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp {
                seconds: seconds(after),
                nanoseconds: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => Timestamp {
                        seconds: -seconds(before),
                        nanoseconds: 0,
                    },
                    nanoseconds => Timestamp {
                        seconds: -seconds(before) - 1,
                        nanoseconds: 1_000_000_000 - nanoseconds,
                    },
                }
            }
        }
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = ErrorCode;

    /// The time as the standard library has it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Invalid`] for one that the system cannot express, or with a second
    /// or more in nanoseconds.
    fn try_from(time: Timestamp) -> Result<Self> {
        if time.nanoseconds >= 1_000_000_000 {
            return Err(ErrorCode::Invalid);
        }
        let whole = Duration::from_secs(time.seconds.unsigned_abs());
        let seconds = if time.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        seconds
            .and_then(|at| at.checked_add(Duration::from_nanos(time.nanoseconds.into())))
            .ok_or(ErrorCode::Invalid)
    }
}

/// Clocks to read.
pub trait Clocks: Send {
    /// The clock's reading.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](super::ErrorCode::NotSupported) for a clock that this
    /// host does not have.
    fn now(&self, clock: Clock) -> Result<Timestamp>;

    /// The clock's resolution, more than zero.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](super::ErrorCode::NotSupported) for a clock that this
    /// host does not have.
    fn resolution(&self, clock: Clock) -> Result<Duration>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for (seconds, nanoseconds) in [(0, 0), (1, 200), (-1, 500), (-7, 0), (1 << 32, 100)] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            let system: SystemTime = time.try_into().unwrap();
            assert_eq!(Timestamp::from(system), time);
        }
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        let mut wrong = vec![(0, 1_000_000_000), (-1, u32::MAX)];
        // Elsewhere these are times.
        if cfg!(windows) {
            wrong.extend([(i64::MAX, 0), (i64::MIN, 0)]);
        }
        for (seconds, nanoseconds) in wrong {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(SystemTime::try_from(time), Err(ErrorCode::Invalid));
        }
        // Never a panic, whatever the system can express.
        for seconds in [i64::MIN, i64::MIN + 1, i64::MAX] {
            for nanoseconds in [0, 999_999_999] {
                let time = Timestamp {
                    seconds,
                    nanoseconds,
                };
                if let Ok(system) = SystemTime::try_from(time) {
                    let again = Timestamp::from(system).seconds;
                    assert!(again.abs_diff(seconds) <= 1, "{seconds}: {again}");
                }
            }
        }
    }

    #[test]
    fn timestamps_saturate() {
        let at = |seconds, nanoseconds| {
            Timestamp {
                seconds,
                nanoseconds,
            }
            .saturating_nanoseconds()
        };
        assert_eq!(at(0, 0), 0);
        assert_eq!(at(1, 5), 1_000_000_005);
        assert_eq!(at(-1, 999_999_999), 0);
        assert_eq!(at(i64::MIN, 0), 0);
        assert_eq!(at(i64::MAX, 999_999_999), u64::MAX);
        assert_eq!(
            Timestamp::from_nanoseconds(u64::MAX).saturating_nanoseconds(),
            u64::MAX
        );
    }
}
