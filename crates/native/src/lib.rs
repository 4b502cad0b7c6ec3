//! What differs per platform: maps, code memory, signals, stubs, frame walk.
//!
//! This crate holds unsafe code throughout: it is the fence around what the
//! operating system and the processor are asked for. It knows nothing of
//! modules, instances or stores; it is given addresses and numbers, under the
//! layouts of [`tepui_abi`].
//!
//! | module | what it gives |
//! |---|---|
//! | [`memory`] | reserved address space, copy-on-write images |
//! | [`code`] | memory for machine code, written through another mapping; which code an address belongs to |
//! | [`slots`] | code slots and slot stubs |
//! | [`stubs`] | the assembly between host and guest: *enter*, *leave*, builtins, traps |
//! | [`signals`] | faults in generated code become traps |
//! | [`stack`] | bounds of the thread's stack, limits for guests |
//! | [`walk`] | return addresses of the frames on a stack |
//! | [`system`] | what can go wrong in it |
//! | `bare` | what stands for a system where there is none (without the feature `std`) |
//! | `inject` | the nth system call fails (feature `fault-injection`, for tests) |
//!
//! # The life of a call
//!
//! 1. The runtime fills a register image and calls [`stubs::call`], which names
//!    the store context as the thread's current one and goes through
//!    [`stubs::enter`] into code.
//! 2. Code calls code through slot stubs ([`slots::SlotTable`]); nothing here
//!    is involved. A function that has no code yet has a *leave* stub in its
//!    slot, which calls the runtime; that compiles it, changes the slot and
//!    answers "tail call", and the stub jumps there with all registers as they
//!    were.
//! 3. Code calls a host function: a *leave* stub writes the parameter registers
//!    to an image on the stack, notes where the guest left off (`exit_fp`),
//!    and calls Rust. The host may call [`stubs::call`] again; the
//!    new *enter* frame keeps the older exit values, so that the activations of
//!    the guest form a chain ([`walk::Activations`]).
//! 4. Code calls a builtin: a stub made by [`builtin_stub!`](crate::builtin_stub)
//!    notes where the guest left off and calls Rust; when that set `pending`,
//!    the stub does not return but unwinds.
//! 5. Code faults: the handler of [`signals`] finds the address in
//!    [`code`]'s tables, asks the runtime which trap it is, and continues the
//!    thread in a stub on the guest's stack, which calls the runtime (it takes
//!    the backtrace there, outside of signal context) and unwinds.
//! 6. To unwind is to reload the stack pointer of the innermost *enter* frame
//!    and return [`EnterStatus::Unwound`](stubs::EnterStatus::Unwound) from it.
//!    There is nothing in between but frames of generated code, which own
//!    nothing. Rust frames are never crossed: each *enter* ends where it began.
//!
//! # Panics
//!
//! Nothing unwinds through a stub. A Rust function that a stub calls has a
//! convention of C ([`stub_convention!`](crate::stub_convention)), so that a panic that reaches its edge aborts the process; the
//! runtime catches panics of user code before that, keeps the payload, answers
//! [`LeaveStatus::Unwind`](tepui_abi::image::LeaveStatus::Unwind) (or sets
//! `pending`), and resumes the panic when the *enter* has returned.
//!
//! # Fibers
//!
//! Nothing here switches stacks yet. A switch belongs between the runtime and
//! *enter*: the fiber's first frame calls [`stubs::call`] on the new stack, and
//! a switch swaps the stack pointer, the callee-saved registers, the store
//! context's `stack` and `stack_limit`, and the thread's current store context
//! ([`signals::set_current`]). `entry_sp` and `exit_fp` need no swap,
//! because *enter* frames keep the older ones on the stack they belong to, as
//! long as a store runs one chain of calls at a time.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "fault-injection")]
pub mod inject;
#[cfg(all(feature = "std", not(feature = "fault-injection")))]
mod inject {
    //! Without the feature every call goes through.
    #[inline]
    pub(crate) fn check() -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "std")]
pub mod code;
pub mod memory;
#[cfg(feature = "std")]
pub mod slots;
pub mod stack;
#[cfg(feature = "std")]
pub mod stubs;
pub mod system;
#[cfg(feature = "std")]
pub mod walk;

#[cfg(feature = "std")]
mod address_table;
#[cfg(feature = "std")]
mod convention;
#[cfg(all(feature = "std", not(any(unix, windows))))]
mod no_code;
#[cfg(all(feature = "std", not(unix)))]
mod no_files;

#[cfg(not(feature = "std"))]
pub mod bare;
#[cfg(all(feature = "std", not(any(unix, windows))))]
#[path = "portable/mod.rs"]
mod platform;
#[cfg(all(feature = "std", unix))]
#[path = "unix/mod.rs"]
mod platform;
#[cfg(all(feature = "std", windows))]
#[path = "windows/mod.rs"]
mod platform;
#[cfg(not(feature = "std"))]
use bare as platform;

#[cfg(feature = "std")]
pub mod signals;

#[cfg(all(
    feature = "std",
    target_arch = "x86_64",
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        windows
    )
))]
#[path = "arch/x86_64.rs"]
mod arch;
#[cfg(all(
    feature = "std",
    target_arch = "aarch64",
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        windows
    )
))]
#[path = "arch/aarch64.rs"]
mod arch;
#[cfg(all(
    feature = "std",
    not(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        any(
            target_os = "linux",
            target_os = "android",
            target_os = "macos",
            windows
        )
    ))
))]
#[path = "arch/none.rs"]
mod arch;

/// Whether generated code can run on this machine. Where it is false,
/// `code::CodeRegion::new` answers
/// `Unsupported`, and no stub can be reached.
pub const NATIVE_CODE: bool = cfg!(all(
    feature = "std",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        windows
    )
));

#[cfg(feature = "std")]
#[doc(hidden)]
pub mod macro_support {
    //! What the expansion of [`builtin_stub!`](crate::builtin_stub) names.
    pub use crate::stubs::unwind;
    pub use core::arch::naked_asm;
    pub use tepui_abi::Target;
    pub use tepui_abi::layout::{ContextHeader, StoreLayout};
}
