//! Machines without a code generator: there is no code that could be entered.
//!
//! [`CodeRegion::new`](crate::code::CodeRegion::new) answers `Unsupported`
//! here, so that nobody has an address to give to these functions. They exist
//! so that the runtime is one text; each says so if it is called all the same.

use tepui_abi::image::RegisterImage;

use crate::stub_convention;
use crate::stubs::{EnterStatus, RegisterCounts, StubFn};
use crate::walk::EntryFrame;

/// No frame is ever made.
pub(crate) const ENTRY_FRAME_BYTES: usize = size_of::<EntryFrame>();

#[cold]
fn no_native_code() -> ! {
    panic!("there is no code generator for this machine, and so no code to run")
}

stub_convention! {
    /// Panics: there is no code to call.
    ///
    /// # Safety
    ///
    /// None is needed.
    [pub unsafe] fn enter(
        _code: *const u8,
        _callee_context: *mut u8,
        _caller_context: *mut u8,
        _image: *mut RegisterImage,
        _store_context: *mut u8,
    ) -> EnterStatus {
        no_native_code()
    }
}

macro_rules! never_called {
    ($($name:ident)*) => {
        $(
            stub_convention! {
                /// Panics: there is no code that calls it.
                ///
                /// # Safety
                ///
                /// None is needed.
                [pub unsafe] fn $name() {
                    no_native_code()
                }
            }
        )*
    };
}

never_called!(leave leave_direct leave_integers leave_slot leave_slot_integers);

/// A stub that is never called.
pub(crate) fn leave_for(_: RegisterCounts, _: RegisterCounts) -> StubFn {
    leave
}

stub_convention! {
    /// Panics: there is no guest to unwind.
    ///
    /// # Safety
    ///
    /// None is needed.
    [pub unsafe] fn unwind(_store_context: *mut u8) -> ! {
        no_native_code()
    }
}

/// Defines builtins under names of their own; no code calls them here.
#[macro_export]
macro_rules! builtin_stub {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident(
        $($argument:ident: $type:ty),* $(,)?
    ) $(-> $result:ty)? = $implementation:path;)*) => {
        $(
            $crate::stub_convention! {
                $(#[$attribute])*
                ///
                /// # Safety
                ///
                /// That of the implementation.
                [$visibility unsafe] fn $name($($argument: $type),*) $(-> $result)? {
                    let implementation: $crate::stub_convention!(
                        [unsafe] fn($($type),*) $(-> $result)?
                    ) = $implementation;
                    // SAFETY: the caller's.
                    unsafe { implementation($($argument),*) }
                }
            }
        )*
    };
}

/// No stub does anything here.
pub(crate) fn slot_stub(_distance: i32) -> [u8; tepui_abi::slots::STUB_BYTES as usize] {
    [0; tepui_abi::slots::STUB_BYTES as usize]
}

/// No code, no caches.
///
/// # Safety
///
/// None is needed.
pub(crate) unsafe fn synchronize_caches(_start: *const u8, _len: usize) {}

pub use {
    enter as enter_few, enter as enter_few_integers, enter as enter_few_results,
    enter as enter_integers, enter as enter_vector_parameters,
};
