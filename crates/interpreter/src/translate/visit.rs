//! Which instructions are there? The list of them all, from the decoder's own
//! list: one that is missing here is a compile error.

use tepui_module::{forward_structure, refuse_proposals};
use wasmparser::{HeapType, Ieee32, Ieee64, MemArg, Operator, Ordering, VisitOperator};
#[cfg(feature = "simd")]
use wasmparser::{V128, VisitSimdOperator};

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
    /// Stops at an instruction that no tier has.
    fn refuse(&self, message: &str) -> Step {
        Err(Stop::new(message))
    }

    fn ref_null(&mut self, _: HeapType) -> Step {
        self.push_constant(0)
    }

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

    #[cfg(feature = "simd")]
    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Step>> {
        Some(self)
    }

    // Instructions come from the decoder, which calls the method of each. What would
    // choose by an `Operator` is never used, and left out because it is large.
    fn visit_operator(&mut self, _: &Operator<'a>) -> Step {
        Err(Stop::new("an instruction came decoded"))
    }

    wasmparser::for_each_visit_operator!(refuse_proposals);
    forward_structure!('a);

    for_each_number!(visits);

    // Values that move.

    fn visit_drop(&mut self) -> Step {
        self.pop();
        Ok(())
    }
    fn visit_local_get(&mut self, local_index: u32) -> Step {
        self.local_get(local_index)
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

    // Memories.

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

#[cfg(feature = "simd")]
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
