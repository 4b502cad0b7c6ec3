//! What does the driver ask of an architecture? The contract between `compile`
//! and the folders that hold an architecture each.
//!
//! The driver is generic over an [`Assembler`] and is compiled once for each.
//! An architecture is one folder: a type that implements [`Assembler`],
//! [`Numbers`] and [`Vectors`], and describes its registers by constants.
//!
//! # Registers
//!
//! *Scratch* registers, integer and vector, never hold values of the driver
//! across an operation, so every operation may use all of them, unless its
//! description says which it leaves alone. The driver uses them by name for
//! what lives between two operations only. An implementation may keep further
//! registers back that the driver never hears of.
//!
//! A 32-bit integer in a register has zeros above: every operation that makes
//! one sees to that, and every operation may rely on it.
//!
//! Operations take their result register apart from their operands, and work
//! whichever of them are one, unless it says otherwise.
//!
//! # Flags
//!
//! Comparisons leave their answer in the flags, for the operation that takes a
//! [`Condition`]. Between the two the driver says
//! [`set_flags_live`](Assembler::set_flags_live); moves, loads, stores and
//! constants then leave the flags alone.
//!
//! # Faults
//!
//! [`site`](Assembler::site) announces that the next access to memory may fault.
//! The implementation notes the place of the instruction that does so, which
//! need not be the next one.
//!
//! # Reach
//!
//! Where a jump cannot reach all of a large function, code is first made as if
//! it could; [`finish`](Assembler::finish) says when it did not, and the driver
//! makes it once more with [`Reach::Far`].

mod operand;
mod vector;

use tepui_abi::metadata::TrapSite;
use tepui_abi::profile::Homes;
use tepui_abi::{RelocationKind, Trap};

use crate::CpuFeatures;
use crate::reg::Reg;
pub(crate) use operand::{
    Alu, Condition, Conversion, Division, FloatBinary, FloatCc, IntCc, Label, Mem, Rmw, Rounding,
    Shift, Size, Src,
};
pub(crate) use vector::{Binary, Lanes, Unary, VectorShift};

/// How far jumps inside a function must be able to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// As far as the shortest forms do.
    Near,
    /// From anywhere in the function to anywhere.
    Far,
}

/// What is noted beside the code while it is made.
#[derive(Default)]
pub(crate) struct Notes {
    /// Instructions that may fault, by ascending offset.
    pub(crate) sites: Vec<TrapSite>,
    /// Offsets in the code, and which Wasm instruction begins there.
    pub(crate) positions: Vec<(u32, u32)>,
    /// Offset in the module of the instruction at hand.
    pub(crate) wasm_position: u32,
    stubs: Vec<TrapStub>,
}

/// A trap that code jumps to, emitted behind the body.
#[derive(Clone, Copy)]
pub(crate) struct TrapStub {
    pub(crate) label: Label,
    pub(crate) trap: Trap,
    pub(crate) wasm_position: u32,
}

impl Notes {
    pub(crate) fn clear(&mut self) {
        self.sites.clear();
        self.positions.clear();
        self.stubs.clear();
    }

    /// Says that the code from `here` on belongs to the instruction at hand.
    pub(crate) fn mark(&mut self, here: u32) {
        match self.positions.last_mut() {
            Some(last) if last.1 == self.wasm_position => {}
            Some(last) if last.0 == here => last.1 = self.wasm_position,
            _ => self.positions.push((here, self.wasm_position)),
        }
    }

    /// Says that the instruction `here` may fault.
    pub(crate) fn site(&mut self, here: u32, trap: Trap) {
        self.mark(here);
        self.sites.push(TrapSite { offset: here, trap });
    }

    /// The label of a stub for this trap of the instruction at hand, made by
    /// `label` when there is none.
    pub(crate) fn stub(&mut self, trap: Trap, label: impl FnOnce() -> Label) -> Label {
        if let Some(stub) = self.stubs.last()
            && stub.trap == trap
            && stub.wasm_position == self.wasm_position
        {
            return stub.label;
        }
        let label = label();
        self.stubs.push(TrapStub {
            label,
            trap,
            wasm_position: self.wasm_position,
        });
        label
    }

    pub(crate) fn take_stubs(&mut self) -> Vec<TrapStub> {
        std::mem::take(&mut self.stubs)
    }
}

/// What a frame turned out to need.
pub(crate) struct Frame {
    /// Below the saved frame pointer; a multiple of 16.
    pub(crate) bytes: u32,
    /// Callee-saved registers that the body uses. They have the lowest bytes of
    /// the frame, eight for each.
    pub(crate) saved: u64,
    /// Offsets of the store context in the context and of the limit in that,
    /// when the depth of the stack is checked.
    pub(crate) check: Option<(i32, i32)>,
    /// Pages from the stack pointer down to touch before the frame is used.
    pub(crate) probes: u32,
    /// Where the base of memory 0 is, when it is kept in its register: the
    /// offset of a pointer in the context if there is one, then that of the
    /// base.
    pub(crate) memory: Option<(Option<i32>, i32)>,
}

/// What stands before a body.
pub(crate) struct Prologue {
    pub(crate) code: Vec<u8>,
    /// Offset of the trap for a stack that is too deep, when it is in here and
    /// not behind the epilogue.
    pub(crate) overflow: Option<u32>,
}

/// The code of one function while it is made: registers, moves, memory, control.
pub(crate) trait Assembler: Numbers + Vectors + Default {
    /// Bytes of code that a function may take: less than what any jump in
    /// [`Reach::Far`] covers.
    const GREATEST_CODE: u32;
    /// How direct calls are relocated.
    const CALL_RELOCATION: RelocationKind;
    /// Whether values in the frame are aligned to their size.
    const HOMES: Homes;

    /// Holds the context, once [`Frame::saved`] has it.
    const CONTEXT: Reg;
    /// Holds the base of memory 0 when that never moves, and a value otherwise.
    /// Calls keep it.
    const MEMORY_BASE: Reg;
    /// Holds the frame pointer.
    const FRAME: Reg;
    /// Holds callees, selectors, the results of builtins and of atomic
    /// operations. It is none of those in which arguments and results travel to
    /// and from Wasm functions, other than the first results.
    const SCRATCH: Reg;
    /// Holds addresses. It is no argument's, as above.
    const SCRATCH_2: Reg;
    /// Carries values between memory and memory.
    const SCRATCH_3: Reg;
    /// Carries floats and vectors likewise.
    const VECTOR_SCRATCH: Reg;
    /// Integer registers for values that calls destroy.
    const CALLER_SAVED: u64;
    /// Integer registers for values that calls keep, [`Self::MEMORY_BASE`]
    /// apart.
    const CALLEE_SAVED: u64;
    /// Vector registers for values; calls destroy them all. Parameters and
    /// results travel in the first eight by their numbers.
    const VECTORS: u64;
    /// Where integers are passed.
    const INT_PARAMS: &'static [Reg];
    /// Where the body finds them at its start, after it has moved them: not in
    /// scratch registers.
    const BODY_PARAMS: &'static [Reg];
    /// Where integers are returned.
    const INT_RESULTS: &'static [Reg];
    /// Where the C convention passes integers; the first is the context.
    const C_PARAMS: &'static [Reg];
    /// Where the contexts are passed.
    const CALLEE_CONTEXT: Reg;
    const CALLER_CONTEXT: Reg;

    /// Begins a function, for processors that have these features.
    fn begin(&mut self, features: CpuFeatures, reach: Reach);

    /// Bytes of code so far, without prologue and constants.
    fn position(&self) -> u32;

    /// Bytes that the buffer of code holds on to.
    fn capacity(&self) -> usize;

    fn notes(&mut self) -> &mut Notes;

    /// Says whether the flags hold a comparison that is still to be used.
    fn set_flags_live(&mut self, live: bool);

    /// Says that the code from here on belongs to the instruction at hand.
    #[inline]
    fn mark(&mut self) {
        let here = self.position();
        self.notes().mark(here);
    }

    /// Says that the next access to memory may fault, and what that means.
    fn site(&mut self, trap: Option<Trap>);

    /// The same for a store of more than one byte that may begin where memory is and
    /// end where none is, and then must not write at all.
    fn whole_store_site(&mut self, trap: Trap);

    /// Traps here.
    fn trap(&mut self, trap: Trap);

    /// Traps when the flags say so.
    fn trap_if(&mut self, cc: IntCc, trap: Trap);

    /// Emits the traps that were jumped to. Called last.
    fn emit_stubs(&mut self);

    // Moves. These use no scratch register that the driver knows.

    /// A constant; zeros above when it is of 32 bits.
    fn imm(&mut self, dst: Reg, value: u64);

    /// `dst = src`, both of one class. A 32-bit integer gets zeros above even
    /// when it stays where it is.
    fn move_reg(&mut self, size: Size, dst: Reg, src: Reg);

    /// `dst = src` unless they are one.
    #[inline]
    fn copy(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.move_reg(Size::S64, dst, src);
        }
    }

    /// Exchanges two integer registers.
    fn exchange(&mut self, a: Reg, b: Reg);

    /// Loads an integer, 32 or 64 bits.
    fn load(&mut self, size: Size, dst: Reg, mem: Mem);

    /// Stores an integer.
    fn store(&mut self, size: Size, src: Reg, mem: Mem);

    /// Loads an integer from the frame.
    fn load_frame(&mut self, size: Size, dst: Reg, at: i32) {
        self.load(size, dst, Mem::at(Self::FRAME, at));
    }

    /// Stores an integer to the frame.
    fn store_frame(&mut self, size: Size, src: Reg, at: i32) {
        self.store(size, src, Mem::at(Self::FRAME, at));
    }

    /// Stores a constant, which fits into 32 bits with sign, or is narrower.
    fn store_imm(&mut self, size: Size, value: i32, mem: Mem);

    /// Loads and extends from `from` to `to`.
    fn load_extended(&mut self, from: Size, signed: bool, to: Size, dst: Reg, mem: Mem);

    /// Extends in registers.
    fn extend(&mut self, from: Size, signed: bool, to: Size, dst: Reg, src: Reg);

    /// Computes an address, or a sum.
    fn lea(&mut self, size: Size, dst: Reg, mem: Mem);

    /// Loads a float of 4 or 8 bytes, or a vector of 16.
    fn load_vector(&mut self, bytes: u32, dst: Reg, mem: Mem);

    /// Stores a float of 4 or 8 bytes, or a vector of 16.
    fn store_vector(&mut self, bytes: u32, src: Reg, mem: Mem);

    /// A float from its bits. Uses no other register of any kind: arguments and
    /// results are put in place with it.
    fn float_constant(&mut self, double: bool, dst: Reg, bits: u64);

    /// Bits of an integer register as a float.
    fn gpr_to_vector(&mut self, wide: bool, dst: Reg, src: Reg);

    /// Bits of a float as an integer.
    fn vector_to_gpr(&mut self, wide: bool, dst: Reg, src: Reg);

    // Control.

    fn label(&mut self) -> Label;

    /// Says that the label is here; once for each.
    fn bind(&mut self, label: Label);

    fn jump(&mut self, label: Label);

    fn jump_if(&mut self, condition: Condition, label: Label);

    /// The condition as a number.
    fn set_if(&mut self, condition: Condition, dst: Reg);

    /// `dst = src` when the condition holds, which is not [`FloatCc::Equal`]: the
    /// driver turns the operands around instead.
    fn move_if(&mut self, condition: Condition, size: Size, dst: Reg, src: Reg);

    /// `dst = src`, floats of 4 or 8 bytes or vectors of 16, unless the
    /// condition holds.
    fn vector_move_unless(&mut self, condition: Condition, bytes: u32, dst: Reg, src: Reg);

    /// Makes an address null when the flags say so, also where the processor
    /// goes on by mistake.
    fn null_if(&mut self, cc: IntCc, address: Reg);

    /// Calls the code in a register.
    fn call_reg(&mut self, reg: Reg);

    /// Calls a function of the batch; returns the offset of what is relocated.
    fn call_direct(&mut self) -> u32;

    /// Calls a function of the runtime by the C convention: the one at `offset`
    /// in the table whose address is at `table`. Arguments after the context
    /// are in place; the result comes to [`Self::SCRATCH`].
    fn call_builtin(&mut self, context: Reg, table: Mem, offset: u32);

    /// Jumps to what the table names; the selector is in [`Self::SCRATCH`] and
    /// in bounds. What follows is not reached.
    fn jump_table(&mut self, labels: Vec<Label>);

    // Frames.

    /// A value in the frame that ends `end` bytes below the frame pointer.
    #[inline(always)]
    fn home(end: u32) -> Mem {
        Mem::at(Self::FRAME, -(end as i32))
    }

    /// Stores zeros over the `bytes` (a multiple of 4) from `below` bytes below
    /// the frame pointer up.
    fn zero_frame(&mut self, below: u32, bytes: u32);

    /// Callee-saved registers that the implementation needed for itself.
    fn also_saved(&self) -> u64;

    /// What stands before the body: the frame, the check of the stack's depth,
    /// registers that are kept.
    fn prologue(&self, frame: &Frame) -> Prologue;

    /// Gives the frame up and returns.
    fn epilogue(&mut self, frame: &Frame);

    /// Gives the frame up and leaves for the code in [`Self::SCRATCH`].
    fn tail_to_scratch(&mut self, frame: &Frame);

    /// Gives the frame up and leaves for a function of the batch; returns the
    /// offset of what is relocated.
    fn tail_direct(&mut self, frame: &Frame) -> u32;

    /// The code with `prologue` in front and constants behind it, or `None` when
    /// a jump does not reach: then it is to be made again with [`Reach::Far`],
    /// which always does up to [`Self::GREATEST_CODE`].
    fn finish(&mut self, prologue: &[u8]) -> Option<Vec<u8>>;
}

/// Integer and float operations, conversions between them, atomic accesses.
pub(crate) trait Numbers {
    /// `dst = a op b`.
    fn alu(&mut self, op: Alu, size: Size, dst: Reg, a: Reg, b: Src);

    /// `dst += b` in 64 bits, with a trap when that overflows.
    fn add_or_trap(&mut self, dst: Reg, b: Reg, trap: Trap);

    /// The sum or difference of two numbers of 128 bits, each low half first.
    /// The results are none of the operands.
    fn add_wide(&mut self, op: Alu, low: Reg, high: Reg, a: [Reg; 2], b: [Reg; 2]);

    fn mul(&mut self, size: Size, dst: Reg, a: Reg, b: Src);

    /// `low` and `high` of the product of 64-bit numbers. The results are none
    /// of the operands.
    fn mul_wide(&mut self, signed: bool, low: Reg, high: Reg, a: Reg, b: Reg);

    /// Shifts and rotations, by the number modulo the width.
    fn shift(&mut self, op: Shift, size: Size, dst: Reg, a: Reg, b: Src);

    /// Divisions, with their traps.
    fn divide(&mut self, op: Division, size: Size, dst: Reg, a: Reg, b: Src);

    /// Sets the flags by `a - b`.
    fn compare(&mut self, size: Size, a: Reg, b: Src);

    /// Compares memory with a constant that fits.
    fn compare_mem_imm(&mut self, size: Size, mem: Mem, value: i32);

    /// Sets the flags by the register, for the question whether it is zero.
    fn test(&mut self, size: Size, a: Reg);

    /// Sets the flags by the register's bits in the mask, which is one less than
    /// a power of two: equal when none of them is set.
    fn test_bits(&mut self, a: Reg, mask: u32);

    /// Adds to a number of 64 bits in memory, whose address may be in any
    /// scratch register but the second.
    fn add_to_mem(&mut self, mem: Mem, value: u64);

    /// Adds a constant below 4096 to a number of 32 bits in memory, or takes it away.
    /// The flags are then those of comparing what was there with the constant, if it
    /// was taken away.
    fn alu_mem(&mut self, op: Alu, mem: Mem, value: u32);

    fn clz(&mut self, size: Size, dst: Reg, a: Reg);

    fn ctz(&mut self, size: Size, dst: Reg, a: Reg);

    fn popcnt(&mut self, size: Size, dst: Reg, a: Reg);

    // Floats.

    fn float_binary(&mut self, op: FloatBinary, double: bool, dst: Reg, a: Reg, b: Reg);

    /// Sets the flags for the comparison, which then is the condition
    /// [`Condition::Float`] of it or of its opposite.
    fn compare_floats(&mut self, double: bool, cc: FloatCc, a: Reg, b: Reg);

    fn float_abs(&mut self, double: bool, dst: Reg, a: Reg);

    fn float_neg(&mut self, double: bool, dst: Reg, a: Reg);

    fn float_sqrt(&mut self, double: bool, dst: Reg, a: Reg);

    /// Whether [`float_round`](Self::float_round) and
    /// [`vector_round`](Vectors::vector_round) may be used.
    fn has_rounding(&self) -> bool;

    fn float_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg);

    fn promote(&mut self, dst: Reg, a: Reg);

    fn demote(&mut self, dst: Reg, a: Reg);

    /// Makes a NaN canonical.
    fn canonical_nan(&mut self, double: bool, reg: Reg);

    fn int_to_float(&mut self, how: Conversion, dst: Reg, src: Reg);

    /// Truncates, with traps.
    fn float_to_int(&mut self, how: Conversion, dst: Reg, src: Reg);

    /// Truncates, with saturation.
    fn float_to_int_sat(&mut self, how: Conversion, dst: Reg, src: Reg);

    // Atomic accesses, all sequentially consistent, at addresses that are
    // multiples of their size. The trap is that of a fault.

    /// Loads and extends with zeros.
    fn atomic_load(&mut self, size: Size, dst: Reg, mem: Mem, trap: Option<Trap>);

    fn atomic_store(&mut self, size: Size, src: Reg, mem: Mem, trap: Option<Trap>);

    /// Replaces what is in memory by `op` of it and the operand. What was there
    /// comes to [`Assembler::SCRATCH`], with anything above.
    fn atomic_rmw(&mut self, op: Rmw, size: Size, operand: Reg, mem: Mem, trap: Option<Trap>);

    /// Puts `new` into memory if `expected` is there. What was there comes to
    /// [`Assembler::SCRATCH`], with anything above. Bits of the two above the
    /// size do not count.
    fn atomic_compare_exchange(
        &mut self,
        size: Size,
        expected: Reg,
        new: Reg,
        mem: Mem,
        trap: Option<Trap>,
    );

    /// Orders all accesses before it before all that follow.
    fn fence(&mut self);
}

/// Operations of `v128`. Where relaxed instructions leave a choice, results are
/// those of the deterministic profile, as in every tier.
pub(crate) trait Vectors {
    fn vector_constant(&mut self, dst: Reg, bytes: [u8; 16]);

    /// `dst` is not the operand.
    fn vector_unary(&mut self, op: Unary, dst: Reg, a: Reg);

    /// Whether `dst` of [`vector_binary`](Self::vector_binary) may be the first
    /// operand.
    fn is_simple(&self, op: Binary) -> bool;

    /// `dst` is none of the operands unless the operation is simple.
    fn vector_binary(&mut self, op: Binary, dst: Reg, a: Reg, b: Reg);

    /// Shifts lanes by a number in a register, taken modulo their width. `dst`
    /// is not `a`.
    fn vector_shift(&mut self, op: VectorShift, lanes: Lanes, dst: Reg, a: Reg, by: Reg);

    /// Makes NaN lanes canonical.
    fn canonical_nans(&mut self, double: bool, reg: Reg);

    /// The bytes of `a` and `b` that `lanes` names, each below 32. `dst` is
    /// neither.
    fn shuffle(&mut self, dst: Reg, a: Reg, b: Reg, lanes: [u8; 16]);

    /// Bits of `a` where the mask has ones, of `b` elsewhere. `dst` is none.
    fn bitselect(&mut self, dst: Reg, a: Reg, b: Reg, mask: Reg);

    /// Whether [`fused`](Self::fused) may be used.
    fn has_fused(&self) -> bool;

    /// `a * b + c`, or with the product negated. `dst` is none.
    fn fused(&mut self, double: bool, negate: bool, dst: Reg, a: Reg, b: Reg, c: Reg);

    fn vector_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg);

    /// Adds 16-bit neighbours of `a` and the lanes of `c`. `dst` is neither.
    fn pairs_plus(&mut self, dst: Reg, a: Reg, c: Reg);

    /// The value in every lane; from an integer register, or a float's.
    fn splat(&mut self, lanes: Lanes, dst: Reg, src: Reg);

    /// A lane as an integer with zeros or its sign above, or as a float.
    fn extract(&mut self, lanes: Lanes, lane: u8, signed: bool, dst: Reg, a: Reg);

    /// `dst`, with one lane replaced.
    fn replace(&mut self, lanes: Lanes, lane: u8, dst: Reg, src: Reg);

    /// 1 when no lane is zero.
    fn all_true(&mut self, lanes: Lanes, dst: Reg, a: Reg);

    /// 1 when a bit is set.
    fn any_true(&mut self, dst: Reg, a: Reg);

    /// The lanes' signs.
    fn bitmask(&mut self, lanes: Lanes, dst: Reg, a: Reg);
}
