//! What is a memory that threads share? Pages that never move, an atomic
//! length, and a place to wait.
//!
//! This file holds unsafe code: it owns the pages, and compares values in them
//! while other threads may write.
//!
//! The reservation is made for the declared maximum, so that the base never
//! changes. Growth is serialized by a lock; the new length is published after
//! its pages are accessible, so that whoever sees the length can use them.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use portable_atomic::AtomicU64;
use tepui_abi::{MemoryStyle, Trap, Tunables};
use tepui_native::memory::{Reservation, round_to_pages};
use tepui_native::system::{self, out_of_memory};

use super::definition::{Definition, MemoryDefinition, Place};
use super::memory::{check_atomic, grown_bytes, guarded_bytes, host_bytes, minimum_bytes};
use super::parking::{Interrupt, ParkingLot, WaitResult};
use crate::engine::Engine;
use crate::error::{Context as _, Error, Result};
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::sync::{Mutex, MutexGuard};
use crate::types::MemoryType;

/// A linear memory that instances in several stores and threads share
/// (threads proposal).
///
/// Cloning gives another handle to the same memory. It belongs to an engine,
/// not to a store, and its growth is not limited by any store's limiter, only
/// by its declared maximum.
///
/// ```
/// # fn main() -> tepui::Result<()> {
/// use tepui::{Engine, MemoryType, SharedMemory};
///
/// let memory = SharedMemory::new(&Engine::default(), MemoryType::shared(1, 5))?;
/// assert_eq!(memory.grow(2)?, 1);
/// assert_eq!(memory.data().len(), 3 * 65_536);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedMemory(Arc<Inner>);

struct Inner {
    engine: Engine,
    pages: Pages,
}

/// The memory without its engine.
struct Pages {
    ty: tepui_module::MemoryType,
    style: MemoryStyle,
    reservation: Reservation,
    /// Bytes of the reservation that the memory may grow into.
    capacity: usize,
    /// Bytes that are accessible; the lock that growth takes.
    accessible: Mutex<usize>,
    place: Place,
    parking: ParkingLot,
}

impl Pages {
    fn new(ty: &tepui_module::MemoryType, tunables: &Tunables) -> Result<Pages> {
        if !ty.shared || ty.maximum.is_none() {
            return Err(Error::msg("shared memory must have a maximum"));
        }
        let minimum = minimum_bytes(ty)?;
        let style = MemoryStyle::of(ty, tunables);
        let guarded = match style {
            MemoryStyle::Guarded { reservation, guard } => guarded_bytes(reservation, guard)
                .and_then(|bytes| Reservation::new(bytes).ok())
                .map(|memory| (memory, usize::try_from(reservation).unwrap_or(usize::MAX))),
            MemoryStyle::Checked => None,
        };
        let (style, reservation, capacity) = match guarded {
            Some((reservation, capacity)) => (style, reservation, capacity),
            None => {
                // As for memories of one store: no guard after a refused
                // reservation.
                let guard = match style {
                    MemoryStyle::Checked => usize::try_from(tunables.memory_guard).ok(),
                    MemoryStyle::Guarded { .. } => Some(0),
                };
                let guard = guard.context("the guard is larger than the address space")?;
                let (reservation, capacity) = reserve_for_maximum(ty, minimum, guard)
                    .with_context(|| {
                        format!("cannot reserve a shared memory of {minimum} bytes")
                    })?;
                (MemoryStyle::Checked, reservation, capacity)
            }
        };
        let place = Place::new(Definition::new(reservation.base(), 0));
        let pages = Pages {
            ty: *ty,
            style,
            reservation,
            capacity,
            accessible: Mutex::new(0),
            place,
            parking: ParkingLot::default(),
        };
        let mut accessible = pages.lock();
        pages
            .resize(&mut accessible, minimum)
            .with_context(|| format!("cannot allocate a shared memory of {minimum} bytes"))?;
        drop(accessible);
        Ok(pages)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // The number is written after what it says was done.
        self.accessible.lock()
    }

    fn definition(&self) -> &MemoryDefinition {
        self.place.get()
    }

    fn size(&self) -> u64 {
        self.definition().length() as u64 >> self.ty.page_size_log2
    }

    /// Makes the memory `length` bytes long. The caller has `accessible` locked.
    fn resize(&self, accessible: &mut usize, length: usize) -> Result<()> {
        let end = round_to_pages(length)
            .filter(|end| *end <= self.capacity)
            .with_context(|| {
                format!(
                    "shared memory cannot grow to {length} bytes: \
                     only {} bytes of address space could be reserved",
                    self.capacity
                )
            })?;
        self.reservation.make_accessible(*accessible..end)?;
        *accessible = end;
        self.definition().set_length(length);
        Ok(())
    }

    fn grow(&self, delta: u64) -> Result<u64> {
        let mut accessible = self.lock();
        let old = self.size();
        if delta != 0 {
            let length = grown_bytes(&self.ty, old, delta)?;
            self.resize(&mut accessible, length)?;
        }
        Ok(old)
    }
}

/// Reserves addresses for all that the memory may become, or, where there are
/// not so many, for half of that, a quarter, … but at least for `minimum`.
fn reserve_for_maximum(
    ty: &tepui_module::MemoryType,
    minimum: usize,
    guard: usize,
) -> system::Result<(Reservation, usize)> {
    let mut wanted = host_bytes(ty, ty.page_limit()).unwrap_or(isize::MAX as usize / 2);
    loop {
        wanted = wanted.max(minimum);
        let capacity = round_to_pages(wanted).ok_or_else(out_of_memory)?;
        let bytes = round_to_pages(guard)
            .and_then(|guard| guard.checked_add(capacity))
            .ok_or_else(out_of_memory)?;
        match Reservation::new(bytes) {
            Ok(reservation) => return Ok((reservation, capacity)),
            Err(error) if wanted == minimum => return Err(error),
            Err(_) => wanted /= 2,
        }
    }
}

impl SharedMemory {
    /// Creates a memory with its minimal size, filled with zeros.
    ///
    /// # Errors
    ///
    /// When `ty` is not shared, or the system has no room for it.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        Ok(SharedMemory(Arc::new(Inner {
            engine: engine.clone(),
            pages: Pages::new(&ty.to_module(), engine.tunables())?,
        })))
    }

    /// The engine that the memory belongs to.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The type that the memory was created with.
    pub fn ty(&self) -> MemoryType {
        MemoryType::from_module(&self.0.pages.ty)
    }

    /// The type as importers see it: with the present size as minimum.
    pub(crate) fn current_type(&self) -> tepui_module::MemoryType {
        tepui_module::MemoryType {
            minimum: self.size(),
            ..self.0.pages.ty
        }
    }

    /// Whether both are handles to the same memory.
    pub(crate) fn same(&self, other: &SharedMemory) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How accesses have to be kept inside.
    pub(crate) fn style(&self) -> MemoryStyle {
        self.0.pages.style
    }

    /// Where generated code finds the memory; valid while any handle is.
    pub(crate) fn definition(&self) -> NonNull<MemoryDefinition> {
        self.0.pages.place.pointer()
    }

    /// The size in pages. Other threads may make it larger at any moment.
    pub fn size(&self) -> u64 {
        self.0.pages.size()
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u64 {
        self.0.pages.ty.page_size()
    }

    /// The size in bytes. Other threads may make it larger at any moment.
    pub fn data_size(&self) -> usize {
        self.0.pages.definition().length()
    }

    /// The bytes that the memory has now.
    ///
    /// Other threads, guest or host, may write them at any moment: read and
    /// write through the cells with atomic operations on their addresses, or
    /// make sure by other means that nobody else is there.
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        let definition = self.0.pages.definition();
        let length = definition.length();
        // SAFETY: so many bytes from the base are accessible and initialized,
        // at most `isize::MAX`, and stay so while the reservation lives, which
        // the handle that is borrowed keeps. `UnsafeCell` lets others write.
        unsafe { core::slice::from_raw_parts(definition.base().cast(), length) }
    }

    /// Adds `delta` pages of zeros, and answers the former size in pages.
    ///
    /// # Errors
    ///
    /// When the declared maximum, or the system, does not allow it. The memory
    /// is then as before.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        self.0.pages.grow(delta)
    }

    /// `memory.atomic.notify`: wakes up to `count` of the threads that wait on
    /// the byte `address`, and answers how many.
    ///
    /// # Errors
    ///
    /// [`Trap::HeapMisaligned`] when `address` is not a multiple of 4, and
    /// [`Trap::MemoryOutOfBounds`] when it lies outside.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32, Trap> {
        check_atomic(self.0.pages.definition(), address, 4)?;
        Ok(self.0.pages.parking.notify(address, count))
    }

    /// `memory.atomic.wait32`: waits on the byte `address` if the 32 bits there
    /// are `expected`, until notified or for `timeout` (forever without one).
    ///
    /// # Errors
    ///
    /// [`Trap::HeapMisaligned`] when `address` is not a multiple of 4, and
    /// [`Trap::MemoryOutOfBounds`] when it lies outside.
    pub fn atomic_wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let holds = self.holds32(address, expected)?;
        Ok(self.wait_uninterrupted(address, holds, timeout))
    }

    /// `memory.atomic.wait64`: the same with 64 bits.
    ///
    /// # Errors
    ///
    /// [`Trap::HeapMisaligned`] when `address` is not a multiple of 8, and
    /// [`Trap::MemoryOutOfBounds`] when it lies outside.
    pub fn atomic_wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let holds = self.holds64(address, expected)?;
        Ok(self.wait_uninterrupted(address, holds, timeout))
    }

    fn wait_uninterrupted(
        &self,
        address: u64,
        holds: impl FnOnce() -> bool,
        timeout: Option<Duration>,
    ) -> WaitResult {
        // Where nobody could wake it, the host does not wait for ever.
        let timeout = timeout.or((!cfg!(feature = "std")).then_some(Duration::ZERO));
        match self.0.pages.parking.wait(address, holds, timeout, None) {
            Ok(result) => result,
            Err(error) => unreachable!("only interrupts fail: {error}"),
        }
    }

    /// The wait of the guest's instruction on 32 bits, with its `timeout` in
    /// nanoseconds (negative is forever), which `interrupt` may end.
    ///
    /// # Errors
    ///
    /// The traps of [`SharedMemory::atomic_wait32`], and those of `interrupt`.
    pub(crate) fn wait32_interruptible(
        &self,
        address: u64,
        expected: u32,
        timeout: i64,
        interrupt: Option<Interrupt<'_>>,
    ) -> Result<WaitResult> {
        let holds = self.holds32(address, expected)?;
        let parking = &self.0.pages.parking;
        parking.wait(address, holds, guest_timeout(timeout), interrupt)
    }

    /// The same on 64 bits.
    ///
    /// # Errors
    ///
    /// The traps of [`SharedMemory::atomic_wait64`], and those of `interrupt`.
    pub(crate) fn wait64_interruptible(
        &self,
        address: u64,
        expected: u64,
        timeout: i64,
        interrupt: Option<Interrupt<'_>>,
    ) -> Result<WaitResult> {
        let holds = self.holds64(address, expected)?;
        let parking = &self.0.pages.parking;
        parking.wait(address, holds, guest_timeout(timeout), interrupt)
    }

    fn holds32(&self, address: u64, expected: u32) -> Result<impl FnOnce() -> bool, Trap> {
        let place = check_atomic(self.0.pages.definition(), address, 4)?.cast::<AtomicU32>();
        // SAFETY: the four bytes were just checked to be inside and aligned
        // (the base is aligned to a page); they stay accessible while `self`
        // is borrowed, and with it the closure's user. Others access them
        // atomically or race as the guest's own program does.
        let place = unsafe { &*place };
        Ok(move || u32::from_le(place.load(Ordering::SeqCst)) == expected)
    }

    fn holds64(&self, address: u64, expected: u64) -> Result<impl FnOnce() -> bool, Trap> {
        let place = check_atomic(self.0.pages.definition(), address, 8)?.cast::<AtomicU64>();
        // SAFETY: as in `holds32`, for eight bytes.
        let place = unsafe { &*place };
        Ok(move || u64::from_le(place.load(Ordering::SeqCst)) == expected)
    }
}

/// The timeout operand of the wait instructions.
fn guest_timeout(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("ty", &self.0.pages.ty)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    fn ty(minimum: u64, maximum: u64) -> tepui_module::MemoryType {
        tepui_module::MemoryType {
            minimum,
            maximum: Some(maximum),
            shared: true,
            memory64: false,
            page_size_log2: 16,
        }
    }

    fn memory(minimum: u32, maximum: u32) -> SharedMemory {
        SharedMemory::new(&Engine::default(), MemoryType::shared(minimum, maximum)).unwrap()
    }

    fn cell(memory: &SharedMemory, address: usize) -> &AtomicU32 {
        let bytes = &memory.data()[address..address + 4];
        // SAFETY: four bytes of the memory, aligned because callers ask for
        // multiples of 4; the tests use them atomically.
        unsafe { &*bytes.as_ptr().cast::<AtomicU32>() }
    }

    #[test]
    fn growth_is_in_place_and_bounded() {
        for tunables in [Tunables::guarded(12), Tunables::guarded(12).checked()] {
            let pages = Pages::new(&ty(1, 3), &tunables).unwrap();
            let base = pages.definition().base();
            assert_eq!(pages.grow(0).unwrap(), 1);
            assert_eq!(pages.grow(2).unwrap(), 1);
            assert_eq!(pages.definition().length(), 3 << 16);
            for delta in [1, u64::MAX, 1 << 32] {
                let error = pages.grow(delta).unwrap_err();
                assert!(error.to_string().contains("maximum is 3"), "{error}");
            }
            assert_eq!((pages.size(), pages.definition().base()), (3, base));
        }
    }

    #[test]
    fn types_that_are_not_shared_are_refused() {
        let error = SharedMemory::new(&Engine::default(), MemoryType::new(1, Some(2)));
        assert!(error.is_err());
    }

    #[test]
    fn maxima_beyond_the_machine_reserve_what_there_is() {
        let huge = tepui_module::MemoryType {
            memory64: true,
            ..ty(1, 1 << 48)
        };
        let pages = Pages::new(&huge, &Tunables::guarded(12)).unwrap();
        assert!(pages.capacity >= 1 << 16);
        assert_eq!(pages.grow(1).unwrap(), 1);
        assert!(pages.grow(1 << 47).is_err());
        assert_eq!(pages.size(), 2);
        let impossible = tepui_module::MemoryType {
            memory64: true,
            ..ty(1 << 47, 1 << 48)
        };
        assert!(Pages::new(&impossible, &Tunables::guarded(12)).is_err());
    }

    #[test]
    fn many_threads_grow_one_page_at_a_time() {
        let memory = memory(0, 64);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let memory = memory.clone();
                thread::spawn(move || {
                    let mut olds = Vec::new();
                    while let Ok(old) = memory.grow(1) {
                        let page = old as usize * 65_536;
                        cell(&memory, page + 65_532).fetch_add(1, Ordering::SeqCst);
                        olds.push(old);
                    }
                    olds
                })
            })
            .collect();
        let mut olds: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        olds.sort_unstable();
        assert_eq!(olds, (0..64).collect::<Vec<_>>());
        assert!(
            (0..64).all(|page| cell(&memory, page * 65_536 + 65_532).load(Ordering::SeqCst) == 1)
        );
    }

    #[test]
    fn addresses_are_checked() {
        let memory = memory(1, 1);
        let forever = None;
        for (address, trap) in [
            (2, Trap::HeapMisaligned),
            (65_536, Trap::MemoryOutOfBounds),
            (1 << 32, Trap::MemoryOutOfBounds),
            (u64::MAX - 7, Trap::MemoryOutOfBounds),
            (u64::MAX, Trap::HeapMisaligned),
        ] {
            assert_eq!(memory.atomic_notify(address, 1), Err(trap), "{address}");
            assert_eq!(memory.atomic_wait32(address, 0, forever), Err(trap));
            assert_eq!(memory.atomic_wait64(address, 0, forever), Err(trap));
        }
        assert_eq!(memory.atomic_notify(65_532, 1), Ok(0));
        assert_eq!(
            memory.atomic_wait64(4, 0, forever),
            Err(Trap::HeapMisaligned)
        );
        assert_eq!(
            memory.atomic_wait64(65_528, 1, forever),
            Ok(WaitResult::Mismatch)
        );
        assert_eq!(
            memory.atomic_wait32(65_532, 1, forever),
            Ok(WaitResult::Mismatch)
        );
    }

    #[test]
    fn values_are_little_endian() {
        let memory = memory(1, 1);
        cell(&memory, 8).store(u32::from_le(0x1234_5678), Ordering::SeqCst);
        let now = Some(Duration::ZERO);
        assert_eq!(
            memory.atomic_wait32(8, 0x1234_5678, now),
            Ok(WaitResult::TimedOut)
        );
        assert_eq!(
            memory.atomic_wait32(8, 0x7856_3412, now),
            Ok(WaitResult::Mismatch)
        );
        assert_eq!(
            memory.atomic_wait64(8, 0x1234_5678, now),
            Ok(WaitResult::TimedOut)
        );
        assert_eq!(
            memory.atomic_wait64(8, 0x1_1234_5678, now),
            Ok(WaitResult::Mismatch)
        );
    }

    #[test]
    fn guests_wait_with_signed_nanoseconds() {
        assert_eq!(guest_timeout(-1), None);
        assert_eq!(guest_timeout(i64::MIN), None);
        assert_eq!(guest_timeout(0), Some(Duration::ZERO));
        assert_eq!(
            guest_timeout(i64::MAX),
            Some(Duration::new(9_223_372_036, 854_775_807))
        );
        let memory = memory(1, 1);
        let start = Instant::now();
        let result = memory.wait32_interruptible(0, 0, 5_000_000, None).unwrap();
        assert_eq!(result, WaitResult::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(5));
        let error = memory.wait64_interruptible(4, 0, -1, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::HeapMisaligned));
    }

    #[test]
    fn a_waiting_thread_keeps_the_memory() {
        let memory = memory(1, 1);
        let other = memory.clone();
        let thread = thread::spawn(move || other.atomic_wait32(0, 0, None));
        while memory.atomic_notify(0, 1) == Ok(0) {
            thread::yield_now();
        }
        drop(memory);
        assert_eq!(thread.join().unwrap(), Ok(WaitResult::Ok));
    }
}
