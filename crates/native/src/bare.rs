//! What stands for an operating system on machines without one: a [`Platform`] that
//! the program names, in Rust with [`set_platform`] or, with the feature `c-platform`,
//! in C, as `include/tepui-platform.h` says.
//!
//! Without any, pages come from the program's global allocator, and how large the
//! stack is stays unknown.
//!
//! There are no threads to wait for, no clock that is asked, and no files. Nothing is
//! random: tables that are keyed by what strangers choose are trees.
//!
//! Holds unsafe code: it hands out memory.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::convert::Infallible;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::system::{Result, out_of_memory};

/// The alignment of pages, and what their sizes are multiples of, in bytes. Nothing
/// is protected by pages here.
pub const PAGE: usize = 64;

/// What a machine without an operating system gives to the runtime.
///
/// # Safety
///
/// Implementors keep what the methods say.
pub unsafe trait Platform: Sync {
    /// Memory of `bytes` bytes, all of them 0, aligned to [`PAGE`], which is nobody
    /// else's until it is released; `None` when there is none. `bytes` is a multiple
    /// of [`PAGE`] and not 0.
    fn allocate_pages(&self, bytes: usize) -> Option<NonNull<u8>>;

    /// Takes back what [`allocate_pages`](Platform::allocate_pages) gave for as many
    /// bytes.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    unsafe fn release_pages(&self, address: NonNull<u8>, bytes: usize);

    /// The addresses of the running stack, or `None` when that is not known: guests
    /// may then use as much of it as the engine's configuration says.
    fn stack_bounds(&self) -> Option<Range<usize>>;
}

/// The program's platform: the address of a `&'static dyn Platform`, or null.
static PLATFORM: AtomicPtr<&'static dyn Platform> = AtomicPtr::new(ptr::null_mut());

/// Names the program's platform. To be called once, before the first engine is made.
///
/// Calls after the first do nothing, because memory goes back to where it came from.
pub fn set_platform(platform: &'static &'static dyn Platform) {
    let platform = ptr::from_ref(platform).cast_mut();
    let _ = PLATFORM.compare_exchange(
        ptr::null_mut(),
        platform,
        Ordering::Release,
        Ordering::Relaxed,
    );
}

fn platform() -> &'static dyn Platform {
    // SAFETY: what is stored is the address of a reference that lives for ever.
    match unsafe { PLATFORM.load(Ordering::Acquire).as_ref() } {
        Some(platform) => *platform,
        #[cfg(feature = "c-platform")]
        None => &c::Functions,
        #[cfg(not(feature = "c-platform"))]
        None => &Allocator,
    }
}

/// The platform of a program that names none: its global allocator.
#[cfg_attr(
    feature = "c-platform",
    expect(dead_code, reason = "the other one is named")
)]
struct Allocator;

#[cfg_attr(
    feature = "c-platform",
    expect(dead_code, reason = "the other one is named")
)]
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, PAGE).ok()
}

// SAFETY: the global allocator keeps the same promises.
unsafe impl Platform for Allocator {
    fn allocate_pages(&self, bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: the trait says that there are some bytes.
        NonNull::new(unsafe { alloc_zeroed(layout(bytes)?) })
    }

    unsafe fn release_pages(&self, address: NonNull<u8>, bytes: usize) {
        if let Some(layout) = layout(bytes) {
            // SAFETY: allocated above with this layout.
            unsafe { dealloc(address.as_ptr(), layout) }
        }
    }

    fn stack_bounds(&self) -> Option<Range<usize>> {
        None
    }
}

/// The platform that `include/tepui-platform.h` describes.
#[cfg(feature = "c-platform")]
mod c {
    use core::alloc::{GlobalAlloc, Layout};
    use core::fmt::{self, Write};
    use core::ops::Range;
    use core::ptr::NonNull;

    use super::{PAGE, Platform};

    unsafe extern "C" {
        fn tepui_platform_allocate(bytes: usize, alignment: usize) -> *mut u8;
        fn tepui_platform_release(address: *mut u8, bytes: usize, alignment: usize);
        safe fn tepui_platform_stack(low: &mut usize, high: &mut usize) -> bool;
        fn tepui_platform_log(text: *const u8, length: usize);
        safe fn tepui_platform_abort() -> !;
    }

    pub(super) struct Functions;

    // SAFETY: the header says the same.
    unsafe impl Platform for Functions {
        fn allocate_pages(&self, bytes: usize) -> Option<NonNull<u8>> {
            // SAFETY: the arguments are what the header asks for.
            let address = NonNull::new(unsafe { tepui_platform_allocate(bytes, PAGE) })?;
            // SAFETY: the bytes were just allocated.
            unsafe { address.write_bytes(0, bytes) };
            Some(address)
        }

        unsafe fn release_pages(&self, address: NonNull<u8>, bytes: usize) {
            // SAFETY: allocated above with the same arguments.
            unsafe { tepui_platform_release(address.as_ptr(), bytes, PAGE) }
        }

        fn stack_bounds(&self) -> Option<Range<usize>> {
            let (mut low, mut high) = (0, 0);
            (tepui_platform_stack(&mut low, &mut high) && low < high).then_some(low..high)
        }
    }

    // SAFETY: the header says what an allocator says.
    unsafe impl GlobalAlloc for Functions {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: a layout's size and alignment are what the header asks for.
            unsafe { tepui_platform_allocate(layout.size(), layout.align()) }
        }

        unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
            // SAFETY: allocated above with the same arguments.
            unsafe { tepui_platform_release(address, layout.size(), layout.align()) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Functions = Functions;

    /// Writes to the platform's log.
    struct Log;

    impl Write for Log {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // SAFETY: the text is readable.
            unsafe { tepui_platform_log(text.as_ptr(), text.len()) };
            Ok(())
        }
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        // What cannot be logged cannot be told to anybody.
        let _ = writeln!(Log, "{info}");
        tepui_platform_abort()
    }
}

// What the other parts of this crate ask of a system.

/// Pages are zeros, and accessible as soon as they are reserved.
pub(crate) const HAS_ADDRESS_SPACE: bool = false;

pub(crate) fn query_page_size() -> usize {
    PAGE
}

pub(crate) fn query_stack_bounds() -> Option<Range<usize>> {
    platform().stack_bounds()
}

pub(crate) fn reserve(len: usize) -> Result<NonNull<u8>> {
    platform().allocate_pages(len).ok_or_else(out_of_memory)
}

/// # Safety
///
/// The range was reserved, and ends with this call.
pub(crate) unsafe fn release(address: *mut u8, len: usize) {
    if let Some(address) = NonNull::new(address) {
        // SAFETY: the caller's.
        unsafe { platform().release_pages(address, len) }
    }
}

/// # Safety
///
/// The range is part of a reservation.
pub(crate) unsafe fn commit(_address: *mut u8, _len: usize) -> Result<()> {
    Ok(())
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn decommit(address: *mut u8, len: usize) -> Result<()> {
    // SAFETY: the caller's.
    unsafe { replace_by_zeros(address, len) }
}

/// # Safety
///
/// The range is part of a reservation; nobody uses it.
pub(crate) unsafe fn replace_by_zeros(address: *mut u8, len: usize) -> Result<()> {
    // SAFETY: the caller's.
    unsafe { ptr::write_bytes(address, 0, len) };
    Ok(())
}

/// # Safety
///
/// The range is an accessible part of a reservation; nobody uses it.
pub(crate) unsafe fn reset(address: *mut u8, len: usize) -> Result<()> {
    // There are no images, so that zeros are what was there first.
    // SAFETY: the caller's.
    unsafe { replace_by_zeros(address, len) }
}

/// # Safety
///
/// Nobody has a file to map.
pub(crate) unsafe fn map_private(_address: *mut u8, _len: usize, file: &SealedFile) -> Result<()> {
    match file.0 {}
}

/// Files in memory: there are none.
#[derive(Debug)]
pub(crate) struct SealedFile(Infallible);

impl SealedFile {
    pub(crate) fn new(_data: &[u8], _padded: usize) -> Result<Option<SealedFile>> {
        Ok(None)
    }
}
