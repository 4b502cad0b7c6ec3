//! Folders of the system, with everything kept beneath them.
//!
//! Paths are resolved by `cap-primitives`: by the kernel (`openat2` with
//! `RESOLVE_BENEATH` and without magic links) where it can, otherwise component
//! by component with `O_NOFOLLOW`. Either way each step starts from an open
//! directory, so that a rename or a new symbolic link between a check and a use
//! leads nowhere. What changes a directory opens the parent so and names the
//! last component alone.

use super::file::{HostFile, metadata_from, metadata_of, timestamps};
use crate::host::paths::{followed, without_slashes};
use crate::host::policy::{Governed, Rights};
use crate::services::{
    Access, Create, DirEntry, Directory, Durability, ErrorCode, FileType, Follow, Metadata,
    OpenOptions, Opened, Result, SetTime,
};
use cap_primitives::fs::{self as cap, FollowSymlinks, OpenOptionsExt as _};
use rustix::fs::{Mode, OFlags, openat};
use std::any::Any;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// A folder of the operating system, and all beneath it.
#[derive(Debug)]
pub struct HostDirectory {
    file: fs::File,
    access: Access,
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    listing: crate::host::listing::Listing,
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
            #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
            listing: Default::default(),
        }
    }
}

fn follow(follow: Follow) -> FollowSymlinks {
    match follow {
        Follow::No => FollowSymlinks::No,
        Follow::Yes => FollowSymlinks::Yes,
    }
}

impl Governed for HostDirectory {
    fn access(&self) -> Access {
        self.access
    }
}

impl Directory for HostDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open_at(&self, path: &str, options: &OpenOptions) -> Result<Opened> {
        self.access.check_open(options)?;
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
        let file = HostFile::new(file, Rights::new(self.access, options))?;
        Ok(Opened::File(Box::new(file)))
    }

    fn metadata(&self) -> Result<Metadata> {
        metadata_of(&self.file)
    }

    fn metadata_at(&self, path: &str, links: Follow) -> Result<Metadata> {
        let links = follow(followed(path, links));
        let metadata = cap::stat(&self.file, Path::new(path), links)?;
        Ok(metadata_from(&metadata))
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.access.check_mutable()?;
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

        self.access.check_mutable()?;
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
        self.access.check_mutable()?;
        let time = |time| {
            use cap_primitives::time::SystemTime;
            Ok(match time {
                SetTime::Keep => None,
                SetTime::Now => Some(cap::SystemTimeSpec::SymbolicNow),
                SetTime::To(time) => Some(SystemTime::from_std(time.try_into()?).into()),
            })
        };
        let (path, accessed, modified) = (Path::new(path), time(accessed)?, time(modified)?);
        Ok(match links {
            Follow::No => cap::set_times_nofollow(&self.file, path, accessed, modified)?,
            Follow::Yes => cap::set_times(&self.file, path, accessed, modified)?,
        })
    }

    fn create_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        Ok(cap::create_dir(
            &self.file,
            Path::new(path),
            &cap::DirOptions::new(),
        )?)
    }

    fn remove_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        // A slash at the end is fine: it is a directory that is removed. (Of a
        // link to one it is not, with the slash or without.)
        let path = Path::new(without_slashes(path));
        Ok(cap::remove_dir(&self.file, path)?)
    }

    fn unlink_file_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
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
        self.access.check_mutable()?;
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
        return read_by_offset(&mut directory, own, from, entry);
        #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
        return self.listing.read(
            from,
            |add| {
                while let Some(entry) = directory.read() {
                    let (name, file_type, inode) = entry_of(&entry?, own);
                    add(name, file_type, inode)?;
                }
                Ok(())
            },
            entry,
        );
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.sync_all()?)
    }
}

/// The entry of the system as ours, its name, type and number.
fn entry_of(entry: &rustix::fs::DirEntry, own: u64) -> (OsString, FileType, u64) {
    let name = entry.file_name().to_bytes();
    let inode = match name {
        b"." | b".." => own,
        _ => entry.ino(),
    };
    let file_type = match entry.file_type() {
        rustix::fs::FileType::RegularFile => FileType::Regular,
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::SymbolicLink,
        rustix::fs::FileType::Fifo => FileType::Fifo,
        rustix::fs::FileType::Socket => FileType::Socket,
        rustix::fs::FileType::CharacterDevice => FileType::CharacterDevice,
        rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
        rustix::fs::FileType::Unknown => FileType::Unknown,
    };
    (OsString::from_vec(name.to_vec()), file_type, inode)
}

/// Reads with the file system's own offsets, which stay valid while other entries
/// come and go, and needs no memory.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn read_by_offset(
    directory: &mut rustix::fs::Dir,
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
        let (name, file_type, inode) = entry_of(&entry, own);
        let entry = DirEntry {
            next: entry.offset() as u64,
            inode,
            file_type,
            name,
        };
        if sink(entry).is_break() {
            break;
        }
    }
    Ok(())
}
