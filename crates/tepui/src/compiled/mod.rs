//! Machine code: who makes it, where it is, how it becomes a file.
//!
//! Builds without a compiler are without all of this.
//!
//! This file holds unsafe code: it is asked by signal handlers.

pub(crate) mod code;
pub(crate) mod compile;
pub(crate) mod compilers;
#[cfg(feature = "interpreter")]
pub(crate) mod crossing;
pub(crate) mod image;
pub(crate) mod profile;

use tepui_native::signals;

use crate::vm::call::on_trap;
use crate::{Error, Result};

/// Makes faults in generated code traps, in this process.
///
/// # Errors
///
/// What the system says.
pub(crate) fn install_signal_handlers() -> Result<()> {
    // SAFETY: `trap_at` only reads what is kept alive by running code, and
    // `on_trap` follows the contract of the trap stub.
    unsafe { signals::install(lookup, on_trap) }
        .map_err(|error| Error::new(error).context("cannot install signal handlers"))
}

/// What the signal handler asks of published code: `owner` is what it was
/// registered with, and it is running.
fn lookup(owner: *const (), offset: usize) -> Option<u8> {
    // SAFETY: only `ModuleCode` registers code, and running code is kept alive
    // by the store that runs it.
    unsafe { code::trap_at(owner, offset) }.map(tepui_abi::Trap::code)
}
