//! Wasm inside of Wasm: the command, built for WASI, runs guests inside of the command of this machine.
//!
//! A guest and the outer command's answers are the measure: inside, the same is printed and the same exit code given.
//! The official suite runs inside too, through the test that the command has.

use super::run::{self, Count, cargo, folder};
use super::targets::Target;
use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use crate::toolchain::{self, CLANG};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// How the command is built for WASI.
const FEATURES: &[&str] = &[
    "--no-default-features",
    "--features",
    "interpreter,wast,wat",
];

/// The command of this machine, and the one for WASI as an image.
struct Commands {
    native: PathBuf,
    inner: PathBuf,
}

fn build_both(target: &Target) -> Result<Commands> {
    let folder = folder()?;
    let gaps = folder.join("wasi_gaps.o");
    toolchain::wasi_gaps(&gaps)?;
    let mut flags = toolchain::wasi_flags(&gaps);
    // Guests recurse on this stack as far as the command's own limit lets them.
    flags.extend(["-C", "link-arg=-zstack-size=8388608"].map(OsString::from));
    let mut command = cargo(target, "build")?;
    command
        .args(["--quiet", "--release", "-p", "tepui-cli"])
        .args(FEATURES)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags.join(&OsString::from("\x1f")),
        )
        // Nothing unwinds there.
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        // Fast enough, and built in half the time.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    println!("  building tepui for {}", target.triple);
    build::execute(&mut command)?;
    let wasm = folder.join(target.triple).join("release/tepui.wasm");
    let bytes = fs::metadata(&wasm).at("cannot read", &wasm)?.len();
    println!("  tepui.wasm has {bytes} bytes");

    // As `cargo test` builds it: what it compiles is as fast as ever.
    println!("  building tepui for this machine");
    build::execute(
        Command::new(toolchain::native_cargo())
            .current_dir(programs::root())
            .args(["build", "--quiet", "--locked", "-p", "tepui-cli"]),
    )?;
    let target_folder = folder.parent().unwrap_or(&folder);
    let native = target_folder
        .join("debug")
        .join(format!("tepui{}", std::env::consts::EXE_SUFFIX));
    let inner = folder.join("tepui.image");
    build::execute(
        Command::new(&native)
            .arg("compile")
            .arg(&wasm)
            .arg("-o")
            .arg(&inner),
    )?;
    Ok(Commands { native, inner })
}

impl Commands {
    /// The words before the arguments of the outer command.
    fn outer(&self) -> Vec<OsString> {
        vec![self.native.clone().into_os_string()]
    }

    /// The words before the arguments of the inner command.
    fn inner(&self) -> Vec<OsString> {
        let mut words = self.outer();
        words.extend(["run", "--dir", "."].map(OsString::from));
        words.push(self.inner.clone().into_os_string());
        words
    }
}

/// Runs a command in `folder`.
fn execute(words: &[OsString], folder: &Path, args: &[&str]) -> Result<Output> {
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing("cannot run tepui")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A guest that reads nothing closes its end early.
        let _ = stdin.write_all(b"one\ntwo\n");
    }
    child.wait_with_output().doing("cannot wait for tepui")
}

/// Guests that are run both ways.
pub(super) fn programs(target: &Target) -> Result<Count> {
    let commands = build_both(target)?;
    let place = folder()?.join("wasm-in-wasm");
    fs::create_dir_all(&place).at("cannot make", &place)?;
    let source = programs::root().join("xtask/src/cross/guest.c");
    build::execute(
        Command::new(CLANG)
            .args(["--target=wasm32-wasi", "--sysroot=/usr", "-O2"])
            .arg(source)
            .arg("-o")
            .arg(place.join("guest.wasm")),
    )?;
    for name in ["markdown.wasm", "sample.md"] {
        let from = programs::root().join("examples/markdown").join(name);
        fs::copy(&from, place.join(name)).at("cannot copy", &from)?;
    }
    for (name, text) in [
        (
            "add.wat",
            "(module (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))",
        ),
        (
            "trap.wat",
            "(module (func $f unreachable) (func (export \"_start\") call $f))",
        ),
        ("deep.wat", "(module (func $f (export \"_start\") call $f))"),
        (
            "big.wat",
            "(module (memory 65536) (func (export \"_start\")))",
        ),
    ] {
        let path = place.join(name);
        fs::write(&path, text).at("cannot write", &path)?;
    }
    // What is told by the exit code and by what is printed; `same` compares standard error too.
    let cases: &[(&str, &[&str], bool)] = &[
        (
            "services",
            &[
                "run",
                "--dir",
                ".",
                "--env",
                "GREETING=hello",
                "guest.wasm",
                "one",
                "two words",
            ],
            true,
        ),
        ("no folder", &["run", "guest.wasm"], true),
        (
            "a program",
            &["run", "--dir", ".", "markdown.wasm", "sample.md"],
            true,
        ),
        (
            "a function",
            &["run", "--invoke", "add", "add.wat", "2", "3"],
            false,
        ),
        ("a trap", &["run", "trap.wat"], true),
        ("a stack overflow", &["run", "deep.wat"], false),
        ("fuel", &["run", "--fuel", "100", "deep.wat"], false),
        ("a missing file", &["run", "missing.wasm"], false),
    ];
    let mut count = Count::default();
    for (title, args, same_errors) in cases {
        let (outer, inner) = (
            execute(&commands.outer(), &place, args)?,
            execute(&commands.inner(), &place, args)?,
        );
        let same = outer.status.code() == inner.status.code()
            && outer.stdout == inner.stdout
            && (!same_errors || outer.stderr == inner.stderr);
        if same {
            count.passed += 1;
            continue;
        }
        count.failed += 1;
        for (place, output) in [("outside", &outer), ("inside", &inner)] {
            println!(
                "  {title}, {place}: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    // What there is no room for is said, and ends nothing but the guest.
    let big = execute(&commands.inner(), &place, &["run", "big.wat"])?;
    let said = String::from_utf8_lossy(&big.stderr);
    if big.status.code() == Some(1) && said.contains("memory") {
        count.passed += 1;
    } else {
        count.failed += 1;
        println!("  a memory of 4 GiB, inside: {}\n{said}", big.status);
    }
    Ok(count)
}

/// The official suite through the inner command.
pub(super) fn suite(target: &Target) -> Result<Count> {
    let commands = build_both(target)?;
    let words: Vec<_> = commands
        .inner()
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if words.iter().any(|word| word.contains(char::is_whitespace)) {
        return Err("the build folder's path has spaces, which this step cannot pass on".into());
    }
    let mut command = Command::new(toolchain::native_cargo());
    command
        .current_dir(programs::root())
        .args(["test", "--locked", "-p", "tepui-cli", "--test", "suite"])
        .args(["--", "--nocapture"])
        .env("TEPUI_TEST_COMMAND", words.join(" "));
    run::counted(target, command)
}
