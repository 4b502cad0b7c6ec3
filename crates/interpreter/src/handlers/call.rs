//! How do functions call one another? Within the interpreter, to another
//! instance, and out of it.
//!
//! This file holds unsafe code under the invariants of [`handlers`](super).
//!
//! The operands of a call are: where the callee's frame pointer will be, where
//! its arguments lie, its type; then what says which function it is. A `reload`
//! follows. Those of a tail call are: the bytes of the callee's area, where its
//! arguments lie and how many bytes they are, the bytes of the own area, its
//! type; then the function.
//!
//! Paths that are rare are functions of their own, reached by a tail call with
//! the same instruction at hand.

use core::ptr;
use core::sync::atomic::Ordering;

use tepui_abi::layout::{ContextLayout, FuncRefLayout};
use tepui_abi::{Target, Trap};
use tepui_module::{DefinedFuncIndex, TypeIndex};

use super::control::pointer_slot;
use super::handlers;
use super::memory::unspeculated;
use super::table::element;
use crate::code::{FunctionCode, FunctionEntry, ModuleCode};
use crate::dispatch::{Ctx, Fp, HANDLER_WORDS, Handler, Ip, Regs, Signal};
use crate::runtime::{NativeCall, Raised, Resolution};
use crate::state::{HEADER_BYTES, Header, Outcome, State, TailCall, definition, header};

const FUNC_REF: FuncRefLayout = FuncRefLayout::new(Target::host());

/// Operands that the `reload` behind a call takes.
const RELOAD_WORDS: usize = HANDLER_WORDS;

/// Operands of a direct call.
pub(crate) const CALL: usize = 6;
/// Operands of a direct call by index.
pub(crate) const CALL_INDEXED: usize = 4;
/// Operands of a call of an import.
pub(crate) const CALL_IMPORT: usize = 4;
/// Operands of a call of a reference.
pub(crate) const CALL_REF: usize = 4;
/// Operands of a call through a table.
pub(crate) const CALL_INDIRECT: usize = 8;

/// How the type of a function from a table is checked.
pub(crate) mod check {
    /// It is known.
    pub(crate) const NONE: u8 = 0;
    /// It must be the expected one.
    pub(crate) const EXACT: u8 = 1;
    /// It must be the expected one or a subtype.
    pub(crate) const SUBTYPE: u8 = 2;
}

/// The code that first frames return to.
#[repr(C)]
struct ExitCode {
    handler: Handler,
}

static EXIT: ExitCode = ExitCode { handler: exit };

/// Where the first frame of an activation returns to.
pub(crate) fn exit_code() -> Ip {
    (&raw const EXIT).cast()
}

// What a function reference says.

#[inline(always)]
unsafe fn reference_code(reference: *const u8) -> *const u8 {
    // SAFETY: a function reference.
    unsafe {
        reference
            .add(FUNC_REF.code() as usize)
            .cast::<*const u8>()
            .read()
    }
}

#[inline(always)]
unsafe fn reference_context(reference: *const u8) -> Ctx {
    // SAFETY: a function reference.
    unsafe {
        reference
            .add(FUNC_REF.context() as usize)
            .cast::<Ctx>()
            .read()
    }
}

#[inline(always)]
unsafe fn reference_type(reference: *const u8) -> u32 {
    // SAFETY: a function reference.
    unsafe {
        reference
            .add(FUNC_REF.type_id() as usize)
            .cast::<u32>()
            .read()
    }
}

#[inline(always)]
unsafe fn reference_function(reference: *const u8) -> u32 {
    // SAFETY: a function reference.
    unsafe {
        reference
            .add(FUNC_REF.function() as usize)
            .cast::<u32>()
            .read()
    }
}

/// The code of the function behind a reference and its context, if it has been
/// translated.
#[inline(always)]
unsafe fn interpreted(reference: *const u8) -> Option<(*const FunctionCode, Ctx)> {
    // SAFETY: a function reference; one of a defined function leads to an
    // instance context.
    unsafe {
        let function = reference_function(reference);
        if function == FuncRefLayout::NO_FUNCTION {
            return None;
        }
        let ctx = reference_context(reference);
        let module = ModuleCode::of(ctx);
        if module.is_null() {
            return None;
        }
        let entries = (*module).entries.as_ptr();
        let code = (*entries.add(function as usize))
            .code
            .load(Ordering::Acquire);
        (!code.is_null()).then_some((code.cast_const(), ctx))
    }
}

/// Whether a frame may reach to `end`. If not, nothing has happened yet, and
/// [`further`] is to be asked.
#[inline(always)]
unsafe fn reaches(r: &Regs, end: usize) -> bool {
    // SAFETY: as for a handler.
    unsafe {
        let reaches = end <= (*r.state).stack_end;
        if !reaches {
            (*r.state).wanted = end;
        }
        reaches
    }
}

/// Enters a function in a new frame.
///
/// With the loop this is a call of its own, so that handlers that may run the host
/// need little native stack.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn push(mut r: Regs, code: *const FunctionCode, fp: Fp, ret: Ip, ctx: Ctx) -> Signal {
    // SAFETY: as for a handler; the frame is inside of the stack when its end
    // is, because the caller's is and the new one begins in it.
    unsafe {
        if !reaches(&r, fp.addr() + (*code).frame_bytes) {
            return further(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        }
        header(fp).write(Header {
            ip: ret,
            fp: r.fp,
            ctx,
            code,
        });
        r.ip = (*code).start();
        r.fp = fp;
        r.go()
    }
}

/// Where the new frame pointer is: operand 0 of a call.
#[inline(always)]
unsafe fn callee_frame(r: &Regs) -> Fp {
    // SAFETY: as for a handler.
    unsafe { r.fp.wrapping_byte_offset(r.place(0) as isize) }
}

/// The `reload` behind a call with `operands` operands.
#[inline(always)]
fn reload_of(r: &Regs, operands: usize) -> Ip {
    r.ip.wrapping_add(HANDLER_WORDS + operands)
}

/// Enters a function of any instance.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn push_across(mut r: Regs, code: *const FunctionCode, ctx: Ctx, operands: usize) -> Signal {
    // SAFETY: as for a handler.
    unsafe {
        let fp = callee_frame(&r);
        let reload = reload_of(&r, operands);
        if ctx == r.ctx {
            return push(r, code, fp, reload.wrapping_add(RELOAD_WORDS), ctx);
        }
        if !reaches(&r, fp.addr() + (*code).frame_bytes) {
            return further(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        }
        r.ctx = ctx;
        r = r.reloaded();
        push(r, code, fp, reload, ctx)
    }
}

/// Calls the function behind a reference.
#[inline(always)]
unsafe fn invoke<const OPERANDS: usize>(r: Regs, reference: *const u8) -> Signal {
    // SAFETY: as for a handler.
    unsafe {
        match interpreted(reference) {
            Some((code, ctx)) => push_across(r, code, ctx, OPERANDS),
            None => {
                (*r.state).callee = reference;
                if reference_function(reference) == FuncRefLayout::NO_FUNCTION {
                    return invoke_host::<OPERANDS>(
                        r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float,
                    );
                }
                invoke_rarely::<OPERANDS>(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float)
            }
        }
    }
}

/// Asks how the function behind a reference is called.
unsafe fn resolve(r: &Regs, reference: *const u8) -> Result<Resolution, Raised> {
    // SAFETY: as for a handler.
    unsafe {
        let function = reference_function(reference);
        let ctx = reference_context(reference);
        if function == FuncRefLayout::NO_FUNCTION {
            return Ok(Resolution::Host);
        }
        if ModuleCode::of(ctx).is_null() {
            return Ok(Resolution::Native(reference_code(reference)));
        }
        r.publish();
        ((*r.state).runtime.resolve)(ctx, DefinedFuncIndex::new(function))
    }
}

/// Keeps the first result at hand, whatever its class is, as functions that are
/// interpreted do. Where there is none, what lies in the slot does not matter.
#[inline(always)]
unsafe fn keep_result(r: &mut Regs, slots: *const u64) {
    // SAFETY: as for a handler; the frame has room for the header of a callee
    // where it has none for results.
    let bits = unsafe { slots.read() };
    r.acc = bits;
    r.float = f64::from_bits(bits);
}

/// Asks the runtime for a call of code. It is apart from the handlers, because one
/// that lets others see its own stack could not end in a jump.
#[inline(never)]
unsafe fn call_code(
    state: *mut State,
    code: *const u8,
    callee_context: Ctx,
    caller_context: Ctx,
    type_index: u32,
    slots: *mut u64,
) -> Result<(), Raised> {
    let call = NativeCall {
        code,
        callee_context,
        caller_context,
        type_index: TypeIndex::new(type_index),
        slots,
    };
    // SAFETY: the state of the run; the handler vouches for the rest.
    unsafe { ((*state).runtime.call)(&call) }
}

/// Calls a function that is not interpreted, of the type in operand 2 of a call.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn call_native<const OPERANDS: usize>(r: Regs, code: *const u8, ctx: Ctx) -> Signal {
    // SAFETY: as for a handler; arguments and results lie in the frame.
    unsafe {
        r.publish();
        let slots = r.fp.wrapping_byte_offset(r.place(1) as isize);
        match call_code(r.state, code, ctx, r.ctx, r.word(2), slots) {
            Ok(()) => {
                let mut r = r.reloaded();
                keep_result(&mut r, slots);
                r.next(OPERANDS + RELOAD_WORDS)
            }
            Err(raised) => r.raise(raised),
        }
    }
}

// Tail calls.

/// Operands of the part that all tail calls have.
pub(crate) const TAIL: usize = 5;

/// Moves the arguments of a tail call to the area and enters the callee there.
#[inline(always)]
unsafe fn replace(mut r: Regs, code: *const FunctionCode, ctx: Ctx) -> Signal {
    // SAFETY: as for a handler. The area begins where that of the frame at hand
    // does, so that the caller finds the results; everything up to the end of
    // the new frame is compared with the end of the stack.
    unsafe {
        let own = header(r.fp).read();
        let area = r.fp.byte_sub(HEADER_BYTES + r.word(3) as usize);
        let fp = area.wrapping_byte_add(r.word(0) as usize + HEADER_BYTES);
        if !reaches(&r, fp.addr() + (*code).frame_bytes) {
            return further(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        }
        let arguments = r.fp.wrapping_byte_offset(r.place(1) as isize);
        ptr::copy(arguments.cast::<u8>(), area.cast(), r.word(2) as usize);
        let mut ret = own.ip;
        if ctx != r.ctx {
            if !own.fp.is_null()
                && ret.cast::<Handler>().read_unaligned() as usize != reload as *const () as usize
            {
                ret = ret.wrapping_sub(RELOAD_WORDS);
            }
            r.ctx = ctx;
            r = r.reloaded();
        }
        header(fp).write(Header {
            ip: ret,
            fp: own.fp,
            ctx,
            code,
        });
        r.fp = fp;
        r.ip = (*code).start();
        r.go()
    }
}

/// Leaves the frame at hand for a tail call out of the interpreter: its arguments
/// go to the area, where the results are to be, and the caller is where it will go
/// on. `None` when the stack has no room for the arguments.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn retire(r: &mut Regs) -> Option<*mut u64> {
    // SAFETY: as for a handler; the area begins where that of the frame does, and
    // its end is compared with that of the stack.
    unsafe {
        let own = header(r.fp).read();
        let area = r.fp.byte_sub(HEADER_BYTES + r.word(3) as usize);
        if !reaches(r, area.addr() + r.word(0) as usize) {
            return None;
        }
        let arguments = r.fp.wrapping_byte_offset(r.place(1) as isize);
        ptr::copy(arguments.cast::<u8>(), area.cast(), r.word(2) as usize);
        // For backtraces: in the call, which is before what it returns to.
        (*r.state).ip = own.ip.wrapping_sub(1);
        (*r.state).fp = own.fp;
        r.ip = own.ip;
        r.fp = own.fp;
        Some(area)
    }
}

/// Goes on in the caller after a tail call out of the interpreter, whose results
/// lie in `area`.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn retired(r: Regs, area: *const u64) -> Signal {
    // SAFETY: as for a handler; where there is no result, the area is followed by
    // the header that was there.
    unsafe {
        let mut r = r.reloaded();
        keep_result(&mut r, area);
        r.go()
    }
}

/// Makes a tail call of a function that is not interpreted.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn replace_native(mut r: Regs, code: *const u8, ctx: Ctx) -> Signal {
    // SAFETY: as for a handler.
    unsafe {
        let type_index = r.word(4);
        if (*header(r.fp)).fp.is_null() {
            let slots = r.fp.wrapping_byte_offset(r.place(1) as isize);
            r.publish();
            (*r.state).outcome = Outcome::TailCall(TailCall {
                code,
                callee_context: ctx,
                caller_context: r.ctx,
                type_index: TypeIndex::new(type_index),
                slots,
            });
            return Signal::EXIT;
        }
        let caller_context = r.ctx;
        let Some(area) = retire(&mut r) else {
            return further(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        };
        match call_code(r.state, code, ctx, caller_context, type_index, area) {
            Ok(()) => retired(r, area),
            Err(raised) => r.raise(raised),
        }
    }
}

/// Makes a tail call of a function of the host. It takes no slots, so it is a call
/// after which the caller goes on.
#[cfg_attr(all(tail_dispatch, not(debug_assertions)), inline(always))]
unsafe fn replace_host(mut r: Regs, ctx: Ctx) -> Signal {
    // SAFETY: as for a handler.
    unsafe {
        let caller_context = r.ctx;
        let Some(area) = retire(&mut r) else {
            return further(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        };
        match ((*r.state).runtime.call_host)(ctx, caller_context, area) {
            Ok(()) => retired(r, area),
            Err(raised) => r.raise(raised),
        }
    }
}

/// Makes a tail call of the function behind a reference.
#[inline(always)]
unsafe fn invoke_tail(r: Regs, reference: *const u8) -> Signal {
    // SAFETY: as for a handler.
    unsafe {
        if let Some((code, ctx)) = interpreted(reference) {
            return replace(r, code, ctx);
        }
        match resolve(&r, reference) {
            Ok(Resolution::Interpreted(code)) => {
                replace(r, code.as_ptr(), reference_context(reference))
            }
            Ok(Resolution::Native(code)) => replace_native(r, code, reference_context(reference)),
            Ok(Resolution::Host) => replace_host(r, reference_context(reference)),
            Err(raised) => r.raise(raised),
        }
    }
}

/// The code of a function of the module, if it has been translated.
#[inline(always)]
unsafe fn of_module(r: &Regs, function: u32) -> *const FunctionCode {
    // SAFETY: as for a handler.
    unsafe {
        let entries = (*ModuleCode::of(r.ctx)).entries.as_ptr();
        (*entries.add(function as usize))
            .code
            .load(Ordering::Acquire)
    }
}

/// The id of a type that operand `at` names: by its index in the module, or itself.
#[inline(always)]
unsafe fn type_id<const BY_INDEX: bool>(r: &Regs, at: usize) -> u32 {
    const TYPE_IDS: u32 = ContextLayout::type_ids_on(Target::host());
    // SAFETY: as for a handler; contexts point to the ids of all types.
    unsafe {
        let word = r.word(at);
        if BY_INDEX {
            let ids = r.ctx.add(TYPE_IDS as usize).cast::<*const u32>().read();
            ids.add(word as usize).read()
        } else {
            word
        }
    }
}

/// The reference in the table element that a `call_indirect` names, checked.
/// `at` is its first operand: the index, the place, the expected type.
#[inline(always)]
unsafe fn from_table<const CHECK: u8, const BY_INDEX: bool>(
    r: &Regs,
    at: usize,
) -> Result<*const u8, Trap> {
    // SAFETY: as for a handler.
    unsafe {
        let Some((base, index)) = element(r, at, at + 1) else {
            return Err(Trap::TableOutOfBounds);
        };
        let reference = base.cast::<*const u8>().add(index).read();
        if reference.is_null() {
            return Err(Trap::IndirectCallToNull);
        }
        if CHECK == check::EXACT && reference_type(reference) != type_id::<BY_INDEX>(r, at + 2) {
            return Err(Trap::BadSignature);
        }
        Ok(reference)
    }
}

/// Whether a reference has the expected type or a subtype.
#[inline(always)]
unsafe fn has_subtype(r: &Regs, reference: *const u8, expected: u32) -> Result<bool, Raised> {
    // SAFETY: as for a handler.
    unsafe {
        let actual = reference_type(reference);
        if actual == expected {
            return Ok(true);
        }
        r.publish();
        let is_subtype = ((*r.state).runtime.builtins.is_subtype)(r.ctx, actual, expected)?;
        Ok(is_subtype != 0)
    }
}

handlers! {
    /// Ends the run.
    fn exit(r) {
        (*r.state).outcome = Outcome::Returned;
        Signal::EXIT
    }

    /// Does the instruction at hand again with more of the stack, if there is more.
    #[cold]
    fn further(r) {
        if State::reach(r.state) {
            r.go()
        } else {
            r.trap(Trap::StackOverflow)
        }
    }

    /// Takes the context from the frame: a call has come back from another
    /// instance.
    fn reload(r) {
        r.ctx = (*header(r.fp)).ctx;
        r.reloaded().next(0)
    }

    /// Calls a function of the module. Then: the function, its entry.
    fn call(r) {
        let entry = ptr::with_exposed_provenance::<FunctionEntry>(r.wide(4) as usize);
        let code = (*entry).code.load(Ordering::Acquire);
        if code.is_null() {
            return call_rarely::<CALL>(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        }
        let fp = callee_frame(&r);
        push(r, code, fp, reload_of(&r, CALL).wrapping_add(RELOAD_WORDS), r.ctx)
    }

    /// Calls a function of the module. Then: the function.
    fn call_indexed(r) {
        let code = of_module(&r, r.word(3));
        if code.is_null() {
            return call_rarely::<CALL_INDEXED>(
                r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float,
            );
        }
        let fp = callee_frame(&r);
        push(r, code, fp, reload_of(&r, CALL_INDEXED).wrapping_add(RELOAD_WORDS), r.ctx)
    }

    #[cold]
    fn call_rarely[const OPERANDS: usize](r) {
        r.publish();
        match ((*r.state).runtime.resolve)(r.ctx, DefinedFuncIndex::new(r.word(3))) {
            Ok(Resolution::Interpreted(code)) => push_across(r, code.as_ptr(), r.ctx, OPERANDS),
            Ok(Resolution::Native(code)) => call_native::<OPERANDS>(r, code, r.ctx),
            Ok(Resolution::Host) => unreachable!("defined functions are not the host's"),
            Err(raised) => r.raise(raised),
        }
    }

    /// Calls the function in `callee`, which is one of the host.
    fn invoke_host[const OPERANDS: usize](r) {
        r.publish();
        let ctx = reference_context((*r.state).callee);
        let slots = r.fp.wrapping_byte_offset(r.place(1) as isize);
        match ((*r.state).runtime.call_host)(ctx, r.ctx, slots) {
            Ok(()) => {
                let mut r = r.reloaded();
                keep_result(&mut r, slots);
                r.next(OPERANDS + RELOAD_WORDS)
            }
            Err(raised) => r.raise(raised),
        }
    }

    /// Calls the function in `callee`, which is not known to be translated.
    #[cold]
    fn invoke_rarely[const OPERANDS: usize](r) {
        let reference = (*r.state).callee;
        let ctx = reference_context(reference);
        match resolve(&r, reference) {
            Ok(Resolution::Interpreted(code)) => push_across(r, code.as_ptr(), ctx, OPERANDS),
            Ok(Resolution::Native(code)) => call_native::<OPERANDS>(r, code, ctx),
            Ok(Resolution::Host) => invoke_host::<OPERANDS>(
                r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float,
            ),
            Err(raised) => r.raise(raised),
        }
    }

    /// Calls an import. Then: where its reference is in the context.
    fn call_import(r) {
        let reference = r.ctx.add(r.word(3) as usize).cast::<*const u8>().read();
        invoke::<CALL_IMPORT>(r, reference)
    }

    /// Calls a reference. Then: its slot.
    fn call_ref(r) {
        let reference = pointer_slot(r.fp, r.place(3)).read().cast_const();
        if reference.is_null() {
            return r.trap(Trap::NullReference);
        }
        invoke::<CALL_REF>(r, reference)
    }

    /// Calls through a table of the instance with 32-bit indices. If the function
    /// is of the instance too and translated, here; else, or if there is a trap,
    /// as any call through a table.
    fn call_indirect_near[const CHECK: u8](r) {
        let index = u64::from(r.get::<u32>(3));
        let (base, length) = definition(r.ctx.add(r.word(4) as usize));
        if index < length as u64 {
            let index = unspeculated(index, (length as u64 - 1).wrapping_sub(index));
            let reference = base.cast::<*const u8>().add(index as usize).read();
            if !reference.is_null()
                && (CHECK == check::NONE || reference_type(reference) == r.word(5))
                && reference_context(reference) == r.ctx
            {
                // Only what the instance defines has its context.
                let entries = ptr::with_exposed_provenance::<FunctionEntry>(r.wide(6) as usize);
                let function = reference_function(reference) as usize;
                let code = (*entries.add(function)).code.load(Ordering::Acquire);
                if !code.is_null() {
                    let fp = callee_frame(&r);
                    let ret = reload_of(&r, CALL_INDIRECT).wrapping_add(RELOAD_WORDS);
                    return push(r, code, fp, ret, r.ctx);
                }
            }
        }
        call_indirect::<CHECK, false>(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float)
    }

    /// Calls through a table. Then: the index, the table's place, the type (its id,
    /// or its index in the module), the entries of the module's functions.
    fn call_indirect[const CHECK: u8, const BY_INDEX: bool](r) {
        match from_table::<CHECK, BY_INDEX>(&r, 3) {
            Ok(reference) => {
                if CHECK == check::SUBTYPE {
                    match has_subtype(&r, reference, type_id::<BY_INDEX>(&r, 5)) {
                        Ok(true) => {}
                        Ok(false) => return r.trap(Trap::BadSignature),
                        Err(raised) => return r.raise(raised),
                    }
                }
                invoke::<CALL_INDIRECT>(r, reference)
            }
            Err(trap) => r.trap(trap),
        }
    }

    /// Tail-calls a function of the module. Then: the function, its entry.
    fn return_call(r) {
        let entry = ptr::with_exposed_provenance::<FunctionEntry>(r.wide(TAIL + 1) as usize);
        let code = (*entry).code.load(Ordering::Acquire);
        if !code.is_null() {
            return replace(r, code, r.ctx);
        }
        return_call_rarely(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float)
    }

    /// Tail-calls a function of the module. Then: the function.
    fn return_call_indexed(r) {
        let code = of_module(&r, r.word(TAIL));
        if !code.is_null() {
            return replace(r, code, r.ctx);
        }
        return_call_rarely(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float)
    }

    #[cold]
    fn return_call_rarely(r) {
        r.publish();
        match ((*r.state).runtime.resolve)(r.ctx, DefinedFuncIndex::new(r.word(TAIL))) {
            Ok(Resolution::Interpreted(code)) => replace(r, code.as_ptr(), r.ctx),
            Ok(Resolution::Native(code)) => replace_native(r, code, r.ctx),
            Ok(Resolution::Host) => unreachable!("defined functions are not the host's"),
            Err(raised) => r.raise(raised),
        }
    }

    /// Tail-calls an import. Then: where its reference is in the context.
    fn return_call_import(r) {
        let reference = r.ctx.add(r.word(TAIL) as usize).cast::<*const u8>().read();
        invoke_tail(r, reference)
    }

    /// Tail-calls a reference. Then: its slot.
    fn return_call_ref(r) {
        let reference = pointer_slot(r.fp, r.place(TAIL)).read().cast_const();
        if reference.is_null() {
            return r.trap(Trap::NullReference);
        }
        invoke_tail(r, reference)
    }

    /// Tail-calls through a table. Then: the index, the table's place, the type (its
    /// id, or its index in the module).
    fn return_call_indirect[const CHECK: u8, const BY_INDEX: bool](r) {
        match from_table::<CHECK, BY_INDEX>(&r, TAIL) {
            Ok(reference) => {
                if CHECK == check::SUBTYPE {
                    match has_subtype(&r, reference, type_id::<BY_INDEX>(&r, TAIL + 2)) {
                        Ok(true) => {}
                        Ok(false) => return r.trap(Trap::BadSignature),
                        Err(raised) => return r.raise(raised),
                    }
                }
                invoke_tail(r, reference)
            }
            Err(trap) => r.trap(trap),
        }
    }
}
