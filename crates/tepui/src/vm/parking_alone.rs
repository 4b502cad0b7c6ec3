//! What stands for waiting threads where there is one thread only: nobody waits, and
//! nobody could wake.

use core::time::Duration;

use crate::error::Error;

/// How a wait ended; the number is what the instruction answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum WaitResult {
    /// Another thread notified this one.
    Ok = 0,
    /// The memory did not hold the expected value.
    Mismatch = 1,
    /// The time was over.
    TimedOut = 2,
}

/// What a waiting thread does while it waits.
pub(crate) struct Interrupt<'a> {
    /// How often, for those who wait.
    #[expect(dead_code, reason = "nobody waits")]
    pub(crate) every: Duration,
    /// An error ends the wait.
    pub(crate) check: &'a mut dyn FnMut() -> Result<(), Error>,
}

/// The threads that wait on the addresses of one memory: none.
#[derive(Debug, Default)]
pub(crate) struct ParkingLot;

impl ParkingLot {
    /// Ends as soon as it begins: nobody else is there to notify, so that the time
    /// that is left makes no difference to the guest, which has no other clock.
    ///
    /// # Errors
    ///
    /// When the wait would never end.
    pub(crate) fn wait(
        &self,
        _address: u64,
        holds: impl FnOnce() -> bool,
        timeout: Option<Duration>,
        interrupt: Option<Interrupt<'_>>,
    ) -> Result<WaitResult, Error> {
        if !holds() {
            return Ok(WaitResult::Mismatch);
        }
        if let Some(Interrupt { check, every: _ }) = interrupt {
            check()?;
        }
        match timeout {
            Some(_) => Ok(WaitResult::TimedOut),
            None => Err(Error::msg(
                "a wait without a timeout would never end: this build has no threads",
            )),
        }
    }

    /// Nobody is woken.
    pub(crate) fn notify(&self, _address: u64, _count: u32) -> u32 {
        0
    }
}
