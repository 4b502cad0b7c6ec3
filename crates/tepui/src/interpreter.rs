//! How does the runtime run functions in the interpreter? Called by the host and
//! calling it without a stub, entered from code through *leave*, left for code
//! through *enter*, with the frames of all in one backtrace.
//!
//! This file holds unsafe code: it is called by stubs and by the interpreter
//! with contexts of live instances.
//!
//! The slot of an interpreted function holds the stub that calls [`enter`]; the host
//! uses [`call`]. Code that an interpreted function calls goes through the stub
//! *enter*, functions of the host are called as they are. Each run lies between an
//! *enter* frame and the next, or outside of all, and is tagged with the older
//! one's address, by which backtraces put it in its place.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use tepui_abi::Trap;
use tepui_abi::convention::Representation;
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_interpreter::{
    Activation, Frame, ModuleCode, NativeCall, Outcome, Raised, Resolution, Runtime, SlotStack,
    TailCall,
};
use tepui_module::{DefinedFuncIndex, Module, ValType};
use tepui_native::stack;
use tepui_native::stubs::{self, EnterStatus, LeaveFrame, RegisterClasses};

use crate::backtrace::FrameInfo;
use crate::store::{StoreOpaque, Unwind};
use crate::vm::builtins;
use crate::vm::call::backtrace_at_exit;
use crate::vm::context::{VmHostContext, VmStack, VmStoreContext};
use crate::vm::instance::VmInstance;
use crate::vm::transfer::{Cursor, PARAMETERS, Places, RESULTS, Slots};
use crate::{Error, Result};

/// What the interpreter asks of this runtime.
static RUNTIME: Runtime = Runtime {
    builtins: builtins::FALLIBLE,
    call: call_native,
    call_host,
    resolve,
};

/// Moves values from places to others.
///
/// # Safety
///
/// Both walks go over places of values of `types`.
unsafe fn move_values(types: &[ValType], mut from: impl Places, mut to: impl Places) {
    for ty in types {
        let representation = Representation::of(*ty);
        // SAFETY: the caller's promise; the types are those of the
        // representations.
        unsafe {
            match representation {
                Representation::I32 | Representation::F32 => {
                    to.write(representation, from.read::<u32>(representation));
                }
                Representation::I64 | Representation::F64 => {
                    to.write(representation, from.read::<u64>(representation));
                }
                Representation::Pointer => {
                    to.write(representation, from.read::<usize>(representation));
                }
                Representation::V128 => {
                    to.write(representation, from.read::<u128>(representation));
                }
            }
        }
    }
}

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
        if stack::approximate_stack_pointer() < (*vm).stack_limit {
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
                    caller_context: std::ptr::null_mut(),
                    type_index: module.func_type_index(module.func_index(function)),
                    slots,
                };
                return call_code(module, &call, slots);
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
        match SlotStack::call(stack, &RUNTIME, context, code, tag, parameters, finish)? {
            None => Some(()),
            Some(call) => {
                // The slots of the run are as it left them: no other has begun.
                let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
                call_code(caller.as_ref().decoded(), &call, slots)
            }
        }
    }
}

/// Calls code through *enter*, with results to `results`. `None` when the store has
/// recorded why the call failed.
///
/// # Safety
///
/// As for [`NativeCall`], whose type is one of `module`; the thread is ready for
/// guests.
unsafe fn call_code(module: &Module, call: &TailCall, results: *mut u64) -> Option<()> {
    // SAFETY: the caller's promises: the contexts are live, the slots hold what
    // the type says.
    unsafe {
        let vm: *mut VmStoreContext = VmHostContext::store_context_of(call.callee_context);
        let ty = module.func_type_at(call.type_index);
        let overflow = VmStack::overflow((*vm).stack);
        let mut image = RegisterImage::default();
        let image = &raw mut image;
        move_values(
            &ty.params,
            Slots::new(call.slots.cast_mut()),
            Cursor::new(PARAMETERS, image, overflow),
        );
        let status = stubs::call(
            call.code,
            call.callee_context,
            call.caller_context,
            image,
            vm.cast(),
            RegisterClasses::All,
        );
        if status == EnterStatus::Unwound {
            // What was recorded goes on to whoever entered this run.
            (*vm).pending = 0;
            return None;
        }
        move_values(
            &ty.results,
            Cursor::new(RESULTS, image, overflow),
            Slots::new(results),
        );
    }
    Some(())
}

/// Runs an interpreted function for the *leave* stub of its slot.
///
/// # Safety
///
/// As for the entry of a slot: `callee` is the context of a live instance with
/// interpreted functions, whose store nobody else uses, and `image` that of the
/// stub, with parameters of the function's type.
pub(crate) unsafe fn enter(
    callee: *mut u8,
    image: *mut RegisterImage,
    function: DefinedFuncIndex,
) -> LeaveStatus {
    // SAFETY: the caller's promises; each borrow lasts one statement.
    unsafe {
        let vm = VmHostContext::store_context_of(callee);
        let store = (*vm).store;
        if stack::approximate_stack_pointer() < (*vm).stack_limit {
            return trapped(store, Trap::StackOverflow);
        }
        let code = match resolve(callee, function) {
            Ok(Resolution::Interpreted(code)) => code,
            // It got code since its slot was read: the same call goes on there.
            Ok(Resolution::Native(code)) => {
                (*vm).tail_code = code;
                (*vm).tail_context = callee;
                return LeaveStatus::TailCall;
            }
            Ok(Resolution::Host) => unreachable!("defined functions are not the host's"),
            Err(Raised) => return LeaveStatus::Unwind,
        };
        let slots = match (*store).slot_stack() {
            Ok(slots) => slots,
            Err(error) => {
                (*store).set_unwind(Unwind::Error(error));
                return LeaveStatus::Unwind;
            }
        };
        let instance = VmInstance::of_context(NonNull::new_unchecked(callee));
        let module = instance.as_ref().inner().module();
        let ty = module.func_type(module.func_index(function));
        let overflow = VmStack::overflow((*vm).stack);
        let parameters = |slots| {
            let image = Cursor::new(PARAMETERS, image, overflow);
            move_values(&ty.params, image, Slots::new(slots));
        };
        let finish = |outcome, slots: *mut u64| match outcome {
            Outcome::Returned => {
                let image = Cursor::new(RESULTS, image, overflow);
                move_values(&ty.results, Slots::new(slots), image);
                LeaveStatus::Return
            }
            Outcome::Trap(trap) => trapped(store, trap),
            Outcome::Raised => LeaveStatus::Unwind,
            Outcome::TailCall(call) => {
                let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
                let ty = caller.as_ref().decoded().func_type_at(call.type_index);
                let parameters = Cursor::new(PARAMETERS, image, overflow);
                move_values(&ty.params, Slots::new(call.slots.cast_mut()), parameters);
                (*vm).tail_code = call.code;
                (*vm).tail_context = call.callee_context;
                (*LeaveFrame::of(image)).caller_context = call.caller_context;
                LeaveStatus::TailCall
            }
        };
        SlotStack::call(
            slots,
            &RUNTIME,
            callee,
            code,
            (*vm).entry_sp,
            parameters,
            finish,
        )
    }
}

/// Records a trap of the guest at hand.
///
/// # Safety
///
/// `store` is live, and its guest is suspended.
unsafe fn trapped(store: *mut StoreOpaque, trap: Trap) -> LeaveStatus {
    // SAFETY: the caller's promise.
    let store = unsafe { &mut *store };
    let backtrace = backtrace_at_exit(store);
    store.set_unwind(Unwind::Trap(trap, backtrace));
    LeaveStatus::Unwind
}

/// Says how a function is called: it is interpreted while its slot leads to no
/// code.
///
/// # Safety
///
/// `context` is that of a live instance, whose store nobody else uses.
unsafe fn resolve(context: *mut u8, function: DefinedFuncIndex) -> Result<Resolution, Raised> {
    // SAFETY: the caller's promise.
    let (store, instance) = unsafe {
        let store = (*VmHostContext::store_context_of(context)).store;
        let instance = VmInstance::of_context(NonNull::new_unchecked(context));
        (store, instance.as_ref())
    };
    let resolved = catch_unwind(AssertUnwindSafe(|| {
        let code = instance.code();
        let interpreted = match code.interpreted() {
            Some(interpreted) if code.is_interpreted(function) => interpreted,
            _ => return Ok(Resolution::Native(code.slots().stub(function.as_u32()))),
        };
        let inner = instance.inner();
        let code = interpreted.function(inner.module(), inner.bytes(), code.plan(), function)?;
        Ok(Resolution::Interpreted(code))
    }));
    let unwind = match resolved {
        Ok(Ok(resolution)) => return Ok(resolution),
        Ok(Err(error)) => Unwind::Error(error),
        Err(payload) => Unwind::Panic(payload),
    };
    // SAFETY: the caller's promise.
    unsafe { (*store).set_unwind(unwind) };
    Err(Raised)
}

/// Calls a function that is not interpreted, through *enter*.
///
/// # Safety
///
/// As the interpreter calls it: see [`NativeCall`].
unsafe fn call_native(call: &NativeCall) -> Result<(), Raised> {
    // SAFETY: the caller's promise; the thread was made ready by whoever entered
    // the guest that calls.
    unsafe {
        let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
        let module = caller.as_ref().decoded();
        let results = call.slots;
        let call = TailCall {
            code: call.code,
            callee_context: call.callee_context,
            caller_context: call.caller_context,
            type_index: call.type_index,
            slots: call.slots,
        };
        call_code(module, &call, results).ok_or(Raised)
    }
}

/// Calls a function of the host.
///
/// # Safety
///
/// As the interpreter calls it: see [`Runtime::call_host`].
unsafe fn call_host(callee: *mut u8, caller: *mut u8, slots: *mut u64) -> Result<(), Raised> {
    // SAFETY: the interpreter finds these contexts where function references of
    // the host lead.
    unsafe { VmHostContext::call(callee, caller, slots) }.ok_or(Raised)
}

/// Frames at each end of a backtrace whose positions are looked for: a backtrace
/// shows no more, and each position may cost the translation of a function.
const POSITIONS: usize = 64;

/// Where the frames of interpreted functions are in a backtrace.
#[derive(Default)]
pub(crate) struct Interpreted {
    frames: Vec<(usize, Frame)>,
}

impl Interpreted {
    /// Notes the frames of a run, which follow `known` frames of a backtrace
    /// that has placeholders for those noted before.
    pub(crate) fn note(&mut self, activation: Activation<'_>, frames: &mut Vec<FrameInfo>) {
        for frame in activation.frames() {
            self.frames.push((frames.len(), frame));
            frames.push(FrameInfo::unknown());
        }
    }

    /// Says what the noted frames are.
    pub(crate) fn resolve(self, frames: &mut [FrameInfo]) {
        let count = frames.len();
        let mut positions = HashMap::new();
        for (number, frame) in self.frames {
            // SAFETY: frames are those of live instances.
            let instance =
                unsafe { VmInstance::of_context(NonNull::new_unchecked(frame.context)).as_ref() };
            let inner = instance.inner();
            let module = inner.module();
            let is_shown = number < POSITIONS || count - number <= POSITIONS;
            let key = (frame.context as usize, frame.function, frame.code_offset);
            let position = is_shown.then(|| {
                *positions.entry(key).or_insert_with(|| {
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
            frames[number] = FrameInfo::new(
                inner.name(),
                index.as_u32(),
                inner.function_name(index),
                position.flatten(),
                module.body(frame.function).range().start,
            );
        }
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
