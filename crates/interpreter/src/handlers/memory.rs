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
use crate::access::{Checked, Site, Watched};
pub(crate) use crate::access::{
    Load, Load8S32, Load8S64, Load8U32, Load16S32, Load16S64, Load16U32, Load32, Load32S64, Load64,
    Load128, LoadF32, LoadF64, Raw, Store, Store8, Store16, Store32, Store64, Store128, StoreF32,
    StoreF64,
};
use crate::code::Place;
use crate::dispatch::{Ctx, Fp, Ip, Regs, Signal};
use crate::simd::{Lanes, lanes};
use crate::state::{State, definition};
use crate::value::{Dest, Source, V128};

macro_rules! loads {
    ($($op:ident: $from:ident => $result:ty, |$value:ident| $convert:expr;)*) => {
        $(pub(crate) struct $op;
        impl Load for $op {
            type R = $result;
            const WIDTH: usize = $from::WIDTH;
            #[inline(always)]
            unsafe fn load<S: Site>(site: S, base: *const u8, index: usize) -> $result {
                // SAFETY: the caller's.
                let $value = unsafe { $from::load(site, base, index) };
                $convert
            }
        })*
    };
}

loads! {
    Load8x8S: Load64 => V128, |v| v.to_le_bytes().map(|x| i16::from(x as i8)).vector();
    Load8x8U: Load64 => V128, |v| v.to_le_bytes().map(u16::from).vector();
    Load16x4S: Load64 => V128, |v| quarters(v).map(|x| i32::from(x as i16)).vector();
    Load16x4U: Load64 => V128, |v| quarters(v).map(u32::from).vector();
    Load32x2S: Load64 => V128, |v| [v as u32, (v >> 32) as u32].map(|x| i64::from(x as i32)).vector();
    Load32x2U: Load64 => V128, |v| [v as u32, (v >> 32) as u32].map(u64::from).vector();
    Load8Splat: Load8U32 => V128, |v| [v as u8; 16].vector();
    Load16Splat: Load16U32 => V128, |v| [v as u16; 8].vector();
    Load32Splat: Load32 => V128, |v| [v; 4].vector();
    Load64Splat: Load64 => V128, |v| [v; 2].vector();
    Load32Zero: Load32 => V128, |v| [v, 0, 0, 0].vector();
    Load64Zero: Load64 => V128, |v| [v, 0].vector();
}

fn quarters(v: u64) -> [u16; 4] {
    [
        v as u16,
        (v >> 16) as u16,
        (v >> 32) as u16,
        (v >> 48) as u16,
    ]
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

/// How accesses to memory 0 stay inside.
pub(crate) trait Bounds {
    type Site: Site;
    /// Where an access is: an index from the base, if it is not known to be
    /// outside.
    ///
    /// # Safety
    ///
    /// As for a handler.
    unsafe fn locate(r: &Regs, index: u32, offset: u32, width: usize) -> Option<usize>;
    fn site(r: &Regs) -> Self::Site;
}

/// By inaccessible addresses behind the memory, which reach as far as a 32-bit
/// index and the offset do.
pub(crate) struct Guarded;

/// By a comparison with the length.
pub(crate) struct Compared;

impl Bounds for Guarded {
    type Site = Watched;
    #[inline(always)]
    unsafe fn locate(_: &Regs, index: u32, offset: u32, _: usize) -> Option<usize> {
        Some(index as usize + offset as usize)
    }
    #[inline(always)]
    fn site(r: &Regs) -> Watched {
        Watched::new(r)
    }
}

impl Bounds for Compared {
    type Site = Checked;
    #[inline(always)]
    unsafe fn locate(r: &Regs, index: u32, offset: u32, width: usize) -> Option<usize> {
        let at = u64::from(index) + u64::from(offset);
        // In 64 bits nothing wraps: the difference is negative when outside.
        // SAFETY: the caller's.
        let room = unsafe { r.length() as u64 }.wrapping_sub(at + width as u64);
        (room as i64 >= 0).then(|| unspeculated(at, room) as usize)
    }
    #[inline(always)]
    fn site(_: &Regs) -> Checked {
        Checked
    }
}

/// The number `at`, but 0 where the processor is wrong about `room` not being
/// negative.
#[inline(always)]
pub(super) fn unspeculated(at: u64, room: u64) -> u64 {
    at & !((opaque(room) as i64 >> 63) as u64)
}

/// The same number, of which the optimizer knows nothing.
///
/// `black_box` takes the number's address: in a function that does, no call is a jump. So
/// it will not do where handlers reach one another by tail calls.
#[inline(always)]
fn opaque(mut value: u64) -> u64 {
    #[cfg(all(
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        ),
        not(miri)
    ))]
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(not(all(
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        ),
        not(miri)
    )))]
    {
        value = core::hint::black_box(value);
    }
    value
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
        let end = at.checked_add(width)?;
        // Both are less than 2^63 where it matters: no memory is larger.
        (end <= length as u64).then(|| {
            let at = unspeculated(at, (length as u64).wrapping_sub(end));
            (base, at as usize)
        })
    }
}

handlers! {
    // Memory 0. Operands: the index, the offset, the result.

    fn load[L: Load, A: Source, D: Dest, G: Bounds](r) {
        let words = A::words::<u32>();
        match G::locate(&r, A::take(&r, 0), r.word(words), L::WIDTH) {
            Some(at) => {
                let value = L::load(G::site(&r), r.mem, at);
                r.give::<D, _>(1 + words, value);
                r.next(1 + words + D::WORDS)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// With a constant address. Operands: the address, the result.
    fn load_at[L: Load, D: Dest, G: Bounds](r) {
        match G::locate(&r, 0, r.word(0), L::WIDTH) {
            Some(at) => {
                let value = L::load(G::site(&r), r.mem, at);
                r.give::<D, _>(1, value);
                r.next(1 + D::WORDS)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// Operands: the index, the value, the offset.
    fn store[S: Store, A: Source, B: Source, G: Bounds](r) {
        let value = A::words::<u32>();
        let offset = value + B::words::<S::A>();
        match G::locate(&r, A::take(&r, 0), r.word(offset), S::WIDTH) {
            Some(at) => {
                S::store(G::site(&r), r.mem, at, B::take(&r, value));
                r.next(offset + 1)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// Stores what an instruction computes that was fused into this one.
    /// Operands: the value, the index, the offset.
    fn store_value[S: Store, B: Source, G: Bounds](r) {
        let index = B::words::<S::A>();
        match G::locate(&r, r.get(index), r.word(index + 1), S::WIDTH) {
            Some(at) => {
                S::store(G::site(&r), r.mem, at, B::take(&r, 0));
                r.next(index + 2)
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    /// At a constant address. Operands: the address, the value.
    fn store_at[S: Store, B: Source, G: Bounds](r) {
        match G::locate(&r, 0, r.word(0), S::WIDTH) {
            Some(at) => {
                S::store(G::site(&r), r.mem, at, B::take(&r, 1));
                r.next(1 + B::words::<S::A>())
            }
            None => outside(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float),
        }
    }

    // Any memory. Operands: the result, the index, the place, the offset.

    fn load_any[L: Load](r) {
        match locate(&r, 1, 2, r.wide(3), L::WIDTH as u64) {
            Some((base, at)) => {
                r.set(0, L::load(Checked, base, at));
                r.next(5)
            }
            None => r.trap(Trap::MemoryOutOfBounds),
        }
    }

    /// Operands: the value, the index, the place, the offset.
    fn store_any[S: Store](r) {
        match locate(&r, 1, 2, r.wide(3), S::WIDTH as u64) {
            Some((base, at)) => {
                S::store(Checked, base, at, r.get(0));
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
