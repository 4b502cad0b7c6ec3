//! How does unreachable code nest? Nothing else is to be known of it.

use alloc::vec::Vec;

#[cfg(feature = "simd")]
use wasmparser::VisitSimdOperator;
use wasmparser::{Operator, VisitOperator};

/// What an instruction does to the nesting of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nesting {
    /// It begins a block.
    Opens,
    /// It begins the other half of an `if`.
    Else,
    /// It ends a block.
    End,
    /// Nothing.
    Same,
}

/// Visits instructions for what they do to the nesting.
pub(super) struct Skip;

macro_rules! nesting {
    (visit_block) => {
        Nesting::Opens
    };
    (visit_loop) => {
        Nesting::Opens
    };
    (visit_if) => {
        Nesting::Opens
    };
    (visit_try_table) => {
        Nesting::Opens
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

macro_rules! define_skip {
    ($(@$group:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(
            fn $visit(&mut self $($(, _: $argty)*)?) -> Nesting {
                nesting!($visit)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for Skip {
    type Output = Nesting;

    #[cfg(feature = "simd")]
    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Nesting>> {
        Some(self)
    }

    // Instructions come from the decoder, which calls the method of each.
    fn visit_operator(&mut self, _: &Operator<'a>) -> Nesting {
        Nesting::Same
    }

    wasmparser::for_each_visit_operator!(define_skip);
}

#[cfg(feature = "simd")]
impl VisitSimdOperator<'_> for Skip {
    wasmparser::for_each_visit_simd_operator!(define_skip);
}
