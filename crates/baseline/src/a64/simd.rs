//! Vectors: the operations of `v128`, mostly one instruction each.
//!
//! Where relaxed instructions leave a choice, the result is that of the
//! deterministic profile, as in every tier.

use super::Masm;
use super::emit::*;
use crate::masm::{
    Alu, Assembler, Binary, Condition, IntCc, Lanes, Numbers, Rounding, Size, Src, Unary,
    VectorShift, Vectors,
};
use crate::reg::Reg;

// Forms with three registers, on 16 bytes; the lanes' size goes to bits 22, 23.

const SQADD: u32 = 0x4e20_0c00;
const UQADD: u32 = 0x6e20_0c00;
const URHADD: u32 = 0x6e20_1400;
const AND: u32 = 0x4e20_1c00;
const BIC: u32 = 0x4e60_1c00;
const ORR: u32 = 0x4ea0_1c00;
const EOR: u32 = 0x6e20_1c00;
const BSL: u32 = 0x6e60_1c00;
const BIF: u32 = 0x6ee0_1c00;
const SQSUB: u32 = 0x4e20_2c00;
const UQSUB: u32 = 0x6e20_2c00;
const CMGT: u32 = 0x4e20_3400;
const CMHI: u32 = 0x6e20_3400;
const CMGE: u32 = 0x4e20_3c00;
const CMHS: u32 = 0x6e20_3c00;
const SSHL: u32 = 0x4e20_4400;
const USHL: u32 = 0x6e20_4400;
const SMAX: u32 = 0x4e20_6400;
const UMAX: u32 = 0x6e20_6400;
const SMIN: u32 = 0x4e20_6c00;
const UMIN: u32 = 0x6e20_6c00;
const ADD: u32 = 0x4e20_8400;
const SUB: u32 = 0x6e20_8400;
const CMEQ: u32 = 0x6e20_8c00;
const MUL: u32 = 0x4e20_9c00;
const SQRDMULH: u32 = 0x6e20_b400;
const ADDP: u32 = 0x4e20_bc00;
const FADD: u32 = 0x4e20_d400;
const FSUB: u32 = 0x4ea0_d400;
const FMUL: u32 = 0x6e20_dc00;
const FDIV: u32 = 0x6e20_fc00;
const FMAX: u32 = 0x4e20_f400;
const FMIN: u32 = 0x4ea0_f400;
const FCMEQ: u32 = 0x4e20_e400;
const FCMGE: u32 = 0x6e20_e400;
const FCMGT: u32 = 0x6ea0_e400;
const FMLA: u32 = 0x4e20_cc00;
const FMLS: u32 = 0x4ea0_cc00;

// Forms that widen, for the low half of the lanes; `HIGH` makes it the other.

const SMULL: u32 = 0x0e20_c000;
const UMULL: u32 = 0x2e20_c000;
const UMLAL: u32 = 0x2e20_8000;
/// Also the half that narrowing writes: with it, the low one is kept.
const HIGH: u32 = 0x4000_0000;

// Forms with two registers.

const REV64: u32 = 0x4e20_0800;
const SADDLP: u32 = 0x4e20_2800;
const UADDLP: u32 = 0x6e20_2800;
const CNT: u32 = 0x4e20_5800;
const NOT: u32 = 0x6e20_5800;
const ABS: u32 = 0x4e20_b800;
const NEG: u32 = 0x6e20_b800;
const CMEQ_ZERO: u32 = 0x4e20_9800;
const FABS: u32 = 0x4ea0_f800;
const FNEG: u32 = 0x6ea0_f800;
const FSQRT: u32 = 0x6ea1_f800;
const FRINTN: u32 = 0x4e21_8800;
const FRINTM: u32 = 0x4e21_9800;
const FRINTP: u32 = 0x4ea1_8800;
const FRINTZ: u32 = 0x4ea1_9800;
const FCVTZS: u32 = 0x4ea1_b800;
const FCVTZU: u32 = 0x6ea1_b800;
const SCVTF: u32 = 0x4e21_d800;
const UCVTF: u32 = 0x6e21_d800;
const XTN: u32 = 0x0e21_2800;
const SQXTN: u32 = 0x0e21_4800;
const UQXTN: u32 = 0x2e21_4800;
const SQXTUN: u32 = 0x2e21_2800;
const FCVTN: u32 = 0x0e61_6800;
const FCVTL: u32 = 0x0e61_7800;
const ADDV: u32 = 0x4e31_b800;
const UMINV: u32 = 0x6e31_a800;
const UMAXV: u32 = 0x6e30_a800;

// Shifts by a constant; width and distance go to bits 16 to 22.

const SSHR: u32 = 0x4f00_0400;
const SHL: u32 = 0x4f00_5400;
const SSHLL: u32 = 0x0f00_a400;
const USHLL: u32 = 0x2f00_a400;

/// log2 of the bytes of a lane.
const fn log2(lanes: Lanes) -> u32 {
    lanes.bytes().trailing_zeros()
}

/// Sizes of lanes, in their place.
const S8: u32 = 0;
const S16: u32 = 1 << 22;
const S32: u32 = 2 << 22;
const S64: u32 = 3 << 22;
/// Floats of 64 bits.
const D: u32 = 1 << 22;

/// How instructions name a lane.
fn lane_code(lanes: Lanes, lane: u8) -> u32 {
    (u32::from(lane) << (log2(lanes) + 1) | 1 << log2(lanes)) << 16
}

impl Masm {
    fn v3(&mut self, op: u32, dst: Reg, a: Reg, b: Reg) {
        self.e.rrr(op, dst, a, b);
    }

    fn v2(&mut self, op: u32, dst: Reg, a: Reg) {
        self.e.rr(op, dst, a);
    }

    fn vinvert(&mut self, reg: Reg) {
        self.v2(NOT, reg, reg);
    }

    /// Widens lanes of `bits`.
    fn widen(&mut self, op: u32, bits: u32, dst: Reg, a: Reg) {
        self.v2(op | bits << 16, dst, a);
    }

    /// Narrows the lanes of two vectors into one.
    fn narrow(&mut self, op: u32, dst: Reg, a: Reg, b: Reg) {
        self.v2(op, dst, a);
        self.v2(op | HIGH, dst, b);
    }

    /// One of two, by a comparison that says where it is `b`.
    fn choose(&mut self, dst: Reg, greater: Reg, less: Reg, double: u32, a: Reg, b: Reg) {
        self.v3(FCMGT | double, dst, greater, less);
        self.v3(BSL, dst, b, a);
    }

    /// A constant in the second scratch register of this folder.
    fn vconst(&mut self, dst: Reg, bytes: [u8; 16]) {
        // ldr q
        self.e.load_constant(0x9c00_0000, dst, bytes);
    }

    /// The signs of lanes, each a bit of its own in the mask, added up.
    fn mask_signs(&mut self, shift: u32, size: u32, mask: [u8; 16], dst: Reg, a: Reg) {
        self.v2(SSHR | shift << 16, V31, a);
        self.vconst(V30, mask);
        self.v3(AND, V31, V31, V30);
        if size == S8 {
            // The two halves side by side, as sixteen bits each.
            // ext v30, v31, v31, #8; zip1 v31.16b, v31, v30
            self.v3(0x6e00_4000, V30, V31, V31);
            self.v3(0x4e00_3800, V31, V31, V30);
            self.v2(ADDV | S16, V31, V31);
        } else {
            self.v2(ADDV | size, V31, V31);
        }
        self.vector_to_gpr(false, dst, V31);
    }
}

impl Vectors for Masm {
    fn vector_constant(&mut self, dst: Reg, bytes: [u8; 16]) {
        match bytes {
            // movi dst.2d, #0
            [0, rest @ ..] if rest == [0; 15] => self.e.rr(0x6f00_e400, dst, X0),
            [first, ..] if bytes == [first; 16] => {
                // movi dst.16b
                let (high, low) = (u32::from(first >> 5), u32::from(first & 31));
                self.e
                    .put(0x4f00_e400 | high << 16 | low << 5 | u32::from(dst.code()));
            }
            _ => self.vconst(dst, bytes),
        }
    }

    fn vector_unary(&mut self, op: Unary, dst: Reg, a: Reg) {
        use Unary::*;
        match op {
            Not => self.v2(NOT, dst, a),
            Abs8 => self.v2(ABS | S8, dst, a),
            Abs16 => self.v2(ABS | S16, dst, a),
            Abs32 => self.v2(ABS | S32, dst, a),
            Abs64 => self.v2(ABS | S64, dst, a),
            Neg8 => self.v2(NEG | S8, dst, a),
            Neg16 => self.v2(NEG | S16, dst, a),
            Neg32 => self.v2(NEG | S32, dst, a),
            Neg64 => self.v2(NEG | S64, dst, a),
            Popcnt => self.v2(CNT, dst, a),
            FAbs32 => self.v2(FABS, dst, a),
            FAbs64 => self.v2(FABS | D, dst, a),
            FNeg32 => self.v2(FNEG, dst, a),
            FNeg64 => self.v2(FNEG | D, dst, a),
            Sqrt32 => self.v2(FSQRT, dst, a),
            Sqrt64 => self.v2(FSQRT | D, dst, a),
            ExtendLowS8 => self.widen(SSHLL, 8, dst, a),
            ExtendLowU8 => self.widen(USHLL, 8, dst, a),
            ExtendHighS8 => self.widen(SSHLL | HIGH, 8, dst, a),
            ExtendHighU8 => self.widen(USHLL | HIGH, 8, dst, a),
            ExtendLowS16 => self.widen(SSHLL, 16, dst, a),
            ExtendLowU16 => self.widen(USHLL, 16, dst, a),
            ExtendHighS16 => self.widen(SSHLL | HIGH, 16, dst, a),
            ExtendHighU16 => self.widen(USHLL | HIGH, 16, dst, a),
            ExtendLowS32 => self.widen(SSHLL, 32, dst, a),
            ExtendLowU32 => self.widen(USHLL, 32, dst, a),
            ExtendHighS32 => self.widen(SSHLL | HIGH, 32, dst, a),
            ExtendHighU32 => self.widen(USHLL | HIGH, 32, dst, a),
            PairwiseS8 => self.v2(SADDLP | S8, dst, a),
            PairwiseU8 => self.v2(UADDLP | S8, dst, a),
            PairwiseS16 => self.v2(SADDLP | S16, dst, a),
            PairwiseU16 => self.v2(UADDLP | S16, dst, a),
            Demote => self.v2(FCVTN, dst, a),
            Promote => self.v2(FCVTL, dst, a),
            TruncS32 => self.v2(FCVTZS, dst, a),
            TruncU32 => self.v2(FCVTZU, dst, a),
            TruncS64 => {
                self.v2(FCVTZS | D, dst, a);
                self.v2(SQXTN | S32, dst, dst);
            }
            TruncU64 => {
                self.v2(FCVTZU | D, dst, a);
                self.v2(UQXTN | S32, dst, dst);
            }
            ConvertS32 => self.v2(SCVTF, dst, a),
            ConvertU32 => self.v2(UCVTF, dst, a),
            ConvertLowS => {
                self.widen(SSHLL, 32, dst, a);
                self.v2(SCVTF | D, dst, dst);
            }
            ConvertLowU => {
                self.widen(USHLL, 32, dst, a);
                self.v2(UCVTF | D, dst, dst);
            }
        }
    }

    fn is_simple(&self, op: Binary) -> bool {
        use Binary::*;
        !matches!(
            op,
            Mul64
                | NarrowS16
                | NarrowU16
                | NarrowS32
                | NarrowU32
                | PMin32
                | PMax32
                | PMin64
                | PMax64
                | Dot16
                | RelaxedDot8
        )
    }

    fn vector_binary(&mut self, op: Binary, dst: Reg, a: Reg, b: Reg) {
        use Binary::*;
        match op {
            And => self.v3(AND, dst, a, b),
            Or => self.v3(ORR, dst, a, b),
            Xor => self.v3(EOR, dst, a, b),
            AndNot => self.v3(BIC, dst, a, b),
            Add8 => self.v3(ADD | S8, dst, a, b),
            Sub8 => self.v3(SUB | S8, dst, a, b),
            AddSatS8 => self.v3(SQADD | S8, dst, a, b),
            AddSatU8 => self.v3(UQADD | S8, dst, a, b),
            SubSatS8 => self.v3(SQSUB | S8, dst, a, b),
            SubSatU8 => self.v3(UQSUB | S8, dst, a, b),
            Avgr8 => self.v3(URHADD | S8, dst, a, b),
            MinS8 => self.v3(SMIN | S8, dst, a, b),
            MinU8 => self.v3(UMIN | S8, dst, a, b),
            MaxS8 => self.v3(SMAX | S8, dst, a, b),
            MaxU8 => self.v3(UMAX | S8, dst, a, b),
            Add16 => self.v3(ADD | S16, dst, a, b),
            Sub16 => self.v3(SUB | S16, dst, a, b),
            Mul16 => self.v3(MUL | S16, dst, a, b),
            AddSatS16 => self.v3(SQADD | S16, dst, a, b),
            AddSatU16 => self.v3(UQADD | S16, dst, a, b),
            SubSatS16 => self.v3(SQSUB | S16, dst, a, b),
            SubSatU16 => self.v3(UQSUB | S16, dst, a, b),
            Avgr16 => self.v3(URHADD | S16, dst, a, b),
            MinS16 => self.v3(SMIN | S16, dst, a, b),
            MinU16 => self.v3(UMIN | S16, dst, a, b),
            MaxS16 => self.v3(SMAX | S16, dst, a, b),
            MaxU16 => self.v3(UMAX | S16, dst, a, b),
            Q15Mulr => self.v3(SQRDMULH | S16, dst, a, b),
            Add32 => self.v3(ADD | S32, dst, a, b),
            Sub32 => self.v3(SUB | S32, dst, a, b),
            Mul32 => self.v3(MUL | S32, dst, a, b),
            MinS32 => self.v3(SMIN | S32, dst, a, b),
            MinU32 => self.v3(UMIN | S32, dst, a, b),
            MaxS32 => self.v3(SMAX | S32, dst, a, b),
            MaxU32 => self.v3(UMAX | S32, dst, a, b),
            Add64 => self.v3(ADD | S64, dst, a, b),
            Sub64 => self.v3(SUB | S64, dst, a, b),
            Mul64 => {
                // The products across the halves go to the upper half, the
                // product of the low halves is added.
                self.v2(REV64 | S32, dst, b);
                self.v3(MUL | S32, dst, dst, a);
                self.v2(UADDLP | S32, dst, dst);
                self.v2(SHL | (64 + 32) << 16, dst, dst);
                self.v2(XTN | S32, V30, a);
                self.v2(XTN | S32, V31, b);
                self.v3(UMLAL | S32, dst, V30, V31);
            }
            NarrowS16 => self.narrow(SQXTN | S8, dst, a, b),
            NarrowU16 => self.narrow(SQXTUN | S8, dst, a, b),
            NarrowS32 => self.narrow(SQXTN | S16, dst, a, b),
            NarrowU32 => self.narrow(SQXTUN | S16, dst, a, b),
            Eq8 => self.v3(CMEQ | S8, dst, a, b),
            Eq16 => self.v3(CMEQ | S16, dst, a, b),
            Eq32 => self.v3(CMEQ | S32, dst, a, b),
            Eq64 => self.v3(CMEQ | S64, dst, a, b),
            Ne8 | Ne16 | Ne32 | Ne64 => {
                let size = match op {
                    Ne8 => S8,
                    Ne16 => S16,
                    Ne32 => S32,
                    _ => S64,
                };
                self.v3(CMEQ | size, dst, a, b);
                self.vinvert(dst);
            }
            GtS8 => self.v3(CMGT | S8, dst, a, b),
            GtS16 => self.v3(CMGT | S16, dst, a, b),
            GtS32 => self.v3(CMGT | S32, dst, a, b),
            GtS64 => self.v3(CMGT | S64, dst, a, b),
            LtS8 => self.v3(CMGT | S8, dst, b, a),
            LtS16 => self.v3(CMGT | S16, dst, b, a),
            LtS32 => self.v3(CMGT | S32, dst, b, a),
            LtS64 => self.v3(CMGT | S64, dst, b, a),
            GeS8 => self.v3(CMGE | S8, dst, a, b),
            GeS16 => self.v3(CMGE | S16, dst, a, b),
            GeS32 => self.v3(CMGE | S32, dst, a, b),
            GeS64 => self.v3(CMGE | S64, dst, a, b),
            LeS8 => self.v3(CMGE | S8, dst, b, a),
            LeS16 => self.v3(CMGE | S16, dst, b, a),
            LeS32 => self.v3(CMGE | S32, dst, b, a),
            LeS64 => self.v3(CMGE | S64, dst, b, a),
            GtU8 => self.v3(CMHI | S8, dst, a, b),
            GtU16 => self.v3(CMHI | S16, dst, a, b),
            GtU32 => self.v3(CMHI | S32, dst, a, b),
            LtU8 => self.v3(CMHI | S8, dst, b, a),
            LtU16 => self.v3(CMHI | S16, dst, b, a),
            LtU32 => self.v3(CMHI | S32, dst, b, a),
            GeU8 => self.v3(CMHS | S8, dst, a, b),
            GeU16 => self.v3(CMHS | S16, dst, a, b),
            GeU32 => self.v3(CMHS | S32, dst, a, b),
            LeU8 => self.v3(CMHS | S8, dst, b, a),
            LeU16 => self.v3(CMHS | S16, dst, b, a),
            LeU32 => self.v3(CMHS | S32, dst, b, a),
            FEq32 => self.v3(FCMEQ, dst, a, b),
            FEq64 => self.v3(FCMEQ | D, dst, a, b),
            FNe32 | FNe64 => {
                let double = if op == FNe64 { D } else { 0 };
                self.v3(FCMEQ | double, dst, a, b);
                self.vinvert(dst);
            }
            FLt32 => self.v3(FCMGT, dst, b, a),
            FGt32 => self.v3(FCMGT, dst, a, b),
            FLe32 => self.v3(FCMGE, dst, b, a),
            FGe32 => self.v3(FCMGE, dst, a, b),
            FLt64 => self.v3(FCMGT | D, dst, b, a),
            FGt64 => self.v3(FCMGT | D, dst, a, b),
            FLe64 => self.v3(FCMGE | D, dst, b, a),
            FGe64 => self.v3(FCMGE | D, dst, a, b),
            FAdd32 => self.v3(FADD, dst, a, b),
            FSub32 => self.v3(FSUB, dst, a, b),
            FMul32 => self.v3(FMUL, dst, a, b),
            FDiv32 => self.v3(FDIV, dst, a, b),
            FMin32 => self.v3(FMIN, dst, a, b),
            FMax32 => self.v3(FMAX, dst, a, b),
            FAdd64 => self.v3(FADD | D, dst, a, b),
            FSub64 => self.v3(FSUB | D, dst, a, b),
            FMul64 => self.v3(FMUL | D, dst, a, b),
            FDiv64 => self.v3(FDIV | D, dst, a, b),
            FMin64 => self.v3(FMIN | D, dst, a, b),
            FMax64 => self.v3(FMAX | D, dst, a, b),
            PMin32 => self.choose(dst, a, b, 0, a, b),
            PMax32 => self.choose(dst, b, a, 0, a, b),
            PMin64 => self.choose(dst, a, b, D, a, b),
            PMax64 => self.choose(dst, b, a, D, a, b),
            ExtmulLowS8 => self.v3(SMULL | S8, dst, a, b),
            ExtmulLowU8 => self.v3(UMULL | S8, dst, a, b),
            ExtmulHighS8 => self.v3(SMULL | HIGH | S8, dst, a, b),
            ExtmulHighU8 => self.v3(UMULL | HIGH | S8, dst, a, b),
            ExtmulLowS16 => self.v3(SMULL | S16, dst, a, b),
            ExtmulLowU16 => self.v3(UMULL | S16, dst, a, b),
            ExtmulHighS16 => self.v3(SMULL | HIGH | S16, dst, a, b),
            ExtmulHighU16 => self.v3(UMULL | HIGH | S16, dst, a, b),
            ExtmulLowS32 => self.v3(SMULL | S32, dst, a, b),
            ExtmulLowU32 => self.v3(UMULL | S32, dst, a, b),
            ExtmulHighS32 => self.v3(SMULL | HIGH | S32, dst, a, b),
            ExtmulHighU32 => self.v3(UMULL | HIGH | S32, dst, a, b),
            Dot16 => {
                self.v3(SMULL | S16, V31, a, b);
                self.v3(SMULL | HIGH | S16, dst, a, b);
                self.v3(ADDP | S32, dst, V31, dst);
            }
            RelaxedDot8 => {
                self.v3(SMULL | S8, V31, a, b);
                self.v3(SMULL | HIGH | S8, dst, a, b);
                self.v3(ADDP | S16, dst, V31, dst);
            }
            // tbl dst.16b, {a.16b}, b.16b
            Swizzle => self.v3(0x4e00_0000, dst, a, b),
        }
    }

    fn vector_shift(&mut self, op: VectorShift, lanes: Lanes, dst: Reg, a: Reg, by: Reg) {
        let mask = i64::from(8 * lanes.bytes() - 1);
        self.alu(Alu::And, Size::S32, X17, by, Src::Imm(mask));
        if op != VectorShift::Shl {
            // To the right is to the left by a negative number.
            self.e.rrr(0xcb00_0000, X17, ZR, X17);
        }
        self.splat(lanes, V31, X17);
        let op = if op == VectorShift::ShrS { SSHL } else { USHL };
        self.v3(op | log2(lanes) << 22, dst, a, V31);
    }

    fn canonical_nans(&mut self, double: bool, reg: Reg) {
        let size = if double { D } else { 0 };
        let (lanes, bits) = if double {
            (Lanes::I64, 0x7ff8_0000_0000_0000)
        } else {
            (Lanes::I32, 0x7fc0_0000)
        };
        self.e.imm(X17, bits);
        self.splat(lanes, V30, X17);
        self.v3(FCMEQ | size, V31, reg, reg);
        self.v3(BIF, reg, V30, V31);
    }

    fn shuffle(&mut self, dst: Reg, a: Reg, b: Reg, lanes: [u8; 16]) {
        self.vconst(dst, lanes);
        self.copy(V30, a);
        self.copy(V31, b);
        // tbl dst.16b, {v30.16b, v31.16b}, dst.16b
        self.v3(0x4e00_2000, dst, V30, dst);
    }

    fn bitselect(&mut self, dst: Reg, a: Reg, b: Reg, mask: Reg) {
        self.copy(dst, mask);
        self.v3(BSL, dst, a, b);
    }

    fn has_fused(&self) -> bool {
        true
    }

    fn fused(&mut self, double: bool, negate: bool, dst: Reg, a: Reg, b: Reg, c: Reg) {
        self.copy(dst, c);
        let op = if negate { FMLS } else { FMLA };
        self.v3(op | if double { D } else { 0 }, dst, a, b);
    }

    fn vector_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg) {
        let op = match mode {
            Rounding::Nearest => FRINTN,
            Rounding::Floor => FRINTM,
            Rounding::Ceil => FRINTP,
            Rounding::Trunc => FRINTZ,
        };
        self.v2(op | if double { D } else { 0 }, dst, a);
    }

    fn pairs_plus(&mut self, dst: Reg, a: Reg, c: Reg) {
        self.v2(SADDLP | S16, dst, a);
        self.v3(ADD | S32, dst, dst, c);
    }

    fn splat(&mut self, lanes: Lanes, dst: Reg, src: Reg) {
        let op = match lanes {
            Lanes::F32 | Lanes::F64 => 0x4e00_0400,
            _ => 0x4e00_0c00,
        };
        self.v2(op | lane_code(lanes, 0), dst, src);
    }

    fn extract(&mut self, lanes: Lanes, lane: u8, signed: bool, dst: Reg, a: Reg) {
        let op = match lanes {
            // dup of a scalar
            Lanes::F32 | Lanes::F64 => 0x5e00_0400,
            // smov, umov
            _ if signed => 0x0e00_2c00,
            Lanes::I64 => 0x4e00_3c00,
            _ => 0x0e00_3c00,
        };
        self.v2(op | lane_code(lanes, lane), dst, a);
    }

    fn replace(&mut self, lanes: Lanes, lane: u8, dst: Reg, src: Reg) {
        // ins, from the first lane or a register
        let op = match lanes {
            Lanes::F32 | Lanes::F64 => 0x6e00_0400,
            _ => 0x4e00_1c00,
        };
        self.v2(op | lane_code(lanes, lane), dst, src);
    }

    fn all_true(&mut self, lanes: Lanes, dst: Reg, a: Reg) {
        let condition = match lanes {
            Lanes::I64 | Lanes::F64 => {
                // No lane equals zero.
                self.v2(CMEQ_ZERO | S64, V31, a);
                self.v2(UMAXV | S32, V31, V31);
                IntCc::Equal
            }
            _ => {
                self.v2(UMINV | log2(lanes) << 22, V31, a);
                IntCc::NotEqual
            }
        };
        self.vector_to_gpr(false, X17, V31);
        self.test(Size::S32, X17);
        self.set_if(Condition::Is(condition), dst);
    }

    fn any_true(&mut self, dst: Reg, a: Reg) {
        self.v2(UMAXV | S32, V31, a);
        self.vector_to_gpr(false, X17, V31);
        self.test(Size::S32, X17);
        self.set_if(Condition::Is(IntCc::NotEqual), dst);
    }

    fn bitmask(&mut self, lanes: Lanes, dst: Reg, a: Reg) {
        // The distance of a shift to the right is twice the width minus it.
        match lanes {
            Lanes::I8 => {
                let bits = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
                self.mask_signs(16 - 7, S8, bits, dst, a);
            }
            Lanes::I16 => {
                let bits = [1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0];
                self.mask_signs(32 - 15, S16, bits, dst, a);
            }
            Lanes::I32 | Lanes::F32 => {
                let bits = [1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0];
                self.mask_signs(64 - 31, S32, bits, dst, a);
            }
            Lanes::I64 | Lanes::F64 => {
                self.extract(Lanes::I64, 0, false, X16, a);
                self.extract(Lanes::I64, 1, false, X17, a);
                // lsr x16, x16, #63; lsr x17, x17, #63; add dst, x16, x17, lsl #1
                self.e.rr(0xd37f_fc00, X16, X16);
                self.e.rr(0xd37f_fc00, X17, X17);
                self.e.rrr(0x8b00_0400, dst, X16, X17);
            }
        }
    }
}
