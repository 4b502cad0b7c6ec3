//! Which paths of guests are names of files here, and nothing else?
//!
//! Windows gives meanings to names that POSIX takes as they are: `a:b` is a stream
//! beside a file's content (and `c:` a drive), `NUL.txt` a device, `a.` and `a `
//! are `a`, and `\` separates too. Nothing like that is let through, wherever in a
//! path it stands; what is then resolved is a plain name.

use crate::services::{ErrorCode, Result};
use std::path::Path;

/// The longest name in a folder, in units of UTF-16.
const LONGEST_NAME: usize = 255;

/// The path that `path` of a guest names, beneath its folder or not: that is found
/// out when it is resolved.
///
/// # Errors
///
/// [`ErrorCode::Invalid`] for what is no name of a file here,
/// [`ErrorCode::NotPermitted`] for an absolute path.
pub(super) fn checked(path: &str) -> Result<&Path> {
    if path.starts_with(['/', '\\']) {
        return Err(ErrorCode::NotPermitted);
    }
    for name in path.split('/') {
        check_name(name)?;
    }
    Ok(Path::new(path))
}

fn check_name(name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") {
        return Ok(());
    }
    let means_something_else = name.chars().any(|c| {
        c.is_ascii_control() || matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*')
    });
    if means_something_else || name.ends_with(['.', ' ']) || is_device(name) {
        return Err(ErrorCode::Invalid);
    }
    if name.encode_utf16().count() > LONGEST_NAME {
        return Err(ErrorCode::NameTooLong);
    }
    Ok(())
}

/// Whether a name is that of a device, which lie in every folder: with whatever
/// extension, and with spaces before that.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    if matches_any(stem, &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]) {
        return true;
    }
    let mut chars = stem.chars();
    let last = chars.next_back();
    // Superscript digits are digits too.
    matches!(last, Some('0'..='9' | '¹' | '²' | '³'))
        && matches_any(chars.as_str(), &["COM", "LPT"])
}

fn matches_any(name: &str, devices: &[&str]) -> bool {
    devices
        .iter()
        .any(|device| name.eq_ignore_ascii_case(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for path in [
            "a", "a/b.c", "..", "a/../b", "./a/", "größe", ".hidden", "a b", "console", "com",
            "comx", "com10", "nul1", "a.nul", "lpt¼",
        ] {
            assert_eq!(checked(path), Ok(Path::new(path)), "{path}");
        }
        for path in [
            "a:b",
            "c:",
            "c:/x",
            "a::$DATA",
            "a\\b",
            "a\\..\\..\\b",
            "a/..\\..\\b",
            "nul",
            "NUL.txt",
            "d/Con",
            "d/con .x.y",
            "aux/x",
            "com1",
            "COM¹.log",
            "lpt9",
            "conin$",
            "CONOUT$",
            "a.",
            "a ",
            "...",
            ".. ",
            "a./b",
            "a*",
            "a?",
            "a|b",
            "<",
            "a\u{1}",
            "\u{7f}",
        ] {
            assert_eq!(checked(path), Err(ErrorCode::Invalid), "{path}");
        }
        for path in ["/", "/a", "\\", "\\\\?\\C:\\", "//server/share", "\\??\\C:"] {
            assert_eq!(checked(path), Err(ErrorCode::NotPermitted), "{path}");
        }
        assert_eq!(checked(&"x".repeat(256)), Err(ErrorCode::NameTooLong));
    }
}
