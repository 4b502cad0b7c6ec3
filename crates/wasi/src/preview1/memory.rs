//! How is a guest's memory read and written when its pointers may be anything?
//!
//! This file holds `unsafe`: shared memories are accessed while other threads
//! may do the same.

use super::Failure;
use crate::services::ErrorCode;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

/// The memory that a guest exports. Pointers may be misaligned and ranges may
/// overlap; what is out of range fails with `fault`.
pub(crate) enum GuestMemory<'a> {
    /// The guest is not running, so nobody else touches it.
    Exclusive(&'a mut [u8]),
    /// Other threads may touch it at any time.
    Shared(&'a [UnsafeCell<u8>]),
    /// The guest exports none.
    Missing,
}

impl GuestMemory<'_> {
    /// The indices of `length` bytes at `pointer`.
    pub(crate) fn range(&self, pointer: u32, length: u32) -> Result<Range<usize>, Failure> {
        let size = match self {
            GuestMemory::Exclusive(bytes) => bytes.len(),
            GuestMemory::Shared(bytes) => bytes.len(),
            GuestMemory::Missing => return Err(Failure::NoMemory),
        };
        let end = u64::from(pointer) + u64::from(length);
        if end > size as u64 {
            return Err(ErrorCode::Fault.into());
        }
        // Both are below `size`.
        Ok(pointer as usize..end as usize)
    }

    /// The indices of `count` records of `size` bytes at `pointer`.
    pub(crate) fn array(
        &self,
        pointer: u32,
        count: u32,
        size: u32,
    ) -> Result<Range<usize>, Failure> {
        let length = count.checked_mul(size).ok_or(ErrorCode::Fault)?;
        self.range(pointer, length)
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, pointer: u32, into: &mut [u8]) -> Result<(), Failure> {
        let length = u32::try_from(into.len()).map_err(|_| ErrorCode::Fault)?;
        let range = self.range(pointer, length)?;
        match self {
            GuestMemory::Exclusive(bytes) => into.copy_from_slice(&bytes[range]),
            GuestMemory::Shared(bytes) => {
                for (to, from) in into.iter_mut().zip(&bytes[range]) {
                    // SAFETY: the pointer comes from a live `UnsafeCell<u8>`, a
                    // byte is always aligned, and the runtime, who hands the
                    // cells out, lets guests and hosts access a shared memory
                    // only by atomic accesses or such as mix with them.
                    *to = unsafe { AtomicU8::from_ptr(from.get()) }.load(Ordering::Relaxed);
                }
            }
            GuestMemory::Missing => return Err(Failure::NoMemory),
        }
        Ok(())
    }

    /// Copies bytes in.
    pub(crate) fn write(&mut self, pointer: u32, from: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(from.len()).map_err(|_| ErrorCode::Fault)?;
        let range = self.range(pointer, length)?;
        match self {
            GuestMemory::Exclusive(bytes) => bytes[range].copy_from_slice(from),
            GuestMemory::Shared(bytes) => {
                for (to, from) in bytes[range].iter().zip(from) {
                    // SAFETY: as in `read`.
                    unsafe { AtomicU8::from_ptr(to.get()) }.store(*from, Ordering::Relaxed);
                }
            }
            GuestMemory::Missing => return Err(Failure::NoMemory),
        }
        Ok(())
    }

    pub(crate) fn read_u32(&self, pointer: u32) -> Result<u32, Failure> {
        let mut bytes = [0; 4];
        self.read(pointer, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn write_u16(&mut self, pointer: u32, value: u16) -> Result<(), Failure> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Failure> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Failure> {
        self.write(pointer, &value.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(check: impl Fn(&mut GuestMemory<'_>)) {
        let mut bytes = vec![0; 100];
        check(&mut GuestMemory::Exclusive(&mut bytes));
        let cells: Vec<UnsafeCell<u8>> = (0..100).map(|_| UnsafeCell::new(0)).collect();
        check(&mut GuestMemory::Shared(&cells));
    }

    #[test]
    fn ranges_end_where_the_memory_does() {
        both(|memory| {
            assert!(memory.write(97, b"abc").is_ok());
            assert!(memory.write(98, b"abc").is_err());
            assert!(memory.range(100, 0).is_ok());
            assert!(memory.range(101, 0).is_err());
            assert!(memory.range(u32::MAX, u32::MAX).is_err());
            assert!(memory.array(0, u32::MAX, 48).is_err());
            let mut read = [0; 3];
            assert!(memory.read(97, &mut read).is_ok());
            assert_eq!(&read, b"abc");
            assert!(memory.write_u64(3, 0x0102_0304_0506_0708).is_ok());
            assert!(matches!(memory.read_u32(3), Ok(0x0506_0708)));
        });
        assert!(matches!(
            GuestMemory::Missing.range(0, 0),
            Err(Failure::NoMemory)
        ));
    }
}
