//! What do the most common instructions look like in bytes? They are read here, and not
//! by the decoder: two thirds of the time that it takes goes into its choice among all
//! instructions, and most of a body are these.

use tepui_module::Cursor;
use wasmparser::{BlockType, MemArg, MemArgTarget, VisitOperator};

use super::{Function, Step};
use crate::masm::Assembler;

/// Chooses by the opcode, among instructions without immediates and accesses to memory.
macro_rules! choose {
    (
        $visitor:ident, $opcode:ident, $access:ident,
        others { $($others:tt)* }
        plain { $($plain:literal $visit_plain:ident)* }
        accesses { $($load:literal $max_align:literal $visit_access:ident)* }
    ) => {
        match $opcode {
            $($others)*
            $($plain => (1, $visitor.$visit_plain()),)*
            $($load => {
                let (length, memarg) = $access($max_align)?;
                (length, $visitor.$visit_access(memarg))
            })*
            _ => return None,
        }
    };
}

/// A number of one or two bytes, and how many it takes. More are read by the decoder.
#[inline(always)]
fn unsigned(low: u8, high: u8) -> Option<(usize, u32)> {
    if low < 0x80 {
        Some((1, low.into()))
    } else if high < 0x80 {
        Some((2, u32::from(low & 0x7f) | u32::from(high) << 7))
    } else {
        None
    }
}

/// The same with a sign: the highest bit of all that there are.
#[inline(always)]
fn signed(low: u8, high: u8) -> Option<(usize, i32)> {
    let (length, value) = unsigned(low, high)?;
    let unused = 32 - 7 * length as u32;
    Some((length, (value << unused) as i32 >> unused))
}

impl<A: Assembler> Function<'_, A> {
    /// Visits the next instruction if it is a common one, with what its form takes.
    #[inline(always)]
    pub(super) fn visit_common(&mut self, cursor: &mut Cursor<'_>) -> Option<Step> {
        let [opcode, first, second, third] = cursor.peek()?;
        // An access to the first memory.
        let access = |max_align| {
            if first > max_align {
                return None;
            }
            let (length, offset) = unsigned(second, third)?;
            let memarg = MemArg {
                align: first,
                max_align,
                offset: offset.into(),
                target: MemArgTarget::Memory(0),
                ordering: None,
            };
            Some((2 + length, memarg))
        };
        let (length, step) = choose!(self, opcode, access,
            others {
                0x02 if first == 0x40 => (2, self.visit_block(BlockType::Empty)),
                0x03 if first == 0x40 => (2, self.visit_loop(BlockType::Empty)),
                0x04 if first == 0x40 => (2, self.visit_if(BlockType::Empty)),
                0x0b => (1, self.visit_end()),
                0x0c if first < 0x80 => (2, self.visit_br(first.into())),
                0x0d if first < 0x80 => (2, self.visit_br_if(first.into())),
                0x10 => {
                    let (length, function) = unsigned(first, second)?;
                    (1 + length, self.visit_call(function))
                }
                0x1a => (1, self.visit_drop()),
                0x1b => (1, self.visit_select()),
                0x20 => {
                    let (length, local) = unsigned(first, second)?;
                    (1 + length, self.visit_local_get(local))
                }
                0x21 => {
                    let (length, local) = unsigned(first, second)?;
                    (1 + length, self.visit_local_set(local))
                }
                0x22 => {
                    let (length, local) = unsigned(first, second)?;
                    (1 + length, self.visit_local_tee(local))
                }
                0x23 if first < 0x80 => (2, self.visit_global_get(first.into())),
                0x24 if first < 0x80 => (2, self.visit_global_set(first.into())),
                0x41 => {
                    let (length, value) = signed(first, second)?;
                    (1 + length, self.visit_i32_const(value))
                }
                0x42 => {
                    let (length, value) = signed(first, second)?;
                    (1 + length, self.visit_i64_const(value.into()))
                }
            }
            plain {
                0x45 visit_i32_eqz
                0x46 visit_i32_eq
                0x47 visit_i32_ne
                0x48 visit_i32_lt_s
                0x49 visit_i32_lt_u
                0x4a visit_i32_gt_s
                0x4b visit_i32_gt_u
                0x4c visit_i32_le_s
                0x4d visit_i32_le_u
                0x4e visit_i32_ge_s
                0x4f visit_i32_ge_u
                0x50 visit_i64_eqz
                0x51 visit_i64_eq
                0x52 visit_i64_ne
                0x53 visit_i64_lt_s
                0x54 visit_i64_lt_u
                0x55 visit_i64_gt_s
                0x56 visit_i64_gt_u
                0x57 visit_i64_le_s
                0x58 visit_i64_le_u
                0x59 visit_i64_ge_s
                0x5a visit_i64_ge_u
                0x5b visit_f32_eq
                0x5c visit_f32_ne
                0x5d visit_f32_lt
                0x5e visit_f32_gt
                0x5f visit_f32_le
                0x60 visit_f32_ge
                0x61 visit_f64_eq
                0x62 visit_f64_ne
                0x63 visit_f64_lt
                0x64 visit_f64_gt
                0x65 visit_f64_le
                0x66 visit_f64_ge
                0x67 visit_i32_clz
                0x68 visit_i32_ctz
                0x69 visit_i32_popcnt
                0x6a visit_i32_add
                0x6b visit_i32_sub
                0x6c visit_i32_mul
                0x6d visit_i32_div_s
                0x6e visit_i32_div_u
                0x6f visit_i32_rem_s
                0x70 visit_i32_rem_u
                0x71 visit_i32_and
                0x72 visit_i32_or
                0x73 visit_i32_xor
                0x74 visit_i32_shl
                0x75 visit_i32_shr_s
                0x76 visit_i32_shr_u
                0x77 visit_i32_rotl
                0x78 visit_i32_rotr
                0x79 visit_i64_clz
                0x7a visit_i64_ctz
                0x7b visit_i64_popcnt
                0x7c visit_i64_add
                0x7d visit_i64_sub
                0x7e visit_i64_mul
                0x7f visit_i64_div_s
                0x80 visit_i64_div_u
                0x81 visit_i64_rem_s
                0x82 visit_i64_rem_u
                0x83 visit_i64_and
                0x84 visit_i64_or
                0x85 visit_i64_xor
                0x86 visit_i64_shl
                0x87 visit_i64_shr_s
                0x88 visit_i64_shr_u
                0x89 visit_i64_rotl
                0x8a visit_i64_rotr
                0x8b visit_f32_abs
                0x8c visit_f32_neg
                0x8d visit_f32_ceil
                0x8e visit_f32_floor
                0x8f visit_f32_trunc
                0x90 visit_f32_nearest
                0x91 visit_f32_sqrt
                0x92 visit_f32_add
                0x93 visit_f32_sub
                0x94 visit_f32_mul
                0x95 visit_f32_div
                0x96 visit_f32_min
                0x97 visit_f32_max
                0x98 visit_f32_copysign
                0x99 visit_f64_abs
                0x9a visit_f64_neg
                0x9b visit_f64_ceil
                0x9c visit_f64_floor
                0x9d visit_f64_trunc
                0x9e visit_f64_nearest
                0x9f visit_f64_sqrt
                0xa0 visit_f64_add
                0xa1 visit_f64_sub
                0xa2 visit_f64_mul
                0xa3 visit_f64_div
                0xa4 visit_f64_min
                0xa5 visit_f64_max
                0xa6 visit_f64_copysign
                0xa7 visit_i32_wrap_i64
                0xa8 visit_i32_trunc_f32_s
                0xa9 visit_i32_trunc_f32_u
                0xaa visit_i32_trunc_f64_s
                0xab visit_i32_trunc_f64_u
                0xac visit_i64_extend_i32_s
                0xad visit_i64_extend_i32_u
                0xae visit_i64_trunc_f32_s
                0xaf visit_i64_trunc_f32_u
                0xb0 visit_i64_trunc_f64_s
                0xb1 visit_i64_trunc_f64_u
                0xb2 visit_f32_convert_i32_s
                0xb3 visit_f32_convert_i32_u
                0xb4 visit_f32_convert_i64_s
                0xb5 visit_f32_convert_i64_u
                0xb6 visit_f32_demote_f64
                0xb7 visit_f64_convert_i32_s
                0xb8 visit_f64_convert_i32_u
                0xb9 visit_f64_convert_i64_s
                0xba visit_f64_convert_i64_u
                0xbb visit_f64_promote_f32
                0xbc visit_i32_reinterpret_f32
                0xbd visit_i64_reinterpret_f64
                0xbe visit_f32_reinterpret_i32
                0xbf visit_f64_reinterpret_i64
                0xc0 visit_i32_extend8_s
                0xc1 visit_i32_extend16_s
                0xc2 visit_i64_extend8_s
                0xc3 visit_i64_extend16_s
                0xc4 visit_i64_extend32_s
            }
            accesses {
                0x28 2 visit_i32_load
                0x29 3 visit_i64_load
                0x2a 2 visit_f32_load
                0x2b 3 visit_f64_load
                0x2c 0 visit_i32_load8_s
                0x2d 0 visit_i32_load8_u
                0x2e 1 visit_i32_load16_s
                0x2f 1 visit_i32_load16_u
                0x30 0 visit_i64_load8_s
                0x31 0 visit_i64_load8_u
                0x32 1 visit_i64_load16_s
                0x33 1 visit_i64_load16_u
                0x34 2 visit_i64_load32_s
                0x35 2 visit_i64_load32_u
                0x36 2 visit_i32_store
                0x37 3 visit_i64_store
                0x38 2 visit_f32_store
                0x39 3 visit_f64_store
                0x3a 0 visit_i32_store8
                0x3b 1 visit_i32_store16
                0x3c 0 visit_i64_store8
                0x3d 1 visit_i64_store16
                0x3e 2 visit_i64_store32
            }
        );
        cursor.skip(length);
        Some(step)
    }
}
