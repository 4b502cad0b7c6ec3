//! Where does generated code find a memory or a table? Definitions and their places.
//!
//! This file holds unsafe code. A definition is a base and a length that
//! generated code reads. Only the runtime writes it, with atomic stores, so
//! that Rust may hold shared references to it while code runs. It lies in the
//! context of the instance that defines the thing, or, when a host created it,
//! in an allocation of its own.

#[cfg(not(feature = "std"))]
use crate::prelude::*;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use tepui_abi::Target;
use tepui_abi::layout::{MemoryLayout, TableLayout};

/// What code knows of a memory or a table: the address of its first byte or
/// element, and how many bytes or elements it has.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Definition {
    base: AtomicPtr<u8>,
    length: AtomicUsize,
}

/// The definition of a memory; the length is in bytes.
pub(crate) type MemoryDefinition = Definition;

/// The definition of a table; the length is in elements.
pub(crate) type TableDefinition = Definition;

impl Definition {
    /// A definition with this base and length.
    pub(crate) fn new(base: NonNull<u8>, length: usize) -> Definition {
        Definition {
            base: AtomicPtr::new(base.as_ptr()),
            length: AtomicUsize::new(length),
        }
    }

    /// The address of the first byte or element.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.load(Ordering::Relaxed)
    }

    /// The number of bytes or elements.
    #[inline]
    pub(crate) fn length(&self) -> usize {
        // Pairs with the release of a growth in another thread.
        self.length.load(Ordering::Acquire)
    }

    /// Makes a growth in place known.
    pub(crate) fn set_length(&self, length: usize) {
        self.length.store(length, Ordering::Release);
    }

    /// Makes a growth known that moved the content. The thing must not be
    /// shared with other threads: they could see one half of the change.
    pub(crate) fn set(&self, base: NonNull<u8>, length: usize) {
        self.base.store(base.as_ptr(), Ordering::Relaxed);
        self.length.store(length, Ordering::Release);
    }
}

const _: () = {
    use core::mem::{offset_of, size_of};
    const MEMORY: MemoryLayout = MemoryLayout::new(Target::host());
    assert!(offset_of!(MemoryDefinition, base) == MEMORY.base() as usize);
    assert!(offset_of!(MemoryDefinition, length) == MEMORY.length() as usize);
    assert!(size_of::<MemoryDefinition>() == MEMORY.size() as usize);
    const TABLE: TableLayout = TableLayout::new(Target::host());
    assert!(offset_of!(TableDefinition, base) == TABLE.base() as usize);
    assert!(offset_of!(TableDefinition, length) == TABLE.length() as usize);
    assert!(size_of::<TableDefinition>() == TABLE.size() as usize);
};

/// The place of a definition: of its own, or in a context.
#[derive(Debug)]
pub(crate) struct Place {
    pointer: NonNull<Definition>,
    owned: bool,
}

// SAFETY: a place is a pointer to atomics that it owns, or that the promise
// made to `move_to` keeps alive for it; neither is bound to a thread.
unsafe impl Send for Place {}
// SAFETY: as above; shared access goes through atomics only.
unsafe impl Sync for Place {}

impl Place {
    /// Puts `definition` into an allocation of its own.
    pub(crate) fn new(definition: Definition) -> Place {
        Place {
            pointer: NonNull::from(Box::leak(Box::new(definition))),
            owned: true,
        }
    }

    /// The address that generated code is given.
    pub(crate) fn pointer(&self) -> NonNull<Definition> {
        self.pointer
    }

    /// The definition.
    #[inline]
    pub(crate) fn get(&self) -> &Definition {
        // SAFETY: the place owns the definition, or `move_to` was promised that
        // it stays alive while the place is used. Nobody makes exclusive
        // references to it.
        unsafe { self.pointer.as_ref() }
    }

    /// Copies the definition to `target` and uses it there from now on.
    ///
    /// # Safety
    ///
    /// `target` is aligned and writable, stays valid for as long as this place
    /// is used (it may be gone when the place is dropped), and is otherwise
    /// only read. Nobody has kept the pointer to the former place.
    pub(crate) unsafe fn move_to(&mut self, target: NonNull<Definition>) {
        let definition = Definition {
            base: AtomicPtr::new(self.get().base()),
            length: AtomicUsize::new(self.get().length()),
        };
        // SAFETY: the caller promises that `target` may be written.
        unsafe { target.write(definition) };
        self.free();
        self.pointer = target;
        self.owned = false;
    }

    fn free(&mut self) {
        if self.owned {
            // SAFETY: allocated by a box in `new`; freed once, because the
            // place is dropped or changed right after.
            drop(unsafe { Box::from_raw(self.pointer.as_ptr()) });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free();
    }
}
