//! Does the baseline compiler's code do the same on lesser processors? The
//! official suite, as if the processor lacked features: all files for the least
//! processor, and those about numbers for what lies between it and the host.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use std::sync::Mutex;

use tepui::{Config, Engine, Features, Proposal, Strategy};
use tepui_baseline::CpuFeatures;
use tepui_wast::WastRunner;

mod scope;
use scope::{EXCLUDED, OLDER, files, path};

fn engine(off: &[Proposal]) -> Engine {
    let mut features = Features::IMPLEMENTED;
    for &proposal in off {
        features.disable(proposal);
    }
    let mut config = Config::new();
    config.strategy(Strategy::Baseline).features(features);
    Engine::new(&config).expect("the build has the baseline compiler")
}

/// Runs the files that are chosen, with code for processors with no more than
/// these features. Gives how many assertions passed, and what failed.
fn run(limit: CpuFeatures, chosen: fn(&str) -> bool) -> (usize, Vec<String>) {
    CpuFeatures::limit_host(limit);
    let current = WastRunner::new(&engine(&[]));
    let older: Vec<_> = OLDER
        .iter()
        .map(|(name, off)| (*name, WastRunner::new(&engine(off))))
        .collect();
    let files = Mutex::new(files().into_iter());
    let results = Mutex::new((0, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let next = files.lock().expect("no worker panics holding it").next();
                    let Some(file) = next else { break };
                    let name = path(&file);
                    let excluded = EXCLUDED.iter().find(|entry| entry.0 == name);
                    if !chosen(&name) || excluded.is_some_and(|(_, lines, _)| lines.is_empty()) {
                        continue;
                    }
                    let runner = older.iter().find(|(older, _)| *older == name);
                    let runner = runner.map_or(&current, |(_, runner)| runner);
                    let report = runner.run_source(&name, file.raw());
                    let mut results = results.lock().expect("no worker panics holding it");
                    results.0 += report.assertions().passed;
                    for failure in &report.failures {
                        if !excluded.is_some_and(|(_, lines, _)| lines.contains(&failure.line)) {
                            results.1.push(format!(
                                "{limit}: {name}:{}: {}",
                                failure.line, failure.message
                            ));
                        }
                    }
                }
            });
        }
    });
    results.into_inner().expect("all workers have ended")
}

/// Files about numbers and vectors: what processors differ in.
fn is_about_numbers(name: &str) -> bool {
    [
        "simd",
        "relaxed",
        "i8x16",
        "i16x8",
        "i32x4",
        "f32",
        "f64",
        "i32",
        "i64",
        "conversions",
        "float",
        "int_exprs",
        "wide",
    ]
    .iter()
    .any(|part| name.contains(part))
}

#[test]
fn lesser_processors_do_the_same() {
    let (all, mut failures) = run(CpuFeatures::LEAST, |_| true);
    println!("{}: {all} assertions pass", CpuFeatures::LEAST);
    assert!(all > 60_000, "only {all} assertions passed: {failures:#?}");

    // On x86-64 each step of the vector extensions, and the others apart. On
    // aarch64, where these do not matter, the loop has nothing new to try.
    let ssse3 = CpuFeatures {
        ssse3: true,
        ..CpuFeatures::LEAST
    };
    let sse41 = CpuFeatures {
        sse41: true,
        popcnt: true,
        ..ssse3
    };
    let sse42 = CpuFeatures {
        sse42: true,
        lzcnt: true,
        ..sse41
    };
    let avx = CpuFeatures {
        avx: true,
        bmi1: true,
        ..sse42
    };
    let scalar = CpuFeatures {
        popcnt: false,
        lzcnt: false,
        bmi1: false,
        bmi2: false,
        ..CpuFeatures::ALL
    };
    let steps: &[CpuFeatures] = if cfg!(target_arch = "x86_64") {
        &[ssse3, sse41, sse42, avx, scalar]
    } else {
        &[]
    };
    for &limit in steps {
        let (passed, more) = run(limit, is_about_numbers);
        println!("{limit}: {passed} assertions pass");
        assert!(
            passed > 30_000,
            "{limit}: only {passed} assertions passed: {more:#?}"
        );
        failures.extend(more);
    }
    CpuFeatures::limit_host(CpuFeatures::ALL);
    assert!(failures.is_empty(), "{failures:#?}");
}
