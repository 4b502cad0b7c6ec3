//! Code slots and slot stubs.
//!
//! Each defined function of a module has a *code slot*, a word that holds the
//! entry of its current code, and a *slot stub*, a few instructions that load
//! the slot and jump there. The stub is the function's lasting address:
//! function references and calls between tiers use it, so that no pointer is
//! ever stale.
//!
//! Stubs are laid out in groups. A group is one page of stubs followed by one
//! page of slots. The page of stubs is the same for every group, because a stub
//! finds its slot at a fixed distance; it is one physical page, mapped many
//! times. A stub leaves the *address of its slot* in a scratch register
//! (x86-64 `r10`, aarch64 `x16`, riscv64 `t1`, s390x `r1`), from which a stub
//! that compiles or interprets the function on its first call finds out which
//! function was called.

use crate::target::Architecture;

/// Bytes in a slot stub.
pub const STUB_BYTES: u32 = 16;

/// Bytes in a slot. A slot of a machine with 32-bit pointers leaves half empty.
pub const SLOT_BYTES: u32 = 8;

/// Where the stubs and the slots of a module lie, relative to its stub base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotGeometry {
    page: u32,
}

impl SlotGeometry {
    /// The geometry of `architecture`.
    ///
    /// aarch64 uses 16 KiB pages so that one image runs on kernels with 4 KiB
    /// and with 16 KiB pages.
    pub const fn new(architecture: Architecture) -> SlotGeometry {
        SlotGeometry {
            page: match architecture {
                Architecture::Aarch64 => 16 << 10,
                _ => 4 << 10,
            },
        }
    }

    /// Bytes in the page of stubs, and in the page of slots, of a group.
    pub const fn page_bytes(&self) -> u32 {
        self.page
    }

    /// Functions in a group.
    pub const fn group_functions(&self) -> u32 {
        self.page / STUB_BYTES
    }

    /// Bytes that `functions` functions take, a multiple of two pages.
    pub const fn total_bytes(&self, functions: u32) -> u64 {
        functions.div_ceil(self.group_functions()) as u64 * 2 * self.page as u64
    }

    /// Offset of the stub of the defined function `function`.
    pub const fn stub_offset(&self, function: u32) -> u64 {
        let group = function / self.group_functions();
        let index = function % self.group_functions();
        group as u64 * 2 * self.page as u64 + (index * STUB_BYTES) as u64
    }

    /// Offset of the slot of the defined function `function`.
    pub const fn slot_offset(&self, function: u32) -> u64 {
        let group = function / self.group_functions();
        let index = function % self.group_functions();
        (2 * group as u64 + 1) * self.page as u64 + (index * SLOT_BYTES) as u64
    }

    /// The defined function whose slot is at `offset`, or `None` when no slot
    /// starts there.
    pub const fn function_of_slot(&self, offset: u64) -> Option<u32> {
        let group = offset / (2 * self.page as u64);
        let within = offset % (2 * self.page as u64);
        if within < self.page as u64 {
            return None;
        }
        let within = within - self.page as u64;
        let index = within / SLOT_BYTES as u64;
        if !within.is_multiple_of(SLOT_BYTES as u64) || index >= self.group_functions() as u64 {
            return None;
        }
        let function = group * self.group_functions() as u64 + index;
        if function > u32::MAX as u64 {
            return None;
        }
        Some(function as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_stubs_are_disjoint_and_found_again() {
        for architecture in Architecture::NATIVE {
            let geometry = SlotGeometry::new(architecture);
            let count = 3 * geometry.group_functions() + 7;
            let mut previous_end = 0;
            for function in 0..count {
                let stub = geometry.stub_offset(function);
                let slot = geometry.slot_offset(function);
                assert!(stub >= previous_end, "stubs overlap");
                assert!(slot + u64::from(SLOT_BYTES) <= geometry.total_bytes(count));
                assert_eq!(stub / u64::from(geometry.page_bytes()) % 2, 0);
                assert_eq!(slot / u64::from(geometry.page_bytes()) % 2, 1);
                assert_eq!(geometry.function_of_slot(slot), Some(function));
                assert_eq!(geometry.function_of_slot(slot + 1), None);
                assert_eq!(geometry.function_of_slot(stub), None);
                previous_end = stub + u64::from(STUB_BYTES);
            }
        }
    }
}
