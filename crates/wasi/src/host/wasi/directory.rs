//! Folders that the process was given by the runtime outside, which keeps
//! everything beneath them.

use super::file::HostFile;
use super::raw;
use crate::host::policy::{Governed, Rights};
use crate::preview1::types::{fdflags, lookupflags, oflags, rights};
use crate::services::{
    Access, Create, DirEntry, Directory, Durability, ErrorCode, FileType, Follow, Metadata,
    OpenOptions, Opened, Result, SetTime,
};
use std::any::Any;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::wasi::ffi::OsStringExt;
use std::path::Path;

/// Bytes that a directory is read in, at first.
const LISTING: usize = 4096;
/// The most bytes of one entry, or of the target of a link.
const LONGEST: usize = 64 << 10;

/// A folder of the operating system, and all beneath it.
#[derive(Debug)]
pub struct HostDirectory {
    fd: OwnedFd,
    access: Access,
}

impl HostDirectory {
    /// Opens the folder `path` of the host, which may be any that the process
    /// can reach. This is where the guest's authority comes from.
    ///
    /// # Errors
    ///
    /// What the system says: that it does not exist, or is no directory.
    pub fn open(path: impl AsRef<Path>, access: Access) -> io::Result<Self> {
        let file = fs::File::open(path)?;
        if !file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(HostDirectory {
            fd: file.into(),
            access,
        })
    }
}

fn lookup(follow: Follow) -> u32 {
    match follow {
        Follow::No => 0,
        Follow::Yes => lookupflags::SYMLINK_FOLLOW,
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
        /// Rights to change an open file.
        const WRITE: u64 = rights::FD_DATASYNC
            | rights::FD_WRITE
            | rights::FD_ALLOCATE
            | rights::FD_FILESTAT_SET_SIZE;
        /// Rights to read what is open.
        const READ: u64 = rights::FD_READ | rights::FD_READDIR;
        self.access.check_open(options)?;
        let mut wanted = rights::ALL & !(READ | WRITE);
        if options.read || !options.write {
            wanted |= READ;
        }
        if options.write {
            wanted |= WRITE;
        }
        let mut flags = match options.create {
            Create::Never => 0,
            Create::IfMissing => oflags::CREAT,
            Create::Exclusive => oflags::CREAT | oflags::EXCL,
        };
        if options.truncate {
            flags |= oflags::TRUNC;
        }
        if options.directory {
            flags |= oflags::DIRECTORY;
        }
        let fdflags = match options.durability {
            Durability::Lazy => 0,
            Durability::Data => fdflags::DSYNC,
            Durability::Full => fdflags::SYNC,
        };
        let inheriting = raw::status(self.fd.as_fd())?.inheriting;
        let open = raw::OpenFlags {
            lookup: lookup(options.follow),
            oflags: flags,
            base: inheriting & wanted,
            inheriting,
            fdflags,
        };
        let fd = raw::open_at(self.fd.as_fd(), path, &open)?;
        let file_type = raw::status(fd.as_fd())?.file_type;
        if file_type == FileType::Directory {
            return Ok(Opened::Directory(Box::new(HostDirectory {
                fd,
                access: self.access,
            })));
        }
        let rights = Rights::new(self.access, options);
        let file = HostFile::new(fd, file_type, rights);
        Ok(Opened::File(Box::new(file)))
    }

    fn metadata(&self) -> Result<Metadata> {
        raw::metadata(self.fd.as_fd())
    }

    fn metadata_at(&self, path: &str, follow: Follow) -> Result<Metadata> {
        raw::metadata_at(self.fd.as_fd(), path, lookup(follow))
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.access.check_mutable()?;
        raw::set_own_times(self.fd.as_fd(), accessed, modified)
    }

    fn set_times_at(
        &self,
        path: &str,
        follow: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<()> {
        self.access.check_mutable()?;
        raw::set_times_at(self.fd.as_fd(), path, lookup(follow), accessed, modified)
    }

    fn create_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        raw::create_directory(self.fd.as_fd(), path)
    }

    fn remove_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        raw::remove_directory(self.fd.as_fd(), path)
    }

    fn unlink_file_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        raw::unlink(self.fd.as_fd(), path)
    }

    fn read_link_at(&self, path: &str) -> Result<OsString> {
        let mut buffer = vec![0; LISTING];
        loop {
            let length = raw::read_link(self.fd.as_fd(), path, &mut buffer)?;
            if length < buffer.len() {
                buffer.truncate(length);
                return Ok(OsString::from_vec(buffer));
            }
            if buffer.len() >= LONGEST {
                return Err(ErrorCode::NameTooLong);
            }
            buffer.resize(2 * buffer.len(), 0);
        }
    }

    fn symlink_at(&self, target: &str, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        if target.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        raw::symlink(target, self.fd.as_fd(), path)
    }

    fn link_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        raw::link(self.fd.as_fd(), path, new.fd.as_fd(), new_path)
    }

    fn rename_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        raw::rename(self.fd.as_fd(), path, new.fd.as_fd(), new_path)
    }

    fn read_directory(
        &self,
        from: u64,
        entry: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; LISTING];
        let mut cookie = from;
        loop {
            let length = raw::read_directory(self.fd.as_fd(), &mut buffer, cookie)?;
            let full = length >= buffer.len();
            let mut rest = &buffer[..length.min(buffer.len())];
            let mut any = false;
            while let Some((next, inode, file_type, name, bytes)) = raw::directory_entry(rest) {
                any = true;
                cookie = next;
                rest = &rest[bytes..];
                let told = DirEntry {
                    next,
                    inode,
                    file_type,
                    name: OsString::from_vec(name.to_vec()),
                };
                if entry(told).is_break() {
                    return Ok(());
                }
            }
            match (full, any) {
                // There are no more.
                (false, _) => return Ok(()),
                (true, true) => {}
                // One entry is larger than the buffer.
                (true, false) if buffer.len() < LONGEST => buffer.resize(2 * buffer.len(), 0),
                (true, false) => return Err(ErrorCode::Overflow),
            }
        }
    }

    fn sync(&self) -> Result<()> {
        raw::sync(self.fd.as_fd())
    }
}
