//! Which descriptor number stands for what?

use crate::preview1::types::{fdflags, rights};
use crate::services::{
    Directory, ErrorCode, File, InputStream, Interest, Listener, OutputStream, PollState,
    Readiness, Result, Socket,
};
use std::collections::BTreeSet;
use std::task::Waker;

/// What a descriptor stands for.
pub(crate) enum Kind {
    Input(Box<dyn InputStream>),
    Output(Box<dyn OutputStream>),
    File {
        file: Box<dyn File>,
        /// Where the next read or write of a seekable file happens.
        position: u64,
        readable: bool,
        writable: bool,
    },
    Directory {
        directory: Box<dyn Directory>,
        /// The name under which the host gave it.
        preopen: Option<String>,
    },
    Listener(Box<dyn Listener>),
    Socket(Box<dyn Socket>),
}

/// An open descriptor.
pub(crate) struct Descriptor {
    pub(crate) kind: Kind,
    /// What may be done with it: only ever shrinks.
    pub(crate) base: u64,
    /// What may be done with what is opened through it: only ever shrinks.
    pub(crate) inheriting: u64,
    /// The descriptor flags of preview 1.
    pub(crate) flags: u16,
}

impl Descriptor {
    pub(crate) fn new(kind: Kind) -> Self {
        let (base, inheriting) = match &kind {
            Kind::Input(_) => (rights::STREAM | rights::FD_READ, 0),
            Kind::Output(_) => (rights::STREAM | rights::FD_WRITE, 0),
            Kind::File {
                file,
                readable,
                writable,
                ..
            } => {
                let mut base = rights::FILE;
                if !file.is_seekable() {
                    base &= !(rights::FD_SEEK | rights::FD_TELL);
                }
                if *readable {
                    base |= rights::FD_READ;
                }
                if *writable {
                    base |= rights::FD_WRITE;
                }
                (base, 0)
            }
            Kind::Directory { .. } => (rights::DIRECTORY, rights::ALL),
            Kind::Listener(_) => (rights::LISTENER, rights::SOCKET),
            Kind::Socket(_) => (rights::SOCKET, 0),
        };
        Descriptor {
            kind,
            base,
            inheriting,
            flags: 0,
        }
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.flags & fdflags::NONBLOCK != 0
    }

    /// When `interest` can make progress.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BadDescriptor`] where that makes no sense.
    pub(crate) fn poll(&self, interest: Interest, waker: &Waker) -> Result<PollState<'_>> {
        match (&self.kind, interest) {
            (Kind::Input(stream), Interest::Read) => Ok(stream.poll(waker)),
            (Kind::Output(stream), Interest::Write) => Ok(stream.poll(waker)),
            (
                Kind::File {
                    file,
                    position,
                    readable,
                    writable,
                },
                _,
            ) => {
                let allowed = match interest {
                    Interest::Read => *readable,
                    Interest::Write => *writable,
                };
                if !allowed {
                    return Err(ErrorCode::BadDescriptor);
                }
                if file.is_seekable() && interest == Interest::Read {
                    let size = file.metadata()?.size;
                    return Ok(PollState::Ready(Readiness {
                        bytes: size.saturating_sub(*position),
                        hangup: false,
                    }));
                }
                Ok(file.poll(interest, waker))
            }
            (Kind::Listener(listener), Interest::Read) => Ok(listener.poll(waker)),
            (Kind::Socket(socket), _) => Ok(socket.poll(interest, waker)),
            _ => Err(ErrorCode::BadDescriptor),
        }
    }
}

/// The descriptors of a guest, by number. A new one gets the lowest free number,
/// as in POSIX.
pub(crate) struct Table {
    slots: Vec<Option<Descriptor>>,
    /// The free numbers below `slots.len()`.
    free: BTreeSet<u32>,
    limit: u32,
}

impl Table {
    pub(crate) fn new(limit: u32) -> Self {
        Table {
            slots: Vec::new(),
            free: BTreeSet::new(),
            limit,
        }
    }

    /// How many descriptors are open.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether another one may be opened. Asked before something that cannot be
    /// undone.
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.len() as u64 >= u64::from(self.limit) {
            return Err(ErrorCode::TooManyDescriptors);
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, descriptor: Descriptor) -> Result<u32> {
        self.check_room()?;
        if let Some(fd) = self.free.pop_first() {
            self.slots[fd as usize] = Some(descriptor);
            return Ok(fd);
        }
        // Below the limit, which is 32 bits wide.
        let fd = self.slots.len() as u32;
        self.slots.push(Some(descriptor));
        Ok(fd)
    }

    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor> {
        self.slots
            .get(fd as usize)
            .and_then(Option::as_ref)
            .ok_or(ErrorCode::BadDescriptor)
    }

    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor> {
        self.slots
            .get_mut(fd as usize)
            .and_then(Option::as_mut)
            .ok_or(ErrorCode::BadDescriptor)
    }

    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor> {
        let descriptor = self
            .slots
            .get_mut(fd as usize)
            .and_then(Option::take)
            .ok_or(ErrorCode::BadDescriptor)?;
        self.free.insert(fd);
        Ok(descriptor)
    }

    /// Gives `from` the number `to`, whose descriptor is closed. Both have to
    /// be open.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<()> {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            let descriptor = self.remove(from)?;
            self.slots[to as usize] = Some(descriptor);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryInput;

    fn descriptor() -> Descriptor {
        Descriptor::new(Kind::Input(Box::new(MemoryInput::default())))
    }

    #[test]
    fn lowest_free_number_and_limit() {
        let mut table = Table::new(3);
        assert_eq!(table.push(descriptor()), Ok(0));
        assert_eq!(table.push(descriptor()), Ok(1));
        assert_eq!(table.push(descriptor()), Ok(2));
        assert_eq!(table.push(descriptor()), Err(ErrorCode::TooManyDescriptors));
        assert!(table.remove(1).is_ok());
        assert!(table.remove(1).is_err());
        assert_eq!(table.push(descriptor()), Ok(1));
        assert_eq!(table.renumber(2, 0), Ok(()));
        assert_eq!(table.len(), 2);
        assert!(table.get(2).is_err());
        assert_eq!(table.renumber(1, 2), Err(ErrorCode::BadDescriptor));
        assert_eq!(table.renumber(1, 1), Ok(()));
        assert_eq!(table.push(descriptor()), Ok(2));
    }
}
