//! How do interpreted functions and code call each other? Entered from code through
//! *leave*, left for code through *enter*.
//!
//! This file holds unsafe code: it is called by stubs and by the interpreter with
//! contexts of live instances.
//!
//! The slot of an interpreted function holds the stub that calls [`enter`]. Code that
//! an interpreted function calls goes through the stub *enter*.

use std::ptr::NonNull;

use tepui_abi::Trap;
use tepui_abi::convention::Representation;
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_interpreter::{NativeCall, Outcome, Raised, Resolution, SlotStack, TailCall};
use tepui_module::{DefinedFuncIndex, Module, ValType};
use tepui_native::stack;
use tepui_native::stubs::{self, EnterStatus, LeaveFrame, RegisterClasses};

use crate::interpreter::{RUNTIME, limit_without_own_frames, resolve, trapped};
use crate::store::Unwind;
use crate::vm::context::{VmHostContext, VmStack, VmStoreContext};
use crate::vm::instance::VmInstance;
use crate::vm::transfer::{Cursor, PARAMETERS, Places, RESULTS, Slots};

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

/// Calls code through *enter*, with results to `results`. `None` when the store has
/// recorded why the call failed. What lies on the stack between `began` and here is
/// not the guest's.
///
/// # Safety
///
/// As for [`NativeCall`], whose type is one of `module`; the thread is ready for
/// guests.
pub(crate) unsafe fn call_code(
    module: &Module,
    call: &TailCall,
    results: *mut u64,
    began: usize,
) -> Option<()> {
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
        let limit = (*vm).stack_limit;
        (*vm).stack_limit = limit_without_own_frames(limit, began);
        let status = stubs::call(
            call.code,
            call.callee_context,
            call.caller_context,
            image,
            vm.cast(),
            RegisterClasses::All,
        );
        (*vm).stack_limit = limit;
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
            trapped(store, Trap::StackOverflow);
            return LeaveStatus::Unwind;
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
        let began = image.addr() + size_of::<LeaveFrame>();
        let outer = std::mem::replace(&mut (*store).run_began, began);
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
            Outcome::Trap(trap) => {
                trapped(store, trap);
                LeaveStatus::Unwind
            }
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
        let tag = (*vm).entry_sp;
        let status = SlotStack::call(slots, &RUNTIME, callee, code, tag, parameters, finish);
        (*store).run_began = outer;
        status
    }
}

/// Calls a function that is not interpreted, through *enter*.
///
/// # Safety
///
/// As the interpreter calls it: see [`NativeCall`].
pub(crate) unsafe fn call_native(call: &NativeCall) -> Result<(), Raised> {
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
        let vm = VmHostContext::store_context_of(call.callee_context);
        let began = (*(*vm).store).run_began;
        call_code(module, &call, results, began).ok_or(Raised)
    }
}
