//! The contract between generated code, the interpreter and the runtime.
//!
//! Everything that two of these parts have to agree on stands here, once:
//!
//! | module | what it fixes |
//! |---|---|
//! | [`target`] | what a layout depends on: architecture, pointer width, byte order |
//! | [`layout`] | the memory that generated code reads: contexts, function references, definitions of memories, tables and globals |
//! | [`stack`] | the stack object: saved position, limit, parent, overflow area |
//! | [`convention`] | where parameters and results travel |
//! | [`image`] | the register image that the *enter* and *leave* stubs exchange with the host |
//! | [`slots`] | code slots and slot stubs |
//! | [`trap`] | trap codes |
//! | [`builtin`] | the table of functions that generated code calls in the runtime |
//! | [`fuel`] | what instructions cost |
//! | [`metadata`] | what is kept beside code: trap sites, source positions |
//! | [`profile`] | what code counts, and how a call goes on in other code in the middle of a loop |
//! | [`plan`] | how a module's memories and other things are reached |
//! | [`compiler`] | the trait that compilers implement, and what they are given |
//!
//! Layouts are functions of a [`Target`], never the host's
//! `offset_of!`, because ahead-of-time images are compiled for other machines.
//! The runtime asserts that its own Rust structs agree with the host's layout.

#![no_std]

extern crate alloc;

pub mod builtin;
pub mod compiler;
pub mod convention;
pub mod fuel;
pub mod image;
pub mod layout;
pub mod metadata;
pub mod plan;
pub mod profile;
pub mod slots;
pub mod stack;
pub mod target;
pub mod trap;

pub use compiler::{
    Batch, CompileError, CompiledFunction, Compiler, Entry, FunctionInput, Relocation,
    RelocationKind, Tunables,
};
pub use plan::{MemoryPlace, MemoryPlan, MemoryStyle, Plan};
pub use target::{Architecture, Target};
pub use trap::Trap;
