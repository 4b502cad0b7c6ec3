//! `tepui wast`: do these scripts hold?

use crate::args::WastArgs;
use crate::engine::{self, Purpose};
use crate::failure::Failure;
use crate::input;
use crate::output::{self, out};
use crate::{Outcome, run};
use std::fs;
use std::path::{Path, PathBuf};
use tepui_wast::{Report, WastRunner};

/// Runs every script and reports each directive that does not hold.
pub(crate) fn wast(args: &WastArgs) -> Outcome {
    let engine = engine::engine(
        &args.engine,
        Purpose {
            all_proposals: true,
            ..Purpose::default()
        },
    )?;
    let mut runner = WastRunner::new(&engine);
    if let Some(bytes) = args.engine.max_stack {
        runner = runner.stack_size(run::host_stack(bytes));
    }
    if args.print {
        // A pipe that nobody reads is noticed by the next line of this command.
        runner = runner.on_print(|line| drop(output::line(format_args!("{line}"))));
    }

    let mut total = Report::new("all files");
    let (mut files, mut broken) = (0_usize, 0_usize);
    for path in &args.files {
        let scripts = match scripts(path) {
            Ok(scripts) => scripts,
            Err(e) => {
                files += 1;
                broken += 1;
                out!("{}: cannot be read: {e}", path.display())?;
                continue;
            }
        };
        for script in scripts {
            files += 1;
            match run_script(&runner, &script) {
                Ok(report) => {
                    for failure in &report.failures {
                        out!("{}:{failure}", input::show(&script))?;
                    }
                    broken += usize::from(!report.is_ok());
                    total.merge(report);
                }
                Err(Failure::Load(message)) => {
                    broken += 1;
                    out!("{message}")?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    out!("{:<24} {:>8} {:>8}", "directive", "passed", "failed")?;
    for (kind, count) in &total.counts {
        out!("{kind:<24} {:>8} {:>8}", count.passed, count.failed)?;
    }
    out!(
        "{} directives passed, {} failed; {} of {files} files passed",
        total.passed(),
        total.failed(),
        files - broken
    )?;
    if broken == 0 {
        Ok(())
    } else {
        output::flush()?;
        Err(Failure::Reported)
    }
}

fn run_script(runner: &WastRunner, script: &Path) -> Result<Report, Failure> {
    let name = input::show(script);
    let text = String::from_utf8(input::read_bytes(script)?).map_err(|e| {
        Failure::Load(format!(
            "{name}: not UTF-8 at offset {:#x}",
            e.utf8_error().valid_up_to()
        ))
    })?;
    Ok(runner.run_source(&name, &text))
}

/// The scripts that an argument stands for: itself, or every `.wast` file in
/// the directory and those below it, in the order of their names.
fn scripts(path: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut directories = vec![path.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            // Links to directories are not followed: they may lead in circles.
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if entry.path().extension().is_some_and(|e| e == "wast") {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        return Err(std::io::Error::other("there is no .wast file in it"));
    }
    found.sort();
    Ok(found)
}
