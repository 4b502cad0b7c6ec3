//! How are instructions on memories, tables, globals and references translated?

use tepui_abi::MemoryStyle;
use tepui_abi::convention::Representation;
use tepui_abi::layout::ImportedFunctionLayout;
use tepui_module::{ConstOp, FuncIndex, GlobalIndex, MemoryIndex, TableIndex};
use wasmparser::{MemArg, MemArgTarget};

use super::emit::{FUSED, Giving, ONE_FORM, fused, giving};
use super::fuse::{self, Shape, StoreFused};
use super::operators::{At, Operand};
use super::stack::Kind;
use super::{Step, Stop, Translator};
use crate::code::Place;
use crate::dispatch::Handler;
use crate::faults::HAS_GUARDS;
use crate::handlers::memory::{Bounds, Compared, Guarded, Lane, Load, Store};
use crate::handlers::{atomic, control, memory as op, table};
use crate::value::{Class, Constant, Kept, Slot, Stored, Unstored, Value};

/// The memory that an instruction names.
fn memory_of(memarg: &MemArg) -> Step<u32> {
    match memarg.target {
        MemArgTarget::Memory(index) => Ok(index),
        MemArgTarget::Array(_) => Err(Stop::new(
            "the multibyte-array-access proposal is not implemented",
        )),
    }
}

/// What keeps an access to memory 0 inside of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// All that it reaches is the memory or inaccessible.
    Guarded,
    /// A comparison.
    Compared,
}

/// A kind of load: all that its translation has to know, and its handlers.
pub(super) struct LoadForms {
    width: usize,
    pub(super) result: Operand,
    /// From any memory.
    any: Handler,
    /// From memory 0, by where the index is.
    first: fn(At, Bound) -> Giving,
    /// From memory 0, guarded, where an instruction of this shape computes the index.
    pub(super) fused: fn(Shape) -> Option<Giving>,
}

impl LoadForms {
    fn of<L: Load>() -> LoadForms {
        LoadForms {
            width: L::WIDTH,
            result: Operand::of::<L::R>(),
            any: op::load_any::<L>,
            first: |index, bound| match bound {
                Bound::Guarded if HAS_GUARDS => load_first::<L, Guarded>(index),
                _ => load_first::<L, Compared>(index),
            },
            fused: if FUSED { fuse::load_at::<L> } else { |_| None },
        }
    }
}

fn load_first<L: Load, G: Bounds>(index: At) -> Giving {
    macro_rules! handlers {
        (op::$handler:ident<$($parameter:ty),*>) => {
            Giving {
                stored: op::$handler::<$($parameter,)* Stored, G>,
                unstored: if L::R::WIDE {
                    None
                } else {
                    fused!(op::$handler::<$($parameter,)* Unstored, G>)
                },
            }
        };
    }
    match index {
        At::Slot => handlers!(op::load<L, Slot>),
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        At::Kept => handlers!(op::load<L, Kept>),
        At::Constant => handlers!(op::load_at<L>),
    }
}

/// A kind of store: all that its translation has to know, and its handlers.
pub(super) struct StoreForms {
    width: usize,
    pub(super) value: Operand,
    /// To any memory.
    any: Handler,
    /// To memory 0, by where index and value are.
    first: fn(At, At, Bound) -> Handler,
    /// To memory 0, guarded, where an instruction of this shape computes an operand.
    pub(super) fused: fn(Shape, StoreFused) -> Option<Handler>,
}

impl StoreForms {
    fn of<S: Store>() -> StoreForms {
        StoreForms {
            width: S::WIDTH,
            value: Operand::of::<S::A>(),
            any: op::store_any::<S>,
            first: |index, value, bound| match bound {
                Bound::Guarded if HAS_GUARDS => store_first::<S, Guarded>(index, value),
                _ => store_first::<S, Compared>(index, value),
            },
            fused: if FUSED {
                fuse::store_of::<S>
            } else {
                |_, _| None
            },
        }
    }
}

fn store_first<S: Store, G: Bounds>(index: At, value: At) -> Handler {
    match (index, value) {
        (At::Slot, At::Slot) => op::store::<S, Slot, Slot, G>,
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        (At::Slot, At::Kept) => op::store::<S, Slot, Kept, G>,
        (At::Slot, At::Constant) => op::store::<S, Slot, Constant, G>,
        (At::Kept, At::Slot) => op::store::<S, Kept, Slot, G>,
        (At::Kept, At::Constant) => op::store::<S, Kept, Constant, G>,
        (At::Kept, At::Kept) => unreachable!("one value is at hand"),
        (At::Constant, At::Slot) => op::store_at::<S, Slot, G>,
        (At::Constant, At::Kept) => op::store_at::<S, Kept, G>,
        (At::Constant, At::Constant) => op::store_at::<S, Constant, G>,
    }
}

/// How an access is written.
enum Access {
    /// To memory 0, with a 32-bit index and this offset, where all that they
    /// reach is the memory or inaccessible.
    Guarded(u32),
    /// To memory 0, with a 32-bit index and this offset.
    First(u32),
    /// To the memory whose definition is at this place, with this offset.
    Any(Place, u64),
    /// It is always out of bounds.
    Never,
}

impl Translator<'_> {
    fn memory_place(&self, memory: u32) -> Place {
        let index = MemoryIndex::new(memory);
        Place::memory(self.input.plan, index).with_wide(self.is_wide_memory(memory))
    }

    fn is_wide_memory(&self, memory: u32) -> bool {
        self.module.memory(MemoryIndex::new(memory)).memory64
    }

    fn is_wide_table(&self, table: u32) -> bool {
        self.module.table(TableIndex::new(table)).table64
    }

    fn access(&self, memarg: &MemArg, width: usize) -> Step<Access> {
        let memory = memory_of(memarg)?;
        let ty = self.module.memory(MemoryIndex::new(memory));
        let end = memarg.offset.checked_add(width as u64);
        let Some(end) = end.filter(|end| *end <= ty.byte_limit()) else {
            return Ok(Access::Never);
        };
        match u32::try_from(memarg.offset) {
            Ok(offset) if memory == 0 && !ty.memory64 => {
                let plan = self.input.plan.memory(MemoryIndex::new(0));
                let is_guarded = match plan.style {
                    MemoryStyle::Guarded { guard, .. } => HAS_GUARDS && end <= guard,
                    MemoryStyle::Checked => false,
                };
                Ok(if is_guarded {
                    Access::Guarded(offset)
                } else {
                    Access::First(offset)
                })
            }
            _ => Ok(Access::Any(self.memory_place(memory), memarg.offset)),
        }
    }

    /// The operands that accesses to any memory begin with, after the first.
    fn write_any(&mut self, index: i32, place: Place, offset: u64) {
        self.place(index);
        self.word(place.word());
        self.wide(offset);
    }

    pub(super) fn load<L: Load>(&mut self, memarg: &MemArg) -> Step {
        self.load_of(memarg, &LoadForms::of::<L>())
    }

    fn load_of(&mut self, memarg: &MemArg, load: &LoadForms) -> Step {
        match self.access(memarg, load.width)? {
            Access::Guarded(offset) => {
                if !self.is_plain() && self.fuse_load(offset, load)? {
                    return Ok(());
                }
                self.load_first(offset, load, Bound::Guarded)
            }
            Access::First(offset) => self.load_first(offset, load, Bound::Compared),
            Access::Any(place, offset) => {
                let index = self.pop_slot();
                let start = self.start_result(load.any, load.result.class == Class::Vector)?;
                self.write_any(index, place, offset);
                self.end_result(start);
                Ok(())
            }
            Access::Never => {
                self.always_out_of_bounds();
                Ok(())
            }
        }
    }

    /// A load from memory 0.
    fn load_first(&mut self, offset: u32, load: &LoadForms, bound: Bound) -> Step {
        let index = self.pop();
        let (start, handlers) = if !self.is_plain()
            && let Kind::Constant(index) = index.kind
            && let Some(address) = (index as u32).checked_add(offset)
        {
            let handlers = (load.first)(At::Constant, bound);
            let start = self.start(handlers.stored);
            self.word(address);
            (start, handlers)
        } else {
            let slot = self.slot_of(index);
            let kept = self.use_kept(index, slot, Class::Integer);
            let handlers = (load.first)(if kept { At::Kept } else { At::Slot }, bound);
            let start = self.start(handlers.stored);
            if !kept {
                self.place(slot);
            }
            self.word(offset);
            (start, handlers)
        };
        self.give(start, load.result.class, handlers.unstored, None)
    }

    pub(super) fn store<S: Store>(&mut self, memarg: &MemArg) -> Step {
        self.store_of(memarg, &StoreForms::of::<S>())
    }

    fn store_of(&mut self, memarg: &MemArg, store: &StoreForms) -> Step {
        match self.access(memarg, store.width)? {
            Access::Guarded(offset) => {
                if self.is_plain() || !self.fuse_store(offset, store) {
                    self.store_first(offset, store, Bound::Guarded);
                }
            }
            Access::First(offset) => self.store_first(offset, store, Bound::Compared),
            Access::Any(place, offset) => {
                let (value, index) = (self.pop_slot(), self.pop_slot());
                self.start(store.any);
                self.place(value);
                self.write_any(index, place, offset);
            }
            Access::Never => self.always_out_of_bounds(),
        }
        Ok(())
    }

    /// A store to memory 0.
    fn store_first(&mut self, offset: u32, store: &StoreForms, bound: Bound) {
        let (value, index) = (self.pop(), self.pop());
        let handler = |index, value| (store.first)(index, value, bound);
        if self.is_plain() {
            let (value, index) = (self.slot_of(value), self.slot_of(index));
            self.start(handler(At::Slot, At::Slot));
            self.place(index);
            self.place(value);
            self.word(offset);
            return;
        }
        if let Kind::Constant(index) = index.kind
            && let Some(address) = (index as u32).checked_add(offset)
        {
            if let Kind::Constant(value) = value.kind {
                self.start(handler(At::Constant, At::Constant));
                self.word(address);
                self.immediate(store.value, value);
                return;
            }
            let slot = self.slot_of(value);
            if self.use_kept(value, slot, store.value.class) {
                self.start(handler(At::Constant, At::Kept));
                self.word(address);
                return;
            }
            self.start(handler(At::Constant, At::Slot));
            self.word(address);
            self.place(slot);
            return;
        }
        let index_slot = self.slot_of(index);
        if let Kind::Constant(value) = value.kind {
            let kept = self.use_kept(index, index_slot, Class::Integer);
            let from = if kept { At::Kept } else { At::Slot };
            self.start(handler(from, At::Constant));
            if !kept {
                self.place(index_slot);
            }
            self.immediate(store.value, value);
            self.word(offset);
            return;
        }
        let slot = self.slot_of(value);
        if self.use_kept(value, slot, store.value.class) {
            self.start(handler(At::Slot, At::Kept));
            self.place(index_slot);
        } else if self.use_kept(index, index_slot, Class::Integer) {
            self.start(handler(At::Kept, At::Slot));
            self.place(slot);
        } else {
            self.start(handler(At::Slot, At::Slot));
            self.place(index_slot);
            self.place(slot);
        }
        self.word(offset);
    }

    /// An access that looks at the definition, whichever memory it is to.
    fn any_access(&self, memarg: &MemArg, width: usize) -> Step<Option<(Place, u64)>> {
        Ok(match self.access(memarg, width)? {
            Access::Guarded(offset) | Access::First(offset) => {
                Some((self.memory_place(0), offset.into()))
            }
            Access::Any(place, offset) => Some((place, offset)),
            Access::Never => None,
        })
    }

    pub(super) fn load_lane<T: Lane>(&mut self, memarg: &MemArg, lane: u8) -> Step {
        let access = self.any_access(memarg, size_of::<T>())?;
        let (vector, index) = (self.pop_slot(), self.pop_slot());
        let Some((place, offset)) = access else {
            self.always_out_of_bounds();
            return Ok(());
        };
        let start = self.start_result(op::load_lane::<T>, true)?;
        self.write_any(index, place, offset);
        self.place(vector);
        self.word(lane.into());
        self.end_result(start);
        Ok(())
    }

    pub(super) fn store_lane<T: Lane>(&mut self, memarg: &MemArg, lane: u8) -> Step {
        let access = self.any_access(memarg, size_of::<T>())?;
        let (vector, index) = (self.pop_slot(), self.pop_slot());
        let Some((place, offset)) = access else {
            self.always_out_of_bounds();
            return Ok(());
        };
        self.start(op::store_lane::<T>);
        self.place(vector);
        self.write_any(index, place, offset);
        self.word(lane.into());
        Ok(())
    }

    // Atomic instructions.

    pub(super) fn atomic_load<T: atomic::Atom>(&mut self, memarg: &MemArg) -> Step {
        let place = self.atomic_place(memarg)?;
        let index = self.pop_slot();
        let start = self.start_result(atomic::atomic_load::<T>, false)?;
        self.write_any(index, place, memarg.offset);
        self.end_result(start);
        Ok(())
    }

    /// Atomic accesses that are always out of bounds are written as well: their
    /// alignment is checked first.
    fn atomic_place(&self, memarg: &MemArg) -> Step<Place> {
        Ok(self.memory_place(memory_of(memarg)?))
    }

    pub(super) fn atomic_store<T: atomic::Atom>(&mut self, memarg: &MemArg) -> Step {
        let place = self.atomic_place(memarg)?;
        let (value, index) = (self.pop_slot(), self.pop_slot());
        self.start(atomic::atomic_store::<T>);
        self.place(value);
        self.write_any(index, place, memarg.offset);
        Ok(())
    }

    pub(super) fn atomic_update<O: atomic::Modify, T: atomic::Atom>(
        &mut self,
        memarg: &MemArg,
    ) -> Step {
        self.atomic_update_by(memarg, atomic::atomic_update::<O, T>)
    }

    fn atomic_update_by(&mut self, memarg: &MemArg, handler: Handler) -> Step {
        let place = self.atomic_place(memarg)?;
        let (value, index) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(handler, false)?;
        self.write_any(index, place, memarg.offset);
        self.place(value);
        self.end_result(start);
        Ok(())
    }

    pub(super) fn atomic_exchange_if<T: atomic::Atom>(&mut self, memarg: &MemArg) -> Step {
        let place = self.atomic_place(memarg)?;
        let (new, expected, index) = (self.pop_slot(), self.pop_slot(), self.pop_slot());
        let start = self.start_result(atomic::atomic_exchange_if::<T>, false)?;
        self.write_any(index, place, memarg.offset);
        self.place(expected);
        self.place(new);
        self.end_result(start);
        Ok(())
    }

    pub(super) fn atomic_notify(&mut self, memarg: &MemArg) -> Step {
        let (memory, place) = (memory_of(memarg)?, self.atomic_place(memarg)?);
        let (count, index) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(atomic::atomic_notify, false)?;
        self.write_any(index, place, memarg.offset);
        self.place(count);
        self.word(memory);
        self.end_result(start);
        Ok(())
    }

    pub(super) fn atomic_wait(&mut self, memarg: &MemArg, handler: Handler) -> Step {
        let (memory, place) = (memory_of(memarg)?, self.atomic_place(memarg)?);
        let (timeout, expected, index) = (self.pop_slot(), self.pop_slot(), self.pop_slot());
        self.charge();
        let start = self.start_result(handler, false)?;
        self.write_any(index, place, memarg.offset);
        self.place(expected);
        self.place(timeout);
        self.word(memory);
        self.end_result(start);
        Ok(())
    }

    // Sizes and bulk instructions.

    pub(super) fn memory_size(&mut self, memory: u32) -> Step {
        let place = self.memory_place(memory);
        let log2 = self.module.memory(MemoryIndex::new(memory)).page_size_log2;
        let start = self.start_result(op::memory_size, false)?;
        self.word(place.word());
        self.word(log2.into());
        self.end_result(start);
        Ok(())
    }

    pub(super) fn memory_grow(&mut self, memory: u32) -> Step {
        let delta = self.pop_slot();
        self.charge();
        let is_wide = self.is_wide_memory(memory);
        let start = self.start_result(op::memory_grow, false)?;
        self.place(delta);
        self.word(memory);
        self.word(is_wide.into());
        self.end_result(start);
        Ok(())
    }

    /// Begins an instruction with three slots, taken from the stack, and the
    /// words that follow them.
    fn bulk(&mut self, handler: Handler, words: &[u32]) {
        let (c, b, a) = (self.pop_slot(), self.pop_slot(), self.pop_slot());
        self.start(handler);
        self.place(a);
        self.place(b);
        self.place(c);
        for word in words {
            self.word(*word);
        }
    }

    pub(super) fn memory_copy(&mut self, to: u32, from: u32) {
        let wide = [self.is_wide_memory(to), self.is_wide_memory(from)].map(u32::from);
        self.bulk(op::memory_copy, &[to, from, wide[0], wide[1]]);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let is_wide = self.is_wide_memory(memory);
        self.bulk(op::memory_fill, &[memory, is_wide.into()]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, data: u32) {
        let is_wide = self.is_wide_memory(memory);
        self.bulk(op::memory_init, &[memory, data, is_wide.into()]);
    }

    pub(super) fn data_drop(&mut self, data: u32) {
        self.start(op::data_drop);
        self.word(data);
    }

    // Tables.

    fn holds_pointers(&self, table: u32) -> bool {
        let heap = self.module.table(TableIndex::new(table)).element.heap;
        Representation::of_reference(heap) == Representation::Pointer
    }

    pub(super) fn table_get(&mut self, table: u32) -> Step {
        let index = self.pop_slot();
        let handler: Handler = if self.holds_pointers(table) {
            table::table_get::<table::Pointer>
        } else {
            table::table_get::<table::Id>
        };
        let place = self.table_place(table);
        let start = self.start_result(handler, false)?;
        self.place(index);
        self.word(place.word());
        self.end_result(start);
        Ok(())
    }

    pub(super) fn table_set(&mut self, table: u32) {
        let (value, index) = (self.pop_slot(), self.pop_slot());
        let handler: Handler = if self.holds_pointers(table) {
            table::table_set::<table::Pointer>
        } else {
            table::table_set::<table::Id>
        };
        let place = self.table_place(table);
        self.start(handler);
        self.place(value);
        self.place(index);
        self.word(place.word());
    }

    pub(super) fn table_size(&mut self, table: u32) -> Step {
        let place = self.table_place(table);
        let start = self.start_result(table::table_size, false)?;
        self.word(place.word());
        self.end_result(start);
        Ok(())
    }

    pub(super) fn table_grow(&mut self, table: u32) -> Step {
        let (delta, value) = (self.pop_slot(), self.pop_slot());
        self.charge();
        let is_wide = self.is_wide_table(table);
        let start = self.start_result(table::table_grow, false)?;
        self.place(value);
        self.place(delta);
        self.word(table);
        self.word(is_wide.into());
        self.end_result(start);
        Ok(())
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let is_wide = self.is_wide_table(table);
        self.bulk(table::table_fill, &[table, is_wide.into()]);
    }

    pub(super) fn table_copy(&mut self, to: u32, from: u32) {
        let wide = [self.is_wide_table(to), self.is_wide_table(from)].map(u32::from);
        self.bulk(table::table_copy, &[to, from, wide[0], wide[1]]);
    }

    pub(super) fn table_init(&mut self, table: u32, element: u32) {
        let is_wide = self.is_wide_table(table);
        self.bulk(table::table_init, &[table, element, is_wide.into()]);
    }

    pub(super) fn elem_drop(&mut self, element: u32) {
        self.start(table::elem_drop);
        self.word(element);
    }

    // Globals.

    fn global_place(&self, index: u32) -> Place {
        let layout = &self.input.plan.layout;
        match index.checked_sub(self.module.imported_global_count()) {
            Some(defined) => Place::new(layout.defined_global(defined), false),
            None => Place::new(layout.imported_global(index), true),
        }
    }

    /// Whether a global holds four bytes.
    fn is_half(&self, width: Representation) -> bool {
        match width {
            Representation::I32 | Representation::F32 => true,
            Representation::Pointer => self.input.plan.layout.target().pointer() == 4,
            _ => false,
        }
    }

    /// What a global holds.
    fn global_width(&self, index: u32) -> Representation {
        Representation::of(self.module.global(GlobalIndex::new(index)).content)
    }

    pub(super) fn global_get(&mut self, index: u32) -> Step {
        let constant = self.module.constant_global(GlobalIndex::new(index));
        match constant.map(|value| value.ops()) {
            Some([ConstOp::I32Const(value)]) => {
                return self.push_constant(u64::from(*value as u32));
            }
            Some([ConstOp::I64Const(value)]) => return self.push_constant(*value as u64),
            _ => {}
        }
        let place = self.global_place(index);
        let handlers = match self.global_width(index) {
            Representation::V128 => {
                let start = self.start_result(control::global_get128, true)?;
                self.word(place.word());
                self.end_result(start);
                return Ok(());
            }
            width if self.is_half(width) => giving!(control::global_get32),
            _ => giving!(control::global_get64),
        };
        let start = self.start(handlers.stored);
        self.word(place.word());
        self.give(start, Class::Integer, handlers.unstored, None)
    }

    pub(super) fn global_set(&mut self, index: u32) {
        let place = self.global_place(index);
        let width = self.global_width(index);
        if self.is_half(width) && !self.is_plain() && self.fuse_global_set(place.word()) {
            return;
        }
        let value = self.pop();
        if width == Representation::V128 {
            let value = self.slot_of(value);
            self.start(control::global_set128);
            self.place(value);
        } else if let Kind::Constant(value) = value.kind
            && !self.is_plain()
        {
            if self.is_half(width) {
                self.start(control::global_set32::<Constant>);
                self.word(value as u32);
            } else {
                self.start(control::global_set64::<Constant>);
                self.wide(value);
            }
        } else {
            let slot = self.slot_of(value);
            let kept = self.use_kept(value, slot, Class::Integer);
            self.start(match (self.is_half(width), kept) {
                (true, true) => control::global_set32::<Kept>,
                (true, false) => control::global_set32::<Slot>,
                (false, true) => control::global_set64::<Kept>,
                (false, false) => control::global_set64::<Slot>,
            });
            if !kept {
                self.place(slot);
            }
        }
        self.word(place.word());
    }

    // References.

    pub(super) fn ref_func(&mut self, function: u32) -> Step {
        let index = FuncIndex::new(function);
        let layout = &self.input.plan.layout;
        let (handler, offset): (Handler, u32) = if self.module.defined_func_index(index).is_some() {
            let Some(escaped) = self.input.plan.escaped_index(index) else {
                return Err(Stop::new(
                    "a reference is taken to a function that the plan does not list as escaping",
                ));
            };
            (control::ref_in_context, layout.func_ref(escaped))
        } else {
            let import = ImportedFunctionLayout::new(layout.target());
            (
                control::ref_imported,
                layout.imported_function(function) + import.reference(),
            )
        };
        let start = self.start_result(handler, false)?;
        self.word(offset);
        self.end_result(start);
        Ok(())
    }

    pub(super) fn ref_is_null(&mut self) -> Step {
        let reference = self.pop_slot();
        let start = self.start_result(control::is_null, false)?;
        self.place(reference);
        self.end_result(start);
        Ok(())
    }

    pub(super) fn ref_as_non_null(&mut self) -> Step {
        let entry = self.pop();
        let slot = self.slot_of(entry);
        self.start(control::non_null);
        self.place(slot);
        self.push_back(entry, slot)
    }
}
