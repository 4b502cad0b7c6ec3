//! How are numbers computed? Operands from slots or from the instruction, the
//! result to a slot; comparisons that branch.
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).
//!
//! Operands: the result's slot, then the operands in order.

use super::handlers;
use crate::ops::{Binary, Compare, Ternary, TryBinary, TryUnary, Unary};
use crate::value::{V128, Value};

handlers! {
    fn unary[O: Unary](r) {
        let a = r.get::<O::A>(1);
        r.set(0, O::apply(a));
        r.next(2)
    }

    fn binary_ss[O: Binary](r) {
        let (a, b) = (r.get::<O::A>(1), r.get::<O::B>(2));
        r.set(0, O::apply(a, b));
        r.next(3)
    }

    fn binary_si[O: Binary](r) {
        let (a, b) = (r.get::<O::A>(1), r.constant::<O::B>(2));
        r.set(0, O::apply(a, b));
        r.next(2 + O::B::IMMEDIATE)
    }

    fn binary_is[O: Binary](r) {
        let (a, b) = (r.constant::<O::A>(1), r.get::<O::B>(1 + O::A::IMMEDIATE));
        r.set(0, O::apply(a, b));
        r.next(2 + O::A::IMMEDIATE)
    }

    fn ternary[O: Ternary](r) {
        let (a, b, c) = (r.get::<V128>(1), r.get::<V128>(2), r.get::<V128>(3));
        r.set(0, O::apply(a, b, c));
        r.next(4)
    }

    fn try_unary[O: TryUnary](r) {
        match O::apply(r.get::<O::A>(1)) {
            Ok(value) => {
                r.set(0, value);
                r.next(2)
            }
            Err(trap) => r.trap(trap),
        }
    }

    fn try_binary_ss[O: TryBinary](r) {
        match O::apply(r.get::<O::A>(1), r.get::<O::A>(2)) {
            Ok(value) => {
                r.set(0, value);
                r.next(3)
            }
            Err(trap) => r.trap(trap),
        }
    }

    fn try_binary_si[O: TryBinary](r) {
        match O::apply(r.get::<O::A>(1), r.constant::<O::A>(2)) {
            Ok(value) => {
                r.set(0, value);
                r.next(2 + O::A::IMMEDIATE)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Branches when the comparison is `WHEN`. Operands: two slots, the target.
    fn branch_ss[C: Compare, const WHEN: bool](r) {
        if C::test(r.get(0), r.get(1)) == WHEN {
            r.branch(2)
        } else {
            r.next(3)
        }
    }

    /// Branches when the comparison is `WHEN`. Operands: a slot, a constant, the
    /// target.
    fn branch_si[C: Compare, const WHEN: bool](r) {
        if C::test(r.get(0), r.constant(1)) == WHEN {
            r.branch(1 + C::A::IMMEDIATE)
        } else {
            r.next(2 + C::A::IMMEDIATE)
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
