//! Calls a function of a guest, which calls one of the host, which counts in
//! data of its own.
//!
//! ```sh
//! cargo run --example call
//! ```

use tepui::{Caller, Engine, Linker, Module, Result, Store};

/// What the host keeps beside its guests: the `T` of `Store<T>`.
#[derive(Default)]
struct Host {
    primes: Vec<u32>,
}

const GUEST: &str = r#"
(module
  (import "host" "found" (func $found (param i32)))

  ;; Reports the primes below $limit, and gives how many there are.
  (func (export "primes") (param $limit i32) (result i32)
    (local $n i32) (local $divisor i32) (local $count i32)
    (local.set $n (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $n) (local.get $limit)))
        (local.set $divisor (i32.const 2))
        (block $composite
          (block $prime
            (loop $divide
              (br_if $prime
                (i32.gt_u (i32.mul (local.get $divisor) (local.get $divisor)) (local.get $n)))
              (br_if $composite
                (i32.eqz (i32.rem_u (local.get $n) (local.get $divisor))))
              (local.set $divisor (i32.add (local.get $divisor) (i32.const 1)))
              (br $divide)))
          (call $found (local.get $n))
          (local.set $count (i32.add (local.get $count) (i32.const 1))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $count)))
"#;

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST)?;

    let mut linker = Linker::<Host>::new(&engine);
    linker.func_wrap(
        "host",
        "found",
        |mut caller: Caller<'_, Host>, prime: u32| {
            caller.data_mut().primes.push(prime);
        },
    )?;

    let mut store = Store::new(&engine, Host::default());
    let instance = linker.instantiate(&mut store, &module)?;
    let primes = instance.get_typed_func::<u32, u32>(&mut store, "primes")?;
    let count = primes.call(&mut store, 30)?;

    println!("{count} primes: {:?}", store.data().primes);
    assert_eq!(store.data().primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    Ok(())
}
