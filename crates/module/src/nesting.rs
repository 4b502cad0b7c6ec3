//! How does code nest that cannot be reached? Nothing else is to be known of it: a tier
//! has each instruction of it visited by [`NestingVisitor`], which forgets all but that.

use alloc::vec::Vec;
#[cfg(feature = "simd")]
use wasmparser::VisitSimdOperator;
use wasmparser::{FrameKind, FrameStack, Operator, VisitOperator};

/// What an instruction does to the nesting of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// Nothing.
    Same,
    /// It begins a block that is no loop: `block`, `if` or `try_table`.
    Block,
    /// It begins a loop.
    Loop,
    /// It begins the other half of an `if`.
    Else,
    /// It ends a block.
    End,
}

/// Visits the instructions of a valid body for what they do to the nesting.
#[derive(Debug)]
pub struct NestingVisitor;

impl FrameStack for NestingVisitor {
    fn current_frame(&self) -> Option<FrameKind> {
        // Asked when there is an `else`; the body is valid.
        Some(FrameKind::If)
    }
}

macro_rules! nesting {
    (visit_block) => {
        Nesting::Block
    };
    (visit_if) => {
        Nesting::Block
    };
    (visit_try_table) => {
        Nesting::Block
    };
    (visit_loop) => {
        Nesting::Loop
    };
    (visit_else) => {
        Nesting::Else
    };
    (visit_end) => {
        Nesting::End
    };
    ($other:ident) => {
        Nesting::Same
    };
}

macro_rules! define_visits {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, _: $argty)*)?) -> Nesting {
                nesting!($visit)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for NestingVisitor {
    type Output = Nesting;

    #[cfg(feature = "simd")]
    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Nesting>> {
        Some(self)
    }

    // Instructions come from the decoder, which calls the method of each. Without this
    // there would be a table of all of them once more.
    fn visit_operator(&mut self, operator: &Operator<'a>) -> Nesting {
        match operator {
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                Nesting::Block
            }
            Operator::Loop { .. } => Nesting::Loop,
            Operator::Else => Nesting::Else,
            Operator::End => Nesting::End,
            _ => Nesting::Same,
        }
    }

    wasmparser::for_each_visit_operator!(define_visits);
}

#[cfg(feature = "simd")]
impl VisitSimdOperator<'_> for NestingVisitor {
    wasmparser::for_each_visit_simd_operator!(define_visits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::BinaryReader;

    #[test]
    fn nesting_is_seen_and_all_else_forgotten() {
        use Nesting::{Block, Else, End, Loop, Same};
        // block loop if else end end try_table end drop i32.const br_table v128.const end
        let mut body = Vec::from([0x02, 0x40, 0x03, 0x40, 0x04, 0x40, 0x05, 0x0b, 0x0b]);
        body.extend([
            0x1f, 0x40, 0x00, 0x0b, 0x1a, 0x41, 0x0b, 0x0e, 0x01, 0x02, 0x03,
        ]);
        let mut expected = Vec::from([
            Block, Loop, Block, Else, End, End, Block, End, Same, Same, Same,
        ]);
        if cfg!(feature = "simd") {
            body.extend([0xfd, 0x0c]);
            body.extend([0x0b; 16]);
            expected.push(Same);
        }
        body.push(0x0b);
        expected.push(End);

        let mut reader = BinaryReader::new(&body, 0);
        let mut seen = Vec::new();
        while !reader.eof() {
            seen.push(reader.visit_operator(&mut NestingVisitor).unwrap());
        }
        assert_eq!(seen, expected);
        // The same of instructions that were read first.
        let mut reader = wasmparser::OperatorsReader::new(BinaryReader::new(&body[9..], 0));
        for expected in &expected[6..] {
            let operator = reader.read().unwrap();
            assert_eq!(NestingVisitor.visit_operator(&operator), *expected);
        }
    }
}
