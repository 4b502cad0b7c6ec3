//! How are instructions on memories, tables, globals and references translated?

use tepui_abi::MemoryStyle;
use tepui_abi::convention::Representation;
use tepui_abi::layout::ImportedFunctionLayout;
use tepui_module::{ConstOp, FuncIndex, GlobalIndex, MemoryIndex, TableIndex};
use wasmparser::{MemArg, MemArgTarget};

use super::{Giving, Kind, Step, Stop, Translator, fused, giving};
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

/// Both forms of a load.
macro_rules! load_handlers {
    (op::$handler:ident<$($parameter:ty),*>, $bounds:ty) => {
        Giving {
            stored: op::$handler::<$($parameter,)* Stored, $bounds>,
            unstored: fused!(op::$handler::<$($parameter,)* Unstored, $bounds>),
        }
    };
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
        match self.access(memarg, L::WIDTH)? {
            Access::Guarded(offset) => {
                if !self.is_plain() && self.fuse_load::<L>(offset)? {
                    return Ok(());
                }
                self.load_first::<L, Guarded>(offset)
            }
            Access::First(offset) => self.load_first::<L, Compared>(offset),
            Access::Any(place, offset) => {
                let index = self.pop_slot();
                let start = self.start_result(op::load_any::<L>, L::R::WIDE)?;
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
    fn load_first<L: Load, G: Bounds>(&mut self, offset: u32) -> Step {
        let index = self.pop();
        if !self.is_plain()
            && let Kind::Constant(index) = index.kind
            && let Some(address) = (index as u32).checked_add(offset)
        {
            let handlers = load_handlers!(op::load_at<L>, G);
            let start = self.start(handlers.stored);
            self.word(address);
            return self.give_loaded::<L>(start, handlers);
        }
        let slot = self.slot_of(index);
        let kept = self.use_kept(index, slot, Class::Integer);
        let handlers = if kept {
            load_handlers!(op::load<L, Kept>, G)
        } else {
            load_handlers!(op::load<L, Slot>, G)
        };
        let start = self.start(handlers.stored);
        if !kept {
            self.place(slot);
        }
        self.word(offset);
        self.give_loaded::<L>(start, handlers)
    }

    pub(super) fn give_loaded<L: Load>(&mut self, start: usize, handlers: Giving) -> Step {
        let unstored = handlers.unstored.filter(|_| !L::R::WIDE);
        self.give(start, L::R::CLASS, unstored, None)
    }

    pub(super) fn store<S: Store>(&mut self, memarg: &MemArg) -> Step {
        match self.access(memarg, S::WIDTH)? {
            Access::Guarded(offset) => {
                if self.is_plain() || !self.fuse_store::<S>(offset) {
                    self.store_first::<S, Guarded>(offset);
                }
            }
            Access::First(offset) => self.store_first::<S, Compared>(offset),
            Access::Any(place, offset) => {
                let (value, index) = (self.pop_slot(), self.pop_slot());
                self.start(op::store_any::<S>);
                self.place(value);
                self.write_any(index, place, offset);
            }
            Access::Never => self.always_out_of_bounds(),
        }
        Ok(())
    }

    /// A store to memory 0.
    fn store_first<S: Store, G: Bounds>(&mut self, offset: u32) {
        let (value, index) = (self.pop(), self.pop());
        if self.is_plain() {
            let (value, index) = (self.slot_of(value), self.slot_of(index));
            self.start(op::store::<S, Slot, Slot, G>);
            self.place(index);
            self.place(value);
            self.word(offset);
            return;
        }
        if let Kind::Constant(index) = index.kind
            && let Some(address) = (index as u32).checked_add(offset)
        {
            if let Kind::Constant(value) = value.kind {
                self.start(op::store_at::<S, Constant, G>);
                self.word(address);
                self.constant::<S::A>(value);
                return;
            }
            let slot = self.slot_of(value);
            if self.use_kept(value, slot, S::A::CLASS) {
                self.start(op::store_at::<S, Kept, G>);
                self.word(address);
                return;
            }
            self.start(op::store_at::<S, Slot, G>);
            self.word(address);
            self.place(slot);
            return;
        }
        let index_slot = self.slot_of(index);
        if let Kind::Constant(value) = value.kind {
            let kept = self.use_kept(index, index_slot, Class::Integer);
            self.start(if kept {
                op::store::<S, Kept, Constant, G>
            } else {
                op::store::<S, Slot, Constant, G>
            });
            if !kept {
                self.place(index_slot);
            }
            self.constant::<S::A>(value);
            self.word(offset);
            return;
        }
        let slot = self.slot_of(value);
        if self.use_kept(value, slot, S::A::CLASS) {
            self.start(op::store::<S, Slot, Kept, G>);
            self.place(index_slot);
        } else if self.use_kept(index, index_slot, Class::Integer) {
            self.start(op::store::<S, Kept, Slot, G>);
            self.place(slot);
        } else {
            self.start(op::store::<S, Slot, Slot, G>);
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
        let place = self.atomic_place(memarg)?;
        let (value, index) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(atomic::atomic_update::<O, T>, false)?;
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
