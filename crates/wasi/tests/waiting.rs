//! Waiting for clocks, pipes and sockets, seen from a guest, and where
//! `wasi_unstable` differs.
#![cfg(unix)]

mod common;

use common::*;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use tepui_wasi::{Access, Interrupted, MemoryInput, WasiCtx, pipe};

/// A subscription of preview 1.
fn subscription(userdata: u64, kind: u8, id: u32, timeout: u64, flags: u16) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = kind;
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// `userdata`, `errno`, type, bytes and flags of an event.
type Event = (u64, u16, u8, u64, u16);

fn poll(guest: &mut Guest, subscriptions: &[[u8; 48]]) -> Result<Vec<Event>, i32> {
    for (index, subscription) in (0..).zip(subscriptions) {
        guest.write(LIST + 48 * index, subscription);
    }
    guest.write(DATA, &vec![0xff; 32 * subscriptions.len()]);
    let count = subscriptions.len() as i64;
    match guest.call(
        "poll_oneoff",
        &[LIST.into(), DATA.into(), count, OUT.into()],
    ) {
        0 => {}
        errno => return Err(errno),
    }
    let count = guest.u32(OUT);
    Ok((0..count)
        .map(|index| {
            let at = DATA + 32 * index;
            assert_eq!(guest.read(at + 11, 5), [0; 5], "padding");
            assert_eq!(guest.read(at + 26, 6), [0; 6], "padding");
            (
                guest.u64(at),
                guest.u16(at + 8),
                guest.read(at + 10, 1)[0],
                guest.u64(at + 16),
                guest.u16(at + 24),
            )
        })
        .collect())
}

const MILLISECOND: u64 = 1_000_000;

#[test]
fn waiting_for_clocks() {
    let mut guest = Guest::new(&mut WasiCtx::builder());
    let start = Instant::now();
    let events = poll(
        &mut guest,
        &[
            subscription(1, 0, 1, 60_000 * MILLISECOND, 0),
            subscription(2, 0, 1, 50 * MILLISECOND, 0),
            subscription(3, 0, 0, u64::MAX, 0),
        ],
    );
    assert_eq!(events, Ok(vec![(2, 0, 0, 0, 0)]));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(30));
    // Points in time: past ones are due, future ones are waited for.
    for clock in [0, 1] {
        guest.ok("clock_time_get", &[clock, 0, OUT.into()]);
        let now = guest.u64(OUT);
        let start = Instant::now();
        let clock = clock as u32;
        assert_eq!(
            poll(&mut guest, &[subscription(4, 0, clock, 5, 1)]),
            Ok(vec![(4, 0, 0, 0, 0)])
        );
        assert!(start.elapsed() < Duration::from_secs(10));
        let events = poll(
            &mut guest,
            &[
                subscription(5, 0, clock, now + 40 * MILLISECOND, 1),
                subscription(6, 0, clock, u64::MAX, 1),
            ],
        );
        assert_eq!(events, Ok(vec![(5, 0, 0, 0, 0)]));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
    // Clocks that nobody can wait for, unknown ones, unknown flags and kinds.
    let events = poll(
        &mut guest,
        &[
            subscription(1, 0, 2, 5, 0),
            subscription(2, 0, 9, 5, 0),
            subscription(3, 0, 1, 5, 2),
            subscription(4, 3, 0, 5, 0),
            subscription(5, 0, 1, 60_000 * MILLISECOND, 0),
        ],
    );
    let expected = [
        (1, errno::NOTSUP, 0),
        (2, errno::INVAL, 0),
        (3, errno::INVAL, 0),
        (4, errno::INVAL, 3),
    ];
    assert_eq!(
        events,
        Ok(expected
            .map(|(user, errno, kind)| (user, errno as u16, kind, 0, 0))
            .to_vec())
    );
    assert_eq!(poll(&mut guest, &[]), Err(errno::INVAL));
    let arguments = [LIST.into(), DATA.into(), i64::from(u32::MAX), OUT.into()];
    assert_eq!(guest.call("poll_oneoff", &arguments), errno::FAULT);
}

#[test]
fn waiting_for_files() {
    let dir = TempDir::new();
    fs::write(dir.path().join("f"), "content").unwrap();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .stdin(MemoryInput::new("abc"))
            .preopened_dir(dir.path(), "/", Access::ReadWrite)
            .unwrap(),
    );
    let file = guest.open(3, "f", 0, READ | WRITE, 0) as u32;
    guest.read_fd(file.into(), 3).unwrap();
    let events = poll(
        &mut guest,
        &[
            subscription(1, 1, file, 0, 0),
            subscription(2, 2, file, 0, 0),
            subscription(3, 1, 0, 0, 0),
            subscription(4, 2, 1, 0, 0),
            subscription(5, 1, 99, 0, 0),
            subscription(6, 1, 3, 0, 0),
            subscription(7, 2, 0, 0, 0),
            subscription(8, 0, 1, 60_000 * MILLISECOND, 0),
        ],
    )
    .unwrap();
    let badf = errno::BADF as u16;
    assert_eq!(events.len(), 7);
    assert_eq!(events[0], (1, 0, 1, 4, 0));
    assert_eq!(events[1].1, 0);
    assert_eq!(events[2], (3, 0, 1, 3, 0));
    assert_eq!(events[3].1, 0);
    assert_eq!(events[4], (5, badf, 1, 0, 0));
    assert_eq!(events[5], (6, badf, 1, 0, 0));
    assert_eq!(events[6], (7, badf, 2, 0, 0));
}

#[test]
fn waiting_for_pipes_and_clocks_together() {
    // A pipe of the host's memory and one of the operating system.
    let (mut memory_writer, _) = pipe(100);
    let (system_reader, mut system_writer) = std::io::pipe().unwrap();
    for system in [false, true] {
        let mut ctx = WasiCtx::builder();
        if system {
            let reader = system_reader.try_clone().unwrap();
            ctx.stdin(tepui_wasi::host::HostInput::new(reader).unwrap());
        } else {
            let (writer, reader) = pipe(100);
            memory_writer = writer;
            ctx.stdin(reader);
        }
        let mut guest = Guest::new(&mut ctx);
        let both = [
            subscription(1, 1, 0, 0, 0),
            subscription(2, 0, 1, 40 * MILLISECOND, 0),
        ];
        // Nothing comes: the clock.
        let start = Instant::now();
        assert_eq!(poll(&mut guest, &both), Ok(vec![(2, 0, 0, 0, 0)]));
        assert!(start.elapsed() >= Duration::from_millis(40));
        // Something comes from another thread: the pipe, at once.
        let long = [
            subscription(1, 1, 0, 0, 0),
            subscription(2, 0, 1, 60_000 * MILLISECOND, 0),
        ];
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                if system {
                    system_writer.write_all(b"hello").unwrap();
                } else {
                    memory_writer.write_all(b"hello").unwrap();
                }
            });
            assert_eq!(poll(&mut guest, &long), Ok(vec![(1, 0, 1, 5, 0)]));
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(guest.read_fd(0, 100).unwrap(), b"hello");
        // A blocking read waits too.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                if system {
                    system_writer.write_all(b"again").unwrap();
                } else {
                    memory_writer.write_all(b"again").unwrap();
                }
            });
            assert_eq!(guest.read_fd(0, 100).unwrap(), b"again");
        });
        // One that is not to block says so.
        guest.ok("fd_fdstat_set_flags", &[0, NONBLOCK]);
        assert_eq!(guest.read_fd(0, 100), Err(errno::AGAIN));
    }
}

#[test]
fn many_subscriptions_on_one_thing() {
    let mut guest = Guest::with(&mut WasiCtx::builder(), "wasi_snapshot_preview1", 200);
    // In and out are the same memory, 200,000 times the same descriptor.
    let count: u32 = 200_000;
    for index in 0..count {
        guest.write(48 * index + 4096, &subscription(index.into(), 1, 0, 0, 0));
    }
    guest.ok("poll_oneoff", &[4096, 4096, count.into(), OUT.into()]);
    assert_eq!(guest.u32(OUT), count);
    for index in [0, 1, 77_777, count - 1] {
        assert_eq!(guest.u64(4096 + 32 * index), index.into());
    }
}

#[test]
fn waits_can_be_interrupted() {
    let (_writer, reader) = pipe(10);
    let (system_reader, system_writer) = std::io::pipe().unwrap();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .stdin(reader)
            .stdout(tepui_wasi::host::HostOutput::new(system_writer).unwrap()),
    );
    let handle = guest.store.data().interrupt_handle();
    for round in 0..3 {
        let start = Instant::now();
        let interrupter = std::thread::spawn({
            let handle = handle.clone();
            move || {
                std::thread::sleep(Duration::from_millis(30));
                handle.interrupt();
            }
        });
        let error = match round {
            0 => {
                let (list, count) = guest.iovecs(&[(DATA, 1)]);
                guest.try_call("fd_read", &[0, list, count, OUT.into()])
            }
            1 => {
                guest.write(LIST, &subscription(1, 0, 1, u64::MAX, 0));
                guest.try_call("poll_oneoff", &[LIST.into(), DATA.into(), 1, OUT.into()])
            }
            // Far more than the pipe holds, to a peer that does not read.
            _ => {
                for index in 0..1024 {
                    guest.write(LIST + 8 * index, &0_u32.to_le_bytes());
                    guest.write(LIST + 8 * index + 4, &(1_u32 << 20).to_le_bytes());
                }
                guest.try_call("fd_write", &[1, LIST.into(), 1024, OUT.into()])
            }
        }
        .unwrap_err();
        assert!(error.downcast_ref::<Interrupted>().is_some(), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(30));
        interrupter.join().unwrap();
        handle.reset();
    }
    drop(system_reader);
}

#[test]
fn a_gone_reader_is_an_error() {
    let (writer, reader) = pipe(10);
    let mut guest = Guest::new(WasiCtx::builder().stdout(writer));
    assert_eq!(guest.write_fd(1, b"12345"), Ok(5));
    drop(reader);
    assert_eq!(guest.write_fd(1, b"x"), Err(errno::PIPE));
}

#[test]
fn a_large_write_reaches_a_slow_reader() {
    let (writer, mut reader) = pipe(100);
    let mut guest = Guest::new(WasiCtx::builder().stdout(writer));
    let data: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    assert_eq!(guest.write_fd(1, &data), Ok(100_000));
    drop(guest);
    assert_eq!(thread.join().unwrap(), data);
}

#[test]
fn named_pipes_do_not_hold_the_host_up() {
    let dir = TempDir::new();
    let path = dir.path().join("fifo");
    let status = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let mut guest = guest_in(&dir);
    let fifo = guest.open(3, "fifo", 0, READ, NONBLOCK);
    assert_eq!(guest.read_fd(fifo, 10), Err(errno::AGAIN));
    assert_eq!(guest.set_times(3, FOLLOW, "fifo", 5_000_000_000, 5), 0);
    assert_eq!(guest.stat(3, FOLLOW, "fifo").unwrap().mtim, 5_000_000_000);
    assert_eq!(
        guest.call("fd_seek", &[fifo, 0, 0, OUT.into()]),
        errno::SPIPE
    );
    let mut writer = fs::File::options().write(true).open(&path).unwrap();
    writer.write_all(b"abc").unwrap();
    let subscriptions = [subscription(1, 1, fifo as u32, 0, 0)];
    assert_eq!(poll(&mut guest, &subscriptions), Ok(vec![(1, 0, 1, 3, 0)]));
    assert_eq!(guest.read_fd(fifo, 10).unwrap(), b"abc");
    drop(writer);
    assert_eq!(guest.read_fd(fifo, 10).unwrap(), b"");
    // A blocking read waits for the first writer.
    let fifo = guest.open(3, "fifo", 0, READ, 0);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        let mut writer = fs::File::options().write(true).open(&path).unwrap();
        writer.write_all(b"late").unwrap();
    });
    assert_eq!(guest.read_fd(fifo, 10).unwrap(), b"late");
    thread.join().unwrap();
}

#[test]
fn sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let dir = TempDir::new();
    let mut guest = Guest::new(
        WasiCtx::builder()
            .preopened_listener(listener)
            .unwrap()
            .preopened_dir(dir.path(), "/", Access::ReadWrite)
            .unwrap(),
    );
    let listening = 4;
    guest.ok("fd_fdstat_get", &[listening, OUT.into()]);
    assert_eq!(guest.read(OUT, 1)[0], 6);
    assert_eq!(
        guest.call("sock_accept", &[3, 0, OUT.into()]),
        errno::NOTSOCK
    );
    assert_eq!(
        guest.call("sock_accept", &[listening, 1, OUT.into()]),
        errno::INVAL
    );
    assert_eq!(guest.call("sock_accept", &[listening, 0, -1]), errno::FAULT);
    assert_eq!(guest.call("sock_shutdown", &[listening, 3]), errno::NOTCONN);
    guest.ok("fd_fdstat_set_flags", &[listening, NONBLOCK]);
    assert_eq!(
        guest.call("sock_accept", &[listening, 0, OUT.into()]),
        errno::AGAIN
    );
    guest.ok("fd_fdstat_set_flags", &[listening, 0]);

    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        TcpStream::connect(address).unwrap()
    });
    let events = poll(&mut guest, &[subscription(1, 1, listening as u32, 0, 0)]);
    assert_eq!(events.unwrap()[0].0, 1);
    guest.ok("sock_accept", &[listening, 0, OUT.into()]);
    let socket = i64::from(guest.u32(OUT));
    let mut client = client.join().unwrap();
    guest.ok("fd_fdstat_get", &[socket, OUT.into()]);
    assert_eq!(guest.read(OUT, 1)[0], 6);

    client.write_all(b"hello").unwrap();
    let (flags, data) = (OUT + 8, DATA);
    let receive = |guest: &mut Guest, length: u32, how: i64| {
        let (list, count) = guest.iovecs(&[(data, 2), (data + 2, length - 2)]);
        match guest.call(
            "sock_recv",
            &[socket, list, count, how, OUT.into(), flags.into()],
        ) {
            0 => {
                let count = guest.u32(OUT) as usize;
                Ok(guest.read(data, count))
            }
            errno => Err(errno),
        }
    };
    // Peeking with a wait for all of it, then taking.
    assert_eq!(receive(&mut guest, 5, 1).unwrap()[..1], *b"h");
    assert_eq!(receive(&mut guest, 5, 2).unwrap(), b"hello");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for part in [&b"ab"[..], b"cd", b"ef"] {
                client.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        assert_eq!(receive(&mut guest, 6, 2).unwrap(), b"abcdef");
    });
    assert_eq!(receive(&mut guest, 6, 4), Err(errno::INVAL));
    assert_eq!(receive(&mut guest, 6, 0x1_0000), Err(errno::INVAL));

    guest.write(DATA, b"reply");
    let (list, count) = guest.iovecs(&[(DATA, 2), (DATA + 2, 3)]);
    guest.ok("sock_send", &[socket, list, count, 0, OUT.into()]);
    assert_eq!(guest.u32(OUT), 5);
    assert_eq!(
        guest.call("sock_send", &[socket, list, count, 1, OUT.into()]),
        errno::INVAL
    );
    assert_eq!(
        guest.call("sock_send", &[1, list, count, 0, OUT.into()]),
        errno::NOTSOCK
    );
    assert_eq!(guest.write_fd(socket, b"!"), Ok(1));
    for how in [0, 4, 255, -1] {
        assert_eq!(guest.call("sock_shutdown", &[socket, how]), errno::INVAL);
    }
    guest.ok("sock_shutdown", &[socket, 2]);
    assert_eq!(guest.write_fd(socket, b"!"), Err(errno::PIPE));
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "reply!");
    client.write_all(b"bye").unwrap();
    drop(client);
    assert_eq!(guest.read_fd(socket, 10).unwrap(), b"bye");
    assert_eq!(guest.read_fd(socket, 10).unwrap(), b"");
    let events = poll(&mut guest, &[subscription(1, 1, socket as u32, 0, 0)]).unwrap();
    assert_eq!((events[0].1, events[0].4), (0, 1));
}

#[test]
fn datagrams_tell_of_what_was_cut() {
    use std::os::unix::net::UnixDatagram;
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut guest =
        Guest::new(WasiCtx::builder().socket(tepui_wasi::host::HostSocket::new(theirs).unwrap()));
    guest.ok("fd_fdstat_get", &[3, OUT.into()]);
    assert_eq!(guest.read(OUT, 1)[0], 5);
    ours.send(b"long message").unwrap();
    let (list, count) = guest.iovecs(&[(DATA, 4)]);
    guest.ok(
        "sock_recv",
        &[3, list, count, 0, OUT.into(), (OUT + 8).into()],
    );
    assert_eq!((guest.u32(OUT), guest.u16(OUT + 8)), (4, 1));
    ours.send(b"abcd").unwrap();
    guest.ok(
        "sock_recv",
        &[3, list, count, 2, OUT.into(), (OUT + 8).into()],
    );
    assert_eq!((guest.u32(OUT), guest.u16(OUT + 8)), (4, 0));
    assert_eq!(guest.write_fd(3, b"answer"), Ok(6));
    let mut buffer = [0; 10];
    assert_eq!(ours.recv(&mut buffer).unwrap(), 6);
}

/// Where `wasi_unstable` differs.
#[test]
fn snapshot_zero() {
    let dir = TempDir::new();
    fs::write(dir.path().join("f"), "content").unwrap();
    let mut ctx = WasiCtx::builder();
    ctx.preopened_dir(dir.path(), "/", Access::ReadWrite)
        .unwrap();
    let mut guest = Guest::with(&mut ctx, "wasi_unstable", 16);
    let file = guest.open(3, "f", 0, READ, 0);
    let mut seek = |offset: i64, whence| {
        guest.ok("fd_seek", &[file, offset, whence, OUT.into()]);
        guest.u64(OUT)
    };
    assert_eq!(seek(3, 2), 3);
    assert_eq!(seek(2, 0), 5);
    assert_eq!(seek(-1, 1), 6);
    assert_eq!(
        guest.call("fd_seek", &[file, 0, 3, OUT.into()]),
        errno::INVAL
    );

    fs::hard_link(dir.path().join("f"), dir.path().join("g")).unwrap();
    let (at, length) = guest.path(b"f", 0);
    for call in ["fd_filestat_get", "path_filestat_get"] {
        guest.write(OUT, &[0xff; 64]);
        match call {
            "fd_filestat_get" => guest.ok(call, &[file, OUT.into()]),
            _ => guest.ok(call, &[3, 0, at, length, OUT.into()]),
        }
        let metadata = fs::metadata(dir.path().join("f")).unwrap();
        assert_eq!(guest.u64(OUT + 8), metadata.ino());
        assert_eq!(guest.read(OUT + 16, 4), [4, 0, 0, 0]);
        assert_eq!(guest.u32(OUT + 20), 2);
        assert_eq!(guest.u64(OUT + 24), 7);
        let modified = metadata.mtime() as u64 * 1_000_000_000 + metadata.mtime_nsec() as u64;
        assert_eq!(guest.u64(OUT + 40), modified);
        // It ends after 56 bytes.
        assert_eq!(guest.read(OUT + 56, 8), [0xff; 8]);
    }

    // Subscriptions are of 56 bytes, with an identifier before a clock.
    let mut bytes = [0_u8; 112];
    bytes[0] = 1;
    bytes[16..24].copy_from_slice(&[0xff; 8]);
    bytes[24] = 1;
    bytes[32..40].copy_from_slice(&(60_000 * MILLISECOND).to_le_bytes());
    bytes[56] = 2;
    bytes[56 + 8] = 1;
    bytes[56 + 16] = file as u8;
    guest.write(LIST, &bytes);
    guest.ok("poll_oneoff", &[LIST.into(), DATA.into(), 2, OUT.into()]);
    assert_eq!(guest.u32(OUT), 1);
    assert_eq!((guest.u64(DATA), guest.u64(DATA + 16)), (2, 1));
    let start = Instant::now();
    bytes[32..40].copy_from_slice(&(40 * MILLISECOND).to_le_bytes());
    guest.write(LIST, &bytes);
    guest.ok("poll_oneoff", &[LIST.into(), DATA.into(), 1, OUT.into()]);
    assert!(start.elapsed() >= Duration::from_millis(40));
    assert_eq!(guest.u64(DATA), 1);
}
