//! What does each numeric instruction compute? One table; handlers and the
//! translator are made from it.
//!
//! An operation is a type without values that implements one of the traits
//! below. Core specification, "Numerics".

use tepui_abi::Trap;

use crate::float::{double, single};
use crate::simd::{Lanes, lanes};
use crate::value::{V128, Value};

/// One operand.
pub(crate) trait Unary {
    type A: Value;
    type R: Value;
    fn apply(a: Self::A) -> Self::R;
}

/// Two operands.
pub(crate) trait Binary {
    type A: Value;
    type B: Value;
    type R: Value;
    fn apply(a: Self::A, b: Self::B) -> Self::R;
}

/// Three vectors.
pub(crate) trait Ternary {
    fn apply(a: V128, b: V128, c: V128) -> V128;
}

/// Two operands of one type, and a condition as the result.
pub(crate) trait Compare {
    type A: Value;
    fn test(a: Self::A, b: Self::A) -> bool;
}

/// One operand; may trap.
pub(crate) trait TryUnary {
    type A: Value;
    type R: Value;
    fn apply(a: Self::A) -> Result<Self::R, Trap>;
}

/// Two operands; may trap.
pub(crate) trait TryBinary {
    type A: Value;
    type R: Value;
    fn apply(a: Self::A, b: Self::A) -> Result<Self::R, Trap>;
}

/// A lane of a vector as a number.
pub(crate) trait Extract {
    type R: Value;
    fn extract(a: V128, lane: usize) -> Self::R;
}

/// A vector with one lane replaced.
pub(crate) trait Replace {
    type B: Value;
    fn replace(a: V128, lane: usize, b: Self::B) -> V128;
}

/// A condition as a number: a comparison without a branch.
pub(crate) struct Test<C>(core::marker::PhantomData<C>);

impl<C: Compare> Binary for Test<C> {
    type A = C::A;
    type B = C::A;
    type R = u32;
    #[inline(always)]
    fn apply(a: C::A, b: C::A) -> u32 {
        u32::from(C::test(a, b))
    }
}

/// An operation with its operands the other way round.
pub(crate) struct Swapped<O>(core::marker::PhantomData<O>);

impl<O: Binary> Binary for Swapped<O> {
    type A = O::B;
    type B = O::A;
    type R = O::R;
    #[inline(always)]
    fn apply(a: O::B, b: O::A) -> O::R {
        O::apply(b, a)
    }
}

/// A comparison with its operands the other way round.
pub(crate) struct Mirrored<C>(core::marker::PhantomData<C>);

impl<C: Compare> Compare for Mirrored<C> {
    type A = C::A;
    #[inline(always)]
    fn test(a: C::A, b: C::A) -> bool {
        C::test(b, a)
    }
}

/// How the NaNs of a result are made canonical.
pub(crate) trait Canonicalize<R> {
    fn canonicalize(value: R) -> R;
}

/// Results are numbers.
pub(crate) struct Number;
/// Results are vectors of four `f32`.
pub(crate) struct Singles;
/// Results are vectors of two `f64`.
pub(crate) struct Doubles;

// Of bits, because a compiler may take one NaN for another where it sees floats:
// a choice between the result of a square root and a NaN of our own becomes the
// result.

fn canonical32(value: f32) -> f32 {
    let bits = value.to_bits();
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    f32::from_bits(if is_nan { 0x7fc0_0000 } else { bits })
}

fn canonical64(value: f64) -> f64 {
    let bits = value.to_bits();
    let is_nan = bits & 0x7fff_ffff_ffff_ffff > 0x7ff0_0000_0000_0000;
    f64::from_bits(if is_nan { 0x7ff8_0000_0000_0000 } else { bits })
}

impl Canonicalize<f32> for Number {
    fn canonicalize(value: f32) -> f32 {
        canonical32(value)
    }
}

impl Canonicalize<f64> for Number {
    fn canonicalize(value: f64) -> f64 {
        canonical64(value)
    }
}

impl Canonicalize<V128> for Singles {
    fn canonicalize(value: V128) -> V128 {
        <[f32; 4]>::of(value).map(canonical32).vector()
    }
}

impl Canonicalize<V128> for Doubles {
    fn canonicalize(value: V128) -> V128 {
        <[f64; 2]>::of(value).map(canonical64).vector()
    }
}

/// An operation with the NaNs of its result made canonical.
pub(crate) struct Canonical<O, K>(core::marker::PhantomData<(O, K)>);

impl<O: Unary, K: Canonicalize<O::R>> Unary for Canonical<O, K> {
    type A = O::A;
    type R = O::R;
    #[inline(always)]
    fn apply(a: O::A) -> O::R {
        K::canonicalize(O::apply(a))
    }
}

impl<O: Binary, K: Canonicalize<O::R>> Binary for Canonical<O, K> {
    type A = O::A;
    type B = O::B;
    type R = O::R;
    #[inline(always)]
    fn apply(a: O::A, b: O::B) -> O::R {
        K::canonicalize(O::apply(a, b))
    }
}

impl<O: Ternary, K: Canonicalize<V128>> Ternary for Canonical<O, K> {
    #[inline(always)]
    fn apply(a: V128, b: V128, c: V128) -> V128 {
        K::canonicalize(O::apply(a, b, c))
    }
}

/// Calls `$callback!` with the scalar instructions. Rows are grouped by what the
/// translator does with them; the groups are methods of the translator.
macro_rules! for_each_number {
    ($callback:ident) => {
        $callback! {
            unary {
                visit_i32_clz I32Clz(a: u32) -> u32 { a.leading_zeros() }
                visit_i32_ctz I32Ctz(a: u32) -> u32 { a.trailing_zeros() }
                visit_i32_popcnt I32Popcnt(a: u32) -> u32 { a.count_ones() }
                visit_i64_clz I64Clz(a: u64) -> u64 { u64::from(a.leading_zeros()) }
                visit_i64_ctz I64Ctz(a: u64) -> u64 { u64::from(a.trailing_zeros()) }
                visit_i64_popcnt I64Popcnt(a: u64) -> u64 { u64::from(a.count_ones()) }
                visit_i32_wrap_i64 I32WrapI64(a: u64) -> u32 { a as u32 }
                visit_i64_extend_i32_s I64ExtendI32S(a: i32) -> i64 { i64::from(a) }
                visit_i64_extend_i32_u I64ExtendI32U(a: u32) -> u64 { u64::from(a) }
                visit_i32_extend8_s I32Extend8S(a: u32) -> i32 { i32::from(a as i8) }
                visit_i32_extend16_s I32Extend16S(a: u32) -> i32 { i32::from(a as i16) }
                visit_i64_extend8_s I64Extend8S(a: u64) -> i64 { i64::from(a as i8) }
                visit_i64_extend16_s I64Extend16S(a: u64) -> i64 { i64::from(a as i16) }
                visit_i64_extend32_s I64Extend32S(a: u64) -> i64 { i64::from(a as i32) }
                visit_f32_abs F32Abs(a: u32) -> u32 { a & !(1 << 31) }
                visit_f32_neg F32Neg(a: u32) -> u32 { a ^ (1 << 31) }
                visit_f64_abs F64Abs(a: u64) -> u64 { a & !(1 << 63) }
                visit_f64_neg F64Neg(a: u64) -> u64 { a ^ (1 << 63) }
                visit_i32_trunc_sat_f32_s I32TruncSatF32S(a: f32) -> i32 { a as i32 }
                visit_i32_trunc_sat_f32_u I32TruncSatF32U(a: f32) -> u32 { a as u32 }
                visit_i32_trunc_sat_f64_s I32TruncSatF64S(a: f64) -> i32 { a as i32 }
                visit_i32_trunc_sat_f64_u I32TruncSatF64U(a: f64) -> u32 { a as u32 }
                visit_i64_trunc_sat_f32_s I64TruncSatF32S(a: f32) -> i64 { a as i64 }
                visit_i64_trunc_sat_f32_u I64TruncSatF32U(a: f32) -> u64 { a as u64 }
                visit_i64_trunc_sat_f64_s I64TruncSatF64S(a: f64) -> i64 { a as i64 }
                visit_i64_trunc_sat_f64_u I64TruncSatF64U(a: f64) -> u64 { a as u64 }
                visit_f32_convert_i32_s F32ConvertI32S(a: i32) -> f32 { a as f32 }
                visit_f32_convert_i32_u F32ConvertI32U(a: u32) -> f32 { a as f32 }
                visit_f32_convert_i64_s F32ConvertI64S(a: i64) -> f32 { a as f32 }
                visit_f32_convert_i64_u F32ConvertI64U(a: u64) -> f32 { a as f32 }
                visit_f64_convert_i32_s F64ConvertI32S(a: i32) -> f64 { f64::from(a) }
                visit_f64_convert_i32_u F64ConvertI32U(a: u32) -> f64 { f64::from(a) }
                visit_f64_convert_i64_s F64ConvertI64S(a: i64) -> f64 { a as f64 }
                visit_f64_convert_i64_u F64ConvertI64U(a: u64) -> f64 { a as f64 }
            }
            fused_int {
                visit_i32_add I32Add(a: u32, b: u32) -> u32 { a.wrapping_add(b) }
                visit_i32_sub I32Sub(a: u32, b: u32) -> u32 { a.wrapping_sub(b) }
                visit_i32_mul I32Mul(a: u32, b: u32) -> u32 { a.wrapping_mul(b) }
                visit_i32_and I32And(a: u32, b: u32) -> u32 { a & b }
                visit_i32_or I32Or(a: u32, b: u32) -> u32 { a | b }
                visit_i32_xor I32Xor(a: u32, b: u32) -> u32 { a ^ b }
                visit_i32_shl I32Shl(a: u32, b: u32) -> u32 { a.wrapping_shl(b) }
                visit_i32_shr_u I32ShrU(a: u32, b: u32) -> u32 { a.wrapping_shr(b) }
                visit_i32_rotl I32Rotl(a: u32, b: u32) -> u32 { a.rotate_left(b & 31) }
            }
            fused_long {
                visit_i64_add I64Add(a: u64, b: u64) -> u64 { a.wrapping_add(b) }
                visit_i64_mul I64Mul(a: u64, b: u64) -> u64 { a.wrapping_mul(b) }
                visit_i64_and I64And(a: u64, b: u64) -> u64 { a & b }
                visit_i64_or I64Or(a: u64, b: u64) -> u64 { a | b }
                visit_i64_xor I64Xor(a: u64, b: u64) -> u64 { a ^ b }
                visit_i64_shl I64Shl(a: u64, b: u64) -> u64 { a.wrapping_shl(b as u32) }
                visit_i64_shr_u I64ShrU(a: u64, b: u64) -> u64 { a.wrapping_shr(b as u32) }
                visit_i64_rotl I64Rotl(a: u64, b: u64) -> u64 { a.rotate_left(b as u32 & 63) }
            }
            fused_double {
                visit_f64_add F64Add(a: f64, b: f64) -> f64 { a + b }
                visit_f64_sub F64Sub(a: f64, b: f64) -> f64 { a - b }
                visit_f64_mul F64Mul(a: f64, b: f64) -> f64 { a * b }
            }
            fused_compare {
                visit_i32_eq I32Eq(a: u32, b: u32) -> bool { a == b }
                visit_i32_ne I32Ne(a: u32, b: u32) -> bool { a != b }
                visit_i32_lt_s I32LtS(a: i32, b: i32) -> bool { a < b }
                visit_i32_lt_u I32LtU(a: u32, b: u32) -> bool { a < b }
                visit_i32_gt_s I32GtS(a: i32, b: i32) -> bool { a > b }
                visit_i32_gt_u I32GtU(a: u32, b: u32) -> bool { a > b }
                visit_i32_le_s I32LeS(a: i32, b: i32) -> bool { a <= b }
                visit_i32_le_u I32LeU(a: u32, b: u32) -> bool { a <= b }
                visit_i32_ge_s I32GeS(a: i32, b: i32) -> bool { a >= b }
                visit_i32_ge_u I32GeU(a: u32, b: u32) -> bool { a >= b }
            }
            binary {
                visit_i32_shr_s I32ShrS(a: i32, b: u32) -> i32 { a.wrapping_shr(b) }
                visit_i32_rotr I32Rotr(a: u32, b: u32) -> u32 { a.rotate_right(b & 31) }
                visit_i64_sub I64Sub(a: u64, b: u64) -> u64 { a.wrapping_sub(b) }
                visit_i64_shr_s I64ShrS(a: i64, b: u64) -> i64 { a.wrapping_shr(b as u32) }
                visit_i64_rotr I64Rotr(a: u64, b: u64) -> u64 { a.rotate_right(b as u32 & 63) }
                visit_f32_copysign F32Copysign(a: u32, b: u32) -> u32 { a & !(1 << 31) | b & (1 << 31) }
                visit_f64_copysign F64Copysign(a: u64, b: u64) -> u64 { a & !(1 << 63) | b & (1 << 63) }
            }
            compare {
                visit_i64_eq I64Eq(a: u64, b: u64) -> bool { a == b }
                visit_i64_ne I64Ne(a: u64, b: u64) -> bool { a != b }
                visit_i64_lt_s I64LtS(a: i64, b: i64) -> bool { a < b }
                visit_i64_lt_u I64LtU(a: u64, b: u64) -> bool { a < b }
                visit_i64_gt_s I64GtS(a: i64, b: i64) -> bool { a > b }
                visit_i64_gt_u I64GtU(a: u64, b: u64) -> bool { a > b }
                visit_i64_le_s I64LeS(a: i64, b: i64) -> bool { a <= b }
                visit_i64_le_u I64LeU(a: u64, b: u64) -> bool { a <= b }
                visit_i64_ge_s I64GeS(a: i64, b: i64) -> bool { a >= b }
                visit_i64_ge_u I64GeU(a: u64, b: u64) -> bool { a >= b }
                visit_f32_eq F32Eq(a: f32, b: f32) -> bool { a == b }
                visit_f32_ne F32Ne(a: f32, b: f32) -> bool { a != b }
                visit_f32_lt F32Lt(a: f32, b: f32) -> bool { a < b }
                visit_f32_gt F32Gt(a: f32, b: f32) -> bool { a > b }
                visit_f32_le F32Le(a: f32, b: f32) -> bool { a <= b }
                visit_f32_ge F32Ge(a: f32, b: f32) -> bool { a >= b }
                visit_f64_eq F64Eq(a: f64, b: f64) -> bool { a == b }
                visit_f64_ne F64Ne(a: f64, b: f64) -> bool { a != b }
                visit_f64_lt F64Lt(a: f64, b: f64) -> bool { a < b }
                visit_f64_gt F64Gt(a: f64, b: f64) -> bool { a > b }
                visit_f64_le F64Le(a: f64, b: f64) -> bool { a <= b }
                visit_f64_ge F64Ge(a: f64, b: f64) -> bool { a >= b }
            }
            try_unary {
                visit_i32_trunc_f32_s I32TruncF32S(a: f32) -> i32 {
                    truncate(a.is_nan(), (-2_147_483_648.0..2_147_483_648.0).contains(&a), || a as i32)
                }
                visit_i32_trunc_f32_u I32TruncF32U(a: f32) -> u32 {
                    truncate(a.is_nan(), a > -1.0 && a < 4_294_967_296.0, || a as u32)
                }
                visit_i32_trunc_f64_s I32TruncF64S(a: f64) -> i32 {
                    truncate(a.is_nan(), a > -2_147_483_649.0 && a < 2_147_483_648.0, || a as i32)
                }
                visit_i32_trunc_f64_u I32TruncF64U(a: f64) -> u32 {
                    truncate(a.is_nan(), a > -1.0 && a < 4_294_967_296.0, || a as u32)
                }
                visit_i64_trunc_f32_s I64TruncF32S(a: f32) -> i64 {
                    truncate(a.is_nan(), (-LIMIT32..LIMIT32).contains(&a), || a as i64)
                }
                visit_i64_trunc_f32_u I64TruncF32U(a: f32) -> u64 {
                    truncate(a.is_nan(), a > -1.0 && a < 2.0 * LIMIT32, || a as u64)
                }
                visit_i64_trunc_f64_s I64TruncF64S(a: f64) -> i64 {
                    truncate(a.is_nan(), (-LIMIT64..LIMIT64).contains(&a), || a as i64)
                }
                visit_i64_trunc_f64_u I64TruncF64U(a: f64) -> u64 {
                    truncate(a.is_nan(), a > -1.0 && a < 2.0 * LIMIT64, || a as u64)
                }
            }
            try_binary {
                visit_i32_div_s I32DivS(a: i32, b: i32) -> i32 {
                    if b == 0 {
                        Err(Trap::IntegerDivisionByZero)
                    } else {
                        a.checked_div(b).ok_or(Trap::IntegerOverflow)
                    }
                }
                visit_i32_div_u I32DivU(a: u32, b: u32) -> u32 {
                    a.checked_div(b).ok_or(Trap::IntegerDivisionByZero)
                }
                visit_i32_rem_s I32RemS(a: i32, b: i32) -> i32 {
                    if b == 0 { Err(Trap::IntegerDivisionByZero) } else { Ok(a.wrapping_rem(b)) }
                }
                visit_i32_rem_u I32RemU(a: u32, b: u32) -> u32 {
                    a.checked_rem(b).ok_or(Trap::IntegerDivisionByZero)
                }
                visit_i64_div_s I64DivS(a: i64, b: i64) -> i64 {
                    if b == 0 {
                        Err(Trap::IntegerDivisionByZero)
                    } else {
                        a.checked_div(b).ok_or(Trap::IntegerOverflow)
                    }
                }
                visit_i64_div_u I64DivU(a: u64, b: u64) -> u64 {
                    a.checked_div(b).ok_or(Trap::IntegerDivisionByZero)
                }
                visit_i64_rem_s I64RemS(a: i64, b: i64) -> i64 {
                    if b == 0 { Err(Trap::IntegerDivisionByZero) } else { Ok(a.wrapping_rem(b)) }
                }
                visit_i64_rem_u I64RemU(a: u64, b: u64) -> u64 {
                    a.checked_rem(b).ok_or(Trap::IntegerDivisionByZero)
                }
            }
            float_unary {
                visit_f32_ceil F32Ceil(a: f32) -> f32 { single::ceil(a) }
                visit_f32_floor F32Floor(a: f32) -> f32 { single::floor(a) }
                visit_f32_trunc F32Trunc(a: f32) -> f32 { single::trunc(a) }
                visit_f32_nearest F32Nearest(a: f32) -> f32 { single::nearest(a) }
                visit_f32_sqrt F32Sqrt(a: f32) -> f32 { single::sqrt(a) }
                visit_f64_ceil F64Ceil(a: f64) -> f64 { double::ceil(a) }
                visit_f64_floor F64Floor(a: f64) -> f64 { double::floor(a) }
                visit_f64_trunc F64Trunc(a: f64) -> f64 { double::trunc(a) }
                visit_f64_nearest F64Nearest(a: f64) -> f64 { double::nearest(a) }
                visit_f64_sqrt F64Sqrt(a: f64) -> f64 { double::sqrt(a) }
                visit_f32_demote_f64 F32DemoteF64(a: f64) -> f32 { a as f32 }
                visit_f64_promote_f32 F64PromoteF32(a: f32) -> f64 { f64::from(a) }
            }
            float_binary {
                visit_f32_add F32Add(a: f32, b: f32) -> f32 { a + b }
                visit_f32_sub F32Sub(a: f32, b: f32) -> f32 { a - b }
                visit_f32_mul F32Mul(a: f32, b: f32) -> f32 { a * b }
                visit_f32_div F32Div(a: f32, b: f32) -> f32 { a / b }
                visit_f32_min F32Min(a: f32, b: f32) -> f32 { single::min(a, b) }
                visit_f32_max F32Max(a: f32, b: f32) -> f32 { single::max(a, b) }
                visit_f64_div F64Div(a: f64, b: f64) -> f64 { a / b }
                visit_f64_min F64Min(a: f64, b: f64) -> f64 { double::min(a, b) }
                visit_f64_max F64Max(a: f64, b: f64) -> f64 { double::max(a, b) }
            }
        }
    };
}
pub(crate) use for_each_number;

const LIMIT32: f32 = 9_223_372_036_854_775_808.0;
const LIMIT64: f64 = 9_223_372_036_854_775_808.0;

/// A float as an integer, when it has one.
#[inline(always)]
fn truncate<R>(is_nan: bool, is_inside: bool, convert: impl FnOnce() -> R) -> Result<R, Trap> {
    if is_inside {
        Ok(convert())
    } else if is_nan {
        Err(Trap::BadConversionToInteger)
    } else {
        Err(Trap::IntegerOverflow)
    }
}

/// Defines operations: the groups of the tables, by the traits that they need.
macro_rules! define {
    ($($group:ident { $($visit:ident $op:ident($($arg:ident: $ty:ty),*) -> $result:ty $body:block)* })*) => {
        $($(define!(@$group $op($($arg: $ty),*) -> $result $body);)*)*
    };
    (@unary $op:ident($a:ident: $ta:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Unary for $op {
            type A = $ta;
            type R = $r;
            #[inline(always)]
            fn apply($a: $ta) -> $r $body
        }
    };
    (@binary $op:ident($a:ident: $ta:ty, $b:ident: $tb:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Binary for $op {
            type A = $ta;
            type B = $tb;
            type R = $r;
            #[inline(always)]
            fn apply($a: $ta, $b: $tb) -> $r $body
        }
    };
    (@ternary $op:ident($a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Ternary for $op {
            #[inline(always)]
            fn apply($a: V128, $b: V128, $c: V128) -> V128 $body
        }
    };
    (@compare $op:ident($a:ident: $ta:ty, $b:ident: $tb:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Compare for $op {
            type A = $ta;
            #[inline(always)]
            fn test($a: $ta, $b: $tb) -> bool $body
        }
    };
    (@try_unary $op:ident($a:ident: $ta:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl TryUnary for $op {
            type A = $ta;
            type R = $r;
            #[inline(always)]
            fn apply($a: $ta) -> Result<$r, Trap> $body
        }
    };
    (@try_binary $op:ident($a:ident: $ta:ty, $b:ident: $tb:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl TryBinary for $op {
            type A = $ta;
            type R = $r;
            #[inline(always)]
            fn apply($a: $ta, $b: $tb) -> Result<$r, Trap> $body
        }
    };
    (@extract $op:ident($a:ident: $ta:ty, $lane:ident: $tl:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Extract for $op {
            type R = $r;
            #[inline(always)]
            fn extract($a: V128, $lane: usize) -> $r $body
        }
    };
    (@replace $op:ident($a:ident: $ta:ty, $lane:ident: $tl:ty, $b:ident: $tb:ty) -> $r:ty $body:block) => {
        pub(crate) struct $op;
        impl Replace for $op {
            type B = $tb;
            #[inline(always)]
            fn replace($a: V128, $lane: usize, $b: $tb) -> V128 $body
        }
    };
    (@fused_int $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@fused_long $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@fused_double $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@fused_compare $($rest:tt)*) => { define!(@compare $($rest)*); };
    (@vector_unary $($rest:tt)*) => { define!(@unary $($rest)*); };
    (@vector_binary $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@float_unary $($rest:tt)*) => { define!(@unary $($rest)*); };
    (@float_binary $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@singles_unary $($rest:tt)*) => { define!(@unary $($rest)*); };
    (@singles_binary $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@singles_ternary $($rest:tt)*) => { define!(@ternary $($rest)*); };
    (@doubles_unary $($rest:tt)*) => { define!(@unary $($rest)*); };
    (@doubles_binary $($rest:tt)*) => { define!(@binary $($rest)*); };
    (@doubles_ternary $($rest:tt)*) => { define!(@ternary $($rest)*); };
}

for_each_number!(define);

#[cfg(feature = "simd")]
crate::simd::for_each_vector!(define);
