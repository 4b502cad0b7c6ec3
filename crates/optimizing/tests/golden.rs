//! Is the code for what matters still what somebody looked at and found good?
//!
//! For every `golden/NAME.wat` the intermediate representation and the machine
//! instructions of its functions for x86-64 and aarch64 stand in files beside it.
//! `BLESS=1 cargo test -p tepui-optimizing --test golden` writes them anew.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use common::{BARE, GUARDED, Loaded, METERED};
use tepui_abi::{Architecture, Batch, Entry, Tunables};

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
        other => panic!("unknown tunables {other:?}"),
    }
}

fn render(path: &Path) -> [(&'static str, String); 3] {
    let text = fs::read_to_string(path).expect("the file can be read");
    let loaded = Loaded::text(&text);
    let tunables = tunables(&text);
    let mut clif = String::new();
    let mut code = [String::new(), String::new()];
    let architectures = [Architecture::X86_64, Architecture::Aarch64];
    for (architecture, out) in architectures.into_iter().zip(&mut code) {
        let compiler = common::compiler(architecture, tunables);
        for function in loaded.functions() {
            let loops = loaded.summaries.function(function).loops;
            // Files that are about it are named for it.
            let by_loop = path.to_string_lossy().contains("osr");
            let entries = std::iter::once(Entry::Start).chain(
                (0..loops)
                    .filter(|_| by_loop)
                    .map(|index| Entry::Loop { index }),
            );
            for entry in entries {
                let listing = loaded
                    .list(&compiler, function.as_u32(), entry, Batch::Whole)
                    .expect("the function can be compiled");
                let head = format!(";; function {function}, {entry:?}\n");
                writeln!(out, "{head}{}", listing.instructions).expect("a string takes all");
                if architecture == Architecture::X86_64 {
                    writeln!(clif, "{head}{}", listing.translated).expect("a string takes all");
                }
            }
        }
    }
    let [x86_64, aarch64] = code;
    [("clif", clif), ("x86_64", x86_64), ("aarch64", aarch64)]
}

#[test]
fn code_is_as_blessed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder exists")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        for (extension, actual) in render(&file) {
            let golden = file.with_extension(extension);
            if bless {
                fs::write(&golden, &actual).expect("the file can be written");
                continue;
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if let Some((number, (was, is))) = expected
                .lines()
                .chain(std::iter::repeat(""))
                .zip(actual.lines())
                .enumerate()
                .find(|(_, (was, is))| was != is)
            {
                wrong.push(format!(
                    "{}:{}\n  was: {was}\n   is: {is}",
                    golden.display(),
                    number + 1
                ));
            } else if expected != actual {
                wrong.push(format!("{}: shorter than before", golden.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "code differs from the golden files; look at it, and if it is good, run with BLESS=1\n{}",
        wrong.join("\n")
    );
}
