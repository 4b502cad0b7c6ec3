//! How are memories read and written? Loads, stores, sizes, bulk instructions.
//!
//! This file holds unsafe code under the invariants of [`handlers`](super), and
//! checks the bounds that `access` relies on.
//!
//! Accesses to memory 0 with 32-bit indices use the registers that hold it; all
//! others look at the definition. A length in the register may be out of date
//! where threads share the memory: an access that is out of bounds looks again.

use tepui_abi::Trap;

use super::{builtin, handlers};
use crate::access::Raw;
use crate::code::Place;
use crate::dispatch::{Ctx, Fp, Ip, Regs, Signal};
use crate::simd::{Lanes, lanes};
use crate::state::{State, definition};
use crate::value::{Source, V128, Value};

/// A load: what is read, and what becomes of it.
pub(crate) trait Load {
    type R: Value;
    const WIDTH: usize;
    /// # Safety
    ///
    /// `WIDTH` bytes at `base + index` lie in a memory.
    unsafe fn load(base: *const u8, index: usize) -> Self::R;
}

/// A store.
pub(crate) trait Store {
    type A: Value;
    const WIDTH: usize;
    /// # Safety
    ///
    /// As for [`Load::load`].
    unsafe fn store(base: *mut u8, index: usize, value: Self::A);
}

macro_rules! loads {
    ($($op:ident: $raw:ty => $result:ty, |$value:ident| $convert:expr;)*) => {
        $(pub(crate) struct $op;
        impl Load for $op {
            type R = $result;
            const WIDTH: usize = size_of::<$raw>();
            #[inline(always)]
            unsafe fn load(base: *const u8, index: usize) -> $result {
                // SAFETY: the caller's.
                let $value = unsafe { <$raw>::fetch(base, index) };
                $convert
            }
        })*
    };
}

macro_rules! stores {
    ($($op:ident: $value:ty => $raw:ty, |$from:ident| $convert:expr;)*) => {
        $(pub(crate) struct $op;
        impl Store for $op {
            type A = $value;
            const WIDTH: usize = size_of::<$raw>();
            #[inline(always)]
            unsafe fn store(base: *mut u8, index: usize, $from: $value) {
                // SAFETY: the caller's.
                unsafe { <$raw>::put($convert, base, index) }
            }
        })*
    };
}

loads! {
    Load32: u32 => u32, |v| v;
    Load64: u64 => u64, |v| v;
    LoadF32: u32 => f32, |v| f32::from_bits(v);
    LoadF64: u64 => f64, |v| f64::from_bits(v);
    Load8S32: u8 => i32, |v| i32::from(v as i8);
    Load8U32: u8 => u32, |v| u32::from(v);
    Load16S32: u16 => i32, |v| i32::from(v as i16);
    Load16U32: u16 => u32, |v| u32::from(v);
    Load8S64: u8 => i64, |v| i64::from(v as i8);
    Load16S64: u16 => i64, |v| i64::from(v as i16);
    Load32S64: u32 => i64, |v| i64::from(v as i32);
    Load8x8S: u64 => V128, |v| v.to_le_bytes().map(|x| i16::from(x as i8)).vector();
    Load8x8U: u64 => V128, |v| v.to_le_bytes().map(u16::from).vector();
    Load16x4S: u64 => V128, |v| quarters(v).map(|x| i32::from(x as i16)).vector();
    Load16x4U: u64 => V128, |v| quarters(v).map(u32::from).vector();
    Load32x2S: u64 => V128, |v| [v as u32, (v >> 32) as u32].map(|x| i64::from(x as i32)).vector();
    Load32x2U: u64 => V128, |v| [v as u32, (v >> 32) as u32].map(u64::from).vector();
    Load8Splat: u8 => V128, |v| [v; 16].vector();
    Load16Splat: u16 => V128, |v| [v; 8].vector();
    Load32Splat: u32 => V128, |v| [v; 4].vector();
    Load64Splat: u64 => V128, |v| [v; 2].vector();
    Load32Zero: u32 => V128, |v| [v, 0, 0, 0].vector();
    Load64Zero: u64 => V128, |v| [v, 0].vector();
}

stores! {
    Store32: u32 => u32, |v| v;
    Store64: u64 => u64, |v| v;
    Store8: u32 => u8, |v| v as u8;
    Store16: u32 => u16, |v| v as u16;
    StoreF32: f32 => u32, |v| v.to_bits();
    StoreF64: f64 => u64, |v| v.to_bits();
}

fn quarters(v: u64) -> [u16; 4] {
    [
        v as u16,
        (v >> 16) as u16,
        (v >> 32) as u16,
        (v >> 48) as u16,
    ]
}

/// A whole vector.
pub(crate) struct Load128;
impl Load for Load128 {
    type R = V128;
    const WIDTH: usize = 16;
    #[inline(always)]
    unsafe fn load(base: *const u8, index: usize) -> V128 {
        // SAFETY: the caller's.
        unsafe { [u64::fetch(base, index), u64::fetch(base, index + 8)].vector() }
    }
}

/// A whole vector.
pub(crate) struct Store128;
impl Store for Store128 {
    type A = V128;
    const WIDTH: usize = 16;
    #[inline(always)]
    unsafe fn store(base: *mut u8, index: usize, value: V128) {
        let [low, high] = <[u64; 2]>::of(value);
        // SAFETY: the caller's.
        unsafe {
            low.put(base, index);
            high.put(base, index + 8);
        }
    }
}

/// A lane of a vector, for loads and stores of one.
pub(crate) trait Lane: Raw {
    fn replaced(vector: V128, lane: usize, value: Self) -> V128;
    fn extracted(vector: V128, lane: usize) -> Self;
}

macro_rules! lane {
    ($($ty:ty, $count:literal;)*) => {
        $(impl Lane for $ty {
            #[inline(always)]
            fn replaced(vector: V128, lane: usize, value: $ty) -> V128 {
                lanes::replaced::<$ty, $count>(vector, lane, value)
            }
            #[inline(always)]
            fn extracted(vector: V128, lane: usize) -> $ty {
                <[$ty; $count]>::of(vector)[lane % $count]
            }
        })*
    };
}

lane! {
    u8, 16;
    u16, 8;
    u32, 4;
    u64, 2;
}

impl Regs {
    /// The length of memory 0 when it was last looked at.
    ///
    /// # Safety
    ///
    /// The registers are those of a handler.
    #[inline(always)]
    unsafe fn length(&self) -> usize {
        // SAFETY: the state of the run.
        unsafe { (*self.state).len }
    }
}

/// Where an access to memory 0 is, if it is inside: an index from the base.
#[inline(always)]
fn inside(len: usize, index: u32, offset: u32, width: usize) -> Option<usize> {
    let at = u64::from(index) + u64::from(offset);
    // Compared in 64 bits, where nothing wraps.
    (at + width as u64 <= len as u64).then_some(at as usize)
}

/// An access to memory 0 was outside of the length in the register: looks
/// again, and does the instruction again or traps.
#[cold]
#[inline(never)]
unsafe extern "C" fn outside(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    // SAFETY: called by handlers with their registers.
    unsafe {
        let before = (*state).len;
        let r = Regs {
            ip,
            fp,
            mem,
            ctx,
            state,
            acc,
            float,
        }
        .reloaded();
        if (*state).len > before {
            r.go()
        } else {
            r.trap(Trap::MemoryOutOfBounds)
        }
    }
}

/// Where an access to any memory is, if it is inside: base and index from it.
///
/// # Safety
///
/// As for a handler; the operands are a slot and a place.
#[inline(always)]
pub(super) unsafe fn locate(
    r: &Regs,
    index: usize,
    place: usize,
    offset: u64,
    width: u64,
) -> Option<(*mut u8, usize)> {
    // SAFETY: the caller's.
    unsafe {
        let place = Place::from_word(r.word(place));
        let at = r.index(index, place.is_wide()).checked_add(offset)?;
        let (base, length) = definition(place.resolve(r.ctx));
        (at.checked_add(width)? <= length as u64).then_some((base, at as usize))
    }
}

handlers! {
    // Memory 0. Operands: the result, the index, the offset.

    fn load[L: Load, A: Source](r) {
        let words = A::words::<u32>();
        match inside(r.length(), A::take(&r, 1), r.word(1 + words), L::WIDTH) {
            Some(at) => {
                r.give(0, L::load(r.mem, at));
                r.next(2 + words)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// With a constant address. Operands: the result, the address.
    fn load_at[L: Load](r) {
        match inside(r.length(), 0, r.word(1), L::WIDTH) {
            Some(at) => {
                r.give(0, L::load(r.mem, at));
                r.next(2)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// Operands: the offset, the index, the value.
    fn store[S: Store, A: Source, B: Source](r) {
        let words = A::words::<u32>();
        match inside(r.length(), A::take(&r, 1), r.word(0), S::WIDTH) {
            Some(at) => {
                S::store(r.mem, at, B::take(&r, 1 + words));
                r.next(1 + words + B::words::<S::A>())
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// At a constant address. Operands: the address, the value.
    fn store_at[S: Store, B: Source](r) {
        match inside(r.length(), 0, r.word(0), S::WIDTH) {
            Some(at) => {
                S::store(r.mem, at, B::take(&r, 1));
                r.next(1 + B::words::<S::A>())
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    // Any memory. Operands: the result, the index, the place, the offset.

    fn load_any[L: Load](r) {
        match locate(&r, 1, 2, r.wide(3), L::WIDTH as u64) {
            Some((base, at)) => {
                r.set(0, L::load(base, at));
                r.next(5)
            }
            None => r.trap(Trap::MemoryOutOfBounds),
        }
    }

    /// Operands: the value, the index, the place, the offset.
    fn store_any[S: Store](r) {
        match locate(&r, 1, 2, r.wide(3), S::WIDTH as u64) {
            Some((base, at)) => {
                S::store(base, at, r.get(0));
                r.next(5)
            }
            None => r.trap(Trap::MemoryOutOfBounds),
        }
    }

    /// Operands: the result, the index, the place, the offset, the vector, the
    /// lane.
    fn load_lane[T: Lane](r) {
        match locate(&r, 1, 2, r.wide(3), size_of::<T>() as u64) {
            Some((base, at)) => {
                let value = T::fetch(base, at);
                r.set(0, T::replaced(r.get(5), r.word(6) as usize, value));
                r.next(7)
            }
            None => r.trap(Trap::MemoryOutOfBounds),
        }
    }

    /// Operands: the vector, the index, the place, the offset, the lane.
    fn store_lane[T: Lane](r) {
        match locate(&r, 1, 2, r.wide(3), size_of::<T>() as u64) {
            Some((base, at)) => {
                T::extracted(r.get(0), r.word(5) as usize).put(base, at);
                r.next(6)
            }
            None => r.trap(Trap::MemoryOutOfBounds),
        }
    }

    // Sizes and bulk instructions.

    /// Operands: the result, the place, the page size's logarithm.
    fn memory_size(r) {
        let (_, length) = definition(Place::from_word(r.word(1)).resolve(r.ctx));
        let pages = length as u64 >> r.word(2);
        let pages = if Place::from_word(r.word(1)).is_wide() { pages } else { u64::from(pages as u32) };
        r.set(0, pages);
        r.next(3)
    }

    /// Operands: the result, the pages, the memory, whether indices are wide.
    fn memory_grow(r) {
        let is_wide = r.word(3) != 0;
        builtin!(r, memory_grow(r.index(1, is_wide), r.word(2)), 4, |old| {
            r.set(0, if is_wide { old } else { u64::from(old as u32) });
        })
    }

    /// Operands: where to, where from, how much; the memories; whether their
    /// indices are wide.
    fn memory_copy(r) {
        let (to_wide, from_wide) = (r.word(5) != 0, r.word(6) != 0);
        builtin!(
            r,
            memory_copy(
                r.word(3),
                r.word(4),
                r.index(0, to_wide),
                r.index(1, from_wide),
                r.index(2, to_wide && from_wide)
            ),
            7)
    }

    /// Operands: where to, the byte, how much; the memory; whether its indices
    /// are wide.
    fn memory_fill(r) {
        let is_wide = r.word(4) != 0;
        builtin!(
            r,
            memory_fill(r.word(3), r.index(0, is_wide), r.get(1), r.index(2, is_wide)),
            5)
    }

    /// Operands: where to, where from, how much; the memory, the segment;
    /// whether indices are wide.
    fn memory_init(r) {
        let is_wide = r.word(5) != 0;
        builtin!(
            r,
            memory_init(r.word(3), r.word(4), r.index(0, is_wide), r.get(1), r.get(2)),
            6)
    }

    fn data_drop(r) {
        builtin!(r, data_drop(r.word(0)), 1)
    }
}
