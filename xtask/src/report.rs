//! Puts the results of a bench into tables for the screen and into a CSV file.

use crate::bench::{Measure, Results};
use crate::measure::Sample;
use crate::stats::{self, Ratio};
use std::fmt::Write as _;

/// Something that can be read off the results: a title, a measure, and a number per run.
pub(crate) struct View {
    pub(crate) title: &'static str,
    measure: Measure,
    number: fn(&Sample) -> f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Seconds,
    Bytes,
}

/// The views, in the order of the report.
pub(crate) const VIEWS: &[View] = &[
    View {
        title: "Execution (compiled ahead; * whole process)",
        measure: Measure::Image,
        number: |sample| sample.wall.as_secs_f64(),
        unit: Unit::Seconds,
    },
    View {
        title: "Whole process, from the .wasm file, caches off",
        measure: Measure::Cold,
        number: |sample| sample.wall.as_secs_f64(),
        unit: Unit::Seconds,
    },
    View {
        title: "Processor time of the whole process",
        measure: Measure::Cold,
        number: |sample| sample.cpu().as_secs_f64(),
        unit: Unit::Seconds,
    },
    View {
        title: "Peak memory of the whole process",
        measure: Measure::Cold,
        number: |sample| sample.peak as f64,
        unit: Unit::Bytes,
    },
    View {
        title: "Compile time, all threads",
        measure: Measure::Compile,
        number: |sample| sample.wall.as_secs_f64(),
        unit: Unit::Seconds,
    },
    View {
        title: "Compile time, one thread, processor time",
        measure: Measure::CompileOne,
        number: |sample| sample.cpu().as_secs_f64(),
        unit: Unit::Seconds,
    },
    View {
        title: "Compile, one thread, peak memory",
        measure: Measure::CompileOne,
        number: |sample| sample.peak as f64,
        unit: Unit::Bytes,
    },
];

impl View {
    /// What the rows are: programs, or guests when compiling.
    pub(crate) fn subjects<'a>(&self, results: &'a Results) -> &'a [String] {
        match self.measure {
            Measure::Cold | Measure::Image => &results.programs,
            Measure::Compile | Measure::CompileOne => &results.guests,
        }
    }

    /// Whether an engine stands in this view with another measure than the others: one that compiles nothing ahead,
    /// whose execution is its whole process.
    pub(crate) fn stands_in(&self, results: &Results, engine: usize) -> bool {
        self.measure == Measure::Image && !results.engines[engine].has_images()
    }

    /// The numbers of an engine on a subject; nothing when it failed or was not measured.
    pub(crate) fn numbers(
        &self,
        results: &Results,
        subject: &str,
        engine: usize,
    ) -> Option<Vec<f64>> {
        let measure = if self.stands_in(results, engine) {
            Measure::Cold
        } else {
            self.measure
        };
        Some(
            results
                .runs(measure, subject, engine)?
                .iter()
                .map(self.number)
                .collect(),
        )
    }

    /// The engines that have a number here; empty when no engine was measured in this very way.
    pub(crate) fn engines(&self, results: &Results) -> Vec<usize> {
        let subjects = self.subjects(results);
        let has = |engine: usize| {
            subjects
                .iter()
                .any(|subject| self.numbers(results, subject, engine).is_some())
        };
        let found: Vec<usize> = (0..results.engines.len())
            .filter(|&engine| has(engine))
            .collect();
        if found.iter().all(|&engine| self.stands_in(results, engine)) {
            Vec::new()
        } else {
            found
        }
    }

    /// The ratio to the baseline over `subjects`, with how many of them both have.
    pub(crate) fn ratio(
        &self,
        results: &Results,
        subjects: &[String],
        engine: usize,
    ) -> (Option<Ratio>, usize) {
        let pairs: Vec<(Vec<f64>, Vec<f64>)> = subjects
            .iter()
            .filter_map(|subject| {
                Some((
                    self.numbers(results, subject, engine)?,
                    self.numbers(results, subject, results.baseline)?,
                ))
            })
            .collect();
        let slices: Vec<(&[f64], &[f64])> = pairs
            .iter()
            .map(|(top, below)| (&top[..], &below[..]))
            .collect();
        (stats::ratio(&slices), slices.len())
    }

    fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds if value < 0.0995 => format!("{:.2}ms", value * 1e3),
            Unit::Seconds => format!("{value:.3}s"),
            Unit::Bytes => format!("{:.1}MB", value / 1e6),
        }
    }
}

fn show_ratio(ratio: Option<Ratio>) -> String {
    let digits = |value: f64| {
        if value < 9.995 {
            format!("{value:.2}")
        } else {
            format!("{value:.1}")
        }
    };
    ratio.map_or_else(
        || "-".to_owned(),
        |Ratio { value, low, high }| {
            format!("{} [{}–{}]", digits(value), digits(low), digits(high))
        },
    )
}

/// How many engines stand side by side before a table is continued below.
const ACROSS: usize = 4;

/// All views as text, the summary last.
pub(crate) fn tables(results: &Results) -> String {
    let mut out = String::new();
    let baseline = &results.engines[results.baseline].name;
    for view in VIEWS {
        let engines = view.engines(results);
        if engines.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "{}: median (minimum) ratio to {baseline} [95 % interval]",
            view.title
        );
        for panel in engines.chunks(ACROSS) {
            let _ = write!(out, "{:<15}", "");
            for &engine in panel {
                let mark = if view.stands_in(results, engine) {
                    "*"
                } else {
                    ""
                };
                let _ = write!(
                    out,
                    " | {:<40}",
                    format!("{}{mark}", results.engines[engine].name)
                );
            }
            out.push('\n');
            for subject in view.subjects(results) {
                let _ = write!(out, "{subject:<15}");
                for &engine in panel {
                    let cell = match view.numbers(results, subject, engine) {
                        None => "-".to_owned(),
                        Some(numbers) => {
                            let (ratio, _) =
                                view.ratio(results, std::slice::from_ref(subject), engine);
                            let ratio = if engine == results.baseline {
                                String::new()
                            } else {
                                show_ratio(ratio)
                            };
                            let (median, least) =
                                (stats::median(&numbers), stats::minimum(&numbers));
                            format!(
                                "{:>8} {:>10} {ratio}",
                                view.show(median),
                                format!("({})", view.show(least))
                            )
                        }
                    };
                    let _ = write!(out, " | {cell:<40}");
                }
                out.push('\n');
            }
            out.push('\n');
        }
    }

    let _ = writeln!(
        out,
        "Geometric mean of the ratios to {baseline} [95 % interval], over how many programs"
    );
    for view in VIEWS {
        let engines = view.engines(results);
        if engines.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}", view.title);
        for engine in engines {
            let (ratio, count) = view.ratio(results, view.subjects(results), engine);
            let mark = if view.stands_in(results, engine) {
                "*"
            } else {
                ""
            };
            let name = format!("{}{mark}", results.engines[engine].name);
            // To itself it is 1; drawing the same runs twice would give that a width.
            let ratio = if engine == results.baseline {
                "1".to_owned()
            } else {
                show_ratio(ratio)
            };
            let _ = writeln!(out, "    {name:<18} {ratio:<22} {count:>3}");
        }
    }
    let failures: Vec<String> = results
        .runs
        .iter()
        .filter_map(|((measure, subject, engine), runs)| {
            let why = runs.as_ref().err()?;
            Some(format!(
                "  {subject} in {} ({}): {why}",
                results.engines[*engine].name,
                measure.name()
            ))
        })
        .collect();
    if !failures.is_empty() {
        let _ = writeln!(
            out,
            "\nFailed, and left out above:\n{}",
            failures.join("\n")
        );
    }
    if !results.notes.is_empty() {
        let _ = writeln!(out, "\nNotes:\n  {}", results.notes.join("\n  "));
    }
    out
}

/// Every counted run, one a line; a failure is a line with its reason.
pub(crate) fn csv(results: &Results) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " "));
    let mut out = String::from(
        "measure,subject,wasm_blake3,engine,version,round,wall_s,user_s,system_s,peak_bytes,failure\n",
    );
    for ((measure, subject, engine), runs) in &results.runs {
        let engine = &results.engines[*engine];
        let hash = results
            .hashes
            .get(subject)
            .map(String::as_str)
            .unwrap_or_default();
        let head = format!(
            "{},{subject},{hash},{},{}",
            measure.name(),
            quote(&engine.name),
            quote(&engine.version)
        );
        match runs {
            Err(why) => {
                let _ = writeln!(out, "{head},,,,,,{}", quote(why));
            }
            Ok(samples) => {
                for (round, sample) in samples.iter().enumerate() {
                    let [wall, user, system] =
                        [sample.wall, sample.user, sample.system].map(|t| t.as_secs_f64());
                    let _ = writeln!(
                        out,
                        "{head},{},{wall:.9},{user:.6},{system:.6},{},",
                        round + 1,
                        sample.peak
                    );
                }
            }
        }
    }
    out
}
