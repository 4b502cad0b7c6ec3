//! How are places put in order by what lies there? One sort for all of them, because
//! each sort of the standard library takes some 3 kB of code, which small machines feel.

use core::cmp::Ordering;

/// Puts places in the order of their keys. Those of equal keys come in any order.
pub(crate) fn sort_by_key<K: Ord>(places: &mut [u32], key: impl Fn(u32) -> K) {
    sort(places, &|a, b| key(a).cmp(&key(b)));
}

#[inline(never)]
fn sort(places: &mut [u32], compare: &dyn Fn(u32, u32) -> Ordering) {
    places.sort_unstable_by(|a, b| compare(*a, *b));
}
