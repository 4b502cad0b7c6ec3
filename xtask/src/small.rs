//! Builds the smallest command, and says how large it is and how much memory it takes.
//!
//! What is in it: WASI preview 1 and the interpreter with every proposal. What is not: compilers and images, the text
//! format, scripts, shell completion, a progress bar, colours. The profile `small` of the workspace says how it is
//! compiled; what the linker has to be told besides stands here.

use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::measure::{self, Job};
use crate::{build, programs, toolchain};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// What the list of chores says.
pub(crate) const ABOUT: &str = "build the smallest command, and measure it";

const HELP: &str = "\
Usage: cargo xtask small

Builds the command with the interpreter alone, under the profile `small`, and
prints its size and the peak memory of running an empty program. Fails when
either is more than docs/small.md promises (for x86-64 Linux).
";

/// Bytes that the command may have, and that it may take for an empty program. They are promised for one
/// kind of machine; others have other instructions and other C libraries.
const LIMITS: Option<(u64, u64)> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some((1_500_000, 4_000_000))
} else {
    None
};

/// How often the empty program is run.
const RUNS: usize = 5;

/// A module that has a `_start` which does nothing.
pub(crate) const EMPTY: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x07\x0a\x01\x06_start\0\0\
    \x0a\x04\x01\x02\0\x0b";

/// Runs the chore.
///
/// # Errors
///
/// When a part of it cannot be built, or the command does not run.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(arg) = args.first() {
        return Err(format!("`{arg}` is not known; `cargo xtask small --help` says more").into());
    }
    let mut cargo = Command::new(toolchain::native_cargo());
    cargo.current_dir(programs::root()).args([
        "rustc",
        "--quiet",
        "--profile",
        "small",
        "--package",
        "tepui-cli",
        "--bin",
        "tepui",
        "--no-default-features",
        "--features",
        "interpreter",
        "--",
    ]);
    if cfg!(target_os = "linux") {
        let script = programs::root().join("xtask/small.ld");
        let mut script_argument = OsString::from("-Clink-arg=-Wl,-T,");
        script_argument.push(&script);
        cargo.args([
            // Functions that are the same are one.
            "-Clink-arg=-Wl,--icf=all",
            "-Clink-arg=-Wl,--no-eh-frame-hdr",
            // Ends of strings that are strings are one.
            "-Clink-arg=-Wl,-O2",
        ]);
        cargo.arg(script_argument);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags()?);
    println!("building tepui with the interpreter alone");
    build::execute(&mut cargo)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let command = programs::root()
        .join(target)
        .join("small")
        .join(format!("tepui{}", std::env::consts::EXE_SUFFIX));
    let bytes = fs::metadata(&command).at("cannot read", &command)?.len();
    println!("{} has {bytes} bytes", command.display());

    let folder = Folder::new(None)?;
    fs::create_dir_all(folder.inputs()).at("cannot make", &folder.inputs())?;
    let empty = folder.at("run/empty.wasm")?;
    fs::write(&empty, EMPTY).at("cannot write", &empty)?;
    let job = Job {
        command: vec![command.into(), "run".into(), empty.into()],
        stdin: None,
        one_thread: false,
        timeout: Duration::from_secs(60),
    };
    // How many pages the system maps beside those that are touched differs from run to run.
    let mut least: Option<measure::Sample> = None;
    for _ in 0..RUNS {
        let run = measure::run(&job, &folder)?;
        if run.sample.status != 0 {
            return Err(format!("an empty program ends badly: {}", run.complaint()).into());
        }
        if least
            .as_ref()
            .is_none_or(|least| run.sample.peak < least.peak)
        {
            least = Some(run.sample);
        }
    }
    let least = least.ok_or("an empty program was never run")?;
    println!(
        "an empty program takes {} bytes of memory at most, 2 to 3 MB of which are those of whoever starts it, and {:?}",
        least.peak, least.wall
    );
    let problems = problems(bytes, least.peak, LIMITS);
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is more than it may be.
fn problems(size: u64, peak: u64, limits: Option<(u64, u64)>) -> Vec<String> {
    let Some((most, most_memory)) = limits else {
        println!("there are no limits for this kind of machine");
        return Vec::new();
    };
    let checks = [
        ("the command has", size, most),
        ("an empty program takes", peak, most_memory),
    ];
    checks
        .into_iter()
        .filter(|(_, is, may)| is > may)
        .map(|(what, is, may)| {
            format!("{what} {is} bytes, {} more than the {may} it may", is - may)
        })
        .collect()
}

/// What every crate is compiled with: flags that the user has set, and where sources
/// lie on this machine left out of the messages of panics.
fn rust_flags() -> Result<OsString> {
    const SEPARATOR: &str = "\x1f";
    let mut flags = match std::env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        Some(flags) => flags,
        None => {
            let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
            flags
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(SEPARATOR)
                .into()
        }
    };
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else {
        return Ok(flags);
    };
    // Without it there are no crates to be compiled from there.
    let Ok(registries) = fs::read_dir(&sources) else {
        return Ok(flags);
    };
    for registry in registries {
        let registry = registry.at("cannot read", &sources)?.path();
        if !flags.is_empty() {
            flags.push(SEPARATOR);
        }
        flags.push("--remap-path-prefix=");
        flags.push(registry);
        flags.push("=");
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn what_is_too_large_is_named() {
        let limits = Some((1000, 5000));
        assert!(problems(1000, 5000, limits).is_empty());
        assert!(problems(9999, 9999, None).is_empty());
        assert_eq!(
            problems(1001, 5000, limits),
            ["the command has 1001 bytes, 1 more than the 1000 it may"]
        );
        assert_eq!(problems(2000, 6000, limits).len(), 2);
    }
}
