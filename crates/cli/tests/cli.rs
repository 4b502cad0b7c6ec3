//! Does the command do what its help says? Each option, exit code and error, as
//! a user meets them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

mod common;
use common::tepui;

const TRAP: i32 = 134;

/// A directory of files that goes when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the directory of the test");
        Dir(path)
    }

    fn with(files: &[(&str, &str)]) -> Dir {
        let dir = Dir::new();
        for (name, text) in files {
            dir.write(name, text.as_bytes());
        }
        dir
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(path, bytes).expect("written");
    }

    /// Runs `tepui` in this directory.
    fn tepui(&self, args: &[&str]) -> Ended {
        self.tepui_with_stdin(args, b"")
    }

    fn tepui_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Ended {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        // A guest that does not read closes the pipe early, which is fine.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin);
        let output = child.wait_with_output().expect("the command ends");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tepui();
        command
            .args(args)
            .current_dir(&self.0)
            .env("XDG_DATA_HOME", self.0.join("data"));
        command
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    bytes: Vec<u8>,
}

impl Ended {
    /// Ended with `code`, and said every one of `words` on stderr.
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) -> &Ended {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is not in:\n{}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Ended with code 0, `stdout` on stdout and nothing on stderr.
    #[track_caller]
    fn prints(&self, stdout: &str) {
        assert_eq!(self.stderr, "");
        assert_eq!(self.stdout, stdout);
        assert_eq!(self.code, Some(0));
    }
}

/// Runs `tepui` on `guest.wat` with this text; `args` name the file.
fn guest(text: &str, args: &[&str]) -> Ended {
    Dir::with(&[("guest.wat", text)]).tepui(args)
}

const MATH: &str = r#"(module
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1)))
  (func (export "swap") (param i64 f64) (result f64 i64)
    (local.get 1) (local.get 0))
  (func (export "single") (param f32) (result f32) (local.get 0))
  (func (export "vector") (param v128) (result v128) (local.get 0))
  (func (export "null") (param externref) (result externref) (local.get 0))
  (func (export "nothing"))
  (func $inner (param i32) (drop (i32.div_u (i32.const 1) (local.get 0))))
  (func $outer (export "div0") (call $inner (i32.const 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "forever") (loop (br 0)))
  (func $count (export "depth") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $count (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0)))))"#;

/// A command that ends with the code `CODE`.
fn exits_with(code: u32) -> String {
    format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (memory (export "memory") 1)
             (func (export "_start") (call $exit (i32.const {code}))))"#
    )
}

/// A command that writes its arguments and then its environment on stdout, each
/// ended by NUL as WASI has them.
const SHOW_ARGS_AND_ENV: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $show (param $size i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then unreachable)))
  (func (export "_start")
    (drop (call $args_sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 1024) (i32.const 4096)))
    (call $show (i32.load (i32.const 20)))
    (drop (call $env_sizes (i32.const 16) (i32.const 20)))
    (drop (call $env (i32.const 1024) (i32.const 4096)))
    (call $show (i32.load (i32.const 20)))))"#;

/// A command that writes "hello\n" on stdout.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 6))
    (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then unreachable))))"#;

/// A command that opens the file `f` in its first directory, creating it, and
/// exits with the error number. Rights ask for reading and writing.
const CREATE_FILE: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "f")
  (func (export "_start")
    (call $exit
      (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1)
        (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 32)))))"#;

/// A command that exits with the first byte of the name of descriptor 3.
const FIRST_DIR_NAME: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $name (i32.const 3) (i32.const 16) (i32.const 100)) (then (call $exit (i32.const 1))))
    (call $exit (i32.load8_u (i32.const 16)))))"#;

/// A command that reads stdin once, for ever if nothing comes.
const READ_STDIN: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 100))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[test]
fn help_and_version() {
    let dir = Dir::new();
    let help = dir.tepui(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "run",
        "compile",
        "validate",
        "wast",
        "settings",
        "completion",
        "134",
    ] {
        assert!(help.stdout.contains(word), "{word}");
    }
    for command in [
        "run",
        "compile",
        "validate",
        "wast",
        "settings",
        "completion",
    ] {
        for args in [&[command, "--help"][..], &["help", command]] {
            let help = dir.tepui(args);
            assert_eq!(help.code, Some(0), "{args:?}");
            assert!(help.stdout.contains("Usage"), "{args:?}");
        }
    }
    let run = dir.tepui(&["run", "--help"]);
    for option in [
        "--dir",
        "--env",
        "--argv0",
        "--invoke",
        "--preload",
        "--fuel",
        "--timeout",
        "--max-memory",
        "--max-stack",
        "--tier",
        "--enable",
        "--disable",
    ] {
        assert!(run.stdout.contains(option), "{option}");
    }
    dir.tepui(&["--version"])
        .prints(concat!("tepui ", env!("CARGO_PKG_VERSION"), "\n"));
    dir.tepui(&[]).fails(2, &["Usage"]);
    dir.tepui(&["run"]).fails(2, &["FILE"]);
    dir.tepui(&["run", "--no-such-option", "x"])
        .fails(2, &["--no-such-option"]);
}

#[test]
fn invoke_reads_arguments_and_prints_results() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    let invoke = |args: &[&str]| dir.tepui(&[&["run", "--invoke"], args].concat());
    invoke(&["add", "math.wat", "3", "4"]).prints("7\n");
    invoke(&["add", "math.wat", "-3", "0xffffffff"]).prints("-4\n");
    invoke(&["swap", "math.wat", "-9223372036854775808", "1.5"])
        .prints("1.5\n-9223372036854775808\n");
    invoke(&["single", "math.wat", "0.1"]).prints("0.1\n");
    invoke(&["single", "math.wat", "-inf"]).prints("-inf\n");
    invoke(&["vector", "math.wat", "0x10"]).prints("0x00000000000000000000000000000010\n");
    invoke(&["null", "math.wat", "null"]).prints("null\n");
    invoke(&["nothing", "math.wat"]).prints("");

    invoke(&["add", "math.wat", "3"]).fails(2, &["1 arguments", "(i32, i32) -> (i32)"]);
    invoke(&["add", "math.wat", "3", "x"]).fails(2, &["argument 2", "`x`", "i32"]);
    invoke(&["add", "math.wat", "3", "4294967296"]).fails(2, &["out of range"]);
    invoke(&["sub", "math.wat"]).fails(1, &["\"sub\"", "add", "swap"]);
}

#[test]
fn run_is_the_default_command() {
    let dir = Dir::with(&[("math.wat", MATH), ("wast.wat", HELLO)]);
    dir.tepui(&["--invoke", "add", "math.wat", "3", "4"])
        .prints("7\n");
    dir.tepui(&["wast.wat"]).prints("hello\n");
}

#[test]
#[cfg_attr(windows, ignore = "keys for images are not kept there")]
fn content_decides_what_a_file_is() {
    let dir = Dir::with(&[("text.wasm", MATH)]);
    let add = |file: &str| dir.tepui(&["run", "--invoke", "add", file, "3", "4"]);
    add("text.wasm").prints("7\n");
    dir.tepui(&["compile", "text.wasm", "-o", "image.txt"])
        .prints("");
    add("image.txt").prints("7\n");
    dir.write("binary.wat", b"\0asm\x01\0\0\0");
    dir.tepui(&["run", "binary.wat"]).prints("");
}

#[test]
#[cfg_attr(windows, ignore = "keys for images are not kept there")]
fn modules_come_from_stdin() {
    let dir = Dir::new();
    let add =
        |stdin: &[u8]| dir.tepui_with_stdin(&["run", "--invoke", "add", "-", "3", "4"], stdin);
    add(MATH.as_bytes()).prints("7\n");
    add(b"(module").fails(1, &["<stdin>"]);
    add(b"").fails(1, &["<stdin>", "empty"]);
    dir.write("math.wat", MATH.as_bytes());
    let image = dir.tepui(&["compile", "math.wat", "-o", "-"]);
    assert_eq!(image.code, Some(0), "{}", image.stderr);
    add(&image.bytes).prints("7\n");
}

#[test]
fn files_that_cannot_be_loaded() {
    let dir = Dir::with(&[
        ("empty.wasm", ""),
        (
            "broken.wat",
            "(module\n  (func (result i32) (i32.cosnt 1)))",
        ),
        (
            "invalid.wat",
            "(module (func $answer (result i32) (i64.const 1)))",
        ),
    ]);
    dir.write("junk", b"\x7fELF\xff\xfe\0\0junk");
    dir.write("component.wasm", b"\0asm\x0d\0\x01\0");
    dir.write("truncated.wasm", b"\0asm\x01\0\0\0\x01\x7f");
    let load = |file: &str| dir.tepui(&["run", file]);
    load("none.wasm").fails(1, &["error:", "none.wasm"]);
    load(".").fails(1, &["error:"]);
    load("empty.wasm").fails(1, &["empty.wasm", "empty"]);
    load("broken.wat").fails(1, &["broken.wat:2", "i32.cosnt"]);
    load("invalid.wat").fails(1, &["invalid.wat", "type mismatch", "offset"]);
    load("junk").fails(1, &["junk", "neither"]);
    #[cfg(unix)]
    load("/dev/zero").fails(1, &["/dev/zero", "neither"]);
    load("component.wasm").fails(1, &["component.wasm", "component"]);
    load("truncated.wasm").fails(1, &["truncated.wasm", "offset"]);
}

#[test]
fn exit_codes_are_the_guests_own() {
    for (guest_code, code) in [
        (0, 0),
        (1, 1),
        (3, 3),
        (134, 134),
        (255, 255),
        (256, 1),
        (257, 1),
    ] {
        let ended = guest(&exits_with(guest_code), &["run", "guest.wat"]);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert_eq!(ended.stderr, "");
    }
    // A start function can end the guest as well.
    let start = exits_with(7).replace("(func (export \"_start\")", "(start $s) (func $s");
    guest(&start, &["run", "guest.wat"]).fails(7, &[]);
}

#[test]
fn traps_end_with_134_and_a_backtrace() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    let ended = dir.tepui(&["run", "--invoke", "div0", "math.wat"]);
    ended.fails(
        TRAP,
        &[
            "math.wat",
            "integer divide by zero",
            "backtrace",
            "inner",
            "outer",
        ],
    );
    assert_eq!(ended.stdout, "");
    let at = |name: &str| ended.stderr.find(name).expect("it is there");
    assert!(at("inner") < at("outer"), "innermost first");
    dir.tepui(&["run", "--invoke", "deep", "math.wat"])
        .fails(TRAP, &["call stack exhausted", "deep"]);
    guest(
        "(module (func $s unreachable) (start $s))",
        &["run", "guest.wat"],
    )
    .fails(TRAP, &["unreachable", "backtrace"]);
}

#[test]
fn arguments_and_environment() {
    let dir = Dir::with(&[("show.wat", SHOW_ARGS_AND_ENV)]);
    dir.tepui(&["run", "show.wat", "a", "--dir", "b c", "-x"])
        .prints("show.wat\0a\0--dir\0b c\0-x\0");
    dir.tepui(&["run", "./show.wat"]).prints("show.wat\0");
    dir.tepui(&["run", "--argv0", "name", "show.wat", "a"])
        .prints("name\0a\0");
    dir.tepui(&["show.wat", "--help"])
        .prints("show.wat\0--help\0");

    let env = |args: &[&str]| {
        let output = dir
            .command(&[&["run"], args, &["show.wat"]].concat())
            .env("TEPUI_TEST", "from the host")
            .env_remove("TEPUI_NONE")
            .output()
            .expect("the command runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(env(&[]), "show.wat\0");
    assert_eq!(env(&["--env", "A=1", "--env", "B="]), "show.wat\0A=1\0B=\0");
    assert_eq!(env(&["--env", "A=b=c"]), "show.wat\0A=b=c\0");
    assert_eq!(
        env(&["--env", "TEPUI_TEST"]),
        "show.wat\0TEPUI_TEST=from the host\0"
    );
    assert_eq!(env(&["--env", "TEPUI_NONE"]), "show.wat\0");
    dir.tepui(&["run", "--env", "=1", "show.wat"])
        .fails(2, &["--env"]);
}

#[test]
fn directories() {
    let dir = Dir::with(&[("create.wat", CREATE_FILE), ("name.wat", FIRST_DIR_NAME)]);
    // The numbers of the errors success, rofs and badf.
    let (created, rofs, badf) = (0, 69, 8);
    let run = |args: &[&str]| {
        let _ = fs::remove_file(dir.0.join("data/f"));
        fs::create_dir_all(dir.0.join("data")).expect("created");
        let ended = dir.tepui(&[&["run"], args, &["create.wat"]].concat());
        (ended.code, dir.0.join("data/f").exists())
    };
    assert_eq!(run(&[]), (Some(badf), false), "nothing is given");
    assert_eq!(run(&["--dir", "data"]), (Some(created), true));
    assert_eq!(run(&["--dir", "data::/guest"]), (Some(created), true));
    let (code, exists) = run(&["--dir", "data::/guest::ro"]);
    assert!(!exists);
    assert_eq!(code, Some(rofs));

    let name = |arg: &str| dir.tepui(&["run", "--dir", arg, "name.wat"]).code;
    assert_eq!(name("data"), Some(i32::from(b'd')));
    assert_eq!(name("data::/x"), Some(i32::from(b'/')));
    dir.tepui(&["run", "--dir", "missing", "name.wat"])
        .fails(1, &["--dir", "missing"]);
    dir.tepui(&["run", "--dir", "create.wat", "name.wat"])
        .fails(1, &["--dir", "create.wat"]);
    dir.tepui(&["run", "--dir", "a::b::rw", "name.wat"])
        .fails(2, &["::ro"]);
}

#[test]
fn preloaded_modules() {
    let dir = Dir::with(&[
        ("math.wat", MATH),
        (
            "main.wat",
            r#"(module
                 (import "math" "add" (func $add (param i32 i32) (result i32)))
                 (func (export "three") (result i32) (call $add (i32.const 1) (i32.const 2))))"#,
        ),
        (
            "reactor.wat",
            r#"(module
                 (global $ready (mut i32) (i32.const 0))
                 (func (export "_initialize") (global.set $ready (i32.const 5)))
                 (func (export "add") (param i32 i32) (result i32) (global.get $ready)))"#,
        ),
        ("wrong.wat", r#"(module (func (export "add")))"#),
    ]);
    let three =
        |preload: &str| dir.tepui(&["run", "--preload", preload, "--invoke", "three", "main.wat"]);
    three("math=math.wat").prints("3\n");
    three("math=reactor.wat").prints("5\n");
    three("math=wrong.wat").fails(1, &["main.wat", "add"]);
    three("math=none.wat").fails(1, &["none.wat"]);
    three("other=math.wat").fails(1, &["math", "add"]);
    three("math.wat").fails(2, &["NAME=FILE"]);
}

#[test]
fn missing_imports_are_listed_together() {
    let ended = guest(
        r#"(module
             (import "env" "one" (func (param i32) (result i64)))
             (import "env" "two" (global i32))
             (import "other" "three" (memory 1))
             (import "wasi_snapshot_preview1" "no_such" (func))
             (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#,
        &["run", "guest.wat"],
    );
    ended.fails(
        1,
        &[
            "guest.wat: 4 imports",
            "\"env\" \"one\": function (i32) -> (i64)",
            "\"env\" \"two\": global",
            "\"other\" \"three\": memory",
            "\"no_such\"",
            "--preload env=FILE",
            "--preload other=FILE",
            "WASI preview 1 has no such function",
        ],
    );
    assert!(!ended.stderr.contains("proc_exit"));
}

#[test]
fn commands_reactors_and_libraries() {
    let reactor = r#"(module
      (global $n (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $n (i32.const 42)))
      (func (export "get") (result i32) (global.get $n)))"#;
    guest(reactor, &["run", "--invoke", "get", "guest.wat"]).prints("42\n");
    let ended = guest(reactor, &["run", "guest.wat"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("note:") && ended.stderr.contains("get"));
    assert!(!ended.stderr.contains("_initialize"));
    let trapping = reactor.replace("(global.set $n (i32.const 42))", "unreachable");
    guest(&trapping, &["run", "--invoke", "get", "guest.wat"]).fails(TRAP, &["unreachable"]);
    guest("(module)", &["run", "guest.wat"]).prints("");
}

#[test]
fn fuel() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    dir.tepui(&["run", "--fuel", "1000", "--invoke", "forever", "math.wat"])
        .fails(TRAP, &["fuel of 1000", "--fuel"]);
    dir.tepui(&[
        "run", "--fuel", "1000", "--invoke", "add", "math.wat", "1", "2",
    ])
    .prints("3\n");
    dir.tepui(&[
        "run",
        "--fuel",
        "18446744073709551615",
        "--invoke",
        "add",
        "math.wat",
        "1",
        "2",
    ])
    .prints("3\n");
    dir.tepui(&["run", "--fuel", "0", "--invoke", "forever", "math.wat"])
        .fails(TRAP, &["fuel"]);
    dir.tepui(&["run", "--fuel", "x", "math.wat"])
        .fails(2, &["--fuel"]);
}

#[test]
fn timeouts() {
    let dir = Dir::with(&[
        ("math.wat", MATH),
        ("start.wat", "(module (func $s (loop (br 0))) (start $s))"),
        ("read.wat", READ_STDIN),
    ]);
    let begin = Instant::now();
    dir.tepui(&[
        "run",
        "--timeout",
        "200ms",
        "--invoke",
        "forever",
        "math.wat",
    ])
    .fails(TRAP, &["math.wat", "200ms", "--timeout"]);
    dir.tepui(&["run", "--timeout", "0s", "--invoke", "forever", "math.wat"])
        .fails(TRAP, &["--timeout"]);
    dir.tepui(&["run", "--timeout", "200ms", "start.wat"])
        .fails(TRAP, &["--timeout"]);
    assert!(begin.elapsed() >= Duration::from_millis(400));
    dir.tepui(&[
        "run",
        "--timeout",
        "1h",
        "--invoke",
        "add",
        "math.wat",
        "1",
        "2",
    ])
    .prints("3\n");
    dir.tepui(&["run", "--timeout", "5", "math.wat"])
        .fails(2, &["unit"]);

    // A guest that waits in a host call is ended too. Its stdin stays open.
    let mut child = dir
        .command(&["run", "--timeout", "200ms", "read.wat"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let stdin = child.stdin.take();
    let status = child.wait().expect("the command ends");
    drop(stdin);
    assert_eq!(status.code(), Some(TRAP));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn memory_limits() {
    let grow = r#"(module
      (memory $a 1) (memory $b 1)
      (func (export "grow") (param i32) (result i32 i32)
        (memory.grow $a (local.get 0)) (memory.grow $b (local.get 0))))"#;
    let run = |limit: &str, pages: &str| {
        guest(
            grow,
            &[
                "run",
                "--max-memory",
                limit,
                "--invoke",
                "grow",
                "guest.wat",
                pages,
            ],
        )
    };
    run("1g", "15").prints("1\n1\n");
    run("1MiB", "7").prints("1\n1\n");
    run("1MiB", "8").prints("1\n-1\n");
    run("1MiB", "15").prints("-1\n-1\n");
    run("128k", "0").prints("1\n1\n");
    run("127k", "0").fails(1, &["guest.wat", "memory"]);
    run("0", "0").fails(1, &["memory"]);
    run("1x", "0").fails(2, &["--max-memory", "MiB"]);
}

#[test]
fn stacks() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    let depth = |stack: &[&str], depth: &str| {
        dir.tepui(&[&["run"], stack, &["--invoke", "depth", "math.wat", depth]].concat())
    };
    depth(&[], "100").prints("100\n");
    depth(&["--max-stack", "64KiB"], "100").prints("100\n");
    depth(&["--max-stack", "64KiB"], "100000").fails(TRAP, &["call stack exhausted"]);
    depth(&["--max-stack", "256MiB"], "1000000").prints("1000000\n");
    depth(&["--max-stack", "1"], "1").fails(2, &["--max-stack", "KiB"]);
}

#[test]
fn tiers() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    let add = |tier: &str| {
        dir.tepui(&[
            "run", "--tier", tier, "--invoke", "add", "math.wat", "1", "2",
        ])
    };
    let settings = dir.tepui(&["settings"]).stdout;
    for tier in ["auto", "interpreter", "baseline", "optimizing"] {
        let line = settings
            .lines()
            .find(|line| line.trim_start().starts_with(tier))
            .expect("every tier is listed");
        if line.contains("not in this build") {
            add(tier).fails(2, &[tier, "it has: ", "optimizing"]);
        } else {
            add(tier).prints("3\n");
        }
    }
    add("fast").fails(2, &["no tier is called `fast`", "optimizing"]);
    assert!(settings.contains("mixed:SEED"));
    for seed in ["0", "7", "18446744073709551615"] {
        add(&format!("mixed:{seed}")).prints("3\n");
    }
    add("mixed").fails(2, &["needs a seed", "mixed:7"]);
    for seed in ["", "x", "-1", "18446744073709551616"] {
        add(&format!("mixed:{seed}")).fails(2, &[&format!("`{seed}` is not a seed"), "0 to"]);
    }
    dir.tepui(&[
        "compile",
        "--tier",
        "mixed:7",
        "math.wat",
        "-o",
        "math.image",
    ])
    .fails(1, &["several tiers", "images"]);
    dir.write(
        "add.wast",
        br#"(module (func $one (result i32) (i32.const 1))
          (func (export "two") (result i32) (i32.add (call $one) (call $one))))
        (assert_return (invoke "two") (i32.const 2))"#,
    );
    for seed in 0..6 {
        let ended = dir.tepui(&["wast", "--tier", &format!("mixed:{seed}"), "add.wast"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
        assert!(ended.stdout.contains("0 failed; 1 of 1 files passed"));
    }
}

#[test]
fn proposals() {
    let dir = Dir::with(&[
        ("simd.wat", "(module (func (drop (v128.const i64x2 0 0))))"),
        ("page.wat", "(module (memory 1 (pagesize 1)))"),
    ]);
    dir.tepui(&["run", "simd.wat"]).prints("");
    dir.tepui(&["run", "--disable", "simd,relaxed-simd", "simd.wat"])
        .fails(1, &["simd.wat", "SIMD"]);
    dir.tepui(&["run", "page.wat"]).fails(1, &["page.wat"]);
    dir.tepui(&["run", "--enable", "custom-page-sizes", "page.wat"])
        .prints("");
    dir.tepui(&["run", "--enable", "all", "page.wat"])
        .prints("");
    dir.tepui(&["validate", "--enable", "custom_page_sizes", "page.wat"])
        .prints("");
    dir.tepui(&["run", "--enable", "smid", "simd.wat"])
        .fails(2, &["smid", "simd"]);
    dir.tepui(&["run", "--enable", "gc", "simd.wat"])
        .fails(2, &["gc", "not implement"]);
    dir.tepui(&["run", "--enable", "simd", "--disable", "simd", "simd.wat"])
        .fails(2, &["simd", "both"]);
}

/// Images for the interpreter have no tag: they run if somebody says so.
#[test]
fn images_for_the_interpreter() {
    let dir = Dir::with(&[("math.wat", MATH), ("hello.wat", HELLO)]);
    let compile = ["compile", "--tier", "interpreter"];
    let run = ["run", "--tier", "interpreter", "--trust-image"];
    dir.tepui(&[&compile[..], &["hello.wat", "-o", "hello"]].concat())
        .prints("");
    dir.tepui(&[&run[..], &["hello"]].concat())
        .prints("hello\n");
    dir.tepui(&["run", "--tier", "interpreter", "hello"])
        .fails(1, &["hello", "no tag", "--trust-image"]);
    dir.tepui(&["run", "--trust-image", "--tier", "optimizing", "hello"])
        .fails(1, &["hello", "for the interpreter"]);

    // Traps are where they are without an image.
    dir.tepui(&[&compile[..], &["math.wat", "-o", "math"]].concat())
        .prints("");
    let add = ["--invoke", "add"];
    dir.tepui(&[&run[..], &add, &["math", "3", "4"]].concat())
        .prints("7\n");
    dir.tepui(&[&run[..], &["--fuel", "1000", "--invoke", "forever", "math"]].concat())
        .fails(1, &["math", "configuration"]);

    // For a machine without a system, and for none that there is.
    let target = [
        "--target",
        "riscv32imac-unknown-none-elf",
        "hello.wat",
        "-o",
    ];
    dir.tepui(&[&compile[..], &target, &["there"]].concat())
        .prints("");
    dir.tepui(&[&run[..], &["there"]].concat())
        .fails(1, &["there", "other pointers"]);
    dir.tepui(&[&["compile"], &target[..], &["nothing"]].concat())
        .fails(2, &["interpreter"]);
}

#[test]
#[cfg_attr(windows, ignore = "keys for images are not kept there")]
fn images() {
    let dir = Dir::with(&[
        ("math.wat", MATH),
        ("hello.wat", HELLO),
        ("bad.wat", "(module (func (result i32)))"),
    ]);
    dir.tepui(&["compile", "hello.wat", "-o", "hello"])
        .prints("");
    dir.tepui(&["hello"]).prints("hello\n");
    dir.tepui(&["compile", "hello", "-o", "again"])
        .fails(1, &["hello", "image already"]);
    dir.tepui(&["validate", "hello"])
        .fails(1, &["hello", "image"]);
    dir.tepui(&["compile", "bad.wat", "-o", "bad"])
        .fails(1, &["bad.wat"]);
    assert!(!dir.0.join("bad").exists());
    dir.tepui(&["compile", "hello.wat"]).fails(2, &["--output"]);
    dir.tepui(&["compile", "hello.wat", "-o", "no/such/dir"])
        .fails(1, &["no/such/dir"]);
    for target in ["pdp11", "pdp11-unknown-linux-gnu"] {
        dir.tepui(&["compile", "--target", target, "hello.wat", "-o", "x"])
            .fails(2, &[target]);
    }
    let other = match std::env::consts::ARCH {
        "aarch64" => "x86_64-unknown-linux-gnu",
        _ => "aarch64-unknown-linux-gnu",
    };
    dir.tepui(&["compile", "--target", other, "hello.wat", "-o", "there"])
        .prints("");
    dir.tepui(&["there"]).fails(1, &["there"]);
    #[cfg(target_os = "linux")]
    {
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        dir.tepui(&["compile", "--target", &host, "hello.wat", "-o", "here"])
            .prints("");
        dir.tepui(&["here"]).prints("hello\n");
    }

    // An image carries what fuel and timeouts need only when asked to.
    dir.tepui(&[
        "compile",
        "--fuel",
        "--timeout",
        "math.wat",
        "-o",
        "limited",
    ])
    .prints("");
    let limits = ["--fuel", "1000", "--timeout", "1h"];
    let run =
        |file: &str| dir.tepui(&[&["run"], &limits[..], &["--invoke", "forever", file]].concat());
    run("limited").fails(TRAP, &["fuel"]);
    dir.tepui(&["compile", "math.wat", "-o", "plain"])
        .prints("");
    run("plain").fails(1, &["plain"]);

    // Images of somebody else, who has another key, run only if trusted.
    let other = Dir::with(&[]);
    other.write("plain", &fs::read(dir.0.join("plain")).expect("the image"));
    let add = ["--invoke", "add", "plain", "3", "4"];
    other
        .tepui(&[&["run"], &add[..]].concat())
        .fails(1, &["plain", "not compiled by you", "--trust-image"]);
    other
        .tepui(&[&["run", "--trust-image"], &add[..]].concat())
        .prints("7\n");
    other.write("other.wat", HELLO.as_bytes());
    other
        .tepui(&["compile", "other.wat", "-o", "other"])
        .prints("");
    other
        .tepui(&[&["run"], &add[..]].concat())
        .fails(1, &["plain", "key"]);

    // A file that looks like an image and is none.
    let mut image = fs::read(dir.0.join("plain")).expect("the image");
    image.truncate(image.len() / 2);
    dir.write("cut", &image);
    dir.tepui(&["run", "cut"]).fails(1, &["cut"]);
    assert!(fs::read_dir(&dir.0).expect("listed").all(|entry| {
        !entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .ends_with(".tmp")
    }));
}

#[test]
fn validate() {
    let dir = Dir::with(&[
        ("good.wat", MATH),
        ("bad.wat", "(module (func $f (result i32)))"),
        ("worse.wat", "(mod"),
    ]);
    dir.tepui(&["validate", "good.wat", "good.wat"]).prints("");
    let ended = dir.tepui(&["validate", "bad.wat", "good.wat", "worse.wat", "none.wat"]);
    ended.fails(1, &["bad.wat", "type mismatch", "worse.wat:1", "none.wat"]);
    assert!(!ended.stderr.contains("good.wat"));
    dir.tepui(&["validate"]).fails(2, &["FILE"]);
}

#[test]
fn scripts() {
    let dir = Dir::with(&[
        (
            "suite/good.wast",
            r#"(module (func (export "f") (result i32) (i32.const 1)))
               (assert_return (invoke "f") (i32.const 1))"#,
        ),
        ("suite/deeper/page.wast", "(module (memory 1 (pagesize 1)))"),
        ("suite/not-a-script.txt", "("),
        (
            "bad.wast",
            "(module (func (export \"f\") (result i32) (i32.const 1)))\n\
             (assert_return (invoke \"f\") (i32.const 2))\n\
             (assert_return (invoke \"f\") (i32.const 1))",
        ),
        ("broken.wast", "(module"),
        (
            "print.wast",
            r#"(module (import "spectest" "print_i32" (func $p (param i32)))
                 (func (export "f") (call $p (i32.const 3))))
               (invoke "f")"#,
        ),
        ("empty/x", ""),
    ]);
    let ended = dir.tepui(&["wast", "suite"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("3 directives passed, 0 failed; 2 of 2 files passed")
    );

    let ended = dir.tepui(&[
        "wast",
        "broken.wast",
        "none.wast",
        "bad.wast",
        "empty",
        "suite",
    ]);
    assert_eq!(ended.code, Some(1));
    for line in [
        "broken.wast:1:",
        "none.wast",
        "bad.wast:2:2: assert_return: expected (i32.const 2), got (i32.const 1)",
        "no .wast file",
        "5 directives passed, 2 failed",
    ] {
        assert!(
            ended.stdout.contains(line),
            "{line:?} is not in\n{}",
            ended.stdout
        );
    }
    assert!(
        ended.stdout.contains("2 of 6 files passed"),
        "{}",
        ended.stdout
    );

    let quiet = dir.tepui(&["wast", "--tier", "optimizing", "print.wast"]);
    assert!(!quiet.stdout.contains("print_i32"));
    let printing = dir.tepui(&["wast", "--print", "print.wast"]);
    assert!(printing.stdout.contains("print_i32: 3 : i32"));
    let stdin = dir.tepui_with_stdin(&["wast", "-"], b"(module)");
    assert_eq!(stdin.code, Some(0));
    dir.write("latin.wast", b"(module)\xff");
    let ended = dir.tepui(&["wast", "latin.wast"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("UTF-8"));
    let off = dir.tepui(&["wast", "--disable", "custom-page-sizes", "suite"]);
    assert_eq!(off.code, Some(1));
}

#[test]
fn settings_and_completion() {
    let dir = Dir::new();
    let settings = dir.tepui(&["settings"]);
    assert_eq!(settings.code, Some(0));
    for word in [
        "Host",
        std::env::consts::ARCH,
        "Tiers",
        "simd",
        "custom-page-sizes",
        "Limits",
    ] {
        assert!(settings.stdout.contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dir.tepui(&["completion", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.stdout.contains("max-memory"), "{shell}");
    }
    dir.tepui(&["completion", "tcsh"])
        .fails(2, &["tcsh", "bash"]);
}

/// What bash offers after some words, by the script for it.
#[test]
#[cfg(unix)]
fn bash_completes() {
    let dir = Dir::with(&[("math.wat", MATH)]);
    dir.write(
        "completion",
        dir.tepui(&["completion", "bash"]).stdout.as_bytes(),
    );
    let offers = |words: &str| -> Option<String> {
        let script = format!(
            "source ./completion
             compopt() {{ echo \"$*\"; }}
             COMP_WORDS=(tepui {words})
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _tepui
             echo \"${{COMPREPLY[*]}}\""
        );
        let bash = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&dir.0)
            .output();
        match bash {
            Ok(output) => {
                assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
                Some(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            // There is no bash to ask.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => panic!("{e}"),
        }
    };
    for (words, offered) in [
        ("se", "settings\n"),
        ("ma", "math.wat\n"),
        ("--ver", "--version\n"),
        ("run --max-m", "--max-memory\n"),
        ("--max-m", "--max-memory\n"),
        ("validate --tier i", "interpreter\n"),
        ("--tier = i", "interpreter\n"),
        ("completion z", "zsh\n"),
        ("help comple", "completion\n"),
        ("compile --out", "--output\n"),
        ("settings --", "--help\n"),
        ("--dir m", "-o dirnames +o default\n\n"),
        ("--fuel m", "+o default\n\n"),
        ("run m", "\n"),
    ] {
        if let Some(found) = offers(words) {
            assert!(found.ends_with(offered), "{words}: {found}");
        }
    }
}

/// Nobody reads stdout: no panic, and the code of a program that SIGPIPE ended.
#[test]
#[cfg(unix)]
fn a_closed_stdout_is_no_panic() {
    let dir = Dir::with(&[("math.wat", MATH), ("hello.wat", HELLO)]);
    let closed = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = dir
            .command(args)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        output.status.code()
    };
    assert_eq!(closed(&["settings"]), Some(141));
    assert_eq!(closed(&["completion", "bash"]), Some(141));
    assert_eq!(
        closed(&["run", "--invoke", "add", "math.wat", "1", "2"]),
        Some(141)
    );
    // The guest sees the error and does what it likes; this one traps.
    assert_eq!(closed(&["run", "hello.wat"]), Some(TRAP));
}
