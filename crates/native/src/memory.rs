//! Reserved address space and copy-on-write images.
//!
//! Holds unsafe code: it hands out and takes back pages. The methods that
//! change what lies behind an address are unsafe, because references into the
//! range may exist; the caller keeps none.

use core::ops::Range;
use core::ptr::NonNull;

use crate::platform;
use crate::system::{Result, out_of_memory};

/// Bytes in a page of the host, a power of two.
pub fn page_size() -> usize {
    #[cfg(feature = "std")]
    {
        static PAGE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *PAGE.get_or_init(platform::query_page_size)
    }
    #[cfg(not(feature = "std"))]
    platform::query_page_size()
}

/// Whether addresses can be reserved without memory behind them. Where it is false,
/// a reservation takes as much memory as it has addresses.
pub const HAS_ADDRESS_SPACE: bool = platform::HAS_ADDRESS_SPACE;

/// Rounds up to whole pages; `None` beyond the address space.
pub fn round_to_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}

/// A range of address space, given back when this is dropped.
///
/// Nothing is accessible and no memory is committed at first.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the reservation is an owned range of addresses, bound to no thread;
// what its methods require is said there.
unsafe impl Send for Reservation {}
// SAFETY: as above; methods that change the range are unsafe or only ever make
// inaccessible pages accessible.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `bytes`, rounded up to whole pages. A reservation of nothing
    /// has a dangling base and holds nothing.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the size is beyond the address space.
    pub fn new(bytes: usize) -> Result<Reservation> {
        let len = round_to_pages(bytes)
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or_else(out_of_memory)?;
        let base = if len == 0 {
            NonNull::without_provenance(
                core::num::NonZero::new(page_size()).expect("pages are not empty"),
            )
        } else {
            platform::reserve(len)?
        };
        Ok(Reservation { base, len })
    }

    /// Owns what was mapped otherwise.
    ///
    /// # Safety
    ///
    /// The range is mapped, and nobody else's.
    #[cfg(any(
        all(feature = "std", windows),
        all(target_os = "macos", target_arch = "aarch64")
    ))]
    pub(crate) unsafe fn from_raw(base: NonNull<u8>, len: usize) -> Reservation {
        Reservation { base, len }
    }

    /// The first address.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is reserved.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Checks `range` and turns it into an address and a length.
    ///
    /// # Panics
    ///
    /// When the range is not whole pages of the reservation: callers compute
    /// ranges from limits they checked, so that this is a mistake of theirs.
    fn place(&self, range: &Range<usize>) -> (*mut u8, usize) {
        let page = page_size();
        assert!(
            range.start <= range.end
                && range.end <= self.len
                && range.start.is_multiple_of(page)
                && range.end.is_multiple_of(page),
            "range {range:?} is not whole pages of a reservation of {} bytes",
            self.len
        );
        (
            self.base.as_ptr().wrapping_add(range.start),
            range.end - range.start,
        )
    }

    /// Makes whole pages readable and writable. Pages that were inaccessible
    /// since they were reserved read as zeros; accessible ones keep their
    /// content.
    ///
    /// # Errors
    ///
    /// When the system has no memory to commit.
    ///
    /// # Panics
    ///
    /// When `range` is not whole pages of the reservation.
    pub fn make_accessible(&self, range: Range<usize>) -> Result<()> {
        let (address, len) = self.place(&range);
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the range lies in the reservation, which is ours, and gains
        // access only.
        unsafe { platform::commit(address, len) }
    }

    /// Makes whole pages inaccessible and gives their memory back; they read as
    /// zeros when they are made accessible again.
    ///
    /// # Errors
    ///
    /// When the system refuses; the range is then as before.
    ///
    /// # Panics
    ///
    /// When `range` is not whole pages of the reservation.
    ///
    /// # Safety
    ///
    /// Nobody holds a reference into the range, and no thread that uses it must
    /// go on.
    pub unsafe fn make_inaccessible(&self, range: Range<usize>) -> Result<()> {
        let (address, len) = self.place(&range);
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the range lies in the reservation; the rest is the caller's.
        unsafe { platform::decommit(address, len) }
    }

    /// Puts whole accessible pages back to what they were first: zeros, or the
    /// content of the image mapped there. Memory is given back.
    ///
    /// # Errors
    ///
    /// When the system refuses. The content is then unspecified.
    ///
    /// # Panics
    ///
    /// When `range` is not whole pages of the reservation.
    ///
    /// # Safety
    ///
    /// Nobody holds a reference into the range.
    pub unsafe fn reset(&self, range: Range<usize>) -> Result<()> {
        let (address, len) = self.place(&range);
        if len == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { platform::reset(address, len) }
    }

    /// Replaces whole pages by accessible zeros, whatever was there.
    ///
    /// # Errors
    ///
    /// When the system refuses; the range is then as before.
    ///
    /// # Panics
    ///
    /// When `range` is not whole pages of the reservation.
    ///
    /// # Safety
    ///
    /// Nobody holds a reference into the range.
    pub unsafe fn reset_to_zero(&self, range: Range<usize>) -> Result<()> {
        let (address, len) = self.place(&range);
        if len == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { platform::replace_by_zeros(address, len) }
    }

    /// Maps `image` at the page-aligned `offset`, readable and writable;
    /// what is written stays private. Its last page is filled up with zeros.
    ///
    /// # Errors
    ///
    /// When the system refuses; the range is then as before.
    ///
    /// # Panics
    ///
    /// When `offset` is not page-aligned, or the image does not fit.
    ///
    /// # Safety
    ///
    /// Nobody holds a reference into the range.
    pub unsafe fn map_copy_on_write(&self, image: &CowImage, offset: usize) -> Result<()> {
        let end = offset
            .checked_add(image.mapped_len())
            .expect("image ends inside of the address space");
        let (address, len) = self.place(&(offset..end));
        if len == 0 {
            return Ok(());
        }
        // SAFETY: as above; the image's file holds at least `len` bytes and is
        // sealed, so that it never gets shorter.
        unsafe { platform::map_private(address, len, &image.file) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the range is ours and ends with us.
            unsafe { platform::release(self.base.as_ptr(), self.len) }
        }
    }
}

/// Initial data that many memories share until they write to it.
#[derive(Debug)]
pub struct CowImage {
    file: platform::SealedFile,
    len: usize,
}

impl CowImage {
    /// Makes an image of `data`; `None` where the system has no such thing.
    ///
    /// # Errors
    ///
    /// When the system has it and refuses: no memory, no file descriptor.
    pub fn new(data: &[u8]) -> Result<Option<CowImage>> {
        let padded = round_to_pages(data.len()).ok_or_else(out_of_memory)?;
        Ok(
            platform::SealedFile::new(data, padded)?.map(|file| CowImage {
                file,
                len: data.len(),
            }),
        )
    }

    /// Bytes of data.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that a mapping covers: whole pages.
    pub fn mapped_len(&self) -> usize {
        self.len.next_multiple_of(page_size())
    }
}
