//! Where a user's key is kept, and when it is trusted.
//!
//! The key is 32 random bytes in a file of its own, `image.key`, in a folder
//! that the caller names (the user's data folder). Whoever can read it can make
//! images that this user runs as their own; so the file must be a regular file
//! that belongs to the user of the process and that nobody else can read or
//! write, and the folder must be one in which nobody else can put files.
//! Everything else is refused with the reason, and never repaired: a key that
//! others could read is not a secret any more.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A key by which images of one user are known: see
/// [`Image::authenticate`](crate::Image::authenticate).
#[derive(Clone)]
pub struct UserKey([u8; 32]);

/// Why there is no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The system refused an operation on the file or its folder.
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key, or the folder it lies in, is not this user's alone.
    Unsafe {
        /// The file or the folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// Keys are not supported on this system, because what others may do with a
    /// file cannot be found out there.
    Unsupported,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Io { path, source } => {
                write!(
                    f,
                    "no access to the image key: {}: {source}",
                    path.display()
                )
            }
            KeyError::Unsafe { path, reason } => {
                write!(f, "the image key is not used: {}: {reason}", path.display())
            }
            KeyError::Unsupported => f.write_str("image keys are not supported on this system"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeyError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Debug for UserKey {
    /// Does not show the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey(..)")
    }
}

impl UserKey {
    /// The name of the key's file.
    pub const FILE_NAME: &'static str = "image.key";

    /// The key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in `dir`; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn load(dir: &Path) -> Result<Option<UserKey>, KeyError> {
        system::load(dir)
    }

    /// The key in `dir`. When there is none, it is made, with the folder:
    /// the folder for its owner only (0700), the file too (0600). Several
    /// processes may do this at once and all get the same key.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn load_or_create(dir: &Path) -> Result<UserKey, KeyError> {
        system::load_or_create(dir)
    }
}

#[cfg(not(unix))]
mod system {
    use super::{KeyError, UserKey};
    use std::path::Path;

    pub(super) fn load(_: &Path) -> Result<Option<UserKey>, KeyError> {
        Err(KeyError::Unsupported)
    }

    pub(super) fn load_or_create(_: &Path) -> Result<UserKey, KeyError> {
        Err(KeyError::Unsupported)
    }
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File};
    use std::io::{self, Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::DirBuilderExt;
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
    use rustix::io::Errno;

    use super::{KeyError, UserKey};

    const NAME: &str = UserKey::FILE_NAME;

    pub(super) fn load(dir: &Path) -> Result<Option<UserKey>, KeyError> {
        match open_folder(dir)? {
            Some(folder) => read(&folder, dir),
            None => Ok(None),
        }
    }

    pub(super) fn load_or_create(dir: &Path) -> Result<UserKey, KeyError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| failed(dir, source))?;
        let gone = || failed(dir, io::ErrorKind::NotFound.into());
        let folder = open_folder(dir)?.ok_or_else(gone)?;
        if let Some(key) = read(&folder, dir)? {
            return Ok(key);
        }
        create(&folder).map_err(|source| failed(&dir.join(NAME), source))?;
        // Another process may have been first: what counts is what is there.
        read(&folder, dir)?.ok_or_else(gone)
    }

    fn failed(path: &Path, source: io::Error) -> KeyError {
        KeyError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Opens the folder and makes sure that only its owner writes to it.
    fn open_folder(dir: &Path) -> Result<Option<OwnedFd>, KeyError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(dir, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(dir, error.into())),
        };
        let stat = rustix::fs::fstat(&folder).map_err(|error| failed(dir, error.into()))?;
        let reason = if !is_mine(&stat) {
            "the folder belongs to another user"
        } else if mode(&stat).intersects(Mode::WGRP | Mode::WOTH) {
            "others can write to the folder; take that right away (chmod go-w) \
             and remove the key in it"
        } else {
            return Ok(Some(folder));
        };
        Err(KeyError::Unsafe {
            path: dir.to_owned(),
            reason,
        })
    }

    /// Reads the key, if there is one and if it is safe.
    fn read(folder: &OwnedFd, dir: &Path) -> Result<Option<UserKey>, KeyError> {
        let path = dir.join(NAME);
        let refused = |reason| {
            Err(KeyError::Unsafe {
                path: path.clone(),
                reason,
            })
        };
        // Without `NONBLOCK` a pipe of this name would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(folder, NAME, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            // What systems say of a symbolic link that is not followed.
            Err(Errno::LOOP | Errno::MLINK) => return refused("it is a symbolic link"),
            Err(error) => return Err(failed(&path, error.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| failed(&path, error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return refused("it is not a regular file");
        }
        if !is_mine(&stat) {
            return refused("it belongs to another user");
        }
        if mode(&stat).intersects(Mode::RWXG | Mode::RWXO) {
            return refused("others can read or write it; remove it, a new one will be made");
        }
        let mut bytes = Vec::with_capacity(33);
        File::from(file)
            .take(33)
            .read_to_end(&mut bytes)
            .map_err(|source| failed(&path, source))?;
        match <[u8; 32]>::try_from(bytes) {
            Ok(key) if key != [0; 32] => Ok(Some(UserKey(key))),
            _ => refused("it is damaged; remove it, a new one will be made"),
        }
    }

    /// Makes the key under a name of its own and moves it to its place whole,
    /// so that nobody ever reads half a key; a key that is there stays.
    fn create(folder: &OwnedFd) -> io::Result<()> {
        let mut random = [0; 40];
        fill_random(&mut random)?;
        let (key, unique) = random.split_at(32);
        let unique = unique
            .iter()
            .fold(0_u64, |all, &byte| all << 8 | u64::from(byte));
        let temporary = format!("{NAME}.{unique:016x}");

        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let owner = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(folder, &temporary, flags, owner)?;
        let made = (|| {
            // The umask may have taken rights away, which the owner needs.
            rustix::fs::fchmod(&file, owner)?;
            let mut file = File::from(file);
            file.write_all(key)?;
            file.sync_all()?;
            match rustix::fs::linkat(folder, &temporary, folder, NAME, AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                // A file system without hard links. Of two processes that come
                // here at once the second wins; images that the first one made
                // meanwhile are compiled again.
                Err(_) => Ok(rustix::fs::renameat(folder, &temporary, folder, NAME)?),
            }
        })();
        match rustix::fs::unlinkat(folder, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => made,
            Err(error) => made.and(Err(error.into())),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn fill_random(mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()) {
                Ok(count) => bytes = &mut bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
        use std::os::unix::fs::FileTypeExt;

        let mut device = File::open("/dev/urandom")?;
        if !device.metadata()?.file_type().is_char_device() {
            return Err(io::Error::other("/dev/urandom is not a device"));
        }
        device.read_exact(bytes)
    }

    fn is_mine(stat: &Stat) -> bool {
        stat.st_uid == rustix::process::geteuid().as_raw()
    }

    fn mode(stat: &Stat) -> Mode {
        Mode::from_raw_mode(stat.st_mode)
    }
}
