//! What belongs to a run: the slot stack, its activations, how a run ended, and
//! the frames of those that wait.
//!
//! This file holds unsafe code: the slot stack is raw memory, and activations of
//! one store form a list through the native stack.

use alloc::alloc::{Layout, alloc, dealloc};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use tepui_abi::Trap;
use tepui_module::{DefinedFuncIndex, TypeIndex};

use crate::code::{FunctionCode, ModuleCode};
use crate::dispatch::{self, Ctx, Fp, Ip, Regs};
use crate::handlers;
use crate::runtime::Runtime;

/// What lies below the frame pointer: how the frame is left, and whose it is.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Header {
    /// Where the caller goes on.
    pub(crate) ip: Ip,
    /// The caller's frame pointer; null in the first frame of an activation.
    pub(crate) fp: Fp,
    /// The context of this frame.
    pub(crate) ctx: Ctx,
    /// The function of this frame.
    pub(crate) code: *const FunctionCode,
}

/// Bytes that a header takes: whole slots on every machine.
pub(crate) const HEADER_BYTES: usize = 32;

const _: () = assert!(size_of::<Header>() <= HEADER_BYTES);

/// The header of the frame at `fp`.
#[inline(always)]
pub(crate) fn header(fp: Fp) -> *mut Header {
    fp.wrapping_byte_sub(HEADER_BYTES).cast()
}

/// A tail call out of the interpreter, for its caller to make.
#[derive(Clone, Copy, Debug)]
pub struct TailCall {
    /// Where the function is entered, under the calling convention.
    pub code: *const u8,
    /// The context that it is called with.
    pub callee_context: *mut u8,
    /// The context of the instance that calls.
    pub caller_context: *mut u8,
    /// Its type, in the module of the caller.
    pub type_index: TypeIndex,
    /// Its parameters; see [`NativeCall::slots`](crate::NativeCall::slots).
    pub slots: *const u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The results are in the area.
    Returned,
    /// A trap, which the runtime has not heard of yet.
    Trap(Trap),
    /// The runtime has recorded why.
    Raised,
    /// The function goes on in one that is not interpreted.
    TailCall(TailCall),
}

/// What handlers share during a run.
pub(crate) struct State {
    /// The length of memory 0 in bytes, as it was when it was last looked at.
    pub(crate) len: usize,
    /// The address that frames must not reach before [`State::reach`] has moved it.
    pub(crate) stack_end: usize,
    /// The address up to which a frame that was refused would have reached.
    pub(crate) wanted: usize,
    stack: *mut SlotStack,
    pub(crate) runtime: &'static Runtime,
    /// Where the guest is, whenever the runtime is asked for something.
    pub(crate) ip: Ip,
    pub(crate) fp: Fp,
    pub(crate) outcome: Outcome,
    /// A function reference on its way from a handler to its slow path.
    pub(crate) callee: *const u8,
    /// The native stack pointer that a fault goes back to.
    #[cfg_attr(
        not(guard_pages),
        allow(dead_code, reason = "nothing faults in this build")
    )]
    pub(crate) native_stack: usize,
    /// What the loop goes on with.
    #[cfg(any(not(tail_dispatch), debug_assertions))]
    pub(crate) regs: Regs,
    previous: *const State,
    /// Where the run begins in the stack: parameters and results of its first
    /// function.
    area: *mut u64,
    tag: usize,
}

impl State {
    /// Moves the end of the stack behind the frame that was refused. Answers whether
    /// there is room for it.
    ///
    /// # Safety
    ///
    /// `state` is that of a run, whose stack is not borrowed.
    pub(crate) unsafe fn reach(state: *mut State) -> bool {
        // SAFETY: the caller's; a stack outlives the runs on it.
        unsafe {
            let stack = &mut *(*state).stack;
            let reached = stack.reach((*state).wanted);
            (*state).stack_end = stack.clean;
            reached
        }
    }
}

/// Bytes that a stack is cleared by at a time.
const CLEARED_AT_ONCE: usize = 4 << 10;

/// The stack of slots on which the functions of one store run.
///
/// It is cleared as far as frames reach, when they first do: a store whose functions
/// need little of it is made without touching the rest.
#[derive(Debug)]
pub struct SlotStack {
    base: NonNull<u8>,
    bytes: usize,
    /// The address up to which it has been cleared.
    clean: usize,
    innermost: *const State,
}

// SAFETY: the memory is owned, and the list is empty whenever no guest runs.
unsafe impl Send for SlotStack {}
// SAFETY: shared references only read.
unsafe impl Sync for SlotStack {}

impl SlotStack {
    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes, 16).ok()
    }

    /// A stack of about `bytes` bytes; `None` when there is no memory for it.
    pub fn new(bytes: usize) -> Option<SlotStack> {
        let bytes = bytes.max(4 << 10).checked_next_multiple_of(16)?;
        let layout = SlotStack::layout(bytes)?;
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc(layout) })?;
        Some(SlotStack {
            base,
            bytes,
            clean: base.as_ptr().addr(),
            innermost: ptr::null(),
        })
    }

    /// Clears what lies below `end` and was not used yet. Answers whether `end` is still
    /// in the stack.
    fn reach(&mut self, end: usize) -> bool {
        let base = self.base.as_ptr();
        let last = base.addr() + self.bytes;
        if end > last {
            return false;
        }
        if end > self.clean {
            let clean = end.saturating_add(CLEARED_AT_ONCE).min(last);
            // SAFETY: from inside of the memory to its end at most, and behind every
            // frame that there is.
            unsafe { ptr::write_bytes(base.with_addr(self.clean), 0, clean - self.clean) };
            self.clean = clean;
        }
        true
    }

    /// The activations that run or wait, innermost first.
    ///
    /// # Safety
    ///
    /// No guest runs while they are used.
    pub unsafe fn activations(&self) -> impl Iterator<Item = Activation<'_>> {
        let mut next = self.innermost;
        core::iter::from_fn(move || {
            // SAFETY: the list leads through runs that have not ended.
            let state = unsafe { next.as_ref()? };
            next = state.previous;
            Some(Activation { state })
        })
    }

    /// Where the next activation begins.
    fn top(&self) -> usize {
        // SAFETY: as in `activations`; the frame of a run that waits has a
        // header.
        unsafe {
            match self.innermost.as_ref() {
                // It left its only frame by a tail call, whose arguments have been
                // read by whoever begins another.
                Some(state) if state.fp.is_null() => state.area.addr(),
                Some(state) => {
                    let code = (*header(state.fp)).code;
                    state.fp.addr() + (*code).frame_bytes
                }
                None => self.base.as_ptr().addr(),
            }
        }
    }

    /// Calls an interpreted function.
    ///
    /// `parameters` is given the slots that it has to fill (see
    /// [`NativeCall::slots`](crate::NativeCall::slots)). `finish` is given how
    /// the run ended, and the slots of the results if it returned; while it runs,
    /// the activation is still listed, at the place of the trap if there was one.
    /// `tag` is kept for [`Activation::tag`].
    ///
    /// # Safety
    ///
    /// `stack` is live, of the store of `context`, and not borrowed; `context` is
    /// a live instance context whose plan the code was translated for, and leads
    /// to the `ModuleCode` of `code`; nothing that the guest may change is
    /// borrowed. `parameters` and `finish` start no guest.
    pub unsafe fn call<R>(
        stack: *mut SlotStack,
        runtime: &'static Runtime,
        context: *mut u8,
        code: NonNull<FunctionCode>,
        tag: usize,
        parameters: impl FnOnce(*mut u64),
        finish: impl FnOnce(Outcome, *mut u64) -> R,
    ) -> R {
        // SAFETY: the caller's promises. Addresses stay inside of the stack: that
        // area, header and frame have room is asked first.
        unsafe {
            let code = code.as_ptr();
            let top = (*stack).top().next_multiple_of(16);
            let needed = (*code).area_bytes + HEADER_BYTES + (*code).frame_bytes;
            if !(*stack).reach(top.saturating_add(needed)) {
                return finish(Outcome::Trap(Trap::StackOverflow), ptr::null_mut());
            }
            let area: *mut u64 = (*stack).base.as_ptr().with_addr(top).cast();
            parameters(area);
            let fp = area.byte_add((*code).area_bytes + HEADER_BYTES);
            header(fp).write(Header {
                ip: handlers::exit_code(),
                fp: ptr::null_mut(),
                ctx: context,
                code,
            });
            let ip = (*code).start();
            let (mem, len) = memory0(context);
            let mut state = State {
                len,
                stack_end: (*stack).clean,
                wanted: 0,
                stack,
                runtime,
                ip,
                fp,
                outcome: Outcome::Raised,
                callee: ptr::null(),
                native_stack: 0,
                #[cfg(any(not(tail_dispatch), debug_assertions))]
                regs: Regs {
                    ip,
                    fp,
                    mem,
                    ctx: context,
                    state: ptr::null_mut(),
                    acc: 0,
                    float: 0.0,
                },
                previous: (*stack).innermost,
                area,
                tag,
            };
            let state = &raw mut state;
            (*stack).innermost = state;
            dispatch::run(Regs {
                ip,
                fp,
                mem,
                ctx: context,
                state,
                acc: 0,
                float: 0.0,
            });
            let result = finish((*state).outcome, area);
            (*stack).innermost = (*state).previous;
            result
        }
    }
}

impl Drop for SlotStack {
    fn drop(&mut self) {
        if let Some(layout) = SlotStack::layout(self.bytes) {
            // SAFETY: allocated in `new` with this layout.
            unsafe { dealloc(self.base.as_ptr(), layout) }
        }
    }
}

/// Base and length of memory 0 of an instance; length 0 when it has none.
///
/// # Safety
///
/// `ctx` is a live instance context that leads to a `ModuleCode`.
#[inline(always)]
pub(crate) unsafe fn memory0(ctx: Ctx) -> (*mut u8, usize) {
    // SAFETY: the caller's; definitions are set before a guest runs.
    unsafe {
        match (*ModuleCode::of(ctx)).memory0 {
            Some(place) => definition(place.resolve(ctx)),
            None => (ptr::without_provenance_mut(1), 0),
        }
    }
}

/// Base and length in a definition of a memory or a table.
///
/// # Safety
///
/// `at` is a definition.
#[inline(always)]
pub(crate) unsafe fn definition(at: *mut u8) -> (*mut u8, usize) {
    use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
    // SAFETY: the caller's; the words are atomics to whoever writes them. The
    // length is read first: a length that is seen goes with the base of then, or
    // with a later one that has more room.
    unsafe {
        let length =
            AtomicUsize::from_ptr(at.add(size_of::<usize>()).cast()).load(Ordering::Acquire);
        let base = AtomicPtr::from_ptr(at.cast::<*mut u8>()).load(Ordering::Relaxed);
        (base, length)
    }
}

/// A run that has not ended.
#[derive(Clone, Copy)]
pub struct Activation<'a> {
    state: &'a State,
}

impl<'a> Activation<'a> {
    /// What [`SlotStack::call`] was given.
    pub fn tag(&self) -> usize {
        self.state.tag
    }

    /// The frames, innermost first.
    pub fn frames(&self) -> Frames<'a> {
        Frames {
            ip: self.state.ip,
            fp: self.state.fp,
            is_first: true,
            lifetime: PhantomData,
        }
    }
}

impl core::fmt::Debug for Activation<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

/// The frames of an activation, innermost first.
#[derive(Clone)]
pub struct Frames<'a> {
    ip: Ip,
    fp: Fp,
    is_first: bool,
    lifetime: PhantomData<&'a ()>,
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The context of its instance.
    pub context: *mut u8,
    /// Its function.
    pub function: DefinedFuncIndex,
    /// Where in the bytecode of the function it is, for
    /// [`ModuleCode::position`].
    pub code_offset: usize,
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.fp.is_null() {
            return None;
        }
        // SAFETY: frames of a run that has not ended have headers.
        let header = unsafe { header(self.fp).read() };
        // SAFETY: code lives as long as frames of it.
        let code = unsafe { &*header.code };
        let offset = (self.ip.addr() - code.start().addr()) / 4;
        let frame = Frame {
            context: header.ctx,
            function: code.function,
            // What a frame returns to lies behind the call.
            code_offset: if self.is_first { offset } else { offset - 1 },
        };
        self.ip = header.ip;
        self.fp = header.fp;
        self.is_first = false;
        Some(frame)
    }
}
