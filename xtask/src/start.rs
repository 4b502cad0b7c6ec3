//! Measures how long commands take to run programs that do nothing, or next to nothing, run by run in turns.

use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::measure::{self, Job};
use crate::small::EMPTY;
use crate::stats;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

/// What the list of chores says.
pub(crate) const ABOUT: &str = "measure how long commands take to start a program";

const HELP: &str = "\
Usage: cargo xtask start [--runs N] COMMAND...

Runs each COMMAND, words separated by spaces, N times (200 when absent), in turns,
with an empty program and with one that prints `hello`, and prints the least and
the median of processor time (of user and system) and of wall time.

For example: cargo xtask start 'target/release/tepui run --tier interpreter' 'wasmi run'
";

/// A module that prints `hello` by WASI preview 1.
const HELLO: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0c\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\0\0\
    \x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\0\0\
    \x03\x02\x01\x01\
    \x05\x03\x01\0\x01\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\x01\
    \x0a\x0f\x01\x0d\0\x41\x01\x41\0\x41\x01\x41\x14\x10\0\x1a\x0b\
    \x0b\x14\x01\0\x41\0\x0b\x0e\x08\0\0\0\x06\0\0\0hello\n";

/// Runs the chore.
///
/// # Errors
///
/// When a command does not run, or does not print what the program prints.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let mut commands = args;
    let mut runs = 200;
    match args {
        [] => return Err("`cargo xtask start --help` says what is to be measured".into()),
        [first, ..] if first == "--help" || first == "-h" => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        [first, number, rest @ ..] if first == "--runs" => {
            runs = number
                .parse()
                .ok()
                .filter(|&runs| runs > 0)
                .ok_or_else(|| format!("`{number}` is not a number of runs"))?;
            commands = rest;
        }
        _ => {}
    }
    let folder = Folder::new(None)?;
    fs::create_dir_all(folder.inputs()).at("cannot make", &folder.inputs())?;
    for (name, program, output) in [("empty", EMPTY, ""), ("hello", HELLO, "hello\n")] {
        let file = folder.at(&format!("run/{name}.wasm"))?;
        fs::write(&file, program).at("cannot write", &file)?;
        let jobs: Vec<Job> = commands
            .iter()
            .map(|command| Job {
                command: absolute(command).chain([file.clone().into()]).collect(),
                stdin: None,
                one_thread: false,
                timeout: Duration::from_secs(60),
            })
            .collect();
        let mut times = vec![(Vec::new(), Vec::new()); jobs.len()];
        for _ in 0..runs {
            for (job, (processor, wall)) in jobs.iter().zip(&mut times) {
                let run = measure::run(job, &folder)?;
                let printed = fs::read(&run.stdout).at("cannot read", &run.stdout)?;
                if run.sample.status != 0 || printed != output.as_bytes() {
                    return Err(format!("{:?}: {}", job.command, run.complaint()).into());
                }
                let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
                processor.push(milliseconds(run.sample.user + run.sample.system));
                wall.push(milliseconds(run.sample.wall));
            }
        }
        println!("{name}: milliseconds of processor and wall time, least and median of {runs}");
        for (command, (processor, wall)) in commands.iter().zip(&times) {
            println!(
                "  {:6.2} {:6.2}   {:6.2} {:6.2}   {command}",
                stats::minimum(processor),
                stats::median(processor),
                stats::minimum(wall),
                stats::median(wall),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The words of a command; the program is named from here, since it is started elsewhere.
fn absolute(command: &str) -> impl Iterator<Item = OsString> {
    command.split_whitespace().enumerate().map(|(i, word)| {
        if i == 0 && word.contains('/') {
            std::path::absolute(word).map_or_else(|_| word.into(), OsString::from)
        } else {
            word.into()
        }
    })
}
