//! From the bytes of a program to its first instruction, in Tepui's interpreter and in wasmi, side by side.
//!
//! ```text
//! cd bench/start && cargo bench
//! PROGRAMS=a.wasm:b.wasm cargo bench         real programs too, which export `_start`
//! cargo bench --features all-tiers           of the crate with its compilers
//! ```
//!
//! One round is what a host does that runs one program: an engine, the module (checked as a whole, translated when it
//! is called), a store, every import, the instance, and its start until it first calls the host, which says no. Both
//! have the settings that their users have by default. What is shown is the time of a round with all that it made
//! dropped again.

use std::fmt::Display;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use criterion::Criterion;

/// A program: what it is called, and its bytes.
struct Program {
    name: String,
    bytes: Vec<u8>,
}

/// A program of so many functions like those that compilers write, which calls the host at once.
fn generated(functions: usize) -> Program {
    let mut text = String::from(
        "(module (import \"host\" \"first\" (func $first))
           (memory (export \"memory\") 1)
           (func (export \"_start\") (call $first))",
    );
    for number in 0..functions {
        text += &format!(
            "(func (param $at i32) (param $n i32) (result i32) (local $sum i32)
               (block $out
                 (loop $next
                   (br_if $out (i32.eqz (local.get $n)))
                   (local.set $sum
                     (i32.add (local.get $sum)
                       (i32.mul (i32.load offset={number} (local.get $at)) (i32.const {number}))))
                   (i32.store8 (local.get $at) (local.get $sum))
                   (local.set $at (i32.add (local.get $at) (i32.const 4)))
                   (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                   (br $next)))
               (local.get $sum))"
        );
    }
    text.push(')');
    Program {
        name: format!("{functions} functions"),
        bytes: wat::parse_str(text).expect("the text above is a module"),
    }
}

/// The generated programs, and those of the files that `PROGRAMS` names.
fn programs() -> Result<Vec<Program>, String> {
    let mut programs: Vec<_> = [0, 100, 10_000].map(generated).into();
    let files = std::env::var("PROGRAMS").unwrap_or_default();
    for file in files.split(':').filter(|file| !file.is_empty()) {
        let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        let name = Path::new(file).file_stem().unwrap_or(file.as_ref());
        programs.push(Program {
            name: name.display().to_string(),
            bytes,
        });
    }
    Ok(programs)
}

/// A function that starts a program and answers how often the host was called: the same text for both crates, which
/// have the same names. `$engine` makes an engine, `$no` an error.
macro_rules! starts {
    ($name:ident, $krate:ident, $engine:expr, $no:expr, $instantiate:ident) => {
        fn $name(bytes: &[u8]) -> Result<u32, $krate::Error> {
            use $krate::{ExternType, Linker, Module, Store};

            let engine = $engine;
            let module = Module::new(&engine, bytes)?;
            let mut store = Store::new(&engine, 0);
            let mut linker = <Linker<u32>>::new(&engine);
            linker.allow_shadowing(true);
            for import in module.imports() {
                if let ExternType::Func(ty) = import.ty() {
                    linker.func_new(
                        import.module(),
                        import.name(),
                        ty.clone(),
                        |mut caller, _, _| {
                            *caller.data_mut() += 1;
                            Err($no)
                        },
                    )?;
                }
            }
            let instance = linker.$instantiate(&mut store, &module)?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            // It ends with what the host says, or without having asked.
            let _ = start.call(&mut store, ());
            Ok(*store.data())
        }
    };
}

/// An engine with the interpreter, whatever tiers there are.
fn interpreter() -> tepui::Result<tepui::Engine> {
    let mut config = tepui::Config::new();
    config.strategy(tepui::Strategy::Interpreter);
    tepui::Engine::new(&config)
}

starts!(
    in_tepui,
    tepui,
    interpreter()?,
    tepui::Error::msg("no"),
    instantiate
);
starts!(
    in_wasmi,
    wasmi,
    wasmi::Engine::default(),
    wasmi::Error::new("no"),
    instantiate_and_start
);

/// An error unless a program is what this measures.
fn check<E: Display>(program: &Program, engine: &str, calls: Result<u32, E>) -> Result<(), String> {
    let what = match calls {
        Ok(1) => return Ok(()),
        Ok(_) => "it ends without having called the host".to_string(),
        Err(error) => error.to_string(),
    };
    Err(format!("{} in {engine}: {what}", program.name))
}

fn run() -> Result<(), String> {
    let mut criterion = Criterion::default().configure_from_args();
    for program in programs()? {
        check(&program, "tepui", in_tepui(&program.bytes))?;
        check(&program, "wasmi", in_wasmi(&program.bytes))?;
        let mut group = criterion.benchmark_group(&program.name);
        group.bench_function("tepui", |bencher| {
            bencher.iter(|| in_tepui(black_box(&program.bytes)))
        });
        group.bench_function("wasmi", |bencher| {
            bencher.iter(|| in_wasmi(black_box(&program.bytes)))
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
