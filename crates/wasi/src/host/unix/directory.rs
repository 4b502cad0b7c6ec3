//! Folders of the system, with everything kept beneath them.
//!
//! Paths are resolved by `cap-primitives`: by the kernel (`openat2` with
//! `RESOLVE_BENEATH` and without magic links) where it can, otherwise component
//! by component with `O_NOFOLLOW`. Either way each step starts from an open
//! directory, so that a rename or a new symbolic link between a check and a use
//! leads nowhere. What changes a directory opens the parent so and names the
//! last component alone.

use super::file::{HostFile, check_mutable, metadata_of, timestamps};
use crate::services::{
    Access, Create, DirEntry, Directory, Durability, ErrorCode, FileType, Follow, Metadata,
    OpenOptions, Opened, Result, SetTime, Timestamp,
};
use cap_primitives::fs::{self as cap, FollowSymlinks, OpenOptionsExt as _};
use rustix::fs::{Mode, OFlags, openat};
use std::any::Any;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// A folder of the operating system, and all beneath it.
#[derive(Debug)]
pub struct HostDirectory {
    file: fs::File,
    access: Access,
    #[cfg_attr(
        all(target_os = "linux", target_pointer_width = "64"),
        allow(dead_code)
    )]
    listing: listing::Listing,
}

impl HostDirectory {
    /// Opens the folder `path` of the host, which may be any that the process
    /// can reach. This is where the guest's authority comes from.
    ///
    /// # Errors
    ///
    /// What the system says: that it does not exist, or is no directory.
    pub fn open(path: impl AsRef<Path>, access: Access) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path.as_ref(), flags, Mode::empty())?;
        Ok(Self::new(file.into(), access))
    }

    fn new(file: fs::File, access: Access) -> Self {
        HostDirectory {
            file,
            access,
            listing: Default::default(),
        }
    }

    /// Another directory of this implementation that may be changed too.
    fn peer<'a>(&self, other: &'a dyn Directory) -> Result<&'a HostDirectory> {
        check_mutable(self.access)?;
        let other = other
            .as_any()
            .downcast_ref::<HostDirectory>()
            .ok_or(ErrorCode::CrossDevice)?;
        check_mutable(other.access)?;
        Ok(other)
    }
}

fn follow(follow: Follow) -> FollowSymlinks {
    match follow {
        Follow::No => FollowSymlinks::No,
        Follow::Yes => FollowSymlinks::Yes,
    }
}

fn metadata_from(metadata: &cap::Metadata) -> Metadata {
    use cap::{FileTypeExt as _, MetadataExt as _};
    let file_type = metadata.file_type();
    let time = |seconds, nanoseconds: i64| Timestamp {
        seconds,
        nanoseconds: nanoseconds.clamp(0, 999_999_999) as u32,
    };
    Metadata {
        device: metadata.dev(),
        inode: metadata.ino(),
        file_type: if file_type.is_file() {
            FileType::Regular
        } else if file_type.is_dir() {
            FileType::Directory
        } else if file_type.is_symlink() {
            FileType::SymbolicLink
        } else if file_type.is_char_device() {
            FileType::CharacterDevice
        } else if file_type.is_block_device() {
            FileType::BlockDevice
        } else if file_type.is_fifo() {
            FileType::Fifo
        } else if file_type.is_socket() {
            FileType::Socket
        } else {
            FileType::Unknown
        },
        links: metadata.nlink(),
        size: metadata.size(),
        accessed: time(metadata.atime(), metadata.atime_nsec()),
        modified: time(metadata.mtime(), metadata.mtime_nsec()),
        changed: time(metadata.ctime(), metadata.ctime_nsec()),
    }
}

impl Directory for HostDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open_at(&self, path: &str, options: &OpenOptions) -> Result<Opened> {
        if options.write || options.truncate || options.create != Create::Never {
            check_mutable(self.access)?;
        }
        // Without blocking, so that a named pipe does not hold the host up, and
        // never becoming the process's controlling terminal.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if options.truncate {
            flags |= OFlags::TRUNC;
        }
        if options.directory {
            flags |= OFlags::DIRECTORY;
        }
        flags |= match options.create {
            Create::Never => OFlags::empty(),
            Create::IfMissing => OFlags::CREATE,
            Create::Exclusive => OFlags::CREATE | OFlags::EXCL,
        };
        flags |= match options.durability {
            Durability::Lazy => OFlags::empty(),
            Durability::Data => OFlags::DSYNC,
            Durability::Full => OFlags::SYNC,
        };
        let mut open = cap::OpenOptions::new();
        open.read(options.read || !options.write)
            .write(options.write)
            .custom_flags(flags.bits() as i32)
            ._cap_fs_ext_follow(follow(options.follow));
        let file = cap::open(&self.file, Path::new(path), &open)?;
        if file.metadata()?.is_dir() {
            return Ok(Opened::Directory(Box::new(Self::new(file, self.access))));
        }
        let file = HostFile::new(file, self.access, options.write)?;
        Ok(Opened::File(Box::new(file)))
    }

    fn metadata(&self) -> Result<Metadata> {
        metadata_of(&self.file)
    }

    fn metadata_at(&self, path: &str, links: Follow) -> Result<Metadata> {
        // Paths that end so name a directory, and lead through a link there.
        let links = if path.ends_with('/') || path.ends_with("/.") {
            Follow::Yes
        } else {
            links
        };
        let metadata = cap::stat(&self.file, Path::new(path), follow(links))?;
        Ok(metadata_from(&metadata))
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        check_mutable(self.access)?;
        Ok(rustix::fs::futimens(
            &self.file,
            &timestamps(accessed, modified)?,
        )?)
    }

    #[cfg(target_os = "linux")]
    fn set_times_at(
        &self,
        path: &str,
        links: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<()> {
        use rustix::fs::{AtFlags, utimensat};
        use rustix::io::Errno;
        use std::os::fd::AsRawFd;

        check_mutable(self.access)?;
        let times = timestamps(accessed, modified)?;
        // A handle that needs no permission on the object, and does not wait
        // for the other end of a named pipe.
        let mut open = cap::OpenOptions::new();
        open.read(true)
            .custom_flags(OFlags::PATH.bits() as i32)
            ._cap_fs_ext_follow(follow(links));
        let file = cap::open(&self.file, Path::new(path), &open)?;
        match utimensat(&file, "", &times, AtFlags::EMPTY_PATH) {
            // Kernels before 5.8 lack this; there the handle's own name does.
            Err(Errno::INVAL | Errno::NOENT) => {
                let name = format!("/proc/self/fd/{}", file.as_raw_fd());
                Ok(utimensat(rustix::fs::CWD, name, &times, AtFlags::empty())?)
            }
            result => Ok(result?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn set_times_at(
        &self,
        path: &str,
        links: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<()> {
        check_mutable(self.access)?;
        let time = |time| {
            use cap_primitives::time::SystemTime;
            use std::time::{Duration, UNIX_EPOCH};
            Ok(match time {
                SetTime::Keep => None,
                SetTime::Now => Some(cap::SystemTimeSpec::SymbolicNow),
                SetTime::To(time) => {
                    let whole = Duration::from_secs(time.seconds.unsigned_abs());
                    let seconds = if time.seconds < 0 {
                        UNIX_EPOCH.checked_sub(whole)
                    } else {
                        UNIX_EPOCH.checked_add(whole)
                    };
                    let time = seconds
                        .and_then(|at| {
                            at.checked_add(Duration::from_nanos(time.nanoseconds.into()))
                        })
                        .ok_or(ErrorCode::Invalid)?;
                    Some(SystemTime::from_std(time).into())
                }
            })
        };
        let (path, accessed, modified) = (Path::new(path), time(accessed)?, time(modified)?);
        Ok(match links {
            Follow::No => cap::set_times_nofollow(&self.file, path, accessed, modified)?,
            Follow::Yes => cap::set_times(&self.file, path, accessed, modified)?,
        })
    }

    fn create_directory_at(&self, path: &str) -> Result<()> {
        check_mutable(self.access)?;
        Ok(cap::create_dir(
            &self.file,
            Path::new(path),
            &cap::DirOptions::new(),
        )?)
    }

    fn remove_directory_at(&self, path: &str) -> Result<()> {
        check_mutable(self.access)?;
        // A slash at the end is fine: it is a directory that is removed. (Of a
        // link to one it is not, with the slash or without.)
        let path = match path.trim_end_matches('/') {
            "" => path,
            name => name,
        };
        Ok(cap::remove_dir(&self.file, Path::new(path))?)
    }

    fn unlink_file_at(&self, path: &str) -> Result<()> {
        check_mutable(self.access)?;
        let result = cap::remove_file(&self.file, Path::new(path)).map_err(ErrorCode::from);
        // POSIX lets systems call a directory "not permitted" here.
        if result == Err(ErrorCode::NotPermitted)
            && let Ok(metadata) = self.metadata_at(path, Follow::No)
            && metadata.file_type == FileType::Directory
        {
            return Err(ErrorCode::IsDirectory);
        }
        result
    }

    fn read_link_at(&self, path: &str) -> Result<OsString> {
        Ok(cap::read_link(&self.file, Path::new(path))?.into_os_string())
    }

    fn symlink_at(&self, target: &str, path: &str) -> Result<()> {
        check_mutable(self.access)?;
        Ok(cap::symlink(
            Path::new(target),
            &self.file,
            Path::new(path),
        )?)
    }

    fn link_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        Ok(cap::hard_link(
            &self.file,
            Path::new(path),
            &new.file,
            Path::new(new_path),
        )?)
    }

    fn rename_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        Ok(cap::rename(
            &self.file,
            Path::new(path),
            &new.file,
            Path::new(new_path),
        )?)
    }

    fn read_directory(
        &self,
        from: u64,
        entry: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(&self.file, ".", flags, Mode::empty())?;
        let mut directory = rustix::fs::Dir::new(fd)?;
        // The number of `..` would tell about a folder that the guest was not
        // given, so both dots tell this one's.
        let own = metadata_of(&self.file)?.inode;
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        return listing::by_offset(&mut directory, own, from, entry);
        #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
        return self.listing.by_index(&mut directory, own, from, entry);
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.sync_all()?)
    }
}

/// Reading a directory from a place that was told before.
mod listing {
    use super::*;
    use rustix::fs::Dir;
    use std::os::unix::ffi::OsStringExt;
    use std::sync::{Mutex, PoisonError};

    /// The most entries that a listing kept in memory may have.
    #[cfg_attr(
        all(target_os = "linux", target_pointer_width = "64"),
        allow(dead_code)
    )]
    const MOST_ENTRIES: usize = 1 << 20;

    /// For systems whose directory offsets do not survive: the directory as it
    /// was when it was last read from its beginning.
    #[derive(Debug, Default)]
    pub(super) struct Listing(Mutex<Vec<DirEntry>>);

    fn convert(entry: &rustix::fs::DirEntry, own: u64, next: u64) -> DirEntry {
        let name = entry.file_name().to_bytes();
        DirEntry {
            next,
            inode: match name {
                b"." | b".." => own,
                _ => entry.ino(),
            },
            file_type: match entry.file_type() {
                rustix::fs::FileType::RegularFile => FileType::Regular,
                rustix::fs::FileType::Directory => FileType::Directory,
                rustix::fs::FileType::Symlink => FileType::SymbolicLink,
                rustix::fs::FileType::Fifo => FileType::Fifo,
                rustix::fs::FileType::Socket => FileType::Socket,
                rustix::fs::FileType::CharacterDevice => FileType::CharacterDevice,
                rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
                rustix::fs::FileType::Unknown => FileType::Unknown,
            },
            name: OsString::from_vec(name.to_vec()),
        }
    }

    /// Reads with the file system's own offsets, which stay valid while other
    /// entries come and go, and needs no memory.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub(super) fn by_offset(
        directory: &mut Dir,
        own: u64,
        from: u64,
        sink: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let from = i64::try_from(from).map_err(|_| ErrorCode::Invalid)?;
        if from != 0 {
            directory.seek(from)?;
        }
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let next = entry.offset() as u64;
            if sink(convert(&entry, own, next)).is_break() {
                break;
            }
        }
        Ok(())
    }

    impl Listing {
        /// Reads from a listing that is taken anew at the beginning.
        #[cfg_attr(
            all(target_os = "linux", target_pointer_width = "64"),
            allow(dead_code)
        )]
        pub(super) fn by_index(
            &self,
            directory: &mut Dir,
            own: u64,
            from: u64,
            sink: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
        ) -> Result<()> {
            let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if from == 0 || entries.is_empty() {
                entries.clear();
                while let Some(entry) = directory.read() {
                    if entries.len() == MOST_ENTRIES {
                        return Err(ErrorCode::NoMemory);
                    }
                    let next = entries.len() as u64 + 1;
                    entries.push(convert(&entry?, own, next));
                }
            }
            let from = usize::try_from(from).map_err(|_| ErrorCode::Invalid)?;
            let rest = entries.get(from..).ok_or(ErrorCode::Invalid)?;
            for entry in rest {
                if sink(entry.clone()).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_indexed_listing_survives_changes() {
            let path = std::env::temp_dir().join(format!("tepui-wasi-list-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            for name in ["a", "b", "c"] {
                fs::write(path.join(name), name).unwrap();
            }
            let listing = Listing::default();
            let read = |from: u64, most: usize| {
                let file = fs::File::open(&path).unwrap();
                let mut directory = Dir::read_from(&file).unwrap();
                let mut entries = Vec::new();
                listing
                    .by_index(&mut directory, 1, from, &mut |entry| {
                        entries.push(entry);
                        if entries.len() == most {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    })
                    .map(|()| entries)
            };
            let first = read(0, 2).unwrap();
            assert_eq!(first.len(), 2);
            for name in ["a", "b", "c"] {
                fs::remove_file(path.join(name)).unwrap();
            }
            fs::write(path.join("d"), "d").unwrap();
            let rest = read(first[1].next, 100).unwrap();
            assert_eq!(rest.len(), 3, "{rest:?}");
            assert!(read(1000, 1).is_err());
            assert_eq!(read(0, 100).unwrap().len(), 3);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}
