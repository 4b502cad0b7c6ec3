//! Entering Wasm, and what happens when a call comes back or unwinds.
//!
//! Code is entered through the stub *enter*, with values in registers
//! ([`enter`]); what is interpreted or the host's own is called as Rust calls, with
//! values in slots ([`call_slots`]).
//!
//! This file holds unsafe code: it is where Rust hands the thread over to
//! generated code and takes it back.

use core::ptr::NonNull;

#[cfg(feature = "compiler")]
use tepui_abi::Trap;
#[cfg(feature = "compiler")]
use tepui_abi::image::RegisterImage;
use tepui_abi::layout::FuncRefLayout;
#[cfg(feature = "std")]
use tepui_native::signals;
use tepui_native::stack;
#[cfg(feature = "compiler")]
pub(crate) use tepui_native::stubs::RegisterClasses;
#[cfg(feature = "compiler")]
use tepui_native::stubs::{self, EnterStatus};
#[cfg(feature = "compiler")]
use tepui_native::walk::Activations;

#[cfg(feature = "compiler")]
use super::context::VmStoreContext;
use super::context::{VmFuncRef, VmHostContext};
use crate::Error;
use crate::Result;
use crate::panics;
use crate::store::{StoreOpaque, Unwind};
#[cfg(feature = "compiler")]
use crate::vm::frames::backtrace;
#[cfg(feature = "compiler")]
use crate::vm::instance::VmInstance;

/// Calls `function` with the parameters in `image` and the overflow area;
/// results replace them.
///
/// # Errors
///
/// The trap or error that ended the call.
///
/// # Panics
///
/// Goes on with the panic of a host function that the call ran into.
///
/// # Safety
///
/// `store` is live and otherwise unused during the call, `function` is a
/// function reference of that store, the parameters have its type, and
/// `classes` covers the registers of the type.
#[cfg(feature = "compiler")]
#[inline]
pub(crate) unsafe fn enter(
    store: *mut StoreOpaque,
    function: NonNull<VmFuncRef>,
    image: *mut RegisterImage,
    classes: RegisterClasses,
) -> Result<()> {
    // SAFETY: `store` is live, and its store context for as long as it is. The
    // guest runs on this thread's stack, below the limit set here or by the
    // outermost call.
    let status = unsafe {
        let vm = (*store).vm().as_ptr();
        let outer_limit = begin(store)?;
        let function = function.as_ptr();
        let status = stubs::call(
            (*function).code,
            (*function).context,
            core::ptr::null_mut(),
            image,
            vm.cast(),
            classes,
        );
        (*vm).stack_limit = outer_limit;
        status
    };
    match status {
        EnterStatus::Returned => Ok(()),
        // SAFETY: the guest is gone, and the store is this call's again.
        EnterStatus::Unwound => Err(unsafe { unwound(&mut *store) }),
    }
}

/// Whether a function is called with [`call_slots`]: it is the host's, or its
/// module has the interpreter among its tiers.
///
/// # Safety
///
/// `function` is a function reference of a live store.
#[inline(always)]
#[cfg(feature = "compiler")]
pub(crate) unsafe fn takes_slots(function: NonNull<VmFuncRef>) -> bool {
    // SAFETY: the caller's promise; the context of a defined function is that of
    // its instance.
    unsafe {
        let function = function.as_ptr();
        if (*function).function == FuncRefLayout::NO_FUNCTION {
            return true;
        }
        cfg!(feature = "interpreter") && VmInstance::has_interpreted((*function).context)
    }
}

/// Calls a function that [takes slots](takes_slots): results replace parameters.
///
/// # Errors
///
/// The trap or error that ended the call.
///
/// # Panics
///
/// Goes on with the panic of a host function that the call ran into.
///
/// # Safety
///
/// `store` is live and otherwise unused during the call, `function` is a
/// function reference of that store that takes slots; these hold parameters of its
/// type, and have room for its results (see [`Slots`](super::transfer::Slots)).
pub(crate) unsafe fn call_slots(
    store: *mut StoreOpaque,
    function: NonNull<VmFuncRef>,
    slots: *mut u64,
) -> Result<()> {
    // SAFETY: as in `enter`.
    unsafe {
        let vm = (*store).vm().as_ptr();
        let outer_limit = begin(store)?;
        let function = function.as_ptr();
        let context = (*function).context;
        let ran = if (*function).function == FuncRefLayout::NO_FUNCTION {
            VmHostContext::call(context, core::ptr::null_mut(), slots)
        } else {
            #[cfg(feature = "interpreter")]
            {
                let function = tepui_module::DefinedFuncIndex::new((*function).function);
                crate::interpreter::call(context, function, slots)
            }
            #[cfg(not(feature = "interpreter"))]
            unreachable!("nothing is interpreted in this build")
        };
        (*vm).stack_limit = outer_limit;
        match ran {
            Some(()) => Ok(()),
            None => Err(unwound(&mut *store)),
        }
    }
}

/// Makes the thread ready for a call, if it is not. Answers the stack limit to put
/// back after the call: that of the guest that is suspended, or 0.
///
/// # Safety
///
/// `store` is live, and its guests are suspended.
#[inline]
unsafe fn begin(store: *mut StoreOpaque) -> Result<usize> {
    // SAFETY: the caller's promise.
    unsafe {
        let outer_limit = (*(*store).vm().as_ptr()).stack_limit;
        if outer_limit == 0 || is_other_stack(outer_limit) {
            prepare_thread(store)?;
        }
        Ok(outer_limit)
    }
}

/// Whether `limit`, which the suspended guest was given, is one of the stack of
/// another thread: a host function may lend its store to one.
fn is_other_stack(limit: usize) -> bool {
    stack::thread_stack_bounds().is_some_and(|bounds| {
        !bounds.contains(&limit) && bounds.contains(&stack::approximate_stack_pointer())
    })
}

/// Makes the thread ready to run guests of `store` from here on down.
///
/// # Safety
///
/// `store` is live, and no guest of it runs on this thread.
#[inline]
unsafe fn prepare_thread(store: *mut StoreOpaque) -> Result<()> {
    #[cfg(feature = "std")]
    signals::ensure_thread_ready()
        .map_err(|error| Error::new(error).context("cannot prepare the thread for guests"))?;
    // SAFETY: the caller's promise.
    unsafe {
        let maximum = (*store).engine().max_wasm_stack();
        let vm = (*store).vm().as_ptr();
        (*vm).stack_limit = stack::guest_stack_limit(maximum, stack::approximate_stack_pointer());
    }
    Ok(())
}

/// The error of a call that unwound.
#[cold]
fn unwound(store: &mut StoreOpaque) -> Error {
    // SAFETY: the store context lives as long as the store.
    unsafe { (*store.vm().as_ptr()).pending = 0 };
    match store.take_unwind() {
        Some(Unwind::Trap(trap, backtrace)) => {
            let error = Error::from(trap);
            match backtrace {
                Some(backtrace) => error.with_backtrace(backtrace),
                None => error,
            }
        }
        Some(Unwind::Error(error)) => error,
        Some(Unwind::Panic(payload)) => panics::resume(payload),
        None => unreachable!("whoever unwinds records why"),
    }
}

#[cfg(feature = "compiler")]
tepui_native::stub_convention! {
    /// What the trap stub calls, on the guest's stack, after a fault in generated
    /// code.
    ///
    /// # Safety
    ///
    /// `store_context` is the thread's current one, whose guest faulted at `pc`
    /// with frame pointer `fp`.
    [pub(crate) unsafe] fn on_trap(
        store_context: *mut u8,
        pc: usize,
        fp: usize,
        trap: u32,
        _address: usize,
    ) {
        // SAFETY: the store is suspended in the call that faulted.
        let (store, activations) = unsafe {
            let store = &mut *(*store_context.cast::<VmStoreContext>()).store;
            (store, Activations::after_fault(store_context, pc, fp))
        };
        let trap = u8::try_from(trap)
            .ok()
            .and_then(Trap::from_code)
            .unwrap_or(Trap::UnreachableCodeReached);
        let backtrace = backtrace(store, activations);
        store.set_unwind(Unwind::Trap(trap, backtrace));
    }
}
