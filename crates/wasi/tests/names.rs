//! Names that mean something else on Windows than what they say lead nowhere, for
//! every function that takes one; nothing outside of the folder is seen or changed.
#![cfg(windows)]

mod common;

use common::*;
use std::fs;
use std::path::Path;

/// Paths that name nothing beneath the folder, with the folder beside it that holds
/// `secret`.
fn attempts(outside: &Path) -> Vec<String> {
    let outside = outside.to_str().unwrap();
    let plain = outside.trim_start_matches(r"\\?\");
    let mut attempts: Vec<String> = [
        "..",
        "../secret",
        "../outside/secret",
        "d/../../outside/secret",
        "./../outside/secret",
        "d/./../../outside/secret",
        "f/../../outside/secret",
        r"..\outside\secret",
        r"d\..\..\outside\secret",
        r"d/..\..\outside\secret",
        r".\..\outside\secret",
        "/",
        "/secret",
        "//server/share/secret",
        r"\secret",
        r"\\server\share\secret",
        r"\\?\C:\windows\win.ini",
        r"\\.\C:\windows\win.ini",
        r"\??\C:\windows\win.ini",
        r"\\.\pipe\tepui",
        "//./C:/windows/win.ini",
        "//?/C:/windows/win.ini",
        "C:/windows/win.ini",
        "c:windows/win.ini",
        "C:",
        r"C:\",
        "f:stream",
        "f::$DATA",
        "d:$I30:$INDEX_ALLOCATION/f",
        ".::$INDEX_ALLOCATION",
        "..::$INDEX_ALLOCATION/outside/secret",
        "CON",
        "con.txt",
        "NUL",
        "nul ",
        "d/nul",
        "AUX.x.y",
        "PRN",
        "COM1",
        "com9.log",
        "COM¹",
        "LPT1",
        "lpt³.x",
        "CONIN$",
        "CONOUT$",
        "f.",
        "f ",
        "f. .",
        "d./f",
        "d /f",
        "...",
        ".. /outside/secret",
        "... /outside/secret",
        "f*",
        "f?",
        "<",
        "f|",
        "\"f\"",
        "f\u{1}",
    ]
    .map(String::from)
    .into();
    for outside in [outside, plain] {
        attempts.push(format!("{outside}\\secret"));
        attempts.push(format!("{}/secret", outside.replace('\\', "/")));
        attempts.push(format!("../../../../../../../../{outside}\\secret"));
    }
    attempts
}

/// What lies in a folder and beneath it, with content.
fn contents(of: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.push((name, Vec::new()));
            found.extend(contents(&path));
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn names_lead_nowhere() {
    let dir = TempDir::new();
    let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
    fs::create_dir_all(inside.join("d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(inside.join("f"), "f").unwrap();
    fs::write(inside.join("d/f"), "f").unwrap();
    let before = contents(dir.path());
    let mut guest = Guest::new(
        tepui_wasi::WasiCtx::builder()
            .preopened_dir(&inside, "/sandbox", tepui_wasi::Access::ReadWrite)
            .unwrap(),
    );
    for path in attempts(&outside) {
        for oflags in [0, CREAT, CREAT | EXCL, TRUNC, DIRECTORY] {
            for rights in [READ, READ | WRITE] {
                let opened = guest.try_open(3, path.as_bytes(), FOLLOW, oflags, rights, 0);
                assert!(opened.is_err(), "open {path:?} {oflags}: {opened:?}");
            }
        }
        for flags in [0, FOLLOW] {
            assert!(guest.stat(3, flags, &path).is_err(), "stat {path:?}");
            assert_ne!(guest.set_times(3, flags, &path, 0, 5), 0, "times {path:?}");
        }
        for name in [
            "path_create_directory",
            "path_remove_directory",
            "path_unlink_file",
        ] {
            assert_ne!(guest.on_path(name, 3, &path), 0, "{name} {path:?}");
        }
        assert!(guest.readlink(3, &path, 100).is_err(), "readlink {path:?}");
        assert_ne!(guest.rename(3, &path, 3, "new"), 0, "rename {path:?}");
        assert_ne!(guest.rename(3, "f", 3, &path), 0, "rename to {path:?}");
        assert_ne!(guest.link(3, 0, &path, 3, "new"), 0, "link {path:?}");
        assert_ne!(guest.link(3, 0, "f", 3, &path), 0, "link to {path:?}");
        assert_ne!(guest.symlink("f", 3, &path), 0, "symlink at {path:?}");
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn folders_stay_where_they_are_while_they_are_open() {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::create_dir(dir.path().join("a/b")).unwrap();
    let mut guest = guest_in(&dir);
    let b = guest.open(3, "a/b", DIRECTORY, READ, 0);
    // Neither the host nor the guest puts another one in its place.
    assert!(fs::rename(dir.path().join("a/b"), dir.path().join("c")).is_err());
    assert_ne!(guest.rename(3, "a/b", 3, "c"), 0);
    guest.ok("fd_close", &[b]);
    assert_eq!(guest.rename(3, "a/b", 3, "c"), 0);
}
