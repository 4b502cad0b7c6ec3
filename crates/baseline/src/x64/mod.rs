//! The macro assembler of x86-64: what the driver asks for, in instructions.
//!
//! `rax`, `rcx` and `rdx`, `xmm14` and `xmm15` are never given to values: every
//! operation may use them, so that fixed registers of shifts, divisions and
//! exchanges never collide with values. `r14` holds the context, `r15` the base
//! of memory 0 when it never moves, `rbp` the frame.
//!
//! A 32-bit value in a register always has zeros above: every instruction used
//! here that makes one clears the upper half, and [`Masm::move_reg`] is used on
//! everything that arrives from outside.

mod emit;
mod scalar;
mod simd;

use tepui_abi::metadata::SourcePosition;
use tepui_abi::profile::Homes;
use tepui_abi::{Architecture, RelocationKind, Trap};

use crate::CpuFeatures;
use crate::compile::PROBED_PAGE;
use crate::masm::{
    Assembler, Condition, FloatCc, Frame, IntCc, Label, Mem, Notes, Prologue, Reach, Size,
};
use crate::reg::{Reg, each};
use emit::*;

/// Offset of the `index`th saved register from the frame pointer.
fn saved_at(frame: &Frame, index: usize) -> i32 {
    8 * index as i32 - frame.bytes as i32
}

const fn set(registers: &[Reg]) -> u64 {
    let mut bits = 0;
    let mut i = 0;
    while i < registers.len() {
        bits |= registers[i].bit();
        i += 1;
    }
    bits
}

/// What a condition is, in flags.
enum Flags {
    One(Cc),
    /// Equal, and not unordered.
    FloatEqual,
    /// Not equal, or unordered.
    FloatNotEqual,
}

impl From<Condition> for Flags {
    #[inline]
    fn from(condition: Condition) -> Flags {
        match condition {
            Condition::Is(cc) => Flags::One(cc.into()),
            Condition::Float(FloatCc::Equal) => Flags::FloatEqual,
            Condition::Float(FloatCc::NotEqual) => Flags::FloatNotEqual,
            // The operands of comparisons are put in the order in which carry
            // says both "less" and "unordered".
            Condition::Float(FloatCc::Less | FloatCc::Greater) => Flags::One(Cc::Above),
            Condition::Float(FloatCc::LessEqual | FloatCc::GreaterEqual) => {
                Flags::One(Cc::NotCarry)
            }
            Condition::Float(FloatCc::NotLess | FloatCc::NotGreater) => Flags::One(Cc::BelowEqual),
            Condition::Float(FloatCc::NotLessEqual | FloatCc::NotGreaterEqual) => {
                Flags::One(Cc::Carry)
            }
        }
    }
}

/// The code of one function while it is made.
pub(crate) struct Masm {
    e: Emitter,
    cpu: CpuFeatures,
    notes: Notes,
    /// The flags hold a comparison that is still to be used.
    flags_live: bool,
    /// Up to where code was made when the flags were set by the value that went
    /// to this register, of 64 bits or not.
    tested: (u32, Reg, bool),
    /// Where code goes when the stack is too deep.
    overflow: u32,
}

impl Default for Masm {
    fn default() -> Masm {
        Masm {
            e: Emitter::default(),
            cpu: CpuFeatures::default(),
            notes: Notes::default(),
            flags_live: false,
            tested: NOT_TESTED,
            overflow: 0,
        }
    }
}

/// The flags say nothing about a register.
const NOT_TESTED: (u32, Reg, bool) = (u32::MAX, RAX, false);

impl Masm {
    fn trap_on(&mut self, cc: Cc, trap: Trap) {
        let emitter = &mut self.e;
        let label = self.notes.stub(trap, || emitter.label());
        self.e.jcc(cc, label);
    }

    fn setcc(&mut self, cc: Cc, dst: Reg) {
        self.e.op8(0x0190 | cc as u32, Reg::int(0), dst);
    }

    /// Touches so many pages below the stack pointer, from the top down. Changes rax
    /// and r10.
    fn probe(&mut self, pages: u32) {
        /// More are touched in a loop.
        const UNROLLED: u32 = 4;
        /// `test r/m32, r32`, which reads.
        const TEST: u32 = 0x85;
        let below = |pages: u32| -((pages * PROBED_PAGE) as i32);
        if pages <= UNROLLED {
            for page in 1..=pages {
                self.e
                    .op(TEST, false, RAX.code(), Mem::at(RSP, below(page)));
            }
            return;
        }
        self.lea(Size::S64, RAX, Mem::at(RSP, below(pages)));
        self.copy(R10, RSP);
        let again = self.e.code.len();
        self.e.op_imm(0x81, true, 5, R10, Imm::I32(PROBED_PAGE));
        self.e.op(TEST, false, RAX.code(), Mem::at(R10, 0));
        // cmp r10, rax; jne again
        self.e.op(0x3b, true, R10.code(), RAX);
        let distance = self.e.code.len() + 2 - again;
        self.e
            .code
            .extend_from_slice(&[0x75, (distance as u8).wrapping_neg()]);
    }

    /// Gives registers back and takes the frame away.
    fn leave(&mut self, frame: &Frame) {
        for (i, reg) in each(frame.saved).enumerate() {
            self.load(Size::S64, reg, Mem::at(RBP, saved_at(frame, i)));
        }
        if frame.bytes > 0 {
            self.e.op(0x8b, true, RSP.code(), RBP);
        }
        self.e.byte(0x5d);
    }
}

impl Assembler for Masm {
    const GREATEST_CODE: u32 = 1 << 28;
    const CALL_RELOCATION: RelocationKind = RelocationKind::X86PcRelative4;
    const HOMES: Homes = Homes::of(Architecture::X86_64);

    const CONTEXT: Reg = R14;
    const MEMORY_BASE: Reg = R15;
    const FRAME: Reg = RBP;
    const SCRATCH: Reg = RAX;
    const SCRATCH_2: Reg = RCX;
    const SCRATCH_3: Reg = RDX;
    const VECTOR_SCRATCH: Reg = XMM15;
    const CALLER_SAVED: u64 = set(&[RSI, RDI, R8, R9, R10, R11]);
    const CALLEE_SAVED: u64 = set(&[RBX, R12, R13]);
    const VECTORS: u64 = 0x3fff << 32;
    const INT_PARAMS: &'static [Reg] = &[RDX, RCX, R8, R9];
    const BODY_PARAMS: &'static [Reg] = &[RDI, RSI, R8, R9];
    const INT_RESULTS: &'static [Reg] = &[RAX, RCX, RDX, RSI, RDI, R8, R9, R10];
    const C_PARAMS: &'static [Reg] = &[RDI, RSI, RDX, RCX, R8, R9];
    const CALLEE_CONTEXT: Reg = RDI;
    const CALLER_CONTEXT: Reg = RSI;

    fn begin(&mut self, features: CpuFeatures, _reach: Reach) {
        self.e.clear();
        self.notes.clear();
        self.cpu = features;
        self.flags_live = false;
        self.tested = NOT_TESTED;
    }

    #[inline(always)]
    fn position(&self) -> u32 {
        self.e.position()
    }

    fn capacity(&self) -> usize {
        self.e.code.capacity()
    }

    #[inline(always)]
    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    #[inline(always)]
    fn set_flags_live(&mut self, live: bool) {
        self.flags_live = live;
    }

    fn site(&mut self, trap: Option<Trap>) {
        if let Some(trap) = trap {
            self.notes.site(self.e.position(), trap);
        }
    }

    /// Stores that fault write nothing.
    fn whole_store_site(&mut self, trap: Trap) {
        self.site(Some(trap));
    }

    fn trap(&mut self, trap: Trap) {
        self.site(Some(trap));
        self.e.byte(0x0f);
        self.e.byte(0x0b);
    }

    fn trap_if(&mut self, cc: IntCc, trap: Trap) {
        self.trap_on(cc.into(), trap);
    }

    fn emit_stubs(&mut self) {
        for stub in self.notes.take_stubs() {
            self.e.bind(stub.label);
            self.notes.wasm_position = stub.wasm_position;
            self.trap(stub.trap);
        }
    }

    fn imm(&mut self, dst: Reg, value: u64) {
        if value == 0 && !self.flags_live {
            self.e.op(0x31, false, dst.code(), dst);
        } else if value <= u64::from(u32::MAX) {
            self.e.mov_imm32(dst, value as u32);
        } else if value as i32 as i64 as u64 == value {
            self.e.op_imm(0xc7, true, 0, dst, Imm::I32(value as u32));
        } else {
            self.e.mov_imm64(dst, value);
        }
    }

    fn move_reg(&mut self, size: Size, dst: Reg, src: Reg) {
        if dst.is_vector() {
            if dst != src {
                self.vmove(dst, src);
            }
        } else if dst != src || !size.is_64() {
            self.e.op(0x8b, size.is_64(), dst.code(), src);
        }
    }

    fn exchange(&mut self, a: Reg, b: Reg) {
        self.e.op(0x87, true, a.code(), b);
    }

    fn load(&mut self, size: Size, dst: Reg, mem: Mem) {
        self.e.op(0x8b, size.is_64(), dst.code(), mem);
    }

    fn store(&mut self, size: Size, src: Reg, mem: Mem) {
        match size {
            Size::S8 => self.e.op8(0x88, src, mem),
            Size::S16 => self.e.op(0x66_0089, false, src.code(), mem),
            _ => self.e.op(0x89, size.is_64(), src.code(), mem),
        }
    }

    // The most frequent instructions, encoded with what is known of their address.

    fn load_frame(&mut self, size: Size, dst: Reg, at: i32) {
        self.e.op(0x8b, size.is_64(), dst.code(), Mem::at(RBP, at));
    }

    fn store_frame(&mut self, size: Size, src: Reg, at: i32) {
        self.e.op(0x89, size.is_64(), src.code(), Mem::at(RBP, at));
    }

    fn store_imm(&mut self, size: Size, value: i32, mem: Mem) {
        match size {
            Size::S8 => self.e.op_imm(0xc6, false, 0, mem, Imm::I8(value as u8)),
            Size::S16 => self
                .e
                .op_imm(0x66_00c7, false, 0, mem, Imm::I16(value as u16)),
            _ => self
                .e
                .op_imm(0xc7, size.is_64(), 0, mem, Imm::I32(value as u32)),
        }
    }

    fn load_extended(&mut self, from: Size, signed: bool, to: Size, dst: Reg, mem: Mem) {
        let wide = to.is_64();
        match (from, signed) {
            (Size::S8, false) => self.e.op(0x01b6, false, dst.code(), mem),
            (Size::S16, false) => self.e.op(0x01b7, false, dst.code(), mem),
            (Size::S8, true) => self.e.op(0x01be, wide, dst.code(), mem),
            (Size::S16, true) => self.e.op(0x01bf, wide, dst.code(), mem),
            (Size::S32, true) if wide => self.e.op(0x63, true, dst.code(), mem),
            (Size::S32, _) => self.e.op(0x8b, false, dst.code(), mem),
            (Size::S64, _) => self.e.op(0x8b, true, dst.code(), mem),
        }
    }

    fn extend(&mut self, from: Size, signed: bool, to: Size, dst: Reg, src: Reg) {
        let wide = to.is_64();
        match (from, signed) {
            (Size::S8, _) => {
                let op = if signed { 0x01be } else { 0x01b6 };
                if src.code() >= 4 || !wide {
                    // A REX prefix names the low byte; `op8` adds it.
                    if wide && signed {
                        self.e.op(op, true, dst.code(), src);
                    } else {
                        self.e.op8(op, dst, src);
                    }
                } else {
                    self.e.op(op, wide, dst.code(), src);
                }
            }
            (Size::S16, true) => self.e.op(0x01bf, wide, dst.code(), src),
            (Size::S16, false) => self.e.op(0x01b7, false, dst.code(), src),
            (Size::S32, true) if wide => self.e.op(0x63, true, dst.code(), src),
            (Size::S32, _) => self.e.op(0x8b, false, dst.code(), src),
            (Size::S64, _) => self.copy(dst, src),
        }
    }

    fn lea(&mut self, size: Size, dst: Reg, mem: Mem) {
        self.e.op(0x8d, size.is_64(), dst.code(), mem);
    }

    fn load_vector(&mut self, bytes: u32, dst: Reg, mem: Mem) {
        let op = match bytes {
            4 => 0xf3_0110,
            8 => 0xf2_0110,
            _ => 0x0110,
        };
        self.vload(op, dst, mem.into());
    }

    fn store_vector(&mut self, bytes: u32, src: Reg, mem: Mem) {
        let op = match bytes {
            4 => 0xf3_0111,
            8 => 0xf2_0111,
            _ => 0x0111,
        };
        self.vload(op, src, mem.into());
    }

    fn float_constant(&mut self, wide: bool, dst: Reg, bits: u64) {
        if bits == 0 {
            self.v3(0x0157, dst, dst, dst.into());
        } else {
            let constant = self.e.constant(u128::from(bits).to_le_bytes());
            let op = if wide { 0xf2_0110 } else { 0xf3_0110 };
            self.vload(op, dst, constant.into());
        }
    }

    fn gpr_to_vector(&mut self, wide: bool, dst: Reg, src: Reg) {
        if self.cpu.avx {
            self.e.vex(0x66_016e, wide, dst, 0, src.into(), Imm::None);
        } else {
            self.e.op(0x66_016e, wide, dst.code(), src);
        }
    }

    fn vector_to_gpr(&mut self, wide: bool, dst: Reg, src: Reg) {
        if self.cpu.avx {
            self.e.vex(0x66_017e, wide, src, 0, dst.into(), Imm::None);
        } else {
            self.e.op(0x66_017e, wide, src.code(), dst);
        }
    }

    #[inline(always)]
    fn label(&mut self) -> Label {
        self.e.label()
    }

    fn bind(&mut self, label: Label) {
        // Who jumps here brings other flags.
        self.tested = NOT_TESTED;
        self.e.bind(label);
    }

    fn jump(&mut self, label: Label) {
        self.e.jmp(label);
    }

    fn jump_if(&mut self, condition: Condition, label: Label) {
        match Flags::from(condition) {
            Flags::One(cc) => self.e.jcc(cc, label),
            Flags::FloatEqual => {
                let hop = self.e.hop(Cc::Parity);
                self.e.jcc(Cc::Equal, label);
                self.e.land(hop);
            }
            Flags::FloatNotEqual => {
                self.e.jcc(Cc::Parity, label);
                self.e.jcc(Cc::NotEqual, label);
            }
        }
    }

    fn set_if(&mut self, condition: Condition, dst: Reg) {
        match Flags::from(condition) {
            Flags::One(cc) => self.setcc(cc, RAX),
            Flags::FloatEqual => {
                self.setcc(Cc::NotParity, RAX);
                self.setcc(Cc::Equal, RCX);
                self.e.op(0x21, false, RCX.code(), RAX);
            }
            Flags::FloatNotEqual => {
                self.setcc(Cc::Parity, RAX);
                self.setcc(Cc::NotEqual, RCX);
                self.e.op(0x09, false, RCX.code(), RAX);
            }
        }
        self.e.op8(0x01b6, dst, RAX);
    }

    fn move_if(&mut self, condition: Condition, size: Size, dst: Reg, src: Reg) {
        let mut one = |cc: Cc| {
            self.e.op(0x0140 | cc as u32, size.is_64(), dst.code(), src);
        };
        match Flags::from(condition) {
            Flags::One(cc) => one(cc),
            Flags::FloatNotEqual => {
                one(Cc::Parity);
                one(Cc::NotEqual);
            }
            Flags::FloatEqual => unreachable!("equality of floats is selected inverted"),
        }
    }

    fn vector_move_unless(&mut self, condition: Condition, _bytes: u32, dst: Reg, src: Reg) {
        let over = self.e.label();
        self.jump_if(condition, over);
        self.vmove(dst, src);
        self.e.bind(over);
    }

    fn null_if(&mut self, cc: IntCc, address: Reg) {
        // Not by exclusive or, which would change the flags.
        self.e.mov_imm32(RDX, 0);
        self.move_if(Condition::Is(cc), Size::S64, address, RDX);
    }

    fn call_builtin(&mut self, context: Reg, table: Mem, offset: u32) {
        self.load(Size::S64, RAX, table);
        self.copy(RDI, context);
        self.e.op(0xff, false, 2, Mem::at(RAX, offset as i32));
    }

    fn call_reg(&mut self, reg: Reg) {
        self.e.op(0xff, false, 2, reg);
    }

    fn call_direct(&mut self) -> u32 {
        self.e.byte(0xe8);
        let field = self.e.position();
        self.e.code.extend_from_slice(&[0; 4]);
        field
    }

    fn jump_table(&mut self, labels: Vec<Label>) {
        let table = self.e.table(labels);
        self.e.op(0x8d, true, RCX.code(), table);
        self.e.op(
            0x63,
            true,
            RAX.code(),
            Mem {
                base: RCX,
                index: Some(RAX),
                scale: 2,
                disp: 0,
            },
        );
        self.e.op(0x01, true, RCX.code(), RAX);
        self.e.op(0xff, false, 4, RAX);
    }

    fn zero_frame(&mut self, below: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        self.v3(0x0157, XMM15, XMM15, XMM15.into());
        let mut left = bytes;
        let mut at = -(below as i32);
        if bytes > 256 {
            let pairs = bytes / 16;
            self.lea(Size::S64, RAX, Mem::at(RBP, at));
            self.e.mov_imm32(RCX, pairs);
            let start = self.e.label();
            self.e.bind(start);
            self.store_vector(16, XMM15, Mem::at(RAX, 0));
            self.e.op_imm(0x83, true, 0, RAX, Imm::I8(16));
            self.e.op(0xff, false, 1, RCX);
            self.e.jcc(Cc::NotEqual, start);
            left -= pairs * 16;
            at += (pairs * 16) as i32;
        }
        while left >= 16 {
            self.store_vector(16, XMM15, Mem::at(RBP, at));
            at += 16;
            left -= 16;
        }
        if left >= 8 {
            self.store_vector(8, XMM15, Mem::at(RBP, at));
            at += 8;
            left -= 8;
        }
        if left >= 4 {
            self.store_vector(4, XMM15, Mem::at(RBP, at));
        }
    }

    fn also_saved(&self) -> u64 {
        0
    }

    fn prologue(&self, frame: &Frame) -> Prologue {
        let mut masm = Masm {
            cpu: self.cpu,
            ..Masm::default()
        };
        // push rbp; mov rbp, rsp
        masm.e.byte(0x55);
        masm.e.op(0x89, true, RSP.code(), RBP);
        let mut jump = None;
        if let Some((store_context, limit)) = frame.check {
            masm.load(Size::S64, RAX, Mem::at(RDI, store_context));
            masm.lea(Size::S64, R10, Mem::at(RSP, -(frame.bytes as i32)));
            masm.e.op(0x3b, true, R10.code(), Mem::at(RAX, limit));
            // jb to the trap behind the epilogue, which nobody takes.
            masm.e.code.extend_from_slice(&[0x0f, 0x82, 0, 0, 0, 0]);
            jump = Some(masm.e.code.len());
        }
        masm.probe(frame.probes);
        match i8::try_from(frame.bytes) {
            Ok(0) => {}
            Ok(bytes) => masm.e.op_imm(0x83, true, 5, RSP, Imm::I8(bytes as u8)),
            Err(_) => masm.e.op_imm(0x81, true, 5, RSP, Imm::I32(frame.bytes)),
        }
        for (i, reg) in each(frame.saved).enumerate() {
            masm.store(Size::S64, reg, Mem::at(RBP, saved_at(frame, i)));
        }
        if frame.saved & Self::CONTEXT.bit() != 0 {
            masm.copy(Self::CONTEXT, RDI);
        }
        if let Some((definition, base)) = frame.memory {
            match definition {
                Some(pointer) => {
                    masm.load(Size::S64, Self::MEMORY_BASE, Mem::at(RDI, pointer));
                    masm.load(
                        Size::S64,
                        Self::MEMORY_BASE,
                        Mem::at(Self::MEMORY_BASE, base),
                    );
                }
                None => masm.load(Size::S64, Self::MEMORY_BASE, Mem::at(RDI, base)),
            }
        }
        let mut code = masm.e.code;
        if let Some(after) = jump {
            let distance = (code.len() - after) as u32 + self.overflow;
            code[after - 4..after].copy_from_slice(&distance.to_le_bytes());
        }
        Prologue {
            code,
            overflow: None,
        }
    }

    fn epilogue(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.byte(0xc3);
        if frame.check.is_some() {
            self.overflow = self.e.position();
            self.notes.wasm_position = SourcePosition::NONE;
            self.trap(Trap::StackOverflow);
        }
    }

    fn tail_to_scratch(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.op(0xff, false, 4, RAX);
    }

    fn tail_direct(&mut self, frame: &Frame) -> u32 {
        self.leave(frame);
        self.e.byte(0xe9);
        let field = self.e.position();
        self.e.code.extend_from_slice(&[0; 4]);
        field
    }

    fn finish(&mut self, prologue: &[u8]) -> Option<Vec<u8>> {
        Some(self.e.finish(prologue))
    }
}
