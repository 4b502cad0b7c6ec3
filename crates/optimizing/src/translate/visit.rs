//! What does each instruction do? The list of them all, from the decoder's own
//! list: a scalar instruction that is missing here is a compile error.
//!
//! Numbers, locals and globals are translated here; what needs more than a line
//! is in the file of its subject.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Opcode, Value, types};
use tepui_abi::builtin::Builtin;
use tepui_module::{ConstOp, GlobalIndex, forward_structure, refuse_proposals};
use wasmparser::{Ieee32, Ieee64, MemArg, Ordering, VisitOperator, VisitSimdOperator};

use super::{Step, Stop, Translator, clif_type};

/// Methods that take operands and push the result of one instruction.
macro_rules! numbers {
    (unary: $($visit:ident $inst:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop();
            let result = self.builder.ins().$inst(a);
            self.push(result);
            Ok(())
        })*
    };
    (binary: $($visit:ident $inst:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let (a, b) = self.pop2();
            let result = self.builder.ins().$inst(a, b);
            self.push(result);
            Ok(())
        })*
    };
    (convert: $($visit:ident $inst:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop();
            let result = self.builder.ins().$inst(types::$ty, a);
            self.push(result);
            Ok(())
        })*
    };
    (reinterpret: $($visit:ident $ty:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop();
            let result = self.builder.ins().bitcast(types::$ty, MemFlagsData::new(), a);
            self.push(result);
            Ok(())
        })*
    };
    (compare: $($visit:ident $code:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            self.compare_integers(IntCC::$code);
            Ok(())
        })*
    };
    (compare_floats: $($visit:ident $code:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            self.compare_floats(FloatCC::$code);
            Ok(())
        })*
    };
    (extend: $($visit:ident $narrow:ident $wide:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop();
            let narrow = self.builder.ins().ireduce(types::$narrow, a);
            let result = self.builder.ins().sextend(types::$wide, narrow);
            self.push(result);
            Ok(())
        })*
    };
    (round: $($visit:ident $inst:ident $builtin:ident;)*) => {
        $(fn $visit(&mut self) -> Step {
            let a = self.pop();
            let result = if self.machine.has_rounding {
                self.builder.ins().$inst(a)
            } else {
                self.by_bits(Builtin::$builtin, &[a])
            };
            self.push(result);
            Ok(())
        })*
    };
    (load: $($visit:ident $opcode:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.load(&memarg, Opcode::$opcode, types::$ty)
        })*
    };
    (store: $($visit:ident $width:literal;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.store(&memarg, $width)
        })*
    };
    (atomic_load: $($visit:ident $access:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_load(&memarg, types::$access, types::$ty)
        })*
    };
    (atomic_store: $($visit:ident $access:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_store(&memarg, types::$access)
        })*
    };
    (atomic_rmw: $($visit:ident $op:ident $access:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_rmw(&memarg, AtomicRmwOp::$op, types::$access, types::$ty)
        })*
    };
    (atomic_cmpxchg: $($visit:ident $access:ident $ty:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_cmpxchg(&memarg, types::$access, types::$ty)
        })*
    };
}

impl Translator<'_, '_> {
    /// Stops at an instruction that no tier has.
    fn refuse(&self, message: &str) -> Step {
        Err(Stop::new(message))
    }

    fn local_set(&mut self, index: u32) -> Step {
        let value = self.pop();
        self.define_local(index, value)?;
        Ok(())
    }

    fn local_tee(&mut self, index: u32) -> Step {
        let value = self.pop();
        let value = self.define_local(index, value)?;
        self.push(value);
        Ok(())
    }

    fn compare_integers(&mut self, code: IntCC) {
        let (a, b) = self.pop2();
        let result = self.builder.ins().icmp(code, a, b);
        self.push_bool(result);
    }

    fn compare_floats(&mut self, code: FloatCC) {
        let (a, b) = self.pop2();
        let result = self.builder.ins().fcmp(code, a, b);
        self.push_bool(result);
    }

    fn eqz(&mut self) {
        let a = self.pop();
        let ty = self.value_type(a);
        let zero = self.builder.ins().iconst(ty, 0);
        let result = self.builder.ins().icmp(IntCC::Equal, a, zero);
        self.push_bool(result);
    }

    fn push_bool(&mut self, value: Value) {
        let value = self.builder.ins().uextend(types::I32, value);
        self.push(value);
    }

    /// Computes on floats by a builtin that takes and gives bit patterns.
    pub(super) fn by_bits(&mut self, builtin: Builtin, values: &[Value]) -> Value {
        let ty = self.value_type(values[0]);
        let bits = if ty == types::F32 {
            types::I32
        } else {
            types::I64
        };
        let flags = MemFlagsData::new();
        let arguments: Vec<Value> = values
            .iter()
            .map(|value| self.builder.ins().bitcast(bits, flags, *value))
            .collect();
        let result = self.call_builtin_value(builtin, &arguments);
        let result = self.builder.ins().bitcast(ty, flags, result);
        if !self.tunables.deterministic {
            return result;
        }
        // Changes no number, and the code generator makes its NaN canonical.
        let zero = if ty == types::F32 {
            self.builder.ins().f32const(-0.0)
        } else {
            self.builder.ins().f64const(-0.0)
        };
        self.builder.ins().fadd(result, zero)
    }

    fn select(&mut self) {
        let condition = self.pop_condition();
        let (mut a, mut b) = self.pop2();
        if self.value_type(a) != self.value_type(b) {
            a = self.canonical(a);
            b = self.canonical(b);
        }
        let result = self.builder.ins().select(condition, a, b);
        self.push(result);
    }

    /// Where a global is, and how to access it.
    fn global(&mut self, index: GlobalIndex) -> (Value, u32, MemFlagsData) {
        let ty = self.module.global(index);
        let imported = self.module.imported_global_count();
        let number = index.as_u32();
        let mutable = ty.mutable;
        match number.checked_sub(imported) {
            Some(defined) => {
                let offset = self.plan.layout.defined_global(defined);
                let flags = if mutable {
                    self.regions.defined_global(defined)
                } else {
                    self.regions.constant()
                };
                (self.context, offset, flags)
            }
            None => {
                let pointer = self.context_pointer(self.plan.layout.imported_global(number));
                let flags = if mutable {
                    self.regions.imported_global()
                } else {
                    self.regions.constant()
                };
                (pointer, 0, flags)
            }
        }
    }

    fn global_get(&mut self, index: u32) {
        let index = GlobalIndex::new(index);
        let constant = self.module.constant_global(index).map(|value| value.ops());
        let value = match constant {
            Some([ConstOp::I32Const(value)]) => self.iconst32(*value as u32),
            Some([ConstOp::I64Const(value)]) => self.iconst64(*value as u64),
            _ => {
                let ty = clif_type(self.module.global(index).content);
                let (base, offset, flags) = self.global(index);
                self.load_slot(ty, flags, base, offset)
            }
        };
        self.push(value);
    }

    fn global_set(&mut self, index: u32) {
        let value = self.pop();
        let (base, offset, flags) = self.global(GlobalIndex::new(index));
        self.store_slot(value, flags, base, offset);
    }

    fn define_local(&mut self, index: u32, value: Value) -> Step<Value> {
        let value = self.canonical(value);
        let variable = self.local(index)?;
        self.builder.def_var(variable, value);
        Ok(value)
    }

    /// Two 64-bit halves as 128 bits, from the operand stack.
    fn pop_wide(&mut self) -> Value {
        let (low, high) = self.pop2();
        self.builder.ins().iconcat(low, high)
    }

    fn push_wide(&mut self, value: Value) {
        let (low, high) = self.builder.ins().isplit(value);
        self.push(low);
        self.push(high);
    }
}

impl<'a> VisitOperator<'a> for Translator<'a, '_> {
    type Output = Step;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Step>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(refuse_proposals);
    forward_structure!('a);

    // Values that move.

    fn visit_drop(&mut self) -> Step {
        self.pop();
        Ok(())
    }
    fn visit_local_get(&mut self, local_index: u32) -> Step {
        let value = self.use_local(local_index)?;
        self.push(value);
        Ok(())
    }

    // Memories.

    numbers! { load:
        visit_i32_load Load I32;
        visit_i64_load Load I64;
        visit_f32_load Load F32;
        visit_f64_load Load F64;
        visit_i32_load8_s Sload8 I32;
        visit_i32_load8_u Uload8 I32;
        visit_i32_load16_s Sload16 I32;
        visit_i32_load16_u Uload16 I32;
        visit_i64_load8_s Sload8 I64;
        visit_i64_load8_u Uload8 I64;
        visit_i64_load16_s Sload16 I64;
        visit_i64_load16_u Uload16 I64;
        visit_i64_load32_s Sload32 I64;
        visit_i64_load32_u Uload32 I64;
    }

    numbers! { store:
        visit_i32_store 4;
        visit_i64_store 8;
        visit_f32_store 4;
        visit_f64_store 8;
        visit_i32_store8 1;
        visit_i32_store16 2;
        visit_i64_store8 1;
        visit_i64_store16 2;
        visit_i64_store32 4;
    }

    // Numbers.

    fn visit_i32_const(&mut self, value: i32) -> Step {
        let value = self.iconst32(value as u32);
        self.push(value);
        Ok(())
    }
    fn visit_i64_const(&mut self, value: i64) -> Step {
        let value = self.iconst64(value as u64);
        self.push(value);
        Ok(())
    }
    fn visit_f32_const(&mut self, value: Ieee32) -> Step {
        let bits = cranelift_codegen::ir::immediates::Ieee32::with_bits(value.bits());
        let value = self.builder.ins().f32const(bits);
        self.push(value);
        Ok(())
    }
    fn visit_f64_const(&mut self, value: Ieee64) -> Step {
        let bits = cranelift_codegen::ir::immediates::Ieee64::with_bits(value.bits());
        let value = self.builder.ins().f64const(bits);
        self.push(value);
        Ok(())
    }
    fn visit_i32_eqz(&mut self) -> Step {
        self.eqz();
        Ok(())
    }
    fn visit_i64_eqz(&mut self) -> Step {
        self.eqz();
        Ok(())
    }

    numbers! { compare:
        visit_i32_eq Equal;
        visit_i32_ne NotEqual;
        visit_i32_lt_s SignedLessThan;
        visit_i32_lt_u UnsignedLessThan;
        visit_i32_gt_s SignedGreaterThan;
        visit_i32_gt_u UnsignedGreaterThan;
        visit_i32_le_s SignedLessThanOrEqual;
        visit_i32_le_u UnsignedLessThanOrEqual;
        visit_i32_ge_s SignedGreaterThanOrEqual;
        visit_i32_ge_u UnsignedGreaterThanOrEqual;
        visit_i64_eq Equal;
        visit_i64_ne NotEqual;
        visit_i64_lt_s SignedLessThan;
        visit_i64_lt_u UnsignedLessThan;
        visit_i64_gt_s SignedGreaterThan;
        visit_i64_gt_u UnsignedGreaterThan;
        visit_i64_le_s SignedLessThanOrEqual;
        visit_i64_le_u UnsignedLessThanOrEqual;
        visit_i64_ge_s SignedGreaterThanOrEqual;
        visit_i64_ge_u UnsignedGreaterThanOrEqual;
    }

    numbers! { compare_floats:
        visit_f32_eq Equal;
        visit_f32_ne NotEqual;
        visit_f32_lt LessThan;
        visit_f32_gt GreaterThan;
        visit_f32_le LessThanOrEqual;
        visit_f32_ge GreaterThanOrEqual;
        visit_f64_eq Equal;
        visit_f64_ne NotEqual;
        visit_f64_lt LessThan;
        visit_f64_gt GreaterThan;
        visit_f64_le LessThanOrEqual;
        visit_f64_ge GreaterThanOrEqual;
    }

    numbers! { unary:
        visit_i32_clz clz;
        visit_i32_ctz ctz;
        visit_i32_popcnt popcnt;
        visit_i64_clz clz;
        visit_i64_ctz ctz;
        visit_i64_popcnt popcnt;
        visit_f32_abs fabs;
        visit_f32_neg fneg;
        visit_f32_sqrt sqrt;
        visit_f64_abs fabs;
        visit_f64_neg fneg;
        visit_f64_sqrt sqrt;
    }

    numbers! { binary:
        visit_i32_add iadd;
        visit_i32_sub isub;
        visit_i32_mul imul;
        visit_i32_div_s sdiv;
        visit_i32_div_u udiv;
        visit_i32_rem_s srem;
        visit_i32_rem_u urem;
        visit_i32_and band;
        visit_i32_or bor;
        visit_i32_xor bxor;
        visit_i32_shl ishl;
        visit_i32_shr_s sshr;
        visit_i32_shr_u ushr;
        visit_i32_rotl rotl;
        visit_i32_rotr rotr;
        visit_i64_add iadd;
        visit_i64_sub isub;
        visit_i64_mul imul;
        visit_i64_div_s sdiv;
        visit_i64_div_u udiv;
        visit_i64_rem_s srem;
        visit_i64_rem_u urem;
        visit_i64_and band;
        visit_i64_or bor;
        visit_i64_xor bxor;
        visit_i64_shl ishl;
        visit_i64_shr_s sshr;
        visit_i64_shr_u ushr;
        visit_i64_rotl rotl;
        visit_i64_rotr rotr;
        visit_f32_add fadd;
        visit_f32_sub fsub;
        visit_f32_mul fmul;
        visit_f32_div fdiv;
        visit_f32_min fmin;
        visit_f32_max fmax;
        visit_f32_copysign fcopysign;
        visit_f64_add fadd;
        visit_f64_sub fsub;
        visit_f64_mul fmul;
        visit_f64_div fdiv;
        visit_f64_min fmin;
        visit_f64_max fmax;
        visit_f64_copysign fcopysign;
    }

    numbers! { round:
        visit_f32_ceil ceil f32_ceil;
        visit_f32_floor floor f32_floor;
        visit_f32_trunc trunc f32_trunc;
        visit_f32_nearest nearest f32_nearest;
        visit_f64_ceil ceil f64_ceil;
        visit_f64_floor floor f64_floor;
        visit_f64_trunc trunc f64_trunc;
        visit_f64_nearest nearest f64_nearest;
    }

    numbers! { convert:
        visit_i32_wrap_i64 ireduce I32;
        visit_i64_extend_i32_s sextend I64;
        visit_i64_extend_i32_u uextend I64;
        visit_i32_trunc_f32_s fcvt_to_sint I32;
        visit_i32_trunc_sat_f32_s fcvt_to_sint_sat I32;
        visit_i32_trunc_f32_u fcvt_to_uint I32;
        visit_i32_trunc_sat_f32_u fcvt_to_uint_sat I32;
        visit_i32_trunc_f64_s fcvt_to_sint I32;
        visit_i32_trunc_sat_f64_s fcvt_to_sint_sat I32;
        visit_i32_trunc_f64_u fcvt_to_uint I32;
        visit_i32_trunc_sat_f64_u fcvt_to_uint_sat I32;
        visit_i64_trunc_f32_s fcvt_to_sint I64;
        visit_i64_trunc_sat_f32_s fcvt_to_sint_sat I64;
        visit_i64_trunc_f32_u fcvt_to_uint I64;
        visit_i64_trunc_sat_f32_u fcvt_to_uint_sat I64;
        visit_i64_trunc_f64_s fcvt_to_sint I64;
        visit_i64_trunc_sat_f64_s fcvt_to_sint_sat I64;
        visit_i64_trunc_f64_u fcvt_to_uint I64;
        visit_i64_trunc_sat_f64_u fcvt_to_uint_sat I64;
        visit_f32_convert_i32_s fcvt_from_sint F32;
        visit_f32_convert_i32_u fcvt_from_uint F32;
        visit_f32_convert_i64_s fcvt_from_sint F32;
        visit_f32_convert_i64_u fcvt_from_uint F32;
        visit_f64_convert_i32_s fcvt_from_sint F64;
        visit_f64_convert_i32_u fcvt_from_uint F64;
        visit_f64_convert_i64_s fcvt_from_sint F64;
        visit_f64_convert_i64_u fcvt_from_uint F64;
        visit_f32_demote_f64 fdemote F32;
        visit_f64_promote_f32 fpromote F64;
    }

    numbers! { reinterpret:
        visit_i32_reinterpret_f32 I32;
        visit_i64_reinterpret_f64 I64;
        visit_f32_reinterpret_i32 F32;
        visit_f64_reinterpret_i64 F64;
    }

    numbers! { extend:
        visit_i32_extend8_s I8 I32;
        visit_i32_extend16_s I16 I32;
        visit_i64_extend8_s I8 I64;
        visit_i64_extend16_s I16 I64;
        visit_i64_extend32_s I32 I64;
    }

    fn visit_i64_add128(&mut self) -> Step {
        let b = self.pop_wide();
        let a = self.pop_wide();
        let sum = self.builder.ins().iadd(a, b);
        self.push_wide(sum);
        Ok(())
    }
    fn visit_i64_sub128(&mut self) -> Step {
        let b = self.pop_wide();
        let a = self.pop_wide();
        let difference = self.builder.ins().isub(a, b);
        self.push_wide(difference);
        Ok(())
    }
    fn visit_i64_mul_wide_s(&mut self) -> Step {
        let (a, b) = self.pop2();
        let low = self.builder.ins().imul(a, b);
        let high = self.builder.ins().smulhi(a, b);
        self.push(low);
        self.push(high);
        Ok(())
    }
    fn visit_i64_mul_wide_u(&mut self) -> Step {
        let (a, b) = self.pop2();
        let low = self.builder.ins().imul(a, b);
        let high = self.builder.ins().umulhi(a, b);
        self.push(low);
        self.push(high);
        Ok(())
    }

    // Threads.

    fn visit_memory_atomic_notify(&mut self, memarg: MemArg) -> Step {
        self.memory_atomic_notify(&memarg)
    }
    fn visit_memory_atomic_wait32(&mut self, memarg: MemArg) -> Step {
        self.memory_atomic_wait(&memarg, types::I32)
    }
    fn visit_memory_atomic_wait64(&mut self, memarg: MemArg) -> Step {
        self.memory_atomic_wait(&memarg, types::I64)
    }
    fn visit_atomic_fence(&mut self, _ordering: Ordering) -> Step {
        self.atomic_fence();
        Ok(())
    }

    numbers! { atomic_load:
        visit_i32_atomic_load I32 I32;
        visit_i64_atomic_load I64 I64;
        visit_i32_atomic_load8_u I8 I32;
        visit_i32_atomic_load16_u I16 I32;
        visit_i64_atomic_load8_u I8 I64;
        visit_i64_atomic_load16_u I16 I64;
        visit_i64_atomic_load32_u I32 I64;
    }

    numbers! { atomic_store:
        visit_i32_atomic_store I32;
        visit_i64_atomic_store I64;
        visit_i32_atomic_store8 I8;
        visit_i32_atomic_store16 I16;
        visit_i64_atomic_store8 I8;
        visit_i64_atomic_store16 I16;
        visit_i64_atomic_store32 I32;
    }

    numbers! { atomic_rmw:
        visit_i32_atomic_rmw_add Add I32 I32;
        visit_i64_atomic_rmw_add Add I64 I64;
        visit_i32_atomic_rmw8_add_u Add I8 I32;
        visit_i32_atomic_rmw16_add_u Add I16 I32;
        visit_i64_atomic_rmw8_add_u Add I8 I64;
        visit_i64_atomic_rmw16_add_u Add I16 I64;
        visit_i64_atomic_rmw32_add_u Add I32 I64;
        visit_i32_atomic_rmw_sub Sub I32 I32;
        visit_i64_atomic_rmw_sub Sub I64 I64;
        visit_i32_atomic_rmw8_sub_u Sub I8 I32;
        visit_i32_atomic_rmw16_sub_u Sub I16 I32;
        visit_i64_atomic_rmw8_sub_u Sub I8 I64;
        visit_i64_atomic_rmw16_sub_u Sub I16 I64;
        visit_i64_atomic_rmw32_sub_u Sub I32 I64;
        visit_i32_atomic_rmw_and And I32 I32;
        visit_i64_atomic_rmw_and And I64 I64;
        visit_i32_atomic_rmw8_and_u And I8 I32;
        visit_i32_atomic_rmw16_and_u And I16 I32;
        visit_i64_atomic_rmw8_and_u And I8 I64;
        visit_i64_atomic_rmw16_and_u And I16 I64;
        visit_i64_atomic_rmw32_and_u And I32 I64;
        visit_i32_atomic_rmw_or Or I32 I32;
        visit_i64_atomic_rmw_or Or I64 I64;
        visit_i32_atomic_rmw8_or_u Or I8 I32;
        visit_i32_atomic_rmw16_or_u Or I16 I32;
        visit_i64_atomic_rmw8_or_u Or I8 I64;
        visit_i64_atomic_rmw16_or_u Or I16 I64;
        visit_i64_atomic_rmw32_or_u Or I32 I64;
        visit_i32_atomic_rmw_xor Xor I32 I32;
        visit_i64_atomic_rmw_xor Xor I64 I64;
        visit_i32_atomic_rmw8_xor_u Xor I8 I32;
        visit_i32_atomic_rmw16_xor_u Xor I16 I32;
        visit_i64_atomic_rmw8_xor_u Xor I8 I64;
        visit_i64_atomic_rmw16_xor_u Xor I16 I64;
        visit_i64_atomic_rmw32_xor_u Xor I32 I64;
        visit_i32_atomic_rmw_xchg Xchg I32 I32;
        visit_i64_atomic_rmw_xchg Xchg I64 I64;
        visit_i32_atomic_rmw8_xchg_u Xchg I8 I32;
        visit_i32_atomic_rmw16_xchg_u Xchg I16 I32;
        visit_i64_atomic_rmw8_xchg_u Xchg I8 I64;
        visit_i64_atomic_rmw16_xchg_u Xchg I16 I64;
        visit_i64_atomic_rmw32_xchg_u Xchg I32 I64;
    }

    numbers! { atomic_cmpxchg:
        visit_i32_atomic_rmw_cmpxchg I32 I32;
        visit_i64_atomic_rmw_cmpxchg I64 I64;
        visit_i32_atomic_rmw8_cmpxchg_u I8 I32;
        visit_i32_atomic_rmw16_cmpxchg_u I16 I32;
        visit_i64_atomic_rmw8_cmpxchg_u I8 I64;
        visit_i64_atomic_rmw16_cmpxchg_u I16 I64;
        visit_i64_atomic_rmw32_cmpxchg_u I32 I64;
    }
}
