//! Memory for machine code.
//!
//! Holds unsafe code: it makes memory executable.
//!
//! A [`CodeRegion`] reserves one stretch of address space, from which
//! [`CodeAllocation`]s are handed out in granules of 64 KiB. Code is never
//! writable where it is executable: the region maps a file in memory for
//! reading and executing, and a write goes through a second mapping of the same
//! file that exists for the time of the write. Where the system has no such
//! files, or does not let them be executed, pages change between writable and
//! executable instead, and what is written at a time must be whole pages
//! ([`CodeRegion::write_granularity`]).
//!
//! After a write, caches are cleaned and invalidated and the other processors'
//! pipelines flushed, so that code may be entered as soon as the write returns,
//! by whatever thread learns of it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

pub use crate::address_table::{CodeRef, find_code};

use crate::address_table::{GRANULE, Node};
use crate::memory::{Reservation, page_size};
use crate::platform::{self, CodeBacking};
use crate::{NATIVE_CODE, arch};

/// Bytes in a granule, the unit of allocation.
pub const CODE_GRANULE: usize = GRANULE;

/// Address space reserved for code by default.
pub const DEFAULT_REGION_BYTES: usize = 1 << 30;

/// The least that is tried when the default is refused.
pub const MINIMUM_REGION_BYTES: usize = 16 << 20;

/// A stretch of address space for code; one per engine. Clones are the same
/// region, which lives as long as it or an allocation in it does.
#[derive(Clone, Debug)]
pub struct CodeRegion {
    inner: Arc<Region>,
}

struct Region {
    reservation: Reservation,
    backing: CodeBacking,
    free: Mutex<FreeList>,
    node: &'static Node,
    /// The page of stubs that every slot table maps; `None` when it could not
    /// be made and tables are filled one by one.
    stub_page: OnceLock<Option<platform::SharedCode>>,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region")
            .field("reservation", &self.reservation)
            .field("backing", &self.backing)
            .finish_non_exhaustive()
    }
}

impl CodeRegion {
    /// Reserves a region: [`DEFAULT_REGION_BYTES`], or less where the system
    /// refuses, down to [`MINIMUM_REGION_BYTES`].
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where there is no native
    /// code; otherwise what the system said when it refused the least size, or
    /// executable memory altogether.
    pub fn new() -> io::Result<CodeRegion> {
        let mut bytes = DEFAULT_REGION_BYTES;
        loop {
            match CodeRegion::with_bytes(bytes) {
                Err(error)
                    if error.kind() != io::ErrorKind::Unsupported
                        && error.kind() != io::ErrorKind::PermissionDenied
                        && bytes / 2 >= MINIMUM_REGION_BYTES =>
                {
                    bytes /= 2;
                }
                other => return other,
            }
        }
    }

    /// Reserves a region of `bytes`, rounded up to granules.
    ///
    /// # Errors
    ///
    /// As [`CodeRegion::new`].
    pub fn with_bytes(bytes: usize) -> io::Result<CodeRegion> {
        if !NATIVE_CODE {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "there is no code generator for this machine",
            ));
        }
        let granules = bytes.div_ceil(GRANULE).clamp(
            1,
            (isize::MAX as usize / GRANULE).min(u32::MAX as usize - 1),
        );
        let len = granules * GRANULE;
        platform::prepare_code_barrier()?;
        let (reservation, backing) = CodeBacking::reserve(len)?;
        let node = Node::take(len)?;
        node.open(reservation.base().as_ptr() as usize, len);
        Ok(CodeRegion {
            inner: Arc::new(Region {
                reservation,
                backing,
                free: Mutex::new(FreeList::new(granules as u32)),
                node,
                stub_page: OnceLock::new(),
            }),
        })
    }

    /// The addresses of the region.
    pub fn addresses(&self) -> Range<usize> {
        let base = self.inner.reservation.base().as_ptr() as usize;
        base..base + self.inner.reservation.len()
    }

    /// Ranges that are [written](CodeAllocation::write) must start and end at
    /// multiples of this: 1, or the page size where code has one mapping only.
    pub fn write_granularity(&self) -> usize {
        if self.inner.backing.writes_beside_running_code() {
            1
        } else {
            page_size()
        }
    }

    /// Allocates memory for `bytes` of code, at least one granule. It is zeros,
    /// and belongs to no owner.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) when no stretch of the
    /// region is large enough; what the system says otherwise.
    pub fn allocate(&self, bytes: usize) -> io::Result<CodeAllocation> {
        let count = u32::try_from(bytes.div_ceil(GRANULE).max(1))
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let first = self.inner.free().take(count).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the address space reserved for code is used up",
            )
        })?;
        // From here on a failure gives the granules back.
        let allocation = CodeAllocation {
            region: self.inner.clone(),
            first,
            count,
        };
        let start = first as usize * GRANULE;
        // SAFETY: the granules were free: nobody uses them.
        unsafe {
            self.inner.backing.open(
                allocation.base().cast_mut(),
                start,
                count as usize * GRANULE,
            )?;
        }
        Ok(allocation)
    }

    /// As [`find_code`], in this region only.
    pub fn lookup(&self, pc: usize) -> Option<CodeRef> {
        self.inner.node.find(pc)
    }

    /// The page of slot stubs, if it can be shared.
    pub(crate) fn stub_page(
        &self,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Option<&platform::SharedCode> {
        self.inner
            .stub_page
            .get_or_init(|| platform::SharedCode::new(&make()).ok().flatten())
            .as_ref()
    }
}

impl Region {
    fn free(&self) -> std::sync::MutexGuard<'_, FreeList> {
        self.free
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Every allocation holds the region, so that all are unregistered.
        self.node.close();
    }
}

/// Memory for code, given back when this is dropped.
///
/// Whoever enters the code keeps the allocation: that is part of the contract
/// of [`enter`](crate::stubs::enter). It may be written in parts, by several
/// threads.
#[derive(Debug)]
pub struct CodeAllocation {
    region: Arc<Region>,
    first: u32,
    count: u32,
}

impl CodeAllocation {
    /// The address at which the code will run.
    pub fn base(&self) -> *const u8 {
        self.region
            .reservation
            .base()
            .as_ptr()
            .wrapping_add(self.first as usize * GRANULE)
    }

    /// Bytes, a multiple of [`CODE_GRANULE`].
    pub fn len(&self) -> usize {
        self.count as usize * GRANULE
    }

    /// Never: an allocation has at least one granule.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Lets `write` fill the bytes of `range`, and makes them ready to run.
    ///
    /// The slice that `write` gets lies elsewhere than the code: positions in
    /// it correspond to [`base`](CodeAllocation::base)` + range.start`. It holds
    /// what was written there before, or zeros.
    ///
    /// # Errors
    ///
    /// When the system refuses a mapping. The code is then not to be run;
    /// `write` may or may not have been called.
    ///
    /// # Panics
    ///
    /// When the range is not inside of the allocation, or not a multiple of
    /// [`CodeRegion::write_granularity`].
    ///
    /// # Safety
    ///
    /// Nobody runs, reads or writes the bytes of the range meanwhile.
    pub unsafe fn write(
        &self,
        range: Range<usize>,
        write: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "code range {range:?} is not inside of {} bytes",
            self.len()
        );
        if range.is_empty() {
            write(&mut []);
            return Ok(());
        }
        let backing = &self.region.backing;
        assert!(
            backing.writes_beside_running_code()
                || (range.start.is_multiple_of(page_size())
                    && range.end.is_multiple_of(page_size())),
            "code range {range:?} is not whole pages"
        );
        let address = self.base().wrapping_add(range.start);
        let offset = self.first as usize * GRANULE + range.start;
        // SAFETY: the range is inside of this allocation, which is open; the
        // rest is the caller's.
        unsafe { backing.write(address.cast_mut(), offset, range.len(), write)? };
        // SAFETY: the range is mapped readable and executable.
        unsafe { arch::synchronize_caches(address, range.len()) };
        platform::code_barrier()
    }

    /// Enters the allocation in the address table: [`find_code`] will answer
    /// `owner` for its addresses. May be called again with another owner.
    pub fn register(&self, owner: *const ()) {
        self.region.node.register(self.first, self.count, owner);
    }

    /// [Writes](CodeAllocation::write) the whole allocation and
    /// [registers](CodeAllocation::register) it.
    ///
    /// # Errors
    ///
    /// As [`CodeAllocation::write`]; the allocation is then not registered.
    ///
    /// # Safety
    ///
    /// As [`CodeAllocation::write`].
    pub unsafe fn publish(
        &self,
        owner: *const (),
        write: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        // SAFETY: the caller's.
        unsafe { self.write(0..self.len(), write)? };
        self.register(owner);
        Ok(())
    }
}

impl Drop for CodeAllocation {
    fn drop(&mut self) {
        let region = &*self.region;
        region.node.unregister(self.first, self.count);
        let start = self.first as usize * GRANULE;
        // SAFETY: the granules are ours, and nobody runs code in them any more.
        let closed = unsafe {
            region
                .backing
                .close(self.base().cast_mut(), start, self.len())
        };
        // Granules that the system does not take back are lost: old code must
        // not become the start of somebody else's.
        if closed.is_ok() {
            region.free().give(self.first, self.count);
        }
    }
}

/// Free granules: first fit, neighbours joined.
#[derive(Debug)]
struct FreeList {
    /// From the first granule of a stretch to its length.
    stretches: BTreeMap<u32, u32>,
}

impl FreeList {
    fn new(granules: u32) -> FreeList {
        FreeList {
            stretches: BTreeMap::from([(0, granules)]),
        }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let (&first, &length) = self
            .stretches
            .iter()
            .find(|(_, length)| **length >= count)?;
        self.stretches.remove(&first);
        if length > count {
            self.stretches.insert(first + count, length - count);
        }
        Some(first)
    }

    fn give(&mut self, mut first: u32, mut count: u32) {
        if let Some((&before, &length)) = self.stretches.range(..first).next_back()
            && before + length == first
        {
            self.stretches.remove(&before);
            first = before;
            count += length;
        }
        if let Some(length) = self.stretches.remove(&(first + count)) {
            count += length;
        }
        self.stretches.insert(first, count);
    }
}

#[cfg(test)]
mod tests {
    use super::FreeList;

    #[test]
    fn granules_come_back_together() {
        let mut list = FreeList::new(100);
        let taken: Vec<u32> = (0..10).map(|_| list.take(10).expect("room")).collect();
        assert_eq!(list.take(1), None);
        for index in [1, 3, 5, 7, 9, 0, 2, 4, 6, 8] {
            list.give(taken[index], 10);
        }
        assert_eq!(list.stretches.len(), 1);
        assert_eq!(list.take(100), Some(0));
    }
}
