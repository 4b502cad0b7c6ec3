//! How does an unsigned number stand in few bytes? As LEB128 (core specification, "Values:
//! Integers"): seven bits a byte, the lowest first, and in all bytes but the last the
//! highest bit. Module descriptions, images and what is read of custom sections use this.
//!
//! The bytes are hostile. As the specification has it, a number of N bits takes at most
//! ⌈N/7⌉ bytes, of which the last may be zeros that were not needed; nothing of a number
//! is dropped.

use alloc::vec::Vec;

/// Appends a number to `out`, in as few bytes as it takes.
#[inline]
pub fn write(out: &mut Vec<u8>, number: impl Into<u64>) {
    let mut rest = number.into();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a number of 32 bits from the front of `bytes`; `None` if there is none, for lack
/// of bytes or because it is larger or longer. Then the bytes that were looked at are gone.
#[inline]
pub fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(read(bytes, u32::BITS)?).ok()
}

/// Takes a number of 64 bits from the front of `bytes`, as [`read_u32`].
#[inline]
pub fn read_u64(bytes: &mut &[u8]) -> Option<u64> {
    read(bytes, u64::BITS)
}

#[inline(always)]
fn read(bytes: &mut &[u8], bits: u32) -> Option<u64> {
    let mut value = 0;
    for shift in (0..bits).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        // Only of the tenth byte may bits be lost.
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A number with a sign as one without, so that it is small if it is near zero: the sign
/// becomes the lowest bit.
#[inline]
pub fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The number that [`zigzag`] made `zigzag` of.
#[inline]
pub fn unzigzag(zigzag: u64) -> i64 {
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, number);
        bytes
    }

    /// The numbers around each power of two.
    fn numbers() -> impl Iterator<Item = u64> {
        (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power | (power >> 1), (power - 1) | power]
        })
    }

    #[test]
    fn what_is_written_is_read_and_no_more() {
        for number in numbers() {
            let mut bytes = written(number);
            let length = bytes.len();
            assert_eq!(
                length,
                (64 - (number | 1).leading_zeros()).div_ceil(7) as usize
            );
            bytes.push(0xff);
            let mut rest = &bytes[..];
            assert_eq!(read_u64(&mut rest), Some(number));
            assert_eq!(rest, [0xff]);
            let mut rest = &bytes[..];
            assert_eq!(read_u32(&mut rest), u32::try_from(number).ok());
            for end in 0..length {
                assert_eq!(read_u64(&mut &bytes[..end]), None, "{number} cut to {end}");
                assert_eq!(read_u32(&mut &bytes[..end]), None, "{number} cut to {end}");
            }
        }
    }

    #[test]
    fn padding_is_read_as_far_as_the_specification_has_it() {
        for length in 1..=11 {
            let mut bytes = [0x80; 11];
            bytes[0] = 0x83;
            bytes[length - 1] &= 0x7f;
            let number = Some(3);
            let of_32 = number.filter(|_| length <= 5);
            let of_64 = number.filter(|_| length <= 10);
            let mut rest = &bytes[..];
            assert_eq!(read_u32(&mut rest), of_32.map(|n| n as u32), "{length}");
            // No more is looked at than a number can have.
            assert_eq!(rest.len(), 11 - length.min(5));
            let mut rest = &bytes[..];
            assert_eq!(read_u64(&mut rest), of_64, "{length}");
            assert_eq!(rest.len(), 11 - length.min(10));
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        for last in 0..=0x7f {
            let of_32 = [0xff, 0xff, 0xff, 0xff, last];
            let expected = (last <= 0x0f).then(|| u32::from(last) << 28 | 0x0fff_ffff);
            assert_eq!(read_u32(&mut &of_32[..]), expected, "{last:#x}");
            let mut of_64 = [0xff; 10];
            of_64[9] = last;
            let expected = (last <= 1).then(|| u64::from(last) << 63 | u64::MAX >> 1);
            assert_eq!(read_u64(&mut &of_64[..]), expected, "{last:#x}");
        }
        assert_eq!(read_u32(&mut &[0xff; 100][..]), None);
        assert_eq!(read_u64(&mut &[0xff; 100][..]), None);
    }

    #[test]
    fn signs_go_there_and_back() {
        for number in numbers() {
            assert_eq!(zigzag(unzigzag(number)), number);
        }
        for (number, expected) in [(0, 0), (-1, 1), (1, 2), (-2, 3)] {
            assert_eq!(zigzag(number), expected);
        }
        assert_eq!(zigzag(i64::MIN), u64::MAX);
        assert_eq!(zigzag(i64::MAX), u64::MAX - 1);
    }
}
