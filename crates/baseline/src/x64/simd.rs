//! Vectors: the operations of `v128`, on SSE2 alone and with its successors.
//!
//! The driver gives complex operations a result register that is none of their
//! operands; `xmm14` and `xmm15` are free besides. Sequences that need nothing
//! beyond SSE2 and are as short as others are used everywhere.
//!
//! Where relaxed instructions leave a choice, the result is that of the
//! deterministic profile, as in every tier.

use super::Masm;
use super::emit::*;
use super::scalar::rounding;
use crate::masm::{
    Assembler, Binary, Condition, IntCc, Lanes, Mem, Numbers, Rounding, Size, Src, Unary,
    VectorShift, Vectors,
};
use crate::reg::Reg;

const PAND: Op = 0x66_01db;
const PANDN: Op = 0x66_01df;
const POR: Op = 0x66_01eb;
const PXOR: Op = 0x66_01ef;
const PADDB: Op = 0x66_01fc;
const PADDW: Op = 0x66_01fd;
const PADDD: Op = 0x66_01fe;
const PADDQ: Op = 0x66_01d4;
const PSUBB: Op = 0x66_01f8;
const PSUBW: Op = 0x66_01f9;
const PSUBD: Op = 0x66_01fa;
const PSUBQ: Op = 0x66_01fb;
const PMULLW: Op = 0x66_01d5;
const PMULHW: Op = 0x66_01e5;
const PMULHUW: Op = 0x66_01e4;
const PMULUDQ: Op = 0x66_01f4;
const PMADDWD: Op = 0x66_01f5;
const PCMPEQB: Op = 0x66_0174;
const PCMPEQW: Op = 0x66_0175;
const PCMPEQD: Op = 0x66_0176;
const PCMPGTB: Op = 0x66_0164;
const PCMPGTW: Op = 0x66_0165;
const PCMPGTD: Op = 0x66_0166;
const PUNPCKLBW: Op = 0x66_0160;
const PUNPCKLWD: Op = 0x66_0161;
const PUNPCKLDQ: Op = 0x66_0162;
const PUNPCKLQDQ: Op = 0x66_016c;
const PUNPCKHBW: Op = 0x66_0168;
const PUNPCKHWD: Op = 0x66_0169;
const PUNPCKHDQ: Op = 0x66_016a;
const PACKSSWB: Op = 0x66_0163;
const PACKUSWB: Op = 0x66_0167;
const PACKSSDW: Op = 0x66_016b;
const PSHUFB: Op = 0x66_0200;
const PSHUFD: Op = 0x66_0170;
const PSHUFLW: Op = 0xf2_0170;
const PMOVMSKB: Op = 0x66_01d7;

/// Prefix of packed floats.
const fn packed(double: bool) -> u32 {
    if double { 0x66_0000 } else { 0 }
}

const fn bytes32(word: u32) -> [u8; 16] {
    let b = word.to_le_bytes();
    [
        b[0], b[1], b[2], b[3], b[0], b[1], b[2], b[3], b[0], b[1], b[2], b[3], b[0], b[1], b[2],
        b[3],
    ]
}

const fn bytes64(word: u64) -> [u8; 16] {
    let word = word as u128;
    (word << 64 | word).to_le_bytes()
}

impl Masm {
    // Forms.

    /// `dst = a op b`, in three operands or two.
    pub(super) fn v3(&mut self, op: Op, dst: Reg, a: Reg, b: Rm) {
        if self.cpu.avx {
            return self.e.vex(op, false, dst, a.code(), b, Imm::None);
        }
        self.v3_prepare(dst, a, b, |masm, b| {
            masm.e.op(op, false, dst.code(), b);
        });
    }

    /// The same with an immediate.
    fn v3_imm(&mut self, op: Op, dst: Reg, a: Reg, b: Rm, imm: u8) {
        if self.cpu.avx {
            return self.e.vex(op, false, dst, a.code(), b, Imm::I8(imm));
        }
        self.v3_prepare(dst, a, b, |masm, b| {
            masm.e.op_imm(op, false, dst.code(), b, Imm::I8(imm));
        });
    }

    fn v3_prepare(&mut self, dst: Reg, a: Reg, b: Rm, emit: impl FnOnce(&mut Masm, Rm)) {
        let mut b = b;
        if dst != a {
            if let Rm::Reg(reg) = b
                && reg == dst
            {
                // Sequences never have both scratch registers as operands here.
                let spare = if a == XMM15 || dst == XMM15 {
                    XMM14
                } else {
                    XMM15
                };
                self.vmove(spare, reg);
                b = Rm::Reg(spare);
            }
            self.vmove(dst, a);
        }
        emit(self, b);
    }

    /// An instruction of one vector and one register or memory operand.
    pub(super) fn vload(&mut self, op: Op, reg: Reg, rm: Rm) {
        if self.cpu.avx {
            self.e.vex(op, false, reg, 0, rm, Imm::None);
        } else {
            self.e.op(op, false, reg.code(), rm);
        }
    }

    fn vload_imm(&mut self, op: Op, reg: Reg, rm: Rm, imm: u8) {
        if self.cpu.avx {
            self.e.vex(op, false, reg, 0, rm, Imm::I8(imm));
        } else {
            self.e.op_imm(op, false, reg.code(), rm, Imm::I8(imm));
        }
    }

    pub(super) fn vmove(&mut self, dst: Reg, src: Reg) {
        self.vload(0x0128, dst, src.into());
    }

    fn vzero(&mut self, dst: Reg) {
        self.v3(PXOR, dst, dst, dst.into());
    }

    fn vones(&mut self, dst: Reg) {
        self.v3(PCMPEQD, dst, dst, dst.into());
    }

    fn vconst(&mut self, bytes: [u8; 16]) -> Rm {
        self.e.constant(bytes).into()
    }

    /// Shifts lanes by a constant: `w`, `d`, `q` of 0x71, 0x72, 0x73.
    fn vshift_imm(&mut self, group: u8, code: u8, dst: Reg, a: Reg, by: u8) {
        let op = 0x66_0100 | u32::from(group);
        if self.cpu.avx {
            self.e.vex(
                op,
                false,
                Reg::vector(code),
                dst.code(),
                a.into(),
                Imm::I8(by),
            );
        } else {
            if dst != a {
                self.vmove(dst, a);
            }
            self.e.op_imm(op, false, code, dst, Imm::I8(by));
        }
    }

    fn vshl(&mut self, group: u8, dst: Reg, a: Reg, by: u8) {
        self.vshift_imm(group, 6, dst, a, by);
    }

    fn vshr(&mut self, group: u8, dst: Reg, a: Reg, by: u8) {
        self.vshift_imm(group, 2, dst, a, by);
    }

    fn vsar(&mut self, group: u8, dst: Reg, a: Reg, by: u8) {
        self.vshift_imm(group, 4, dst, a, by);
    }

    fn shuffle_words(&mut self, dst: Reg, a: Reg, order: u8) {
        self.vload_imm(PSHUFD, dst, a.into(), order);
    }

    fn scalar_truncate(&mut self, dst: Reg, src: Reg) {
        if self.cpu.avx {
            self.e.vex(0xf2_012c, true, dst, 0, src.into(), Imm::None);
        } else {
            self.e.op(0xf2_012c, true, dst.code(), src);
        }
    }

    fn vabs(&mut self, gt: Op, sub: Op, dst: Reg, a: Reg) {
        self.vzero(XMM15);
        self.v3(gt, XMM15, XMM15, a.into());
        self.v3(PXOR, dst, a, XMM15.into());
        self.v3(sub, dst, dst, XMM15.into());
    }

    fn vneg(&mut self, sub: Op, dst: Reg, a: Reg) {
        self.vzero(XMM15);
        self.v3(sub, dst, XMM15, a.into());
    }

    /// Widens half of the lanes of `bits`; `dst` may be a scratch register.
    fn widen(&mut self, bits: u32, signed: bool, high: bool, dst: Reg, a: Reg) {
        let spare = if dst == XMM15 { XMM14 } else { XMM15 };
        let op = match (bits, high) {
            (8, false) => PUNPCKLBW,
            (8, true) => PUNPCKHBW,
            (16, false) => PUNPCKLWD,
            (16, true) => PUNPCKHWD,
            (_, false) => PUNPCKLDQ,
            (_, true) => PUNPCKHDQ,
        };
        match (bits, signed) {
            (_, false) => {
                self.vzero(spare);
                self.v3(op, dst, a, spare.into());
            }
            (8, true) => {
                self.v3(op, dst, a, a.into());
                self.vsar(0x71, dst, dst, 8);
            }
            (16, true) => {
                self.v3(op, dst, a, a.into());
                self.vsar(0x72, dst, dst, 16);
            }
            (_, true) => {
                self.vsar(0x72, spare, a, 31);
                self.v3(op, dst, a, spare.into());
            }
        }
    }

    /// `dst` where the mask in `xmm15` has ones, `b` elsewhere.
    fn blend(&mut self, dst: Reg, b: Reg) {
        self.v3(PAND, dst, dst, XMM15.into());
        self.v3(PANDN, XMM15, XMM15, b.into());
        self.v3(POR, dst, dst, XMM15.into());
    }

    /// The lesser or greater lanes, by comparison.
    fn choose(&mut self, gt: Op, sign: Option<[u8; 16]>, least: bool, dst: Reg, a: Reg, b: Reg) {
        match sign {
            Some(sign) => {
                let sign = self.vconst(sign);
                self.vload(0x0128, XMM14, sign);
                self.v3(PXOR, XMM15, a, XMM14.into());
                self.v3(PXOR, XMM14, XMM14, b.into());
                self.v3(gt, XMM15, XMM15, XMM14.into());
            }
            None => self.v3(gt, XMM15, a, b.into()),
        }
        let (first, second) = if least { (b, a) } else { (a, b) };
        self.vmove(dst, first);
        self.blend(dst, second);
    }

    fn invert(&mut self, dst: Reg) {
        self.vones(XMM15);
        self.v3(PXOR, dst, dst, XMM15.into());
    }

    /// Greater, unsigned: with the sign bits turned.
    fn greater_unsigned(&mut self, gt: Op, sign: [u8; 16], dst: Reg, a: Reg, b: Reg) {
        let sign = self.vconst(sign);
        self.vload(0x0128, XMM15, sign);
        self.v3(PXOR, dst, a, XMM15.into());
        self.v3(PXOR, XMM15, XMM15, b.into());
        self.v3(gt, dst, dst, XMM15.into());
    }

    fn equal64(&mut self, dst: Reg, a: Reg, b: Reg) {
        if self.cpu.sse41 {
            return self.v3(0x66_0229, dst, a, b.into());
        }
        self.v3(PCMPEQD, dst, a, b.into());
        self.shuffle_words(XMM15, dst, 0xb1);
        self.v3(PAND, dst, dst, XMM15.into());
    }

    fn greater64(&mut self, dst: Reg, a: Reg, b: Reg) {
        if self.cpu.sse42 {
            return self.v3(0x66_0237, dst, a, b.into());
        }
        // By the upper halves; where they are equal, by the borrow below.
        self.v3(PSUBQ, XMM15, b, a.into());
        self.v3(PCMPEQD, XMM14, a, b.into());
        self.v3(PAND, XMM15, XMM15, XMM14.into());
        self.v3(PCMPGTD, XMM14, a, b.into());
        self.v3(POR, XMM15, XMM15, XMM14.into());
        self.vsar(0x72, XMM15, XMM15, 31);
        self.shuffle_words(dst, XMM15, 0xf5);
    }

    /// 32-bit lanes clamped to 0 … 65535, as the low halves with sign.
    fn clamp16(&mut self, dst: Reg, a: Reg) {
        let greatest = self.vconst(bytes32(0xffff));
        self.vsar(0x72, XMM14, a, 31);
        self.v3(PANDN, dst, XMM14, a.into());
        self.vmove(XMM14, dst);
        self.v3(PCMPGTD, XMM14, XMM14, greatest);
        self.v3(POR, dst, dst, XMM14.into());
        self.vshl(0x72, dst, dst, 16);
        self.vsar(0x72, dst, dst, 16);
    }

    fn extmul8(&mut self, signed: bool, high: bool, dst: Reg, a: Reg, b: Reg) {
        self.widen(8, signed, high, dst, a);
        self.widen(8, signed, high, XMM15, b);
        self.v3(PMULLW, dst, dst, XMM15.into());
    }

    fn extmul16(&mut self, high_product: Op, unpack: Op, dst: Reg, a: Reg, b: Reg) {
        self.v3(PMULLW, dst, a, b.into());
        self.v3(high_product, XMM15, a, b.into());
        self.v3(unpack, dst, dst, XMM15.into());
    }

    fn extmul32(&mut self, signed: bool, order: u8, dst: Reg, a: Reg, b: Reg) {
        self.shuffle_words(dst, a, order);
        self.shuffle_words(XMM15, b, order);
        if signed && self.cpu.sse41 {
            return self.v3(0x66_0228, dst, dst, XMM15.into());
        }
        if signed {
            // Unsigned products count a negative factor 2^32 times too much.
            self.vsar(0x72, XMM14, dst, 31);
            self.v3(PAND, XMM14, XMM14, XMM15.into());
            self.e.op_imm(0x83, true, 5, RSP, Imm::I8(16));
            self.store_vector(16, XMM14, Mem::at(RSP, 0));
            self.vsar(0x72, XMM14, XMM15, 31);
            self.v3(PAND, XMM14, XMM14, dst.into());
            self.v3(PMULUDQ, dst, dst, XMM15.into());
            self.load_vector(16, XMM15, Mem::at(RSP, 0));
            self.e.op_imm(0x83, true, 0, RSP, Imm::I8(16));
            self.v3(PADDD, XMM14, XMM14, XMM15.into());
            self.vshl(0x73, XMM14, XMM14, 32);
            self.v3(PSUBQ, dst, dst, XMM14.into());
            return;
        }
        self.v3(PMULUDQ, dst, dst, XMM15.into());
    }

    fn vector_min(&mut self, double: bool, dst: Reg, a: Reg, b: Reg) {
        let p = packed(double);
        self.v3(p | 0x015d, XMM15, a, b.into());
        self.v3(p | 0x015d, dst, b, a.into());
        self.v3(p | 0x0156, XMM15, XMM15, dst.into());
        self.v3_imm(p | 0x01c2, dst, dst, XMM15.into(), 3);
        self.v3(p | 0x0156, XMM15, XMM15, dst.into());
        self.quiet(double, dst);
    }

    fn vector_max(&mut self, double: bool, dst: Reg, a: Reg, b: Reg) {
        let p = packed(double);
        self.v3(p | 0x015f, XMM15, b, a.into());
        self.v3(p | 0x015f, dst, a, b.into());
        self.v3(p | 0x0157, dst, dst, XMM15.into());
        self.v3(p | 0x0156, XMM15, XMM15, dst.into());
        self.v3(p | 0x015c, XMM15, XMM15, dst.into());
        self.v3_imm(p | 0x01c2, dst, dst, XMM15.into(), 3);
        self.quiet(double, dst);
    }

    /// `xmm15` with the payloads cut off where the mask in `dst` says NaN.
    fn quiet(&mut self, double: bool, dst: Reg) {
        if double {
            self.vshr(0x73, dst, dst, 13);
        } else {
            self.vshr(0x72, dst, dst, 10);
        }
        self.v3(packed(double) | 0x0155, dst, dst, XMM15.into());
    }

    // Bytes.

    fn swizzle(&mut self, dst: Reg, a: Reg, indices: Reg) {
        if self.cpu.ssse3 {
            let bias = self.vconst([0x70; 16]);
            self.v3(0x66_01dc, XMM15, indices, bias);
            self.v3(PSHUFB, dst, a, XMM15.into());
            return;
        }
        self.e.op_imm(0x83, true, 5, RSP, Imm::I8(32));
        self.store_vector(16, a, Mem::at(RSP, 0));
        self.store_vector(16, indices, Mem::at(RSP, 16));
        for lane in 0..16 {
            let at = Mem::at(RSP, 16 + lane);
            self.e.op(0x01b6, false, RAX.code(), at);
            self.e.op(0x31, false, RCX.code(), RCX);
            self.e.op_imm(0x83, false, 7, RAX, Imm::I8(16));
            let hop = self.e.hop(Cc::NotCarry);
            let from = Mem {
                base: RSP,
                index: Some(RAX),
                scale: 0,
                disp: 0,
            };
            self.e.op(0x01b6, false, RCX.code(), from);
            self.e.land(hop);
            self.e.op8(0x88, RCX, at);
        }
        self.load_vector(16, dst, Mem::at(RSP, 16));
        self.e.op_imm(0x83, true, 0, RSP, Imm::I8(32));
    }

    fn extract_word(&mut self, lane: u8, dst: Reg, a: Reg) {
        self.vload_imm(0x66_01c5, dst, a.into(), lane);
    }

    fn insert_word(&mut self, lane: u8, dst: Reg, src: Reg) {
        self.v3_imm(0x66_01c4, dst, dst, src.into(), lane);
    }
}

impl Vectors for Masm {
    fn vector_constant(&mut self, dst: Reg, bytes: [u8; 16]) {
        if bytes == [0; 16] {
            self.v3(0x0157, dst, dst, dst.into());
        } else {
            let constant = self.e.constant(bytes);
            self.vload(0x0110, dst, constant.into());
        }
    }

    fn is_simple(&self, op: Binary) -> bool {
        use Binary::*;
        matches!(
            op,
            And | Or
                | Xor
                | Add8
                | Sub8
                | Add16
                | Sub16
                | Mul16
                | Add32
                | Sub32
                | Add64
                | Sub64
                | FAdd32
                | FSub32
                | FMul32
                | FDiv32
                | FAdd64
                | FSub64
                | FMul64
                | FDiv64
        )
    }

    fn vector_unary(&mut self, op: Unary, dst: Reg, a: Reg) {
        use Unary::*;
        match op {
            Not => {
                self.vones(XMM15);
                self.v3(PXOR, dst, a, XMM15.into());
            }
            Abs8 => self.vabs(PCMPGTB, PSUBB, dst, a),
            Abs16 => self.vabs(PCMPGTW, PSUBW, dst, a),
            Abs32 => self.vabs(PCMPGTD, PSUBD, dst, a),
            Abs64 => {
                self.vsar(0x72, XMM15, a, 31);
                self.shuffle_words(XMM15, XMM15, 0xf5);
                self.v3(PXOR, dst, a, XMM15.into());
                self.v3(PSUBQ, dst, dst, XMM15.into());
            }
            Neg8 => self.vneg(PSUBB, dst, a),
            Neg16 => self.vneg(PSUBW, dst, a),
            Neg32 => self.vneg(PSUBD, dst, a),
            Neg64 => self.vneg(PSUBQ, dst, a),
            Popcnt => {
                let fives = self.vconst([0x55; 16]);
                let threes = self.vconst([0x33; 16]);
                let low = self.vconst([0x0f; 16]);
                self.vshr(0x71, XMM15, a, 1);
                self.v3(PAND, XMM15, XMM15, fives);
                self.v3(PSUBB, dst, a, XMM15.into());
                self.vshr(0x71, XMM15, dst, 2);
                self.v3(PAND, XMM15, XMM15, threes);
                self.v3(PAND, dst, dst, threes);
                self.v3(PADDB, dst, dst, XMM15.into());
                self.vshr(0x71, XMM15, dst, 4);
                self.v3(PADDB, dst, dst, XMM15.into());
                self.v3(PAND, dst, dst, low);
            }
            FAbs32 => self.float_abs(false, dst, a),
            FAbs64 => self.float_abs(true, dst, a),
            FNeg32 => self.float_neg(false, dst, a),
            FNeg64 => self.float_neg(true, dst, a),
            Sqrt32 => self.vload(0x0151, dst, a.into()),
            Sqrt64 => self.vload(0x66_0151, dst, a.into()),
            ExtendLowS8 => self.widen(8, true, false, dst, a),
            ExtendLowU8 => self.widen(8, false, false, dst, a),
            ExtendHighS8 => self.widen(8, true, true, dst, a),
            ExtendHighU8 => self.widen(8, false, true, dst, a),
            ExtendLowS16 => self.widen(16, true, false, dst, a),
            ExtendLowU16 => self.widen(16, false, false, dst, a),
            ExtendHighS16 => self.widen(16, true, true, dst, a),
            ExtendHighU16 => self.widen(16, false, true, dst, a),
            ExtendLowS32 => self.widen(32, true, false, dst, a),
            ExtendLowU32 => self.widen(32, false, false, dst, a),
            ExtendHighS32 => self.widen(32, true, true, dst, a),
            ExtendHighU32 => self.widen(32, false, true, dst, a),
            PairwiseS8 => {
                self.vshl(0x71, XMM15, a, 8);
                self.vsar(0x71, XMM15, XMM15, 8);
                self.vsar(0x71, dst, a, 8);
                self.v3(PADDW, dst, dst, XMM15.into());
            }
            PairwiseU8 => {
                let mask = self.vconst(bytes32(0x00ff_00ff));
                self.vshr(0x71, XMM15, a, 8);
                self.v3(PAND, dst, a, mask);
                self.v3(PADDW, dst, dst, XMM15.into());
            }
            PairwiseS16 => {
                let ones = self.vconst(bytes32(0x0001_0001));
                self.v3(PMADDWD, dst, a, ones);
            }
            PairwiseU16 => {
                let mask = self.vconst(bytes32(0xffff));
                self.vshr(0x72, XMM15, a, 16);
                self.v3(PAND, dst, a, mask);
                self.v3(PADDD, dst, dst, XMM15.into());
            }
            Demote => self.vload(0x66_015a, dst, a.into()),
            Promote => self.vload(0x015a, dst, a.into()),
            TruncS32 => {
                // Not a number becomes zero; what is too large, the complement
                // of the instruction's answer.
                self.v3_imm(0x01c2, XMM15, a, a.into(), 0);
                self.v3(0x0154, dst, a, XMM15.into());
                let limit = self.vconst(bytes32(2_147_483_648_f32.to_bits()));
                self.vload(0x0128, XMM15, limit);
                self.v3_imm(0x01c2, XMM15, XMM15, dst.into(), 2);
                self.vload(0xf3_015b, dst, dst.into());
                self.v3(PXOR, dst, dst, XMM15.into());
            }
            TruncU32 => {
                // What exceeds 2^31 is converted apart and added.
                let limit = self.vconst(bytes32(2_147_483_648_f32.to_bits()));
                self.vzero(XMM15);
                self.v3(0x015f, dst, a, XMM15.into());
                self.v3(0x015c, XMM15, dst, limit);
                self.vload(0x0128, XMM14, limit);
                self.v3_imm(0x01c2, XMM14, XMM14, XMM15.into(), 2);
                self.vload(0xf3_015b, XMM15, XMM15.into());
                self.v3(PXOR, XMM15, XMM15, XMM14.into());
                self.vsar(0x72, XMM14, XMM15, 31);
                self.v3(PANDN, XMM14, XMM14, XMM15.into());
                self.vload(0xf3_015b, dst, dst.into());
                self.v3(PADDD, dst, dst, XMM14.into());
            }
            TruncS64 => {
                let greatest = self.vconst(bytes64(2_147_483_647_f64.to_bits()));
                self.v3_imm(0x66_01c2, XMM15, a, a.into(), 0);
                self.v3(0x66_0154, XMM15, XMM15, greatest);
                self.v3(0x66_015d, dst, a, XMM15.into());
                self.vload(0x66_01e6, dst, dst.into());
            }
            TruncU64 => {
                let greatest = self.vconst(bytes64(4_294_967_295_f64.to_bits()));
                self.vzero(XMM15);
                self.v3(0x66_015f, dst, a, XMM15.into());
                self.v3(0x66_015d, dst, dst, greatest);
                self.scalar_truncate(RAX, dst);
                self.shuffle_words(XMM15, dst, 0xee);
                self.scalar_truncate(RCX, XMM15);
                self.e.op_imm(0xc1, true, 4, RCX, Imm::I8(32));
                self.e.op(0x09, true, RCX.code(), RAX);
                self.gpr_to_vector(true, dst, RAX);
            }
            ConvertS32 => self.vload(0x015b, dst, a.into()),
            ConvertU32 => {
                // The halves are exact; only their sum is rounded.
                let mask = self.vconst(bytes32(0xffff));
                let scale = self.vconst(bytes32(65_536_f32.to_bits()));
                self.v3(PAND, XMM15, a, mask);
                self.vshr(0x72, dst, a, 16);
                self.vload(0x015b, XMM15, XMM15.into());
                self.vload(0x015b, dst, dst.into());
                self.v3(0x0159, dst, dst, scale);
                self.v3(0x0158, dst, dst, XMM15.into());
            }
            ConvertLowS => self.vload(0xf3_01e6, dst, a.into()),
            ConvertLowU => {
                // With this upper half it is 2^52 plus the number.
                let upper = self.vconst(bytes32(0x4330_0000));
                let base = self.vconst(bytes64(4_503_599_627_370_496_f64.to_bits()));
                self.v3(PUNPCKLDQ, dst, a, upper);
                self.v3(0x66_015c, dst, dst, base);
            }
        }
    }

    fn vector_binary(&mut self, op: Binary, dst: Reg, a: Reg, b: Reg) {
        use Binary::*;
        const S8: [u8; 16] = [0x80; 16];
        const S16: [u8; 16] = bytes32(0x8000_8000);
        const S32: [u8; 16] = bytes32(0x8000_0000);
        let has_sse41 = self.cpu.sse41;
        let rm = Rm::Reg(b);
        match op {
            And => self.v3(PAND, dst, a, rm),
            Or => self.v3(POR, dst, a, rm),
            Xor => self.v3(PXOR, dst, a, rm),
            AndNot => self.v3(PANDN, dst, b, a.into()),
            Add8 => self.v3(PADDB, dst, a, rm),
            Sub8 => self.v3(PSUBB, dst, a, rm),
            AddSatS8 => self.v3(0x66_01ec, dst, a, rm),
            AddSatU8 => self.v3(0x66_01dc, dst, a, rm),
            SubSatS8 => self.v3(0x66_01e8, dst, a, rm),
            SubSatU8 => self.v3(0x66_01d8, dst, a, rm),
            Avgr8 => self.v3(0x66_01e0, dst, a, rm),
            MinU8 => self.v3(0x66_01da, dst, a, rm),
            MaxU8 => self.v3(0x66_01de, dst, a, rm),
            MinS8 if has_sse41 => self.v3(0x66_0238, dst, a, rm),
            MaxS8 if has_sse41 => self.v3(0x66_023c, dst, a, rm),
            MinS8 => self.choose(PCMPGTB, None, true, dst, a, b),
            MaxS8 => self.choose(PCMPGTB, None, false, dst, a, b),
            Add16 => self.v3(PADDW, dst, a, rm),
            Sub16 => self.v3(PSUBW, dst, a, rm),
            Mul16 => self.v3(PMULLW, dst, a, rm),
            AddSatS16 => self.v3(0x66_01ed, dst, a, rm),
            AddSatU16 => self.v3(0x66_01dd, dst, a, rm),
            SubSatS16 => self.v3(0x66_01e9, dst, a, rm),
            SubSatU16 => self.v3(0x66_01d9, dst, a, rm),
            Avgr16 => self.v3(0x66_01e3, dst, a, rm),
            MinS16 => self.v3(0x66_01ea, dst, a, rm),
            MaxS16 => self.v3(0x66_01ee, dst, a, rm),
            MinU16 if has_sse41 => self.v3(0x66_023a, dst, a, rm),
            MaxU16 if has_sse41 => self.v3(0x66_023e, dst, a, rm),
            MinU16 => self.choose(PCMPGTW, Some(S16), true, dst, a, b),
            MaxU16 => self.choose(PCMPGTW, Some(S16), false, dst, a, b),
            Q15Mulr => {
                let half = self.vconst(bytes32(0x4000));
                self.v3(PMULLW, XMM15, a, rm);
                self.v3(PMULHW, XMM14, a, rm);
                self.v3(PUNPCKLWD, dst, XMM15, XMM14.into());
                self.v3(PUNPCKHWD, XMM15, XMM15, XMM14.into());
                self.v3(PADDD, dst, dst, half);
                self.v3(PADDD, XMM15, XMM15, half);
                self.vsar(0x72, dst, dst, 15);
                self.vsar(0x72, XMM15, XMM15, 15);
                self.v3(PACKSSDW, dst, dst, XMM15.into());
            }
            Add32 => self.v3(PADDD, dst, a, rm),
            Sub32 => self.v3(PSUBD, dst, a, rm),
            Mul32 if has_sse41 => self.v3(0x66_0240, dst, a, rm),
            Mul32 => {
                self.v3(PMULUDQ, dst, a, rm);
                self.vshr(0x73, XMM15, a, 32);
                self.vshr(0x73, XMM14, b, 32);
                self.v3(PMULUDQ, XMM15, XMM15, XMM14.into());
                self.shuffle_words(dst, dst, 0x08);
                self.shuffle_words(XMM15, XMM15, 0x08);
                self.v3(PUNPCKLDQ, dst, dst, XMM15.into());
            }
            MinS32 if has_sse41 => self.v3(0x66_0239, dst, a, rm),
            MinU32 if has_sse41 => self.v3(0x66_023b, dst, a, rm),
            MaxS32 if has_sse41 => self.v3(0x66_023d, dst, a, rm),
            MaxU32 if has_sse41 => self.v3(0x66_023f, dst, a, rm),
            MinS32 => self.choose(PCMPGTD, None, true, dst, a, b),
            MinU32 => self.choose(PCMPGTD, Some(S32), true, dst, a, b),
            MaxS32 => self.choose(PCMPGTD, None, false, dst, a, b),
            MaxU32 => self.choose(PCMPGTD, Some(S32), false, dst, a, b),
            Add64 => self.v3(PADDQ, dst, a, rm),
            Sub64 => self.v3(PSUBQ, dst, a, rm),
            Mul64 => {
                self.vshr(0x73, dst, a, 32);
                self.v3(PMULUDQ, dst, dst, rm);
                self.vshr(0x73, XMM15, b, 32);
                self.v3(PMULUDQ, XMM15, XMM15, a.into());
                self.v3(PADDQ, dst, dst, XMM15.into());
                self.vshl(0x73, dst, dst, 32);
                self.v3(PMULUDQ, XMM15, a, rm);
                self.v3(PADDQ, dst, dst, XMM15.into());
            }
            NarrowS16 => self.v3(PACKSSWB, dst, a, rm),
            NarrowU16 => self.v3(PACKUSWB, dst, a, rm),
            NarrowS32 => self.v3(PACKSSDW, dst, a, rm),
            NarrowU32 if has_sse41 => self.v3(0x66_022b, dst, a, rm),
            NarrowU32 => {
                self.clamp16(dst, a);
                self.clamp16(XMM15, b);
                self.v3(PACKSSDW, dst, dst, XMM15.into());
            }
            Eq8 => self.v3(PCMPEQB, dst, a, rm),
            Eq16 => self.v3(PCMPEQW, dst, a, rm),
            Eq32 => self.v3(PCMPEQD, dst, a, rm),
            Eq64 => self.equal64(dst, a, b),
            Ne8 | Ne16 | Ne32 | Ne64 => {
                let equal = match op {
                    Ne8 => Eq8,
                    Ne16 => Eq16,
                    Ne32 => Eq32,
                    _ => Eq64,
                };
                self.vector_binary(equal, dst, a, b);
                self.invert(dst);
            }
            GtS8 => self.v3(PCMPGTB, dst, a, rm),
            GtS16 => self.v3(PCMPGTW, dst, a, rm),
            GtS32 => self.v3(PCMPGTD, dst, a, rm),
            GtS64 => self.greater64(dst, a, b),
            LtS8 => self.v3(PCMPGTB, dst, b, a.into()),
            LtS16 => self.v3(PCMPGTW, dst, b, a.into()),
            LtS32 => self.v3(PCMPGTD, dst, b, a.into()),
            LtS64 => self.greater64(dst, b, a),
            GtU8 => self.greater_unsigned(PCMPGTB, S8, dst, a, b),
            GtU16 => self.greater_unsigned(PCMPGTW, S16, dst, a, b),
            GtU32 => self.greater_unsigned(PCMPGTD, S32, dst, a, b),
            LtU8 => self.greater_unsigned(PCMPGTB, S8, dst, b, a),
            LtU16 => self.greater_unsigned(PCMPGTW, S16, dst, b, a),
            LtU32 => self.greater_unsigned(PCMPGTD, S32, dst, b, a),
            GeS8 | GeS16 | GeS32 | GeS64 | LeS8 | LeS16 | LeS32 | LeS64 | GeU8 | GeU16 | GeU32
            | LeU8 | LeU16 | LeU32 => {
                let opposite = match op {
                    GeS8 => LtS8,
                    GeS16 => LtS16,
                    GeS32 => LtS32,
                    GeS64 => LtS64,
                    LeS8 => GtS8,
                    LeS16 => GtS16,
                    LeS32 => GtS32,
                    LeS64 => GtS64,
                    GeU8 => LtU8,
                    GeU16 => LtU16,
                    GeU32 => LtU32,
                    LeU8 => GtU8,
                    LeU16 => GtU16,
                    _ => GtU32,
                };
                self.vector_binary(opposite, dst, a, b);
                self.invert(dst);
            }
            FEq32 => self.v3_imm(0x01c2, dst, a, rm, 0),
            FNe32 => self.v3_imm(0x01c2, dst, a, rm, 4),
            FLt32 => self.v3_imm(0x01c2, dst, a, rm, 1),
            FLe32 => self.v3_imm(0x01c2, dst, a, rm, 2),
            FGt32 => self.v3_imm(0x01c2, dst, b, a.into(), 1),
            FGe32 => self.v3_imm(0x01c2, dst, b, a.into(), 2),
            FEq64 => self.v3_imm(0x66_01c2, dst, a, rm, 0),
            FNe64 => self.v3_imm(0x66_01c2, dst, a, rm, 4),
            FLt64 => self.v3_imm(0x66_01c2, dst, a, rm, 1),
            FLe64 => self.v3_imm(0x66_01c2, dst, a, rm, 2),
            FGt64 => self.v3_imm(0x66_01c2, dst, b, a.into(), 1),
            FGe64 => self.v3_imm(0x66_01c2, dst, b, a.into(), 2),
            FAdd32 => self.v3(0x0158, dst, a, rm),
            FSub32 => self.v3(0x015c, dst, a, rm),
            FMul32 => self.v3(0x0159, dst, a, rm),
            FDiv32 => self.v3(0x015e, dst, a, rm),
            FAdd64 => self.v3(0x66_0158, dst, a, rm),
            FSub64 => self.v3(0x66_015c, dst, a, rm),
            FMul64 => self.v3(0x66_0159, dst, a, rm),
            FDiv64 => self.v3(0x66_015e, dst, a, rm),
            // `b < a ? b : a`, which is what the instruction does.
            PMin32 => self.v3(0x015d, dst, b, a.into()),
            PMax32 => self.v3(0x015f, dst, b, a.into()),
            PMin64 => self.v3(0x66_015d, dst, b, a.into()),
            PMax64 => self.v3(0x66_015f, dst, b, a.into()),
            FMin32 => self.vector_min(false, dst, a, b),
            FMin64 => self.vector_min(true, dst, a, b),
            FMax32 => self.vector_max(false, dst, a, b),
            FMax64 => self.vector_max(true, dst, a, b),
            ExtmulLowS8 => self.extmul8(true, false, dst, a, b),
            ExtmulLowU8 => self.extmul8(false, false, dst, a, b),
            ExtmulHighS8 => self.extmul8(true, true, dst, a, b),
            ExtmulHighU8 => self.extmul8(false, true, dst, a, b),
            ExtmulLowS16 => self.extmul16(PMULHW, PUNPCKLWD, dst, a, b),
            ExtmulLowU16 => self.extmul16(PMULHUW, PUNPCKLWD, dst, a, b),
            ExtmulHighS16 => self.extmul16(PMULHW, PUNPCKHWD, dst, a, b),
            ExtmulHighU16 => self.extmul16(PMULHUW, PUNPCKHWD, dst, a, b),
            ExtmulLowS32 => self.extmul32(true, 0x50, dst, a, b),
            ExtmulLowU32 => self.extmul32(false, 0x50, dst, a, b),
            ExtmulHighS32 => self.extmul32(true, 0xfa, dst, a, b),
            ExtmulHighU32 => self.extmul32(false, 0xfa, dst, a, b),
            Dot16 => self.v3(PMADDWD, dst, a, rm),
            RelaxedDot8 => {
                self.widen(8, true, false, dst, a);
                self.widen(8, true, false, XMM15, b);
                self.v3(PMADDWD, dst, dst, XMM15.into());
                self.widen(8, true, true, XMM15, a);
                self.widen(8, true, true, XMM14, b);
                self.v3(PMADDWD, XMM15, XMM15, XMM14.into());
                // The low halves, whatever the sums are.
                for sums in [dst, XMM15] {
                    self.vshl(0x72, sums, sums, 16);
                    self.vsar(0x72, sums, sums, 16);
                }
                self.v3(PACKSSDW, dst, dst, XMM15.into());
            }
            Swizzle => self.swizzle(dst, a, b),
        }
    }

    fn canonical_nans(&mut self, double: bool, reg: Reg) {
        let canonical = self.vconst(if double {
            bytes64(0x7ff8_0000_0000_0000)
        } else {
            bytes32(0x7fc0_0000)
        });
        self.v3_imm(packed(double) | 0x01c2, XMM15, reg, reg.into(), 3);
        self.v3(PAND, XMM14, XMM15, canonical);
        self.v3(PANDN, XMM15, XMM15, reg.into());
        self.v3(POR, reg, XMM15, XMM14.into());
    }

    fn shuffle(&mut self, dst: Reg, a: Reg, b: Reg, lanes: [u8; 16]) {
        if self.cpu.ssse3 {
            let of = |from: u8| {
                lanes.map(|lane| {
                    let lane = lane.wrapping_sub(from);
                    if lane < 16 { lane } else { 0x80 }
                })
            };
            let uses_b = lanes.iter().any(|lane| *lane >= 16);
            let first = self.vconst(of(0));
            self.v3(PSHUFB, dst, a, first);
            if uses_b {
                let second = self.vconst(of(16));
                self.v3(PSHUFB, XMM15, b, second);
                self.v3(POR, dst, dst, XMM15.into());
            }
            return;
        }
        self.e.op_imm(0x83, true, 5, RSP, Imm::I8(48));
        self.store_vector(16, a, Mem::at(RSP, 0));
        self.store_vector(16, b, Mem::at(RSP, 16));
        for (to, from) in lanes.into_iter().enumerate() {
            let from = Mem::at(RSP, i32::from(from));
            self.e.op(0x01b6, false, RAX.code(), from);
            self.e.op8(0x88, RAX, Mem::at(RSP, 32 + to as i32));
        }
        self.load_vector(16, dst, Mem::at(RSP, 32));
        self.e.op_imm(0x83, true, 0, RSP, Imm::I8(48));
    }

    fn bitselect(&mut self, dst: Reg, a: Reg, b: Reg, mask: Reg) {
        self.v3(PAND, dst, a, mask.into());
        self.v3(PANDN, XMM15, mask, b.into());
        self.v3(POR, dst, dst, XMM15.into());
    }

    fn has_fused(&self) -> bool {
        self.cpu.fma
    }

    fn fused(&mut self, double: bool, negate: bool, dst: Reg, a: Reg, b: Reg, c: Reg) {
        self.vmove(dst, c);
        let op = if negate { 0x66_02bc } else { 0x66_02b8 };
        self.e.vex(op, double, dst, a.code(), b.into(), Imm::None);
    }

    fn vector_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg) {
        let op = if double { 0x66_0309 } else { 0x66_0308 };
        self.vload_imm(op, dst, a.into(), rounding(mode));
    }

    fn pairs_plus(&mut self, dst: Reg, a: Reg, c: Reg) {
        let ones = self.vconst(bytes32(0x0001_0001));
        self.v3(PMADDWD, dst, a, ones);
        self.v3(PADDD, dst, dst, c.into());
    }

    fn vector_shift(&mut self, op: VectorShift, lanes: Lanes, dst: Reg, a: Reg, by: Reg) {
        let mask = 8 * lanes.bytes() - 1;
        self.e.op(0x8b, false, RCX.code(), by);
        self.e.op_imm(0x83, false, 4, RCX, Imm::I8(mask as u8));
        if lanes == Lanes::I8 {
            if op == VectorShift::ShrS {
                // Each byte in the upper half of a word.
                self.e.op_imm(0x83, false, 0, RCX, Imm::I8(8));
                self.gpr_to_vector(false, XMM15, RCX);
                self.v3(PUNPCKLBW, dst, a, a.into());
                self.v3(PUNPCKHBW, XMM14, a, a.into());
                self.v3(0x66_01e1, dst, dst, XMM15.into());
                self.v3(0x66_01e1, XMM14, XMM14, XMM15.into());
                self.v3(PACKSSWB, dst, dst, XMM14.into());
                return;
            }
            let (shift, code) = match op {
                VectorShift::Shl => (0x66_01f1, 4),
                _ => (0x66_01d1, 5),
            };
            self.gpr_to_vector(false, XMM15, RCX);
            self.v3(shift, dst, a, XMM15.into());
            // Bits that came over from the neighbour go.
            self.e.mov_imm32(RAX, 0xff);
            self.e.op(0xd3, false, code, RAX);
            self.splat(Lanes::I8, XMM14, RAX);
            self.v3(PAND, dst, dst, XMM14.into());
            return;
        }
        self.gpr_to_vector(false, XMM15, RCX);
        let shift = match (op, lanes) {
            (VectorShift::Shl, Lanes::I16) => 0x66_01f1,
            (VectorShift::Shl, Lanes::I32) => 0x66_01f2,
            (VectorShift::Shl, _) => 0x66_01f3,
            (VectorShift::ShrU, Lanes::I16) => 0x66_01d1,
            (VectorShift::ShrU, Lanes::I32) => 0x66_01d2,
            (VectorShift::ShrU, _) => 0x66_01d3,
            (VectorShift::ShrS, Lanes::I16) => 0x66_01e1,
            (VectorShift::ShrS, Lanes::I32) => 0x66_01e2,
            (VectorShift::ShrS, _) => {
                // The sign bit, shifted likewise, is spread by a subtraction.
                let sign = self.vconst(bytes64(1 << 63));
                self.vload(0x0128, XMM14, sign);
                self.v3(0x66_01d3, XMM14, XMM14, XMM15.into());
                self.v3(0x66_01d3, dst, a, XMM15.into());
                self.v3(PXOR, dst, dst, XMM14.into());
                self.v3(PSUBQ, dst, dst, XMM14.into());
                return;
            }
        };
        self.v3(shift, dst, a, XMM15.into());
    }

    fn splat(&mut self, lanes: Lanes, dst: Reg, src: Reg) {
        match lanes {
            Lanes::I8 => {
                self.gpr_to_vector(false, dst, src);
                self.v3(PUNPCKLBW, dst, dst, dst.into());
                self.vload_imm(PSHUFLW, dst, dst.into(), 0);
                self.shuffle_words(dst, dst, 0);
            }
            Lanes::I16 => {
                self.gpr_to_vector(false, dst, src);
                self.vload_imm(PSHUFLW, dst, dst.into(), 0);
                self.shuffle_words(dst, dst, 0);
            }
            Lanes::I32 => {
                self.gpr_to_vector(false, dst, src);
                self.shuffle_words(dst, dst, 0);
            }
            Lanes::I64 => {
                self.gpr_to_vector(true, dst, src);
                self.shuffle_words(dst, dst, 0x44);
            }
            Lanes::F32 => self.shuffle_words(dst, src, 0),
            Lanes::F64 => self.shuffle_words(dst, src, 0x44),
        }
    }

    fn extract(&mut self, lanes: Lanes, lane: u8, signed: bool, dst: Reg, a: Reg) {
        match lanes {
            Lanes::I8 => {
                self.extract_word(lane / 2, RAX, a);
                if lane % 2 == 1 {
                    self.e.op_imm(0xc1, false, 5, RAX, Imm::I8(8));
                }
                self.extend(Size::S8, signed, Size::S32, dst, RAX);
            }
            Lanes::I16 => {
                self.extract_word(lane, dst, a);
                if signed {
                    self.extend(Size::S16, true, Size::S32, dst, dst);
                }
            }
            Lanes::I32 if lane == 0 => self.vector_to_gpr(false, dst, a),
            Lanes::I32 => {
                self.shuffle_words(XMM15, a, lane);
                self.vector_to_gpr(false, dst, XMM15);
            }
            Lanes::I64 if lane == 0 => self.vector_to_gpr(true, dst, a),
            Lanes::I64 => {
                self.shuffle_words(XMM15, a, 0xee);
                self.vector_to_gpr(true, dst, XMM15);
            }
            Lanes::F32 => self.shuffle_words(dst, a, lane),
            Lanes::F64 => self.shuffle_words(dst, a, if lane == 0 { 0x44 } else { 0xee }),
        }
    }

    fn replace(&mut self, lanes: Lanes, lane: u8, dst: Reg, src: Reg) {
        match lanes {
            Lanes::I8 if self.cpu.sse41 => {
                self.v3_imm(0x66_0320, dst, dst, src.into(), lane);
            }
            Lanes::I8 => {
                self.extract_word(lane / 2, RAX, dst);
                self.extend(Size::S8, false, Size::S32, RCX, src);
                if lane % 2 == 1 {
                    self.extend(Size::S8, false, Size::S32, RAX, RAX);
                    self.e.op_imm(0xc1, false, 4, RCX, Imm::I8(8));
                } else {
                    self.e.op_imm(0x81, false, 4, RAX, Imm::I32(0xff00));
                }
                self.e.op(0x09, false, RCX.code(), RAX);
                self.insert_word(lane / 2, dst, RAX);
            }
            Lanes::I16 => self.insert_word(lane, dst, src),
            Lanes::I32 if self.cpu.sse41 => {
                self.v3_imm(0x66_0322, dst, dst, src.into(), lane);
            }
            Lanes::I32 => {
                self.e.op(0x8b, false, RAX.code(), src);
                self.insert_word(2 * lane, dst, RAX);
                self.e.op_imm(0xc1, false, 5, RAX, Imm::I8(16));
                self.insert_word(2 * lane + 1, dst, RAX);
            }
            Lanes::F32 => {
                self.vector_to_gpr(false, RCX, src);
                self.replace(Lanes::I32, lane, dst, RCX);
            }
            Lanes::I64 => {
                self.gpr_to_vector(true, XMM15, src);
                self.replace(Lanes::F64, lane, dst, XMM15);
            }
            Lanes::F64 if lane == 0 => self.v3(0xf2_0110, dst, dst, src.into()),
            Lanes::F64 => self.v3(PUNPCKLQDQ, dst, dst, src.into()),
        }
    }

    fn all_true(&mut self, lanes: Lanes, dst: Reg, a: Reg) {
        self.vzero(XMM15);
        match lanes {
            Lanes::I8 => self.v3(PCMPEQB, XMM15, XMM15, a.into()),
            Lanes::I16 => self.v3(PCMPEQW, XMM15, XMM15, a.into()),
            Lanes::I32 => self.v3(PCMPEQD, XMM15, XMM15, a.into()),
            _ => {
                self.v3(PCMPEQD, XMM15, XMM15, a.into());
                self.shuffle_words(XMM14, XMM15, 0xb1);
                self.v3(PAND, XMM15, XMM15, XMM14.into());
            }
        }
        self.vload(PMOVMSKB, RAX, XMM15.into());
        self.test(Size::S32, RAX);
        self.set_if(Condition::Is(IntCc::Equal), dst);
    }

    fn any_true(&mut self, dst: Reg, a: Reg) {
        self.vzero(XMM15);
        self.v3(PCMPEQB, XMM15, XMM15, a.into());
        self.vload(PMOVMSKB, RAX, XMM15.into());
        self.compare(Size::S32, RAX, Src::Imm(0xffff));
        self.set_if(Condition::Is(IntCc::NotEqual), dst);
    }

    fn bitmask(&mut self, lanes: Lanes, dst: Reg, a: Reg) {
        match lanes {
            Lanes::I8 => self.vload(PMOVMSKB, dst, a.into()),
            Lanes::I16 => {
                self.v3(PACKSSWB, XMM15, a, a.into());
                self.vload(PMOVMSKB, dst, XMM15.into());
                self.extend(Size::S8, false, Size::S32, dst, dst);
            }
            Lanes::I32 | Lanes::F32 => self.vload(0x0150, dst, a.into()),
            Lanes::I64 | Lanes::F64 => self.vload(0x66_0150, dst, a.into()),
        }
    }
}
