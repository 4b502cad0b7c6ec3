//! Do a few hundred programs do the same in every tier? The short form of the
//! hunt, with the same programs on each run.

use tepui_fuzz::numbers::Numbers;
use tepui_fuzz::{Case, Engines, Mistake, Source, check, check_with};

/// Runs the cases of some numbers, and says how many functions ran to their end.
fn cases(source: Source, first: u64, count: u64) -> usize {
    let mut engines = Engines::default();
    let mut returned = 0;
    for seed in first..first + count {
        let Some(case) = Case::of_source(seed, source) else {
            continue;
        };
        let outcome = check(&mut engines, &case);
        if let Some(difference) = outcome.difference {
            panic!(
                "case {seed}, `hunt --case {seed} --source {}`: {difference}",
                format!("{source:?}").to_lowercase()
            );
        }
        returned += outcome.returned;
    }
    returned
}

#[test]
fn own_modules_do_the_same_in_every_tier() {
    let returned = cases(Source::Own, 1, 60);
    assert!(returned > 1000, "{returned} functions ran to their end");
}

#[test]
fn smiths_modules_do_the_same_in_every_tier() {
    let returned = cases(Source::Smith, 1, 60);
    assert!(returned > 100, "{returned} functions ran to their end");
}

#[test]
fn changed_modules_of_the_suite_do_the_same_in_every_tier() {
    let returned = cases(Source::Suite, 1, 60);
    assert!(returned > 100, "{returned} functions ran to their end");
}

/// The comparison notices a wrong operator of one tier.
#[test]
fn mistakes_are_noticed() {
    let mut engines = Engines::default();
    let mut numbers = Numbers::from_seed(1);
    let (mut tried, mut noticed) = (0, 0);
    for seed in 1..41 {
        let case = Case::of_source(seed, Source::Own).expect("a module can always be made");
        let Some(mistake) = Mistake::new(&mut numbers, &case.bytes) else {
            continue;
        };
        let wrong = mistake.made(&case.bytes).expect("the module can be read");
        let last = case.variants.len() - 1;
        let outcome = check_with(&mut engines, &case, |variant| {
            if variant == last { &wrong } else { &case.bytes }
        });
        tried += 1;
        noticed += usize::from(outcome.difference.is_some());
    }
    // Most of the others are in code that is not run, as in any program.
    assert!(noticed * 5 > tried, "{noticed} of {tried} mistakes noticed");
}
