//! How are numbers computed? Operands from slots or from the instruction, the
//! result to a slot; comparisons that branch.
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).
//!
//! Operands: the operands in order, then the result's slot.

use super::handlers;
use crate::ops::{Binary, Compare, Ternary, TryBinary, TryUnary, Unary};
use crate::value::{Dest, Source, Stored, V128};

handlers! {
    fn unary[O: Unary, A: Source, D: Dest](r) {
        let words = A::words::<O::A>();
        let a = A::take::<O::A>(&r, 0);
        r.give::<D, _>(words, O::apply(a));
        r.next(words + D::WORDS)
    }

    fn binary[O: Binary, A: Source, B: Source, D: Dest](r) {
        let words = A::words::<O::A>() + B::words::<O::B>();
        let a = A::take::<O::A>(&r, 0);
        let b = B::take::<O::B>(&r, A::words::<O::A>());
        r.give::<D, _>(words, O::apply(a, b));
        r.next(words + D::WORDS)
    }

    fn ternary[O: Ternary](r) {
        let (a, b, c) = (r.get::<V128>(0), r.get::<V128>(1), r.get::<V128>(2));
        r.set(3, O::apply(a, b, c));
        r.next(4)
    }

    fn try_unary[O: TryUnary](r) {
        match O::apply(r.get::<O::A>(0)) {
            Ok(value) => {
                r.give::<Stored, _>(1, value);
                r.next(2)
            }
            Err(trap) => r.trap(trap),
        }
    }

    fn try_binary[O: TryBinary, A: Source, B: Source, D: Dest](r) {
        let words = A::words::<O::A>() + B::words::<O::A>();
        let a = A::take::<O::A>(&r, 0);
        let b = B::take::<O::A>(&r, A::words::<O::A>());
        match O::apply(a, b) {
            Ok(value) => {
                r.give::<D, _>(words, value);
                r.next(words + D::WORDS)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Branches when the comparison is `WHEN`. Operands: those of the
    /// comparison, the target.
    fn branch[C: Compare, A: Source, B: Source, const WHEN: bool](r) {
        let a = A::take::<C::A>(&r, 0);
        let b = B::take::<C::A>(&r, A::words::<C::A>());
        let target = A::words::<C::A>() + B::words::<C::A>();
        if C::test(a, b) == WHEN {
            r.branch(target)
        } else {
            r.next(target + 1)
        }
    }

    /// Operands: two slots for the result, two for each operand.
    fn add128(r) {
        let (a, b) = (pair(r.get(2), r.get(3)), pair(r.get(4), r.get(5)));
        let sum = a.wrapping_add(b);
        r.set(0, sum as u64);
        r.set(1, (sum >> 64) as u64);
        r.next(6)
    }

    fn sub128(r) {
        let (a, b) = (pair(r.get(2), r.get(3)), pair(r.get(4), r.get(5)));
        let difference = a.wrapping_sub(b);
        r.set(0, difference as u64);
        r.set(1, (difference >> 64) as u64);
        r.next(6)
    }

    fn mul_wide_s(r) {
        let (a, b): (i64, i64) = (r.get(2), r.get(3));
        let product = i128::from(a) * i128::from(b);
        r.set(0, product as u64);
        r.set(1, (product >> 64) as u64);
        r.next(4)
    }

    fn mul_wide_u(r) {
        let (a, b): (u64, u64) = (r.get(2), r.get(3));
        let product = u128::from(a) * u128::from(b);
        r.set(0, product as u64);
        r.set(1, (product >> 64) as u64);
        r.next(4)
    }
}

#[inline(always)]
fn pair(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}
