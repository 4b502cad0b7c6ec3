//! What does a person see while a long compilation runs? A spinner on stderr,
//! if that is a terminal, and only when it takes long enough to wonder.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Shorter work than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Does `work`, with `what` and the time so far on the terminal meanwhile.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    std::thread::scope(|scope| {
        // Dropped when the work has ended, also by a panic.
        let (working, ended) = channel::<()>();
        let spawned = std::thread::Builder::new().spawn_scoped(scope, move || {
            if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what.to_string());
            bar.enable_steady_tick(Duration::from_millis(100));
            let _ = ended.recv();
            bar.finish_and_clear();
        });
        // Without a thread to draw it there is no spinner, which is no loss.
        drop(spawned);
        let result = work();
        drop(working);
        result
    })
}
