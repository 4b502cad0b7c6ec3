//! Guest code of the tests, assembled by hand. Each line is an instruction.

#[cfg(target_arch = "x86_64")]
mod code {
    /// Returns the contexts and the parameters in the result registers; exchanges the first and the last vector.
    #[rustfmt::skip]
    pub const ECHO: &[u8] = &[
        0x48, 0x89, 0xf8, // mov rax, rdi
        0x49, 0x89, 0xf2, // mov r10, rsi
        0xbe, 0x11, 0x11, 0x00, 0x00, // mov esi, 0x1111
        0xbf, 0x22, 0x22, 0x00, 0x00, // mov edi, 0x2222
        0x44, 0x0f, 0x28, 0xc0, // movaps xmm8, xmm0
        0x0f, 0x28, 0xc7, // movaps xmm0, xmm7
        0x41, 0x0f, 0x28, 0xf8, // movaps xmm7, xmm8
        0xc3, // ret
    ];

    /// Calls the code at `OTHER_CODE` of its context with the same contexts.
    #[rustfmt::skip]
    pub const NEST: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0xff, 0x57, 0x20, // call [rdi + 32]
        0x5d, // pop rbp
        0xc3, // ret
    ];

    /// Calls the import of its context, with its parameters, and returns its results.
    #[rustfmt::skip]
    pub const CALL_IMPORT: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0x48, 0x89, 0xfe, // mov rsi, rdi
        0x48, 0x8b, 0x7e, 0x18, // mov rdi, [rsi + 24]
        0xff, 0x56, 0x10, // call [rsi + 16]
        0x5d, // pop rbp
        0xc3, // ret
    ];

    /// Makes a tail call to the import of its context.
    #[rustfmt::skip]
    pub const TAIL_IMPORT: &[u8] = &[
        0x48, 0x89, 0xfe, // mov rsi, rdi
        0x48, 0x8b, 0x7e, 0x18, // mov rdi, [rsi + 24]
        0xff, 0x66, 0x10, // jmp [rsi + 16]
    ];

    /// Calls the builtin of its context with its parameters and 77.
    #[rustfmt::skip]
    pub const CALL_BUILTIN: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0x48, 0x8b, 0x47, 0x08, // mov rax, [rdi + 8]
        0x48, 0x89, 0xd6, // mov rsi, rdx
        0x48, 0x89, 0xca, // mov rdx, rcx
        0x4c, 0x89, 0xc1, // mov rcx, r8
        0x4d, 0x89, 0xc8, // mov r8, r9
        0x41, 0xb9, 0x4d, 0x00, 0x00, 0x00, // mov r9d, 77
        0xff, 0x50, 0x08, // call [rax + 8]
        0x5d, // pop rbp
        0xc3, // ret
    ];

    /// Spoils every callee-saved register and the direction flag, and executes an instruction that there is not.
    #[rustfmt::skip]
    pub const UNREACHABLE: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0x31, 0xdb, // xor ebx, ebx
        0x4d, 0x31, 0xe4, // xor r12, r12
        0x4d, 0x31, 0xed, // xor r13, r13
        0x4d, 0x31, 0xf6, // xor r14, r14
        0x4d, 0x31, 0xff, // xor r15, r15
        0xfd, // std
        0x0f, 0x0b, // ud2
    ];

    /// Offset of the instruction that faults in [`UNREACHABLE`].
    pub const UNREACHABLE_FAULT: usize = 19;

    /// Loads from the address in its first parameter.
    #[rustfmt::skip]
    pub const LOAD: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0x8b, 0x42, 0x08, // mov eax, [rdx + 8]
        0x5d, // pop rbp
        0xc3, // ret
    ];

    /// Offset of the instruction that faults in [`LOAD`].
    pub const LOAD_FAULT: usize = 4;

    /// Divides its first parameter by its second.
    #[rustfmt::skip]
    pub const DIVIDE: &[u8] = &[
        0x55, // push rbp
        0x48, 0x89, 0xe5, // mov rbp, rsp
        0x48, 0x89, 0xd0, // mov rax, rdx
        0x48, 0x99, // cqo
        0x48, 0xf7, 0xf9, // idiv rcx
        0x5d, // pop rbp
        0xc3, // ret
    ];

    /// Offset of the instruction that faults in [`DIVIDE`].
    pub const DIVIDE_FAULT: usize = 9;
}

#[cfg(target_arch = "aarch64")]
mod code {
    /// Returns the contexts and the parameters in the result registers; exchanges the first and the last vector.
    #[rustfmt::skip]
    pub const ECHO: &[u8] = &[
        0xe9, 0x03, 0x04, 0xaa, // mov x9, x4
        0xe4, 0x03, 0x05, 0xaa, // mov x4, x5
        0xe5, 0x03, 0x09, 0xaa, // mov x5, x9
        0x10, 0x1c, 0xa0, 0x4e, // mov v16.16b, v0.16b
        0xe0, 0x1c, 0xa7, 0x4e, // mov v0.16b, v7.16b
        0x07, 0x1e, 0xb0, 0x4e, // mov v7.16b, v16.16b
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    /// Calls the code at `OTHER_CODE` of its context with the same contexts.
    #[rustfmt::skip]
    pub const NEST: &[u8] = &[
        0xfd, 0x7b, 0xbf, 0xa9, // stp x29, x30, [sp, #-16]!
        0xfd, 0x03, 0x00, 0x91, // mov x29, sp
        0x49, 0x10, 0x40, 0xf9, // ldr x9, [x2, #32]
        0x20, 0x01, 0x3f, 0xd6, // blr x9
        0xfd, 0x7b, 0xc1, 0xa8, // ldp x29, x30, [sp], #16
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    /// Calls the import of its context, with its parameters, and returns its results.
    #[rustfmt::skip]
    pub const CALL_IMPORT: &[u8] = &[
        0xfd, 0x7b, 0xbf, 0xa9, // stp x29, x30, [sp, #-16]!
        0xfd, 0x03, 0x00, 0x91, // mov x29, sp
        0xe3, 0x03, 0x02, 0xaa, // mov x3, x2
        0x62, 0x0c, 0x40, 0xf9, // ldr x2, [x3, #24]
        0x69, 0x08, 0x40, 0xf9, // ldr x9, [x3, #16]
        0x20, 0x01, 0x3f, 0xd6, // blr x9
        0xfd, 0x7b, 0xc1, 0xa8, // ldp x29, x30, [sp], #16
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    /// Makes a tail call to the import of its context.
    #[rustfmt::skip]
    pub const TAIL_IMPORT: &[u8] = &[
        0xe3, 0x03, 0x02, 0xaa, // mov x3, x2
        0x62, 0x0c, 0x40, 0xf9, // ldr x2, [x3, #24]
        0x70, 0x08, 0x40, 0xf9, // ldr x16, [x3, #16]
        0x00, 0x02, 0x1f, 0xd6, // br x16
    ];

    /// Calls the builtin of its context with its parameters and 77.
    #[rustfmt::skip]
    pub const CALL_BUILTIN: &[u8] = &[
        0xfd, 0x7b, 0xbf, 0xa9, // stp x29, x30, [sp, #-16]!
        0xfd, 0x03, 0x00, 0x91, // mov x29, sp
        0x49, 0x04, 0x40, 0xf9, // ldr x9, [x2, #8]
        0x29, 0x05, 0x40, 0xf9, // ldr x9, [x9, #8]
        0xe0, 0x03, 0x02, 0xaa, // mov x0, x2
        0xe1, 0x03, 0x04, 0xaa, // mov x1, x4
        0xe2, 0x03, 0x05, 0xaa, // mov x2, x5
        0xe3, 0x03, 0x06, 0xaa, // mov x3, x6
        0xe4, 0x03, 0x07, 0xaa, // mov x4, x7
        0xa5, 0x09, 0x80, 0xd2, // mov x5, #77
        0x20, 0x01, 0x3f, 0xd6, // blr x9
        0xe2, 0x03, 0x00, 0xaa, // mov x2, x0
        0xfd, 0x7b, 0xc1, 0xa8, // ldp x29, x30, [sp], #16
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    /// Spoils every callee-saved register, and executes an instruction that there is not.
    #[rustfmt::skip]
    pub const UNREACHABLE: &[u8] = &[
        0xfd, 0x7b, 0xbf, 0xa9, // stp x29, x30, [sp, #-16]!
        0xfd, 0x03, 0x00, 0x91, // mov x29, sp
        0x13, 0x00, 0x80, 0xd2, // mov x19, #0
        0x14, 0x00, 0x80, 0xd2, // mov x20, #0
        0x15, 0x00, 0x80, 0xd2, // mov x21, #0
        0x16, 0x00, 0x80, 0xd2, // mov x22, #0
        0x17, 0x00, 0x80, 0xd2, // mov x23, #0
        0x18, 0x00, 0x80, 0xd2, // mov x24, #0
        0x19, 0x00, 0x80, 0xd2, // mov x25, #0
        0x1a, 0x00, 0x80, 0xd2, // mov x26, #0
        0x1b, 0x00, 0x80, 0xd2, // mov x27, #0
        0x1c, 0x00, 0x80, 0xd2, // mov x28, #0
        0x08, 0xe4, 0x00, 0x4f, // movi v8.16b, #0
        0x09, 0xe4, 0x00, 0x4f, // movi v9.16b, #0
        0x0a, 0xe4, 0x00, 0x4f, // movi v10.16b, #0
        0x0b, 0xe4, 0x00, 0x4f, // movi v11.16b, #0
        0x0c, 0xe4, 0x00, 0x4f, // movi v12.16b, #0
        0x0d, 0xe4, 0x00, 0x4f, // movi v13.16b, #0
        0x0e, 0xe4, 0x00, 0x4f, // movi v14.16b, #0
        0x0f, 0xe4, 0x00, 0x4f, // movi v15.16b, #0
        0x00, 0x00, 0x00, 0x00, // udf #0
    ];

    /// Offset of the instruction that faults in [`UNREACHABLE`].
    pub const UNREACHABLE_FAULT: usize = 80;

    /// Loads from the address in its first parameter.
    #[rustfmt::skip]
    pub const LOAD: &[u8] = &[
        0xfd, 0x7b, 0xbf, 0xa9, // stp x29, x30, [sp, #-16]!
        0xfd, 0x03, 0x00, 0x91, // mov x29, sp
        0x82, 0x08, 0x40, 0xb9, // ldr w2, [x4, #8]
        0xfd, 0x7b, 0xc1, 0xa8, // ldp x29, x30, [sp], #16
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    /// Offset of the instruction that faults in [`LOAD`].
    pub const LOAD_FAULT: usize = 8;
}

#[allow(unused_imports, reason = "not every test runs guest code")]
pub use code::*;
