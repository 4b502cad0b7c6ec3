//! Runs guests that misbehave: two that never end, one that takes all memory it
//! can get, one that recurses without end, one that divides by zero.
//!
//! ```sh
//! cargo run --example limits
//! ```

use std::time::Duration;
use tepui::{
    Config, Context, Engine, Error, Instance, Module, Result, Store, StoreLimits,
    StoreLimitsBuilder, Trap, WasmBacktrace,
};

const GUEST: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "forever") (loop $again (br $again)))
  (func (export "greedy") (result i32)
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (memory.size))
  (func $deep (export "deep") (result i32)
    (i32.add (call $deep) (i32.const 1)))
  (func $divide (param i32) (result i32)
    (i32.div_u (i32.const 1) (local.get 0)))
  (func (export "zero") (result i32)
    (call $divide (i32.const 0))))
"#;

/// A store with the guest in it, and its limits as the store's data.
fn start(engine: &Engine) -> Result<(Store<StoreLimits>, Instance)> {
    let module = Module::new(engine, GUEST)?;
    let limits = StoreLimitsBuilder::new().memory_size(1 << 20).build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits| limits);
    let instance = Instance::new(&mut store, &module, &[])?;
    Ok((store, instance))
}

/// Says what a guest ended with, which has to be `expected`.
fn ended(name: &str, error: &Error, expected: Trap) {
    println!("{name}: {}", expected.message());
    assert_eq!(error.downcast_ref::<Trap>(), Some(&expected));
}

pub(crate) fn main() -> Result<()> {
    // Fuel bounds how many instructions run, the same number on every machine.
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let (mut store, instance) = start(&engine)?;
    store.set_fuel(1_000_000)?;
    let forever = instance.get_typed_func::<(), ()>(&mut store, "forever")?;
    let error = forever.call(&mut store, ()).expect_err("it never ends");
    ended("forever, with fuel", &error, Trap::OutOfFuel);

    // An epoch bounds time, at less cost: another thread says when it is over.
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let (mut store, instance) = start(&engine)?;
    store.set_epoch_deadline(1);
    let forever = instance.get_typed_func::<(), ()>(&mut store, "forever")?;
    let clock = engine.clone();
    let timer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        clock.increment_epoch();
    });
    let error = forever.call(&mut store, ()).expect_err("it never ends");
    ended("forever, for 50 ms", &error, Trap::Interrupt);
    timer.join().expect("the timer does not panic");

    // What a guest takes is limited, and what it did not get it sees. The store
    // goes on after a trap.
    let (mut store, instance) = start(&Engine::default())?;
    let greedy = instance.get_typed_func::<(), u32>(&mut store, "greedy")?;
    let pages = greedy.call(&mut store, ())?;
    println!("greedy: got {pages} pages of 64 KiB");
    assert_eq!(pages, 16);
    let deep = instance.get_typed_func::<(), u32>(&mut store, "deep")?;
    let error = deep.call(&mut store, ()).expect_err("it never returns");
    ended("deep", &error, Trap::StackOverflow);

    // A trap says where.
    let zero = instance.get_typed_func::<(), u32>(&mut store, "zero")?;
    let error = zero.call(&mut store, ()).expect_err("it divides by zero");
    ended("zero", &error, Trap::IntegerDivisionByZero);
    let backtrace = error
        .downcast_ref::<WasmBacktrace>()
        .context("a trap has a backtrace")?;
    println!("{backtrace}");
    assert_eq!(backtrace.frames()[0].func_name(), Some("divide"));
    Ok(())
}
