//! Which instructions are there? The list of them all, from the decoder's own
//! list: one that is missing here is a compile error.

use alloc::vec::Vec;

use wasmparser::{
    BlockType, BrTable, HeapType, Ieee32, Ieee64, MemArg, Ordering, V128, ValType, VisitOperator,
    VisitSimdOperator,
};

use super::call::CallKind;
use super::{Step, Stop, Translator};
use crate::handlers::atomic::{self, Add, And, Exchange, Or, Sub, Xor};
use crate::handlers::memory::{
    Load8S32, Load8S64, Load8Splat, Load8U32, Load8x8S, Load8x8U, Load16S32, Load16S64,
    Load16Splat, Load16U32, Load16x4S, Load16x4U, Load32, Load32S64, Load32Splat, Load32Zero,
    Load32x2S, Load32x2U, Load64, Load64Splat, Load64Zero, Load128, LoadF32, LoadF64, Store8,
    Store16, Store32, Store64, Store128, StoreF32, StoreF64,
};
use crate::handlers::{control, number, vector};
use crate::ops::{self, for_each_number};
use crate::simd::for_each_vector;

/// Writes the methods for instructions of proposals that are not implemented.
/// Validation refuses them by name before a function is translated.
macro_rules! unimplemented_proposals {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        $( unimplemented_proposal!(@$proposal $visit $({ $($arg: $argty),* })?); )*
    };
}

/// One of them, or nothing when the proposal is implemented.
macro_rules! unimplemented_proposal {
    (@mvp $($rest:tt)*) => {};
    (@sign_extension $($rest:tt)*) => {};
    (@saturating_float_to_int $($rest:tt)*) => {};
    (@bulk_memory $($rest:tt)*) => {};
    (@reference_types $($rest:tt)*) => {};
    (@tail_call $($rest:tt)*) => {};
    (@threads $($rest:tt)*) => {};
    (@function_references $($rest:tt)*) => {};
    (@wide_arithmetic $($rest:tt)*) => {};
    (@$proposal:ident $visit:ident $({ $($arg:ident: $argty:ty),* })?) => {
        fn $visit(&mut self $($(, $arg: $argty)*)?) -> Step {
            $($(let _ = $arg;)*)?
            Err(Stop::new(concat!(
                "the ",
                stringify!($proposal),
                " proposal is not implemented"
            )))
        }
    };
}

/// Writes the methods for the instructions of the tables: each calls the method
/// of the translator that its group is named after.
macro_rules! visits {
    ($($group:ident { $($visit:ident $op:ident($($arg:ident: $ty:ty),*) -> $result:ty $body:block)* })*) => {
        $($(visits!(@$group $visit $op);)*)*
    };
    (@extract $visit:ident $op:ident) => {
        fn $visit(&mut self, lane: u8) -> Step {
            self.extract::<ops::$op>(lane)
        }
    };
    (@replace $visit:ident $op:ident) => {
        fn $visit(&mut self, lane: u8) -> Step {
            self.replace::<ops::$op>(lane)
        }
    };
    (@$group:ident $visit:ident $op:ident) => {
        fn $visit(&mut self) -> Step {
            self.$group::<ops::$op>()
        }
    };
}

/// Writes the methods for accesses to memories.
macro_rules! accesses {
    (load: $($visit:ident $op:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.load::<$op>(&memarg)
        })*
    };
    (store: $($visit:ident $op:ident;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.store::<$op>(&memarg)
        })*
    };
    (load_lane: $($visit:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg, lane: u8) -> Step {
            self.load_lane::<$ty>(&memarg, lane)
        })*
    };
    (store_lane: $($visit:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg, lane: u8) -> Step {
            self.store_lane::<$ty>(&memarg, lane)
        })*
    };
    (atomic_load: $($visit:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_load::<$ty>(&memarg)
        })*
    };
    (atomic_store: $($visit:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_store::<$ty>(&memarg)
        })*
    };
    (atomic_update: $($visit:ident $op:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_update::<$op, $ty>(&memarg)
        })*
    };
    (atomic_exchange_if: $($visit:ident $ty:ty;)*) => {
        $(fn $visit(&mut self, memarg: MemArg) -> Step {
            self.atomic_exchange_if::<$ty>(&memarg)
        })*
    };
}

impl Translator<'_> {
    /// Two numbers of 128 bits, each as two halves, to one.
    fn wide_binary(&mut self, handler: crate::dispatch::Handler) -> Step {
        let slots: [i32; 4] = core::array::from_fn(|_| self.pop_slot());
        let [b_high, b_low, a_high, a_low] = slots;
        self.start(handler);
        let low = self.push_temporary(false)?;
        let high = self.push_temporary(false)?;
        for place in [low, high, a_low, a_high, b_low, b_high] {
            self.place(place);
        }
        Ok(())
    }

    fn mul_wide(&mut self, handler: crate::dispatch::Handler) -> Step {
        let (b, a) = (self.pop_slot(), self.pop_slot());
        self.start(handler);
        let low = self.push_temporary(false)?;
        let high = self.push_temporary(false)?;
        for place in [low, high, a, b] {
            self.place(place);
        }
        Ok(())
    }
}

impl<'a> VisitOperator<'a> for Translator<'a> {
    type Output = Step;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Step>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(unimplemented_proposals);

    for_each_number!(visits);

    // Control.

    fn visit_unreachable(&mut self) -> Step {
        self.unreachable_instruction();
        Ok(())
    }
    fn visit_nop(&mut self) -> Step {
        Ok(())
    }
    fn visit_block(&mut self, blockty: BlockType) -> Step {
        self.block(blockty)
    }
    fn visit_loop(&mut self, blockty: BlockType) -> Step {
        self.loop_(blockty)
    }
    fn visit_if(&mut self, blockty: BlockType) -> Step {
        self.if_(blockty)
    }
    fn visit_else(&mut self) -> Step {
        self.else_()
    }
    fn visit_end(&mut self) -> Step {
        self.end()
    }
    fn visit_br(&mut self, relative_depth: u32) -> Step {
        self.br(relative_depth)
    }
    fn visit_br_if(&mut self, relative_depth: u32) -> Step {
        self.br_if(relative_depth)
    }
    fn visit_br_table(&mut self, targets: BrTable<'a>) -> Step {
        self.br_table(&targets)
    }
    fn visit_return(&mut self) -> Step {
        self.return_()
    }

    // Calls.

    fn visit_call(&mut self, function_index: u32) -> Step {
        self.call(function_index, CallKind::Ordinary)
    }
    fn visit_call_indirect(&mut self, type_index: u32, table_index: u32) -> Step {
        self.call_indirect(type_index, table_index, CallKind::Ordinary)
    }
    fn visit_call_ref(&mut self, type_index: u32) -> Step {
        self.call_ref(type_index, CallKind::Ordinary)
    }
    fn visit_return_call(&mut self, function_index: u32) -> Step {
        self.call(function_index, CallKind::Tail)
    }
    fn visit_return_call_indirect(&mut self, type_index: u32, table_index: u32) -> Step {
        self.call_indirect(type_index, table_index, CallKind::Tail)
    }
    fn visit_return_call_ref(&mut self, type_index: u32) -> Step {
        self.call_ref(type_index, CallKind::Tail)
    }

    // Values that move.

    fn visit_drop(&mut self) -> Step {
        self.pop();
        Ok(())
    }
    fn visit_select(&mut self) -> Step {
        self.select()
    }
    fn visit_typed_select(&mut self, _ty: ValType) -> Step {
        self.select()
    }
    fn visit_typed_select_multi(&mut self, tys: Vec<ValType>) -> Step {
        // Validation accepts exactly one type.
        let _ = tys;
        self.select()
    }
    fn visit_local_get(&mut self, local_index: u32) -> Step {
        self.local_get(local_index)
    }
    fn visit_local_set(&mut self, local_index: u32) -> Step {
        self.local_set(local_index)
    }
    fn visit_local_tee(&mut self, local_index: u32) -> Step {
        self.local_tee(local_index)
    }
    fn visit_global_get(&mut self, global_index: u32) -> Step {
        self.global_get(global_index)
    }
    fn visit_global_set(&mut self, global_index: u32) -> Step {
        self.global_set(global_index);
        Ok(())
    }
    fn visit_i32_const(&mut self, value: i32) -> Step {
        self.push_constant(u64::from(value as u32))
    }
    fn visit_i64_const(&mut self, value: i64) -> Step {
        self.push_constant(value as u64)
    }
    fn visit_f32_const(&mut self, value: Ieee32) -> Step {
        self.push_constant(u64::from(value.bits()))
    }
    fn visit_f64_const(&mut self, value: Ieee64) -> Step {
        self.push_constant(value.bits())
    }

    // Bits stay what they are.

    fn visit_i32_reinterpret_f32(&mut self) -> Step {
        Ok(())
    }
    fn visit_i64_reinterpret_f64(&mut self) -> Step {
        Ok(())
    }
    fn visit_f32_reinterpret_i32(&mut self) -> Step {
        Ok(())
    }
    fn visit_f64_reinterpret_i64(&mut self) -> Step {
        Ok(())
    }

    fn visit_i32_eqz(&mut self) -> Step {
        self.push_constant(0)?;
        self.fused_compare::<ops::I32Eq>()
    }
    fn visit_i64_eqz(&mut self) -> Step {
        self.push_constant(0)?;
        self.compare::<ops::I64Eq>()
    }
    fn visit_i64_add128(&mut self) -> Step {
        self.wide_binary(number::add128)
    }
    fn visit_i64_sub128(&mut self) -> Step {
        self.wide_binary(number::sub128)
    }
    fn visit_i64_mul_wide_s(&mut self) -> Step {
        self.mul_wide(number::mul_wide_s)
    }
    fn visit_i64_mul_wide_u(&mut self) -> Step {
        self.mul_wide(number::mul_wide_u)
    }

    // References and tables.

    fn visit_ref_null(&mut self, hty: HeapType) -> Step {
        let _ = hty;
        self.push_constant(0)
    }
    fn visit_ref_is_null(&mut self) -> Step {
        self.ref_is_null()
    }
    fn visit_ref_func(&mut self, function_index: u32) -> Step {
        self.ref_func(function_index)
    }
    fn visit_ref_as_non_null(&mut self) -> Step {
        self.ref_as_non_null()
    }
    fn visit_br_on_null(&mut self, relative_depth: u32) -> Step {
        self.br_on_null(relative_depth)
    }
    fn visit_br_on_non_null(&mut self, relative_depth: u32) -> Step {
        self.br_on_non_null(relative_depth)
    }
    fn visit_table_get(&mut self, table: u32) -> Step {
        self.table_get(table)
    }
    fn visit_table_set(&mut self, table: u32) -> Step {
        self.table_set(table);
        Ok(())
    }
    fn visit_table_size(&mut self, table: u32) -> Step {
        self.table_size(table)
    }
    fn visit_table_grow(&mut self, table: u32) -> Step {
        self.table_grow(table)
    }
    fn visit_table_fill(&mut self, table: u32) -> Step {
        self.table_fill(table);
        Ok(())
    }
    fn visit_table_copy(&mut self, dst_table: u32, src_table: u32) -> Step {
        self.table_copy(dst_table, src_table);
        Ok(())
    }
    fn visit_table_init(&mut self, elem_index: u32, table: u32) -> Step {
        self.table_init(table, elem_index);
        Ok(())
    }
    fn visit_elem_drop(&mut self, elem_index: u32) -> Step {
        self.elem_drop(elem_index);
        Ok(())
    }

    // Memories.

    fn visit_memory_size(&mut self, mem: u32) -> Step {
        self.memory_size(mem)
    }
    fn visit_memory_grow(&mut self, mem: u32) -> Step {
        self.memory_grow(mem)
    }
    fn visit_memory_init(&mut self, data_index: u32, mem: u32) -> Step {
        self.memory_init(mem, data_index);
        Ok(())
    }
    fn visit_memory_copy(&mut self, dst_mem: u32, src_mem: u32) -> Step {
        self.memory_copy(dst_mem, src_mem);
        Ok(())
    }
    fn visit_memory_fill(&mut self, mem: u32) -> Step {
        self.memory_fill(mem);
        Ok(())
    }
    fn visit_data_drop(&mut self, data_index: u32) -> Step {
        self.data_drop(data_index);
        Ok(())
    }

    accesses! { load:
        visit_i32_load Load32;
        visit_i64_load Load64;
        visit_f32_load LoadF32;
        visit_f64_load LoadF64;
        visit_i32_load8_s Load8S32;
        visit_i32_load8_u Load8U32;
        visit_i32_load16_s Load16S32;
        visit_i32_load16_u Load16U32;
        visit_i64_load8_s Load8S64;
        visit_i64_load8_u Load8U32;
        visit_i64_load16_s Load16S64;
        visit_i64_load16_u Load16U32;
        visit_i64_load32_s Load32S64;
        visit_i64_load32_u Load32;
    }

    accesses! { store:
        visit_i32_store Store32;
        visit_i64_store Store64;
        visit_f32_store StoreF32;
        visit_f64_store StoreF64;
        visit_i32_store8 Store8;
        visit_i32_store16 Store16;
        visit_i64_store8 Store8;
        visit_i64_store16 Store16;
        visit_i64_store32 Store32;
    }

    // Threads.

    fn visit_memory_atomic_notify(&mut self, memarg: MemArg) -> Step {
        self.atomic_notify(&memarg)
    }
    fn visit_memory_atomic_wait32(&mut self, memarg: MemArg) -> Step {
        self.atomic_wait(&memarg, atomic::atomic_wait32)
    }
    fn visit_memory_atomic_wait64(&mut self, memarg: MemArg) -> Step {
        self.atomic_wait(&memarg, atomic::atomic_wait64)
    }
    fn visit_atomic_fence(&mut self, _ordering: Ordering) -> Step {
        self.start(atomic::atomic_fence);
        Ok(())
    }

    accesses! { atomic_load:
        visit_i32_atomic_load u32;
        visit_i64_atomic_load u64;
        visit_i32_atomic_load8_u u8;
        visit_i32_atomic_load16_u u16;
        visit_i64_atomic_load8_u u8;
        visit_i64_atomic_load16_u u16;
        visit_i64_atomic_load32_u u32;
    }

    accesses! { atomic_store:
        visit_i32_atomic_store u32;
        visit_i64_atomic_store u64;
        visit_i32_atomic_store8 u8;
        visit_i32_atomic_store16 u16;
        visit_i64_atomic_store8 u8;
        visit_i64_atomic_store16 u16;
        visit_i64_atomic_store32 u32;
    }

    accesses! { atomic_update:
        visit_i32_atomic_rmw_add Add u32;
        visit_i64_atomic_rmw_add Add u64;
        visit_i32_atomic_rmw8_add_u Add u8;
        visit_i32_atomic_rmw16_add_u Add u16;
        visit_i64_atomic_rmw8_add_u Add u8;
        visit_i64_atomic_rmw16_add_u Add u16;
        visit_i64_atomic_rmw32_add_u Add u32;
        visit_i32_atomic_rmw_sub Sub u32;
        visit_i64_atomic_rmw_sub Sub u64;
        visit_i32_atomic_rmw8_sub_u Sub u8;
        visit_i32_atomic_rmw16_sub_u Sub u16;
        visit_i64_atomic_rmw8_sub_u Sub u8;
        visit_i64_atomic_rmw16_sub_u Sub u16;
        visit_i64_atomic_rmw32_sub_u Sub u32;
        visit_i32_atomic_rmw_and And u32;
        visit_i64_atomic_rmw_and And u64;
        visit_i32_atomic_rmw8_and_u And u8;
        visit_i32_atomic_rmw16_and_u And u16;
        visit_i64_atomic_rmw8_and_u And u8;
        visit_i64_atomic_rmw16_and_u And u16;
        visit_i64_atomic_rmw32_and_u And u32;
        visit_i32_atomic_rmw_or Or u32;
        visit_i64_atomic_rmw_or Or u64;
        visit_i32_atomic_rmw8_or_u Or u8;
        visit_i32_atomic_rmw16_or_u Or u16;
        visit_i64_atomic_rmw8_or_u Or u8;
        visit_i64_atomic_rmw16_or_u Or u16;
        visit_i64_atomic_rmw32_or_u Or u32;
        visit_i32_atomic_rmw_xor Xor u32;
        visit_i64_atomic_rmw_xor Xor u64;
        visit_i32_atomic_rmw8_xor_u Xor u8;
        visit_i32_atomic_rmw16_xor_u Xor u16;
        visit_i64_atomic_rmw8_xor_u Xor u8;
        visit_i64_atomic_rmw16_xor_u Xor u16;
        visit_i64_atomic_rmw32_xor_u Xor u32;
        visit_i32_atomic_rmw_xchg Exchange u32;
        visit_i64_atomic_rmw_xchg Exchange u64;
        visit_i32_atomic_rmw8_xchg_u Exchange u8;
        visit_i32_atomic_rmw16_xchg_u Exchange u16;
        visit_i64_atomic_rmw8_xchg_u Exchange u8;
        visit_i64_atomic_rmw16_xchg_u Exchange u16;
        visit_i64_atomic_rmw32_xchg_u Exchange u32;
    }

    accesses! { atomic_exchange_if:
        visit_i32_atomic_rmw_cmpxchg u32;
        visit_i64_atomic_rmw_cmpxchg u64;
        visit_i32_atomic_rmw8_cmpxchg_u u8;
        visit_i32_atomic_rmw16_cmpxchg_u u16;
        visit_i64_atomic_rmw8_cmpxchg_u u8;
        visit_i64_atomic_rmw16_cmpxchg_u u16;
        visit_i64_atomic_rmw32_cmpxchg_u u32;
    }
}

impl<'a> VisitSimdOperator<'a> for Translator<'a> {
    for_each_vector!(visits);

    fn visit_v128_const(&mut self, value: V128) -> Step {
        let start = self.start_result(control::constant128, true)?;
        for word in value.bytes().chunks_exact(4) {
            let word = word
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
            self.word(word);
        }
        self.end_result(start);
        Ok(())
    }
    fn visit_i8x16_shuffle(&mut self, lanes: [u8; 16]) -> Step {
        let (b, a) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(vector::shuffle, true)?;
        self.place(a);
        self.place(b);
        for word in lanes.chunks_exact(4) {
            let word = word
                .iter()
                .rev()
                .fold(0, |word, lane| word << 8 | u32::from(*lane));
            self.word(word);
        }
        self.end_result(start);
        Ok(())
    }

    accesses! { load:
        visit_v128_load Load128;
        visit_v128_load8x8_s Load8x8S;
        visit_v128_load8x8_u Load8x8U;
        visit_v128_load16x4_s Load16x4S;
        visit_v128_load16x4_u Load16x4U;
        visit_v128_load32x2_s Load32x2S;
        visit_v128_load32x2_u Load32x2U;
        visit_v128_load8_splat Load8Splat;
        visit_v128_load16_splat Load16Splat;
        visit_v128_load32_splat Load32Splat;
        visit_v128_load64_splat Load64Splat;
        visit_v128_load32_zero Load32Zero;
        visit_v128_load64_zero Load64Zero;
    }

    accesses! { store:
        visit_v128_store Store128;
    }

    accesses! { load_lane:
        visit_v128_load8_lane u8;
        visit_v128_load16_lane u16;
        visit_v128_load32_lane u32;
        visit_v128_load64_lane u64;
    }

    accesses! { store_lane:
        visit_v128_store8_lane u8;
        visit_v128_store16_lane u16;
        visit_v128_store32_lane u32;
        visit_v128_store64_lane u64;
    }
}
