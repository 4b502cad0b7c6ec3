//! Looks for differences between tiers, for as long as it is told to.
//!
//! ```sh
//! hunt --time 7200                # two hours, one job
//! hunt --case 4711                # one case, with what happened
//! hunt --reduce 4711              # the same, made small
//! hunt --sensitivity 300          # how many mistakes would be noticed
//! ```
//!
//! Cases run in processes of their own, so that one that crashes or hangs is a
//! finding and not the end. Findings are written to `--out`, each as a module,
//! its text, and what was seen.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tepui_fuzz::numbers::Numbers;
use tepui_fuzz::{Case, Engines, Mistake, Outcome, Reach, Source, check, check_with, reduce};

const USAGE: &str = "\
usage: hunt [--time SECONDS] [--cases N] [--seed N] [--jobs N] [--out FOLDER]
       hunt --case N [--source own|smith|suite] [--module FILE]
       hunt --reduce N [--source …] [--module FILE] [--keep TEXT] [--out FOLDER]
       hunt --sensitivity N [--seed N]
";

/// A case that takes longer than this hangs.
const CASE_TIME: Duration = Duration::from_secs(300);

/// The cases that one process runs.
const BATCH: u64 = 1_000;

struct Options {
    time: Duration,
    cases: u64,
    seed: u64,
    jobs: u64,
    out: PathBuf,
    source: Option<Source>,
    /// Stands for the module of the case.
    module: Option<PathBuf>,
    /// What the report of a difference has to have to be the same one.
    keep: Option<String>,
    mode: Mode,
}

#[derive(Clone, Copy)]
enum Mode {
    Hunt,
    Worker,
    Case(u64),
    Reduce(u64),
    Sensitivity(u64),
}

fn options() -> Option<Options> {
    let mut options = Options {
        time: Duration::MAX,
        cases: u64::MAX,
        seed: 1,
        jobs: 1,
        out: PathBuf::from("findings"),
        source: None,
        module: None,
        keep: None,
        mode: Mode::Hunt,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next()?;
        let number = value.parse::<u64>();
        match &*name {
            "--time" => options.time = Duration::from_secs(number.ok()?),
            "--cases" => options.cases = number.ok()?,
            "--seed" => options.seed = number.ok()?,
            "--jobs" => options.jobs = number.ok()?.max(1),
            "--out" => options.out = value.into(),
            "--keep" => options.keep = Some(value),
            "--module" => options.module = Some(value.into()),
            "--case" => options.mode = Mode::Case(number.ok()?),
            "--reduce" => options.mode = Mode::Reduce(number.ok()?),
            "--sensitivity" => options.mode = Mode::Sensitivity(number.ok()?),
            "--worker" => {
                options.mode = Mode::Worker;
                options.cases = number.ok()?;
            }
            "--source" => {
                options.source = Some(match &*value {
                    "own" => Source::Own,
                    "smith" => Source::Smith,
                    "suite" => Source::Suite,
                    _ => return None,
                });
            }
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let result = match options.mode {
        Mode::Hunt => hunt(&options),
        Mode::Worker => worker(&options),
        Mode::Case(seed) => one(&options, seed),
        Mode::Reduce(seed) => smaller(&options, seed),
        Mode::Sensitivity(count) => sensitivity(&options, count),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn case(options: &Options, seed: u64) -> Option<Case> {
    let mut case = match options.source {
        Some(source) => Case::of_source(seed, source),
        None => Case::new(seed),
    }?;
    if let Some(file) = &options.module {
        // Text, too.
        let bytes = std::fs::read(file).ok()?;
        let mut config = tepui::Config::new();
        config.features(tepui::Features::IMPLEMENTED);
        let engine = tepui::Engine::new(&config).ok()?;
        case.bytes = match tepui::Module::new(&engine, &bytes) {
            Ok(module) => module.binary().to_vec(),
            Err(error) => {
                eprintln!("error: {error:?}");
                bytes
            }
        };
    }
    Some(case)
}

/// Runs cases one after the other, and says on the standard output where it is.
fn worker(options: &Options) -> std::io::Result<bool> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stdout();
    let mut engines = Engines::default();
    for number in 0..options.cases {
        let seed = options.seed + number;
        writeln!(out, "begin {seed}")?;
        out.flush()?;
        let Some(case) = case(options, seed) else {
            writeln!(out, "none {seed}")?;
            continue;
        };
        let outcome = check(&mut engines, &case);
        writeln!(
            out,
            "end {seed} {:?} {} {} {} {}",
            case.source,
            outcome.executions,
            outcome.calls,
            outcome.returned,
            u8::from(outcome.never_ran),
        )?;
        if let Some(difference) = outcome.difference {
            write_finding(&options.out, &case, &case.bytes, &difference)?;
            writeln!(out, "difference {seed}")?;
        }
        out.flush()?;
    }
    Ok(true)
}

fn write_finding(out: &Path, case: &Case, bytes: &[u8], what: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(out)?;
    let file = |end: &str| out.join(format!("{}.{end}", case.seed));
    std::fs::write(file("wasm"), bytes)?;
    let text = wasmprinter::print_bytes(bytes).unwrap_or_else(|error| error.to_string());
    std::fs::write(file("wat"), text)?;
    std::fs::write(
        file("txt"),
        format!("{:?}, {:?}\n\n{what}\n", case.source, case.settings),
    )
}

/// What all processes did.
#[derive(Default)]
struct Totals {
    modules: BTreeMap<String, u64>,
    none: u64,
    never_ran: u64,
    executions: u64,
    calls: u64,
    returned: u64,
    findings: Vec<String>,
}

struct Job {
    child: Child,
    current: Option<u64>,
    since: Instant,
    next: u64,
}

fn hunt(options: &Options) -> std::io::Result<bool> {
    let started = Instant::now();
    let mut totals = Totals::default();
    let (sender, receiver) = mpsc::channel::<(usize, Option<String>)>();
    let mut next_seed = options.seed;
    let last_seed = options.seed.saturating_add(options.cases);
    let mut start = |index: usize, from: Option<u64>| -> std::io::Result<Option<Job>> {
        let from = from.unwrap_or_else(|| {
            next_seed += BATCH;
            next_seed - BATCH
        });
        // Batches begin at multiples of their size from the first seed.
        let done = (from - options.seed) % BATCH;
        let count = (BATCH - done).min(last_seed.saturating_sub(from));
        if count == 0 || started.elapsed() >= options.time {
            return Ok(None);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--worker", &count.to_string()])
            .args(["--seed", &from.to_string()])
            .arg("--out")
            .arg(&options.out)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(source) = options.source {
            command.args(["--source", &format!("{source:?}").to_lowercase()]);
        }
        let mut child = command.spawn()?;
        let sender = sender.clone();
        let output = child.stdout.take();
        std::thread::spawn(move || {
            for line in output
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines())
            {
                let Ok(line) = line else { break };
                if sender.send((index, Some(line))).is_err() {
                    return;
                }
            }
            let _ = sender.send((index, None));
        });
        Ok(Some(Job {
            child,
            current: None,
            since: Instant::now(),
            next: from,
        }))
    };
    let mut jobs: Vec<Option<Job>> = Vec::new();
    for index in 0..options.jobs as usize {
        jobs.push(start(index, None)?);
    }
    let mut shown = Instant::now();
    while jobs.iter().any(Option::is_some) {
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok((index, Some(line))) => {
                if let Some(job) = &mut jobs[index] {
                    totals.read(&line, job);
                }
            }
            Ok((index, None)) => {
                // The process has ended: at its end, or in the middle of a case.
                let Some(mut job) = jobs[index].take() else {
                    continue;
                };
                let status = job.child.wait()?;
                let mut from = None;
                if let Some(seed) = job.current {
                    totals.findings.push(format!("{seed}: {status}"));
                    if let Some(case) = case(options, seed) {
                        write_finding(&options.out, &case, &case.bytes, &status.to_string())?;
                    }
                    from = (!(job.next - options.seed).is_multiple_of(BATCH)).then_some(job.next);
                }
                jobs[index] = start(index, from)?;
            }
            Err(_) => {}
        }
        for job in jobs.iter_mut().flatten() {
            let is_over = started.elapsed() >= options.time;
            if job.current.is_some() && job.since.elapsed() > CASE_TIME {
                job.child.kill()?;
            } else if is_over && job.current.take().is_some() {
                // The rest of the batch is given up, without a finding.
                job.child.kill()?;
            }
        }
        if shown.elapsed() > Duration::from_secs(60) {
            shown = Instant::now();
            totals.show(started);
        }
    }
    totals.show(started);
    Ok(totals.findings.is_empty())
}

impl Totals {
    fn read(&mut self, line: &str, job: &mut Job) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| -> u64 {
            words
                .get(index)
                .and_then(|word| word.parse().ok())
                .unwrap_or_default()
        };
        match words[0] {
            "begin" => {
                job.current = Some(number(1));
                job.next = number(1) + 1;
                job.since = Instant::now();
            }
            "none" => {
                self.none += 1;
                job.current = None;
            }
            "end" => {
                job.current = None;
                *self.modules.entry(words[2].to_owned()).or_default() += 1;
                self.executions += number(3);
                self.calls += number(4);
                self.returned += number(5);
                self.never_ran += number(6);
            }
            "difference" => {
                self.findings.push(format!("{}: a difference", number(1)));
                println!("found: {}", number(1));
            }
            _ => {}
        }
    }

    fn show(&self, started: Instant) {
        let modules: u64 = self.modules.values().sum();
        println!(
            "{} s: {modules} modules {:?} ({} never ran, {} not made), {} executions, {} calls of \
             which {} returned, {} findings {:?}",
            started.elapsed().as_secs(),
            self.modules,
            self.never_ran,
            self.none,
            self.executions,
            self.calls,
            self.returned,
            self.findings.len(),
            &self.findings[..self.findings.len().min(50)],
        );
    }
}

fn show(case: &Case, outcome: &Outcome) {
    println!(
        "case {}: {:?}, {} bytes, {:?}",
        case.seed,
        case.source,
        case.bytes.len(),
        case.settings
    );
    for variant in &case.variants {
        println!("  {variant:?}");
    }
    println!(
        "{} executions, {} calls, {} returned",
        outcome.executions, outcome.calls, outcome.returned
    );
    println!("{}", outcome.difference.as_deref().unwrap_or("all alike"));
}

fn one(options: &Options, seed: u64) -> std::io::Result<bool> {
    let Some(case) = case(options, seed) else {
        println!("no module follows from {seed}");
        return Ok(true);
    };
    let outcome = check(&mut Engines::default(), &case);
    show(&case, &outcome);
    write_finding(&options.out, &case, &case.bytes, "as it is")?;
    Ok(outcome.difference.is_none())
}

fn smaller(options: &Options, seed: u64) -> std::io::Result<bool> {
    std::panic::set_hook(Box::new(|_| {}));
    let Some(mut case) = case(options, seed) else {
        println!("no module follows from {seed}");
        return Ok(true);
    };
    // What makes NaNs canonical would get lost.
    if !case.settings.deterministic && options.keep.is_none() {
        case.settings.deterministic = true;
        println!("in deterministic engines");
    }
    let mut engines = Engines::default();
    // Two variants are enough.
    let variants = case.variants.clone();
    for variant in &variants[1..] {
        case.variants = vec![variants[0], *variant];
        if check(&mut engines, &case).difference.is_some() {
            break;
        }
    }
    let outcome = check(&mut engines, &case);
    let Some(difference) = outcome.difference else {
        println!("all alike");
        return Ok(true);
    };
    let kind = kind_of(&difference);
    let time = options.time.min(Duration::from_secs(600));
    let bytes = reduce::reduce(&case.bytes.clone(), time, |bytes| {
        let mut other = case.clone();
        other.bytes = bytes.to_vec();
        let outcome = check(&mut engines, &other);
        !outcome.never_ran
            && outcome.difference.is_some_and(|other| match &options.keep {
                Some(text) => other.contains(text),
                None => kind_of(&other) == kind,
            })
    });
    case.bytes = bytes;
    let outcome = check(&mut engines, &case);
    show(&case, &outcome);
    println!(
        "{}",
        wasmprinter::print_bytes(&case.bytes).unwrap_or_default()
    );
    write_finding(
        &options.out,
        &case,
        &case.bytes,
        outcome.difference.as_deref().unwrap_or_default(),
    )?;
    Ok(false)
}

/// What kind of difference it is: the first words of what was seen.
fn kind_of(difference: &str) -> Vec<String> {
    difference
        .lines()
        .filter(|line| line.starts_with("- ") || line.starts_with("+ ") || line.contains("panic"))
        .map(|line| {
            // Without numbers, which change with the module.
            let words: Vec<&str> = line
                .split([' ', '='])
                .filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()))
                .take(3)
                .collect();
            format!("{} {}", words.join(" "), line.contains("@0x0 "))
        })
        .collect()
}

/// How many wrong operators are noticed, when one tier gets a module with one; of all,
/// of those that are executed, and of those that give something else then.
fn sensitivity(options: &Options, count: u64) -> std::io::Result<bool> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut engines = Engines::default();
    for source in Source::ALL {
        let (mut tried, mut executed, mut matter, mut noticed) = (0, 0, 0, 0);
        let mut numbers = Numbers::from_seed(options.seed);
        for seed in options.seed..options.seed + count {
            if options.source.is_some_and(|only| only != source) {
                break;
            }
            let Some(case) = Case::of_source(seed, source) else {
                continue;
            };
            // Only what is alike without the mistake tells something.
            if check(&mut engines, &case).difference.is_some() {
                continue;
            }
            let Some(mistake) = Mistake::new(&mut numbers, &case.bytes) else {
                continue;
            };
            let (Some(wrong), Some(reach)) = (
                mistake.made(&case.bytes),
                mistake.reach(&mut engines, &case),
            ) else {
                continue;
            };
            let last = case.variants.len() - 1;
            let outcome = check_with(&mut engines, &case, |variant| {
                if variant == last { &wrong } else { &case.bytes }
            });
            let seen = outcome.difference.is_some();
            tried += 1;
            executed += u64::from(reach != Reach::Never);
            matter += u64::from(reach == Reach::Matters);
            noticed += u64::from(seen);
            let (right, wrong) = (mistake.right.name, mistake.wrong.name);
            println!("{source:?} {seed}: {wrong} for {right}: {reach:?}, noticed: {seen}");
        }
        println!(
            "{source:?}: {tried} wrong operators, of which {executed} were executed, {matter} \
             gave something else, {noticed} were noticed"
        );
    }
    Ok(true)
}
