//! How are sizes and durations written on the command line?

use std::time::Duration;

/// Reads a number of bytes: `65536`, `64k`, `64KiB`, `1MiB`, `2g`. Every unit
/// is a power of 1024; upper and lower case mean the same.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{unit}` is not a unit of size; use KiB, MiB or GiB"
            ));
        }
    };
    number
        .parse::<u64>()
        .map_err(|_| "expected a whole number of bytes, such as 65536 or 64MiB".to_string())?
        .checked_mul(1 << shift)
        .ok_or_else(|| "more bytes than 64 bits can count".to_string())
}

/// Reads a duration: `500ms`, `2s`, `1.5s`, `1m`, `1h`. The unit is needed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" => return Err("a duration needs a unit: 500ms, 2s, 1m".to_string()),
        _ => {
            return Err(format!("`{unit}` is not a unit of time; use ms, s, m or h"));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "expected a duration such as 500ms, 2s or 1m".to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "too long".to_string())
}

/// Splits what `text` has of digits and points at its start from the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A number of bytes in the largest unit that divides it.
pub(crate) fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("1k"), Ok(1024));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("3m"), Ok(3 << 20));
        assert_eq!(size("4GiB"), Ok(4 << 30));
        for bad in [
            "",
            "k",
            "-1",
            "1.5m",
            "1x",
            "99999999999999999999",
            "99999999999g",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(show_size(size("3m").expect("valid")), "3 MiB");
        assert_eq!(show_size(0), "0 bytes");
    }

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "1x", "-1s", "1e99s", "1..2s", "nans"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("99999999999999999999h").is_err());
    }
}
