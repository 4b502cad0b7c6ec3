//! Which processor features may code use?

use std::fmt;

macro_rules! features {
    ($($(#[$doc:meta])* $field:ident $name:tt;)*) => {
        /// Features of an x86-64 processor beyond SSE2.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct CpuFeatures {
            $($(#[$doc])* pub $field: bool,)*
        }

        impl CpuFeatures {
            /// Those of the machine that runs this process.
            pub fn host() -> CpuFeatures {
                #[cfg(target_arch = "x86_64")]
                return CpuFeatures {
                    $($field: std::arch::is_x86_feature_detected!($name),)*
                }
                .closed();
                #[cfg(not(target_arch = "x86_64"))]
                CpuFeatures::default()
            }

            /// Whether `self` has all of `other`; if not, the name of one that
            /// is missing.
            pub(crate) fn lacks(self, other: CpuFeatures) -> Option<&'static str> {
                $(if other.$field && !self.$field {
                    return Some($name);
                })*
                None
            }
        }

        impl fmt::Display for CpuFeatures {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sse2")?;
                $(if self.$field {
                    write!(f, ",{}", $name)?;
                })*
                Ok(())
            }
        }
    };
}

features! {
    /// Byte shuffles, absolute values.
    ssse3 "ssse3";
    /// Rounding, inserting, extracting, widening.
    sse41 "sse4.1";
    /// Comparison of 64-bit lanes.
    sse42 "sse4.2";
    /// Three-operand forms.
    avx "avx";
    /// Fused multiply and add.
    fma "fma";
    /// Population count.
    popcnt "popcnt";
    /// Leading zeros.
    lzcnt "lzcnt";
    /// Trailing zeros.
    bmi1 "bmi1";
    /// Shifts with any register.
    bmi2 "bmi2";
}

impl CpuFeatures {
    /// What every x86-64 processor has.
    pub const SSE2: CpuFeatures = CpuFeatures {
        ssse3: false,
        sse41: false,
        sse42: false,
        avx: false,
        fma: false,
        popcnt: false,
        lzcnt: false,
        bmi1: false,
        bmi2: false,
    };

    /// Without those that need another that is missing: each vector extension
    /// is used only together with those before it.
    pub fn closed(self) -> CpuFeatures {
        let sse41 = self.sse41 && self.ssse3;
        let sse42 = self.sse42 && sse41;
        let avx = self.avx && sse42;
        CpuFeatures {
            sse41,
            sse42,
            avx,
            fma: self.fma && avx,
            ..self
        }
    }
}
