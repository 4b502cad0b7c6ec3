//! What a call between host and Wasm costs, in Tepui and in Wasmtime, side by side.
//!
//! ```text
//! cd bench/calls && cargo bench                        both engines, and their ratio at the end
//! cargo bench --no-default-features --features wasmtime      one of them
//! cargo bench -- "wasm to host"                        those with these words
//! ```
//!
//! Both directions, typed (the signature known to the Rust compiler) and dynamic (a slice of values); none, few (3)
//! and many (12) parameters or results, integers and floats. A call from the host is timed as a host makes it. Calls
//! to the host are made by a loop in Wasm, so that one entry is spread over all of them.
//!
//! One macro writes the same code for both crates, because both have the same names; what differs is the crate.

use criterion::Criterion;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is passed: a name, how many integers and floats go in, and how many come out.
struct Shape {
    name: &'static str,
    params: (&'static str, usize),
    results: (&'static str, usize),
}

const SHAPES: [Shape; 9] = [
    Shape {
        name: "none",
        params: ("i64", 0),
        results: ("i64", 0),
    },
    Shape {
        name: "3 integers in",
        params: ("i64", 3),
        results: ("i64", 0),
    },
    Shape {
        name: "12 integers in",
        params: ("i64", 12),
        results: ("i64", 0),
    },
    Shape {
        name: "3 floats in",
        params: ("f64", 3),
        results: ("f64", 0),
    },
    Shape {
        name: "12 floats in",
        params: ("f64", 12),
        results: ("f64", 0),
    },
    Shape {
        name: "3 integers out",
        params: ("i64", 0),
        results: ("i64", 3),
    },
    Shape {
        name: "12 integers out",
        params: ("i64", 0),
        results: ("i64", 12),
    },
    Shape {
        name: "3 floats out",
        params: ("f64", 0),
        results: ("f64", 3),
    },
    Shape {
        name: "12 floats out",
        params: ("f64", 0),
        results: ("f64", 12),
    },
];

/// The guest: per shape a function for the host to call, and per shape and kind of host function one that calls it
/// as often as it is told.
fn guest() -> Vec<u8> {
    let types = |(kind, count): (&str, usize)| format!(" {kind}").repeat(count);
    let constants = |(kind, count): (&str, usize)| -> String {
        (0..count).map(|i| format!("({kind}.const {i})")).collect()
    };
    let (mut imports, mut functions) = (String::new(), String::new());
    for (number, shape) in SHAPES.iter().enumerate() {
        let (params, results) = (types(shape.params), types(shape.results));
        let signature = format!("(param{params}) (result{results})");
        writeln!(
            functions,
            "(func (export {:?}) {signature} {})",
            shape.name,
            constants(shape.results)
        )
        .unwrap();
        for kind in ["typed", "dynamic"] {
            writeln!(
                imports,
                "(import {kind:?} {:?} (func ${kind}{number} {signature}))",
                shape.name
            )
            .unwrap();
            writeln!(
                functions,
                "(func (export \"{kind} {}\") (param $n i64) (loop $again (call ${kind}{number} {}) {}\
                 (br_if $again (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0)))))",
                shape.name,
                constants(shape.params),
                "(drop)".repeat(shape.results.1)
            )
            .unwrap();
        }
    }
    wat::parse_str(format!("(module {imports} {functions})")).expect("the guest is well formed")
}

/// Defines a typed host function.
macro_rules! host {
    ($linker:ident, $name:literal, [$($param:ident)*], $type:ty, $result:ty, $value:expr) => {
        $linker
            .func_wrap("typed", $name, |$($param: $type),*| -> $result {
                $(std::hint::black_box($param);)*
                $value
            })
            .expect("a name of its own");
    };
}

/// Twelve copies of a token, as a tuple.
macro_rules! twelve {
    ($t:ty) => {
        ($t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t)
    };
    (= $v:expr) => {
        ($v, $v, $v, $v, $v, $v, $v, $v, $v, $v, $v, $v)
    };
}

/// The benchmarks of one engine, a module named after its crate.
macro_rules! engine {
    ($krate:ident) => {
        mod $krate {
            use super::{SHAPES, Shape};
            use ::$krate::{Engine, FuncType, Instance, Linker, Module, Store, Val, ValType, WasmParams, WasmResults};
            use criterion::{Criterion, measurement::WallTime};
            use std::hint::black_box;
            use std::time::Instant;

            type Group<'a> = criterion::BenchmarkGroup<'a, WallTime>;

            const NAME: &str = stringify!($krate);

            /// An instance of the guest with its host functions.
            pub(super) struct Subject {
                store: Store<()>,
                instance: Instance,
            }

            fn types((kind, count): (&str, usize)) -> Vec<ValType> {
                (0..count).map(|_| if kind == "i64" { ValType::I64 } else { ValType::F64 }).collect()
            }

            fn values((kind, count): (&str, usize)) -> Vec<Val> {
                (0..count).map(|_| if kind == "i64" { Val::I64(7) } else { Val::F64(7.0f64.to_bits()) }).collect()
            }

            impl Subject {
                pub(super) fn new(guest: &[u8]) -> Self {
                    let engine = Engine::default();
                    let module = Module::new(&engine, guest).expect("the guest is valid");
                    let mut linker: Linker<()> = Linker::new(&engine);
                    host!(linker, "none", [], i64, (), ());
                    host!(linker, "3 integers in", [a b c], i64, (), ());
                    host!(linker, "12 integers in", [a b c d e f g h i j k l], i64, (), ());
                    host!(linker, "3 floats in", [a b c], f64, (), ());
                    host!(linker, "12 floats in", [a b c d e f g h i j k l], f64, (), ());
                    host!(linker, "3 integers out", [], i64, (i64, i64, i64), (1, 2, 3));
                    host!(linker, "12 integers out", [], i64, twelve!(i64), twelve!(= 5));
                    host!(linker, "3 floats out", [], f64, (f64, f64, f64), (1.0, 2.0, 3.0));
                    host!(linker, "12 floats out", [], f64, twelve!(f64), twelve!(= 5.0));
                    for Shape { name, params, results } in &SHAPES {
                        let given = values(*results);
                        linker
                            .func_new(
                                "dynamic",
                                name,
                                FuncType::new(&engine, types(*params), types(*results)),
                                move |_, params, results| {
                                    black_box(params);
                                    results.clone_from_slice(&given);
                                    Ok(())
                                },
                            )
                            .expect("a name of its own");
                    }
                    let mut store = Store::new(&engine, ());
                    let instance = linker.instantiate(&mut store, &module).expect("every import is there");
                    Self { store, instance }
                }

                fn typed<P, R>(&mut self, group: &mut Group<'_>, name: &str, params: P)
                where
                    P: WasmParams + Copy,
                    R: WasmResults,
                {
                    let Self { store, instance } = self;
                    let func = instance.get_typed_func::<P, R>(&mut *store, name).expect("the guest exports it");
                    group.bench_function(NAME, |b| {
                        b.iter(|| func.call(&mut *store, black_box(params)).expect("it does not trap"));
                    });
                }

                /// Calls from the host, the signature known.
                pub(super) fn host_to_wasm_typed(&mut self, group: &mut Group<'_>, name: &str) {
                    match name {
                        "none" => self.typed::<(), ()>(group, name, ()),
                        "3 integers in" => self.typed::<(i64, i64, i64), ()>(group, name, (1, 2, 3)),
                        "12 integers in" => self.typed::<twelve!(i64), ()>(group, name, twelve!(= 4)),
                        "3 floats in" => self.typed::<(f64, f64, f64), ()>(group, name, (1.0, 2.0, 3.0)),
                        "12 floats in" => self.typed::<twelve!(f64), ()>(group, name, twelve!(= 4.0)),
                        "3 integers out" => self.typed::<(), (i64, i64, i64)>(group, name, ()),
                        "12 integers out" => self.typed::<(), twelve!(i64)>(group, name, ()),
                        "3 floats out" => self.typed::<(), (f64, f64, f64)>(group, name, ()),
                        "12 floats out" => self.typed::<(), twelve!(f64)>(group, name, ()),
                        other => panic!("no shape is called {other}"),
                    }
                }

                /// Calls from the host with slices of values.
                pub(super) fn host_to_wasm_dynamic(&mut self, group: &mut Group<'_>, shape: &Shape) {
                    let Self { store, instance } = self;
                    let func = instance.get_func(&mut *store, shape.name).expect("the guest exports it");
                    let (params, mut results) = (values(shape.params), values(shape.results));
                    group.bench_function(NAME, |b| {
                        b.iter(|| {
                            func.call(&mut *store, black_box(&params), &mut results).expect("it does not trap");
                        });
                    });
                }

                /// Calls to the host, made in a loop by the guest.
                pub(super) fn wasm_to_host(&mut self, group: &mut Group<'_>, kind: &str, name: &str) {
                    let Self { store, instance } = self;
                    let func = instance
                        .get_typed_func::<i64, ()>(&mut *store, &format!("{kind} {name}"))
                        .expect("the guest exports it");
                    group.bench_function(NAME, |b| {
                        b.iter_custom(|calls| {
                            let start = Instant::now();
                            func.call(&mut *store, calls as i64).expect("it does not trap");
                            start.elapsed()
                        });
                    });
                }
            }

            /// A group, so that Criterion's type is named in one place.
            pub(super) fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
                criterion.benchmark_group(name)
            }
        }
    };
}

#[cfg(feature = "tepui")]
engine!(tepui);
#[cfg(feature = "wasmtime")]
engine!(wasmtime);

/// Does the same in each engine, one right after the other.
macro_rules! in_each {
    ($criterion:ident, $name:expr, $tepui:ident, $wasmtime:ident, |$subject:ident, $group:ident| $body:expr) => {{
        #[cfg(feature = "tepui")]
        {
            let (mut $group, $subject) = (tepui::group($criterion, $name), &mut $tepui);
            $body;
            $group.finish();
        }
        #[cfg(feature = "wasmtime")]
        {
            let (mut $group, $subject) = (wasmtime::group($criterion, $name), &mut $wasmtime);
            $body;
            $group.finish();
        }
    }};
}

fn measure(criterion: &mut Criterion) -> Vec<String> {
    let guest = guest();
    #[cfg(feature = "tepui")]
    let mut tepui = tepui::Subject::new(&guest);
    #[cfg(feature = "wasmtime")]
    let mut wasmtime = wasmtime::Subject::new(&guest);
    let mut names = Vec::new();
    for shape in &SHAPES {
        let name = format!("host to wasm, typed, {}", shape.name);
        in_each!(criterion, &name, tepui, wasmtime, |s, g| s
            .host_to_wasm_typed(&mut g, shape.name));
        names.push(name);
        let name = format!("host to wasm, dynamic, {}", shape.name);
        in_each!(criterion, &name, tepui, wasmtime, |s, g| s
            .host_to_wasm_dynamic(&mut g, shape));
        names.push(name);
        for kind in ["typed", "dynamic"] {
            let name = format!("wasm to host, {kind}, {}", shape.name);
            in_each!(criterion, &name, tepui, wasmtime, |s, g| s
                .wasm_to_host(&mut g, kind, shape.name));
            names.push(name);
        }
    }
    names.sort();
    names
}

/// Nanoseconds of a call, as Criterion wrote them for a benchmark in this run or an earlier one.
#[derive(Clone, Copy)]
struct Time {
    median: f64,
    /// Of the quickest sample: what other work on the machine disturbed least.
    minimum: f64,
}

/// The text after `key` and a colon.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(&format!("\"{key}\":"))
        .map(|(_, after)| after)
}

/// The numbers of a list.
fn list(text: &str) -> Option<Vec<f64>> {
    text.strip_prefix('[')?
        .split_once(']')?
        .0
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect()
}

fn time(output: &Path, name: &str, engine: &str) -> Option<Time> {
    let folder = output.join(name).join(engine).join("new");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let estimates = read("estimates.json")?;
    let median = field(field(&estimates, "median")?, "point_estimate")?;
    let median = median[..median.find([',', '}'])?].trim().parse().ok()?;
    let sample = read("sample.json")?;
    let calls = list(field(&sample, "iters")?)?;
    let times = list(field(&sample, "times")?)?;
    let minimum = times
        .iter()
        .zip(&calls)
        .map(|(time, calls)| time / calls)
        .reduce(f64::min)?;
    Some(Time { median, minimum })
}

fn ratios(output: &Path, names: &[String]) {
    println!(
        "\n{:<40} {:^29}   {:^29}",
        "nanoseconds of a call", "median", "minimum"
    );
    let heads = ["tepui", "wasmtime", "ratio"].map(|head| format!("{head:>9}"));
    println!("{:<40} {}   {}", "", heads.join(" "), heads.join(" "));
    let mut logarithms = [0.0, 0.0];
    let mut count = 0;
    for name in names {
        let (Some(tepui), Some(wasmtime)) =
            (time(output, name, "tepui"), time(output, name, "wasmtime"))
        else {
            println!("{name:<40} one of the engines was not measured");
            continue;
        };
        count += 1;
        print!("{name:<40}");
        let pairs = [
            (tepui.median, wasmtime.median),
            (tepui.minimum, wasmtime.minimum),
        ];
        for ((tepui, wasmtime), sum) in pairs.into_iter().zip(&mut logarithms) {
            let ratio = tepui / wasmtime;
            *sum += ratio.ln();
            print!(" {tepui:>9.2} {wasmtime:>9.2} {ratio:>9.2}  ");
        }
        println!();
    }
    if count > 0 {
        let [median, minimum] = logarithms.map(|sum| (sum / f64::from(count)).exp());
        println!(
            "geometric mean of {count} ratios: {median:.3} of medians, {minimum:.3} of minima"
        );
    }
}

fn main() {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let output = target.join("criterion");
    let mut criterion = Criterion::default()
        .output_directory(&output)
        .configure_from_args();
    let names = measure(&mut criterion);
    criterion.final_summary();
    ratios(&output, &names);
}
