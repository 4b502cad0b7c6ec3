//! A guest that calls any WASI function with any arguments, for tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a part of several test programs, none of which uses everything"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tepui::{Engine, Instance, Linker, Memory, Module, Store, Val};
use tepui_wasi::{Access, WasiCtx, WasiCtxBuilder};

/// Every function with its parameters: `i` for `i32`, `I` for `i64`. All but
/// `proc_exit` return an `i32`.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Errors by their names in the specification.
pub mod errno {
    pub const SUCCESS: i32 = 0;
    pub const ACCES: i32 = 2;
    pub const AGAIN: i32 = 6;
    pub const BADF: i32 = 8;
    pub const EXIST: i32 = 20;
    pub const FAULT: i32 = 21;
    pub const FBIG: i32 = 22;
    pub const ILSEQ: i32 = 25;
    pub const INVAL: i32 = 28;
    pub const ISDIR: i32 = 31;
    pub const LOOP: i32 = 32;
    pub const MFILE: i32 = 33;
    pub const NAMETOOLONG: i32 = 37;
    pub const NOENT: i32 = 44;
    pub const NOSPC: i32 = 51;
    pub const NOTCONN: i32 = 53;
    pub const NOTDIR: i32 = 54;
    pub const NOTEMPTY: i32 = 55;
    pub const NOTSOCK: i32 = 57;
    pub const NOTSUP: i32 = 58;
    pub const PERM: i32 = 63;
    pub const PIPE: i32 = 64;
    pub const ROFS: i32 = 69;
    pub const SPIPE: i32 = 70;
    pub const NOTCAPABLE: i32 = 76;
}

pub const READ: i64 = 1 << 1;
pub const WRITE: i64 = 1 << 6;
pub const ALL_RIGHTS: i64 = (1 << 30) - 1;
pub const CREAT: i64 = 1;
pub const DIRECTORY: i64 = 2;
pub const EXCL: i64 = 4;
pub const TRUNC: i64 = 8;
pub const FOLLOW: i64 = 1;
pub const APPEND: i64 = 1;
pub const NONBLOCK: i64 = 4;

/// Where results go.
pub const OUT: u32 = 64;
/// Where lists of buffers, subscriptions and so on go.
pub const LIST: u32 = 0x1000;
/// Where paths go.
const PATHS: u32 = 0x8000;
/// Where bytes go.
pub const DATA: u32 = 0x10000;

pub struct Guest {
    pub store: Store<WasiCtx>,
    pub memory: Memory,
    instance: Instance,
}

impl Guest {
    /// A guest made for preview 1 with one mebibyte of memory.
    pub fn new(ctx: &mut WasiCtxBuilder) -> Guest {
        Guest::with(ctx, "wasi_snapshot_preview1", 16)
    }

    pub fn with(ctx: &mut WasiCtxBuilder, interface: &str, pages: u32) -> Guest {
        let mut imports = String::new();
        let mut functions = String::new();
        for (name, parameters) in FUNCTIONS {
            if interface == "wasi_unstable" && *name == "sock_accept" {
                continue;
            }
            let types: String = parameters
                .chars()
                .map(|kind| if kind == 'i' { " i32" } else { " i64" })
                .collect();
            let result = if *name == "proc_exit" {
                ""
            } else {
                "(result i32)"
            };
            let arguments: String = (0..parameters.len())
                .map(|index| format!("(local.get {index})"))
                .collect();
            imports += &format!(
                "(import \"{interface}\" \"{name}\" (func ${name} (param{types}) {result}))\n"
            );
            functions += &format!(
                "(func (export \"{name}\") (param{types}) {result} (call ${name} {arguments}))\n"
            );
        }
        let text = format!("(module {imports} (memory (export \"memory\") {pages}) {functions})");
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(&text).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        tepui_wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
        tepui_wasi::add_unstable_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
        let mut store = Store::new(&engine, ctx.build().unwrap());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Guest {
            store,
            memory,
            instance,
        }
    }

    pub fn try_call(&mut self, name: &str, arguments: &[i64]) -> tepui::Result<i32> {
        let (_, parameters) = FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("no function {name}"));
        assert_eq!(parameters.len(), arguments.len(), "{name}");
        let arguments: Vec<Val> = parameters
            .chars()
            .zip(arguments)
            .map(|(kind, &value)| match kind {
                'i' => Val::I32(value as i32),
                _ => Val::I64(value),
            })
            .collect();
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let mut result = [Val::I32(-1)];
        let results = usize::from(name != "proc_exit");
        function.call(&mut self.store, &arguments, &mut result[..results])?;
        Ok(result[0].unwrap_i32())
    }

    pub fn call(&mut self, name: &str, arguments: &[i64]) -> i32 {
        self.try_call(name, arguments)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    #[track_caller]
    pub fn ok(&mut self, name: &str, arguments: &[i64]) {
        assert_eq!(self.call(name, arguments), 0, "{name}{arguments:?}");
    }

    pub fn write(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.memory.data_mut(&mut self.store)[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn read(&mut self, at: u32, length: usize) -> Vec<u8> {
        self.memory.data(&self.store)[at as usize..at as usize + length].to_vec()
    }

    pub fn u16(&mut self, at: u32) -> u16 {
        u16::from_le_bytes(self.read(at, 2).try_into().unwrap())
    }

    pub fn u32(&mut self, at: u32) -> u32 {
        u32::from_le_bytes(self.read(at, 4).try_into().unwrap())
    }

    pub fn u64(&mut self, at: u32) -> u64 {
        u64::from_le_bytes(self.read(at, 8).try_into().unwrap())
    }

    /// Puts a path into memory, in one of two places.
    pub fn path(&mut self, path: &[u8], place: u32) -> (i64, i64) {
        let at = PATHS + place * 0x4000;
        assert!(path.len() <= 0x4000);
        self.write(at, path);
        (i64::from(at), path.len() as i64)
    }

    /// Puts a list of buffers into memory.
    pub fn iovecs(&mut self, buffers: &[(u32, u32)]) -> (i64, i64) {
        for (index, (pointer, length)) in (0..).zip(buffers) {
            self.write(LIST + index * 8, &pointer.to_le_bytes());
            self.write(LIST + index * 8 + 4, &length.to_le_bytes());
        }
        (i64::from(LIST), buffers.len() as i64)
    }

    #[track_caller]
    pub fn open(&mut self, fd: i64, path: &str, oflags: i64, rights: i64, fdflags: i64) -> i64 {
        self.try_open(fd, path.as_bytes(), FOLLOW, oflags, rights, fdflags)
            .unwrap_or_else(|errno| panic!("open {path:?}: {errno}"))
    }

    pub fn try_open(
        &mut self,
        fd: i64,
        path: &[u8],
        dirflags: i64,
        oflags: i64,
        rights: i64,
        fdflags: i64,
    ) -> Result<i64, i32> {
        let (at, length) = self.path(path, 0);
        match self.call(
            "path_open",
            &[
                fd,
                dirflags,
                at,
                length,
                oflags,
                rights,
                ALL_RIGHTS,
                fdflags,
                OUT.into(),
            ],
        ) {
            0 => Ok(self.u32(OUT).into()),
            errno => Err(errno),
        }
    }

    pub fn write_fd(&mut self, fd: i64, bytes: &[u8]) -> Result<u32, i32> {
        self.write(DATA, bytes);
        let (list, count) = self.iovecs(&[(DATA, bytes.len() as u32)]);
        match self.call("fd_write", &[fd, list, count, OUT.into()]) {
            0 => Ok(self.u32(OUT)),
            errno => Err(errno),
        }
    }

    pub fn read_fd(&mut self, fd: i64, length: u32) -> Result<Vec<u8>, i32> {
        let (list, count) = self.iovecs(&[(DATA, length)]);
        match self.call("fd_read", &[fd, list, count, OUT.into()]) {
            0 => {
                let count = self.u32(OUT) as usize;
                Ok(self.read(DATA, count))
            }
            errno => Err(errno),
        }
    }

    /// Calls a function that takes a descriptor and a path.
    pub fn on_path(&mut self, name: &str, fd: i64, path: &str) -> i32 {
        let (at, length) = self.path(path.as_bytes(), 0);
        self.call(name, &[fd, at, length])
    }

    pub fn rename(&mut self, old_fd: i64, old: &str, new_fd: i64, new: &str) -> i32 {
        let (old, old_length) = self.path(old.as_bytes(), 0);
        let (new, new_length) = self.path(new.as_bytes(), 1);
        self.call(
            "path_rename",
            &[old_fd, old, old_length, new_fd, new, new_length],
        )
    }

    pub fn link(&mut self, old_fd: i64, flags: i64, old: &str, new_fd: i64, new: &str) -> i32 {
        let (old, old_length) = self.path(old.as_bytes(), 0);
        let (new, new_length) = self.path(new.as_bytes(), 1);
        self.call(
            "path_link",
            &[old_fd, flags, old, old_length, new_fd, new, new_length],
        )
    }

    pub fn symlink(&mut self, target: &str, fd: i64, path: &str) -> i32 {
        let (target, target_length) = self.path(target.as_bytes(), 0);
        let (at, length) = self.path(path.as_bytes(), 1);
        self.call("path_symlink", &[target, target_length, fd, at, length])
    }

    pub fn readlink(&mut self, fd: i64, path: &str, room: i64) -> Result<Vec<u8>, i32> {
        let (at, length) = self.path(path.as_bytes(), 0);
        match self.call(
            "path_readlink",
            &[fd, at, length, DATA.into(), room, OUT.into()],
        ) {
            0 => {
                let count = self.u32(OUT) as usize;
                Ok(self.read(DATA, count))
            }
            errno => Err(errno),
        }
    }

    pub fn stat(&mut self, fd: i64, flags: i64, path: &str) -> Result<Filestat, i32> {
        let (at, length) = self.path(path.as_bytes(), 0);
        match self.call("path_filestat_get", &[fd, flags, at, length, OUT.into()]) {
            0 => Ok(self.filestat()),
            errno => Err(errno),
        }
    }

    pub fn fstat(&mut self, fd: i64) -> Result<Filestat, i32> {
        match self.call("fd_filestat_get", &[fd, OUT.into()]) {
            0 => Ok(self.filestat()),
            errno => Err(errno),
        }
    }

    fn filestat(&mut self) -> Filestat {
        Filestat {
            dev: self.u64(OUT),
            ino: self.u64(OUT + 8),
            filetype: self.read(OUT + 16, 1)[0],
            nlink: self.u64(OUT + 24),
            size: self.u64(OUT + 32),
            atim: self.u64(OUT + 40),
            mtim: self.u64(OUT + 48),
        }
    }

    pub fn set_times(&mut self, fd: i64, flags: i64, path: &str, time: i64, which: i64) -> i32 {
        let (at, length) = self.path(path.as_bytes(), 0);
        self.call(
            "path_filestat_set_times",
            &[fd, flags, at, length, time, time, which],
        )
    }

    /// The names in a directory, read with a buffer of `room` bytes, `change`
    /// being called after each read.
    pub fn list(&mut self, fd: i64, room: u32, mut change: impl FnMut()) -> Vec<String> {
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            self.ok(
                "fd_readdir",
                &[fd, DATA.into(), room.into(), cookie, OUT.into()],
            );
            let used = self.u32(OUT);
            let mut at = 0;
            while at + 24 <= used {
                let next = self.u64(DATA + at) as i64;
                let length = self.u32(DATA + at + 16);
                if at + 24 + length > used {
                    break;
                }
                let name = self.read(DATA + at + 24, length as usize);
                names.push(String::from_utf8(name).unwrap());
                cookie = next;
                at += 24 + length;
            }
            if used < room {
                return names;
            }
            assert!(at > 0, "the buffer is too small for one entry");
            change();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filestat {
    pub dev: u64,
    pub ino: u64,
    pub filetype: u8,
    pub nlink: u64,
    pub size: u64,
    pub atim: u64,
    pub mtim: u64,
}

/// A folder that is gone after the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tepui-wasi-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        TempDir(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A guest that may change `dir`, which is its descriptor 3.
pub fn guest_in(dir: &TempDir) -> Guest {
    Guest::new(
        WasiCtx::builder()
            .preopened_dir(dir.path(), "/sandbox", Access::ReadWrite)
            .unwrap(),
    )
}

/// Numbers that look random and are the same in each run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
