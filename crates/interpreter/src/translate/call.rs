//! How are calls translated? Arguments in their homes, which become the callee's
//! area.

use tepui_abi::convention::Representation;
use tepui_abi::layout::ImportedFunctionLayout;
use tepui_module::{CallKind, FuncIndex, HeapType, TableIndex, TypeIndex, TypeLookup};

use super::emit::Last;
use super::stack::Kind;
use super::{SLOT, Step, Translator, area_of, bytes_of, is_wide};
use crate::code::Place;
use crate::dispatch::Handler;
use crate::handlers::call::{self as op, check};
use crate::state::HEADER_BYTES;
use crate::value::Class;

/// What a call instruction is made of.
struct Shape {
    ty: TypeIndex,
    kind: CallKind,
}

/// The handlers of calls through tables, ordinary and tail, which check types so.
fn indirect<const BY_INDEX: bool>(check: u8) -> (Handler, Handler) {
    macro_rules! both {
        ($check:expr) => {
            (
                op::call_indirect::<{ $check }, BY_INDEX>,
                op::return_call_indirect::<{ $check }, BY_INDEX>,
            )
        };
    }
    match check {
        check::NONE => both!(check::NONE),
        check::EXACT => both!(check::EXACT),
        _ => both!(check::SUBTYPE),
    }
}

impl Translator<'_> {
    /// Writes the first part of a call. The arguments are on top of the stack.
    fn start_call(&mut self, shape: &Shape, ordinary: Handler, tail: Handler) -> Step {
        let ty = self.type_at(shape.ty);
        let count = ty.params.len();
        self.settle_top(count);
        self.truncate(self.stack.len() - count);
        let arguments = self.top;
        let area = area_of(ty);
        match shape.kind {
            CallKind::Ordinary => {
                self.start(ordinary);
                self.place(arguments + area + HEADER_BYTES as i32);
                self.place(arguments);
                self.word(shape.ty.as_u32());
                self.grow_frame(area)?;
            }
            CallKind::Tail => {
                self.start(tail);
                self.word(area as u32);
                self.place(arguments);
                self.word(bytes_of(&ty.params) as u32);
                self.word(self.area as u32);
                self.word(shape.ty.as_u32());
                // Results of a function that is not interpreted come here.
                self.grow_frame(area.max(self.area))?;
            }
        }
        Ok(())
    }

    /// Writes what follows a call, and leaves its results on the stack.
    fn end_call(&mut self, shape: &Shape) -> Step {
        if shape.kind == CallKind::Tail {
            self.left();
            return Ok(());
        }
        self.start(op::reload);
        let ty = self.type_at(shape.ty);
        for ty in &ty.results {
            self.push_temporary(is_wide(*ty))?;
        }
        if let [ty] = ty.results[..]
            && !is_wide(ty)
        {
            let class = match Representation::of(ty) {
                Representation::F32 | Representation::F64 => Class::Float,
                _ => Class::Integer,
            };
            let end = self.words.len();
            self.last = Some(Last {
                start: end,
                end,
                result: None,
                place: self.top - SLOT,
                class,
                unstored: None,
                branches: None,
                shape: None,
                before: None,
            });
        }
        Ok(())
    }

    pub(super) fn call(&mut self, function: u32, kind: CallKind) -> Step {
        self.charge();
        let index = FuncIndex::new(function);
        let shape = Shape {
            ty: self.module.func_type_index(index),
            kind,
        };
        match self.module.defined_func_index(index) {
            Some(defined) if self.is_plain() => {
                self.start_call(&shape, op::call_indexed, op::return_call_indexed)?;
                self.word(defined.as_u32());
            }
            Some(defined) => {
                self.start_call(&shape, op::call, op::return_call)?;
                let entry = &raw const self.input.entries[defined.index()];
                self.word(defined.as_u32());
                self.wide(entry.expose_provenance() as u64);
            }
            None => {
                self.start_call(&shape, op::call_import, op::return_call_import)?;
                let layout = &self.input.plan.layout;
                let import = ImportedFunctionLayout::new(layout.target());
                self.word(layout.imported_function(function) + import.reference());
            }
        }
        self.end_call(&shape)
    }

    pub(super) fn call_ref(&mut self, ty: u32, kind: CallKind) -> Step {
        self.charge();
        let shape = Shape {
            ty: TypeIndex::new(ty),
            kind,
        };
        let reference = self.take_callee(shape.ty)?;
        self.start_call(&shape, op::call_ref, op::return_call_ref)?;
        self.place(reference);
        self.end_call(&shape)
    }

    pub(super) fn call_indirect(&mut self, ty: u32, table: u32, kind: CallKind) -> Step {
        self.charge();
        let shape = Shape {
            ty: TypeIndex::new(ty),
            kind,
        };
        let index = self.take_callee(shape.ty)?;
        let expected = self.module.type_id(shape.ty);
        let element = self.module.table(TableIndex::new(table)).element;
        let is_known = match element.heap {
            HeapType::Concrete(id) => self.module.is_sub_id(id, expected),
            _ => false,
        };
        let place = self.table_place(table);
        let is_final = self.module.defined_type(shape.ty).is_final();
        let check = match (is_known, is_final) {
            (true, _) => check::NONE,
            (false, true) => check::EXACT,
            (false, false) => check::SUBTYPE,
        };
        if self.is_plain() {
            let (ordinary, tail) = indirect::<true>(check);
            self.start_call(&shape, ordinary, tail)?;
            self.place(index);
            self.word(place.word());
            self.word(shape.ty.as_u32());
            if kind == CallKind::Ordinary {
                self.wide(0);
            }
            return self.end_call(&shape);
        }
        let (mut ordinary, tail) = indirect::<false>(check);
        if !place.is_indirect() && !place.is_wide() {
            match check {
                check::NONE => ordinary = op::call_indirect_near::<{ check::NONE }>,
                check::EXACT => ordinary = op::call_indirect_near::<{ check::EXACT }>,
                _ => {}
            }
        }
        self.start_call(&shape, ordinary, tail)?;
        self.place(index);
        self.word(place.word());
        self.word(expected.as_u32());
        if kind == CallKind::Ordinary {
            self.wide(self.input.entries.as_ptr().expose_provenance() as u64);
        }
        self.end_call(&shape)
    }

    /// Takes what says which function is called, from above the arguments. Its
    /// slot is not touched by what the arguments still need.
    fn take_callee(&mut self, _ty: TypeIndex) -> Step<i32> {
        let entry = self.pop();
        let slot = self.slot_of(entry);
        if entry.kind == Kind::Temporary || matches!(entry.kind, Kind::Constant(_)) {
            debug_assert_eq!(slot, entry.home);
        }
        Ok(slot)
    }

    /// Where a table's definition is.
    pub(super) fn table_place(&self, table: u32) -> Place {
        let layout = &self.input.plan.layout;
        let is_wide = self.module.table(TableIndex::new(table)).table64;
        let place = match table.checked_sub(self.module.imported_table_count()) {
            Some(defined) => Place::new(layout.defined_table(defined), false),
            None => Place::new(layout.imported_table(table), true),
        };
        place.with_wide(is_wide)
    }
}
