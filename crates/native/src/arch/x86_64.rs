//! Stubs and code of x86-64, under the System V calling convention.
//!
//! Holds unsafe code: assembly. The registers are those of the table in
//! [`stubs`](crate::stubs).
//!
//! The direction flag is clear and the MXCSR register is the host's throughout:
//! generated code changes neither.

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

/// From `entry_sp` to the frame pointer of *enter*: the [`EntryFrame`], a word
/// that aligns, and five callee-saved registers; a multiple of 16.
pub(crate) const ENTRY_FRAME_BYTES: usize = size_of::<EntryFrame>() + 8 + 5 * 8;

/// Bytes of a [`LeaveFrame`] on the stack.
const LEAVE_BYTES: usize = size_of::<LeaveFrame>();

const _: () = {
    assert!(ENTRY_FRAME_BYTES.is_multiple_of(16));
    assert!(LEAVE_BYTES.is_multiple_of(16));
    // The pushes of `enter` spell this order out.
    assert!(std::mem::offset_of!(EntryFrame, entry_sp) == 0);
    assert!(std::mem::offset_of!(EntryFrame, exit_fp) == 8);
    assert!(std::mem::offset_of!(EntryFrame, store_context) == 16);
    assert!(std::mem::offset_of!(EntryFrame, image) == 24);
    assert!(size_of::<EntryFrame>() == 32);
};

/// Defines an *enter* stub: `load` and `store` are the instructions that load
/// vector parameters and store results beyond the first three integers.
macro_rules! define_enter {
    (
        $(#[$doc:meta])*
        $name:ident, load [$($load:literal)*], store [$($store:literal)*], operands {$($operands:tt)*}
    ) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As [`call`](crate::stubs::call), which is the way to come here.
        #[unsafe(naked)]
        pub unsafe extern "sysv64" fn $name(
            code: *const u8,
            callee_context: *mut u8,
            caller_context: *mut u8,
            image: *mut RegisterImage,
            store_context: *mut u8,
        ) -> EnterStatus {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "push rbx",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                // Aligns. Then an `EntryFrame`, last field first.
                "sub rsp, 8",
                "push rcx",
                "push r8",
                "push qword ptr [r8 + {exit_fp}]",
                "push qword ptr [r8 + {entry_sp}]",
                "mov [r8 + {entry_sp}], rsp",
                "mov rax, rdi",
                "mov r11, rcx",
                "mov rdi, rsi",
                "mov rsi, rdx",
                $($load,)*
                "mov rdx, [r11 + {i0}]",
                "mov rcx, [r11 + {i1}]",
                "mov r8, [r11 + {i2}]",
                "mov r9, [r11 + {i3}]",
                "call rax",
                "mov r11, [rsp + {frame_image}]",
                "mov [r11 + {i0}], rax",
                "mov [r11 + {i1}], rcx",
                "mov [r11 + {i2}], rdx",
                $($store,)*
                "xor eax, eax",
                "jmp {finish}",
                entry_sp = const STORE.entry_sp(),
                exit_fp = const STORE.exit_fp(),
                frame_image = const std::mem::offset_of!(EntryFrame, image),
                i0 = const image::integer(0),
                i1 = const image::integer(1),
                i2 = const image::integer(2),
                i3 = const image::integer(3),
                finish = sym finish_enter,
                $($operands)*
            )
        }
    };
}

define_enter! {
    /// Calls guest code with parameters from an image, and stores the results
    /// there.
    enter,
    load [
        "movups xmm0, [r11 + {vectors}]"
        "movups xmm1, [r11 + {vectors} + {stride}]"
        "movups xmm2, [r11 + {vectors} + 2 * {stride}]"
        "movups xmm3, [r11 + {vectors} + 3 * {stride}]"
        "movups xmm4, [r11 + {vectors} + 4 * {stride}]"
        "movups xmm5, [r11 + {vectors} + 5 * {stride}]"
        "movups xmm6, [r11 + {vectors} + 6 * {stride}]"
        "movups xmm7, [r11 + {vectors} + 7 * {stride}]"
    ],
    store [
        "mov [r11 + {i3}], rsi"
        "mov [r11 + {i4}], rdi"
        "mov [r11 + {i5}], r8"
        "mov [r11 + {i6}], r9"
        "mov [r11 + {i7}], r10"
        "movups [r11 + {vectors}], xmm0"
        "movups [r11 + {vectors} + {stride}], xmm1"
        "movups [r11 + {vectors} + 2 * {stride}], xmm2"
        "movups [r11 + {vectors} + 3 * {stride}], xmm3"
        "movups [r11 + {vectors} + 4 * {stride}], xmm4"
        "movups [r11 + {vectors} + 5 * {stride}], xmm5"
        "movups [r11 + {vectors} + 6 * {stride}], xmm6"
        "movups [r11 + {vectors} + 7 * {stride}], xmm7"
    ],
    operands {
        i4 = const image::integer(4),
        i5 = const image::integer(5),
        i6 = const image::integer(6),
        i7 = const image::integer(7),
        vectors = const image::vector(0),
        stride = const image::vector(1) - image::vector(0),
    }
}

define_enter! {
    /// As [`enter`], for signatures with at most three results of each class.
    enter_few,
    load [
        "movups xmm0, [r11 + {vectors}]"
        "movups xmm1, [r11 + {vectors} + {stride}]"
        "movups xmm2, [r11 + {vectors} + 2 * {stride}]"
        "movups xmm3, [r11 + {vectors} + 3 * {stride}]"
        "movups xmm4, [r11 + {vectors} + 4 * {stride}]"
        "movups xmm5, [r11 + {vectors} + 5 * {stride}]"
        "movups xmm6, [r11 + {vectors} + 6 * {stride}]"
        "movups xmm7, [r11 + {vectors} + 7 * {stride}]"
    ],
    store [
        "movups [r11 + {vectors}], xmm0"
        "movups [r11 + {vectors} + {stride}], xmm1"
        "movups [r11 + {vectors} + 2 * {stride}], xmm2"
    ],
    operands {
        vectors = const image::vector(0),
        stride = const image::vector(1) - image::vector(0),
    }
}

define_enter! {
    /// As [`enter_few`], for signatures without vector results.
    enter_vector_parameters,
    load [
        "movups xmm0, [r11 + {vectors}]"
        "movups xmm1, [r11 + {vectors} + {stride}]"
        "movups xmm2, [r11 + {vectors} + 2 * {stride}]"
        "movups xmm3, [r11 + {vectors} + 3 * {stride}]"
        "movups xmm4, [r11 + {vectors} + 4 * {stride}]"
        "movups xmm5, [r11 + {vectors} + 5 * {stride}]"
        "movups xmm6, [r11 + {vectors} + 6 * {stride}]"
        "movups xmm7, [r11 + {vectors} + 7 * {stride}]"
    ],
    store [],
    operands {
        vectors = const image::vector(0),
        stride = const image::vector(1) - image::vector(0),
    }
}

define_enter! {
    /// As [`enter_few`], for signatures without vector parameters.
    enter_few_results,
    load [],
    store [
        "movups [r11 + {vectors}], xmm0"
        "movups [r11 + {vectors} + {stride}], xmm1"
        "movups [r11 + {vectors} + 2 * {stride}], xmm2"
    ],
    operands {
        vectors = const image::vector(0),
        stride = const image::vector(1) - image::vector(0),
    }
}

define_enter! {
    /// As [`enter`], for signatures without floats and vectors: those registers
    /// are neither loaded nor stored.
    enter_integers,
    load [],
    store [
        "mov [r11 + {i3}], rsi"
        "mov [r11 + {i4}], rdi"
        "mov [r11 + {i5}], r8"
        "mov [r11 + {i6}], r9"
        "mov [r11 + {i7}], r10"
    ],
    operands {
        i4 = const image::integer(4),
        i5 = const image::integer(5),
        i6 = const image::integer(6),
        i7 = const image::integer(7),
    }
}

define_enter! {
    /// As [`enter_integers`], for signatures with at most three results.
    enter_few_integers, load [], store [], operands {}
}

/// The end of *enter*: restores what its frame keeps and returns eax. Jumped to
/// with the stack pointer at the [`EntryFrame`].
#[unsafe(naked)]
unsafe extern "sysv64" fn finish_enter() {
    naked_asm!(
        "mov r11, [rsp + {frame_store}]",
        "pop qword ptr [r11 + {entry_sp}]",
        "pop qword ptr [r11 + {exit_fp}]",
        // The store context, the image, and what aligns.
        "add rsp, 24",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        frame_store = const std::mem::offset_of!(EntryFrame, store_context),
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
pub unsafe extern "sysv64" fn unwind(store_context: *mut u8) -> ! {
    naked_asm!(
        "mov rsp, [rdi + {entry_sp}]",
        "mov eax, {unwound}",
        "jmp {finish}",
        entry_sp = const STORE.entry_sp(),
        unwound = const EnterStatus::Unwound as u32,
        finish = sym finish_enter,
    )
}

/// Defines a *leave* stub. `target` calls the Rust function, with the fourth
/// argument still to be set.
macro_rules! define_leave {
    (
        $(#[$doc:meta])*
        $visibility:vis $name:ident,
        save [$($save:literal)*], load [$($load:literal)*],
        target [$($target:literal)*],
        operands {$($operands:tt)*}
    ) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Called by generated code only, under its convention.
        #[unsafe(naked)]
        $visibility unsafe extern "sysv64" fn $name() {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "sub rsp, {bytes}",
                "mov [rsp + {caller}], rsi",
                "mov [rsp + {callee}], rdi",
                $($save,)*
                "mov rax, [rdi + {store}]",
                "mov [rax + {exit_fp}], rbp",
                "mov rdx, rsp",
                $($target,)*
                "test eax, eax",
                "jnz 2f",
                // Return.
                $($load,)*
                "mov rax, [rsp + {i0}]",
                "mov rcx, [rsp + {i1}]",
                "mov rdx, [rsp + {i2}]",
                "mov rsp, rbp",
                "pop rbp",
                "ret",
                "2:",
                "mov r11, [rsp + {callee}]",
                "mov r11, [r11 + {store}]",
                "cmp eax, {tail_call}",
                "je 3f",
                // Unwind; so does any status that there is not.
                "mov rdi, r11",
                "jmp {unwind}",
                "3:",
                // Tail call.
                "mov rax, [r11 + {tail_code}]",
                "mov rdi, [r11 + {tail_context}]",
                "mov rsi, [rsp + {caller}]",
                "mov rdx, [rsp + {i0}]",
                "mov rcx, [rsp + {i1}]",
                "mov r8, [rsp + {i2}]",
                "mov r9, [rsp + {i3}]",
                "movups xmm0, [rsp + {vectors}]",
                "movups xmm1, [rsp + {vectors} + {stride}]",
                "movups xmm2, [rsp + {vectors} + 2 * {stride}]",
                "movups xmm3, [rsp + {vectors} + 3 * {stride}]",
                "movups xmm4, [rsp + {vectors} + 4 * {stride}]",
                "movups xmm5, [rsp + {vectors} + 5 * {stride}]",
                "movups xmm6, [rsp + {vectors} + 6 * {stride}]",
                "movups xmm7, [rsp + {vectors} + 7 * {stride}]",
                "mov rsp, rbp",
                "pop rbp",
                "jmp rax",
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
                i1 = const image::integer(1),
                i2 = const image::integer(2),
                i3 = const image::integer(3),
                $($operands)*
            )
        }
    };
}

macro_rules! define_leave_with_vectors {
    ($(#[$doc:meta])* $visibility:vis $name:ident, target $target:tt, operands { $($operands:tt)* }) => {
        define_leave! {
            $(#[$doc])*
            $visibility $name,
            save [
                "mov [rsp + {i0}], rdx"
                "mov [rsp + {i1}], rcx"
                "mov [rsp + {i2}], r8"
                "mov [rsp + {i3}], r9"
                "movups [rsp + {vectors}], xmm0"
                "movups [rsp + {vectors} + {stride}], xmm1"
                "movups [rsp + {vectors} + 2 * {stride}], xmm2"
                "movups [rsp + {vectors} + 3 * {stride}], xmm3"
                "movups [rsp + {vectors} + 4 * {stride}], xmm4"
                "movups [rsp + {vectors} + 5 * {stride}], xmm5"
                "movups [rsp + {vectors} + 6 * {stride}], xmm6"
                "movups [rsp + {vectors} + 7 * {stride}], xmm7"
            ],
            load [
                "mov rsi, [rsp + {i3}]"
                "mov rdi, [rsp + {i4}]"
                "mov r8, [rsp + {i5}]"
                "mov r9, [rsp + {i6}]"
                "mov r10, [rsp + {i7}]"
                "movups xmm0, [rsp + {vectors}]"
                "movups xmm1, [rsp + {vectors} + {stride}]"
                "movups xmm2, [rsp + {vectors} + 2 * {stride}]"
                "movups xmm3, [rsp + {vectors} + 3 * {stride}]"
                "movups xmm4, [rsp + {vectors} + 4 * {stride}]"
                "movups xmm5, [rsp + {vectors} + 5 * {stride}]"
                "movups xmm6, [rsp + {vectors} + 6 * {stride}]"
                "movups xmm7, [rsp + {vectors} + 7 * {stride}]"
            ],
            target $target,
            operands {
                i4 = const image::integer(4),
                i5 = const image::integer(5),
                i6 = const image::integer(6),
                i7 = const image::integer(7),
                $($operands)*
            }
        }
    };
}

define_leave_with_vectors! {
    /// The entry of host functions.
    pub leave,
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

define_leave! {
    /// The entry of host functions without floats and vectors among parameters
    /// and results.
    pub leave_integers,
    save [
        "mov [rsp + {i0}], rdx"
        "mov [rsp + {i1}], rcx"
        "mov [rsp + {i2}], r8"
        "mov [rsp + {i3}], r9"
    ],
    load [
        "mov rsi, [rsp + {i3}]"
        "mov rdi, [rsp + {i4}]"
        "mov r8, [rsp + {i5}]"
        "mov r9, [rsp + {i6}]"
        "mov r10, [rsp + {i7}]"
    ],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands {
        i4 = const image::integer(4),
        i5 = const image::integer(5),
        i6 = const image::integer(6),
        i7 = const image::integer(7),
        entry = const HEADER.host_entry(),
    }
}

define_leave! {
    /// As [`leave`], for signatures with at most three vector parameters and at
    /// most three results of each class.
    leave_few,
    save [
        "mov [rsp + {i0}], rdx"
        "mov [rsp + {i1}], rcx"
        "mov [rsp + {i2}], r8"
        "mov [rsp + {i3}], r9"
        "movups [rsp + {vectors}], xmm0"
        "movups [rsp + {vectors} + {stride}], xmm1"
        "movups [rsp + {vectors} + 2 * {stride}], xmm2"
    ],
    load [
        "movups xmm0, [rsp + {vectors}]"
        "movups xmm1, [rsp + {vectors} + {stride}]"
        "movups xmm2, [rsp + {vectors} + 2 * {stride}]"
    ],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

define_leave! {
    /// As [`leave_integers`], for signatures with at most three results.
    leave_few_integers,
    save [
        "mov [rsp + {i0}], rdx"
        "mov [rsp + {i1}], rcx"
        "mov [rsp + {i2}], r8"
        "mov [rsp + {i3}], r9"
    ],
    load [],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

define_leave! {
    /// As [`leave`], for signatures with at most three results, integers all of
    /// them.
    leave_vector_parameters,
    save [
        "mov [rsp + {i0}], rdx"
        "mov [rsp + {i1}], rcx"
        "mov [rsp + {i2}], r8"
        "mov [rsp + {i3}], r9"
        "movups [rsp + {vectors}], xmm0"
        "movups [rsp + {vectors} + {stride}], xmm1"
        "movups [rsp + {vectors} + 2 * {stride}], xmm2"
        "movups [rsp + {vectors} + 3 * {stride}], xmm3"
        "movups [rsp + {vectors} + 4 * {stride}], xmm4"
        "movups [rsp + {vectors} + 5 * {stride}], xmm5"
        "movups [rsp + {vectors} + 6 * {stride}], xmm6"
        "movups [rsp + {vectors} + 7 * {stride}], xmm7"
    ],
    load [],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

define_leave! {
    /// As [`leave`], for signatures without parameters.
    leave_results,
    save [],
    load [
        "mov rsi, [rsp + {i3}]"
        "mov rdi, [rsp + {i4}]"
        "mov r8, [rsp + {i5}]"
        "mov r9, [rsp + {i6}]"
        "mov r10, [rsp + {i7}]"
        "movups xmm0, [rsp + {vectors}]"
        "movups xmm1, [rsp + {vectors} + {stride}]"
        "movups xmm2, [rsp + {vectors} + 2 * {stride}]"
        "movups xmm3, [rsp + {vectors} + 3 * {stride}]"
        "movups xmm4, [rsp + {vectors} + 4 * {stride}]"
        "movups xmm5, [rsp + {vectors} + 5 * {stride}]"
        "movups xmm6, [rsp + {vectors} + 6 * {stride}]"
        "movups xmm7, [rsp + {vectors} + 7 * {stride}]"
    ],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands {
        i4 = const image::integer(4),
        i5 = const image::integer(5),
        i6 = const image::integer(6),
        i7 = const image::integer(7),
        entry = const HEADER.host_entry(),
    }
}

define_leave! {
    /// As [`leave_results`], for at most three results of each class.
    leave_few_results,
    save [],
    load [
        "movups xmm0, [rsp + {vectors}]"
        "movups xmm1, [rsp + {vectors} + {stride}]"
        "movups xmm2, [rsp + {vectors} + 2 * {stride}]"
    ],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

define_leave! {
    /// As [`leave_few_results`], for integers alone.
    leave_few_integer_results,
    save [],
    load [],
    target [
        "xor ecx, ecx"
        "call [rdi + {entry}]"
    ],
    operands { entry = const HEADER.host_entry(), }
}

/// The *leave* stub for a host function whose parameters and results take so
/// many registers: one that moves those, and few others.
pub(crate) fn leave_for(
    parameters: RegisterCounts,
    results: RegisterCounts,
) -> crate::stubs::StubFn {
    /// How many registers of a class the stubs for few move.
    const FEW: usize = 3;
    let few_results = results.integers.max(results.vectors) <= FEW;
    match (parameters, results) {
        (
            RegisterCounts {
                integers: 0,
                vectors: 0,
            },
            RegisterCounts { vectors: 0, .. },
        ) if few_results => leave_few_integer_results,
        (
            RegisterCounts {
                integers: 0,
                vectors: 0,
            },
            _,
        ) if few_results => leave_few_results,
        (
            RegisterCounts {
                integers: 0,
                vectors: 0,
            },
            RegisterCounts { vectors: 1.., .. },
        ) => leave_results,
        (RegisterCounts { vectors: 0, .. }, RegisterCounts { vectors: 0, .. }) if few_results => {
            leave_few_integers
        }
        (RegisterCounts { vectors: 0, .. }, RegisterCounts { vectors: 0, .. }) => leave_integers,
        (
            RegisterCounts {
                vectors: 0..=FEW, ..
            },
            _,
        ) if few_results => leave_few,
        (_, RegisterCounts { vectors: 0, .. }) if few_results => leave_vector_parameters,
        _ => leave,
    }
}

/// The entry of host functions whose parameters and result travel in the same
/// registers under the host's C convention: calls the function that the host
/// context names with the registers as they are. That function says by the
/// store context's `pending` that the guest is to be unwound.
///
/// # Safety
///
/// Called by generated code only, under its convention.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn leave_direct() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 16",
        "mov rax, [rdi + {store}]",
        "mov [rsp], rax",
        "mov [rax + {exit_fp}], rbp",
        "call [rdi + {entry}]",
        "mov r11, [rsp]",
        "cmp dword ptr [r11 + {pending}], 0",
        "jne 2f",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        "mov rdi, r11",
        "jmp {unwind}",
        store = const HEADER.store_context(),
        entry = const HEADER.host_entry(),
        exit_fp = const STORE.exit_fp(),
        pending = const STORE.pending(),
        unwind = sym unwind,
    )
}

define_leave_with_vectors! {
    /// What a slot holds before its function has code: calls the first word of
    /// the builtin table with the address of the slot.
    pub leave_slot,
    target [
        "mov rcx, r10"
        "mov rax, [rdi + {builtins}]"
        "call [rax + {entry}]"
    ],
    operands {
        builtins = const HEADER.builtins(),
        entry = const slot_entry_offset(),
    }
}

define_leave! {
    /// As [`leave_slot`], for functions without floats and vectors among
    /// parameters and results.
    pub leave_slot_integers,
    save [
        "mov [rsp + {i0}], rdx"
        "mov [rsp + {i1}], rcx"
        "mov [rsp + {i2}], r8"
        "mov [rsp + {i3}], r9"
    ],
    load [
        "mov rsi, [rsp + {i3}]"
        "mov rdi, [rsp + {i4}]"
        "mov r8, [rsp + {i5}]"
        "mov r9, [rsp + {i6}]"
        "mov r10, [rsp + {i7}]"
    ],
    target [
        "mov rcx, r10"
        "mov rax, [rdi + {builtins}]"
        "call [rax + {entry}]"
    ],
    operands {
        i4 = const image::integer(4),
        i5 = const image::integer(5),
        i6 = const image::integer(6),
        i7 = const image::integer(7),
        builtins = const HEADER.builtins(),
        entry = const slot_entry_offset(),
    }
}

/// Where the signal handler sends a guest that faulted. Runs on the guest's
/// stack below the frame that faulted, with the arguments of a
/// [`TrapFn`](crate::stubs::TrapFn) in their registers, that function in rax,
/// the stack pointer aligned to 16 bytes, and rbp as the guest left it.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn trap_stub() {
    naked_asm!(
        // A frame, as if the guest had called from where it faulted.
        "push rsi",
        "push rbp",
        "mov rbp, rsp",
        "mov rbx, rdi",
        "cld",
        "call rax",
        "mov rdi, rbx",
        "jmp {unwind}",
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
/// extern "sysv64" fn add(context: *mut u8, a: u64, b: u32) -> u64 {
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
            $visibility unsafe extern "sysv64" fn $name($($argument: $type),*) $(-> $result)? {
                const _: unsafe extern "sysv64" fn($($type),*) $(-> $result)? = $implementation;
                const _: () = assert!(
                    [$(stringify!($argument)),*].len() <= 6,
                    "builtins take six arguments at most"
                );
                const STORE: $crate::macro_support::StoreLayout =
                    $crate::macro_support::StoreLayout::new($crate::macro_support::Target::host());
                $crate::macro_support::naked_asm!(
                    "push rbp",
                    "mov rbp, rsp",
                    "sub rsp, 16",
                    "mov rax, [rdi + {store}]",
                    "mov [rsp], rax",
                    "mov [rax + {exit_fp}], rbp",
                    "call {implementation}",
                    "mov rcx, [rsp]",
                    "cmp dword ptr [rcx + {pending}], 0",
                    "jne 2f",
                    "mov rsp, rbp",
                    "pop rbp",
                    "ret",
                    "2:",
                    "mov rdi, rcx",
                    "jmp {unwind}",
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
/// `lea r10, [rip + …]; jmp [r10]`.
pub(crate) fn slot_stub(distance: i32) -> [u8; STUB_BYTES as usize] {
    /// Bytes of the `lea`, from whose end the distance counts.
    const LEA: i32 = 7;
    let mut stub = [0xcc; STUB_BYTES as usize];
    stub[..3].copy_from_slice(&[0x4c, 0x8d, 0x15]);
    stub[3..7].copy_from_slice(&(distance - LEA).to_le_bytes());
    stub[7..10].copy_from_slice(&[0x41, 0xff, 0x22]);
    stub
}

/// Instruction caches see what was written; nothing is to be done.
///
/// # Safety
///
/// As on other architectures: the range is readable.
pub(crate) unsafe fn synchronize_caches(_start: *const u8, _len: usize) {}
