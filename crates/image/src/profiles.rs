//! How what code counts stands in a file.
//!
//! For each function two LEB128 numbers: its loops and its indirect calls with a
//! record. Then for each loop a byte, [`NEVER_LEFT`] or the number of values on the
//! operand stack, and a byte for the representation of each of those: its place in
//! [`Representation::ALL`]. Then for each indirect call its offset in the module, LEB128.

use tepui_abi::convention::Representation;
use tepui_abi::profile::{OSR_GREATEST_HEIGHT, ProfileMetadata};
use tepui_module::leb128;

use crate::error::Error;
use crate::reader::invalid;

/// Stands for a loop that is never left for another entry.
const NEVER_LEFT: u8 = u8::MAX;

const _: () = assert!(OSR_GREATEST_HEIGHT < NEVER_LEFT as usize);

/// The profiles as they stand in a file.
///
/// # Errors
///
/// [`Error::Invalid`] when a loop finds more values than it may.
pub(crate) fn write(profiles: &[ProfileMetadata]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for profile in profiles {
        leb128::write(&mut bytes, profile.loops.len() as u32);
        leb128::write(&mut bytes, profile.sites.len() as u32);
        for values in &profile.loops {
            let Some(values) = values else {
                bytes.push(NEVER_LEFT);
                continue;
            };
            if values.len() > OSR_GREATEST_HEIGHT {
                return Err(invalid("a loop with too many values", 0));
            }
            bytes.push(values.len() as u8);
            for value in values {
                let code = Representation::ALL.iter().position(|repr| repr == value);
                bytes.push(code.unwrap_or_default() as u8);
            }
        }
        for site in &profile.sites {
            leb128::write(&mut bytes, *site);
        }
    }
    Ok(bytes)
}

/// Checks what stands in a file, for so many functions, in a section at `offset`.
pub(crate) fn check(bytes: &[u8], functions: usize, offset: u64) -> Result<(), Error> {
    let mut reader = Profiles(bytes);
    let mut count = 0;
    while !reader.0.is_empty() {
        if reader.next().is_none() {
            return Err(invalid("malformed profiles", offset));
        }
        count += 1;
    }
    if count != 0 && count != functions {
        return Err(invalid("profiles of other functions", offset));
    }
    Ok(())
}

/// The profiles in bytes that were checked.
pub(crate) fn read(bytes: &[u8]) -> Vec<ProfileMetadata> {
    Profiles(bytes).collect()
}

/// Reads one profile after the other; ends at what is malformed.
struct Profiles<'a>(&'a [u8]);

impl Profiles<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u32> {
        leb128::read_u32(&mut self.0)
    }

    /// So many things of at least one byte each.
    fn list<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        if count > self.0.len() {
            return None;
        }
        (0..count).map(|_| read(self)).collect()
    }

    fn values(&mut self) -> Option<Option<Box<[Representation]>>> {
        let count = self.byte()?;
        if count == NEVER_LEFT {
            return Some(None);
        }
        if usize::from(count) > OSR_GREATEST_HEIGHT {
            return None;
        }
        let values = self.list(count.into(), |this| {
            let code = this.byte()?;
            Representation::ALL.get(usize::from(code)).copied()
        })?;
        Some(Some(values.into()))
    }
}

impl Iterator for Profiles<'_> {
    type Item = ProfileMetadata;

    fn next(&mut self) -> Option<ProfileMetadata> {
        let loops = self.number()? as usize;
        let sites = self.number()? as usize;
        Some(ProfileMetadata {
            loops: self.list(loops, Self::values)?,
            sites: self.list(sites, Self::number)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_as_written_and_nothing_else_is_read() {
        let profiles = vec![
            ProfileMetadata::default(),
            ProfileMetadata {
                loops: vec![None, Some([].into()), Some(Representation::ALL.into())],
                sites: vec![7, 300, u32::MAX],
            },
        ];
        let bytes = write(&profiles).unwrap();
        check(&bytes, 2, 0).unwrap();
        assert_eq!(read(&bytes), profiles);
        assert!(check(&bytes, 3, 0).is_err());
        for end in 1..bytes.len() {
            // After the first profile it is whole, but there should be two.
            assert!(check(&bytes[..end], 2, 0).is_err(), "{end}");
        }
        // More than there can be, and what there is not.
        for wrong in [
            &[0xff, 0xff, 0xff, 0xff, 0xf, 0][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[1, 0, 1, 6],
            &[1, 0, 65],
        ] {
            assert!(check(wrong, 1, 0).is_err(), "{wrong:?}");
        }
        assert!(write(&[]).unwrap().is_empty());
        check(&[], 5, 0).unwrap();
    }
}
