//! How do values and control move? Copies, constants, branches, returns, meters.
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).

use core::sync::atomic::Ordering;

use portable_atomic::AtomicU64;
use tepui_abi::layout::{ContextHeader, ContextLayout, StoreLayout};
use tepui_abi::{Target, Trap};

use super::{builtin, handlers};
use crate::code::Place;
use crate::dispatch::{Ctx, Regs, Signal};
use crate::state::header;
use crate::value::{Dest, Source, Stored, V128, Value, slot};

const TARGET: Target = Target::host();
const STORE: StoreLayout = StoreLayout::new(TARGET);

/// Leaves the frame; the results are in the area.
///
/// # Safety
///
/// As for a handler.
#[inline(always)]
pub(super) unsafe fn leave(mut r: Regs) -> Signal {
    // SAFETY: the caller's; every frame has a header.
    unsafe {
        let header = header(r.fp);
        r.ip = (*header).ip;
        r.fp = (*header).fp;
        r.go()
    }
}

/// The store context.
///
/// # Safety
///
/// `ctx` is a live context.
#[inline(always)]
unsafe fn store_context(ctx: Ctx) -> *mut u8 {
    const OFFSET: u32 = ContextHeader::new(TARGET).store_context();
    // SAFETY: every context begins with this pointer.
    unsafe { ctx.add(OFFSET as usize).cast::<*mut u8>().read() }
}

handlers! {
    /// Makes `count` slots zero. Operands: the first slot, the count.
    fn zero(r) {
        let first = slot(r.fp, r.place(0));
        for i in 0..r.word(1) as usize {
            first.add(i).write(0);
        }
        r.next(2)
    }

    /// Makes a few slots zero. Operand: the first.
    fn zero_few[const COUNT: usize](r) {
        let first = slot(r.fp, r.place(0));
        for i in 0..COUNT {
            first.add(i).write(0);
        }
        r.next(1)
    }

    /// Operands: to, from.
    fn copy(r) {
        r.set(0, r.get::<u64>(1));
        r.next(2)
    }

    /// Two copies, one after the other.
    fn copy2(r) {
        r.set(0, r.get::<u64>(1));
        r.set(2, r.get::<u64>(3));
        r.next(4)
    }

    /// Three copies, one after the other.
    fn copy3(r) {
        r.set(0, r.get::<u64>(1));
        r.set(2, r.get::<u64>(3));
        r.set(4, r.get::<u64>(5));
        r.next(6)
    }

    /// Two constants are added to slots, one after the other: to what and the
    /// constant and where to, of each.
    fn add_twice(r) {
        let first = r.get::<u32>(0).wrapping_add(r.word(1));
        r.set(2, first);
        let second = r.get::<u32>(3).wrapping_add(r.word(4));
        r.give::<Stored, _>(5, second);
        r.next(6)
    }

    fn copy_wide(r) {
        r.set(0, r.get::<V128>(1));
        r.next(2)
    }

    /// A number below 2^32.
    fn constant32(r) {
        r.set(0, u64::from(r.word(1)));
        r.next(2)
    }

    fn constant64(r) {
        r.set(0, r.wide(1));
        r.next(3)
    }

    fn constant128(r) {
        r.set(0, r.constant::<V128>(1));
        r.next(5)
    }

    /// Operands: the condition, the values, the result.
    fn select[C: Source, D: Dest](r) {
        let at = C::words::<u32>();
        let (a, b): (u64, u64) = (r.get(at), r.get(at + 1));
        let value = if C::take::<u32>(&r, 0) != 0 { a } else { b };
        r.give::<D, _>(at + 2, value);
        r.next(at + 2 + D::WORDS)
    }

    /// Operands: the result, the condition, the values.
    fn select_wide(r) {
        let (a, b): (V128, V128) = (r.get(2), r.get(3));
        r.set(0, if r.get::<u32>(1) != 0 { a } else { b });
        r.next(4)
    }

    /// Whether the whole slot is zero. Operands: the result, the slot.
    fn is_null(r) {
        r.give::<Stored, _>(0, u32::from(r.get::<u64>(1) == 0));
        r.next(2)
    }

    fn non_null(r) {
        if r.get::<u64>(0) == 0 {
            r.trap(Trap::NullReference)
        } else {
            r.next(1)
        }
    }

    fn jump(r) {
        r.branch(0)
    }

    /// Operands: the condition, the target.
    fn branch_if_not_zero[A: Source](r) {
        let target = A::words::<u32>();
        if A::take::<u32>(&r, 0) != 0 {
            r.branch(target)
        } else {
            r.next(target + 1)
        }
    }

    fn branch_if_zero[A: Source](r) {
        let target = A::words::<u32>();
        if A::take::<u32>(&r, 0) == 0 {
            r.branch(target)
        } else {
            r.next(target + 1)
        }
    }

    /// The same for a whole slot.
    fn branch_if_set(r) {
        if r.get::<u64>(0) != 0 { r.branch(1) } else { r.next(2) }
    }

    fn branch_if_null(r) {
        if r.get::<u64>(0) == 0 { r.branch(1) } else { r.next(2) }
    }

    /// Operands: the selector, the number of targets before the last, the
    /// targets.
    fn branch_table(r) {
        let selector = r.get::<u32>(0).min(r.word(1));
        r.branch(2 + selector as usize)
    }

    fn unreachable(r) {
        r.trap(Trap::UnreachableCodeReached)
    }

    /// A memory access that can never be inside.
    fn out_of_bounds(r) {
        r.trap(Trap::MemoryOutOfBounds)
    }

    fn return_(r) {
        leave(r)
    }

    // Functions with one number or reference as their result leave it at hand too.

    /// Returns one value. Operands: the slot, its place in the area.
    fn return_slot[V: Value](r) {
        r.give::<Stored, _>(1, r.get::<V>(0));
        leave(r)
    }

    /// Returns one value. Operands: the value, its place in the area.
    fn return_constant[V: Value](r) {
        r.give::<Stored, _>(V::IMMEDIATE, r.constant::<V>(0));
        leave(r)
    }

    // Globals. Operands: the place, the slot.

    fn global_get32[D: Dest](r) {
        let at = Place::from_word(r.word(0)).resolve(r.ctx);
        r.give::<D, _>(1, at.cast::<u32>().read());
        r.next(1 + D::WORDS)
    }

    fn global_get64[D: Dest](r) {
        let at = Place::from_word(r.word(0)).resolve(r.ctx);
        r.give::<D, _>(1, at.cast::<u64>().read());
        r.next(1 + D::WORDS)
    }

    // Operands: the slot, the place.

    fn global_get128(r) {
        let at = Place::from_word(r.word(1)).resolve(r.ctx);
        r.set(0, at.cast::<V128>().read());
        r.next(2)
    }

    // Operands: the value, the place.

    fn global_set32[A: Source](r) {
        let words = A::words::<u32>();
        let at = Place::from_word(r.word(words)).resolve(r.ctx);
        at.cast::<u32>().write(A::take::<u32>(&r, 0));
        r.next(words + 1)
    }

    fn global_set64[A: Source](r) {
        let words = A::words::<u64>();
        let at = Place::from_word(r.word(words)).resolve(r.ctx);
        at.cast::<u64>().write(A::take::<u64>(&r, 0));
        r.next(words + 1)
    }

    // Operands: the slot, the place.

    fn global_set128(r) {
        let at = Place::from_word(r.word(1)).resolve(r.ctx);
        at.cast::<V128>().write(r.get(0));
        r.next(2)
    }

    // References.

    /// A reference that lies in the context. Operands: the result, the offset.
    fn ref_in_context(r) {
        let reference = r.ctx.add(r.word(1) as usize);
        slot(r.fp, r.place(0)).write(0);
        pointer_slot(r.fp, r.place(0)).write(reference);
        r.next(2)
    }

    /// A reference that the context points to.
    fn ref_imported(r) {
        let reference = r.ctx.add(r.word(1) as usize).cast::<*mut u8>().read();
        slot(r.fp, r.place(0)).write(0);
        pointer_slot(r.fp, r.place(0)).write(reference);
        r.next(2)
    }

    // Meters.

    /// Charges what the operand says.
    fn charge(r) {
        let fuel = store_context(r.ctx).add(STORE.fuel() as usize).cast::<i64>();
        fuel.write(fuel.read().wrapping_add(i64::from(r.word(0))));
        r.next(1)
    }

    fn check_fuel(r) {
        let fuel = store_context(r.ctx).add(STORE.fuel() as usize).cast::<i64>();
        if fuel.read() <= 0 {
            return r.next(0);
        }
        builtin!(r, out_of_fuel(), 0)
    }

    fn check_epoch(r) {
        const EPOCH: usize = EPOCH_OFFSET as usize;
        let epoch = r.ctx.add(EPOCH).cast::<*mut u64>().read();
        let now = AtomicU64::from_ptr(epoch).load(Ordering::Relaxed);
        let deadline = store_context(r.ctx)
            .add(STORE.epoch_deadline() as usize)
            .cast::<u64>();
        if now < deadline.read() {
            return r.next(0);
        }
        builtin!(r, new_epoch(), 0, |new| deadline.write(new))
    }
}

/// Where contexts point to the epoch counter.
const EPOCH_OFFSET: u32 = ContextLayout::epoch_on(TARGET);

/// A slot as a pointer: in its low bytes, whatever the byte order.
#[inline(always)]
pub(super) fn pointer_slot(fp: crate::dispatch::Fp, place: i32) -> *mut *mut u8 {
    let at = slot(fp, place).cast::<u8>();
    let skip = if cfg!(target_endian = "big") {
        8 - size_of::<usize>()
    } else {
        0
    };
    at.wrapping_add(skip).cast()
}
