//! What does each vector instruction compute? One table, and the words that it
//! is written in.
//!
//! Vectors are arrays of lanes here, which the optimizer maps onto the vector
//! instructions of the machine; there is no code of its own for any machine.
//!
//! # Relaxed instructions
//!
//! The results are those of the deterministic profile, as in every tier: relaxed
//! swizzles, truncations, lane selections, minima, maxima and rounding
//! multiplications are their strict counterparts; `madd` and `nmadd` round once;
//! dot products take both operands as signed, and their sums wrap.

use crate::value::V128;

/// The lanes of a vector.
pub(crate) trait Lanes: Sized {
    type Lane: Copy;
    /// What a comparison of two lanes gives.
    fn of(vector: V128) -> Self;
    fn vector(self) -> V128;
    fn zip(self, other: Self, f: impl FnMut(Self::Lane, Self::Lane) -> Self::Lane) -> Self;
    fn test(self, other: Self, f: impl FnMut(Self::Lane, Self::Lane) -> bool) -> V128;
}

macro_rules! lanes {
    ($($ty:ty, $mask:ty, $count:literal;)*) => {
        $(impl Lanes for [$ty; $count] {
            type Lane = $ty;

            #[inline(always)]
            fn of(vector: V128) -> Self {
                const WIDTH: usize = 16 / $count;
                core::array::from_fn(|i| {
                    <$ty>::from_le_bytes(core::array::from_fn(|j| vector.0[i * WIDTH + j]))
                })
            }

            #[inline(always)]
            fn vector(self) -> V128 {
                let mut bytes = [0; 16];
                let (chunks, _) = bytes.as_chunks_mut::<{ 16 / $count }>();
                for (chunk, lane) in chunks.iter_mut().zip(self) {
                    *chunk = lane.to_le_bytes();
                }
                V128(bytes)
            }

            #[inline(always)]
            fn zip(self, other: Self, mut f: impl FnMut($ty, $ty) -> $ty) -> Self {
                core::array::from_fn(|i| f(self[i], other[i]))
            }

            #[inline(always)]
            fn test(self, other: Self, mut f: impl FnMut($ty, $ty) -> bool) -> V128 {
                let mask: [$mask; $count] = core::array::from_fn(|i| {
                    if f(self[i], other[i]) { <$mask>::MAX } else { 0 }
                });
                mask.vector()
            }
        })*
    };
}

lanes! {
    i8, u8, 16;
    u8, u8, 16;
    i16, u16, 8;
    u16, u16, 8;
    i32, u32, 4;
    u32, u32, 4;
    i64, u64, 2;
    u64, u64, 2;
    f32, u32, 4;
    f64, u64, 2;
}

/// The words that the table is written in.
pub(crate) mod lanes {
    use super::Lanes;
    use crate::value::V128;

    #[inline(always)]
    pub(crate) fn map2<L: Lanes, F: FnMut(L::Lane, L::Lane) -> L::Lane>(
        a: V128,
        b: V128,
        f: F,
    ) -> V128 {
        L::of(a).zip(L::of(b), f).vector()
    }

    #[inline(always)]
    pub(crate) fn map3<
        L: Lanes + AsRef<[L::Lane]>,
        F: FnMut(L::Lane, L::Lane, L::Lane) -> L::Lane,
    >(
        a: V128,
        b: V128,
        c: V128,
        mut f: F,
    ) -> V128 {
        let third = L::of(c);
        let mut next = third.as_ref().iter();
        let result = L::of(a).zip(L::of(b), |x, y| match next.next() {
            Some(z) => f(x, y, *z),
            None => x,
        });
        result.vector()
    }

    #[inline(always)]
    pub(crate) fn test<L: Lanes, F: FnMut(L::Lane, L::Lane) -> bool>(
        a: V128,
        b: V128,
        f: F,
    ) -> V128 {
        L::of(a).test(L::of(b), f)
    }

    /// Combines two arrays, lane by lane.
    #[inline(always)]
    pub(crate) fn zip<A: Copy, B: Copy, R, const N: usize>(
        a: [A; N],
        b: [B; N],
        mut f: impl FnMut(A, B) -> R,
    ) -> [R; N] {
        core::array::from_fn(|i| f(a[i], b[i]))
    }

    /// The lower half of the lanes.
    #[inline(always)]
    pub(crate) fn low<T: Copy, const N: usize, const HALF: usize>(a: V128) -> [T; HALF]
    where
        [T; N]: Lanes,
    {
        let all = <[T; N]>::of(a);
        core::array::from_fn(|i| all[i])
    }

    /// The upper half of the lanes.
    #[inline(always)]
    pub(crate) fn high<T: Copy, const N: usize, const HALF: usize>(a: V128) -> [T; HALF]
    where
        [T; N]: Lanes,
    {
        let all = <[T; N]>::of(a);
        core::array::from_fn(|i| all[HALF + i])
    }

    /// Neighbouring lanes, in pairs.
    #[inline(always)]
    pub(crate) fn pairs<T: Copy, const N: usize, const HALF: usize>(a: V128) -> [[T; 2]; HALF]
    where
        [T; N]: Lanes,
    {
        pairs_of(<[T; N]>::of(a))
    }

    /// Neighbouring elements, in pairs.
    #[inline(always)]
    pub(crate) fn pairs_of<T: Copy, const N: usize, const HALF: usize>(
        all: [T; N],
    ) -> [[T; 2]; HALF] {
        core::array::from_fn(|i| [all[2 * i], all[2 * i + 1]])
    }

    /// The lanes of `a`, then those of `b`, narrowed.
    #[inline(always)]
    pub(crate) fn narrow<T: Copy, R: Copy, const N: usize, const TWICE: usize>(
        a: V128,
        b: V128,
        f: impl Fn(T) -> R,
    ) -> V128
    where
        [T; N]: Lanes,
        [R; TWICE]: Lanes,
    {
        let (a, b) = (<[T; N]>::of(a), <[T; N]>::of(b));
        let all: [R; TWICE] = core::array::from_fn(|i| f(if i < N { a[i] } else { b[i - N] }));
        all.vector()
    }

    /// Two lanes, and zeros above.
    #[inline(always)]
    pub(crate) fn low_half<T: Copy + Default>(a: [T; 2]) -> [T; 4] {
        [a[0], a[1], T::default(), T::default()]
    }

    /// One bit per lane.
    #[inline(always)]
    pub(crate) fn bitmask<const N: usize>(a: [bool; N]) -> u32 {
        let mut mask = 0;
        for (i, bit) in a.into_iter().enumerate() {
            mask |= u32::from(bit) << i;
        }
        mask
    }

    /// The bits of `a` where `mask` is set, else those of `b`.
    #[inline(always)]
    pub(crate) fn select(a: V128, b: V128, mask: V128) -> V128 {
        map3::<[u64; 2], _>(a, b, mask, |a, b, mask| a & mask | b & !mask)
    }

    /// Sums of products of neighbouring bytes; the sums wrap.
    #[inline(always)]
    pub(crate) fn dot_bytes(a: V128, b: V128) -> [i16; 8] {
        zip(
            pairs::<i8, 16, 8>(a),
            pairs::<i8, 16, 8>(b),
            |[x, y], [z, w]| {
                (i16::from(x) * i16::from(z)).wrapping_add(i16::from(y) * i16::from(w))
            },
        )
    }

    /// The vector with one lane changed.
    #[inline(always)]
    pub(crate) fn replaced<T: Copy, const N: usize>(a: V128, lane: usize, value: T) -> V128
    where
        [T; N]: Lanes,
    {
        let mut all = <[T; N]>::of(a);
        all[lane % N] = value;
        all.vector()
    }
}

/// Calls `$callback!` with the vector instructions that access no memory, as
/// [`for_each_number`](crate::ops::for_each_number) does with the scalar ones.
macro_rules! for_each_vector {
    ($callback:ident) => {
        $callback! {
            vector_unary {
                visit_v128_not V128Not(a: V128) -> V128 { V128(a.0.map(|x| !x)) }
                visit_v128_any_true V128AnyTrue(a: V128) -> u32 { u32::from(a.0 != [0; 16]) }
                visit_i8x16_abs I8x16Abs(a: V128) -> V128 { <[i8; 16]>::of(a).map(i8::wrapping_abs).vector() }
                visit_i8x16_neg I8x16Neg(a: V128) -> V128 { <[i8; 16]>::of(a).map(i8::wrapping_neg).vector() }
                visit_i8x16_popcnt I8x16Popcnt(a: V128) -> V128 { V128(a.0.map(|x| x.count_ones() as u8)) }
                visit_i8x16_all_true I8x16AllTrue(a: V128) -> u32 { u32::from(<[u8; 16]>::of(a).iter().all(|x| *x != 0)) }
                visit_i8x16_bitmask I8x16Bitmask(a: V128) -> u32 { lanes::bitmask(<[i8; 16]>::of(a).map(|x| x < 0)) }
                visit_i16x8_abs I16x8Abs(a: V128) -> V128 { <[i16; 8]>::of(a).map(i16::wrapping_abs).vector() }
                visit_i16x8_neg I16x8Neg(a: V128) -> V128 { <[i16; 8]>::of(a).map(i16::wrapping_neg).vector() }
                visit_i16x8_all_true I16x8AllTrue(a: V128) -> u32 { u32::from(<[u16; 8]>::of(a).iter().all(|x| *x != 0)) }
                visit_i16x8_bitmask I16x8Bitmask(a: V128) -> u32 { lanes::bitmask(<[i16; 8]>::of(a).map(|x| x < 0)) }
                visit_i32x4_abs I32x4Abs(a: V128) -> V128 { <[i32; 4]>::of(a).map(i32::wrapping_abs).vector() }
                visit_i32x4_neg I32x4Neg(a: V128) -> V128 { <[i32; 4]>::of(a).map(i32::wrapping_neg).vector() }
                visit_i32x4_all_true I32x4AllTrue(a: V128) -> u32 { u32::from(<[u32; 4]>::of(a).iter().all(|x| *x != 0)) }
                visit_i32x4_bitmask I32x4Bitmask(a: V128) -> u32 { lanes::bitmask(<[i32; 4]>::of(a).map(|x| x < 0)) }
                visit_i64x2_abs I64x2Abs(a: V128) -> V128 { <[i64; 2]>::of(a).map(i64::wrapping_abs).vector() }
                visit_i64x2_neg I64x2Neg(a: V128) -> V128 { <[i64; 2]>::of(a).map(i64::wrapping_neg).vector() }
                visit_i64x2_all_true I64x2AllTrue(a: V128) -> u32 { u32::from(<[u64; 2]>::of(a).iter().all(|x| *x != 0)) }
                visit_i64x2_bitmask I64x2Bitmask(a: V128) -> u32 { lanes::bitmask(<[i64; 2]>::of(a).map(|x| x < 0)) }
                visit_i16x8_extend_low_i8x16_s I16x8ExtendLowI8x16S(a: V128) -> V128 { lanes::low::<i8, 16, 8>(a).map(i16::from).vector() }
                visit_i16x8_extend_low_i8x16_u I16x8ExtendLowI8x16U(a: V128) -> V128 { lanes::low::<u8, 16, 8>(a).map(u16::from).vector() }
                visit_i16x8_extend_high_i8x16_s I16x8ExtendHighI8x16S(a: V128) -> V128 { lanes::high::<i8, 16, 8>(a).map(i16::from).vector() }
                visit_i16x8_extend_high_i8x16_u I16x8ExtendHighI8x16U(a: V128) -> V128 { lanes::high::<u8, 16, 8>(a).map(u16::from).vector() }
                visit_i16x8_extadd_pairwise_i8x16_s I16x8ExtaddPairwiseI8x16S(a: V128) -> V128 { lanes::pairs::<i8, 16, 8>(a).map(|[x, y]| i16::from(x) + i16::from(y)).vector() }
                visit_i16x8_extadd_pairwise_i8x16_u I16x8ExtaddPairwiseI8x16U(a: V128) -> V128 { lanes::pairs::<u8, 16, 8>(a).map(|[x, y]| u16::from(x) + u16::from(y)).vector() }
                visit_i32x4_extend_low_i16x8_s I32x4ExtendLowI16x8S(a: V128) -> V128 { lanes::low::<i16, 8, 4>(a).map(i32::from).vector() }
                visit_i32x4_extend_low_i16x8_u I32x4ExtendLowI16x8U(a: V128) -> V128 { lanes::low::<u16, 8, 4>(a).map(u32::from).vector() }
                visit_i32x4_extend_high_i16x8_s I32x4ExtendHighI16x8S(a: V128) -> V128 { lanes::high::<i16, 8, 4>(a).map(i32::from).vector() }
                visit_i32x4_extend_high_i16x8_u I32x4ExtendHighI16x8U(a: V128) -> V128 { lanes::high::<u16, 8, 4>(a).map(u32::from).vector() }
                visit_i32x4_extadd_pairwise_i16x8_s I32x4ExtaddPairwiseI16x8S(a: V128) -> V128 { lanes::pairs::<i16, 8, 4>(a).map(|[x, y]| i32::from(x) + i32::from(y)).vector() }
                visit_i32x4_extadd_pairwise_i16x8_u I32x4ExtaddPairwiseI16x8U(a: V128) -> V128 { lanes::pairs::<u16, 8, 4>(a).map(|[x, y]| u32::from(x) + u32::from(y)).vector() }
                visit_i64x2_extend_low_i32x4_s I64x2ExtendLowI32x4S(a: V128) -> V128 { lanes::low::<i32, 4, 2>(a).map(i64::from).vector() }
                visit_i64x2_extend_low_i32x4_u I64x2ExtendLowI32x4U(a: V128) -> V128 { lanes::low::<u32, 4, 2>(a).map(u64::from).vector() }
                visit_i64x2_extend_high_i32x4_s I64x2ExtendHighI32x4S(a: V128) -> V128 { lanes::high::<i32, 4, 2>(a).map(i64::from).vector() }
                visit_i64x2_extend_high_i32x4_u I64x2ExtendHighI32x4U(a: V128) -> V128 { lanes::high::<u32, 4, 2>(a).map(u64::from).vector() }
                visit_f32x4_abs F32x4Abs(a: V128) -> V128 { <[u32; 4]>::of(a).map(|x| x & !(1 << 31)).vector() }
                visit_f32x4_neg F32x4Neg(a: V128) -> V128 { <[u32; 4]>::of(a).map(|x| x ^ (1 << 31)).vector() }
                visit_f64x2_abs F64x2Abs(a: V128) -> V128 { <[u64; 2]>::of(a).map(|x| x & !(1 << 63)).vector() }
                visit_f64x2_neg F64x2Neg(a: V128) -> V128 { <[u64; 2]>::of(a).map(|x| x ^ (1 << 63)).vector() }
                visit_i32x4_trunc_sat_f32x4_s I32x4TruncSatF32x4S(a: V128) -> V128 { <[f32; 4]>::of(a).map(|x| x as i32).vector() }
                visit_i32x4_trunc_sat_f64x2_s_zero I32x4TruncSatF64x2SZero(a: V128) -> V128 { lanes::low_half(<[f64; 2]>::of(a).map(|x| x as i32)).vector() }
                visit_i32x4_trunc_sat_f32x4_u I32x4TruncSatF32x4U(a: V128) -> V128 { <[f32; 4]>::of(a).map(|x| x as u32).vector() }
                visit_i32x4_trunc_sat_f64x2_u_zero I32x4TruncSatF64x2UZero(a: V128) -> V128 { lanes::low_half(<[f64; 2]>::of(a).map(|x| x as u32)).vector() }
                visit_i32x4_relaxed_trunc_f32x4_s I32x4RelaxedTruncF32x4S(a: V128) -> V128 { <[f32; 4]>::of(a).map(|x| x as i32).vector() }
                visit_i32x4_relaxed_trunc_f64x2_s_zero I32x4RelaxedTruncF64x2SZero(a: V128) -> V128 { lanes::low_half(<[f64; 2]>::of(a).map(|x| x as i32)).vector() }
                visit_i32x4_relaxed_trunc_f32x4_u I32x4RelaxedTruncF32x4U(a: V128) -> V128 { <[f32; 4]>::of(a).map(|x| x as u32).vector() }
                visit_i32x4_relaxed_trunc_f64x2_u_zero I32x4RelaxedTruncF64x2UZero(a: V128) -> V128 { lanes::low_half(<[f64; 2]>::of(a).map(|x| x as u32)).vector() }
                visit_f32x4_convert_i32x4_s F32x4ConvertI32x4S(a: V128) -> V128 { <[i32; 4]>::of(a).map(|x| x as f32).vector() }
                visit_f64x2_convert_low_i32x4_s F64x2ConvertLowI32x4S(a: V128) -> V128 { lanes::low::<i32, 4, 2>(a).map(f64::from).vector() }
                visit_f32x4_convert_i32x4_u F32x4ConvertI32x4U(a: V128) -> V128 { <[u32; 4]>::of(a).map(|x| x as f32).vector() }
                visit_f64x2_convert_low_i32x4_u F64x2ConvertLowI32x4U(a: V128) -> V128 { lanes::low::<u32, 4, 2>(a).map(f64::from).vector() }
                visit_i8x16_splat I8x16Splat(a: u32) -> V128 { [a as u8; 16].vector() }
                visit_i16x8_splat I16x8Splat(a: u32) -> V128 { [a as u16; 8].vector() }
                visit_i32x4_splat I32x4Splat(a: u32) -> V128 { [a as u32; 4].vector() }
                visit_i64x2_splat I64x2Splat(a: u64) -> V128 { [a as u64; 2].vector() }
                visit_f32x4_splat F32x4Splat(a: u32) -> V128 { [a as u32; 4].vector() }
                visit_f64x2_splat F64x2Splat(a: u64) -> V128 { [a as u64; 2].vector() }
            }
            vector_binary {
                visit_v128_and V128And(a: V128, b: V128) -> V128 { lanes::map2::<[u64; 2], _>(a, b, |x, y| x & y) }
                visit_v128_or V128Or(a: V128, b: V128) -> V128 { lanes::map2::<[u64; 2], _>(a, b, |x, y| x | y) }
                visit_v128_xor V128Xor(a: V128, b: V128) -> V128 { lanes::map2::<[u64; 2], _>(a, b, |x, y| x ^ y) }
                visit_v128_andnot V128Andnot(a: V128, b: V128) -> V128 { lanes::map2::<[u64; 2], _>(a, b, |x, y| x & !y) }
                visit_i8x16_add I8x16Add(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, i8::wrapping_add) }
                visit_i8x16_sub I8x16Sub(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, i8::wrapping_sub) }
                visit_i8x16_eq I8x16Eq(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x == y) }
                visit_i8x16_ne I8x16Ne(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x != y) }
                visit_i8x16_lt_s I8x16LtS(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x < y) }
                visit_i8x16_lt_u I8x16LtU(a: V128, b: V128) -> V128 { lanes::test::<[u8; 16], _>(a, b, |x, y| x < y) }
                visit_i8x16_gt_s I8x16GtS(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x > y) }
                visit_i8x16_gt_u I8x16GtU(a: V128, b: V128) -> V128 { lanes::test::<[u8; 16], _>(a, b, |x, y| x > y) }
                visit_i8x16_le_s I8x16LeS(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x <= y) }
                visit_i8x16_le_u I8x16LeU(a: V128, b: V128) -> V128 { lanes::test::<[u8; 16], _>(a, b, |x, y| x <= y) }
                visit_i8x16_ge_s I8x16GeS(a: V128, b: V128) -> V128 { lanes::test::<[i8; 16], _>(a, b, |x, y| x >= y) }
                visit_i8x16_ge_u I8x16GeU(a: V128, b: V128) -> V128 { lanes::test::<[u8; 16], _>(a, b, |x, y| x >= y) }
                visit_i8x16_add_sat_s I8x16AddSatS(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, i8::saturating_add) }
                visit_i8x16_add_sat_u I8x16AddSatU(a: V128, b: V128) -> V128 { lanes::map2::<[u8; 16], _>(a, b, u8::saturating_add) }
                visit_i8x16_sub_sat_s I8x16SubSatS(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, i8::saturating_sub) }
                visit_i8x16_sub_sat_u I8x16SubSatU(a: V128, b: V128) -> V128 { lanes::map2::<[u8; 16], _>(a, b, u8::saturating_sub) }
                visit_i8x16_avgr_u I8x16AvgrU(a: V128, b: V128) -> V128 { lanes::map2::<[u8; 16], _>(a, b, |x, y| (u16::from(x) + u16::from(y)).div_ceil(2) as u8) }
                visit_i8x16_min_s I8x16MinS(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, Ord::min) }
                visit_i8x16_min_u I8x16MinU(a: V128, b: V128) -> V128 { lanes::map2::<[u8; 16], _>(a, b, Ord::min) }
                visit_i8x16_max_s I8x16MaxS(a: V128, b: V128) -> V128 { lanes::map2::<[i8; 16], _>(a, b, Ord::max) }
                visit_i8x16_max_u I8x16MaxU(a: V128, b: V128) -> V128 { lanes::map2::<[u8; 16], _>(a, b, Ord::max) }
                visit_i8x16_shl I8x16Shl(a: V128, b: u32) -> V128 { <[u8; 16]>::of(a).map(|x| x.wrapping_shl(b & 7)).vector() }
                visit_i8x16_shr_s I8x16ShrS(a: V128, b: u32) -> V128 { <[i8; 16]>::of(a).map(|x| x.wrapping_shr(b & 7)).vector() }
                visit_i8x16_shr_u I8x16ShrU(a: V128, b: u32) -> V128 { <[u8; 16]>::of(a).map(|x| x.wrapping_shr(b & 7)).vector() }
                visit_i16x8_add I16x8Add(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, i16::wrapping_add) }
                visit_i16x8_sub I16x8Sub(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, i16::wrapping_sub) }
                visit_i16x8_mul I16x8Mul(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, i16::wrapping_mul) }
                visit_i16x8_eq I16x8Eq(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x == y) }
                visit_i16x8_ne I16x8Ne(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x != y) }
                visit_i16x8_lt_s I16x8LtS(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x < y) }
                visit_i16x8_lt_u I16x8LtU(a: V128, b: V128) -> V128 { lanes::test::<[u16; 8], _>(a, b, |x, y| x < y) }
                visit_i16x8_gt_s I16x8GtS(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x > y) }
                visit_i16x8_gt_u I16x8GtU(a: V128, b: V128) -> V128 { lanes::test::<[u16; 8], _>(a, b, |x, y| x > y) }
                visit_i16x8_le_s I16x8LeS(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x <= y) }
                visit_i16x8_le_u I16x8LeU(a: V128, b: V128) -> V128 { lanes::test::<[u16; 8], _>(a, b, |x, y| x <= y) }
                visit_i16x8_ge_s I16x8GeS(a: V128, b: V128) -> V128 { lanes::test::<[i16; 8], _>(a, b, |x, y| x >= y) }
                visit_i16x8_ge_u I16x8GeU(a: V128, b: V128) -> V128 { lanes::test::<[u16; 8], _>(a, b, |x, y| x >= y) }
                visit_i16x8_add_sat_s I16x8AddSatS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, i16::saturating_add) }
                visit_i16x8_add_sat_u I16x8AddSatU(a: V128, b: V128) -> V128 { lanes::map2::<[u16; 8], _>(a, b, u16::saturating_add) }
                visit_i16x8_sub_sat_s I16x8SubSatS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, i16::saturating_sub) }
                visit_i16x8_sub_sat_u I16x8SubSatU(a: V128, b: V128) -> V128 { lanes::map2::<[u16; 8], _>(a, b, u16::saturating_sub) }
                visit_i16x8_avgr_u I16x8AvgrU(a: V128, b: V128) -> V128 { lanes::map2::<[u16; 8], _>(a, b, |x, y| (u32::from(x) + u32::from(y)).div_ceil(2) as u16) }
                visit_i16x8_min_s I16x8MinS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, Ord::min) }
                visit_i16x8_min_u I16x8MinU(a: V128, b: V128) -> V128 { lanes::map2::<[u16; 8], _>(a, b, Ord::min) }
                visit_i16x8_max_s I16x8MaxS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, Ord::max) }
                visit_i16x8_max_u I16x8MaxU(a: V128, b: V128) -> V128 { lanes::map2::<[u16; 8], _>(a, b, Ord::max) }
                visit_i16x8_shl I16x8Shl(a: V128, b: u32) -> V128 { <[u16; 8]>::of(a).map(|x| x.wrapping_shl(b & 15)).vector() }
                visit_i16x8_shr_s I16x8ShrS(a: V128, b: u32) -> V128 { <[i16; 8]>::of(a).map(|x| x.wrapping_shr(b & 15)).vector() }
                visit_i16x8_shr_u I16x8ShrU(a: V128, b: u32) -> V128 { <[u16; 8]>::of(a).map(|x| x.wrapping_shr(b & 15)).vector() }
                visit_i32x4_add I32x4Add(a: V128, b: V128) -> V128 { lanes::map2::<[i32; 4], _>(a, b, i32::wrapping_add) }
                visit_i32x4_sub I32x4Sub(a: V128, b: V128) -> V128 { lanes::map2::<[i32; 4], _>(a, b, i32::wrapping_sub) }
                visit_i32x4_mul I32x4Mul(a: V128, b: V128) -> V128 { lanes::map2::<[i32; 4], _>(a, b, i32::wrapping_mul) }
                visit_i32x4_eq I32x4Eq(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x == y) }
                visit_i32x4_ne I32x4Ne(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x != y) }
                visit_i32x4_lt_s I32x4LtS(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x < y) }
                visit_i32x4_lt_u I32x4LtU(a: V128, b: V128) -> V128 { lanes::test::<[u32; 4], _>(a, b, |x, y| x < y) }
                visit_i32x4_gt_s I32x4GtS(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x > y) }
                visit_i32x4_gt_u I32x4GtU(a: V128, b: V128) -> V128 { lanes::test::<[u32; 4], _>(a, b, |x, y| x > y) }
                visit_i32x4_le_s I32x4LeS(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x <= y) }
                visit_i32x4_le_u I32x4LeU(a: V128, b: V128) -> V128 { lanes::test::<[u32; 4], _>(a, b, |x, y| x <= y) }
                visit_i32x4_ge_s I32x4GeS(a: V128, b: V128) -> V128 { lanes::test::<[i32; 4], _>(a, b, |x, y| x >= y) }
                visit_i32x4_ge_u I32x4GeU(a: V128, b: V128) -> V128 { lanes::test::<[u32; 4], _>(a, b, |x, y| x >= y) }
                visit_i32x4_min_s I32x4MinS(a: V128, b: V128) -> V128 { lanes::map2::<[i32; 4], _>(a, b, Ord::min) }
                visit_i32x4_min_u I32x4MinU(a: V128, b: V128) -> V128 { lanes::map2::<[u32; 4], _>(a, b, Ord::min) }
                visit_i32x4_max_s I32x4MaxS(a: V128, b: V128) -> V128 { lanes::map2::<[i32; 4], _>(a, b, Ord::max) }
                visit_i32x4_max_u I32x4MaxU(a: V128, b: V128) -> V128 { lanes::map2::<[u32; 4], _>(a, b, Ord::max) }
                visit_i32x4_shl I32x4Shl(a: V128, b: u32) -> V128 { <[u32; 4]>::of(a).map(|x| x.wrapping_shl(b & 31)).vector() }
                visit_i32x4_shr_s I32x4ShrS(a: V128, b: u32) -> V128 { <[i32; 4]>::of(a).map(|x| x.wrapping_shr(b & 31)).vector() }
                visit_i32x4_shr_u I32x4ShrU(a: V128, b: u32) -> V128 { <[u32; 4]>::of(a).map(|x| x.wrapping_shr(b & 31)).vector() }
                visit_i64x2_add I64x2Add(a: V128, b: V128) -> V128 { lanes::map2::<[i64; 2], _>(a, b, i64::wrapping_add) }
                visit_i64x2_sub I64x2Sub(a: V128, b: V128) -> V128 { lanes::map2::<[i64; 2], _>(a, b, i64::wrapping_sub) }
                visit_i64x2_mul I64x2Mul(a: V128, b: V128) -> V128 { lanes::map2::<[i64; 2], _>(a, b, i64::wrapping_mul) }
                visit_i64x2_eq I64x2Eq(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x == y) }
                visit_i64x2_ne I64x2Ne(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x != y) }
                visit_i64x2_lt_s I64x2LtS(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x < y) }
                visit_i64x2_gt_s I64x2GtS(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x > y) }
                visit_i64x2_le_s I64x2LeS(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x <= y) }
                visit_i64x2_ge_s I64x2GeS(a: V128, b: V128) -> V128 { lanes::test::<[i64; 2], _>(a, b, |x, y| x >= y) }
                visit_i64x2_shl I64x2Shl(a: V128, b: u32) -> V128 { <[u64; 2]>::of(a).map(|x| x.wrapping_shl(b & 63)).vector() }
                visit_i64x2_shr_s I64x2ShrS(a: V128, b: u32) -> V128 { <[i64; 2]>::of(a).map(|x| x.wrapping_shr(b & 63)).vector() }
                visit_i64x2_shr_u I64x2ShrU(a: V128, b: u32) -> V128 { <[u64; 2]>::of(a).map(|x| x.wrapping_shr(b & 63)).vector() }
                visit_i16x8_extmul_low_i8x16_s I16x8ExtmulLowI8x16S(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<i8, 16, 8>(a), lanes::low::<i8, 16, 8>(b), |x, y| i16::from(x).wrapping_mul(i16::from(y))).vector() }
                visit_i16x8_extmul_low_i8x16_u I16x8ExtmulLowI8x16U(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<u8, 16, 8>(a), lanes::low::<u8, 16, 8>(b), |x, y| u16::from(x).wrapping_mul(u16::from(y))).vector() }
                visit_i16x8_extmul_high_i8x16_s I16x8ExtmulHighI8x16S(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<i8, 16, 8>(a), lanes::high::<i8, 16, 8>(b), |x, y| i16::from(x).wrapping_mul(i16::from(y))).vector() }
                visit_i16x8_extmul_high_i8x16_u I16x8ExtmulHighI8x16U(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<u8, 16, 8>(a), lanes::high::<u8, 16, 8>(b), |x, y| u16::from(x).wrapping_mul(u16::from(y))).vector() }
                visit_i8x16_narrow_i16x8_s I8x16NarrowI16x8S(a: V128, b: V128) -> V128 { lanes::narrow::<i16, i8, 8, 16>(a, b, |x| x.clamp(i16::from(i8::MIN), i16::from(i8::MAX)) as i8) }
                visit_i8x16_narrow_i16x8_u I8x16NarrowI16x8U(a: V128, b: V128) -> V128 { lanes::narrow::<i16, u8, 8, 16>(a, b, |x| x.clamp(i16::from(u8::MIN), i16::from(u8::MAX)) as u8) }
                visit_i32x4_extmul_low_i16x8_s I32x4ExtmulLowI16x8S(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<i16, 8, 4>(a), lanes::low::<i16, 8, 4>(b), |x, y| i32::from(x).wrapping_mul(i32::from(y))).vector() }
                visit_i32x4_extmul_low_i16x8_u I32x4ExtmulLowI16x8U(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<u16, 8, 4>(a), lanes::low::<u16, 8, 4>(b), |x, y| u32::from(x).wrapping_mul(u32::from(y))).vector() }
                visit_i32x4_extmul_high_i16x8_s I32x4ExtmulHighI16x8S(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<i16, 8, 4>(a), lanes::high::<i16, 8, 4>(b), |x, y| i32::from(x).wrapping_mul(i32::from(y))).vector() }
                visit_i32x4_extmul_high_i16x8_u I32x4ExtmulHighI16x8U(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<u16, 8, 4>(a), lanes::high::<u16, 8, 4>(b), |x, y| u32::from(x).wrapping_mul(u32::from(y))).vector() }
                visit_i16x8_narrow_i32x4_s I16x8NarrowI32x4S(a: V128, b: V128) -> V128 { lanes::narrow::<i32, i16, 4, 8>(a, b, |x| x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16) }
                visit_i16x8_narrow_i32x4_u I16x8NarrowI32x4U(a: V128, b: V128) -> V128 { lanes::narrow::<i32, u16, 4, 8>(a, b, |x| x.clamp(i32::from(u16::MIN), i32::from(u16::MAX)) as u16) }
                visit_i64x2_extmul_low_i32x4_s I64x2ExtmulLowI32x4S(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<i32, 4, 2>(a), lanes::low::<i32, 4, 2>(b), |x, y| i64::from(x).wrapping_mul(i64::from(y))).vector() }
                visit_i64x2_extmul_low_i32x4_u I64x2ExtmulLowI32x4U(a: V128, b: V128) -> V128 { lanes::zip(lanes::low::<u32, 4, 2>(a), lanes::low::<u32, 4, 2>(b), |x, y| u64::from(x).wrapping_mul(u64::from(y))).vector() }
                visit_i64x2_extmul_high_i32x4_s I64x2ExtmulHighI32x4S(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<i32, 4, 2>(a), lanes::high::<i32, 4, 2>(b), |x, y| i64::from(x).wrapping_mul(i64::from(y))).vector() }
                visit_i64x2_extmul_high_i32x4_u I64x2ExtmulHighI32x4U(a: V128, b: V128) -> V128 { lanes::zip(lanes::high::<u32, 4, 2>(a), lanes::high::<u32, 4, 2>(b), |x, y| u64::from(x).wrapping_mul(u64::from(y))).vector() }
                visit_i32x4_dot_i16x8_s I32x4DotI16x8S(a: V128, b: V128) -> V128 { lanes::zip(lanes::pairs::<i16, 8, 4>(a), lanes::pairs::<i16, 8, 4>(b), |[x, y], [z, w]| (i32::from(x) * i32::from(z)).wrapping_add(i32::from(y) * i32::from(w))).vector() }
                visit_i16x8_relaxed_dot_i8x16_i7x16_s I16x8RelaxedDotI8x16I7x16S(a: V128, b: V128) -> V128 { lanes::dot_bytes(a, b).vector() }
                visit_i16x8_q15mulr_sat_s I16x8Q15mulrSatS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, |x, y| ((i32::from(x) * i32::from(y) + 0x4000) >> 15).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16) }
                visit_i16x8_relaxed_q15mulr_s I16x8RelaxedQ15mulrS(a: V128, b: V128) -> V128 { lanes::map2::<[i16; 8], _>(a, b, |x, y| ((i32::from(x) * i32::from(y) + 0x4000) >> 15).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16) }
                visit_i8x16_swizzle I8x16Swizzle(a: V128, b: V128) -> V128 { V128(b.0.map(|i| a.0.get(usize::from(i)).copied().unwrap_or(0))) }
                visit_i8x16_relaxed_swizzle I8x16RelaxedSwizzle(a: V128, b: V128) -> V128 { V128(b.0.map(|i| a.0.get(usize::from(i)).copied().unwrap_or(0))) }
                visit_f32x4_pmin F32x4Pmin(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::pmin) }
                visit_f32x4_pmax F32x4Pmax(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::pmax) }
                visit_f32x4_eq F32x4Eq(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x == y) }
                visit_f32x4_ne F32x4Ne(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x != y) }
                visit_f32x4_lt F32x4Lt(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x < y) }
                visit_f32x4_gt F32x4Gt(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x > y) }
                visit_f32x4_le F32x4Le(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x <= y) }
                visit_f32x4_ge F32x4Ge(a: V128, b: V128) -> V128 { lanes::test::<[f32; 4], _>(a, b, |x, y| x >= y) }
                visit_f64x2_pmin F64x2Pmin(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::pmin) }
                visit_f64x2_pmax F64x2Pmax(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::pmax) }
                visit_f64x2_eq F64x2Eq(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x == y) }
                visit_f64x2_ne F64x2Ne(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x != y) }
                visit_f64x2_lt F64x2Lt(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x < y) }
                visit_f64x2_gt F64x2Gt(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x > y) }
                visit_f64x2_le F64x2Le(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x <= y) }
                visit_f64x2_ge F64x2Ge(a: V128, b: V128) -> V128 { lanes::test::<[f64; 2], _>(a, b, |x, y| x >= y) }
            }
            ternary {
                visit_i32x4_relaxed_dot_i8x16_i7x16_add_s I32x4RelaxedDotI8x16I7x16AddS(a: V128, b: V128, c: V128) -> V128 { lanes::zip(lanes::pairs_of::<i16, 8, 4>(lanes::dot_bytes(a, b)).map(|[x, y]| i32::from(x) + i32::from(y)), <[i32; 4]>::of(c), i32::wrapping_add).vector() }
                visit_v128_bitselect V128Bitselect(a: V128, b: V128, c: V128) -> V128 { lanes::select(a, b, c) }
                visit_i8x16_relaxed_laneselect I8x16RelaxedLaneselect(a: V128, b: V128, c: V128) -> V128 { lanes::select(a, b, c) }
                visit_i16x8_relaxed_laneselect I16x8RelaxedLaneselect(a: V128, b: V128, c: V128) -> V128 { lanes::select(a, b, c) }
                visit_i32x4_relaxed_laneselect I32x4RelaxedLaneselect(a: V128, b: V128, c: V128) -> V128 { lanes::select(a, b, c) }
                visit_i64x2_relaxed_laneselect I64x2RelaxedLaneselect(a: V128, b: V128, c: V128) -> V128 { lanes::select(a, b, c) }
            }
            singles_unary {
                visit_f32x4_sqrt F32x4Sqrt(a: V128) -> V128 { <[f32; 4]>::of(a).map(single::sqrt).vector() }
                visit_f32x4_ceil F32x4Ceil(a: V128) -> V128 { <[f32; 4]>::of(a).map(single::ceil).vector() }
                visit_f32x4_floor F32x4Floor(a: V128) -> V128 { <[f32; 4]>::of(a).map(single::floor).vector() }
                visit_f32x4_trunc F32x4Trunc(a: V128) -> V128 { <[f32; 4]>::of(a).map(single::trunc).vector() }
                visit_f32x4_nearest F32x4Nearest(a: V128) -> V128 { <[f32; 4]>::of(a).map(single::nearest).vector() }
                visit_f32x4_demote_f64x2_zero F32x4DemoteF64x2Zero(a: V128) -> V128 { lanes::low_half(<[f64; 2]>::of(a).map(|x| x as f32)).vector() }
            }
            singles_binary {
                visit_f32x4_add F32x4Add(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, |x, y| x + y) }
                visit_f32x4_sub F32x4Sub(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, |x, y| x - y) }
                visit_f32x4_mul F32x4Mul(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, |x, y| x * y) }
                visit_f32x4_div F32x4Div(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, |x, y| x / y) }
                visit_f32x4_min F32x4Min(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::min) }
                visit_f32x4_relaxed_min F32x4RelaxedMin(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::min) }
                visit_f32x4_max F32x4Max(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::max) }
                visit_f32x4_relaxed_max F32x4RelaxedMax(a: V128, b: V128) -> V128 { lanes::map2::<[f32; 4], _>(a, b, single::max) }
            }
            singles_ternary {
                visit_f32x4_relaxed_madd F32x4RelaxedMadd(a: V128, b: V128, c: V128) -> V128 { lanes::map3::<[f32; 4], _>(a, b, c, |x, y, z| single::fma(x, y, z)) }
                visit_f32x4_relaxed_nmadd F32x4RelaxedNmadd(a: V128, b: V128, c: V128) -> V128 { lanes::map3::<[f32; 4], _>(a, b, c, |x, y, z| single::fma(-x, y, z)) }
            }
            doubles_unary {
                visit_f64x2_sqrt F64x2Sqrt(a: V128) -> V128 { <[f64; 2]>::of(a).map(double::sqrt).vector() }
                visit_f64x2_ceil F64x2Ceil(a: V128) -> V128 { <[f64; 2]>::of(a).map(double::ceil).vector() }
                visit_f64x2_floor F64x2Floor(a: V128) -> V128 { <[f64; 2]>::of(a).map(double::floor).vector() }
                visit_f64x2_trunc F64x2Trunc(a: V128) -> V128 { <[f64; 2]>::of(a).map(double::trunc).vector() }
                visit_f64x2_nearest F64x2Nearest(a: V128) -> V128 { <[f64; 2]>::of(a).map(double::nearest).vector() }
                visit_f64x2_promote_low_f32x4 F64x2PromoteLowF32x4(a: V128) -> V128 { lanes::low::<f32, 4, 2>(a).map(f64::from).vector() }
            }
            doubles_binary {
                visit_f64x2_add F64x2Add(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, |x, y| x + y) }
                visit_f64x2_sub F64x2Sub(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, |x, y| x - y) }
                visit_f64x2_mul F64x2Mul(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, |x, y| x * y) }
                visit_f64x2_div F64x2Div(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, |x, y| x / y) }
                visit_f64x2_min F64x2Min(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::min) }
                visit_f64x2_relaxed_min F64x2RelaxedMin(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::min) }
                visit_f64x2_max F64x2Max(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::max) }
                visit_f64x2_relaxed_max F64x2RelaxedMax(a: V128, b: V128) -> V128 { lanes::map2::<[f64; 2], _>(a, b, double::max) }
            }
            doubles_ternary {
                visit_f64x2_relaxed_madd F64x2RelaxedMadd(a: V128, b: V128, c: V128) -> V128 { lanes::map3::<[f64; 2], _>(a, b, c, |x, y, z| double::fma(x, y, z)) }
                visit_f64x2_relaxed_nmadd F64x2RelaxedNmadd(a: V128, b: V128, c: V128) -> V128 { lanes::map3::<[f64; 2], _>(a, b, c, |x, y, z| double::fma(-x, y, z)) }
            }
            replace {
                visit_i8x16_replace_lane I8x16ReplaceLane(a: V128, lane: usize, b: u32) -> V128 { lanes::replaced::<u8, 16>(a, lane, b as u8) }
                visit_i16x8_replace_lane I16x8ReplaceLane(a: V128, lane: usize, b: u32) -> V128 { lanes::replaced::<u16, 8>(a, lane, b as u16) }
                visit_i32x4_replace_lane I32x4ReplaceLane(a: V128, lane: usize, b: u32) -> V128 { lanes::replaced::<u32, 4>(a, lane, b as u32) }
                visit_i64x2_replace_lane I64x2ReplaceLane(a: V128, lane: usize, b: u64) -> V128 { lanes::replaced::<u64, 2>(a, lane, b as u64) }
                visit_f32x4_replace_lane F32x4ReplaceLane(a: V128, lane: usize, b: u32) -> V128 { lanes::replaced::<u32, 4>(a, lane, b as u32) }
                visit_f64x2_replace_lane F64x2ReplaceLane(a: V128, lane: usize, b: u64) -> V128 { lanes::replaced::<u64, 2>(a, lane, b as u64) }
            }
            extract {
                visit_i8x16_extract_lane_s I8x16ExtractLaneS(a: V128, lane: usize) -> i32 { i32::from(<[i8; 16]>::of(a)[lane % 16]) }
                visit_i8x16_extract_lane_u I8x16ExtractLaneU(a: V128, lane: usize) -> u32 { u32::from(<[u8; 16]>::of(a)[lane % 16]) }
                visit_i16x8_extract_lane_s I16x8ExtractLaneS(a: V128, lane: usize) -> i32 { i32::from(<[i16; 8]>::of(a)[lane % 8]) }
                visit_i16x8_extract_lane_u I16x8ExtractLaneU(a: V128, lane: usize) -> u32 { u32::from(<[u16; 8]>::of(a)[lane % 8]) }
                visit_i32x4_extract_lane I32x4ExtractLane(a: V128, lane: usize) -> u32 { <[u32; 4]>::of(a)[lane % 4] }
                visit_i64x2_extract_lane I64x2ExtractLane(a: V128, lane: usize) -> u64 { <[u64; 2]>::of(a)[lane % 2] }
                visit_f32x4_extract_lane F32x4ExtractLane(a: V128, lane: usize) -> u32 { <[u32; 4]>::of(a)[lane % 4] }
                visit_f64x2_extract_lane F64x2ExtractLane(a: V128, lane: usize) -> u64 { <[u64; 2]>::of(a)[lane % 2] }
            }
        }
    };
}
pub(crate) use for_each_vector;
