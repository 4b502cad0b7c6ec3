//! What does a person see while a long compilation runs? A bar on stderr, if that
//! is a terminal, and only when it takes long enough to wonder.

#[cfg(feature = "progress")]
use crate::terminal;
#[cfg(feature = "progress")]
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "progress")]
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
#[cfg(feature = "progress")]
use std::time::{Duration, Instant};

/// Shorter work than this shows nothing.
#[cfg(feature = "progress")]
const PATIENCE: Duration = Duration::from_millis(500);

/// The time between two drawings.
#[cfg(feature = "progress")]
const TICK: Duration = Duration::from_millis(100);

/// How far the compilation is; the command compiles one module at a time.
static DONE: AtomicUsize = AtomicUsize::new(0);
/// The number of functions that are compiled, 0 as long as it is not known.
static ALL: AtomicUsize = AtomicUsize::new(0);

/// Notes that `done` of `all` functions are compiled. Cheap; may be called from
/// any thread.
pub(crate) fn report(done: usize, all: usize) {
    DONE.store(done, Ordering::Relaxed);
    ALL.store(all, Ordering::Relaxed);
}

/// Does `work`; this build shows nothing meanwhile.
#[cfg(not(feature = "progress"))]
pub(crate) fn during<T>(_what: &str, work: impl FnOnce() -> T) -> T {
    work()
}

/// Does `work`, with `what`, the progress and the time so far on the terminal
/// meanwhile.
#[cfg(feature = "progress")]
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    report(0, 0);
    std::thread::scope(|scope| {
        // Dropped when the work has ended, also by a panic.
        let (working, ended) = channel::<()>();
        // Without a thread to draw it there is no bar, which is no loss.
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || draw(what, &ended));
        let result = work();
        drop(working);
        result
    })
}

#[cfg(feature = "progress")]
fn draw(what: &str, ended: &Receiver<()>) {
    let begin = Instant::now();
    let still_working = |wait| ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
    if !still_working(PATIENCE) {
        return;
    }
    // The last column stays free: some terminals go to the next line from it.
    let width = terminal::width() - 1;
    loop {
        let (done, all) = (DONE.load(Ordering::Relaxed), ALL.load(Ordering::Relaxed));
        let line = line(what, done, all, begin.elapsed(), width);
        let _ = write!(io::stderr(), "\r{line:<width$}");
        if !still_working(TICK) {
            break;
        }
    }
    let _ = write!(io::stderr(), "\r{:width$}\r", "");
}

/// The line that says how far the work is; at most `width` columns.
#[cfg(feature = "progress")]
fn line(what: &str, done: usize, all: usize, time: Duration, width: usize) -> String {
    let seconds = time.as_secs();
    let line = if all == 0 {
        format!("{what}, {seconds} s")
    } else {
        let count = format!("{done}/{all} functions, {seconds} s");
        // Two brackets and two spaces.
        let taken = what.chars().count() + count.len() + 4;
        match width.saturating_sub(taken) {
            0..5 => format!("{what} {count}"),
            bar => {
                let full = bar * done.min(all) / all;
                format!("{what} [{:#<full$}{:2$}] {count}", "", "", bar - full)
            }
        }
    };
    line.chars().take(width).collect()
}

#[cfg(all(test, feature = "progress"))]
mod tests {
    use super::*;

    #[test]
    fn lines_fit() {
        let line = |what, done, all, width| line(what, done, all, Duration::from_secs(3), width);
        assert_eq!(line("Compiling x", 0, 0, 40), "Compiling x, 3 s");
        assert_eq!(
            line("Compiling x", 5, 10, 50),
            "Compiling x [########        ] 5/10 functions, 3 s"
        );
        assert_eq!(line("x", 10, 10, 32).matches('#').count(), 7);
        assert_eq!(line("x", 0, 10, 24), "x 0/10 functions, 3 s");
        assert_eq!(line("Compiling x", 5, 10, 11), "Compiling x");
    }
}
