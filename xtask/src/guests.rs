//! `cargo xtask guests`: builds real programs as Wasm and natively, and compares the two in an engine.
//!
//! ```text
//! cargo xtask guests [NAME…]              build all guests, or those named, into target/guests
//! cargo xtask guests --install            first install the Debian packages that are missing (as root)
//! cargo xtask guests --check ENGINE…      run a real job on each in the engines and natively, and compare
//! ```
//!
//! Options: `--out DIR` another build folder; `--all` checks the benchmark programs too; `--program A,B` checks those;
//! `--bless` pins the hashes of what was built in bench/programs.toml. An ENGINE is a name of `engines` (such as
//! `tepui`, `tepui-interpreter`, `wasmtime`, `node`) or, in quotes, a command that `FILE ARGS…` can be put behind
//! and that opens the current folder to the guest, such as `"tepui run --dir ."`.
//!
//! The build folder holds `wasm/`, `native/`, `inputs/` (the folder that programs run in) and what building left.
//! Nothing of it is committed. Sources come through cargo, pinned by the lock files under bench/guests.

use crate::error::{Context, Result};
use crate::programs::{self, Programs};
use crate::{build, check, engines, inputs, toolchain};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the list of chores says.
pub(crate) const ABOUT: &str = "build real programs as Wasm and natively; compare them in engines";

const HELP: &str = "\
Usage: cargo xtask guests [NAME…] [--out DIR] [--install] [--bless]
       cargo xtask guests --check ENGINE… [--all | --program A,B] [--out DIR]

Builds the guests of bench/programs.toml as Wasm and natively into target/guests.

  --install      install the Debian packages that are missing (apt-get, as root)
  --check        run each real program in the engines and natively, compare output byte for byte;
                 an ENGINE is a name from the table below or a quoted command such as \"tepui run --dir .\"
  --all          check the benchmark programs too
  --program A,B  check these programs only
  --out DIR      the build folder (default target/guests)
  --bless        pin the hashes of the guests and inputs in bench/programs.toml
";

/// Where guests are built and run.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, or the default one.
    pub(crate) fn new(path: Option<&str>) -> Result<Self> {
        let path = path.map_or_else(|| programs::root().join("target/guests"), PathBuf::from);
        fs::create_dir_all(&path).at("cannot make", &path)?;
        // Guests run in another folder, so that a relative path would miss.
        Ok(Self(fs::canonicalize(&path).at("cannot find", &path)?))
    }

    /// A file or folder inside, whose parent is made.
    pub(crate) fn at(&self, path: &str) -> Result<PathBuf> {
        let path = self.0.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("cannot make", parent)?;
        }
        Ok(path)
    }

    /// The Wasm build of a guest.
    pub(crate) fn wasm(&self, guest: &str) -> PathBuf {
        self.0.join("wasm").join(format!("{guest}.wasm"))
    }

    /// The native build of a guest.
    pub(crate) fn native(&self, guest: &str) -> PathBuf {
        self.0
            .join("native")
            .join(format!("{guest}{}", std::env::consts::EXE_SUFFIX))
    }

    /// The folder that programs run in and may open.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.0.join("inputs")
    }

    /// The root.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// BLAKE3 of the guests and inputs that are there, under the keys of the list.
    pub(crate) fn hashes(&self, list: &Programs) -> Result<BTreeMap<String, String>> {
        let guests = list
            .guests
            .iter()
            .map(|guest| (format!("wasm/{}", guest.name), self.wasm(&guest.name)));
        let inputs = list.inputs.iter().map(|input| {
            (
                format!("input/{}", input.name),
                self.inputs().join(&input.name),
            )
        });
        guests
            .chain(inputs)
            .filter(|(_, path)| path.exists())
            .map(|(key, path)| Ok((key, programs::hash(&path)?)))
            .collect()
    }
}

#[derive(Default)]
struct Options {
    names: Vec<String>,
    out: Option<String>,
    only: Option<Vec<String>>,
    install: bool,
    check: bool,
    all: bool,
    bless: bool,
}

fn options(args: &[String]) -> Result<Option<Options>> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .cloned()
                .ok_or_else(|| format!("`{arg}` lacks its value"))
        };
        match arg.as_str() {
            "--help" | "-h" => return Ok(None),
            "--install" => options.install = true,
            "--check" => options.check = true,
            "--all" => options.all = true,
            "--bless" => options.bless = true,
            "--out" => options.out = Some(value()?),
            "--program" => options.only = Some(value()?.split(',').map(str::to_owned).collect()),
            flag if flag.starts_with('-') => {
                return Err(format!("no option is called `{flag}`; see --help").into());
            }
            name => options.names.push(name.to_owned()),
        }
    }
    Ok(Some(options))
}

/// The chore.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let Some(options) = options(args)? else {
        println!("{HELP}\nEngines:\n{}", engines::describe());
        return Ok(ExitCode::SUCCESS);
    };
    let list = Programs::read()?;
    let folder = Folder::new(options.out.as_deref())?;
    if options.install {
        toolchain::install()?;
    }
    if options.check {
        let chosen: Vec<_> = match &options.only {
            Some(names) => {
                let found: Result<Vec<_>> = names
                    .iter()
                    .map(|name| {
                        let found = list.programs.iter().find(|program| program.name == *name);
                        Ok(found.ok_or_else(|| format!("no program is called {name}"))?)
                    })
                    .collect();
                found?
            }
            None => list
                .programs
                .iter()
                .filter(|program| program.check || options.all)
                .collect(),
        };
        return check::run(&folder, &chosen, &options.names);
    }

    toolchain::require()?;
    for name in &options.names {
        list.guest(name)?;
    }
    let mut builder = build::Builder::new(&folder)?;
    let mut failures = Vec::new();
    for guest in list
        .guests
        .iter()
        .filter(|guest| options.names.is_empty() || options.names.contains(&guest.name))
    {
        if let Err(error) = builder.build(guest) {
            eprintln!("{}: {error}", guest.name);
            failures.push(guest.name.as_str());
        }
    }
    inputs::make(&list, &folder)?;
    let hashes = folder.hashes(&list)?;
    if options.bless {
        if !options.names.is_empty() || !failures.is_empty() {
            return Err(
                "hashes are pinned for all guests at once, and only when all were built".into(),
            );
        }
        Programs::bless(&hashes)?;
        println!("pinned {} hashes in bench/programs.toml", hashes.len());
    } else {
        if let Some(note) = list.differences(&hashes) {
            println!("note: {note}");
        }
    }
    println!("guests are in {}", folder.path().display());
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("not built: {}", failures.join(", ")).into())
}
