//! Open files of the system.

use crate::host::policy::{Rights, end_of};
use crate::services::{
    Advice, ErrorCode, File, FileType, Interest, Metadata, PollState, Readiness, Result, SetTime,
    Timestamp,
};
use std::fs::{self, FileTimes};
use std::io::{self, IoSlice};
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::task::Waker;
use std::time::SystemTime;
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FILE_WRITE_ATTRIBUTES, GetFileInformationByHandle, ReOpenFile,
};

/// A file of the operating system.
#[derive(Debug)]
pub struct HostFile {
    file: fs::File,
    rights: Rights,
}

impl HostFile {
    /// `file` is no directory, and was opened with these rights.
    pub(super) fn new(file: fs::File, rights: Rights) -> Self {
        HostFile { file, rights }
    }
}

fn file_type(of: fs::FileType) -> FileType {
    if of.is_file() {
        FileType::Regular
    } else if of.is_dir() {
        FileType::Directory
    } else if of.is_symlink() {
        FileType::SymbolicLink
    } else {
        FileType::Unknown
    }
}

/// What is known about an open file or folder, or about the link that was opened.
pub(super) fn metadata_of(file: &fs::File) -> Result<Metadata> {
    let metadata = file.metadata()?;
    let mut by_handle = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: writes to our variable; the handle is the file's.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut by_handle) } == 0 {
        return Err(io::Error::last_os_error().into());
    }
    let modified = Timestamp::from(metadata.modified()?);
    Ok(Metadata {
        device: by_handle.dwVolumeSerialNumber.into(),
        inode: u64::from(by_handle.nFileIndexHigh) << 32 | u64::from(by_handle.nFileIndexLow),
        file_type: file_type(metadata.file_type()),
        links: by_handle.nNumberOfLinks.into(),
        size: metadata.len(),
        accessed: Timestamp::from(metadata.accessed()?),
        modified,
        // The system does not tell when metadata changed.
        changed: modified,
    })
}

/// The system's form of a time; `None` leaves it.
///
/// # Errors
///
/// [`ErrorCode::Invalid`] for a time that the system cannot express.
fn time(time: SetTime) -> Result<Option<SystemTime>> {
    Ok(match time {
        SetTime::Keep => None,
        SetTime::Now => Some(SystemTime::now()),
        SetTime::To(time) => Some(time.try_into()?),
    })
}

/// Sets times of an open file or folder, whatever it was opened for.
pub(super) fn set_times_of(file: &fs::File, accessed: SetTime, modified: SetTime) -> Result<()> {
    let mut times = FileTimes::new();
    if let Some(time) = time(accessed)? {
        times = times.set_accessed(time);
    }
    if let Some(time) = time(modified)? {
        times = times.set_modified(time);
    }
    // SAFETY: the handle is the file's; what comes back is new.
    let file = unsafe {
        let handle = ReOpenFile(
            file.as_raw_handle(),
            FILE_WRITE_ATTRIBUTES,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            FILE_FLAG_BACKUP_SEMANTICS,
        );
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error().into());
        }
        fs::File::from(OwnedHandle::from_raw_handle(handle))
    };
    Ok(file.set_times(times)?)
}

/// Writes one piece after the other by `write`, which is told how many bytes came
/// before, as long as each is taken whole.
fn write_pieces(
    data: &[IoSlice<'_>],
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> Result<usize> {
    let mut written = 0;
    for piece in data.iter().filter(|piece| !piece.is_empty()) {
        match write(piece, written as u64) {
            Ok(count) => {
                written += count;
                if count < piece.len() {
                    break;
                }
            }
            Err(error) if written == 0 => return Err(error.into()),
            Err(_) => break,
        }
    }
    Ok(written)
}

impl File for HostFile {
    // Folders hold files and folders here; devices and pipes have places of their
    // own, where no path leads.
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        end_of(offset, 0).ok_or(ErrorCode::Invalid)?;
        Ok(self.file.seek_read(buffer, offset)?)
    }

    fn write_at(&self, data: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        self.rights.check_writable()?;
        let length = data.iter().map(|piece| piece.len() as u64).sum();
        end_of(offset, length).ok_or(ErrorCode::FileTooLarge)?;
        write_pieces(data, |piece, before| {
            self.file.seek_write(piece, offset + before)
        })
    }

    fn append(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        /// What the system takes for the end of the file, when it writes.
        const END: u64 = u64::MAX;
        self.rights.check_writable()?;
        write_pieces(data, |piece, _| self.file.seek_write(piece, END))
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_at(buffer, 0)
    }

    fn write(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.write_at(data, 0)
    }

    fn metadata(&self) -> Result<Metadata> {
        metadata_of(&self.file)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.rights.check_set_size(size)?;
        Ok(self.file.set_len(size)?)
    }

    fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<()> {
        self.rights.check_mutable()?;
        set_times_of(&self.file, accessed, modified)
    }

    fn allocate(&self, offset: u64, length: u64) -> Result<()> {
        let end = self.rights.check_allocate(offset, length)?;
        // What a file has is allocated.
        if self.file.metadata()?.len() < end {
            self.file.set_len(end)?;
        }
        Ok(())
    }

    fn advise(&self, offset: u64, length: u64, _advice: Advice) -> Result<()> {
        // The advice has no taker, which its meaning allows.
        end_of(offset, length).ok_or(ErrorCode::Invalid)?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // The system refuses this for what cannot be written, which has nothing to
        // bring to the storage.
        if self.rights.is_writable() {
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        if self.rights.is_writable() {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn poll(&self, _interest: Interest, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness::default())
    }
}
