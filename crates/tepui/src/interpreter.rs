//! How does the runtime run functions in the interpreter? The host and interpreted
//! functions call each other without a stub.
//!
//! This file holds unsafe code: it is called by the interpreter with contexts of
//! live instances.
//!
//! Between interpreted functions and code there are stubs: see `compiled/crossing.rs`.
//! Each run lies between an *enter* frame and the next, or outside of all, and is
//! tagged with the older one's address, by which backtraces put it in its place.

use alloc::collections::BTreeMap;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use tepui_abi::Trap;
use tepui_interpreter::{
    Frame, ModuleCode, Outcome, Raised, Resolution, Runtime, SlotStack, TailCall,
};
use tepui_module::DefinedFuncIndex;
use tepui_native::stack;

use crate::backtrace::FrameInfo;
#[cfg(feature = "compiler")]
use crate::compiled::crossing;
use crate::panics;
use crate::store::{StoreOpaque, Unwind};
use crate::vm::builtins;

use crate::vm::context::VmHostContext;
use crate::vm::frames::backtrace_at_exit;
use crate::vm::instance::VmInstance;
use crate::{Error, Result};

/// Where there is no code, nobody calls any.
#[cfg(not(feature = "compiler"))]
mod crossing {
    use tepui_interpreter::{NativeCall, Raised, TailCall};
    use tepui_module::Module;

    pub(super) unsafe fn call_code(_: &Module, _: &TailCall, _: *mut u64, _: usize) -> Option<()> {
        unreachable!("there is no code in this build")
    }

    pub(super) unsafe fn call_native(_: &NativeCall) -> Result<(), Raised> {
        unreachable!("there is no code in this build")
    }
}

/// What the interpreter asks of this runtime.
pub(crate) static RUNTIME: Runtime = Runtime {
    builtins: builtins::FALLIBLE,
    call: crossing::call_native,
    call_host,
    resolve,
};

/// Calls a defined function of the instance of `context` for the host, without a
/// stub unless the function has code: results replace parameters. `None` when the
/// store has recorded why the call failed.
///
/// # Safety
///
/// `context` is that of a live instance whose store nobody else uses, and whose
/// thread is ready for guests. `slots` hold parameters of the function's type, and
/// have room for its results.
pub(crate) unsafe fn call(
    context: *mut u8,
    function: DefinedFuncIndex,
    slots: *mut u64,
) -> Option<()> {
    // SAFETY: the caller's promises; each borrow lasts one statement. What is
    // copied at once are all slots of the type, initialized or not.
    unsafe {
        let vm = VmHostContext::store_context_of(context);
        let store = (*vm).store;
        let began = stack::approximate_stack_pointer();
        if began < (*vm).stack_limit {
            trapped(store, Trap::StackOverflow);
            return None;
        }
        let code = match resolve(context, function) {
            Ok(Resolution::Interpreted(code)) => code,
            Ok(Resolution::Native(code)) => {
                let instance = VmInstance::of_context(NonNull::new_unchecked(context));
                let module = instance.as_ref().decoded();
                let call = TailCall {
                    code,
                    callee_context: context,
                    caller_context: core::ptr::null_mut(),
                    type_index: module.func_type_index(module.func_index(function)),
                    slots,
                };
                return crossing::call_code(module, &call, slots, began);
            }
            Ok(Resolution::Host) => unreachable!("defined functions are not the host's"),
            Err(Raised) => return None,
        };
        let stack = match (*store).slot_stack() {
            Ok(stack) => stack,
            Err(error) => {
                (*store).set_unwind(Unwind::Error(error));
                return None;
            }
        };
        let outer = core::mem::replace(&mut (*store).run_began, began);
        let count = code.as_ref().area_slots();
        let bytes = slots.cast::<MaybeUninit<u64>>();
        let parameters = |area: *mut u64| bytes.copy_to_nonoverlapping(area.cast(), count);
        let finish = |outcome, area: *mut u64| match outcome {
            Outcome::Returned => {
                bytes.copy_from_nonoverlapping(area.cast(), count);
                Some(None)
            }
            Outcome::Trap(trap) => {
                trapped(store, trap);
                None
            }
            Outcome::Raised => None,
            Outcome::TailCall(call) => Some(Some(call)),
        };
        let tag = (*vm).entry_sp;
        let ended = SlotStack::call(stack, &RUNTIME, context, code, tag, parameters, finish);
        (*store).run_began = outer;
        match ended? {
            None => Some(()),
            Some(call) => {
                // The slots of the run are as it left them: no other has begun.
                let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
                crossing::call_code(caller.as_ref().decoded(), &call, slots, began)
            }
        }
    }
}

/// Records a trap of the guest at hand.
///
/// # Safety
///
/// `store` is live, and its guest is suspended.
pub(crate) unsafe fn trapped(store: *mut StoreOpaque, trap: Trap) {
    // SAFETY: the caller's promise.
    let store = unsafe { &mut *store };
    let backtrace = backtrace_at_exit(store);
    store.set_unwind(Unwind::Trap(trap, backtrace));
}

/// Says how a function is called: it is interpreted while its slot leads to no
/// code.
///
/// # Safety
///
/// `context` is that of a live instance, whose store nobody else uses.
pub(crate) unsafe fn resolve(
    context: *mut u8,
    function: DefinedFuncIndex,
) -> Result<Resolution, Raised> {
    // SAFETY: the caller's promise.
    let (store, instance) = unsafe {
        let store = (*VmHostContext::store_context_of(context)).store;
        let instance = VmInstance::of_context(NonNull::new_unchecked(context));
        (store, instance.as_ref())
    };
    let resolved = panics::catch(|| {
        let code = instance.code();
        if let Some(entry) = code.entry(function) {
            return Ok(Resolution::Native(entry));
        }
        let Some(interpreted) = code.interpreted() else {
            return Err(Error::msg(
                "the function has no code, and is not interpreted",
            ));
        };
        let inner = instance.inner();
        let code = interpreted.function(inner.module(), inner.bytes(), code.plan(), function)?;
        Ok(Resolution::Interpreted(code))
    });
    let unwind = match resolved {
        Ok(Ok(resolution)) => return Ok(resolution),
        Ok(Err(error)) => Unwind::Error(error),
        Err(payload) => Unwind::Panic(payload),
    };
    // SAFETY: the caller's promise.
    unsafe { (*store).set_unwind(unwind) };
    Err(Raised)
}

/// Calls a function of the host.
///
/// # Safety
///
/// As the interpreter calls it: see [`Runtime::call_host`].
unsafe fn call_host(callee: *mut u8, caller: *mut u8, slots: *mut u64) -> Result<(), Raised> {
    // SAFETY: the interpreter finds these contexts where function references of
    // the host lead.
    unsafe {
        let vm = VmHostContext::store_context_of(callee);
        let limit = (*vm).stack_limit;
        (*vm).stack_limit = limit_without_own_frames(limit, (*(*vm).store).run_began);
        let called = VmHostContext::call(callee, caller, slots);
        (*vm).stack_limit = limit;
        called.ok_or(Raised)
    }
}

/// The stack limit for what a run calls that is not interpreted: `limit`, which is
/// the guest's, without the native frames of the interpreter since `began`. Those
/// of guests are what it limits, and interpreted ones lie in slots.
#[inline]
pub(crate) fn limit_without_own_frames(limit: usize, began: usize) -> usize {
    let own = began.saturating_sub(stack::approximate_stack_pointer());
    stack::lower_stack_limit(limit, own)
}

/// Frames at each end of a backtrace whose positions are looked for: a backtrace
/// shows no more, and each position may cost the translation of a function.
const POSITIONS: usize = 64;

/// Says what the interpreted frames of a backtrace are.
pub(crate) struct Positions {
    frames: usize,
    known: BTreeMap<(usize, DefinedFuncIndex, usize), Option<usize>>,
}

impl Positions {
    /// For a backtrace of so many frames.
    pub(crate) fn new(frames: usize) -> Positions {
        Positions {
            frames,
            known: BTreeMap::new(),
        }
    }

    /// What the frame is that has this number in the backtrace.
    pub(crate) fn describe(&mut self, number: usize, frame: Frame) -> FrameInfo {
        // SAFETY: frames are those of live instances.
        let instance =
            unsafe { VmInstance::of_context(NonNull::new_unchecked(frame.context)).as_ref() };
        let inner = instance.inner();
        let module = inner.module();
        let is_shown = number < POSITIONS || self.frames - number <= POSITIONS;
        let key = (frame.context as usize, frame.function, frame.code_offset);
        let position = is_shown.then(|| {
            *self.known.entry(key).or_insert_with(|| {
                let code = instance.code();
                let interpreted: &ModuleCode = code.interpreted()?;
                interpreted.position(
                    module,
                    inner.bytes(),
                    code.plan(),
                    frame.function,
                    frame.code_offset,
                )
            })
        });
        let index = module.func_index(frame.function);
        FrameInfo::new(
            inner.name(),
            index.as_u32(),
            inner.function_name(index),
            position.flatten(),
            module.body(frame.function).range().start,
        )
    }
}

/// The slot stack of a store, made when the first interpreted function is
/// called.
///
/// # Errors
///
/// When there is no memory for it.
pub(crate) fn new_slot_stack(bytes: usize) -> Result<SlotStack> {
    SlotStack::new(bytes)
        .ok_or_else(|| Error::msg("out of memory for the stack of the interpreter"))
}
