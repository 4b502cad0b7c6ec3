//! How does a fault of an access to guest memory become a trap?
//!
//! This file holds unsafe code: the entry to handlers in assembly, and the table
//! of the instructions that may fault.
//!
//! Where a memory is followed by addresses that cannot be accessed, handlers do
//! not compare indices with its length. An instruction that may then fault has
//! its address in a section of the program, beside that of [`landing`], and the
//! arguments of its handler lie where the calling convention puts them. Whoever
//! handles faults asks [`fault_landing`] and lets the thread go on there with all
//! registers as they were. That notes where the guest was, takes back the stack
//! of [`enter`], and returns from it.
//!
//! What lies between on the native stack are frames of handlers (and of the loop
//! that calls them), which own nothing that is to be dropped.

use crate::dispatch::{Ctx, Fp, Ip, Signal, body};
use crate::state::State;

/// Whether accesses to guarded memories rely on faults in this build.
pub const HAS_GUARDS: bool = cfg!(guard_pages);

/// Where a thread is to go on that faulted at `pc`, with all registers as they
/// were; `None` when the fault is not one of a guest. May be called in signal
/// context.
pub fn fault_landing(pc: usize) -> Option<usize> {
    table::find(pc)
}

#[cfg(guard_pages)]
mod table {
    /// An entry: addresses as distances from where they are kept.
    #[repr(C)]
    struct Entry {
        site: i32,
        landing: i32,
    }

    // Of this program or library, not of another that has such a section too.
    core::arch::global_asm!(
        ".hidden __start_tepui_faults",
        ".hidden __stop_tepui_faults"
    );

    unsafe extern "C" {
        /// The section's bounds, defined by the linker.
        static __start_tepui_faults: Entry;
        static __stop_tepui_faults: Entry;
    }

    pub(super) fn find(pc: usize) -> Option<usize> {
        let mut entry = &raw const __start_tepui_faults;
        let end = &raw const __stop_tepui_faults;
        while entry < end {
            // SAFETY: between the bounds lies what accesses put there.
            let (site, landing) =
                unsafe { (&raw const (*entry).site, &raw const (*entry).landing) };
            // SAFETY: as above.
            let target = |at: *const i32| at.addr().wrapping_add_signed(unsafe { *at } as isize);
            if target(site) == pc {
                return Some(target(landing));
            }
            entry = entry.wrapping_add(1);
        }
        None
    }
}

#[cfg(not(guard_pages))]
mod table {
    pub(super) fn find(_: usize) -> Option<usize> {
        None
    }
}

/// Calls [`body`] so that a fault ends it: it answers [`Signal::FAULT`] then.
///
/// # Safety
///
/// As for [`body`].
#[cfg(all(guard_pages, target_arch = "x86_64"))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [r8 + {stack}], rsp",
        "call {body}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        stack = const core::mem::offset_of!(State, native_stack),
        body = sym body,
    )
}

/// Where threads go on that faulted, with the registers of a handler.
#[cfg(all(guard_pages, target_arch = "x86_64"))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn landing() {
    core::arch::naked_asm!(
        "mov [r8 + {ip}], rdi",
        "mov [r8 + {fp}], rsi",
        "mov rsp, [r8 + {stack}]",
        "mov eax, {fault}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        ip = const core::mem::offset_of!(State, ip),
        fp = const core::mem::offset_of!(State, fp),
        stack = const core::mem::offset_of!(State, native_stack),
        fault = const Signal::FAULT.0,
    )
}

/// Calls [`body`] so that a fault ends it: it answers [`Signal::FAULT`] then.
///
/// # Safety
///
/// As for [`body`].
#[cfg(all(guard_pages, target_arch = "aarch64"))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-160]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "str x9, [x4, #{stack}]",
        "bl {body}",
        "b {leave}",
        stack = const core::mem::offset_of!(State, native_stack),
        body = sym body,
        leave = sym leave,
    )
}

/// The end of [`enter`], with its answer in the register for results.
#[cfg(all(guard_pages, target_arch = "aarch64"))]
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    core::arch::naked_asm!(
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
    )
}

/// Where threads go on that faulted, with the registers of a handler.
#[cfg(all(guard_pages, target_arch = "aarch64"))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn landing() {
    core::arch::naked_asm!(
        "str x0, [x4, #{ip}]",
        "str x1, [x4, #{fp}]",
        "ldr x9, [x4, #{stack}]",
        "mov sp, x9",
        "mov w0, #{fault}",
        "b {leave}",
        ip = const core::mem::offset_of!(State, ip),
        fp = const core::mem::offset_of!(State, fp),
        stack = const core::mem::offset_of!(State, native_stack),
        fault = const Signal::FAULT.0,
        leave = sym leave,
    )
}

/// Calls [`body`]; nothing faults in this build.
///
/// # Safety
///
/// As for [`body`].
#[cfg(not(guard_pages))]
pub(crate) unsafe extern "C" fn enter(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    // SAFETY: the caller's.
    unsafe { body(ip, fp, mem, ctx, state, acc, float) }
}
