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

/// The instructions that load vector registers from the image at `$base`, in
/// order from the first: `all` that there are, or so many as a stub for few
/// moves, or `no` one.
macro_rules! load_vectors {
    (all $base:literal) => { load_vectors!($base: 0 1 2 3 4 5 6 7) };
    (few $base:literal) => { load_vectors!($base: 0 1 2) };
    (no $base:literal) => { "" };
    ($base:literal: $($n:literal)*) => {
        concat!($("movups xmm", $n, ", [", $base, " + {vectors} + ", $n, " * {stride}]\n",)*)
    };
}

/// As [`load_vectors`], to the image.
macro_rules! store_vectors {
    (all $base:literal) => { store_vectors!($base: 0 1 2 3 4 5 6 7) };
    (few $base:literal) => { store_vectors!($base: 0 1 2) };
    (no $base:literal) => { "" };
    ($base:literal: $($n:literal)*) => {
        concat!($("movups [", $base, " + {vectors} + ", $n, " * {stride}], xmm", $n, "\n",)*)
    };
}

/// The instructions that load the integer parameters from the image at `$base`.
macro_rules! load_integer_parameters {
    ($base:literal) => {
        concat!(
            "mov rdx, [",
            $base,
            " + {i0}]\n",
            "mov rcx, [",
            $base,
            " + {i1}]\n",
            "mov r8, [",
            $base,
            " + {i2}]\n",
            "mov r9, [",
            $base,
            " + {i3}]\n",
        )
    };
}

/// The instructions that store the integer parameters to the image at `$base`,
/// if there are any.
macro_rules! store_integer_parameters {
    (all $base:literal) => {
        concat!(
            "mov [",
            $base,
            " + {i0}], rdx\n",
            "mov [",
            $base,
            " + {i1}], rcx\n",
            "mov [",
            $base,
            " + {i2}], r8\n",
            "mov [",
            $base,
            " + {i3}], r9\n",
        )
    };
    (no $base:literal) => {
        ""
    };
}

/// The instructions that load integer results from the image at `$base`. Those
/// of `few` are loaded whether there are results or not.
macro_rules! load_integer_results {
    (all $base:literal) => {
        concat!(
            load_integer_results!(few $base),
            "mov rsi, [", $base, " + {i3}]\n",
            "mov rdi, [", $base, " + {i4}]\n",
            "mov r8, [", $base, " + {i5}]\n",
            "mov r9, [", $base, " + {i6}]\n",
            "mov r10, [", $base, " + {i7}]\n",
        )
    };
    (few $base:literal) => {
        concat!(
            "mov rax, [", $base, " + {i0}]\n",
            "mov rcx, [", $base, " + {i1}]\n",
            "mov rdx, [", $base, " + {i2}]\n",
        )
    };
}

/// As [`load_integer_results`], to the image.
macro_rules! store_integer_results {
    (all $base:literal) => {
        concat!(
            store_integer_results!(few $base),
            "mov [", $base, " + {i3}], rsi\n",
            "mov [", $base, " + {i4}], rdi\n",
            "mov [", $base, " + {i5}], r8\n",
            "mov [", $base, " + {i6}], r9\n",
            "mov [", $base, " + {i7}], r10\n",
        )
    };
    (few $base:literal) => {
        concat!(
            "mov [", $base, " + {i0}], rax\n",
            "mov [", $base, " + {i1}], rcx\n",
            "mov [", $base, " + {i2}], rdx\n",
        )
    };
}

/// Defines an *enter* stub by how many registers it moves.
macro_rules! define_enter {
    (
        $(#[$doc:meta])*
        $name:ident, $vector_parameters:ident vector parameters,
        $integer_results:ident integer results, $vector_results:ident vector results
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
                // An operand that nothing uses would be an error.
                "// {i3} {i4} {i5} {i6} {i7} {vectors} {stride}",
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
                load_vectors!($vector_parameters "r11"),
                load_integer_parameters!("r11"),
                "call rax",
                "mov r11, [rsp + {frame_image}]",
                store_integer_results!($integer_results "r11"),
                store_vectors!($vector_results "r11"),
                "xor eax, eax",
                "jmp {finish}",
                entry_sp = const STORE.entry_sp(),
                exit_fp = const STORE.exit_fp(),
                frame_image = const std::mem::offset_of!(EntryFrame, image),
                i0 = const image::integer(0),
                i1 = const image::integer(1),
                i2 = const image::integer(2),
                i3 = const image::integer(3),
                i4 = const image::integer(4),
                i5 = const image::integer(5),
                i6 = const image::integer(6),
                i7 = const image::integer(7),
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
    enter, all vector parameters, all integer results, all vector results
}

define_enter! {
    /// As [`enter`], for signatures with at most three results of each class.
    enter_few, all vector parameters, few integer results, few vector results
}

define_enter! {
    /// As [`enter_few`], for signatures without vector results.
    enter_vector_parameters, all vector parameters, few integer results, no vector results
}

define_enter! {
    /// As [`enter_few`], for signatures without vector parameters.
    enter_few_results, no vector parameters, few integer results, few vector results
}

define_enter! {
    /// As [`enter`], for signatures without floats and vectors: those registers
    /// are neither loaded nor stored.
    enter_integers, no vector parameters, all integer results, no vector results
}

define_enter! {
    /// As [`enter_integers`], for signatures with at most three results.
    enter_few_integers, no vector parameters, few integer results, no vector results
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

/// The instructions of a *leave* stub that call its Rust function, with the
/// fourth argument: none for the entry of a `host` function, and the address of
/// the slot for that of a `slot`.
macro_rules! call_of {
    (host) => {
        "xor ecx, ecx\ncall [rdi + {host_entry}]"
    };
    (slot) => {
        "mov rcx, r10\nmov rax, [rdi + {builtins}]\ncall [rax + {slot_entry}]"
    };
}

/// Defines a *leave* stub by whom it calls and how many registers it moves.
macro_rules! define_leave {
    (
        $(#[$doc:meta])*
        $visibility:vis $name:ident of a $target:ident,
        $integer_parameters:ident integer parameters, $vector_parameters:ident vector parameters,
        $integer_results:ident integer results, $vector_results:ident vector results
    ) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Called by generated code only, under its convention.
        #[unsafe(naked)]
        $visibility unsafe extern "sysv64" fn $name() {
            naked_asm!(
                // An operand that nothing uses would be an error.
                "// {i4} {i5} {i6} {i7} {host_entry} {builtins} {slot_entry}",
                "push rbp",
                "mov rbp, rsp",
                "sub rsp, {bytes}",
                "mov [rsp + {caller}], rsi",
                "mov [rsp + {callee}], rdi",
                store_integer_parameters!($integer_parameters "rsp"),
                store_vectors!($vector_parameters "rsp"),
                "mov rax, [rdi + {store}]",
                "mov [rax + {exit_fp}], rbp",
                "mov rdx, rsp",
                call_of!($target),
                "test eax, eax",
                "jnz 2f",
                // Return.
                load_vectors!($vector_results "rsp"),
                load_integer_results!($integer_results "rsp"),
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
                load_integer_parameters!("rsp"),
                load_vectors!(all "rsp"),
                "mov rsp, rbp",
                "pop rbp",
                "jmp rax",
                bytes = const LEAVE_BYTES,
                caller = const std::mem::offset_of!(LeaveFrame, caller_context),
                callee = const std::mem::offset_of!(LeaveFrame, callee_context),
                store = const HEADER.store_context(),
                host_entry = const HEADER.host_entry(),
                builtins = const HEADER.builtins(),
                slot_entry = const slot_entry_offset(),
                exit_fp = const STORE.exit_fp(),
                tail_code = const STORE.tail_code(),
                tail_context = const STORE.tail_context(),
                tail_call = const LeaveStatus::TailCall as u32,
                unwind = sym unwind,
                i0 = const image::integer(0),
                i1 = const image::integer(1),
                i2 = const image::integer(2),
                i3 = const image::integer(3),
                i4 = const image::integer(4),
                i5 = const image::integer(5),
                i6 = const image::integer(6),
                i7 = const image::integer(7),
                vectors = const image::vector(0),
                stride = const image::vector(1) - image::vector(0),
            )
        }
    };
}

define_leave! {
    /// The entry of host functions.
    pub leave of a host,
    all integer parameters, all vector parameters, all integer results, all vector results
}

define_leave! {
    /// The entry of host functions without floats and vectors among parameters
    /// and results.
    pub leave_integers of a host,
    all integer parameters, no vector parameters, all integer results, no vector results
}

define_leave! {
    /// As [`leave`], for signatures with at most three vector parameters and at
    /// most three results of each class.
    leave_few of a host,
    all integer parameters, few vector parameters, few integer results, few vector results
}

define_leave! {
    /// As [`leave_integers`], for signatures with at most three results.
    leave_few_integers of a host,
    all integer parameters, no vector parameters, few integer results, no vector results
}

define_leave! {
    /// As [`leave`], for signatures with at most three results, integers all of
    /// them.
    leave_vector_parameters of a host,
    all integer parameters, all vector parameters, few integer results, no vector results
}

define_leave! {
    /// As [`leave`], for signatures without parameters.
    leave_results of a host,
    no integer parameters, no vector parameters, all integer results, all vector results
}

define_leave! {
    /// As [`leave_results`], for at most three results of each class.
    leave_few_results of a host,
    no integer parameters, no vector parameters, few integer results, few vector results
}

define_leave! {
    /// As [`leave_few_results`], for integers alone.
    leave_few_integer_results of a host,
    no integer parameters, no vector parameters, few integer results, no vector results
}

define_leave! {
    /// What a slot holds before its function has code: calls the first word of
    /// the builtin table with the address of the slot.
    pub leave_slot of a slot,
    all integer parameters, all vector parameters, all integer results, all vector results
}

define_leave! {
    /// As [`leave_slot`], for functions without floats and vectors among
    /// parameters and results.
    pub leave_slot_integers of a slot,
    all integer parameters, no vector parameters, all integer results, no vector results
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
