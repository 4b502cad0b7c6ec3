//! Builds one guest as Wasm and natively. What is up to date is left alone: C by a stamp over the command and the
//! sources, Rust by cargo itself.

use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::programs::{self, Guest, Source};
use crate::toolchain::{self, CLANG, WASI_CARGO, WASI_RUSTC};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// The two builds of every guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Wasm,
    Native,
}

/// Builds guests into a folder.
pub(crate) struct Builder<'a> {
    folder: &'a Folder,
    /// `bench/guests`.
    guests: PathBuf,
    /// Folders of the pinned crates, by name.
    crates: HashMap<String, PathBuf>,
    /// What Debian's C library for WASI lacks, compiled when the first Rust guest needs it.
    gaps: Option<PathBuf>,
}

impl<'a> Builder<'a> {
    /// Fetches the pinned sources and finds where they are.
    pub(crate) fn new(folder: &'a Folder) -> Result<Self> {
        let guests = programs::root().join("bench/guests");
        let crates = fetch(&guests.join("sources"))?;
        Ok(Self {
            folder,
            guests,
            crates,
            gaps: None,
        })
    }

    /// Builds `guest` twice.
    pub(crate) fn build(&mut self, guest: &Guest) -> Result<()> {
        for target in [Target::Wasm, Target::Native] {
            let out = match target {
                Target::Wasm => self.folder.wasm(&guest.name),
                Target::Native => self.folder.native(&guest.name),
            };
            if let Some(parent) = out.parent() {
                fs::create_dir_all(parent).at("cannot make", parent)?;
            }
            match &guest.source {
                Source::C {
                    sources,
                    flags,
                    wasm_flags,
                    native_flags,
                } => {
                    let own = if target == Target::Wasm {
                        wasm_flags
                    } else {
                        native_flags
                    };
                    self.c(
                        &guest.name,
                        target,
                        sources,
                        &[flags.as_slice(), own].concat(),
                        &out,
                    )?;
                }
                Source::Crate {
                    krate,
                    bin,
                    default_features,
                    patch,
                } => {
                    let source = self.copy_crate(krate, patch.as_deref())?;
                    let features: &[&str] = if *default_features {
                        &[]
                    } else {
                        &["--no-default-features"]
                    };
                    // A patch changes the lock file by its one entry, so that `--locked` would refuse.
                    let locked: &[&str] = if patch.is_some() { &[] } else { &["--locked"] };
                    self.rust(
                        &guest.name,
                        target,
                        &source,
                        bin,
                        &[features, locked].concat(),
                        &out,
                    )?;
                }
                Source::Rust => {
                    let source = self.guests.join("rust");
                    self.rust(
                        &guest.name,
                        target,
                        &source,
                        &guest.name,
                        &["--locked"],
                        &out,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// `{CRATE}` in front of a path is the folder of that crate; other paths are under `bench/guests`.
    fn resolve(&self, text: &str) -> Result<String> {
        let Some((before, rest)) = text.split_once('{') else {
            return Ok(text.to_owned());
        };
        let (name, after) = rest
            .split_once('}')
            .ok_or_else(|| format!("`{text}` lacks a `}}`"))?;
        let path = self.crates.get(name).ok_or_else(|| {
            format!("no crate {name} is pinned in bench/guests/sources/Cargo.lock")
        })?;
        Ok(format!("{before}{}{after}", path.display()))
    }

    fn c(
        &self,
        name: &str,
        target: Target,
        sources: &[String],
        flags: &[String],
        out: &Path,
    ) -> Result<()> {
        let mut files = Vec::new();
        for source in sources {
            expand(&self.guests.join(self.resolve(source)?), &mut files)?;
        }
        let mut command = Command::new(CLANG);
        command.args(["-O2", "-ffp-contract=off"]);
        if target == Target::Wasm {
            command.args(["--target=wasm32-wasi", "--sysroot=/usr"]);
        }
        for (from, to) in self.prefixes() {
            command.arg(format!("-ffile-prefix-map={}={to}", from.display()));
        }
        command.args(&files);
        for flag in flags {
            command.arg(self.resolve(flag)?);
        }
        command.arg("-lm").arg("-o").arg(out);

        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{command:?}").as_bytes());
        for file in &files {
            hasher.update(&fs::read(file).at("cannot read", file)?);
        }
        let stamp = hasher.finalize().to_hex().to_string();
        let kind = if target == Target::Wasm {
            "wasm"
        } else {
            "native"
        };
        let stamp_path = self.folder.at(&format!("stamps/{name}.{kind}"))?;
        if out.exists() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
            return Ok(());
        }
        println!("building {name} ({kind})");
        execute(&mut command)?;
        fs::write(&stamp_path, stamp).at("cannot write", &stamp_path)
    }

    fn rust(
        &mut self,
        name: &str,
        target: Target,
        source: &Path,
        bin: &str,
        options: &[&str],
        out: &Path,
    ) -> Result<()> {
        let build = self.folder.at("cargo/target")?;
        let mut command = match target {
            Target::Native => Command::new(toolchain::native_cargo()),
            Target::Wasm => {
                let mut command = Command::new(WASI_CARGO);
                // The standard library is built with the guest, by a released compiler.
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", WASI_RUSTC);
                command
            }
        };
        command
            .args([
                "build",
                "--quiet",
                "--release",
                "--bin",
                bin,
                "--manifest-path",
            ])
            .arg(source.join("Cargo.toml"));
        command.args(options).env("CARGO_TARGET_DIR", &build);
        // What the outer cargo set for this program is not meant for the guest.
        for variable in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            command.env_remove(variable);
        }
        // A build script that asks git for a revision must not find this repository's: the guest would change with it.
        command.env("GIT_CEILING_DIRECTORIES", self.folder.path());
        if target == Target::Wasm {
            command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
            command.args(["-Zbuild-std=std,panic_abort", "--target", "wasm32-wasip1"]);
            let mut flags = toolchain::wasi_flags(&self.gaps()?);
            for (from, to) in self.prefixes() {
                flags.push(format!("--remap-path-prefix={}={to}", from.display()).into());
            }
            command.env(
                "CARGO_ENCODED_RUSTFLAGS",
                flags.join(&OsString::from("\x1f")),
            );
        } else {
            println!("building {name} (native)");
        }
        if target == Target::Wasm {
            println!("building {name} (wasm)");
        }
        execute(&mut command)?;
        let built = match target {
            Target::Wasm => build
                .join("wasm32-wasip1/release")
                .join(format!("{bin}.wasm")),
            Target::Native => build
                .join("release")
                .join(format!("{bin}{}", std::env::consts::EXE_SUFFIX)),
        };
        fs::copy(&built, out).at("cannot copy", &built).map(drop)
    }

    /// Paths that differ from machine to machine, and what stands for them in what is built.
    fn prefixes(&self) -> [(PathBuf, &'static str); 3] {
        [
            (self.guests.clone(), "/guests"),
            (toolchain::cargo_home(), "/cargo"),
            (self.folder.path().to_path_buf(), "/out"),
        ]
    }

    fn gaps(&mut self) -> Result<PathBuf> {
        if let Some(object) = &self.gaps {
            return Ok(object.clone());
        }
        let object = self.folder.at("cargo/wasi_gaps.o")?;
        toolchain::wasi_gaps(&object)?;
        self.gaps = Some(object.clone());
        Ok(object)
    }

    /// The sources of a crate where they can be built: a copy, a workspace of its own, with a stand-in for a crate
    /// that does not build for WASI when one is named.
    fn copy_crate(&self, krate: &str, patch: Option<&str>) -> Result<PathBuf> {
        let from = self.resolve(&format!("{{{krate}}}"))?;
        let from = Path::new(&from);
        let name = from
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(krate);
        let to = self.folder.at(&format!("cargo/{name}"))?;
        let manifest = to.join("Cargo.toml");
        copy_tree(from, &to)?;
        let original = from.join("Cargo.toml");
        let mut text = fs::read_to_string(&original).at("cannot read", &original)?;
        if !text.lines().any(|line| line.trim() == "[workspace]") {
            text.push_str("\n[workspace]\n");
        }
        if let Some(patch) = patch {
            let path = self.guests.join(patch);
            text.push_str(&format!(
                "\n[patch.crates-io]\n{patch} = {{ path = {:?} }}\n",
                path.display().to_string()
            ));
        }
        if !fs::read_to_string(&manifest).is_ok_and(|old| old == text) {
            fs::write(&manifest, text).at("cannot write", &manifest)?;
        }
        Ok(to)
    }
}

/// Fetches what the lock file in `folder` pins; gives the folder of each crate by its name.
fn fetch(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let manifest = folder.join("Cargo.toml");
    let output = Command::new(toolchain::native_cargo())
        .args([
            "metadata",
            "--quiet",
            "--locked",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(&manifest)
        .output()
        .doing("cannot run cargo")?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
        .into());
    }
    // Only libraries are listed there, but all crates of one registry lie side by side: the folder of one library
    // leads to those that the lock file names.
    let listing = String::from_utf8_lossy(&output.stdout);
    let lock_path = folder.join("Cargo.lock");
    let lock: Table = fs::read_to_string(&lock_path)
        .at("cannot read", &lock_path)?
        .parse()
        .at("not a lock file", &lock_path)?;
    let packages: Vec<(&str, &str)> = lock
        .get("package")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|package| package.get("source").is_some())
        .filter_map(|package| {
            Some((
                package.get("name")?.as_str()?,
                package.get("version")?.as_str()?,
            ))
        })
        .collect();
    let registry = packages
        .iter()
        .find_map(|(name, version)| {
            let tail = format!("/{name}-{version}/Cargo.toml\"");
            let end = listing.find(&tail)?;
            let start = listing[..end].rfind('"')? + 1;
            Some(PathBuf::from(&listing[start..end]))
        })
        .ok_or("cargo metadata lists no crate of the lock file")?;
    Ok(packages
        .into_iter()
        .map(|(name, version)| (name.to_owned(), registry.join(format!("{name}-{version}"))))
        .filter(|(_, path)| path.is_dir())
        .collect())
}

/// Adds `path`, or, when its last part has a `*`, the files that match, in order.
fn expand(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else {
        files.push(path.to_path_buf());
        return Ok(());
    };
    let folder = path.parent().unwrap_or(path);
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .at("cannot list", folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .filter(|name| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
        .map(|name| folder.join(name))
        .collect();
    if found.is_empty() {
        return Err(format!("nothing matches {}", path.display()).into());
    }
    found.sort();
    files.append(&mut found);
    Ok(())
}

/// Copies the files that are not there yet; files that are stay as they are, so that cargo sees no change.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).at("cannot make", to)?;
    for entry in fs::read_dir(from).at("cannot list", from)? {
        let entry = entry.at("cannot list", from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else if !target.exists() {
            // Through memory: a file of the registry may be marked read-only, its copy is not.
            let bytes = fs::read(&source).at("cannot read", &source)?;
            fs::write(&target, bytes).at("cannot write", &target)?;
        }
    }
    Ok(())
}

/// Runs a compiler; its words are the error when it fails.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    let output = command.output().doing(format_args!(
        "cannot run {}",
        command.get_program().display()
    ))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let shown: Vec<&str> = words.lines().take(40).collect();
    Err(format!(
        "{} failed ({})\n{}",
        command.get_program().display(),
        output.status,
        shown.join("\n")
    )
    .into())
}
