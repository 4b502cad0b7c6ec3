//! Calls in both directions: every way of passing values, errors, traps,
//! panics, tail calls.

mod tier;

use tepui::{
    Caller, Error, Func, FuncType, Instance, Linker, Module, Store, Trap, Val, ValType,
    WasmBacktrace,
};

#[test]
fn every_tier() {
    tier::run_in_others(|_| &[]);
}

fn instance(text: &str) -> (Store<()>, Instance) {
    let engine = tier::engine();
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine)
        .instantiate(&mut store, &module)
        .unwrap();
    (store, instance)
}

#[test]
fn a_typed_call_adds() {
    let (mut store, instance) = instance(
        "(module (func (export \"add\") (param i32 i32) (result i32)
           (i32.add (local.get 0) (local.get 1))))",
    );
    let add = instance
        .get_typed_func::<(i32, i32), i32>(&mut store, "add")
        .unwrap();
    assert_eq!(add.call(&mut store, (40, 2)).unwrap(), 42);
}

#[test]
fn recursion_and_overflow() {
    let (mut store, instance) = instance(
        "(module
           (func $fib (export \"fib\") (param i32) (result i32)
             (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
               (then (local.get 0))
               (else (i32.add
                 (call $fib (i32.sub (local.get 0) (i32.const 1)))
                 (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
           (func $deep (export \"deep\") (call $deep)))",
    );
    let fib = instance
        .get_typed_func::<i32, i32>(&mut store, "fib")
        .unwrap();
    assert_eq!(fib.call(&mut store, 20).unwrap(), 6765);
    let deep = instance
        .get_typed_func::<(), ()>(&mut store, "deep")
        .unwrap();
    for _ in 0..3 {
        let error = deep.call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
    }
    assert_eq!(fib.call(&mut store, 10).unwrap(), 55);
}

#[test]
fn traps_carry_a_backtrace() {
    let (mut store, instance) = instance(
        "(module
           (func $inner (unreachable))
           (func $outer (export \"run\") (call $inner)))",
    );
    let run = instance
        .get_typed_func::<(), ()>(&mut store, "run")
        .unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<Trap>(),
        Some(&Trap::UnreachableCodeReached)
    );
    let backtrace = error.downcast_ref::<WasmBacktrace>().expect("a backtrace");
    let names: Vec<_> = backtrace
        .frames()
        .iter()
        .map(|frame| frame.func_name())
        .collect();
    assert_eq!(names, [Some("inner"), Some("outer")]);
}

#[test]
fn memory_and_division_traps() {
    let (mut store, instance) = instance(
        "(module (memory 1)
           (func (export \"load\") (param i32) (result i32) (i32.load (local.get 0)))
           (func (export \"div\") (param i32 i32) (result i32)
             (i32.div_s (local.get 0) (local.get 1))))",
    );
    let load = instance
        .get_typed_func::<i32, i32>(&mut store, "load")
        .unwrap();
    assert_eq!(load.call(&mut store, 65532).unwrap(), 0);
    for address in [65533, 65536, -1, i32::MIN] {
        let error = load.call(&mut store, address).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
    }
    let div = instance
        .get_typed_func::<(i32, i32), i32>(&mut store, "div")
        .unwrap();
    let error = div.call(&mut store, (1, 0)).unwrap_err();
    assert_eq!(
        error.downcast_ref::<Trap>(),
        Some(&Trap::IntegerDivisionByZero)
    );
    let error = div.call(&mut store, (i32::MIN, -1)).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerOverflow));
}

/// A module whose exported function has the given parameters, passes them to
/// an imported function of the same type, and returns its results.
fn relay(parameters: &[ValType], results: &[ValType]) -> String {
    let list = |types: &[ValType]| types.iter().map(|ty| format!(" {ty}")).collect::<String>();
    let gets: String = (0..parameters.len())
        .map(|i| format!(" (local.get {i})"))
        .collect();
    format!(
        "(module
           (type $t (func (param{p}) (result{r})))
           (import \"host\" \"f\" (func $f (type $t)))
           (table 1 funcref) (elem (i32.const 0) $f)
           (func (export \"direct\") (type $t) (call $f{gets}))
           (func (export \"indirect\") (type $t) (call_indirect (type $t){gets} (i32.const 0)))
           (func (export \"tail\") (type $t) (return_call $f{gets}))
           (func $own (type $t) (call $f{gets}))
           (func (export \"own\") (type $t) (call $own{gets}))
           (func (export \"own tail\") (type $t) (return_call $own{gets})))",
        p = list(parameters),
        r = list(results),
    )
}

fn value(ty: &ValType, seed: u64) -> Val {
    match ty {
        ValType::I32 => Val::I32((seed as i32).wrapping_mul(0x01010101)),
        ValType::I64 => Val::I64((seed as i64).wrapping_mul(0x0101010101010101)),
        ValType::F32 => Val::F32((seed as f32 + 0.5).to_bits()),
        ValType::F64 => Val::F64((seed as f64 + 0.25).to_bits()),
        ValType::V128 => Val::V128(
            u128::from(seed)
                .wrapping_mul(0x0101_0101_0101_0101_0101_0101_0101_0101)
                .into(),
        ),
        _ => Val::null_extern_ref(),
    }
}

fn same(a: &Val, b: &Val) -> bool {
    match (a, b) {
        (Val::I32(a), Val::I32(b)) => a == b,
        (Val::I64(a), Val::I64(b)) => a == b,
        (Val::F32(a), Val::F32(b)) => a == b,
        (Val::F64(a), Val::F64(b)) => a == b,
        (Val::V128(a), Val::V128(b)) => a == b,
        (Val::ExternRef(None), Val::ExternRef(None)) => true,
        _ => false,
    }
}

#[test]
fn values_of_every_kind_and_number_pass_through() {
    let kinds = [
        ValType::I32,
        ValType::I64,
        ValType::F32,
        ValType::F64,
        ValType::V128,
        ValType::EXTERNREF,
    ];
    let engine = tier::engine();
    for count in [0, 1, 2, 3, 4, 5, 8, 9, 17, 40, 100, 1_000] {
        for shift in 0..kinds.len() {
            let parameters: Vec<_> = (0..count)
                .map(|i| kinds[(i * 7 + shift) % kinds.len()].clone())
                .collect();
            let results: Vec<_> = parameters.iter().rev().cloned().collect();
            let module = Module::new(&engine, relay(&parameters, &results)).unwrap();
            let mut store = Store::new(&engine, ());
            let ty = FuncType::new(&engine, parameters.clone(), results.clone());
            let given = parameters.clone();
            let host = Func::new(&mut store, ty, move |_, params, results| {
                for (i, (ty, param)) in given.iter().zip(params).enumerate() {
                    assert!(
                        same(param, &value(ty, i as u64)),
                        "parameter {i}: {param:?}"
                    );
                }
                for (result, param) in results.iter_mut().zip(params.iter().rev()) {
                    *result = *param;
                }
                Ok(())
            });
            let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
            let params: Vec<_> = parameters
                .iter()
                .enumerate()
                .map(|(i, ty)| value(ty, i as u64))
                .collect();
            for name in ["direct", "indirect", "tail", "own", "own tail"] {
                let mut out = vec![Val::I32(0); count];
                let func = instance.get_func(&mut store, name).unwrap();
                func.call(&mut store, &params, &mut out).unwrap();
                for (i, (got, expected)) in out.iter().zip(params.iter().rev()).enumerate() {
                    assert!(same(got, expected), "{name}, {count}: result {i}: {got:?}");
                }
            }
            // The host function itself, from the host.
            let mut out = vec![Val::I32(0); count];
            host.call(&mut store, &params, &mut out).unwrap();
            assert!(out.iter().zip(params.iter().rev()).all(|(a, b)| same(a, b)));
        }
    }
}

#[test]
fn errors_and_panics_of_host_functions_pass_through_wasm() {
    let engine = tier::engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"\" \"error\" (func $error))
           (import \"\" \"panic\" (func $panic))
           (func (export \"error\") (call $error))
           (func (export \"panic\") (call $panic)))",
    )
    .unwrap();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap(
            "",
            "error",
            |mut caller: Caller<'_, u32>| -> Result<(), Error> {
                *caller.data_mut() += 1;
                Err(Error::msg("as the host says"))
            },
        )
        .unwrap();
    linker
        .func_wrap("", "panic", || -> () { panic!("the host panics") })
        .unwrap();
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let error = instance
        .get_typed_func::<(), ()>(&mut store, "error")
        .unwrap();
    let message = error.call(&mut store, ()).unwrap_err().to_string();
    assert!(message.contains("as the host says"), "{message}");
    assert_eq!(*store.data(), 1);
    let panic = instance
        .get_typed_func::<(), ()>(&mut store, "panic")
        .unwrap();
    let payload =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panic.call(&mut store, ())))
            .unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the host panics"));
    // The store goes on.
    error.call(&mut store, ()).unwrap_err();
    assert_eq!(*store.data(), 2);
}

#[test]
fn host_and_guest_call_each_other_deeply() {
    let engine = tier::engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"\" \"again\" (func $again (param i32) (result i32)))
           (func (export \"down\") (param i32) (result i32)
             (if (result i32) (i32.eqz (local.get 0))
               (then (i32.const 0))
               (else (i32.add (i32.const 1)
                 (call $again (i32.sub (local.get 0) (i32.const 1))))))))",
    )
    .unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap(
            "",
            "again",
            |mut caller: Caller<'_, ()>, n: i32| -> tepui::Result<i32> {
                let down = caller
                    .get_export("down")
                    .and_then(|e| e.into_func())
                    .unwrap();
                down.typed::<i32, i32>(&caller)?.call(&mut caller, n)
            },
        )
        .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let down = instance
        .get_typed_func::<i32, i32>(&mut store, "down")
        .unwrap();
    assert_eq!(down.call(&mut store, 100).unwrap(), 100);
    // Host frames count too: the stack ends in a trap, not in a crash.
    let error = down.call(&mut store, i32::MAX).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
    assert_eq!(down.call(&mut store, 100).unwrap(), 100);
}

#[test]
fn every_instance_starts_with_the_same_memory() {
    let engine = tier::engine();
    let module = Module::new(
        &engine,
        "(module
           (memory (export \"memory\") 3)
           (data (i32.const 10) \"first\")
           (data (i32.const 70000) \"second\")
           (data (i32.const 12) \"xx\"))",
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    // Later instances map an image that earlier ones did not have.
    for round in 0..6 {
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert_eq!(memory.data_size(&store), 3 << 16);
        let data = memory.data_mut(&mut store);
        assert_eq!(&data[9..16], b"\0fixxt\0", "round {round}");
        assert_eq!(&data[69_999..70_007], b"\0second\0", "round {round}");
        assert_eq!(
            data.iter().filter(|byte| **byte != 0).count(),
            11,
            "round {round}"
        );
        data.fill(0xaa);
        assert_eq!(memory.grow(&mut store, 1).unwrap(), 3);
        assert_eq!(memory.data(&store)[3 << 16..], [0; 1 << 16]);
    }
}
