//! How long does it take to compile a module, against validating it? On one
//! thread, without executing anything.
//!
//! `cargo run --release -p tepui-baseline --example compile -- [--runs N] FILE…`

use std::time::{Duration, Instant};

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan, Target, Tunables};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_module::{DefinedFuncIndex, Features, Module, TypeRegistry};

/// The processor time of this thread where the system tells it, which a busy
/// machine disturbs less; otherwise the time since `start`.
fn time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The least time of a few runs, each repeated until the clock can tell.
fn least<T>(runs: u32, mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut best: Option<(Duration, T)> = None;
    let start = Instant::now();
    for _ in 0..runs {
        let before = time(start);
        let mut repeated = 1;
        let mut result = run();
        while runs > 1 && time(start).saturating_sub(before) < Duration::from_millis(100) {
            result = run();
            repeated += 1;
        }
        let time = time(start).saturating_sub(before) / repeated;
        if best.as_ref().is_none_or(|(least, _)| time < *least) {
            best = Some((time, result));
        }
    }
    best.expect("there was a run")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = Target::host();
    let compiler = Baseline::new(target, CpuFeatures::host(), Tunables::guarded(12))?;
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let mut runs = 9;
    if files.len() > 1 && files[0] == "--runs" {
        runs = files[1].parse()?;
        files.drain(..2);
    }
    for file in files {
        let bytes = std::fs::read(&file)?;
        let mut registry = TypeRegistry::new();
        let (module, bodies) = Module::decode(&bytes, Features::IMPLEMENTED, &mut registry)?;
        let (plain, _) = least(runs, || {
            wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&bytes)
                .is_ok()
        });
        let (validation, summaries) = least(runs, || bodies.validate_here(&module, &bytes));
        let summaries = summaries?;
        let plan = Plan::new(&module, target, compiler.tunables());
        let (compilation, code) = least(runs, || {
            let mut code = 0;
            for index in 0..module.defined_function_count() {
                let result = compiler.compile(&FunctionInput {
                    module: &module,
                    bytes: &bytes,
                    summaries: Some(&summaries),
                    plan: &plan,
                    function: DefinedFuncIndex::new(index),
                    entry: Entry::Start,
                    batch: Batch::Whole,
                });
                match result {
                    Ok(function) => code += function.code.len(),
                    Err(error) => eprintln!("{error}"),
                }
            }
            code
        });
        let body = module.code_range().len();
        println!(
            "{file}: {body} bytes of bodies, {code} of code; wasmparser {plain:.1?}, validation \
             {validation:.1?}, compilation {compilation:.1?} ({:.1} MB/s); both {:.2} times wasmparser",
            body as f64 / compilation.as_secs_f64() / 1e6,
            (validation + compilation).as_secs_f64() / plain.as_secs_f64(),
        );
    }
    Ok(())
}
