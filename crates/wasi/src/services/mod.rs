//! The capabilities a guest can be given, as Rust traits.
//!
//! Each trait has one implementation in [`crate::host`]; an embedder may put
//! its own in its place. The traits know nothing of how a WASI version lays its
//! arguments out: preview 1 is one binding onto them.
//!
//! **Blocking.** No service call blocks for longer than its own work takes. One
//! that would have to wait answers [`ErrorCode::Again`] and tells through its
//! `poll` method what to wait for; the binding waits, so that a wait can cover
//! many things at once and can be ended from outside
//! (see [`crate::InterruptHandle`]).

mod clocks;
mod error;
mod filesystem;
mod poll;
mod random;
mod sockets;
mod streams;

pub use clocks::{Clock, Clocks, Timestamp};
pub use error::{ErrorCode, Result};
pub use filesystem::{
    Access, Advice, Create, DirEntry, Directory, Durability, File, FileType, Follow, Metadata,
    OpenOptions, Opened, SetTime,
};
pub use poll::{HostDescriptor, Interest, PollState, Readiness};
pub use random::Random;
pub use sockets::{Listener, Received, Shutdown, Socket, SocketKind};
pub use streams::{InputStream, OutputStream};
