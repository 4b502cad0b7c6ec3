//! The nth system call fails, for every n.
//!
//! One test in a binary of its own, because the counter of calls is the
//! process's.

mod tier;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tepui::{
    Config, Engine, Features, Instance, Linker, Memory, MemoryType, Module, Ref, Result,
    SharedMemory, Store, Strategy, Table, TableType, ensure,
};
use tepui_native::inject;

const MODULE: &str = "(module
    (memory (export \"m\") 2 40) (memory $wide i64 1) (table (export \"t\") 10 funcref)
    (data (i32.const 4096) \"initial data\") (elem (i32.const 2) $f)
    (func $f (export \"f\") (param i32) (result i32)
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (i32.add (local.get 0) (i32.load (i32.const 0))))
    (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export \"trap\") (unreachable))
    (func $deep (export \"deep\") (call $deep) (call $deep)))";

fn config(reservation: u64) -> Config {
    let mut config = tier::config();
    config
        .features(Features::IMPLEMENTED)
        .memory_reservation(reservation)
        .parallel_compilation(false)
        .wasm_backtrace(false);
    config
}

/// Calls no function that is counted.
#[test]
fn every_tier() {
    tier::run_in_others(|_| &[]);
}

/// Calls that have to work in any instance of [`MODULE`].
fn exercise(store: &mut Store<()>, instance: Instance) -> Result<()> {
    let f = instance.get_typed_func::<i32, i32>(&mut *store, "f")?;
    let memory = instance.get_memory(&mut *store, "m").expect("an export");
    ensure!(&memory.data(&*store)[4096..4108] == b"initial data");
    let before = f.call(&mut *store, 0)?;
    ensure!(f.call(&mut *store, 10)? == before + 11);
    let trap = instance.get_typed_func::<(), ()>(&mut *store, "trap")?;
    let error = trap.call(&mut *store, ()).expect_err("it traps");
    if !error.is::<tepui::Trap>() {
        return Err(error);
    }
    Ok(())
}

fn instantiate(module: &Module) -> Result<(Store<()>, Instance)> {
    let mut store = Store::new(module.engine(), ());
    let instance = Linker::new(module.engine()).instantiate(&mut store, module)?;
    Ok((store, instance))
}

/// Does `operation` with the `n`th system call failing, for every `n`, and again
/// with none failing; once with one call failing, once with all from there on.
fn try_all(what: &str, mut operation: impl FnMut() -> Result<()>) {
    operation().unwrap_or_else(|error| panic!("{what}, undisturbed: {error:?}"));
    let mut failed = 0;
    for count in [1, u64::MAX] {
        for n in 0.. {
            assert!(n < 2000, "{what} makes more calls each time");
            inject::arm(n, count, 12);
            let outcome = catch_unwind(AssertUnwindSafe(&mut operation));
            let calls = inject::disarm();
            match outcome {
                Err(_) => panic!("{what} panics when call {n} fails"),
                // What can do without says nothing.
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    failed += 1;
                    assert!(calls > n, "{what} fails by itself: {error:?}");
                    let text = format!("{error:#}");
                    assert!(!text.is_empty() && text.len() < 10_000, "{what}: {text}");
                }
            }
            operation().unwrap_or_else(|error| panic!("{what}, after call {n} failed: {error:?}"));
            if calls <= n {
                break;
            }
        }
    }
    assert!(failed > 0, "{what}: no failure was noticed");
}

/// 20, 21: compile, load, instantiate, grow and call, with every system call
/// failing in turn; the same thing works afterwards.
#[test]
fn every_system_call_fails_once() {
    for reservation in [4 << 30, 0] {
        let config = config(reservation);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, MODULE).unwrap();
        let name = |what: &str| format!("{what} with a reservation of {reservation}");

        try_all(&name("everything"), || {
            let engine = Engine::new(&config)?;
            let module = Module::new(&engine, MODULE)?;
            // From the third on, instances map their initial data.
            for _ in 0..4 {
                let (mut store, instance) = instantiate(&module)?;
                exercise(&mut store, instance)?;
            }
            Ok(())
        });
        if tier::strategy() != Strategy::Interpreter {
            // There, nothing is compiled and nothing mapped yet.
            try_all(&name("compiling"), || {
                Module::new(&engine, MODULE).map(drop)
            });
        }
        if tier::has_images(tier::strategy()) {
            let image = module.serialize().unwrap();
            try_all(&name("loading"), || {
                // SAFETY: the image was just made.
                let module = unsafe { Module::deserialize(&engine, &image)? };
                let (mut store, instance) = instantiate(&module)?;
                exercise(&mut store, instance)
            });
        }
        // One store in which instantiation fails again and again.
        let mut store = Store::new(&engine, ());
        let linker = Linker::new(&engine);
        try_all(&name("instantiating"), || {
            let instance = linker.instantiate(&mut store, &module)?;
            exercise(&mut store, instance)
        });
        try_all(&name("creating a memory and a table"), || {
            let memory = Memory::new(&mut store, MemoryType::new(3, Some(9)))?;
            memory.write(&mut store, 3 * 65536 - 1, &[1])?;
            let ty = TableType::new(
                tepui::RefType::new(true, tepui::HeapType::Func),
                100_000,
                None,
            );
            let table = Table::new(&mut store, ty, Ref::Func(None))?;
            ensure!(table.get(&mut store, 99_999).is_some());
            Ok(())
        });
        // Growth fails without an error in the guest, and loses nothing.
        let grown = instantiate(&module).unwrap();
        let (mut store, instance) = grown;
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let grow = instance
            .get_typed_func::<i32, i32>(&mut store, "grow")
            .unwrap();
        memory.write(&mut store, 2 * 65536 - 4, b"mark").unwrap();
        let mut pages = 2;
        let mut refused = 0;
        for n in 0..12 {
            inject::arm(n, 1, 12);
            let old = grow.call(&mut store, 1).unwrap();
            inject::disarm();
            if old == -1 {
                refused += 1;
            } else {
                assert_eq!(old, pages);
                pages += 1;
            }
            inject::arm(n / 2, u64::MAX, 12);
            let result = memory.grow(&mut store, 1);
            inject::disarm();
            match result {
                Ok(old) => {
                    assert_eq!(old, pages as u64);
                    pages += 1;
                }
                Err(error) => {
                    refused += 1;
                    assert!(format!("{error:#}").contains("grow"), "{error:?}");
                }
            }
            assert_eq!(memory.size(&store), pages as u64);
            assert_eq!(&memory.data(&store)[2 * 65536 - 4..2 * 65536], b"mark");
            assert!(
                memory.data(&store)[2 * 65536..]
                    .iter()
                    .all(|byte| *byte == 0)
            );
            assert_eq!(grow.call(&mut store, 1).unwrap(), pages);
            pages += 1;
            exercise(&mut store, instance).unwrap();
        }
        assert!(refused > 0, "{}", name("growing"));

        try_all(&name("a shared memory"), || {
            let memory = SharedMemory::new(&engine, MemoryType::shared(1, 10))?;
            memory.grow(2)?;
            ensure!(memory.data_size() == 3 * 65536);
            Ok(())
        });
        // Each thread gets a stack for signals at its first call.
        try_all(&name("the first call in a thread"), || {
            thread::scope(|scope| {
                scope
                    .spawn(|| {
                        let (mut store, instance) = instantiate(&module)?;
                        exercise(&mut store, instance)
                    })
                    .join()
                    .expect("no panic")
            })
        });
    }
}
