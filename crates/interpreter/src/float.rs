//! What does `core` lack of float arithmetic? Rounding, roots, fused
//! multiplication; and the minimum and maximum of the specification.
//!
//! Core specification, "Floating-Point Operations". A NaN operand gives a quiet
//! NaN.

/// Writes the functions for one type.
macro_rules! floats {
    ($module:ident $float:ident $sqrt:ident $fma:ident $ceil:ident $floor:ident $trunc:ident $nearest:ident) => {
        pub(crate) mod $module {
            /// Quiets a NaN, and applies `f` to a number.
            #[inline(always)]
            fn number(a: $float, f: impl FnOnce($float) -> $float) -> $float {
                if a.is_nan() { a + a } else { f(a) }
            }

            #[inline(always)]
            pub(crate) fn min(a: $float, b: $float) -> $float {
                if a < b {
                    a
                } else if b < a {
                    b
                } else if a == b {
                    $float::from_bits(a.to_bits() | b.to_bits())
                } else {
                    a + b
                }
            }

            #[inline(always)]
            pub(crate) fn max(a: $float, b: $float) -> $float {
                if a > b {
                    a
                } else if b > a {
                    b
                } else if a == b {
                    $float::from_bits(a.to_bits() & b.to_bits())
                } else {
                    a + b
                }
            }

            #[cfg(feature = "std")]
            mod functions {
                #[inline(always)]
                pub(super) fn ceil(a: $float) -> $float {
                    a.ceil()
                }
                #[inline(always)]
                pub(super) fn floor(a: $float) -> $float {
                    a.floor()
                }
                #[inline(always)]
                pub(super) fn trunc(a: $float) -> $float {
                    a.trunc()
                }
                #[inline(always)]
                pub(super) fn nearest(a: $float) -> $float {
                    a.round_ties_even()
                }
                #[inline(always)]
                pub(super) fn sqrt(a: $float) -> $float {
                    a.sqrt()
                }
                #[inline(always)]
                pub(super) fn fma(a: $float, b: $float, c: $float) -> $float {
                    a.mul_add(b, c)
                }
            }

            #[cfg(all(not(feature = "std"), feature = "libm"))]
            mod functions {
                pub(super) use libm::{
                    $ceil as ceil, $floor as floor, $fma as fma, $nearest as nearest,
                    $sqrt as sqrt, $trunc as trunc,
                };
            }

            #[inline(always)]
            pub(crate) fn ceil(a: $float) -> $float {
                number(a, functions::ceil)
            }
            #[inline(always)]
            pub(crate) fn floor(a: $float) -> $float {
                number(a, functions::floor)
            }
            #[inline(always)]
            pub(crate) fn trunc(a: $float) -> $float {
                number(a, functions::trunc)
            }
            #[inline(always)]
            pub(crate) fn nearest(a: $float) -> $float {
                number(a, functions::nearest)
            }
            #[inline(always)]
            pub(crate) fn sqrt(a: $float) -> $float {
                functions::sqrt(a)
            }
            #[inline(always)]
            pub(crate) fn fma(a: $float, b: $float, c: $float) -> $float {
                functions::fma(a, b, c)
            }

            #[inline(always)]
            pub(crate) fn pmin(a: $float, b: $float) -> $float {
                if b < a { b } else { a }
            }
            #[inline(always)]
            pub(crate) fn pmax(a: $float, b: $float) -> $float {
                if a < b { b } else { a }
            }
        }
    };
}

floats! { single f32 sqrtf fmaf ceilf floorf truncf rintf }
floats! { double f64 sqrt fma ceil floor trunc rint }
