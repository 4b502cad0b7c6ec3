//! How are a function's arguments read from the command line and its results
//! printed? By the types in its signature.

use tepui::{FuncType, Val, ValType};

/// Reads one argument per parameter.
pub(crate) fn arguments(ty: &FuncType, args: &[String]) -> Result<Vec<Val>, String> {
    if args.len() != ty.params().len() {
        return Err(format!(
            "{} arguments are given, but its type is {}",
            args.len(),
            signature(ty)
        ));
    }
    ty.params()
        .zip(args)
        .enumerate()
        .map(|(i, (ty, text))| {
            argument(&ty, text)
                .map_err(|why| format!("argument {}, `{text}`, is not of type {ty}: {why}", i + 1))
        })
        .collect()
}

/// A function's type as a person reads it.
pub(crate) fn signature(ty: &FuncType) -> String {
    let list = |types: Vec<ValType>| {
        types
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "({}) -> ({})",
        list(ty.params().collect()),
        list(ty.results().collect())
    )
}

/// Reads a value: integers in decimal or, after `0x`, hexadecimal digits,
/// signed or unsigned; floats as decimal numbers, `inf` or `nan`; vectors as
/// one integer of 128 bits, the first lane lowest; of references only `null`.
fn argument(ty: &ValType, text: &str) -> Result<Val, &'static str> {
    const FLOAT: &str = "expected a number such as 1.5, -2e10, inf or nan";
    Ok(match ty {
        ValType::I32 => Val::I32(integer(text, 32)? as i32),
        ValType::I64 => Val::I64(integer(text, 64)? as i64),
        ValType::F32 => Val::F32(text.parse::<f32>().map_err(|_| FLOAT)?.to_bits()),
        ValType::F64 => Val::F64(text.parse::<f64>().map_err(|_| FLOAT)?.to_bits()),
        ValType::V128 => Val::V128(integer(text, 128)?.into()),
        ValType::Ref(ty) if text == "null" && ty.is_nullable() => Val::null_ref(ty.heap_type()),
        ValType::Ref(ty) if ty.is_nullable() => return Err("a reference can only be null here"),
        ValType::Ref(_) => return Err("such a reference cannot be written here"),
    })
}

/// Reads an integer of `bits` bits, signed or unsigned, in two's complement.
fn integer(text: &str, bits: u32) -> Result<u128, &'static str> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |digits| (digits, 16));
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return Err("expected an integer such as 42, -7 or 0x2a");
    }
    let magnitude = u128::from_str_radix(digits, radix)
        .map_err(|_| "expected an integer such as 42, -7 or 0x2a, in range")?;
    let limit = match negative {
        true => 1 << (bits - 1),
        false => u128::MAX >> (128 - bits),
    };
    if magnitude > limit {
        return Err("it is out of range");
    }
    Ok(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

/// A result as [`arguments`] reads it, except for references: integers signed,
/// vectors in hexadecimal digits.
pub(crate) fn show(value: &Val) -> String {
    match value {
        Val::I32(x) => x.to_string(),
        Val::I64(x) => x.to_string(),
        Val::F32(x) => float(f64::from(f32::from_bits(*x)), f32::from_bits(*x)),
        Val::F64(x) => float(f64::from_bits(*x), f64::from_bits(*x)),
        Val::V128(x) => format!("{:#034x}", x.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) => "null".to_string(),
        Val::FuncRef(Some(_)) => "<function>".to_string(),
        Val::ExternRef(Some(_)) => "<host reference>".to_string(),
        other => format!("{other:?}"),
    }
}

/// The shortest decimal number that reads back as the same; `value` is the same
/// number as a double, which tells which form is short.
fn float(value: f64, exact: impl std::fmt::Display + std::fmt::LowerExp) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_string();
    }
    if value != 0.0 && value.is_finite() && !(1e-5..1e16).contains(&value.abs()) {
        format!("{exact:e}")
    } else {
        exact.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_signed_and_unsigned() {
        assert_eq!(integer("42", 32), Ok(42));
        assert_eq!(integer("0x2A", 32), Ok(42));
        assert_eq!(integer("-1", 32).map(|x| x as i32), Ok(-1));
        assert_eq!(integer("4294967295", 32).map(|x| x as i32), Ok(-1));
        assert_eq!(integer("-2147483648", 32).map(|x| x as i32), Ok(i32::MIN));
        assert_eq!(integer("-0x80000000", 32).map(|x| x as i32), Ok(i32::MIN));
        assert_eq!(
            integer("18446744073709551615", 64).map(|x| x as i64),
            Ok(-1)
        );
        assert_eq!(integer("-1", 128), Ok(u128::MAX));
        for bad in [
            "",
            "-",
            "0x",
            "1.0",
            "4294967296",
            "-2147483649",
            "+1",
            "--1",
            "0x-1",
            "-+1",
        ] {
            assert!(integer(bad, 32).is_err(), "{bad}");
        }
    }

    #[test]
    fn floats_read_back_as_they_were() {
        for bits in [
            0,
            0x8000_0000,
            1,
            0x3fc0_0000,
            0x7f7f_ffff,
            0x7f80_0000,
            0xff80_0000,
        ] {
            let text = show(&Val::F32(bits));
            let back = argument(&ValType::F32, &text).expect("what was printed");
            assert!(matches!(back, Val::F32(b) if b == bits), "{text}");
        }
        assert_eq!(show(&Val::F32(0.1f32.to_bits())), "0.1");
        assert_eq!(show(&Val::F64(1e300f64.to_bits())), "1e300");
        assert_eq!(show(&Val::F64(f64::NAN.to_bits())), "nan");
        assert_eq!(show(&Val::F64((-0.0f64).to_bits())), "-0");
    }

    #[test]
    fn vectors_and_references() {
        let value = argument(&ValType::V128, "0x01020304").expect("in range");
        assert_eq!(show(&value), "0x00000000000000000000000001020304");
        assert!(matches!(
            argument(&ValType::EXTERNREF, "null"),
            Ok(Val::ExternRef(None))
        ));
        assert!(matches!(
            argument(&ValType::FUNCREF, "null"),
            Ok(Val::FuncRef(None))
        ));
        assert!(argument(&ValType::EXTERNREF, "7").is_err());
    }
}
