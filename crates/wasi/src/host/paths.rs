//! What does the end of a path say?

use crate::services::Follow;

/// Whether a path names a directory by its end, and so leads through a link there.
pub(super) fn names_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.")
}

/// Whether a link at the end of `path` is followed, when `follow` was asked for.
pub(super) fn followed(path: &str, follow: Follow) -> Follow {
    if names_directory(path) {
        Follow::Yes
    } else {
        follow
    }
}

/// The path without slashes at its end, for what takes a directory in any case.
pub(super) fn without_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_paths() {
        for (path, directory, name) in [
            ("a", false, "a"),
            ("a.", false, "a."),
            ("a/b", false, "a/b"),
            ("a/", true, "a"),
            ("a//", true, "a"),
            ("a/.", true, "a/."),
            (".", false, "."),
            ("/", true, "/"),
            ("", false, ""),
        ] {
            assert_eq!(names_directory(path), directory, "{path:?}");
            assert_eq!(followed(path, Follow::Yes), Follow::Yes, "{path:?}");
            let expected = if directory { Follow::Yes } else { Follow::No };
            assert_eq!(followed(path, Follow::No), expected, "{path:?}");
            assert_eq!(without_slashes(path), name, "{path:?}");
        }
    }
}
