//! Which sequences of instructions do real programs have? What the fused
//! instructions of the interpreter were chosen from.
//!
//! ```text
//! cargo run --release -p tepui-interpreter --example count -- PROGRAM.wasm …
//! ```
//!
//! Counts each instruction once, where it stands, however often it would run.

use std::collections::HashMap;
use std::process::ExitCode;

use wasmparser::{Operator, Parser, Payload};

/// What an instruction is, as far as sequences of them matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Class {
    Local,
    Constant,
    Set,
    Tee,
    Compare,
    Eqz,
    Arithmetic,
    Load,
    Store,
    Branch,
    If,
    Table,
    Select,
    Call,
    Indirect,
    Global,
    Return,
    Structure,
    Other,
}

fn class(operator: &Operator<'_>) -> Class {
    use Operator as O;
    match operator {
        O::LocalGet { .. } => return Class::Local,
        O::LocalSet { .. } => return Class::Set,
        O::LocalTee { .. } => return Class::Tee,
        O::BrIf { .. } => return Class::Branch,
        O::If { .. } => return Class::If,
        O::BrTable { .. } => return Class::Table,
        O::Select | O::TypedSelect { .. } => return Class::Select,
        O::Call { .. } => return Class::Call,
        O::CallIndirect { .. } => return Class::Indirect,
        O::GlobalGet { .. } | O::GlobalSet { .. } => return Class::Global,
        O::Return => return Class::Return,
        O::Block { .. } | O::Loop { .. } | O::End | O::Else | O::Br { .. } => {
            return Class::Structure;
        }
        O::I32Eqz | O::I64Eqz => return Class::Eqz,
        _ => {}
    }
    let name = format!("{operator:?}");
    let name = name.split([' ', '{']).next().unwrap_or(&name);
    let rest = &name[name.len().min(3)..];
    let starts = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
    if name.ends_with("Const") {
        Class::Constant
    } else if starts(&["Load"]) {
        Class::Load
    } else if starts(&["Store"]) {
        Class::Store
    } else if matches!(rest, "Eq" | "Ne") || starts(&["Lt", "Gt", "Le", "Ge"]) {
        Class::Compare
    } else if starts(&[
        "Add", "Sub", "Mul", "Div", "Rem", "And", "Or", "Xor", "Shl", "Shr", "Rot",
    ]) {
        Class::Arithmetic
    } else {
        Class::Other
    }
}

fn main() -> ExitCode {
    let mut singles: HashMap<Class, u64> = HashMap::new();
    let mut pairs: HashMap<[Class; 2], u64> = HashMap::new();
    let mut triples: HashMap<[Class; 3], u64> = HashMap::new();
    let mut total = 0;
    for path in std::env::args().skip(1) {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("cannot read {path}: {error}");
                return ExitCode::FAILURE;
            }
        };
        for payload in Parser::new(0).parse_all(&bytes) {
            let body = match payload {
                Ok(Payload::CodeSectionEntry(body)) => body,
                Ok(_) => continue,
                Err(error) => {
                    eprintln!("{path}: {error}");
                    return ExitCode::FAILURE;
                }
            };
            let Ok(reader) = body.get_operators_reader() else {
                continue;
            };
            let mut before: [Option<Class>; 2] = [None; 2];
            for operator in reader.into_iter().flatten() {
                let class = class(&operator);
                total += 1;
                *singles.entry(class).or_default() += 1;
                if let [_, Some(last)] = before {
                    *pairs.entry([last, class]).or_default() += 1;
                }
                if let [Some(first), Some(last)] = before {
                    *triples.entry([first, last, class]).or_default() += 1;
                }
                before = [before[1], Some(class)];
            }
        }
    }
    let show = |title: &str, mut counts: Vec<(String, u64)>| {
        counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
        println!("{title}");
        for (name, count) in counts.into_iter().take(24) {
            let share = count as f64 * 100.0 / f64::max(total as f64, 1.0);
            println!("  {share:5.1} %  {name}");
        }
    };
    println!("{total} instructions");
    let name = |key: &dyn std::fmt::Debug| format!("{key:?}");
    show(
        "instructions",
        singles.iter().map(|(k, n)| (name(k), *n)).collect(),
    );
    show("pairs", pairs.iter().map(|(k, n)| (name(k), *n)).collect());
    show(
        "triples",
        triples.iter().map(|(k, n)| (name(k), *n)).collect(),
    );
    ExitCode::SUCCESS
}
