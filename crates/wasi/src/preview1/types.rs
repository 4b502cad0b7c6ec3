//! The numbers and layouts of preview 1 (`typenames.witx`), and where those of
//! snapshot 0 differ.

use crate::services::{Durability, FileType, Metadata};

/// Which of the two interfaces a guest was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Snapshot {
    /// `wasi_unstable`.
    Zero,
    /// `wasi_snapshot_preview1`.
    One,
}

/// `rights`: one bit each, in the order of the specification.
pub(crate) mod rights {
    macro_rules! bits {
        ($($name:ident = $bit:literal,)*) => {
            $(pub(crate) const $name: u64 = 1 << $bit;)*
            /// Every right that there is.
            pub(crate) const ALL: u64 = $($name)|*;
        };
    }
    bits! {
        FD_DATASYNC = 0,
        FD_READ = 1,
        FD_SEEK = 2,
        FD_FDSTAT_SET_FLAGS = 3,
        FD_SYNC = 4,
        FD_TELL = 5,
        FD_WRITE = 6,
        FD_ADVISE = 7,
        FD_ALLOCATE = 8,
        PATH_CREATE_DIRECTORY = 9,
        PATH_CREATE_FILE = 10,
        PATH_LINK_SOURCE = 11,
        PATH_LINK_TARGET = 12,
        PATH_OPEN = 13,
        FD_READDIR = 14,
        PATH_READLINK = 15,
        PATH_RENAME_SOURCE = 16,
        PATH_RENAME_TARGET = 17,
        PATH_FILESTAT_GET = 18,
        PATH_FILESTAT_SET_SIZE = 19,
        PATH_FILESTAT_SET_TIMES = 20,
        FD_FILESTAT_GET = 21,
        FD_FILESTAT_SET_SIZE = 22,
        FD_FILESTAT_SET_TIMES = 23,
        PATH_SYMLINK = 24,
        PATH_REMOVE_DIRECTORY = 25,
        PATH_UNLINK_FILE = 26,
        POLL_FD_READWRITE = 27,
        SOCK_SHUTDOWN = 28,
        SOCK_ACCEPT = 29,
    }

    /// What any stream allows; reading and writing come on top.
    pub(crate) const STREAM: u64 = FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;
    /// What any file allows; reading and writing come on top.
    pub(crate) const FILE: u64 = STREAM
        | FD_DATASYNC
        | FD_SEEK
        | FD_SYNC
        | FD_TELL
        | FD_ADVISE
        | FD_ALLOCATE
        | FD_FILESTAT_SET_SIZE
        | FD_FILESTAT_SET_TIMES;
    /// What a directory allows.
    pub(crate) const DIRECTORY: u64 = FD_DATASYNC
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_SIZE
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE;
    /// What a connected socket allows.
    pub(crate) const SOCKET: u64 = STREAM | FD_READ | FD_WRITE | SOCK_SHUTDOWN;
    /// What a listening socket allows.
    pub(crate) const LISTENER: u64 = STREAM | SOCK_ACCEPT;
}

/// `fdflags`.
pub(crate) mod fdflags {
    use super::Durability;

    pub(crate) const APPEND: u16 = 1;
    pub(crate) const DSYNC: u16 = 2;
    pub(crate) const NONBLOCK: u16 = 4;
    pub(crate) const RSYNC: u16 = 8;
    pub(crate) const SYNC: u16 = 16;
    pub(crate) const ALL: u16 = 31;

    /// What the flags ask of writing.
    pub(crate) fn durability(flags: u16) -> Durability {
        if flags & (SYNC | RSYNC) != 0 {
            Durability::Full
        } else if flags & DSYNC != 0 {
            Durability::Data
        } else {
            Durability::Lazy
        }
    }
}

/// `oflags`.
pub(crate) mod oflags {
    pub(crate) const CREAT: u16 = 1;
    pub(crate) const DIRECTORY: u16 = 2;
    pub(crate) const EXCL: u16 = 4;
    pub(crate) const TRUNC: u16 = 8;
    pub(crate) const ALL: u16 = 15;
}

/// `lookupflags`.
pub(crate) mod lookupflags {
    pub(crate) const SYMLINK_FOLLOW: u32 = 1;
}

/// `fstflags`.
pub(crate) mod fstflags {
    pub(crate) const ATIM: u16 = 1;
    pub(crate) const ATIM_NOW: u16 = 2;
    pub(crate) const MTIM: u16 = 4;
    pub(crate) const MTIM_NOW: u16 = 8;
    pub(crate) const ALL: u16 = 15;
}

/// `riflags` and `roflags`.
pub(crate) mod sockflags {
    pub(crate) const RECV_PEEK: u16 = 1;
    pub(crate) const RECV_WAITALL: u16 = 2;
    pub(crate) const RECV_DATA_TRUNCATED: u16 = 1;
}

/// `filetype`.
pub(crate) mod filetype {
    use super::FileType;

    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const BLOCK_DEVICE: u8 = 1;
    pub(crate) const CHARACTER_DEVICE: u8 = 2;
    pub(crate) const DIRECTORY: u8 = 3;
    pub(crate) const REGULAR_FILE: u8 = 4;
    pub(crate) const SOCKET_DGRAM: u8 = 5;
    pub(crate) const SOCKET_STREAM: u8 = 6;
    pub(crate) const SYMBOLIC_LINK: u8 = 7;

    /// The number for what the file service names. Preview 1 has none for named
    /// pipes.
    pub(crate) fn of(file_type: FileType) -> u8 {
        match file_type {
            FileType::Unknown | FileType::Fifo => UNKNOWN,
            FileType::BlockDevice => BLOCK_DEVICE,
            FileType::CharacterDevice => CHARACTER_DEVICE,
            FileType::Directory => DIRECTORY,
            FileType::Regular => REGULAR_FILE,
            FileType::Socket => SOCKET_STREAM,
            FileType::SymbolicLink => SYMBOLIC_LINK,
        }
    }
}

/// A record under construction: fields are put at their offsets, and what lies
/// between them is zero.
pub(crate) struct Record<const SIZE: usize>(pub(crate) [u8; SIZE]);

impl<const SIZE: usize> Record<SIZE> {
    pub(crate) fn new() -> Self {
        Record([0; SIZE])
    }

    fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, offset: usize, value: u8) -> Self {
        self.put(offset, &[value])
    }

    pub(crate) fn u16(self, offset: usize, value: u16) -> Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub(crate) fn u32(self, offset: usize, value: u32) -> Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub(crate) fn u64(self, offset: usize, value: u64) -> Self {
        self.put(offset, &value.to_le_bytes())
    }
}

/// Size of `dirent` without the name that follows it.
pub(crate) const DIRENT_SIZE: usize = 24;
/// Size of `iovec` and `ciovec`.
pub(crate) const IOVEC_SIZE: u32 = 8;
/// Size of `event`.
pub(crate) const EVENT_SIZE: u32 = 32;

/// `fdstat`.
pub(crate) fn fdstat(filetype: u8, flags: u16, base: u64, inheriting: u64) -> [u8; 24] {
    Record::<24>::new()
        .u8(0, filetype)
        .u16(2, flags)
        .u64(8, base)
        .u64(16, inheriting)
        .0
}

/// `prestat` of a directory.
pub(crate) fn prestat_dir(name_length: u32) -> [u8; 8] {
    Record::<8>::new().u8(0, 0).u32(4, name_length).0
}

/// `dirent`.
pub(crate) fn dirent(next: u64, inode: u64, name_length: u32, filetype: u8) -> [u8; DIRENT_SIZE] {
    Record::<DIRENT_SIZE>::new()
        .u64(0, next)
        .u64(8, inode)
        .u32(16, name_length)
        .u8(20, filetype)
        .0
}

/// `event`.
pub(crate) fn event(userdata: u64, errno: u16, kind: u8, bytes: u64, flags: u16) -> [u8; 32] {
    Record::<32>::new()
        .u64(0, userdata)
        .u16(8, errno)
        .u8(10, kind)
        .u64(16, bytes)
        .u16(24, flags)
        .0
}

/// `filestat`, which in snapshot 0 has a `linkcount` of 32 bits: the bytes and
/// how many of them count.
pub(crate) fn filestat(snapshot: Snapshot, filetype: u8, metadata: &Metadata) -> ([u8; 64], usize) {
    let times = [metadata.accessed, metadata.modified, metadata.changed]
        .map(|time| time.saturating_nanoseconds());
    let record = Record::<64>::new()
        .u64(0, metadata.device)
        .u64(8, metadata.inode)
        .u8(16, filetype);
    let (record, rest, size) = match snapshot {
        Snapshot::Zero => {
            let links = u32::try_from(metadata.links).unwrap_or(u32::MAX);
            (record.u32(20, links), 24, 56)
        }
        Snapshot::One => (record.u64(24, metadata.links), 32, 64),
    };
    let record = record
        .u64(rest, metadata.size)
        .u64(rest + 8, times[0])
        .u64(rest + 16, times[1])
        .u64(rest + 24, times[2]);
    (record.0, size)
}

/// `subscription`, with what a `subscription_u` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    /// `eventtype`.
    pub(crate) kind: u8,
    /// For `clock`: `id`. Otherwise `file_descriptor`.
    pub(crate) id: u32,
    pub(crate) timeout: u64,
    /// `subclockflags`.
    pub(crate) flags: u16,
}

/// Size of `subscription`.
pub(crate) fn subscription_size(snapshot: Snapshot) -> u32 {
    match snapshot {
        Snapshot::Zero => 56,
        Snapshot::One => 48,
    }
}

impl Subscription {
    /// Reads one from its bytes, at least [`subscription_size`] of them. In
    /// snapshot 0 a `clock` begins with an `identifier` of 64 bits.
    pub(crate) fn read(snapshot: Snapshot, bytes: &[u8; 56]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let kind = bytes[8];
        let clock = match snapshot {
            Snapshot::Zero => 24,
            Snapshot::One => 16,
        };
        Subscription {
            userdata: u64_at(0),
            kind,
            id: u32_at(if kind == 0 { clock } else { 16 }),
            timeout: u64_at(clock + 8),
            flags: u64_at(clock + 24) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Timestamp;

    #[test]
    fn there_are_thirty_rights() {
        assert_eq!(rights::ALL, (1 << 30) - 1);
    }

    #[test]
    fn padding_is_zero() {
        let metadata = Metadata {
            device: u64::MAX,
            inode: u64::MAX,
            file_type: FileType::Regular,
            links: u64::MAX,
            size: u64::MAX,
            accessed: Timestamp::from_nanoseconds(u64::MAX),
            modified: Timestamp::from_nanoseconds(u64::MAX),
            changed: Timestamp::from_nanoseconds(u64::MAX),
        };
        let (bytes, size) = filestat(Snapshot::One, 0xff, &metadata);
        assert_eq!(size, 64);
        for (at, byte) in bytes.iter().enumerate() {
            let padding = (17..24).contains(&at);
            assert_eq!(*byte, if padding { 0 } else { 0xff }, "offset {at}");
        }
        let (bytes, size) = filestat(Snapshot::Zero, 0xff, &metadata);
        assert_eq!(size, 56);
        for (at, byte) in bytes[..size].iter().enumerate() {
            let padding = (17..20).contains(&at);
            assert_eq!(*byte, if padding { 0 } else { 0xff }, "offset {at}");
        }
        let bytes = fdstat(0xff, 0xffff, u64::MAX, u64::MAX);
        assert_eq!((bytes[1], &bytes[4..8]), (0, &[0; 4][..]));
        let bytes = dirent(u64::MAX, u64::MAX, u32::MAX, 0xff);
        assert_eq!(bytes[21..], [0; 3]);
        let bytes = event(u64::MAX, 0xffff, 0xff, u64::MAX, 0xffff);
        assert_eq!((&bytes[11..16], &bytes[26..]), (&[0; 5][..], &[0; 6][..]));
        assert_eq!(prestat_dir(u32::MAX)[..4], [0; 4]);
    }

    #[test]
    fn subscriptions_of_both_snapshots() {
        let mut bytes = [0; 56];
        bytes[0] = 9;
        bytes[16] = 77; // the identifier, or the clock
        bytes[24] = 1;
        bytes[32] = 2;
        bytes[48] = 1;
        let zero = Subscription::read(Snapshot::Zero, &bytes);
        assert_eq!(
            (zero.userdata, zero.id, zero.timeout, zero.flags),
            (9, 1, 2, 1)
        );
        bytes = [0; 56];
        bytes[16] = 1;
        bytes[24] = 2;
        bytes[40] = 1;
        let one = Subscription::read(Snapshot::One, &bytes);
        assert_eq!((one.id, one.timeout, one.flags), (1, 2, 1));
        bytes[8] = 1;
        bytes[16] = 5;
        assert_eq!(Subscription::read(Snapshot::Zero, &bytes).id, 5);
        assert_eq!(Subscription::read(Snapshot::One, &bytes).id, 5);
    }
}
