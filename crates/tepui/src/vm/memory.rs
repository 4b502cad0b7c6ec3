//! What is a linear memory of one store? Reserved pages, a length, a definition.
//!
//! This file holds unsafe code. A [`VmMemory`] owns the pages; generated code
//! and the bulk operations at the end reach them through the memory's
//! [definition](MemoryDefinition).
//!
//! **Styles.** A *guarded* memory reserves all addresses that code can form, so
//! that it never moves and code compares nothing. A *checked* memory reserves
//! some room to grow and moves when that is used up. Which one a memory gets is
//! decided by its type and the tunables ([`MemoryStyle::of`]), unless the
//! system refuses the reservation: then it is checked, and whoever created it
//! sees that in [`VmMemory::style`].
//!
//! **Invariants.** `length <= accessible <= reservation`. The bytes from
//! `length` to `accessible` (less than a host page) are zero, because nothing
//! writes there: code compares with the length wherever that is no multiple of
//! the host's page size. The definition says what `reservation` and `length` say.

use core::ptr::{self, NonNull};

use tepui_abi::{MemoryStyle, Trap, Tunables};
use tepui_module::MemoryType;
use tepui_native::memory::{CowImage, HAS_ADDRESS_SPACE, Reservation, page_size, round_to_pages};
use tepui_native::system::{self, out_of_memory};

use super::definition::{Definition, MemoryDefinition, Place};
use crate::error::{Context as _, Error, Result};
use crate::limits::ResourceLimiter;
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// The least room to grow, in bytes, that a checked memory reserves.
const GROWTH_ROOM: usize = 1 << 20;

/// A linear memory that belongs to one store.
#[derive(Debug)]
pub(crate) struct VmMemory {
    ty: MemoryType,
    style: MemoryStyle,
    reservation: Reservation,
    /// Bytes of the reservation that the memory may grow into.
    capacity: usize,
    /// Bytes that are readable and writable, whole host pages.
    accessible: usize,
    /// Bytes that belong to the memory.
    length: usize,
    /// Inaccessible bytes kept after the capacity.
    guard: usize,
    place: Place,
}

/// The size of `pages` pages of `ty` in bytes, when the host can address it.
pub(super) fn host_bytes(ty: &MemoryType, pages: u64) -> Option<usize> {
    let bytes = usize::try_from(ty.bytes(pages)?).ok()?;
    // Whole host pages must fit as well, and so must slices.
    round_to_pages(bytes).filter(|rounded| isize::try_from(*rounded).is_ok())?;
    Some(bytes)
}

/// The same for the size that a memory starts with.
///
/// # Errors
///
/// An error that names the size, when this host can never have it.
pub(super) fn minimum_bytes(ty: &MemoryType) -> Result<usize> {
    host_bytes(ty, ty.minimum).with_context(|| {
        format!(
            "cannot create a memory of {} pages of {} bytes: \
             that is more than this machine can address",
            ty.minimum,
            ty.page_size()
        )
    })
}

/// Bytes to reserve for a guarded memory: all that an access without a check
/// may touch. One page more than the guard, because an access that starts in
/// the guard may end after it.
pub(super) fn guarded_bytes(reservation: u64, guard: u64) -> Option<usize> {
    let bytes = reservation
        .checked_add(guard)?
        .checked_add(page_size() as u64)?;
    usize::try_from(bytes).ok()
}

impl VmMemory {
    /// Creates a memory with its minimal size, filled with zeros. No limiter is
    /// asked; see [`check_new`].
    ///
    /// # Errors
    ///
    /// When the system has no room for the minimal size.
    ///
    /// # Panics
    ///
    /// When `ty` is shared: shared memories are made as
    /// [`SharedMemory`](super::shared_memory::SharedMemory).
    pub(crate) fn new(ty: &MemoryType, tunables: &Tunables) -> Result<VmMemory> {
        assert!(!ty.shared, "a shared memory belongs to no store");
        let minimum = minimum_bytes(ty)?;
        let style = MemoryStyle::of(ty, tunables);
        let guarded = match style {
            MemoryStyle::Guarded { reservation, guard } => VmMemory::guarded(reservation, guard),
            MemoryStyle::Checked => None,
        };
        let (style, reservation, capacity, guard) = match guarded {
            Some((reservation, capacity)) => (style, reservation, capacity, 0),
            None => {
                // Code that was made for checked memories under these tunables
                // may leave small offsets to the guard. After a refused
                // reservation code is made under tunables without one.
                let guard = match style {
                    MemoryStyle::Checked => usize::try_from(tunables.memory_guard).ok(),
                    MemoryStyle::Guarded { .. } => Some(0),
                };
                let guard = guard.context("the guard is larger than the address space")?;
                let (reservation, capacity) = reserve_checked(ty, minimum, guard)
                    .with_context(|| format!("cannot reserve a memory of {minimum} bytes"))?;
                (MemoryStyle::Checked, reservation, capacity, guard)
            }
        };
        let place = Place::new(Definition::new(reservation.base(), 0));
        let mut memory = VmMemory {
            ty: *ty,
            style,
            reservation,
            capacity,
            accessible: 0,
            length: 0,
            guard,
            place,
        };
        memory
            .resize(minimum)
            .with_context(|| format!("cannot allocate a memory of {minimum} bytes"))?;
        Ok(memory)
    }

    fn guarded(reservation: u64, guard: u64) -> Option<(Reservation, usize)> {
        let capacity = usize::try_from(reservation).ok()?;
        let bytes = guarded_bytes(reservation, guard)?;
        Some((Reservation::new(bytes).ok()?, capacity))
    }

    /// The type that the memory was created with.
    pub(crate) fn ty(&self) -> &MemoryType {
        &self.ty
    }

    /// The type as importers see it: with the present size as minimum.
    pub(crate) fn current_type(&self) -> MemoryType {
        MemoryType {
            minimum: self.size(),
            ..self.ty
        }
    }

    /// How accesses have to be kept inside.
    pub(crate) fn style(&self) -> MemoryStyle {
        self.style
    }

    /// The size in pages.
    pub(crate) fn size(&self) -> u64 {
        self.length as u64 >> self.ty.page_size_log2
    }

    /// The size in bytes.
    pub(crate) fn byte_size(&self) -> usize {
        self.length
    }

    /// The address of byte 0; never null.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.reservation.base()
    }

    /// The bytes.
    ///
    /// Generated code may write them whenever it runs; it runs only while the
    /// store, and so the memory, is borrowed exclusively for the call.
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: `length` bytes from the base are accessible and initialized,
        // and no more than `isize::MAX`. The doc comment says why they do not
        // change while `self` is borrowed.
        unsafe { core::slice::from_raw_parts(self.base().as_ptr(), self.length) }
    }

    /// The bytes, for writing.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.base().as_ptr(), self.length) }
    }

    /// Where generated code finds the memory.
    pub(crate) fn definition(&self) -> NonNull<MemoryDefinition> {
        self.place.pointer()
    }

    /// Moves the definition into the context of the defining instance.
    ///
    /// # Safety
    ///
    /// As for [`Place::move_to`].
    pub(crate) unsafe fn attach(&mut self, target: NonNull<MemoryDefinition>) {
        // SAFETY: the same promise.
        unsafe { self.place.move_to(target) }
    }

    /// Maps initial data at byte `offset`, shared with other memories until it
    /// is written. `false` when it cannot be mapped there (not on a host page,
    /// or beyond the end) and has to be copied.
    ///
    /// Overwrites whole host pages: what follows the data in its last page
    /// becomes zero.
    ///
    /// # Errors
    ///
    /// When the system refuses; the memory is then as before.
    pub(crate) fn map_image(&mut self, image: &CowImage, offset: usize) -> system::Result<bool> {
        let fits = offset
            .checked_add(image.len())
            .is_some_and(|end| end <= self.length);
        if !fits || !offset.is_multiple_of(page_size()) {
            return Ok(false);
        }
        // SAFETY: `offset` is page-aligned, and the image ends inside of the
        // memory, so that its last page is accessible. `self` is borrowed
        // exclusively: no reference into the memory exists.
        unsafe { self.reservation.map_copy_on_write(image, offset)? };
        Ok(true)
    }

    /// `memory.grow`: adds `delta` pages of zeros, if `limiter`, the declared
    /// maximum and the system allow. Answers the former size in pages, or
    /// `None` with the memory as it was.
    ///
    /// The base may move when the style is checked; the definition follows.
    ///
    /// # Errors
    ///
    /// Only those of `limiter`.
    pub(crate) fn grow(
        &mut self,
        delta: u64,
        mut limiter: Option<&mut dyn ResourceLimiter>,
    ) -> Result<Option<u64>> {
        let old = self.size();
        if delta == 0 {
            return Ok(Some(old));
        }
        let grown = match grown_bytes(&self.ty, old, delta) {
            Ok(bytes) => {
                if let Some(limiter) = &mut limiter
                    && !limiter.memory_growing(self.length, bytes, maximum_bytes(&self.ty))?
                {
                    return Ok(None);
                }
                self.resize(bytes).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        match (grown, limiter) {
            (Ok(()), _) => Ok(Some(old)),
            (Err(error), Some(limiter)) => {
                limiter.memory_grow_failed(error)?;
                Ok(None)
            }
            (Err(_), None) => Ok(None),
        }
    }

    /// Makes the memory `length` bytes long; it never shrinks.
    fn resize(&mut self, length: usize) -> system::Result<()> {
        debug_assert!(length >= self.length);
        let accessible = round_to_pages(length).ok_or_else(out_of_memory)?;
        if accessible <= self.capacity {
            self.reservation
                .make_accessible(self.accessible..accessible)?;
        } else {
            debug_assert_eq!(self.style, MemoryStyle::Checked);
            let (reservation, capacity) = reserve_checked(&self.ty, length, self.guard)?;
            reservation.make_accessible(0..accessible)?;
            // SAFETY: both are `self.length` accessible bytes, of two
            // reservations that do not overlap. No reference into the memory
            // exists, because `self` is borrowed exclusively.
            unsafe {
                ptr::copy_nonoverlapping(
                    self.reservation.base().as_ptr(),
                    reservation.base().as_ptr(),
                    self.length,
                );
            }
            self.reservation = reservation;
            self.capacity = capacity;
        }
        self.accessible = accessible;
        self.length = length;
        self.place.get().set(self.reservation.base(), length);
        Ok(())
    }
}

/// Reserves addresses for a checked memory of `length` bytes: with room to grow
/// if there is, or else without. Answers how far it may grow in them, whole
/// pages that may reach beyond what the type allows.
fn reserve_checked(
    ty: &MemoryType,
    length: usize,
    guard: usize,
) -> system::Result<(Reservation, usize)> {
    let reserve = |capacity: usize| {
        let capacity = round_to_pages(capacity)?;
        Some((capacity, capacity.checked_add(round_to_pages(guard)?)?))
    };
    let limit = usize::try_from(ty.byte_limit()).unwrap_or(usize::MAX);
    let roomy = length
        .saturating_mul(2)
        .max(length.saturating_add(GROWTH_ROOM))
        .min(limit)
        .max(length);
    let roomy = if HAS_ADDRESS_SPACE { roomy } else { length };
    if let Some((capacity, bytes)) = reserve(roomy)
        && let Ok(reservation) = Reservation::new(bytes)
    {
        return Ok((reservation, capacity));
    }
    let (capacity, bytes) = reserve(length).ok_or_else(out_of_memory)?;
    Ok((Reservation::new(bytes)?, capacity))
}

/// The size in bytes of a memory of `old` pages after it grew by `delta`.
///
/// # Errors
///
/// When the type or the host does not allow it.
pub(super) fn grown_bytes(ty: &MemoryType, old: u64, delta: u64) -> Result<usize> {
    let pages = old
        .checked_add(delta)
        .filter(|pages| *pages <= ty.page_limit())
        .with_context(|| {
            format!(
                "memory of {old} pages cannot grow by {delta}: the maximum is {} pages",
                ty.page_limit()
            )
        })?;
    host_bytes(ty, pages).with_context(|| {
        format!("memory cannot grow to {pages} pages: this machine cannot address them")
    })
}

/// The declared maximum in bytes, as limiters are told it.
fn maximum_bytes(ty: &MemoryType) -> Option<usize> {
    let bytes = ty.bytes(ty.maximum?).unwrap_or(u64::MAX);
    Some(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Asks `limiter` whether a memory of type `ty` may be created.
///
/// # Errors
///
/// When it may not, or is larger than this host can have.
pub(crate) fn check_new(ty: &MemoryType, limiter: &mut dyn ResourceLimiter) -> Result<()> {
    let bytes = minimum_bytes(ty)?;
    if limiter.memory_growing(0, bytes, maximum_bytes(ty))? {
        return Ok(());
    }
    Err(Error::msg(format!(
        "memory minimum size of {} pages exceeds memory limits",
        ty.minimum
    )))
}

/// The address of the `length` bytes from `start`.
///
/// # Errors
///
/// [`Trap::MemoryOutOfBounds`] when they do not all lie in the memory.
#[inline]
pub(super) fn check(memory: &MemoryDefinition, start: u64, length: u64) -> Result<*mut u8, Trap> {
    let end = start.checked_add(length).ok_or(Trap::MemoryOutOfBounds)?;
    if end > memory.length() as u64 {
        return Err(Trap::MemoryOutOfBounds);
    }
    // `start` is at most the length, which is a `usize`.
    Ok(memory.base().wrapping_add(start as usize))
}

// The bulk operations. Shared memories may change while these run, in other
// threads: the specification lets each byte be any of those written. No Rust
// reference to the bytes is made, and the calls below are to functions of the
// system's C library that move bytes whatever they are.

/// `memory.copy` from `source_memory` to `destination_memory`, which may be the
/// same memory, and the ranges may overlap.
///
/// # Errors
///
/// [`Trap::MemoryOutOfBounds`], with nothing written.
///
/// # Safety
///
/// Both are the definitions of live memories, and no reference to their bytes
/// exists.
pub(crate) unsafe fn copy(
    destination_memory: &MemoryDefinition,
    source_memory: &MemoryDefinition,
    destination: u64,
    source: u64,
    length: u64,
) -> Result<(), Trap> {
    let from = check(source_memory, source, length)?;
    let to = check(destination_memory, destination, length)?;
    // SAFETY: both ranges were just checked; they may overlap. Memories do not
    // shrink, so that what was in bounds stays there.
    unsafe { ptr::copy(from, to, length as usize) };
    Ok(())
}

/// `memory.fill` with the low byte of the operand.
///
/// # Errors
///
/// [`Trap::MemoryOutOfBounds`], with nothing written.
///
/// # Safety
///
/// As for [`copy`].
pub(crate) unsafe fn fill(
    memory: &MemoryDefinition,
    destination: u64,
    value: u8,
    length: u64,
) -> Result<(), Trap> {
    let to = check(memory, destination, length)?;
    // SAFETY: the range was just checked.
    unsafe { ptr::write_bytes(to, value, length as usize) };
    Ok(())
}

/// `memory.init` from a data segment; a dropped segment is empty.
///
/// # Errors
///
/// [`Trap::MemoryOutOfBounds`], with nothing written, when the range reaches
/// beyond the memory or beyond the segment.
///
/// # Safety
///
/// As for [`copy`].
pub(crate) unsafe fn init(
    memory: &MemoryDefinition,
    segment: &[u8],
    destination: u64,
    source: u32,
    length: u32,
) -> Result<(), Trap> {
    let from = (source as usize)
        .checked_add(length as usize)
        .and_then(|end| segment.get(source as usize..end))
        .ok_or(Trap::MemoryOutOfBounds)?;
    let to = check(memory, destination, length.into())?;
    // SAFETY: the range was just checked; segments are no part of memories.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    Ok(())
}

/// The address of `bytes` bytes for an atomic access.
///
/// # Errors
///
/// [`Trap::HeapMisaligned`] or [`Trap::MemoryOutOfBounds`].
pub(crate) fn check_atomic(
    memory: &MemoryDefinition,
    address: u64,
    bytes: u64,
) -> Result<*mut u8, Trap> {
    if !address.is_multiple_of(bytes) {
        return Err(Trap::HeapMisaligned);
    }
    check(memory, address, bytes)
}

/// `memory.atomic.notify` on a memory that is not shared: nobody can wait.
///
/// # Errors
///
/// [`Trap::HeapMisaligned`] or [`Trap::MemoryOutOfBounds`].
pub(crate) fn notify_unshared(memory: &MemoryDefinition, address: u64) -> Result<u32, Trap> {
    check_atomic(memory, address, 4)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::StoreLimitsBuilder;

    const GUARDED: Tunables = Tunables::guarded(12);

    fn checked() -> Tunables {
        GUARDED.checked()
    }

    fn ty(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            minimum,
            maximum,
            shared: false,
            memory64: false,
            page_size_log2: 16,
        }
    }

    fn ty64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            memory64: true,
            ..ty(minimum, maximum)
        }
    }

    fn definition(memory: &VmMemory) -> &MemoryDefinition {
        // SAFETY: the definition lives as long as the memory.
        unsafe { memory.definition().as_ref() }
    }

    fn assert_consistent(memory: &VmMemory) {
        let definition = definition(memory);
        assert_eq!(definition.base(), memory.base().as_ptr());
        assert_eq!(definition.length(), memory.byte_size());
        assert!(memory.length <= memory.accessible);
        assert!(memory.accessible <= memory.reservation.len());
        assert!(!definition.base().is_null());
    }

    #[test]
    fn style_follows_type_and_tunables() {
        let style = |ty: &MemoryType, tunables: &Tunables| {
            matches!(
                VmMemory::new(ty, tunables).unwrap().style(),
                MemoryStyle::Guarded { .. }
            )
        };
        assert!(style(&ty(1, None), &GUARDED));
        assert!(!style(&ty(1, None), &checked()));
        assert!(!style(&ty64(1, None), &GUARDED));
        let bytes = MemoryType {
            page_size_log2: 0,
            ..ty(1, None)
        };
        assert!(!style(&bytes, &GUARDED));
    }

    #[test]
    fn refused_reservations_fall_back() {
        // More than any machine has, so that the reservation must fail.
        let tunables = Tunables {
            memory_reservation: 1 << 62,
            ..GUARDED
        };
        let mut memory = VmMemory::new(&ty(1, Some(3)), &tunables).unwrap();
        assert_eq!(memory.style(), MemoryStyle::Checked);
        assert_eq!(memory.grow(2, None).unwrap(), Some(1));
        assert_eq!(memory.data().len(), 3 << 16);
        assert_consistent(&memory);
    }

    #[test]
    fn guarded_memories_grow_in_place_to_four_gibibytes() {
        let mut memory = VmMemory::new(&ty(0, None), &GUARDED).unwrap();
        let base = memory.base();
        assert_consistent(&memory);
        assert_eq!(memory.grow(0, None).unwrap(), Some(0));
        assert_eq!(memory.grow(1, None).unwrap(), Some(0));
        memory.data_mut()[65_535] = 7;
        assert_eq!(memory.grow(65_536, None).unwrap(), None, "one too many");
        assert_eq!(memory.grow(u64::MAX, None).unwrap(), None);
        assert_eq!(memory.grow(65_535, None).unwrap(), Some(1));
        assert_eq!(memory.byte_size() as u64, 1 << 32);
        assert_eq!(memory.grow(1, None).unwrap(), None);
        assert_eq!(memory.grow(0, None).unwrap(), Some(65_536));
        assert_eq!(memory.base(), base, "guarded memories never move");
        let data = memory.data();
        assert_eq!((data[65_535], data[65_536], data[(1 << 32) - 1]), (7, 0, 0));
        assert_consistent(&memory);
    }

    #[test]
    fn checked_memories_keep_their_content_when_they_move() {
        let mut memory = VmMemory::new(&ty64(1, None), &checked()).unwrap();
        memory.data_mut().fill(0xa5);
        let mut moved = false;
        for pages in 1..200 {
            let base = memory.base();
            assert_eq!(memory.grow(1, None).unwrap(), Some(pages));
            moved |= memory.base() != base;
            assert_consistent(&memory);
        }
        assert!(moved, "3 MiB is more than the room to grow");
        let (old, new) = memory.data().split_at(1 << 16);
        assert!(old.iter().all(|byte| *byte == 0xa5));
        assert!(new.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn growth_that_the_system_refuses_leaves_the_memory() {
        let mut memory = VmMemory::new(&ty64(1, None), &checked()).unwrap();
        memory.data_mut()[0] = 9;
        let base = memory.base();
        // 2^46 bytes and more: addressable in principle, never available.
        for delta in [1 << 31, 1 << 40, (1 << 47) - 1, 1 << 47, 1 << 48, u64::MAX] {
            assert_eq!(memory.grow(delta, None).unwrap(), None, "by {delta}");
        }
        assert_eq!((memory.size(), memory.base()), (1, base));
        assert_eq!(memory.data()[0], 9);
        assert_consistent(&memory);
    }

    #[test]
    fn huge_minimal_sizes_are_errors() {
        for minimum in [1 << 31, 1 << 40, 1 << 47, 1 << 48] {
            let error = VmMemory::new(&ty64(minimum, None), &GUARDED).unwrap_err();
            assert!(format!("{error:#}").contains("memory of"), "{error:#}");
        }
        let bytes = MemoryType {
            page_size_log2: 0,
            ..ty64(u64::MAX, None)
        };
        assert!(VmMemory::new(&bytes, &GUARDED).is_err());
    }

    #[test]
    fn one_byte_pages() {
        let bytes = MemoryType {
            page_size_log2: 0,
            ..ty(0, Some(5_000))
        };
        let mut memory = VmMemory::new(&bytes, &GUARDED).unwrap();
        assert_consistent(&memory);
        assert_eq!(memory.grow(1, None).unwrap(), Some(0));
        memory.data_mut()[0] = 1;
        assert_eq!(memory.grow(4_999, None).unwrap(), Some(1));
        assert_eq!(memory.grow(1, None).unwrap(), None);
        assert_eq!(memory.data().len(), 5_000);
        assert_eq!(memory.data()[..2], [1, 0]);
        assert_consistent(&memory);
    }

    #[test]
    fn limiters_are_asked_and_told() {
        let mut memory = VmMemory::new(&ty(1, Some(4)), &checked()).unwrap();
        let mut limits = StoreLimitsBuilder::new().memory_size(2 << 16).build();
        assert_eq!(memory.grow(1, Some(&mut limits)).unwrap(), Some(1));
        assert_eq!(memory.grow(1, Some(&mut limits)).unwrap(), None);
        assert_eq!(memory.grow(9, Some(&mut limits)).unwrap(), None);
        let mut strict = StoreLimitsBuilder::new().trap_on_grow_failure(true).build();
        let error = memory.grow(3, Some(&mut strict)).unwrap_err();
        assert!(
            format!("{error:#}").contains("maximum is 4 pages"),
            "{error:#}"
        );
        assert_eq!(memory.size(), 2);
        assert!(check_new(&ty(2, None), &mut limits).is_ok());
        assert!(check_new(&ty(3, None), &mut limits).is_err());
        assert!(check_new(&ty64(1 << 48, None), &mut limits).is_err());
    }

    #[test]
    fn definitions_move_into_contexts() {
        let mut context = Box::new(std::mem::MaybeUninit::<MemoryDefinition>::uninit());
        let target = NonNull::from(&mut *context).cast();
        let mut memory = VmMemory::new(&ty64(1, None), &checked()).unwrap();
        // SAFETY: the box outlives the memory and is used by nobody else.
        unsafe { memory.attach(target) };
        assert_eq!(memory.definition(), target);
        assert_eq!(memory.grow(100, None).unwrap(), Some(1));
        assert_consistent(&memory);
        drop(memory);
    }

    #[test]
    fn images_are_private() {
        let page = page_size();
        let Some(image) = CowImage::new(&vec![3; page + 1]).unwrap() else {
            return;
        };
        let mut one = VmMemory::new(&ty(1, None), &GUARDED).unwrap();
        let mut two = VmMemory::new(&ty(1, None), &checked()).unwrap();
        assert!(one.map_image(&image, 0).unwrap());
        assert!(two.map_image(&image, page).unwrap());
        assert!(!two.map_image(&image, 8).unwrap(), "not on a page");
        assert!(
            !two.map_image(&image, (1 << 16) - page).unwrap(),
            "beyond the end"
        );
        assert!(!two.map_image(&image, usize::MAX & !(page - 1)).unwrap());
        one.data_mut()[0] = 4;
        assert_eq!(two.data()[page - 1..page + 1], [0, 3]);
        assert_eq!(two.data()[2 * page..2 * page + 2], [3, 0]);
        // A move of the memory takes the data along.
        assert_eq!(two.grow(100, None).unwrap(), Some(1));
        assert_eq!(
            two.data()[page..2 * page + 2]
                .iter()
                .map(|b| *b as usize)
                .sum::<usize>(),
            3 * (page + 1)
        );
    }

    #[test]
    fn bulk_operations_check_every_edge_before_they_write() {
        let mut memory = VmMemory::new(&ty64(1, None), &checked()).unwrap();
        memory.data_mut().fill(1);
        let other = VmMemory::new(&ty(1, None), &GUARDED).unwrap();
        let (m, o) = (definition(&memory), definition(&other));
        let size = 1 << 16;
        let oob = Err(Trap::MemoryOutOfBounds);
        for (start, length, fits) in [
            (0, size, true),
            (size, 0, true),
            (size - 1, 1, true),
            (size + 1, 0, false),
            (size - 1, 2, false),
            (0, size + 1, false),
            (u64::MAX, 0, false),
            (u64::MAX, 1, false),
            (1, u64::MAX, false),
            (u64::MAX - 7, 8, false),
            (0xffff_fffe, 3, false),
            (1 << 32, 0, false),
        ] {
            let expected = if fits { Ok(()) } else { oob };
            // SAFETY: both memories are alive, and nothing borrows their bytes.
            unsafe {
                assert_eq!(fill(m, start, 1, length), expected, "fill {start} {length}");
                assert_eq!(copy(m, m, start, start, length), expected);
                assert_eq!(
                    copy(o, m, start, 0, length),
                    expected,
                    "to {start} {length}"
                );
                assert_eq!(
                    copy(o, m, 0, start, length),
                    expected,
                    "from {start} {length}"
                );
            }
        }
        // SAFETY: as above.
        unsafe {
            assert_eq!(fill(m, 1, 9, size), oob);
            assert_eq!(copy(m, o, 1, 0, size), oob);
            assert_eq!(init(m, &[7; 4], size - 3, 0, 4), oob);
            assert_eq!(init(m, &[7; 4], 0, 1, 4), oob);
            assert_eq!(init(m, &[7; 4], 0, u32::MAX, u32::MAX), oob);
            assert_eq!(init(m, &[7; 4], u64::MAX, 0, 4), oob);
            assert_eq!(init(m, &[], 0, 1, 0), oob);
            assert_eq!(init(m, &[], size + 1, 0, 0), oob);
            assert_eq!(init(m, &[], size, 0, 0), Ok(()));
        }
        assert!(memory.data().iter().all(|byte| *byte == 1));
        // SAFETY: as above.
        unsafe {
            assert_eq!(
                init(definition(&memory), &[7, 8, 9], size - 2, 1, 2),
                Ok(())
            )
        };
        assert_eq!(memory.data()[size as usize - 3..], [1, 8, 9]);
    }

    #[test]
    fn overlapping_copies_move() {
        let mut memory = VmMemory::new(&ty(1, None), &checked()).unwrap();
        for (place, byte) in memory.data_mut().iter_mut().zip(0..8) {
            *place = byte;
        }
        // SAFETY: the memory is alive, and nothing borrows its bytes.
        unsafe { copy(definition(&memory), definition(&memory), 2, 0, 6).unwrap() };
        assert_eq!(memory.data()[..9], [0, 1, 0, 1, 2, 3, 4, 5, 0]);
        // SAFETY: as above.
        unsafe { copy(definition(&memory), definition(&memory), 0, 1, 7).unwrap() };
        assert_eq!(memory.data()[..9], [1, 0, 1, 2, 3, 4, 5, 5, 0]);
    }

    #[test]
    fn notify_without_sharing_wakes_nobody() {
        let memory = VmMemory::new(&ty(1, None), &checked()).unwrap();
        let m = definition(&memory);
        assert_eq!(notify_unshared(m, 65_532), Ok(0));
        assert_eq!(notify_unshared(m, 65_534), Err(Trap::HeapMisaligned));
        assert_eq!(notify_unshared(m, 65_536), Err(Trap::MemoryOutOfBounds));
        assert_eq!(
            notify_unshared(m, u64::MAX - 3),
            Err(Trap::MemoryOutOfBounds)
        );
    }
}
