//! Validates a module with `wasmparser` alone, on one thread: what times of
//! compiling are set against. `cargo xtask bench` runs it as the engine
//! `wasmparser`.
//!
//! `cargo run --release -p tepui-baseline --example validate -- FILE`

use wasmparser::{Validator, WasmFeatures};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let bytes = std::fs::read(&file)?;
        Validator::new_with_features(WasmFeatures::all()).validate_all(&bytes)?;
    }
    Ok(())
}
