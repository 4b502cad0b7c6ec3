//! Compiles every function of a module for this machine and prints how long it
//! takes: `cargo run --release -p tepui-optimizing --example compile -- FILE [THREADS]`.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan, Target, Tunables};
use tepui_module::{DefinedFuncIndex, Features, Module, TypeRegistry};
use tepui_optimizing::{OptLevel, Optimizing, Processor, Verifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which module?")?;
    let threads: usize = arguments.next().map_or(Ok(1), |threads| threads.parse())?;
    let bytes = std::fs::read(path)?;

    let start = Instant::now();
    let (module, _) =
        Module::decode_and_validate(&bytes, Features::IMPLEMENTED, &mut TypeRegistry::new())?;
    println!("decoded and validated in {:?}", start.elapsed());

    let compiler = Optimizing::new(
        Target::host(),
        &Processor::Host,
        Tunables::guarded(12),
        OptLevel::Speed,
        Verifier::Off,
    )?;
    let plan = Plan::new(&module, compiler.target(), compiler.tunables());
    let count = module.defined_function_count();
    let (next, code) = (AtomicU32::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = compiler.compile(&FunctionInput {
                        module: &module,
                        bytes: &bytes,
                        summaries: None,
                        plan: &plan,
                        function: DefinedFuncIndex::new(index),
                        entry: Entry::Start,
                        batch: Batch::Whole,
                    });
                    match result {
                        Ok(function) => {
                            code.fetch_add(function.code.len(), Ordering::Relaxed);
                        }
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
    });
    println!(
        "{count} functions, {} bytes of code in {:?}",
        code.into_inner(),
        start.elapsed()
    );
    Ok(())
}
