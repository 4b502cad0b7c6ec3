//! How do the values that a script writes become arguments, and when does a
//! result match what a script expects?

use crate::engine;
use crate::runner::Fault;
use std::fmt::Write;
use tepui::{Store, Val};
use wast::core::{
    AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore as Arg, WastRetCore as Ret,
};
use wast::{WastArg, WastRet};

/// Which hierarchy a heap type belongs to, as far as values can be made here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    Func,
    Extern,
}

/// The hierarchy of `ty`. Without garbage-collected types every concrete type
/// is a function type.
fn hierarchy(ty: &HeapType<'_>) -> Result<Hierarchy, Fault> {
    match ty {
        HeapType::Concrete(_) | HeapType::Exact(_) => Ok(Hierarchy::Func),
        HeapType::Abstract { ty, .. } => match ty {
            AbstractHeapType::Func | AbstractHeapType::NoFunc => Ok(Hierarchy::Func),
            AbstractHeapType::Extern | AbstractHeapType::NoExtern => Ok(Hierarchy::Extern),
            other => Err(Fault::unsupported(format!(
                "references of heap type {other:?}"
            ))),
        },
    }
}

/// Makes the argument that a script writes.
pub(crate) fn argument(store: &mut Store<()>, arg: &WastArg<'_>) -> Result<Val, Fault> {
    let WastArg::Core(arg) = arg else {
        return Err(Fault::unsupported("component values"));
    };
    Ok(match arg {
        Arg::I32(x) => Val::I32(*x),
        Arg::I64(x) => Val::I64(*x),
        Arg::F32(x) => Val::F32(x.bits),
        Arg::F64(x) => Val::F64(x.bits),
        Arg::V128(x) => Val::V128(u128::from_le_bytes(x.to_le_bytes()).into()),
        Arg::RefNull(ty) => match hierarchy(ty)? {
            Hierarchy::Func => Val::FuncRef(None),
            Hierarchy::Extern => Val::ExternRef(None),
        },
        Arg::RefExtern(n) => engine::extern_ref(store, *n)
            .map_err(|e| Fault::failed(format!("cannot make (ref.extern {n}): {e:?}")))?,
        Arg::RefHost(_) => return Err(Fault::unsupported("ref.host, a reference of type any")),
    })
}

/// Holds all results against what the script expects.
pub(crate) fn check_results(
    store: &mut Store<()>,
    actual: &[Val],
    expected: &[WastRet<'_>],
) -> Result<(), Fault> {
    if actual.len() != expected.len() {
        return Err(Fault::failed(format!(
            "expected {} results, got {}: {}",
            expected.len(),
            actual.len(),
            actual
                .iter()
                .map(|value| show(store, value))
                .collect::<Vec<_>>()
                .join(" ")
        )));
    }
    let count = expected.len();
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let WastRet::Core(expected) = expected else {
            return Err(Fault::unsupported("component values"));
        };
        if !matches(store, actual, expected)? {
            let which = match count {
                1 => String::new(),
                _ => format!("result {index}: "),
            };
            return Err(Fault::failed(format!(
                "{which}expected {}, got {}",
                show_expected(expected),
                show(store, actual)
            )));
        }
    }
    Ok(())
}

/// Whether one result matches.
fn matches(store: &mut Store<()>, actual: &Val, expected: &Ret<'_>) -> Result<bool, Fault> {
    Ok(match (expected, actual) {
        (Ret::I32(x), Val::I32(y)) => x == y,
        (Ret::I64(x), Val::I64(y)) => x == y,
        (Ret::F32(x), Val::F32(y)) => f32_matches(x, *y),
        (Ret::F64(x), Val::F64(y)) => f64_matches(x, *y),
        (Ret::V128(x), Val::V128(y)) => v128_matches(x, y.as_u128()),
        (Ret::RefNull(None), Val::FuncRef(None) | Val::ExternRef(None)) => true,
        (Ret::RefNull(Some(ty)), Val::FuncRef(None)) => hierarchy(ty)? == Hierarchy::Func,
        (Ret::RefNull(Some(ty)), Val::ExternRef(None)) => hierarchy(ty)? == Hierarchy::Extern,
        (Ret::RefExtern(None), Val::ExternRef(Some(_))) => true,
        (Ret::RefExtern(Some(n)), Val::ExternRef(Some(_))) => {
            engine::extern_ref_number(store, actual) == Some(*n)
        }
        (Ret::RefFunc(None), Val::FuncRef(Some(_))) => true,
        (Ret::RefFunc(Some(_)), _) => {
            return Err(Fault::unsupported("(ref.func INDEX) as an expected result"));
        }
        (
            Ret::RefHost(_)
            | Ret::RefAny
            | Ret::RefEq
            | Ret::RefArray
            | Ret::RefStruct
            | Ret::RefI31
            | Ret::RefI31Shared,
            _,
        ) => {
            return Err(Fault::unsupported(
                "references to garbage-collected objects",
            ));
        }
        (Ret::Either(cases), _) => {
            for case in cases {
                if matches(store, actual, case)? {
                    return Ok(true);
                }
            }
            false
        }
        _ => false,
    })
}

/// The canonical NaN has only the top bit of the fraction set; an arithmetic
/// NaN has at least that one. The sign is free in both (specification, 4.3.3).
fn f32_matches(expected: &NanPattern<wast::token::F32>, bits: u32) -> bool {
    const QUIET: u32 = 0x7fc0_0000;
    match expected {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == QUIET,
        NanPattern::ArithmeticNan => bits & QUIET == QUIET,
        NanPattern::Value(value) => value.bits == bits,
    }
}

/// As [`f32_matches`].
fn f64_matches(expected: &NanPattern<wast::token::F64>, bits: u64) -> bool {
    const QUIET: u64 = 0x7ff8_0000_0000_0000;
    match expected {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == QUIET,
        NanPattern::ArithmeticNan => bits & QUIET == QUIET,
        NanPattern::Value(value) => value.bits == bits,
    }
}

/// Compares lane by lane, in the shape that the script chose.
fn v128_matches(expected: &V128Pattern, bits: u128) -> bool {
    let byte = |i: usize| (bits >> (8 * i)) as u8;
    let half = |i: usize| (bits >> (16 * i)) as u16;
    let word = |i: usize| (bits >> (32 * i)) as u32;
    let long = |i: usize| (bits >> (64 * i)) as u64;
    match expected {
        V128Pattern::I8x16(lanes) => (0..16).all(|i| lanes[i] as u8 == byte(i)),
        V128Pattern::I16x8(lanes) => (0..8).all(|i| lanes[i] as u16 == half(i)),
        V128Pattern::I32x4(lanes) => (0..4).all(|i| lanes[i] as u32 == word(i)),
        V128Pattern::I64x2(lanes) => (0..2).all(|i| lanes[i] as u64 == long(i)),
        V128Pattern::F32x4(lanes) => (0..4).all(|i| f32_matches(&lanes[i], word(i))),
        V128Pattern::F64x2(lanes) => (0..2).all(|i| f64_matches(&lanes[i], long(i))),
    }
}

/// A value as a person reads it in a failure; floats with their bits.
pub(crate) fn show(store: &mut Store<()>, value: &Val) -> String {
    match value {
        Val::I32(x) => format!("(i32.const {x})"),
        Val::I64(x) => format!("(i64.const {x})"),
        Val::F32(x) => show_f32(*x),
        Val::F64(x) => show_f64(*x),
        Val::V128(x) => {
            let bits = x.as_u128();
            let mut text = String::from("(v128.const i32x4");
            for lane in 0..4 {
                let _ = write!(text, " {:#010x}", (bits >> (32 * lane)) as u32);
            }
            text + ")"
        }
        Val::FuncRef(None) => "(ref.null func)".to_string(),
        Val::FuncRef(Some(_)) => "(ref.func …)".to_string(),
        Val::ExternRef(None) => "(ref.null extern)".to_string(),
        Val::ExternRef(Some(_)) => match engine::extern_ref_number(store, value) {
            Some(n) => format!("(ref.extern {n})"),
            None => "(ref.extern …)".to_string(),
        },
        other => format!("{other:?}"),
    }
}

fn show_f32(bits: u32) -> String {
    format!(
        "(f32.const {}) with bits {bits:#010x}",
        f32::from_bits(bits)
    )
}

fn show_f64(bits: u64) -> String {
    format!(
        "(f64.const {}) with bits {bits:#018x}",
        f64::from_bits(bits)
    )
}

fn show_expected(expected: &Ret<'_>) -> String {
    fn float<T>(pattern: &NanPattern<T>, ty: &str, show: impl Fn(&T) -> String) -> String {
        match pattern {
            NanPattern::CanonicalNan => format!("({ty}.const nan:canonical)"),
            NanPattern::ArithmeticNan => format!("({ty}.const nan:arithmetic)"),
            NanPattern::Value(value) => show(value),
        }
    }
    fn lanes<T>(shape: &str, lanes: &[T], show: impl Fn(&T) -> String) -> String {
        let mut text = format!("(v128.const {shape}");
        for lane in lanes {
            let _ = write!(text, " {}", show(lane));
        }
        text + ")"
    }
    fn lane<T>(pattern: &NanPattern<T>, show: impl Fn(&T) -> String) -> String {
        match pattern {
            NanPattern::CanonicalNan => "nan:canonical".to_string(),
            NanPattern::ArithmeticNan => "nan:arithmetic".to_string(),
            NanPattern::Value(value) => show(value),
        }
    }
    match expected {
        Ret::I32(x) => format!("(i32.const {x})"),
        Ret::I64(x) => format!("(i64.const {x})"),
        Ret::F32(x) => float(x, "f32", |x| show_f32(x.bits)),
        Ret::F64(x) => float(x, "f64", |x| show_f64(x.bits)),
        Ret::V128(V128Pattern::I8x16(x)) => lanes("i8x16", x, |x| format!("{x:#04x}")),
        Ret::V128(V128Pattern::I16x8(x)) => lanes("i16x8", x, |x| format!("{x:#06x}")),
        Ret::V128(V128Pattern::I32x4(x)) => lanes("i32x4", x, |x| format!("{x:#010x}")),
        Ret::V128(V128Pattern::I64x2(x)) => lanes("i64x2", x, |x| format!("{x:#018x}")),
        Ret::V128(V128Pattern::F32x4(x)) => lanes("f32x4", x, |x| {
            lane(x, |x| {
                format!("{} [{:#010x}]", f32::from_bits(x.bits), x.bits)
            })
        }),
        Ret::V128(V128Pattern::F64x2(x)) => lanes("f64x2", x, |x| {
            lane(x, |x| {
                format!("{} [{:#018x}]", f64::from_bits(x.bits), x.bits)
            })
        }),
        Ret::RefNull(None) => "(ref.null)".to_string(),
        Ret::RefNull(Some(ty)) => format!("(ref.null {})", show_heap_type(ty)),
        Ret::RefExtern(None) => "(ref.extern)".to_string(),
        Ret::RefExtern(Some(n)) => format!("(ref.extern {n})"),
        Ret::RefHost(n) => format!("(ref.host {n})"),
        Ret::RefFunc(_) => "(ref.func)".to_string(),
        Ret::RefAny => "(ref.any)".to_string(),
        Ret::RefEq => "(ref.eq)".to_string(),
        Ret::RefArray => "(ref.array)".to_string(),
        Ret::RefStruct => "(ref.struct)".to_string(),
        Ret::RefI31 => "(ref.i31)".to_string(),
        Ret::RefI31Shared => "(ref.i31_shared)".to_string(),
        Ret::Either(cases) => {
            let cases: Vec<_> = cases.iter().map(show_expected).collect();
            format!("either {}", cases.join(" or "))
        }
    }
}

fn show_heap_type(ty: &HeapType<'_>) -> String {
    match ty {
        HeapType::Abstract { ty, .. } => format!("{ty:?}").to_lowercase(),
        HeapType::Concrete(index) | HeapType::Exact(index) => match index {
            wast::token::Index::Num(n, _) => n.to_string(),
            wast::token::Index::Id(id) => format!("${}", id.name()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wast::token::{F32, F64};

    #[test]
    fn nan_patterns() {
        let canonical = NanPattern::<F32>::CanonicalNan;
        let arithmetic = NanPattern::<F32>::ArithmeticNan;
        for bits in [0x7fc0_0000, 0xffc0_0000] {
            assert!(f32_matches(&canonical, bits));
            assert!(f32_matches(&arithmetic, bits));
        }
        assert!(!f32_matches(&canonical, 0x7fc0_0001));
        assert!(f32_matches(&arithmetic, 0x7fc0_0001));
        // A signalling NaN, an infinity and a number are neither.
        for bits in [0x7fa0_0000, 0x7f80_0000, 0x3f80_0000] {
            assert!(!f32_matches(&canonical, bits));
            assert!(!f32_matches(&arithmetic, bits));
        }
        let canonical = NanPattern::<F64>::CanonicalNan;
        let arithmetic = NanPattern::<F64>::ArithmeticNan;
        assert!(f64_matches(&canonical, 0xfff8_0000_0000_0000));
        assert!(!f64_matches(&canonical, 0x7ff8_0000_0000_0001));
        assert!(f64_matches(&arithmetic, 0x7ff8_0000_0000_0001));
        assert!(!f64_matches(&arithmetic, 0x7ff4_0000_0000_0000));
    }

    #[test]
    fn zeros_differ_by_sign() {
        assert!(!f32_matches(
            &NanPattern::Value(F32 { bits: 0 }),
            0x8000_0000
        ));
    }

    #[test]
    fn vectors_compare_by_lane() {
        let pattern = V128Pattern::F32x4([
            NanPattern::Value(F32 { bits: 1 }),
            NanPattern::CanonicalNan,
            NanPattern::ArithmeticNan,
            NanPattern::Value(F32 { bits: 4 }),
        ]);
        let value = |lanes: [u32; 4]| {
            lanes
                .iter()
                .rev()
                .fold(0u128, |sum, lane| sum << 32 | u128::from(*lane))
        };
        assert!(v128_matches(
            &pattern,
            value([1, 0xffc0_0000, 0x7fff_ffff, 4])
        ));
        assert!(!v128_matches(&pattern, value([1, 0, 0x7fff_ffff, 4])));
        assert!(!v128_matches(
            &pattern,
            value([4, 0xffc0_0000, 0x7fff_ffff, 1])
        ));
    }
}
