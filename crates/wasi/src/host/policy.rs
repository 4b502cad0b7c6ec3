//! What is refused before the system is asked, whichever it is?
//!
//! A folder that a guest was given for reading lets nothing beneath it be changed, and a
//! file lets be changed what it was opened for. Offsets are such as every system can
//! express. What the system itself allows comes on top.

use crate::services::{Access, Create, Directory, ErrorCode, OpenOptions, Result};

impl Access {
    /// Refuses changes, be it of content, of metadata or of folders, unless they are
    /// allowed.
    pub(super) fn check_mutable(self) -> Result<()> {
        match self {
            Access::ReadOnly => Err(ErrorCode::ReadOnly),
            Access::ReadWrite => Ok(()),
        }
    }

    /// Refuses options that may change something, unless that is allowed.
    pub(super) fn check_open(self, options: &OpenOptions) -> Result<()> {
        if may_change(options) {
            self.check_mutable()?;
        }
        Ok(())
    }
}

/// Whether opening may change something, or lets something be changed later.
pub(super) fn may_change(options: &OpenOptions) -> bool {
    options.write || options.truncate || options.create != Create::Never
}

/// What may be done with an open file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    access: Access,
    /// Whether it was opened for writing.
    writable: bool,
}

impl Rights {
    /// Those of a file opened with `options` beneath a folder of this access.
    pub(super) fn new(access: Access, options: &OpenOptions) -> Self {
        Rights {
            access,
            writable: options.write,
        }
    }

    /// Whether the file was opened for writing.
    #[cfg(windows)]
    pub(super) fn is_writable(self) -> bool {
        self.writable
    }

    /// Refuses changes of metadata.
    pub(super) fn check_mutable(self) -> Result<()> {
        self.access.check_mutable()
    }

    /// Refuses changes of content.
    pub(super) fn check_writable(self) -> Result<()> {
        self.check_mutable()?;
        if self.writable {
            Ok(())
        } else {
            Err(ErrorCode::BadDescriptor)
        }
    }

    /// Refuses a change of the size to `size`: as `ftruncate` of POSIX, which has an
    /// error of its own for what was not opened for writing.
    pub(super) fn check_set_size(self, size: u64) -> Result<()> {
        self.check_mutable()?;
        if !self.writable {
            return Err(ErrorCode::Invalid);
        }
        end_of(size, 0).ok_or(ErrorCode::FileTooLarge)?;
        Ok(())
    }

    /// Refuses to see to storage for a range; gives the range's end.
    pub(super) fn check_allocate(self, offset: u64, length: u64) -> Result<u64> {
        self.check_writable()?;
        if length == 0 {
            return Err(ErrorCode::Invalid);
        }
        end_of(offset, length).ok_or(ErrorCode::FileTooLarge)
    }
}

/// The end of a range of a file, unless it is past what the signed offsets of systems
/// can express.
pub(super) fn end_of(offset: u64, length: u64) -> Option<u64> {
    offset
        .checked_add(length)
        .filter(|&end| i64::try_from(end).is_ok())
}

/// A folder that knows what its guest may do with it.
pub(super) trait Governed: Directory + 'static {
    /// What the guest may do.
    fn access(&self) -> Access;

    /// The other folder of an operation that changes two: one of the same kind, and
    /// both may be changed.
    fn peer<'a>(&self, other: &'a dyn Directory) -> Result<&'a Self>
    where
        Self: Sized,
    {
        self.access().check_mutable()?;
        let other: &Self = other
            .as_any()
            .downcast_ref()
            .ok_or(ErrorCode::CrossDevice)?;
        other.access().check_mutable()?;
        Ok(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostDirectory;

    const PAST: u64 = i64::MAX as u64 + 1;

    fn rights(access: Access, write: bool) -> Rights {
        let options = OpenOptions {
            write,
            ..OpenOptions::reading()
        };
        Rights::new(access, &options)
    }

    #[test]
    fn read_only_comes_before_all_else() {
        for write in [false, true] {
            let rights = rights(Access::ReadOnly, write);
            let refused = Err(ErrorCode::ReadOnly);
            assert_eq!(rights.check_mutable(), refused);
            assert_eq!(rights.check_writable(), refused);
            assert_eq!(rights.check_set_size(0), refused);
            assert_eq!(rights.check_set_size(PAST), refused);
            for (offset, length) in [(0, 0), (0, 1), (PAST, 1)] {
                let result = rights.check_allocate(offset, length);
                assert_eq!(result, Err(ErrorCode::ReadOnly));
            }
        }
    }

    #[test]
    fn content_is_for_who_opened_it_for_writing() {
        let reading = rights(Access::ReadWrite, false);
        assert_eq!(reading.check_mutable(), Ok(()));
        assert_eq!(reading.check_writable(), Err(ErrorCode::BadDescriptor));
        assert_eq!(reading.check_set_size(0), Err(ErrorCode::Invalid));
        assert_eq!(reading.check_set_size(PAST), Err(ErrorCode::Invalid));
        let allocated = reading.check_allocate(0, 0);
        assert_eq!(allocated, Err(ErrorCode::BadDescriptor));

        let writing = rights(Access::ReadWrite, true);
        assert_eq!(writing.check_mutable(), Ok(()));
        assert_eq!(writing.check_writable(), Ok(()));
        assert_eq!(writing.check_set_size(PAST - 1), Ok(()));
        assert_eq!(writing.check_set_size(PAST), Err(ErrorCode::FileTooLarge));
        assert_eq!(writing.check_allocate(7, 0), Err(ErrorCode::Invalid));
        assert_eq!(writing.check_allocate(7, 3), Ok(10));
        for (offset, length) in [(PAST - 1, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            let result = writing.check_allocate(offset, length);
            assert_eq!(result, Err(ErrorCode::FileTooLarge), "{offset} {length}");
        }
    }

    #[test]
    fn what_opening_may_change_is_checked() {
        let reading = OpenOptions::reading();
        let mut changing = [reading; 4];
        changing[0].write = true;
        changing[1].truncate = true;
        changing[2].create = Create::IfMissing;
        changing[3].create = Create::Exclusive;
        assert_eq!(Access::ReadOnly.check_open(&reading), Ok(()));
        for options in &changing {
            let refused = Access::ReadOnly.check_open(options);
            assert_eq!(refused, Err(ErrorCode::ReadOnly), "{options:?}");
            assert_eq!(Access::ReadWrite.check_open(options), Ok(()));
        }
    }

    #[test]
    fn both_folders_have_to_be_mutable() {
        let open = |access| HostDirectory::open(std::env::temp_dir(), access).unwrap();
        let (fixed, mutable) = (open(Access::ReadOnly), open(Access::ReadWrite));
        for (one, other) in [(&fixed, &fixed), (&fixed, &mutable), (&mutable, &fixed)] {
            assert_eq!(one.peer(other).err(), Some(ErrorCode::ReadOnly));
        }
        assert!(mutable.peer(&mutable).is_ok());
    }
}
