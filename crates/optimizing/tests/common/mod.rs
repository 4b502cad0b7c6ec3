//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its part")]

use tepui_abi::{Architecture, Target, Tunables};
use tepui_optimizing::{OptLevel, Optimizing, Processor, Verifier};
use tepui_testing::modules::GUARDED;

/// The features with which tests compile for an architecture, unless they say
/// otherwise: pinned, so that the machine that runs the tests does not matter.
pub(crate) fn processor(architecture: Architecture) -> Processor {
    let features: &[&str] = match architecture {
        Architecture::X86_64 => &["x86-64-v3"],
        Architecture::Riscv64 => &["has_v"],
        _ => &[],
    };
    Processor::Named(features.iter().map(|f| (*f).to_owned()).collect())
}

/// A compiler for an architecture, with the verifier on.
pub(crate) fn compiler(architecture: Architecture, tunables: Tunables) -> Optimizing {
    Optimizing::new(
        Target::of(architecture),
        &processor(architecture),
        tunables,
        OptLevel::Speed,
        Verifier::On,
    )
    .expect("the architecture has a compiler")
}

/// Nothing that adds code but what safety needs.
pub(crate) const BARE: Tunables = Tunables {
    spectre: false,
    ..GUARDED.checked()
};
