//! How does a service say what to wait for?

/// What is to become possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interest {
    /// Reading, or accepting, without waiting.
    Read,
    /// Writing without waiting.
    Write,
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Bytes that can be read or written at once, where known; else 0.
    pub bytes: u64,
    /// Whether the other end has hung up.
    pub hangup: bool,
}

/// An object of the operating system that can be waited for.
#[cfg(any(unix, target_os = "wasi"))]
pub type HostDescriptor<'a> = std::os::fd::BorrowedFd<'a>;

/// An object of the operating system that can be waited for.
#[cfg(windows)]
pub type HostDescriptor<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// The answer of a service's `poll`.
#[derive(Debug, Clone, Copy)]
pub enum PollState<'a> {
    /// Ready now.
    Ready(Readiness),
    /// Ready when the operating system says that this object is; it may be now.
    Descriptor(HostDescriptor<'a>),
    /// Not ready. The service keeps the waker that it was given and wakes it
    /// when that may have changed.
    Waker,
}
