//! Host functions: a closure, its type, and the entry that *leave* calls.
//!
//! This file holds unsafe code: the entries are called by generated code.

use alloc::sync::Arc;
use core::any::Any;
use core::ptr::NonNull;

#[cfg(feature = "compiler")]
use tepui_abi::Target;
#[cfg(feature = "compiler")]
use tepui_abi::convention::{self, Location, Representation};
#[cfg(feature = "compiler")]
use tepui_abi::image::{LeaveStatus, RegisterImage};
#[cfg(feature = "compiler")]
use tepui_native::stubs::{RegisterClasses, RegisterCounts, leave_direct, leave_for};

use crate::panics;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::{StoreInner, StoreOpaque, Unwind};
#[cfg(feature = "compiler")]
use crate::vm::context::{HostEntry, VmStack};
use crate::vm::context::{SlotsEntry, VmHostContext};
#[cfg(feature = "compiler")]
use crate::vm::transfer::{Cursor, PARAMETERS, RESULTS};
use crate::vm::transfer::{Places, Slots};
use crate::{Caller, Engine, Error, FuncType, Result, Val};

/// A host function, not yet bound to a store.
pub(crate) struct HostFunc {
    ty: FuncType,
    #[cfg(feature = "compiler")]
    entry: Entry,
    slots: SlotsEntry,
    closure: Box<dyn Any + Send + Sync>,
    leave: *const u8,
}

// SAFETY: the pointer is the address of a stub, which may be called anywhere.
unsafe impl Send for HostFunc {}
// SAFETY: as above.
unsafe impl Sync for HostFunc {}

/// What a *leave* stub calls, in builds where there is code to leave.
#[cfg(not(feature = "compiler"))]
#[derive(Clone, Copy)]
pub(crate) struct Entry;

/// What a *leave* stub calls.
#[cfg(feature = "compiler")]
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// A function that reads parameters from an image, for `leave`.
    Image(HostEntry),
    /// A function that takes parameters as C does, for `leave_direct`.
    Direct(*const u8),
}

impl HostFunc {
    /// A host function from its type, its entries and the closure that these
    /// expect to find.
    ///
    /// # Safety
    ///
    /// `entry` and `slots` read a closure of the type of `closure`, and values of
    /// type `ty`.
    pub(crate) unsafe fn new(
        ty: FuncType,
        entry: Entry,
        slots: SlotsEntry,
        closure: Box<dyn Any + Send + Sync>,
    ) -> Arc<HostFunc> {
        #[cfg(feature = "compiler")]
        let leave = match entry {
            Entry::Direct(_) => leave_direct as *const u8,
            Entry::Image(_) => {
                let usage = Usage::of(&ty);
                leave_for(usage.parameters, usage.results) as *const u8
            }
        };
        #[cfg(not(feature = "compiler"))]
        let (Entry, leave) = (entry, core::ptr::null());
        Arc::new(HostFunc {
            ty,
            #[cfg(feature = "compiler")]
            entry,
            slots,
            closure,
            leave,
        })
    }

    /// A host function that takes and gives values dynamically.
    pub(crate) fn dynamic<T: 'static>(
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<HostFunc> {
        let closure: DynamicFunction<T> = Box::new(function);
        // SAFETY: both entries read a `DynamicFunction<T>`, and take the type from
        // the function itself.
        unsafe {
            HostFunc::new(
                ty,
                #[cfg(feature = "compiler")]
                Entry::Image(dynamic_entry::<T>),
                #[cfg(not(feature = "compiler"))]
                Entry,
                dynamic_slots::<T>,
                Box::new(closure),
            )
        }
    }

    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.ty.engine()
    }

    pub(crate) fn type_id(&self) -> u32 {
        self.ty.type_id().as_u32()
    }

    /// The address of what the stub calls; null where there is none.
    pub(crate) fn entry(&self) -> *const u8 {
        #[cfg(feature = "compiler")]
        match self.entry {
            Entry::Image(entry) => entry as *const u8,
            Entry::Direct(entry) => entry,
        }
        #[cfg(not(feature = "compiler"))]
        core::ptr::null()
    }

    /// What is called without a stub.
    pub(crate) fn slots_entry(&self) -> SlotsEntry {
        self.slots
    }

    /// The stub that joins generated code to this function; null where there is none.
    pub(crate) fn leave_stub(&self) -> *const u8 {
        self.leave
    }

    /// The address of the closure.
    pub(crate) fn closure(&self) -> *const () {
        (&raw const *self.closure).cast()
    }
}

/// Which registers a signature uses.
#[cfg(feature = "compiler")]
struct Usage {
    parameters: RegisterCounts,
    results: RegisterCounts,
}

#[cfg(feature = "compiler")]
impl Usage {
    fn of(ty: &FuncType) -> Usage {
        let architecture = Target::host().architecture;
        let represent = |ty: &tepui_module::ValType| Representation::of(*ty);
        let count = |locations: &[Location]| {
            let mut counts = RegisterCounts {
                integers: 0,
                vectors: 0,
            };
            for location in locations {
                match location {
                    Location::Integer(_) => counts.integers += 1,
                    Location::Vector(_) | Location::Float(_) => counts.vectors += 1,
                    Location::Overflow(_) => {}
                }
            }
            counts
        };
        ty.with_module_type(|ty| {
            let parameters = convention::parameters(architecture, ty.params.iter().map(represent));
            let results = convention::results(architecture, ty.results.iter().map(represent));
            Usage {
                parameters: count(&parameters.locations),
                results: count(&results.locations),
            }
        })
    }
}

/// Which registers *enter* has to move for a function of this type.
#[cfg(feature = "compiler")]
pub(crate) fn register_classes(ty: &FuncType) -> RegisterClasses {
    let Usage {
        parameters,
        results,
    } = Usage::of(ty);
    classes(
        parameters.vectors > 0,
        results.vectors > 0,
        results.integers.max(results.vectors),
    )
}

/// The classes of a signature that uses vector registers for parameters and for
/// results, or not, and has so many results of one class.
#[cfg(feature = "compiler")]
pub(crate) const fn classes(parameters: bool, results: bool, count: usize) -> RegisterClasses {
    /// How many results of a class the stubs for few move.
    const FEW: usize = 3;
    match (parameters, results, count <= FEW) {
        (false, false, true) => RegisterClasses::FewIntegers,
        (false, false, false) => RegisterClasses::Integers,
        (false, true, true) => RegisterClasses::FewResults,
        (true, false, true) => RegisterClasses::VectorParameters,
        (true, true, true) => RegisterClasses::Few,
        (_, _, false) => RegisterClasses::All,
    }
}

type DynamicFunction<T> =
    Box<dyn Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync>;

/// Runs a host function's body; an error or a panic is recorded in the store as
/// the reason to unwind, and gives `None`.
///
/// # Safety
///
/// `callee` is a live host context of a store whose data is a `T`, and nobody
/// else uses that store until this returns.
#[inline(always)]
pub(crate) unsafe fn run_host<T: 'static, R>(
    callee: *mut u8,
    caller: *mut u8,
    body: impl FnOnce(Caller<'_, T>) -> Result<R>,
) -> Option<R> {
    // SAFETY: the caller promises a live host context.
    let store = unsafe { (*VmHostContext::store_context_of(callee)).store };
    // SAFETY: the store is suspended in the call that led here, and its data is
    // a `T`; `StoreInner` begins with its `StoreOpaque`.
    let inner = unsafe { &mut *store.cast::<StoreInner<T>>() };
    let caller_context = NonNull::new(caller);
    let outcome = panics::catch(|| {
        // SAFETY: `caller` is the context of the Wasm instance that called, or null.
        body(unsafe { Caller::new(inner, caller_context) })
    });
    let unwind = match outcome {
        Ok(Ok(result)) => return Some(result),
        Ok(Err(error)) => Unwind::Error(error),
        Err(payload) => Unwind::Panic(payload),
    };
    // SAFETY: the closure has returned, so nobody uses the store.
    unsafe { (*store).set_unwind(unwind) };
    None
}

/// What an entry answers *leave*, from what [`run_host`] gave.
#[cfg(feature = "compiler")]
#[inline(always)]
pub(crate) fn status(ran: Option<()>) -> LeaveStatus {
    match ran {
        Some(()) => LeaveStatus::Return,
        None => LeaveStatus::Unwind,
    }
}

/// [`run_host`] for an entry that `leave_direct` calls: after an error or a
/// panic the result is a zero that nobody sees, because the guest is unwound.
///
/// # Safety
///
/// As for [`run_host`].
#[cfg(feature = "compiler")]
#[inline(always)]
pub(crate) unsafe fn run_host_direct<T: 'static, R: Default>(
    callee: *mut u8,
    caller: *mut u8,
    body: impl FnOnce(Caller<'_, T>) -> Result<R>,
) -> R {
    // SAFETY: the caller's promise; every context leads to its store context.
    unsafe {
        run_host(callee, caller, body).unwrap_or_else(|| {
            (*VmHostContext::store_context_of(callee)).pending = 1;
            R::default()
        })
    }
}

/// The overflow area of the stack that runs the store of `callee`.
///
/// # Safety
///
/// `callee` is a live context.
#[cfg(feature = "compiler")]
#[inline(always)]
pub(crate) unsafe fn overflow_of(callee: *mut u8) -> *mut crate::vm::context::OverflowSlot {
    // SAFETY: every context leads to its store context, and that to the
    // running stack.
    unsafe { VmStack::overflow((*VmHostContext::store_context_of(callee)).stack) }
}

/// Reads parameters, runs a dynamic function, writes results.
///
/// # Safety
///
/// As for [`run_host`]; the context is that of a `DynamicFunction<T>`, and the
/// places are those of its signature.
#[inline(always)]
unsafe fn run_dynamic<T: 'static>(
    callee: *mut u8,
    caller: *mut u8,
    mut parameters: impl Places,
    mut results: impl Places,
) -> Option<()> {
    let body = |mut caller: Caller<'_, T>| -> Result<()> {
        // SAFETY: the caller promises a context that was made for a closure of
        // this type.
        let (ty, closure) = unsafe {
            (
                VmHostContext::ty(callee),
                VmHostContext::closure::<DynamicFunction<T>>(callee),
            )
        };
        let parameter_count = ty.params().len();
        let result_count = ty.results().len();
        let mut values: Vec<Val> = caller.store.0.opaque_mut().take_values();
        values.clear();
        values.reserve(parameter_count + result_count);
        let store: *mut StoreOpaque = caller.store.0.opaque_mut();
        for ty in ty.params() {
            // SAFETY: the places hold parameters of this type; they are read
            // before anything else runs.
            values.push(unsafe { Val::read(&*store, &mut parameters, &ty) });
        }
        for ty in ty.results() {
            values.push(Val::default_for(&ty));
        }
        let (given, answers) = values.split_at_mut(parameter_count);
        closure(caller.reborrow(), given, answers)?;
        let opaque = caller.store.0.opaque_mut();
        for (index, (value, ty)) in answers.iter().zip(ty.results()).enumerate() {
            value.check(opaque, &ty).map_err(|error| {
                error.context(format!("host function's result {index} is wrong"))
            })?;
        }
        for value in answers.iter() {
            // SAFETY: the results have the types that the guest expects; the
            // places are free.
            unsafe { value.write(&mut results) };
        }
        values.clear();
        opaque.put_values(values);
        Ok(())
    };
    // SAFETY: the caller's promises.
    unsafe { run_host::<T, _>(callee, caller, body) }
}

#[cfg(feature = "compiler")]
tepui_native::stub_convention! {
    [unsafe] fn dynamic_entry<T: 'static>(
        callee: *mut u8,
        caller: *mut u8,
        image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        // SAFETY: generated code calls an entry with the host context that it is part
        // of, and the store's type was fixed when the function was bound. *Leave*
        // filled the image and the overflow area, and reads results from there.
        let ran = unsafe {
            let parameters = Cursor::new(PARAMETERS, image, overflow_of(callee));
            let results = Cursor::new(RESULTS, image, overflow_of(callee));
            run_dynamic::<T>(callee, caller, parameters, results)
        };
        status(ran)
    }
}

unsafe fn dynamic_slots<T: 'static>(
    callee: *mut u8,
    caller: *mut u8,
    slots: *mut u64,
) -> Option<()> {
    // SAFETY: the caller has filled the slots of the function whose context this
    // is, and reads results from there.
    unsafe { run_dynamic::<T>(callee, caller, Slots::new(slots), Slots::new(slots)) }
}

/// An error for a host function that belongs to another engine.
pub(crate) fn wrong_engine(what: &str) -> Error {
    Error::msg(format!(
        "{what} belongs to another engine than the store it is used with"
    ))
}
