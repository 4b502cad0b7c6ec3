//! Bounds of the thread's stack, and the limits that guests get on it.
//!
//! Holds unsafe code: the stack pointer is read by an instruction.

#[cfg(feature = "std")]
use std::cell::Cell;

use core::ops::Range;

use crate::platform;

/// Bytes of a thread's stack that guests leave to the host: host functions,
/// builtins and the handling of traps run below the deepest guest frame.
pub const HOST_RESERVE: usize = 128 << 10;

/// The addresses of the current thread's stack, guard pages excluded, or `None`
/// where the system does not say. Asked once per thread.
///
/// The stack of a process's first thread grows; its bounds are those to which
/// it may grow.
#[cfg(feature = "std")]
#[inline]
pub fn thread_stack_bounds() -> Option<Range<usize>> {
    let bounds = BOUNDS.get().unwrap_or_else(ask_stack_bounds);
    bounds.map(|(start, end)| start..end)
}

/// The addresses of the running stack, or `None` where the platform does not say.
#[cfg(not(feature = "std"))]
#[inline]
pub fn thread_stack_bounds() -> Option<Range<usize>> {
    platform::query_stack_bounds()
}

#[cfg(feature = "std")]
thread_local! {
    /// First address and end of the thread's stack, once the system was asked.
    static BOUNDS: Cell<Option<Option<(usize, usize)>>> = const { Cell::new(None) };
}

#[cfg(feature = "std")]
#[cold]
fn ask_stack_bounds() -> Option<(usize, usize)> {
    let bounds = platform::query_stack_bounds().map(|range| (range.start, range.end));
    BOUNDS.set(Some(bounds));
    bounds
}

/// An address in the current frame, near the stack pointer.
#[inline(always)]
pub fn approximate_stack_pointer() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let sp: usize;
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags))
        };
        sp
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let marker = 0u8;
        core::hint::black_box(&raw const marker) as usize
    }
}

/// The stack limit for guest code that starts at the stack pointer `sp` on the
/// current thread and may use `guest_bytes`.
///
/// A host reserve is kept below: [`HOST_RESERVE`], or a quarter of the stack
/// when that is less. On a stack that is not the thread's own, only
/// `guest_bytes` counts, and whoever made it answers for its size. When so
/// little is left that the guest can have nothing, the limit is above `sp`:
/// the first prologue then traps, with at least the host reserve's remainder
/// to run in.
#[inline]
pub fn guest_stack_limit(guest_bytes: usize, sp: usize) -> usize {
    let wanted = sp.saturating_sub(guest_bytes).max(1);
    match thread_stack_bounds() {
        Some(bounds) if bounds.contains(&sp) => {
            let reserve = HOST_RESERVE.min(bounds.len() / 4);
            wanted.max(bounds.start + reserve)
        }
        _ => wanted,
    }
}

/// The stack limit `limit` for a guest in whose call chain `bytes` are not its own:
/// as much lower as the host reserve of the current thread allows. On a stack that
/// is not the thread's own, it stays as it is.
#[inline]
pub fn lower_stack_limit(limit: usize, bytes: usize) -> usize {
    match thread_stack_bounds() {
        Some(bounds) if bounds.contains(&limit) => {
            let reserve = HOST_RESERVE.min(bounds.len() / 4);
            let lowest = limit.min(bounds.start + reserve);
            limit.saturating_sub(bytes).max(lowest)
        }
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_where_we_are() {
        for _ in 0..2 {
            std::thread::Builder::new()
                .stack_size(1 << 20)
                .spawn(|| {
                    let bounds = thread_stack_bounds().expect("bounds");
                    let sp = approximate_stack_pointer();
                    assert!(bounds.contains(&sp), "{bounds:x?} {sp:x}");
                    assert!(bounds.len() >= 1 << 19 && bounds.len() <= 4 << 20);
                    let limit = guest_stack_limit(64 << 10, sp);
                    assert_eq!(limit, sp - (64 << 10));
                    let limit = guest_stack_limit(usize::MAX, sp);
                    assert_eq!(limit, bounds.start + HOST_RESERVE);
                    let limit = sp - (64 << 10);
                    assert_eq!(lower_stack_limit(limit, 100), limit - 100);
                    let lowest = bounds.start + HOST_RESERVE;
                    assert_eq!(lower_stack_limit(limit, usize::MAX), lowest);
                    assert_eq!(lower_stack_limit(lowest - 8, 100), lowest - 8);
                    assert_eq!(lower_stack_limit(1, 100), 1);
                })
                .expect("thread")
                .join()
                .expect("bounds hold");
        }
    }

    #[test]
    fn foreign_stacks_count_guest_bytes_only() {
        assert_eq!(guest_stack_limit(100, 4096), 3996);
        assert_eq!(guest_stack_limit(10_000, 4096), 1);
    }
}
