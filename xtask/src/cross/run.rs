//! Runs one step for one target, with what it prints in a log, and adds up what passed.

use super::targets::{Step, Target, What};
use super::wasm;
use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the tests said.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// Assertions of the official suite.
    pub(crate) assertions: u64,
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        if self.assertions > 0 {
            write!(
                f,
                "; {} assertions of the official suite pass",
                self.assertions
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
        What::Test(args) => test(target, args),
        What::Programs => wasm::programs(target),
        What::Suite => wasm::suite(target),
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
        // Emulation is slow: what runs under it is optimized, as far as that is quick, and checked all the same.
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
        // Tests that start themselves again do it so.
        command.env("TEPUI_TEST_RUNNER", target.runner);
    }
    command.args([
        verb,
        "--locked",
        target.libraries,
        "--target",
        target.triple,
    ]);
    command.args(["--config", "profile.dev.package.'*'.opt-level=1"]);
    // Handlers that reach each other by tail calls take an optimizing build.
    command.args([
        "--config",
        "profile.dev.package.tepui-interpreter.opt-level=2",
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

fn test(target: &Target, args: &[&str]) -> Result<Count> {
    let mut command = cargo(target, "test")?;
    // Without the examples in documentation: they are the same everywhere, and slow to build.
    if !args.contains(&"--test") {
        command.arg("--tests");
    }
    command.arg("--no-fail-fast").args(args);
    counted(target, command)
}

/// Runs a command that runs tests, with all that it prints in a log.
pub(crate) fn counted(target: &Target, mut command: Command) -> Result<Count> {
    let log_path = folder()?.join(format!("{}.log", target.name));
    let mut log = File::create(&log_path).at("cannot write", &log_path)?;
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
        assert_eq!(
            (count.passed, count.failed, count.ignored, count.assertions),
            (15, 2, 1, 69_620)
        );
        assert_eq!(
            count.add("  in files out of scope 3 assertions pass and 4 fail"),
            None
        );
        assert_eq!(count.assertions, 69_620);
    }
}
