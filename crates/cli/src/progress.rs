//! What does a person see while a long compilation runs? A bar on stderr, if that
//! is a terminal, and only when it takes long enough to wonder.

#[cfg(feature = "progress")]
use indicatif::{ProgressBar, ProgressStyle};
#[cfg(feature = "progress")]
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "progress")]
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
#[cfg(feature = "progress")]
use std::time::Duration;

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
    let still_working = |wait| ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
    if !still_working(PATIENCE) {
        return;
    }
    let style = |template| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let bar = ProgressBar::new_spinner().with_message(what.to_string());
    bar.set_style(style("{spinner} {msg} {elapsed}"));
    let mut length = 0;
    loop {
        let all = ALL.load(Ordering::Relaxed);
        if all != length {
            length = all;
            bar.set_style(style("{msg} {wide_bar} {pos}/{len} functions, {elapsed}"));
            bar.set_length(all as u64);
        }
        if length > 0 {
            bar.set_position(DONE.load(Ordering::Relaxed) as u64);
        }
        bar.tick();
        if !still_working(TICK) {
            break;
        }
    }
    bar.finish_and_clear();
}
