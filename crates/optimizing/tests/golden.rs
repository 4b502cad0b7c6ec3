//! Is the code for what matters still what somebody looked at and found good?
//!
//! For every `golden/NAME.wat` the intermediate representation and the machine
//! instructions of its functions for x86-64 and aarch64 stand in files beside it.
//! `BLESS=1 cargo test -p tepui-optimizing --test golden` writes them anew.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::BARE;
use tepui_abi::{Architecture, Batch, Entry, Tunables};
use tepui_testing::golden::{self, Version};
use tepui_testing::modules::{GUARDED, Loaded, METERED};

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

fn render(path: &Path) -> Vec<Version> {
    let text = fs::read_to_string(path).expect("the file can be read");
    let loaded = Loaded::text(&text);
    let tunables = tunables(&text);
    let mut clif = String::new();
    let mut code = [String::new(), String::new()];
    let architectures = [Architecture::X86_64, Architecture::Aarch64];
    for (architecture, out) in architectures.into_iter().zip(&mut code) {
        let compiler = common::compiler(architecture, tunables);
        let plan = loaded.plan(&compiler);
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
                let listing = compiler
                    .list(&loaded.input(&plan, function, entry, Batch::Whole))
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
        .map(|(extension, text)| (extension.to_owned(), text))
        .into()
}

#[test]
fn code_is_as_blessed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden::check(&folder, 8, render);
}
