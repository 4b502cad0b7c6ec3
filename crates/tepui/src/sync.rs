//! Locks and cells: those of the standard library or, without it, our own.
//!
//! This file holds unsafe code: without the standard library, locks hand out what
//! they guard.
//!
//! No lock here guards what a panic may leave half changed, so that none is poisoned.

#[cfg(feature = "std")]
pub(crate) use std::sync::OnceLock;

#[cfg(not(feature = "std"))]
pub(crate) use own::OnceLock;

#[cfg(feature = "std")]
mod locks {
    use std::sync::PoisonError;
    pub(crate) use std::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(std::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> RwLock<T> {
            RwLock(std::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(not(feature = "std"))]
use own as locks;

pub(crate) use locks::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks that spin: machines without a system hold them shortly, and hardly ever at
/// the same time. Whoever is interrupted while holding one must not call the runtime
/// from the interrupt.
#[cfg(any(not(feature = "std"), test))]
#[cfg_attr(test, allow(dead_code, reason = "only tested here"))]
mod own {
    use alloc::boxed::Box;
    use core::cell::UnsafeCell;
    use core::marker::PhantomData;
    use core::ops::{Deref, DerefMut};
    use core::ptr;
    use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T> {
        is_locked: AtomicBool,
        value: UnsafeCell<T>,
    }

    // SAFETY: the value is reached by one thread at a time.
    unsafe impl<T: Send> Sync for Mutex<T> {}

    /// Shared between threads only if the value may be.
    pub(crate) struct MutexGuard<'a, T>(&'a Mutex<T>, PhantomData<&'a mut T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex {
                is_locked: AtomicBool::new(false),
                value: UnsafeCell::new(value),
            }
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            while self
                .is_locked
                .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                core::hint::spin_loop();
            }
            MutexGuard(self, PhantomData)
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: this guard is the only one.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: this guard is the only one, and it is borrowed exclusively.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.0.is_locked.store(false, Ordering::Release);
        }
    }

    /// Readers exclude each other too.
    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(Mutex<T>);

    pub(crate) type RwLockReadGuard<'a, T> = MutexGuard<'a, T>;
    pub(crate) type RwLockWriteGuard<'a, T> = MutexGuard<'a, T>;

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> RwLock<T> {
            RwLock(Mutex::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.lock()
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.lock()
        }
    }

    /// A cell that is written once. Of several threads that come at the same time,
    /// each makes a value, and that of the first is kept.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        value: AtomicPtr<T>,
        owns: PhantomData<T>,
    }

    // SAFETY: the value is given by shared reference only, and moves in and out by
    // whoever owns the cell.
    unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

    impl<T> OnceLock<T> {
        pub(crate) const fn new() -> OnceLock<T> {
            OnceLock {
                value: AtomicPtr::new(ptr::null_mut()),
                owns: PhantomData,
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // SAFETY: null, or a value that lives as long as the cell.
            unsafe { self.value.load(Ordering::Acquire).as_ref() }
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            if let Some(value) = self.get() {
                return value;
            }
            let new = Box::into_raw(Box::new(make()));
            let kept = match self.value.compare_exchange(
                ptr::null_mut(),
                new,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => new,
                Err(first) => {
                    // SAFETY: from a box, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    first
                }
            };
            // SAFETY: neither is null, and both live as long as the cell.
            unsafe { &*kept }
        }
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> OnceLock<T> {
            OnceLock::new()
        }
    }

    impl<T> Drop for OnceLock<T> {
        fn drop(&mut self) {
            let value = *self.value.get_mut();
            if !value.is_null() {
                // SAFETY: from a box in `get_or_init`.
                drop(unsafe { Box::from_raw(value) });
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Mutex, OnceLock, RwLock};
        use alloc::string::{String, ToString};
        use alloc::sync::Arc;

        #[test]
        fn locks_let_one_in() {
            let count = Mutex::new(0_u64);
            let list = RwLock::new(alloc::vec::Vec::new());
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let (count, list) = (&count, &list);
                    scope.spawn(move || {
                        for _ in 0..1000 {
                            let before = *count.lock();
                            *count.lock() += 1;
                            assert!(*count.lock() > before);
                        }
                        list.write().push(number);
                    });
                }
            });
            assert_eq!(*count.lock(), 4000);
            assert_eq!(list.read().iter().sum::<i32>(), 6);
        }

        #[test]
        fn cells_keep_the_first_value_and_drop_it() {
            let value = Arc::new(());
            let cell = OnceLock::new();
            assert!(cell.get().is_none());
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| cell.get_or_init(|| value.clone()));
                }
            });
            assert_eq!(Arc::strong_count(&value), 2);
            drop(cell);
            assert_eq!(Arc::strong_count(&value), 1);
            let text = OnceLock::<String>::new();
            assert_eq!(text.get_or_init(|| 1.to_string()), "1");
            assert_eq!(text.get_or_init(|| unreachable!("there is one")), "1");
        }
    }
}
