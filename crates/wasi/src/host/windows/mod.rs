//! The services over Windows.
//!
//! Input from pipes and consoles is read ahead by a thread, because the system
//! cannot be asked to wait for it together with other things. Waits for sockets are
//! ended through a socket.

mod clocks;
mod console;
mod directory;
mod error;
mod file;
mod names;
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
