//! Does the official test suite pass through `tepui wast`, as it does through
//! the library? In the default tier, with the same table of what is out of
//! scope.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
mod common;
use common::tepui;

#[path = "../../wast/tests/scope/mod.rs"]
mod scope;

/// Runs `tepui wast` and gives its stdout, which ends with the counts.
fn wast(directory: &Path, args: &[&str]) -> String {
    let output = tepui()
        .arg("wast")
        .args(args)
        .current_dir(directory)
        .output()
        .expect("the command runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let ok = stdout.contains(" 0 failed; ");
    assert_eq!(
        output.status.code(),
        Some(if ok { 0 } else { 1 }),
        "the exit code tells what the counts tell:\n{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

#[test]
fn official_suite() {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("suite-{}", std::process::id()));
    let mut current = BTreeSet::new();
    for file in scope::files() {
        let name = scope::path(&file);
        let path = directory.join(&name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(path, file.raw()).expect("written");
        let whole =
            |(excluded, lines, _): &(&str, &[usize], &str)| *excluded == name && lines.is_empty();
        if !scope::EXCLUDED.iter().any(whole) {
            current.insert(name);
        }
    }

    let mut output = String::new();
    for (name, off) in scope::OLDER {
        if current.remove(*name) {
            let off: Vec<_> = off.iter().map(|proposal| proposal.name()).collect();
            output += &wast(&directory, &["--disable", &off.join(","), name]);
        }
    }
    let current: Vec<_> = current.iter().map(String::as_str).collect();
    output += &wast(&directory, &current);

    let excluded = |line: &str| {
        scope::EXCLUDED.iter().any(|(file, lines, _)| {
            lines
                .iter()
                .any(|number| line.starts_with(&format!("{file}:{number}:")))
        })
    };
    let failures: Vec<_> = output
        .lines()
        .filter(|line| line.contains(".wast:") && !excluded(line))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let _ = fs::remove_dir_all(directory);
}
