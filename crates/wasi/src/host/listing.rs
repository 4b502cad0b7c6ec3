//! Reading a directory from a place that was told before, on systems whose own
//! offsets do not survive changes: from the directory as it was when it was last read
//! from its beginning.

use crate::services::{DirEntry, ErrorCode, FileType, Result};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// The most entries that a listing may have.
const MOST_ENTRIES: usize = 1 << 20;

/// A directory as it was.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Vec<DirEntry>>);

impl Listing {
    /// Tells `sink` the entries after the first `from`. At the beginning `list` gives
    /// them anew, each with its name, type and number.
    pub(super) fn read(
        &self,
        from: u64,
        list: impl FnOnce(&mut dyn FnMut(OsString, FileType, u64) -> Result<()>) -> Result<()>,
        sink: &mut dyn FnMut(DirEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if from == 0 || entries.is_empty() {
            entries.clear();
            list(&mut |name, file_type, inode| {
                if entries.len() == MOST_ENTRIES {
                    return Err(ErrorCode::NoMemory);
                }
                let next = entries.len() as u64 + 1;
                entries.push(DirEntry {
                    next,
                    inode,
                    file_type,
                    name,
                });
                Ok(())
            })?;
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
    fn a_listing_survives_changes() {
        let listing = Listing::default();
        let read = |from: u64, most: usize, names: &[&str]| {
            let mut entries = Vec::new();
            listing
                .read(
                    from,
                    |add| {
                        names
                            .iter()
                            .try_for_each(|name| add(name.into(), FileType::Regular, 7))
                    },
                    &mut |entry| {
                        entries.push(entry);
                        if entries.len() == most {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    },
                )
                .map(|()| entries)
        };
        let first = read(0, 2, &[".", "..", "a", "b", "c"]).unwrap();
        assert_eq!(first.len(), 2);
        let rest = read(first[1].next, 100, &["d"]).unwrap();
        let names: Vec<_> = rest.iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(read(5, 100, &[]).unwrap(), []);
        assert_eq!(read(1000, 1, &["d"]), Err(ErrorCode::Invalid));
        assert_eq!(read(0, 100, &["d"]).unwrap().len(), 1);
    }
}
