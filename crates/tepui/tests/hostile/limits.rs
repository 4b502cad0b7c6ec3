//! Do fuel, epochs and limiters count exactly, and stop every guest?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tepui::{
    Caller, Engine, Error, Extern, Func, Instance, Linker, Memory, MemoryType, Module, Store,
    StoreLimits, StoreLimitsBuilder, Trap, TypedFunc, UpdateDeadline,
};
use tepui_testing::patience::patience;

use crate::support::{engine, engine_with, trap_of};

fn fuel_engine() -> Engine {
    engine_with(|config| {
        config.consume_fuel(true);
    })
}

const WORK: &str = "(module
    (memory 1)
    (table 1 funcref) (elem (i32.const 0) $step)
    (func $step (param i64) (result i64)
      (if (result i64) (i64.eqz (i64.and (local.get 0) (i64.const 1)))
        (then (i64.shr_u (local.get 0) (i64.const 1)))
        (else (i64.add (i64.mul (local.get 0) (i64.const 3)) (i64.const 1)))))
    (func (export \"work\") (param i64) (result i64)
      (local $n i64)
      (block $out
        (loop $l
          (br_if $out (i64.le_u (local.get 0) (i64.const 1)))
          (local.set 0 (call_indirect (param i64) (result i64) (local.get 0) (i32.const 0)))
          (i64.store (i32.const 8) (local.get 0))
          (local.set $n (i64.add (local.get $n) (i64.const 1)))
          (br $l)))
      (local.get $n))
    (func (export \"none\"))
    (func (export \"three\") (result i32) (i32.add (i32.const 1) (i32.const 2)))
    (func (export \"spin\") (loop $l (br $l))))";

/// 23: the same program takes the same fuel, in engines of every kind; each
/// amount below it is too little, and that amount is enough.
#[test]
fn fuel_is_exact_and_the_same_everywhere() {
    let mut used_by: Option<Vec<u64>> = None;
    for change in 0..4 {
        let engine = engine_with(|config| {
            config.consume_fuel(true);
            match change {
                1 => {
                    config.memory_reservation(0);
                }
                2 => {
                    config.opt_level(tepui::OptLevel::None);
                }
                3 => {
                    config.epoch_interruption(true).spectre_hardening(false);
                }
                _ => {}
            }
        });
        let module = Module::new(&engine, WORK).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX);
        store.set_fuel(u64::MAX).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let work = instance
            .get_typed_func::<i64, i64>(&mut store, "work")
            .unwrap();
        let mut used = Vec::new();
        for n in [1, 2, 7, 27] {
            for available in [1_000_000, u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 63] {
                store.set_fuel(available).unwrap();
                assert_eq!(store.get_fuel().unwrap(), available);
                work.call(&mut store, n).unwrap();
                let took = available - store.get_fuel().unwrap();
                assert!(took > 0);
                if available == 1_000_000 {
                    used.push(took);
                } else {
                    assert_eq!(Some(&took), used.last(), "{n} with {available}");
                }
            }
        }
        assert!(used.windows(2).all(|pair| pair[0] < pair[1]), "{used:?}");
        match &used_by {
            None => used_by = Some(used.clone()),
            Some(first) => assert_eq!(*first, used, "engine {change}"),
        }
        // Enough is enough, one less is not.
        for (n, need) in [(1, used[0]), (7, used[2])] {
            for fuel in 0..=need + 1 {
                store.set_fuel(fuel).unwrap();
                match work.call(&mut store, n) {
                    // Straight code to the end of the call runs on credit, of
                    // which there is one.
                    Ok(_) if fuel < need => {
                        let what = format!("{n} with {fuel} of {need}");
                        assert!(fuel > 0 && need - fuel < 10, "{what}");
                        assert_eq!(store.get_fuel().unwrap(), 0, "{what}");
                        for _ in 0..3 {
                            let error = work.call(&mut store, n).unwrap_err();
                            assert_eq!(trap_of(&error), Trap::OutOfFuel, "{what}");
                        }
                    }
                    Ok(_) => assert_eq!(store.get_fuel().unwrap(), fuel - need),
                    Err(error) => {
                        assert!(fuel < need, "{n} with {fuel} of {need}");
                        assert_eq!(trap_of(&error), Trap::OutOfFuel);
                        assert_eq!(store.get_fuel().unwrap(), 0);
                    }
                }
            }
        }
    }
}

/// 23: no fuel, one unit, all that a number holds.
#[test]
fn extreme_fuel() {
    let engine = fuel_engine();
    let module = Module::new(&engine, WORK).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let spin = instance
        .get_typed_func::<(), ()>(&mut store, "spin")
        .unwrap();
    let three = instance
        .get_typed_func::<(), i32>(&mut store, "three")
        .unwrap();
    store.set_fuel(0).unwrap();
    for _ in 0..4 {
        let error = three.call(&mut store, ()).unwrap_err();
        assert_eq!(trap_of(&error), Trap::OutOfFuel, "nothing runs on no fuel");
        assert_eq!(store.get_fuel().unwrap(), 0);
    }
    for fuel in [0, 1, 2, 100] {
        for _ in 0..3 {
            store.set_fuel(fuel).unwrap();
            assert_eq!(
                trap_of(&spin.call(&mut store, ()).unwrap_err()),
                Trap::OutOfFuel
            );
            assert_eq!(store.get_fuel().unwrap(), 0);
            // A second call has nothing left to run on.
            assert_eq!(
                trap_of(&spin.call(&mut store, ()).unwrap_err()),
                Trap::OutOfFuel
            );
        }
    }
    // All fuel is more than a signed number holds.
    store.set_fuel(u64::MAX).unwrap();
    assert_eq!(three.call(&mut store, ()).unwrap(), 3);
    let left = store.get_fuel().unwrap();
    assert!(left < u64::MAX && left > u64::MAX - 20, "{left}");
    // An engine without fuel says so.
    let mut store = Store::new(&tepui::Engine::default(), ());
    assert!(store.set_fuel(1).is_err());
    assert!(store.get_fuel().is_err());
}

/// Resource accounting: fuel is looked at in straight code, in recursion, in
/// start functions, and by the host in between.
#[test]
fn fuel_stops_code_without_loops() {
    let engine = fuel_engine();
    let mut store = Store::new(&engine, ());
    // Two functions that call each other twice: 2^n calls without a loop.
    let text = "(module
        (import \"\" \"look\" (func $look))
        (func $f (export \"f\") (param i32)
          (if (local.get 0) (then
            (call $f (i32.sub (local.get 0) (i32.const 1)))
            (call $look)
            (call $f (i32.sub (local.get 0) (i32.const 1))))))
        (func $start (call $f (i32.const 40)))
        (start $start))";
    let module = Module::new(&engine, text).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let look = Func::wrap(&mut store, move |caller: Caller<'_, ()>| {
        counter.fetch_add(1, Ordering::Relaxed);
        assert!(caller.get_fuel().unwrap() <= 100_000);
    });
    store.set_fuel(100_000).unwrap();
    let error = Instance::new(&mut store, &module, &[look.into()]).unwrap_err();
    assert_eq!(trap_of(&error), Trap::OutOfFuel);
    let calls = seen.load(Ordering::Relaxed);
    assert!((1000..100_000).contains(&calls), "{calls}");

    // The host sees what is left at the call, and what it sets counts.
    let refuel = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| {
        let left = caller.get_fuel().unwrap();
        assert!(left < 1000);
        caller.set_fuel(1000).unwrap();
    });
    let text = "(module (import \"\" \"refuel\" (func $refuel))
        (func (export \"run\") (param i32)
          (loop $l
            (call $refuel)
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))";
    let module = Module::new(&engine, text).unwrap();
    let instance = Instance::new(&mut store, &module, &[refuel.into()]).unwrap();
    let run = instance
        .get_typed_func::<i32, ()>(&mut store, "run")
        .unwrap();
    store.set_fuel(500).unwrap();
    run.call(&mut store, 10_000).unwrap();
    let left = store.get_fuel().unwrap();
    assert!(left > 900 && left < 1000, "{left}");
}

fn epoch_engine() -> Engine {
    engine_with(|config| {
        config.epoch_interruption(true);
    })
}

/// 23: epoch deadlines of nothing and of everything.
#[test]
fn extreme_deadlines() {
    let engine = epoch_engine();
    let module = Module::new(&engine, WORK).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let three = instance
        .get_typed_func::<(), i32>(&mut store, "three")
        .unwrap();
    let error = three.call(&mut store, ()).unwrap_err();
    assert_eq!(trap_of(&error), Trap::Interrupt, "a new store has no time");
    for ticks in [1, 2, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX] {
        store.set_epoch_deadline(ticks);
        assert_eq!(three.call(&mut store, ()).unwrap(), 3, "{ticks}");
    }
    engine.increment_epoch();
    store.set_epoch_deadline(u64::MAX);
    assert_eq!(three.call(&mut store, ()).unwrap(), 3);
    store.set_epoch_deadline(0);
    assert_eq!(
        trap_of(&three.call(&mut store, ()).unwrap_err()),
        Trap::Interrupt
    );
    store.set_epoch_deadline(1);
    assert_eq!(three.call(&mut store, ()).unwrap(), 3);
    engine.increment_epoch();
    assert_eq!(
        trap_of(&three.call(&mut store, ()).unwrap_err()),
        Trap::Interrupt
    );
    // Callbacks that ask for nothing and for everything.
    for ticks in [u64::MAX, 1 << 63, 1] {
        store.epoch_deadline_callback(move |_| Ok(UpdateDeadline::Continue(ticks)));
        store.set_epoch_deadline(0);
        assert_eq!(three.call(&mut store, ()).unwrap(), 3, "{ticks}");
    }
}

/// Traps and preemption: another thread stops what never ends: a loop, a
/// recursion, a wait, a loop of host calls, a start function.
#[test]
fn another_thread_stops_the_guest() {
    let engine = epoch_engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"\" \"host\" (func $host))
           (memory 1 1 shared)
           (func (export \"loop\") (loop $l (br $l)))
           (func (export \"nested\")
             (local i32)
             (loop $a (loop $b (br_if $b (local.tee 0 (i32.eqz (local.get 0))))) (br $a)))
           (func $tail (export \"tail\") (return_call $tail))
           (func (export \"wait\")
             (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
           (func (export \"host\") (loop $l (call $host) (br $l)))
           (func $twice (export \"twice\") (param i32)
             (if (local.get 0) (then
               (call $twice (i32.sub (local.get 0) (i32.const 1)))
               (call $twice (i32.sub (local.get 0) (i32.const 1)))))))",
    )
    .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ticker = {
        let (engine, stop) = (engine.clone(), stop.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
                engine.increment_epoch();
            }
        })
    };
    let mut store = Store::new(&engine, ());
    let host = Func::wrap(&mut store, || {});
    let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
    let begin = Instant::now();
    for round in 0..3 {
        for name in ["loop", "nested", "tail", "wait", "host", "twice"] {
            store.set_epoch_deadline(2);
            let func = instance.get_func(&mut store, name).unwrap();
            let params: &[tepui::Val] = match name {
                "twice" => &[tepui::Val::I32(60)],
                _ => &[],
            };
            let error = func.call(&mut store, params, &mut []).unwrap_err();
            assert_eq!(trap_of(&error), Trap::Interrupt, "{name}, round {round}");
        }
        store.set_epoch_deadline(2);
        let start =
            Module::new(&engine, "(module (func $s (loop $l (br $l))) (start $s))").unwrap();
        store.set_epoch_deadline(2);
        let error = Instance::new(&mut store, &start, &[]).unwrap_err();
        assert_eq!(trap_of(&error), Trap::Interrupt);
    }
    assert!(begin.elapsed() < patience(30));
    stop.store(true, Ordering::Relaxed);
    ticker.join().unwrap();
}

/// 24: the callback grows the memory that the guest is using, calls the guest
/// again, makes instances, fails, panics.
#[test]
fn epoch_callbacks_do_everything() {
    struct Data {
        rounds: usize,
        memory: Option<Memory>,
        again: Option<TypedFunc<i32, i32>>,
        mode: u8,
    }
    let config_engine = |reservation: u64| {
        engine_with(|config| {
            config
                .epoch_interruption(true)
                .memory_reservation(reservation);
        })
    };
    for engine in [config_engine(4 << 30), config_engine(0)] {
        let module = Module::new(
            &engine,
            "(module (import \"\" \"tick\" (func $tick)) (memory (export \"m\") 1)
               (global $g (mut i32) (i32.const 0))
               (func (export \"run\") (param $n i32) (result i32)
                 (local $i i32)
                 (loop $l
                   (global.set $g (i32.add (global.get $g) (i32.const 1)))
                   (i32.store (i32.const 65532) (global.get $g))
                   (call $tick)
                   (if (i32.ne (i32.load (i32.const 65532)) (global.get $g)) (then unreachable))
                   (br_if $l (i32.lt_u
                     (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
                 (i32.add (local.get $i) (memory.size)))
               (func (export \"again\") (param i32) (result i32)
                 (i32.add (i32.load (i32.const 65532)) (local.get 0))))",
        )
        .unwrap();
        let small = Module::new(&engine, "(module (memory 1) (func (export \"f\")))").unwrap();
        let mut linker: Linker<Data> = Linker::new(&engine);
        linker
            .func_wrap("", "tick", |caller: Caller<'_, Data>| {
                caller.engine().increment_epoch();
            })
            .unwrap();
        let data = Data {
            rounds: 0,
            memory: None,
            again: None,
            mode: 0,
        };
        let mut store = Store::new(&engine, data);
        store.set_epoch_deadline(1);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        store.data_mut().memory = instance.get_memory(&mut store, "m");
        let again = instance
            .get_typed_func::<i32, i32>(&mut store, "again")
            .unwrap();
        store.data_mut().again = Some(again);
        let run = instance
            .get_typed_func::<i32, i32>(&mut store, "run")
            .unwrap();
        store.epoch_deadline_callback(move |mut context| {
            context.data_mut().rounds += 1;
            // Time for what the callback itself calls.
            context.set_epoch_deadline(1000);
            match context.data().mode {
                0 => {
                    let memory = context.data().memory.unwrap();
                    memory.grow(&mut context, 1)?;
                }
                1 => {
                    let again = context.data().again.unwrap();
                    let memory = context.data().memory.unwrap();
                    let found = again.call(&mut context, 5)?;
                    let mut bytes = [0; 4];
                    memory.read(&context, 65532, &mut bytes)?;
                    assert_eq!(found, i32::from_le_bytes(bytes) + 5);
                }
                2 => {
                    Instance::new(&mut context, &small, &[])?;
                }
                3 => return Err(Error::msg("the callback gives up")),
                4 => return Ok(UpdateDeadline::Interrupt),
                5 => panic!("the callback panics"),
                6 => {
                    // A call that is over time itself: the callback is not
                    // called while it runs.
                    context.set_epoch_deadline(0);
                    let again = context.data().again.unwrap();
                    let error = again.call(&mut context, 5).unwrap_err();
                    assert_eq!(trap_of(&error), Trap::Interrupt);
                }
                mode => unreachable!("mode {mode}"),
            }
            Ok(UpdateDeadline::Continue(1))
        });
        for mode in [0, 1, 2, 6, 0, 1] {
            store.data_mut().mode = mode;
            let before = store.data().rounds;
            store.set_epoch_deadline(1);
            let pages = store.data().memory.unwrap().size(&store) as i32;
            let result = run.call(&mut store, 30).unwrap();
            let rounds = store.data().rounds - before;
            assert!(rounds >= 29, "mode {mode}: {rounds}");
            let grown = if mode == 0 { rounds as i32 } else { 0 };
            assert_eq!(result, 30 + pages + grown, "mode {mode}");
        }
        for _ in 0..3 {
            store.data_mut().mode = 3;
            store.set_epoch_deadline(1);
            let error = run.call(&mut store, 30).unwrap_err();
            assert!(format!("{error:#}").contains("gives up"), "{error:?}");
            store.data_mut().mode = 4;
            store.set_epoch_deadline(1);
            assert_eq!(
                trap_of(&run.call(&mut store, 30).unwrap_err()),
                Trap::Interrupt
            );
            store.data_mut().mode = 5;
            store.set_epoch_deadline(1);
            let panic =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.call(&mut store, 30)));
            let payload = panic.unwrap_err();
            assert!(crate::support::panic_message(&*payload).contains("the callback panics"));
        }
        store.data_mut().mode = 1;
        store.set_epoch_deadline(1);
        run.call(&mut store, 10).unwrap();
    }
}

/// 23: limits of zero, of just enough, of all.
#[test]
fn store_limits_at_the_edges() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (memory (export \"m\") 1) (table 3 funcref)
           (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0))))",
    )
    .unwrap();
    let builder = StoreLimitsBuilder::new;
    let fails: &[(StoreLimits, &str)] = &[
        (builder().memory_size(0).build(), "memory"),
        (builder().memory_size(65535).build(), "memory"),
        (builder().table_elements(2).build(), "table"),
        (builder().instances(0).build(), "instances"),
        (builder().memories(0).build(), "memories"),
        (builder().tables(0).build(), "tables"),
    ];
    for (limits, what) in fails {
        let mut store = Store::new(&engine, limits.clone());
        store.limiter(|limits| limits);
        for _ in 0..3 {
            let error = Instance::new(&mut store, &module, &[]).unwrap_err();
            assert!(format!("{error:#}").contains(what), "{what}: {error:?}");
        }
        // The same store with more room.
        *store.data_mut() = builder().build();
        Instance::new(&mut store, &module, &[]).unwrap();
    }
    let most = builder()
        .memory_size(usize::MAX)
        .table_elements(usize::MAX)
        .instances(usize::MAX)
        .memories(usize::MAX)
        .tables(usize::MAX)
        .build();
    for limits in [
        most,
        builder()
            .memory_size(65536)
            .table_elements(3)
            .instances(1)
            .memories(1)
            .tables(1)
            .build(),
    ] {
        let exact = limits.clone();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let grow = instance
            .get_typed_func::<i32, i32>(&mut store, "grow")
            .unwrap();
        let tight = format!("{exact:?}").contains("65536");
        assert_eq!(grow.call(&mut store, 0).unwrap(), 1);
        assert_eq!(
            grow.call(&mut store, 1).unwrap(),
            if tight { -1 } else { 1 }
        );
        assert_eq!(grow.call(&mut store, -1).unwrap(), -1);
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!(memory.grow(&mut store, 1).is_err(), tight);
        assert_eq!(
            Memory::new(&mut store, MemoryType::new(0, None)).is_err(),
            tight
        );
        assert_eq!(Instance::new(&mut store, &module, &[]).is_err(), tight);
    }
}

/// 23: failed growth as a trap, and limiters that fail, panic and count.
#[test]
fn limiters_that_misbehave() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (memory (export \"m\") 1 10)
           (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0))))",
    )
    .unwrap();
    let mut store = Store::new(
        &engine,
        StoreLimitsBuilder::new()
            .memory_size(3 << 16)
            .trap_on_grow_failure(true)
            .build(),
    );
    store.limiter(|limits| limits);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let grow = instance
        .get_typed_func::<i32, i32>(&mut store, "grow")
        .unwrap();
    for _ in 0..3 {
        for delta in [3, 10, -1] {
            let error = grow.call(&mut store, delta).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.contains("forcing") && text.contains("memory"),
                "{text}"
            );
        }
    }
    assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
    let memory = instance.get_memory(&mut store, "m").unwrap();
    assert!(memory.grow(&mut store, 1).is_err());

    #[derive(Default)]
    struct Wild {
        mode: u8,
        asked: Vec<(usize, usize, Option<usize>)>,
        failed: usize,
    }
    impl tepui::ResourceLimiter for Wild {
        fn memory_growing(
            &mut self,
            current: usize,
            desired: usize,
            maximum: Option<usize>,
        ) -> tepui::Result<bool> {
            self.asked.push((current, desired, maximum));
            match self.mode {
                0 => Ok(true),
                1 => Ok(false),
                2 => Err(Error::msg("limiter error")),
                _ => panic!("limiter panic"),
            }
        }
        fn memory_grow_failed(&mut self, _: Error) -> tepui::Result<()> {
            self.failed += 1;
            Ok(())
        }
        fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> tepui::Result<bool> {
            Ok(true)
        }
    }
    let mut store = Store::new(&engine, Wild::default());
    store.limiter(|wild| wild);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let grow = instance
        .get_typed_func::<i32, i32>(&mut store, "grow")
        .unwrap();
    let page = 65536;
    assert_eq!(store.data().asked, [(0, page, Some(10 * page))]);
    assert_eq!(grow.call(&mut store, 1).unwrap(), 1);
    assert_eq!(store.data().asked[1], (page, 2 * page, Some(10 * page)));
    assert_eq!(grow.call(&mut store, 10).unwrap(), -1);
    assert_eq!(store.data().failed, 1, "beyond the maximum");
    for _ in 0..3 {
        store.data_mut().mode = 1;
        assert_eq!(grow.call(&mut store, 1).unwrap(), -1);
        store.data_mut().mode = 2;
        let error = grow.call(&mut store, 1).unwrap_err();
        assert!(format!("{error:#}").contains("limiter error"));
        store.data_mut().mode = 3;
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| grow.call(&mut store, 1)));
        assert_eq!(
            crate::support::panic_message(&*panic.unwrap_err()),
            "limiter panic"
        );
    }
    store.data_mut().mode = 0;
    assert_eq!(grow.call(&mut store, 1).unwrap(), 2);
}

/// Resource accounting: what a guest declares in vast numbers is counted.
#[test]
fn numbers_of_things_are_limited() {
    let engine = engine();
    for (text, what) in [
        (format!("(module {})", "(memory 0)".repeat(101)), "memor"),
        (
            format!("(module {})", "(table 0 funcref)".repeat(101)),
            "table",
        ),
    ] {
        // Over the decoder's limit, or over the store's.
        let result = Module::new(&engine, &text).and_then(|module| {
            let mut store = Store::new(
                &engine,
                StoreLimitsBuilder::new().memories(9).tables(9).build(),
            );
            store.limiter(|limits| limits);
            Instance::new(&mut store, &module, &[]).map(drop)
        });
        let error = result.unwrap_err();
        assert!(format!("{error:#}").contains(what), "{error:?}");
    }
    let mut linker: Linker<()> = Linker::new(&engine);
    let module = Module::new(&engine, "(module (func (export \"f\")))").unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    linker.instance(&mut store, "a", instance).unwrap();
    assert!(matches!(
        linker.get(&mut store, "a", "f"),
        Some(Extern::Func(_))
    ));
}
