//! How do threads meet in shared memories?
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).
//!
//! Every access is sequentially consistent. That an address is a multiple of the
//! width is checked first, then the bounds.

use core::sync::atomic::{Ordering, fence};

use tepui_abi::Trap;

use super::memory::locate;
use super::{builtin, handlers};
use crate::code::Place;
use crate::dispatch::Regs;
use crate::value::Value;

/// A width of atomic accesses. Values are numbers; memory is little-endian.
pub(crate) trait Atom: Copy {
    fn widen(self) -> u64;
    fn narrow(value: u64) -> Self;
    /// # Safety
    ///
    /// `at` is aligned and in a memory; so for the others.
    unsafe fn load(at: *mut u8) -> Self;
    /// # Safety
    ///
    /// As for `load`.
    unsafe fn store(at: *mut u8, value: Self);
    /// Replaces an expected value; gives what was there.
    ///
    /// # Safety
    ///
    /// As for `load`.
    unsafe fn exchange_if(at: *mut u8, expected: Self, new: Self) -> Self;
    /// Replaces the value by what `O` makes of it; gives what was there.
    ///
    /// # Safety
    ///
    /// As for `load`.
    unsafe fn update<O: Modify>(at: *mut u8, operand: Self) -> Self;
}

/// What a read-modify-write instruction does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modification {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Exchange,
}

/// A [`Modification`] as a type.
pub(crate) trait Modify {
    const KIND: Modification;
}

macro_rules! modifications {
    ($($name:ident)*) => {
        $(pub(crate) struct $name;
        impl Modify for $name {
            const KIND: Modification = Modification::$name;
        })*
    };
}

modifications! { Add Sub And Or Xor Exchange }

macro_rules! atoms {
    ($($ty:ty, $atomic:ident, $width:literal;)*) => {
        $(
            #[cfg(target_has_atomic = $width)]
            impl Atom for $ty {
                #[inline(always)]
                fn widen(self) -> u64 {
                    u64::from(self)
                }
                #[inline(always)]
                fn narrow(value: u64) -> Self {
                    value as $ty
                }
                #[inline(always)]
                unsafe fn load(at: *mut u8) -> Self {
                    use core::sync::atomic::$atomic;
                    // SAFETY: the caller's.
                    <$ty>::from_le(unsafe { $atomic::from_ptr(at.cast()) }.load(Ordering::SeqCst))
                }
                #[inline(always)]
                unsafe fn store(at: *mut u8, value: Self) {
                    use core::sync::atomic::$atomic;
                    // SAFETY: the caller's.
                    unsafe { $atomic::from_ptr(at.cast()) }.store(value.to_le(), Ordering::SeqCst);
                }
                #[inline(always)]
                unsafe fn exchange_if(at: *mut u8, expected: Self, new: Self) -> Self {
                    use core::sync::atomic::$atomic;
                    // SAFETY: the caller's.
                    let result = unsafe { $atomic::from_ptr(at.cast()) }.compare_exchange(
                        expected.to_le(),
                        new.to_le(),
                        Ordering::SeqCst,
                        Ordering::SeqCst,
                    );
                    match result {
                        Ok(old) | Err(old) => <$ty>::from_le(old),
                    }
                }
                #[inline(always)]
                unsafe fn update<O: Modify>(at: *mut u8, operand: Self) -> Self {
                    use core::sync::atomic::$atomic;
                    // SAFETY: the caller's.
                    let atomic = unsafe { $atomic::from_ptr(at.cast()) };
                    let little = operand.to_le();
                    const ORDER: Ordering = Ordering::SeqCst;
                    let old = match O::KIND {
                        // Bits do not care for the order of bytes.
                        Modification::And => atomic.fetch_and(little, ORDER),
                        Modification::Or => atomic.fetch_or(little, ORDER),
                        Modification::Xor => atomic.fetch_xor(little, ORDER),
                        Modification::Exchange => atomic.swap(little, ORDER),
                        Modification::Add if cfg!(target_endian = "little") => {
                            atomic.fetch_add(little, ORDER)
                        }
                        Modification::Sub if cfg!(target_endian = "little") => {
                            atomic.fetch_sub(little, ORDER)
                        }
                        kind => {
                            let mut old = atomic.load(ORDER);
                            loop {
                                let value = <$ty>::from_le(old);
                                let new = match kind {
                                    Modification::Add => value.wrapping_add(operand),
                                    _ => value.wrapping_sub(operand),
                                };
                                match atomic.compare_exchange_weak(old, new.to_le(), ORDER, ORDER) {
                                    Ok(_) => break old,
                                    Err(now) => old = now,
                                }
                            }
                        }
                    };
                    <$ty>::from_le(old)
                }
            }
        )*
    };
}

atoms! {
    u8, AtomicU8, "8";
    u16, AtomicU16, "16";
    u32, AtomicU32, "32";
    u64, AtomicU64, "64";
}

/// Machines without 64-bit atomics: one lock for all accesses of that width.
#[cfg(not(target_has_atomic = "64"))]
mod locked {
    use super::{Atom, Modification, Modify};
    use crate::access::Raw;
    use core::sync::atomic::{AtomicBool, Ordering};

    static LOCK: AtomicBool = AtomicBool::new(false);

    fn locked<R>(f: impl FnOnce() -> R) -> R {
        while LOCK.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        let result = f();
        LOCK.store(false, Ordering::Release);
        result
    }

    impl Atom for u64 {
        fn widen(self) -> u64 {
            self
        }
        fn narrow(value: u64) -> Self {
            value
        }
        unsafe fn load(at: *mut u8) -> Self {
            // SAFETY: the caller's.
            locked(|| unsafe { u64::fetch(at, 0) })
        }
        unsafe fn store(at: *mut u8, value: Self) {
            // SAFETY: the caller's.
            locked(|| unsafe { value.put(at, 0) });
        }
        unsafe fn exchange_if(at: *mut u8, expected: Self, new: Self) -> Self {
            locked(|| {
                // SAFETY: the caller's.
                let old = unsafe { u64::fetch(at, 0) };
                if old == expected {
                    // SAFETY: the caller's.
                    unsafe { new.put(at, 0) };
                }
                old
            })
        }
        unsafe fn update<O: Modify>(at: *mut u8, operand: Self) -> Self {
            locked(|| {
                // SAFETY: the caller's.
                let old = unsafe { u64::fetch(at, 0) };
                let new = match O::KIND {
                    Modification::Add => old.wrapping_add(operand),
                    Modification::Sub => old.wrapping_sub(operand),
                    Modification::And => old & operand,
                    Modification::Or => old | operand,
                    Modification::Xor => old ^ operand,
                    Modification::Exchange => operand,
                };
                // SAFETY: the caller's.
                unsafe { new.put(at, 0) };
                old
            })
        }
    }
}

/// Where an atomic access is. Operands from 1 on: the index, the place, the
/// offset.
///
/// # Safety
///
/// As for a handler.
#[inline(always)]
unsafe fn aligned(r: &Regs, width: usize) -> Result<*mut u8, Trap> {
    // SAFETY: the caller's.
    unsafe {
        let offset = r.wide(3);
        // Only the low bits matter, so the sum may wrap.
        let low = r.get::<u64>(1).wrapping_add(offset);
        if !low.is_multiple_of(width as u64) {
            return Err(Trap::HeapMisaligned);
        }
        match locate(r, 1, 2, offset, width as u64) {
            Some((base, at)) => Ok(base.wrapping_add(at)),
            None => Err(Trap::MemoryOutOfBounds),
        }
    }
}

/// The index plus the offset, which the runtime checks; all ones when the sum
/// wraps, which is out of bounds of any memory.
///
/// # Safety
///
/// As for a handler.
#[inline(always)]
unsafe fn effective(r: &Regs) -> Option<u64> {
    // SAFETY: the caller's.
    unsafe {
        let is_wide = Place::from_word(r.word(2)).is_wide();
        r.index(1, is_wide).checked_add(r.wide(3))
    }
}

handlers! {
    /// Operands: the result, the index, the place, the offset.
    fn atomic_load[T: Atom](r) {
        match aligned(&r, size_of::<T>()) {
            Ok(at) => {
                r.set(0, T::load(at).widen());
                r.next(5)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Operands: the value, the index, the place, the offset.
    fn atomic_store[T: Atom](r) {
        match aligned(&r, size_of::<T>()) {
            Ok(at) => {
                T::store(at, T::narrow(r.get(0)));
                r.next(5)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Operands: the result, the index, the place, the offset, the operand.
    fn atomic_update[O: Modify, T: Atom](r) {
        match aligned(&r, size_of::<T>()) {
            Ok(at) => {
                r.set(0, T::update::<O>(at, T::narrow(r.get(5))).widen());
                r.next(6)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Operands: the result, the index, the place, the offset, what is expected,
    /// what replaces it. Both are wrapped to the width.
    fn atomic_exchange_if[T: Atom](r) {
        match aligned(&r, size_of::<T>()) {
            Ok(at) => {
                let (expected, new) = (T::narrow(r.get(5)), T::narrow(r.get(6)));
                r.set(0, T::exchange_if(at, expected, new).widen());
                r.next(7)
            }
            Err(trap) => r.trap(trap),
        }
    }

    fn atomic_fence(r) {
        fence(Ordering::SeqCst);
        r.next(0)
    }

    /// Operands: the result, the index, the place, the offset, the count, the
    /// memory.
    fn atomic_notify(r) {
        let Some(at) = effective(&r) else {
            return r.trap(Trap::MemoryOutOfBounds);
        };
        builtin!(r, memory_atomic_notify(r.word(6), at, r.get(5)), 7, |woken| r.set(0, woken))
    }

    /// Operands: the result, the index, the place, the offset, what is expected,
    /// the timeout, the memory.
    fn atomic_wait32(r) {
        let Some(at) = effective(&r) else {
            return r.trap(Trap::MemoryOutOfBounds);
        };
        builtin!(
            r,
            memory_atomic_wait32(r.word(7), at, r.get(5), r.get(6)),
            8,
            |outcome| r.set(0, outcome)
        )
    }

    fn atomic_wait64(r) {
        let Some(at) = effective(&r) else {
            return r.trap(Trap::MemoryOutOfBounds);
        };
        builtin!(
            r,
            memory_atomic_wait64(r.word(7), at, r.get(5), r.get(6)),
            8,
            |outcome| r.set(0, outcome)
        )
    }
}

const _: () = assert!(<u64 as Value>::IMMEDIATE == 2);
