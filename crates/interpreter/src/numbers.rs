//! Which number does each instruction have in an image? One for every plain form:
//! operands that are slots, a result that is written to one.
//!
//! This file holds no unsafe code, but what reads images trusts it: a number must
//! never mean one instruction to whoever writes and another to whoever reads. So
//! images name [`FINGERPRINT`], which depends on all that is listed here.
//!
//! Instructions are known by the addresses of their handlers. The compiler may make
//! one of two handlers whose machine code is the same; they do the same with slots,
//! on any machine, unless they touch pointers. Those are [`POINTERS`], and must not
//! share their address with others.

use crate::dispatch::Handler;
use crate::handlers::atomic::{self, Add, And, Exchange, Or, Sub, Xor};
use crate::handlers::call::{self, check};
use crate::handlers::control;
use crate::handlers::memory::{self, *};
use crate::handlers::number;
use crate::handlers::table;
#[cfg(feature = "simd")]
use crate::handlers::vector;
use crate::ops::{self, Canonical, Number, Test, for_each_number};
#[cfg(feature = "simd")]
use crate::ops::{Doubles, Singles};
#[cfg(feature = "simd")]
use crate::simd::for_each_vector;
use crate::value::{Slot, Stored};

/// The number of the first instruction of [`SCALARS`].
const FIRST_SCALAR: u32 = 0x400;
/// The number of the first instruction of [`VECTORS`].
const FIRST_VECTOR: u32 = 0x800;
/// The number of the first instruction of [`VECTOR_MEMORY`].
const FIRST_VECTOR_MEMORY: u32 = 0xc00;

/// Makes a list of handlers, and the text of it.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident $text:ident [$($handler:expr,)*]) => {
        $(#[$doc])*
        static $name: &[Handler] = &[$($handler,)*];
        #[allow(dead_code, reason = "not all are in the fingerprint")]
        const $text: &str = concat!($(stringify!($handler), ";",)*);
    };
}

list! {
    /// What is in no table of operations.
    FIXED FIXED_TEXT [
        control::zero,
        control::copy,
        control::copy_wide,
        control::constant32,
        control::constant64,
        control::constant128,
        control::select::<Slot, Stored>,
        control::select_wide,
        control::is_null,
        control::non_null,
        control::jump,
        control::branch_if_not_zero::<Slot>,
        control::branch_if_zero::<Slot>,
        control::branch_if_set,
        control::branch_if_null,
        control::branch_table,
        control::unreachable,
        control::out_of_bounds,
        control::return_,
        control::return_slot::<u64>,
        control::return_slot::<f32>,
        control::return_slot::<f64>,
        control::global_get32::<Stored>,
        control::global_get64::<Stored>,
        control::global_get128,
        control::global_set32::<Slot>,
        control::global_set64::<Slot>,
        control::global_set128,
        control::ref_in_context,
        control::ref_imported,
        control::charge,
        control::check_fuel,
        control::check_epoch,
        number::add128,
        number::sub128,
        number::mul_wide_s,
        number::mul_wide_u,
        call::reload,
        call::call_indexed,
        call::call_import,
        call::call_ref,
        call::call_indirect::<{ check::NONE }, true>,
        call::call_indirect::<{ check::EXACT }, true>,
        call::call_indirect::<{ check::SUBTYPE }, true>,
        call::return_call_indexed,
        call::return_call_import,
        call::return_call_ref,
        call::return_call_indirect::<{ check::NONE }, true>,
        call::return_call_indirect::<{ check::EXACT }, true>,
        call::return_call_indirect::<{ check::SUBTYPE }, true>,
        memory::load::<Load32, Slot, Stored, Compared>,
        memory::load::<Load64, Slot, Stored, Compared>,
        memory::load::<LoadF32, Slot, Stored, Compared>,
        memory::load::<LoadF64, Slot, Stored, Compared>,
        memory::load::<Load8S32, Slot, Stored, Compared>,
        memory::load::<Load8U32, Slot, Stored, Compared>,
        memory::load::<Load16S32, Slot, Stored, Compared>,
        memory::load::<Load16U32, Slot, Stored, Compared>,
        memory::load::<Load8S64, Slot, Stored, Compared>,
        memory::load::<Load16S64, Slot, Stored, Compared>,
        memory::load::<Load32S64, Slot, Stored, Compared>,
        memory::load_any::<Load32>,
        memory::load_any::<Load64>,
        memory::load_any::<LoadF32>,
        memory::load_any::<LoadF64>,
        memory::load_any::<Load8S32>,
        memory::load_any::<Load8U32>,
        memory::load_any::<Load16S32>,
        memory::load_any::<Load16U32>,
        memory::load_any::<Load8S64>,
        memory::load_any::<Load16S64>,
        memory::load_any::<Load32S64>,
        memory::store::<Store32, Slot, Slot, Compared>,
        memory::store::<Store64, Slot, Slot, Compared>,
        memory::store::<StoreF32, Slot, Slot, Compared>,
        memory::store::<StoreF64, Slot, Slot, Compared>,
        memory::store::<Store8, Slot, Slot, Compared>,
        memory::store::<Store16, Slot, Slot, Compared>,
        memory::store_any::<Store32>,
        memory::store_any::<Store64>,
        memory::store_any::<StoreF32>,
        memory::store_any::<StoreF64>,
        memory::store_any::<Store8>,
        memory::store_any::<Store16>,
        memory::memory_size,
        memory::memory_grow,
        memory::memory_copy,
        memory::memory_fill,
        memory::memory_init,
        memory::data_drop,
        table::table_get::<table::Pointer>,
        table::table_get::<table::Id>,
        table::table_set::<table::Pointer>,
        table::table_set::<table::Id>,
        table::table_size,
        table::table_grow,
        table::table_fill,
        table::table_copy,
        table::table_init,
        table::elem_drop,
        atomic::atomic_fence,
        atomic::atomic_notify,
        atomic::atomic_wait32,
        atomic::atomic_wait64,
        atomic::atomic_load::<u8>,
        atomic::atomic_load::<u16>,
        atomic::atomic_load::<u32>,
        atomic::atomic_load::<u64>,
        atomic::atomic_store::<u8>,
        atomic::atomic_store::<u16>,
        atomic::atomic_store::<u32>,
        atomic::atomic_store::<u64>,
        atomic::atomic_exchange_if::<u8>,
        atomic::atomic_exchange_if::<u16>,
        atomic::atomic_exchange_if::<u32>,
        atomic::atomic_exchange_if::<u64>,
        atomic::atomic_update::<Add, u8>,
        atomic::atomic_update::<Add, u16>,
        atomic::atomic_update::<Add, u32>,
        atomic::atomic_update::<Add, u64>,
        atomic::atomic_update::<Sub, u8>,
        atomic::atomic_update::<Sub, u16>,
        atomic::atomic_update::<Sub, u32>,
        atomic::atomic_update::<Sub, u64>,
        atomic::atomic_update::<And, u8>,
        atomic::atomic_update::<And, u16>,
        atomic::atomic_update::<And, u32>,
        atomic::atomic_update::<And, u64>,
        atomic::atomic_update::<Or, u8>,
        atomic::atomic_update::<Or, u16>,
        atomic::atomic_update::<Or, u32>,
        atomic::atomic_update::<Or, u64>,
        atomic::atomic_update::<Xor, u8>,
        atomic::atomic_update::<Xor, u16>,
        atomic::atomic_update::<Xor, u32>,
        atomic::atomic_update::<Xor, u64>,
        atomic::atomic_update::<Exchange, u8>,
        atomic::atomic_update::<Exchange, u16>,
        atomic::atomic_update::<Exchange, u32>,
        atomic::atomic_update::<Exchange, u64>,
    ]
}

/// Instructions whose handlers touch pointers, so that what they do with slots
/// depends on the machine.
#[cfg(feature = "decoder")]
static POINTERS: &[Handler] = &[
    control::ref_in_context,
    control::ref_imported,
    call::call_ref,
    call::return_call_ref,
    table::table_get::<table::Pointer>,
    table::table_set::<table::Pointer>,
];

/// The handlers of one operation: as it is, and with NaNs made canonical.
macro_rules! row {
    (unary $op:ident) => {
        [number::unary::<ops::$op, Slot, Stored> as Handler; 2]
    };
    (vector_unary $op:ident) => {
        row!(unary $op)
    };
    (binary $op:ident) => {
        [number::binary::<ops::$op, Slot, Slot, Stored> as Handler; 2]
    };
    (fused_int $op:ident) => {
        row!(binary $op)
    };
    (fused_long $op:ident) => {
        row!(binary $op)
    };
    (vector_binary $op:ident) => {
        row!(binary $op)
    };
    (compare $op:ident) => {
        [number::binary::<Test<ops::$op>, Slot, Slot, Stored> as Handler; 2]
    };
    (fused_compare $op:ident) => {
        row!(compare $op)
    };
    (try_unary $op:ident) => {
        [number::try_unary::<ops::$op> as Handler; 2]
    };
    (try_binary $op:ident) => {
        [number::try_binary::<ops::$op, Slot, Slot, Stored> as Handler; 2]
    };
    (ternary $op:ident) => {
        [number::ternary::<ops::$op> as Handler; 2]
    };
    (extract $op:ident) => {
        [vector::extract::<ops::$op, Stored> as Handler; 2]
    };
    (replace $op:ident) => {
        [vector::replace::<ops::$op> as Handler; 2]
    };
    (float_unary $op:ident) => {
        row!(unary $op Number)
    };
    (singles_unary $op:ident) => {
        row!(unary $op Singles)
    };
    (doubles_unary $op:ident) => {
        row!(unary $op Doubles)
    };
    (float_binary $op:ident) => {
        row!(binary $op Number)
    };
    (fused_double $op:ident) => {
        row!(binary $op Number)
    };
    (singles_binary $op:ident) => {
        row!(binary $op Singles)
    };
    (doubles_binary $op:ident) => {
        row!(binary $op Doubles)
    };
    (singles_ternary $op:ident) => {
        row!(ternary $op Singles)
    };
    (doubles_ternary $op:ident) => {
        row!(ternary $op Doubles)
    };
    (unary $op:ident $kind:ident) => {
        [
            number::unary::<ops::$op, Slot, Stored> as Handler,
            number::unary::<Canonical<ops::$op, $kind>, Slot, Stored>,
        ]
    };
    (binary $op:ident $kind:ident) => {
        [
            number::binary::<ops::$op, Slot, Slot, Stored> as Handler,
            number::binary::<Canonical<ops::$op, $kind>, Slot, Slot, Stored>,
        ]
    };
    (ternary $op:ident $kind:ident) => {
        [
            number::ternary::<ops::$op> as Handler,
            number::ternary::<Canonical<ops::$op, $kind>>,
        ]
    };
}

macro_rules! scalars {
    ($($group:ident { $($visit:ident $op:ident($($arg:ident: $ty:ty),*) -> $result:ty $body:block)* })*) => {
        /// The scalar operations.
        static SCALARS: &[[Handler; 2]] = &[$($(row!($group $op),)*)*];
        const SCALARS_TEXT: &str = concat!($($(stringify!($op), ";",)*)*);
    };
}

for_each_number!(scalars);

#[cfg(feature = "simd")]
macro_rules! vectors {
    ($($group:ident { $($visit:ident $op:ident($($arg:ident: $ty:ty),*) -> $result:ty $body:block)* })*) => {
        /// The operations on vectors.
        static VECTORS: &[[Handler; 2]] = &[$($(row!($group $op),)*)*];
    };
}

#[cfg(feature = "simd")]
for_each_vector!(vectors);

#[cfg(not(feature = "simd"))]
static VECTORS: &[[Handler; 2]] = &[];

#[cfg(feature = "simd")]
list! {
    /// Loads and stores of vectors.
    VECTOR_MEMORY VECTOR_MEMORY_TEXT [
        vector::shuffle,
        memory::load::<Load128, Slot, Stored, Compared>,
        memory::load::<Load8x8S, Slot, Stored, Compared>,
        memory::load::<Load8x8U, Slot, Stored, Compared>,
        memory::load::<Load16x4S, Slot, Stored, Compared>,
        memory::load::<Load16x4U, Slot, Stored, Compared>,
        memory::load::<Load32x2S, Slot, Stored, Compared>,
        memory::load::<Load32x2U, Slot, Stored, Compared>,
        memory::load::<Load8Splat, Slot, Stored, Compared>,
        memory::load::<Load16Splat, Slot, Stored, Compared>,
        memory::load::<Load32Splat, Slot, Stored, Compared>,
        memory::load::<Load64Splat, Slot, Stored, Compared>,
        memory::load::<Load32Zero, Slot, Stored, Compared>,
        memory::load::<Load64Zero, Slot, Stored, Compared>,
        memory::load_any::<Load128>,
        memory::load_any::<Load8x8S>,
        memory::load_any::<Load8x8U>,
        memory::load_any::<Load16x4S>,
        memory::load_any::<Load16x4U>,
        memory::load_any::<Load32x2S>,
        memory::load_any::<Load32x2U>,
        memory::load_any::<Load8Splat>,
        memory::load_any::<Load16Splat>,
        memory::load_any::<Load32Splat>,
        memory::load_any::<Load64Splat>,
        memory::load_any::<Load32Zero>,
        memory::load_any::<Load64Zero>,
        memory::store::<Store128, Slot, Slot, Compared>,
        memory::store_any::<Store128>,
        memory::load_lane::<u8>,
        memory::load_lane::<u16>,
        memory::load_lane::<u32>,
        memory::load_lane::<u64>,
        memory::store_lane::<u8>,
        memory::store_lane::<u16>,
        memory::store_lane::<u32>,
        memory::store_lane::<u64>,
    ]
}

#[cfg(not(feature = "simd"))]
static VECTOR_MEMORY: &[Handler] = &[];

/// The handler of the instruction of this number, if this build has it.
pub(crate) fn handler(number: u32) -> Option<Handler> {
    let row = |table: &[[Handler; 2]], number: u32| {
        Some(table.get(number as usize / 2)?[number as usize % 2])
    };
    match number {
        FIRST_VECTOR_MEMORY.. => VECTOR_MEMORY
            .get((number - FIRST_VECTOR_MEMORY) as usize)
            .copied(),
        FIRST_VECTOR.. => row(VECTORS, number - FIRST_VECTOR),
        FIRST_SCALAR.. => row(SCALARS, number - FIRST_SCALAR),
        _ => FIXED.get(number as usize).copied(),
    }
}

/// What the meaning of numbers depends on: the version and what is listed. Vectors
/// only add to it, in the order of one version.
pub(crate) const FINGERPRINT: u64 = {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    hash = add(hash, env!("CARGO_PKG_VERSION"));
    hash = add(hash, FIXED_TEXT);
    add(hash, SCALARS_TEXT)
};

/// FNV-1a.
const fn add(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The numbers of instructions by the addresses of their handlers.
#[cfg(feature = "decoder")]
pub(crate) struct Numbers {
    by_handler: alloc::collections::BTreeMap<usize, u32>,
    handler_words: usize,
}

#[cfg(feature = "decoder")]
impl Numbers {
    /// For machines where the address of a handler takes so many words. `None` when
    /// an instruction cannot be told from another in this build.
    pub(crate) fn new(handler_words: usize) -> Option<Numbers> {
        let mut by_handler = alloc::collections::BTreeMap::new();
        let mut is_told_apart = true;
        let mut note = |number: u32, handler: Handler| {
            let address = handler as usize;
            let before = *by_handler.entry(address).or_insert(number);
            let is_other = before != number;
            is_told_apart &= !is_other || POINTERS.iter().all(|other| *other as usize != address);
        };
        let all = [
            (0, FIXED.len()),
            (FIRST_SCALAR, 2 * SCALARS.len()),
            (FIRST_VECTOR, 2 * VECTORS.len()),
            (FIRST_VECTOR_MEMORY, VECTOR_MEMORY.len()),
        ];
        for (first, count) in all {
            for number in first..first + count as u32 {
                if let Some(handler) = handler(number) {
                    note(number, handler);
                }
            }
        }
        is_told_apart.then_some(Numbers {
            by_handler,
            handler_words,
        })
    }

    /// Words that the address of a handler takes on the machine that is written for.
    pub(crate) fn handler_words(&self) -> usize {
        self.handler_words
    }

    /// The number of the instruction with this handler, if it has one.
    pub(crate) fn of(&self, handler: Handler) -> Option<u32> {
        self.by_handler.get(&(handler as usize)).copied()
    }
}
