//! Stubs and code of aarch64, under the system's C calling convention.
//!
//! Holds unsafe code: assembly. The registers are those of the table in
//! [`stubs`](crate::stubs). x18 is the system's and never touched; each stub
//! that is reached by an indirect call begins with a landing pad.

#[cfg(not(target_vendor = "apple"))]
use std::arch::asm;
use std::arch::naked_asm;

use tepui_abi::Target;
use tepui_abi::builtin::slot_entry_offset;
use tepui_abi::image::{self, LeaveStatus, RegisterImage};
use tepui_abi::layout::{ContextHeader, StoreLayout};
use tepui_abi::slots::STUB_BYTES;

use crate::stubs::{EnterStatus, LeaveFrame, RegisterCounts};
use crate::walk::EntryFrame;

const STORE: StoreLayout = StoreLayout::new(Target::host());
const HEADER: ContextHeader = ContextHeader::new(Target::host());

/// From `entry_sp` to the callee-saved registers: the [`EntryFrame`], rounded.
const SAVED: usize = size_of::<EntryFrame>().next_multiple_of(16);

/// From `entry_sp` to the frame pointer of *enter*: the [`EntryFrame`], x19–x28
/// and d8–d15.
pub(crate) const ENTRY_FRAME_BYTES: usize = SAVED + 10 * 8 + 8 * 8;

/// Bytes of a [`LeaveFrame`] on the stack.
const LEAVE_BYTES: usize = size_of::<LeaveFrame>();

const _: () = {
    assert!(ENTRY_FRAME_BYTES.is_multiple_of(16));
    assert!(LEAVE_BYTES.is_multiple_of(16));
    // Pairs are loaded and stored together.
    assert!(std::mem::offset_of!(EntryFrame, entry_sp) == 0);
    assert!(std::mem::offset_of!(EntryFrame, exit_fp) == 8);
    assert!(std::mem::offset_of!(EntryFrame, store_context) == 16);
    assert!(std::mem::offset_of!(EntryFrame, image) == 24);
    assert!(
        std::mem::offset_of!(LeaveFrame, callee_context)
            == std::mem::offset_of!(LeaveFrame, caller_context) + 8
    );
};

/// The instructions that load (`ldp`) or store (`stp`) the vector registers from
/// or to the image at `$base`: `all` of them, or `no` one.
macro_rules! move_vectors {
    (all $instruction:literal $base:literal) => {
        concat!(
            $instruction,
            " q0, q1, [",
            $base,
            ", #{vectors}]\n",
            $instruction,
            " q2, q3, [",
            $base,
            ", #({vectors} + 2 * {stride})]\n",
            $instruction,
            " q4, q5, [",
            $base,
            ", #({vectors} + 4 * {stride})]\n",
            $instruction,
            " q6, q7, [",
            $base,
            ", #({vectors} + 6 * {stride})]\n",
        )
    };
    (no $instruction:literal $base:literal) => {
        ""
    };
}

/// Defines an *enter* stub by whether it moves vector registers.
macro_rules! define_enter {
    ($(#[$doc:meta])* $name:ident, $vectors:ident vectors) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As [`call`](crate::stubs::call), which is the way to come here.
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(
            code: *const u8,
            callee_context: *mut u8,
            caller_context: *mut u8,
            image: *mut RegisterImage,
            store_context: *mut u8,
        ) -> EnterStatus {
            naked_asm!(
                // An operand that nothing uses would be an error.
                "// {vectors} {stride}",
                "hint #34",
                "stp x29, x30, [sp, #-16]!",
                "mov x29, sp",
                "sub sp, sp, #{bytes}",
                "stp x19, x20, [sp, #{saved}]",
                "stp x21, x22, [sp, #({saved} + 16)]",
                "stp x23, x24, [sp, #({saved} + 32)]",
                "stp x25, x26, [sp, #({saved} + 48)]",
                "stp x27, x28, [sp, #({saved} + 64)]",
                "stp d8, d9, [sp, #({saved} + 80)]",
                "stp d10, d11, [sp, #({saved} + 96)]",
                "stp d12, d13, [sp, #({saved} + 112)]",
                "stp d14, d15, [sp, #({saved} + 128)]",
                "ldr x9, [x4, #{entry_sp}]",
                "ldr x10, [x4, #{exit_fp}]",
                "stp x9, x10, [sp]",
                "stp x4, x3, [sp, #16]",
                "mov x9, sp",
                "str x9, [x4, #{entry_sp}]",
                "mov x16, x0",
                "mov x9, x3",
                "mov x3, x2",
                "mov x2, x1",
                move_vectors!($vectors "ldp" "x9"),
                "ldp x4, x5, [x9, #{i0}]",
                "ldp x6, x7, [x9, #{i2}]",
                "blr x16",
                "ldr x9, [sp, #{frame_image}]",
                "stp x2, x3, [x9, #{i0}]",
                "stp x4, x5, [x9, #{i2}]",
                "stp x6, x7, [x9, #{i4}]",
                move_vectors!($vectors "stp" "x9"),
                "mov w0, #0",
                "b {finish}",
                bytes = const ENTRY_FRAME_BYTES,
                saved = const SAVED,
                entry_sp = const STORE.entry_sp(),
                exit_fp = const STORE.exit_fp(),
                frame_image = const std::mem::offset_of!(EntryFrame, image),
                i0 = const image::integer(0),
                i2 = const image::integer(2),
                i4 = const image::integer(4),
                vectors = const image::vector(0),
                stride = const image::vector(1) - image::vector(0),
                finish = sym finish_enter,
            )
        }
    };
}

define_enter! {
    /// Calls guest code with parameters from an image, and stores the results
    /// there.
    enter, all vectors
}

define_enter! {
    /// As [`enter`], for signatures without floats and vectors: those registers
    /// are neither loaded nor stored.
    enter_integers, no vectors
}

/// The end of *enter*: restores what its frame keeps and returns w0. Jumped to
/// with the stack pointer at the [`EntryFrame`].
#[unsafe(naked)]
unsafe extern "C" fn finish_enter() {
    naked_asm!(
        "ldp x9, x10, [sp]",
        "ldr x12, [sp, #16]",
        "str x9, [x12, #{entry_sp}]",
        "str x10, [x12, #{exit_fp}]",
        "ldp x19, x20, [sp, #{saved}]",
        "ldp x21, x22, [sp, #({saved} + 16)]",
        "ldp x23, x24, [sp, #({saved} + 32)]",
        "ldp x25, x26, [sp, #({saved} + 48)]",
        "ldp x27, x28, [sp, #({saved} + 64)]",
        "ldp d8, d9, [sp, #({saved} + 80)]",
        "ldp d10, d11, [sp, #({saved} + 96)]",
        "ldp d12, d13, [sp, #({saved} + 112)]",
        "ldp d14, d15, [sp, #({saved} + 128)]",
        "add sp, sp, #{bytes}",
        "ldp x29, x30, [sp], #16",
        "ret",
        bytes = const ENTRY_FRAME_BYTES,
        saved = const SAVED,
        entry_sp = const STORE.entry_sp(),
        exit_fp = const STORE.exit_fp(),
    )
}

/// Leaves all frames down to the innermost *enter* of the store context, which
/// returns [`EnterStatus::Unwound`].
///
/// # Safety
///
/// The store context is valid and a guest of it is running; nothing but frames
/// of generated code and of stubs lies between here and its *enter*.
#[unsafe(naked)]
pub unsafe extern "C" fn unwind(store_context: *mut u8) -> ! {
    naked_asm!(
        "hint #34",
        "ldr x9, [x0, #{entry_sp}]",
        "mov sp, x9",
        "mov w0, #{unwound}",
        "b {finish}",
        entry_sp = const STORE.entry_sp(),
        unwound = const EnterStatus::Unwound as u32,
        finish = sym finish_enter,
    )
}

/// The instructions of a *leave* stub that call its Rust function, with the
/// fourth argument: none for the entry of a `host` function, and the address of
/// the slot for that of a `slot`.
macro_rules! call_of {
    (host) => {
        "mov x3, #0\nldr x9, [x0, #{host_entry}]\nblr x9"
    };
    (slot) => {
        "mov x3, x16\nldr x9, [x0, #{builtins}]\nldr x9, [x9, #{slot_entry}]\nblr x9"
    };
}

/// Defines a *leave* stub by whom it calls and whether it moves vector registers.
macro_rules! define_leave {
    ($(#[$doc:meta])* $name:ident of a $target:ident, $vectors:ident vectors) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Called by generated code only, under its convention.
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            naked_asm!(
                // An operand that nothing uses would be an error.
                "// {host_entry} {builtins} {slot_entry}",
                "hint #34",
                "stp x29, x30, [sp, #-16]!",
                "mov x29, sp",
                "sub sp, sp, #{bytes}",
                "stp x4, x5, [sp, #{i0}]",
                "stp x6, x7, [sp, #{i2}]",
                // Caller, callee.
                "stp x3, x2, [sp, #{caller}]",
                move_vectors!($vectors "stp" "sp"),
                "ldr x9, [x2, #{store}]",
                "str x29, [x9, #{exit_fp}]",
                "mov x0, x2",
                "mov x1, x3",
                "mov x2, sp",
                call_of!($target),
                "cbnz w0, 2f",
                // Return.
                move_vectors!($vectors "ldp" "sp"),
                "ldp x2, x3, [sp, #{i0}]",
                "ldp x4, x5, [sp, #{i2}]",
                "ldp x6, x7, [sp, #{i4}]",
                "mov sp, x29",
                "ldp x29, x30, [sp], #16",
                "ret",
                "2:",
                "ldr x9, [sp, #{callee}]",
                "ldr x9, [x9, #{store}]",
                "cmp w0, #{tail_call}",
                "b.eq 3f",
                // Unwind; so does any status that there is not.
                "mov x0, x9",
                "b {unwind}",
                "3:",
                // Tail call.
                "ldr x16, [x9, #{tail_code}]",
                "ldr x2, [x9, #{tail_context}]",
                "ldr x3, [sp, #{caller}]",
                "ldp x4, x5, [sp, #{i0}]",
                "ldp x6, x7, [sp, #{i2}]",
                move_vectors!(all "ldp" "sp"),
                "mov sp, x29",
                "ldp x29, x30, [sp], #16",
                "br x16",
                bytes = const LEAVE_BYTES,
                caller = const std::mem::offset_of!(LeaveFrame, caller_context),
                callee = const std::mem::offset_of!(LeaveFrame, callee_context),
                store = const HEADER.store_context(),
                exit_fp = const STORE.exit_fp(),
                tail_code = const STORE.tail_code(),
                tail_context = const STORE.tail_context(),
                tail_call = const LeaveStatus::TailCall as u32,
                unwind = sym unwind,
                vectors = const image::vector(0),
                stride = const image::vector(1) - image::vector(0),
                i0 = const image::integer(0),
                i2 = const image::integer(2),
                i4 = const image::integer(4),
                host_entry = const HEADER.host_entry(),
                builtins = const HEADER.builtins(),
                slot_entry = const slot_entry_offset(),
            )
        }
    };
}

define_leave! {
    /// The entry of host functions.
    leave of a host, all vectors
}

define_leave! {
    /// The entry of host functions without floats and vectors among parameters
    /// and results.
    leave_integers of a host, no vectors
}

define_leave! {
    /// What a slot holds before its function has code: calls the first word of
    /// the builtin table with the address of the slot.
    leave_slot of a slot, all vectors
}

define_leave! {
    /// As [`leave_slot`], for functions without floats and vectors among
    /// parameters and results.
    leave_slot_integers of a slot, no vectors
}

/// The *leave* stub for a host function whose parameters and results take so
/// many registers.
pub(crate) fn leave_for(
    parameters: RegisterCounts,
    results: RegisterCounts,
) -> crate::stubs::StubFn {
    if parameters.vectors == 0 && results.vectors == 0 {
        leave_integers
    } else {
        leave
    }
}

/// The entry of host functions whose parameters and result fit into registers
/// under the host's C convention too: calls the function that the host context
/// names, with the integers moved to where that convention has them. That
/// function says by the store context's `pending` that the guest is to be
/// unwound.
///
/// # Safety
///
/// Called by generated code only, under its convention.
#[unsafe(naked)]
pub unsafe extern "C" fn leave_direct() {
    naked_asm!(
        "hint #34",
        "stp x29, x30, [sp, #-32]!",
        "mov x29, sp",
        "ldr x9, [x2, #{store}]",
        "str x9, [sp, #16]",
        "str x29, [x9, #{exit_fp}]",
        "mov x0, x2",
        "mov x1, x3",
        "mov x2, x4",
        "mov x3, x5",
        "mov x4, x6",
        "mov x5, x7",
        "ldr x9, [x0, #{entry}]",
        "blr x9",
        "ldr x9, [sp, #16]",
        "ldr w10, [x9, #{pending}]",
        "cbnz w10, 2f",
        "mov x2, x0",
        "ldp x29, x30, [sp], #32",
        "ret",
        "2:",
        "mov x0, x9",
        "b {unwind}",
        store = const HEADER.store_context(),
        entry = const HEADER.host_entry(),
        exit_fp = const STORE.exit_fp(),
        pending = const STORE.pending(),
        unwind = sym unwind,
    )
}

/// Where the signal handler sends a guest that faulted. Runs on the guest's
/// stack below the frame that faulted, with the arguments of a
/// [`TrapFn`](crate::stubs::TrapFn) in their registers, that function in x5,
/// the stack pointer aligned, and x29 as the guest left it.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn trap_stub() {
    naked_asm!(
        // A frame, as if the guest had called from where it faulted.
        "stp x29, x1, [sp, #-16]!",
        "mov x29, sp",
        "mov x19, x0",
        "blr x5",
        "mov x0, x19",
        "b {unwind}",
        unwind = sym unwind,
    )
}

/// Defines functions that generated code calls as builtins.
///
/// Each stub has the C signature of its implementation: the context first, then
/// up to five integers or pointers. It notes in the store context where the
/// guest left off, calls the implementation, and returns its result, or unwinds
/// when the implementation has set `pending`.
///
/// ```
/// extern "C" fn add(context: *mut u8, a: u64, b: u32) -> u64 {
///     a + u64::from(b)
/// }
/// tepui_native::builtin_stub! {
///     /// Adds.
///     pub fn add_stub(context: *mut u8, a: u64, b: u32) -> u64 = add;
/// }
/// ```
#[macro_export]
macro_rules! builtin_stub {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident(
        $($argument:ident: $type:ty),* $(,)?
    ) $(-> $result:ty)? = $implementation:path;)*) => {
        $(
            $(#[$attribute])*
            ///
            /// # Safety
            ///
            /// Called by generated code only, with its context.
            #[unsafe(naked)]
            $visibility unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                const _: unsafe extern "C" fn($($type),*) $(-> $result)? = $implementation;
                const _: () = assert!(
                    [$(stringify!($argument)),*].len() <= 6,
                    "builtins take six arguments at most"
                );
                const STORE: $crate::macro_support::StoreLayout =
                    $crate::macro_support::StoreLayout::new($crate::macro_support::Target::host());
                $crate::macro_support::naked_asm!(
                    "hint #34",
                    "stp x29, x30, [sp, #-32]!",
                    "mov x29, sp",
                    "ldr x9, [x0, #{store}]",
                    "str x9, [sp, #16]",
                    "str x29, [x9, #{exit_fp}]",
                    "bl {implementation}",
                    "ldr x9, [sp, #16]",
                    "ldr w10, [x9, #{pending}]",
                    "cbnz w10, 2f",
                    "ldp x29, x30, [sp], #32",
                    "ret",
                    "2:",
                    "mov x0, x9",
                    "b {unwind}",
                    store = const $crate::macro_support::ContextHeader::new(
                        $crate::macro_support::Target::host()
                    ).store_context(),
                                exit_fp = const STORE.exit_fp(),
                    pending = const STORE.pending(),
                    implementation = sym $implementation,
                    unwind = sym $crate::macro_support::unwind,
                )
            }
        )*
    };
}

/// The stub of a slot that lies `distance` bytes after it:
/// `bti c; adr x16, …; ldr x17, [x16]; br x17`.
pub(crate) fn slot_stub(distance: i32) -> [u8; STUB_BYTES as usize] {
    /// Bytes before the `adr`, from whose start the distance counts.
    const PAD: i32 = 4;
    let immediate = (distance - PAD) as u32;
    let adr = 0x1000_0010 | (immediate & 3) << 29 | (immediate >> 2 & 0x7_ffff) << 5;
    let mut stub = [0; STUB_BYTES as usize];
    for (bytes, word) in
        stub.chunks_exact_mut(4)
            .zip([0xd503_245f_u32, adr, 0xf940_0211, 0xd61f_0220])
    {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    stub
}

/// Makes the data that was written to the range what is fetched as instructions.
///
/// # Safety
///
/// The range is readable.
#[cfg(not(any(target_vendor = "apple", windows)))]
pub(crate) unsafe fn synchronize_caches(start: *const u8, len: usize) {
    let types: usize;
    // SAFETY: reads a constant register that the system lets be read.
    unsafe {
        asm!("mrs {}, ctr_el0", out(reg) types, options(nomem, nostack, preserves_flags));
    }
    let start = start as usize;
    let end = start + len;
    // CTR_EL0.IDC and .DIC: no cleaning, no invalidation is needed.
    let clean = types >> 28 & 1 == 0;
    let invalidate = types >> 29 & 1 == 0;
    // CTR_EL0.DminLine and .IminLine: log2 of the words in the smallest line.
    let data_line = 4usize << (types >> 16 & 15);
    let instruction_line = 4usize << (types & 15);
    // SAFETY: maintenance of lines in a readable range changes no content.
    unsafe {
        if clean {
            let mut line = start & !(data_line - 1);
            while line < end {
                asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags));
                line += data_line;
            }
        }
        asm!("dsb ish", options(nostack, preserves_flags));
        if invalidate {
            let mut line = start & !(instruction_line - 1);
            while line < end {
                asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags));
                line += instruction_line;
            }
            asm!("dsb ish", options(nostack, preserves_flags));
        }
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Makes the data that was written to the range what is fetched as instructions.
///
/// # Safety
///
/// The range is readable.
#[cfg(target_vendor = "apple")]
pub(crate) unsafe fn synchronize_caches(start: *const u8, len: usize) {
    unsafe extern "C" {
        fn sys_icache_invalidate(start: *const u8, len: usize);
    }
    // SAFETY: the caller's.
    unsafe { sys_icache_invalidate(start, len) }
}

#[cfg(windows)]
pub(crate) use crate::platform::flush_instruction_cache as synchronize_caches;

// Pairs of registers move at once here, so that stubs for few results would save
// next to nothing: the general ones serve.
pub use {
    enter as enter_few, enter as enter_few_results, enter as enter_vector_parameters,
    enter_integers as enter_few_integers,
};
