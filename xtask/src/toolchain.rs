//! The compilers that build guests: where they are, which Debian packages bring what is missing, and installing them.
//!
//! C is compiled by clang for WASI and for this machine. Rust for WASI comes from Debian's `rustc-web`, a compiler of
//! its own beside the one that builds the project, with the standard library built from its sources. Rust for this
//! machine is the cargo that runs this program.

use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// clang, for both targets.
pub(crate) const CLANG: &str = "/usr/bin/clang-19";
/// The linker of the Rust guests.
const WASM_LD: &str = "/usr/bin/wasm-ld-19";
/// The cargo and rustc that know `wasm32-wasip1`.
pub(crate) const WASI_CARGO: &str = "/usr/bin/cargo";
/// See [`WASI_CARGO`].
pub(crate) const WASI_RUSTC: &str = "/usr/bin/rustc";
/// The C library for WASI.
const WASI_LIBRARIES: &str = "/usr/lib/wasm32-wasi";
/// What compiled code calls for what Wasm has no instruction for.
const WASI_BUILTINS: &str = "/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a";

/// A file and the Debian package that brings it.
pub(crate) const NEEDED: &[(&str, &str)] = &[
    (CLANG, "clang-19"),
    (WASM_LD, "lld-19"),
    ("/usr/lib/wasm32-wasi/libc.a", "wasi-libc"),
    (WASI_BUILTINS, "libclang-rt-19-dev-wasm32"),
    (WASI_RUSTC, "rustc-web"),
    (WASI_CARGO, "cargo-web"),
    (
        "/usr/lib/rustlib/src/rust/library/Cargo.toml",
        "rust-web-src",
    ),
];

/// The packages whose files are not there.
pub(crate) fn missing() -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect()
}

/// An error that names the missing packages and the command that installs them.
pub(crate) fn require() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    Err(format!(
        "these Debian packages are missing: {0}\n  install them with `cargo xtask guests --install` as root, or with\n  sudo apt-get install {0}",
        packages.join(" ")
    )
    .into())
}

/// Installs the missing packages with `apt-get`, which must be allowed to.
pub(crate) fn install() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        println!("all Debian packages are there");
        return Ok(());
    }
    println!("installing {}", packages.join(" "));
    let status = Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&packages)
        .status()
        .doing("cannot run apt-get")?;
    if !status.success() {
        return Err(format!(
            "apt-get failed; as root: apt-get install {}",
            packages.join(" ")
        )
        .into());
    }
    require()
}

/// Compiles what Debian's C library for WASI lacks of what Rust's standard library expects into `object`.
pub(crate) fn wasi_gaps(object: &Path) -> Result<()> {
    let source = programs::root().join("bench/guests/c/wasi_gaps.c");
    build::execute(
        Command::new(CLANG)
            .args(["--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-c"])
            .arg(source)
            .arg("-o")
            .arg(object),
    )
}

/// The compiler's flags that link a Rust program for WASI, with the object of [`wasi_gaps`].
pub(crate) fn wasi_flags(gaps: &Path) -> Vec<OsString> {
    let mut flags: Vec<OsString> = ["-C", "linker-flavor=wasm-ld", "-C"]
        .map(Into::into)
        .to_vec();
    flags.push(format!("linker={WASM_LD}").into());
    flags.extend(["-C", "link-self-contained=no", "-L", WASI_LIBRARIES].map(Into::into));
    let start = Path::new(WASI_LIBRARIES).join("crt1-command.o");
    for object in [start.as_path(), gaps, Path::new(WASI_BUILTINS)] {
        flags.push("-C".into());
        flags.push(format!("link-arg={}", object.display()).into());
    }
    flags
}

/// The cargo that builds for this machine.
pub(crate) fn native_cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where cargo keeps what it fetched.
pub(crate) fn cargo_home() -> PathBuf {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}
