//! The one implementation of each service, over the operating system.
//!
//! What differs between systems lies in a folder of its own: `unix` covers
//! Linux, macOS and the BSDs.

mod memory;
#[cfg(unix)]
mod unix;
pub(crate) mod wait;

pub use memory::{
    BlockingReader, BlockingWriter, MemoryInput, MemoryOutput, PipeReader, PipeWriter, pipe,
};
#[cfg(unix)]
pub use unix::{
    HostClocks, HostDirectory, HostFile, HostInput, HostListener, HostOutput, HostRandom,
    HostSocket,
};

#[cfg(unix)]
pub(crate) use unix::error_from_os;
#[cfg(unix)]
use unix::{WakePipe, wait_for_descriptors};

#[cfg(not(unix))]
compile_error!("tepui-wasi has host services for Unix-like systems only; Windows is to come");
