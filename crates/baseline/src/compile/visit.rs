//! What does each instruction do? The list of them all, from the decoder's own
//! list: a scalar instruction that is missing here is a compile error.

use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation::{self, F32, F64, I32, I64};
use tepui_module::{ConstOp, GlobalIndex, forward_structure, refuse_proposals};
use wasmparser::{Ieee32, Ieee64, MemArg, Ordering, VisitOperator, VisitSimdOperator};

use super::{Entry, Function, Place, Step, Stop, is_float, size_of};
use crate::masm::{
    Alu, Assembler, Condition, Conversion, Division, FloatBinary, FloatCc, IntCc, Mem, Rmw,
    Rounding, Shift, Size,
};
use crate::reg::Reg;

/// Methods that hand their instruction to a method of the driver.
macro_rules! numbers {
    ($method:ident: $($visit:ident $($argument:expr),*;)*) => {
        $(fn $visit(&mut self) -> Step {
            self.$method($($argument),*);
            Ok(())
        })*
    };
}

/// The same for instructions with a memory argument.
macro_rules! accesses {
    ($method:ident: $($visit:ident $($argument:expr),*;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.$method(&memarg $(, $argument)*)
        })*
    };
}

impl<A: Assembler> Function<'_, A> {
    /// Stops at an instruction that no tier has.
    fn refuse(&self, message: &str) -> Step {
        Err(Stop::new(message))
    }

    // Integers.

    fn alu(&mut self, op: Alu, repr: Representation) {
        let (mut b, mut a) = (self.pop(), self.pop());
        if op != Alu::Sub
            && !matches!(a.place(), Place::Reg(_))
            && matches!(b.place(), Place::Reg(_))
            || op != Alu::Sub && matches!(a.place(), Place::Const(_))
        {
            std::mem::swap(&mut a, &mut b);
        }
        let a = self.hold(a);
        let b = self.source(b);
        let dst = self.result(repr, &[a]);
        self.masm.alu(op, size_of(repr), dst, a.reg, b);
        self.push_reg(dst, repr);
    }

    fn mul(&mut self, repr: Representation) {
        let (mut b, mut a) = (self.pop(), self.pop());
        if matches!(a.place(), Place::Const(_)) {
            std::mem::swap(&mut a, &mut b);
        }
        let a = self.hold(a);
        let b = self.source(b);
        let dst = self.result(repr, &[a]);
        self.masm.mul(size_of(repr), dst, a.reg, b);
        self.push_reg(dst, repr);
    }

    fn shift(&mut self, op: Shift, repr: Representation) {
        let (b, a) = (self.pop(), self.pop());
        let a = self.hold(a);
        let b = self.source(b);
        let dst = self.result(repr, &[a]);
        self.masm.shift(op, size_of(repr), dst, a.reg, b);
        self.push_reg(dst, repr);
    }

    fn divide(&mut self, op: Division, repr: Representation) {
        let (b, a) = (self.pop(), self.pop());
        let a = self.hold(a);
        let b = self.source(b);
        let dst = self.result(repr, &[a]);
        self.masm.divide(op, size_of(repr), dst, a.reg, b);
        self.push_reg(dst, repr);
    }

    fn bits(&mut self, make: fn(&mut A, Size, Reg, Reg), repr: Representation) {
        let a = self.pop_reg();
        let dst = self.result(repr, &[a]);
        make(&mut self.masm, size_of(repr), dst, a.reg);
        self.push_reg(dst, repr);
    }

    pub(super) fn push_flags(&mut self, condition: Condition) {
        self.push(Place::Flags(condition), I32);
        self.flags_pending = true;
        self.masm.set_flags_live(true);
    }

    fn compare(&mut self, cc: IntCc, repr: Representation) {
        let (mut b, mut a) = (self.pop(), self.pop());
        let mut cc = cc;
        if matches!(a.place(), Place::Const(_)) && !matches!(b.place(), Place::Const(_)) {
            std::mem::swap(&mut a, &mut b);
            cc = cc.swapped();
        }
        let a = self.hold(a);
        let b = self.source(b);
        self.masm.compare(size_of(repr), a.reg, b);
        self.push_flags(Condition::Is(cc));
    }

    fn eqz(&mut self, repr: Representation) {
        let entry = self.pop();
        if let Place::Flags(condition) = entry.place() {
            self.push_flags(condition.not());
            return;
        }
        let held = self.hold(entry);
        self.masm.test(size_of(repr), held.reg);
        self.push_flags(Condition::Is(IntCc::Equal));
    }

    fn extend(&mut self, from: Size, repr: Representation) {
        let a = self.pop_reg();
        let dst = self.result(repr, &[a]);
        self.masm.extend(from, true, size_of(repr), dst, a.reg);
        self.push_reg(dst, repr);
    }

    /// Wraps, or extends with zeros.
    fn low_half(&mut self, repr: Representation) {
        let a = self.pop_reg();
        let dst = self.result(repr, &[a]);
        self.masm.move_reg(Size::S32, dst, a.reg);
        self.push_reg(dst, repr);
    }

    fn add_wide(&mut self, op: Alu) {
        let (b_high, b_low) = (self.pop_reg(), self.pop_reg());
        let (a_high, a_low) = (self.pop_reg(), self.pop_reg());
        let low = self.allocate(I64);
        let high = self.allocate(I64);
        self.masm.add_wide(
            op,
            low,
            high,
            [a_low.reg, a_high.reg],
            [b_low.reg, b_high.reg],
        );
        self.push_reg(low, I64);
        self.push_reg(high, I64);
    }

    fn mul_wide(&mut self, signed: bool) {
        let (b, a) = (self.pop_reg(), self.pop_reg());
        let low = self.allocate(I64);
        let high = self.allocate(I64);
        self.masm.mul_wide(signed, low, high, a.reg, b.reg);
        self.push_reg(low, I64);
        self.push_reg(high, I64);
    }

    // Floats.

    /// Makes the result of arithmetic canonical if it is to be.
    fn push_float(&mut self, reg: Reg, repr: Representation) {
        if self.tunables.deterministic {
            self.masm.canonical_nan(repr == F64, reg);
        }
        self.push_reg(reg, repr);
    }

    fn float_binary(&mut self, op: FloatBinary, repr: Representation) {
        let (b, a) = (self.pop_reg(), self.pop_reg());
        let dst = self.result(repr, &[a]);
        self.masm.float_binary(op, repr == F64, dst, a.reg, b.reg);
        if op == FloatBinary::Copysign {
            self.push_reg(dst, repr);
        } else {
            self.push_float(dst, repr);
        }
    }

    fn float_sign(&mut self, make: fn(&mut A, bool, Reg, Reg), repr: Representation) {
        let a = self.pop_reg();
        let dst = self.result(repr, &[a]);
        make(&mut self.masm, repr == F64, dst, a.reg);
        self.push_reg(dst, repr);
    }

    fn sqrt(&mut self, repr: Representation) {
        let a = self.pop_reg();
        let dst = self.result(repr, &[a]);
        self.masm.float_sqrt(repr == F64, dst, a.reg);
        self.push_float(dst, repr);
    }

    fn round(&mut self, mode: Rounding, builtin: Builtin, repr: Representation) {
        if self.masm.has_rounding() {
            let a = self.pop_reg();
            let dst = self.result(repr, &[a]);
            self.masm.float_round(mode, repr == F64, dst, a.reg);
            self.push_float(dst, repr);
            return;
        }
        let a = self.pop();
        self.save_for_call(self.stack.len());
        self.materialize(a, A::VECTOR_SCRATCH);
        self.masm
            .vector_to_gpr(repr == F64, A::C_PARAMS[1], A::VECTOR_SCRATCH);
        self.call_runtime(builtin);
        self.after_call();
        let dst = self.allocate(repr);
        self.masm.gpr_to_vector(repr == F64, dst, A::SCRATCH);
        self.push_float(dst, repr);
    }

    fn compare_floats(&mut self, cc: FloatCc, repr: Representation) {
        let (b, a) = (self.pop_reg(), self.pop_reg());
        self.masm.compare_floats(repr == F64, cc, a.reg, b.reg);
        self.push_flags(Condition::Float(cc));
    }

    fn promote(&mut self) {
        let a = self.pop_reg();
        let dst = self.result(F64, &[a]);
        self.masm.promote(dst, a.reg);
        self.push_float(dst, F64);
    }

    fn demote(&mut self) {
        let a = self.pop_reg();
        let dst = self.result(F32, &[a]);
        self.masm.demote(dst, a.reg);
        self.push_float(dst, F32);
    }

    fn truncate(&mut self, saturates: bool, double: bool, wide: bool, signed: bool) {
        let a = self.pop_reg();
        let repr = if wide { I64 } else { I32 };
        let dst = self.allocate(repr);
        let how = Conversion {
            double,
            wide,
            signed,
        };
        if saturates {
            self.masm.float_to_int_sat(how, dst, a.reg);
        } else {
            self.masm.float_to_int(how, dst, a.reg);
        }
        self.push_reg(dst, repr);
    }

    fn convert(&mut self, double: bool, wide: bool, signed: bool) {
        let a = self.pop_reg();
        let repr = if double { F64 } else { F32 };
        let dst = self.allocate(repr);
        let how = Conversion {
            double,
            wide,
            signed,
        };
        self.masm.int_to_float(how, dst, a.reg);
        self.push_reg(dst, repr);
    }

    fn reinterpret(&mut self, repr: Representation) {
        let entry = self.pop();
        if let Place::Const(bits) = entry.place() {
            self.push(Place::Const(bits), repr);
            return;
        }
        let a = self.hold(entry);
        let dst = self.allocate(repr);
        let wide = matches!(repr, I64 | F64);
        if is_float(repr) {
            self.masm.gpr_to_vector(wide, dst, a.reg);
        } else {
            self.masm.vector_to_gpr(wide, dst, a.reg);
        }
        self.push_reg(dst, repr);
    }

    // Values that move.

    fn select(&mut self) {
        let condition = self.pop();
        let condition = match condition.place() {
            Place::Flags(condition) => condition,
            _ => {
                let held = self.hold(condition);
                self.masm.test(Size::S32, held.reg);
                self.masm.set_flags_live(true);
                Condition::Is(IntCc::NotEqual)
            }
        };
        let (b, a) = (self.pop(), self.pop());
        let repr = a.repr;
        let (mut a, mut b) = (self.hold(a), self.hold(b));
        let mut condition = condition;
        if condition == Condition::Float(FloatCc::Equal) {
            condition = Condition::Float(FloatCc::NotEqual);
            std::mem::swap(&mut a, &mut b);
        }
        let reg = if is_float(repr) {
            let dst = self.make_own(a, repr);
            self.masm
                .vector_move_unless(condition, repr.bytes(), dst, b.reg);
            dst
        } else {
            let dst = self.make_own(b, repr);
            self.masm.move_if(condition, size_of(repr), dst, a.reg);
            dst
        };
        self.masm.set_flags_live(false);
        self.push_reg(reg, repr);
    }

    /// The value in a register that may be overwritten.
    pub(super) fn make_own(&mut self, held: super::Held, repr: Representation) -> Reg {
        if held.owned {
            return held.reg;
        }
        let dst = self.allocate(repr);
        self.masm.copy(dst, held.reg);
        dst
    }

    /// Where a global is.
    fn global(&mut self, index: GlobalIndex) -> Mem {
        let imported = self.module.imported_global_count();
        match index.as_u32().checked_sub(imported) {
            Some(defined) => self.in_context(self.plan.layout.defined_global(defined)),
            None => {
                let pointer = self.in_context(self.plan.layout.imported_global(index.as_u32()));
                self.masm.load(Size::S64, A::SCRATCH_2, pointer);
                Mem::at(A::SCRATCH_2, 0)
            }
        }
    }

    fn global_get(&mut self, index: u32) {
        let index = GlobalIndex::new(index);
        let module = self.module;
        match module.constant_global(index).map(|value| value.ops()) {
            Some([ConstOp::I32Const(value)]) => {
                self.push(Place::Const(u64::from(*value as u32)), I32);
            }
            Some([ConstOp::I64Const(value)]) => self.push(Place::Const(*value as u64), I64),
            _ => {
                let repr = Representation::of(self.module.global(index).content);
                let dst = self.allocate(repr);
                let mem = self.global(index);
                self.load_any(repr, dst, mem);
                self.push_reg(dst, repr);
            }
        }
    }

    fn global_set(&mut self, index: u32) {
        let value = self.pop();
        let mem = self.global(GlobalIndex::new(index));
        // The address may be in the second scratch register, which storing
        // leaves alone.
        self.store_value(value, mem);
    }

    fn local_tee(&mut self, index: u32) {
        let repr = self.locals[index as usize].repr;
        self.local_set(index);
        self.push(Place::Local(index), repr);
    }

    fn drop_value(&mut self) {
        let entry: Entry = self.pop();
        if let Place::Flags(_) = entry.place() {
            self.masm.set_flags_live(false);
        }
    }
}

impl<'a, A: Assembler> VisitOperator<'a> for Function<'a, A> {
    type Output = Step;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Step>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(refuse_proposals);
    forward_structure!('a);

    // Values that move.

    fn visit_drop(&mut self) -> Step {
        self.drop_value();
        Ok(())
    }
    fn visit_local_get(&mut self, local_index: u32) -> Step {
        let repr = self.locals[local_index as usize].repr;
        self.push(Place::Local(local_index), repr);
        Ok(())
    }

    // Memories.

    accesses! { load_int:
        visit_i32_load Size::S32, false, I32;
        visit_i64_load Size::S64, false, I64;
        visit_i32_load8_s Size::S8, true, I32;
        visit_i32_load8_u Size::S8, false, I32;
        visit_i32_load16_s Size::S16, true, I32;
        visit_i32_load16_u Size::S16, false, I32;
        visit_i64_load8_s Size::S8, true, I64;
        visit_i64_load8_u Size::S8, false, I64;
        visit_i64_load16_s Size::S16, true, I64;
        visit_i64_load16_u Size::S16, false, I64;
        visit_i64_load32_s Size::S32, true, I64;
        visit_i64_load32_u Size::S32, false, I64;
    }

    accesses! { load_vector:
        visit_f32_load F32;
        visit_f64_load F64;
    }

    accesses! { store_int:
        visit_i32_store Size::S32;
        visit_i64_store Size::S64;
        visit_i32_store8 Size::S8;
        visit_i32_store16 Size::S16;
        visit_i64_store8 Size::S8;
        visit_i64_store16 Size::S16;
        visit_i64_store32 Size::S32;
    }

    accesses! { store_vector:
        visit_f32_store F32;
        visit_f64_store F64;
    }

    // Numbers.

    fn visit_i32_const(&mut self, value: i32) -> Step {
        self.push(Place::Const(u64::from(value as u32)), I32);
        Ok(())
    }
    fn visit_i64_const(&mut self, value: i64) -> Step {
        self.push(Place::Const(value as u64), I64);
        Ok(())
    }
    fn visit_f32_const(&mut self, value: Ieee32) -> Step {
        self.push(Place::Const(u64::from(value.bits())), F32);
        Ok(())
    }
    fn visit_f64_const(&mut self, value: Ieee64) -> Step {
        self.push(Place::Const(value.bits()), F64);
        Ok(())
    }

    numbers! { eqz:
        visit_i32_eqz I32;
        visit_i64_eqz I64;
    }

    numbers! { compare:
        visit_i32_eq IntCc::Equal, I32;
        visit_i32_ne IntCc::NotEqual, I32;
        visit_i32_lt_s IntCc::Less, I32;
        visit_i32_lt_u IntCc::Below, I32;
        visit_i32_gt_s IntCc::Greater, I32;
        visit_i32_gt_u IntCc::Above, I32;
        visit_i32_le_s IntCc::LessEqual, I32;
        visit_i32_le_u IntCc::BelowEqual, I32;
        visit_i32_ge_s IntCc::GreaterEqual, I32;
        visit_i32_ge_u IntCc::AboveEqual, I32;
        visit_i64_eq IntCc::Equal, I64;
        visit_i64_ne IntCc::NotEqual, I64;
        visit_i64_lt_s IntCc::Less, I64;
        visit_i64_lt_u IntCc::Below, I64;
        visit_i64_gt_s IntCc::Greater, I64;
        visit_i64_gt_u IntCc::Above, I64;
        visit_i64_le_s IntCc::LessEqual, I64;
        visit_i64_le_u IntCc::BelowEqual, I64;
        visit_i64_ge_s IntCc::GreaterEqual, I64;
        visit_i64_ge_u IntCc::AboveEqual, I64;
    }

    numbers! { compare_floats:
        visit_f32_eq FloatCc::Equal, F32;
        visit_f32_ne FloatCc::NotEqual, F32;
        visit_f32_lt FloatCc::Less, F32;
        visit_f32_gt FloatCc::Greater, F32;
        visit_f32_le FloatCc::LessEqual, F32;
        visit_f32_ge FloatCc::GreaterEqual, F32;
        visit_f64_eq FloatCc::Equal, F64;
        visit_f64_ne FloatCc::NotEqual, F64;
        visit_f64_lt FloatCc::Less, F64;
        visit_f64_gt FloatCc::Greater, F64;
        visit_f64_le FloatCc::LessEqual, F64;
        visit_f64_ge FloatCc::GreaterEqual, F64;
    }

    numbers! { bits:
        visit_i32_clz A::clz, I32;
        visit_i32_ctz A::ctz, I32;
        visit_i32_popcnt A::popcnt, I32;
        visit_i64_clz A::clz, I64;
        visit_i64_ctz A::ctz, I64;
        visit_i64_popcnt A::popcnt, I64;
    }

    numbers! { alu:
        visit_i32_add Alu::Add, I32;
        visit_i32_sub Alu::Sub, I32;
        visit_i32_and Alu::And, I32;
        visit_i32_or Alu::Or, I32;
        visit_i32_xor Alu::Xor, I32;
        visit_i64_add Alu::Add, I64;
        visit_i64_sub Alu::Sub, I64;
        visit_i64_and Alu::And, I64;
        visit_i64_or Alu::Or, I64;
        visit_i64_xor Alu::Xor, I64;
    }

    numbers! { mul:
        visit_i32_mul I32;
        visit_i64_mul I64;
    }

    numbers! { divide:
        visit_i32_div_s Division::DivS, I32;
        visit_i32_div_u Division::DivU, I32;
        visit_i32_rem_s Division::RemS, I32;
        visit_i32_rem_u Division::RemU, I32;
        visit_i64_div_s Division::DivS, I64;
        visit_i64_div_u Division::DivU, I64;
        visit_i64_rem_s Division::RemS, I64;
        visit_i64_rem_u Division::RemU, I64;
    }

    numbers! { shift:
        visit_i32_shl Shift::Shl, I32;
        visit_i32_shr_s Shift::ShrS, I32;
        visit_i32_shr_u Shift::ShrU, I32;
        visit_i32_rotl Shift::Rotl, I32;
        visit_i32_rotr Shift::Rotr, I32;
        visit_i64_shl Shift::Shl, I64;
        visit_i64_shr_s Shift::ShrS, I64;
        visit_i64_shr_u Shift::ShrU, I64;
        visit_i64_rotl Shift::Rotl, I64;
        visit_i64_rotr Shift::Rotr, I64;
    }

    numbers! { float_binary:
        visit_f32_add FloatBinary::Add, F32;
        visit_f32_sub FloatBinary::Sub, F32;
        visit_f32_mul FloatBinary::Mul, F32;
        visit_f32_div FloatBinary::Div, F32;
        visit_f32_min FloatBinary::Min, F32;
        visit_f32_max FloatBinary::Max, F32;
        visit_f32_copysign FloatBinary::Copysign, F32;
        visit_f64_add FloatBinary::Add, F64;
        visit_f64_sub FloatBinary::Sub, F64;
        visit_f64_mul FloatBinary::Mul, F64;
        visit_f64_div FloatBinary::Div, F64;
        visit_f64_min FloatBinary::Min, F64;
        visit_f64_max FloatBinary::Max, F64;
        visit_f64_copysign FloatBinary::Copysign, F64;
    }

    numbers! { float_sign:
        visit_f32_abs A::float_abs, F32;
        visit_f32_neg A::float_neg, F32;
        visit_f64_abs A::float_abs, F64;
        visit_f64_neg A::float_neg, F64;
    }

    numbers! { sqrt:
        visit_f32_sqrt F32;
        visit_f64_sqrt F64;
    }

    numbers! { round:
        visit_f32_ceil Rounding::Ceil, Builtin::f32_ceil, F32;
        visit_f32_floor Rounding::Floor, Builtin::f32_floor, F32;
        visit_f32_trunc Rounding::Trunc, Builtin::f32_trunc, F32;
        visit_f32_nearest Rounding::Nearest, Builtin::f32_nearest, F32;
        visit_f64_ceil Rounding::Ceil, Builtin::f64_ceil, F64;
        visit_f64_floor Rounding::Floor, Builtin::f64_floor, F64;
        visit_f64_trunc Rounding::Trunc, Builtin::f64_trunc, F64;
        visit_f64_nearest Rounding::Nearest, Builtin::f64_nearest, F64;
    }

    numbers! { low_half:
        visit_i32_wrap_i64 I32;
        visit_i64_extend_i32_u I64;
    }

    numbers! { extend:
        visit_i64_extend_i32_s Size::S32, I64;
        visit_i32_extend8_s Size::S8, I32;
        visit_i32_extend16_s Size::S16, I32;
        visit_i64_extend8_s Size::S8, I64;
        visit_i64_extend16_s Size::S16, I64;
        visit_i64_extend32_s Size::S32, I64;
    }

    // Saturates, from `f64`, to `i64`, signed.
    numbers! { truncate:
        visit_i32_trunc_f32_s false, false, false, true;
        visit_i32_trunc_f32_u false, false, false, false;
        visit_i32_trunc_f64_s false, true, false, true;
        visit_i32_trunc_f64_u false, true, false, false;
        visit_i64_trunc_f32_s false, false, true, true;
        visit_i64_trunc_f32_u false, false, true, false;
        visit_i64_trunc_f64_s false, true, true, true;
        visit_i64_trunc_f64_u false, true, true, false;
        visit_i32_trunc_sat_f32_s true, false, false, true;
        visit_i32_trunc_sat_f32_u true, false, false, false;
        visit_i32_trunc_sat_f64_s true, true, false, true;
        visit_i32_trunc_sat_f64_u true, true, false, false;
        visit_i64_trunc_sat_f32_s true, false, true, true;
        visit_i64_trunc_sat_f32_u true, false, true, false;
        visit_i64_trunc_sat_f64_s true, true, true, true;
        visit_i64_trunc_sat_f64_u true, true, true, false;
    }

    // To `f64`, from `i64`, signed.
    numbers! { convert:
        visit_f32_convert_i32_s false, false, true;
        visit_f32_convert_i32_u false, false, false;
        visit_f32_convert_i64_s false, true, true;
        visit_f32_convert_i64_u false, true, false;
        visit_f64_convert_i32_s true, false, true;
        visit_f64_convert_i32_u true, false, false;
        visit_f64_convert_i64_s true, true, true;
        visit_f64_convert_i64_u true, true, false;
    }

    numbers! { promote: visit_f64_promote_f32; }
    numbers! { demote: visit_f32_demote_f64; }

    numbers! { reinterpret:
        visit_i32_reinterpret_f32 I32;
        visit_i64_reinterpret_f64 I64;
        visit_f32_reinterpret_i32 F32;
        visit_f64_reinterpret_i64 F64;
    }

    numbers! { add_wide:
        visit_i64_add128 Alu::Add;
        visit_i64_sub128 Alu::Sub;
    }

    numbers! { mul_wide:
        visit_i64_mul_wide_s true;
        visit_i64_mul_wide_u false;
    }

    // Threads.

    accesses! { memory_atomic_notify: visit_memory_atomic_notify; }

    accesses! { memory_atomic_wait:
        visit_memory_atomic_wait32 Builtin::memory_atomic_wait32;
        visit_memory_atomic_wait64 Builtin::memory_atomic_wait64;
    }

    fn visit_atomic_fence(&mut self, _ordering: Ordering) -> Step {
        self.masm.fence();
        Ok(())
    }

    accesses! { atomic_load:
        visit_i32_atomic_load Size::S32, I32;
        visit_i64_atomic_load Size::S64, I64;
        visit_i32_atomic_load8_u Size::S8, I32;
        visit_i32_atomic_load16_u Size::S16, I32;
        visit_i64_atomic_load8_u Size::S8, I64;
        visit_i64_atomic_load16_u Size::S16, I64;
        visit_i64_atomic_load32_u Size::S32, I64;
    }

    accesses! { atomic_store:
        visit_i32_atomic_store Size::S32;
        visit_i64_atomic_store Size::S64;
        visit_i32_atomic_store8 Size::S8;
        visit_i32_atomic_store16 Size::S16;
        visit_i64_atomic_store8 Size::S8;
        visit_i64_atomic_store16 Size::S16;
        visit_i64_atomic_store32 Size::S32;
    }

    accesses! { atomic_rmw:
        visit_i32_atomic_rmw_add Rmw::Add, Size::S32, I32;
        visit_i64_atomic_rmw_add Rmw::Add, Size::S64, I64;
        visit_i32_atomic_rmw8_add_u Rmw::Add, Size::S8, I32;
        visit_i32_atomic_rmw16_add_u Rmw::Add, Size::S16, I32;
        visit_i64_atomic_rmw8_add_u Rmw::Add, Size::S8, I64;
        visit_i64_atomic_rmw16_add_u Rmw::Add, Size::S16, I64;
        visit_i64_atomic_rmw32_add_u Rmw::Add, Size::S32, I64;
        visit_i32_atomic_rmw_sub Rmw::Sub, Size::S32, I32;
        visit_i64_atomic_rmw_sub Rmw::Sub, Size::S64, I64;
        visit_i32_atomic_rmw8_sub_u Rmw::Sub, Size::S8, I32;
        visit_i32_atomic_rmw16_sub_u Rmw::Sub, Size::S16, I32;
        visit_i64_atomic_rmw8_sub_u Rmw::Sub, Size::S8, I64;
        visit_i64_atomic_rmw16_sub_u Rmw::Sub, Size::S16, I64;
        visit_i64_atomic_rmw32_sub_u Rmw::Sub, Size::S32, I64;
        visit_i32_atomic_rmw_and Rmw::And, Size::S32, I32;
        visit_i64_atomic_rmw_and Rmw::And, Size::S64, I64;
        visit_i32_atomic_rmw8_and_u Rmw::And, Size::S8, I32;
        visit_i32_atomic_rmw16_and_u Rmw::And, Size::S16, I32;
        visit_i64_atomic_rmw8_and_u Rmw::And, Size::S8, I64;
        visit_i64_atomic_rmw16_and_u Rmw::And, Size::S16, I64;
        visit_i64_atomic_rmw32_and_u Rmw::And, Size::S32, I64;
        visit_i32_atomic_rmw_or Rmw::Or, Size::S32, I32;
        visit_i64_atomic_rmw_or Rmw::Or, Size::S64, I64;
        visit_i32_atomic_rmw8_or_u Rmw::Or, Size::S8, I32;
        visit_i32_atomic_rmw16_or_u Rmw::Or, Size::S16, I32;
        visit_i64_atomic_rmw8_or_u Rmw::Or, Size::S8, I64;
        visit_i64_atomic_rmw16_or_u Rmw::Or, Size::S16, I64;
        visit_i64_atomic_rmw32_or_u Rmw::Or, Size::S32, I64;
        visit_i32_atomic_rmw_xor Rmw::Xor, Size::S32, I32;
        visit_i64_atomic_rmw_xor Rmw::Xor, Size::S64, I64;
        visit_i32_atomic_rmw8_xor_u Rmw::Xor, Size::S8, I32;
        visit_i32_atomic_rmw16_xor_u Rmw::Xor, Size::S16, I32;
        visit_i64_atomic_rmw8_xor_u Rmw::Xor, Size::S8, I64;
        visit_i64_atomic_rmw16_xor_u Rmw::Xor, Size::S16, I64;
        visit_i64_atomic_rmw32_xor_u Rmw::Xor, Size::S32, I64;
        visit_i32_atomic_rmw_xchg Rmw::Xchg, Size::S32, I32;
        visit_i64_atomic_rmw_xchg Rmw::Xchg, Size::S64, I64;
        visit_i32_atomic_rmw8_xchg_u Rmw::Xchg, Size::S8, I32;
        visit_i32_atomic_rmw16_xchg_u Rmw::Xchg, Size::S16, I32;
        visit_i64_atomic_rmw8_xchg_u Rmw::Xchg, Size::S8, I64;
        visit_i64_atomic_rmw16_xchg_u Rmw::Xchg, Size::S16, I64;
        visit_i64_atomic_rmw32_xchg_u Rmw::Xchg, Size::S32, I64;
    }

    accesses! { atomic_cmpxchg:
        visit_i32_atomic_rmw_cmpxchg Size::S32, I32;
        visit_i64_atomic_rmw_cmpxchg Size::S64, I64;
        visit_i32_atomic_rmw8_cmpxchg_u Size::S8, I32;
        visit_i32_atomic_rmw16_cmpxchg_u Size::S16, I32;
        visit_i64_atomic_rmw8_cmpxchg_u Size::S8, I64;
        visit_i64_atomic_rmw16_cmpxchg_u Size::S16, I64;
        visit_i64_atomic_rmw32_cmpxchg_u Size::S32, I64;
    }
}
