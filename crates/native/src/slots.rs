//! Code slots and slot stubs: where a function is entered, whatever its code is.
//!
//! Holds unsafe code: it makes executable pages, and words that code jumps
//! through. The geometry is that of [`tepui_abi::slots`].

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};

use tepui_abi::Target;
use tepui_abi::slots::{STUB_BYTES, SlotGeometry};

use crate::code::CodeRegion;
use crate::memory::{Reservation, page_size};
use crate::{arch, platform};

const GEOMETRY: SlotGeometry = SlotGeometry::new(Target::host().architecture);

/// The slots and the slot stubs of the defined functions of one module.
#[derive(Debug)]
pub struct SlotTable {
    pages: Reservation,
    functions: u32,
}

impl SlotTable {
    /// Makes slots for `functions` functions, each holding `initial_entry`
    /// (usually [`leave_slot`](crate::stubs::leave_slot)).
    ///
    /// # Errors
    ///
    /// When the system refuses memory, or has pages that are larger than those
    /// of the geometry.
    pub fn new(
        region: &CodeRegion,
        functions: u32,
        initial_entry: *const u8,
    ) -> io::Result<SlotTable> {
        let page = GEOMETRY.page_bytes() as usize;
        if !page.is_multiple_of(page_size()) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the pages of this system are too large for slot stubs",
            ));
        }
        let bytes = usize::try_from(GEOMETRY.total_bytes(functions))
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let pages = Reservation::new(bytes)?;
        pages.make_accessible(0..bytes)?;
        let shared = region.stub_page(stub_page);
        for start in (0..bytes).step_by(2 * page) {
            let stubs = pages.base().as_ptr().wrapping_add(start);
            // SAFETY: the page is ours, was made accessible above, and nobody
            // knows it yet.
            unsafe {
                let mapped = match shared {
                    Some(shared) => shared.map(stubs, page).is_ok(),
                    None => false,
                };
                if !mapped {
                    let image = stub_page();
                    stubs.copy_from_nonoverlapping(image.as_ptr(), image.len());
                    platform::make_executable(stubs, page)?;
                }
                arch::synchronize_caches(stubs, page);
            }
        }
        platform::code_barrier()?;
        let table = SlotTable { pages, functions };
        for function in 0..functions {
            table.store(function, initial_entry);
        }
        Ok(table)
    }

    /// The number of functions.
    pub fn functions(&self) -> u32 {
        self.functions
    }

    /// The stub of function 0; that of the others follows from the geometry.
    pub fn stub_base(&self) -> *const u8 {
        self.pages.base().as_ptr()
    }

    /// The stub of `function`, its lasting address.
    ///
    /// # Panics
    ///
    /// When there is no such function.
    pub fn stub(&self, function: u32) -> *const u8 {
        assert!(function < self.functions, "no function {function}");
        self.stub_base()
            .wrapping_add(GEOMETRY.stub_offset(function) as usize)
    }

    fn slot(&self, function: u32) -> &AtomicPtr<u8> {
        assert!(function < self.functions, "no function {function}");
        let slot = self
            .pages
            .base()
            .as_ptr()
            .wrapping_add(GEOMETRY.slot_offset(function) as usize);
        // SAFETY: slots of functions of the table lie in its accessible pages,
        // are aligned to 8 bytes, are accessed atomically only, and live as
        // long as `self`.
        unsafe { &*slot.cast::<AtomicPtr<u8>>() }
    }

    /// Lets later calls of `function` enter at `entry`. What was written
    /// before, is seen by whoever enters there.
    ///
    /// # Panics
    ///
    /// When there is no such function.
    pub fn store(&self, function: u32, entry: *const u8) {
        self.slot(function)
            .store(entry.cast_mut(), Ordering::Release);
    }

    /// Where calls of `function` enter now.
    ///
    /// # Panics
    ///
    /// When there is no such function.
    pub fn load(&self, function: u32) -> *const u8 {
        self.slot(function).load(Ordering::Acquire)
    }

    /// Changes the entry of `function` from `current` to `new`; when it is
    /// another one by now, says which.
    ///
    /// # Errors
    ///
    /// The entry found instead of `current`.
    ///
    /// # Panics
    ///
    /// When there is no such function.
    pub fn compare_exchange(
        &self,
        function: u32,
        current: *const u8,
        new: *const u8,
    ) -> Result<(), *const u8> {
        self.slot(function)
            .compare_exchange(
                current.cast_mut(),
                new.cast_mut(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(|_| ())
            .map_err(|found| found.cast_const())
    }

    /// The function whose slot is at `address`: what a
    /// [`leave_slot`](crate::stubs::leave_slot) stub was given.
    pub fn function_of_slot(&self, address: usize) -> Option<u32> {
        let offset = address.checked_sub(self.pages.base().as_ptr() as usize)?;
        GEOMETRY
            .function_of_slot(offset as u64)
            .filter(|function| *function < self.functions)
    }
}

/// The content of a page of stubs.
fn stub_page() -> Vec<u8> {
    let mut page = Vec::with_capacity(GEOMETRY.page_bytes() as usize);
    for index in 0..GEOMETRY.group_functions() {
        let distance = GEOMETRY.slot_offset(index) as i64 - GEOMETRY.stub_offset(index) as i64;
        page.extend_from_slice(&arch::slot_stub(distance as i32));
    }
    debug_assert_eq!(page.len(), GEOMETRY.page_bytes() as usize);
    debug_assert_eq!(arch::slot_stub(0).len(), STUB_BYTES as usize);
    page
}
