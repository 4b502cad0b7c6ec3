//! The assembly between host and guest: *enter*, *leave*, builtins, traps.
//!
//! Holds unsafe code: its functions run generated code, or are run by it.
//!
//! The stubs of each architecture stand in a file of their own; this one says
//! what they have in common. All offsets come from [`tepui_abi`].
//!
//! # Registers
//!
//! | | x86-64 | aarch64 |
//! |---|---|---|
//! | callee context, caller context | rdi rsi | x2 x3 |
//! | integer parameters (image integers 0–3) | rdx rcx r8 r9 | x4–x7 |
//! | vector parameters (image vectors 0–7) | xmm0–7 | v0–v7 |
//! | integer results (image integers 0–…) | rax rcx rdx rsi rdi r8 r9 r10 | x2–x7 |
//! | vector results (image vectors 0–7) | xmm0–7 | v0–v7 |
//! | slot address, from a slot stub | r10 | x16 |
//!
//! Where a stub calls Rust, or Rust a stub, the convention is that of
//! [`stub_convention!`](crate::stub_convention), on Windows too. The stubs save what
//! is callee-saved there; on Windows, where the system's own convention keeps more
//! registers, the Rust functions on both sides see to the others.
//!
//! # Enter
//!
//! [`enter`] saves the host's callee-saved registers, keeps the store context's
//! `entry_sp` and `exit_fp` in its frame (an
//! [`EntryFrame`](crate::walk::EntryFrame)) and **puts them back when it ends**,
//! in either way; it stores its stack pointer in `entry_sp`, loads the
//! parameter registers and calls. The image then holds the results. The
//! runtime does not save any of these fields itself.
//!
//! # Leave
//!
//! [`leave`] is the entry of a host function: it writes the parameter registers
//! into the image of a [`LeaveFrame`] and calls the function that the host
//! context names, `fn(callee, caller, image, slot) -> LeaveStatus`
//! (`slot` is 0). [`leave_slot`] is what a slot holds before its function has
//! code: it calls the first word of the builtin table with the address of the
//! slot. Both note first where the guest left off: their own frame pointer, at
//! which the guest's and the return address lie, becomes `exit_fp`. Then, by
//! status:
//!
//! * `Return`: load the result registers from the image and return;
//! * `Unwind`: [`unwind`];
//! * `TailCall`: load the parameter registers from the image, the callee
//!   context from the store context's `tail_context`, the caller context from
//!   the [`LeaveFrame`], drop the stub's frame and jump to `tail_code`. A chain
//!   of such calls takes no stack.
//!
//! [`leave_direct`] serves the host functions of which at most four integer and
//! eight float parameters and at most one result, none of them a vector, need no
//! image: it calls `fn(callee, caller, parameters…) -> result`.
//!
//! Most host functions use few registers: [`leave_for`] chooses a variant of
//! [`leave`] that leaves out most of the others.
//!
//! The `_integers` variants neither load nor store vector registers, except
//! that a tail call always loads them: whoever answers `TailCall` fills the
//! vectors that its target takes. Vectors of the image are uninitialized before.

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};

use tepui_abi::image::{LeaveStatus, RegisterImage};

use crate::signals;
use crate::stub_convention;

pub use crate::arch::{
    enter, enter_few, enter_few_integers, enter_few_results, enter_integers,
    enter_vector_parameters, leave, leave_direct, leave_integers, leave_slot, leave_slot_integers,
    unwind,
};

/// How a guest came back to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EnterStatus {
    /// It returned: the results are in the image.
    Returned = 0,
    /// It was unwound: the runtime has recorded why.
    Unwound = 1,
}

/// Which registers a signature uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterClasses {
    /// Parameters and results need integer registers only, and there are at
    /// most three results.
    FewIntegers,
    /// Parameters and results need integer registers only.
    Integers,
    /// Some need vector (or float) registers, and there are at most three
    /// results of each class.
    Few,
    /// As `Few`, and no parameter needs a vector register.
    FewResults,
    /// As `Few`, and no result needs a vector register.
    VectorParameters,
    /// Some need vector (or float) registers.
    All,
}

/// How many registers of each class the parameters or the results of a
/// signature take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterCounts {
    /// Integer registers.
    pub integers: usize,
    /// Vector registers, and those of floats.
    pub vectors: usize,
}

/// The *leave* stub for a host function that is a [`LeaveFn`] and whose
/// parameters and results take so many registers: [`leave`], or a variant of it
/// that does not move what this signature does not use.
pub fn leave_for(parameters: RegisterCounts, results: RegisterCounts) -> StubFn {
    crate::arch::leave_for(parameters, results)
}

/// The type of [`enter`].
pub type EnterFn = stub_convention!([unsafe] fn(
    code: *const u8,
    callee_context: *mut u8,
    caller_context: *mut u8,
    image: *mut RegisterImage,
    store_context: *mut u8,
) -> EnterStatus);

/// The type of stubs that generated code calls under its own convention.
pub type StubFn = stub_convention!([unsafe] fn());

/// What *leave* calls: the second word of a host context, or the first word of
/// the builtin table.
pub type LeaveFn = stub_convention!([unsafe] fn(
    callee_context: *mut u8,
    caller_context: *mut u8,
    image: *mut RegisterImage,
    slot: usize,
) -> LeaveStatus);

/// What the runtime is called with when the guest faulted, on the guest's
/// stack: the store context, the address and the frame pointer of the
/// instruction that faulted, the code of the trap, and the address that could
/// not be accessed (0 where the fault has none). When it comes back, the guest
/// is unwound.
pub type TrapFn = stub_convention!([unsafe] fn(
    store_context: *mut u8,
    pc: usize,
    fp: usize,
    trap: u32,
    fault_address: usize,
));

/// The frame of a *leave* stub: the image that it passes, and what lies behind
/// it.
#[derive(Debug)]
#[repr(C)]
pub struct LeaveFrame {
    /// Parameters, then results or the parameters of a tail call.
    pub image: RegisterImage,
    /// The caller context of a tail call. At first the one that the stub was
    /// called with, which is right when the same call goes on in other code;
    /// for another function it is to be changed to the callee context.
    pub caller_context: *mut u8,
    /// The callee context that the stub was called with; not to be changed.
    pub callee_context: *mut u8,
}

impl LeaveFrame {
    /// The frame around the image that a [`LeaveFn`] was given.
    ///
    /// # Safety
    ///
    /// `image` came from a *leave* stub.
    pub unsafe fn of(image: *mut RegisterImage) -> *mut LeaveFrame {
        image.cast()
    }
}

/// Calls guest code: names `store_context` as the thread's current one, so that
/// faults are taken for its traps, and goes through the *enter* stub that
/// `classes` asks for.
///
/// # Safety
///
/// `code` is the entry of a function under the convention of [`tepui_abi`], of
/// a signature that fits `image` and `classes`; contexts and store context are
/// valid under their layouts; all code that the call can reach stays alive
/// until it ends, its [`CodeAllocation`](crate::code::CodeAllocation) included.
/// No borrow of what the guest may change is held. The overflow area holds the
/// parameters that find no register. [`signals::ensure_thread_ready`] was
/// called on this thread, and the store context's stack limit is one of this
/// stack.
#[inline]
pub unsafe fn call(
    code: *const u8,
    callee_context: *mut u8,
    caller_context: *mut u8,
    image: *mut RegisterImage,
    store_context: *mut u8,
    classes: RegisterClasses,
) -> EnterStatus {
    let enter: EnterFn = match classes {
        RegisterClasses::FewIntegers => enter_few_integers,
        RegisterClasses::Integers => enter_integers,
        RegisterClasses::Few => enter_few,
        RegisterClasses::FewResults => enter_few_results,
        RegisterClasses::VectorParameters => enter_vector_parameters,
        RegisterClasses::All => enter,
    };
    let outer = signals::set_current(store_context);
    // SAFETY: the caller's.
    let status = unsafe { enter(code, callee_context, caller_context, image, store_context) };
    signals::set_current(outer);
    status
}

/// The runtime's [`TrapFn`]; null before it is set.
static ON_TRAP: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the function that faults of guests are reported to, for the process.
///
/// # Errors
///
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when another one is set.
pub(crate) fn set_on_trap(on_trap: TrapFn) -> io::Result<()> {
    let new = on_trap as *mut ();
    match ON_TRAP.compare_exchange(
        std::ptr::null_mut(),
        new,
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        Ok(_) => Ok(()),
        Err(found) if found == new => Ok(()),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another function for traps is set",
        )),
    }
}

/// The address of the runtime's [`TrapFn`]; 0 before it is set.
#[cfg_attr(
    not(all(
        any(unix, windows),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "asked where faults arrive")
)]
pub(crate) fn on_trap() -> usize {
    ON_TRAP.load(Ordering::Acquire) as usize
}

const _: () = {
    assert!(std::mem::offset_of!(LeaveFrame, image) == 0);
    assert!(std::mem::offset_of!(LeaveFrame, caller_context) == tepui_abi::image::SIZE as usize);
};
