//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its part")]

use tepui_abi::Tunables;
use tepui_baseline::CpuFeatures;
use tepui_testing::modules::GUARDED;

/// Nothing that can be left out.
pub(crate) const BARE: Tunables = Tunables {
    spectre: false,
    ..GUARDED
};

/// Everything that this crate makes use of.
pub(crate) fn everything() -> CpuFeatures {
    CpuFeatures::ALL
}
