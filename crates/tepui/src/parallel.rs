//! A loop over independent pieces of work, on all processors.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the threads have computed so far.
struct Done<R, E, T> {
    /// Takes the results.
    take: T,
    /// The index whose result is taken next.
    next: usize,
    /// Results of later ones.
    waiting: BTreeMap<usize, R>,
    /// Of the lowest index that failed.
    error: Option<(usize, E)>,
}

/// Computes `work` for each index below `count`, on at most `threads` threads
/// (this one included), and hands the results to `take` one after another, in
/// the order of their indices, each as soon as all before it are there: only
/// what comes too early is kept.
///
/// # Errors
///
/// The error of the lowest index that failed among those computed; after one
/// failure no further index is begun. Some results may have been taken.
///
/// # Panics
///
/// When `work` or `take` panics.
pub(crate) fn try_in_order<R: Send, E: Send>(
    count: usize,
    threads: NonZeroUsize,
    work: impl Fn(usize) -> Result<R, E> + Sync,
    mut take: impl FnMut(R) + Send,
) -> Result<(), E> {
    let threads = threads.get().min(count);
    if threads <= 1 {
        for index in 0..count {
            take(work(index)?);
        }
        return Ok(());
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Done {
        take,
        next: 0,
        waiting: BTreeMap::new(),
        error: None,
    });
    let run = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = work(index);
            let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
            match result {
                Ok(result) => done.add(index, result),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    if done
                        .error
                        .as_ref()
                        .is_none_or(|(lowest, _)| index < *lowest)
                    {
                        done.error = Some((index, error));
                    }
                }
            }
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
        None => Ok(()),
    }
}

impl<R, E, T: FnMut(R)> Done<R, E, T> {
    fn add(&mut self, index: usize, result: R) {
        if index != self.next {
            self.waiting.insert(index, result);
            return;
        }
        (self.take)(result);
        self.next += 1;
        while let Some(result) = self.waiting.remove(&self.next) {
            (self.take)(result);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_reports_an_error() {
        for threads in [1, 4] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut squares = Vec::new();
            let result: Result<(), ()> =
                try_in_order(1_000, threads, |i| Ok(i * i), |square| squares.push(square));
            assert_eq!(result, Ok(()));
            assert_eq!(squares, (0..1_000).map(|i| i * i).collect::<Vec<_>>());

            let mut taken = Vec::new();
            let failed = try_in_order(
                1_000,
                threads,
                |i| if i == 500 { Err(i) } else { Ok(i) },
                |i| taken.push(i),
            );
            assert_eq!(failed, Err(500));
            assert!(taken.len() <= 500);
            assert!(taken.iter().copied().eq(0..taken.len()));
        }
    }
}
