//! The services inside of another WebAssembly runtime: over the preview 1 that
//! the process itself was given.
//!
//! What a guest here may reach is at most what this process may reach: the
//! runtime outside keeps paths beneath their folders, and this one adds nothing
//! to that but the difference between reading and changing. There are no threads,
//! so that waits cannot be interrupted, and no sockets to take over.

mod clocks;
mod directory;
mod file;
mod raw;
mod sockets;
mod stdio;
mod wake;

pub use clocks::{HostClocks, HostRandom};
pub use directory::HostDirectory;
pub use file::HostFile;
pub(crate) use raw::error_from_os;
pub use sockets::{HostListener, HostSocket};
pub use stdio::{HostInput, HostOutput};
pub(super) use wake::{WakePipe, wait_for_descriptors};
