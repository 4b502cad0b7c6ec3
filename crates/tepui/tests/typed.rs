//! Typed host functions of many shapes: those that are called with registers as
//! they are, those that go through an image, and the borders between them.

mod tier;

use tepui::{Caller, Error, ExternRef, Func, Linker, Module, Rooted, Store, V128};

use tier::engine;

#[test]
fn every_tier() {
    tier::run_in_others(|_| &[]);
}

/// Calls host function `f` of the type in `signature` through Wasm, with the
/// parameters handed through.
macro_rules! through {
    ($signature:literal, $count:literal, $closure:expr, $params:ty, $results:ty, $values:expr) => {{
        let engine = engine();
        let gets: String = (0..$count).map(|i| format!("(local.get {i})")).collect();
        let text = format!(
            "(module (import \"\" \"f\" (func $f {s})) (func (export \"run\") {s} (call $f {gets})))",
            s = $signature
        );
        let module = Module::new(&engine, text).unwrap();
        let mut linker = Linker::<u32>::new(&engine);
        linker.func_wrap("", "f", $closure).unwrap();
        let mut store = Store::new(&engine, 7);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let run = instance.get_typed_func::<$params, $results>(&mut store, "run").unwrap();
        run.call(&mut store, $values).unwrap()
    }};
}

#[test]
fn integers_fill_the_registers_and_one_more() {
    let four = through!(
        "(param i32 i64 i32 i64) (result i64)",
        4,
        |a: i32, b: i64, c: u32, d: u64| i64::from(a)
            + 10 * b
            + 100 * i64::from(c)
            + 1000 * d as i64,
        (i32, i64, u32, u64),
        i64,
        (-1, 2, 3, 4)
    );
    assert_eq!(four, 4319);
    let five = through!(
        "(param i32 i64 i32 i64 i32) (result i64)",
        5,
        |a: i32, b: i64, c: u32, d: u64, e: i32| {
            i64::from(a) + 10 * b + 100 * i64::from(c) + 1000 * d as i64 + 10_000 * i64::from(e)
        },
        (i32, i64, u32, u64, i32),
        i64,
        (-1, 2, 3, 4, 5)
    );
    assert_eq!(five, 54_319);
}

#[test]
fn floats_fill_the_registers_and_one_more() {
    let eight = through!(
        "(param f32 f64 f32 f64 f32 f64 f32 f64 i32) (result f64)",
        9,
        |a: f32, b: f64, c: f32, d: f64, e: f32, f: f64, g: f32, h: f64, i: i32| {
            f64::from(a) + b + f64::from(c) + d + f64::from(e) + f + f64::from(g) + h + f64::from(i)
        },
        (f32, f64, f32, f64, f32, f64, f32, f64, i32),
        f64,
        (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 1000)
    );
    assert_eq!(eight, 1127.5);
    let nine = through!(
        "(param f32 f64 f32 f64 f32 f64 f32 f64 f32) (result f32)",
        9,
        |a: f32, _b: f64, _c: f32, _d: f64, _e: f32, _f: f64, _g: f32, h: f64, i: f32| {
            a * 100.0 + h as f32 * 10.0 + i
        },
        (f32, f64, f32, f64, f32, f64, f32, f64, f32),
        f32,
        (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0)
    );
    assert_eq!(nine, 123.0);
}

#[test]
fn vectors_and_several_results_pass_through() {
    let value = V128::from(0x0123_4567_89ab_cdef_0011_2233_4455_6677_u128);
    let vector = through!(
        "(param v128) (result v128)",
        1,
        |v: V128| V128::from(u128::from(v).rotate_left(8)),
        V128,
        V128,
        value
    );
    assert_eq!(u128::from(vector), u128::from(value).rotate_left(8));
    let many = through!(
        "(param i32 f64) (result f64 i32 i64)",
        2,
        |a: i32, b: f64| (b, a, i64::from(a) * 2),
        (i32, f64),
        (f64, i32, i64),
        (21, 1.5)
    );
    assert_eq!(many, (1.5, 21, 42));
}

#[test]
fn references_keep_their_identity() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"\" \"f\" (func $f (param externref funcref) (result externref)))
           (func (export \"run\") (param externref funcref) (result externref)
             (call $f (local.get 0) (local.get 1))))",
    )
    .unwrap();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap(
            "",
            "f",
            |caller: Caller<'_, u32>, a: Option<Rooted<ExternRef>>, f: Option<Func>| {
                assert_eq!(f.is_some(), a.is_some());
                let Some(a) = a else { return Ok(None) };
                let data = a.data(&caller)?.and_then(|data| data.downcast_ref::<u32>());
                assert_eq!(data, Some(&99));
                Ok::<_, Error>(Some(a))
            },
        )
        .unwrap();
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance
        .get_typed_func::<(Option<Rooted<ExternRef>>, Option<Func>), Option<Rooted<ExternRef>>>(
            &mut store, "run",
        )
        .unwrap();
    let reference = ExternRef::new(&mut store, 99_u32).unwrap();
    let func = Func::wrap(&mut store, || {});
    let back = run
        .call(&mut store, (Some(reference), Some(func)))
        .unwrap()
        .unwrap();
    assert!(Rooted::ref_eq(&store, &reference, &back).unwrap());
    assert!(run.call(&mut store, (None, None)).unwrap().is_none());
}

#[test]
fn errors_and_panics_leave_no_trace() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module
           (import \"\" \"f\" (func $f (param i32) (result f64)))
           (func (export \"run\") (param i32) (result f64) (call $f (local.get 0))))",
    )
    .unwrap();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap("", "f", |what: i32| -> Result<f64, Error> {
            match what {
                0 => Ok(0.25),
                1 => Err(Error::msg("refused")),
                _ => panic!("thrown"),
            }
        })
        .unwrap();
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance
        .get_typed_func::<i32, f64>(&mut store, "run")
        .unwrap();
    for _ in 0..3 {
        assert_eq!(run.call(&mut store, 0).unwrap(), 0.25);
        assert!(
            run.call(&mut store, 1)
                .unwrap_err()
                .to_string()
                .contains("refused")
        );
        assert_eq!(run.call(&mut store, 0).unwrap(), 0.25);
        let payload =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.call(&mut store, 2)))
                .unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"thrown"));
    }
}
