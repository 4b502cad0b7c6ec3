//! What does each instruction of the bytecode do? The handlers.
//!
//! These files hold unsafe code: a handler trusts the instruction that it was
//! reached by.
//!
//! # Invariants, which the translator keeps
//!
//! 1. Every instruction has the operands that its handler reads, and what
//!    follows them is an instruction, unless the handler never goes on there.
//! 2. Places of slots lie in the frame or its area; a slot is read as the type
//!    that was written, or wider only where the upper half does not matter.
//! 3. Distances of branches lead to starts of instructions of the same function.
//! 4. Places in contexts belong to the layout of the module of the function,
//!    whose instances are the only contexts that it is run with.
//! 5. Indices of memories, tables, globals, segments, types and functions exist.
//!
//! What handlers keep: `fp` has a header and a frame of the function's size
//! within the slot stack; `mem` and the state's `len` are base and a former length of memory
//! 0 of `ctx` (memories do not shrink; those that move are not shared, and
//! everything that may move one is followed by a look at the definition); the
//! state is that of the run, and nobody else uses it.

pub(crate) mod atomic;
pub(crate) mod call;
pub(crate) mod control;
pub(crate) mod memory;
pub(crate) mod number;
pub(crate) mod table;
pub(crate) mod vector;

use tepui_abi::Trap;

use crate::dispatch::{Fp, Ip, Regs, Signal};
use crate::runtime::Raised;
use crate::state::{Outcome, State, memory0};

pub(crate) use call::exit_code;

/// Defines handlers. The body sees the registers and answers a signal.
macro_rules! handlers {
    ($($(#[$attribute:meta])* fn $name:ident $([$($generics:tt)*])? ($regs:ident) $body:block)*) => {
        $(
            // An instruction is known by the address of its handler: there is one copy.
            #[inline(never)]
            $(#[$attribute])*
            pub(crate) unsafe extern "C" fn $name $(<$($generics)*>)? (
                ip: $crate::dispatch::Ip,
                fp: $crate::dispatch::Fp,
                mem: *mut u8,
                ctx: $crate::dispatch::Ctx,
                state: *mut $crate::state::State,
                acc: u64,
                float: f64,
            ) -> $crate::dispatch::Signal {
                #[allow(unused_mut, reason = "some handlers change nothing")]
                let mut $regs = $crate::dispatch::Regs { ip, fp, mem, ctx, state, acc, float };
                // SAFETY: the invariants at the head of `handlers`.
                unsafe { $body }
            }
        )*
    };
}
pub(crate) use handlers;

/// Ends the run by a trap of the instruction at `ip`.
#[cold]
#[inline(never)]
unsafe extern "C" fn trapped(ip: Ip, fp: Fp, state: *mut State, trap: Trap) -> Signal {
    // SAFETY: the state of the run.
    unsafe {
        (*state).ip = ip;
        (*state).fp = fp;
        (*state).outcome = Outcome::Trap(trap);
    }
    Signal::EXIT
}

/// Ends the run: the runtime knows why.
#[cold]
#[inline(never)]
unsafe extern "C" fn raised(state: *mut State) -> Signal {
    // SAFETY: the state of the run.
    unsafe { (*state).outcome = Outcome::Raised };
    Signal::EXIT
}

impl Regs {
    /// Ends the run by a trap of the instruction at hand.
    ///
    /// # Safety
    ///
    /// The registers are those of a handler.
    #[inline(always)]
    pub(crate) unsafe fn trap(self, trap: Trap) -> Signal {
        // SAFETY: the caller's.
        unsafe { trapped(self.ip, self.fp, self.state, trap) }
    }

    /// Ends the run after the runtime refused.
    ///
    /// # Safety
    ///
    /// As for [`Regs::trap`].
    #[inline(always)]
    pub(crate) unsafe fn raise(self, _: Raised) -> Signal {
        // SAFETY: the caller's.
        unsafe { raised(self.state) }
    }

    /// Notes where the guest is, before the runtime is asked for something.
    ///
    /// # Safety
    ///
    /// As for [`Regs::trap`].
    #[inline(always)]
    pub(crate) unsafe fn publish(&self) {
        // SAFETY: the caller's.
        unsafe {
            (*self.state).ip = self.ip;
            (*self.state).fp = self.fp;
        }
    }

    /// With memory 0 looked at again.
    ///
    /// # Safety
    ///
    /// As for [`Regs::trap`].
    #[inline(always)]
    pub(crate) unsafe fn reloaded(mut self) -> Regs {
        // SAFETY: the caller's.
        unsafe {
            let (mem, len) = memory0(self.ctx);
            self.mem = mem;
            (*self.state).len = len;
        }
        self
    }

    /// The index in the slot that operand `index` names.
    ///
    /// # Safety
    ///
    /// The operand names a slot.
    #[inline(always)]
    pub(crate) unsafe fn index(&self, index: usize, is_wide: bool) -> u64 {
        // SAFETY: the caller's.
        let value: u64 = unsafe { self.get(index) };
        if is_wide {
            value
        } else {
            u64::from(value as u32)
        }
    }
}

/// Asks the runtime for a builtin, and goes on with its result in operand 0, or
/// without one.
macro_rules! builtin {
    ($regs:ident, $name:ident($($argument:expr),*), $operands:literal) => {{
        $regs.publish();
        let builtin = (*$regs.state).runtime.builtins.$name;
        match builtin($regs.ctx $(, $argument)*) {
            Ok(()) => $regs.reloaded().next($operands),
            Err(raised) => $regs.raise(raised),
        }
    }};
    ($regs:ident, $name:ident($($argument:expr),*), $operands:literal, |$value:ident| $then:expr) => {{
        $regs.publish();
        let builtin = (*$regs.state).runtime.builtins.$name;
        match builtin($regs.ctx $(, $argument)*) {
            Ok($value) => {
                $then;
                $regs.reloaded().next($operands)
            }
            Err(raised) => $regs.raise(raised),
        }
    }};
}
pub(crate) use builtin;
