//! Decodes and validates WebAssembly modules for the Tepui runtime.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod canon;
mod const_expr;
mod decode;
mod error;
pub mod features;
mod index;
pub mod limits;
pub mod module;
mod names;
mod summary;
mod support;
pub mod types;
mod validate;

pub use canon::{RecGroup, RegisterError, RegistryId, SubType, TypeLookup, TypeRegistry};
pub use const_expr::{ConstContext, ConstExpr, ConstOp, ConstValue};
pub use decode::WithRegistry;
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
pub use summary::{AssignedLocals, FunctionSummary, Summaries, SummaryFlags};
pub use types::{
    CompositeType, ExternType, FieldType, FuncType, GlobalType, HeapType, MemoryType, RefType,
    StorageType, TableType, TagType, TypeId, ValType,
};
pub use validate::Bodies;

/// The decoder whose readers and operators this crate's types speak of, in the
/// version that it uses.
pub use wasmparser;
