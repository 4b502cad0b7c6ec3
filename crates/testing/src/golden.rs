//! Is what a compiler makes of small modules still what somebody looked at and found good?

use std::fs;
use std::path::{Path, PathBuf};

/// What stands beside a module: the extension of the file, and its text.
pub type Version = (String, String);

/// Compares what `render` makes of each `.wat` file of `folder`, of which there are so many
/// at least, with the files beside it. With `BLESS=1` in the environment they are written
/// anew instead.
///
/// # Panics
///
/// When something differs, with the first such line of each file; or when files are missing.
pub fn check(folder: &Path, at_least: usize, render: impl Fn(&Path) -> Vec<Version>) {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder exists")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    assert!(files.len() >= at_least, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let versions = render(&file);
        assert!(
            !versions.is_empty(),
            "nothing is made of {}",
            file.display()
        );
        for (extension, actual) in versions {
            let golden = file.with_extension(extension);
            if bless {
                fs::write(&golden, &actual).expect("the file can be written");
                continue;
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if let Some(difference) = difference(&expected, &actual) {
                wrong.push(format!("{}:{difference}", golden.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "code differs from the golden files; look at it, and if it is good, run with BLESS=1\n{}",
        wrong.join("\n")
    );
}

/// Where and how two texts differ first.
fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let lines = expected
        .lines()
        .chain(std::iter::repeat(""))
        .zip(actual.lines());
    Some(match lines.enumerate().find(|(_, (was, is))| was != is) {
        Some((number, (was, is))) => {
            format!("{}\n  was: {was}\n   is: {is}", number + 1)
        }
        None => " shorter than before".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let changed = difference("a\nb\nc\n", "a\nx\nc\n").unwrap();
        assert_eq!(changed, "2\n  was: b\n   is: x");
        let longer = difference("a\n", "a\nb\n").unwrap();
        assert_eq!(longer, "2\n  was: \n   is: b");
        assert_eq!(difference("a\nb\n", "a\n").unwrap(), " shorter than before");
        assert!(difference("", "a\n").is_some());
    }
}
