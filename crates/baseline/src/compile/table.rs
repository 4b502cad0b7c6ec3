//! How are tables accessed, and what can be done with references? Elements
//! inline; growth and bulk by the runtime. A null reference is zero.

use tepui_abi::Trap;
use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation;
use tepui_abi::layout::{ImportedFunctionLayout, TableLayout};
use tepui_module::{FuncIndex, TableIndex, TableType};

use super::{Entry, Function, Place, Step, Stop, size_of};
use crate::masm::{Alu, Assembler, Condition, IntCc, Mem, Size, Src};
use crate::reg::Reg;

fn element(ty: &TableType) -> Representation {
    Representation::of_reference(ty.element.heap)
}

impl<A: Assembler> Function<'_, A> {
    fn table_type(&self, table: u32) -> TableType {
        *self.module.table(TableIndex::new(table))
    }

    fn table_index(&self, table: u32) -> Representation {
        if self.table_type(table).table64 {
            Representation::I64
        } else {
            Representation::I32
        }
    }

    /// A word of the table's definition; an imported table's definition is
    /// reached by `via`.
    fn table_word(&mut self, table: u32, offset: u32, via: Reg) -> Mem {
        let context = self.context();
        let imported = self.module.imported_table_count();
        match table.checked_sub(imported) {
            Some(defined) => Mem::at(
                context,
                (self.plan.layout.defined_table(defined) + offset) as i32,
            ),
            None => {
                let pointer = self.plan.layout.imported_table(table) as i32;
                self.masm.load(Size::S64, via, Mem::at(context, pointer));
                Mem::at(via, offset as i32)
            }
        }
    }

    /// The address of the element at the index, in the second scratch
    /// register; uses all of them. Gives the trap of a fault there.
    fn element_address(&mut self, table: u32, index: Entry) -> (Mem, Option<Trap>) {
        let ty = self.table_type(table);
        let layout = TableLayout::new(self.plan.layout.target());
        let base = self.table_word(table, layout.base(), A::SCRATCH_2);
        self.masm.load(Size::S64, A::SCRATCH_2, base);
        self.materialize(index, A::SCRATCH);
        let scale = if element(&ty) == Representation::Pointer {
            3
        } else {
            2
        };
        self.masm.lea(
            Size::S64,
            A::SCRATCH_2,
            Mem {
                base: A::SCRATCH_2,
                index: Some(A::SCRATCH),
                scale,
                disp: 0,
            },
        );
        let length = if ty.size_limit() == ty.minimum {
            if i32::try_from(ty.minimum).is_ok() {
                Src::Imm(ty.minimum as i64)
            } else {
                self.masm.imm(A::SCRATCH_3, ty.minimum);
                Src::Reg(A::SCRATCH_3)
            }
        } else {
            Src::Mem(self.table_word(table, layout.length(), A::SCRATCH_3))
        };
        let is_out = match length {
            // Compared with zero: every index is out.
            Src::Imm(0) => {
                self.masm
                    .alu(Alu::Or, Size::S64, A::SCRATCH, A::SCRATCH, Src::Imm(-1));
                self.masm.compare(Size::S64, A::SCRATCH, Src::Imm(1));
                IntCc::AboveEqual
            }
            length => {
                self.masm.compare(Size::S64, A::SCRATCH, length);
                IntCc::AboveEqual
            }
        };
        let mem = Mem::at(A::SCRATCH_2, 0);
        if !self.tunables.spectre {
            self.masm.trap_if(is_out, Trap::TableOutOfBounds);
            return (mem, None);
        }
        self.masm.null_if(is_out, A::SCRATCH_2);
        (mem, Some(Trap::TableOutOfBounds))
    }

    /// Loads the element at the index into `dst`.
    pub(super) fn load_element(&mut self, table: u32, index: Entry, dst: Reg) {
        let repr = element(&self.table_type(table));
        let (mem, trap) = self.element_address(table, index);
        self.masm.site(trap);
        self.masm.load(size_of(repr), dst, mem);
    }

    pub(super) fn table_get(&mut self, table: u32) {
        let repr = element(&self.table_type(table));
        let index = self.pop();
        let dst = self.allocate(repr);
        self.load_element(table, index, dst);
        self.push_reg(dst, repr);
    }

    pub(super) fn table_set(&mut self, table: u32) {
        let repr = element(&self.table_type(table));
        let value = self.pop_reg();
        let index = self.pop();
        let (mem, trap) = self.element_address(table, index);
        self.masm.site(trap);
        self.masm.store(size_of(repr), value.reg, mem);
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let ty = self.table_type(table);
        let repr = self.table_index(table);
        if ty.size_limit() == ty.minimum {
            self.push(Place::Const(ty.minimum), repr);
            return;
        }
        let layout = TableLayout::new(self.plan.layout.target());
        let dst = self.allocate(repr);
        let word = self.table_word(table, layout.length(), A::SCRATCH);
        self.masm.load(Size::S64, dst, word);
        if repr == Representation::I32 {
            self.masm.move_reg(Size::S32, dst, dst);
        }
        self.push_reg(dst, repr);
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        self.charge();
        let repr = self.table_index(table);
        let delta = self.pop();
        let value = self.pop();
        self.call_builtin_value(
            Builtin::table_grow,
            &[Self::constant(table), value, delta],
            repr,
        );
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let (to, value, length) = self.pop3();
        self.call_builtin(
            Builtin::table_fill,
            &[Self::constant(table), to, value, length],
        );
    }

    pub(super) fn table_copy(&mut self, destination: u32, source: u32) {
        let (to, from, length) = self.pop3();
        self.call_builtin(
            Builtin::table_copy,
            &[
                Self::constant(destination),
                Self::constant(source),
                to,
                from,
                length,
            ],
        );
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) {
        let (to, from, length) = self.pop3();
        self.call_builtin(
            Builtin::table_init,
            &[
                Self::constant(table),
                Self::constant(segment),
                to,
                from,
                length,
            ],
        );
    }

    pub(super) fn elem_drop(&mut self, segment: u32) {
        self.call_builtin(Builtin::elem_drop, &[Self::constant(segment)]);
    }

    // References.

    pub(super) fn ref_null(&mut self, heap: wasmparser::HeapType) {
        let repr = Representation::of_reference(self.module.heap_type(heap));
        self.push(Place::Const(0), repr);
    }

    pub(super) fn ref_is_null(&mut self) {
        let entry = self.pop();
        let held = self.hold(entry);
        self.masm.test(size_of(entry.repr), held.reg);
        self.push_flags(Condition::Is(IntCc::Equal));
    }

    pub(super) fn ref_func(&mut self, function: u32) -> Step {
        let function = FuncIndex::new(function);
        let dst = self.allocate(Representation::Pointer);
        if self.module.defined_func_index(function).is_some() {
            let Some(escaped) = self.plan.escaped_index(function) else {
                return Err(Stop::new(
                    "a reference is taken to a function that the plan does not list as escaping",
                ));
            };
            let mem = self.in_context(self.plan.layout.func_ref(escaped));
            self.masm.lea(Size::S64, dst, mem);
        } else {
            let layout = ImportedFunctionLayout::new(self.plan.layout.target());
            let import = self.plan.layout.imported_function(function.as_u32());
            let mem = self.in_context(import + layout.reference());
            self.masm.load(Size::S64, dst, mem);
        }
        self.push_reg(dst, Representation::Pointer);
        Ok(())
    }

    pub(super) fn ref_as_non_null(&mut self) {
        let entry = self.pop();
        let held = self.hold(entry);
        self.masm.test(size_of(entry.repr), held.reg);
        self.masm.trap_if(IntCc::Equal, Trap::NullReference);
        self.push_held(held, entry);
    }

    /// Puts a value that was held back on the stack.
    fn push_held(&mut self, held: super::Held, entry: Entry) {
        if held.owned {
            self.push_reg(held.reg, entry.repr);
        } else {
            self.push(entry.place(), entry.repr);
        }
    }

    pub(super) fn br_on_null(&mut self, depth: u32) -> Step {
        self.charge();
        let entry = self.pop();
        let held = self.hold(entry);
        self.masm.test(size_of(entry.repr), held.reg);
        self.masm.set_flags_live(true);
        // On the way of the branch the reference is not needed.
        self.branch_if(Condition::Is(IntCc::Equal), depth);
        self.push_held(held, entry);
        Ok(())
    }

    pub(super) fn br_on_non_null(&mut self, depth: u32) -> Step {
        self.charge();
        let entry = self.pop();
        let held = self.hold(entry);
        self.masm.test(size_of(entry.repr), held.reg);
        self.push_held(held, entry);
        self.masm.set_flags_live(true);
        // The branch takes the reference with it; what goes on does not.
        self.branch_if(Condition::Is(IntCc::NotEqual), depth);
        self.pop();
        Ok(())
    }
}
