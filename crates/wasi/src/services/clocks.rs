//! What time is it?

use super::Result;
use std::time::Duration;

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
