//! How do lists of guest buffers meet services that take host slices?
//!
//! One call moves at most [`MOST_BYTES`] bytes through at most [`MOST_BUFFERS`]
//! buffers, which the specification allows (a short count) and which bounds the
//! host's memory. Where the guest's memory can be borrowed, bytes move without
//! a copy in between; several buffers to be read into, and shared memories, go
//! through a buffer of the host of at most [`BOUNCE`] bytes.

use super::memory::GuestMemory;
use super::types::IOVEC_SIZE;
use super::{Failure, Result};
use std::io::IoSlice;

/// The most buffers that one call uses.
const MOST_BUFFERS: usize = 1024;
/// The most bytes that one call moves.
const MOST_BYTES: u64 = 1 << 30;
/// The largest buffer of the host's own.
pub(super) const BOUNCE: usize = 64 * 1024;

/// The buffers of an `iovec_array` or `ciovec_array` that one call uses: in
/// range, not empty.
pub(super) struct Buffers {
    list: Vec<(u32, u32)>,
    total: usize,
}

impl Buffers {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// `fault` when the list, or a buffer that would be used, is out of range.
    pub(super) fn read(memory: &GuestMemory<'_>, pointer: u32, count: u32) -> Result<Self> {
        memory.array(pointer, count, IOVEC_SIZE)?;
        let mut list = Vec::new();
        let mut total: u64 = 0;
        for index in 0..count {
            // In range, as the whole array is.
            let at = pointer + index * IOVEC_SIZE;
            let (buffer, length) = (memory.read_u32(at)?, memory.read_u32(at + 4)?);
            memory.range(buffer, length)?;
            if length == 0 {
                continue;
            }
            let length = u64::from(length).min(MOST_BYTES - total);
            total += length;
            list.push((buffer, length as u32));
            if list.len() == MOST_BUFFERS || total == MOST_BYTES {
                break;
            }
        }
        Ok(Buffers {
            list,
            total: total as usize,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Gives `operation` one host slice to fill, and stores what it says it
    /// filled. There is at least one buffer.
    pub(super) fn fill<T>(
        &self,
        memory: &mut GuestMemory<'_>,
        operation: impl FnOnce(&mut [u8]) -> Result<(usize, T)>,
    ) -> Result<(usize, T)> {
        let (pointer, length) = self.list[0];
        if (self.list.len() == 1 || length as usize >= BOUNCE)
            && let GuestMemory::Exclusive(_) = memory
        {
            let range = memory.range(pointer, length)?;
            if let GuestMemory::Exclusive(bytes) = memory {
                return operation(&mut bytes[range]);
            }
        }
        let mut bounce = vec![0; self.total.min(BOUNCE)];
        let (count, value) = operation(&mut bounce)?;
        let mut rest = &bounce[..count];
        for &(pointer, length) in &self.list {
            let (now, later) = rest.split_at(rest.len().min(length as usize));
            memory.write(pointer, now)?;
            rest = later;
        }
        Ok((count, value))
    }

    /// Gives `operation` the bytes after the first `skip`, in order and perhaps
    /// not all of them.
    pub(super) fn with_slices<T>(
        &self,
        memory: &GuestMemory<'_>,
        mut skip: usize,
        operation: impl FnOnce(&[IoSlice<'_>]) -> Result<T>,
    ) -> Result<T> {
        let mut pieces = self.list.iter().filter_map(|&(pointer, length)| {
            let skipped = skip.min(length as usize);
            skip -= skipped;
            let skipped = skipped as u32;
            (skipped < length).then_some((pointer + skipped, length - skipped))
        });
        if let GuestMemory::Exclusive(bytes) = memory {
            let slices = pieces
                .map(|(pointer, length)| {
                    memory
                        .range(pointer, length)
                        .map(|range| IoSlice::new(&bytes[range]))
                })
                .collect::<Result<Vec<_>, Failure>>()?;
            return operation(&slices);
        }
        let bounce = copy(memory, &mut pieces)?;
        operation(&[IoSlice::new(&bounce)])
    }

    /// Gives `operation` the bytes after the first `skip` as one slice, perhaps
    /// not all of them.
    pub(super) fn with_slice<T>(
        &self,
        memory: &GuestMemory<'_>,
        skip: usize,
        operation: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        self.with_slices(memory, skip, |slices| match slices {
            [] => operation(&[]),
            [one] => operation(one),
            many => {
                let mut bounce = Vec::new();
                for slice in many {
                    let room = BOUNCE - bounce.len();
                    bounce.extend_from_slice(&slice[..slice.len().min(room)]);
                }
                operation(&bounce)
            }
        })
    }
}

/// The first bytes of `pieces`, at most [`BOUNCE`].
fn copy(memory: &GuestMemory<'_>, pieces: &mut dyn Iterator<Item = (u32, u32)>) -> Result<Vec<u8>> {
    let mut bounce = Vec::new();
    for (pointer, length) in pieces {
        let start = bounce.len();
        let length = (length as usize).min(BOUNCE - start);
        if length == 0 {
            break;
        }
        bounce.resize(start + length, 0);
        memory.read(pointer, &mut bounce[start..])?;
    }
    Ok(bounce)
}
