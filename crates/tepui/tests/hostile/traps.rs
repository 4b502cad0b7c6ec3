//! Is each trap what the specification says, where it says, and is everything
//! usable afterwards?

use tepui::{Caller, Engine, Extern, Instance, Linker, Memory, MemoryType, Module, Store, Trap};

use crate::support::{World, config, engine, engines, frames, names, trap_of};

/// Instructions that trap; `<n>` is an `i32` constant.
const CASES: &[(&str, u8, Trap)] = &[
    ("(unreachable)", 0x00, Trap::UnreachableCodeReached),
    (
        "(drop (i32.div_s (i32.const 7) <0>))",
        0x6d,
        Trap::IntegerDivisionByZero,
    ),
    (
        "(drop (i32.div_u <7> <0>))",
        0x6e,
        Trap::IntegerDivisionByZero,
    ),
    (
        "(drop (i32.rem_s <7> <0>))",
        0x6f,
        Trap::IntegerDivisionByZero,
    ),
    (
        "(drop (i64.rem_u (i64.extend_i32_s <7>) (i64.extend_i32_s <0>)))",
        0x82,
        Trap::IntegerDivisionByZero,
    ),
    (
        "(drop (i32.div_s <-2147483648> <-1>))",
        0x6d,
        Trap::IntegerOverflow,
    ),
    (
        "(drop (i64.div_s (i64.shl (i64.extend_i32_s <1>) (i64.const 63)) (i64.extend_i32_s <-1>)))",
        0x7f,
        Trap::IntegerOverflow,
    ),
    (
        "(drop (i32.trunc_f32_s (f32.reinterpret_i32 <0x7fc00000>)))",
        0xa8,
        Trap::BadConversionToInteger,
    ),
    (
        "(drop (i32.trunc_f32_s (f32.reinterpret_i32 <0x4f000000>)))",
        0xa8,
        Trap::IntegerOverflow,
    ),
    (
        "(drop (i64.trunc_f64_u (f64.convert_i32_s <-1>)))",
        0xb1,
        Trap::IntegerOverflow,
    ),
    ("(drop (i32.load <65533>))", 0x28, Trap::MemoryOutOfBounds),
    (
        "(drop (i32.load8_u offset=0xffffffff <1>))",
        0x2d,
        Trap::MemoryOutOfBounds,
    ),
    (
        "(i64.store <65529> (i64.const 1))",
        0x37,
        Trap::MemoryOutOfBounds,
    ),
    ("(drop (v128.load <65521>))", 0xfd, Trap::MemoryOutOfBounds),
    (
        "(memory.fill <65530> <1> <7>)",
        0xfc,
        Trap::MemoryOutOfBounds,
    ),
    (
        "(memory.copy <0> <65530> <7>)",
        0xfc,
        Trap::MemoryOutOfBounds,
    ),
    (
        "(memory.init $data <0> <3> <2>)",
        0xfc,
        Trap::MemoryOutOfBounds,
    ),
    ("(drop (i32.atomic.load <1>))", 0xfe, Trap::HeapMisaligned),
    (
        "(drop (i64.atomic.rmw.add <4> (i64.const 1)))",
        0xfe,
        Trap::HeapMisaligned,
    ),
    (
        "(drop (memory.atomic.notify <65536> <1>))",
        0xfe,
        Trap::MemoryOutOfBounds,
    ),
    (
        "(drop (memory.atomic.notify <2> <1>))",
        0xfe,
        Trap::HeapMisaligned,
    ),
    (
        "(drop (memory.atomic.wait32 <0> <0> (i64.const 0)))",
        0xfe,
        Trap::AtomicWaitNonSharedMemory,
    ),
    ("(drop (table.get $t <4>))", 0x25, Trap::TableOutOfBounds),
    (
        "(table.set $t <-1> (ref.null func))",
        0x26,
        Trap::TableOutOfBounds,
    ),
    (
        "(table.fill $t <3> (ref.null func) <2>)",
        0xfc,
        Trap::TableOutOfBounds,
    ),
    (
        "(table.copy $t $t <0> <3> <2>)",
        0xfc,
        Trap::TableOutOfBounds,
    ),
    (
        "(table.init $t $elem <0> <0> <3>)",
        0xfc,
        Trap::TableOutOfBounds,
    ),
    (
        "(call_indirect $t (type $v) <4>)",
        0x11,
        Trap::TableOutOfBounds,
    ),
    (
        "(call_indirect $t (type $v) <0>)",
        0x11,
        Trap::IndirectCallToNull,
    ),
    ("(call_indirect $t (type $v) <1>)", 0x11, Trap::BadSignature),
    ("(call_ref $v (ref.null $v))", 0x14, Trap::NullReference),
    (
        "(drop (ref.as_non_null (table.get $t <0>)))",
        0xd4,
        Trap::NullReference,
    ),
];

fn replace_numbers(code: &str, with: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for (index, part) in code.split(['<', '>']).enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
        } else {
            text.push_str(&with(part));
        }
    }
    text
}

/// A module with an exported function per case and spelling of its numbers.
fn module(cases: &[(&str, u8, Trap)]) -> String {
    let mut functions = String::new();
    for (index, (code, ..)) in cases.iter().enumerate() {
        let spellings = [
            (
                "constant",
                replace_numbers(code, |n| format!("(i32.const {n})")),
            ),
            (
                "computed",
                replace_numbers(code, |n| format!("(call $id (i32.const {n}))")),
            ),
        ];
        for (spelling, body) in spellings {
            functions.push_str(&format!(
                "(func $inner-{spelling}-{index} {body})
                 (func $outer-{spelling}-{index} (export \"{spelling}-{index}\")
                   nop (call $inner-{spelling}-{index}))\n"
            ));
        }
    }
    format!(
        "(module $traps
           (type $v (func))
           (memory 1)
           (data $data \"abcd\")
           (table $t 4 funcref)
           (elem (table $t) (i32.const 1) func $id)
           (elem $elem func $id $id)
           (func $id (param i32) (result i32) (local.get 0))
           {functions})"
    )
}

/// Traps and preemption: every kind, with its code, its names, its offsets, in
/// engines of every kind; the instance can be used afterwards.
#[test]
fn every_kind_of_trap_tells_where_it_happened() {
    for (name, engine) in engines() {
        let module = Module::new(&engine, module(CASES)).unwrap();
        let mut world = World::of(&module);
        for (index, (code, opcode, trap)) in CASES.iter().enumerate() {
            for spelling in ["constant", "computed"] {
                let what = format!("{name}: {spelling} {code}");
                let error = world
                    .call::<(), ()>(&format!("{spelling}-{index}"), ())
                    .expect_err(&what);
                assert_eq!(trap_of(&error), *trap, "{what}");
                assert_eq!(
                    names(&error),
                    [
                        format!("inner-{spelling}-{index}"),
                        format!("outer-{spelling}-{index}")
                    ],
                    "{what}"
                );
                let frames = frames(&error);
                for (frame, opcode) in frames.iter().zip([*opcode, 0x10]) {
                    let offset = frame.module_offset().expect("an offset");
                    assert_eq!(
                        module.binary()[offset],
                        opcode,
                        "{what}: {frame} at the wrong instruction"
                    );
                    assert_eq!(frame.module_name(), Some("traps"));
                    // A body begins with its local declarations.
                    let in_function = frame.func_offset().expect("an offset");
                    assert!((1..64).contains(&in_function), "{what}: {in_function}");
                }
                assert!(
                    error.to_string().contains(trap.message()),
                    "{what}: {error}"
                );
            }
        }
    }
}

/// 10, 17: the remaining kinds, which need fuel, time or a deep stack.
#[test]
fn metering_traps_have_backtraces_too() {
    let mut with_meters = config();
    with_meters.consume_fuel(true).epoch_interruption(true);
    let engine = Engine::new(&with_meters).unwrap();
    let text = "(module
        (func $spin (export \"spin\") (loop $l (br $l)))
        (func $deep (export \"deep\") (call $deep) (call $deep)))";
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    store.set_fuel(10_000).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let spin = instance
        .get_typed_func::<(), ()>(&mut store, "spin")
        .unwrap();
    let deep = instance
        .get_typed_func::<(), ()>(&mut store, "deep")
        .unwrap();

    let error = spin.call(&mut store, ()).unwrap_err();
    assert_eq!(trap_of(&error), Trap::OutOfFuel);
    assert_eq!(names(&error), ["spin"]);

    store.set_fuel(u64::MAX).unwrap();
    let error = deep.call(&mut store, ()).unwrap_err();
    assert_eq!(trap_of(&error), Trap::StackOverflow);
    assert!(names(&error).len() > 100);
    assert!(names(&error).iter().all(|name| *name == "deep"));
    assert!(error.to_string().contains("call stack exhausted"));
    assert!(format!("{error:?}").len() < 20_000, "the text is bounded");

    engine.increment_epoch();
    let error = spin.call(&mut store, ()).unwrap_err();
    assert_eq!(trap_of(&error), Trap::Interrupt);
    assert_eq!(names(&error), ["spin"]);
}

/// 21: a trap in a start function; the store is usable, and so is what the
/// failed instance gave away.
#[test]
fn a_start_function_that_traps() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let bad = Module::new(
        &engine,
        "(module (import \"\" \"m\" (memory 1))
           (func $start (i32.store (i32.const 8) (i32.const 42)) (unreachable))
           (start $start))",
    )
    .unwrap();
    let imported_start =
        Module::new(&engine, "(module (import \"\" \"f\" (func $f)) (start $f))").unwrap();
    let good = Module::new(
        &engine,
        "(module (import \"\" \"m\" (memory 1))
           (func (export \"get\") (result i32) (i32.load (i32.const 8))))",
    )
    .unwrap();
    for _ in 0..10 {
        let error = Instance::new(&mut store, &bad, &[memory.into()]).unwrap_err();
        assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
        assert_eq!(names(&error), ["start"]);
        let instance = Instance::new(&mut store, &good, &[memory.into()]).unwrap();
        let get = instance
            .get_typed_func::<(), i32>(&mut store, "get")
            .unwrap();
        assert_eq!(get.call(&mut store, ()).unwrap(), 42);
        memory.data_mut(&mut store)[8] = 0;
        // A host function as the start function.
        let fails = tepui::Func::wrap(&mut store, || -> tepui::Result<()> {
            Err(tepui::Error::msg("not today"))
        });
        let error = Instance::new(&mut store, &imported_start, &[fails.into()]).unwrap_err();
        assert!(format!("{error:#}").contains("not today"), "{error:?}");
    }
}

/// Traps and preemption: a trap in a guest that a host function called, seen by
/// the host function and passed on or swallowed by it.
#[test]
fn traps_go_through_host_functions() {
    let engine = engine();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker
        .func_wrap("h", "pass", |mut caller: Caller<'_, ()>| {
            let inner = caller.get_export("inner").and_then(Extern::into_func);
            inner
                .unwrap()
                .typed::<(), ()>(&caller)?
                .call(&mut caller, ())
        })
        .unwrap();
    linker
        .func_wrap("h", "swallow", |mut caller: Caller<'_, ()>| {
            let inner = caller.get_export("inner").and_then(Extern::into_func);
            let error = inner
                .unwrap()
                .call(&mut caller, &[], &mut [])
                .expect_err("it traps");
            assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
            // A call after the trap, in the same host function.
            let fine = caller.get_export("fine").and_then(Extern::into_func);
            fine.unwrap()
                .typed::<i32, i32>(&caller)
                .unwrap()
                .call(&mut caller, 20)
        })
        .unwrap();
    let module = Module::new(
        &engine,
        "(module
           (import \"h\" \"pass\" (func $pass))
           (import \"h\" \"swallow\" (func $swallow (result i32)))
           (func $inner (export \"inner\") (unreachable))
           (func $fine (export \"fine\") (param i32) (result i32)
             (i32.add (local.get 0) (i32.const 1)))
           (func $a (export \"a\") (call $pass))
           (func $b (export \"b\") (result i32)
             (i32.add (call $swallow) (call $swallow))))",
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let a = instance.get_typed_func::<(), ()>(&mut store, "a").unwrap();
    let b = instance.get_typed_func::<(), i32>(&mut store, "b").unwrap();
    for _ in 0..100 {
        let error = a.call(&mut store, ()).unwrap_err();
        assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
        assert_eq!(names(&error), ["inner", "a"]);
        assert_eq!(b.call(&mut store, ()).unwrap(), 42);
    }
}

/// 21: segments out of bounds, after others were written: what was written
/// stays, what was not did not happen, and the store goes on.
#[test]
fn segments_that_do_not_fit_fail_in_order() {
    for (name, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let table = tepui::Table::new(
            &mut store,
            tepui::TableType::new(tepui::RefType::new(true, tepui::HeapType::Func), 4, None),
            tepui::Ref::Func(None),
        )
        .unwrap();
        let imports = [memory.into(), table.into()];
        let data = Module::new(
            &engine,
            "(module
               (import \"\" \"m\" (memory 1)) (import \"\" \"t\" (table $t 4 funcref))
               (func $f (result i32) (i32.const 77))
               (elem (i32.const 0) func $f)
               (data (i32.const 0) \"first\")
               (data (i32.const 65535) \"xy\")
               (data (i32.const 10) \"last\")
               (start $start) (func $start (i32.store8 (i32.const 20) (i32.const 1))))",
        )
        .unwrap();
        let error = Instance::new(&mut store, &data, &imports).unwrap_err();
        assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds, "{name}");
        let bytes = memory.data(&store);
        assert_eq!(&bytes[..5], b"first");
        assert_eq!(bytes[65535], 0, "{name}: not even the part that fits");
        assert_eq!(&bytes[10..14], &[0; 4], "{name}");
        assert_eq!(bytes[20], 0, "{name}: the start function did not run");

        let elements = Module::new(
            &engine,
            "(module
               (import \"\" \"m\" (memory 1)) (import \"\" \"t\" (table $t 4 funcref))
               (func $g (result i32) (i32.const 78))
               (elem (i32.const 1) func $g)
               (elem (i32.const 3) func $g $g)
               (elem (i32.const 2) func $g)
               (data (i32.const 30) \"never\"))",
        )
        .unwrap();
        let error = Instance::new(&mut store, &elements, &imports).unwrap_err();
        assert_eq!(trap_of(&error), Trap::TableOutOfBounds, "{name}");
        assert_eq!(memory.data(&store)[30], 0);
        // The functions that failed instances left in the table still run.
        for (index, expected) in [(0, Some(77)), (1, Some(78)), (2, None), (3, None)] {
            let element = table.get(&mut store, index).unwrap();
            let value = element.as_func().map(|func| {
                let func = func.typed::<(), i32>(&store).unwrap();
                func.call(&mut store, ()).unwrap()
            });
            assert_eq!(value, expected, "{name}: element {index}");
        }
    }
}

/// Errors of hosts and panics while guests of several stores are on the stack.
#[test]
fn stores_nest_on_one_stack() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (import \"\" \"next\" (func $next (param i32) (result i32)))
           (func $run (export \"run\") (param i32) (result i32)
             (if (i32.eqz (local.get 0)) (then unreachable))
             (call $next (i32.sub (local.get 0) (i32.const 1)))))",
    )
    .unwrap();
    fn run(module: &Module, depth: i32) -> tepui::Result<i32> {
        let mut store = Store::new(module.engine(), ());
        let mut linker = Linker::new(module.engine());
        let inner = module.clone();
        linker.func_wrap("", "next", move |depth: i32| -> tepui::Result<i32> {
            // Every second level swallows the trap.
            match run(&inner, depth) {
                Err(error) if depth % 2 == 1 => {
                    assert_eq!(trap_of(&error), Trap::UnreachableCodeReached);
                    assert!(!names(&error).is_empty());
                    Ok(depth)
                }
                other => other,
            }
        })?;
        let instance = linker.instantiate(&mut store, module)?;
        instance
            .get_typed_func::<i32, i32>(&mut store, "run")?
            .call(&mut store, depth)
    }
    assert_eq!(
        trap_of(&run(&module, 0).unwrap_err()),
        Trap::UnreachableCodeReached
    );
    assert_eq!(
        trap_of(&run(&module, 1).unwrap_err()),
        Trap::UnreachableCodeReached
    );
    assert_eq!(run(&module, 2).unwrap(), 1);
    assert_eq!(run(&module, 9).unwrap(), 1);
}
