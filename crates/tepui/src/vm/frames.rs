//! Which Wasm frames are on the stack? From the frames of code and the runs of the
//! interpreter to a backtrace.
//!
//! This file holds unsafe code: it reads the stack of guests that wait.

use alloc::collections::VecDeque;

#[cfg(feature = "interpreter")]
use tepui_interpreter::Frame;
#[cfg(feature = "compiler")]
use tepui_native::stack;
#[cfg(feature = "compiler")]
use tepui_native::walk::Activations;
#[cfg(all(feature = "compiler", feature = "interpreter"))]
use tepui_native::walk::EntryFrame;

use crate::backtrace::WasmBacktrace;
#[cfg(feature = "compiler")]
use crate::compiled::code;
#[cfg(feature = "interpreter")]
use crate::interpreter::Positions;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::StoreOpaque;

/// A frame, before it is asked whose it is.
enum Noted {
    /// Of code, at this address.
    #[cfg(feature = "compiler")]
    Code(usize),
    /// Of an interpreted function.
    #[cfg(feature = "interpreter")]
    Interpreted(Frame),
}

/// Frames in the order of a walk, innermost first: of a stack with more than
/// [`WasmBacktrace::KEPT`] those at its two ends.
#[derive(Default)]
struct Ends {
    innermost: Vec<Noted>,
    outermost: VecDeque<Noted>,
    omitted: usize,
}

impl Ends {
    fn note(&mut self, frame: Noted) {
        const HALF: usize = WasmBacktrace::KEPT / 2;
        if self.innermost.len() < HALF {
            self.innermost.push(frame);
            return;
        }
        if self.outermost.len() == HALF {
            self.outermost.pop_front();
            self.omitted += 1;
        }
        self.outermost.push_back(frame);
    }

    #[cfg(feature = "interpreter")]
    fn note_run(&mut self, run: tepui_interpreter::Activation<'_>) {
        for frame in run.frames() {
            self.note(Noted::Interpreted(frame));
        }
    }

    /// Says what the frames are.
    #[cfg_attr(
        not(feature = "compiler"),
        allow(
            clippy::unnecessary_filter_map,
            reason = "frames of code may be nobody's"
        )
    )]
    fn resolve(self) -> WasmBacktrace {
        #[cfg(feature = "interpreter")]
        let mut positions = Positions::new(self.innermost.len() + self.outermost.len());
        let noted = self.innermost.into_iter().chain(self.outermost);
        let frames = noted.enumerate().filter_map(|(number, frame)| {
            let _ = number;
            match frame {
                #[cfg(feature = "compiler")]
                Noted::Code(pc) => code::frame_at(pc),
                #[cfg(feature = "interpreter")]
                Noted::Interpreted(frame) => Some(positions.describe(number, frame)),
            }
        });
        WasmBacktrace::new(frames.collect(), self.omitted)
    }
}

/// The Wasm frames of `activations` and of the interpreter's runs, unless the
/// engine wants no backtraces.
#[cfg(feature = "compiler")]
pub(crate) fn backtrace(store: &StoreOpaque, activations: Activations) -> Option<WasmBacktrace> {
    if !store.engine().wasm_backtrace() {
        return None;
    }
    let stack = stack::thread_stack_bounds().unwrap_or(0..usize::MAX);
    let mut ends = Ends::default();
    #[cfg(feature = "interpreter")]
    let mut runs = store.interpreter_activations().peekable();
    for activation in activations {
        // A run lies inside of the *enter* frame that it is tagged with, and
        // was called by the frames of generated code that lie there too.
        #[cfg(feature = "interpreter")]
        while let Some(run) =
            runs.next_if(|run| EntryFrame::frame_pointer(run.tag()) == activation.entry_fp)
        {
            ends.note_run(run);
        }
        // SAFETY: the frames of an activation lie on this thread's stack and
        // are suspended, because their store is in the host's hands.
        for frame in unsafe { activation.frames(stack.clone()) } {
            // The instruction of a call is before its return address.
            let pc = if frame.exact { frame.pc } else { frame.pc - 1 };
            ends.note(Noted::Code(pc));
        }
    }
    // The oldest runs are in no activation, when no code was entered before them.
    #[cfg(feature = "interpreter")]
    for run in runs {
        ends.note_run(run);
    }
    Some(ends.resolve())
}

/// The Wasm frames around a host function or builtin that runs now; empty when
/// no guest of the store runs.
#[cfg(feature = "compiler")]
pub(crate) fn backtrace_at_exit(store: &StoreOpaque) -> Option<WasmBacktrace> {
    // SAFETY: the store context is valid, and the guest is suspended.
    let activations = unsafe { Activations::new(store.vm().as_ptr().cast_const().cast()) };
    backtrace(store, activations)
}

/// The Wasm frames around a host function or builtin that runs now; empty when
/// no guest of the store runs.
#[cfg(not(feature = "compiler"))]
pub(crate) fn backtrace_at_exit(store: &StoreOpaque) -> Option<WasmBacktrace> {
    if !store.engine().wasm_backtrace() {
        return None;
    }
    #[cfg_attr(
        not(feature = "interpreter"),
        expect(unused_mut, reason = "nothing runs in this build")
    )]
    let mut ends = Ends::default();
    #[cfg(feature = "interpreter")]
    for run in store.interpreter_activations() {
        ends.note_run(run);
    }
    Some(ends.resolve())
}
