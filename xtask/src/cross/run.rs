//! Runs one step for one target, with what it prints in a log, and adds up what passed.

use super::targets::{Step, Suite, Target, What};
use super::{firmware, wasm, wine};
use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the tests said.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// Assertions of the official suite that pass, in files that are in scope.
    pub(crate) assertions: u64,
    /// Those files.
    pub(crate) files: u64,
    /// Directives in them that fail, each listed as out of scope.
    pub(crate) out_of_scope: u64,
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        if self.files > 0 {
            write!(
                f,
                "; in {} files of the official suite {} assertions pass, and {} directives are out of scope",
                self.files, self.assertions, self.out_of_scope
            )?;
        }
        Ok(())
    }
}

/// Where builds for other machines are kept.
pub(crate) fn folder() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| programs::root().join("target"), PathBuf::from);
    let folder = target.join("cross");
    fs::create_dir_all(&folder).at("cannot make", &folder)?;
    fs::canonicalize(&folder).at("cannot find", &folder)
}

/// Runs a step.
pub(crate) fn step(target: &Target, step: &Step) -> Result<Count> {
    match step.what {
        What::Build(commands) => build(target, commands),
        What::Test(args) => test(target, args, &AS_USED),
        What::Asserting(args) => test(target, args, &[]),
        What::Suite(ref parts) => suite(target, parts),
        What::Programs => wasm::programs(target),
        What::InnerSuite => wasm::suite(target),
        What::Firmware => firmware::run(target),
    }
}

/// The cargo that builds for other machines.
pub(crate) fn cargo(target: &Target, verb: &str) -> Result<Command> {
    let mut command = Command::new("/usr/bin/cargo");
    // What the outer cargo set for this program is not meant for the inner one.
    for variable in [
        "CARGO",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(variable);
    }
    command
        .current_dir(programs::root())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env("CARGO_TARGET_DIR", folder()?)
        // Emulation is slow: what runs under it is optimized, as far as that is quick, and checked all the same. What the
        // project depends on is optimized as it always is.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    let variable = |what: &str| {
        let triple = target.triple.to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{triple}_{what}")
    };
    if !target.linker.is_empty() {
        command.env(variable("LINKER"), target.linker);
    }
    if !target.runner.is_empty() {
        command.env(variable("RUNNER"), target.runner);
        if target.runner == wine::RUNNER {
            // Tests that start themselves again are inside of it.
            wine::prepare(&mut command)?;
        } else {
            // Tests that start themselves again do it so.
            command.env("TEPUI_TEST_RUNNER", target.runner);
        }
    }
    command.args([
        verb,
        "--locked",
        target.libraries,
        "--target",
        target.triple,
    ]);
    Ok(command)
}

fn build(target: &Target, commands: &[&[&str]]) -> Result<Count> {
    let mut count = Count::default();
    for args in commands {
        let mut command = cargo(target, "build")?;
        command.args(*args);
        build::execute(&mut command)?;
        count.passed += 1;
    }
    Ok(count)
}

/// Options of cargo that have the interpreter's handlers reach one another by tail calls, where the machine allows it.
const AS_USED: [&str; 6] = [
    "--config",
    "profile.dev.package.tepui-interpreter.opt-level=2",
    "--config",
    "profile.dev.package.tepui-interpreter.debug-assertions=false",
    "--config",
    "profile.dev.package.tepui-interpreter.overflow-checks=false",
];

fn test(target: &Target, args: &[&str], options: &[&str]) -> Result<Count> {
    let mut command = cargo(target, "test")?;
    command.args(options);
    // Without the examples in documentation: they are the same everywhere, and slow to build.
    if !args.contains(&"--test") {
        command.arg("--tests");
    }
    command.arg("--no-fail-fast").args(args);
    counted(target, command)
}

/// Runs the official suite, one process a part.
fn suite(target: &Target, suite: &Suite) -> Result<Count> {
    let mut count = Count::default();
    for part in 1..=suite.run {
        let mut command = cargo(target, "test")?;
        command
            .args(AS_USED)
            .args(["-p", "tepui-wast"])
            .args(suite.features)
            .args([
                "--test",
                "official",
                "--",
                "--nocapture",
                "--exact",
                "official_suite",
            ])
            .env("TEPUI_TIERS", suite.tiers)
            .env("TEPUI_PART", format!("{part}/{}", suite.parts));
        count.merge(counted(target, command)?);
    }
    Ok(count)
}

/// Where all is kept that the steps print.
fn log_path(target: &Target) -> Result<PathBuf> {
    Ok(folder()?.join(format!("{}.log", target.name)))
}

/// Begins the log of a target anew.
pub(crate) fn begin_log(target: &Target) -> Result<()> {
    let path = log_path(target)?;
    File::create(&path).map(drop).at("cannot write", &path)
}

/// Runs a command that runs tests, with all that it prints in the log.
pub(crate) fn counted(target: &Target, mut command: Command) -> Result<Count> {
    let log_path = log_path(target)?;
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .at("cannot write", &log_path)?;
    writeln!(log, "{command:?}").at("cannot write", &log_path)?;
    let errors = log.try_clone().at("cannot write", &log_path)?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .doing("cannot run cargo")?;
    let mut count = Count::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            // What is not text is of no interest here.
            let line = line.unwrap_or_default();
            writeln!(log, "{line}").at("cannot write", &log_path)?;
            if let Some(line) = count.add(&line) {
                println!("  {line}");
            }
        }
    }
    let status = child.wait().doing("cannot wait for cargo")?;
    if !status.success() && count.failed == 0 {
        let text = fs::read_to_string(&log_path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(40)..];
        return Err(format!(
            "cargo failed ({status}); {} ends with\n{}",
            log_path.display(),
            tail.join("\n")
        )
        .into());
    }
    if count.failed > 0 {
        println!("  the log is {}", log_path.display());
    }
    Ok(count)
}

impl Count {
    /// Adds what another command said.
    fn merge(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.assertions += other.assertions;
        self.files += other.files;
        self.out_of_scope += other.out_of_scope;
    }

    /// Adds what a line of the tests says; gives back what is worth showing.
    fn add<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let number = |text: &str| {
            text.split_whitespace()
                .next()
                .and_then(|word| word.parse::<u64>().ok())
                .unwrap_or(0)
        };
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split(['.', ';']) {
                let part = part.trim();
                if part.ends_with(" passed") {
                    self.passed += number(part);
                } else if part.ends_with(" failed") {
                    self.failed += number(part);
                } else if part.ends_with(" ignored") {
                    self.ignored += number(part);
                }
            }
            return None;
        }
        if line.starts_with("  ") && line.ends_with(" assertions pass") {
            self.assertions += number(line);
            return Some(line.trim());
        }
        if let Some((_, files)) = line.split_once(": ")
            && files.ends_with(" files in scope")
        {
            self.files += number(files);
        }
        if line.starts_with("  ") && line.contains(" directives fail; ") {
            self.out_of_scope += number(line);
        }
        (line.starts_with("test ") && line.ends_with("FAILED")).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn results_are_added_up() {
        let mut count = Count::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 2.5s",
        ] {
            assert_eq!(count.add(line), None);
        }
        assert_eq!(count.add("test b ... FAILED"), Some("test b ... FAILED"));
        assert_eq!(
            count.add("  69620 assertions pass"),
            Some("69620 assertions pass")
        );
        assert_eq!(count.add("interpreter: 316 files in scope"), None);
        assert_eq!(count.add("  47 directives fail; 47 are excluded"), None);
        assert_eq!(
            (count.passed, count.failed, count.ignored, count.assertions),
            (15, 2, 1, 69_620)
        );
        assert_eq!((count.files, count.out_of_scope), (316, 47));
        assert_eq!(
            count.add("  in files out of scope 3 assertions pass and 4 fail"),
            None
        );
        assert_eq!(count.assertions, 69_620);
    }
}
