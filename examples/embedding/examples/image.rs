//! Compiles a module ahead of time, and loads what was compiled, which takes
//! next to no time.
//!
//! ```sh
//! cargo run --example image
//! ```

use std::path::Path;
use std::time::Instant;
use tepui::{Engine, Module, Result};

pub(crate) fn main() -> Result<()> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../markdown/markdown.wasm");
    let engine = Engine::default();

    // An image is machine code, and running a forged one is running the forger's
    // program. The tag under a key that nobody else knows keeps forged ones out.
    // `tepui::UserKey` keeps such a key in a file that only the user can read.
    let key = [7; 32];
    let began = Instant::now();
    let image = engine.precompile_module_authenticated(&std::fs::read(program)?, &key)?;
    println!("compiled to {} bytes in {:?}", image.len(), began.elapsed());

    let began = Instant::now();
    let module = Module::deserialize_authenticated(&engine, &image, &key)?;
    println!("loaded in {:?}", began.elapsed());
    assert!(module.get_export("_start").is_some());

    let mut forged = image.clone();
    forged[image.len() / 2] ^= 1;
    let error = Module::deserialize_authenticated(&engine, &forged, &key)
        .expect_err("it is not what was compiled");
    println!("changed by one bit: {error:#}");
    let error =
        Module::deserialize_authenticated(&engine, &image, &[8; 32]).expect_err("it is another's");
    println!("under another key: {error:#}");
    Ok(())
}
