//! Which kind of dispatch does this build have, and may accesses to memory fault?
//!
//! Tail calls need an optimizing build (without debug assertions, which only the
//! code knows of: they keep calls from being jumps) and a convention that passes
//! six words in registers. Faults need a system that delivers them as signals, and an entry
//! written in assembly.

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (arch, os) = (
        variable("CARGO_CFG_TARGET_ARCH"),
        variable("CARGO_CFG_TARGET_OS"),
    );
    let optimized = matches!(&*variable("OPT_LEVEL"), "2" | "3" | "s" | "z");
    // Floats are passed in registers of their own, or there are too few.
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let has = |name: &str| features.split(',').any(|feature| feature == name);
    let registers = match &*arch {
        "x86_64" => has("sse2") && os != "windows",
        "aarch64" => has("neon") && os != "windows",
        "riscv64" => has("d"),
        _ => false,
    };
    let forced_loop = std::env::var_os("CARGO_FEATURE_LOOP_DISPATCH").is_some();
    if optimized && registers && !forced_loop {
        println!("cargo::rustc-cfg=tail_dispatch");
    }
    let miri = std::env::var_os("CARGO_CFG_MIRI").is_some();
    let little = variable("CARGO_CFG_TARGET_ENDIAN") == "little";
    let width = variable("CARGO_CFG_TARGET_POINTER_WIDTH");
    if matches!(&*arch, "x86_64" | "aarch64")
        && matches!(&*os, "linux" | "android")
        && little
        && width == "64"
        && !miri
    {
        println!("cargo::rustc-cfg=guard_pages");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
