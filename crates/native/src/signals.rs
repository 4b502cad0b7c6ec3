//! Faults in generated code become traps.
//!
//! Holds unsafe code: it is called by the operating system in the middle of
//! anything.
//!
//! A fault whose address lies in registered code ([`find_code`](crate::code::find_code)),
//! on a thread that runs a guest, and for which the runtime knows a trap, makes
//! the thread go on in a stub on the guest's stack, which calls the runtime's
//! [`TrapFn`] and unwinds. On Windows what is a signal elsewhere is an exception,
//! and the handler a vectored one. Every other fault goes to
//! whatever the program had installed before, as if nothing stood in between:
//! a fault in host code stays a crash of the host.
//!
//! The interpreter's handlers may fault too where it relies on guard pages. They
//! are asked for first ([`install_landing`]): such a fault lets the thread go on at
//! an address that the interpreter names, with all registers as they were.

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::NATIVE_CODE;
use crate::platform;
use crate::stubs::{TrapFn, set_on_trap};

/// Which trap a fault is: given what the code was
/// [registered](crate::code::CodeAllocation::register) with and the offset of
/// the faulting instruction in the allocation, the code of the trap, or `None`
/// when no fault is expected there.
///
/// Called in signal context: it must not allocate, lock or panic.
pub type TrapLookup = fn(owner: *const (), offset: usize) -> Option<u8>;

/// The runtime's [`TrapLookup`]; null before it is set.
static LOOKUP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// The store context of the guest that this thread runs; null for none.
    /// Plain and constant, so that reading it in signal context is sound.
    static CURRENT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };

    /// Whether the thread has its alternate stack for signals.
    static READY: Cell<bool> = const { Cell::new(false) };
}

/// Where a thread is to go on that faulted at `pc`, or `None` when that is no
/// instruction which is expected to fault.
///
/// Called in signal context: it must not allocate, lock or panic.
pub type LandingLookup = fn(pc: usize) -> Option<usize>;

/// The interpreter's [`LandingLookup`]; null before it is set.
static LANDING: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Says which instructions outside of generated code may fault when they access
/// memory, and where their threads go on; installs the handlers if nobody has.
/// Answers whether such faults arrive here on this system.
///
/// # Errors
///
/// What the system says.
///
/// # Safety
///
/// Every address that `lookup` gives may be jumped to with the registers of the
/// faulting instruction.
pub unsafe fn install_landing(lookup: LandingLookup) -> io::Result<bool> {
    LANDING.store(lookup as *mut (), Ordering::Release);
    let mut installed = installed();
    install_handlers(&mut installed)?;
    Ok(NATIVE_CODE)
}

/// Whether the handlers are installed. Who installs them holds the lock.
fn installed() -> MutexGuard<'static, bool> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    INSTALLED
        .lock()
        .unwrap_or_else(|poison| poison.into_inner())
}

fn install_handlers(installed: &mut bool) -> io::Result<()> {
    if NATIVE_CODE && !*installed {
        platform::install_fault_handlers()?;
        *installed = true;
    }
    Ok(())
}

/// Where a thread goes on whose access to memory at `pc` has faulted. Runs in
/// signal context.
#[cfg_attr(
    not(all(
        any(unix, windows),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "asked where faults arrive")
)]
pub(crate) fn landing(pc: usize) -> Option<usize> {
    let lookup = LANDING.load(Ordering::Acquire);
    if lookup.is_null() {
        return None;
    }
    // SAFETY: only `install_landing` stores here, and what it stores is a
    // `LandingLookup`.
    let lookup = unsafe { std::mem::transmute::<*mut (), LandingLookup>(lookup) };
    lookup(pc)
}

/// Installs the handlers, once for the process; later calls with the same
/// functions do nothing. Where there is no native code, nothing is installed.
///
/// # Errors
///
/// What the system says; [`AlreadyExists`](io::ErrorKind::AlreadyExists) when
/// other functions are installed.
///
/// # Safety
///
/// `lookup` may be called in signal context with whatever code was registered
/// with, and `on_trap` is what a [`TrapFn`] is to be.
pub unsafe fn install(lookup: TrapLookup, on_trap: TrapFn) -> io::Result<()> {
    let mut installed = installed();
    let new = lookup as *mut ();
    let old = LOOKUP.load(Ordering::Acquire);
    if !old.is_null() && old != new {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another function that looks traps up is installed",
        ));
    }
    set_on_trap(on_trap)?;
    LOOKUP.store(new, Ordering::Release);
    install_handlers(&mut installed)
}

/// Makes the current thread ready to run guests: gives it an alternate stack
/// for signals, unless it has one that is large enough. The stack is given back
/// when the thread ends. Cheap when it was called on the thread before.
///
/// # Errors
///
/// When the system has no memory for the stack.
#[inline]
pub fn ensure_thread_ready() -> io::Result<()> {
    if READY.get() {
        return Ok(());
    }
    make_thread_ready()
}

#[cold]
fn make_thread_ready() -> io::Result<()> {
    // Touched here first, so that it exists before a signal asks for it.
    CURRENT.get();
    if NATIVE_CODE {
        platform::ensure_signal_stack()?;
    }
    READY.set(true);
    Ok(())
}

/// Says that the alternate stack of the thread is gone, because the thread ends.
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "said where there are alternate stacks")
)]
pub(crate) fn thread_is_ending() {
    READY.set(false);
}

/// Names the store context of the guest that this thread is about to run, null
/// for none; returns the one before.
/// [`stubs::call`](crate::stubs::call) does this.
#[inline]
pub fn set_current(store_context: *mut u8) -> *mut u8 {
    CURRENT.replace(store_context)
}

/// The store context of the guest that this thread runs; null for none.
#[inline]
pub fn current() -> *mut u8 {
    CURRENT.get()
}

/// A fault that is a trap of the running guest.
#[cfg_attr(
    not(all(
        any(unix, windows),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "asked where faults arrive")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestFault {
    pub(crate) store_context: *mut u8,
    pub(crate) trap: u8,
}

/// Decides whether a fault at `pc` is a trap. Runs in signal context.
#[cfg_attr(
    not(all(
        any(unix, windows),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "asked where faults arrive")
)]
pub(crate) fn guest_fault(pc: usize) -> Option<GuestFault> {
    // Asked first, because the thread-local below must not be touched on
    // threads that never ran a guest: it may not exist there yet.
    let code = crate::code::find_code(pc)?;
    let store_context = CURRENT.get();
    if store_context.is_null() {
        return None;
    }
    let lookup = LOOKUP.load(Ordering::Acquire);
    if lookup.is_null() {
        return None;
    }
    // SAFETY: only `install` stores here, and what it stores is a `TrapLookup`.
    let lookup = unsafe { std::mem::transmute::<*mut (), TrapLookup>(lookup) };
    let trap = lookup(code.owner, pc - code.base as usize)?;
    Some(GuestFault {
        store_context,
        trap,
    })
}
