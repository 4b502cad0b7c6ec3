//! What do vector instructions do? The list of them all, from the decoder's own
//! list: one that is missing here is a compile error.
//!
//! A vector lies on the operand stack with the type of the instruction that made
//! it, and is cast where another is needed. Lanes are little-endian everywhere.
//!
//! # Relaxed instructions
//!
//! The specification lets a runtime choose among results, once and for all.
//! Tepui chooses the result of the deterministic profile, so that results do not
//! depend on the machine, nor on whether code was compiled for this one:
//!
//! | instruction | result |
//! |---|---|
//! | `i8x16.relaxed_swizzle` | that of `i8x16.swizzle` |
//! | `i32x4.relaxed_trunc_*` | that of `i32x4.trunc_sat_*` |
//! | `*.relaxed_madd`, `*.relaxed_nmadd` | fused: rounded once |
//! | `*.relaxed_laneselect` | that of `v128.bitselect` |
//! | `*.relaxed_min`, `*.relaxed_max` | that of `*.min`, `*.max` |
//! | `i16x8.relaxed_q15mulr_s` | that of `i16x8.q15mulr_sat_s` |
//! | `i16x8.relaxed_dot_i8x16_i7x16_s` and `add` | both operands signed, sums wrap |

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    Endianness, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value, types,
};
use tepui_abi::builtin::Builtin;
use wasmparser::{MemArg, V128, VisitSimdOperator};

use super::{Step, Translator};

/// How a cast between vector types sees their lanes.
pub(super) const LANES: MemFlagsData = MemFlagsData::new().with_endianness(Endianness::Little);

/// Whether integers have a sign.
enum Signed {
    Yes,
    No,
}

/// Methods that take operands of given types and push the result.
macro_rules! vectors {
    (unary: $($visit:ident $inst:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().$inst(a);
            self.push(result);
            Ok(())
        })*
    };
    (binary: $($visit:ident $inst:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2_as(types::$ty)?;
            let result = self.builder.ins().$inst(a, b);
            self.push(result);
            Ok(())
        })*
    };
    (shift: $($visit:ident $inst:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let distance = self.pop();
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().$inst(a, distance);
            self.push(result);
            Ok(())
        })*
    };
    (compare: $($visit:ident $code:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2_as(types::$ty)?;
            let result = self.builder.ins().icmp(IntCC::$code, a, b);
            self.push(result);
            Ok(())
        })*
    };
    (compare_floats: $($visit:ident $code:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2_as(types::$ty)?;
            let result = self.builder.ins().fcmp(FloatCC::$code, a, b);
            self.push(result);
            Ok(())
        })*
    };
    (convert: $($visit:ident $inst:ident $from:ident $to:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$from)?;
            let result = self.builder.ins().$inst(types::$to, a);
            self.push(result);
            Ok(())
        })*
    };
    (round: $($visit:ident $inst:ident $builtin:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$ty)?;
            let result = if self.machine.has_rounding {
                self.builder.ins().$inst(a)
            } else {
                self.by_lanes(Builtin::$builtin, &[a])
            };
            self.push(result);
            Ok(())
        })*
    };
    (splat: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            self.needs_vectors()?;
            let value = self.pop();
            let value = self.as_lane(value, types::$ty.lane_type());
            let result = self.splat(types::$ty, value);
            self.push(result);
            Ok(())
        })*
    };
    (extract: $($visit:ident $ty:ident $extend:ident;)*) => {
        $(fn $visit(&mut self, lane: u8) -> Step {
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().extractlane(a, lane);
            let result = vectors!(@extend self result $extend);
            self.push(result);
            Ok(())
        })*
    };
    (@extend $self:ident $value:ident none) => { $value };
    (@extend $self:ident $value:ident $extend:ident) => {
        $self.builder.ins().$extend(types::I32, $value)
    };
    (replace: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, lane: u8) -> Step {
            let value = self.pop();
            let value = self.as_lane(value, types::$ty.lane_type());
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().insertlane(a, value, lane);
            self.push(result);
            Ok(())
        })*
    };
    (load_extended: $($visit:ident $inst:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.needs_vectors()?;
            let index = self.pop();
            if let Some(at) = self.address(&memarg, index, 8)? {
                let result = self.builder.ins().$inst(at.flags, at.base, at.offset);
                self.push(result);
            }
            Ok(())
        })*
    };
    (load_splat: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            if let Some(value) = self.load_lane_value(&memarg, types::$ty)? {
                let result = self.splat(types::$ty, value);
                self.push(result);
            }
            Ok(())
        })*
    };
    (load_zero: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            if let Some(value) = self.load_lane_value(&memarg, types::$ty)? {
                let result = self.builder.ins().scalar_to_vector(types::$ty, value);
                self.push(result);
            }
            Ok(())
        })*
    };
    (load_lane: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg, lane: u8) -> Step {
            let vector = self.pop_as(types::$ty)?;
            if let Some(value) = self.load_lane_value(&memarg, types::$ty)? {
                let result = self.builder.ins().insertlane(vector, value, lane);
                self.push(result);
            }
            Ok(())
        })*
    };
    (store_lane: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg, lane: u8) -> Step {
            let vector = self.pop_as(types::$ty)?;
            let index = self.pop();
            if let Some(at) = self.address(&memarg, index, types::$ty.lane_type().bytes())? {
                let value = self.builder.ins().extractlane(vector, lane);
                self.store_at(at, value, types::$ty.lane_type().bytes());
            }
            Ok(())
        })*
    };
    (all_true: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().vall_true(a);
            let result = self.builder.ins().uextend(types::I32, result);
            self.push(result);
            Ok(())
        })*
    };
    (bitmask: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$ty)?;
            let result = self.builder.ins().vhigh_bits(types::I32, a);
            self.push(result);
            Ok(())
        })*
    };
    (widening_multiply: $($visit:ident $widen:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2_as(types::$ty)?;
            let a = self.builder.ins().$widen(a);
            let b = self.builder.ins().$widen(b);
            let result = self.builder.ins().imul(a, b);
            self.push(result);
            Ok(())
        })*
    };
    (pairwise: $($visit:ident $low:ident $high:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop_as(types::$ty)?;
            let low = self.builder.ins().$low(a);
            let high = self.builder.ins().$high(a);
            let result = self.builder.ins().iadd_pairwise(low, high);
            self.push(result);
            Ok(())
        })*
    };
    (bitselect: $($visit:ident)*) => {
        $(fn $visit(&mut self) -> Step {
            let mask = self.pop_as(types::I8X16)?;
            let (a, b) = self.pop2_as(types::I8X16)?;
            let result = self.builder.ins().bitselect(mask, a, b);
            self.push(result);
            Ok(())
        })*
    };
    (pseudo: $($visit:ident $code:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2_as(types::$ty)?;
            // `pmin` is `b < a ? b : a`, `pmax` is `a < b ? b : a`.
            let takes_b = self.builder.ins().fcmp(FloatCC::$code, b, a);
            let mask = self.bitcast_vector(types::$ty, takes_b);
            let result = self.builder.ins().bitselect(mask, b, a);
            self.push(result);
            Ok(())
        })*
    };
    (fused: $($visit:ident $builtin:ident $sign:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let c = self.pop_as(types::$ty)?;
            let (a, b) = self.pop2_as(types::$ty)?;
            let a = vectors!(@sign self a $sign);
            let result = if self.machine.has_fma {
                self.builder.ins().fma(a, b, c)
            } else {
                self.by_lanes(Builtin::$builtin, &[a, b, c])
            };
            self.push(result);
            Ok(())
        })*
    };
    (@sign $self:ident $value:ident plus) => { $value };
    (@sign $self:ident $value:ident minus) => { $self.builder.ins().fneg($value) };
}

impl Translator<'_, '_> {
    pub(super) fn bitcast_vector(&mut self, ty: Type, value: Value) -> Value {
        self.builder.ins().bitcast(ty, LANES, value)
    }

    pub(super) fn vector_constant(&mut self, bytes: [u8; 16]) -> Value {
        let constant = self
            .builder
            .func
            .dfg
            .constants
            .insert(bytes.as_slice().into());
        self.builder.ins().vconst(types::I8X16, constant)
    }

    /// Takes a vector as this type.
    fn pop_as(&mut self, ty: Type) -> Step<Value> {
        self.needs_vectors()?;
        let value = self.pop();
        Ok(if self.value_type(value) == ty {
            value
        } else {
            self.bitcast_vector(ty, value)
        })
    }

    fn pop2_as(&mut self, ty: Type) -> Step<(Value, Value)> {
        let b = self.pop_as(ty)?;
        Ok((self.pop_as(ty)?, b))
    }

    /// A number from the operand stack as the value of a lane.
    fn as_lane(&mut self, value: Value, lane: Type) -> Value {
        if self.value_type(value) == lane {
            value
        } else {
            self.builder.ins().ireduce(lane, value)
        }
    }

    /// Loads one lane's worth for a vector type.
    fn load_lane_value(&mut self, memarg: &MemArg, ty: Type) -> Step<Option<Value>> {
        self.needs_vectors()?;
        let index = self.pop();
        let lane = ty.lane_type();
        let at = self.address(memarg, index, lane.bytes())?;
        Ok(at.map(|at| self.builder.ins().load(lane, at.flags, at.base, at.offset)))
    }

    /// The value in every lane.
    fn splat(&mut self, ty: Type, value: Value) -> Value {
        if ty != types::I8X16 || self.machine.has_byte_shuffle {
            return self.builder.ins().splat(ty, value);
        }
        let value = self.builder.ins().uextend(types::I32, value);
        let ones = self.iconst32(0x0101_0101);
        let value = self.builder.ins().imul(value, ones);
        let result = self.builder.ins().splat(types::I32X4, value);
        self.bitcast_vector(types::I8X16, result)
    }

    /// The lanes of `a` and `b` that `lanes` names.
    fn shuffle(&mut self, a: Value, b: Value, lanes: [u8; 16]) -> Value {
        if self.machine.has_byte_shuffle {
            let lanes = self
                .builder
                .func
                .dfg
                .immediates
                .push(lanes.as_slice().into());
            return self.builder.ins().shuffle(a, b, lanes);
        }
        let mut result = a;
        for (to, from) in lanes.iter().enumerate() {
            let source = if *from < 16 { a } else { b };
            let value = self.builder.ins().extractlane(source, from % 16);
            result = self.builder.ins().insertlane(result, value, to as u8);
        }
        result
    }

    /// The lanes of `a` that the lanes of `indices` name, zero for those that
    /// name none.
    fn swizzle(&mut self, a: Value, indices: Value) -> Value {
        if self.machine.has_byte_shuffle {
            return self.builder.ins().swizzle(a, indices);
        }
        let slot = self.builder.create_sized_stack_slot(StackSlotData::new(
            StackSlotKind::ExplicitSlot,
            16,
            4,
        ));
        self.builder.ins().stack_store(types::I64, a, slot, 0);
        let base = self.builder.ins().stack_addr(types::I64, slot, 0);
        let mut result = a;
        for lane in 0..16_u8 {
            let index = self.builder.ins().extractlane(indices, lane);
            let index = self.builder.ins().uextend(types::I64, index);
            let fifteen = self.iconst64(15);
            let within = self.builder.ins().band(index, fifteen);
            let address = self.builder.ins().iadd(base, within);
            let flags = MemFlagsData::trusted();
            let value = self.builder.ins().load(types::I8, flags, address, 0);
            let is_out = self
                .builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThan, index, fifteen);
            let zero = self.builder.ins().iconst(types::I8, 0);
            let value = self.builder.ins().select(is_out, zero, value);
            result = self.builder.ins().insertlane(result, value, lane);
        }
        result
    }

    /// Computes lane by lane with a builtin, where there is no instruction.
    fn by_lanes(&mut self, builtin: Builtin, vectors: &[Value]) -> Value {
        let mut result = vectors[0];
        for lane in 0..self.value_type(result).lane_count() as u8 {
            let values: Vec<Value> = vectors
                .iter()
                .map(|vector| self.builder.ins().extractlane(*vector, lane))
                .collect();
            let value = self.by_bits(builtin, &values);
            result = self.builder.ins().insertlane(result, value, lane);
        }
        result
    }

    /// Sums of products of neighbouring lanes, signed, in lanes of twice the
    /// width; sums wrap.
    fn dot(&mut self, ty: Type) -> Step<Value> {
        let (a, b) = self.pop2_as(ty)?;
        let a_low = self.builder.ins().swiden_low(a);
        let b_low = self.builder.ins().swiden_low(b);
        let low = self.builder.ins().imul(a_low, b_low);
        let a_high = self.builder.ins().swiden_high(a);
        let b_high = self.builder.ins().swiden_high(b);
        let high = self.builder.ins().imul(a_high, b_high);
        Ok(self.builder.ins().iadd_pairwise(low, high))
    }

    /// Truncates two `f64` to the low two `i32`, the others being zero.
    fn truncate_low(&mut self, signed: Signed) -> Step {
        let a = self.pop_as(types::F64X2)?;
        // Of this very type: the code generator knows the pair of instructions.
        let zero = self
            .builder
            .func
            .dfg
            .constants
            .insert([0; 16].as_slice().into());
        let zero = self.builder.ins().vconst(types::I64X2, zero);
        let result = if let Signed::Yes = signed {
            let wide = self.builder.ins().fcvt_to_sint_sat(types::I64X2, a);
            self.builder.ins().snarrow(wide, zero)
        } else if self.machine.has_rounding {
            let wide = self.builder.ins().fcvt_to_uint_sat(types::I64X2, a);
            self.builder.ins().uunarrow(wide, zero)
        } else {
            // The vector form would round by a call into a library.
            let mut result = self.bitcast_vector(types::I32X4, zero);
            for lane in 0..2_u8 {
                let value = self.builder.ins().extractlane(a, lane);
                let value = self.builder.ins().fcvt_to_uint_sat(types::I32, value);
                result = self.builder.ins().insertlane(result, value, lane);
            }
            result
        };
        self.push(result);
        Ok(())
    }
}

impl<'a> VisitSimdOperator<'a> for Translator<'a, '_> {
    // Memory and constants.

    fn visit_v128_load(&mut self, memarg: MemArg) -> Step {
        self.needs_vectors()?;
        let index = self.pop();
        if let Some(at) = self.address(&memarg, index, 16)? {
            let value = self
                .builder
                .ins()
                .load(types::I8X16, at.flags, at.base, at.offset);
            self.push(value);
        }
        Ok(())
    }
    fn visit_v128_store(&mut self, memarg: MemArg) -> Step {
        // Lanes of one byte: their order in memory is that of the lanes.
        let value = self.pop_as(types::I8X16)?;
        let index = self.pop();
        if let Some(at) = self.address(&memarg, index, 16)? {
            self.store_at(at, value, 16);
        }
        Ok(())
    }
    fn visit_v128_const(&mut self, value: V128) -> Step {
        self.needs_vectors()?;
        let value = self.vector_constant(*value.bytes());
        self.push(value);
        Ok(())
    }
    fn visit_i8x16_shuffle(&mut self, lanes: [u8; 16]) -> Step {
        let (a, b) = self.pop2_as(types::I8X16)?;
        let result = self.shuffle(a, b, lanes);
        self.push(result);
        Ok(())
    }

    vectors! { load_extended:
        visit_v128_load8x8_s sload8x8;
        visit_v128_load8x8_u uload8x8;
        visit_v128_load16x4_s sload16x4;
        visit_v128_load16x4_u uload16x4;
        visit_v128_load32x2_s sload32x2;
        visit_v128_load32x2_u uload32x2;
    }

    vectors! { load_splat:
        visit_v128_load8_splat I8X16;
        visit_v128_load16_splat I16X8;
        visit_v128_load32_splat I32X4;
        visit_v128_load64_splat I64X2;
    }

    vectors! { load_zero:
        visit_v128_load32_zero I32X4;
        visit_v128_load64_zero I64X2;
    }

    vectors! { load_lane:
        visit_v128_load8_lane I8X16;
        visit_v128_load16_lane I16X8;
        visit_v128_load32_lane I32X4;
        visit_v128_load64_lane I64X2;
    }

    vectors! { store_lane:
        visit_v128_store8_lane I8X16;
        visit_v128_store16_lane I16X8;
        visit_v128_store32_lane I32X4;
        visit_v128_store64_lane I64X2;
    }

    // Lanes.

    vectors! { splat:
        visit_i8x16_splat I8X16;
        visit_i16x8_splat I16X8;
        visit_i32x4_splat I32X4;
        visit_i64x2_splat I64X2;
        visit_f32x4_splat F32X4;
        visit_f64x2_splat F64X2;
    }

    vectors! { extract:
        visit_i8x16_extract_lane_s I8X16 sextend;
        visit_i8x16_extract_lane_u I8X16 uextend;
        visit_i16x8_extract_lane_s I16X8 sextend;
        visit_i16x8_extract_lane_u I16X8 uextend;
        visit_i32x4_extract_lane I32X4 none;
        visit_i64x2_extract_lane I64X2 none;
        visit_f32x4_extract_lane F32X4 none;
        visit_f64x2_extract_lane F64X2 none;
    }

    vectors! { replace:
        visit_i8x16_replace_lane I8X16;
        visit_i16x8_replace_lane I16X8;
        visit_i32x4_replace_lane I32X4;
        visit_i64x2_replace_lane I64X2;
        visit_f32x4_replace_lane F32X4;
        visit_f64x2_replace_lane F64X2;
    }

    // Comparisons.

    vectors! { compare:
        visit_i8x16_eq Equal I8X16;
        visit_i8x16_ne NotEqual I8X16;
        visit_i8x16_lt_s SignedLessThan I8X16;
        visit_i8x16_lt_u UnsignedLessThan I8X16;
        visit_i8x16_gt_s SignedGreaterThan I8X16;
        visit_i8x16_gt_u UnsignedGreaterThan I8X16;
        visit_i8x16_le_s SignedLessThanOrEqual I8X16;
        visit_i8x16_le_u UnsignedLessThanOrEqual I8X16;
        visit_i8x16_ge_s SignedGreaterThanOrEqual I8X16;
        visit_i8x16_ge_u UnsignedGreaterThanOrEqual I8X16;
        visit_i16x8_eq Equal I16X8;
        visit_i16x8_ne NotEqual I16X8;
        visit_i16x8_lt_s SignedLessThan I16X8;
        visit_i16x8_lt_u UnsignedLessThan I16X8;
        visit_i16x8_gt_s SignedGreaterThan I16X8;
        visit_i16x8_gt_u UnsignedGreaterThan I16X8;
        visit_i16x8_le_s SignedLessThanOrEqual I16X8;
        visit_i16x8_le_u UnsignedLessThanOrEqual I16X8;
        visit_i16x8_ge_s SignedGreaterThanOrEqual I16X8;
        visit_i16x8_ge_u UnsignedGreaterThanOrEqual I16X8;
        visit_i32x4_eq Equal I32X4;
        visit_i32x4_ne NotEqual I32X4;
        visit_i32x4_lt_s SignedLessThan I32X4;
        visit_i32x4_lt_u UnsignedLessThan I32X4;
        visit_i32x4_gt_s SignedGreaterThan I32X4;
        visit_i32x4_gt_u UnsignedGreaterThan I32X4;
        visit_i32x4_le_s SignedLessThanOrEqual I32X4;
        visit_i32x4_le_u UnsignedLessThanOrEqual I32X4;
        visit_i32x4_ge_s SignedGreaterThanOrEqual I32X4;
        visit_i32x4_ge_u UnsignedGreaterThanOrEqual I32X4;
        visit_i64x2_eq Equal I64X2;
        visit_i64x2_ne NotEqual I64X2;
        visit_i64x2_lt_s SignedLessThan I64X2;
        visit_i64x2_gt_s SignedGreaterThan I64X2;
        visit_i64x2_le_s SignedLessThanOrEqual I64X2;
        visit_i64x2_ge_s SignedGreaterThanOrEqual I64X2;
    }

    vectors! { compare_floats:
        visit_f32x4_eq Equal F32X4;
        visit_f32x4_ne NotEqual F32X4;
        visit_f32x4_lt LessThan F32X4;
        visit_f32x4_gt GreaterThan F32X4;
        visit_f32x4_le LessThanOrEqual F32X4;
        visit_f32x4_ge GreaterThanOrEqual F32X4;
        visit_f64x2_eq Equal F64X2;
        visit_f64x2_ne NotEqual F64X2;
        visit_f64x2_lt LessThan F64X2;
        visit_f64x2_gt GreaterThan F64X2;
        visit_f64x2_le LessThanOrEqual F64X2;
        visit_f64x2_ge GreaterThanOrEqual F64X2;
    }

    // Bits.

    fn visit_i8x16_swizzle(&mut self) -> Step {
        let (a, indices) = self.pop2_as(types::I8X16)?;
        let result = self.swizzle(a, indices);
        self.push(result);
        Ok(())
    }
    fn visit_i8x16_relaxed_swizzle(&mut self) -> Step {
        self.visit_i8x16_swizzle()
    }
    fn visit_v128_not(&mut self) -> Step {
        let a = self.pop_as(types::I8X16)?;
        let result = self.builder.ins().bnot(a);
        self.push(result);
        Ok(())
    }
    fn visit_v128_andnot(&mut self) -> Step {
        let (a, b) = self.pop2_as(types::I8X16)?;
        let b = self.builder.ins().bnot(b);
        let result = self.builder.ins().band(a, b);
        self.push(result);
        Ok(())
    }
    fn visit_v128_any_true(&mut self) -> Step {
        let a = self.pop_as(types::I8X16)?;
        let result = self.builder.ins().vany_true(a);
        let result = self.builder.ins().uextend(types::I32, result);
        self.push(result);
        Ok(())
    }

    vectors! { bitselect:
        visit_v128_bitselect
        visit_i8x16_relaxed_laneselect
        visit_i16x8_relaxed_laneselect
        visit_i32x4_relaxed_laneselect
        visit_i64x2_relaxed_laneselect
    }

    vectors! { all_true:
        visit_i8x16_all_true I8X16;
        visit_i16x8_all_true I16X8;
        visit_i32x4_all_true I32X4;
        visit_i64x2_all_true I64X2;
    }

    vectors! { bitmask:
        visit_i8x16_bitmask I8X16;
        visit_i16x8_bitmask I16X8;
        visit_i32x4_bitmask I32X4;
        visit_i64x2_bitmask I64X2;
    }

    // Integers and floats.

    vectors! { unary:
        visit_i8x16_abs iabs I8X16;
        visit_i8x16_neg ineg I8X16;
        visit_i16x8_abs iabs I16X8;
        visit_i16x8_neg ineg I16X8;
        visit_i32x4_abs iabs I32X4;
        visit_i32x4_neg ineg I32X4;
        visit_i64x2_abs iabs I64X2;
        visit_i64x2_neg ineg I64X2;
        visit_i8x16_popcnt popcnt I8X16;
        visit_f32x4_abs fabs F32X4;
        visit_f32x4_neg fneg F32X4;
        visit_f32x4_sqrt sqrt F32X4;
        visit_f64x2_abs fabs F64X2;
        visit_f64x2_neg fneg F64X2;
        visit_f64x2_sqrt sqrt F64X2;
        visit_i16x8_extend_low_i8x16_s swiden_low I8X16;
        visit_i16x8_extend_low_i8x16_u uwiden_low I8X16;
        visit_i16x8_extend_high_i8x16_s swiden_high I8X16;
        visit_i16x8_extend_high_i8x16_u uwiden_high I8X16;
        visit_i32x4_extend_low_i16x8_s swiden_low I16X8;
        visit_i32x4_extend_low_i16x8_u uwiden_low I16X8;
        visit_i32x4_extend_high_i16x8_s swiden_high I16X8;
        visit_i32x4_extend_high_i16x8_u uwiden_high I16X8;
        visit_i64x2_extend_low_i32x4_s swiden_low I32X4;
        visit_i64x2_extend_low_i32x4_u uwiden_low I32X4;
        visit_i64x2_extend_high_i32x4_s swiden_high I32X4;
        visit_i64x2_extend_high_i32x4_u uwiden_high I32X4;
        visit_f32x4_demote_f64x2_zero fvdemote F64X2;
        visit_f64x2_promote_low_f32x4 fvpromote_low F32X4;
    }

    vectors! { binary:
        visit_v128_and band I8X16;
        visit_v128_or bor I8X16;
        visit_v128_xor bxor I8X16;
        visit_i8x16_narrow_i16x8_s snarrow I16X8;
        visit_i8x16_narrow_i16x8_u unarrow I16X8;
        visit_i16x8_narrow_i32x4_s snarrow I32X4;
        visit_i16x8_narrow_i32x4_u unarrow I32X4;
        visit_i8x16_add iadd I8X16;
        visit_i8x16_sub isub I8X16;
        visit_i8x16_add_sat_s sadd_sat I8X16;
        visit_i8x16_add_sat_u uadd_sat I8X16;
        visit_i8x16_sub_sat_s ssub_sat I8X16;
        visit_i8x16_sub_sat_u usub_sat I8X16;
        visit_i8x16_avgr_u avg_round I8X16;
        visit_i8x16_min_s smin I8X16;
        visit_i8x16_min_u umin I8X16;
        visit_i8x16_max_s smax I8X16;
        visit_i8x16_max_u umax I8X16;
        visit_i16x8_add iadd I16X8;
        visit_i16x8_sub isub I16X8;
        visit_i16x8_mul imul I16X8;
        visit_i16x8_add_sat_s sadd_sat I16X8;
        visit_i16x8_add_sat_u uadd_sat I16X8;
        visit_i16x8_sub_sat_s ssub_sat I16X8;
        visit_i16x8_sub_sat_u usub_sat I16X8;
        visit_i16x8_avgr_u avg_round I16X8;
        visit_i16x8_min_s smin I16X8;
        visit_i16x8_min_u umin I16X8;
        visit_i16x8_max_s smax I16X8;
        visit_i16x8_max_u umax I16X8;
        visit_i32x4_add iadd I32X4;
        visit_i32x4_sub isub I32X4;
        visit_i32x4_mul imul I32X4;
        visit_i32x4_min_s smin I32X4;
        visit_i32x4_min_u umin I32X4;
        visit_i32x4_max_s smax I32X4;
        visit_i32x4_max_u umax I32X4;
        visit_i64x2_add iadd I64X2;
        visit_i64x2_sub isub I64X2;
        visit_i64x2_mul imul I64X2;
        visit_i16x8_q15mulr_sat_s sqmul_round_sat I16X8;
        visit_i16x8_relaxed_q15mulr_s sqmul_round_sat I16X8;
        visit_f32x4_add fadd F32X4;
        visit_f32x4_sub fsub F32X4;
        visit_f32x4_mul fmul F32X4;
        visit_f32x4_div fdiv F32X4;
        visit_f32x4_min fmin F32X4;
        visit_f32x4_max fmax F32X4;
        visit_f32x4_relaxed_min fmin F32X4;
        visit_f32x4_relaxed_max fmax F32X4;
        visit_f64x2_add fadd F64X2;
        visit_f64x2_sub fsub F64X2;
        visit_f64x2_mul fmul F64X2;
        visit_f64x2_div fdiv F64X2;
        visit_f64x2_min fmin F64X2;
        visit_f64x2_max fmax F64X2;
        visit_f64x2_relaxed_min fmin F64X2;
        visit_f64x2_relaxed_max fmax F64X2;
    }

    vectors! { shift:
        visit_i8x16_shl ishl I8X16;
        visit_i8x16_shr_s sshr I8X16;
        visit_i8x16_shr_u ushr I8X16;
        visit_i16x8_shl ishl I16X8;
        visit_i16x8_shr_s sshr I16X8;
        visit_i16x8_shr_u ushr I16X8;
        visit_i32x4_shl ishl I32X4;
        visit_i32x4_shr_s sshr I32X4;
        visit_i32x4_shr_u ushr I32X4;
        visit_i64x2_shl ishl I64X2;
        visit_i64x2_shr_s sshr I64X2;
        visit_i64x2_shr_u ushr I64X2;
    }

    vectors! { widening_multiply:
        visit_i16x8_extmul_low_i8x16_s swiden_low I8X16;
        visit_i16x8_extmul_low_i8x16_u uwiden_low I8X16;
        visit_i16x8_extmul_high_i8x16_s swiden_high I8X16;
        visit_i16x8_extmul_high_i8x16_u uwiden_high I8X16;
        visit_i32x4_extmul_low_i16x8_s swiden_low I16X8;
        visit_i32x4_extmul_low_i16x8_u uwiden_low I16X8;
        visit_i32x4_extmul_high_i16x8_s swiden_high I16X8;
        visit_i32x4_extmul_high_i16x8_u uwiden_high I16X8;
        visit_i64x2_extmul_low_i32x4_s swiden_low I32X4;
        visit_i64x2_extmul_low_i32x4_u uwiden_low I32X4;
        visit_i64x2_extmul_high_i32x4_s swiden_high I32X4;
        visit_i64x2_extmul_high_i32x4_u uwiden_high I32X4;
    }

    vectors! { pairwise:
        visit_i16x8_extadd_pairwise_i8x16_s swiden_low swiden_high I8X16;
        visit_i16x8_extadd_pairwise_i8x16_u uwiden_low uwiden_high I8X16;
        visit_i32x4_extadd_pairwise_i16x8_s swiden_low swiden_high I16X8;
        visit_i32x4_extadd_pairwise_i16x8_u uwiden_low uwiden_high I16X8;
    }

    fn visit_i32x4_dot_i16x8_s(&mut self) -> Step {
        let result = self.dot(types::I16X8)?;
        self.push(result);
        Ok(())
    }
    fn visit_i16x8_relaxed_dot_i8x16_i7x16_s(&mut self) -> Step {
        let result = self.dot(types::I8X16)?;
        self.push(result);
        Ok(())
    }
    fn visit_i32x4_relaxed_dot_i8x16_i7x16_add_s(&mut self) -> Step {
        let addend = self.pop_as(types::I32X4)?;
        let products = self.dot(types::I8X16)?;
        let low = self.builder.ins().swiden_low(products);
        let high = self.builder.ins().swiden_high(products);
        let sums = self.builder.ins().iadd_pairwise(low, high);
        let result = self.builder.ins().iadd(sums, addend);
        self.push(result);
        Ok(())
    }

    vectors! { round:
        visit_f32x4_ceil ceil f32_ceil F32X4;
        visit_f32x4_floor floor f32_floor F32X4;
        visit_f32x4_trunc trunc f32_trunc F32X4;
        visit_f32x4_nearest nearest f32_nearest F32X4;
        visit_f64x2_ceil ceil f64_ceil F64X2;
        visit_f64x2_floor floor f64_floor F64X2;
        visit_f64x2_trunc trunc f64_trunc F64X2;
        visit_f64x2_nearest nearest f64_nearest F64X2;
    }

    vectors! { pseudo:
        visit_f32x4_pmin LessThan F32X4;
        visit_f32x4_pmax GreaterThan F32X4;
        visit_f64x2_pmin LessThan F64X2;
        visit_f64x2_pmax GreaterThan F64X2;
    }

    vectors! { fused:
        visit_f32x4_relaxed_madd f32_fma plus F32X4;
        visit_f32x4_relaxed_nmadd f32_fma minus F32X4;
        visit_f64x2_relaxed_madd f64_fma plus F64X2;
        visit_f64x2_relaxed_nmadd f64_fma minus F64X2;
    }

    // Conversions.

    vectors! { convert:
        visit_i32x4_trunc_sat_f32x4_s fcvt_to_sint_sat F32X4 I32X4;
        visit_i32x4_trunc_sat_f32x4_u fcvt_to_uint_sat F32X4 I32X4;
        visit_i32x4_relaxed_trunc_f32x4_s fcvt_to_sint_sat F32X4 I32X4;
        visit_i32x4_relaxed_trunc_f32x4_u fcvt_to_uint_sat F32X4 I32X4;
        visit_f32x4_convert_i32x4_s fcvt_from_sint I32X4 F32X4;
        visit_f32x4_convert_i32x4_u fcvt_from_uint I32X4 F32X4;
    }

    fn visit_i32x4_trunc_sat_f64x2_s_zero(&mut self) -> Step {
        self.truncate_low(Signed::Yes)
    }
    fn visit_i32x4_trunc_sat_f64x2_u_zero(&mut self) -> Step {
        self.truncate_low(Signed::No)
    }
    fn visit_i32x4_relaxed_trunc_f64x2_s_zero(&mut self) -> Step {
        self.truncate_low(Signed::Yes)
    }
    fn visit_i32x4_relaxed_trunc_f64x2_u_zero(&mut self) -> Step {
        self.truncate_low(Signed::No)
    }
    fn visit_f64x2_convert_low_i32x4_s(&mut self) -> Step {
        let a = self.pop_as(types::I32X4)?;
        let wide = self.builder.ins().swiden_low(a);
        let result = self.builder.ins().fcvt_from_sint(types::F64X2, wide);
        self.push(result);
        Ok(())
    }
    fn visit_f64x2_convert_low_i32x4_u(&mut self) -> Step {
        let a = self.pop_as(types::I32X4)?;
        let wide = self.builder.ins().uwiden_low(a);
        let result = self.builder.ins().fcvt_from_uint(types::F64X2, wide);
        self.push(result);
        Ok(())
    }
}
