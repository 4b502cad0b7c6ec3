//! What instructions cost, and where the cost is charged.
//!
//! Fuel belongs to the original Wasm, so every tier charges the same: one unit
//! per instruction, except for those that only give structure to others
//! ([`cost`]).
//!
//! It is charged per basic block. A tier adds up the costs of instructions and
//! adds the sum to the [counter](crate::layout::StoreLayout::fuel) at the next
//! **charge point**, before that instruction takes effect and with its own cost
//! included. Charge points are: `loop`, `if`, `else`, `end`, every instruction
//! that may branch, `return`, `unreachable`, every call, and the instructions
//! by which the host may see the counter: `memory.grow`, `table.grow` and
//! `memory.atomic.wait32` and `wait64`. A trap between two charge points loses
//! what was not charged yet. Instructions in unreachable code cost nothing.
//!
//! The counter is compared with zero at the entry of a function, before its
//! first instruction, and each time that control reaches the start of a loop's
//! body, whether from before or by a branch.

/// What the instruction costs that begins with the byte `opcode` in the binary
/// format; prefix bytes count as opcodes.
///
/// Free are `nop`, `block`, `loop`, `else`, `end`, `drop`, `try_table`, and the
/// legacy `try`, `catch`, `catch_all` and `delegate`.
#[inline]
pub const fn cost(opcode: u8) -> u64 {
    match opcode {
        0x01 | 0x02 | 0x03 | 0x05 | 0x06 | 0x07 | 0x0b | 0x18 | 0x19 | 0x1a | 0x1f => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn structure_is_free_and_the_rest_is_not() {
        for free in [0x01, 0x02, 0x03, 0x05, 0x0b, 0x1a, 0x1f] {
            assert_eq!(cost(free), 0);
        }
        // unreachable, if, br, return, call, i32.const, and the prefixes.
        for paid in [0x00, 0x04, 0x0c, 0x0f, 0x10, 0x41, 0xfc, 0xfd, 0xfe] {
            assert_eq!(cost(paid), 1);
        }
    }
}
