//! Do things live as long as somebody needs them, in whatever order they are
//! dropped, and from as many threads as there are?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tepui::{
    Caller, Engine, Extern, ExternRef, Func, HeapType, Instance, Linker, Module, Ref, RefType,
    Rooted, Store, Table, TableType, Trap,
};

use crate::support::{Numbers, World, engine, names, trap_of};

/// 27, 28: threads that load and drop modules of shared types while others
/// instantiate, call and trap.
#[test]
fn modules_come_and_go_while_others_run() {
    let engine = engine();
    let text = |seed: u64| {
        format!(
            "(module $m{seed}
               (type $shared (func (param i32) (result i32)))
               (rec (type $node (func (param (ref null $node)) (result i32))))
               (type $own{seed} (func (param {params})))
               (import \"\" \"host\" (func $host (type $shared)))
               (memory 1)
               (table 2 funcref) (elem (i32.const 0) $a $b)
               (data (i32.const 0) \"{seed}\")
               (func $a (type $shared) (i32.add (local.get 0) (i32.const {seed})))
               (func $b (type $own{seed}))
               (func $node-{seed} (type $node) (i32.const {seed}))
               (elem declare func $node-{seed})
               (func $trap-{seed} (export \"trap\") (unreachable))
               (func (export \"run\") (param i32) (result i32)
                 (i32.add
                   (call_indirect (type $shared)
                     (call $host (local.get 0)) (i32.const 0))
                   (call_ref $node (ref.null $node) (ref.func $node-{seed}))))
               (func (export \"bad\") (drop (call_indirect (type $shared) (i32.const 0) (i32.const 1)))))",
            params = "i64 ".repeat(1 + seed as usize % 9)
        )
    };
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..6_u64 {
            let (engine, done) = (&engine, &done);
            scope.spawn(move || {
                let mut numbers = Numbers(thread);
                let mut kept: Vec<Module> = Vec::new();
                for _ in 0..25 {
                    let seed = numbers.next() % 12;
                    let module = Module::new(engine, text(seed)).unwrap();
                    let mut linker: Linker<u64> = Linker::new(engine);
                    linker.func_wrap("", "host", |x: i32| x * 2).unwrap();
                    let pre = linker.instantiate_pre(&module).unwrap();
                    drop(linker);
                    let keeps = numbers.below(3) == 0;
                    if keeps {
                        kept.push(module.clone());
                    }
                    drop(module);
                    let mut store = Store::new(engine, seed);
                    for _ in 0..3 {
                        let instance = pre.instantiate(&mut store).unwrap();
                        let run = instance
                            .get_typed_func::<i32, i32>(&mut store, "run")
                            .unwrap();
                        let x = (numbers.next() % 1000) as i32;
                        let expected = 2 * x + 2 * seed as i32;
                        assert_eq!(run.call(&mut store, x).unwrap(), expected);
                        let trap = instance
                            .get_typed_func::<(), ()>(&mut store, "trap")
                            .unwrap();
                        let error = trap.call(&mut store, ()).unwrap_err();
                        assert_eq!(names(&error), [format!("trap-{seed}")]);
                        let bad = instance
                            .get_typed_func::<(), ()>(&mut store, "bad")
                            .unwrap();
                        let error = bad.call(&mut store, ()).unwrap_err();
                        assert_eq!(trap_of(&error), Trap::BadSignature);
                    }
                    if kept.len() > 4 {
                        let index = numbers.below(kept.len());
                        kept.swap_remove(index);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), 6 * 25);
}

/// 27: one module, compiled lazily in its second form and instantiated by many
/// threads at once.
#[test]
fn one_module_in_many_threads() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (memory (export \"m\") 2) (data (i32.const 100) \"initial\")
           (func (export \"sum\") (param i32) (result i32)
             (local $i i32) (local $s i32)
             (loop $l
               (i32.store (local.get $i) (i32.add (local.get $i) (local.get 0)))
               (local.set $s (i32.add (local.get $s) (i32.load (local.get $i))))
               (br_if $l (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 131072))))
             (local.get $s)))",
    )
    .unwrap();
    let expected = |x: i32| {
        (0..131_072)
            .step_by(4)
            .fold(0_i32, |sum, i| sum.wrapping_add(i).wrapping_add(x))
    };
    thread::scope(|scope| {
        for thread in 0..8 {
            let (engine, module) = (&engine, &module);
            scope.spawn(move || {
                for round in 0..20 {
                    let mut store = Store::new(engine, ());
                    let instance = Instance::new(&mut store, module, &[]).unwrap();
                    let memory = instance.get_memory(&mut store, "m").unwrap();
                    assert_eq!(&memory.data(&store)[100..107], b"initial");
                    let sum = instance
                        .get_typed_func::<i32, i32>(&mut store, "sum")
                        .unwrap();
                    let x = thread * 100 + round;
                    assert_eq!(sum.call(&mut store, x).unwrap(), expected(x));
                }
            });
        }
    });
}

/// 28: code at addresses where other code was: each module does what it says.
#[test]
fn code_addresses_are_reused() {
    let engine = engine();
    let mut numbers = Numbers(11);
    for round in 0..300 {
        let value = numbers.next() as i32;
        // Nearly the same size each time, so that places are reused.
        let module = Module::new(
            &engine,
            format!(
                "(module (func (export \"get\") (result i32) (i32.const {value}))
                   (func $trap (export \"trap\") (result i32)
                     (i32.div_u (i32.const 1) (i32.const {})))
                   (func $name-{round} (export \"name\") (unreachable)))",
                round % 2
            ),
        )
        .unwrap();
        let mut world = World::of(&module);
        drop(module);
        assert_eq!(world.call::<_, i32>("get", ()).unwrap(), value);
        match world.call::<_, i32>("trap", ()) {
            Ok(result) => assert_eq!((result, round % 2), (1, 1)),
            Err(error) => {
                assert_eq!(round % 2, 0);
                assert_eq!(trap_of(&error), Trap::IntegerDivisionByZero);
            }
        }
        let error = world.call::<(), ()>("name", ()).unwrap_err();
        assert_eq!(names(&error), [format!("name-{round}")]);
    }
}

/// Lifetimes: functions in tables after every handle to their module is gone,
/// engines dropped before stores, stores before modules.
#[test]
fn the_store_keeps_what_it_needs() {
    let mut store;
    let table;
    {
        let engine = engine();
        store = Store::new(&engine, ());
        let ty = TableType::new(RefType::new(true, HeapType::Func), 50, None);
        table = Table::new(&mut store, ty, Ref::Func(None)).unwrap();
        for index in 0..50 {
            let module = Module::new(
                &engine,
                format!(
                    "(module (import \"\" \"t\" (table 1 funcref)) (memory 1)
                       (global $g (mut i32) (i32.const {index}))
                       (elem (i32.const {index}) $f)
                       (func $f (result i32)
                         (global.set $g (i32.add (global.get $g) (i32.const 100)))
                         (i32.store (i32.const 0) (global.get $g))
                         (i32.load (i32.const 0))))"
                ),
            )
            .unwrap();
            Instance::new(&mut store, &module, &[table.into()]).unwrap();
        }
    }
    for round in 1..4 {
        for index in 0..50 {
            let func = table.get(&mut store, index).unwrap();
            let func = func.as_func().unwrap().typed::<(), i32>(&store).unwrap();
            assert_eq!(
                func.call(&mut store, ()).unwrap(),
                index as i32 + 100 * round
            );
        }
    }
    let into = Store::new(&Engine::default(), String::from("data"));
    assert_eq!(into.into_data(), "data");
    // A module outlives its engine's handles, and stores of it.
    let module = {
        let engine = engine();
        Module::new(
            &engine,
            "(module (func (export \"f\") (result i32) (i32.const 3)))",
        )
        .unwrap()
    };
    for _ in 0..3 {
        let mut world = World::of(&module);
        assert_eq!(world.call::<_, i32>("f", ()).unwrap(), 3);
    }
}

/// Lifetimes: host data, closures and external references are dropped once, when
/// the store is, not earlier.
#[test]
fn what_the_host_gave_is_dropped_once() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let engine = engine();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = || Counts(dropped.clone());
    let mut store = Store::new(&engine, count());
    let module = Module::new(
        &engine,
        "(module (import \"\" \"f\" (func $f)) (table (export \"t\") 20 externref)
           (func (export \"pass\") (param externref) (result externref) (local.get 0))
           (func (export \"put\") (param i32 externref) (table.set (local.get 0) (local.get 1)))
           (func (export \"take\") (param i32) (result externref) (table.get (local.get 0)))
           (func (export \"run\") (call $f)))",
    )
    .unwrap();
    let value = count();
    let host = Func::wrap(&mut store, move || {
        let _ = &value;
    });
    let mut linker: Linker<Counts> = Linker::new(&engine);
    let value = count();
    linker
        .func_wrap("", "f", move || {
            let _ = &value;
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    drop(linker);
    Instance::new(&mut store, &module, &[host.into()]).unwrap();
    let pass = instance
        .get_typed_func::<Option<Rooted<ExternRef>>, Option<Rooted<ExternRef>>>(&mut store, "pass")
        .unwrap();
    let put = instance
        .get_typed_func::<(i32, Option<Rooted<ExternRef>>), ()>(&mut store, "put")
        .unwrap();
    let take = instance
        .get_typed_func::<i32, Option<Rooted<ExternRef>>>(&mut store, "take")
        .unwrap();
    for index in 0..20 {
        let reference = ExternRef::new(&mut store, (index, count())).unwrap();
        let back = pass.call(&mut store, Some(reference)).unwrap().unwrap();
        assert!(Rooted::ref_eq(&store, &reference, &back).unwrap());
        put.call(&mut store, (index, Some(back))).unwrap();
    }
    for index in 0..20 {
        let reference = take.call(&mut store, index).unwrap().unwrap();
        let data = reference.data(&store).unwrap().unwrap();
        assert_eq!(data.downcast_ref::<(i32, Counts)>().unwrap().0, index);
        assert!(data.downcast_ref::<u8>().is_none());
    }
    assert!(pass.call(&mut store, None).unwrap().is_none());
    let run = instance
        .get_typed_func::<(), ()>(&mut store, "run")
        .unwrap();
    run.call(&mut store, ()).unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(module);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(store);
    assert_eq!(dropped.load(Ordering::Relaxed), 23);
}

/// 24: host functions that compile, instantiate, define and call in the store
/// that runs them, from deep inside.
#[test]
fn host_functions_reenter_the_store() {
    let engine = engine();
    let mut linker: Linker<Vec<Instance>> = Linker::new(&engine);
    linker
        .func_wrap(
            "",
            "make",
            |mut caller: Caller<'_, Vec<Instance>>, n: i32| -> tepui::Result<i32> {
                if n == 0 {
                    return Ok(0);
                }
                let module = Module::new(
                    caller.engine(),
                    format!(
                        "(module (import \"\" \"make\" (func $make (param i32) (result i32)))
                       (memory (export \"m\") 1)
                       (func (export \"run\") (param i32) (result i32)
                         (i32.add (i32.const {n})
                           (call $make (i32.sub (local.get 0) (i32.const 1))))))"
                    ),
                )?;
                let next = Func::wrap(
                    &mut caller,
                    |mut caller: Caller<'_, Vec<Instance>>, n: i32| {
                        let last = *caller.data().last().expect("an instance");
                        if n <= 0 {
                            return 0;
                        }
                        let memory = last.get_memory(&mut caller, "m").unwrap();
                        memory.grow(&mut caller, 1).unwrap();
                        let run = last.get_typed_func::<i32, i32>(&mut caller, "run").unwrap();
                        run.call(&mut caller, n).unwrap()
                    },
                );
                let instance = Instance::new(&mut caller, &module, &[Extern::Func(next)])?;
                caller.data_mut().push(instance);
                let run = instance.get_typed_func::<i32, i32>(&mut caller, "run")?;
                run.call(&mut caller, n)
            },
        )
        .unwrap();
    let module = Module::new(
        &engine,
        "(module (import \"\" \"make\" (func $make (param i32) (result i32)))
           (func (export \"run\") (param i32) (result i32) (call $make (local.get 0))))",
    )
    .unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance
        .get_typed_func::<i32, i32>(&mut store, "run")
        .unwrap();
    for n in 1..20 {
        // Each level adds its own constant, and asks once per level below.
        assert_eq!(run.call(&mut store, n).unwrap(), n * n);
    }
}

/// 19: the same reference, passed very often, costs nothing to keep.
#[test]
fn one_reference_passed_a_million_times() {
    let engine = engine();
    let mut linker: Linker<usize> = Linker::new(&engine);
    linker
        .func_wrap(
            "",
            "pass",
            |mut caller: Caller<'_, usize>, reference: Option<Rooted<ExternRef>>| {
                *caller.data_mut() += 1;
                reference
            },
        )
        .unwrap();
    let module = Module::new(
        &engine,
        "(module (import \"\" \"pass\" (func $pass (param externref) (result externref)))
           (func (export \"run\") (param externref i32) (result externref)
             (loop $l
               (local.set 0 (call $pass (local.get 0)))
               (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
             (local.get 0)))",
    )
    .unwrap();
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let reference = ExternRef::new(&mut store, "x").unwrap();
    let run = instance
        .get_typed_func::<(Option<Rooted<ExternRef>>, i32), Option<Rooted<ExternRef>>>(
            &mut store, "run",
        )
        .unwrap();
    let back = run
        .call(&mut store, (Some(reference), 1_000_000))
        .unwrap()
        .unwrap();
    assert!(Rooted::ref_eq(&store, &reference, &back).unwrap());
    assert_eq!(*store.data(), 1_000_000);
}
