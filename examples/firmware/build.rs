//! Turns the guest into the binary format or into an image, and says how the program
//! lies in memory.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let guest = wat::parse_file(Path::new(&here).join("guest.wat"))?;
    let name = if cfg!(feature = "image") {
        "guest.image"
    } else {
        "guest.wasm"
    };
    fs::write(Path::new(&env::var("OUT_DIR")?).join(name), written(guest)?)?;
    println!("cargo::rustc-link-arg=-T{here}/memory.ld");
    for file in ["build.rs", "guest.wat", "memory.ld"] {
        println!("cargo::rerun-if-changed={file}");
    }
    Ok(())
}

/// An image of the guest for the machine that this is built for.
#[cfg(feature = "image")]
fn written(guest: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    use tepui::{Config, Engine, Strategy};

    let mut config = Config::new();
    config.strategy(Strategy::Interpreter);
    config.target(&env::var("TARGET")?)?;
    // What the machine does not have.
    config.feature("simd".parse()?, false)?;
    config.feature("relaxed-simd".parse()?, false)?;
    Ok(Engine::new(&config)?.precompile_module(&guest)?)
}

/// The guest as it is.
#[cfg(not(feature = "image"))]
fn written(guest: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(guest)
}
