//! Does baseline code count right, and does a call that leaves it in the middle of a
//! loop come to the same end?

use std::thread;
use std::time::Duration;

use tepui_module::DefinedFuncIndex;

use crate::compiled::profile::Counts;
use crate::{
    Caller, Config, Engine, Error, Extern, Func, Instance, Linker, Module, Profiling, Ref, Store,
    Strategy, Trap, Val, WasmBacktrace, WhenHot,
};

/// What a call did to a function that is nobody's.
const FOREIGN: u32 = u32::MAX;

fn config(calls: i32, rounds: i32, when_hot: WhenHot) -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Baseline).profiling(Profiling {
        calls,
        rounds,
        when_hot,
    });
    config
}

fn counting(text: &str) -> Module {
    let config = config(1000, 1000, WhenHot::GoOn);
    Module::new(&Engine::new(&config).unwrap(), text).unwrap()
}

fn instantiate(module: &Module) -> (Store<()>, Instance) {
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    (store, instance)
}

/// What was counted for a defined function.
fn counts(module: &Module, function: u32) -> Counts {
    let code = module.inner().code(module.engine().preferred()).unwrap();
    let profiles = code.compiled().unwrap().profiles().unwrap();
    profiles.counts(DefinedFuncIndex::new(function)).unwrap()
}

/// How often calls left the function at its loops.
fn exits(module: &Module, function: u32) -> u32 {
    counts(module, function).asked[1..].iter().sum()
}

#[test]
fn entries_and_rounds_are_counted_for_all_instances() {
    let module = counting(
        r#"(module
          (func $leaf (export "leaf") (param i32 f64) (result i32) (local.get 0))
          (func (export "rounds") (param $n i32) (local $j i32)
            (loop $outer
              (local.set $j (i32.const 3))
              (loop $inner
                (drop (call $leaf (i32.const 1) (f64.const 2)))
                (br_if $inner (local.tee $j (i32.sub (local.get $j) (i32.const 1)))))
              (br_if $outer (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (return)
            (loop $never (br $never)))
          (func (export "unused")))"#,
    );
    let (mut first, one) = instantiate(&module);
    let (mut second, other) = instantiate(&module);
    assert_eq!(
        (counts(&module, 0).calls, counts(&module, 1).calls),
        (1000, 1000)
    );
    for _ in 0..7 {
        let leaf = one.get_typed_func::<(i32, f64), i32>(&mut first, "leaf");
        assert_eq!(leaf.unwrap().call(&mut first, (5, 1.0)).unwrap(), 5);
    }
    let rounds = other
        .get_typed_func::<i32, ()>(&mut second, "rounds")
        .unwrap();
    rounds.call(&mut second, 10).unwrap();
    rounds.call(&mut second, 1).unwrap();
    let leaf = counts(&module, 0);
    assert_eq!(leaf.calls, 1000 - 7 - 33);
    let rounds = counts(&module, 1);
    assert_eq!(rounds.calls, 998);
    assert_eq!(rounds.loops, [1000 - 11, 1000 - 33, 1000]);
    assert_eq!(rounds.asked, [0, 0, 0, 0]);
    assert_eq!(counts(&module, 2).calls, 1000);
}

#[test]
fn the_runtime_is_asked_when_a_count_runs_out() {
    let text = r#"(module (func (export "f") (param $n i32) (param f32 v128 i64 i64 i64 i64 f64)
                      (result i32 i64 f64)
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $n) (local.get 6) (local.get 7)))"#;
    for (calls, rounds) in [(0, 0), (-5, -1), (1, 2), (3, 40)] {
        let config = config(calls, rounds, WhenHot::GoOn);
        let module = Module::new(&Engine::new(&config).unwrap(), text).unwrap();
        let (mut store, instance) = instantiate(&module);
        let run = instance.get_func(&mut store, "f").unwrap();
        let arguments = |n| {
            let mut values = vec![Val::I32(n), Val::from(1.5_f32), Val::V128(7.into())];
            values.extend((3..7).map(Val::I64));
            values.push(Val::from(2.5_f64));
            values
        };
        let mut seen = Vec::new();
        for _ in 0..6 {
            let mut results = [Val::I32(0), Val::I32(0), Val::I32(0)];
            run.call(&mut store, &arguments(9), &mut results).unwrap();
            // What lies in registers outlives the question.
            assert_eq!(results[0].unwrap_i32(), 0);
            assert_eq!(results[1].unwrap_i64(), 6);
            assert_eq!(results[2].unwrap_f64(), 2.5);
            seen.push(counts(&module, 0).asked);
        }
        // At the event after those that are let pass, and then no more.
        let expected: Vec<_> = (1..=6)
            .map(|n| {
                vec![
                    u32::from(n > calls.max(0)),
                    u32::from(9 * n > rounds.max(0)),
                ]
            })
            .collect();
        assert_eq!(seen, expected, "{calls} {rounds}");
    }
}

/// Targets, leads and calls of the records of a function.
fn records(module: &Module, function: u32) -> Vec<(u32, u32, u32)> {
    let sites = counts(module, function).sites;
    sites
        .iter()
        .map(|site| (site.target, site.lead, site.calls))
        .collect()
}

#[test]
fn targets_of_indirect_calls_are_recorded() {
    let module = counting(
        r#"(module
          (type $t (func (param i32) (result i32)))
          (type $open (sub (func (param i32) (result i32))))
          (import "" "host" (func $host (type $t)))
          (table $any (export "table") 6 funcref)
          (table $typed 2 (ref null $t))
          (elem (table $any) (i32.const 0) func $a $b $host)
          (elem (table $typed) (i32.const 0) (ref null $t) (ref.func $a))
          (func $a (type $t) (local.get 0))
          (func $b (type $t) (i32.add (local.get 0) (i32.const 1)))
          (func (export "indirect") (param i32) (result i32)
            (call_indirect $any (type $t) (i32.const 10) (local.get 0)))
          (func (export "two") (param i32 i32) (result i32)
            (call_indirect $any (type $t) (i32.const 10) (local.get 0))
            (return_call_indirect $any (type $t) (local.get 1)))
          (func (export "reference") (param i32) (result i32)
            (drop (call_ref $t (i32.const 1) (table.get $typed (local.get 0))))
            (return_call_ref $t (i32.const 4) (table.get $typed (local.get 0))))
          (func (export "typed") (param i32) (result i32)
            (call_indirect $typed (type $t) (i32.const 6) (local.get 0))))"#,
    );
    let mut store = Store::new(module.engine(), ());
    let mut linker = Linker::new(module.engine());
    linker.func_wrap("", "host", |x: i32| x * 2).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let other = linker.instantiate(&mut store, &module).unwrap();
    // A function of another instance of the same module.
    let table = instance.get_table(&mut store, "table").unwrap();
    let foreign = other.get_table(&mut store, "table").unwrap();
    let foreign = foreign.get(&mut store, 0).unwrap();
    table.set(&mut store, 3, foreign).unwrap();

    let indirect = instance
        .get_typed_func::<i32, i32>(&mut store, "indirect")
        .unwrap();
    let mut call = |element, result| {
        assert_eq!(indirect.call(&mut store, element).unwrap(), result);
        records(&module, 2)
    };
    assert_eq!(call(1, 11), [(1, 1, 1)]);
    assert_eq!(call(1, 11), [(1, 2, 2)]);
    assert_eq!(call(0, 10), [(1, 1, 3)]);
    assert_eq!(call(2, 20), [(1, 0, 4)]);
    assert_eq!(call(2, 20), [(FOREIGN, 1, 5)]);
    assert_eq!(call(3, 10), [(FOREIGN, 2, 6)]);
    for _ in 0..5 {
        call(0, 10);
    }
    assert_eq!(records(&module, 2), [(0, 3, 11)]);
    // What traps is not recorded, and traps as ever.
    for (element, trap) in [
        (5, Trap::IndirectCallToNull),
        (6, Trap::TableOutOfBounds),
        (-1, Trap::TableOutOfBounds),
    ] {
        let error = indirect.call(&mut store, element).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&trap));
    }
    assert_eq!(records(&module, 2), [(0, 3, 11)]);

    let two = instance
        .get_typed_func::<(i32, i32), i32>(&mut store, "two")
        .unwrap();
    assert_eq!(two.call(&mut store, (1, 2)).unwrap(), 22);
    assert_eq!(two.call(&mut store, (1, 0)).unwrap(), 11);
    assert_eq!(records(&module, 3), [(1, 2, 2), (FOREIGN, 0, 2)]);

    for (name, result, trap) in [
        ("reference", 4, Trap::NullReference),
        ("typed", 6, Trap::IndirectCallToNull),
    ] {
        let run = instance
            .get_typed_func::<i32, i32>(&mut store, name)
            .unwrap();
        assert_eq!(run.call(&mut store, 0).unwrap(), result, "{name}");
        let error = run.call(&mut store, 1).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&trap), "{name}");
    }
    assert_eq!(records(&module, 4), [(0, 1, 1), (0, 1, 1)]);
    assert_eq!(records(&module, 5), [(0, 1, 1)]);
    // Each stands for its instruction.
    let bytes = module.binary();
    for (function, opcodes) in [(2, &[0x11][..]), (3, &[0x11, 0x13]), (4, &[0x14, 0x15])] {
        let sites = counts(&module, function).sites;
        let found: Vec<_> = sites.iter().map(|s| bytes[s.position as usize]).collect();
        assert_eq!(found, opcodes);
    }
}

/// Programs whose loops hold values of every type, in locals and on the stack; each
/// exports `f` from an `i32` to a list of results.
const LOOPS: &[(&str, &str)] = &[
    (
        "every type in locals, and on the stack",
        r#"(module
          (type $t (func (result i32)))
          (table $refs 3 externref)
          (func $seven (type $t) (i32.const 7))
          (elem declare func $seven)
          (func (export "f") (param $n i32) (result i64 i32 f32 f64 v128 i32 i32 i64)
            (local $a i64) (local $b f32) (local $c f64) (local $v v128)
            (local $r (ref null $t)) (local $unset funcref) (local $x externref) (local $i i32)
            (local.set $v (v128.const i64x2 3 5))
            ;; Below the loop: a constant, a value of each register class, a reference.
            (i64.const 0x123456789a)
            (i32.add (local.get $n) (i32.const 5))
            (f32.const 1.25)
            (f64.convert_i32_s (local.get $n))
            (i64x2.add (local.get $v) (local.get $v))
            (ref.func $seven)
            (ref.null extern)
            ;; Parameters of the loop.
            (i32.const 2) (i64.const -3)
            (loop $l (param i32 i64) (result i32 i64)
              (i64.sub (i64.extend_i32_s (local.get $i)))
              (local.set $a (i64.add (local.get $a) (i64.const 3)))
              (local.set $b (f32.add (local.get $b) (f32.const 0.5)))
              (local.set $c (f64.sub (local.get $c) (f64.const 0.25)))
              (local.set $v (i32x4.add (local.get $v) (v128.const i32x4 1 2 3 4)))
              (if (i32.and (local.get $i) (i32.const 1)) (then (local.set $r (ref.func $seven))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
            ;; Everything into the results.
            (local.set $a (i64.add (local.get $a)))
            (local.set $i (i32.add (local.get $i)))
            (ref.is_null) (local.set $i (i32.add (local.get $i)))
            (call_ref $t) (local.set $i (i32.add (local.get $i)))
            (local.set $i (i32.add (local.get $i) (i32.mul (i32.const 1000) (ref.is_null (local.get $unset)))))
            (local.set $i (i32.add (local.get $i) (i32.mul (i32.const 100) (ref.is_null (local.get $x)))))
            (local.set $v (i64x2.add (local.get $v)))
            (local.set $c (f64.add (local.get $c)))
            (local.set $b (f32.add (local.get $b)))
            (local.get $b) (local.get $c) (local.get $v)
            (if (result i32) (ref.is_null (local.get $r)) (then (i32.const -1))
              (else (call_ref $t (local.get $r))))
            (local.get $i) (local.get $a)))"#,
    ),
    (
        "three loops in one another, with values below each",
        r#"(module
          (func (export "f") (param $n i32) (result i64) (local $i i32) (local $j i32) (local $k i32)
            (i64.const 1)
            (loop $a (param i64) (result i64)
              (local.set $j (i32.const 0))
              (i64.const 10) (local.get $i)
              (block $out (param i32)
                (drop)
                (loop $b
                  (local.set $k (i32.const 0))
                  (f64.convert_i32_s (local.get $j))
                  (loop $c (param f64) (result f64)
                    (f64.add (f64.const 0.5))
                    (br_if $c (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
                  (br_if $out (f64.gt (f64.const 1e9)))
                  (br_if $b (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n)))))
              (i64.mul) (i64.add (i64.extend_i32_u (i32.mul (local.get $j) (local.get $k))))
              (br_if $a (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))))"#,
    ),
    (
        "memory, globals, calls and a loop in only one arm",
        r#"(module
          (memory 1) (global $g (mut i64) (i64.const 0))
          (func $add (param i32 i64) (result i64)
            (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
          (func (export "f") (param $n i32) (result i64) (local $i i32)
            (if (i32.eqz (local.get $n)) (then (return (i64.const -1))))
            (if (i32.gt_s (local.get $n) (i32.const 3)) (then
              (loop $l
                (i64.store (i32.mul (local.get $i) (i32.const 8)) (global.get $g))
                (global.set $g (call $add (local.get $i) (global.get $g)))
                (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))
            (else
              (loop $m
                (global.set $g (i64.add (global.get $g) (i64.const 100)))
                (br_if $m (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
            (i64.add (global.get $g)
              (i64.load (i32.mul (i32.sub (local.get $i) (i32.const 1)) (i32.const 8))))))"#,
    ),
    (
        "more parameters and results than registers",
        r#"(module
          (func $many (param i32 i32 i32 i32 i32 i64 f64 f64 f64 f64 f64 f64 f64 f64 f64 v128)
              (result i32 i32 i32 i32 i32 i32 i32 i32 i64 v128 f64 i32)
            (local $i i32)
            (loop $l
              (local.set 4 (i32.add (local.get 4) (local.get 0)))
              (local.set 5 (i64.add (local.get 5) (i64.const 1)))
              (local.set 14 (f64.add (local.get 14) (f64.const 1)))
              (local.set 15 (i32x4.add (local.get 15) (local.get 15)))
              (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 3))))
            (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get $i)
            (i32.const 6) (i32.const 7) (local.get 5) (local.get 15) (local.get 14) (i32.const 9))
          (func (export "f") (param i32) (result i32 i32 i32 i32 i32 i32 i32 i32 i64 v128 f64 i32)
            (call $many (local.get 0) (i32.const 2) (i32.const 3) (local.get 0) (i32.const 5)
              (i64.const 6) (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5)
              (f64.const 6) (f64.const 7) (f64.const 8) (f64.const 9) (v128.const i64x2 1 2))))"#,
    ),
];

/// The results of `f` for each argument.
fn results(module: &Module) -> Vec<String> {
    let (mut store, instance) = instantiate(module);
    let run = instance.get_func(&mut store, "f").unwrap();
    let count = run.ty(&store).results().len();
    [1, 2, 3, 4, 5, 9, 30, 100, 7]
        .into_iter()
        .map(|n| {
            let mut results = vec![Val::I32(0); count];
            match run.call(&mut store, &[Val::I32(n)], &mut results) {
                Ok(()) => format!("{results:?}"),
                Err(error) => format!("{:?}", error.downcast_ref::<Trap>()),
            }
        })
        .collect()
}

#[test]
fn calls_that_leave_in_a_loop_come_to_the_same_end() {
    for (name, text) in LOOPS {
        let mut plain = Config::new();
        plain.strategy(Strategy::Baseline);
        let expected = results(&Module::new(&Engine::new(&plain).unwrap(), text).unwrap());
        for rounds in [0, 1, 2, 7, 50] {
            for checked in [false, true] {
                let mut config = config(i32::MAX, rounds, WhenHot::Optimize);
                if checked {
                    config.memory_reservation(0);
                }
                let module = Module::new(&Engine::new(&config).unwrap(), text).unwrap();
                assert_eq!(results(&module), expected, "{name}, after {rounds}");
                let functions = module.inner().module().defined_function_count();
                let exits: u32 = (0..functions)
                    .map(|function| exits(&module, function))
                    .sum();
                assert!(exits > 0, "{name} was never left, after {rounds}");
            }
        }
    }
}

#[test]
fn each_loop_of_a_nest_can_be_left() {
    let text = LOOPS[1].1;
    let mut plain = Config::new();
    plain.strategy(Strategy::Baseline);
    let expected = results(&Module::new(&Engine::new(&plain).unwrap(), text).unwrap());
    // With the counts that inner loops take much faster, outer loops are left only if
    // the inner ones are not.
    for hot in 0..3 {
        let engine = Engine::new(&config(i32::MAX, i32::MAX, WhenHot::Optimize)).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let code = module.inner().code(engine.preferred()).unwrap();
        let profiles = code.compiled().unwrap().profiles().unwrap();
        profiles.set_rounds(DefinedFuncIndex::new(0), hot, 5);
        assert_eq!(results(&module), expected, "loop {hot}");
        let asked = counts(&module, 0).asked;
        assert_eq!(asked[1 + hot as usize], 1, "loop {hot}: {asked:?}");
    }
}

#[test]
fn hot_functions_get_better_code() {
    let engine = Engine::new(&config(3, i32::MAX, WhenHot::Optimize)).unwrap();
    let module = Module::new(
        &engine,
        r#"(module
          (func $fib (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
              (then (local.get 0))
              (else (i32.add
                (call $fib (i32.sub (local.get 0) (i32.const 1)))
                (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#,
    )
    .unwrap();
    let code = module.inner().code(engine.preferred()).unwrap();
    let slots = code.compiled().unwrap().slots();
    let before = slots.load(0);
    let (mut store, instance) = instantiate(&module);
    let fib = instance
        .get_typed_func::<i32, i32>(&mut store, "fib")
        .unwrap();
    assert_eq!(fib.call(&mut store, 1).unwrap(), 1);
    assert_eq!(slots.load(0), before);
    assert_eq!(fib.call(&mut store, 20).unwrap(), 6765);
    assert_ne!(slots.load(0), before);
    assert_eq!(counts(&module, 0).asked, [1]);
    // Its calls are not counted any more.
    let left = counts(&module, 0).calls;
    assert_eq!(fib.call(&mut store, 15).unwrap(), 610);
    assert_eq!(counts(&module, 0).calls, left);
}

#[test]
fn fuel_is_the_same_wherever_a_call_goes_on() {
    for (name, text) in LOOPS {
        let spent = |profiling: Option<Profiling>| -> Vec<_> {
            let mut config = Config::new();
            config.strategy(Strategy::Baseline).consume_fuel(true);
            if let Some(profiling) = profiling {
                config.profiling(profiling);
            }
            let module = Module::new(&Engine::new(&config).unwrap(), text).unwrap();
            // With plenty, and so that it ends in a loop.
            [u64::MAX / 4, 800, 60, 20]
                .into_iter()
                .map(|fuel| {
                    let (mut store, instance) = {
                        let mut store = Store::new(module.engine(), ());
                        store.set_fuel(fuel).unwrap();
                        let instance = Instance::new(&mut store, &module, &[]).unwrap();
                        (store, instance)
                    };
                    let run = instance.get_func(&mut store, "f").unwrap();
                    let count = run.ty(&store).results().len();
                    let mut results = vec![Val::I32(0); count];
                    let ended = run
                        .call(&mut store, &[Val::I32(20)], &mut results)
                        .map_err(|error| place(&error));
                    (ended, store.get_fuel().unwrap())
                })
                .collect()
        };
        let expected = spent(None);
        assert!(expected.iter().any(|(ended, _)| ended.is_err()), "{name}");
        for rounds in [0, 1, 5] {
            let profiling = Profiling {
                calls: i32::MAX,
                rounds,
                when_hot: WhenHot::Optimize,
            };
            assert_eq!(spent(Some(profiling)), expected, "{name}, after {rounds}");
        }
    }
}

/// The trap and where it was.
fn place(error: &Error) -> (Option<Trap>, Vec<(u32, Option<usize>)>) {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = backtrace.map_or(&[][..], |backtrace| backtrace.frames());
    (
        error.downcast_ref::<Trap>().copied(),
        frames
            .iter()
            .map(|frame| (frame.func_index(), frame.module_offset()))
            .collect(),
    )
}

#[test]
fn endless_loops_are_left_and_can_be_interrupted() {
    let text = r#"(module (memory 1)
        (func (export "f") (result i64) (local $n i64)
          (i64.const 5)
          (loop $l (param i64)
            (local.set $n (i64.add (local.get $n)))
            (i64.store (i32.const 0) (local.get $n))
            (i64.const 1)
            (br $l))
          (unreachable)))"#;
    let mut config = config(0, 100, WhenHot::Optimize);
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, text).unwrap();
    let (mut store, instance) = instantiate(&module);
    store.set_epoch_deadline(1);
    let run = instance.get_typed_func::<(), i64>(&mut store, "f").unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while exits(&module, 0) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            engine.increment_epoch();
        });
        run.call(&mut store, ()).unwrap_err()
    });
    let (trap, frames) = place(&error);
    assert_eq!(trap, Some(Trap::Interrupt));
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].0, 0);
    assert_eq!(exits(&module, 0), 1);
}

#[test]
fn traps_behind_an_exit_have_their_place() {
    let text = r#"(module (memory 1)
        (func $callee (param i32) (result i32) (i32.load (local.get 0)))
        (func $looping (param $at i32) (result i32)
          (loop $l
            (drop (call $callee (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br $l))
          (unreachable))
        (func (export "f") (param i32) (result i32) (i32.add (i32.const 1) (call $looping (local.get 0)))))"#;
    let run = |config: &Config| {
        let module = Module::new(&Engine::new(config).unwrap(), text).unwrap();
        let (mut store, instance) = instantiate(&module);
        let run = instance
            .get_typed_func::<i32, i32>(&mut store, "f")
            .unwrap();
        let places = [0, 4, 65530].map(|at| place(&run.call(&mut store, at).unwrap_err()));
        (module, places)
    };
    let mut plain = Config::new();
    plain.strategy(Strategy::Baseline);
    let (_, expected) = run(&plain);
    assert!(
        expected
            .iter()
            .all(|(trap, frames)| { *trap == Some(Trap::MemoryOutOfBounds) && frames.len() == 3 })
    );
    for rounds in [0, 3] {
        let (module, places) = run(&config(2, rounds, WhenHot::Optimize));
        assert_eq!(places, expected, "after {rounds}");
        assert!(exits(&module, 1) > 0);
    }
}

#[test]
fn the_host_may_enter_again_from_a_loop_that_was_left() {
    let engine = Engine::new(&config(i32::MAX, 2, WhenHot::Optimize)).unwrap();
    let module = Module::new(
        &engine,
        r#"(module
          (import "" "again" (func $again (param i32) (result i32)))
          (func (export "f") (param $depth i32) (result i32) (local $i i32) (local $sum i32)
            (i32.const 1000)
            (loop $l (param i32) (result i32)
              (local.set $sum (i32.add (local.get $sum)
                (if (result i32) (local.get $depth)
                  (then (call $again (i32.sub (local.get $depth) (i32.const 1))))
                  (else (i32.const 1)))))
              (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
            (i32.add (local.get $sum))))"#,
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let again = Func::wrap(
        &mut store,
        |mut caller: Caller<'_, ()>, depth: i32| -> i32 {
            let f = caller.get_export("f").and_then(Extern::into_func).unwrap();
            let f = f.typed::<i32, i32>(&caller).unwrap();
            f.call(&mut caller, depth).unwrap()
        },
    );
    let instance = Instance::new(&mut store, &module, &[again.into()]).unwrap();
    let f = instance
        .get_typed_func::<i32, i32>(&mut store, "f")
        .unwrap();
    let expected = |depth| (0..depth).fold(1005, |sum, _| 1000 + 5 * sum);
    for depth in [0, 1, 4, 2] {
        assert_eq!(f.call(&mut store, depth).unwrap(), expected(depth));
    }
    assert!(exits(&module, 0) > 3);
}

#[test]
fn loops_over_too_many_values_are_never_left() {
    let values = "(i64.const 1)".repeat(65);
    let adds = "(i64.add)".repeat(64);
    let text = format!(
        r#"(module (func (export "f") (param $n i32) (result i64)
          {values}
          (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          {adds}))"#
    );
    let engine = Engine::new(&config(i32::MAX, 5, WhenHot::Optimize)).unwrap();
    let module = Module::new(&engine, text).unwrap();
    let (mut store, instance) = instantiate(&module);
    let f = instance
        .get_typed_func::<i32, i64>(&mut store, "f")
        .unwrap();
    assert_eq!(f.call(&mut store, 100).unwrap(), 65);
    assert_eq!(counts(&module, 0).asked, [0, 1]);
}

#[test]
fn references_of_the_host_survive_an_exit() {
    let engine = Engine::new(&config(i32::MAX, 3, WhenHot::Optimize)).unwrap();
    let module = Module::new(
        &engine,
        r#"(module (func (export "f") (param $x externref) (param $n i32) (result externref externref)
          (local $y externref)
          (local.get $x)
          (loop $l
            (local.set $y (local.get $x))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (local.get $y)))"#,
    )
    .unwrap();
    let (mut store, instance) = instantiate(&module);
    let f = instance.get_func(&mut store, "f").unwrap();
    let reference = crate::ExternRef::new(&mut store, "something".to_owned()).unwrap();
    let mut results = [Val::I32(0), Val::I32(0)];
    let arguments = [Val::ExternRef(Some(reference)), Val::I32(20)];
    f.call(&mut store, &arguments, &mut results).unwrap();
    for result in results {
        let Some(Ref::Extern(Some(reference))) = result.ref_() else {
            panic!("{result:?}")
        };
        let data = reference.data(&store).unwrap().unwrap();
        assert_eq!(data.downcast_ref::<String>().unwrap(), "something");
    }
    assert_eq!(exits(&module, 0), 1);
}

#[test]
fn images_keep_what_is_counted_and_are_not_mixed_up() {
    let text = LOOPS[0].1;
    let counting = Engine::new(&config(1000, 5, WhenHot::Optimize)).unwrap();
    let mut plain = Config::new();
    plain.strategy(Strategy::Baseline);
    let plain = Engine::new(&plain).unwrap();
    let [image, other] = [&counting, &plain].map(|engine| {
        let module = Module::new(engine, text).unwrap();
        module.serialize().unwrap()
    });
    // SAFETY: made just now.
    let module = unsafe { Module::deserialize(&counting, &image) }.unwrap();
    assert_eq!(
        results(&module),
        results(&Module::new(&plain, text).unwrap())
    );
    assert!(exits(&module, 1) > 0);
    assert_eq!(counts(&module, 1).sites.len(), 2);
    for (engine, image) in [(&plain, &image), (&counting, &other)] {
        // SAFETY: as above.
        let error = unsafe { Module::deserialize(engine, image) }.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("another configuration"), "{message}");
    }
}

#[test]
fn threads_share_counts_and_better_code() {
    let engine = Engine::new(&config(200, 300, WhenHot::Optimize)).unwrap();
    let module = Module::new(&engine, LOOPS[1].1).unwrap();
    let mut plain = Config::new();
    plain.strategy(Strategy::Baseline);
    let plain = Module::new(&Engine::new(&plain).unwrap(), LOOPS[1].1).unwrap();
    let expected = results(&plain);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(results(&module), expected);
                }
            });
        }
    });
    assert!(exits(&module, 0) > 0);
}
