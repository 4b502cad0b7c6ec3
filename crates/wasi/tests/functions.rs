//! What each function does, seen from a guest.
#![cfg(any(unix, windows))]

mod common;

use common::*;
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tepui_wasi::services::{Clock, Clocks, ErrorCode, Random, Timestamp};
use tepui_wasi::{Access, I32Exit, MemoryInput, MemoryOutput, WasiCtx};

#[test]
fn arguments_and_environment() {
    let mut guest = Guest::new(
        WasiCtx::builder()
            .args(&["prog", "", "größe"])
            .env("A", "1")
            .env("B", ""),
    );
    guest.ok("args_sizes_get", &[OUT.into(), (OUT + 4).into()]);
    assert_eq!((guest.u32(OUT), guest.u32(OUT + 4)), (3, 5 + 1 + 8));
    guest.ok("args_get", &[LIST.into(), DATA.into()]);
    assert_eq!(guest.read(DATA, 14), "prog\0\0größe\0".as_bytes());
    assert_eq!(guest.u32(LIST), DATA);
    assert_eq!(guest.u32(LIST + 4), DATA + 5);
    assert_eq!(guest.u32(LIST + 8), DATA + 6);
    guest.ok("environ_sizes_get", &[OUT.into(), (OUT + 4).into()]);
    assert_eq!((guest.u32(OUT), guest.u32(OUT + 4)), (2, 4 + 3));
    guest.ok("environ_get", &[LIST.into(), DATA.into()]);
    assert_eq!(guest.read(DATA, 7), b"A=1\0B=\0");
    // The last byte of the memory, and one too far.
    let end = 1 << 20;
    guest.ok("environ_get", &[end - 8, end - 20]);
    assert_eq!(guest.call("environ_get", &[end - 7, 0]), errno::FAULT);
    assert_eq!(guest.call("environ_get", &[0, end - 6]), errno::FAULT);
    assert_eq!(guest.call("args_get", &[-1, -1]), errno::FAULT);
}

#[test]
fn clocks() {
    let mut guest = Guest::new(&mut WasiCtx::builder());
    for id in 0..4 {
        guest.ok("clock_res_get", &[id, OUT.into()]);
        assert!(guest.u64(OUT) > 0);
        guest.ok("clock_time_get", &[id, 0, OUT.into()]);
        let first = guest.u64(OUT);
        guest.ok("clock_time_get", &[id, 1, OUT.into()]);
        assert!(guest.u64(OUT) >= first);
    }
    for id in [4, 5, -1, i64::from(u32::MAX)] {
        assert_eq!(
            guest.call("clock_time_get", &[id, 0, OUT.into()]),
            errno::INVAL
        );
        assert_eq!(guest.call("clock_res_get", &[id, OUT.into()]), errno::INVAL);
    }
    assert_eq!(
        guest.call("clock_time_get", &[0, 0, (1 << 20) - 7]),
        errno::FAULT
    );
}

#[test]
fn services_can_be_replaced() {
    struct Frozen;
    impl Clocks for Frozen {
        fn now(&self, clock: Clock) -> Result<Timestamp, ErrorCode> {
            match clock {
                Clock::Wall => Ok(Timestamp {
                    seconds: -5,
                    nanoseconds: 0,
                }),
                Clock::Monotonic => Ok(Timestamp::from_nanoseconds(77)),
                _ => Err(ErrorCode::NotSupported),
            }
        }
        fn resolution(&self, _clock: Clock) -> Result<Duration, ErrorCode> {
            Ok(Duration::from_nanos(3))
        }
    }
    struct Sevens;
    impl Random for Sevens {
        fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ErrorCode> {
            buffer.fill(7);
            Ok(())
        }
    }
    let mut guest = Guest::new(WasiCtx::builder().clocks(Frozen).random(Sevens));
    guest.ok("clock_time_get", &[0, 0, OUT.into()]);
    assert_eq!(guest.u64(OUT), 0);
    guest.ok("clock_time_get", &[1, 0, OUT.into()]);
    assert_eq!(guest.u64(OUT), 77);
    assert_eq!(
        guest.call("clock_time_get", &[2, 0, OUT.into()]),
        errno::NOTSUP
    );
    guest.ok("clock_res_get", &[1, OUT.into()]);
    assert_eq!(guest.u64(OUT), 3);
    guest.ok("random_get", &[DATA.into(), 200_000]);
    assert!(guest.read(DATA, 200_000).iter().all(|&byte| byte == 7));
    assert_eq!(guest.u32(DATA + 200_000), 0);
}

#[test]
fn random_bytes() {
    let mut guest = Guest::new(&mut WasiCtx::builder());
    guest.ok("random_get", &[DATA.into(), 100_000]);
    let bytes = guest.read(DATA, 100_000);
    assert!(
        bytes
            .chunks(50)
            .all(|chunk| chunk.iter().any(|&byte| byte != 0))
    );
    guest.ok("random_get", &[0, 1 << 20]);
    assert_eq!(guest.call("random_get", &[1, 1 << 20]), errno::FAULT);
    assert_eq!(guest.call("random_get", &[-1, -1]), errno::FAULT);
}

#[test]
fn exit_and_signals() {
    for code in [0, 1, 126, 255, 256, -1, i64::from(i32::MIN)] {
        let mut guest = Guest::new(&mut WasiCtx::builder());
        let error = guest.try_call("proc_exit", &[code]).unwrap_err();
        assert_eq!(
            error.downcast_ref::<I32Exit>(),
            Some(&I32Exit(code as i32)),
            "{error:?}"
        );
    }
    let mut guest = Guest::new(&mut WasiCtx::builder());
    guest.ok("sched_yield", &[]);
    for ignored in [0, 13, 16, 17, 22, 27] {
        guest.ok("proc_raise", &[ignored]);
    }
    for stopping in [18, 19, 20, 21] {
        assert_eq!(guest.call("proc_raise", &[stopping]), errno::NOTSUP);
    }
    for unknown in [31, 255, -1] {
        assert_eq!(guest.call("proc_raise", &[unknown]), errno::INVAL);
    }
    let error = guest.try_call("proc_raise", &[6]).unwrap_err();
    assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(134)));
}

#[test]
fn streams() {
    let output = MemoryOutput::new(1000);
    let errors = MemoryOutput::new(4);
    let mut guest = Guest::new(
        WasiCtx::builder()
            .stdin(MemoryInput::new("some input"))
            .stdout(output.clone())
            .stderr(errors.clone()),
    );
    assert_eq!(guest.read_fd(0, 4).unwrap(), b"some");
    // Over several buffers, empty ones between.
    guest.write(DATA, &[b'.'; 32]);
    let (list, count) = guest.iovecs(&[(DATA, 2), (0, 0), (DATA + 10, 3), (DATA + 20, 9)]);
    guest.ok("fd_read", &[0, list, count, OUT.into()]);
    assert_eq!(guest.u32(OUT), 6);
    assert_eq!(guest.read(DATA, 24), b" i........npu.......t...");
    assert_eq!(guest.read_fd(0, 4).unwrap(), b"");
    assert_eq!(guest.read_fd(0, 0).unwrap(), b"");

    guest.write(DATA, b"hello world");
    let (list, count) = guest.iovecs(&[(DATA + 6, 5), (DATA + 5, 1), (DATA, 5), (DATA, 0)]);
    guest.ok("fd_write", &[1, list, count, OUT.into()]);
    assert_eq!(guest.u32(OUT), 11);
    assert_eq!(output.contents(), b"world hello");
    assert_eq!(guest.write_fd(2, b"abcdef"), Ok(4));
    assert_eq!(guest.write_fd(2, b"ef"), Err(errno::NOSPC));
    assert_eq!(errors.contents(), b"abcd");

    assert_eq!(guest.write_fd(0, b"x"), Err(errno::BADF));
    assert_eq!(guest.read_fd(1, 1), Err(errno::BADF));
    assert_eq!(guest.read_fd(3, 1), Err(errno::BADF));
    for fd in 0..3 {
        guest.ok("fd_fdstat_get", &[fd, OUT.into()]);
        assert_eq!(guest.call("fd_seek", &[fd, 0, 0, OUT.into()]), errno::SPIPE);
        assert_eq!(guest.call("fd_tell", &[fd, OUT.into()]), errno::SPIPE);
        let (list, count) = guest.iovecs(&[(DATA, 1)]);
        for function in ["fd_pread", "fd_pwrite"] {
            assert_eq!(
                guest.call(function, &[fd, list, count, 0, OUT.into()]),
                errno::SPIPE
            );
        }
        let stat = guest.fstat(fd).unwrap();
        assert_eq!((stat.filetype, stat.size), (0, 0));
        assert_eq!(guest.call("fd_prestat_get", &[fd, OUT.into()]), errno::BADF);
        assert_eq!(
            guest.on_path("path_create_directory", fd, "x"),
            errno::NOTDIR
        );
        assert_eq!(guest.call("sock_shutdown", &[fd, 3]), errno::NOTSOCK);
    }
    guest.ok("fd_close", &[0]);
    assert_eq!(guest.call("fd_close", &[0]), errno::BADF);
}

#[test]
fn pointers_out_of_range_are_faults() {
    let output = MemoryOutput::new(1000);
    let mut guest = Guest::new(WasiCtx::builder().stdout(output.clone()));
    let end = 1_u32 << 20;
    for buffers in [
        &[(end, 1)][..],
        &[(end - 1, 2)],
        &[(u32::MAX, u32::MAX)],
        &[(0, u32::MAX)],
        &[(0, 4), (end - 3, 4)],
    ] {
        let (list, count) = guest.iovecs(buffers);
        assert_eq!(
            guest.call("fd_write", &[1, list, count, OUT.into()]),
            errno::FAULT
        );
        assert_eq!(
            guest.call("fd_read", &[0, list, count, OUT.into()]),
            errno::FAULT
        );
    }
    // Lists that are too long, begin too far, or are misaligned at the very end.
    for (list, count) in [
        (0, u32::MAX),
        (0, 1 << 29),
        (end, 1),
        (end - 7, 1),
        (u32::MAX, 1),
    ] {
        let (list, count) = (list.into(), count.into());
        assert_eq!(
            guest.call("fd_write", &[1, list, count, OUT.into()]),
            errno::FAULT
        );
    }
    guest.write(end - 9, &[0; 9]);
    guest.ok("fd_write", &[1, (end - 9).into(), 1, (OUT + 1).into()]);
    // The result's place is checked before anything is done.
    let (list, count) = guest.iovecs(&[(DATA, 4)]);
    for out in [end - 3, end, u32::MAX] {
        assert_eq!(
            guest.call("fd_write", &[1, list, count, out.into()]),
            errno::FAULT
        );
    }
    assert_eq!(output.contents(), b"");
    // Overlap is the guest's own affair.
    let (list, _) = guest.iovecs(&[(DATA, 8), (DATA + 4, 8)]);
    guest.ok("fd_write", &[1, list, 2, LIST.into()]);
    assert_eq!(output.contents().len(), 16);
}

#[test]
fn many_buffers_and_large_ones() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    let file = guest.open(3, "f", CREAT, READ | WRITE, 0);
    guest.write(DATA, b"x");
    // More buffers than one call uses: a short count, and no error.
    for index in 0..3000 {
        guest.write(0x40000 + index * 8, &DATA.to_le_bytes());
        guest.write(0x40000 + index * 8 + 4, &1_u32.to_le_bytes());
    }
    guest.ok("fd_write", &[file, 0x40000, 3000, OUT.into()]);
    let written = guest.u32(OUT);
    assert!((1..=3000).contains(&written));
    assert_eq!(
        fs::metadata(dir.path().join("f")).unwrap().len(),
        written.into()
    );
    // The same bytes many times: 4000 buffers of almost a mebibyte each would be
    // four gigabytes.
    for index in 0..4000 {
        guest.write(0x40000 + index * 8, &0_u32.to_le_bytes());
        guest.write(0x40000 + index * 8 + 4, &0xf_ffff_u32.to_le_bytes());
    }
    let output = MemoryOutput::new(5_000_000);
    let mut piped = Guest::new(WasiCtx::builder().stdout(output.clone()));
    let list = guest.read(0x40000, 4000 * 8);
    piped.write(0x40000, &list);
    piped.ok("fd_write", &[1, 0x40000, 4000, OUT.into()]);
    assert_eq!(piped.u32(OUT) as usize, output.contents().len());
    assert_eq!(output.contents().len(), 5_000_000);
    // Reading into several large buffers.
    fs::write(dir.path().join("big"), vec![5; 300_000]).unwrap();
    let big = guest.open(3, "big", 0, READ, 0);
    let (list, count) = guest.iovecs(&[(DATA, 100_000), (DATA + 200_000, 300_000)]);
    let mut total = 0;
    loop {
        guest.ok("fd_read", &[big, list, count, OUT.into()]);
        match guest.u32(OUT) {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, 300_000);
}

#[test]
fn files_have_positions() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    let file = guest.open(3, "f", CREAT, READ | WRITE, 0);
    assert_eq!(guest.write_fd(file, b"0123456789"), Ok(10));
    let mut seek =
        |offset: i64, whence| match guest.call("fd_seek", &[file, offset, whence, OUT.into()]) {
            0 => Ok(guest.u64(OUT)),
            errno => Err(errno),
        };
    assert_eq!(seek(3, 0), Ok(3));
    assert_eq!(seek(2, 1), Ok(5));
    assert_eq!(seek(-1, 2), Ok(9));
    assert_eq!(seek(5, 2), Ok(15));
    assert_eq!(seek(-16, 1), Err(errno::INVAL));
    assert_eq!(seek(0, 3), Err(errno::INVAL));
    assert_eq!(seek(i64::MAX, 1), Err(errno::INVAL));
    assert_eq!(seek(i64::MIN, 1), Err(errno::INVAL));
    assert_eq!(seek(i64::MAX, 0), Ok(i64::MAX as u64));
    assert_eq!(guest.read_fd(file, 4).unwrap_or_default(), b"");
    assert!(guest.write_fd(file, b"x").is_err());
    guest.ok("fd_seek", &[file, 4, 0, OUT.into()]);
    assert_eq!(guest.read_fd(file, 3).unwrap(), b"456");
    guest.ok("fd_tell", &[file, OUT.into()]);
    assert_eq!(guest.u64(OUT), 7);
    let (list, count) = guest.iovecs(&[(DATA, 2), (DATA + 8, 2)]);
    guest.ok("fd_pread", &[file, list, count, 8, OUT.into()]);
    assert_eq!(guest.u32(OUT), 2);
    guest.write(DATA, b"ab......cd");
    guest.ok("fd_pwrite", &[file, list, count, 1, OUT.into()]);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"0abcd56789");
    guest.ok("fd_tell", &[file, OUT.into()]);
    assert_eq!(guest.u64(OUT), 7);
    for offset in [-1, i64::MIN, i64::MAX] {
        assert_ne!(
            guest.call("fd_pwrite", &[file, list, count, offset, OUT.into()]),
            0
        );
    }
    assert_eq!(
        guest.call("fd_pread", &[file, list, count, -1, OUT.into()]),
        errno::INVAL
    );
    guest.ok("fd_sync", &[file]);
    guest.ok("fd_datasync", &[file]);
    guest.ok("fd_sync", &[3]);
}

#[test]
fn appending() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    let file = guest.open(3, "f", CREAT, READ | WRITE, APPEND);
    assert_eq!(guest.write_fd(file, b"one"), Ok(3));
    guest.ok("fd_seek", &[file, 0, 0, OUT.into()]);
    assert_eq!(guest.write_fd(file, b"two"), Ok(3));
    guest.ok("fd_tell", &[file, OUT.into()]);
    assert_eq!(guest.u64(OUT), 6);
    guest.ok("fd_fdstat_get", &[file, OUT.into()]);
    assert_eq!(guest.u16(OUT + 2), 1);
    // `pwrite` goes where it says, as POSIX has it.
    guest.write(DATA, b"O");
    let (list, count) = guest.iovecs(&[(DATA, 1)]);
    guest.ok("fd_pwrite", &[file, list, count, 0, OUT.into()]);
    guest.ok("fd_fdstat_set_flags", &[file, 0]);
    guest.ok("fd_seek", &[file, 3, 0, OUT.into()]);
    assert_eq!(guest.write_fd(file, b"T"), Ok(1));
    guest.ok("fd_fdstat_set_flags", &[file, APPEND | NONBLOCK]);
    assert_eq!(guest.write_fd(file, b"!"), Ok(1));
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"OneTwo!");
    // How writes are synchronized is fixed when opening.
    for flags in [2, 8, 16, 31, 32, 0x1_0000, -1] {
        assert_eq!(
            guest.call("fd_fdstat_set_flags", &[file, flags]),
            errno::INVAL
        );
    }
    let synced = guest.open(3, "f", 0, WRITE, 16 | 2);
    guest.ok("fd_fdstat_set_flags", &[synced, 16 | 2 | APPEND]);
    assert_eq!(guest.write_fd(synced, b"?"), Ok(1));
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"OneTwo!?");
}

#[test]
fn opening() {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("f"), "content").unwrap();
    let mut guest = guest_in(&dir);
    let mut open = |path: &str, oflags, rights, fdflags| {
        guest
            .try_open(3, path.as_bytes(), FOLLOW, oflags, rights, fdflags)
            .err()
            .unwrap_or(0)
    };
    let both = READ | WRITE;
    assert_eq!(open("missing", 0, READ, 0), errno::NOENT);
    assert_eq!(open("f", CREAT | EXCL, both, 0), errno::EXIST);
    assert_eq!(open("f", EXCL, READ, 0), 0);
    assert_eq!(open("f", DIRECTORY, READ, 0), errno::NOTDIR);
    assert_eq!(open("f/x", 0, READ, 0), errno::NOTDIR);
    assert_eq!(open("d", 0, READ, 0), 0);
    assert_eq!(open("d", 0, both, 0), errno::ISDIR);
    assert_eq!(open("d", DIRECTORY, ALL_RIGHTS, 0), 0);
    assert_eq!(open("d", CREAT, both, 0), errno::ISDIR);
    assert_eq!(open("d", CREAT | DIRECTORY, both, 0), errno::INVAL);
    assert_eq!(open("d", 16, READ, 0), errno::INVAL);
    assert_eq!(open("f", 0, READ, 32), errno::INVAL);
    assert_eq!(open("f", 0, 0, 0), 0);
    assert_eq!(open("new", CREAT, READ, 0), 0);
    assert!(dir.path().join("new").exists());
    assert_eq!(open("f", TRUNC, WRITE, 0), 0);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"");
    assert_eq!(guest.try_open(3, b"f", 2, 0, READ, 0), Err(errno::INVAL));
    assert_eq!(guest.try_open(9999, b"f", 0, 0, READ, 0), Err(errno::BADF));
    // A file cannot be read through a descriptor for writing, and the reverse.
    let writer = guest.open(3, "f", 0, WRITE, 0);
    assert_eq!(guest.read_fd(writer, 1), Err(errno::BADF));
    assert_eq!(guest.write_fd(writer, b"abc"), Ok(3));
    let reader = guest.open(3, "f", 0, READ, 0);
    assert_eq!(guest.write_fd(reader, b"x"), Err(errno::BADF));
    assert_eq!(
        guest.call("fd_filestat_set_size", &[reader, 0]),
        errno::INVAL
    );
    assert_eq!(guest.read_fd(reader, 9).unwrap(), b"abc");
}

#[test]
fn directories_are_no_files() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    assert_eq!(guest.read_fd(3, 1), Err(errno::BADF));
    assert_eq!(guest.write_fd(3, b"x"), Err(errno::BADF));
    assert_eq!(guest.call("fd_seek", &[3, 0, 0, OUT.into()]), errno::BADF);
    assert_eq!(guest.call("fd_tell", &[3, OUT.into()]), errno::BADF);
    assert_eq!(guest.call("fd_advise", &[3, 0, 0, 0]), errno::BADF);
    assert_eq!(guest.call("fd_allocate", &[3, 0, 1]), errno::BADF);
    assert_eq!(guest.call("fd_filestat_set_size", &[3, 0]), errno::BADF);
    let (list, count) = guest.iovecs(&[(DATA, 1)]);
    for function in ["fd_pread", "fd_pwrite"] {
        assert_eq!(
            guest.call(function, &[3, list, count, 0, OUT.into()]),
            errno::BADF
        );
    }
    let file = guest.open(3, "f", CREAT, READ | WRITE, 0);
    assert_eq!(
        guest.call("fd_readdir", &[file, DATA.into(), 100, 0, OUT.into()]),
        errno::NOTDIR
    );
    assert_eq!(guest.on_path("path_unlink_file", file, "x"), errno::NOTDIR);
}

#[test]
fn preopened_folders_tell_their_names() {
    let dir = TempDir::new();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .preopened_dir(dir.path(), "/sandbox", Access::ReadWrite)
            .unwrap()
            .preopened_dir(dir.path(), ".", Access::ReadOnly)
            .unwrap(),
    );
    guest.write(OUT, &[0xff; 8]);
    guest.ok("fd_prestat_get", &[3, OUT.into()]);
    assert_eq!(guest.read(OUT, 8), [0, 0, 0, 0, 8, 0, 0, 0]);
    guest.ok("fd_prestat_dir_name", &[3, DATA.into(), 8]);
    assert_eq!(guest.read(DATA, 9), b"/sandbox\0");
    assert_eq!(
        guest.call("fd_prestat_dir_name", &[3, DATA.into(), 7]),
        errno::NAMETOOLONG
    );
    guest.ok("fd_prestat_get", &[4, OUT.into()]);
    assert_eq!(guest.u32(OUT + 4), 1);
    assert_eq!(guest.call("fd_prestat_get", &[5, OUT.into()]), errno::BADF);
    let opened = guest.open(3, ".", DIRECTORY, READ, 0);
    assert_eq!(
        guest.call("fd_prestat_get", &[opened, OUT.into()]),
        errno::BADF
    );
}

#[test]
fn rights_can_be_taken_away() {
    let dir = TempDir::new();
    fs::write(dir.path().join("f"), "content").unwrap();
    let mut guest = guest_in(&dir);
    guest.ok("fd_fdstat_get", &[3, OUT.into()]);
    assert_eq!(guest.read(OUT, 1)[0], 3);
    let (base, inheriting) = (guest.u64(OUT + 8) as i64, guest.u64(OUT + 16) as i64);
    assert_ne!(base & (1 << 13), 0);
    assert_eq!(inheriting, ALL_RIGHTS);
    for more in [base | READ, -1, base | (1 << 40)] {
        assert_eq!(
            guest.call("fd_fdstat_set_rights", &[3, more, 0]),
            errno::NOTCAPABLE
        );
    }
    assert_eq!(
        guest.call("fd_fdstat_set_rights", &[3, 0, -1]),
        errno::NOTCAPABLE
    );

    let file = guest.open(3, "f", 0, READ | WRITE, 0);
    guest.ok("fd_fdstat_get", &[file, OUT.into()]);
    let rights = guest.u64(OUT + 8) as i64;
    guest.ok("fd_fdstat_set_rights", &[file, rights & !WRITE, 0]);
    assert_eq!(guest.write_fd(file, b"x"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.read_fd(file, 3).unwrap(), b"con");
    guest.ok("fd_fdstat_set_rights", &[file, READ | 1 << 5, 0]);
    guest.ok("fd_tell", &[file, OUT.into()]);
    guest.ok("fd_seek", &[file, 0, 1, OUT.into()]);
    assert_eq!(
        guest.call("fd_seek", &[file, 0, 0, OUT.into()]),
        errno::NOTCAPABLE
    );
    assert_eq!(guest.call("fd_sync", &[file]), errno::NOTCAPABLE);
    assert_eq!(
        guest.call("fd_filestat_set_size", &[file, 0]),
        errno::NOTCAPABLE
    );
    assert_eq!(guest.call("fd_allocate", &[file, 0, 9]), errno::NOTCAPABLE);
    assert_eq!(
        guest.call("fd_filestat_get", &[file, OUT.into()]),
        errno::NOTCAPABLE
    );
    guest.ok("fd_fdstat_set_rights", &[file, 0, 0]);
    assert_eq!(guest.read_fd(file, 3), Err(errno::NOTCAPABLE));
    guest.ok("fd_close", &[file]);

    // What was cut from a directory is cut from what is opened through it.
    guest.ok(
        "fd_fdstat_set_rights",
        &[3, base, inheriting & !WRITE & !(1 << 22)],
    );
    assert_eq!(
        guest.try_open(3, b"f", 0, 0, READ | WRITE, 0),
        Err(errno::NOTCAPABLE)
    );
    let reader = guest.open(3, "f", 0, READ, 0);
    assert_eq!(
        guest.call("fd_filestat_set_size", &[reader, 0]),
        errno::NOTCAPABLE
    );
    let inner = guest.open(3, ".", DIRECTORY, READ, 0);
    assert_eq!(
        guest.try_open(inner, b"f", 0, 0, WRITE, 0),
        Err(errno::NOTCAPABLE)
    );
    guest.ok(
        "fd_fdstat_set_rights",
        &[3, base & !(1 << 9) & !(1 << 26), 0],
    );
    assert_eq!(
        guest.on_path("path_create_directory", 3, "x"),
        errno::NOTCAPABLE
    );
    assert_eq!(guest.on_path("path_unlink_file", 3, "f"), errno::NOTCAPABLE);
    assert_eq!(
        guest.on_path("path_remove_directory", 3, "f"),
        errno::NOTDIR
    );
    assert_eq!(
        guest.try_open(3, b"f", 0, 0, READ, 0),
        Err(errno::NOTCAPABLE)
    );
}

#[test]
fn listing_survives_changes() {
    let dir = TempDir::new();
    let mut expected = vec![".".to_owned(), "..".to_owned()];
    for index in 0..300 {
        let name = format!("file-{index:03}");
        fs::write(dir.path().join(&name), "").unwrap();
        expected.push(name);
    }
    let mut guest = guest_in(&dir);
    let mut names = guest.list(3, 4096, || {});
    names.sort();
    assert_eq!(names, expected);
    // With a small buffer, and with files coming and going in between: what
    // stays is told once.
    let mut round = 0;
    let names = guest.list(3, 100, || {
        let _ = fs::remove_file(dir.path().join(format!("file-{round:03}")));
        fs::write(dir.path().join(format!("new-{round:03}")), "").unwrap();
        round += 1;
    });
    for stays in &expected[2 + round.min(300)..] {
        assert_eq!(
            names.iter().filter(|name| *name == stays).count(),
            1,
            "{stays}"
        );
    }
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len());

    // Entries that do not fit are cut; a buffer of nothing holds nothing.
    guest.ok("fd_readdir", &[3, DATA.into(), 10, 0, OUT.into()]);
    assert_eq!(guest.u32(OUT), 10);
    guest.ok("fd_readdir", &[3, DATA.into(), 0, 0, OUT.into()]);
    assert_eq!(guest.u32(OUT), 0);
    assert_eq!(
        guest.call("fd_readdir", &[3, DATA.into(), 100, -1, OUT.into()]),
        errno::INVAL
    );
    assert_eq!(
        guest.call("fd_readdir", &[3, DATA.into(), 1 << 20, 0, OUT.into()]),
        errno::FAULT
    );
    // Strange cookies give something or an error, never harm.
    for cookie in [1, 2, 3, 1000, 0x1234_5678_9abc, i64::MAX] {
        guest.call("fd_readdir", &[3, DATA.into(), 1000, cookie, OUT.into()]);
    }
}

#[cfg(unix)]
#[test]
fn listed_types_and_numbers() {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("d")).unwrap();
    std::os::unix::fs::symlink("d", dir.path().join("l")).unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    let mut guest = guest_in(&dir);
    guest.write(DATA, &[0xff; 4096]);
    guest.ok("fd_readdir", &[3, DATA.into(), 4096, 0, OUT.into()]);
    let (mut at, used, mut seen) = (DATA, guest.u32(OUT), 0);
    while at < DATA + used {
        let (inode, length) = (guest.u64(at + 8), guest.u32(at + 16));
        let entry = guest.read(at + 20, 4 + length as usize);
        assert_eq!(entry[1..4], [0; 3], "padding");
        let name = String::from_utf8(entry[4..].to_vec()).unwrap();
        let path = match name.as_str() {
            ".." => dir.path().to_owned(),
            name => dir.path().join(name),
        };
        assert_eq!(inode, fs::symlink_metadata(path).unwrap().ino(), "{name}");
        let filetype = match name.as_str() {
            "f" => 4,
            "l" => 7,
            _ => 3,
        };
        assert_eq!(entry[0], filetype, "{name}");
        at += 24 + length;
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn descriptors_move_and_are_bounded() {
    let dir = TempDir::new();
    fs::write(dir.path().join("a"), "A").unwrap();
    fs::write(dir.path().join("b"), "B").unwrap();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .max_descriptors(10)
            .preopened_dir(dir.path(), "/", Access::ReadWrite)
            .unwrap(),
    );
    let a = guest.open(3, "a", 0, READ, 0);
    let b = guest.open(3, "b", 0, READ, 0);
    assert_eq!((a, b), (4, 5));
    guest.ok("fd_renumber", &[b, a]);
    assert_eq!(guest.read_fd(a, 1).unwrap(), b"B");
    assert_eq!(guest.read_fd(b, 1), Err(errno::BADF));
    assert_eq!(guest.call("fd_renumber", &[a, 1000]), errno::BADF);
    assert_eq!(guest.call("fd_renumber", &[a, -1]), errno::BADF);
    assert_eq!(guest.call("fd_renumber", &[b, a]), errno::BADF);
    guest.ok("fd_renumber", &[a, a]);
    assert_eq!(guest.open(3, "b", 0, READ, 0), b);
    let mut last = 0;
    let mut opened = 0;
    while last == 0 {
        last = guest
            .try_open(3, b"new", 0, CREAT, READ, 0)
            .map_or_else(|errno| errno, |_| 0);
        opened += 1;
        assert!(opened < 20);
    }
    assert_eq!((opened, last), (5, errno::MFILE));
    // Nothing is made that could not be told of.
    assert_eq!(
        guest.try_open(3, b"unmade", 0, CREAT, READ, 0),
        Err(errno::MFILE)
    );
    assert!(!dir.path().join("unmade").exists());
    guest.ok("fd_close", &[7]);
    let (at, length) = guest.path(b"unmade", 0);
    assert_eq!(
        guest.call("path_open", &[3, 0, at, length, CREAT, READ, 0, 0, -1]),
        errno::FAULT
    );
    assert!(!dir.path().join("unmade").exists());
    assert_eq!(guest.open(3, "b", 0, READ, 0), 7);
}

#[test]
fn sizes_and_allocation() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    let file = guest.open(3, "f", CREAT, READ | WRITE, 0);
    let size = |guest: &mut Guest| guest.fstat(file).unwrap().size;
    guest.ok("fd_filestat_set_size", &[file, 100]);
    assert_eq!(size(&mut guest), 100);
    guest.ok("fd_filestat_set_size", &[file, 1]);
    assert_eq!(size(&mut guest), 1);
    for huge in [-1, i64::MIN] {
        assert_eq!(
            guest.call("fd_filestat_set_size", &[file, huge]),
            errno::FBIG
        );
    }
    assert_ne!(guest.call("fd_filestat_set_size", &[file, i64::MAX]), 0);
    match guest.call("fd_allocate", &[file, 10, 90]) {
        0 => assert_eq!(size(&mut guest), 100),
        errno => assert_eq!(errno, errno::NOTSUP),
    }
    assert_eq!(guest.call("fd_allocate", &[file, 0, 0]), errno::INVAL);
    for (offset, length) in [
        (-1, 1),
        (1, -1),
        (i64::MAX, 1),
        (i64::MAX, i64::MAX),
        (-1, -1),
    ] {
        assert_eq!(
            guest.call("fd_allocate", &[file, offset, length]),
            errno::FBIG
        );
    }
    for advice in 0..6 {
        guest.ok("fd_advise", &[file, 0, 0, advice]);
        guest.ok("fd_advise", &[file, 5, 10, advice]);
    }
    for advice in [6, 255, -1] {
        assert_eq!(guest.call("fd_advise", &[file, 0, 0, advice]), errno::INVAL);
    }
    assert_eq!(guest.call("fd_advise", &[file, -1, 1, 0]), errno::INVAL);
    assert_eq!(
        guest.call("fd_advise", &[file, i64::MAX, i64::MAX, 0]),
        errno::INVAL
    );
}

#[cfg(unix)]
#[test]
fn times() {
    let dir = TempDir::new();
    fs::write(dir.path().join("f"), "").unwrap();
    std::os::unix::fs::symlink("f", dir.path().join("l")).unwrap();
    let mut guest = guest_in(&dir);
    let file = guest.open(3, "f", 0, READ, 0);
    let times = |guest: &mut Guest| {
        let stat = guest.stat(3, FOLLOW, "f").unwrap();
        (stat.atim, stat.mtim)
    };
    guest.ok(
        "fd_filestat_set_times",
        &[file, 1_500_000_000, 2_000_000_007, 1 | 4],
    );
    assert_eq!(times(&mut guest), (1_500_000_000, 2_000_000_007));
    guest.ok("fd_filestat_set_times", &[file, 9, 9, 0]);
    assert_eq!(times(&mut guest), (1_500_000_000, 2_000_000_007));
    guest.ok("fd_filestat_set_times", &[file, 9, 0, 8]);
    let (accessed, modified) = times(&mut guest);
    assert_eq!(accessed, 1_500_000_000);
    assert!(modified > 1_600_000_000_000_000_000);
    for flags in [3, 12, 15, 16, 0x1_0000, -1] {
        assert_eq!(
            guest.call("fd_filestat_set_times", &[file, 0, 0, flags]),
            errno::INVAL
        );
        assert_eq!(guest.set_times(3, 0, "f", 0, flags), errno::INVAL);
    }
    // Through a link, and the link itself.
    assert_eq!(guest.set_times(3, FOLLOW, "l", 3_000_000_000, 5), 0);
    assert_eq!(times(&mut guest), (3_000_000_000, 3_000_000_000));
    assert_eq!(guest.set_times(3, 0, "l", 4_000_000_000, 5), 0);
    assert_eq!(times(&mut guest).1, 3_000_000_000);
    assert_eq!(guest.stat(3, 0, "l").unwrap().mtim, 4_000_000_000);
    assert_eq!(guest.stat(3, 0, "l").unwrap().filetype, 7);
    assert_eq!(guest.stat(3, FOLLOW, "l").unwrap().filetype, 4);
    // The greatest time; what the file system makes of it is its affair.
    assert_eq!(guest.set_times(3, 0, "f", -1, 5), 0);
    guest.ok("fd_filestat_set_times", &[file, -1, i64::MAX, 5]);
    guest.ok("fd_filestat_set_times", &[3, 5, 5, 5]);
    // Before 1970 and far away.
    let host = fs::File::options()
        .write(true)
        .open(dir.path().join("f"))
        .unwrap();
    let before = std::time::UNIX_EPOCH - Duration::from_secs(1_000_000_000);
    host.set_modified(before).unwrap();
    assert_eq!(times(&mut guest).1, 0);
    assert_eq!(guest.fstat(file).unwrap().mtim, 0);
}

#[cfg(unix)]
#[test]
fn links() {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("f"), "content").unwrap();
    let mut guest = guest_in(&dir);
    assert_eq!(guest.link(3, 0, "f", 3, "d/hard"), 0);
    assert_eq!(guest.stat(3, 0, "d/hard").unwrap().nlink, 2);
    assert_eq!(guest.link(3, 0, "f", 3, "d/hard"), errno::EXIST);
    assert_eq!(guest.link(3, 0, "missing", 3, "x"), errno::NOENT);
    assert_ne!(guest.link(3, 0, "d", 3, "x"), 0);
    assert_eq!(guest.link(3, FOLLOW, "f", 3, "x"), errno::INVAL);
    assert_eq!(guest.link(3, 2, "f", 3, "x"), errno::INVAL);
    assert_eq!(guest.symlink("d/hard", 3, "soft"), 0);
    assert_eq!(guest.symlink("d/hard", 3, "soft"), errno::EXIST);
    assert_eq!(guest.readlink(3, "soft", 100).unwrap(), b"d/hard");
    guest.write(DATA, b"........");
    assert_eq!(guest.readlink(3, "soft", 3).unwrap(), b"d/h");
    assert_eq!(guest.read(DATA, 5), b"d/h..");
    assert_eq!(guest.readlink(3, "soft", 0).unwrap(), b"");
    assert_eq!(guest.readlink(3, "f", 100), Err(errno::INVAL));
    assert_eq!(guest.readlink(3, "missing", 100), Err(errno::NOENT));
    let fd = guest.open(3, "soft", 0, READ, 0);
    assert_eq!(guest.read_fd(fd, 100).unwrap(), b"content");
    assert_eq!(guest.symlink("nowhere", 3, "dangling"), 0);
    assert_eq!(guest.stat(3, FOLLOW, "dangling"), Err(errno::NOENT));
    assert_eq!(guest.stat(3, 0, "dangling").unwrap().size, 7);
    assert_eq!(guest.on_path("path_unlink_file", 3, "soft"), 0);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"content");
}

#[test]
fn folders_and_names() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    assert_eq!(guest.on_path("path_create_directory", 3, "d"), 0);
    assert_eq!(guest.on_path("path_create_directory", 3, "d"), errno::EXIST);
    assert_eq!(guest.on_path("path_create_directory", 3, "d/e/"), 0);
    assert_eq!(
        guest.on_path("path_create_directory", 3, "x/y"),
        errno::NOENT
    );
    assert_eq!(
        guest.on_path("path_remove_directory", 3, "d"),
        errno::NOTEMPTY
    );
    assert_eq!(guest.on_path("path_remove_directory", 3, "d/e"), 0);
    let file = guest.open(3, "d/f", CREAT, WRITE, 0);
    assert_eq!(guest.write_fd(file, b"text"), Ok(4));
    guest.ok("fd_close", &[file]);
    assert_eq!(
        guest.on_path("path_remove_directory", 3, "d/f"),
        errno::NOTDIR
    );
    assert_eq!(guest.on_path("path_unlink_file", 3, "d"), errno::ISDIR);
    assert_eq!(
        guest.on_path("path_unlink_file", 3, "missing"),
        errno::NOENT
    );
    assert_eq!(guest.link(3, 0, "d/f", 3, "hard"), 0);
    assert_eq!(guest.stat(3, 0, "hard").unwrap().nlink, 2);
    assert_eq!(guest.rename(3, "d/f", 3, "g"), 0);
    assert_eq!(guest.rename(3, "d/f", 3, "h"), errno::NOENT);
    assert_eq!(guest.rename(3, "g", 3, "hard2"), 0);
    assert_eq!(guest.rename(3, "d", 3, "moved"), 0);
    assert_eq!(guest.stat(3, 0, "moved").unwrap().filetype, 3);
    assert_eq!(guest.on_path("path_unlink_file", 3, "hard"), 0);
    assert_eq!(guest.on_path("path_unlink_file", 3, "hard2"), 0);
    assert_eq!(guest.on_path("path_remove_directory", 3, "moved/"), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn renames_onto_what_there_is() {
    let dir = TempDir::new();
    let mut guest = guest_in(&dir);
    assert_eq!(guest.on_path("path_create_directory", 3, "d"), 0);
    guest.open(3, "d/f", CREAT, WRITE, 0);
    assert_eq!(guest.on_path("path_unlink_file", 3, "d/f/"), errno::NOTDIR);
    assert_eq!(guest.rename(3, "d/f", 3, "g"), 0);
    guest.open(3, "h", CREAT, WRITE, 0);
    // Both are open.
    assert_eq!(guest.rename(3, "g", 3, "h"), 0);
    assert_eq!(guest.rename(3, "h", 3, "d"), errno::ISDIR);
    assert_eq!(guest.rename(3, "d", 3, "h"), errno::NOTDIR);
    assert_eq!(guest.rename(3, "d", 3, "d/inner"), errno::INVAL);
    assert_eq!(guest.rename(3, "d", 3, "moved"), 0);
    let inner = guest.open(3, "moved", DIRECTORY, READ, 0);
    assert_eq!(guest.rename(3, "h", inner, "h"), 0);
    assert_eq!(guest.on_path("path_unlink_file", inner, "h"), 0);
    assert_eq!(guest.on_path("path_remove_directory", 3, "moved/"), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let dir = TempDir::new();
    let name = std::ffi::OsStr::from_bytes(b"a\xffb");
    if fs::write(dir.path().join(name), "").is_err() {
        return; // This file system has Unicode names only.
    }
    let mut guest = guest_in(&dir);
    guest.ok("fd_readdir", &[3, DATA.into(), 1000, 0, OUT.into()]);
    let used = guest.u32(OUT) as usize;
    let listed = guest.read(DATA, used);
    assert!(listed.windows(3).any(|window| window == b"a\xffb"));
    assert_eq!(
        guest.try_open(3, b"a\xffb", 0, 0, READ, 0),
        Err(errno::ILSEQ)
    );
}

#[test]
fn a_guest_without_memory_is_told_so() {
    use tepui::{Engine, Linker, Module, Store};
    let engine = Engine::default();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (func (export "yield") (result i32) (call $yield))
        (func (export "random") (result i32) (call $random (i32.const 0) (i32.const 1))))"#;
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut linker = Linker::new(&engine);
    tepui_wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(&engine, WasiCtx::builder().build().unwrap());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = |store: &mut Store<WasiCtx>, name| {
        instance
            .get_typed_func::<(), i32>(&mut *store, name)
            .unwrap()
            .call(store, ())
    };
    assert_eq!(run(&mut store, "yield").unwrap(), 0);
    let error = format!("{:?}", run(&mut store, "random").unwrap_err());
    assert!(error.contains("memory"), "{error}");
}
