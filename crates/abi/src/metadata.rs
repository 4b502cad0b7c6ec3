//! What is kept beside code: trap sites, source positions, what is counted.
//!
//! Offsets into code are relative to the start of the function; offsets into
//! Wasm are byte offsets in the module.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::profile::ProfileMetadata;
use crate::trap::Trap;

/// An instruction that may fault, and what the fault means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapSite {
    /// Offset of the instruction.
    pub offset: u32,
    /// The trap that a fault there means.
    pub trap: Trap,
}

/// The Wasm instruction that the code from an offset on belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// Offset of the first code byte.
    pub offset: u32,
    /// Byte offset of the Wasm instruction in the module, or
    /// [`SourcePosition::NONE`].
    pub wasm: u32,
}

impl SourcePosition {
    /// Code that belongs to no Wasm instruction, such as a prologue.
    pub const NONE: u32 = u32::MAX;
}

/// What is kept beside the code of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionMetadata {
    /// Trap sites, by ascending offset.
    pub traps: Vec<TrapSite>,
    /// Source positions, by ascending offset.
    pub positions: Vec<SourcePosition>,
    /// Bytes of the frame below the saved frame pointer.
    pub frame_bytes: u32,
    /// What the code counts; `None` when it does not count.
    pub profile: Option<Box<ProfileMetadata>>,
}
