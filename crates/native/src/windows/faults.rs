//! Exceptions of the processor in generated code become traps.
//!
//! Holds unsafe code: it is called by the system in the middle of anything.
//!
//! The handler is a *vectored* one: the system calls it before it looks for handlers
//! in frames, which frames of generated code could not tell it about. Exceptions
//! arrive on the stack that they happened on. What is not a guest's is passed on:
//! to other vectored handlers, to those of frames, and in the end to the system.
//! So is an overflow of the stack, which no guest causes: its prologues compare
//! with a limit.

use std::io;

use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, EXCEPTION_ILLEGAL_INSTRUCTION, EXCEPTION_INT_DIVIDE_BY_ZERO,
    EXCEPTION_INT_OVERFLOW, STATUS_IN_PAGE_ERROR,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};

use crate::inject;

/// Installs the handler. Called under a lock, until it succeeds once.
pub(crate) fn install_fault_handlers() -> io::Result<()> {
    inject::check()?;
    // SAFETY: the handler keeps to what is allowed in the middle of anything.
    let handler = unsafe { AddVectoredExceptionHandler(1, Some(handle)) };
    if handler.is_null() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    Ok(())
}

/// What an exception of the processor says.
enum Kind {
    /// This address could not be accessed.
    Access(usize),
    /// The instruction itself is at fault.
    Instruction,
}

/// Our handler.
unsafe extern "system" fn handle(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes valid pointers.
    let record = unsafe { &*(*pointers).ExceptionRecord };
    let kind = match record.ExceptionCode {
        EXCEPTION_ACCESS_VIOLATION | STATUS_IN_PAGE_ERROR => {
            Kind::Access(record.ExceptionInformation[1])
        }
        EXCEPTION_ILLEGAL_INSTRUCTION | EXCEPTION_INT_DIVIDE_BY_ZERO | EXCEPTION_INT_OVERFLOW => {
            Kind::Instruction
        }
        _ => return EXCEPTION_CONTINUE_SEARCH,
    };
    // SAFETY: as above.
    unsafe { go_on((*pointers).ContextRecord, kind) }
}

/// Lets the thread go on in the stub for traps, or where the interpreter says, if
/// that is what the exception means. Answers what the system is to do.
///
/// # Safety
///
/// The context is that of an exception that is being handled.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe fn go_on(
    context: *mut windows_sys::Win32::System::Diagnostics::Debug::CONTEXT,
    kind: Kind,
) -> i32 {
    use windows_sys::Win32::System::Diagnostics::Debug::EXCEPTION_CONTINUE_EXECUTION;

    // SAFETY: the caller's; nobody else uses it meanwhile.
    let context = unsafe { &mut *context };
    let pc = registers::pc(context);
    if let Kind::Access(_) = kind
        && let Some(landing) = crate::signals::landing(pc)
    {
        registers::set_pc(context, landing);
        return EXCEPTION_CONTINUE_EXECUTION;
    }
    if let Some(fault) = crate::signals::guest_fault(pc) {
        let address = match kind {
            Kind::Access(address) => address,
            Kind::Instruction => 0,
        };
        registers::redirect(
            context,
            fault.store_context,
            fault.trap,
            address,
            crate::stubs::on_trap(),
        );
        return EXCEPTION_CONTINUE_EXECUTION;
    }
    EXCEPTION_CONTINUE_SEARCH
}

/// There is no generated code that could have caused it.
///
/// # Safety
///
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn go_on<T>(_context: *mut T, kind: Kind) -> i32 {
    let (Kind::Access(_) | Kind::Instruction) = kind;
    EXCEPTION_CONTINUE_SEARCH
}

/// The registers of a thread at an exception.
#[cfg(target_arch = "x86_64")]
mod registers {
    use windows_sys::Win32::System::Diagnostics::Debug::CONTEXT;

    use crate::arch::trap_stub;

    /// The instruction that was to be executed.
    pub(super) fn pc(context: &CONTEXT) -> usize {
        context.Rip as usize
    }

    /// Lets the thread go on elsewhere, with all other registers as they are.
    pub(super) fn set_pc(context: &mut CONTEXT, pc: usize) {
        context.Rip = pc as u64;
    }

    /// Lets the thread go on in the stub for traps. Nothing below the stack pointer
    /// is kept: the system has written there.
    pub(super) fn redirect(
        context: &mut CONTEXT,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        /// The direction flag.
        const DIRECTION: u32 = 1 << 10;
        context.Rdi = store_context as u64;
        context.Rsi = context.Rip;
        context.Rdx = context.Rbp;
        context.Rcx = u64::from(trap);
        context.R8 = address as u64;
        context.Rax = on_trap as u64;
        context.Rsp &= !15;
        context.Rip = trap_stub as *const () as u64;
        context.EFlags &= !DIRECTION;
    }
}

/// The registers of a thread at an exception.
#[cfg(target_arch = "aarch64")]
mod registers {
    use windows_sys::Win32::System::Diagnostics::Debug::CONTEXT;

    use crate::arch::trap_stub;

    /// The instruction that was to be executed.
    pub(super) fn pc(context: &CONTEXT) -> usize {
        context.Pc as usize
    }

    /// Lets the thread go on elsewhere, with all other registers as they are.
    pub(super) fn set_pc(context: &mut CONTEXT, pc: usize) {
        context.Pc = pc as u64;
    }

    /// Lets the thread go on in the stub for traps. Nothing below the stack pointer
    /// is kept: the system has written there.
    pub(super) fn redirect(
        context: &mut CONTEXT,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        // SAFETY: both variants are the same 31 registers.
        let x = unsafe { &mut context.Anonymous.X };
        x[0] = store_context as u64;
        x[1] = context.Pc;
        x[2] = x[29];
        x[3] = u64::from(trap);
        x[4] = address as u64;
        x[5] = on_trap as u64;
        context.Sp &= !15;
        context.Pc = trap_stub as *const () as u64;
        // The branch type must not outlive the instruction it was of.
        context.Cpsr &= !(3 << 10);
    }
}
