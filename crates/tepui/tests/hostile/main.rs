//! Hostile guests, hostile bytes and hostile embedders: what has broken
//! runtimes, tried on this one.
//!
//! Each file is a topic. The doc comment of a test names the situation that it
//! stands for, by its number in the project's list of situations that break
//! runtimes. A test of this binary may run beside any other; tests that count
//! the memory of the process or make system calls fail are binaries of their
//! own.

use tepui::Strategy;

mod accesses;
mod big;
mod images;
mod lifecycle;
mod limits;
mod memory;
mod mixing;
mod mutants;
mod numeric;
mod shared;
mod stack;
mod straddling;
mod support;
mod tables;
#[path = "../tier/mod.rs"]
mod tier;
mod traps;

/// Mutants are tried in all tiers anyway, and compared.
#[test]
fn every_tier() {
    tier::run_in_others(|strategy| match strategy {
        Strategy::Baseline | Strategy::Optimizing => &["mutants::"],
        // What is big is so for a tier.
        Strategy::Mixed { .. } => &["mutants::", "images::", "big::"],
        // What images are of, and so what they are refused for, differs.
        Strategy::Interpreter => &["mutants::", "images::authenticated"],
        _ => &["mutants::", "images::"],
    });
}
