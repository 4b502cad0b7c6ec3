//! Decodes and validates WebAssembly modules for the Tepui runtime.
//!
//! [`Module::decode`] reads the sections of a module and validates all but the
//! code; [`Bodies::validate`] validates the code, on several threads where
//! there are threads, and gives [`Summaries`] of the functions. Types are
//! canonical across all modules of an engine, in a [`TypeRegistry`].
//!
//! The crate needs `core` and `alloc`. Its feature `std`, on by default, adds
//! validation on several threads. Without the feature `decoder` nothing reads Wasm:
//! modules come from descriptions alone, which [`Module::describe`] wrote.
//!
//! ```
//! use tepui_module::{Features, Module, TypeRegistry};
//!
//! let bytes = b"\0asm\x01\0\0\0";
//! let mut registry = TypeRegistry::new();
//! let (module, bodies) = Module::decode(bytes, Features::default(), &mut registry)?;
//! let summaries = bodies.validate(&module, bytes)?;
//! assert!(module.exports().is_empty() && summaries.is_empty());
//! # Ok::<(), tepui_module::Error>(())
//! ```

#![no_std]
#![cfg_attr(
    not(feature = "decoder"),
    allow(dead_code, reason = "what only the decoder uses")
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod canon;
mod const_expr;
#[cfg(feature = "decoder")]
mod cursor;
#[cfg(feature = "decoder")]
mod decode;
mod description;
mod error;
pub mod features;
mod index;
pub mod leb128;
pub mod limits;
pub mod module;
mod names;
#[cfg(feature = "decoder")]
mod nesting;
mod order;
mod summary;
#[cfg(feature = "decoder")]
mod support;
pub mod types;
#[cfg(feature = "decoder")]
mod validate;
mod visit;
mod words;

pub use canon::{
    RecGroup, RegisterError, RegistryId, SubType, TypeLookup, TypeRegistry, WithRegistry,
};
pub use const_expr::{ConstContext, ConstExpr, ConstOp, ConstValue};
#[cfg(feature = "decoder")]
pub use cursor::Cursor;
pub use description::DescriptionError;
pub use error::{Error, ErrorFunction, ErrorKind, Result};
pub use features::{Features, NotImplemented, Proposal, UnknownProposal};
pub use index::{
    DataIndex, DefinedFuncIndex, ElemIndex, FuncIndex, GlobalIndex, LocalIndex, MemoryIndex,
    TableIndex, TagIndex, TypeIndex,
};
pub use module::{
    BlockType, CustomSection, DataMode, DataSegment, ElementItems, ElementMode, ElementSegment,
    Export, ExternIndex, FunctionBody, Import, Module, TableInitializer,
};
pub use names::{BranchHint, BranchHints, FunctionNames};
#[cfg(feature = "decoder")]
pub use nesting::{Nesting, NestingVisitor};
pub use summary::{AssignedLocals, FunctionSummary, Summaries, SummaryFlags};
pub use types::{
    CompositeType, ExternType, FieldType, FuncType, GlobalType, HeapType, MemoryType, RefType,
    StorageType, TableType, TagType, TypeId, ValType,
};
#[cfg(feature = "decoder")]
pub use validate::Bodies;
#[cfg(feature = "std")]
pub use validate::processors;
pub use visit::{CallKind, IntoStep};

/// The decoder whose readers and operators this crate's types speak of, in the
/// version that it uses.
#[cfg(feature = "decoder")]
pub use wasmparser;

/// What the macros of this crate name.
#[doc(hidden)]
pub mod macro_support {
    pub use alloc::vec::Vec;
}
