//! Runs a WASI program inside this one: `examples/markdown`, with text that the
//! host has in memory, and without any access to files.
//!
//! ```sh
//! cargo run --example wasi
//! ```

use std::path::Path;
use tepui::{Engine, Linker, Module, Result, Store};
use tepui_wasi::{I32Exit, MemoryInput, MemoryOutput, WasiCtx};

pub(crate) fn main() -> Result<()> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../markdown/markdown.wasm");
    let engine = Engine::default();
    let module = Module::from_file(&engine, program)?;
    let mut linker = Linker::new(&engine);
    tepui_wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
    // What depends on the module alone is done once; each guest is then cheap.
    let program = linker.instantiate_pre(&module)?;

    for (source, expected) in [
        ("# Hello, *guest*", "<h1>Hello, <em>guest</em></h1>\n"),
        ("1 < 2 & `x`", "<p>1 &lt; 2 &amp; <code>x</code></p>\n"),
    ] {
        let output = MemoryOutput::new(1 << 16);
        let wasi = WasiCtx::builder()
            .arg("markdown")
            .stdin(MemoryInput::new(source))
            .stdout(output.clone())
            .build()?;
        let mut store = Store::new(&engine, wasi);
        let instance = program.instantiate(&mut store)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        match start.call(&mut store, ()) {
            Ok(()) => {}
            // A program that calls `exit` ends with this error.
            Err(error) if error.downcast_ref::<I32Exit>() == Some(&I32Exit(0)) => {}
            Err(error) => return Err(error),
        }
        let html = String::from_utf8(output.contents())?;
        print!("{source}\n  {html}");
        assert_eq!(html, expected);
    }
    Ok(())
}
