//! A loop over independent pieces of work, on all processors.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;

/// What the threads have computed so far.
struct Done<R, E> {
    results: Vec<Option<R>>,
    /// Of the lowest index that failed.
    error: Option<(usize, E)>,
}

/// Computes `work` for each index below `count`, on at most `threads` threads
/// (this one included), and returns the results in order.
///
/// # Errors
///
/// The error of the lowest index that failed among those computed; after one
/// failure no further index is begun.
///
/// # Panics
///
/// When `work` panics.
pub(crate) fn try_map<R: Send, E: Send>(
    count: usize,
    threads: NonZeroUsize,
    work: impl Fn(usize) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = threads.get().min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Done {
        results: (0..count).map(|_| None).collect(),
        error: None,
    });
    let run = || {
        // Results are handed over in batches: the lock is taken seldom.
        let mut batch = Vec::new();
        let mut error = None;
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            match work(index) {
                Ok(result) => batch.push((index, result)),
                Err(e) => {
                    failed.store(true, Ordering::Relaxed);
                    error = Some((index, e));
                }
            }
        }
        let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
        for (index, result) in batch {
            done.results[index] = Some(result);
        }
        if let Some((index, e)) = error
            && done
                .error
                .as_ref()
                .is_none_or(|(lowest, _)| index < *lowest)
        {
            done.error = Some((index, e));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // When the system has no more threads, fewer do the work.
            let _ = std::thread::Builder::new()
                .name("tepui-compile".into())
                .spawn_scoped(scope, run);
        }
        run();
    });
    let done = done
        .into_inner()
        .unwrap_or_else(|poison| poison.into_inner());
    match done.error {
        Some((_, error)) => Err(error),
        None => Ok(done.results.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_reports_an_error() {
        let threads = NonZeroUsize::new(4).unwrap();
        let squares: Result<Vec<_>, ()> = try_map(1_000, threads, |i| Ok(i * i));
        assert_eq!(
            squares.unwrap(),
            (0..1_000).map(|i| i * i).collect::<Vec<_>>()
        );
        let failed: Result<Vec<usize>, usize> =
            try_map(1_000, threads, |i| if i == 500 { Err(i) } else { Ok(i) });
        assert_eq!(failed, Err(500));
    }
}
