//! How is a wait for descriptors done, and ended from another thread?

use crate::services::{ErrorCode, HostDescriptor, Interest, Readiness, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// A pipe whose reading end becomes ready when [`WakePipe::signal`] is called.
pub(crate) struct WakePipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl WakePipe {
    pub(crate) fn new() -> Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(WakePipe { reader, writer })
    }

    pub(crate) fn signal(&self) {
        // A full pipe is ready already, and nothing else can fail here.
        let _ = rustix::io::write(&self.writer, &[0]);
    }

    pub(crate) fn drain(&self) {
        let mut buffer = [0; 64];
        while matches!(rustix::io::read(&self.reader, &mut buffer), Ok(count) if count > 0) {}
    }
}

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    }
}

/// What the answer `events` of the system about a descriptor means, if it is
/// ready.
fn readiness(
    descriptor: HostDescriptor<'_>,
    interest: Interest,
    events: PollFlags,
) -> Option<Readiness> {
    let ends = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if !events.intersects(flags(interest) | ends) {
        return None;
    }
    let bytes = match interest {
        Interest::Read => rustix::io::ioctl_fionread(descriptor).unwrap_or(0),
        Interest::Write => 0,
    };
    Some(Readiness {
        bytes,
        hangup: events.intersects(ends),
    })
}

/// Waits until one of `on` is ready, `wake` is signalled, `timeout` has passed,
/// or a signal of the system arrives.
pub(crate) fn wait_for_descriptors(
    on: &[(HostDescriptor<'_>, Interest)],
    wake: &WakePipe,
    timeout: Duration,
) -> Result<Vec<Option<Readiness>>> {
    let mut entries: Vec<PollFd<'_>> = on
        .iter()
        .map(|(descriptor, interest)| PollFd::from_borrowed_fd(*descriptor, flags(*interest)))
        .collect();
    entries.push(PollFd::from_borrowed_fd(wake.reader.as_fd(), PollFlags::IN));
    let timeout = Timespec::try_from(timeout).map_err(|_| ErrorCode::Invalid)?;
    match poll(&mut entries, Some(&timeout)) {
        Ok(_) => {}
        Err(Errno::INTR | Errno::AGAIN) => return Ok(vec![None; on.len()]),
        Err(error) => return Err(error.into()),
    }
    Ok(on
        .iter()
        .zip(&entries)
        .map(|((descriptor, interest), entry)| readiness(*descriptor, *interest, entry.revents()))
        .collect())
}

/// Whether `interest` in a descriptor can make progress right now.
pub(super) fn is_ready(descriptor: HostDescriptor<'_>, interest: Interest) -> Result<bool> {
    let mut entry = [PollFd::from_borrowed_fd(descriptor, flags(interest))];
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut entry, Some(&zero)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR | Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
