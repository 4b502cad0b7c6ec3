//! How are instructions of x86-64 encoded? Legacy and VEX forms, labels,
//! constants beside the code.
//!
//! An instruction is put together in registers and appended with one store of
//! sixteen bytes; the buffer is then cut to the instruction's length. Forward
//! jumps hold, until their label is bound, the place of the jump before them to
//! the same label: a label needs no list.

use std::collections::HashMap;

use crate::masm::{IntCc, Label, Mem};
use crate::reg::Reg;

pub(super) const RAX: Reg = Reg::int(0);
pub(super) const RCX: Reg = Reg::int(1);
pub(super) const RDX: Reg = Reg::int(2);
pub(super) const RBX: Reg = Reg::int(3);
pub(super) const RSP: Reg = Reg::int(4);
pub(super) const RBP: Reg = Reg::int(5);
pub(super) const RSI: Reg = Reg::int(6);
pub(super) const RDI: Reg = Reg::int(7);
pub(super) const R8: Reg = Reg::int(8);
pub(super) const R9: Reg = Reg::int(9);
pub(super) const R10: Reg = Reg::int(10);
pub(super) const R11: Reg = Reg::int(11);
pub(super) const R12: Reg = Reg::int(12);
pub(super) const R13: Reg = Reg::int(13);
pub(super) const R14: Reg = Reg::int(14);
pub(super) const R15: Reg = Reg::int(15);
pub(super) const XMM14: Reg = Reg::vector(14);
pub(super) const XMM15: Reg = Reg::vector(15);

/// A constant beside the code, by its offset among the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Constant(u32);

/// An operand of which it is not known by its type which it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rm {
    Reg(Reg),
    Mem(Mem),
    Constant(Constant),
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Rm {
        Rm::Reg(reg)
    }
}

impl From<Mem> for Rm {
    fn from(mem: Mem) -> Rm {
        Rm::Mem(mem)
    }
}

impl From<Constant> for Rm {
    fn from(constant: Constant) -> Rm {
        Rm::Constant(constant)
    }
}

/// A condition, by its number in the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cc {
    Carry = 2,
    NotCarry = 3,
    Equal = 4,
    NotEqual = 5,
    BelowEqual = 6,
    Above = 7,
    Sign = 8,
    Parity = 10,
    NotParity = 11,
    Less = 12,
    GreaterEqual = 13,
    LessEqual = 14,
    Greater = 15,
}

impl From<IntCc> for Cc {
    #[inline(always)]
    fn from(cc: IntCc) -> Cc {
        match cc {
            IntCc::Equal => Cc::Equal,
            IntCc::NotEqual => Cc::NotEqual,
            IntCc::Below => Cc::Carry,
            IntCc::AboveEqual => Cc::NotCarry,
            IntCc::BelowEqual => Cc::BelowEqual,
            IntCc::Above => Cc::Above,
            IntCc::Less => Cc::Less,
            IntCc::GreaterEqual => Cc::GreaterEqual,
            IntCc::LessEqual => Cc::LessEqual,
            IntCc::Greater => Cc::Greater,
        }
    }
}

/// An immediate operand at the end of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Imm {
    None,
    I8(u8),
    I16(u16),
    I32(u32),
}

/// An instruction while it is put together, in two registers: what comes before
/// the distance, at most seven bytes, then distance and immediate, at most
/// eight. Lengths are in bits.
#[derive(Default)]
pub(super) struct Bytes {
    head: u64,
    head_bits: u32,
    tail: u64,
    tail_bits: u32,
}

impl Bytes {
    #[inline(always)]
    fn put(&mut self, byte: u8) {
        self.head |= u64::from(byte) << self.head_bits;
        self.head_bits += 8;
    }

    /// Appends to the distance and immediate; above its `bits` the value is
    /// zero.
    #[inline(always)]
    fn put_tail(&mut self, value: u64, bits: u32) {
        self.tail |= value << self.tail_bits;
        self.tail_bits += bits;
    }
}

/// A register or memory operand. It is known by its type which, so that the encoding of
/// each takes a few instructions.
pub(super) trait Operand: Copy {
    /// The fourth bits of index and base.
    fn extension(self) -> (u8, u8);

    /// Whether it is a register whose low byte has a name only with a prefix.
    fn is_prefixed_byte(self) -> bool {
        false
    }

    /// The bytes of an instruction without prefix, in a word, and how many they are, if
    /// eight are enough. What lies above them means nothing.
    fn word(self, _op: Op, _wide: bool, _reg: u8) -> Option<(u64, u32)> {
        None
    }

    /// Puts the byte that selects operands, which has `reg` in it, and what belongs to
    /// it. An immediate of so many bytes follows.
    fn put(self, emitter: &mut Emitter, out: &mut Bytes, reg: u8, immediate: u32);
}

/// An instruction whose operands take so many bytes, in a word; `rm` is the register that
/// the operand names, or the base.
#[inline(always)]
fn word(op: Op, wide: bool, reg: u8, rm: u8, operands: u64, bytes: u32) -> Option<(u64, u32)> {
    let opcode = u64::from(op & 0xff);
    let (word, bytes) = match op >> 8 {
        0 => (opcode | operands << 8, 1 + bytes),
        1 => (0x0f | opcode << 8 | operands << 16, 2 + bytes),
        _ => return None,
    };
    let rex = (u8::from(wide) << 3) | ((reg >> 3) << 2) | (rm >> 3);
    if rex == 0 {
        Some((word, bytes))
    } else {
        Some((u64::from(0x40 | rex) | word << 8, 1 + bytes))
    }
}

impl Operand for Reg {
    #[inline(always)]
    fn extension(self) -> (u8, u8) {
        (0, self.code() >> 3)
    }

    #[inline(always)]
    fn is_prefixed_byte(self) -> bool {
        self.code() >= 4
    }

    #[inline(always)]
    fn word(self, op: Op, wide: bool, reg: u8) -> Option<(u64, u32)> {
        let operands = 0xc0 | (reg & 7) << 3 | (self.code() & 7);
        word(op, wide, reg, self.code(), operands.into(), 1)
    }

    #[inline(always)]
    fn put(self, _: &mut Emitter, out: &mut Bytes, reg: u8, _: u32) {
        out.put(0xc0 | reg | (self.code() & 7));
    }
}

/// How an address says what its distance is: the mode, and how many bytes it takes.
#[inline(always)]
fn distance(mem: Mem) -> (u8, u32) {
    // rbp and r13 as bases have no form without a distance.
    if mem.disp == 0 && mem.base.code() & 7 != 5 {
        (0x00, 0)
    } else if mem.disp as i8 as i32 == mem.disp {
        (0x40, 1)
    } else {
        (0x80, 4)
    }
}

impl Operand for Mem {
    #[inline(always)]
    fn extension(self) -> (u8, u8) {
        (
            self.index.map_or(0, |index| index.code() >> 3),
            self.base.code() >> 3,
        )
    }

    #[inline(always)]
    fn word(self, op: Op, wide: bool, reg: u8) -> Option<(u64, u32)> {
        let base = self.base.code();
        if self.index.is_some() || base & 7 == 4 {
            return None;
        }
        let (mode, bytes) = distance(self);
        let operands = u64::from(mode | (reg & 7) << 3 | (base & 7));
        let distance = u64::from(self.disp as u32) << 8;
        word(op, wide, reg, base, operands | distance, 1 + bytes)
    }

    #[inline(always)]
    fn put(self, _: &mut Emitter, out: &mut Bytes, reg: u8, _: u32) {
        let base = self.base.code() & 7;
        let (mode, bytes) = distance(self);
        match self.index {
            // rsp and r12 as bases need the byte of an index.
            None if base != 4 => out.put(mode | reg | base),
            None => {
                out.put(mode | reg | 4);
                out.put(0x20 | base);
            }
            Some(index) => {
                out.put(mode | reg | 4);
                out.put((self.scale << 6) | ((index.code() & 7) << 3) | base);
            }
        }
        let bits = 8 * bytes;
        out.put_tail(u64::from(self.disp as u32) & ((1 << bits) - 1), bits);
    }
}

impl Operand for Constant {
    #[inline(always)]
    fn extension(self) -> (u8, u8) {
        (0, 0)
    }

    #[inline(always)]
    fn put(self, emitter: &mut Emitter, out: &mut Bytes, reg: u8, immediate: u32) {
        out.put(reg | 5);
        emitter.fixups.push(ConstantFixup {
            field: emitter.position() + out.head_bits / 8,
            tail: 4 + immediate as u8,
            constant: self,
        });
        out.put_tail(0, 32);
    }
}

impl Operand for Rm {
    #[inline(always)]
    fn extension(self) -> (u8, u8) {
        match self {
            Rm::Reg(reg) => reg.extension(),
            Rm::Mem(mem) => mem.extension(),
            Rm::Constant(constant) => constant.extension(),
        }
    }

    #[inline(always)]
    fn is_prefixed_byte(self) -> bool {
        matches!(self, Rm::Reg(reg) if reg.is_prefixed_byte())
    }

    #[inline(always)]
    fn put(self, emitter: &mut Emitter, out: &mut Bytes, reg: u8, immediate: u32) {
        match self {
            Rm::Reg(operand) => operand.put(emitter, out, reg, immediate),
            Rm::Mem(operand) => operand.put(emitter, out, reg, immediate),
            Rm::Constant(operand) => operand.put(emitter, out, reg, immediate),
        }
    }
}

const UNBOUND: u32 = 1 << 31;
const END: u32 = UNBOUND - 1;

struct ConstantFixup {
    /// Where the distance is.
    field: u32,
    /// Bytes from the field to the end of the instruction.
    tail: u8,
    constant: Constant,
}

/// A buffer of code.
#[derive(Default)]
pub(super) struct Emitter {
    pub(super) code: Vec<u8>,
    /// A position, or the last jump to it with [`UNBOUND`] set.
    labels: Vec<u32>,
    constants: Vec<u8>,
    known: HashMap<[u8; 16], Constant>,
    fixups: Vec<ConstantFixup>,
    /// Jump tables: the offset among the constants, then the labels.
    tables: Vec<(u32, Vec<Label>)>,
}

/// An opcode: prefix (0, 66, F2, F3), map (0: one byte, 1: 0F, 2: 0F38, 3: 0F3A),
/// byte, from high to low.
pub(super) type Op = u32;

impl Emitter {
    pub(super) fn clear(&mut self) {
        self.code.clear();
        self.labels.clear();
        self.constants.clear();
        self.known.clear();
        self.fixups.clear();
        self.tables.clear();
    }

    pub(super) fn position(&self) -> u32 {
        self.code.len() as u32
    }

    #[inline(always)]
    fn append(&mut self, bytes: &Bytes) {
        let len = self.code.len() + (bytes.head_bits + bytes.tail_bits) as usize / 8;
        let all = u128::from(bytes.head) | u128::from(bytes.tail) << bytes.head_bits;
        self.code.extend_from_slice(&all.to_le_bytes());
        self.code.truncate(len);
    }

    /// Appends the lowest bytes of a word.
    #[inline(always)]
    fn append_word(&mut self, word: u64, bytes: u32) {
        let len = self.code.len() + bytes as usize;
        self.code.extend_from_slice(&word.to_le_bytes());
        self.code.truncate(len);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.code.push(byte);
    }

    /// The operand part: what selects registers and memory, and immediates.
    #[inline(always)]
    fn operands(&mut self, out: &mut Bytes, reg: u8, rm: impl Operand, imm: Imm) {
        let (value, bytes) = match imm {
            Imm::None => (0, 0),
            Imm::I8(imm) => (imm.into(), 1),
            Imm::I16(imm) => (imm.into(), 2),
            Imm::I32(imm) => (imm, 4),
        };
        rm.put(self, out, (reg & 7) << 3, bytes);
        out.put_tail(value.into(), 8 * bytes);
    }

    /// An instruction in the legacy encoding. `force` asks for a REX prefix, for
    /// byte registers.
    #[inline(always)]
    fn legacy(&mut self, op: Op, wide: bool, force: bool, reg: u8, rm: impl Operand, imm: Imm) {
        let mut out = Bytes::default();
        let prefix = (op >> 16) as u8;
        if prefix != 0 {
            out.put(prefix);
        }
        let (x, b) = rm.extension();
        let rex = (u8::from(wide) << 3) | ((reg >> 3) << 2) | (x << 1) | b;
        if rex != 0 || force {
            out.put(0x40 | rex);
        }
        match (op >> 8) as u8 {
            0 => {}
            1 => out.put(0x0f),
            2 => {
                out.put(0x0f);
                out.put(0x38);
            }
            _ => {
                out.put(0x0f);
                out.put(0x3a);
            }
        }
        out.put(op as u8);
        self.operands(&mut out, reg, rm, imm);
        self.append(&out);
    }

    /// An instruction of 32 or 64 bits; `reg` may be an opcode extension.
    #[inline]
    pub(super) fn op(&mut self, op: Op, wide: bool, reg: u8, rm: impl Operand) {
        match rm.word(op, wide, reg) {
            Some((word, bytes)) => self.append_word(word, bytes),
            None => self.legacy(op, wide, false, reg, rm, Imm::None),
        }
    }

    /// The same with an immediate.
    #[inline]
    pub(super) fn op_imm(&mut self, op: Op, wide: bool, reg: u8, rm: impl Operand, imm: Imm) {
        self.legacy(op, wide, false, reg, rm, imm);
    }

    /// An instruction on byte registers.
    #[inline]
    pub(super) fn op8(&mut self, op: Op, reg: Reg, rm: impl Operand) {
        let force = reg.code() >= 4 || rm.is_prefixed_byte();
        self.legacy(op, false, force, reg.code(), rm, Imm::None);
    }

    /// An instruction in the VEX encoding, 128 bits.
    #[inline]
    pub(super) fn vex(&mut self, op: Op, wide: bool, reg: Reg, second: u8, rm: Rm, imm: Imm) {
        let mut out = Bytes::default();
        let pp = match (op >> 16) as u8 {
            0 => 0,
            0x66 => 1,
            0xf3 => 2,
            _ => 3,
        };
        let map = (op >> 8) as u8;
        let (x, b) = rm.extension();
        let r = reg.code() >> 3;
        let last = ((!second & 15) << 3) | pp;
        if map == 1 && !wide && x == 0 && b == 0 {
            out.put(0xc5);
            out.put(((r ^ 1) << 7) | last);
        } else {
            out.put(0xc4);
            out.put(((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | map);
            out.put((u8::from(wide) << 7) | last);
        }
        out.put(op as u8);
        self.operands(&mut out, reg.code(), rm, imm);
        self.append(&out);
    }

    /// `mov reg, imm64`.
    pub(super) fn mov_imm64(&mut self, reg: Reg, value: u64) {
        let mut out = Bytes::default();
        out.put(0x48 | (reg.code() >> 3));
        out.put(0xb8 | (reg.code() & 7));
        out.put_tail(value, 64);
        self.append(&out);
    }

    /// `mov reg, imm32`, zero-extended.
    pub(super) fn mov_imm32(&mut self, reg: Reg, value: u32) {
        let mut out = Bytes::default();
        if reg.code() >= 8 {
            out.put(0x41);
        }
        out.put(0xb8 | (reg.code() & 7));
        out.put_tail(value.into(), 32);
        self.append(&out);
    }

    // Labels.

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND | END);
        Label(self.labels.len() as u32 - 1)
    }

    pub(super) fn bind(&mut self, label: Label) {
        let here = self.position();
        let mut at = self.labels[label.0 as usize];
        debug_assert!(at & UNBOUND != 0, "a label is bound once");
        at &= !UNBOUND;
        while at != END {
            let field = at as usize;
            let bytes = &mut self.code[field..field + 4];
            let next = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes.copy_from_slice(&here.wrapping_sub(at + 4).to_le_bytes());
            at = next;
        }
        self.labels[label.0 as usize] = here;
    }

    fn target(&mut self, label: Label) {
        let field = self.position();
        let entry = &mut self.labels[label.0 as usize];
        let word = if *entry & UNBOUND == 0 {
            entry.wrapping_sub(field + 4)
        } else {
            let previous = *entry & !UNBOUND;
            *entry = UNBOUND | field;
            previous
        };
        self.code.extend_from_slice(&word.to_le_bytes());
    }

    /// The distance of a jump back that fits into a byte.
    fn short(&self, label: Label) -> Option<u8> {
        let position = self.labels[label.0 as usize];
        if position & UNBOUND != 0 {
            return None;
        }
        let distance = i64::from(position) - (i64::from(self.position()) + 2);
        i8::try_from(distance).ok().map(|distance| distance as u8)
    }

    pub(super) fn jmp(&mut self, label: Label) {
        if let Some(distance) = self.short(label) {
            self.code.extend_from_slice(&[0xeb, distance]);
            return;
        }
        self.code.push(0xe9);
        self.target(label);
    }

    pub(super) fn jcc(&mut self, cc: Cc, label: Label) {
        if let Some(distance) = self.short(label) {
            self.code.extend_from_slice(&[0x70 | cc as u8, distance]);
            return;
        }
        self.code.extend_from_slice(&[0x0f, 0x80 | cc as u8]);
        self.target(label);
    }

    /// A jump over a few instructions; see [`Emitter::land`].
    pub(super) fn hop(&mut self, cc: Cc) -> u32 {
        self.code.extend_from_slice(&[0x70 | cc as u8, 0]);
        self.position()
    }

    /// The same without condition.
    pub(super) fn hop_always(&mut self) -> u32 {
        self.code.extend_from_slice(&[0xeb, 0]);
        self.position()
    }

    /// Where a [`hop`](Emitter::hop) leads: at most 127 bytes on.
    pub(super) fn land(&mut self, hop: u32) {
        let distance = self.position() - hop;
        assert!(distance < 128, "a short jump is too long");
        self.code[hop as usize - 1] = distance as u8;
    }

    // Constants.

    /// Sixteen bytes beside the code, aligned.
    pub(super) fn constant(&mut self, bytes: [u8; 16]) -> Constant {
        if let Some(constant) = self.known.get(&bytes) {
            return *constant;
        }
        while !self.constants.len().is_multiple_of(16) {
            self.constants.push(0);
        }
        let constant = Constant(self.constants.len() as u32);
        self.constants.extend_from_slice(&bytes);
        self.known.insert(bytes, constant);
        constant
    }

    /// A table of distances from its own start to the labels.
    pub(super) fn table(&mut self, labels: Vec<Label>) -> Constant {
        let at = self.constants.len() as u32;
        self.constants
            .resize(self.constants.len() + 4 * labels.len(), 0);
        self.tables.push((at, labels));
        Constant(at)
    }

    /// The code with `prologue` in front and the constants behind it.
    pub(super) fn finish(&mut self, prologue: &[u8]) -> Vec<u8> {
        let total = prologue.len() + self.code.len();
        let start = if self.constants.is_empty() {
            total
        } else {
            total.next_multiple_of(16)
        };
        // Offset of the constants in the body.
        let base = start - prologue.len();
        for fixup in &self.fixups {
            let field = fixup.field as usize;
            let distance =
                (base + fixup.constant.0 as usize) as u32 - (fixup.field + u32::from(fixup.tail));
            self.code[field..field + 4].copy_from_slice(&distance.to_le_bytes());
        }
        for (at, labels) in &self.tables {
            let table = base as u32 + at;
            for (i, label) in labels.iter().enumerate() {
                let distance = self.labels[label.0 as usize].wrapping_sub(table);
                let field = *at as usize + 4 * i;
                self.constants[field..field + 4].copy_from_slice(&distance.to_le_bytes());
            }
        }
        let mut code = Vec::with_capacity(start + self.constants.len());
        code.extend_from_slice(prologue);
        code.extend_from_slice(&self.code);
        code.resize(start, 0xcc);
        code.extend_from_slice(&self.constants);
        code
    }
}
