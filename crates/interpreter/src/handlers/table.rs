//! How are tables accessed?
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).
//!
//! Elements of function tables are pointers, those of others 32-bit ids.

use tepui_abi::Trap;

use super::memory::unspeculated;
use super::{builtin, handlers};
use crate::code::Place;
use crate::dispatch::Regs;
use crate::state::definition;

/// How an element lies in its table.
pub(crate) trait Element {
    /// # Safety
    ///
    /// Element `index` exists.
    unsafe fn get(base: *const u8, index: usize) -> u64;
    /// # Safety
    ///
    /// Element `index` exists.
    unsafe fn set(base: *mut u8, index: usize, value: u64);
}

/// A function reference.
pub(crate) struct Pointer;
/// Any other reference.
pub(crate) struct Id;

impl Element for Pointer {
    #[inline(always)]
    unsafe fn get(base: *const u8, index: usize) -> u64 {
        // SAFETY: the caller's.
        unsafe { base.cast::<usize>().add(index).read() as u64 }
    }
    #[inline(always)]
    unsafe fn set(base: *mut u8, index: usize, value: u64) {
        // SAFETY: the caller's.
        unsafe { base.cast::<usize>().add(index).write(value as usize) }
    }
}

impl Element for Id {
    #[inline(always)]
    unsafe fn get(base: *const u8, index: usize) -> u64 {
        // SAFETY: the caller's.
        unsafe { u64::from(base.cast::<u32>().add(index).read()) }
    }
    #[inline(always)]
    unsafe fn set(base: *mut u8, index: usize, value: u64) {
        // SAFETY: the caller's.
        unsafe { base.cast::<u32>().add(index).write(value as u32) }
    }
}

/// The base of the table at the place in operand `place`, and the index in the
/// slot of operand `index`, if it is inside.
///
/// # Safety
///
/// As for a handler.
#[inline(always)]
pub(super) unsafe fn element(r: &Regs, index: usize, place: usize) -> Option<(*mut u8, usize)> {
    // SAFETY: the caller's.
    unsafe {
        let place = Place::from_word(r.word(place));
        let index = r.index(index, place.is_wide());
        let (base, length) = definition(place.resolve(r.ctx));
        (index < length as u64).then(|| {
            let room = (length as u64 - 1).wrapping_sub(index);
            (base, unspeculated(index, room) as usize)
        })
    }
}

handlers! {
    /// Operands: the result, the index, the place.
    fn table_get[E: Element](r) {
        match element(&r, 1, 2) {
            Some((base, index)) => {
                r.set(0, E::get(base, index));
                r.next(3)
            }
            None => r.trap(Trap::TableOutOfBounds),
        }
    }

    /// Operands: the value, the index, the place.
    fn table_set[E: Element](r) {
        match element(&r, 1, 2) {
            Some((base, index)) => {
                E::set(base, index, r.get(0));
                r.next(3)
            }
            None => r.trap(Trap::TableOutOfBounds),
        }
    }

    /// Operands: the result, the place.
    fn table_size(r) {
        let (_, length) = definition(Place::from_word(r.word(1)).resolve(r.ctx));
        r.set(0, length as u64);
        r.next(2)
    }

    /// Operands: the result, the value, how many; the table; whether its indices
    /// are wide.
    fn table_grow(r) {
        let is_wide = r.word(4) != 0;
        builtin!(r, table_grow(r.word(3), r.get(1), r.index(2, is_wide)), 5, |old| {
            r.set(0, if is_wide { old } else { u64::from(old as u32) });
        })
    }

    /// Operands: where to, the value, how many; the table; whether its indices
    /// are wide.
    fn table_fill(r) {
        let is_wide = r.word(4) != 0;
        builtin!(
            r,
            table_fill(r.word(3), r.index(0, is_wide), r.get(1), r.index(2, is_wide)),
            5)
    }

    /// Operands: where to, where from, how many; the tables; whether their
    /// indices are wide.
    fn table_copy(r) {
        let (to_wide, from_wide) = (r.word(5) != 0, r.word(6) != 0);
        builtin!(
            r,
            table_copy(
                r.word(3),
                r.word(4),
                r.index(0, to_wide),
                r.index(1, from_wide),
                r.index(2, to_wide && from_wide)
            ),
            7)
    }

    /// Operands: where to, where from, how many; the table, the segment; whether
    /// indices are wide.
    fn table_init(r) {
        let is_wide = r.word(5) != 0;
        builtin!(
            r,
            table_init(r.word(3), r.word(4), r.index(0, is_wide), r.get(1), r.get(2)),
            6)
    }

    fn elem_drop(r) {
        builtin!(r, elem_drop(r.word(0)), 1)
    }
}
