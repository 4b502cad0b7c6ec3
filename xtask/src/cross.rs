//! `cargo xtask cross`: builds Tepui for other machines and runs its tests there, under emulation.
//!
//! ```text
//! cargo xtask cross                       lists the targets, and what each lacks here
//! cargo xtask cross TARGET… [--smoke]     builds for the targets and runs their tests: all, or a small set
//! cargo xtask cross TARGET… --install     installs the Debian packages that are missing (as root), and that is all
//! cargo xtask cross TARGET… --missing     names them, and that is all
//! ```
//!
//! The table of targets and of what is run on each is [`targets`]. The compiler is Debian's `rustc-web`, which builds
//! the standard library from `rust-web-src`; what is linked by Debian's cross compilers runs under `qemu-user-static`, and
//! what is for Windows under Wine.
//! What was run ends up in a log beside the build, and the counts on the screen are added up from it.

mod firmware;
mod run;
mod targets;
mod wasm;
mod wine;

use crate::error::{Context, Result};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use targets::{Set, TARGETS, Target};

/// What the list of chores says.
pub(crate) const ABOUT: &str = "build for other machines and run the tests there, under emulation";

const HELP: &str = "\
Usage: cargo xtask cross TARGET… [--smoke] [--only TEXT]
       cargo xtask cross TARGET… --install | --missing

Builds Tepui for other machines and runs its tests there, under emulation.

  --smoke      a small set, for a first impression
  --install    install the Debian packages that are missing (apt-get, as root), and no more
  --missing    name them, and no more
  --only TEXT  the steps whose titles contain TEXT
";

/// The chore.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let (mut smoke, mut install, mut name_missing) = (false, false, false);
    let (mut only, mut names) = (None, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                list();
                return Ok(ExitCode::SUCCESS);
            }
            "--smoke" => smoke = true,
            "--install" => install = true,
            "--missing" => name_missing = true,
            "--only" => only = Some(args.next().ok_or("`--only` lacks its value")?.as_str()),
            flag if flag.starts_with('-') => {
                return Err(format!("no option is called `{flag}`; see --help").into());
            }
            name => names.push(name),
        }
    }
    if names.is_empty() {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let mut chosen = Vec::new();
    for name in names {
        chosen.push(
            TARGETS
                .iter()
                .find(|target| target.name == name || target.triple == name)
                .ok_or_else(|| {
                    format!("no target is called `{name}`; `cargo xtask cross` lists them")
                })?,
        );
    }
    if name_missing {
        println!("{}", missing_for(&chosen).join(" "));
        return Ok(ExitCode::SUCCESS);
    }
    if install {
        install_packages(&chosen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut failed = Vec::new();
    for target in chosen {
        require(target)?;
        run::begin_log(target)?;
        let began = Instant::now();
        let mut passed = 0;
        let other_set = if smoke { Set::Full } else { Set::Small };
        for step in target.steps {
            if step.set == other_set || only.is_some_and(|text| !step.title.contains(text)) {
                continue;
            }
            println!("==== {}: {} ====", target.name, step.title);
            let step_began = Instant::now();
            match run::step(target, step) {
                Ok(count) => {
                    passed += count.passed;
                    println!(
                        "{}: {}: {count} ({} s)",
                        target.name,
                        step.title,
                        step_began.elapsed().as_secs()
                    );
                    if count.failed > 0 {
                        failed.push(format!("{}: {}", target.name, step.title));
                    }
                }
                Err(error) => {
                    println!("{}: {}: {error}", target.name, step.title);
                    failed.push(format!("{}: {}", target.name, step.title));
                }
            }
        }
        println!(
            "==== {}: {passed} tests passed in {} s ====",
            target.name,
            began.elapsed().as_secs()
        );
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("these failed:\n  {}", failed.join("\n  ")).into())
}

fn list() {
    println!("Targets:");
    for target in TARGETS {
        println!(
            "  {:<10} {:<30} {}",
            target.name, target.triple, target.about
        );
        let packages = missing(target);
        if !packages.is_empty() {
            println!("  {:<10} lacks here: {}", "", packages.join(" "));
        }
    }
}

/// The packages of a target whose files are not there.
fn missing(target: &Target) -> Vec<&'static str> {
    target
        .needs
        .iter()
        .copied()
        .flatten()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect()
}

/// The same for several targets.
fn missing_for(targets: &[&Target]) -> Vec<&'static str> {
    let mut packages: Vec<_> = targets.iter().flat_map(|target| missing(target)).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// An error that names the missing packages and the command that installs them.
fn require(target: &Target) -> Result<()> {
    let packages = missing(target);
    if packages.is_empty() {
        return Ok(());
    }
    Err(format!(
        "these Debian packages are missing: {0}\n  install them with `cargo xtask cross {1} --install` as root, or with\n  sudo apt-get install --no-install-recommends {0}",
        packages.join(" "),
        target.name
    )
    .into())
}

/// Installs what the targets lack with `apt-get`, which must be allowed to.
fn install_packages(targets: &[&Target]) -> Result<()> {
    let packages = missing_for(targets);
    if packages.is_empty() {
        println!("all Debian packages are there");
        return Ok(());
    }
    println!("installing {}", packages.join(" "));
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&packages)
        .status()
        .doing("cannot run apt-get")?;
    if !status.success() {
        return Err(format!(
            "apt-get failed (are its lists there? `apt-get update` fetches them); as root: apt-get install --no-install-recommends {}",
            packages.join(" ")
        )
        .into());
    }
    Ok(())
}
