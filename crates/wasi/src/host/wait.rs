//! How does a guest wait: for descriptors, for wakers, for time, and until it
//! is interrupted?

use super::{WakePipe, wait_for_descriptors};
use crate::services::{ErrorCode, HostDescriptor, Interest, Readiness, Result};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

/// The longest single wait; longer ones are made of several.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The error of a guest's wait that [`InterruptHandle::interrupt`] ended. The
/// call that waited does not return to the guest: it ends with this error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host interrupted the guest while it was waiting")
    }
}

impl std::error::Error for Interrupted {}

#[derive(Default)]
struct Shared {
    woken: Mutex<bool>,
    changed: Condvar,
    interrupted: AtomicBool,
    /// Made when a wait for descriptors first needs it. `None` inside when the
    /// system had no descriptors left.
    pipe: OnceLock<Option<WakePipe>>,
}

impl Shared {
    fn woken(&self) -> std::sync::MutexGuard<'_, bool> {
        // The flag has no invariant that a panic could break.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken() = true;
        self.changed.notify_all();
        // A waiter makes the pipe before it looks at the flag, so either it
        // sees the flag or this sees the pipe.
        if let Some(Some(pipe)) = self.pipe.get() {
            pipe.signal();
        }
    }
}

/// Ends, from any thread, the waits of the guest whose context it came from:
/// sleeping, reading a pipe, accepting a connection. For a deadline use it with
/// the engine's epoch interruption, which ends computing.
#[derive(Clone)]
pub struct InterruptHandle {
    shared: Arc<Shared>,
}

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

impl InterruptHandle {
    /// Makes the guest's present wait, and each later one until
    /// [`InterruptHandle::reset`], end with [`Interrupted`].
    pub fn interrupt(&self) {
        self.shared.interrupted.store(true, Ordering::SeqCst);
        self.shared.wake_by_ref();
    }

    /// Lets the guest wait again.
    pub fn reset(&self) {
        self.shared.interrupted.store(false, Ordering::SeqCst);
    }
}

/// Why a wait ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitError {
    Interrupted,
    Failed(ErrorCode),
}

/// What one guest waits with.
#[derive(Default)]
pub(crate) struct Waiter {
    shared: Arc<Shared>,
}

impl Waiter {
    pub(crate) fn handle(&self) -> InterruptHandle {
        InterruptHandle {
            shared: self.shared.clone(),
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(self.shared.clone())
    }

    pub(crate) fn check(&self) -> Result<(), WaitError> {
        if self.shared.interrupted.load(Ordering::SeqCst) {
            return Err(WaitError::Interrupted);
        }
        Ok(())
    }

    /// Waits until one of `on` is ready, the waker is woken, `timeout` has
    /// passed or, rarely, nothing has happened; says what is ready, in the order
    /// of `on`.
    pub(crate) fn wait(
        &self,
        on: &[(HostDescriptor<'_>, Interest)],
        timeout: Option<Duration>,
    ) -> Result<Vec<Option<Readiness>>, WaitError> {
        // An interruption after this look wakes the wait below; one before it may
        // have woken an earlier wait already.
        self.check()?;
        let timeout = timeout.unwrap_or(LONGEST).min(LONGEST);
        // Without threads nobody can wake, and condition variables cannot wait.
        let ready = if on.is_empty() && !cfg!(target_os = "wasi") {
            let woken = self.shared.woken();
            let mut woken = self
                .shared
                .changed
                .wait_timeout_while(woken, timeout, |woken| !*woken)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            *woken = false;
            Vec::new()
        } else {
            let pipe = self.shared.pipe.get_or_init(|| WakePipe::new().ok());
            let pipe = pipe
                .as_ref()
                .ok_or(WaitError::Failed(ErrorCode::TooManyFiles))?;
            let timeout = if std::mem::take(&mut *self.shared.woken()) {
                Duration::ZERO
            } else {
                timeout
            };
            let ready = wait_for_descriptors(on, pipe, timeout).map_err(WaitError::Failed)?;
            pipe.drain();
            ready
        };
        self.check()?;
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn interruption_ends_a_wait_and_stays_until_reset() {
        let waiter = Waiter::default();
        let handle = waiter.handle();
        let start = Instant::now();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            handle.interrupt();
            handle
        });
        assert_eq!(waiter.wait(&[], None), Err(WaitError::Interrupted));
        assert!(start.elapsed() < Duration::from_secs(20));
        let handle = thread.join().unwrap();
        // However often, and without a limit on the time.
        for _ in 0..3 {
            assert_eq!(waiter.wait(&[], None), Err(WaitError::Interrupted));
        }
        handle.reset();
        assert_eq!(waiter.wait(&[], Some(Duration::ZERO)), Ok(Vec::new()));
    }

    #[test]
    fn interruption_ends_a_wait_for_a_descriptor() {
        #[cfg(unix)]
        let (reader, _writer) = std::io::pipe().unwrap();
        #[cfg(unix)]
        let descriptor = std::os::fd::AsFd::as_fd(&reader);
        #[cfg(windows)]
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        #[cfg(windows)]
        let descriptor = std::os::windows::io::AsSocket::as_socket(&listener);
        let waiter = Waiter::default();
        let handle = waiter.handle();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            handle.interrupt();
        });
        assert_eq!(
            waiter.wait(&[(descriptor, Interest::Read)], None),
            Err(WaitError::Interrupted)
        );
        thread.join().unwrap();
    }
}
