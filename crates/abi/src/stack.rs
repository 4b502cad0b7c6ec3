//! The stack object: saved position, limit, parent, overflow area.
//!
//! Whatever runs guest code runs on a stack described by one of these: the
//! host thread's own stack, a fiber of an asynchronous call, later a Wasm
//! continuation. The store context points to the running one; switching stacks
//! swaps that pointer together with the stack limit.
//!
//! The **overflow area** carries the parameters and results that find no
//! register (see [`convention`](crate::convention)). It is live only from the
//! last store before a call or return to the first loads after it.

use crate::target::Target;

/// Slots in the overflow area: the most parameters, or results, of a function
/// type (the implementation limit of the specification's JavaScript interface).
pub const OVERFLOW_SLOTS: u32 = 1_000;

/// Bytes in a slot of the overflow area; one `v128`.
pub const OVERFLOW_SLOT_BYTES: u32 = 16;

/// The layout of a stack object. All fields are pointers unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct StackLayout {
    pointer: u32,
}

impl StackLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> StackLayout {
        StackLayout {
            pointer: target.pointer(),
        }
    }

    /// The stack pointer at which a stack that is not running continues.
    pub const fn position(&self) -> u32 {
        0
    }

    /// The lowest address that guest code may let the stack pointer reach.
    pub const fn limit(&self) -> u32 {
        self.pointer
    }

    /// One past the highest address of the stack.
    pub const fn base(&self) -> u32 {
        2 * self.pointer
    }

    /// The stack that resumed this one, or null.
    pub const fn parent(&self) -> u32 {
        3 * self.pointer
    }

    /// The overflow area, 16-byte aligned: the same offset on every target.
    pub const fn overflow(&self) -> u32 {
        64
    }

    /// The slot `index` of the overflow area.
    pub const fn overflow_slot(&self, index: u32) -> u32 {
        self.overflow() + index * OVERFLOW_SLOT_BYTES
    }

    /// Bytes in a stack object; it is 16-byte aligned.
    pub const fn size(&self) -> u32 {
        self.overflow_slot(OVERFLOW_SLOTS)
    }
}
