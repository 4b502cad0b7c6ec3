//! `cargo xtask bench`: real programs timed in Tepui's tiers and in the other engines that are found, side by side.
//!
//! ```text
//! cargo xtask guests                         once: build the programs
//! cargo xtask bench                          everything, in every engine found
//! cargo xtask bench --engines tepui-optimizing,wasmtime --programs quickjs,sqlite --svg chart.svg --csv runs.csv
//! ```
//!
//! What is measured:
//!
//! - *whole process* (`cold`): from the start of the process to its end, on the `.wasm` file, caches off;
//! - *execution* (`image`): the same on a file that the engine compiled ahead, so that compiling is not in it. Engines
//!   that compile nothing ahead stand there with their whole process, marked `*`;
//! - *compile*: the compile command alone, wall time with all threads, processor time with one;
//! - peak memory and processor time of each of them (in the CSV file all, on the screen the memory).
//!
//! Per program, the engines take turns, in another order each round, at least seven rounds; a first round that is not
//! counted warms the system's file cache. Each run's output is compared with that of the native build: a wrong result
//! is a failure, told and left out, and the others go on. Told are medians, minima and ratios to one engine, with 95 %
//! bootstrap intervals (`stats`). bench/programs.toml pins the programs, with hashes; what differs is told.
//! The engines and their variables are in `engines`.

use crate::engines::{self, Engine, Threads};
use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::inputs::{self, Random};
use crate::measure::{self, Job, Sample};
use crate::programs::{Program, Programs};
use crate::{chart, check, report};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What the list of chores says.
pub(crate) const ABOUT: &str =
    "time real programs in every tier and, in the same run, in other engines";

const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS]

  --engines A,B    these engines only (default: all that are found)
  --programs A,B   these programs only (default: all of bench/programs.toml)
  --measure M,N    of cold, image, compile (default: all)
  --runs N         counted rounds (default 7)
  --baseline NAME  the engine that ratios are to (default: wasmtime, or the first found)
  --timeout S      seconds after which a run is ended and failed (default 300)
  --csv FILE       every run, one a line
  --svg FILE       a chart of the ratios
  --out DIR        the build folder of `cargo xtask guests` (default target/guests)
";

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// A program from its Wasm file.
    Cold,
    /// A program from what the engine compiled ahead.
    Image,
    /// Compiling a guest with all threads.
    Compile,
    /// Compiling a guest with one thread.
    CompileOne,
}

impl Measure {
    /// The name in files and options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Image => "image",
            Self::Compile => "compile",
            Self::CompileOne => "compile-1",
        }
    }
}

/// The counted runs of one subject (a program, or a guest when compiling) in one engine, or why there are none.
pub(crate) type Runs = std::result::Result<Vec<Sample>, String>;

/// All that a bench found.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) engines: Vec<Engine>,
    /// The engine that ratios are to.
    pub(crate) baseline: usize,
    /// Programs, in the order of the list.
    pub(crate) programs: Vec<String>,
    /// Guests, in the order of the list.
    pub(crate) guests: Vec<String>,
    /// By what was measured, the subject's name and the engine's place.
    pub(crate) runs: BTreeMap<(Measure, String, usize), Runs>,
    /// BLAKE3 of the guest that a subject is or runs.
    pub(crate) hashes: BTreeMap<String, String>,
    pub(crate) notes: Vec<String>,
}

impl Results {
    /// The successful runs; nothing when there are none.
    pub(crate) fn runs(&self, measure: Measure, subject: &str, engine: usize) -> Option<&[Sample]> {
        match self.runs.get(&(measure, subject.to_owned(), engine)) {
            Some(Ok(samples)) if !samples.is_empty() => Some(samples),
            _ => None,
        }
    }
}

struct Options {
    engines: Vec<String>,
    programs: Option<Vec<String>>,
    measures: Vec<String>,
    rounds: usize,
    baseline: Option<String>,
    timeout: Duration,
    csv: Option<PathBuf>,
    svg: Option<PathBuf>,
    out: Option<String>,
}

fn options(args: &[String]) -> Result<Option<Options>> {
    let mut options = Options {
        engines: Vec::new(),
        programs: None,
        measures: ["cold", "image", "compile"].map(str::to_owned).to_vec(),
        rounds: 7,
        baseline: None,
        timeout: Duration::from_secs(300),
        csv: None,
        svg: None,
        out: None,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        if matches!(flag.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        let mut value = || {
            args.next()
                .cloned()
                .ok_or_else(|| format!("`{flag}` lacks its value"))
        };
        let names = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match flag.as_str() {
            "--engines" => options.engines = names(value()?),
            "--programs" => options.programs = Some(names(value()?)),
            "--measure" => options.measures = names(value()?),
            "--runs" => options.rounds = value()?.parse().doing("--runs")?,
            "--baseline" => options.baseline = Some(value()?),
            "--timeout" => {
                options.timeout = Duration::from_secs(value()?.parse().doing("--timeout")?)
            }
            "--csv" => options.csv = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--out" => options.out = Some(value()?),
            other => return Err(format!("no option is called `{other}`; see --help").into()),
        }
    }
    if let Some(odd) = options
        .measures
        .iter()
        .find(|m| !["cold", "image", "compile"].contains(&m.as_str()))
    {
        return Err(format!("`{odd}` cannot be measured; cold, image and compile can").into());
    }
    if options.rounds == 0 {
        return Err("--runs must be at least 1".into());
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
    let chosen: Vec<&Program> = match &options.programs {
        None => list
            .programs
            .iter()
            .filter(|program| program.bench)
            .collect(),
        Some(names) => {
            if let Some(odd) = names
                .iter()
                .find(|name| !list.programs.iter().any(|program| program.name == **name))
            {
                return Err(format!("no program is called {odd}").into());
            }
            list.programs
                .iter()
                .filter(|program| names.contains(&program.name))
                .collect()
        }
    };
    if let Some(why) = chosen
        .iter()
        .find_map(|program| check::unready(&folder, program))
    {
        return Err(why.into());
    }
    inputs::make(&list, &folder)?;

    let found = engines::find_all(&options.engines, &folder)?;
    let mut notes = found.notes;
    if options.rounds < 7 {
        notes.push(format!(
            "{} rounds are too few to publish; seven are the least",
            options.rounds
        ));
    }
    let hashes = folder.hashes(&list)?;
    let relevant = |key: &str| {
        key.strip_prefix("wasm/")
            .is_none_or(|guest| chosen.iter().any(|program| program.guest == guest))
    };
    notes.extend(list.differences(hashes.iter().filter(|(key, _)| relevant(key))));
    if found.engines.is_empty() {
        return Err(format!("no engine was found\n  {}", notes.join("\n  ")).into());
    }
    for engine in &found.engines {
        println!("{:<18} {}", engine.name, engine.version);
    }
    for note in &notes {
        println!("note: {note}");
    }
    let place = |name: &str| found.engines.iter().position(|engine| engine.name == name);
    let baseline = match &options.baseline {
        Some(name) => {
            place(name).ok_or_else(|| format!("the baseline {name} is not among the engines"))?
        }
        None => place("wasmtime").unwrap_or(0),
    };
    let mut guests: Vec<String> = Vec::new();
    for program in &chosen {
        if !guests.contains(&program.guest) {
            guests.push(program.guest.clone());
        }
    }
    let mut results = Results {
        baseline,
        programs: chosen.iter().map(|program| program.name.clone()).collect(),
        runs: BTreeMap::new(),
        hashes: chosen
            .iter()
            .flat_map(|program| {
                [&program.name, &program.guest].map(|subject| (subject, &program.guest))
            })
            .filter_map(|(subject, guest)| {
                Some((
                    subject.clone(),
                    hashes.get(&format!("wasm/{guest}"))?.clone(),
                ))
            })
            .collect(),
        engines: found.engines,
        guests,
        notes,
    };

    let wants = |name: &str| options.measures.iter().any(|measure| measure == name);
    let start = Instant::now();
    let mut random = Random(1);
    compile(
        &mut results,
        &folder,
        &options,
        wants("compile"),
        wants("image"),
        &mut random,
    )?;
    for (number, program) in chosen.iter().enumerate() {
        let measures: Vec<Measure> = [Measure::Cold, Measure::Image]
            .into_iter()
            .filter(|m| wants(m.name()))
            .collect();
        println!("[{}/{}] {}", number + 1, chosen.len(), program.name);
        time(
            &mut results,
            program,
            &folder,
            &options,
            &measures,
            &mut random,
        )?;
    }
    println!("measured for {} s\n", start.elapsed().as_secs());

    print!("{}", report::tables(&results));
    if let Some(path) = &options.csv {
        fs::write(path, report::csv(&results)).at("cannot write", path)?;
    }
    if let Some(path) = &options.svg {
        fs::write(path, chart::draw(&results)).at("cannot write", path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles every guest in every engine that can: once for the images, and for as many rounds as are counted.
fn compile(
    results: &mut Results,
    folder: &Folder,
    options: &Options,
    measured: bool,
    images: bool,
    random: &mut Random,
) -> Result<()> {
    if !measured && !images {
        return Ok(());
    }
    for guest in results.guests.clone() {
        let mut turns: Vec<(Measure, usize)> = Vec::new();
        for (place, engine) in results.engines.iter().enumerate() {
            if engine.has_images() {
                turns.push((Measure::Compile, place));
                if measured {
                    turns.push((Measure::CompileOne, place));
                }
            }
        }
        let wasm = folder.wasm(&guest);
        let rounds = if measured { options.rounds } else { 0 };
        println!("compiling {guest}");
        interleave(
            results,
            &guest,
            &turns,
            rounds,
            random,
            |engines, measure, place| {
                let image = image_path(folder, &engines[place], &guest)
                    .map_err(|error| error.to_string())?;
                let threads = if measure == Measure::CompileOne {
                    Threads::One
                } else {
                    Threads::All
                };
                let command = engines[place]
                    .compile(&wasm, &image, threads)
                    .ok_or("has no images")?;
                let one_thread = threads == Threads::One;
                let job = Job {
                    command,
                    stdin: None,
                    one_thread,
                    timeout: options.timeout,
                };
                let run = measure::run(&job, folder).map_err(|error| error.to_string())?;
                if run.sample.status == 0 {
                    Ok(run.sample)
                } else {
                    Err(run.complaint())
                }
            },
        );
    }
    Ok(())
}

fn image_path(folder: &Folder, engine: &Engine, guest: &str) -> Result<PathBuf> {
    folder.at(&format!("images/{}/{guest}", engine.name))
}

/// Runs a program in every engine, comparing each output with the native build's.
fn time(
    results: &mut Results,
    program: &Program,
    folder: &Folder,
    options: &Options,
    measures: &[Measure],
    random: &mut Random,
) -> Result<()> {
    let native = std::iter::once(folder.native(&program.guest).into_os_string());
    let native = native
        .chain(program.args.iter().map(OsString::from))
        .collect();
    let (right, _) = check::outcome(program, native, folder, options.timeout)
        .doing(format_args!("the native build of {}", program.name))?;
    let mut turns = Vec::new();
    for &measure in measures {
        for (place, engine) in results.engines.iter().enumerate() {
            if !engine.runs() {
                continue;
            }
            if measure == Measure::Cold {
                turns.push((measure, place));
            } else if engine.has_images() {
                match results
                    .runs
                    .get(&(Measure::Compile, program.guest.clone(), place))
                {
                    Some(Err(why)) => {
                        let why = format!("does not compile: {why}");
                        results
                            .runs
                            .insert((measure, program.name.clone(), place), Err(why));
                    }
                    _ => turns.push((measure, place)),
                }
            }
        }
    }
    interleave(
        results,
        &program.name,
        &turns,
        options.rounds,
        random,
        |engines, measure, place| {
            let engine = &engines[place];
            let command = if measure == Measure::Image {
                let image = image_path(folder, engine, &program.guest)
                    .map_err(|error| error.to_string())?;
                engine.warm(&image, &program.args).ok_or("has no images")?
            } else {
                engine.cold(folder, &program.guest, &program.args)
            };
            let (outcome, sample) = check::outcome(program, command, folder, options.timeout)?;
            outcome.difference(&right).map_or(Ok(sample), Err)
        },
    );
    Ok(())
}

/// Lets the turns follow each other in a new order each round. Round 0 is not counted. A turn that fails is told,
/// and does not come again.
fn interleave(
    results: &mut Results,
    subject: &str,
    turns: &[(Measure, usize)],
    rounds: usize,
    random: &mut Random,
    mut turn: impl FnMut(&[Engine], Measure, usize) -> std::result::Result<Sample, String>,
) {
    let mut runs: Vec<Runs> = turns.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..turns.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        for next in order {
            let (measure, place) = turns[next];
            let Ok(samples) = &mut runs[next] else {
                continue;
            };
            match turn(&results.engines, measure, place) {
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(why) => {
                    println!(
                        "  {} ({}) FAILED: {why}",
                        results.engines[place].name,
                        measure.name()
                    );
                    runs[next] = Err(why);
                }
            }
        }
    }
    for ((measure, place), runs) in turns.iter().zip(runs) {
        results
            .runs
            .insert((*measure, subject.to_owned(), *place), runs);
    }
}
