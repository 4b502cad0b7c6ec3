//! Which instructions become one? An instruction whose result only the next one
//! uses may become an operand of it.
//!
//! What an instruction computes and where its operands are is its [`Shape`]; the
//! type of the same name says it to handlers, which take it as a
//! [`Source`](crate::value::Source). The operands of the first stay where they
//! were written, and the second appends its own. Which pairs there are was chosen
//! by what programs do: see `docs/rationale.md`.

use super::emit::{Giving, Last, giving};
use super::memory::{LoadForms, StoreForms};
use super::operators::{Operand, Sources};
use super::stack::{Entry, Kind};
use super::{Step, Translator};
use crate::dispatch::{HANDLER_WORDS, Handler};
use crate::handlers::memory::{Guarded, Load, Store};
use crate::handlers::{control, memory, number};
use crate::ops::{self, Binary, Compare, Mirrored, Swapped, Test};
use crate::value::{Class, Constant, Slot, Stored, Tee, Unstored, Value};

/// Defines shapes: the operation, and where its operands are.
macro_rules! shapes {
    ($($name:ident = $op:ident, $sources:ident ($a:ident, $b:ident);)*) => {
        /// An instruction that another may be fused with.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(super) enum Shape {
            $($name,)*
            /// A slot shifted to the left by a constant, plus a slot.
            ShlAdd,
        }

        mod types {
            use crate::ops;
            use crate::value::{Constant, Kept, Of, Slot};

            $(pub(super) type $name = Of<ops::$op, $a, $b>;)*
            pub(super) type ShlAdd = Of<ops::I32Add, Shl, Slot>;
        }

        /// The shape of an instruction, if it has one.
        pub(super) fn shape_of<O: 'static>(sources: Sources) -> Option<Shape> {
            $(if is::<O, ops::$op>() && sources == Sources::$sources {
                return Some(Shape::$name);
            })*
            None
        }
    };
}

shapes! {
    Add = I32Add, SlotConstant(Slot, Constant);
    AddSlots = I32Add, SlotSlot(Slot, Slot);
    AddKept = I32Add, KeptSlot(Kept, Slot);
    AddKeptConstant = I32Add, KeptConstant(Kept, Constant);
    Sub = I32Sub, SlotSlot(Slot, Slot);
    Mul = I32Mul, SlotConstant(Slot, Constant);
    MulKept = I32Mul, KeptSlot(Kept, Slot);
    Shl = I32Shl, SlotConstant(Slot, Constant);
    ShlKept = I32Shl, KeptConstant(Kept, Constant);
    Shr = I32ShrU, SlotConstant(Slot, Constant);
    ShrKept = I32ShrU, KeptConstant(Kept, Constant);
    And = I32And, SlotConstant(Slot, Constant);
    AndKept = I32And, KeptConstant(Kept, Constant);
    AndSlots = I32And, SlotSlot(Slot, Slot);
    Xor = I32Xor, SlotSlot(Slot, Slot);
    XorKept = I32Xor, KeptSlot(Kept, Slot);
    OrKept = I32Or, KeptSlot(Kept, Slot);
    Rotl = I32Rotl, SlotConstant(Slot, Constant);
    LongAdd = I64Add, SlotSlot(Slot, Slot);
    LongAddKept = I64Add, KeptSlot(Kept, Slot);
    LongMulKept = I64Mul, KeptSlot(Kept, Slot);
    LongShl = I64Shl, SlotConstant(Slot, Constant);
    LongShr = I64ShrU, SlotConstant(Slot, Constant);
    LongAnd = I64And, SlotConstant(Slot, Constant);
    LongXor = I64Xor, SlotSlot(Slot, Slot);
    LongXorKept = I64Xor, KeptSlot(Kept, Slot);
    LongRotl = I64Rotl, SlotConstant(Slot, Constant);
    DoubleAddKept = F64Add, KeptSlot(Kept, Slot);
    DoubleSub = F64Sub, SlotSlot(Slot, Slot);
    DoubleSubFrom = F64Sub, SlotKept(Slot, Kept);
    DoubleMul = F64Mul, SlotSlot(Slot, Slot);
    DoubleMulKept = F64Mul, KeptSlot(Kept, Slot);
    DoubleMulConstant = F64Mul, KeptConstant(Kept, Constant);
}

/// Chooses by shape among those listed.
macro_rules! by_shape {
    ($shape:expr, [$($name:ident)*], $source:ident => $then:expr) => {
        match $shape {
            $(Shape::$name => {
                type $source = types::$name;
                Some($then)
            })*
            _ => None,
        }
    };
}

/// Whether two operations are the same.
fn is<O: 'static, P: 'static>() -> bool {
    core::any::TypeId::of::<O>() == core::any::TypeId::of::<P>()
}

/// Whether the operands of an operation may be exchanged.
pub(super) fn commutes<O: 'static>() -> bool {
    is::<O, ops::I32Add>()
        || is::<O, ops::I32Mul>()
        || is::<O, ops::I32And>()
        || is::<O, ops::I32Or>()
        || is::<O, ops::I32Xor>()
        || is::<O, ops::I64Add>()
        || is::<O, ops::I64Mul>()
        || is::<O, ops::I64And>()
        || is::<O, ops::I64Or>()
        || is::<O, ops::I64Xor>()
}

/// The second operand of a fused instruction.
#[derive(Clone, Copy)]
enum Second {
    Slot(i32),
    Constant(u64),
}

/// Handlers of a fused instruction, and of the branches on it if it is a
/// comparison.
type Handlers = (Giving, Option<[Handler; 2]>);

fn int<O: Binary>(shape: Shape, second: Second) -> Option<Handlers> {
    let handlers = match second {
        Second::Slot(_) => by_shape!(
            shape,
            [AddSlots AddKept AddKeptConstant Sub Mul MulKept Shl ShlKept Shr ShrKept And AndKept Xor XorKept OrKept Rotl],
            S => giving!(number::binary<O, S, Slot>)
        ),
        Second::Constant(_) => by_shape!(
            shape,
            [AddSlots AddKept AddKeptConstant Sub Mul MulKept Shl Shr ShrKept Xor XorKept],
            S => giving!(number::binary<O, S, Constant>)
        ),
    };
    Some((handlers?, None))
}

fn long<O: Binary>(shape: Shape, second: Second) -> Option<Handlers> {
    let handlers = match second {
        Second::Slot(_) => by_shape!(
            shape,
            [LongAdd LongAddKept LongMulKept LongShl LongShr LongAnd LongXor LongXorKept LongRotl],
            S => giving!(number::binary<O, S, Slot>)
        ),
        Second::Constant(_) => by_shape!(
            shape,
            [LongAdd LongAddKept LongMulKept LongShr LongXor LongXorKept],
            S => giving!(number::binary<O, S, Constant>)
        ),
    };
    Some((handlers?, None))
}

fn double<O: Binary>(shape: Shape, second: Second) -> Option<Handlers> {
    let Second::Slot(_) = second else {
        return None;
    };
    let handlers = by_shape!(
        shape,
        [DoubleAddKept DoubleSub DoubleSubFrom DoubleMul DoubleMulKept DoubleMulConstant],
        S => giving!(number::binary<O, S, Slot>)
    );
    Some((handlers?, None))
}

/// The first operand of a comparison, and whether it is written to a slot too.
fn compare<C: Compare>(shape: Shape, is_tee: bool, second: Second) -> Option<Handlers> {
    macro_rules! handlers {
        ($first:ty, $second:ty) => {
            (
                giving!(number::binary<Test<C>, $first, $second>),
                Some([
                    number::branch::<C, $first, $second, true> as Handler,
                    number::branch::<C, $first, $second, false>,
                ]),
            )
        };
    }
    match (is_tee, second) {
        (false, Second::Slot(_)) => None,
        (false, Second::Constant(_)) => {
            by_shape!(shape, [And AndKept], S => handlers!(S, Constant))
        }
        (true, Second::Slot(_)) => by_shape!(shape, [Add], S => handlers!(Tee<S>, Slot)),
        (true, Second::Constant(_)) => by_shape!(shape, [Add], S => handlers!(Tee<S>, Constant)),
    }
}

/// The second operand of a comparison with a slot, which is written to a slot too.
fn compare_with<C: Compare>(shape: Shape, second: Second) -> Option<Handlers> {
    match (shape, second) {
        (Shape::Add, Second::Slot(_)) => compare::<Mirrored<C>>(shape, true, second),
        _ => None,
    }
}

/// A load from a guarded memory at what an instruction of this shape computes.
pub(super) fn load_at<L: Load>(shape: Shape) -> Option<Giving> {
    by_shape!(
        shape,
        [Add AddSlots AddKept AddKeptConstant ShlAdd],
        S => Giving {
            stored: memory::load::<L, S, Stored, Guarded>,
            unstored: if L::R::WIDE {
                None
            } else {
                Some(memory::load::<L, S, Unstored, Guarded>)
            },
        }
    )
}

/// Which operand of a store another instruction computes.
#[derive(Clone, Copy)]
pub(super) enum StoreFused {
    /// The value; the index is a slot.
    Value,
    /// The index; the value is a slot.
    IndexOfSlot,
    /// The index; the value is a constant.
    IndexOfConstant,
}

/// A store to a guarded memory, one of whose operands an instruction of this shape
/// computes.
pub(super) fn store_of<S: Store>(shape: Shape, fused: StoreFused) -> Option<Handler> {
    match fused {
        StoreFused::Value if S::A::CLASS == Class::Float => by_shape!(
            shape,
            [DoubleAddKept DoubleSub DoubleSubFrom DoubleMul DoubleMulKept],
            V => memory::store_value::<S, V, Guarded> as Handler
        ),
        StoreFused::Value => by_shape!(
            shape,
            [Add AddSlots AddKept AddKeptConstant Sub And AndKept Xor XorKept OrKept Shr LongAdd LongAddKept LongXorKept],
            V => memory::store_value::<S, V, Guarded> as Handler
        ),
        StoreFused::IndexOfSlot => by_shape!(
            shape,
            [Add AddSlots AddKept AddKeptConstant ShlAdd],
            A => memory::store::<S, A, Slot, Guarded> as Handler
        ),
        StoreFused::IndexOfConstant => by_shape!(
            shape,
            [Add AddSlots AddKept AddKeptConstant ShlAdd],
            A => memory::store::<S, A, Constant, Guarded> as Handler
        ),
    }
}

/// The branches on whether a number is not zero and is.
fn condition(shape: Shape, is_tee: bool) -> Option<[Handler; 2]> {
    macro_rules! handlers {
        ($source:ty) => {
            [
                control::branch_if_not_zero::<$source> as Handler,
                control::branch_if_zero::<$source>,
            ]
        };
    }
    if is_tee {
        by_shape!(shape, [Add], S => handlers!(Tee<S>))
    } else {
        by_shape!(shape, [And AndKept AndSlots Xor OrKept], S => handlers!(S))
    }
}

/// A condition to branch on, made of the instruction written last: the branches
/// when it holds and when not, their operands and how many.
pub(super) type FusedCondition = ([Handler; 2], [u32; 3], usize);

impl Translator<'_> {
    /// The instruction written last, if an entry is its result and nobody else's.
    fn last_of(&self, entry: Entry) -> Option<(Last, Shape)> {
        let last = self.last_giving(entry.home)?;
        let shape = last.shape?;
        (entry.kind == Kind::Temporary && last.unstored.is_some()).then_some((last, shape))
    }

    /// The instruction written last, if it wrote the local that an entry is.
    ///
    /// It is about to become part of a condition, which may be written behind
    /// copies of what lies on the stack: no entry but those `taken` may stand for
    /// the local.
    fn last_tee(&self, entry: Entry, taken: u32) -> Option<(Last, Shape)> {
        let Kind::Local(local) = entry.kind else {
            return None;
        };
        if self.locals[local as usize].readers != taken {
            return None;
        }
        let last = self.last_giving(self.locals[local as usize].place)?;
        Some((last, last.shape?))
    }

    /// Begins an instruction with the operands of the one written last, which it
    /// takes the place of; without the slot of its result, or with it.
    fn fuse(&mut self, last: &Last, is_tee: bool, handler: Handler) -> usize {
        if !is_tee {
            self.words.truncate(last.end - 1);
        }
        self.put_handler(last.start, handler);
        self.last = None;
        if let Some(starts) = &mut self.starts
            && let Some(start) = starts.last_mut()
        {
            start.1 = self.position;
        }
        last.start
    }

    /// An entry as a second operand, if that writes nothing.
    fn second(&self, entry: Entry) -> Second {
        match entry.kind {
            Kind::Constant(value) => Second::Constant(value),
            Kind::Local(local) => Second::Slot(self.locals[local as usize].place),
            Kind::Temporary => Second::Slot(entry.home),
        }
    }

    /// Writes a binary instruction into the one that made one of its operands: its
    /// first one, which is of this type, or the second.
    fn fuse_binary(
        &mut self,
        operand: Operand,
        class: Class,
        left: &dyn Fn(Shape, Second) -> Option<Handlers>,
        right: &dyn Fn(Shape, Second) -> Option<Handlers>,
    ) -> Step<Option<(Shape, Second)>> {
        let [.., a, b] = self.stack[..] else {
            return Ok(None);
        };
        let found = if let Some((last, shape)) = self.last_of(a) {
            let second = self.second(b);
            left(shape, second).map(|handlers| (last, shape, second, handlers))
        } else if let Some((last, shape)) = self.last_of(b) {
            let second = self.second(a);
            right(shape, second).map(|handlers| (last, shape, second, handlers))
        } else {
            None
        };
        let Some((last, shape, second, (handlers, branches))) = found else {
            return Ok(None);
        };
        self.pop();
        self.pop();
        let start = self.fuse(&last, false, handlers.stored);
        self.write_second(operand, second);
        self.give(start, class, handlers.unstored, branches)?;
        Ok(Some((shape, second)))
    }

    fn write_second(&mut self, operand: Operand, second: Second) {
        match second {
            Second::Slot(place) => self.place(place),
            Second::Constant(value) => self.immediate(operand, value),
        }
    }

    fn set_shape(&mut self, shape: Shape) {
        if let Some(last) = &mut self.last {
            last.shape = Some(shape);
        }
    }

    pub(super) fn fused_int<O: Binary + 'static>(&mut self) -> Step {
        let right = |shape, second| {
            if commutes::<O>() {
                int::<O>(shape, second)
            } else if is::<O, ops::I32Sub>() && matches!(second, Second::Slot(_)) {
                int::<Swapped<ops::I32Sub>>(shape, second)
            } else {
                None
            }
        };
        if !self.is_plain()
            && let Some(fused) =
                self.fuse_binary(Operand::of::<O::A>(), O::R::CLASS, &int::<O>, &right)?
        {
            // What is fused with a shift has a handler with the address.
            if is::<O, ops::I32Add>() && matches!(fused, (Shape::Shl, Second::Slot(_))) {
                self.set_shape(Shape::ShlAdd);
            }
            return Ok(());
        }
        self.binary::<O>()
    }

    pub(super) fn fused_long<O: Binary + 'static>(&mut self) -> Step {
        let right = |shape, second| commutes::<O>().then(|| long::<O>(shape, second))?;
        if !self.is_plain()
            && self
                .fuse_binary(Operand::of::<O::A>(), O::R::CLASS, &long::<O>, &right)?
                .is_some()
        {
            return Ok(());
        }
        self.binary::<O>()
    }

    pub(super) fn fused_double<O: Binary<A = f64, B = f64, R = f64> + 'static>(&mut self) -> Step {
        if !self.is_plain()
            && !self.input.tunables.deterministic
            && self
                .fuse_binary(
                    Operand::of::<f64>(),
                    Class::Float,
                    &double::<O>,
                    &double::<Swapped<O>>,
                )?
                .is_some()
        {
            return Ok(());
        }
        self.float_binary::<O>()
    }

    pub(super) fn fused_compare<C: Compare>(&mut self) -> Step {
        if !self.is_plain()
            && self.fuse_compare(Operand::of::<C::A>(), compare::<C>, compare_with::<C>)?
        {
            return Ok(());
        }
        self.compare::<C>()
    }

    /// Writes a comparison of operands of this type into the instruction that made
    /// its first one, or one of both that is a local.
    fn fuse_compare(
        &mut self,
        operand: Operand,
        with_first: fn(Shape, bool, Second) -> Option<Handlers>,
        with_second: fn(Shape, Second) -> Option<Handlers>,
    ) -> Step<bool> {
        let [.., a, b] = self.stack[..] else {
            return Ok(false);
        };
        let taken = if a.kind == b.kind { 2 } else { 1 };
        let found = if let Some((last, shape)) = self.last_of(a) {
            let second = self.second(b);
            with_first(shape, false, second).map(|handlers| (last, false, second, handlers))
        } else if let Some((last, shape)) = self.last_tee(a, taken) {
            let second = self.second(b);
            with_first(shape, true, second).map(|handlers| (last, true, second, handlers))
        } else if let Some((last, shape)) = self.last_tee(b, taken) {
            let second = self.second(a);
            with_second(shape, second).map(|handlers| (last, true, second, handlers))
        } else {
            None
        };
        let Some((last, is_tee, second, (handlers, branches))) = found else {
            return Ok(false);
        };
        self.pop();
        self.pop();
        let start = self.fuse(&last, is_tee, handlers.stored);
        self.write_second(operand, second);
        self.give(start, Class::Integer, handlers.unstored, branches)?;
        Ok(true)
    }

    /// Takes the instruction written last back, if an entry that was taken and is
    /// to be branched on is its result.
    pub(super) fn fuse_condition(&mut self, entry: Entry) -> Option<FusedCondition> {
        let (is_tee, (last, shape)) = match self.last_of(entry) {
            Some(found) => (false, found),
            None => (true, self.last_tee(entry, 0)?),
        };
        let branches = condition(shape, is_tee)?;
        let from = last.start + HANDLER_WORDS;
        let end = if is_tee { last.end } else { last.end - 1 };
        let count = end - from;
        let mut operands = [0; 3];
        operands[..count].copy_from_slice(&self.words[from..end]);
        self.take_back(&last);
        Some((branches, operands, count))
    }

    /// Writes a load from a guarded memory into the instruction that computes its
    /// index.
    pub(super) fn fuse_load(&mut self, offset: u32, load: &LoadForms) -> Step<bool> {
        let Some((last, shape)) = self.stack.last().and_then(|index| self.last_of(*index)) else {
            return Ok(false);
        };
        let Some(handlers) = (load.fused)(shape) else {
            return Ok(false);
        };
        self.pop();
        let start = self.fuse(&last, false, handlers.stored);
        self.word(offset);
        self.give(start, load.result.class, handlers.unstored, None)?;
        Ok(true)
    }

    /// Writes a store to a guarded memory into the instruction that computes its
    /// value or its index.
    pub(super) fn fuse_store(&mut self, offset: u32, store: &StoreForms) -> bool {
        let [.., index, value] = self.stack[..] else {
            return false;
        };
        if let Some((last, shape)) = self.last_of(value)
            && !matches!(index.kind, Kind::Constant(_))
        {
            let handler = (store.fused)(shape, StoreFused::Value);
            let (Some(handler), Second::Slot(index)) = (handler, self.second(index)) else {
                return false;
            };
            self.pop();
            self.pop();
            self.fuse(&last, false, handler);
            self.place(index);
            self.word(offset);
            return true;
        }
        let Some((last, shape)) = self.last_of(index) else {
            return false;
        };
        let second = self.second(value);
        let fused = match second {
            Second::Slot(_) => StoreFused::IndexOfSlot,
            Second::Constant(_) => StoreFused::IndexOfConstant,
        };
        let Some(handler) = (store.fused)(shape, fused) else {
            return false;
        };
        self.pop();
        self.pop();
        self.fuse(&last, false, handler);
        self.write_second(store.value, second);
        self.word(offset);
        true
    }

    /// Writes an assignment to a global of four bytes into the instruction that
    /// computes its value.
    pub(super) fn fuse_global_set(&mut self, place: u32) -> bool {
        let Some((last, shape)) = self.stack.last().and_then(|value| self.last_of(*value)) else {
            return false;
        };
        let handler = by_shape!(
            shape,
            [Add AddKeptConstant],
            V => control::global_set32::<V> as Handler
        );
        let Some(handler) = handler else {
            return false;
        };
        self.pop();
        self.fuse(&last, false, handler);
        self.word(place);
        true
    }

    /// Makes one instruction of the one written last and the one before it, both
    /// of which add a constant to a slot.
    pub(super) fn fuse_additions(&mut self) {
        let Some(last) = self.last else {
            return;
        };
        let (Some(before), Some(Shape::Add), None) = (last.before, last.shape, last.result) else {
            return;
        };
        if before + HANDLER_WORDS + 3 != last.start {
            return;
        }
        self.words.drain(last.start..last.start + HANDLER_WORDS);
        self.put_handler(before, control::add_twice);
        if let Some(starts) = &mut self.starts {
            starts.pop();
        }
        self.last = Some(Last {
            start: before,
            end: self.words.len(),
            shape: None,
            before: None,
            ..last
        });
    }
}
