//! What does code that cannot be reached look like? Only its nesting counts:
//! its instructions are decoded and forgotten.

use wasmparser::{FrameKind, FrameStack, VisitOperator, VisitSimdOperator};

/// What an instruction does to the nesting of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    Same,
    /// It opens a block that is no loop.
    Block,
    Loop,
    Else,
    End,
}

/// Sees what instructions do to the nesting of blocks.
pub(super) struct Skipper;

impl FrameStack for Skipper {
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

macro_rules! visits {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, _: $argty)*)?) -> Nesting {
                nesting!($visit)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for Skipper {
    type Output = Nesting;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Nesting>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(visits);
}

impl<'a> VisitSimdOperator<'a> for Skipper {
    wasmparser::for_each_visit_simd_operator!(visits);
}
