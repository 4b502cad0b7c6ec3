//! The one implementation of each service, over the operating system.
//!
//! What differs between systems lies in a folder of its own: `unix` covers
//! Linux, macOS and the BSDs, `wasi` this runtime inside of another one.

mod memory;
#[cfg(unix)]
mod unix;
pub(crate) mod wait;
#[cfg(target_os = "wasi")]
mod wasi;

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

#[cfg(target_os = "wasi")]
pub use wasi::{
    HostClocks, HostDirectory, HostFile, HostInput, HostListener, HostOutput, HostRandom,
    HostSocket,
};

#[cfg(target_os = "wasi")]
pub(crate) use wasi::error_from_os;
#[cfg(target_os = "wasi")]
use wasi::{WakePipe, wait_for_descriptors};

#[cfg(not(any(unix, target_os = "wasi")))]
compile_error!(
    "tepui-wasi has host services for Unix-like systems and for WASI only; Windows is to come"
);
