//! Folders of the system, with everything kept beneath them.
//!
//! Names are checked first ([`super::names`]); paths are then resolved by
//! `cap-primitives`, component by component, each relative to the handle of the folder
//! before and without following links. The system has calls by path only for what
//! changes a folder. They name the last component in a folder whose handle does not
//! share the right to delete: neither it nor a folder above can be renamed or
//! replaced meanwhile.

use super::file::{HostFile, metadata_of, set_times_of};
use super::names::checked;
use crate::host::listing::Listing;
use crate::host::paths::{followed, names_directory, without_slashes};
use crate::host::policy::{Governed, Rights, may_change};
use crate::services::{
    Access, Create, DirEntry, Directory, Durability, ErrorCode, FileType, Follow, Metadata,
    OpenOptions, Opened, Result, SetTime,
};
use cap_primitives::ambient_authority;
use cap_primitives::fs::{self as cap, FollowSymlinks, OpenOptionsExt as _};
use std::any::Any;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Component, Path};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_FLAG_WRITE_THROUGH,
    FILE_READ_ATTRIBUTES,
};

/// A folder of the operating system, and all beneath it.
#[derive(Debug)]
pub struct HostDirectory {
    file: fs::File,
    access: Access,
    listing: Listing,
}

impl HostDirectory {
    /// Opens the folder `path` of the host, which may be any that the process
    /// can reach. This is where the guest's authority comes from. As long as it is
    /// open it can be neither renamed nor removed.
    ///
    /// # Errors
    ///
    /// What the system says: that it does not exist, or is no directory.
    pub fn open(path: impl AsRef<Path>, access: Access) -> io::Result<Self> {
        let file = cap::open_ambient_dir(path.as_ref(), ambient_authority())?;
        Ok(Self::new(file, access))
    }

    fn new(file: fs::File, access: Access) -> Self {
        HostDirectory {
            file,
            access,
            listing: Listing::default(),
        }
    }

    /// Opens what `path` names to ask about it, a link itself unless it is followed.
    fn open_to_ask(&self, path: &Path, follow: Follow) -> io::Result<fs::File> {
        let mut open = cap::OpenOptions::new();
        let mut flags = FILE_FLAG_BACKUP_SEMANTICS;
        if follow == Follow::No {
            flags |= FILE_FLAG_OPEN_REPARSE_POINT;
        }
        open.access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(flags)
            ._cap_fs_ext_follow(symlinks(follow));
        cap::open(&self.file, path, &open)
    }
}

fn symlinks(follow: Follow) -> FollowSymlinks {
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
        let name = checked(path)?;
        self.access.check_open(options)?;
        if options.directory && options.create != Create::Never {
            return Err(ErrorCode::Invalid);
        }
        // The system makes and cuts files only for who may write them.
        let write = may_change(options);
        let mut flags = FILE_FLAG_BACKUP_SEMANTICS;
        if options.durability != Durability::Lazy {
            flags |= FILE_FLAG_WRITE_THROUGH;
        }
        let mut open = cap::OpenOptions::new();
        open.read(options.read || !options.write)
            .write(write)
            .create(options.create == Create::IfMissing)
            .create_new(options.create == Create::Exclusive)
            .truncate(options.truncate)
            .custom_flags(flags)
            ._cap_fs_ext_follow(symlinks(options.follow))
            ._cap_fs_ext_maybe_dir(true);
        let file = match cap::open(&self.file, name, &open) {
            // To read what may not be written.
            Err(error)
                if !options.write
                    && options.create == Create::IfMissing
                    && error.kind() == io::ErrorKind::PermissionDenied
                    && error.raw_os_error().is_some() =>
            {
                open.write(false).create(false);
                cap::open(&self.file, name, &open)?
            }
            result => result?,
        };
        if !file.metadata()?.is_dir() {
            if options.directory || names_directory(path) {
                return Err(ErrorCode::NotDirectory);
            }
            let file = HostFile::new(file, Rights::new(self.access, options));
            return Ok(Opened::File(Box::new(file)));
        }
        if write {
            return Err(match options.create {
                Create::Exclusive => ErrorCode::Exists,
                _ => ErrorCode::IsDirectory,
            });
        }
        // Once more, so that nobody can rename or remove it meanwhile.
        let directory = match options.follow {
            Follow::Yes => cap::open_dir(&self.file, name)?,
            Follow::No => cap::open_dir_nofollow(&self.file, name)?,
        };
        Ok(Opened::Directory(Box::new(Self::new(
            directory,
            self.access,
        ))))
    }

    fn metadata(&self) -> Result<Metadata> {
        metadata_of(&self.file)
    }

    fn metadata_at(&self, path: &str, links: Follow) -> Result<Metadata> {
        let name = checked(path)?;
        let links = followed(path, links);
        let metadata = metadata_of(&self.open_to_ask(name, links)?)?;
        if names_directory(path) && metadata.file_type != FileType::Directory {
            return Err(ErrorCode::NotDirectory);
        }
        Ok(metadata)
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.access.check_mutable()?;
        set_times_of(&self.file, accessed, modified)
    }

    fn set_times_at(
        &self,
        path: &str,
        links: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<()> {
        self.access.check_mutable()?;
        let file = self.open_to_ask(checked(path)?, links)?;
        set_times_of(&file, accessed, modified)
    }

    fn create_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        let name = checked(path)?;
        Ok(cap::create_dir(&self.file, name, &cap::DirOptions::new())?)
    }

    fn remove_directory_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        // A slash at the end is fine: it is a directory that is removed. (Of a
        // link to one it is not, with the slash or without.)
        let path = without_slashes(path);
        let name = checked(path)?;
        // The system would remove a link that was made for a directory.
        if self.metadata_at(path, Follow::No)?.file_type != FileType::Directory {
            return Err(ErrorCode::NotDirectory);
        }
        Ok(cap::remove_dir(&self.file, name)?)
    }

    fn unlink_file_at(&self, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        let name = checked(path)?;
        if names_directory(path) {
            return Err(match self.metadata_at(path, Follow::Yes) {
                Ok(_) => ErrorCode::IsDirectory,
                Err(error) => error,
            });
        }
        match cap::remove_file(&self.file, name) {
            Ok(()) => Ok(()),
            Err(error) => match self.metadata_at(path, Follow::No)?.file_type {
                FileType::Directory => Err(ErrorCode::IsDirectory),
                // Of a link that was made for a directory, only that name goes.
                FileType::SymbolicLink => Ok(cap::remove_dir(&self.file, name)?),
                _ => Err(error.into()),
            },
        }
    }

    fn read_link_at(&self, path: &str) -> Result<OsString> {
        let target = cap::read_link(&self.file, checked(path)?)?;
        let absolute = target
            .components()
            .any(|part| matches!(part, Component::Prefix(_) | Component::RootDir));
        if absolute {
            return Err(ErrorCode::NotPermitted);
        }
        // Guests know the other separator.
        Ok(match target.to_str() {
            Some(text) => text.replace('\\', "/").into(),
            None => target.into_os_string(),
        })
    }

    fn symlink_at(&self, target: &str, path: &str) -> Result<()> {
        self.access.check_mutable()?;
        let name = checked(path)?;
        checked(target)?;
        // Links to directories are of another kind. What the target is, seen from the
        // link, decides; what does not exist yet is taken for a file.
        let parent = path.rfind('/').map_or("", |slash| &path[..=slash]);
        let is_directory = self
            .metadata_at(&format!("{parent}{target}"), Follow::Yes)
            .is_ok_and(|metadata| metadata.file_type == FileType::Directory);
        let target = target.replace('/', "\\");
        let target = Path::new(&target);
        Ok(if is_directory {
            cap::symlink_dir(target, &self.file, name)?
        } else {
            cap::symlink_file(target, &self.file, name)?
        })
    }

    fn link_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        let (path, new_path) = (checked(path)?, checked(new_path)?);
        Ok(cap::hard_link(&self.file, path, &new.file, new_path)?)
    }

    fn rename_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.peer(new)?;
        let (name, new_name) = (checked(path)?, checked(new_path)?);
        Ok(cap::rename(&self.file, name, &new.file, new_name)?)
    }

    fn read_directory(
        &self,
        from: u64,
        entry: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listing.read(
            from,
            |add| {
                // The number of `..` would tell about a folder that the guest was not
                // given, so both dots tell this one's.
                let own = metadata_of(&self.file)?.inode;
                add(".".into(), FileType::Directory, own)?;
                add("..".into(), FileType::Directory, own)?;
                for entry in cap::read_base_dir(&self.file)? {
                    let entry = entry?;
                    let of = entry.file_type()?;
                    let of = if of.is_dir() {
                        FileType::Directory
                    } else if of.is_file() {
                        FileType::Regular
                    } else if of.is_symlink() {
                        FileType::SymbolicLink
                    } else {
                        FileType::Unknown
                    };
                    // The number would take opening each.
                    add(entry.file_name(), of, 0)?;
                }
                Ok(())
            },
            entry,
        )
    }

    fn sync(&self) -> Result<()> {
        // The system has no such call for folders; its file systems log changes to
        // them.
        Ok(())
    }
}
