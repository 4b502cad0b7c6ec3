//! Runs programs in engines and natively and compares what they print and write, byte for byte.

use crate::engines::{self, Engine};
use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::inputs;
use crate::measure::{self, Job, Sample};
use crate::programs::{Program, Programs};
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

/// What a program gave: its output, the files it wrote, its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    stdout: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    status: i32,
}

/// Runs `command`, which is `program` in some engine, and gives what came of it and what it took.
///
/// # Errors
///
/// A sentence: it could not be started, took too long, or did not write what it should.
pub(crate) fn outcome(
    program: &Program,
    command: Vec<OsString>,
    folder: &Folder,
    timeout: Duration,
) -> std::result::Result<(Outcome, Sample), String> {
    for name in &program.produces {
        // What an earlier run wrote must not pass for what this one should write; there may be nothing.
        let _ = fs::remove_file(folder.inputs().join(name));
    }
    let job = Job {
        command,
        stdin: program.stdin.clone(),
        one_thread: false,
        timeout,
    };
    let run = measure::run(&job, folder).map_err(|error| error.to_string())?;
    if run.sample.status == measure::TIMED_OUT {
        return Err(format!("took longer than {} s", timeout.as_secs()));
    }
    let mut stdout = fs::read(&run.stdout).map_err(|error| format!("no output: {error}"))?;
    if !program.ignore_lines.is_empty() {
        let text = String::from_utf8_lossy(&stdout);
        let kept = text
            .split_inclusive('\n')
            .filter(|line| !program.ignore_lines.iter().any(|i| line.contains(i)));
        stdout = kept.collect::<String>().into_bytes();
    }
    let mut files = Vec::new();
    for name in &program.produces {
        let bytes = fs::read(folder.inputs().join(name))
            .map_err(|error| format!("did not write {name}: {error}; {}", run.complaint()))?;
        files.push((name.clone(), bytes));
    }
    let outcome = Outcome {
        stdout,
        files,
        status: run.sample.status,
    };
    if outcome.status != 0 {
        return Err(run.complaint());
    }
    Ok((outcome, run.sample))
}

impl Outcome {
    /// Where `self` differs from what is right, in a sentence; nothing when it does not.
    pub(crate) fn difference(&self, right: &Self) -> Option<String> {
        let different = |what: &str, mine: &[u8], right: &[u8]| {
            let at = mine
                .iter()
                .zip(right)
                .position(|(a, b)| a != b)
                .unwrap_or(mine.len().min(right.len()));
            (mine != right).then(|| {
                let (have, want) = (mine.len(), right.len());
                format!("{what} differs from byte {at} on ({have} bytes, {want} are right)")
            })
        };
        different("the output", &self.stdout, &right.stdout).or_else(|| {
            self.files
                .iter()
                .zip(&right.files)
                .find_map(|((name, mine), (_, right))| different(name, mine, right))
        })
    }
}

/// Why a program cannot be run at all; nothing when it can.
pub(crate) fn unready(folder: &Folder, program: &Program) -> Option<String> {
    [folder.wasm(&program.guest), folder.native(&program.guest)]
        .iter()
        .find(|file| !file.exists())
        .map(|file| {
            format!(
                "{} is not there; build it with `cargo xtask guests`",
                file.display()
            )
        })
}

/// Compares `programs` in each engine `named` with their native builds.
pub(crate) fn run(folder: &Folder, programs: &[&Program], named: &[String]) -> Result<ExitCode> {
    if named.is_empty() {
        return Err(format!("name the engines to check:\n{}", engines::describe()).into());
    }
    inputs::make(&Programs::read()?, folder)?;
    let found = engines::find_all(named, folder)?;
    for note in &found.notes {
        println!("note: {note}");
    }
    // An engine that was named is wanted: one that is not there is a failure.
    let mut failures = named.len() - found.engines.len();
    let timeout = Duration::from_secs(900);
    for program in programs {
        if let Some(why) = unready(folder, program) {
            return Err(why.into());
        }
        let native = vec![folder.native(&program.guest).into_os_string()];
        let native = native
            .into_iter()
            .chain(program.args.iter().map(OsString::from))
            .collect();
        let (right, took) = outcome(program, native, folder, timeout)
            .doing(format_args!("{}, native", program.name))?;
        println!(
            "{:<16} native: {} bytes of output, {:.3} s",
            program.name,
            right.stdout.len(),
            took.wall.as_secs_f64()
        );
        for engine in &found.engines {
            let verdict = match check(engine, program, folder, timeout, &right) {
                Ok(took) => format!("same output, {:.3} s", took.wall.as_secs_f64()),
                Err(why) => {
                    failures += 1;
                    format!("FAILED: {why}")
                }
            };
            println!("{:<16} {}: {verdict}", "", engine.name);
        }
    }
    println!(
        "{} programs, {} engines, {failures} failures",
        programs.len(),
        found.engines.len()
    );
    Ok(if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check(
    engine: &Engine,
    program: &Program,
    folder: &Folder,
    timeout: Duration,
    right: &Outcome,
) -> std::result::Result<Sample, String> {
    let command = engine.cold(folder, &program.guest, &program.args);
    let (outcome, took) = outcome(program, command, folder, timeout)?;
    outcome.difference(right).map_or(Ok(took), Err)
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn differences_are_found_and_placed() {
        let outcome = |stdout: &[u8], file: &[u8]| Outcome {
            stdout: stdout.to_vec(),
            files: vec![("f".into(), file.to_vec())],
            status: 0,
        };
        let right = outcome(b"abc", b"x");
        assert_eq!(right.difference(&right), None);
        assert!(
            outcome(b"abd", b"x")
                .difference(&right)
                .expect("a difference")
                .contains("byte 2")
        );
        assert!(
            outcome(b"ab", b"x")
                .difference(&right)
                .expect("a difference")
                .contains("2 bytes, 3 are right")
        );
        assert!(
            outcome(b"abc", b"y")
                .difference(&right)
                .expect("a difference")
                .starts_with("f differs")
        );
    }
}
