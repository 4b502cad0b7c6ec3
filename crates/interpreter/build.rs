//! Which kind of dispatch does this build have? Tail calls need an optimizing
//! build and a convention that passes six words in registers.

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let optimized = matches!(&*variable("OPT_LEVEL"), "2" | "3" | "s" | "z");
    let registers = matches!(
        &*variable("CARGO_CFG_TARGET_ARCH"),
        "x86_64" | "aarch64" | "riscv64" | "riscv32"
    ) && variable("CARGO_CFG_TARGET_OS") != "windows";
    let forced_loop = std::env::var_os("CARGO_FEATURE_LOOP_DISPATCH").is_some();
    if optimized && registers && !forced_loop {
        println!("cargo::rustc-cfg=tail_dispatch");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
