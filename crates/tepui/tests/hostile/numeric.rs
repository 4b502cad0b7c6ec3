//! Do operators compute what the specification says, when their operands are
//! constant, equal or the same value?
//!
//! A code generator simplifies `x - x`, `x & 0`, `1 / x`, shifts by constants
//! and the like. Each simplification is one more chance to be wrong.

use std::fmt::Write as _;

use tepui::{Engine, Trap, V128, WasmTy};

use crate::support::{World, engines, trap_of};

type Outcome<T> = Result<T, Trap>;

/// A number type: how its constants are written, and how bits compare.
trait Number: WasmTy + Copy {
    const WASM: &'static str;
    fn constant(self) -> String;
    /// The bits; one value for all NaNs, whose bits the specification leaves
    /// open.
    fn bits(self) -> u64;
}

impl Number for i32 {
    const WASM: &'static str = "i32";
    fn constant(self) -> String {
        format!("(i32.const {self})")
    }
    fn bits(self) -> u64 {
        u64::from(self as u32)
    }
}

impl Number for i64 {
    const WASM: &'static str = "i64";
    fn constant(self) -> String {
        format!("(i64.const {self})")
    }
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Number for f32 {
    const WASM: &'static str = "f32";
    fn constant(self) -> String {
        format!(
            "(f32.reinterpret_i32 (i32.const {}))",
            self.to_bits() as i32
        )
    }
    fn bits(self) -> u64 {
        if self.is_nan() {
            u64::MAX
        } else {
            self.to_bits().into()
        }
    }
}

impl Number for f64 {
    const WASM: &'static str = "f64";
    fn constant(self) -> String {
        format!(
            "(f64.reinterpret_i64 (i64.const {}))",
            self.to_bits() as i64
        )
    }
    fn bits(self) -> u64 {
        if self.is_nan() {
            u64::MAX - 1
        } else {
            self.to_bits()
        }
    }
}

type Binary<A, R> = (&'static str, fn(A, A) -> Outcome<R>);
type Unary<A, R> = (&'static str, fn(A) -> Outcome<R>);

/// Every form of a binary operator over `values`.
fn binary<A: Number, R: Number>(engine: &Engine, values: &[A], operators: &[Binary<A, R>]) {
    let (a, r) = (A::WASM, R::WASM);
    let mut text = String::from("(module ");
    for (name, _) in operators {
        let mut function = |export: String, params: &str, body: String| {
            writeln!(
                text,
                "(func (export \"{export}\") {params} (result {r}) {body})"
            )
            .unwrap();
        };
        function(
            name.to_string(),
            &format!("(param {a} {a})"),
            format!("({name} (local.get 0) (local.get 1))"),
        );
        function(
            format!("{name} same"),
            &format!("(param {a})"),
            format!("({name} (local.get 0) (local.get 0))"),
        );
        for (i, x) in values.iter().enumerate() {
            let x = x.constant();
            function(
                format!("{name} {i} _"),
                &format!("(param {a})"),
                format!("({name} {x} (local.get 0))"),
            );
            function(
                format!("{name} _ {i}"),
                &format!("(param {a})"),
                format!("({name} (local.get 0) {x})"),
            );
            for (j, y) in values.iter().enumerate() {
                function(
                    format!("{name} {i} {j}"),
                    "",
                    format!("({name} {x} {})", y.constant()),
                );
            }
        }
    }
    text.push(')');
    let mut world = World::new(engine, text);
    let same = |found: tepui::Result<R>, expected: Outcome<R>, what: &dyn Fn() -> String| {
        let found = found.map(R::bits).map_err(|error| trap_of(&error));
        assert_eq!(found, expected.map(R::bits), "{}", what());
    };
    for (name, model) in operators {
        for (i, &x) in values.iter().enumerate() {
            let what = || format!("{name} of {} with itself", x.constant());
            let found = world.call::<A, R>(&format!("{name} same"), x);
            same(found, model(x, x), &what);
            for (j, &y) in values.iter().enumerate() {
                let expected = model(x, y);
                let what = || format!("{name} of {} and {}", x.constant(), y.constant());
                same(world.call::<(A, A), R>(name, (x, y)), expected, &what);
                same(
                    world.call::<A, R>(&format!("{name} {i} _"), y),
                    expected,
                    &what,
                );
                same(
                    world.call::<A, R>(&format!("{name} _ {j}"), x),
                    expected,
                    &what,
                );
                same(
                    world.call::<(), R>(&format!("{name} {i} {j}"), ()),
                    expected,
                    &what,
                );
            }
        }
    }
}

/// Both forms of a unary operator over `values`.
fn unary<A: Number, R: Number>(engine: &Engine, values: &[A], operators: &[Unary<A, R>]) {
    let (a, r) = (A::WASM, R::WASM);
    let mut text = String::from("(module ");
    for (name, _) in operators {
        writeln!(
            text,
            "(func (export \"{name}\") (param {a}) (result {r}) ({name} (local.get 0)))"
        )
        .unwrap();
        for (i, x) in values.iter().enumerate() {
            let x = x.constant();
            writeln!(
                text,
                "(func (export \"{name} {i}\") (result {r}) ({name} {x}))"
            )
            .unwrap();
        }
    }
    text.push(')');
    let mut world = World::new(engine, text);
    for (name, model) in operators {
        for (i, &x) in values.iter().enumerate() {
            let expected = model(x).map(R::bits);
            for found in [
                world.call::<A, R>(name, x),
                world.call::<(), R>(&format!("{name} {i}"), ()),
            ] {
                let found = found.map(R::bits).map_err(|error| trap_of(&error));
                assert_eq!(found, expected, "{name} of {}", x.constant());
            }
        }
    }
}

const I32S: &[i32] = &[
    0,
    1,
    -1,
    2,
    3,
    7,
    31,
    32,
    33,
    255,
    0x5555_5555,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
];

const I64S: &[i64] = &[
    0,
    1,
    -1,
    2,
    10,
    63,
    64,
    65,
    0xffff_ffff,
    0x1_0000_0000,
    -0x8000_0000,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];

macro_rules! integer {
    ($test:ident, $values:ident, $ty:ident, $unsigned:ident, $name:literal) => {
        fn $test(engine: &Engine) {
            type S = $ty;
            type U = $unsigned;
            const BITS: u32 = S::BITS;
            fn divide(a: S, b: S, with: fn(S, S) -> Option<S>) -> Outcome<S> {
                if b == 0 {
                    return Err(Trap::IntegerDivisionByZero);
                }
                with(a, b).ok_or(Trap::IntegerOverflow)
            }
            let operators: &[Binary<S, S>] = &[
                (concat!($name, ".add"), |a, b| Ok(a.wrapping_add(b))),
                (concat!($name, ".sub"), |a, b| Ok(a.wrapping_sub(b))),
                (concat!($name, ".mul"), |a, b| Ok(a.wrapping_mul(b))),
                (concat!($name, ".div_s"), |a, b| {
                    divide(a, b, S::checked_div)
                }),
                (concat!($name, ".div_u"), |a, b| {
                    divide(a, b, |a, b| Some((a as U / b as U) as S))
                }),
                (concat!($name, ".rem_s"), |a, b| {
                    divide(a, b, |a, b| Some(a.wrapping_rem(b)))
                }),
                (concat!($name, ".rem_u"), |a, b| {
                    divide(a, b, |a, b| Some((a as U % b as U) as S))
                }),
                (concat!($name, ".and"), |a, b| Ok(a & b)),
                (concat!($name, ".or"), |a, b| Ok(a | b)),
                (concat!($name, ".xor"), |a, b| Ok(a ^ b)),
                (concat!($name, ".shl"), |a, b| {
                    Ok(a.wrapping_shl(b as u32 % BITS))
                }),
                (concat!($name, ".shr_s"), |a, b| {
                    Ok(a.wrapping_shr(b as u32 % BITS))
                }),
                (concat!($name, ".shr_u"), |a, b| {
                    Ok((a as U).wrapping_shr(b as u32 % BITS) as S)
                }),
                (concat!($name, ".rotl"), |a, b| {
                    Ok(a.rotate_left(b as u32 % BITS))
                }),
                (concat!($name, ".rotr"), |a, b| {
                    Ok(a.rotate_right(b as u32 % BITS))
                }),
            ];
            binary::<S, S>(engine, $values, operators);
            let comparisons: &[Binary<S, i32>] = &[
                (concat!($name, ".eq"), |a, b| Ok((a == b).into())),
                (concat!($name, ".ne"), |a, b| Ok((a != b).into())),
                (concat!($name, ".lt_s"), |a, b| Ok((a < b).into())),
                (concat!($name, ".lt_u"), |a, b| {
                    Ok(((a as U) < b as U).into())
                }),
                (concat!($name, ".gt_s"), |a, b| Ok((a > b).into())),
                (concat!($name, ".gt_u"), |a, b| Ok((a as U > b as U).into())),
                (concat!($name, ".le_s"), |a, b| Ok((a <= b).into())),
                (
                    concat!($name, ".le_u"),
                    |a, b| Ok((a as U <= b as U).into()),
                ),
                (concat!($name, ".ge_s"), |a, b| Ok((a >= b).into())),
                (
                    concat!($name, ".ge_u"),
                    |a, b| Ok((a as U >= b as U).into()),
                ),
            ];
            binary::<S, i32>(engine, $values, comparisons);
            let operators: &[Unary<S, S>] = &[
                (concat!($name, ".clz"), |a| Ok(a.leading_zeros() as S)),
                (concat!($name, ".ctz"), |a| Ok(a.trailing_zeros() as S)),
                (concat!($name, ".popcnt"), |a| Ok(a.count_ones() as S)),
                (concat!($name, ".extend8_s"), |a| Ok(a as i8 as S)),
                (concat!($name, ".extend16_s"), |a| Ok(a as i16 as S)),
            ];
            unary::<S, S>(engine, $values, operators);
            let test: &[Unary<S, i32>] = &[(concat!($name, ".eqz"), |a| Ok((a == 0).into()))];
            unary::<S, i32>(engine, $values, test);
        }
    };
}

integer!(integers_of_32_bits, I32S, i32, u32, "i32");
integer!(integers_of_64_bits, I64S, i64, u64, "i64");

const F32S: &[f32] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -1.5,
    2.5,
    3.5e9,
    1.0e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    2_147_483_648.0,
    -2_147_483_904.0,
    9_223_372_036_854_775_808.0,
];

const F64S: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -1.5,
    2.5,
    5.0e-324,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    2_147_483_647.5,
    -2_147_483_648.9,
    4_294_967_295.5,
    9_223_372_036_854_775_808.0,
    18_446_744_073_709_551_616.0,
];

macro_rules! float {
    ($test:ident, $values:ident, $ty:ident, $name:literal) => {
        fn $test(engine: &Engine) {
            type F = $ty;
            fn smaller(a: F, b: F) -> F {
                if a.is_nan() || b.is_nan() {
                    F::NAN
                } else if a == b {
                    if a.is_sign_negative() { a } else { b }
                } else if a < b {
                    a
                } else {
                    b
                }
            }
            let operators: &[Binary<F, F>] = &[
                (concat!($name, ".add"), |a, b| Ok(a + b)),
                (concat!($name, ".sub"), |a, b| Ok(a - b)),
                (concat!($name, ".mul"), |a, b| Ok(a * b)),
                (concat!($name, ".div"), |a, b| Ok(a / b)),
                (concat!($name, ".min"), |a, b| Ok(smaller(a, b))),
                (concat!($name, ".max"), |a, b| Ok(-smaller(-a, -b))),
                (concat!($name, ".copysign"), |a, b| Ok(a.copysign(b))),
            ];
            binary::<F, F>(engine, $values, operators);
            let comparisons: &[Binary<F, i32>] = &[
                (concat!($name, ".eq"), |a, b| Ok((a == b).into())),
                (concat!($name, ".ne"), |a, b| Ok((a != b).into())),
                (concat!($name, ".lt"), |a, b| Ok((a < b).into())),
                (concat!($name, ".gt"), |a, b| Ok((a > b).into())),
                (concat!($name, ".le"), |a, b| Ok((a <= b).into())),
                (concat!($name, ".ge"), |a, b| Ok((a >= b).into())),
            ];
            binary::<F, i32>(engine, $values, comparisons);
            let operators: &[Unary<F, F>] = &[
                (concat!($name, ".abs"), |a| Ok(a.abs())),
                (concat!($name, ".neg"), |a| Ok(-a)),
                (concat!($name, ".ceil"), |a| Ok(a.ceil())),
                (concat!($name, ".floor"), |a| Ok(a.floor())),
                (concat!($name, ".trunc"), |a| Ok(a.trunc())),
                (concat!($name, ".nearest"), |a| Ok(a.round_ties_even())),
                (concat!($name, ".sqrt"), |a| Ok(a.sqrt())),
            ];
            unary::<F, F>(engine, $values, operators);
            // Exact in `f64`: below the least and above the greatest value that
            // truncates into the type.
            fn truncate(a: F, below: f64, above: f64) -> Outcome<f64> {
                let a = f64::from(a);
                if a.is_nan() {
                    Err(Trap::BadConversionToInteger)
                } else if a.trunc() < below || a.trunc() >= above {
                    Err(Trap::IntegerOverflow)
                } else {
                    Ok(a)
                }
            }
            const TWO_63: f64 = 9_223_372_036_854_775_808.0;
            let conversions: &[Unary<F, i32>] = &[
                (concat!("i32.trunc_", $name, "_s"), |a| {
                    truncate(a, -2_147_483_648.0, 2_147_483_648.0).map(|a| a as i32)
                }),
                (concat!("i32.trunc_", $name, "_u"), |a| {
                    truncate(a, 0.0, 4_294_967_296.0).map(|a| a as u32 as i32)
                }),
                (concat!("i32.trunc_sat_", $name, "_s"), |a| Ok(a as i32)),
                (concat!("i32.trunc_sat_", $name, "_u"), |a| {
                    Ok(a as u32 as i32)
                }),
            ];
            unary::<F, i32>(engine, $values, conversions);
            let conversions: &[Unary<F, i64>] = &[
                (concat!("i64.trunc_", $name, "_s"), |a| {
                    truncate(a, -TWO_63, TWO_63).map(|a| a as i64)
                }),
                (concat!("i64.trunc_", $name, "_u"), |a| {
                    truncate(a, 0.0, 2.0 * TWO_63).map(|a| a as u64 as i64)
                }),
                (concat!("i64.trunc_sat_", $name, "_s"), |a| Ok(a as i64)),
                (concat!("i64.trunc_sat_", $name, "_u"), |a| {
                    Ok(a as u64 as i64)
                }),
            ];
            unary::<F, i64>(engine, $values, conversions);
        }
    };
}

float!(floats_of_32_bits, F32S, f32, "f32");
float!(floats_of_64_bits, F64S, f64, "f64");

fn conversions(engine: &Engine) {
    unary::<i32, i64>(
        engine,
        I32S,
        &[
            ("i64.extend_i32_s", |a| Ok(a.into())),
            ("i64.extend_i32_u", |a| Ok(i64::from(a as u32))),
        ],
    );
    unary::<i64, i32>(engine, I64S, &[("i32.wrap_i64", |a| Ok(a as i32))]);
    unary::<i64, i64>(
        engine,
        I64S,
        &[("i64.extend32_s", |a| Ok(i64::from(a as i32)))],
    );
    unary::<i32, f32>(
        engine,
        I32S,
        &[
            ("f32.convert_i32_s", |a| Ok(a as f32)),
            ("f32.convert_i32_u", |a| Ok(a as u32 as f32)),
            ("f32.reinterpret_i32", |a| Ok(f32::from_bits(a as u32))),
        ],
    );
    unary::<i64, f32>(
        engine,
        I64S,
        &[
            ("f32.convert_i64_s", |a| Ok(a as f32)),
            ("f32.convert_i64_u", |a| Ok(a as u64 as f32)),
        ],
    );
    unary::<i32, f64>(
        engine,
        I32S,
        &[
            ("f64.convert_i32_s", |a| Ok(a.into())),
            ("f64.convert_i32_u", |a| Ok((a as u32).into())),
        ],
    );
    unary::<i64, f64>(
        engine,
        I64S,
        &[
            ("f64.convert_i64_s", |a| Ok(a as f64)),
            ("f64.convert_i64_u", |a| Ok(a as u64 as f64)),
            ("f64.reinterpret_i64", |a| Ok(f64::from_bits(a as u64))),
        ],
    );
    unary::<f32, f64>(engine, F32S, &[("f64.promote_f32", |a| Ok(a.into()))]);
    unary::<f64, f32>(engine, F64S, &[("f32.demote_f64", |a| Ok(a as f32))]);
}

/// The optimizing code generator with and without its middle end.
fn two_engines() -> Vec<(&'static str, Engine)> {
    engines()
        .into_iter()
        .filter(|(name, _)| *name == "guarded" || name.starts_with("unoptimized"))
        .collect()
}

/// 5: integers of 32 bits.
#[test]
fn i32_operators_with_every_kind_of_operand() {
    for (_, engine) in two_engines() {
        integers_of_32_bits(&engine);
    }
}

/// 5: integers of 64 bits.
#[test]
fn i64_operators_with_every_kind_of_operand() {
    for (_, engine) in two_engines() {
        integers_of_64_bits(&engine);
    }
}

/// 5: floats, their truncations and every conversion.
#[test]
fn float_operators_with_every_kind_of_operand() {
    for (_, engine) in two_engines() {
        floats_of_32_bits(&engine);
        floats_of_64_bits(&engine);
        conversions(&engine);
    }
}

/// Vector operators of two vectors.
const VECTOR_BINARY: &str = "
    i8x16.swizzle
    i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s i8x16.gt_u i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u
    i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s i16x8.gt_u i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u
    i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u
    i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
    f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge
    v128.and v128.andnot v128.or v128.xor
    i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
    i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u
    i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u i8x16.avgr_u
    i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u i16x8.mul
    i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u i16x8.avgr_u i16x8.q15mulr_sat_s
    i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u
    i32x4.add i32x4.sub i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s
    i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u
    i64x2.add i64x2.sub i64x2.mul
    i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u
    f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax
    f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax
    i8x16.relaxed_swizzle f32x4.relaxed_min f32x4.relaxed_max f64x2.relaxed_min f64x2.relaxed_max
    i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s";

/// Vector operators of one vector.
const VECTOR_UNARY: &str = "
    v128.not i8x16.abs i8x16.neg i8x16.popcnt i16x8.abs i16x8.neg i32x4.abs i32x4.neg i64x2.abs i64x2.neg
    i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u
    i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u
    i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u
    i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u
    i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u
    f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest f64x2.ceil f64x2.floor f64x2.trunc f64x2.nearest
    f32x4.abs f32x4.neg f32x4.sqrt f64x2.abs f64x2.neg f64x2.sqrt
    i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u
    i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero
    f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u f32x4.demote_f64x2_zero f64x2.promote_low_f32x4
    i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u
    i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero";

/// Vector shifts, by an `i32`.
const VECTOR_SHIFTS: &str = "
    i8x16.shl i8x16.shr_s i8x16.shr_u i16x8.shl i16x8.shr_s i16x8.shr_u
    i32x4.shl i32x4.shr_s i32x4.shr_u i64x2.shl i64x2.shr_s i64x2.shr_u";

const VECTORS: &[u128] = &[
    0,
    u128::MAX,
    0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
    0x8000_0000_8000_0000_7fff_ffff_8080_7f7f,
    // Floats: 1, -0, infinity, a large one; and two of 64 bits, one not a number.
    0x3f80_0000_8000_0000_7f80_0000_4f80_0000,
    0x7ff8_0000_0000_0000_c1e0_0000_0000_0000,
];

/// Bits of a vector, with one value for all NaNs of the lanes that the operator
/// makes.
fn canonical(name: &str, bits: u128) -> u128 {
    let mut bytes = bits.to_le_bytes();
    if name.starts_with("f32x4") {
        for lane in bytes.chunks_mut(4) {
            if f32::from_le_bytes(lane.try_into().unwrap()).is_nan() {
                lane.copy_from_slice(&f32::NAN.to_le_bytes());
            }
        }
    } else if name.starts_with("f64x2") {
        for lane in bytes.chunks_mut(8) {
            if f64::from_le_bytes(lane.try_into().unwrap()).is_nan() {
                lane.copy_from_slice(&f64::NAN.to_le_bytes());
            }
        }
    }
    u128::from_le_bytes(bytes)
}

/// 5: what a vector operator computes does not depend on whether its operands
/// are known, equal or the same, nor on the optimizer.
#[test]
fn vector_operators_with_every_kind_of_operand() {
    let constant = |bits: u128| {
        format!(
            "(v128.const i64x2 {:#x} {:#x})",
            bits as u64,
            (bits >> 64) as u64
        )
    };
    let mut text = String::from("(module ");
    let mut function = |export: String, params: &str, body: String| {
        writeln!(
            text,
            "(func (export \"{export}\") {params} (result v128) {body})"
        )
        .unwrap();
    };
    for name in VECTOR_BINARY.split_whitespace() {
        function(
            name.into(),
            "(param v128 v128)",
            format!("({name} (local.get 0) (local.get 1))"),
        );
        function(
            format!("{name} same"),
            "(param v128)",
            format!("({name} (local.get 0) (local.get 0))"),
        );
        for (i, x) in VECTORS.iter().enumerate() {
            let x = constant(*x);
            function(
                format!("{name} {i} _"),
                "(param v128)",
                format!("({name} {x} (local.get 0))"),
            );
            function(
                format!("{name} _ {i}"),
                "(param v128)",
                format!("({name} (local.get 0) {x})"),
            );
            for (j, y) in VECTORS.iter().enumerate() {
                function(
                    format!("{name} {i} {j}"),
                    "",
                    format!("({name} {x} {})", constant(*y)),
                );
            }
        }
    }
    for name in VECTOR_UNARY.split_whitespace() {
        function(
            name.into(),
            "(param v128)",
            format!("({name} (local.get 0))"),
        );
        for (i, x) in VECTORS.iter().enumerate() {
            function(
                format!("{name} {i}"),
                "",
                format!("({name} {})", constant(*x)),
            );
        }
    }
    let amounts = [0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 65, -1];
    for name in VECTOR_SHIFTS.split_whitespace() {
        function(
            name.into(),
            "(param v128 i32)",
            format!("({name} (local.get 0) (local.get 1))"),
        );
        for amount in amounts {
            function(
                format!("{name} {amount}"),
                "(param v128)",
                format!("({name} (local.get 0) (i32.const {amount}))"),
            );
            for (i, x) in VECTORS.iter().enumerate() {
                function(
                    format!("{name} {amount} {i}"),
                    "",
                    format!("({name} {} (i32.const {amount}))", constant(*x)),
                );
            }
        }
    }
    text.push(')');

    let mut first: Option<Vec<u128>> = None;
    for (engine_name, engine) in two_engines() {
        let mut world = World::new(&engine, &text);
        let mut seen = Vec::new();
        for name in VECTOR_BINARY.split_whitespace() {
            for (i, &x) in VECTORS.iter().enumerate() {
                for (j, &y) in VECTORS.iter().enumerate() {
                    let (vx, vy) = (V128::from(x), V128::from(y));
                    let expected: V128 = world.call(name, (vx, vy)).unwrap();
                    let expected = canonical(name, expected.into());
                    seen.push(expected);
                    let mut others = vec![
                        world.call::<V128, V128>(&format!("{name} {i} _"), vy),
                        world.call::<V128, V128>(&format!("{name} _ {j}"), vx),
                        world.call::<(), V128>(&format!("{name} {i} {j}"), ()),
                    ];
                    if i == j {
                        others.push(world.call::<V128, V128>(&format!("{name} same"), vx));
                    }
                    for (form, other) in others.into_iter().enumerate() {
                        assert_eq!(
                            canonical(name, other.unwrap().into()),
                            expected,
                            "{engine_name}: {name} of {x:#x} and {y:#x}, form {form}"
                        );
                    }
                }
            }
        }
        for name in VECTOR_UNARY.split_whitespace() {
            for (i, &x) in VECTORS.iter().enumerate() {
                let expected: V128 = world.call(name, V128::from(x)).unwrap();
                let other: V128 = world.call(&format!("{name} {i}"), ()).unwrap();
                let expected = canonical(name, expected.into());
                seen.push(expected);
                assert_eq!(
                    canonical(name, other.into()),
                    expected,
                    "{engine_name}: {name} of {x:#x}"
                );
            }
        }
        for name in VECTOR_SHIFTS.split_whitespace() {
            for amount in amounts {
                for (i, &x) in VECTORS.iter().enumerate() {
                    let expected: V128 = world.call(name, (V128::from(x), amount)).unwrap();
                    seen.push(expected.into());
                    let one: V128 = world
                        .call(&format!("{name} {amount}"), V128::from(x))
                        .unwrap();
                    let two: V128 = world.call(&format!("{name} {amount} {i}"), ()).unwrap();
                    let what = format!("{engine_name}: {name} of {x:#x} by {amount}");
                    assert_eq!(one, expected, "{what}");
                    assert_eq!(two, expected, "{what}");
                }
            }
        }
        match &first {
            None => first = Some(seen),
            Some(first) => assert!(*first == seen, "{engine_name} computes something else"),
        }
    }
}
