//! Does every function of the official test suite compile? For every
//! architecture, with the code generator's verifier on, under several tunables,
//! and entered at each of its loops.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use common::{BARE, compiler};
use tepui_abi::{Architecture, Batch, Compiler, Entry, Target, Tunables};
use tepui_optimizing::{OptLevel, Optimizing, Processor, Verifier};
use tepui_testing::modules::{self, GUARDED, Loaded, METERED};

static MODULES: LazyLock<Vec<(String, Loaded)>> = LazyLock::new(modules::suite);

#[derive(Clone, Copy, PartialEq)]
enum Loops {
    Enter,
    Ignore,
}

fn compile_all(compiler: &Optimizing, batch: Batch<'_>, loops: Loops) {
    let modules = &*MODULES;
    let next = AtomicUsize::new(0);
    let compiled = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((place, loaded)) = modules.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let plan = loaded.plan(compiler);
                    for function in loaded.functions() {
                        let count = match loops {
                            Loops::Enter => loaded.summaries.function(function).loops,
                            Loops::Ignore => 0,
                        };
                        let entries = std::iter::once(Entry::Start)
                            .chain((0..count).map(|index| Entry::Loop { index }));
                        for entry in entries {
                            compiled.fetch_add(1, Ordering::Relaxed);
                            match compiler.compile(&loaded.input(&plan, function, entry, batch)) {
                                Ok(code) => assert!(!code.code.is_empty()),
                                Err(error)
                                    if error.message.contains("cannot be reached")
                                        && entry != Entry::Start => {}
                                Err(error) => wrong
                                    .lock()
                                    .expect("no thread panicked")
                                    .push(format!("{place} ({entry:?}): {error}")),
                            }
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no thread panicked");
    let compiled = compiled.into_inner();
    println!(
        "{}: {compiled} compilations",
        compiler.target().architecture
    );
    assert!(compiled > 5_000, "only {compiled} compilations");
    assert!(
        wrong.is_empty(),
        "{} of {compiled} failed:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

fn guarded(architecture: Architecture) {
    compile_all(&compiler(architecture, GUARDED), Batch::Whole, Loops::Enter);
}

fn metered(architecture: Architecture) {
    compile_all(
        &compiler(architecture, METERED),
        Batch::Alone,
        Loops::Ignore,
    );
}

#[test]
fn x86_64_guarded() {
    guarded(Architecture::X86_64);
}

#[test]
fn x86_64_metered() {
    metered(Architecture::X86_64);
}

/// Processors without any vector extension but SSE2.
#[test]
fn x86_64_baseline() {
    for tunables in [
        BARE,
        Tunables {
            deterministic: true,
            ..GUARDED
        },
    ] {
        let compiler = Optimizing::new(
            Target::of(Architecture::X86_64),
            &Processor::BASELINE,
            tunables,
            OptLevel::Speed,
            Verifier::On,
        )
        .expect("the baseline is known");
        compile_all(&compiler, Batch::Whole, Loops::Ignore);
    }
}

#[test]
fn aarch64_guarded() {
    guarded(Architecture::Aarch64);
}

#[test]
fn aarch64_metered() {
    metered(Architecture::Aarch64);
}

#[test]
fn riscv64_guarded() {
    guarded(Architecture::Riscv64);
}

#[test]
fn riscv64_metered() {
    metered(Architecture::Riscv64);
}

#[test]
fn s390x_guarded() {
    guarded(Architecture::S390x);
}

#[test]
fn s390x_metered() {
    metered(Architecture::S390x);
}
