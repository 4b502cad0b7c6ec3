//! How is a wait for sockets done, and ended from another thread?

use super::error::socket_error;
use crate::services::{ErrorCode, HostDescriptor, Interest, Readiness, Result};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io::{AsRawSocket, AsSocket};
use std::time::Duration;
use windows_sys::Win32::Networking::WinSock::{
    FIONREAD, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLWRNORM, SOCKET, WSAPOLLFD, WSAPoll,
    ioctlsocket,
};

/// A socket that is connected to itself and becomes ready when
/// [`WakePipe::signal`] is called.
pub(crate) struct WakePipe(UdpSocket);

impl WakePipe {
    pub(crate) fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Nobody else's messages arrive then.
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(WakePipe(socket))
    }

    pub(crate) fn signal(&self) {
        // When there is no room for one more it is ready already.
        let _ = self.0.send(&[0]);
    }

    pub(crate) fn drain(&self) {
        let mut buffer = [0; 1];
        while self.0.recv(&mut buffer).is_ok() {}
    }
}

fn entry(socket: HostDescriptor<'_>, interest: Interest) -> WSAPOLLFD {
    WSAPOLLFD {
        fd: socket.as_raw_socket() as SOCKET,
        events: match interest {
            Interest::Read => POLLRDNORM,
            Interest::Write => POLLWRNORM,
        },
        revents: 0,
    }
}

/// What the answer of the system about a socket means, if it is ready.
fn readiness(interest: Interest, entry: &WSAPOLLFD) -> Option<Readiness> {
    let ends = POLLHUP | POLLERR | POLLNVAL;
    if entry.revents & (entry.events | ends) == 0 {
        return None;
    }
    let mut bytes = 0;
    if interest == Interest::Read {
        // SAFETY: writes to our variable, which stays 0 when it fails.
        unsafe { ioctlsocket(entry.fd, FIONREAD, &mut bytes) };
    }
    Some(Readiness {
        bytes: bytes.into(),
        hangup: entry.revents & ends != 0,
    })
}

/// Waits until one of `on` is ready, `wake` is signalled or `timeout` has passed.
pub(crate) fn wait_for_descriptors(
    on: &[(HostDescriptor<'_>, Interest)],
    wake: &WakePipe,
    timeout: Duration,
) -> Result<Vec<Option<Readiness>>> {
    let mut entries: Vec<WSAPOLLFD> = on
        .iter()
        .map(|(socket, interest)| entry(*socket, *interest))
        .collect();
    entries.push(entry(wake.0.as_socket(), Interest::Read));
    // Rounded up: who waits for a time does not want to come too early.
    let milliseconds = i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    let count = u32::try_from(entries.len()).map_err(|_| ErrorCode::Invalid)?;
    // SAFETY: the entries are as many as is said, and their sockets open.
    if unsafe { WSAPoll(entries.as_mut_ptr(), count, milliseconds) } < 0 {
        return Err(socket_error());
    }
    Ok(on
        .iter()
        .zip(&entries)
        .map(|((_, interest), entry)| readiness(*interest, entry))
        .collect())
}
