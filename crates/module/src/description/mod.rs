//! How is a module written down without being Wasm? As a description, for builds
//! without a decoder.
//!
//! A description holds what a [`Module`] does but its code: what was decoded and
//! validated, in one fixed order. All numbers are unsigned LEB128. Value types are one
//! number (see `words`), types are named by module index. What a section may be left
//! out of the Wasm for is a count of zero here.
//!
//! Descriptions are trusted: they were written from a valid module. What can be
//! checked at no cost is: that nothing lies outside, that numbers are in their range,
//! and that types exist where they are named.

mod read;
mod write;

use crate::const_expr::ConstOp;
use core::fmt;

/// A description is damaged, or of another version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DescriptionError {
    /// Where it was noticed, in bytes from the start of what was given.
    pub offset: usize,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the description of the module is damaged (at offset {:#x})",
            self.offset
        )
    }
}

impl core::error::Error for DescriptionError {}

// Kinds of external items.
const FUNC: u32 = 0;
const TABLE: u32 = 1;
const MEMORY: u32 = 2;
const GLOBAL: u32 = 3;
const TAG: u32 = 4;

// Kinds of segments, and of table initializers.
const PASSIVE: u32 = 0;
const ACTIVE: u32 = 1;
const DECLARED: u32 = 2;

// What items of element segments are.
const FUNCTIONS: u32 = 0;
const EXPRESSIONS: u32 = 1;

// Constant instructions.
const I32_CONST: u32 = 0;
const I64_CONST: u32 = 1;
const F32_CONST: u32 = 2;
const F64_CONST: u32 = 3;
const V128_CONST: u32 = 4;
const GLOBAL_GET: u32 = 5;
const REF_NULL: u32 = 6;
const REF_FUNC: u32 = 7;
/// Instructions without immediates, whose numbers begin with [`PLAIN`].
const PLAIN_OPS: [ConstOp; 6] = [
    ConstOp::I32Add,
    ConstOp::I32Sub,
    ConstOp::I32Mul,
    ConstOp::I64Add,
    ConstOp::I64Sub,
    ConstOp::I64Mul,
];
const PLAIN: u32 = 8;

// Flags of types.
const IS_FINAL: u32 = 1;
const HAS_SUPER: u32 = 2;

// Flags of limits.
const HAS_MAXIMUM: u32 = 1;
const IS_64: u32 = 2;
const IS_SHARED: u32 = 4;
