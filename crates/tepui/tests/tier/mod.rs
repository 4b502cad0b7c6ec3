//! In which tier does a test run? In each: the test `every_tier` of a binary
//! starts it once more for every tier but the default, and for a mixture of
//! all.
//!
//! The environment variable `TEPUI_TEST_TIER` names the tier; nothing but these
//! tests reads it. `TEPUI_TEST_TIER=mixed:7 cargo test -p tepui` tries one more
//! mixture.

#![allow(dead_code, reason = "each binary uses some of it")]

use tepui::{Config, Engine, Strategy};
use tepui_testing::process::this_binary;

const VARIABLE: &str = "TEPUI_TEST_TIER";

/// What the tests are run with besides the default.
const OTHERS: [&str; 4] = ["interpreter", "baseline", "optimizing", "mixed:1"];

/// The tier of this run: the highest, unless the variable names another.
pub(crate) fn strategy() -> Strategy {
    match std::env::var(VARIABLE) {
        Ok(name) => name.parse().unwrap_or_else(|error| panic!("{error}")),
        Err(_) => *Strategy::AVAILABLE.last().unwrap(),
    }
}

/// Whether modules have images in this tier.
pub(crate) fn has_images(strategy: Strategy) -> bool {
    !matches!(strategy, Strategy::Mixed { .. })
}

/// The default configuration, in the tier of this run.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.strategy(strategy());
    config
}

/// An engine of [`config`].
pub(crate) fn engine() -> Engine {
    Engine::new(&config()).unwrap()
}

/// Runs the tests of this binary in the other tiers, without those whose names
/// contain one of the words that `skip` answers for a tier.
pub(crate) fn run_in_others(skip: impl Fn(Strategy) -> &'static [&'static str]) {
    if std::env::var_os(VARIABLE).is_some() {
        // Whoever names a tier gets that one.
        return;
    }
    let mut failures = String::new();
    for name in OTHERS {
        let other: Strategy = name.parse().unwrap();
        if !other.is_available() || other == strategy() {
            continue;
        }
        let skip = skip(other).iter().flat_map(|name| ["--skip", name]);
        let output = this_binary()
            .args(skip)
            .env(VARIABLE, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{name}: {}", text.lines().last().unwrap_or_default());
        if !output.status.success() {
            failures += &format!(
                "\n==== in the tier {name}: {} ====\n{text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
