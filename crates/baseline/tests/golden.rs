//! Is the code for what matters still what somebody looked at and found good?
//!
//! For every `golden/NAME.wat` the instructions that each of its functions became
//! stand in a file beside it: `NAME.x86_64` for a processor with everything,
//! `NAME.x86_64-sse2` for one with SSE2 alone where that differs, and likewise
//! `NAME.aarch64` and `NAME.aarch64-least`. Above the machine instructions stands the Wasm instruction
//! that they are for; what has none became nothing.
//! `BLESS=1 cargo test -p tepui-baseline --test golden`, or `cargo xtask bless`,
//! writes them anew.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::{BARE, everything};
use tepui_abi::{Architecture, Batch, Compiler, Entry, Target, Tunables};
use tepui_baseline::{Baseline, CpuFeatures, Listing};
use tepui_testing::golden::{self, Version};
use tepui_testing::modules::{GUARDED, Loaded, METERED};
use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};

/// The tunables that a file asks for in its first line: `;; checked`.
fn tunables(text: &str) -> Tunables {
    let first = text.lines().next().unwrap_or_default();
    match first.trim_start_matches(';').trim() {
        "guarded" => GUARDED,
        "bare" => BARE,
        "checked" => GUARDED.checked(),
        "metered" => Tunables {
            deterministic: false,
            ..METERED
        },
        "deterministic" => Tunables {
            deterministic: true,
            ..GUARDED
        },
        "profile" => Tunables {
            profile: true,
            ..GUARDED
        },
        "probed" => Tunables {
            stack_probes: true,
            ..GUARDED
        },
        other => panic!("unknown tunables {other:?}"),
    }
}

macro_rules! names {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        /// The instruction as the text format spells it, without what follows.
        fn spelling(operator: &wasmparser::Operator<'_>) -> String {
            let visit = match operator {
                $( wasmparser::Operator::$op { .. } => stringify!($visit), )*
                _ => "visit_unknown",
            };
            let name = visit.trim_start_matches("visit_");
            match name.split_once('_') {
                Some((
                    group @ ("i32" | "i64" | "f32" | "f64" | "v128" | "i8x16" | "i16x8" | "i32x4"
                    | "i64x2" | "f32x4" | "f64x2" | "local" | "global" | "table" | "memory"
                    | "ref" | "data" | "elem"),
                    rest,
                )) => format!("{group}.{rest}"),
                _ => name.to_owned(),
            }
        }
    };
}
wasmparser::for_each_operator!(names);

/// The instruction at the offset in the module.
fn instruction_at(bytes: &[u8], offset: usize) -> String {
    // The reader wants to have seen the `if`.
    if bytes[offset] == 0x05 {
        return "else".to_owned();
    }
    let reader = wasmparser::BinaryReader::new(&bytes[offset..], 0);
    let operator = wasmparser::OperatorsReader::new(reader)
        .read()
        .expect("the body is valid");
    let mut text = spelling(&operator);
    let details = format!("{operator:?}");
    if let Some((_, fields)) = details.split_once('{')
        && fields.len() < 40
    {
        write!(text, " {}", fields.trim_end_matches('}').trim()).expect("a string takes all");
    }
    text
}

/// One machine instruction: its text and how many bytes it takes.
fn machine_instruction(architecture: Architecture, code: &[u8]) -> (String, usize) {
    match architecture {
        Architecture::X86_64 => {
            let decoder = yaxpeax_x86::amd64::InstDecoder::default();
            match decoder.decode_slice(code) {
                Ok(instruction) => (
                    instruction.to_string(),
                    instruction.len().to_const() as usize,
                ),
                Err(error) => panic!("{code:02x?} is no instruction: {error}"),
            }
        }
        Architecture::Aarch64 => {
            let decoder = yaxpeax_arm::armv8::a64::InstDecoder::default();
            let mut reader = U8Reader::new(&code[..4]);
            match decoder.decode(&mut reader) {
                Ok(instruction) => (instruction.to_string(), 4),
                Err(_) => (format!(".inst {}", hex(&code[..4])), 4),
            }
        }
        other => panic!("nothing disassembles code of {other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a jump names by its distance, by its offset as well.
fn with_target(text: String, origin: usize) -> String {
    let Some((_, distance)) = text.split_once('$') else {
        return text;
    };
    let (sign, digits) = distance.split_at(1);
    let digits = digits.trim_start_matches("0x");
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    let Ok(distance) = i64::from_str_radix(&digits[..end], 16) else {
        return text;
    };
    let target = if sign == "-" {
        origin as i64 - distance
    } else {
        origin as i64 + distance
    };
    format!("{text} -> {target:x}")
}

fn render(loaded: &Loaded, listing: &Listing, architecture: Architecture) -> String {
    let code = &listing.function.code;
    let mut out = String::new();
    let mut headings = listing.instructions.iter().peekable();
    let mut heading = Some("prologue".to_owned());
    let mut at = 0;
    let end = listing.code_bytes as usize;
    while at < end {
        while let Some((_, wasm)) = headings.next_if(|(offset, _)| *offset as usize <= at) {
            let is_last = headings.peek().is_none();
            heading = Some(if is_last {
                "epilogue".to_owned()
            } else {
                instruction_at(&loaded.bytes, *wasm as usize)
            });
        }
        if let Some(heading) = heading.take() {
            writeln!(out, "{heading}").expect("a string takes all");
        }
        let (text, length) = machine_instruction(architecture, &code[at..end]);
        // From where an architecture counts the distance of a jump.
        let origin = match architecture {
            Architecture::X86_64 => at + length,
            _ => at,
        };
        let mut line = format!("{at:6x}  {}", with_target(text, origin));
        let inside = at as u32..(at + length) as u32;
        for site in &listing.function.metadata.traps {
            if inside.contains(&site.offset) {
                write!(line, "  ; {:?}", site.trap).expect("a string takes all");
            }
        }
        for relocation in &listing.function.relocations {
            if inside.contains(&relocation.offset) {
                write!(line, "  ; function {}", relocation.target).expect("a string takes all");
            }
        }
        writeln!(out, "{line}").expect("a string takes all");
        at += length;
    }
    let rest = &code[end..];
    if !rest.is_empty() {
        writeln!(out, "constants").expect("a string takes all");
        for (number, line) in rest.chunks(16).enumerate() {
            writeln!(out, "{:6x}  {}", end + 16 * number, hex(line)).expect("a string takes all");
        }
    }
    out
}

/// The code of all functions of the module.
fn render_all(loaded: &Loaded, compiler: &Baseline) -> String {
    let plan = loaded.plan(compiler);
    let mut out = String::new();
    for function in loaded.functions() {
        let listing = compiler
            .list(&loaded.input(&plan, function, Entry::Start, Batch::Whole))
            .expect("the function can be compiled");
        let index = loaded.module.func_index(function);
        let name = loaded
            .module
            .function_name(&loaded.bytes, index)
            .unwrap_or_default();
        let text = render(loaded, &listing, compiler.target().architecture);
        writeln!(out, ";; function {function} {name}\n{text}").expect("a string takes all");
    }
    out
}

/// What should stand beside the file, by the extension.
fn versions(path: &Path) -> Vec<Version> {
    let text = fs::read_to_string(path).expect("the file can be read");
    let loaded = Loaded::text(&text);
    let tunables = tunables(&text);
    let mut versions = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let make = |cpu| Baseline::new(Target::of(architecture), cpu, tunables);
        let (Ok(full), Ok(least)) = (make(everything()), make(CpuFeatures::LEAST)) else {
            continue;
        };
        let name = architecture.to_string().replace('-', "_");
        let full = render_all(&loaded, &full);
        let least = render_all(&loaded, &least);
        if least != full {
            let suffix = match architecture {
                Architecture::X86_64 => "sse2",
                _ => "least",
            };
            versions.push((format!("{name}-{suffix}"), least));
        }
        versions.push((name, full));
    }
    versions
}

#[test]
fn code_is_as_blessed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden::check(&folder, 12, versions);
}
