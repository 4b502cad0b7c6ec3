//! Calls between host and guest, both ways and one inside the other, in every
//! tier and with the tiers mixed: what is interpreted is called without a stub, and
//! nobody must be able to tell.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tepui::{
    AsContextMut, Caller, Config, Engine, Error, Extern, Func, FuncType, Instance, Linker, Module,
    Result, Store, Strategy, Trap, V128, Val, ValType, WasmBacktrace,
};

/// Engines of each tier, and some that mix them.
fn engines() -> Vec<(String, Engine)> {
    let mixed = (0..6).map(|seed| Strategy::Mixed { seed });
    Strategy::AVAILABLE
        .iter()
        .copied()
        .chain(mixed)
        .map(|strategy| {
            let mut config = Config::new();
            config.strategy(strategy);
            (strategy.to_string(), Engine::new(&config).unwrap())
        })
        .collect()
}

fn run(test: impl Fn(&Engine)) {
    for (name, engine) in engines() {
        println!("tier {name}");
        test(&engine);
    }
}

fn instantiate(engine: &Engine, linker: &Linker<()>, text: &str) -> (Store<()>, Instance) {
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn exported(caller: &mut Caller<'_, ()>, name: &str) -> Func {
    caller
        .get_export(name)
        .and_then(Extern::into_func)
        .expect("an exported function")
}

fn names(error: &Error) -> Vec<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = backtrace.expect("a backtrace").frames();
    frames
        .iter()
        .map(|frame| frame.func_name().unwrap_or("?").to_owned())
        .collect()
}

/// Guest and host call each other to any depth, and the stack ends in a trap.
#[test]
fn recursion_through_the_host_ends_in_a_trap() {
    run(|engine| {
        let mut linker = Linker::<()>::new(engine);
        linker
            .func_wrap(
                "",
                "again",
                |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
                    let down = exported(&mut caller, "down").typed::<i32, i32>(&caller)?;
                    down.call(&mut caller, n)
                },
            )
            .unwrap();
        let (mut store, instance) = instantiate(
            engine,
            &linker,
            r#"(module
                 (import "" "again" (func $again (param i32) (result i32)))
                 (func (export "down") (param i32) (result i32)
                   (if (result i32) (i32.eqz (local.get 0))
                     (then (i32.const 0))
                     (else (i32.add (i32.const 1)
                       (call $again (i32.sub (local.get 0) (i32.const 1))))))))"#,
        );
        let down = instance
            .get_typed_func::<i32, i32>(&mut store, "down")
            .unwrap();
        for depth in [0, 1, 50] {
            assert_eq!(down.call(&mut store, depth).unwrap(), depth);
        }
        let error = down.call(&mut store, i32::MAX).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
        assert_eq!(down.call(&mut store, 50).unwrap(), 50);
    });
}

/// A level of a host that calls an interpreted guest that calls the host takes little
/// of the stack, even where nothing is optimized.
#[test]
fn interpreted_levels_take_little_stack() {
    const LEVELS: i32 = 60;
    let test = || {
        let mut config = Config::new();
        config.strategy(Strategy::Interpreter);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker
            .func_wrap(
                "",
                "again",
                |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
                    let down = exported(&mut caller, "down").typed::<i32, i32>(&caller)?;
                    down.call(&mut caller, n)
                },
            )
            .unwrap();
        let (mut store, instance) = instantiate(
            &engine,
            &linker,
            r#"(module
                 (import "" "again" (func $again (param i32) (result i32)))
                 (func (export "down") (param i32) (result i32)
                   (if (result i32) (i32.eqz (local.get 0))
                     (then (i32.const 0))
                     (else (call $again (i32.sub (local.get 0) (i32.const 1)))))))"#,
        );
        let down = instance
            .get_typed_func::<i32, i32>(&mut store, "down")
            .unwrap();
        assert_eq!(down.call(&mut store, LEVELS).unwrap(), 0);
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(test).unwrap().join().unwrap();
}

/// The limit of the outermost call holds for those inside of it.
#[test]
fn nested_calls_share_one_stack_limit() {
    for strategy in Strategy::AVAILABLE {
        let mut config = Config::new();
        config.strategy(*strategy).max_wasm_stack(64 << 10);
        let engine = Engine::new(&config).unwrap();
        let deepest = Arc::new(AtomicU32::new(0));
        let mut linker = Linker::<()>::new(&engine);
        let seen = deepest.clone();
        linker
            .func_wrap(
                "",
                "again",
                move |mut caller: Caller<'_, ()>| -> Result<()> {
                    seen.fetch_add(1, Ordering::Relaxed);
                    let down = exported(&mut caller, "down").typed::<(), ()>(&caller)?;
                    down.call(&mut caller, ())
                },
            )
            .unwrap();
        let (mut store, instance) = instantiate(
            &engine,
            &linker,
            r#"(module (import "" "again" (func $again)) (export "again" (func $again))
                 (func (export "down") (call $again)))"#,
        );
        let down = instance
            .get_typed_func::<(), ()>(&mut store, "down")
            .unwrap();
        let mut depth = || {
            deepest.store(0, Ordering::Relaxed);
            let error = down.call(&mut store, ()).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
            deepest.load(Ordering::Relaxed)
        };
        let first = depth();
        assert!(first < 300, "{strategy}: {first} levels in 64 KiB");
        assert_eq!(depth(), first, "{strategy}");
    }
}

/// Errors, traps and panics pass through any number of calls, and leave a store
/// that can be used.
#[test]
fn errors_traps_and_panics_pass_through() {
    #[derive(Debug)]
    struct Mine(i32);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "mine {}", self.0)
        }
    }
    impl std::error::Error for Mine {}

    run(|engine| {
        let mut linker = Linker::<()>::new(engine);
        linker
            .func_wrap("", "end", |how: i32| -> Result<i32> {
                match how {
                    0 => Ok(7),
                    1 => Err(Error::new(Mine(41))),
                    2 => Err(Trap::IntegerOverflow.into()),
                    _ => panic!("a panic of the host"),
                }
            })
            .unwrap();
        linker
            .func_wrap(
                "",
                "inner",
                |mut caller: Caller<'_, ()>, depth: i32, how: i32| -> Result<i32> {
                    let function = exported(&mut caller, "f").typed::<(i32, i32), i32>(&caller)?;
                    function.call(&mut caller, (depth, how))
                },
            )
            .unwrap();
        let (mut store, instance) = instantiate(
            engine,
            &linker,
            r#"(module
                 (import "" "end" (func $end (param i32) (result i32)))
                 (import "" "inner" (func $inner (param i32 i32) (result i32)))
                 (func $deeper (param i32 i32) (result i32)
                   (call $inner (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))
                 (func $f (export "f") (param i32 i32) (result i32)
                   (if (local.get 0) (then
                     (return (call $deeper (local.get 0) (local.get 1)))))
                   (if (i32.eq (local.get 1) (i32.const 4)) (then (unreachable)))
                   (call $end (local.get 1))))"#,
        );
        let f = instance
            .get_typed_func::<(i32, i32), i32>(&mut store, "f")
            .unwrap();
        for depth in 0..4 {
            assert_eq!(f.call(&mut store, (depth, 0)).unwrap(), 7);
            let error = f.call(&mut store, (depth, 1)).unwrap_err();
            assert_eq!(error.downcast_ref::<Mine>().unwrap().0, 41);
            let error = f.call(&mut store, (depth, 2)).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerOverflow));
            let panic = catch_unwind(AssertUnwindSafe(|| f.call(&mut store, (depth, 3))));
            assert_eq!(
                panic.unwrap_err().downcast_ref::<&str>(),
                Some(&"a panic of the host")
            );
            let error = f.call(&mut store, (depth, 4)).unwrap_err();
            assert_eq!(
                error.downcast_ref::<Trap>(),
                Some(&Trap::UnreachableCodeReached)
            );
            // All frames, whoever called them, innermost first.
            let mut expected = vec!["f"];
            for _ in 0..depth {
                expected.extend(["deeper", "f"]);
            }
            assert_eq!(names(&error), expected, "depth {depth}");
        }
    });
}

/// A host function is called, tail-called, called through a table and by reference,
/// with values of every type, more than there are registers.
#[test]
fn values_of_every_type_reach_the_host_and_come_back() {
    const TYPES: &str = "i32 i64 f32 f64 v128 i32 i64 f32 f64 v128 externref funcref i64 i64 i64";
    let kinds: Vec<_> = TYPES.split(' ').collect();
    let gets: String = (0..kinds.len())
        .map(|i| format!("(local.get {i})"))
        .collect();
    let text = format!(
        r#"(module
             (type $t (func (param {TYPES}) (result {TYPES})))
             (import "" "turn" (func $turn (type $t)))
             (table funcref (elem $turn))
             (func (export "call") (type $t) {gets} (call $turn))
             (func (export "tail") (type $t) {gets} (return_call $turn))
             (func $deep (export "deep") (type $t) {gets} (return_call $tail))
             (func $tail (type $t) {gets} (return_call $turn))
             (func (export "outer") (type $t) {gets} (call $deep))
             (func (export "table") (type $t) {gets} (call_indirect (type $t) (i32.const 0)))
             (func (export "tail table") (type $t) {gets}
               (return_call_indirect (type $t) (i32.const 0)))
             (func (export "ref") (type $t) {gets}
               (call_ref $t (ref.as_non_null (ref.func $turn)))))"#
    )
    // `ref.as_non_null` is not needed, but harmless.
    .replace("(ref.as_non_null (ref.func $turn))", "(ref.func $turn)");
    run(|engine| {
        let module = Module::new(engine, &text).unwrap();
        let mut store = Store::new(engine, ());
        let types = module
            .imports()
            .next()
            .unwrap()
            .ty()
            .func()
            .unwrap()
            .clone();
        let checked = |value: &Val| match *value {
            Val::I32(x) => Val::I32(x.rotate_left(7) ^ -1),
            Val::I64(x) => Val::I64(x.rotate_left(7) ^ -1),
            Val::F32(x) => Val::F32(x ^ 0x8000_0001),
            Val::F64(x) => Val::F64(x ^ (1 << 63 | 1)),
            Val::V128(x) => Val::V128(V128::from(!x.as_u128())),
            other => other,
        };
        let turn = Func::new(&mut store, types, move |_, parameters, results| {
            for (parameter, result) in parameters.iter().zip(results) {
                *result = checked(parameter);
            }
            Ok(())
        });
        let instance = Instance::new(&mut store, &module, &[turn.into()]).unwrap();
        let given: Vec<Val> = kinds
            .iter()
            .zip(1_i64..)
            .map(|(kind, n)| match *kind {
                "i32" => Val::I32(n as i32 * -0x0101_0101),
                "i64" => Val::I64(n * -0x0101_0101_0101_0101),
                "f32" => Val::F32(0x4000_0000 + n as u32),
                "f64" => Val::F64(0x4000_0000_0000_0000 + n as u64),
                "v128" => Val::V128(V128::from(
                    n as u128 * 0x1_0203_0405_0607_0809_0a0b_0c0d_0e0f,
                )),
                "externref" => Val::ExternRef(None),
                _ => Val::FuncRef(Some(turn)),
            })
            .collect();
        for name in [
            "call",
            "tail",
            "deep",
            "outer",
            "table",
            "tail table",
            "ref",
        ] {
            let function = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); kinds.len()];
            for _ in 0..2 {
                function.call(&mut store, &given, &mut results).unwrap();
                for (given, result) in given.iter().zip(&results) {
                    let expected = format!("{:?}", checked(given));
                    assert_eq!(format!("{result:?}"), expected, "{name}");
                }
            }
        }
        // The host calls its own function.
        let mut results = vec![Val::I32(0); kinds.len()];
        turn.call(&mut store, &given, &mut results).unwrap();
        assert_eq!(
            format!("{:?}", results[0]),
            format!("{:?}", checked(&given[0]))
        );
    });
}

/// A tail call out of the function that the host called, to another instance's,
/// whichever tier either is in; back and forth without end takes no stack.
#[test]
fn tail_calls_leave_the_first_function() {
    run(|engine| {
        let mut store = Store::new(engine, ());
        let first = Module::new(
            engine,
            r#"(module
                 (table (export "table") 4 funcref)
                 (type $t (func (param i32 i64 f64) (result i64 f64)))
                 (func (export "swing") (type $t)
                   (if (i32.eqz (local.get 0)) (then
                     (return (local.get 1) (local.get 2))))
                   (return_call_indirect (type $t)
                     (i32.sub (local.get 0) (i32.const 1))
                     (i64.add (local.get 1) (i64.const 1))
                     (f64.add (local.get 2) (f64.const 0.5))
                     (i32.and (local.get 0) (i32.const 3)))))"#,
        )
        .unwrap();
        let a = Instance::new(&mut store, &first, &[]).unwrap();
        let table = a.get_table(&mut store, "table").unwrap();
        for index in 0..4 {
            let instance = Instance::new(&mut store, &first, &[]).unwrap();
            let swing = instance.get_func(&mut store, "swing").unwrap();
            // Each instance goes on in the table of its own.
            let own = instance.get_table(&mut store, "table").unwrap();
            let next = if index == 0 { a } else { instance };
            let target = next.get_func(&mut store, "swing").unwrap();
            for place in 0..4 {
                own.set(&mut store, place, target.into()).unwrap();
            }
            table.set(&mut store, index, swing.into()).unwrap();
        }
        let swing = a
            .get_typed_func::<(i32, i64, f64), (i64, f64)>(&mut store, "swing")
            .unwrap();
        for n in [0, 1, 2, 7, 300_000] {
            let result = swing.call(&mut store, (n, 5, 0.0)).unwrap();
            assert_eq!(result, (5 + i64::from(n), f64::from(n) / 2.0));
        }
    });
}

/// Functions of other tiers and of the host are called with what the start function
/// is called with: nothing. It may call the host, which may fail.
#[test]
fn start_functions_call_the_host() {
    run(|engine| {
        let module = Module::new(
            engine,
            r#"(module (import "" "go" (func $go (param i32) (result i32)))
                 (func $start (drop (call $go (i32.const 3))))
                 (start $start))"#,
        )
        .unwrap();
        let direct = Module::new(
            engine,
            r#"(module (import "" "go" (func $go)) (start $go))"#,
        );
        let direct = direct.unwrap();
        let mut store = Store::new(engine, ());
        let go = Func::wrap(&mut store, |n: i32| -> Result<i32> {
            if n == 3 {
                Err(Trap::OutOfFuel.into())
            } else {
                Ok(n)
            }
        });
        let error = Instance::new(&mut store, &module, &[go.into()]).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::OutOfFuel));
        let called = Arc::new(AtomicU32::new(0));
        let count = called.clone();
        let go = Func::wrap(&mut store, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Instance::new(&mut store, &direct, &[go.into()]).unwrap();
        assert_eq!(called.load(Ordering::Relaxed), 1);
    });
}

/// Wrong results of a dynamic host function are an error of the call.
#[test]
fn wrong_results_of_the_host_are_errors() {
    run(|engine| {
        let ty = FuncType::new(engine, [], [ValType::I64]);
        let mut linker = Linker::<()>::new(engine);
        linker
            .func_new("", "wrong", ty, |_, _, results| {
                results[0] = Val::I32(1);
                Ok(())
            })
            .unwrap();
        let (mut store, instance) = instantiate(
            engine,
            &linker,
            r#"(module (import "" "wrong" (func $wrong (result i64)))
                 (func (export "f") (result i64) (call $wrong)))"#,
        );
        let f = instance.get_typed_func::<(), i64>(&mut store, "f").unwrap();
        let error = f.call(&mut store, ()).unwrap_err();
        assert!(
            format!("{error:#}").contains("result 0 is wrong"),
            "{error:#}"
        );
    });
}

/// A host function that lends its store to another thread, whose stack is another.
#[test]
fn the_host_lends_its_store_to_another_thread() {
    run(|engine| {
        let mut linker = Linker::<()>::new(engine);
        linker
            .func_wrap(
                "",
                "elsewhere",
                |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
                    let f = exported(&mut caller, "f").typed::<i32, i32>(&caller)?;
                    std::thread::scope(|scope| {
                        let mut store = caller.as_context_mut();
                        let thread = scope.spawn(move || f.call(&mut store, n - 1));
                        thread.join().unwrap()
                    })
                },
            )
            .unwrap();
        let (mut store, instance) = instantiate(
            engine,
            &linker,
            r#"(module
                 (import "" "elsewhere" (func $elsewhere (param i32) (result i32)))
                 (func $endless (call $endless))
                 (func (export "f") (param i32) (result i32)
                   (if (i32.lt_s (local.get 0) (i32.const 0)) (then (call $endless)))
                   (if (result i32) (i32.eqz (local.get 0))
                     (then (i32.const 0))
                     (else (i32.add (i32.const 1) (call $elsewhere (local.get 0)))))))"#,
        );
        let f = instance
            .get_typed_func::<i32, i32>(&mut store, "f")
            .unwrap();
        assert_eq!(f.call(&mut store, 5).unwrap(), 5);
        let error = f.call(&mut store, -1).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
        assert_eq!(f.call(&mut store, 3).unwrap(), 3);
    });
}
