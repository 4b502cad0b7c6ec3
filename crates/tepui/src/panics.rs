//! How do panics of the host pass guests? Caught before, resumed behind. Without the
//! standard library nothing unwinds, and a panic ends the program where it happens.

use alloc::boxed::Box;
use core::any::Any;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Does `work`; the payload if it panics.
#[inline(always)]
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, Payload> {
    #[cfg(feature = "std")]
    return std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    #[cfg(not(feature = "std"))]
    Ok(work())
}

/// Goes on with a panic that was caught.
pub(crate) fn resume(payload: Payload) -> ! {
    #[cfg(feature = "std")]
    std::panic::resume_unwind(payload);
    #[cfg(not(feature = "std"))]
    {
        drop(payload);
        unreachable!("nothing unwinds in this build")
    }
}
