//! Which modules does `wasm-smith` make for us? Every valid one, in swarms.

use arbitrary::Unstructured;
use wasm_smith::{Config, InstructionKind, InstructionKinds, MemoryOffsetChoices, Module};

use crate::generate::Purpose;
use crate::numbers::Numbers;

/// Makes a module; `None` when the shape asked for cannot be.
pub fn module(numbers: &mut Numbers, purpose: Purpose) -> Option<Vec<u8>> {
    let length = numbers.pick(&[500, 2_000, 6_000, 20_000]);
    let entropy: Vec<u8> = (0..length / 8)
        .flat_map(|_| numbers.draw().to_le_bytes())
        .collect();
    let mut source = Unstructured::new(&entropy);
    let mut module = Module::new(config(numbers, purpose), &mut source).ok()?;
    if purpose.bounded {
        module
            .ensure_termination(numbers.pick(&[50, 300, 1000]))
            .ok()?;
    }
    Some(module.to_bytes())
}

/// All that is implemented, and in swarms some of it left out, so that what is
/// left meets more often.
fn config(numbers: &mut Numbers, purpose: Purpose) -> Config {
    let swarm = numbers.chance(50);
    let mut on = |percent| !swarm || numbers.chance(percent);
    let mut config = Config {
        bulk_memory_enabled: on(70),
        reference_types_enabled: on(80),
        simd_enabled: on(60),
        // NaNs that come of these it lets be seen, also when it is to make them canonical.
        relaxed_simd_enabled: on(60) && !purpose.canonical_nans,
        multi_value_enabled: on(80),
        saturating_float_to_int_enabled: on(80),
        sign_extension_ops_enabled: on(80),
        tail_call_enabled: on(70),
        memory64_enabled: on(50),
        threads_enabled: on(50),
        wide_arithmetic_enabled: on(50),
        custom_page_sizes_enabled: on(40),
        extended_const_enabled: on(80),
        compact_imports_enabled: on(50),
        shared_everything_threads_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        ..Config::default()
    };
    config.max_memories = numbers.within(1, 3);
    config.max_tables = numbers.within(1, 3);
    config.max_memory32_bytes = 1 << 20;
    config.max_memory64_bytes = 1 << 20;
    config.max_table_elements = 200;
    config.max_instructions = numbers.pick(&[60, 200, 600]);
    config.max_funcs = numbers.within(2, 12);
    config.min_funcs = 1;
    config.max_types = numbers.within(2, 20);
    config.max_imports = numbers.within(0, 8);
    config.max_globals = numbers.within(0, 12);
    config.max_nesting_depth = numbers.pick(&[3, 10, 30]);
    config.export_everything = true;
    config.allow_start_export = numbers.chance(20);
    config.disallow_traps = numbers.chance(40);
    config.canonicalize_nans = purpose.canonical_nans;
    config.memory_offset_choices = MemoryOffsetChoices(95, 4, 1);
    if swarm {
        let kinds = [
            InstructionKind::Numeric,
            InstructionKind::Vector,
            InstructionKind::Reference,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Table,
            InstructionKind::Memory,
            InstructionKind::Control,
        ];
        let allowed: Vec<InstructionKind> = kinds
            .into_iter()
            .filter(|_| numbers.chance(70))
            .chain([InstructionKind::Numeric])
            .collect();
        config.allowed_instructions = InstructionKinds::new(&allowed);
    }
    config
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    /// How many relaxed instructions modules have.
    fn relaxed(purpose: Purpose) -> usize {
        let modules = (0..200).filter_map(|seed| module(&mut Numbers::from_seed(seed), purpose));
        let of_body = |body: wasmparser::FunctionBody<'_>| {
            let operators = body.get_operators_reader().expect("a valid body");
            operators
                .into_iter()
                .filter(|operator| format!("{operator:?}").contains("Relaxed"))
                .count()
        };
        modules
            .map(|bytes| {
                let payloads = Parser::new(0).parse_all(&bytes);
                payloads
                    .filter_map(|payload| match payload.expect("a valid module") {
                        Payload::CodeSectionEntry(body) => Some(of_body(body)),
                        _ => None,
                    })
                    .sum::<usize>()
            })
            .sum()
    }

    #[test]
    fn nans_of_relaxed_instructions_are_not_seen() {
        let purpose = |canonical_nans| Purpose {
            canonical_nans,
            bounded: false,
        };
        assert_eq!(relaxed(purpose(true)), 0);
        assert_ne!(relaxed(purpose(false)), 0);
    }
}
