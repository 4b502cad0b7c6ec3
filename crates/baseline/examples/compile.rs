//! How long does it take to compile a module, against validating it? On one
//! thread, without executing anything.
//!
//! `cargo run --release -p tepui-baseline --example compile -- FILE…`

use std::time::{Duration, Instant};

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan, Target, Tunables};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_module::{DefinedFuncIndex, Features, Module, TypeRegistry};

/// The least of a few runs.
fn least<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..5 {
        let start = Instant::now();
        let result = run();
        let time = start.elapsed();
        if best.as_ref().is_none_or(|(least, _)| time < *least) {
            best = Some((time, result));
        }
    }
    best.expect("there was a run")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = Target::host();
    let compiler = Baseline::new(target, CpuFeatures::host(), Tunables::guarded(12))?;
    for file in std::env::args().skip(1) {
        let bytes = std::fs::read(&file)?;
        let mut registry = TypeRegistry::new();
        let (module, bodies) = Module::decode(&bytes, Features::IMPLEMENTED, &mut registry)?;
        let (plain, _) = least(|| {
            wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&bytes)
                .is_ok()
        });
        let (validation, summaries) = least(|| bodies.validate_here(&module, &bytes));
        let summaries = summaries?;
        let plan = Plan::new(&module, target, compiler.tunables());
        let (compilation, code) = least(|| {
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
            "{file}: {body} bytes of bodies, {code} of code; wasmparser {plain:?}, validation \
             {validation:?}, compilation {compilation:?} ({:.1} MB/s); both {:.2} times wasmparser",
            body as f64 / compilation.as_secs_f64() / 1e6,
            (validation + compilation).as_secs_f64() / plain.as_secs_f64(),
        );
    }
    Ok(())
}
