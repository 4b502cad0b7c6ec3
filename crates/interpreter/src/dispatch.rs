//! How does one handler reach the next? By a tail call or from a loop; this is
//! the one place that knows which.
//!
//! This file holds unsafe code: it calls what the bytecode points to.
//!
//! With tail calls, [`Regs::next`] is a call at the end of a handler, with the
//! same words in the same registers, and the optimizer makes it a jump. With
//! the loop, a handler leaves them in the [`State`] and returns.

use tepui_abi::Trap;

use crate::faults;
use crate::state::{Outcome, State};
use crate::value::{Dest, Value, wide_immediate};

/// Where the bytecode is read: the start of an instruction.
pub(crate) type Ip = *const u32;
/// The frame pointer.
pub(crate) type Fp = *mut u64;
/// The instance context.
pub(crate) type Ctx = *mut u8;

/// What every handler is. The arguments are those of [`Regs`].
pub(crate) type Handler =
    unsafe extern "C" fn(Ip, Fp, *mut u8, Ctx, *mut State, u64, f64) -> Signal;

/// Operands that the address of a handler takes.
pub(crate) const HANDLER_WORDS: usize = size_of::<usize>() / 4;

/// What a handler answers.
///
/// A number and not an enumeration: from a type with one value the optimizer
/// would know the answer of every handler, make it a constant, and so a call
/// with something left to do of what must be a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Signal(pub(crate) u32);

impl Signal {
    /// The run is over; the state says how.
    pub(crate) const EXIT: Signal = Signal(0);
    /// The loop is to call the next handler.
    #[cfg(any(not(tail_dispatch), debug_assertions))]
    pub(crate) const CONTINUE: Signal = Signal(1);
    /// An access to memory has faulted; the state says where.
    pub(crate) const FAULT: Signal = Signal(2);
}

/// What handlers pass on.
#[derive(Clone, Copy)]
pub(crate) struct Regs {
    /// The instruction at hand.
    pub(crate) ip: Ip,
    /// The frame pointer.
    pub(crate) fp: Fp,
    /// The base of memory 0.
    pub(crate) mem: *mut u8,
    /// The instance context.
    pub(crate) ctx: Ctx,
    /// The state of the run.
    pub(crate) state: *mut State,
    /// The last integer or reference that an instruction computed; narrow ones
    /// zero-extended.
    pub(crate) acc: u64,
    /// The last float that an instruction computed; an `f32` in the low half.
    pub(crate) float: f64,
}

/// The handler of the instruction at `ip`.
///
/// # Safety
///
/// `ip` is the start of an instruction.
#[inline(always)]
pub(crate) unsafe fn handler_at(ip: Ip) -> Handler {
    // SAFETY: instructions begin with the address of their handler, at the
    // alignment of an operand.
    unsafe { ip.cast::<Handler>().read_unaligned() }
}

/// Writes the address of a handler into the words that it takes.
pub(crate) fn put_address(words: &mut [u32], handler: Handler) {
    let bytes = (handler as usize).to_ne_bytes();
    let (halves, _) = bytes.as_chunks::<4>();
    for (word, half) in words.iter_mut().zip(halves) {
        *word = u32::from_ne_bytes(*half);
    }
}

impl Regs {
    /// Goes on at `self.ip`.
    ///
    /// # Safety
    ///
    /// The registers are as the instruction there expects them.
    #[cfg(all(tail_dispatch, not(debug_assertions)))]
    #[inline(always)]
    pub(crate) unsafe fn go(self) -> Signal {
        // SAFETY: the caller's.
        unsafe {
            handler_at(self.ip)(
                self.ip, self.fp, self.mem, self.ctx, self.state, self.acc, self.float,
            )
        }
    }

    /// Goes on at `self.ip`.
    ///
    /// # Safety
    ///
    /// The registers are as the instruction there expects them.
    #[cfg(any(not(tail_dispatch), debug_assertions))]
    #[inline(always)]
    pub(crate) unsafe fn go(self) -> Signal {
        // SAFETY: the state outlives the run.
        unsafe { (*self.state).regs = self };
        Signal::CONTINUE
    }

    /// Goes on behind the instruction at hand, which has `operands` operands.
    ///
    /// # Safety
    ///
    /// As for [`Regs::go`].
    #[inline(always)]
    pub(crate) unsafe fn next(mut self, operands: usize) -> Signal {
        self.ip = self.ip.wrapping_add(HANDLER_WORDS + operands);
        // SAFETY: the caller's.
        unsafe { self.go() }
    }

    /// Goes on where operand `index` says: a distance from that operand, in bytes.
    ///
    /// # Safety
    ///
    /// As for [`Regs::go`].
    #[inline(always)]
    pub(crate) unsafe fn branch(mut self, index: usize) -> Signal {
        // SAFETY: the caller's.
        unsafe {
            let at = self.operand(index);
            self.ip = at.wrapping_byte_offset(at.read() as i32 as isize);
            self.go()
        }
    }

    #[inline(always)]
    fn operand(&self, index: usize) -> Ip {
        self.ip.wrapping_add(HANDLER_WORDS + index)
    }

    /// Operand `index` as it is.
    ///
    /// # Safety
    ///
    /// The instruction has such an operand.
    #[inline(always)]
    pub(crate) unsafe fn word(&self, index: usize) -> u32 {
        // SAFETY: the caller's.
        unsafe { self.operand(index).read() }
    }

    /// Operand `index` as the place of a slot.
    ///
    /// # Safety
    ///
    /// The instruction has such an operand.
    #[inline(always)]
    pub(crate) unsafe fn place(&self, index: usize) -> i32 {
        // SAFETY: the caller's.
        unsafe { self.word(index) as i32 }
    }

    /// Operands `index` and the next as one number.
    ///
    /// # Safety
    ///
    /// The instruction has such operands.
    #[inline(always)]
    pub(crate) unsafe fn wide(&self, index: usize) -> u64 {
        // SAFETY: the caller's.
        unsafe { wide_immediate(self.operand(index)) }
    }

    /// The constant at operand `index`.
    ///
    /// # Safety
    ///
    /// The instruction has such a constant.
    #[inline(always)]
    pub(crate) unsafe fn constant<V: Value>(&self, index: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::immediate(self.operand(index)) }
    }

    /// The value in the slot that operand `index` names.
    ///
    /// # Safety
    ///
    /// The operand names a slot.
    #[inline(always)]
    pub(crate) unsafe fn get<V: Value>(&self, index: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::read(self.fp, self.place(index)) }
    }

    /// Gives a result: keeps it at hand, and writes it to the slot that operand
    /// `index` names if there is such an operand.
    ///
    /// # Safety
    ///
    /// The operand names a slot.
    #[inline(always)]
    pub(crate) unsafe fn give<D: Dest, V: Value>(&mut self, index: usize, value: V) {
        if D::STORED {
            // SAFETY: the caller's.
            unsafe { self.set(index, value) }
        }
        value.keep(self);
    }

    /// Writes the slot that operand `index` names.
    ///
    /// # Safety
    ///
    /// The operand names a slot.
    #[inline(always)]
    pub(crate) unsafe fn set<V: Value>(&self, index: usize, value: V) {
        // SAFETY: the caller's.
        unsafe { value.write(self.fp, self.place(index)) }
    }
}

/// Runs until a handler answers [`Signal::EXIT`] or an access faults.
///
/// # Safety
///
/// As for [`Regs::go`].
pub(crate) unsafe fn run(r: Regs) {
    // SAFETY: the caller's.
    unsafe {
        let signal = faults::enter(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float);
        if signal == Signal::FAULT {
            (*r.state).outcome = Outcome::Trap(Trap::MemoryOutOfBounds);
        }
    }
}

/// Runs from the handler at `ip` until one answers [`Signal::EXIT`].
///
/// # Safety
///
/// As for [`Regs::go`].
#[cfg(all(tail_dispatch, not(debug_assertions)))]
pub(crate) unsafe extern "C" fn body(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    // SAFETY: the caller's.
    unsafe { handler_at(ip)(ip, fp, mem, ctx, state, acc, float) }
}

/// Runs from the handler at `ip` until one answers [`Signal::EXIT`].
///
/// # Safety
///
/// As for [`Regs::go`].
#[cfg(any(not(tail_dispatch), debug_assertions))]
pub(crate) unsafe extern "C" fn body(
    ip: Ip,
    fp: Fp,
    mem: *mut u8,
    ctx: Ctx,
    state: *mut State,
    acc: u64,
    float: f64,
) -> Signal {
    let mut r = Regs {
        ip,
        fp,
        mem,
        ctx,
        state,
        acc,
        float,
    };
    loop {
        #[cfg(feature = "counts")]
        // SAFETY: what the handler has left is the start of an instruction.
        unsafe {
            crate::counts::note(r.ip);
        }
        // SAFETY: the caller's; later on, what the handler has left.
        let signal = unsafe { handler_at(r.ip)(r.ip, r.fp, r.mem, r.ctx, r.state, r.acc, r.float) };
        if signal != Signal::CONTINUE {
            return signal;
        }
        // SAFETY: the state outlives the run, and the handler has written it.
        r = unsafe { (*r.state).regs };
    }
}
