//! Which tier runs a function? One for all, or, in test engines, one each.

use crate::config::Strategy;

/// One way of running a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// The interpreter.
    Interpreter,
    /// The one-pass compiler.
    Baseline,
    /// The optimizing compiler.
    Optimizing,
}

impl Tier {
    /// The tiers that are compilers, from the lowest up.
    #[cfg(feature = "compiler")]
    pub(crate) const COMPILERS: [Tier; 2] = [Tier::Baseline, Tier::Optimizing];

    /// The tiers of this build, from the lowest up.
    pub(crate) fn available() -> impl Iterator<Item = Tier> {
        Strategy::AVAILABLE
            .iter()
            .filter_map(|strategy| strategy.tier())
    }
}

impl Strategy {
    /// The tier of every function, if there is one.
    pub(crate) const fn tier(self) -> Option<Tier> {
        match self {
            Strategy::Interpreter => Some(Tier::Interpreter),
            Strategy::Baseline => Some(Tier::Baseline),
            Strategy::Optimizing => Some(Tier::Optimizing),
            Strategy::Auto | Strategy::Mixed { .. } => None,
        }
    }
}

/// Which tier each function of a module gets under [`Strategy::Mixed`]: any of
/// this build, as often as any other.
#[cfg(feature = "compiler")]
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    tiers: Vec<Tier>,
    state: u64,
}

#[cfg(feature = "compiler")]
impl Assignment {
    /// The assignment for a module with so many defined functions.
    pub(crate) fn new(seed: u64, functions: u32) -> Assignment {
        Assignment {
            tiers: Tier::available().collect(),
            state: scatter(scatter(seed) ^ u64::from(functions)),
        }
    }

    /// The tier of the defined function `function`, whose body has `bytes` bytes.
    pub(crate) fn tier(&self, function: u32, bytes: usize) -> Tier {
        let number = scatter(scatter(self.state ^ u64::from(function)) ^ bytes as u64);
        self.tiers[(number % self.tiers.len() as u64) as usize]
    }
}

/// A number in which each bit depends on all of `value`'s: a step of SplitMix64.
#[cfg(feature = "compiler")]
fn scatter(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(all(
    test,
    feature = "baseline",
    feature = "optimizing",
    feature = "wat",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod counting;

#[cfg(all(test, feature = "compiler", feature = "interpreter", feature = "wat"))]
mod tests;
