//! How do threads wait on an address of a shared memory, and how are they woken?
//!
//! One [`ParkingLot`] per shared memory; threads wait in a queue per address
//! (threads proposal, "Wait and Notify").
//!
//! **No wake-up is lost.** The value is compared and the thread queued under
//! the lock that a notifier takes, so that a notification after the comparison
//! finds the thread in the queue. A thread leaves its queue in one of two ways,
//! both under the lock: a notifier takes it out and says so, or it takes itself
//! out when its time is over. So each notification that is counted wakes a
//! thread that did not time out.
//!
//! **Order.** Threads that wait on the same address are woken first come, first
//! served, as the specification asks.
//!
//! A waiting thread holds the memory, and so the lot, alive.

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// The longest sleep that the system is asked for at once: clocks of some
/// systems overflow on longer ones.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What a waiting thread does while it waits.
pub(crate) struct Interrupt<'a> {
    /// How often.
    pub(crate) every: Duration,
    /// An error ends the wait. No lock is held.
    pub(crate) check: &'a mut dyn FnMut() -> Result<(), Error>,
}

/// A thread in a queue.
#[derive(Debug, Default)]
struct Waiter {
    wake: Condvar,
    /// Written and read under the lot's lock only.
    woken: AtomicBool,
}

/// The threads that wait on the addresses of one memory.
#[derive(Debug, Default)]
pub(crate) struct ParkingLot {
    /// Queues that are not empty.
    queues: Mutex<HashMap<u64, VecDeque<Arc<Waiter>>>>,
}

type Queues<'a> = MutexGuard<'a, HashMap<u64, VecDeque<Arc<Waiter>>>>;

impl ParkingLot {
    fn lock(&self) -> Queues<'_> {
        // Nothing that holds the lock leaves the queues half changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits on `address` while `holds` says that the memory holds the expected
    /// value, until notified or for `timeout`. No timeout is forever, and so is
    /// one that the clock cannot count.
    ///
    /// # Errors
    ///
    /// Those of `interrupt`.
    pub(crate) fn wait(
        &self,
        address: u64,
        holds: impl FnOnce() -> bool,
        timeout: Option<Duration>,
        mut interrupt: Option<Interrupt<'_>>,
    ) -> Result<WaitResult, Error> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut queues = self.lock();
        if !holds() {
            return Ok(WaitResult::Mismatch);
        }
        let waiter = Arc::new(Waiter::default());
        queues.entry(address).or_default().push_back(waiter.clone());
        loop {
            if waiter.woken.load(Ordering::Relaxed) {
                return Ok(WaitResult::Ok);
            }
            let mut sleep = LONGEST_SLEEP;
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    leave(&mut queues, address, &waiter);
                    return Ok(WaitResult::TimedOut);
                }
                sleep = sleep.min(left);
            }
            if let Some(interrupt) = &interrupt {
                sleep = sleep.min(interrupt.every);
            }
            let (guard, slept) = waiter
                .wake
                .wait_timeout(queues, sleep)
                .unwrap_or_else(PoisonError::into_inner);
            queues = guard;
            if let Some(interrupt) = &mut interrupt
                && slept.timed_out()
                && !waiter.woken.load(Ordering::Relaxed)
            {
                // The check may run code of the embedder: without the lock. The
                // thread stays in its queue meanwhile.
                drop(queues);
                let checked = Checked {
                    lot: self,
                    address,
                    waiter: &waiter,
                };
                (interrupt.check)()?;
                core::mem::forget(checked);
                queues = self.lock();
            }
        }
    }

    /// Wakes up to `count` of the threads that wait on `address`, those first
    /// that have waited longest. Answers how many.
    pub(crate) fn notify(&self, address: u64, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&address) else {
            return 0;
        };
        let mut woken = 0;
        while woken < count
            && let Some(waiter) = queue.pop_front()
        {
            waiter.woken.store(true, Ordering::Relaxed);
            waiter.wake.notify_one();
            woken += 1;
        }
        if queue.is_empty() {
            queues.remove(&address);
        }
        woken
    }

    /// How many threads wait on `address`.
    #[cfg(test)]
    pub(crate) fn waiting(&self, address: u64) -> usize {
        self.lock().get(&address).map_or(0, VecDeque::len)
    }
}

/// Takes a thread out of its queue when a check fails or panics.
struct Checked<'a> {
    lot: &'a ParkingLot,
    address: u64,
    waiter: &'a Arc<Waiter>,
}

impl Drop for Checked<'_> {
    fn drop(&mut self) {
        leave(&mut self.lot.lock(), self.address, self.waiter);
    }
}

/// Takes `waiter` out of its queue, if no notifier did.
fn leave(queues: &mut Queues<'_>, address: u64, waiter: &Arc<Waiter>) {
    if let Some(queue) = queues.get_mut(&address) {
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        if queue.is_empty() {
            queues.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    /// Waits until `count` threads stand in the queue of `address`.
    fn until_waiting(lot: &ParkingLot, address: u64, count: usize) {
        while lot.waiting(address) != count {
            thread::yield_now();
        }
    }

    fn wait(lot: &ParkingLot, address: u64, timeout: Option<Duration>) -> WaitResult {
        lot.wait(address, || true, timeout, None).unwrap()
    }

    #[test]
    fn values_are_compared_first() {
        let lot = ParkingLot::default();
        let forever = lot.wait(8, || false, None, None).unwrap();
        assert_eq!(forever, WaitResult::Mismatch);
        assert_eq!(lot.waiting(8), 0);
    }

    #[test]
    fn timeouts_end_and_leave_nothing() {
        let lot = ParkingLot::default();
        assert_eq!(wait(&lot, 8, Some(Duration::ZERO)), WaitResult::TimedOut);
        let start = Instant::now();
        let short = Duration::from_millis(20);
        assert_eq!(wait(&lot, 8, Some(short)), WaitResult::TimedOut);
        assert!(start.elapsed() >= short);
        assert!(lot.lock().is_empty());
        assert_eq!(lot.notify(8, u32::MAX), 0);
    }

    #[test]
    fn the_longest_timeouts_do_not_overflow() {
        for timeout in [
            Duration::from_nanos(u64::MAX),
            Duration::from_nanos(i64::MAX as u64),
            Duration::MAX,
        ] {
            let lot = Arc::new(ParkingLot::default());
            let other = lot.clone();
            let thread = thread::spawn(move || wait(&other, 8, Some(timeout)));
            until_waiting(&lot, 8, 1);
            assert_eq!(lot.notify(8, 1), 1);
            assert_eq!(thread.join().unwrap(), WaitResult::Ok);
        }
    }

    #[test]
    fn threads_are_woken_first_come_first_served() {
        let lot = Arc::new(ParkingLot::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (lot2, order) = (lot.clone(), order.clone());
                let thread = thread::spawn(move || {
                    let result = wait(&lot2, 16, None);
                    order.lock().unwrap().push(number);
                    result
                });
                until_waiting(&lot, 16, number + 1);
                thread
            })
            .collect();
        assert_eq!(lot.notify(16, 0), 0);
        assert_eq!(lot.notify(24, 9), 0, "another address");
        for woken in 1..=2 {
            assert_eq!(lot.notify(16, 1), 1);
            while order.lock().unwrap().len() < woken {
                thread::yield_now();
            }
        }
        assert_eq!(lot.notify(16, u32::MAX), 2);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), WaitResult::Ok);
        }
        assert_eq!(order.lock().unwrap()[..2], [0, 1]);
        assert!(lot.lock().is_empty());
    }

    #[test]
    fn no_wake_up_is_lost() {
        // Two threads pass a token to and fro; a lost wake-up would hang them,
        // so that the timeout ends the test.
        const ROUNDS: u32 = 2_000;
        let lot = Arc::new(ParkingLot::default());
        let token = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..2)
            .map(|me| {
                let (lot, token) = (lot.clone(), token.clone());
                thread::spawn(move || {
                    loop {
                        let value = token.load(Ordering::SeqCst);
                        if value >= ROUNDS {
                            return;
                        }
                        if value % 2 == me {
                            token.store(value + 1, Ordering::SeqCst);
                            lot.notify(0, 1);
                        } else {
                            let result = lot
                                .wait(
                                    0,
                                    || token.load(Ordering::SeqCst) == value,
                                    Some(Duration::from_secs(60)),
                                    None,
                                )
                                .unwrap();
                            assert_ne!(result, WaitResult::TimedOut);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn counted_notifications_and_timeouts_add_up() {
        // Threads time out while others are notified: every thread is either
        // counted by a notifier or has timed out, never both or neither.
        let lot = Arc::new(ParkingLot::default());
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let lot = lot.clone();
                thread::spawn(move || {
                    (0..100)
                        .filter(|round| {
                            let time = Duration::from_micros((number * 7 + round) % 50 * 10);
                            wait(&lot, 4, Some(time)) == WaitResult::Ok
                        })
                        .count()
                })
            })
            .collect();
        let mut counted = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            counted += lot.notify(4, 2) as usize;
            thread::sleep(Duration::from_micros(50));
        }
        let woken: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(woken, counted);
        assert!(lot.lock().is_empty());
    }

    #[test]
    fn a_wait_can_be_interrupted() {
        let lot = ParkingLot::default();
        let mut checks = 0;
        let mut check = || {
            checks += 1;
            if checks == 3 {
                return Err(Error::msg("enough"));
            }
            assert_eq!(lot.waiting(0), 1, "it stays in the queue meanwhile");
            Ok(())
        };
        let interrupt = Interrupt {
            every: Duration::from_millis(1),
            check: &mut check,
        };
        let error = lot.wait(0, || true, None, Some(interrupt)).unwrap_err();
        assert_eq!(error.to_string(), "enough");
        assert!(lot.lock().is_empty());
    }
}
