//! What is one thing to try? A module, what the guest can tell of its engine,
//! and the ways to run it; all of it follows from one number.

use tepui::Strategy;

use crate::engines::{Settings, Variant};
use crate::generate::{self, Purpose};
use crate::numbers::Numbers;
use crate::{rewrite, smith, suite};

/// Where a module comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Made here, to run far and to be difficult.
    Own,
    /// Made by `wasm-smith`.
    Smith,
    /// One of the official suite's, changed.
    Suite,
}

impl Source {
    /// Every source.
    pub const ALL: [Source; 3] = [Source::Own, Source::Smith, Source::Suite];
}

/// One thing to try.
#[derive(Clone, Debug)]
pub struct Case {
    /// The number that it follows from.
    pub seed: u64,
    /// Where the module comes from.
    pub source: Source,
    /// The module.
    pub bytes: Vec<u8>,
    /// What all runs share.
    pub settings: Settings,
    /// The runs; the first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// How many stores each run has, one after the other.
    pub rounds: usize,
}

impl Case {
    /// The case of a number; `None` if no module follows from it.
    pub fn new(seed: u64) -> Option<Case> {
        Case::from_numbers(seed, Numbers::from_seed(seed), None)
    }

    /// The case of the bytes of a fuzzer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Case> {
        Case::from_numbers(bytes.len() as u64, Numbers::from_bytes(bytes), None)
    }

    /// The case of a number with a module of a given source.
    pub fn of_source(seed: u64, source: Source) -> Option<Case> {
        Case::from_numbers(seed, Numbers::from_seed(seed), Some(source))
    }

    fn from_numbers(seed: u64, mut numbers: Numbers, source: Option<Source>) -> Option<Case> {
        let numbers = &mut numbers;
        let drawn = match numbers.below(100) {
            0..=54 => Source::Own,
            55..=84 => Source::Smith,
            _ => Source::Suite,
        };
        let source = source.unwrap_or(drawn);
        // Nothing but fuel ends the loops of changed modules.
        let settings = Settings {
            fuel: numbers.chance(60) || source == Source::Suite,
            epochs: numbers.chance(15),
            deterministic: numbers.chance(60) || source == Source::Suite,
        };
        let purpose = Purpose {
            canonical_nans: !settings.deterministic,
            bounded: !settings.fuel,
        };
        let mut bytes = match source {
            Source::Own => generate::module(numbers, purpose),
            Source::Smith => rewrite::without_waits(&smith::module(numbers, purpose)?)?,
            Source::Suite => {
                let modules = suite::modules();
                let module = &modules[numbers.below(modules.len())];
                let share = numbers.pick(&[0, 5, 20, 50]);
                rewrite::mutate(numbers, module, share)?
            }
        };
        // What bounds a module, and keeps NaNs from being seen, must stay.
        if source != Source::Suite && settings.fuel && settings.deterministic && numbers.chance(15)
        {
            bytes = rewrite::mutate(numbers, &bytes, 10)?;
        }
        Some(Case {
            seed,
            source,
            bytes,
            settings,
            variants: variants(numbers),
            rounds: if numbers.chance(15) { 2 } else { 1 },
        })
    }
}

/// The reference first, then each tier at least once, functions that change their
/// tier, and tiers mixed.
fn variants(numbers: &mut Numbers) -> Vec<Variant> {
    let mut variants = vec![Variant::REFERENCE];
    let mixed = Strategy::Mixed {
        seed: numbers.below(6) as u64,
    };
    let available = Strategy::AVAILABLE;
    let mut add = |variant| {
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    };
    for strategy in available {
        add(Variant::of(numbers, *strategy));
    }
    let both = [Strategy::Baseline, Strategy::Optimizing];
    if both.iter().all(|strategy| available.contains(strategy)) {
        add(Variant::changing(numbers));
    }
    add(Variant::of(numbers, mixed));
    variants
}
