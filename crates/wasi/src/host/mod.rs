//! The one implementation of each service, over the operating system.
//!
//! What differs between systems lies in a folder of its own: `unix` covers
//! Linux, macOS and the BSDs, `windows` Windows, `wasi` this runtime inside of
//! another one.

#[cfg(any(
    windows,
    all(
        unix,
        any(test, not(all(target_os = "linux", target_pointer_width = "64")))
    )
))]
mod listing;
mod memory;
#[cfg(any(unix, windows))]
mod paths;
mod policy;
#[cfg(unix)]
mod unix;
pub(crate) mod wait;
#[cfg(target_os = "wasi")]
mod wasi;
#[cfg(windows)]
mod windows;

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

#[cfg(windows)]
pub use windows::{
    HostClocks, HostDirectory, HostFile, HostInput, HostListener, HostOutput, HostRandom,
    HostSocket,
};

#[cfg(windows)]
pub(crate) use windows::error_from_os;
#[cfg(windows)]
use windows::{WakePipe, wait_for_descriptors};

#[cfg(not(any(unix, windows, target_os = "wasi")))]
compile_error!("tepui-wasi has host services for Unix-like systems, Windows and WASI only");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Clock, Clocks, Random};
    use std::time::Duration;

    #[test]
    fn clocks_tick_and_have_a_resolution() {
        for clock in [
            Clock::Wall,
            Clock::Monotonic,
            Clock::ProcessCpu,
            Clock::ThreadCpu,
        ] {
            let before = HostClocks.now(clock).unwrap();
            assert!(HostClocks.resolution(clock).unwrap() > Duration::ZERO);
            assert!(HostClocks.now(clock).unwrap() >= before, "{clock:?}");
        }
        assert!(HostClocks.now(Clock::Wall).unwrap().seconds > 1_600_000_000);
    }

    #[test]
    fn random_fills_everything() {
        let mut bytes = vec![0; 100_000];
        HostRandom.fill(&mut bytes).unwrap();
        assert!(
            bytes
                .chunks(64)
                .all(|chunk| chunk.iter().any(|&byte| byte != 0))
        );
    }
}
