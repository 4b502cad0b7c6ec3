//! The services over POSIX systems.

mod clocks;
mod directory;
mod error;
mod file;
mod sockets;
mod stdio;
mod wake;

pub use clocks::{HostClocks, HostRandom};
pub use directory::HostDirectory;
pub(crate) use error::error_from_os;
pub use file::HostFile;
pub use sockets::{HostListener, HostSocket};
pub use stdio::{HostInput, HostOutput};
pub(super) use wake::{WakePipe, wait_for_descriptors};
