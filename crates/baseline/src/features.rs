//! Which processor features may code use?

use std::fmt;
use std::sync::{Mutex, PoisonError};

macro_rules! features {
    ($($architecture:literal $detected:ident {
        $($(#[$doc:meta])* $field:ident $name:tt;)*
    })*) => {
        /// Features of processors beyond what every processor of an architecture
        /// has. Those of another architecture than the target's do not matter.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct CpuFeatures {
            $($($(#[$doc])* pub $field: bool,)*)*
        }

        impl CpuFeatures {
            /// What every processor has: on x86-64, SSE2 and no more; on
            /// aarch64, Armv8.0.
            pub const LEAST: CpuFeatures = CpuFeatures {
                $($($field: false,)*)*
            };

            /// Everything that compilers make use of, on any architecture.
            pub const ALL: CpuFeatures = CpuFeatures {
                $($($field: true,)*)*
            };

            fn detected() -> CpuFeatures {
                $(#[cfg(target_arch = $architecture)]
                return CpuFeatures {
                    $($field: std::arch::$detected!($name),)*
                    ..CpuFeatures::LEAST
                };)*
                #[cfg(not(any($(target_arch = $architecture),*)))]
                CpuFeatures::LEAST
            }

            /// What both have.
            fn and(self, other: CpuFeatures) -> CpuFeatures {
                CpuFeatures {
                    $($($field: self.$field && other.$field,)*)*
                }
            }

            /// Whether `self` has all of `other`; if not, the name of one that
            /// is missing.
            pub(crate) fn lacks(self, other: CpuFeatures) -> Option<&'static str> {
                $($(if other.$field && !self.$field {
                    return Some($name);
                })*)*
                None
            }
        }

        impl fmt::Display for CpuFeatures {
            /// The names, separated by commas; `least` when there are none.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut separator = "";
                $($(if self.$field {
                    write!(f, "{separator}{}", $name)?;
                    separator = ",";
                })*)*
                if separator.is_empty() {
                    f.write_str("least")?;
                }
                Ok(())
            }
        }
    };
}

features! {
    "x86_64" is_x86_feature_detected {
        /// x86-64: byte shuffles, absolute values.
        ssse3 "ssse3";
        /// x86-64: rounding, inserting, extracting, widening.
        sse41 "sse4.1";
        /// x86-64: comparison of 64-bit lanes.
        sse42 "sse4.2";
        /// x86-64: three-operand forms.
        avx "avx";
        /// x86-64: fused multiply and add.
        fma "fma";
        /// x86-64: population count.
        popcnt "popcnt";
        /// x86-64: leading zeros.
        lzcnt "lzcnt";
        /// x86-64: trailing zeros.
        bmi1 "bmi1";
        /// x86-64: shifts with any register.
        bmi2 "bmi2";
    }
    "aarch64" is_aarch64_feature_detected {
        /// aarch64: atomic accesses that read and write at once.
        lse "lse";
    }
}

/// What [`CpuFeatures::host`] reports at most.
static LIMIT: Mutex<CpuFeatures> = Mutex::new(CpuFeatures::ALL);

impl CpuFeatures {
    /// Those of the machine that runs this process.
    pub fn host() -> CpuFeatures {
        let limit = *LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
        CpuFeatures::detected().and(limit).closed()
    }

    /// Lets [`host`](CpuFeatures::host) report nothing beyond these from now on,
    /// in the whole process: for tests of the code for lesser processors.
    #[doc(hidden)]
    pub fn limit_host(limit: CpuFeatures) {
        *LIMIT.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }

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
