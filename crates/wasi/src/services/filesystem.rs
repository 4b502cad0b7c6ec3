//! What can be done with files and folders?
//!
//! A [`Directory`] is a capability: it reaches what lies beneath it and nothing
//! else. Paths are relative to it, use `/`, and may not lead out of it, be it by
//! `..`, by being absolute, or through symbolic links; such a path fails with
//! [`NotPermitted`](super::ErrorCode::NotPermitted) (or another error, never
//! success). A path that ends in `/` names a directory.

use super::{Interest, PollState, Result, Timestamp};
use std::any::Any;
use std::ffi::OsString;
use std::io::IoSlice;
use std::task::Waker;

/// What a guest may do with a preopened folder and all beneath it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read. Everything that would change a file, a folder or their metadata
    /// fails with [`ReadOnly`](super::ErrorCode::ReadOnly).
    ReadOnly,
    /// Read and change.
    ReadWrite,
}

/// What an object in the file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// None of the others.
    Unknown,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A regular file.
    Regular,
    /// A socket.
    Socket,
    /// A symbolic link.
    SymbolicLink,
}

/// What is known about an object in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// The device that holds the object.
    pub device: u64,
    /// The object's number on its device.
    pub inode: u64,
    /// What the object is.
    pub file_type: FileType,
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes; of a symbolic link, the length of its target.
    pub size: u64,
    /// When it was last read.
    pub accessed: Timestamp,
    /// When its content last changed.
    pub modified: Timestamp,
    /// When its content or metadata last changed.
    pub changed: Timestamp,
}

/// Whether a symbolic link at the end of a path is followed. Links before the
/// end always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The path names the link itself.
    No,
    /// The path names what the link points to.
    Yes,
}

/// Whether opening makes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Create {
    /// The file has to exist.
    #[default]
    Never,
    /// The file is made if there is none.
    IfMissing,
    /// The file is made and must not have existed.
    Exclusive,
}

/// When written bytes reach the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the system sees fit.
    #[default]
    Lazy,
    /// Content before each write returns.
    Data,
    /// Content and metadata before each write returns.
    Full,
}

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// The file is to be read.
    pub read: bool,
    /// The file is to be written. A directory cannot be opened so.
    pub write: bool,
    /// Whether a missing file is made.
    pub create: Create,
    /// The file's content is dropped.
    pub truncate: bool,
    /// Anything but a directory is refused.
    pub directory: bool,
    /// Whether a link at the end of the path is followed.
    pub follow: Follow,
    /// When written bytes reach the storage.
    pub durability: Durability,
}

impl OpenOptions {
    /// Options that open what exists for reading, following links.
    pub fn reading() -> Self {
        OpenOptions {
            read: true,
            write: false,
            create: Create::Never,
            truncate: false,
            directory: false,
            follow: Follow::Yes,
            durability: Durability::Lazy,
        }
    }
}

/// What an open gave.
pub enum Opened {
    /// A directory.
    Directory(Box<dyn Directory>),
    /// Anything else.
    File(Box<dyn File>),
}

/// What to do with one of an object's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it.
    Keep,
    /// Set it to the file system's present time.
    Now,
    /// Set it to this time.
    To(Timestamp),
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Where to go on reading after this entry.
    pub next: u64,
    /// The object's number, where known; else 0.
    pub inode: u64,
    /// What the object is.
    pub file_type: FileType,
    /// Its name, without a slash.
    pub name: OsString,
}

/// How a range of a file is going to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// In no particular way.
    Normal,
    /// From low to high offsets.
    Sequential,
    /// In random order.
    Random,
    /// Soon.
    WillNeed,
    /// Not soon.
    DontNeed,
    /// Once.
    NoReuse,
}

/// An open directory.
pub trait Directory: Send {
    /// For operations on two directories of one implementation: `self`.
    fn as_any(&self) -> &dyn Any;

    /// Opens what `path` names.
    ///
    /// # Errors
    ///
    /// As `openat` of POSIX.
    fn open_at(&self, path: &str, options: &OpenOptions) -> Result<Opened>;

    /// What is known about the directory itself.
    ///
    /// # Errors
    ///
    /// As `fstat` of POSIX.
    fn metadata(&self) -> Result<Metadata>;

    /// What is known about the object that `path` names.
    ///
    /// # Errors
    ///
    /// As `fstatat` of POSIX.
    fn metadata_at(&self, path: &str, follow: Follow) -> Result<Metadata>;

    /// Sets times of the directory itself.
    ///
    /// # Errors
    ///
    /// As `futimens` of POSIX.
    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()>;

    /// Sets times of the object that `path` names.
    ///
    /// # Errors
    ///
    /// As `utimensat` of POSIX.
    fn set_times_at(
        &self,
        path: &str,
        follow: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<()>;

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// As `mkdirat` of POSIX.
    fn create_directory_at(&self, path: &str) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// As `unlinkat` with `AT_REMOVEDIR` of POSIX.
    fn remove_directory_at(&self, path: &str) -> Result<()>;

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    ///
    /// As `unlinkat` of POSIX; [`IsDirectory`](super::ErrorCode::IsDirectory)
    /// for a directory.
    fn unlink_file_at(&self, path: &str) -> Result<()>;

    /// The target of a symbolic link. An absolute target is not told: it says
    /// something about the host.
    ///
    /// # Errors
    ///
    /// As `readlinkat` of POSIX; [`NotPermitted`](super::ErrorCode::NotPermitted)
    /// for an absolute target.
    fn read_link_at(&self, path: &str) -> Result<OsString>;

    /// Makes a symbolic link named `path`.
    ///
    /// # Errors
    ///
    /// As `symlinkat` of POSIX; [`NotPermitted`](super::ErrorCode::NotPermitted)
    /// for an absolute target.
    fn symlink_at(&self, target: &str, path: &str) -> Result<()>;

    /// Makes `new_path` under `new` another name of the file that `path`
    /// names, which is not followed when it is a symbolic link.
    ///
    /// # Errors
    ///
    /// As `linkat` of POSIX; [`CrossDevice`](super::ErrorCode::CrossDevice) for
    /// a directory of another implementation.
    fn link_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()>;

    /// Renames `path` to `new_path` under `new`.
    ///
    /// # Errors
    ///
    /// As `renameat` of POSIX; [`CrossDevice`](super::ErrorCode::CrossDevice)
    /// for a directory of another implementation.
    fn rename_at(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()>;

    /// Tells the directory's entries, `.` and `..` included, one after the
    /// other to `entry` until it answers [`std::ops::ControlFlow::Break`] or
    /// there are no more. `from` is 0 for the first, or the
    /// [`next`](DirEntry::next) of an entry; one that was told before stays
    /// valid while other entries come and go.
    ///
    /// # Errors
    ///
    /// As `readdir` of POSIX; [`Invalid`](super::ErrorCode::Invalid) for a
    /// `from` that cannot be.
    fn read_directory(
        &self,
        from: u64,
        entry: &mut dyn FnMut(DirEntry) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// Sees that changes to the directory itself reach the storage.
    ///
    /// # Errors
    ///
    /// As `fsync` of POSIX.
    fn sync(&self) -> Result<()>;
}

/// An open file that is not a directory. It has no position of its own: that
/// belongs to who uses it.
pub trait File: Send {
    /// Whether [`File::read_at`] and [`File::write_at`] work; if not, the
    /// object is a stream and [`File::read`] and [`File::write`] do.
    fn is_seekable(&self) -> bool;

    /// Whether a person sits at the other end.
    fn is_terminal(&self) -> bool {
        false
    }

    /// Reads at an offset in bytes. 0 for a buffer that is not empty means the
    /// end.
    ///
    /// # Errors
    ///
    /// As `pread` of POSIX.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes at an offset in bytes; returns how many bytes of `data`, in order.
    ///
    /// # Errors
    ///
    /// As `pwritev`.
    fn write_at(&self, data: &[IoSlice<'_>], offset: u64) -> Result<usize>;

    /// Writes at the end of the file, in one step with finding it.
    ///
    /// # Errors
    ///
    /// As `writev` of POSIX.
    fn append(&self, data: &[IoSlice<'_>]) -> Result<usize>;

    /// Reads from a stream.
    ///
    /// # Errors
    ///
    /// As `read` of POSIX; [`Again`](super::ErrorCode::Again) when nothing is
    /// there yet.
    fn read(&self, buffer: &mut [u8]) -> Result<usize>;

    /// Writes to a stream.
    ///
    /// # Errors
    ///
    /// As `writev` of POSIX; [`Again`](super::ErrorCode::Again) when there is no
    /// room yet.
    fn write(&self, data: &[IoSlice<'_>]) -> Result<usize>;

    /// What is known about the file.
    ///
    /// # Errors
    ///
    /// As `fstat` of POSIX.
    fn metadata(&self) -> Result<Metadata>;

    /// Cuts the file, or extends it with zeros, to `size` bytes.
    ///
    /// # Errors
    ///
    /// As `ftruncate` of POSIX.
    fn set_size(&self, size: u64) -> Result<()>;

    /// Sets the file's times.
    ///
    /// # Errors
    ///
    /// As `futimens` of POSIX.
    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()>;

    /// Sees to storage for a range, extending the file if needed.
    ///
    /// # Errors
    ///
    /// As `posix_fallocate` of POSIX;
    /// [`NotSupported`](super::ErrorCode::NotSupported) where the file system
    /// cannot.
    fn allocate(&self, offset: u64, length: u64) -> Result<()>;

    /// Tells how a range is going to be used; a `length` of 0 reaches to the
    /// end.
    ///
    /// # Errors
    ///
    /// As `posix_fadvise` of POSIX.
    fn advise(&self, offset: u64, length: u64, advice: Advice) -> Result<()>;

    /// Sees that content and metadata reach the storage.
    ///
    /// # Errors
    ///
    /// As `fsync` of POSIX.
    fn sync(&self) -> Result<()>;

    /// Sees that the content reaches the storage.
    ///
    /// # Errors
    ///
    /// As `fdatasync` of POSIX.
    fn sync_data(&self) -> Result<()>;

    /// When a stream can make progress; a seekable file always can.
    fn poll(&self, interest: Interest, waker: &Waker) -> PollState<'_>;
}
