//! Passes text to a guest and back, through the guest's memory.
//!
//! ```sh
//! cargo run --example memory
//! ```

use tepui::{Context, Engine, Instance, Module, Result, Store};

const GUEST: &str = r#"
(module
  (memory (export "memory") 1)

  ;; Turns the ASCII letters of $length bytes at $at into capitals.
  (func (export "capitals") (param $at i32) (param $length i32)
    (local $end i32) (local $letter i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $letter (i32.load8_u (local.get $at)))
        (if (i32.lt_u (i32.sub (local.get $letter) (i32.const 97)) (i32.const 26))
          (then
            (i32.store8 (local.get $at) (i32.sub (local.get $letter) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))))
"#;

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance
        .get_memory(&mut store, "memory")
        .context("the guest exports no memory")?;
    let capitals = instance.get_typed_func::<(u32, u32), ()>(&mut store, "capitals")?;

    let text = "table mountain";
    let at = 1024;
    memory.write(&mut store, at, text.as_bytes())?;
    capitals.call(&mut store, (at as u32, text.len() as u32))?;
    let result = std::str::from_utf8(&memory.data(&store)[at..][..text.len()])?.to_owned();

    println!("{text} -> {result}");
    assert_eq!(result, "TABLE MOUNTAIN");
    Ok(())
}
