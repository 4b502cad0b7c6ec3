//! What can be done with references? Null, functions, tests and branches on
//! null.
//!
//! A null reference is zero, in the representation of its type.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use tepui_abi::Trap;
use tepui_abi::convention::Representation;
use tepui_abi::layout::ImportedFunctionLayout;
use tepui_module::FuncIndex;

use super::{Step, Stop, Translator, representation_type};

impl Translator<'_, '_> {
    pub(super) fn ref_null(&mut self, heap: wasmparser::HeapType) {
        let heap = self.module.heap_type(heap);
        let ty = representation_type(Representation::of_reference(heap));
        let null = self.zero(ty);
        self.push(null);
    }

    fn is_null(&mut self, reference: Value) -> Value {
        let ty = self.value_type(reference);
        let null = self.zero(ty);
        self.builder.ins().icmp(IntCC::Equal, reference, null)
    }

    pub(super) fn ref_is_null(&mut self) {
        let reference = self.pop();
        let is_null = self.is_null(reference);
        let is_null = self.builder.ins().uextend(types::I32, is_null);
        self.push(is_null);
    }

    pub(super) fn ref_func(&mut self, function: u32) -> Step {
        let function = FuncIndex::new(function);
        let reference = if self.module.defined_func_index(function).is_some() {
            let Some(escaped) = self.plan.escaped_index(function) else {
                return Err(Stop::new(
                    "a reference is taken to a function that the plan does not list as escaping",
                ));
            };
            let offset = self.iconst64(u64::from(self.plan.layout.func_ref(escaped)));
            self.builder.ins().iadd(self.context, offset)
        } else {
            let import = self.plan.layout.imported_function(function.as_u32());
            let layout = ImportedFunctionLayout::new(self.machine.target);
            self.context_pointer(import + layout.reference())
        };
        self.push(reference);
        Ok(())
    }

    pub(super) fn ref_as_non_null(&mut self) {
        // The value stays: it is what it was.
        let reference = self.pop();
        let is_null = self.is_null(reference);
        self.trap_if(is_null, Trap::NullReference);
        self.push(reference);
    }

    pub(super) fn br_on_null(&mut self, depth: u32) -> Step {
        self.charge();
        let reference = self.pop();
        let is_null = self.is_null(reference);
        self.branch_if(is_null, depth)?;
        self.push(reference);
        Ok(())
    }

    pub(super) fn br_on_non_null(&mut self, depth: u32) -> Step {
        self.charge();
        let ty = self
            .stack
            .last()
            .map(|reference| self.value_type(*reference));
        let Some(reference) = self.stack.last().copied() else {
            return Err(Stop::new("br_on_non_null without an operand"));
        };
        let null = self.zero(ty.unwrap_or(types::I64));
        let is_set = self.builder.ins().icmp(IntCC::NotEqual, reference, null);
        // The branch takes the reference with it; what goes on does not.
        self.branch_if(is_set, depth)?;
        self.pop();
        Ok(())
    }
}
