//! Does every function of the official test suite compile? With every processor
//! feature and with none, under several tunables, with and without summaries, for
//! every architecture.
//! The code is run by the tests of `tepui-wast`.

mod common;

use common::{BARE, everything};
use tepui_abi::{
    Architecture, Batch, CompiledFunction, Compiler, Entry, FunctionInput, RelocationKind, Target,
    Tunables,
};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_testing::modules::{self, GUARDED, METERED};

/// What holds of all code: tables ascend and stay inside.
fn check(place: &str, function: &CompiledFunction) {
    let len = function.code.len() as u32;
    assert!(len > 0, "{place}: no code");
    assert!(function.alignment.is_power_of_two(), "{place}");
    let metadata = &function.metadata;
    assert!(
        metadata.positions.is_sorted_by(|a, b| a.offset < b.offset),
        "{place}: positions {:?}",
        metadata.positions
    );
    assert!(
        metadata.traps.is_sorted_by(|a, b| a.offset < b.offset),
        "{place}: traps {:?}",
        metadata.traps
    );
    assert!(
        metadata.traps.iter().all(|site| site.offset < len),
        "{place}"
    );
    assert_eq!(metadata.frame_bytes % 16, 0, "{place}");
    for relocation in &function.relocations {
        assert!(relocation.offset + 4 <= len, "{place}");
        let field = relocation.offset as usize;
        let opcode = match relocation.kind {
            RelocationKind::Aarch64Call26 => function.code[field + 3],
            _ => function.code[field - 1],
        };
        assert!(
            matches!(opcode, 0xe8 | 0xe9 | 0x14 | 0x94),
            "{place}: {opcode:#x}"
        );
    }
}

#[test]
fn the_suite_compiles() {
    let modules = modules::suite();
    let settings: [(CpuFeatures, Tunables, Batch<'static>); 4] = [
        (everything(), GUARDED, Batch::Whole),
        (CpuFeatures::LEAST, BARE, Batch::Alone),
        (everything(), METERED, Batch::Alone),
        (CpuFeatures::LEAST, METERED, Batch::Whole),
    ];
    let architectures = [Architecture::X86_64, Architecture::Aarch64];
    for (architecture, (cpu, tunables, batch)) in architectures
        .into_iter()
        .flat_map(|architecture| settings.map(|setting| (architecture, setting)))
    {
        let compiler = Baseline::new(Target::of(architecture), cpu, tunables)
            .expect("there is a compiler for the architecture");
        let mut compiled = 0;
        for (place, loaded) in &modules {
            let plan = loaded.plan(&compiler);
            for function in loaded.functions() {
                let input = loaded.input(&plan, function, Entry::Start, batch);
                let code = compiler
                    .compile(&input)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                check(place, &code);
                let again = compiler
                    .compile(&input)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(code.code, again.code, "{place}: not the same twice");
                let without = FunctionInput {
                    summaries: None,
                    ..input
                };
                let code = compiler
                    .compile(&without)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                check(place, &code);
                compiled += 1;
            }
        }
        assert!(compiled > 7_000, "only {compiled} functions");
    }
}
