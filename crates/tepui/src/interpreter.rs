//! How does the runtime run functions in the interpreter? Entered through
//! *leave*, left through *enter*, with the frames of both in one backtrace.
//!
//! This file holds unsafe code: it is called by stubs and by the interpreter
//! with contexts of live instances.
//!
//! The slot of an interpreted function holds the stub that calls [`enter`]. What
//! an interpreted function calls that is not interpreted goes through the stub
//! *enter*. Each run lies between an *enter* frame and the next, and is tagged
//! with the older one's address, by which backtraces put it in its place.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use tepui_abi::Trap;
use tepui_abi::convention::Representation;
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_interpreter::{
    Activation, Frame, ModuleCode, NativeCall, Outcome, Raised, Resolution, Runtime, SlotStack,
};
use tepui_module::{DefinedFuncIndex, ValType};
use tepui_native::stack;
use tepui_native::stubs::{self, EnterStatus, LeaveFrame, RegisterClasses};

use crate::backtrace::FrameInfo;
use crate::store::{StoreOpaque, Unwind};
use crate::vm::builtins;
use crate::vm::call::backtrace_at_exit;
use crate::vm::context::{VmHostContext, VmStack, VmStoreContext};
use crate::vm::instance::VmInstance;
use crate::vm::transfer::{Cursor, PARAMETERS, RESULTS};
use crate::{Error, Result};

/// What the interpreter asks of this runtime.
static RUNTIME: Runtime = Runtime {
    builtins: builtins::FALLIBLE,
    call: call_native,
    resolve,
};

/// Slots that a value takes.
fn slots(representation: Representation) -> usize {
    match representation {
        Representation::V128 => 2,
        _ => 1,
    }
}

/// Moves values from the places of a cursor to slots.
///
/// # Safety
///
/// The cursor walks over values of `types`, and the slots have room for them.
unsafe fn to_slots(cursor: &mut Cursor, types: &[ValType], mut to: *mut u64) {
    for ty in types {
        let representation = Representation::of(*ty);
        // SAFETY: the caller's promise. Vectors lie in slots as their bytes,
        // lane 0 first.
        unsafe {
            match representation {
                Representation::I32 | Representation::F32 => {
                    to.write(u64::from(cursor.read::<u32>(representation)));
                }
                Representation::I64 | Representation::F64 => {
                    to.write(cursor.read::<u64>(representation));
                }
                Representation::Pointer => to.write(cursor.read::<usize>(representation) as u64),
                Representation::V128 => {
                    let value = cursor.read::<u128>(representation);
                    to.cast::<[u8; 16]>().write(value.to_le_bytes());
                }
            }
            to = to.add(slots(representation));
        }
    }
}

/// Moves values from slots to the places of a cursor.
///
/// # Safety
///
/// As for [`to_slots`].
unsafe fn from_slots(cursor: &mut Cursor, types: &[ValType], mut from: *const u64) {
    for ty in types {
        let representation = Representation::of(*ty);
        // SAFETY: the caller's promise.
        unsafe {
            match representation {
                Representation::I32 | Representation::F32 => {
                    cursor.write(representation, from.read() as u32);
                }
                Representation::I64 | Representation::F64 => {
                    cursor.write(representation, from.read());
                }
                Representation::Pointer => cursor.write(representation, from.read() as usize),
                Representation::V128 => {
                    let bytes = from.cast::<[u8; 16]>().read();
                    cursor.write(representation, u128::from_le_bytes(bytes));
                }
            }
            from = from.add(slots(representation));
        }
    }
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
        let Ok(Resolution::Interpreted(code)) = resolve(callee, function) else {
            return LeaveStatus::Unwind;
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
            let mut cursor = Cursor::new(PARAMETERS, image, overflow);
            to_slots(&mut cursor, &ty.params, slots);
        };
        let finish = |outcome, slots: *mut u64| match outcome {
            Outcome::Returned => {
                let mut cursor = Cursor::new(RESULTS, image, overflow);
                from_slots(&mut cursor, &ty.results, slots);
                LeaveStatus::Return
            }
            Outcome::Trap(trap) => trapped(store, trap),
            Outcome::Raised => LeaveStatus::Unwind,
            Outcome::TailCall(call) => {
                let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
                let ty = caller.as_ref().decoded().func_type_at(call.type_index);
                let mut cursor = Cursor::new(PARAMETERS, image, overflow);
                from_slots(&mut cursor, &ty.params, call.slots);
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

/// Says how a function is called. All functions of an interpreting engine are
/// interpreted.
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
        let Some(interpreted) = code.interpreted() else {
            return Ok(Resolution::Native(code.slots().stub(function.as_u32())));
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
    // SAFETY: the contexts are live, the slots hold what the type says, and the
    // thread was made ready by whoever entered the guest that calls.
    unsafe {
        let vm: *mut VmStoreContext = VmHostContext::store_context_of(call.callee_context);
        let caller = VmInstance::of_context(NonNull::new_unchecked(call.caller_context));
        let ty = caller.as_ref().decoded().func_type_at(call.type_index);
        let overflow = VmStack::overflow((*vm).stack);
        let mut image = RegisterImage::default();
        let image = &raw mut image;
        let mut cursor = Cursor::new(PARAMETERS, image, overflow);
        from_slots(&mut cursor, &ty.params, call.slots);
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
            return Err(Raised);
        }
        let mut cursor = Cursor::new(RESULTS, image, overflow);
        to_slots(&mut cursor, &ty.results, call.slots);
    }
    Ok(())
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
