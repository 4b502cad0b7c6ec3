//! Does a guest that uses up the stack get a trap, wherever it happens, and
//! does a tail call use none?

use std::sync::mpsc;
use std::thread;

use tepui::{
    AsContextMut, Caller, Engine, Error, Extern, Func, Instance, Linker, Module, Ref, Store,
    Strategy, Trap, TypedFunc, Val,
};

use crate::support::{World, engine, engine_with, names, trap_of};
use crate::tier;

/// How often something is done: fewer times where tests are interpreted by an
/// interpreter that was not optimized.
fn rounds(usual: i64) -> i64 {
    let is_slow = cfg!(debug_assertions) && tier::strategy() == Strategy::Interpreter;
    if is_slow { usual / 5 } else { usual }
}

/// 17: the same overflow a thousand times; each is as deep as the first.
#[test]
fn overflow_again_and_again() {
    let mut world = World::new(
        &engine_with(|config| {
            // A backtrace of tens of thousands of frames is not the point.
            config.wasm_backtrace(false);
        }),
        "(module
           (global $depth (export \"depth\") (mut i32) (i32.const 0))
           (func (export \"reset\") (global.set $depth (i32.const 0)))
           (func $deep (export \"deep\")
             (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
             (call $deep))
           (func $wide (export \"wide\") (param i64 f64 v128 i64 i64 i64 i64 i64) (result i64)
             (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
             (i64.add (local.get 7)
               (call $wide (local.get 3) (local.get 1) (local.get 2) (local.get 4) (local.get 5)
                 (local.get 6) (local.get 7) (local.get 0)))))",
    );
    let deep = world.func::<(), ()>("deep");
    let reset = world.func::<(), ()>("reset");
    let wide = world.instance.get_func(&mut world.store, "wide").unwrap();
    let depth = world
        .instance
        .get_global(&mut world.store, "depth")
        .unwrap();
    let mut depths = Vec::new();
    for round in 0..rounds(1000) {
        reset.call(&mut world.store, ()).unwrap();
        let error = if round % 10 == 9 {
            let mut params = [Val::I64(1); 8];
            params[1] = Val::F64(0);
            params[2] = Val::V128(0.into());
            wide.call(&mut world.store, &params, &mut [Val::I64(0)])
                .unwrap_err()
        } else {
            deep.call(&mut world.store, ()).unwrap_err()
        };
        assert_eq!(trap_of(&error), Trap::StackOverflow);
        if round % 10 != 9 {
            depths.push(depth.get(&mut world.store).unwrap_i32());
        }
    }
    let (least, most) = (depths.iter().min().unwrap(), depths.iter().max().unwrap());
    assert!(*least > 1000, "{least}");
    assert!(most - least < 10, "between {least} and {most} deep");
}

/// Frames of several pages, on stacks of which nothing was touched yet: where they
/// grow a page at a time, each page is.
#[test]
fn large_frames_on_new_stacks() {
    for locals in [1, 500, 1000, 3000] {
        let mut body = String::new();
        for local in 1..=locals {
            body += &format!("(local.set {local} (call $next (local.get {})))", local - 1);
        }
        let declared = "i64 ".repeat(locals);
        let text = format!(
            "(module
               (func $next (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
               (func $sum (export \"sum\") (param i64) (result i64) (local {declared})
                 {body}
                 (if (result i64) (i64.eqz (local.get 0))
                   (then (i64.const 0))
                   (else (call $sum (i64.sub (local.get 0) (i64.const 1)))))
                 {})
               (func $deep (export \"deep\") (drop (call $sum (i64.const 0))) (call $deep)))",
            (1..=locals)
                .map(|local| format!("(i64.add (local.get {local}))"))
                .collect::<String>()
        );
        let expected = move |depth: i64| -> i64 {
            let locals = locals as i64;
            (0..=depth)
                .map(|level| level * locals + locals * (locals + 1) / 2)
                .sum()
        };
        thread::spawn(move || {
            let mut world = World::new(&engine(), &text);
            let sum = world.func::<i64, i64>("sum");
            for depth in [0, 1, 3] {
                assert_eq!(
                    sum.call(&mut world.store, depth).unwrap(),
                    expected(depth),
                    "{locals} locals, {depth} deep"
                );
            }
            let error = sum.call(&mut world.store, 1 << 40).unwrap_err();
            assert_eq!(trap_of(&error), Trap::StackOverflow);
            assert_eq!(sum.call(&mut world.store, 2).unwrap(), expected(2));
            let deep = world.func::<(), ()>("deep");
            let error = deep.call(&mut world.store, ()).unwrap_err();
            assert_eq!(trap_of(&error), Trap::StackOverflow);
        })
        .join()
        .unwrap();
    }
}

/// A module that goes down through the host on each level.
const THROUGH_HOST: &str = "(module
    (import \"h\" \"down\" (func $down (param i32) (result i32)))
    (import \"h\" \"wide\" (func $wide (param i64 i64 i64 i64 i64 i64 f64 v128) (result i32)))
    (func $run (export \"run\") (param i32) (result i32)
      (i32.add (i32.const 1) (call $down (local.get 0))))
    (func $run-wide (export \"run-wide\") (param i32) (result i32)
      (i32.add (i32.const 1)
        (call $wide (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
          (i64.const 6) (f64.const 7) (v128.const i64x2 8 9)))))";

fn through_host(engine: &Engine) -> (Store<()>, TypedFunc<i32, i32>, TypedFunc<i32, i32>) {
    let mut linker: Linker<()> = Linker::new(engine);
    let again = |mut caller: Caller<'_, ()>, name: &str| -> tepui::Result<i32> {
        let run = caller.get_export(name).and_then(Extern::into_func).unwrap();
        run.typed::<i32, i32>(&caller)?.call(&mut caller, 0)
    };
    linker
        .func_wrap("h", "down", move |caller: Caller<'_, ()>, _: i32| {
            again(caller, "run")
        })
        .unwrap();
    linker
        .func_new(
            "h",
            "wide",
            tepui::FuncType::new(
                engine,
                [const { tepui::ValType::I64 }; 6]
                    .into_iter()
                    .chain([tepui::ValType::F64, tepui::ValType::V128]),
                [tepui::ValType::I32],
            ),
            move |caller, params, results| {
                assert_eq!(params[5].i64(), Some(6));
                results[0] = Val::I32(again(caller, "run-wide")?);
                Ok(())
            },
        )
        .unwrap();
    let module = Module::new(engine, THROUGH_HOST).unwrap();
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func(&mut store, "run").unwrap();
    let wide = instance.get_typed_func(&mut store, "run-wide").unwrap();
    (store, run, wide)
}

/// 17: recursion that goes through host functions ends with the same trap.
#[test]
fn overflow_in_mutual_recursion_with_the_host() {
    let (mut store, run, wide) = through_host(&engine());
    for round in 0..60 {
        let func = if round % 2 == 0 { run } else { wide };
        let error = func.call(&mut store, 0).unwrap_err();
        assert_eq!(trap_of(&error), Trap::StackOverflow, "{error:?}");
        let names = names(&error);
        assert!(names.len() > 10, "{}", names.len());
        assert!(names.iter().all(|name| name.starts_with("run")));
    }
}

/// 17: threads with little stack.
#[test]
fn overflow_on_small_stacks() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (func $deep (export \"deep\") (call $deep) (call $deep))
           (func (export \"add\") (param i32) (result i32)
             (i32.add (local.get 0) (i32.const 1))))",
    )
    .unwrap();
    for kilobytes in [64, 96, 128, 160, 256, 512, 1024, 4096] {
        let module = module.clone();
        let engine = engine.clone();
        let thread = thread::Builder::new().stack_size(kilobytes << 10);
        let handle = thread
            .spawn(move || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                let deep = instance
                    .get_typed_func::<(), ()>(&mut store, "deep")
                    .unwrap();
                let add = instance
                    .get_typed_func::<i32, i32>(&mut store, "add")
                    .unwrap();
                for _ in 0..20 {
                    let error = deep.call(&mut store, ()).unwrap_err();
                    assert_eq!(trap_of(&error), Trap::StackOverflow);
                    assert!(!names(&error).is_empty());
                    assert_eq!(add.call(&mut store, 1).unwrap(), 2);
                }
                // Down through the host too, with the Rust frames of a build
                // without optimization.
                if kilobytes >= 512 {
                    let (mut store, run, _) = through_host(&engine);
                    let error = run.call(&mut store, 0).unwrap_err();
                    assert_eq!(trap_of(&error), Trap::StackOverflow);
                }
            })
            .unwrap();
        handle
            .join()
            .unwrap_or_else(|_| panic!("with {kilobytes} KiB of stack"));
    }
}

/// 17: start functions that never end.
#[test]
fn overflow_in_a_start_function() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (func $deep (call $deep) (call $deep)) (start $deep))",
    )
    .unwrap();
    let recursive = Module::new(
        &engine,
        "(module (import \"\" \"again\" (func $again)) (start $run) (func $run (call $again)))",
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    for _ in 0..20 {
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        assert_eq!(trap_of(&error), Trap::StackOverflow);
    }
    // Each start function instantiates the module once more.
    let mut linker: Linker<()> = Linker::new(&engine);
    let inner = recursive.clone();
    linker
        .func_wrap(
            "",
            "again",
            move |mut caller: Caller<'_, ()>| -> tepui::Result<()> {
                let mut linker: Linker<()> = Linker::new(inner.engine());
                let me = caller.get_export("nothing");
                assert!(me.is_none());
                fn again(mut caller: Caller<'_, ()>, inner: &Module) -> tepui::Result<()> {
                    let deeper = inner.clone();
                    let func = Func::wrap(&mut caller, move |caller: Caller<'_, ()>| {
                        again(caller, &deeper)
                    });
                    Instance::new(&mut caller, inner, &[func.into()]).map(drop)
                }
                linker.allow_shadowing(true);
                again(caller, &inner)
            },
        )
        .unwrap();
    let error = linker.instantiate(&mut store, &recursive).unwrap_err();
    assert_eq!(trap_of(&error), Trap::StackOverflow);
    assert!(names(&error).len() > 3);
}

/// 17, 23: stack limits of nothing and of everything.
#[test]
fn extreme_stack_limits() {
    for (bytes, runs) in [
        (0, false),
        (1, false),
        (4096, true),
        (1 << 20, true),
        (usize::MAX, true),
    ] {
        let engine = engine_with(|config| {
            config.max_wasm_stack(bytes);
        });
        let module = Module::new(
            &engine,
            "(module (func $deep (export \"deep\") (call $deep) (call $deep))
               (func (export \"add\") (param i32) (result i32)
                 (i32.add (local.get 0) (i32.const 1))))",
        )
        .unwrap();
        let work = move || {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let deep = instance
                .get_typed_func::<(), ()>(&mut store, "deep")
                .unwrap();
            let add = instance
                .get_typed_func::<i32, i32>(&mut store, "add")
                .unwrap();
            for _ in 0..3 {
                let error = deep.call(&mut store, ()).unwrap_err();
                assert_eq!(trap_of(&error), Trap::StackOverflow, "{bytes}");
                match add.call(&mut store, 1) {
                    Ok(value) => assert_eq!(value, 2),
                    Err(error) => {
                        assert!(!runs, "{bytes}: {error:?}");
                        assert_eq!(trap_of(&error), Trap::StackOverflow);
                    }
                }
            }
        };
        thread::Builder::new()
            .stack_size(4 << 20)
            .spawn(work)
            .unwrap()
            .join()
            .unwrap();
    }
}

/// 16, 17: ten million tail calls, direct, indirect, through references, with
/// arguments that do not fit into registers, and through imports.
#[test]
fn tail_calls_use_no_stack() {
    let engine = engine();
    let mut world = World::new(
        &engine,
        "(module
           (type $t (func (param i64 i64) (result i64)))
           (type $w (func (param i64 i64 i64 i64 i64 i64 i64 f64 v128) (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)))
           (table 2 funcref) (elem (i32.const 0) $indirect $reference)
           (func $direct (export \"direct\") (type $t)
             (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
             (return_call $direct
               (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 3))))
           (func $indirect (export \"indirect\") (type $t)
             (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
             (return_call_indirect (type $t)
               (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 3))
               (i32.const 0)))
           (func $reference (export \"reference\") (type $t)
             (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
             (return_call_ref $t
               (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 3))
               (ref.func $reference)))
           (func $wide (type $w)
             (if (i64.eqz (local.get 0)) (then
               (return (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                 (local.get 6) (i64.trunc_f64_s (local.get 7))
                 (i64x2.extract_lane 0 (local.get 8)) (i64x2.extract_lane 1 (local.get 8))
                 (i64.const 99))))
             (return_call $wide (i64.sub (local.get 0) (i64.const 1))
               (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 1)
               (f64.add (local.get 7) (f64.const 1))
               (i64x2.add (local.get 8) (v128.const i64x2 1 2))))
           (func (export \"wide\") (param $n i64) (result i64)
             (local $sum i64)
             (call $wide (local.get $n) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
               (i64.const 5) (i64.const 6) (f64.const 0) (v128.const i64x2 0 0))
             (drop) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add)))",
    );
    let n = rounds(10_000_000);
    for export in ["direct", "indirect", "reference"] {
        let sum: i64 = world.call(export, (n, 5_i64)).unwrap();
        assert_eq!(sum, 5 + 3 * n, "{export}");
    }
    let sum: i64 = world.call("wide", n / 10).unwrap();
    assert_eq!(sum, 21 + (n / 10) + (n / 10) + 2 * (n / 10));
}

/// 16: tail calls between two instances, and to host functions that return,
/// trap, look at the stack, and call back.
#[test]
fn tail_calls_between_instances_and_into_the_host() {
    let engine = engine();
    let mut store = Store::new(&engine, 0_u64);
    let ping = Module::new(
        &engine,
        "(module
           (type $t (func (param i64 i64) (result i64)))
           (import \"\" \"table\" (table 1 funcref))
           (func (export \"ping\") (type $t)
             (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
             (return_call_indirect (type $t)
               (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 1))
               (i32.const 0))))",
    )
    .unwrap();
    let pong = Module::new(
        &engine,
        "(module
           (type $t (func (param i64 i64) (result i64)))
           (import \"\" \"ping\" (func $ping (type $t)))
           (import \"\" \"table\" (table 1 funcref))
           (elem (i32.const 0) $pong)
           (func $pong (export \"pong\") (type $t)
             (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
             (return_call $ping
               (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 1)))))",
    )
    .unwrap();
    let table = tepui::Table::new(
        &mut store,
        tepui::TableType::new(tepui::RefType::new(true, tepui::HeapType::Func), 1, None),
        Ref::Func(None),
    )
    .unwrap();
    let ping = Instance::new(&mut store, &ping, &[table.into()]).unwrap();
    let ping = ping.get_func(&mut store, "ping").unwrap();
    let pong = Instance::new(&mut store, &pong, &[ping.into(), table.into()]).unwrap();
    let pong = pong
        .get_typed_func::<(i64, i64), i64>(&mut store, "pong")
        .unwrap();
    assert_eq!(pong.call(&mut store, (10_000_000, 0)).unwrap(), 10_000_000);

    let tail = Module::new(
        &engine,
        "(module
           (type $t (func (param i64) (result i64)))
           (import \"\" \"h\" (func $h (type $t)))
           (table 1 funcref) (elem (i32.const 0) $h)
           (func $a (export \"direct\") (type $t) (return_call $h (local.get 0)))
           (func $b (export \"indirect\") (type $t)
             (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
           (func $c (export \"reference\") (type $t) (return_call_ref $t (local.get 0) (ref.func $h)))
           (func $outer (export \"outer\") (type $t)
             (i64.add (call $a (local.get 0)) (i64.add (call $b (local.get 0)) (call $c (local.get 0)))))
           (func (export \"trap\") (type $t) (unreachable)))",
    )
    .unwrap();
    let host = Func::wrap(
        &mut store,
        |mut caller: Caller<'_, u64>, what: i64| -> tepui::Result<i64> {
            *caller.data_mut() += 1;
            match what {
                0 => Err(Error::msg("host error")),
                1 => Err(Trap::CastFailure.into()),
                2 => {
                    let trap = caller
                        .get_export("trap")
                        .and_then(Extern::into_func)
                        .unwrap();
                    trap.typed::<i64, i64>(&caller)?.call(&mut caller, 0)
                }
                // Down again: levels of tail calls, each with a host frame.
                3..40 => {
                    let outer = caller
                        .get_export("direct")
                        .and_then(Extern::into_func)
                        .unwrap();
                    outer
                        .typed::<i64, i64>(&caller)?
                        .call(&mut caller, what + 1)
                }
                n => Ok(n),
            }
        },
    );
    let instance = Instance::new(&mut store, &tail, &[host.into()]).unwrap();
    for _ in 0..200 {
        for export in ["direct", "indirect", "reference"] {
            let func = instance
                .get_typed_func::<i64, i64>(&mut store, export)
                .unwrap();
            assert_eq!(func.call(&mut store, 100).unwrap(), 100);
            assert_eq!(func.call(&mut store, 3).unwrap(), 40);
            let error = func.call(&mut store, 0).unwrap_err();
            assert!(format!("{error:#}").contains("host error"));
            let error = func.call(&mut store, 1).unwrap_err();
            assert_eq!(trap_of(&error), Trap::CastFailure);
            let error = func.call(&mut store, 2).unwrap_err();
            assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
        }
        let outer = instance
            .get_typed_func::<i64, i64>(&mut store, "outer")
            .unwrap();
        assert_eq!(outer.call(&mut store, 100).unwrap(), 300);
        let error = outer.call(&mut store, 2).unwrap_err();
        assert_eq!(names(&error).last(), Some(&"outer"));
    }
    assert!(*store.data() > 10_000);
}

/// Work for another thread, which is over before the one that asked goes on.
type Job = Box<dyn FnOnce() + Send>;

/// 17: a store that is lent to another thread while its guest waits below: the
/// other thread's stack is the one that counts there.
#[test]
fn a_suspended_store_goes_on_in_another_thread() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"h\" \"elsewhere\" (func $elsewhere (param i32) (result i32)))
           (func $deep (export \"deep\") (result i32) (i32.add (call $deep) (i32.const 1)))
           (func $few (export \"few\") (param i32) (result i32)
             (if (result i32) (local.get 0)
               (then (i32.add (i32.const 1) (call $few (i32.sub (local.get 0) (i32.const 1)))))
               (else (i32.const 0))))
           (func (export \"add\") (result i32) (call $few (i32.const 41)))
           (func $trap (export \"trap\") (result i32) (unreachable))
           (func $run (export \"run\") (param i32) (result i32)
             (i32.add (call $elsewhere (local.get 0)) (i32.const 1))))",
    )
    .unwrap();
    // Stacks lie below those that were made before: of three threads, the one in
    // the middle runs the guest, and the others go on with it.
    let (to_first, first_jobs) = mpsc::channel::<Job>();
    let (to_last, last_jobs) = mpsc::channel::<Job>();
    let (start, started) = mpsc::channel::<()>();
    let spawn = |work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(work)
            .unwrap()
    };
    let serve = |jobs: mpsc::Receiver<Job>| move || jobs.into_iter().for_each(|job| job());
    let first = spawn(Box::new(serve(first_jobs)));
    let middle = spawn(Box::new(move || {
        started.recv().unwrap();
        let mut linker: Linker<()> = Linker::new(&engine);
        linker
            .func_wrap(
                "h",
                "elsewhere",
                move |mut caller: Caller<'_, ()>, what: i32| {
                    let names = ["deep", "add", "trap"];
                    let func = caller
                        .get_export(names[what as usize % 10])
                        .and_then(Extern::into_func)
                        .unwrap();
                    let mut context = caller.as_context_mut();
                    let mut result = None;
                    let mut work = || {
                        result = Some(
                            func.typed::<(), i32>(&context)
                                .and_then(|func| func.call(&mut context, ())),
                        );
                    };
                    let work: &mut (dyn FnMut() + Send) = &mut work;
                    // SAFETY: the borrow is over when `finished` is received, which
                    // is before this function returns or unwinds.
                    let work: &'static mut (dyn FnMut() + Send) =
                        unsafe { std::mem::transmute(work) };
                    let (finish, finished) = mpsc::channel();
                    let job: Job = Box::new(move || {
                        work();
                        finish.send(()).unwrap();
                    });
                    let to = if what < 10 { &to_first } else { &to_last };
                    to.send(job).unwrap();
                    finished.recv().unwrap_or_else(|_| std::process::abort());
                    result.unwrap()
                },
            )
            .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let run = instance
            .get_typed_func::<i32, i32>(&mut store, "run")
            .unwrap();
        let deep = instance
            .get_typed_func::<(), i32>(&mut store, "deep")
            .unwrap();
        let depth = names(&deep.call(&mut store, ()).unwrap_err()).len();
        for round in 0..20 {
            let whom = round % 2 * 10;
            assert_eq!(run.call(&mut store, whom + 1).unwrap(), 42);
            let error = run.call(&mut store, whom + 2).unwrap_err();
            assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
            assert_eq!(names(&error)[0], "trap");
            let error = run.call(&mut store, whom).unwrap_err();
            assert_eq!(trap_of(&error), Trap::StackOverflow);
            let there = names(&error).iter().filter(|name| **name == "deep").count();
            assert!(
                there > depth / 2 && there < depth * 2,
                "{there} and {depth} deep"
            );
            // This thread's own limit is in force again.
            let error = deep.call(&mut store, ()).unwrap_err();
            assert_eq!(trap_of(&error), Trap::StackOverflow);
            let here = names(&error).len();
            assert!(here.abs_diff(depth) < 10, "{here} and {depth} deep");
        }
    }));
    let last = spawn(Box::new(serve(last_jobs)));
    start.send(()).unwrap();
    middle.join().unwrap();
    first.join().unwrap();
    last.join().unwrap();
}
