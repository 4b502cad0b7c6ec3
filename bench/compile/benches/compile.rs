//! From the bytes of a module to machine code on one thread, in Tepui's baseline tier and in Winch, side by side, and
//! the validation alone that both begin with.
//!
//! ```text
//! cd bench/compile && PROGRAMS=a.wasm:b.wasm cargo bench
//! ```
//!
//! One round is the making of a module of an engine that is there already, which validates and compiles all functions
//! and makes their code executable, and its end. `wasmparser` is the decoder's own validation of the module, which
//! makes nothing.

use std::fmt::Display;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use criterion::Criterion;

/// What goes wrong with a program.
fn at<E: Display>(file: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{file}: {error:#}")
}

fn run() -> Result<(), String> {
    let tepui = {
        let mut config = tepui::Config::new();
        config
            .strategy(tepui::Strategy::Baseline)
            .parallel_compilation(false);
        tepui::Engine::new(&config).map_err(at("tepui"))?
    };
    let winch = {
        let mut config = wasmtime::Config::new();
        // It is built without the feature that compiles on several threads.
        config.strategy(wasmtime::Strategy::Winch);
        wasmtime::Engine::new(&config).map_err(at("winch"))?
    };
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let programs = std::env::var("PROGRAMS").unwrap_or_default();
    if programs.is_empty() {
        return Err("PROGRAMS names no modules, with colons between them".to_string());
    }
    for file in programs.split(':').filter(|file| !file.is_empty()) {
        let bytes = std::fs::read(file).map_err(at(file))?;
        // What all three can do, before it is measured.
        tepui::Module::new(&tepui, &bytes).map_err(at(file))?;
        wasmtime::Module::new(&winch, &bytes).map_err(at(file))?;
        wasmparser::Validator::new()
            .validate_all(&bytes)
            .map_err(at(file))?;
        let name = Path::new(file).file_stem().unwrap_or(file.as_ref());
        let mut group = criterion.benchmark_group(name.display().to_string());
        group.bench_function("wasmparser", |bencher| {
            bencher.iter(|| wasmparser::Validator::new().validate_all(black_box(&bytes)))
        });
        group.bench_function("tepui", |bencher| {
            bencher.iter(|| tepui::Module::new(&tepui, black_box(&bytes)))
        });
        group.bench_function("winch", |bencher| {
            bencher.iter(|| wasmtime::Module::new(&winch, black_box(&bytes)))
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
