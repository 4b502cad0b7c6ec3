//! Attempts to get out of a preopened folder. Each is tried in a folder given
//! for reading and writing and in one given for reading only; all have to fail,
//! and everything outside has to stay as it was.
#![cfg(unix)]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use tepui_wasi::{Access, WasiCtx};

/// What a guest tries. `Held` is a directory that it opened before.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// Opens for reading, links followed.
    Open(&'static str),
    /// Opens for reading, the last link not followed.
    OpenNoFollow(&'static str),
    /// Opens for reading and writing, links followed.
    OpenWrite(&'static str),
    /// Creates and writes.
    Create(&'static str),
    /// Creates what must not exist.
    CreateNew(&'static str),
    /// Cuts to nothing.
    Truncate(&'static str),
    /// Opens a directory.
    OpenDir(&'static str),
    /// Opens a directory and keeps it in `Held`.
    Hold(&'static str),
    Stat(&'static str),
    StatNoFollow(&'static str),
    SetTimes(&'static str),
    Mkdir(&'static str),
    Rmdir(&'static str),
    Unlink(&'static str),
    Rename(&'static str, &'static str),
    Link(&'static str, &'static str),
    LinkFollow(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    Readlink(&'static str),
    /// Renames from this preopened folder into the other.
    RenameToOther(&'static str, &'static str),
    /// Links from this preopened folder into the other.
    LinkToOther(&'static str, &'static str),
    /// Moves something beneath `Held` to somewhere beneath the folder.
    RenameHeld(&'static str, &'static str),
    OpenHeld(&'static str),
    CreateHeld(&'static str),
    StatHeld(&'static str),
    UnlinkHeld(&'static str),
    MkdirHeld(&'static str),
}

use Op::*;

/// A name, what is done first (and may work or not), what has to fail.
type Attempt = (&'static str, &'static [Op], &'static [Op]);

const ATTEMPTS: &[Attempt] = &[
    (
        "dot-dot",
        &[],
        &[Open(".."), OpenDir(".."), Stat(".."), StatNoFollow("..")],
    ),
    (
        "dot-dot to a file",
        &[],
        &[
            Open("../outside/secret.txt"),
            OpenWrite("../outside/secret.txt"),
        ],
    ),
    (
        "dot-dot after a folder",
        &[],
        &[Open("dir/../../outside/secret.txt")],
    ),
    (
        "dot-dot many times",
        &[],
        &[Open("../../../../../../../../etc/passwd")],
    ),
    (
        "dot-dot with dots between",
        &[],
        &[Open("./.././outside/./secret.txt")],
    ),
    (
        "slashes and dots",
        &[],
        &[Open(".//..//outside//secret.txt"), Open(".//..//")],
    ),
    (
        "dot-dot deep",
        &[],
        &[Open("dir/sub/../../../outside/secret.txt")],
    ),
    (
        "dot-dot through a file",
        &[],
        &[
            Open("file.txt/../../outside/secret.txt"),
            Open("file.txt/.."),
        ],
    ),
    (
        "dot-dot at the end",
        &[],
        &[OpenDir("dir/../.."), OpenDir("dir/sub/../../..")],
    ),
    (
        "dot-dot and slash",
        &[],
        &[OpenDir("../"), Stat("../"), OpenDir("dir/../../")],
    ),
    (
        "absolute",
        &[],
        &[
            Open("/etc/passwd"),
            Stat("/etc/passwd"),
            OpenDir("/"),
            Stat("/"),
        ],
    ),
    (
        "absolute with slashes",
        &[],
        &[Open("//etc/passwd"), Open("///etc/passwd"), OpenDir("//")],
    ),
    (
        "absolute and dots",
        &[],
        &[Open("/../etc/passwd"), OpenDir("/."), OpenDir("/..")],
    ),
    (
        "absolute link to a file",
        &[],
        &[Open("abs"), OpenWrite("abs"), Truncate("abs"), Stat("abs")],
    ),
    (
        "absolute link to a folder",
        &[],
        &[
            OpenDir("absdir"),
            Open("absdir/secret.txt"),
            Stat("absdir/secret.txt"),
        ],
    ),
    (
        "relative link to a file",
        &[],
        &[Open("rel"), OpenWrite("rel"), Truncate("rel"), Stat("rel")],
    ),
    (
        "relative link to a folder",
        &[],
        &[
            OpenDir("reldir"),
            Open("reldir/secret.txt"),
            OpenDir("reldir/"),
        ],
    ),
    (
        "link not followed",
        &[],
        &[
            OpenNoFollow("abs"),
            OpenNoFollow("rel"),
            OpenNoFollow("reldir"),
        ],
    ),
    (
        "link not followed, slash",
        &[],
        &[
            OpenNoFollow("reldir/"),
            OpenNoFollow("absdir/"),
            StatNoFollow("reldir/"),
        ],
    ),
    (
        "chain of links",
        &[],
        &[Open("chain1"), OpenWrite("chain1"), Stat("chain1")],
    ),
    (
        "chain of links to a folder",
        &[],
        &[OpenDir("chaindir1"), Open("chaindir1/secret.txt")],
    ),
    (
        "loop of links",
        &[],
        &[
            Open("loop1"),
            Create("loop1"),
            Stat("loop1"),
            Open("loop1/x"),
        ],
    ),
    (
        "dangling link",
        &[],
        &[Create("dangling"), CreateNew("dangling"), Open("dangling")],
    ),
    (
        "dangling absolute link",
        &[],
        &[Create("danglingabs"), CreateNew("danglingabs")],
    ),
    (
        "folder through a dangling link",
        &[],
        &[Mkdir("dangling"), Mkdir("dangling/"), Mkdir("reldir/new")],
    ),
    (
        "link inside to above",
        &[],
        &[Open("dir/up2/outside/secret.txt"), OpenDir("dir/up2")],
    ),
    (
        "link upward, then dot-dot",
        &[],
        &[Open("dir/up/../outside/secret.txt"), OpenDir("dir/up/..")],
    ),
    (
        "dot-dot after a link outward",
        &[],
        &[Open("reldir/../outside/secret.txt"), OpenDir("reldir/..")],
    ),
    (
        "dot-dot after an absolute link",
        &[],
        &[OpenDir("absdir/.."), Stat("absdir/../rw/file.txt")],
    ),
    (
        "self link, then dot-dot",
        &[],
        &[
            Open("self/../outside/secret.txt"),
            Open("self/self/../../outside/secret.txt"),
        ],
    ),
    (
        "create outside",
        &[],
        &[
            Create("../outside/new"),
            CreateNew("../new"),
            Create("reldir/new"),
            Create("absdir/new"),
        ],
    ),
    (
        "truncate outside",
        &[],
        &[
            Truncate("../outside/secret.txt"),
            Truncate("reldir/secret.txt"),
        ],
    ),
    (
        "unlink outside",
        &[],
        &[
            Unlink("../outside/secret.txt"),
            Unlink("reldir/secret.txt"),
            Unlink("absdir/secret.txt"),
            Unlink("dir/up2/outside/secret.txt"),
        ],
    ),
    (
        "unlink a link with a slash",
        &[],
        &[Unlink("rel/"), Unlink("reldir/"), Unlink("absdir/.")],
    ),
    (
        "make folders outside",
        &[],
        &[
            Mkdir("../new"),
            Mkdir("reldir/new"),
            Mkdir("absdir/new"),
            Mkdir("/tmp/tepui-escape"),
        ],
    ),
    (
        "remove folders outside",
        &[],
        &[
            Rmdir("../outside/empty"),
            Rmdir("reldir/empty"),
            Rmdir("absdir/empty"),
            Rmdir("reldir"),
            Rmdir("reldir/"),
        ],
    ),
    (
        "remove the folder itself",
        &[],
        &[Rmdir("."), Rmdir(".."), Rmdir("dir/.."), Rmdir("")],
    ),
    (
        "rename outward",
        &[],
        &[
            Rename("file.txt", "../stolen"),
            Rename("file.txt", "reldir/stolen"),
            Rename("file.txt", "absdir/stolen"),
            Rename("file.txt", "/tmp/tepui-escape"),
        ],
    ),
    (
        "rename inward",
        &[],
        &[
            Rename("../outside/secret.txt", "mine"),
            Rename("reldir/secret.txt", "mine"),
            Rename("absdir/secret.txt", "mine"),
        ],
    ),
    (
        "rename onto outside",
        &[],
        &[
            Rename("file.txt", "../outside/secret.txt"),
            Rename("file.txt", "reldir/secret.txt"),
        ],
    ),
    (
        "rename folders",
        &[],
        &[
            Rename("dir", "../stolen"),
            Rename("..", "mine"),
            Rename(".", "mine"),
            Rename("dir", ".."),
        ],
    ),
    (
        "link outward",
        &[],
        &[
            Link("file.txt", "../stolen"),
            Link("file.txt", "reldir/stolen"),
            Link("file.txt", "absdir/stolen"),
        ],
    ),
    (
        "link inward",
        &[],
        &[
            Link("../outside/secret.txt", "mine"),
            Link("reldir/secret.txt", "mine"),
            Link("absdir/secret.txt", "mine"),
            Open("mine"),
        ],
    ),
    (
        "link to the target of a link",
        &[],
        &[
            LinkFollow("rel", "mine"),
            LinkFollow("abs", "mine"),
            Open("mine"),
        ],
    ),
    (
        "link of a link, then open",
        &[Link("rel", "dir/rel2"), Link("rel", "dir/sub/rel3")],
        &[
            Open("dir/rel2"),
            Open("dir/sub/rel3"),
            OpenWrite("dir/rel2"),
        ],
    ),
    (
        "make an absolute link",
        &[],
        &[
            Symlink("/etc/passwd", "mine"),
            Symlink("/", "mine"),
            Open("mine"),
        ],
    ),
    (
        "make a link outward, then use it",
        &[
            Symlink("../outside/secret.txt", "made"),
            Symlink("../outside", "madedir"),
        ],
        &[
            Open("made"),
            OpenWrite("made"),
            Open("madedir/secret.txt"),
            Create("madedir/new"),
            OpenDir("madedir"),
            Mkdir("madedir/new"),
            Unlink("madedir/secret.txt"),
        ],
    ),
    (
        "make links of links",
        &[
            Symlink("m2/../..", "m1"),
            Symlink("dir", "m2"),
            Symlink("m1/outside", "m3"),
        ],
        &[
            OpenDir("m1"),
            OpenDir("m3"),
            Open("m3/secret.txt"),
            Create("m3/new"),
        ],
    ),
    (
        "make links outside",
        &[],
        &[
            Symlink("x", "../new"),
            Symlink("x", "reldir/new"),
            Symlink("x", "absdir/new"),
            Symlink("x", "dangling/new"),
        ],
    ),
    (
        "move a link so that it leads out",
        &[
            Symlink("../file.txt", "dir/l"),
            Symlink("..", "dir/d"),
            Rename("dir/l", "l"),
            Rename("dir/d", "d"),
        ],
        &[
            Open("l"),
            OpenDir("d"),
            Open("d/outside/secret.txt"),
            Create("d/new"),
            Create("l"),
        ],
    ),
    (
        "move a folder whose links then lead out",
        &[
            Mkdir("a"),
            Mkdir("a/b"),
            Symlink("../../file.txt", "a/b/l"),
            Symlink("../..", "a/b/d"),
            Rename("a/b", "b"),
        ],
        &[
            Open("b/l"),
            OpenDir("b/d"),
            Open("b/d/outside/secret.txt"),
            Create("b/d/new"),
        ],
    ),
    (
        "dot-dot from an open folder",
        &[Hold("dir/sub")],
        &[
            OpenHeld(".."),
            OpenHeld("../../../outside/secret.txt"),
            StatHeld("../.."),
            CreateHeld("../x"),
            UnlinkHeld("../../file.txt"),
            MkdirHeld("../x"),
        ],
    ),
    (
        "dot-dot from a folder moved while open",
        &[
            Mkdir("p"),
            Mkdir("p/q"),
            Mkdir("p/q/r"),
            Hold("p/q/r"),
            Rename("p/q/r", "r"),
        ],
        &[
            OpenHeld(".."),
            OpenHeld("../.."),
            OpenHeld("../../outside/secret.txt"),
            CreateHeld("../../new"),
            StatHeld("../../outside"),
        ],
    ),
    (
        "from a folder removed while open",
        &[Mkdir("gone"), Hold("gone"), Rmdir("gone")],
        &[
            OpenHeld("../outside/secret.txt"),
            CreateHeld("../outside/x"),
            OpenHeld(".."),
        ],
    ),
    (
        "rename out of an open folder",
        &[Hold("dir")],
        &[
            RenameHeld("../../outside/secret.txt", "mine"),
            RenameHeld("inner.txt", "../stolen"),
            RenameHeld("up2/outside/secret.txt", "mine"),
        ],
    ),
    (
        "links seen from an open folder",
        &[Hold("dir")],
        &[
            OpenHeld("up"),
            OpenHeld("up/file.txt"),
            OpenHeld("up2"),
            CreateHeld("up/new"),
            UnlinkHeld("up/file.txt"),
        ],
    ),
    (
        "between folders",
        &[],
        &[
            RenameToOther("../outside/secret.txt", "mine"),
            RenameToOther("reldir/secret.txt", "mine"),
            RenameToOther("file.txt", "../stolen"),
            RenameToOther("file.txt", "reldir/stolen"),
        ],
    ),
    (
        "between folders by links",
        &[],
        &[
            LinkToOther("../outside/secret.txt", "mine"),
            LinkToOther("absdir/secret.txt", "mine"),
            LinkToOther("file.txt", "../stolen"),
        ],
    ),
    (
        "into the neighbour by name",
        &[],
        &[
            Open("../rw/file.txt"),
            Open("../ro/file.txt"),
            Create("../rw/new"),
            Unlink("../rw/file.txt"),
        ],
    ),
    (
        "times of what a link points to",
        &[],
        &[
            SetTimes("abs"),
            SetTimes("rel"),
            SetTimes("reldir"),
            SetTimes("absdir/secret.txt"),
            SetTimes("../outside/secret.txt"),
            SetTimes(".."),
            SetTimes("chain1"),
        ],
    ),
    (
        "read links outside",
        &[],
        &[
            Readlink("../outside/link"),
            Readlink("reldir/link"),
            Readlink("absdir/link"),
            Readlink("/proc/self/exe"),
        ],
    ),
    (
        "learn the host's paths",
        &[],
        &[Readlink("abs"), Readlink("absdir"), Readlink("proc")],
    ),
    (
        "magic links of processes",
        &[],
        &[
            OpenDir("proc"),
            Open("proc/etc/passwd"),
            OpenDir("/proc/self/root"),
            Open("procfd/0"),
            OpenDir("procfd"),
            OpenDir("proccwd"),
        ],
    ),
    (
        "magic links made here",
        &[
            Symlink("../../../../../../../proc/self/root", "mp"),
            Symlink("../../../../../../../proc/self/cwd", "mc"),
        ],
        &[OpenDir("mp"), Open("mp/etc/passwd"), OpenDir("mc")],
    ),
    (
        "NUL in a path",
        &[],
        &[
            Open("file.txt\0"),
            Open("..\0/outside/secret.txt"),
            Open("\0"),
            Create("new\0"),
            Mkdir("new\0x"),
            Symlink("x\0", "new"),
            Rename("file.txt", "new\0"),
            Stat("file.txt\0/.."),
        ],
    ),
    (
        "empty path",
        &[],
        &[
            Open(""),
            OpenDir(""),
            Stat(""),
            Create(""),
            Mkdir(""),
            Unlink(""),
            Symlink("", "new"),
            Rename("", "x"),
            Rename("file.txt", ""),
        ],
    ),
    (
        "backslashes",
        &[],
        &[
            Open("..\\outside\\secret.txt"),
            Open("dir\\..\\..\\outside\\secret.txt"),
            Open("C:\\"),
            Open("\\\\?\\C:\\"),
        ],
    ),
    (
        "names like dot-dot",
        &[],
        &[
            Open("..."),
            Open(".. "),
            Open(". ."),
            Open("..;"),
            Open("%2e%2e/outside/secret.txt"),
            Open("\u{ff0e}\u{ff0e}/outside/secret.txt"),
        ],
    ),
    (
        "home and variables",
        &[],
        &[
            Open("~"),
            Open("~/x"),
            Open("~root"),
            Open("$HOME"),
            Open("file:///etc/passwd"),
        ],
    ),
    (
        "folder where a file is",
        &[],
        &[
            OpenDir("file.txt"),
            Open("file.txt/"),
            Open("file.txt/."),
            Create("newfile/"),
            OpenDir("rel"),
        ],
    ),
    (
        "device names",
        &[],
        &[
            Open("dev/null"),
            Open("CON"),
            Open("NUL"),
            Open("/dev/null"),
        ],
    ),
];

/// What stands in both folders before each attempt.
fn fill(folder: &Path, outside: &Path) {
    fs::create_dir_all(folder.join("dir/sub")).unwrap();
    fs::write(folder.join("file.txt"), "inside").unwrap();
    fs::write(folder.join("dir/inner.txt"), "inner").unwrap();
    let link = |target: &str, name: &str| symlink(target, folder.join(name)).unwrap();
    let outside = outside.to_str().unwrap();
    link(&format!("{outside}/secret.txt"), "abs");
    link(outside, "absdir");
    link("../outside/secret.txt", "rel");
    link("../outside", "reldir");
    link("chain2", "chain1");
    link("dir/../chain3", "chain2");
    link("rel", "chain3");
    link("chaindir2", "chaindir1");
    link("./dir/../reldir", "chaindir2");
    link("loop2", "loop1");
    link("loop1", "loop2");
    link("../outside/created", "dangling");
    link(&format!("{outside}/created"), "danglingabs");
    link("..", "dir/up");
    link("../..", "dir/up2");
    link(".", "self");
    link("/proc/self/root", "proc");
    link("/proc/self/fd", "procfd");
    link("/proc/self/cwd", "proccwd");
}

/// All that can be seen of a folder, times of reading excepted.
fn picture(path: &Path) -> String {
    fn add(path: &Path, picture: &mut String) {
        let metadata = fs::symlink_metadata(path).unwrap();
        writeln!(
            picture,
            "{} {} {:o} {} {} {}.{}",
            path.display(),
            metadata.ino(),
            metadata.mode(),
            metadata.nlink(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        )
        .unwrap();
        if metadata.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            entries.sort();
            for entry in entries {
                add(&entry, picture);
            }
        } else if metadata.is_symlink() {
            writeln!(picture, "-> {}", fs::read_link(path).unwrap().display()).unwrap();
        } else {
            writeln!(picture, "{:?}", fs::read(path).unwrap()).unwrap();
        }
    }
    let mut picture = String::new();
    add(path, &mut picture);
    picture
}

struct World {
    root: TempDir,
}

impl World {
    fn new() -> World {
        let root = TempDir::new();
        let outside = root.path().join("outside");
        fs::create_dir_all(outside.join("empty")).unwrap();
        fs::write(outside.join("secret.txt"), "secret").unwrap();
        symlink("secret.txt", outside.join("link")).unwrap();
        for folder in ["rw", "ro"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fill(&root.path().join(folder), &outside);
        }
        World { root }
    }

    /// A guest with the folder to try in as 3 and the other as 4.
    fn guest(&self, tried: &str, access: Access) -> Guest {
        let other = if tried == "rw" { "ro" } else { "rw" };
        let other_access = match access {
            Access::ReadOnly => Access::ReadWrite,
            Access::ReadWrite => Access::ReadOnly,
        };
        let mut ctx = WasiCtx::builder();
        ctx.preopened_dir(self.root.path().join(tried), "/tried", access)
            .unwrap();
        ctx.preopened_dir(self.root.path().join(other), "/other", other_access)
            .unwrap();
        Guest::new(&mut ctx)
    }

    fn picture(&self, name: &str) -> String {
        picture(&self.root.path().join(name))
    }

    /// The names beside the folders.
    fn neighbours(&self) -> BTreeSet<String> {
        fs::read_dir(self.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// Does one thing; gives its error, 0 if it worked.
fn run(guest: &mut Guest, held: &mut i64, op: Op) -> i32 {
    const BASE: i64 = 3;
    const OTHER: i64 = 4;
    let both = READ | WRITE;
    let code = |result: Result<i64, i32>| result.err().unwrap_or(0);
    let mut open = |fd, path: &str, dirflags, oflags, rights| {
        code(guest.try_open(fd, path.as_bytes(), dirflags, oflags, rights, 0))
    };
    match op {
        Open(path) => open(BASE, path, FOLLOW, 0, READ),
        OpenNoFollow(path) => open(BASE, path, 0, 0, READ),
        OpenWrite(path) => open(BASE, path, FOLLOW, 0, both),
        Create(path) => open(BASE, path, FOLLOW, CREAT, both),
        CreateNew(path) => open(BASE, path, FOLLOW, CREAT | EXCL, both),
        Truncate(path) => open(BASE, path, FOLLOW, TRUNC, both),
        OpenDir(path) => open(BASE, path, FOLLOW, DIRECTORY, READ),
        Hold(path) => match guest.try_open(BASE, path.as_bytes(), FOLLOW, DIRECTORY, READ, 0) {
            Ok(fd) => {
                *held = fd;
                0
            }
            Err(errno) => errno,
        },
        Stat(path) => guest.stat(BASE, FOLLOW, path).err().unwrap_or(0),
        StatNoFollow(path) => guest.stat(BASE, 0, path).err().unwrap_or(0),
        SetTimes(path) => guest.set_times(BASE, FOLLOW, path, 1_000_000_000, 5),
        Mkdir(path) => guest.on_path("path_create_directory", BASE, path),
        Rmdir(path) => guest.on_path("path_remove_directory", BASE, path),
        Unlink(path) => guest.on_path("path_unlink_file", BASE, path),
        Rename(old, new) => guest.rename(BASE, old, BASE, new),
        Link(old, new) => guest.link(BASE, 0, old, BASE, new),
        LinkFollow(old, new) => guest.link(BASE, FOLLOW, old, BASE, new),
        Symlink(target, path) => guest.symlink(target, BASE, path),
        Readlink(path) => guest.readlink(BASE, path, 4096).err().unwrap_or(0),
        RenameToOther(old, new) => guest.rename(BASE, old, OTHER, new),
        LinkToOther(old, new) => guest.link(BASE, 0, old, OTHER, new),
        RenameHeld(old, new) => guest.rename(*held, old, BASE, new),
        OpenHeld(path) => open(*held, path, FOLLOW, 0, READ),
        CreateHeld(path) => open(*held, path, FOLLOW, CREAT, both),
        StatHeld(path) => guest.stat(*held, FOLLOW, path).err().unwrap_or(0),
        UnlinkHeld(path) => guest.on_path("path_unlink_file", *held, path),
        MkdirHeld(path) => guest.on_path("path_create_directory", *held, path),
    }
}

fn every_attempt_fails(tried: &str, access: Access) {
    assert!(ATTEMPTS.len() >= 40);
    for (name, first, then) in ATTEMPTS {
        let world = World::new();
        let outside = world.picture("outside");
        let read_only = world.picture("ro");
        let mut guest = world.guest(tried, access);
        let mut held = -1;
        for op in *first {
            run(&mut guest, &mut held, *op);
        }
        for op in *then {
            let errno = run(&mut guest, &mut held, *op);
            assert_ne!(errno, 0, "{name}, {access:?}: {op:?} worked");
        }
        drop(guest);
        assert_eq!(outside, world.picture("outside"), "{name}, {access:?}");
        assert_eq!(read_only, world.picture("ro"), "{name}, {access:?}");
        assert_eq!(
            world.neighbours(),
            ["outside", "ro", "rw"].map(String::from).into(),
            "{name}, {access:?}"
        );
    }
}

#[test]
fn escapes_from_a_writable_folder_fail() {
    every_attempt_fails("rw", Access::ReadWrite);
}

#[test]
fn escapes_from_a_read_only_folder_fail() {
    every_attempt_fails("ro", Access::ReadOnly);
}

#[test]
fn paths_that_stay_inside_work() {
    let world = World::new();
    let mut guest = world.guest("rw", Access::ReadWrite);
    for path in [
        "file.txt",
        "./file.txt",
        "dir/../file.txt",
        "dir/sub/../../file.txt",
        "dir/up/file.txt",
        "self/self/dir/up/self/file.txt",
        ".//dir//.//..//file.txt",
    ] {
        let fd = guest.open(3, path, 0, READ, 0);
        assert_eq!(guest.read_fd(fd, 100).unwrap(), b"inside", "{path}");
    }
    for path in [".", "./", "dir/", "dir/.", "dir/up", "dir/up/", "dir/.."] {
        guest.open(3, path, DIRECTORY, READ, 0);
    }
}

/// The errors that guests are told most often are the ones they expect.
#[test]
fn escapes_are_told_as_not_permitted() {
    let world = World::new();
    let mut guest = world.guest("rw", Access::ReadWrite);
    for path in [
        "..",
        "/etc/passwd",
        "reldir/secret.txt",
        "abs",
        "dir/../../x",
    ] {
        assert_eq!(
            guest.try_open(3, path.as_bytes(), FOLLOW, 0, READ, 0),
            Err(errno::PERM),
            "{path}"
        );
    }
    assert_eq!(
        guest.try_open(3, b"loop1", FOLLOW, 0, READ, 0),
        Err(errno::LOOP)
    );
    assert_eq!(guest.try_open(3, b"abs", 0, 0, READ, 0), Err(errno::LOOP));
    assert_eq!(
        guest.try_open(3, b"file.txt/", 0, 0, READ, 0),
        Err(errno::NOTDIR)
    );
    assert_eq!(guest.try_open(3, b"\xff", 0, 0, READ, 0), Err(errno::ILSEQ));
    let long = vec![b'a'; 5000];
    assert_eq!(
        guest.try_open(3, &long, 0, 0, READ, 0),
        Err(errno::NAMETOOLONG)
    );
    assert_eq!(
        guest.try_open(3, &long[..300], 0, 0, READ, 0),
        Err(errno::NAMETOOLONG)
    );
}

/// The process's own folder of magic links, given to a guest.
#[cfg(target_os = "linux")]
#[test]
fn magic_links_lead_nowhere() {
    let mut ctx = WasiCtx::builder();
    ctx.preopened_dir("/proc", "/", Access::ReadWrite).unwrap();
    let mut guest = Guest::new(&mut ctx);
    let pid = std::process::id();
    for path in [
        "self/root/etc/passwd".to_owned(),
        format!("{pid}/root"),
        format!("{pid}/root/etc/passwd"),
        format!("{pid}/cwd"),
        format!("{pid}/exe"),
        format!("{pid}/fd/3/../../../etc/passwd"),
    ] {
        assert!(
            guest
                .try_open(3, path.as_bytes(), FOLLOW, 0, READ, 0)
                .is_err(),
            "{path}"
        );
    }
    guest.open(3, &format!("{pid}/status"), 0, READ, 0);
}

/// Everything that changes something fails in a folder for reading, also between
/// it and one for writing.
#[test]
fn read_only_folders_cannot_be_changed() {
    let world = World::new();
    let before = world.picture("ro");
    let mut guest = world.guest("ro", Access::ReadOnly);
    let both = READ | WRITE;
    let rofs = Some(errno::ROFS);
    let mut open = |path: &str, oflags, rights| {
        guest
            .try_open(3, path.as_bytes(), FOLLOW, oflags, rights, 0)
            .err()
    };
    assert_eq!(open("file.txt", 0, both), rofs);
    assert_eq!(open("file.txt", 0, WRITE), rofs);
    assert_eq!(open("file.txt", TRUNC, READ), rofs);
    assert_eq!(open("file.txt", TRUNC, both), rofs);
    assert_eq!(open("file.txt", CREAT, READ), rofs);
    assert_eq!(open("new", CREAT, READ), rofs);
    assert_eq!(open("new", CREAT | EXCL, both), rofs);
    assert_eq!(open("dir/up/file.txt", 0, WRITE), rofs);
    let rofs = errno::ROFS;
    assert_eq!(guest.on_path("path_create_directory", 3, "new"), rofs);
    assert_eq!(guest.on_path("path_remove_directory", 3, "dir/sub"), rofs);
    assert_eq!(guest.on_path("path_unlink_file", 3, "file.txt"), rofs);
    assert_eq!(guest.symlink("file.txt", 3, "new"), rofs);
    assert_eq!(guest.rename(3, "file.txt", 3, "new"), rofs);
    assert_eq!(guest.rename(3, "file.txt", 4, "new"), rofs);
    assert_eq!(guest.rename(4, "file.txt", 3, "new"), rofs);
    assert_eq!(guest.link(3, 0, "file.txt", 3, "new"), rofs);
    assert_eq!(guest.link(3, 0, "file.txt", 4, "new"), rofs);
    assert_eq!(guest.link(4, 0, "file.txt", 3, "new"), rofs);
    for which in [1, 2, 4, 8, 5, 10] {
        assert_eq!(guest.set_times(3, FOLLOW, "file.txt", 5, which), rofs);
        assert_eq!(guest.set_times(3, 0, "rel", 5, which), rofs);
    }
    assert_eq!(guest.call("fd_filestat_set_times", &[3, 5, 5, 5]), rofs);

    // What was opened through it can be read and not changed.
    let dir = guest.open(3, "dir", DIRECTORY, both, 0);
    assert_eq!(guest.on_path("path_unlink_file", dir, "inner.txt"), rofs);
    assert_eq!(guest.try_open(dir, b"inner.txt", 0, 0, WRITE, 0), Err(rofs));
    let file = guest.open(3, "file.txt", 0, READ, 0);
    assert_eq!(guest.read_fd(file, 10).unwrap(), b"inside");
    assert_eq!(guest.write_fd(file, b"x"), Err(errno::BADF));
    let (list, count) = guest.iovecs(&[(DATA, 4)]);
    assert_eq!(
        guest.call("fd_pwrite", &[file, list, count, 0, OUT.into()]),
        errno::BADF
    );
    assert_eq!(guest.call("fd_filestat_set_size", &[file, 0]), rofs);
    assert_eq!(guest.call("fd_allocate", &[file, 0, 100]), rofs);
    assert_eq!(guest.call("fd_filestat_set_times", &[file, 5, 5, 5]), rofs);
    guest.ok("fd_fdstat_set_flags", &[file, APPEND]);
    assert_eq!(guest.write_fd(file, b"x"), Err(errno::BADF));
    drop(guest);
    assert_eq!(before, world.picture("ro"));
}

/// Random paths and operations: nothing outside changes, and nothing that was
/// opened lies outside.
#[test]
fn random_path_programs_stay_inside() {
    let world = World::new();
    let outside = world.picture("outside");
    let outside_inodes: BTreeSet<u64> = ["outside", "outside/secret.txt", "outside/empty", "."]
        .iter()
        .map(|name| fs::metadata(world.root.path().join(name)).unwrap().ino())
        .collect();
    let mut guest = world.guest("rw", Access::ReadWrite);
    let parts = [
        "..",
        "..",
        ".",
        "",
        "dir",
        "sub",
        "up",
        "up2",
        "self",
        "rel",
        "reldir",
        "abs",
        "absdir",
        "file.txt",
        "secret.txt",
        "outside",
        "empty",
        "chain1",
        "chaindir1",
        "dangling",
        "a",
        "b",
        "proc",
        "rw",
        "loop1",
    ];
    let mut rng = Rng::new(0x7e9u64);
    let mut directories = vec![3_i64];
    let mut opened = 0;
    for _ in 0..20_000 {
        let path = |rng: &mut Rng| {
            let count = 1 + rng.below(5);
            let mut path = if rng.below(30) == 0 { "/" } else { "" }.to_owned();
            for index in 0..count {
                if index > 0 {
                    path.push('/');
                }
                path.push_str(rng.pick::<&str>(&parts));
            }
            path
        };
        let (one, two) = (path(&mut rng), path(&mut rng));
        let fd = *rng.pick(&directories);
        let fd2 = *rng.pick(&directories);
        let follow = (rng.next() & 1) as i64;
        match rng.below(12) {
            0..4 => {
                let oflags = (rng.next() & 15) as i64;
                let rights = *rng.pick(&[READ, WRITE, READ | WRITE]);
                if let Ok(new) = guest.try_open(fd, one.as_bytes(), follow, oflags, rights, 0) {
                    opened += 1;
                    let stat = guest.fstat(new).unwrap();
                    assert!(!outside_inodes.contains(&stat.ino), "{one} from {fd}");
                    if stat.filetype == 3 && directories.len() < 20 {
                        directories.push(new);
                    } else {
                        guest.ok("fd_close", &[new]);
                    }
                }
            }
            4 => drop(guest.on_path("path_create_directory", fd, &one)),
            5 => drop(guest.on_path("path_remove_directory", fd, &one)),
            6 => drop(guest.on_path("path_unlink_file", fd, &one)),
            7 => drop(guest.rename(fd, &one, fd2, &two)),
            8 => drop(guest.link(fd, 0, &one, fd2, &two)),
            9 => drop(guest.symlink(&one, fd, &two)),
            10 => drop(guest.set_times(fd, follow, &one, 77, 5)),
            _ => {
                if let Ok(stat) = guest.stat(fd, follow, &one) {
                    assert!(!outside_inodes.contains(&stat.ino), "{one} from {fd}");
                }
            }
        }
    }
    assert!(opened > 100, "{opened}");
    drop(guest);
    assert_eq!(outside, world.picture("outside"));
    assert_eq!(
        world.neighbours(),
        ["outside", "ro", "rw"].map(String::from).into()
    );
}

/// While the host keeps changing a folder into a link outward and back, a guest
/// that goes through it never arrives outside.
#[test]
fn races_between_check_and_use_are_lost() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    let rw = world.root.path().join("rw");
    fs::create_dir(rw.join("real")).unwrap();
    fs::write(rw.join("real/secret.txt"), "harmless").unwrap();
    let outside = world.picture("outside");
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = symlink("../outside", rw.join("x"));
                std::hint::spin_loop();
                let _ = fs::remove_file(rw.join("x"));
                let _ = fs::rename(rw.join("real"), rw.join("x"));
                std::hint::spin_loop();
                let _ = fs::rename(rw.join("x"), rw.join("real"));
            }
        }
    });
    let mut guest = world.guest("rw", Access::ReadWrite);
    let mut arrived = 0;
    for round in 0..20_000 {
        if let Ok(fd) = guest.try_open(3, b"x/secret.txt", FOLLOW, 0, READ, 0) {
            arrived += 1;
            assert_eq!(guest.read_fd(fd, 100).unwrap(), b"harmless");
            guest.ok("fd_close", &[fd]);
        }
        match round % 4 {
            0 => drop(
                guest
                    .try_open(3, b"x/new", FOLLOW, CREAT, WRITE, 0)
                    .map(|fd| guest.ok("fd_close", &[fd])),
            ),
            1 => drop(guest.on_path("path_create_directory", 3, "x/newdir")),
            2 => drop(guest.set_times(3, FOLLOW, "x/secret.txt", 5, 5)),
            _ => drop(guest.on_path("path_unlink_file", 3, "x/new")),
        }
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert!(arrived > 0, "the race was never run");
    drop(guest);
    assert_eq!(outside, world.picture("outside"));
}
