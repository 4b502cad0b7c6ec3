//! Chores of the Tepui project. `cargo xtask help` lists them; each is one file here, which says how to use it.

mod bench;
mod bless;
mod build;
mod chart;
mod check;
mod cross;
mod engines;
mod error;
mod guests;
mod inputs;
mod measure;
mod programs;
mod report;
mod small;
mod start;
mod stats;
mod toolchain;

use crate::error::Result;
use std::process::ExitCode;

/// One chore: its name, what it does in a line, and the function that does it.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

const CHORES: &[Chore] = &[
    Chore {
        name: "guests",
        about: guests::ABOUT,
        run: guests::run,
    },
    Chore {
        name: "bless",
        about: bless::ABOUT,
        run: bless::run,
    },
    Chore {
        name: "bench",
        about: bench::ABOUT,
        run: bench::run,
    },
    Chore {
        name: "cross",
        about: cross::ABOUT,
        run: cross::run,
    },
    Chore {
        name: "small",
        about: small::ABOUT,
        run: small::run,
    },
    Chore {
        name: "start",
        about: start::ABOUT,
        run: start::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        // The bench starts itself again for each run that it measures; see `measure`.
        Some(measure::LAUNCHER) => measure::launch(&args[1..]),
        None | Some("help" | "--help" | "-h") => {
            help();
            Ok(ExitCode::SUCCESS)
        }
        Some(name) => match CHORES.iter().find(|chore| chore.name == name) {
            Some(chore) => (chore.run)(&args[1..]),
            None => {
                Err(format!("no chore is called `{name}`; `cargo xtask help` lists them").into())
            }
        },
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn help() {
    println!(
        "Chores of the Tepui project.\n\nUsage: cargo xtask CHORE [OPTIONS]   (`cargo xtask CHORE --help` says more)\n"
    );
    for chore in CHORES {
        println!("  {:<8} {}", chore.name, chore.about);
    }
}
