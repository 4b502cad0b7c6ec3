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

pub(crate) mod emit;
pub(crate) mod features;
mod scalar;
pub(crate) mod simd;

use tepui_abi::Trap;
use tepui_abi::metadata::TrapSite;

use crate::reg::Reg;
use emit::*;
pub(crate) use emit::{Cc, Label, Mem};
pub use features::CpuFeatures;
pub(crate) use scalar::{Alu, Conversion, Division, FloatBinary, Rounding, Shift};

pub(crate) const CONTEXT: Reg = R14;
pub(crate) const MEMORY_BASE: Reg = R15;
pub(crate) const FRAME: Reg = RBP;
/// Integer scratch registers; no value ever lives in them.
pub(crate) const SCRATCH: Reg = RAX;
pub(crate) const SCRATCH_2: Reg = RCX;
pub(crate) const SCRATCH_3: Reg = RDX;
pub(crate) const VECTOR_SCRATCH: Reg = XMM15;

const fn set(registers: &[Reg]) -> u64 {
    let mut bits = 0;
    let mut i = 0;
    while i < registers.len() {
        bits |= registers[i].bit();
        i += 1;
    }
    bits
}

/// Integer registers that calls destroy.
pub(crate) const CALLER_SAVED: u64 = set(&[RSI, RDI, R8, R9, R10, R11]);
/// Integer registers that calls keep; `r15` only where no memory base is in it.
pub(crate) const CALLEE_SAVED: u64 = set(&[RBX, R12, R13]);
/// Vector registers; calls destroy them all.
pub(crate) const VECTORS: u64 = 0x3fff << 32;

/// Where the convention passes integers and returns them.
pub(crate) const INT_PARAMS: [Reg; 4] = [RDX, RCX, R8, R9];
/// Where the body finds them at its start: not in scratch registers.
pub(crate) const BODY_PARAMS: [Reg; 4] = [RDI, RSI, R8, R9];
pub(crate) const INT_RESULTS: [Reg; 8] = [RAX, RCX, RDX, RSI, RDI, R8, R9, R10];
/// The C convention's integer parameters, the first being the context.
pub(crate) const C_PARAMS: [Reg; 6] = [RDI, RSI, RDX, RCX, R8, R9];
pub(crate) const CALLEE_CONTEXT: Reg = RDI;
pub(crate) const CALLER_CONTEXT: Reg = RSI;

/// How wide an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    S8,
    S16,
    S32,
    S64,
}

impl Size {
    pub(crate) const fn bytes(self) -> u32 {
        match self {
            Size::S8 => 1,
            Size::S16 => 2,
            Size::S32 => 4,
            Size::S64 => 8,
        }
    }

    pub(crate) const fn is_64(self) -> bool {
        matches!(self, Size::S64)
    }
}

/// A second operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Src {
    Reg(Reg),
    Imm(i64),
    Mem(Mem),
}

impl From<Reg> for Src {
    fn from(reg: Reg) -> Src {
        Src::Reg(reg)
    }
}

/// What a comparison has to say for it to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Is(Cc),
    /// Floats are equal: equal and ordered.
    FloatEqual,
    /// Floats differ, or one is no number.
    FloatNotEqual,
}

impl Condition {
    pub(crate) fn not(self) -> Condition {
        match self {
            Condition::Is(cc) => Condition::Is(cc.not()),
            Condition::FloatEqual => Condition::FloatNotEqual,
            Condition::FloatNotEqual => Condition::FloatEqual,
        }
    }
}

/// A trap that code jumps to, emitted behind the body.
struct TrapStub {
    label: Label,
    trap: Trap,
    position: u32,
}

/// The code of one function while it is made.
#[derive(Default)]
pub(crate) struct Masm {
    pub(crate) e: Emitter,
    pub(crate) cpu: CpuFeatures,
    pub(crate) sites: Vec<TrapSite>,
    stubs: Vec<TrapStub>,
    /// Offset in the module of the instruction at hand.
    pub(crate) wasm_position: u32,
    pub(crate) positions: Vec<(u32, u32)>,
    /// The flags hold a comparison that is still to be used.
    pub(crate) flags_live: bool,
}

impl Masm {
    pub(crate) fn clear(&mut self) {
        self.e.clear();
        self.sites.clear();
        self.stubs.clear();
        self.positions.clear();
        self.flags_live = false;
    }

    /// Says that the code from here on belongs to the instruction at hand.
    pub(crate) fn mark(&mut self) {
        let here = self.e.position();
        match self.positions.last_mut() {
            Some(last) if last.1 == self.wasm_position => {}
            Some(last) if last.0 == here => last.1 = self.wasm_position,
            _ => self.positions.push((here, self.wasm_position)),
        }
    }

    /// Says that the next instruction may fault.
    pub(crate) fn site(&mut self, trap: Option<Trap>) {
        if let Some(trap) = trap {
            self.mark();
            let offset = self.e.position();
            self.sites.push(TrapSite { offset, trap });
        }
    }

    /// Traps here.
    pub(crate) fn trap(&mut self, trap: Trap) {
        self.site(Some(trap));
        self.e.byte(0x0f);
        self.e.byte(0x0b);
    }

    /// Where to jump to for a trap.
    pub(crate) fn trap_label(&mut self, trap: Trap) -> Label {
        if let Some(stub) = self.stubs.last()
            && stub.trap == trap
            && stub.position == self.wasm_position
        {
            return stub.label;
        }
        let label = self.e.label();
        self.stubs.push(TrapStub {
            label,
            trap,
            position: self.wasm_position,
        });
        label
    }

    pub(crate) fn trap_if(&mut self, cc: Cc, trap: Trap) {
        let label = self.trap_label(trap);
        self.e.jcc(cc, label);
    }

    /// Emits the traps that were jumped to.
    pub(crate) fn emit_stubs(&mut self) {
        for stub in std::mem::take(&mut self.stubs) {
            self.e.bind(stub.label);
            self.wasm_position = stub.position;
            self.trap(stub.trap);
        }
    }

    // Moves.

    /// A constant; zeros above when it is of 32 bits.
    pub(crate) fn imm(&mut self, dst: Reg, value: u64) {
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

    /// `dst = src`, both of one class. A 32-bit integer gets zeros above even
    /// when it stays where it is.
    pub(crate) fn move_reg(&mut self, size: Size, dst: Reg, src: Reg) {
        if dst.is_vector() {
            if dst != src {
                self.vmove(dst, src);
            }
        } else if dst != src || !size.is_64() {
            self.e.op(0x8b, size.is_64(), dst.code(), src);
        }
    }

    /// `dst = src` unless they are one.
    pub(crate) fn copy(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.move_reg(Size::S64, dst, src);
        }
    }

    /// Exchanges two integer registers.
    pub(crate) fn exchange(&mut self, a: Reg, b: Reg) {
        self.e.op(0x87, true, a.code(), b);
    }

    /// Loads an integer, 32 or 64 bits.
    pub(crate) fn load(&mut self, size: Size, dst: Reg, mem: Mem) {
        self.e.op(0x8b, size.is_64(), dst.code(), mem);
    }

    /// Stores an integer.
    pub(crate) fn store(&mut self, size: Size, src: Reg, mem: Mem) {
        match size {
            Size::S8 => self.e.op8(0x88, src, mem),
            Size::S16 => self.e.op(0x66_0089, false, src.code(), mem),
            _ => self.e.op(0x89, size.is_64(), src.code(), mem),
        }
    }

    /// Stores a constant, which fits into 32 bits with sign, or is narrower.
    pub(crate) fn store_imm(&mut self, size: Size, value: i32, mem: Mem) {
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

    /// Loads and extends from `from` to `to`.
    pub(crate) fn load_extended(&mut self, from: Size, signed: bool, to: Size, dst: Reg, mem: Mem) {
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

    /// Extends in registers.
    pub(crate) fn extend(&mut self, from: Size, signed: bool, to: Size, dst: Reg, src: Reg) {
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

    pub(crate) fn lea(&mut self, size: Size, dst: Reg, mem: Mem) {
        self.e.op(0x8d, size.is_64(), dst.code(), mem);
    }

    /// Loads a float of 4 or 8 bytes, or a vector of 16.
    pub(crate) fn load_vector(&mut self, bytes: u32, dst: Reg, mem: Mem) {
        let op = match bytes {
            4 => 0xf3_0110,
            8 => 0xf2_0110,
            _ => 0x0110,
        };
        self.vload(op, dst, mem.into());
    }

    pub(crate) fn store_vector(&mut self, bytes: u32, src: Reg, mem: Mem) {
        let op = match bytes {
            4 => 0xf3_0111,
            8 => 0xf2_0111,
            _ => 0x0111,
        };
        self.vload(op, src, mem.into());
    }

    /// A float or vector constant.
    pub(crate) fn vector_constant(&mut self, dst: Reg, bytes: [u8; 16]) {
        if bytes == [0; 16] {
            self.v3(0x0157, dst, dst, dst.into());
        } else {
            let constant = self.e.constant(bytes);
            self.vload(0x0110, dst, constant.into());
        }
    }

    /// A float from its bits. Uses no other register: arguments and results are
    /// put in place with it.
    pub(crate) fn float_constant(&mut self, wide: bool, dst: Reg, bits: u64) {
        if bits == 0 {
            self.v3(0x0157, dst, dst, dst.into());
        } else {
            let constant = self.e.constant(u128::from(bits).to_le_bytes());
            let op = if wide { 0xf2_0110 } else { 0xf3_0110 };
            self.vload(op, dst, constant.into());
        }
    }

    /// Bits of an integer register as a float.
    pub(crate) fn gpr_to_vector(&mut self, wide: bool, dst: Reg, src: Reg) {
        if self.cpu.avx {
            self.e.vex(0x66_016e, wide, dst, 0, src.into(), Imm::None);
        } else {
            self.e.op(0x66_016e, wide, dst.code(), src);
        }
    }

    /// Bits of a float as an integer.
    pub(crate) fn vector_to_gpr(&mut self, wide: bool, dst: Reg, src: Reg) {
        if self.cpu.avx {
            self.e.vex(0x66_017e, wide, src, 0, dst.into(), Imm::None);
        } else {
            self.e.op(0x66_017e, wide, src.code(), dst);
        }
    }

    // Control.

    pub(crate) fn jump_if(&mut self, condition: Condition, label: Label) {
        match condition {
            Condition::Is(cc) => self.e.jcc(cc, label),
            Condition::FloatEqual => {
                let hop = self.e.hop(Cc::Parity);
                self.e.jcc(Cc::Equal, label);
                self.e.land(hop);
            }
            Condition::FloatNotEqual => {
                self.e.jcc(Cc::Parity, label);
                self.e.jcc(Cc::NotEqual, label);
            }
        }
    }

    /// The condition as a number.
    pub(crate) fn set_if(&mut self, condition: Condition, dst: Reg) {
        match condition {
            Condition::Is(cc) => self.setcc(cc, RAX),
            Condition::FloatEqual => {
                self.setcc(Cc::NotParity, RAX);
                self.setcc(Cc::Equal, RCX);
                self.e.op(0x21, false, RCX.code(), RAX);
            }
            Condition::FloatNotEqual => {
                self.setcc(Cc::Parity, RAX);
                self.setcc(Cc::NotEqual, RCX);
                self.e.op(0x09, false, RCX.code(), RAX);
            }
        }
        self.e.op8(0x01b6, dst, RAX);
    }

    pub(crate) fn setcc(&mut self, cc: Cc, dst: Reg) {
        self.e.op8(0x0190 | cc as u32, Reg::int(0), dst);
    }

    /// `dst = src` when the condition holds.
    pub(crate) fn move_if(&mut self, condition: Condition, size: Size, dst: Reg, src: Reg) {
        let mut one = |cc: Cc| {
            self.e.op(0x0140 | cc as u32, size.is_64(), dst.code(), src);
        };
        match condition {
            Condition::Is(cc) => one(cc),
            Condition::FloatNotEqual => {
                one(Cc::Parity);
                one(Cc::NotEqual);
            }
            // The driver turns the operands around instead.
            Condition::FloatEqual => unreachable!("equality of floats is selected inverted"),
        }
    }

    pub(crate) fn call_mem(&mut self, mem: Mem) {
        self.e.op(0xff, false, 2, mem);
    }

    pub(crate) fn call_reg(&mut self, reg: Reg) {
        self.e.op(0xff, false, 2, reg);
    }

    /// `call` of a function of the batch; returns the offset of the field.
    pub(crate) fn call_direct(&mut self) -> u32 {
        self.e.byte(0xe8);
        let field = self.e.position();
        self.e.code.extend_from_slice(&[0; 4]);
        field
    }

    /// Jumps to what the table names: the selector is in `rax`, in bounds.
    pub(crate) fn jump_table(&mut self, labels: Vec<Label>) {
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

    /// Stores zeros over the `bytes` (a multiple of 4) from `rbp - below` up.
    pub(crate) fn zero_frame(&mut self, below: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        self.v3(0x0157, XMM15, XMM15, XMM15.into());
        let mut left = bytes;
        let mut at = -(below as i32);
        if bytes > 256 {
            let pairs = bytes / 16;
            self.lea(Size::S64, RAX, Mem::at(FRAME, at));
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
            self.store_vector(16, XMM15, Mem::at(FRAME, at));
            at += 16;
            left -= 16;
        }
        if left >= 8 {
            self.store_vector(8, XMM15, Mem::at(FRAME, at));
            at += 8;
            left -= 8;
        }
        if left >= 4 {
            self.store_vector(4, XMM15, Mem::at(FRAME, at));
        }
    }

    // Prologue and epilogues.

    /// What stands before the body: the frame, the check of the stack's depth,
    /// registers that are kept.
    pub(crate) fn prologue(&self, frame: &Frame) -> Prologue {
        let mut masm = Masm {
            cpu: self.cpu,
            ..Masm::default()
        };
        // push rbp; mov rbp, rsp
        masm.e.byte(0x55);
        masm.e.op(0x89, true, RSP.code(), RBP);
        let mut overflow = None;
        if let Some((store_context, limit)) = frame.check {
            masm.load(Size::S64, RAX, Mem::at(RDI, store_context));
            masm.lea(Size::S64, R10, Mem::at(RSP, -(frame.bytes as i32)));
            masm.e.op(0x3b, true, R10.code(), Mem::at(RAX, limit));
            // jae over the trap
            let hop = masm.e.hop(Cc::NotCarry);
            overflow = Some(masm.e.position());
            masm.e.byte(0x0f);
            masm.e.byte(0x0b);
            masm.e.land(hop);
        }
        if frame.bytes > 0 {
            masm.e.op_imm(0x81, true, 5, RSP, Imm::I32(frame.bytes));
        }
        for (i, reg) in crate::reg::each(frame.saved).enumerate() {
            masm.store(Size::S64, reg, Mem::at(FRAME, frame.saved_at(i)));
        }
        if frame.saved & CONTEXT.bit() != 0 {
            masm.copy(CONTEXT, RDI);
        }
        if let Some((definition, base)) = frame.memory {
            match definition {
                Some(pointer) => {
                    masm.load(Size::S64, MEMORY_BASE, Mem::at(RDI, pointer));
                    masm.load(Size::S64, MEMORY_BASE, Mem::at(MEMORY_BASE, base));
                }
                None => masm.load(Size::S64, MEMORY_BASE, Mem::at(RDI, base)),
            }
        }
        Prologue {
            code: masm.e.code,
            overflow,
        }
    }

    /// Gives registers back and takes the frame away.
    fn leave(&mut self, frame: &Frame) {
        for (i, reg) in crate::reg::each(frame.saved).enumerate() {
            self.load(Size::S64, reg, Mem::at(FRAME, frame.saved_at(i)));
        }
        if frame.bytes > 0 {
            self.e.op(0x8b, true, RSP.code(), RBP);
        }
        self.e.byte(0x5d);
    }

    pub(crate) fn epilogue(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.byte(0xc3);
    }

    /// Leaves for the code in `rax`.
    pub(crate) fn tail_to_scratch(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.op(0xff, false, 4, RAX);
    }

    /// Leaves for a function of the batch; returns the offset of the field.
    pub(crate) fn tail_direct(&mut self, frame: &Frame) -> u32 {
        self.leave(frame);
        self.e.byte(0xe9);
        let field = self.e.position();
        self.e.code.extend_from_slice(&[0; 4]);
        field
    }
}

/// What a frame turned out to need.
pub(crate) struct Frame {
    /// Below the saved frame pointer; a multiple of 16.
    pub(crate) bytes: u32,
    /// Callee-saved registers that the body uses.
    pub(crate) saved: u64,
    /// Offsets of the store context in the context and of the limit in that,
    /// when the depth of the stack is checked.
    pub(crate) check: Option<(i32, i32)>,
    /// Where the base of memory 0 is, when it is kept in its register.
    pub(crate) memory: Option<(Option<i32>, i32)>,
}

impl Frame {
    fn saved_at(&self, index: usize) -> i32 {
        8 * index as i32 - self.bytes as i32
    }
}

pub(crate) struct Prologue {
    pub(crate) code: Vec<u8>,
    /// Offset of the trap for a stack that is too deep.
    pub(crate) overflow: Option<u32>,
}
