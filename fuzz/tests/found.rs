//! Do programs that once did not do the same in every tier do so now?
//!
//! `found` has one module for each difference that was found, small, with what
//! it was in its first lines. Each is run with everything that guests can tell of
//! an engine, in all tiers and in every way that was ever of importance.

use std::path::Path;

use tepui::{Config, Engine, Features, Module, OptLevel, Strategy};
use tepui_fuzz::numbers::Numbers;
use tepui_fuzz::{Case, Counting, Engines, Settings, Source, Variant, check};

/// Every tier with and without guards and hardening, and tiers mixed.
fn variants() -> Vec<Variant> {
    let mixed = (0..3).map(|seed| Strategy::Mixed { seed });
    let mut variants = vec![Variant::REFERENCE];
    for strategy in Strategy::AVAILABLE.iter().copied().chain(mixed) {
        for opt_level in [OptLevel::None, OptLevel::Speed] {
            for guarded in [true, false] {
                for spectre in [true, false] {
                    let variant = Variant {
                        strategy,
                        guarded,
                        spectre,
                        opt_level: if strategy == Strategy::Optimizing {
                            opt_level
                        } else {
                            OptLevel::Speed
                        },
                        ..Variant::of(&mut Numbers::from_seed(0), strategy)
                    };
                    if !variants.contains(&variant) {
                        variants.push(variant);
                    }
                }
            }
        }
    }
    // And functions that change their tier while they run.
    for counting in Counting::ALL {
        for guarded in [true, false] {
            variants.push(Variant {
                guarded,
                counting: Some(counting),
                ..Variant::of(&mut Numbers::from_seed(0), Strategy::Baseline)
            });
        }
    }
    variants
}

#[test]
fn what_was_found_is_the_same_in_every_tier() {
    let mut config = Config::new();
    config.features(Features::IMPLEMENTED);
    let engine = Engine::new(&config).expect("the default engine");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let variants = variants();
    let mut differences = Vec::new();
    for file in &files {
        let module =
            Module::from_file(&engine, file).unwrap_or_else(|error| panic!("{file:?}: {error:?}"));
        let mut engines = Engines::default();
        for number in 0..8_u64 {
            let settings = Settings {
                fuel: number & 1 != 0 || !is_bounded(file),
                epochs: number & 2 != 0,
                deterministic: number & 4 != 0 || !keeps_nans(file),
            };
            let case = Case {
                seed: number,
                source: Source::Own,
                bytes: module.binary().to_vec(),
                settings,
                variants: variants.clone(),
                rounds: 2,
            };
            let outcome = check(&mut engines, &case);
            assert!(!outcome.never_ran, "{file:?}");
            if let Some(difference) = outcome.difference {
                differences.push(format!("{file:?}, {settings:?}: {difference}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Whether a module ends without being stopped.
fn is_bounded(file: &Path) -> bool {
    !file.to_string_lossy().contains("out_of_fuel")
}

/// Whether a module shows no NaNs whose bits are left open.
fn keeps_nans(file: &Path) -> bool {
    !file.to_string_lossy().contains("square_root")
}
