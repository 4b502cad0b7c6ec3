//! What can be written on the command line? Subcommands, options and their help
//! texts.

use crate::engine::{Switch, Tier, parse_enable};
use crate::units;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use tepui_wasi::Access;

/// A WebAssembly runtime: runs modules in the binary (.wasm) and the text
/// (.wat) format, and images that it compiled before.
#[derive(Debug, Parser)]
#[command(
    name = "tepui",
    version,
    arg_required_else_help = true,
    override_usage = "tepui [run] [OPTIONS] FILE [ARGS]...\n       tepui COMMAND ...",
    after_help = "\
`tepui FILE` is short for `tepui run FILE`. `tepui help COMMAND` tells more.

Exit codes:
  the guest's own    when it ends by itself
  1                  a file cannot be read, is not valid, or cannot be linked
  2                  the command line is wrong
  134                the guest trapped, timed out or ran out of fuel
  141                nobody reads stdout any more"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    #[cfg(feature = "compiler")]
    Compile(CompileArgs),
    Validate(ValidateArgs),
    #[cfg(feature = "wast")]
    Wast(WastArgs),
    Settings(SettingsArgs),
    #[cfg(feature = "completion")]
    Completion(CompletionArgs),
}

/// What decides how code is compiled, for all commands that compile.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// The tier that runs the code: interpreter, baseline, optimizing or auto,
    /// as far as this build has them (see `tepui settings`). For tests,
    /// `mixed:SEED` runs each function in a tier that the number SEED decides
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<Tier>,

    /// Switch proposals on, by name, separated by commas; `all` stands for
    /// every one that is implemented. `tepui settings` lists the names
    #[arg(long, value_name = "P,...", value_delimiter = ',', value_parser = parse_enable)]
    pub(crate) enable: Vec<Switch>,

    /// Switch proposals off. Together with `--enable`, `all` counts before
    /// single names: `--disable all --enable simd` leaves only simd
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) disable: Vec<Switch>,

    /// The stack that the guest's frames may fill before the call stack is
    /// exhausted, as 512KiB or 8MiB
    #[arg(long, value_name = "N", value_parser = parse_stack)]
    pub(crate) max_stack: Option<usize>,

    /// Validate and compile on at most N threads; as many as there are
    /// processors when absent
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// Run a module: a WASI command, or one function of a library.
///
/// A command (a module that exports `_start`) is run with ARGS. Of a library,
/// name a function with `--invoke`; its ARGS are read by the types of its
/// parameters and its results are printed, one to a line. A module that exports
/// `_initialize` is initialized first.
///
/// Guests get nothing of the machine but stdin, stdout, stderr, clocks, random
/// numbers and what the options below give them. An image, however, is native
/// code: run only images that you or someone you trust compiled.
#[derive(Args, Debug)]
#[command(override_usage = "tepui run [OPTIONS] FILE [ARGS]...\n       tepui FILE [ARGS]...")]
pub(crate) struct RunArgs {
    /// The module or image to run, `-` for stdin, and what it gets as its
    /// arguments. Options for tepui stand before FILE
    #[arg(
        required = true,
        value_names = ["FILE", "ARGS"],
        num_args = 1..,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub(crate) file_and_args: Vec<OsString>,

    /// Give the guest a directory of the host, under its own name or under
    /// GUEST; with `::ro` the guest can only read in it. May be repeated
    #[arg(long = "dir", value_name = "HOST[::GUEST[::ro]]", value_parser = parse_dir)]
    pub(crate) dirs: Vec<Dir>,

    /// Set an environment variable of the guest; without `=V` it gets the
    /// host's value, or none if the host has none. May be repeated
    #[arg(long = "env", value_name = "K[=V]", value_parser = parse_env)]
    pub(crate) env: Vec<(String, Option<String>)>,

    /// What the guest gets as the name of the program, in place of FILE's name
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<String>,

    /// Call the exported function F instead of `_start`
    #[arg(long, value_name = "F")]
    pub(crate) invoke: Option<String>,

    /// Instantiate FILE first, and let later modules import from it under NAME.
    /// May be repeated
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_preload)]
    pub(crate) preload: Vec<(String, PathBuf)>,

    /// Run images even if you did not compile them on this machine. An image is
    /// native code that can do whatever a program of yours can
    #[cfg(feature = "compiler")]
    #[arg(long)]
    pub(crate) trust_image: bool,

    /// Stop with a trap after about N instructions
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) fuel: Option<u64>,

    /// Stop with a trap after the time D, as 500ms, 2s or 1m, counted from
    /// the start of the guest
    #[arg(long, value_name = "D", value_parser = units::duration, help_heading = "Limits")]
    pub(crate) timeout: Option<Duration>,

    /// Let the guest's memories grow to N bytes in all, as 64MiB or 1g;
    /// beyond that `memory.grow` fails
    #[arg(long, value_name = "N", value_parser = units::size, help_heading = "Limits")]
    pub(crate) max_memory: Option<u64>,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Compile a module ahead of time to an image that starts at once.
///
/// `tepui run` runs an image as it runs the module, without compiling. An image
/// fits the version of tepui and the options (tier, proposals, fuel, timeout)
/// that it was made with. It is tagged as yours, so that `tepui run` knows it
/// from images that others made, which it runs with --trust-image only.
#[cfg(feature = "compiler")]
#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// The module to compile, or `-` for stdin
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,

    /// Where to write the image, or `-` for stdout
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// The machine to compile for, as aarch64-unknown-linux-gnu; this one when
    /// absent
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,

    /// Make an image for `tepui run --fuel`
    #[arg(long)]
    pub(crate) fuel: bool,

    /// Make an image for `tepui run --timeout`
    #[arg(long)]
    pub(crate) timeout: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Check that files are valid modules.
///
/// Prints nothing and ends with code 0 when all are; otherwise says what
/// is wrong, and where, for each that is not, and ends with code 1.
#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// Modules in the binary or the text format, or `-` for stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Run scripts of the WebAssembly specification's test suite.
///
/// Every implemented proposal is on. Each directive that does not hold is
/// reported as FILE:LINE:COLUMN with the reason, on stdout, and does not stop
/// the rest; counts come last. Ends with code 1 if anything failed.
#[cfg(feature = "wast")]
#[derive(Args, Debug)]
pub(crate) struct WastArgs {
    /// Scripts, `-` for stdin, or directories, of which every .wast file is run
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// Show what the scripts print through `spectest`
    #[arg(long)]
    pub(crate) print: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Show what this build can do on this machine.
///
/// The host with the processor's features, the tiers, the proposals with their
/// defaults, and the limits.
#[derive(Args, Debug)]
pub(crate) struct SettingsArgs {}

/// Print the script that completes `tepui` in a shell.
///
/// For example: `tepui completion bash >
/// ~/.local/share/bash-completion/completions/tepui`.
#[cfg(feature = "completion")]
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// A directory given to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
}

fn parse_dir(text: &str) -> Result<Dir, String> {
    let parts: Vec<&str> = text.split("::").collect();
    let (host, guest, access) = match parts[..] {
        [host] => (host, host, Access::ReadWrite),
        [host, guest] => (host, guest, Access::ReadWrite),
        [host, guest, "ro"] => (host, guest, Access::ReadOnly),
        _ => {
            return Err(
                "expected HOST, HOST::GUEST or HOST::GUEST::ro, as data::/data::ro".to_string(),
            );
        }
    };
    if host.is_empty() || guest.is_empty() {
        return Err("a directory needs a name on both sides of `::`".to_string());
    }
    Ok(Dir {
        host: host.into(),
        guest: guest.to_string(),
        access,
    })
}

fn parse_env(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_string())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("a variable needs a name".to_string());
    }
    Ok((name.to_string(), value))
}

fn parse_preload(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok((name.to_string(), file.into())),
        _ => Err("expected NAME=FILE, as env=helpers.wasm".to_string()),
    }
}

fn parse_stack(text: &str) -> Result<usize, String> {
    let bytes = units::size(text)?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if (crate::run::MIN_STACK..=crate::run::MAX_STACK).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!(
            "a stack has between {} and {}",
            units::show_size(crate::run::MIN_STACK as u64),
            units::show_size(crate::run::MAX_STACK as u64)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        let dir = |host: &str, guest: &str, access| {
            Ok(Dir {
                host: host.into(),
                guest: guest.to_string(),
                access,
            })
        };
        assert_eq!(parse_dir("a"), dir("a", "a", Access::ReadWrite));
        assert_eq!(parse_dir("a::/b"), dir("a", "/b", Access::ReadWrite));
        assert_eq!(parse_dir("a::/b::ro"), dir("a", "/b", Access::ReadOnly));
        assert_eq!(
            parse_dir("C:\\x::/b"),
            dir("C:\\x", "/b", Access::ReadWrite)
        );
        for bad in ["", "::", "a::", "::b", "a::b::rw", "a::b::", "a::b::ro::x"] {
            assert!(parse_dir(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_and_preloads() {
        assert_eq!(parse_env("A"), Ok(("A".into(), None)));
        assert_eq!(parse_env("A="), Ok(("A".into(), Some("".into()))));
        assert_eq!(parse_env("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert!(parse_env("=b").is_err());
        assert_eq!(parse_preload("m=f.wat"), Ok(("m".into(), "f.wat".into())));
        assert_eq!(parse_preload("=f.wat"), Ok(("".into(), "f.wat".into())));
        assert!(parse_preload("f.wat").is_err());
        assert!(parse_preload("m=").is_err());
    }
}
