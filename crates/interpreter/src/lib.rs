//! Tier 0: runs WebAssembly anywhere, at once.
//!
//! A function is translated to *slot bytecode* when it is first called, in one
//! pass over its body, and the bytecode is kept with its module, for all
//! instances and threads.
//!
//! # The bytecode
//!
//! A register machine. Values lie in 8-byte **slots** of a frame; a `v128` takes
//! two. An instruction is the address of its **handler**, followed by operands
//! of 32 bits: places of slots, in bytes from the frame pointer; constants;
//! distances of branches. No operand is too small for any function, so there is
//! one form of each instruction.
//!
//! Instructions read locals where they lie and take constants as operands. A
//! comparison and the branch on it are one instruction; the result of an
//! instruction goes to the local that it is assigned to. See [`translate`].
//!
//! A result is **kept at hand**, in a register that every handler passes on: one
//! for integers, one for floats. An instruction that uses the result of the one
//! before takes it from there, so that chains of arithmetic do not wait for memory.
//! If nobody else uses it, it is not written to its slot; otherwise it lies there
//! as well. A handler that gives no result leaves what is at hand as it was.
//!
//! An instruction may become an operand of the next, so that both are one: see
//! `translate::fuse`.
//!
//! # Frames
//!
//! ```text
//!              ┌ the area: parameters, later results (the larger of the two)
//!  caller's …  │ 0 1 2 … │ return ip │ caller's fp │ context │ code │ locals │ operands
//!                                                                  ▲ fp
//! ```
//!
//! The caller computes arguments where its operand stack has them anyway, and
//! that place is the callee's area: a call moves nothing. Parameters lie at
//! negative offsets from `fp`. Results are left where the caller expects them.
//! Calls between interpreted functions neither allocate nor recurse natively.
//!
//! # Contexts change
//!
//! A call may lead to another instance. Each call instruction is therefore
//! followed by a `reload` instruction, which takes the context from the frame.
//! Calls within one instance return behind it; those that leave the instance
//! return to it. A tail call out of the instance moves the return address of the
//! frame that it replaces back onto the `reload`.
//!
//! # Dispatch
//!
//! Handlers are functions of one signature that end by calling the next. In
//! optimizing builds for machines that pass six words in registers that call is
//! a jump; elsewhere a loop calls one handler after the other. [`dispatch`] is
//! where this is chosen.
//!
//! # Memories with guards
//!
//! Where a memory is planned as guarded, accesses to it may fault instead of being
//! compared with its length, on the systems for which [`HAS_GUARDS`] is true.
//! Whoever makes such a plan hears of faults, and lets a thread go on where
//! [`fault_landing`] says: see `faults`.
//!
//! # Memories that threads share
//!
//! Rust has no plain access that may race, and Wasm has. Guest memory is
//! therefore never accessed by Rust loads and stores: where there is inline
//! assembly for it, an access is one instruction of the machine, whose races the
//! machine defines; elsewhere it is made of relaxed atomic accesses. Both lie
//! within what Wasm allows for unordered accesses. Atomic instructions are
//! sequentially consistent operations of `core::sync::atomic`. See [`access`].
//!
//! # Unsafe code
//!
//! Handlers trust the bytecode: the translator is the only one that makes it,
//! from validated Wasm, and the invariants that it keeps are listed in
//! [`handlers`].

#![no_std]
#![cfg_attr(
    not(all(
        feature = "decoder",
        feature = "simd",
        feature = "fused",
        feature = "images"
    )),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "what is left out are uses, not definitions"
    )
)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the parts are explained where they are"
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod access;
mod code;
#[cfg(feature = "counts")]
mod counts;
mod dispatch;
mod faults;
mod float;
mod handlers;
#[cfg(feature = "images")]
pub mod image;
#[cfg(feature = "images")]
mod numbers;
mod ops;
mod runtime;
mod simd;
mod state;
#[cfg(feature = "decoder")]
mod translate;
mod value;

pub use code::{FunctionCode, ModuleCode, TranslateError};
#[cfg(feature = "counts")]
pub use counts::{Count, counts};
pub use faults::{HAS_GUARDS, fault_landing};
pub use runtime::{Builtins, NativeCall, Raised, Resolution, Runtime};
pub use state::{Activation, Frame, Frames, Outcome, SlotStack, TailCall};

/// Whether handlers reach each other by tail calls in this build.
pub const HAS_TAIL_DISPATCH: bool = cfg!(all(tail_dispatch, not(debug_assertions)));

#[cfg(not(any(feature = "decoder", feature = "images")))]
compile_error!("there is nothing to run: switch on the feature `decoder` or `images`");

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!("float arithmetic is missing: switch on the feature `std` or `libm`");
