//! How long does it take to compile a module, against validating it? On one
//! thread, without executing anything: the least processor time of many runs.
//!
//! `cargo run --release -p tepui-baseline --example compile -- [--runs N] FILE…`

use std::time::{Duration, Instant};

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan, Target, Tunables};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_module::{DefinedFuncIndex, Features, Module, TypeRegistry};

/// The processor time that this thread has used, which a busy machine disturbs
/// less; where the system does not tell it, the time since `start`.
fn time(start: Instant) -> Duration {
    #[cfg(unix)]
    {
        let _ = start;
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    start.elapsed()
}

/// The lesser of a time and that of a run, with the run's result.
fn measure<T>(least: &mut Duration, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let before = time(start);
    let result = run();
    *least = (*least).min(time(start).saturating_sub(before));
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = Target::host();
    let compiler = Baseline::new(target, CpuFeatures::host(), Tunables::guarded(12))?;
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let mut runs = 40;
    if files.len() > 1 && files[0] == "--runs" {
        runs = files[1].parse()?;
        files.drain(..2);
    }
    for file in files {
        let bytes = std::fs::read(&file)?;
        let mut registry = TypeRegistry::new();
        let (module, bodies) = Module::decode(&bytes, Features::IMPLEMENTED, &mut registry)?;
        let plan = Plan::new(&module, target, compiler.tunables());
        let mut code = 0;
        let [mut plain, mut validation, mut compilation] = [Duration::MAX; 3];
        // In turn, so that what disturbs one disturbs all.
        for _ in 0..runs {
            measure(&mut plain, || {
                wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                    .validate_all(&bytes)
                    .map(|_| ())
            })?;
            let summaries = measure(&mut validation, || bodies.validate_here(&module, &bytes))?;
            code = measure(&mut compilation, || {
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
        }
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
