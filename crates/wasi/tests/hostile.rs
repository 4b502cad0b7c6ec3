//! Any arguments to any function: never a panic, never a hang, nothing outside
//! touched, and no more descriptors than allowed.
#![cfg(unix)]

mod common;

use common::*;
use std::fs;
use std::net::TcpListener;
use tepui_wasi::{Access, I32Exit, Interrupted, MemoryInput, MemoryOutput, WasiCtx, pipe};

const PATHS: &[&str] = &[
    "f",
    "d",
    "d/f",
    "..",
    "../outside",
    "/etc/passwd",
    "out",
    "out/secret",
    "l",
    "new",
    "d/new",
    "./d/../f",
    "",
    "\0",
    "f/",
    "d/",
    "\u{10ffff}",
    "a/b/c/d",
    "//",
    ".",
];

/// A number that is likely to matter.
fn number(rng: &mut Rng) -> i64 {
    match rng.below(10) {
        0..4 => rng.below(12) as i64,
        4 => (1 << 16) - 4 + rng.below(9) as i64,
        5 => (1 << rng.below(63)) - 1 + rng.below(3) as i64,
        6 => -(rng.below(20) as i64),
        7 => rng.below(1 << 16) as i64,
        8 => rng.next() as i64,
        _ => 0x2000 + 64 * rng.below(PATHS.len()) as i64,
    }
}

/// What an argument of a function means, in the order of its parameters: `f` a
/// descriptor, `d` a directory, `p` a path and `l` its length, `v` a list of
/// buffers and `n` how many, `o` a place for a result, `.` a small number.
fn meanings(name: &str) -> &'static str {
    match name {
        "args_get" | "args_sizes_get" | "environ_get" | "environ_sizes_get" => "oo",
        "clock_res_get" => ".o",
        "clock_time_get" => "..o",
        "fd_fdstat_get" | "fd_filestat_get" | "fd_prestat_get" | "fd_tell" => "fo",
        "fd_pread" | "fd_pwrite" => "fvn.o",
        "fd_read" | "fd_write" => "fvno",
        "fd_prestat_dir_name" => "do.",
        "fd_readdir" => "do..o",
        "fd_seek" => "f..o",
        "path_create_directory" | "path_remove_directory" | "path_unlink_file" => "dpl",
        "path_filestat_get" => "d.plo",
        "path_filestat_set_times" => "d.pl...",
        "path_link" => "d.pldpl",
        "path_open" => "d.pl....o",
        "path_readlink" => "dplo.o",
        "path_rename" => "dpldpl",
        "path_symlink" => "pldpl",
        "poll_oneoff" => "oono",
        "random_get" => "o.",
        "sock_accept" => "f.o",
        "sock_recv" => "fvn.oo",
        "sock_send" => "fvn.o",
        _ => "f......",
    }
}

/// Arguments that mean something.
fn plausible(rng: &mut Rng, name: &str, parameters: &str) -> Vec<i64> {
    let mut path = 0;
    meanings(name)
        .chars()
        .take(parameters.len())
        .map(|meaning| match meaning {
            'f' => rng.below(10) as i64,
            'd' => 3 + (rng.below(4) == 0) as i64,
            'p' => {
                path = rng.below(PATHS.len());
                0x2000 + 64 * path as i64
            }
            'l' => PATHS[path].len() as i64,
            'v' => BUFFERS.into(),
            'n' => rng.below(4) as i64,
            'o' => 0x8000 + rng.below(0x4000) as i64,
            _ => rng.below(3) as i64,
        })
        .collect()
}

/// Where a list of buffers stands that are in range.
const BUFFERS: u32 = 0x3000;

/// Buffers, subscriptions and paths where arguments are likely to point.
fn furnish(guest: &mut Guest, rng: &mut Rng) {
    let size = guest.memory.data_size(&guest.store);
    let mut bytes = vec![0; size];
    for word in bytes.chunks_mut(4) {
        let value = match rng.below(4) {
            0 => rng.next() as u32,
            1 => rng.below(16) as u32,
            2 => rng.below(size + 8) as u32,
            _ => 0,
        };
        word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
    }
    for (index, path) in PATHS.iter().enumerate() {
        let at = 0x2000 + 64 * index;
        bytes[at..at + path.len()].copy_from_slice(path.as_bytes());
    }
    for index in 0..4 {
        let at = (BUFFERS + 8 * index) as usize;
        bytes[at..at + 4].copy_from_slice(&(0x9000 + 8 * index).to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&(3 * index).to_le_bytes());
    }
    guest.write(0, &bytes);
}

fn everything(interface: &str, rounds: usize, seed: u64) {
    let root = TempDir::new();
    let outside = root.path().join("outside");
    let inside = root.path().join("inside");
    fs::create_dir_all(inside.join("d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(inside.join("f"), "content").unwrap();
    fs::write(inside.join("d/f"), "content").unwrap();
    std::os::unix::fs::symlink("../outside", inside.join("out")).unwrap();
    std::os::unix::fs::symlink("d/f", inside.join("l")).unwrap();
    let before = fs::metadata(&outside).unwrap().modified().unwrap();

    let mut rng = Rng::new(seed);
    let mut calls = 0;
    let mut successes = std::collections::BTreeMap::new();
    for _ in 0..rounds {
        let (_writer, reader) = pipe(100);
        let mut ctx = WasiCtx::builder();
        ctx.args(&["a", "b"])
            .env("A", "B")
            .max_descriptors(40)
            .stdout(MemoryOutput::new(10_000));
        if rng.below(2) == 0 {
            ctx.stdin(reader);
        } else {
            ctx.stdin(MemoryInput::new("input"));
        }
        ctx.preopened_dir(&inside, "/", Access::ReadWrite).unwrap();
        ctx.preopened_dir(&inside, "/ro", Access::ReadOnly).unwrap();
        ctx.preopened_listener(TcpListener::bind("127.0.0.1:0").unwrap())
            .unwrap();
        let mut guest = Guest::with(&mut ctx, interface, 1);
        // What would wait for ever ends with an error instead.
        guest.store.data().interrupt_handle().interrupt();
        for call in 0..3000 {
            if call % 200 == 0 {
                furnish(&mut guest, &mut rng);
            }
            let (name, parameters) = *rng.pick(FUNCTIONS);
            if interface == "wasi_unstable" && name == "sock_accept" {
                continue;
            }
            let mut arguments = plausible(&mut rng, name, parameters);
            // All as they should be, one not, or none.
            match rng.below(3) {
                0 => {}
                1 if !arguments.is_empty() => {
                    let index = rng.below(arguments.len());
                    arguments[index] = number(&mut rng);
                }
                _ => arguments.fill_with(|| number(&mut rng)),
            }
            match name {
                // Real storage; the extremes and the small sizes do.
                "fd_allocate" | "fd_filestat_set_size" => {
                    for argument in &mut arguments[1..] {
                        if (1 << 16..1 << 62).contains(argument) {
                            *argument &= 0xffff;
                        }
                    }
                }
                // These would end most of what the others need.
                "fd_close" | "fd_renumber" | "fd_fdstat_set_rights" if rng.below(20) != 0 => {
                    continue;
                }
                _ => {}
            }
            calls += 1;
            match guest.try_call(name, &arguments) {
                Ok(errno) => {
                    assert!((0..=76).contains(&errno), "{name}{arguments:?}: {errno}");
                    if errno == 0 {
                        *successes.entry(name).or_insert(0) += 1;
                    }
                }
                Err(error) => assert!(
                    error.downcast_ref::<I32Exit>().is_some()
                        || error.downcast_ref::<Interrupted>().is_some(),
                    "{name}{arguments:?}: {error:?}"
                ),
            }
        }
        for fd in 40..100 {
            assert_eq!(guest.call("fd_close", &[fd]), errno::BADF);
        }
    }
    assert!(calls > rounds * 1500);
    // The numbers are not so wild that nothing ever works.
    assert!(successes.len() > 30, "{successes:?}");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::metadata(&outside).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn any_arguments_to_preview_one() {
    everything("wasi_snapshot_preview1", 12, 0x1234_5678);
}

#[test]
fn any_arguments_to_snapshot_zero() {
    everything("wasi_unstable", 4, 0x9876_5432);
}

/// Opening without end stops at the limit and leaves the host's own alone.
#[test]
fn descriptors_run_out_for_the_guest_alone() {
    let dir = TempDir::new();
    fs::write(dir.path().join("f"), "").unwrap();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .max_descriptors(100)
            .preopened_dir(dir.path(), "/", Access::ReadOnly)
            .unwrap(),
    );
    let mut opened = 0;
    for _ in 0..10_000 {
        match guest.try_open(3, b"f", 0, 0, READ, 0) {
            Ok(_) => opened += 1,
            Err(errno) => assert_eq!(errno, errno::MFILE),
        }
    }
    assert_eq!(opened, 96);
    fs::File::open(dir.path().join("f")).unwrap();
}
