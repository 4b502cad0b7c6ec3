//! What do vector instructions do? The list of them all, from the decoder's own
//! list: one that is missing here is a compile error.

use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation::{F32, F64, I32, I64, V128};
use wasmparser::{MemArg, V128 as Bytes, VisitSimdOperator};

use super::{Entry, Function, Step};
use crate::masm::{Assembler, Binary, Lanes, Mem, Rounding, Size, Unary, VectorShift};
use crate::reg::Reg;

/// Methods that hand their instruction to a method of the driver.
macro_rules! vectors {
    ($method:ident: $($visit:ident $($argument:expr),*;)*) => {
        $(fn $visit(&mut self) -> Step {
            self.$method($($argument),*);
            Ok(())
        })*
    };
}

/// The same for instructions that name a lane.
macro_rules! lanes {
    ($method:ident: $($visit:ident $($argument:expr),*;)*) => {
        $(fn $visit(&mut self, lane: u8) -> Step {
            self.$method(lane, $($argument),*);
            Ok(())
        })*
    };
}

/// The same for instructions with a memory argument.
macro_rules! accesses {
    ($method:ident: $($visit:ident $argument:expr;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.$method(&memarg, $argument)
        })*
    };
}

/// The same for instructions with a memory argument that name a lane.
macro_rules! lane_accesses {
    ($method:ident: $($visit:ident $argument:expr;)*) => {
        $(fn $visit(&mut self, memarg: MemArg, lane: u8) -> Step {
            self.$method(&memarg, lane, $argument)
        })*
    };
}

impl<A: Assembler> Function<'_, A> {
    fn unary(&mut self, op: Unary) {
        let a = self.pop_reg();
        let dst = self.allocate(V128);
        self.masm.vector_unary(op, dst, a.reg);
        self.push_reg(dst, V128);
    }

    fn push_floats(&mut self, reg: Reg, double: bool) {
        if self.tunables.deterministic {
            self.masm.canonical_nans(double, reg);
        }
        self.push_reg(reg, V128);
    }

    fn unary_float(&mut self, op: Unary, double: bool) {
        let a = self.pop_reg();
        let dst = self.allocate(V128);
        self.masm.vector_unary(op, dst, a.reg);
        self.push_floats(dst, double);
    }

    fn binary_into(&mut self, op: Binary) -> Reg {
        let (b, a) = (self.pop_reg(), self.pop_reg());
        let dst = if a.owned && self.masm.is_simple(op) {
            a.reg
        } else {
            self.allocate(V128)
        };
        self.masm.vector_binary(op, dst, a.reg, b.reg);
        dst
    }

    fn binary(&mut self, op: Binary) {
        let dst = self.binary_into(op);
        self.push_reg(dst, V128);
    }

    fn binary_float(&mut self, op: Binary, double: bool) {
        let dst = self.binary_into(op);
        self.push_floats(dst, double);
    }

    fn vector_shift(&mut self, op: VectorShift, lanes: Lanes) {
        let (by, a) = (self.pop_reg(), self.pop_reg());
        let dst = self.allocate(V128);
        self.masm.vector_shift(op, lanes, dst, a.reg, by.reg);
        self.push_reg(dst, V128);
    }

    fn all_true(&mut self, lanes: Lanes) {
        let a = self.pop_reg();
        let dst = self.allocate(I32);
        self.masm.all_true(lanes, dst, a.reg);
        self.push_reg(dst, I32);
    }

    fn any_true(&mut self) {
        let a = self.pop_reg();
        let dst = self.allocate(I32);
        self.masm.any_true(dst, a.reg);
        self.push_reg(dst, I32);
    }

    fn bitmask(&mut self, lanes: Lanes) {
        let a = self.pop_reg();
        let dst = self.allocate(I32);
        self.masm.bitmask(lanes, dst, a.reg);
        self.push_reg(dst, I32);
    }

    fn splat(&mut self, lanes: Lanes) {
        let a = self.pop_reg();
        let dst = self.allocate(V128);
        self.masm.splat(lanes, dst, a.reg);
        self.push_reg(dst, V128);
    }

    fn extract(&mut self, lane: u8, lanes: Lanes, signed: bool) {
        let a = self.pop_reg();
        let repr = match lanes {
            Lanes::I8 | Lanes::I16 | Lanes::I32 => I32,
            Lanes::I64 => I64,
            Lanes::F32 => F32,
            Lanes::F64 => F64,
        };
        let dst = self.allocate(repr);
        self.masm.extract(lanes, lane, signed, dst, a.reg);
        self.push_reg(dst, repr);
    }

    fn replace(&mut self, lane: u8, lanes: Lanes) {
        let (value, vector) = (self.pop_reg(), self.pop_reg());
        let dst = self.make_own(vector, V128);
        self.masm.replace(lanes, lane, dst, value.reg);
        self.push_reg(dst, V128);
    }

    fn bitselect(&mut self) {
        let (mask, b, a) = (self.pop_reg(), self.pop_reg(), self.pop_reg());
        let dst = self.allocate(V128);
        self.masm.bitselect(dst, a.reg, b.reg, mask.reg);
        self.push_reg(dst, V128);
    }

    /// Computes lane by lane with a builtin, where there is no instruction.
    fn by_lanes(&mut self, builtin: Builtin, vectors: &[Entry], double: bool) -> Reg {
        self.save_for_call(self.stack.len());
        let base = self.spare(16 * vectors.len() as u32);
        for (i, vector) in vectors.iter().enumerate() {
            self.store_value(*vector, A::home(base - 16 * i as u32));
        }
        let size = if double { Size::S64 } else { Size::S32 };
        for lane in 0..16 / size.bytes() {
            let at = |i: u32| {
                let mut mem: Mem = A::home(base - 16 * i);
                mem.disp += (lane * size.bytes()) as i32;
                mem
            };
            for i in 0..vectors.len() {
                self.masm.load(size, A::C_PARAMS[i + 1], at(i as u32));
            }
            self.call_runtime(builtin);
            self.masm.store(size, A::SCRATCH, at(0));
        }
        self.after_call();
        let dst = self.allocate(V128);
        self.masm.load_vector(16, dst, A::home(base));
        dst
    }

    fn vector_round(&mut self, mode: Rounding, builtin: Builtin, double: bool) {
        let dst = if self.masm.has_rounding() {
            let a = self.pop_reg();
            let dst = self.allocate(V128);
            self.masm.vector_round(mode, double, dst, a.reg);
            dst
        } else {
            let a = self.pop();
            self.by_lanes(builtin, &[a], double)
        };
        self.push_floats(dst, double);
    }

    fn fused(&mut self, builtin: Builtin, negate: bool, double: bool) {
        if self.masm.has_fused() {
            let (c, b, a) = (self.pop_reg(), self.pop_reg(), self.pop_reg());
            let dst = self.allocate(V128);
            self.masm.fused(double, negate, dst, a.reg, b.reg, c.reg);
            self.push_floats(dst, double);
            return;
        }
        let (mut a, b, c) = self.pop3();
        if negate {
            let held = self.hold(a);
            let dst = self.allocate(V128);
            let op = if double { Unary::FNeg64 } else { Unary::FNeg32 };
            self.masm.vector_unary(op, dst, held.reg);
            a.set_place(super::Place::Reg(dst));
        }
        let dst = self.by_lanes(builtin, &[a, b, c], double);
        self.push_floats(dst, double);
    }

    // Memory.

    fn load_widened(&mut self, memarg: &MemArg, op: Unary) -> Step {
        let index = self.pop();
        if let Some(address) = self.address(memarg, index, 8)? {
            let narrow = self.allocate(V128);
            let dst = self.allocate(V128);
            self.masm.site(address.trap);
            self.masm.load_vector(8, narrow, address.mem);
            self.masm.vector_unary(op, dst, narrow);
            self.push_reg(dst, V128);
        }
        Ok(())
    }

    fn load_splat(&mut self, memarg: &MemArg, lanes: Lanes) -> Step {
        let index = self.pop();
        if let Some(address) = self.address(memarg, index, lanes.bytes())? {
            let dst = self.allocate(V128);
            self.masm.site(address.trap);
            self.masm
                .load_extended(lanes.size(), false, Size::S64, A::SCRATCH, address.mem);
            self.masm.splat(lanes, dst, A::SCRATCH);
            self.push_reg(dst, V128);
        }
        Ok(())
    }

    fn load_zero(&mut self, memarg: &MemArg, bytes: u32) -> Step {
        let index = self.pop();
        if let Some(address) = self.address(memarg, index, bytes)? {
            let dst = self.allocate(V128);
            self.masm.site(address.trap);
            self.masm.load_vector(bytes, dst, address.mem);
            self.push_reg(dst, V128);
        }
        Ok(())
    }

    fn load_lane(&mut self, memarg: &MemArg, lane: u8, lanes: Lanes) -> Step {
        let vector = self.pop_reg();
        let index = self.pop();
        if let Some(address) = self.address(memarg, index, lanes.bytes())? {
            self.masm.site(address.trap);
            self.masm
                .load_extended(lanes.size(), false, Size::S64, A::SCRATCH_3, address.mem);
            let dst = self.make_own(vector, V128);
            self.masm.replace(lanes, lane, dst, A::SCRATCH_3);
            self.push_reg(dst, V128);
        }
        Ok(())
    }

    fn store_lane(&mut self, memarg: &MemArg, lane: u8, lanes: Lanes) -> Step {
        let vector = self.pop_reg();
        let index = self.pop();
        if let Some(address) = self.address(memarg, index, lanes.bytes())? {
            self.masm
                .extract(lanes, lane, false, A::SCRATCH_3, vector.reg);
            self.store_site(&address, lanes.bytes());
            self.masm.store(lanes.size(), A::SCRATCH_3, address.mem);
        }
        Ok(())
    }
}

impl<'a, A: Assembler> VisitSimdOperator<'a> for Function<'a, A> {
    // Memory and constants.

    fn visit_v128_load(&mut self, memarg: MemArg) -> Step {
        self.load_vector(&memarg, V128)
    }
    fn visit_v128_store(&mut self, memarg: MemArg) -> Step {
        self.store_vector(&memarg, V128)
    }
    fn visit_v128_const(&mut self, value: Bytes) -> Step {
        let dst = self.allocate(V128);
        self.masm.vector_constant(dst, *value.bytes());
        self.push_reg(dst, V128);
        Ok(())
    }
    fn visit_i8x16_shuffle(&mut self, lanes: [u8; 16]) -> Step {
        let (b, a) = (self.pop_reg(), self.pop_reg());
        let dst = self.allocate(V128);
        self.masm.shuffle(dst, a.reg, b.reg, lanes);
        self.push_reg(dst, V128);
        Ok(())
    }

    accesses! { load_widened:
        visit_v128_load8x8_s Unary::ExtendLowS8;
        visit_v128_load8x8_u Unary::ExtendLowU8;
        visit_v128_load16x4_s Unary::ExtendLowS16;
        visit_v128_load16x4_u Unary::ExtendLowU16;
        visit_v128_load32x2_s Unary::ExtendLowS32;
        visit_v128_load32x2_u Unary::ExtendLowU32;
    }

    accesses! { load_splat:
        visit_v128_load8_splat Lanes::I8;
        visit_v128_load16_splat Lanes::I16;
        visit_v128_load32_splat Lanes::I32;
        visit_v128_load64_splat Lanes::I64;
    }

    accesses! { load_zero:
        visit_v128_load32_zero 4;
        visit_v128_load64_zero 8;
    }

    lane_accesses! { load_lane:
        visit_v128_load8_lane Lanes::I8;
        visit_v128_load16_lane Lanes::I16;
        visit_v128_load32_lane Lanes::I32;
        visit_v128_load64_lane Lanes::I64;
    }

    lane_accesses! { store_lane:
        visit_v128_store8_lane Lanes::I8;
        visit_v128_store16_lane Lanes::I16;
        visit_v128_store32_lane Lanes::I32;
        visit_v128_store64_lane Lanes::I64;
    }

    // Lanes.

    vectors! { splat:
        visit_i8x16_splat Lanes::I8;
        visit_i16x8_splat Lanes::I16;
        visit_i32x4_splat Lanes::I32;
        visit_i64x2_splat Lanes::I64;
        visit_f32x4_splat Lanes::F32;
        visit_f64x2_splat Lanes::F64;
    }

    lanes! { extract:
        visit_i8x16_extract_lane_s Lanes::I8, true;
        visit_i8x16_extract_lane_u Lanes::I8, false;
        visit_i16x8_extract_lane_s Lanes::I16, true;
        visit_i16x8_extract_lane_u Lanes::I16, false;
        visit_i32x4_extract_lane Lanes::I32, false;
        visit_i64x2_extract_lane Lanes::I64, false;
        visit_f32x4_extract_lane Lanes::F32, false;
        visit_f64x2_extract_lane Lanes::F64, false;
    }

    lanes! { replace:
        visit_i8x16_replace_lane Lanes::I8;
        visit_i16x8_replace_lane Lanes::I16;
        visit_i32x4_replace_lane Lanes::I32;
        visit_i64x2_replace_lane Lanes::I64;
        visit_f32x4_replace_lane Lanes::F32;
        visit_f64x2_replace_lane Lanes::F64;
    }

    vectors! { any_true: visit_v128_any_true; }

    vectors! { all_true:
        visit_i8x16_all_true Lanes::I8;
        visit_i16x8_all_true Lanes::I16;
        visit_i32x4_all_true Lanes::I32;
        visit_i64x2_all_true Lanes::I64;
    }

    vectors! { bitmask:
        visit_i8x16_bitmask Lanes::I8;
        visit_i16x8_bitmask Lanes::I16;
        visit_i32x4_bitmask Lanes::I32;
        visit_i64x2_bitmask Lanes::I64;
    }

    vectors! { bitselect:
        visit_v128_bitselect;
        visit_i8x16_relaxed_laneselect;
        visit_i16x8_relaxed_laneselect;
        visit_i32x4_relaxed_laneselect;
        visit_i64x2_relaxed_laneselect;
    }

    // Numbers.

    vectors! { unary:
        visit_i8x16_abs Unary::Abs8;
        visit_i8x16_neg Unary::Neg8;
        visit_i16x8_abs Unary::Abs16;
        visit_i16x8_neg Unary::Neg16;
        visit_i32x4_abs Unary::Abs32;
        visit_i32x4_neg Unary::Neg32;
        visit_i64x2_abs Unary::Abs64;
        visit_i64x2_neg Unary::Neg64;
        visit_v128_not Unary::Not;
        visit_i8x16_popcnt Unary::Popcnt;
        visit_f32x4_abs Unary::FAbs32;
        visit_f32x4_neg Unary::FNeg32;
        visit_f64x2_abs Unary::FAbs64;
        visit_f64x2_neg Unary::FNeg64;
        visit_i16x8_extend_low_i8x16_s Unary::ExtendLowS8;
        visit_i16x8_extend_low_i8x16_u Unary::ExtendLowU8;
        visit_i16x8_extend_high_i8x16_s Unary::ExtendHighS8;
        visit_i16x8_extend_high_i8x16_u Unary::ExtendHighU8;
        visit_i32x4_extend_low_i16x8_s Unary::ExtendLowS16;
        visit_i32x4_extend_low_i16x8_u Unary::ExtendLowU16;
        visit_i32x4_extend_high_i16x8_s Unary::ExtendHighS16;
        visit_i32x4_extend_high_i16x8_u Unary::ExtendHighU16;
        visit_i64x2_extend_low_i32x4_s Unary::ExtendLowS32;
        visit_i64x2_extend_low_i32x4_u Unary::ExtendLowU32;
        visit_i64x2_extend_high_i32x4_s Unary::ExtendHighS32;
        visit_i64x2_extend_high_i32x4_u Unary::ExtendHighU32;
        visit_i16x8_extadd_pairwise_i8x16_s Unary::PairwiseS8;
        visit_i16x8_extadd_pairwise_i8x16_u Unary::PairwiseU8;
        visit_i32x4_extadd_pairwise_i16x8_s Unary::PairwiseS16;
        visit_i32x4_extadd_pairwise_i16x8_u Unary::PairwiseU16;
        visit_i32x4_trunc_sat_f32x4_s Unary::TruncS32;
        visit_i32x4_trunc_sat_f64x2_s_zero Unary::TruncS64;
        visit_i32x4_trunc_sat_f32x4_u Unary::TruncU32;
        visit_i32x4_trunc_sat_f64x2_u_zero Unary::TruncU64;
        visit_i32x4_relaxed_trunc_f32x4_s Unary::TruncS32;
        visit_i32x4_relaxed_trunc_f64x2_s_zero Unary::TruncS64;
        visit_i32x4_relaxed_trunc_f32x4_u Unary::TruncU32;
        visit_i32x4_relaxed_trunc_f64x2_u_zero Unary::TruncU64;
        visit_f32x4_convert_i32x4_s Unary::ConvertS32;
        visit_f64x2_convert_low_i32x4_s Unary::ConvertLowS;
        visit_f32x4_convert_i32x4_u Unary::ConvertU32;
        visit_f64x2_convert_low_i32x4_u Unary::ConvertLowU;
    }

    vectors! { unary_float:
        visit_f32x4_sqrt Unary::Sqrt32, false;
        visit_f64x2_sqrt Unary::Sqrt64, true;
        visit_f32x4_demote_f64x2_zero Unary::Demote, false;
        visit_f64x2_promote_low_f32x4 Unary::Promote, true;
    }

    vectors! { binary:
        visit_v128_and Binary::And;
        visit_v128_or Binary::Or;
        visit_v128_xor Binary::Xor;
        visit_v128_andnot Binary::AndNot;
        visit_i8x16_add Binary::Add8;
        visit_i8x16_sub Binary::Sub8;
        visit_i8x16_add_sat_s Binary::AddSatS8;
        visit_i8x16_add_sat_u Binary::AddSatU8;
        visit_i8x16_sub_sat_s Binary::SubSatS8;
        visit_i8x16_sub_sat_u Binary::SubSatU8;
        visit_i8x16_avgr_u Binary::Avgr8;
        visit_i16x8_add Binary::Add16;
        visit_i16x8_sub Binary::Sub16;
        visit_i16x8_add_sat_s Binary::AddSatS16;
        visit_i16x8_add_sat_u Binary::AddSatU16;
        visit_i16x8_sub_sat_s Binary::SubSatS16;
        visit_i16x8_sub_sat_u Binary::SubSatU16;
        visit_i16x8_avgr_u Binary::Avgr16;
        visit_i32x4_add Binary::Add32;
        visit_i32x4_sub Binary::Sub32;
        visit_i64x2_add Binary::Add64;
        visit_i64x2_sub Binary::Sub64;
        visit_i16x8_mul Binary::Mul16;
        visit_i32x4_mul Binary::Mul32;
        visit_i64x2_mul Binary::Mul64;
        visit_i8x16_min_s Binary::MinS8;
        visit_i8x16_min_u Binary::MinU8;
        visit_i8x16_max_s Binary::MaxS8;
        visit_i8x16_max_u Binary::MaxU8;
        visit_i16x8_min_s Binary::MinS16;
        visit_i16x8_min_u Binary::MinU16;
        visit_i16x8_max_s Binary::MaxS16;
        visit_i16x8_max_u Binary::MaxU16;
        visit_i32x4_min_s Binary::MinS32;
        visit_i32x4_min_u Binary::MinU32;
        visit_i32x4_max_s Binary::MaxS32;
        visit_i32x4_max_u Binary::MaxU32;
        visit_i8x16_narrow_i16x8_s Binary::NarrowS16;
        visit_i8x16_narrow_i16x8_u Binary::NarrowU16;
        visit_i16x8_narrow_i32x4_s Binary::NarrowS32;
        visit_i16x8_narrow_i32x4_u Binary::NarrowU32;
        visit_i16x8_q15mulr_sat_s Binary::Q15Mulr;
        visit_i16x8_relaxed_q15mulr_s Binary::Q15Mulr;
        visit_i8x16_eq Binary::Eq8;
        visit_i8x16_ne Binary::Ne8;
        visit_i8x16_lt_s Binary::LtS8;
        visit_i8x16_lt_u Binary::LtU8;
        visit_i8x16_gt_s Binary::GtS8;
        visit_i8x16_gt_u Binary::GtU8;
        visit_i8x16_le_s Binary::LeS8;
        visit_i8x16_le_u Binary::LeU8;
        visit_i8x16_ge_s Binary::GeS8;
        visit_i8x16_ge_u Binary::GeU8;
        visit_i16x8_eq Binary::Eq16;
        visit_i16x8_ne Binary::Ne16;
        visit_i16x8_lt_s Binary::LtS16;
        visit_i16x8_lt_u Binary::LtU16;
        visit_i16x8_gt_s Binary::GtS16;
        visit_i16x8_gt_u Binary::GtU16;
        visit_i16x8_le_s Binary::LeS16;
        visit_i16x8_le_u Binary::LeU16;
        visit_i16x8_ge_s Binary::GeS16;
        visit_i16x8_ge_u Binary::GeU16;
        visit_i32x4_eq Binary::Eq32;
        visit_i32x4_ne Binary::Ne32;
        visit_i32x4_lt_s Binary::LtS32;
        visit_i32x4_lt_u Binary::LtU32;
        visit_i32x4_gt_s Binary::GtS32;
        visit_i32x4_gt_u Binary::GtU32;
        visit_i32x4_le_s Binary::LeS32;
        visit_i32x4_le_u Binary::LeU32;
        visit_i32x4_ge_s Binary::GeS32;
        visit_i32x4_ge_u Binary::GeU32;
        visit_i64x2_eq Binary::Eq64;
        visit_i64x2_ne Binary::Ne64;
        visit_i64x2_lt_s Binary::LtS64;
        visit_i64x2_gt_s Binary::GtS64;
        visit_i64x2_le_s Binary::LeS64;
        visit_i64x2_ge_s Binary::GeS64;
        visit_f32x4_eq Binary::FEq32;
        visit_f32x4_ne Binary::FNe32;
        visit_f32x4_lt Binary::FLt32;
        visit_f32x4_gt Binary::FGt32;
        visit_f32x4_le Binary::FLe32;
        visit_f32x4_ge Binary::FGe32;
        visit_f32x4_pmin Binary::PMin32;
        visit_f32x4_pmax Binary::PMax32;
        visit_f64x2_eq Binary::FEq64;
        visit_f64x2_ne Binary::FNe64;
        visit_f64x2_lt Binary::FLt64;
        visit_f64x2_gt Binary::FGt64;
        visit_f64x2_le Binary::FLe64;
        visit_f64x2_ge Binary::FGe64;
        visit_f64x2_pmin Binary::PMin64;
        visit_f64x2_pmax Binary::PMax64;
        visit_i16x8_extmul_low_i8x16_s Binary::ExtmulLowS8;
        visit_i16x8_extmul_low_i8x16_u Binary::ExtmulLowU8;
        visit_i16x8_extmul_high_i8x16_s Binary::ExtmulHighS8;
        visit_i16x8_extmul_high_i8x16_u Binary::ExtmulHighU8;
        visit_i32x4_extmul_low_i16x8_s Binary::ExtmulLowS16;
        visit_i32x4_extmul_low_i16x8_u Binary::ExtmulLowU16;
        visit_i32x4_extmul_high_i16x8_s Binary::ExtmulHighS16;
        visit_i32x4_extmul_high_i16x8_u Binary::ExtmulHighU16;
        visit_i64x2_extmul_low_i32x4_s Binary::ExtmulLowS32;
        visit_i64x2_extmul_low_i32x4_u Binary::ExtmulLowU32;
        visit_i64x2_extmul_high_i32x4_s Binary::ExtmulHighS32;
        visit_i64x2_extmul_high_i32x4_u Binary::ExtmulHighU32;
        visit_i32x4_dot_i16x8_s Binary::Dot16;
        visit_i16x8_relaxed_dot_i8x16_i7x16_s Binary::RelaxedDot8;
        visit_i8x16_swizzle Binary::Swizzle;
        visit_i8x16_relaxed_swizzle Binary::Swizzle;
    }

    vectors! { binary_float:
        visit_f32x4_add Binary::FAdd32, false;
        visit_f32x4_sub Binary::FSub32, false;
        visit_f32x4_mul Binary::FMul32, false;
        visit_f32x4_div Binary::FDiv32, false;
        visit_f32x4_min Binary::FMin32, false;
        visit_f32x4_max Binary::FMax32, false;
        visit_f32x4_relaxed_min Binary::FMin32, false;
        visit_f32x4_relaxed_max Binary::FMax32, false;
        visit_f64x2_add Binary::FAdd64, true;
        visit_f64x2_sub Binary::FSub64, true;
        visit_f64x2_mul Binary::FMul64, true;
        visit_f64x2_div Binary::FDiv64, true;
        visit_f64x2_min Binary::FMin64, true;
        visit_f64x2_max Binary::FMax64, true;
        visit_f64x2_relaxed_min Binary::FMin64, true;
        visit_f64x2_relaxed_max Binary::FMax64, true;
    }

    vectors! { vector_shift:
        visit_i8x16_shl VectorShift::Shl, Lanes::I8;
        visit_i8x16_shr_s VectorShift::ShrS, Lanes::I8;
        visit_i8x16_shr_u VectorShift::ShrU, Lanes::I8;
        visit_i16x8_shl VectorShift::Shl, Lanes::I16;
        visit_i16x8_shr_s VectorShift::ShrS, Lanes::I16;
        visit_i16x8_shr_u VectorShift::ShrU, Lanes::I16;
        visit_i32x4_shl VectorShift::Shl, Lanes::I32;
        visit_i32x4_shr_s VectorShift::ShrS, Lanes::I32;
        visit_i32x4_shr_u VectorShift::ShrU, Lanes::I32;
        visit_i64x2_shl VectorShift::Shl, Lanes::I64;
        visit_i64x2_shr_s VectorShift::ShrS, Lanes::I64;
        visit_i64x2_shr_u VectorShift::ShrU, Lanes::I64;
    }

    vectors! { vector_round:
        visit_f32x4_ceil Rounding::Ceil, Builtin::f32_ceil, false;
        visit_f32x4_floor Rounding::Floor, Builtin::f32_floor, false;
        visit_f32x4_trunc Rounding::Trunc, Builtin::f32_trunc, false;
        visit_f32x4_nearest Rounding::Nearest, Builtin::f32_nearest, false;
        visit_f64x2_ceil Rounding::Ceil, Builtin::f64_ceil, true;
        visit_f64x2_floor Rounding::Floor, Builtin::f64_floor, true;
        visit_f64x2_trunc Rounding::Trunc, Builtin::f64_trunc, true;
        visit_f64x2_nearest Rounding::Nearest, Builtin::f64_nearest, true;
    }

    vectors! { fused:
        visit_f32x4_relaxed_madd Builtin::f32_fma, false, false;
        visit_f32x4_relaxed_nmadd Builtin::f32_fma, true, false;
        visit_f64x2_relaxed_madd Builtin::f64_fma, false, true;
        visit_f64x2_relaxed_nmadd Builtin::f64_fma, true, true;
    }

    fn visit_i32x4_relaxed_dot_i8x16_i7x16_add_s(&mut self) -> Step {
        let (c, b, a) = (self.pop_reg(), self.pop_reg(), self.pop_reg());
        let products = self.allocate(V128);
        self.masm
            .vector_binary(Binary::RelaxedDot8, products, a.reg, b.reg);
        let dst = self.allocate(V128);
        self.masm.pairs_plus(dst, products, c.reg);
        self.push_reg(dst, V128);
        Ok(())
    }
}
