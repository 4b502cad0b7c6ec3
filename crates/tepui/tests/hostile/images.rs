//! Is an image that is not what it should be refused, every time?

use tepui::{Config, Engine, Extern, Linker, Module, Store, Strategy, Val};

use crate::support::{Numbers, World, config, engine, engine_with, frames, trap_of};
use crate::tier;

const MODULE: &str = "(module $imaged
    (import \"h\" \"add\" (func $add (param i32) (result i32)))
    (memory (export \"m\") 1 4) (data (i32.const 4) \"data of the image\")
    (table 3 funcref) (elem (i32.const 1) $twice $trap)
    (global $g (mut i64) (i64.const 40))
    (func $twice (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func $trap (unreachable))
    (func $fib (export \"fib\") (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
        (then (local.get 0))
        (else (i32.add
          (call $fib (i32.sub (local.get 0) (i32.const 1)))
          (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export \"indirect\") (param i32) (result i32)
      (call $add (call_indirect (param i32) (result i32) (local.get 0) (local.get 0))))
    (func (export \"load\") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export \"float\") (param i32) (result i32)
      (i32.trunc_f64_s (f64.sqrt (f64.convert_i32_s (local.get 0)))))
    (func (export \"vector\") (param i32) (result i32)
      (i32x4.extract_lane 2 (i32x4.mul (i32x4.splat (local.get 0)) (v128.const i32x4 1 2 3 4))))
    (func (export \"switch\") (param i32) (result i32)
      (block $d (block $1 (block $0 (br_table $0 $1 $d (local.get 0)))
        (return (i32.const 10))) (return (i32.const 11))) (i32.const 12)))";

const EXPORTS: [&str; 6] = ["fib", "indirect", "load", "float", "vector", "switch"];

/// What the module's exports do: results, traps and where these are.
fn behaviour(module: &Module) -> Vec<String> {
    let engine = module.engine();
    let mut linker: Linker<()> = Linker::new(engine);
    linker.func_wrap("h", "add", |x: i32| x + 1000).unwrap();
    let mut store = Store::new(engine, ());
    let _ = store.set_fuel(u64::MAX);
    let instance = linker.instantiate(&mut store, module).unwrap();
    let mut seen = Vec::new();
    for export in EXPORTS {
        let func = instance
            .get_typed_func::<i32, i32>(&mut store, export)
            .unwrap();
        for argument in [0, 1, 2, 3, 4, 12, 20, 70_000, -1] {
            if export == "fib" && !(0..=20).contains(&argument) {
                continue;
            }
            seen.push(match func.call(&mut store, argument) {
                Ok(result) => format!("{export} {argument}: {result}"),
                Err(error) => {
                    format!(
                        "{export} {argument}: {:?} {:?}",
                        trap_of(&error),
                        frames(&error)
                    )
                }
            });
        }
    }
    seen.push(format!("{:?}", module.exports().collect::<Vec<_>>()));
    seen.push(format!("{:?}", module.name()));
    seen
}

/// Loads an image that nobody vouches for.
fn load(engine: &Engine, bytes: &[u8]) -> tepui::Result<Module> {
    // SAFETY: the images are this test's own, damaged only in ways that their
    // hash has to notice.
    unsafe { Module::deserialize(engine, bytes) }
}

/// 28: a module from an image is the module.
#[test]
fn images_behave_as_what_they_were_made_of() {
    for (name, engine) in crate::support::engines() {
        let module = Module::new(&engine, MODULE).unwrap();
        let expected = behaviour(&module);
        assert!(expected.len() > 40);
        let image = module.serialize().unwrap();
        assert!(Module::is_image(&image) && !Module::is_image(b"\0asm\x01\0\0\0"));
        assert_eq!(
            behaviour(&load(&engine, &image).unwrap()),
            expected,
            "{name}"
        );
        let again = engine.precompile_module(module.binary()).unwrap();
        assert_eq!(again, image, "{name}: images are reproducible");
        let second = load(&engine, &image).unwrap().serialize().unwrap();
        assert_eq!(second, image, "{name}: an image of an image");
        // Another engine of the same configuration.
        for (other, engine) in crate::support::engines() {
            match load(&engine, &image) {
                Ok(module) => assert_eq!(behaviour(&module), expected, "{name} in {other}"),
                Err(error) => assert_ne!(name, other, "{error:?}"),
            }
        }
    }
}

/// 28: each byte that is missing, added or changed is noticed.
#[test]
fn damaged_images_are_refused() {
    let engine = engine();
    let image = Module::new(&engine, MODULE).unwrap().serialize().unwrap();
    for length in (0..image.len())
        .step_by(37)
        .chain(image.len() - 64..image.len())
    {
        assert!(load(&engine, &image[..length]).is_err(), "cut to {length}");
    }
    let mut numbers = Numbers(5);
    let mut damaged = image.clone();
    let positions: Vec<usize> = (0..image.len().min(512))
        .chain((0..600).map(|_| numbers.below(image.len())))
        .collect();
    for position in positions {
        let bit = 1 << numbers.below(8);
        damaged[position] ^= bit;
        let error = load(&engine, &damaged).expect_err("a bit was flipped");
        assert!(!error.to_string().is_empty());
        damaged[position] ^= bit;
    }
    for extra in [1, 7, 4096] {
        let mut longer = image.clone();
        longer.resize(image.len() + extra, 0);
        assert!(load(&engine, &longer).is_err(), "{extra} more bytes");
    }
    for _ in 0..200 {
        let (a, b) = (numbers.below(image.len()), numbers.below(image.len()));
        let length = numbers.below(400).min(image.len() - a.max(b));
        damaged.copy_from_slice(&image);
        damaged.copy_within(a..a + length, b);
        if damaged != image {
            assert!(
                load(&engine, &damaged).is_err(),
                "{length} bytes from {a} at {b}"
            );
        }
    }
    load(&engine, &image).unwrap();
    assert!(load(&engine, b"").is_err());
    assert!(load(&engine, Module::new(&engine, MODULE).unwrap().binary()).is_err());
}

/// 28, 22: an image made under another configuration.
#[test]
fn images_of_other_configurations_are_refused() {
    type Change = fn(&mut Config);
    let image = Module::new(&engine(), MODULE).unwrap().serialize().unwrap();
    let others: [(&str, Change); 6] = [
        ("fuel", |config| {
            config.consume_fuel(true);
        }),
        ("epochs", |config| {
            config.epoch_interruption(true);
        }),
        ("no hardening", |config| {
            config.spectre_hardening(false);
        }),
        ("deterministic", |config| {
            config.deterministic(true);
        }),
        ("no reservation", |config| {
            config.memory_reservation(0);
        }),
        ("another guard", |config| {
            config.memory_guard_size(1 << 20);
        }),
    ];
    let interprets = tier::strategy() == Strategy::Interpreter;
    for (what, change) in others {
        // What is interpreted from an image is the same with and without these.
        if interprets && !["fuel", "epochs", "deterministic"].contains(&what) {
            continue;
        }
        let other = engine_with(change);
        let error = load(&other, &image).expect_err(what);
        assert!(!error.to_string().is_empty());
        let there = Module::new(&other, MODULE).unwrap().serialize().unwrap();
        assert!(load(&engine(), &there).is_err(), "{what}");
        load(&other, &there).unwrap();
    }
    // Proposals that are off are off for images as well.
    let mut without = config();
    without.feature(tepui::Proposal::Simd, false).unwrap();
    if let Ok(without) = Engine::new(&without) {
        assert!(
            load(&without, &image).is_err(),
            "an image that uses vectors"
        );
    }
}

/// 28: authenticated images under the right key, another one, none, and forged.
#[test]
fn authenticated_images() {
    let engine = engine();
    let module = Module::new(&engine, MODULE).unwrap();
    let (key, wrong) = ([7; 32], [8; 32]);
    let image = module.serialize_authenticated(&key).unwrap();
    let plain = module.serialize().unwrap();
    let loaded = Module::deserialize_authenticated(&engine, &image, &key).unwrap();
    assert_eq!(behaviour(&loaded), behaviour(&module));
    assert!(Module::deserialize_authenticated(&engine, &image, &wrong).is_err());
    assert!(Module::deserialize_authenticated(&engine, &plain, &key).is_err());
    let mut nearly = key;
    nearly[31] ^= 0x80;
    assert!(Module::deserialize_authenticated(&engine, &image, &nearly).is_err());
    // Parts of one image in the other: the tag of the authentic one over the
    // bytes of a forged one, wherever the tag stands.
    let other = Module::new(
        &engine,
        MODULE
            .replace("1000", "1001")
            .replace("i32.const 10)", "i32.const 99)"),
    )
    .unwrap();
    let forged = other.serialize_authenticated(&wrong).unwrap();
    let mut numbers = Numbers(9);
    for _ in 0..500 {
        let mut mixed = image.clone();
        let length = 1 + numbers.below(200);
        let at = numbers.below(image.len().min(forged.len()) - length);
        mixed[at..at + length].copy_from_slice(&forged[at..at + length]);
        if mixed != image {
            assert!(
                Module::deserialize_authenticated(&engine, &mixed, &key).is_err(),
                "{at}"
            );
        }
    }
    for position in (0..image.len()).step_by(41) {
        let mut damaged = image.clone();
        damaged[position] ^= 1;
        assert!(
            Module::deserialize_authenticated(&engine, &damaged, &key).is_err(),
            "{position}"
        );
    }
}

/// 28: images from files, in many threads, dropped in any order.
#[test]
fn images_in_many_threads() {
    let engine = engine();
    let image = Module::new(&engine, MODULE).unwrap().serialize().unwrap();
    let expected = behaviour(&load(&engine, &image).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(behaviour(&load(&engine, &image).unwrap()), expected);
                }
            });
        }
    });
    // An image of a module without a function, and one of many.
    for text in [
        "(module)".to_string(),
        "(module (memory (export \"m\") 1))".to_string(),
        format!(
            "(module {} (export \"m\" (func 7)))",
            "(func (result i32) (i32.const 3))".repeat(5000)
        ),
    ] {
        let module = Module::new(&engine, &text).unwrap();
        let loaded = load(&engine, &module.serialize().unwrap()).unwrap();
        let mut world = World::of(&loaded);
        if let Some(Extern::Func(func)) = world.instance.get_export(&mut world.store, "m") {
            let mut results = [Val::I32(0)];
            func.call(&mut world.store, &[], &mut results).unwrap();
            assert_eq!(results[0].unwrap_i32(), 3);
        }
    }
}

/// An engine that interprets, for the machine of this triple.
fn interpreting(triple: Option<&str>) -> Engine {
    engine_with(|config| {
        config.strategy(Strategy::Interpreter);
        if let Some(triple) = triple {
            config.target(triple).unwrap();
        }
    })
}

/// What an image for the interpreter has as its checksum, put in its place.
fn sum_up(image: &mut [u8]) {
    let sum = image[32..]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    image[24..32].copy_from_slice(&sum.to_le_bytes());
}

/// 28: images for the interpreter and images of machine code do not take each other's
/// place, nor those for other machines.
#[test]
fn images_of_other_tiers_and_machines_are_refused() {
    let interpreting_here = interpreting(None);
    let module = Module::new(&interpreting_here, MODULE).unwrap();
    let image = module.serialize().unwrap();
    for strategy in Strategy::AVAILABLE {
        if *strategy == Strategy::Interpreter {
            continue;
        }
        let compiling = engine_with(|config| {
            config.strategy(*strategy);
        });
        let message = load(&compiling, &image).unwrap_err().to_string();
        assert!(message.contains("for the interpreter"), "{message}");
        let compiled = Module::new(&compiling, MODULE)
            .unwrap()
            .serialize()
            .unwrap();
        assert!(load(&interpreting_here, &compiled).is_err());
    }
    let mixed = engine_with(|config| {
        config.strategy(Strategy::Mixed { seed: 1 });
    });
    let message = load(&mixed, &image).unwrap_err().to_string();
    assert!(message.contains("several tiers"), "{message}");

    let mut lengths = Vec::new();
    for triple in [
        "riscv32imac-unknown-none-elf",
        "s390x-unknown-linux-gnu",
        "powerpc-unknown-none",
    ] {
        let elsewhere = interpreting(Some(triple));
        let there = elsewhere
            .precompile_module(module_bytes().as_slice())
            .unwrap();
        assert!(Module::is_image(&there));
        assert_ne!(there, image);
        let message = load(&interpreting_here, &there).unwrap_err().to_string();
        assert!(
            message.contains("other pointers or another order"),
            "{message}"
        );
        lengths.push(there.len());
    }
    assert!(
        lengths[0] < lengths[1],
        "handlers take half of the room on 32 bits"
    );
    let loaded = load(&interpreting_here, &image).unwrap();
    assert!(loaded.binary().is_empty());
    assert_eq!(behaviour(&loaded), behaviour(&module));
}

/// [`MODULE`] in the binary format.
fn module_bytes() -> Vec<u8> {
    Module::new(&interpreting(None), MODULE)
        .unwrap()
        .binary()
        .to_vec()
}

/// 28: tables of an image for the interpreter that lead outside are refused where they
/// are read, whatever the checksum says. Nothing of what loads nevertheless is run: it
/// is trusted.
#[test]
fn forged_tables_are_refused_or_harmless() {
    let engine = interpreting(None);
    let image = Module::new(&engine, MODULE).unwrap().serialize().unwrap();
    let mut numbers = Numbers(11);
    let mut refused = 0;
    for round in 0..3000 {
        let mut forged = image.clone();
        for _ in 0..1 + round % 3 {
            let at = 32 + numbers.below(image.len() - 32);
            forged[at] = numbers.below(256) as u8;
        }
        sum_up(&mut forged);
        refused += usize::from(load(&engine, &forged).is_err());
    }
    assert!(refused > 300, "only {refused} are refused");
    // Every length that the head may claim, and every end.
    for end in 32..image.len() {
        let mut cut = image[..end].to_vec();
        let length = (end as u32).to_le_bytes();
        if end >= 40 {
            cut[36..40].copy_from_slice(&length);
            sum_up(&mut cut);
        }
        assert!(load(&engine, &cut).is_err(), "cut to {end}");
    }
}
