//! How are lanes reached that an instruction names?
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).

use super::handlers;
use crate::ops::{Extract, Replace};
use crate::value::{Dest, V128};

handlers! {
    /// Operands: the vector, the lane, the result.
    fn extract[O: Extract, D: Dest](r) {
        r.give::<D, _>(2, O::extract(r.get(0), r.word(1) as usize));
        r.next(2 + D::WORDS)
    }

    /// Operands: the result, the vector, the value, the lane.
    fn replace[O: Replace](r) {
        r.set(0, O::replace(r.get(1), r.word(3) as usize, r.get(2)));
        r.next(4)
    }

    /// Operands: the result, the vectors, the lanes.
    fn shuffle(r) {
        let (a, b): (V128, V128) = (r.get(1), r.get(2));
        let lanes: V128 = r.constant(3);
        let pick = |lane: u8| {
            let from = if lane < 16 { &a } else { &b };
            from.0[usize::from(lane % 16)]
        };
        r.set(0, V128(lanes.0.map(pick)));
        r.next(7)
    }
}
