//! How are tables accessed? Elements inline; growth and bulk by the runtime.
//!
//! Elements of function tables are pointers, those of other tables 32-bit ids.
//! With hardening on, an index out of bounds gives the address null, also under
//! misspeculation, and the access to null is the trap.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use tepui_abi::Trap;
use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation;
use tepui_abi::layout::TableLayout;
use tepui_module::{TableIndex, TableType};

use super::regions::Faults;
use super::{Translator, representation_type};

/// The type of a table's elements in memory.
fn element_type(ty: &TableType) -> Type {
    representation_type(Representation::of_reference(ty.element.heap))
}

impl Translator<'_, '_> {
    fn table_type(&self, table: u32) -> TableType {
        *self.module.table(TableIndex::new(table))
    }

    /// The definition of a table: a pointer and an offset from it.
    fn table_definition(&mut self, table: u32) -> (Value, i32) {
        let imported = self.module.imported_table_count();
        match table.checked_sub(imported) {
            Some(defined) => (self.context, self.plan.layout.defined_table(defined) as i32),
            None => {
                let offset = self.plan.layout.imported_table(table);
                (self.context_pointer(offset), 0)
            }
        }
    }

    /// Bases and lengths of tables that cannot grow never change.
    fn table_flags(&self, ty: &TableType) -> MemFlagsData {
        if ty.size_limit() == ty.minimum {
            self.regions.constant()
        } else {
            self.regions.definition()
        }
    }

    /// The number of elements, in 64 bits.
    fn table_length(&mut self, table: u32) -> Value {
        let ty = self.table_type(table);
        if ty.size_limit() == ty.minimum {
            return self.iconst64(ty.minimum);
        }
        let (pointer, offset) = self.table_definition(table);
        let layout = TableLayout::new(self.machine.target);
        let flags = self.table_flags(&ty);
        self.builder
            .ins()
            .load(types::I64, flags, pointer, offset + layout.length() as i32)
    }

    /// The address of the element at `index`, and how to access it.
    fn element_address(&mut self, table: u32, index: Value) -> (Value, MemFlagsData) {
        let ty = self.table_type(table);
        let index = self.wide_index(index, ty.table64);
        let length = self.table_length(table);
        let is_out = self
            .builder
            .ins()
            .icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
        if !self.tunables.spectre {
            self.trap_if(is_out, Trap::TableOutOfBounds);
        }
        let (pointer, offset) = self.table_definition(table);
        let layout = TableLayout::new(self.machine.target);
        let flags = self.table_flags(&ty);
        let base =
            self.builder
                .ins()
                .load(types::I64, flags, pointer, offset + layout.base() as i32);
        let shift = self.iconst64(u64::from(element_type(&ty).bytes().trailing_zeros()));
        let distance = self.builder.ins().ishl(index, shift);
        let address = self.builder.ins().iadd(base, distance);
        if !self.tunables.spectre {
            return (address, self.regions.table(Faults::Never));
        }
        let null = self.iconst64(0);
        let address = self
            .builder
            .ins()
            .select_spectre_guard(is_out, null, address);
        (address, self.regions.table(Faults::Outside))
    }

    /// Takes an index and gives the element there.
    pub(super) fn load_element(&mut self, table: u32) -> Value {
        let index = self.pop();
        let ty = element_type(&self.table_type(table));
        let (address, flags) = self.element_address(table, index);
        self.builder.ins().load(ty, flags, address, 0)
    }

    pub(super) fn table_get(&mut self, table: u32) {
        let value = self.load_element(table);
        self.push(value);
    }

    pub(super) fn table_set(&mut self, table: u32) {
        let (index, value) = self.pop2();
        let (address, flags) = self.element_address(table, index);
        self.builder.ins().store(flags, value, address, 0);
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let length = self.table_length(table);
        let is_64 = self.table_type(table).table64;
        let length = self.narrow_index(length, is_64);
        self.push(length);
    }

    /// An element as builtins take it.
    fn wide_element(&mut self, value: Value) -> Value {
        if self.value_type(value) == types::I64 {
            value
        } else {
            self.builder.ins().uextend(types::I64, value)
        }
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        self.charge();
        let is_64 = self.table_type(table).table64;
        let (value, delta) = self.pop2();
        let value = self.wide_element(value);
        let delta = self.wide_index(delta, is_64);
        let table = self.iconst32(table);
        let old = self.call_builtin_value(Builtin::table_grow, &[table, value, delta]);
        let old = self.narrow_index(old, is_64);
        self.push(old);
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let is_64 = self.table_type(table).table64;
        let (to, value, length) = self.pop3();
        let to = self.wide_index(to, is_64);
        let value = self.wide_element(value);
        let length = self.wide_index(length, is_64);
        let table = self.iconst32(table);
        self.call_builtin(Builtin::table_fill, &[table, to, value, length]);
    }

    pub(super) fn table_copy(&mut self, destination: u32, source: u32) {
        let to_64 = self.table_type(destination).table64;
        let from_64 = self.table_type(source).table64;
        let (to, from, length) = self.pop3();
        let to = self.wide_index(to, to_64);
        let from = self.wide_index(from, from_64);
        let length = self.wide_index(length, to_64 && from_64);
        let destination = self.iconst32(destination);
        let source = self.iconst32(source);
        self.call_builtin(
            Builtin::table_copy,
            &[destination, source, to, from, length],
        );
    }

    pub(super) fn table_init(&mut self, table: u32, element: u32) {
        let is_64 = self.table_type(table).table64;
        let (to, from, length) = self.pop3();
        let to = self.wide_index(to, is_64);
        let table = self.iconst32(table);
        let element = self.iconst32(element);
        self.call_builtin(Builtin::table_init, &[table, element, to, from, length]);
    }

    pub(super) fn elem_drop(&mut self, element: u32) {
        let element = self.iconst32(element);
        self.call_builtin(Builtin::elem_drop, &[element]);
    }
}
