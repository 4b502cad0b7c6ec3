//! Do broken and generated modules ever do more than fail?

use std::panic::{AssertUnwindSafe, catch_unwind};

use tepui::{
    Config, Engine, Error, Extern, Features, Global, Instance, Memory, Module, Ref, Store,
    StoreLimits, StoreLimitsBuilder, Strategy, Table, Trap, Val,
};
use wasm_smith::{Config as Shape, Module as Generated};

use crate::support::{Numbers, panic_message};

/// A module with something in every section.
const SEED: &str = "(module $seed
    (type $t (func (param i32 i64) (result i32)))
    (rec (type $a (func (param (ref null $b)))) (type $b (func (result (ref null $a)))))
    (import \"h\" \"f\" (func $f (param i32)))
    (import \"h\" \"g\" (global $imported i32))
    (import \"h\" \"m\" (memory 1 3))
    (import \"h\" \"t\" (table 2 funcref))
    (memory $wide i64 1 2) (memory $shared 1 1 shared) (memory $bytes 100 (pagesize 1))
    (table $u i64 3 externref)
    (table $v 3 funcref)
    (global $x (mut i64) (i64.const 5)) (global $y f64 (f64.const 1.5))
    (global $z (mut funcref) (ref.func $one)) (global $w (mut v128) (v128.const i32x4 1 2 3 4))
    (export \"run\" (func $run)) (export \"wide\" (memory $wide)) (export \"x\" (global $x))
    (elem (table $v) (i32.const 0) func $one $two)
    (elem $passive funcref (ref.func $one) (ref.null func))
    (elem declare func $run)
    (data (memory $wide) (i64.const 10) \"some data\")
    (data $later \"passive data\")
    (start $start)
    (func $start (global.set $x (i64.const 6)))
    (func $one (type $t) (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))
    (func $two (type $t) (i32.div_s (local.get 0) (i32.wrap_i64 (local.get 1))))
    (func $run (param i32) (result i32)
      (local $i i32) (local $l i64) (local f32 f64 v128 funcref)
      (block $out
        (loop $again
          (br_if $out (i32.ge_u (local.get $i) (local.get 0)))
          (local.set $l (i64.add (local.get $l)
            (i64.extend_i32_s (call_indirect $v (type $t)
              (local.get $i) (i64.const 3) (i32.and (local.get $i) (i32.const 1))))))
          (i32.store8 $bytes (i32.const 7) (local.get $i))
          (i64.store $wide offset=16 (i64.const 8) (local.get $l))
          (call $f (i32.load8_u $bytes (i32.const 7)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $again)))
      (memory.init $later (i32.const 0) (i32.const 0) (i32.const 5))
      (table.init $v $passive (i32.const 1) (i32.const 0) (i32.const 2))
      (memory.fill $bytes (i32.const 0) (i32.const 1) (i32.const 9))
      (drop (i32.atomic.rmw.add $shared (i32.const 0) (i32.const 1)))
      (drop (f64.div (f64.const 1) (f64.convert_i32_s (local.get $i))))
      (drop (i8x16.extract_lane_s 3 (i8x16.add (global.get $w) (v128.const i64x2 1 2))))
      (block $d (block $0 (br_table $0 $d $0 (local.get $i))) (return (i32.const 1)))
      (select (i32.wrap_i64 (local.get $l)) (i32.const 3) (ref.is_null (global.get $z)))))";

/// Engines that differ in how they run functions, not in what guests may see: each
/// tier, with memories that are guarded and that are checked, and mixtures.
fn engines() -> Vec<Engine> {
    let mixed = [1, 2].map(|seed| Strategy::Mixed { seed });
    let strategies = Strategy::AVAILABLE.iter().rev().copied().chain(mixed);
    let mut engines = Vec::new();
    for strategy in strategies {
        let mut config = Config::new();
        config
            .features(Features::IMPLEMENTED)
            .strategy(strategy)
            .consume_fuel(true)
            .deterministic(true)
            .parallel_compilation(false)
            .max_wasm_stack(128 << 10);
        engines.push(Engine::new(&config).unwrap());
        config
            .memory_reservation(0)
            .opt_level(tepui::OptLevel::None)
            .spectre_hardening(false);
        engines.push(Engine::new(&config).unwrap());
    }
    engines
}

fn limits() -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(64 << 20)
        .table_elements(100_000)
        .instances(2)
        .build()
}

/// An import of the type asked for.
fn import(store: &mut Store<StoreLimits>, ty: &tepui::ExternType) -> tepui::Result<Extern> {
    use tepui::ExternType;
    let default = |ty: &tepui::ValType| match ty {
        tepui::ValType::Ref(ty) if !ty.is_nullable() => Err(Error::msg("no default for this type")),
        ty => Ok(Val::default_for(ty)),
    };
    Ok(match ty {
        ExternType::Func(ty) => {
            let results: Vec<_> = ty
                .results()
                .map(|ty| default(&ty))
                .collect::<Result<_, _>>()?;
            tepui::Func::new(store, ty.clone(), move |_, _, values| {
                values.copy_from_slice(&results);
                Ok(())
            })
            .into()
        }
        ExternType::Global(ty) => {
            let value = default(ty.content())?;
            Global::new(store, ty.clone(), value)?.into()
        }
        ExternType::Table(ty) => {
            let null = Ref::null(ty.element().heap_type());
            Table::new(store, ty.clone(), null)?.into()
        }
        ExternType::Memory(ty) if ty.is_shared() => {
            let engine = store.engine().clone();
            if ty.minimum() > 100 {
                return Err(Error::msg("a large shared memory"));
            }
            tepui::SharedMemory::new(&engine, ty.clone())?.into()
        }
        ExternType::Memory(ty) => Memory::new(store, ty.clone())?.into(),
        _ => return Err(Error::msg("an import of another kind")),
    })
}

/// What was seen of a run, in a form that can be compared. References are seen
/// as null or not.
fn show(value: &Val) -> String {
    match value {
        Val::FuncRef(func) => format!("func {}", func.is_some()),
        Val::ExternRef(reference) => format!("extern {}", reference.is_some()),
        value => format!("{value:?}"),
    }
}

/// Runs a module under fuel and says what happened; only panics are failures.
fn execute(engine: &Engine, bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    let module = match Module::new(engine, bytes) {
        Ok(module) => module,
        Err(error) => {
            let text = format!("{error:#}");
            assert!(!text.is_empty());
            return vec![format!("refused: {text}")];
        }
    };
    let mut store = Store::new(engine, limits());
    store.limiter(|limits| limits);
    store.set_fuel(20_000).unwrap();
    let imports: tepui::Result<Vec<_>> = module
        .imports()
        .map(|given| import(&mut store, &given.ty()))
        .collect();
    let outcome = |error: &Error| match error.downcast_ref::<Trap>() {
        // Where the stack ends depends on the code.
        Some(Trap::StackOverflow) => "overflow".to_owned(),
        Some(trap) => format!("{trap:?}"),
        None => "error".to_owned(),
    };
    let instance = match imports.and_then(|imports| Instance::new(&mut store, &module, &imports)) {
        Ok(instance) => instance,
        Err(error) => return vec![format!("not instantiated: {}", outcome(&error))],
    };
    let exports: Vec<_> = instance
        .exports(&mut store)
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .collect();
    for (name, item) in &exports {
        let Extern::Func(func) = item else { continue };
        let ty = func.ty(&store);
        let mut params = Vec::new();
        for (index, ty) in ty.params().enumerate() {
            params.push(match ty {
                tepui::ValType::I32 => Val::I32(7 + index as i32),
                tepui::ValType::I64 => Val::I64(-3),
                ty => Val::default_for(&ty),
            });
        }
        let mut results: Vec<_> = ty.results().map(|ty| Val::default_for(&ty)).collect();
        store.set_fuel(20_000).unwrap();
        match func.call(&mut store, &params, &mut results) {
            Ok(()) => {
                seen.push(format!(
                    "{name}: {}",
                    results.iter().map(show).collect::<Vec<_>>().join(" ")
                ));
                seen.push(format!("{} left", store.get_fuel().unwrap()));
            }
            Err(error) => {
                let outcome = outcome(&error);
                seen.push(format!("{name}: {outcome}"));
                if outcome == "overflow" {
                    // What was done before it depends on the depth.
                    seen.push("stopped".into());
                    return seen;
                }
            }
        }
    }
    for (name, item) in &exports {
        match item {
            Extern::Global(global) => {
                seen.push(format!("{name} = {}", show(&global.get(&mut store))))
            }
            Extern::Memory(memory) => {
                let data = memory.data(&store);
                let sum = data.iter().fold(0_u64, |sum, byte| {
                    sum.rotate_left(5)
                        .wrapping_mul(31)
                        .wrapping_add(u64::from(*byte))
                });
                seen.push(format!("{name}: {} bytes, {sum:x}", data.len()));
            }
            Extern::Table(table) => seen.push(format!("{name}: {}", table.size(&store))),
            _ => {}
        }
    }
    seen
}

/// Runs in every engine; what they do is the same.
fn compare(engines: &[Engine], what: &str, bytes: &[u8]) -> Vec<String> {
    let results: Vec<_> = engines
        .iter()
        .map(|engine| {
            catch_unwind(AssertUnwindSafe(|| execute(engine, bytes))).unwrap_or_else(|payload| {
                panic!("{what}: {}\n{}", panic_message(&*payload), hex(bytes))
            })
        })
        .collect();
    for other in &results[1..] {
        let overflow = |seen: &[String]| {
            seen.last().is_some_and(|last| last == "stopped")
                || seen.first().is_some_and(|first| first.contains("overflow"))
        };
        if overflow(&results[0]) || overflow(other) {
            continue;
        }
        assert_eq!(&results[0], other, "{what}: {}", hex(bytes));
    }
    results.into_iter().next().unwrap()
}

/// How many rounds, and a seed. With `TEPUI_HUNT=n` in the environment, `n` times
/// as many as usual with other numbers, to look for more.
fn rounds(usual: usize) -> (usize, u64) {
    let hunt = std::env::var("TEPUI_HUNT").ok();
    match hunt.and_then(|times| times.parse::<usize>().ok()) {
        Some(times) => (usual * times, 1_000_003 * times as u64),
        None => (usual, 0),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Malformed modules: every prefix of a module is refused, with a position.
#[test]
fn every_truncation_is_an_error() {
    let engines = engines();
    let module = Module::new(&engines[0], SEED).unwrap();
    let bytes = module.binary();
    assert!(bytes.len() > 600);
    let seen = compare(&engines, "the seed", bytes);
    assert!(seen[0].starts_with("run: I32("), "{seen:?}");
    let mut refused = 0;
    for length in 0..bytes.len() {
        // An empty module is one; so is one that ends with a whole section
        // before anything is missing.
        match Module::new(&engines[0], &bytes[..length]) {
            Ok(_) => {}
            Err(error) => {
                refused += 1;
                let text = format!("{error:#}");
                assert!(
                    length < 8 || text.contains("0x") || text.contains("offset"),
                    "{length}: {text}"
                );
            }
        }
        assert_eq!(
            Module::validate(&engines[0], &bytes[..length]).is_ok(),
            Module::new(&engines[0], &bytes[..length]).is_ok(),
            "{length}"
        );
    }
    assert!(refused > bytes.len() - 12, "{refused}");
}

/// Malformed modules: two thousand random changes, run under fuel.
#[test]
fn mutated_modules_are_refused_or_run() {
    let engines = engines();
    let module = Module::new(&engines[0], SEED).unwrap();
    let bytes = module.binary();
    let (rounds, seed) = rounds(2000);
    let mut numbers = Numbers(2026 + seed);
    let mut ran = 0;
    for round in 0..rounds {
        let mut mutant = bytes.to_vec();
        for _ in 0..1 + numbers.below(3) {
            let at = 8 + numbers.below(mutant.len() - 8);
            match numbers.below(6) {
                0 => mutant[at] = numbers.next() as u8,
                1 => mutant[at] ^= 1 << numbers.below(8),
                2 => {
                    mutant.remove(at);
                }
                3 => mutant.insert(at, numbers.next() as u8),
                4 => mutant[at] = mutant[at].wrapping_add(1),
                _ => {
                    let from = 8 + numbers.below(mutant.len() - 8);
                    let length = numbers.below(12).min(mutant.len() - at.max(from));
                    mutant.copy_within(from..from + length, at);
                }
            }
        }
        let seen = compare(&engines, &format!("mutant {round}"), &mutant);
        ran += usize::from(
            !seen
                .first()
                .is_some_and(|first| first.starts_with("refused")),
        );
    }
    assert!(ran > 100, "{ran} of the mutants are modules");
}

/// Situations 1 to 12 at random: generated modules do the same in every engine.
#[test]
fn generated_modules_do_the_same_everywhere() {
    let engines = engines();
    let (rounds, seed) = rounds(250);
    let mut numbers = Numbers(7 + seed);
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..rounds {
        let entropy: Vec<u8> = (0..3000)
            .flat_map(|_| numbers.next().to_le_bytes())
            .collect();
        let shape = Shape {
            bulk_memory_enabled: true,
            reference_types_enabled: true,
            simd_enabled: true,
            relaxed_simd_enabled: true,
            multi_value_enabled: true,
            saturating_float_to_int_enabled: true,
            sign_extension_ops_enabled: true,
            tail_call_enabled: true,
            memory64_enabled: round % 2 == 0,
            threads_enabled: round % 3 == 0,
            shared_everything_threads_enabled: false,
            wide_arithmetic_enabled: true,
            custom_page_sizes_enabled: round % 4 == 0,
            extended_const_enabled: true,
            exceptions_enabled: false,
            gc_enabled: false,
            max_memories: 3,
            max_tables: 3,
            max_memory32_bytes: 8 << 20,
            max_memory64_bytes: 8 << 20,
            max_table_elements: 1000,
            max_instructions: 600,
            max_funcs: 12,
            min_funcs: 2,
            export_everything: true,
            canonicalize_nans: false,
            // A wait in a generated module is for ever.
            allow_start_export: true,
            ..Shape::default()
        };
        let mut source = wasm_smith_source(&entropy);
        let Ok(module) = Generated::new(shape, &mut source) else {
            continue;
        };
        let bytes = module.to_bytes();
        let seen = compare(&engines, &format!("module {round}"), &bytes);
        let kind = seen.first().map_or("nothing", |first| {
            first.split([':', ' ']).next().unwrap_or("nothing")
        });
        let kind = match kind {
            "refused" => panic!("module {round}: {seen:?}"),
            "not" => "not instantiated",
            _ => "ran",
        };
        *outcomes.entry(kind.into()).or_default() += 1;
    }
    assert!(
        outcomes.get("ran").is_some_and(|ran| *ran > 100),
        "{outcomes:?}"
    );
}

fn wasm_smith_source(entropy: &[u8]) -> arbitrary::Unstructured<'_> {
    arbitrary::Unstructured::new(entropy)
}
