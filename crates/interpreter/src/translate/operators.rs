//! How do instructions on numbers and vectors become bytecode?

use super::emit::{FUSED, Giving, ONE_FORM, fused, giving};
use super::stack::{Entry, Kind};
use super::{Step, Translator, fuse};
use crate::dispatch::Handler;
use crate::handlers::{number, vector};
use crate::ops::{
    Binary, Canonical, Canonicalize, Compare, Doubles, Extract, Number, Replace, Singles, Ternary,
    Test, TryBinary, TryUnary, Unary,
};
use crate::value::{Class, Constant, Kept, Slot, Stored, Value};

/// What is to be known of the type of an operand. Methods that are the same for many
/// types take this instead of a parameter, so that there is one copy of them.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    /// Where it is kept at hand.
    pub(super) class: Class,
    /// Words that a constant takes.
    pub(super) immediate: usize,
}

impl Operand {
    pub(super) fn of<V: Value>() -> Operand {
        Operand {
            class: V::CLASS,
            immediate: V::IMMEDIATE,
        }
    }
}

/// The handlers of an instruction with two operands, and of the branches on it if it
/// is a comparison, by where the operands are.
type BySources<'h> = &'h mut dyn FnMut(Sources) -> (Giving, Option<[Handler; 2]>);

/// Where an operand is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Slot,
    Kept,
    Constant,
}

/// Where two operands are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sources {
    SlotSlot,
    KeptSlot,
    SlotKept,
    SlotConstant,
    KeptConstant,
    ConstantSlot,
    ConstantKept,
}

/// The handlers of a binary instruction, by [`Sources`].
fn binaries<O: Binary>(sources: Sources) -> Giving {
    match sources {
        Sources::SlotSlot => giving!(number::binary<O, Slot, Slot>),
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        Sources::KeptSlot => giving!(number::binary<O, Kept, Slot>),
        Sources::SlotKept => giving!(number::binary<O, Slot, Kept>),
        Sources::SlotConstant => giving!(number::binary<O, Slot, Constant>),
        Sources::KeptConstant => giving!(number::binary<O, Kept, Constant>),
        Sources::ConstantSlot => giving!(number::binary<O, Constant, Slot>),
        Sources::ConstantKept => giving!(number::binary<O, Constant, Kept>),
    }
}

/// The branches on a comparison, by [`Sources`]: when it holds, and when not.
pub(super) fn branches<C: Compare>(sources: Sources) -> [Handler; 2] {
    macro_rules! both {
        ($a:ty, $b:ty) => {
            [
                number::branch::<C, $a, $b, true>,
                number::branch::<C, $a, $b, false>,
            ]
        };
    }
    match sources {
        Sources::SlotSlot => both!(Slot, Slot),
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        Sources::KeptSlot => both!(Kept, Slot),
        Sources::SlotKept => both!(Slot, Kept),
        Sources::SlotConstant => both!(Slot, Constant),
        Sources::KeptConstant => both!(Kept, Constant),
        Sources::ConstantSlot => both!(Constant, Slot),
        Sources::ConstantKept => both!(Constant, Kept),
    }
}

impl Translator<'_> {
    pub(super) fn unary<O: Unary>(&mut self) -> Step {
        self.unary_of(O::A::CLASS, O::R::CLASS, |operand| match operand {
            At::Kept if FUSED => giving!(number::unary<O, Kept>),
            _ => giving!(number::unary<O, Slot>),
        })
    }

    /// A unary instruction on an operand of this class.
    fn unary_of(&mut self, operand: Class, class: Class, handlers: fn(At) -> Giving) -> Step {
        let entry = self.pop();
        let a = self.slot_of(entry);
        let kept = self.use_kept(entry, a, operand);
        let handlers = handlers(if kept { At::Kept } else { At::Slot });
        let start = self.start(handlers.stored);
        if !kept {
            self.place(a);
        }
        self.give(start, class, handlers.unstored, None)
    }

    /// An instruction all of whose operands, at most three, are slots.
    fn of_slots(&mut self, count: usize, class: Class, handler: Handler) -> Step {
        let mut slots = [0; 3];
        let slots = &mut slots[..count];
        for slot in slots.iter_mut().rev() {
            *slot = self.pop_slot();
        }
        let start = self.start(handler);
        for slot in slots {
            self.place(*slot);
        }
        self.give(start, class, None, None)
    }

    pub(super) fn vector_unary<O: Unary>(&mut self) -> Step {
        self.of_slots(1, O::R::CLASS, number::unary::<O, Slot, Stored>)
    }

    /// Writes a constant as an operand.
    pub(super) fn immediate(&mut self, of: Operand, value: u64) {
        if of.immediate == 1 {
            self.word(value as u32);
        } else {
            self.wide(value);
        }
    }

    /// Writes an instruction with two operands, taken from the stack, with the
    /// handler that `handlers` has for where they are.
    fn two_operands<A: Value, B: Value>(
        &mut self,
        class: Class,
        mut handlers: impl FnMut(Sources) -> (Giving, Option<[Handler; 2]>),
    ) -> Step {
        self.two_of(Operand::of::<A>(), Operand::of::<B>(), class, &mut handlers)
    }

    /// The same, of operands of these types.
    fn two_of(
        &mut self,
        a_type: Operand,
        b_type: Operand,
        class: Class,
        handlers: BySources<'_>,
    ) -> Step {
        let (b, a) = (self.pop(), self.pop());
        if self.is_plain() {
            let (a, b) = (self.slot_of(a), self.slot_of(b));
            let (handlers, _) = handlers(Sources::SlotSlot);
            let start = self.start(handlers.stored);
            self.place(a);
            self.place(b);
            return self.give(start, class, None, None);
        }
        match (a.kind, b.kind) {
            (_, Kind::Constant(value)) => {
                let slot = self.slot_of(a);
                let kept = self.use_kept(a, slot, a_type.class);
                let (handlers, branches) = handlers(if kept {
                    Sources::KeptConstant
                } else {
                    Sources::SlotConstant
                });
                let start = self.start(handlers.stored);
                if !kept {
                    self.place(slot);
                }
                self.immediate(b_type, value);
                self.give(start, class, handlers.unstored, branches)
            }
            (Kind::Constant(value), _) => {
                let slot = self.slot_of(b);
                let kept = self.use_kept(b, slot, b_type.class);
                let (handlers, branches) = handlers(if kept {
                    Sources::ConstantKept
                } else {
                    Sources::ConstantSlot
                });
                let start = self.start(handlers.stored);
                self.immediate(a_type, value);
                if !kept {
                    self.place(slot);
                }
                self.give(start, class, handlers.unstored, branches)
            }
            _ => {
                let (a_slot, b_slot) = (self.slot_of(a), self.slot_of(b));
                let sources = if self.use_kept(a, a_slot, a_type.class) {
                    Sources::KeptSlot
                } else if self.use_kept(b, b_slot, b_type.class) {
                    Sources::SlotKept
                } else {
                    Sources::SlotSlot
                };
                let (handlers, branches) = handlers(sources);
                let start = self.start(handlers.stored);
                if sources != Sources::KeptSlot {
                    self.place(a_slot);
                }
                if sources != Sources::SlotKept {
                    self.place(b_slot);
                }
                self.give(start, class, handlers.unstored, branches)
            }
        }
    }

    pub(super) fn binary<O: Binary + 'static>(&mut self) -> Step {
        self.binary_of(
            [Operand::of::<O::A>(), Operand::of::<O::B>()],
            O::R::CLASS,
            fuse::commutes::<O>(),
            binaries::<O>,
            fuse::shape_of::<O>,
        )
    }

    /// A binary instruction on operands of these types, the order of which may not
    /// matter.
    fn binary_of(
        &mut self,
        [a_type, b_type]: [Operand; 2],
        class: Class,
        commutes: bool,
        handlers: fn(Sources) -> Giving,
        shape_of: fn(Sources) -> Option<fuse::Shape>,
    ) -> Step {
        if self.is_plain() {
            return self.two_of(a_type, b_type, class, &mut |sources| {
                (handlers(sources), None)
            });
        }
        let before = self.last.filter(|last| {
            last.shape == Some(fuse::Shape::Add)
                && last.result.is_none()
                && last.end == self.words.len()
        });
        if commutes
            && let [.., a, b] = &mut self.stack[..]
            && matches!((a.kind, b.kind), (Kind::Constant(_), Kind::Local(_)))
        {
            core::mem::swap(&mut a.kind, &mut b.kind);
        }
        let mut shape = None;
        self.two_of(a_type, b_type, class, &mut |sources| {
            let sources = match sources {
                Sources::SlotKept if commutes => Sources::KeptSlot,
                other => other,
            };
            shape = shape_of(sources);
            (handlers(sources), None)
        })?;
        if let Some(last) = &mut self.last {
            last.shape = shape;
            last.before = before
                .filter(|_| shape == Some(fuse::Shape::Add))
                .map(|l| l.start);
        }
        Ok(())
    }

    pub(super) fn compare<C: Compare>(&mut self) -> Step {
        self.two_operands::<C::A, C::A>(Class::Integer, |sources| {
            (binaries::<Test<C>>(sources), Some(branches::<C>(sources)))
        })
    }

    /// A vector and a vector or number.
    pub(super) fn vector_binary<O: Binary>(&mut self) -> Step {
        let constant = fused!(number::binary::<O, Slot, Constant, Stored>);
        if let (
            Some(constant),
            Some(Entry {
                kind: Kind::Constant(value),
                ..
            }),
            false,
        ) = (constant, self.stack.last().copied(), self.is_plain())
        {
            return self.vector_and_constant(Operand::of::<O::B>(), value, O::R::CLASS, constant);
        }
        self.of_slots(2, O::R::CLASS, number::binary::<O, Slot, Slot, Stored>)
    }

    /// A vector and a number, which is a constant.
    fn vector_and_constant(
        &mut self,
        of: Operand,
        value: u64,
        class: Class,
        handler: Handler,
    ) -> Step {
        self.pop();
        let a = self.pop_slot();
        let start = self.start(handler);
        self.place(a);
        self.immediate(of, value);
        self.give(start, class, None, None)
    }

    pub(super) fn ternary<O: Ternary>(&mut self) -> Step {
        self.of_slots(3, Class::Vector, number::ternary::<O>)
    }

    pub(super) fn try_unary<O: TryUnary>(&mut self) -> Step {
        self.of_slots(1, O::R::CLASS, number::try_unary::<O>)
    }

    pub(super) fn try_binary<O: TryBinary>(&mut self) -> Step {
        self.two_operands::<O::A, O::A>(O::R::CLASS, |sources| {
            let handlers = match sources {
                Sources::SlotSlot => giving!(number::try_binary<O, Slot, Slot>),
                _ if !FUSED => unreachable!("{ONE_FORM}"),
                Sources::KeptSlot => giving!(number::try_binary<O, Kept, Slot>),
                Sources::SlotKept => giving!(number::try_binary<O, Slot, Kept>),
                Sources::SlotConstant => giving!(number::try_binary<O, Slot, Constant>),
                Sources::KeptConstant => giving!(number::try_binary<O, Kept, Constant>),
                Sources::ConstantSlot => giving!(number::try_binary<O, Constant, Slot>),
                Sources::ConstantKept => giving!(number::try_binary<O, Constant, Kept>),
            };
            (handlers, None)
        })
    }

    // Instructions whose NaNs are made canonical in deterministic engines.

    fn nan_unary<O: Unary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.unary::<Canonical<O, K>>()
        } else {
            self.unary::<O>()
        }
    }

    fn nan_binary<O: Binary + 'static, K: Canonicalize<O::R> + 'static>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.binary::<Canonical<O, K>>()
        } else {
            self.binary::<O>()
        }
    }

    fn nan_vector_unary<O: Unary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.vector_unary::<Canonical<O, K>>()
        } else {
            self.vector_unary::<O>()
        }
    }

    fn nan_vector_binary<O: Binary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.vector_binary::<Canonical<O, K>>()
        } else {
            self.vector_binary::<O>()
        }
    }

    fn nan_ternary<O: Ternary, K: Canonicalize<crate::value::V128>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.ternary::<Canonical<O, K>>()
        } else {
            self.ternary::<O>()
        }
    }

    pub(super) fn float_unary<O: Unary>(&mut self) -> Step
    where
        Number: Canonicalize<O::R>,
    {
        self.nan_unary::<O, Number>()
    }

    pub(super) fn float_binary<O: Binary + 'static>(&mut self) -> Step
    where
        Number: Canonicalize<O::R>,
    {
        self.nan_binary::<O, Number>()
    }

    pub(super) fn singles_unary<O: Unary>(&mut self) -> Step
    where
        Singles: Canonicalize<O::R>,
    {
        self.nan_vector_unary::<O, Singles>()
    }

    pub(super) fn singles_binary<O: Binary>(&mut self) -> Step
    where
        Singles: Canonicalize<O::R>,
    {
        self.nan_vector_binary::<O, Singles>()
    }

    pub(super) fn singles_ternary<O: Ternary>(&mut self) -> Step {
        self.nan_ternary::<O, Singles>()
    }

    pub(super) fn doubles_unary<O: Unary>(&mut self) -> Step
    where
        Doubles: Canonicalize<O::R>,
    {
        self.nan_vector_unary::<O, Doubles>()
    }

    pub(super) fn doubles_binary<O: Binary>(&mut self) -> Step
    where
        Doubles: Canonicalize<O::R>,
    {
        self.nan_vector_binary::<O, Doubles>()
    }

    pub(super) fn doubles_ternary<O: Ternary>(&mut self) -> Step {
        self.nan_ternary::<O, Doubles>()
    }

    // Lanes.

    pub(super) fn extract<O: Extract>(&mut self, lane: u8) -> Step {
        let a = self.pop_slot();
        let handlers = giving!(vector::extract<O>);
        let start = self.start(handlers.stored);
        self.place(a);
        self.word(lane.into());
        self.give(start, O::R::CLASS, handlers.unstored, None)
    }

    pub(super) fn replace<O: Replace>(&mut self, lane: u8) -> Step {
        let (b, a) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(vector::replace::<O>, true)?;
        self.place(a);
        self.place(b);
        self.word(lane.into());
        self.end_result(start);
        Ok(())
    }
}
