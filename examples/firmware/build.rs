//! Turns the guest into the binary format, and says how the program lies in memory.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let guest = wat::parse_file(Path::new(&here).join("guest.wat"))?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("guest.wasm"), guest)?;
    println!("cargo::rustc-link-arg=-T{here}/memory.ld");
    for file in ["build.rs", "guest.wat", "memory.ld"] {
        println!("cargo::rerun-if-changed={file}");
    }
    Ok(())
}
