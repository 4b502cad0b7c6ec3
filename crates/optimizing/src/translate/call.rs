//! How do functions call one another? Signatures under the convention, direct
//! and indirect calls, tail calls, the overflow area, and builtins.

use std::rc::Rc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, ArgumentExtension, ArgumentPurpose, ExtFuncData, ExternalName, FuncRef, InstBuilder,
    SigRef, Signature, Type, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use tepui_abi::Trap;
use tepui_abi::builtin::{Builtin, BuiltinType};
use tepui_abi::convention::{self, Location, Representation};
use tepui_abi::layout::{FuncRefLayout, ImportedFunctionLayout};
use tepui_abi::slots::SlotGeometry;
use tepui_abi::stack::StackLayout;
use tepui_module::{CallKind, FuncIndex, FuncType, HeapType, TableIndex, TypeIndex, TypeLookup};

use super::{Step, Translator, clif_type};
use crate::isa::Machine;

/// A function type as the code generator is told of it: what travels in
/// registers, and where everything travels.
pub(crate) struct Shape {
    pub(crate) signature: Signature,
    pub(crate) parameters: Vec<Location>,
    pub(crate) results: Vec<Location>,
}

/// A [`Shape`] that is known to the function being translated.
pub(super) struct CallShape {
    signature: SigRef,
    parameters: Vec<Location>,
    pub(super) results: Vec<Location>,
    result_types: Vec<Type>,
}

/// The signature of functions of a type.
pub(crate) fn signature(machine: &Machine, ty: &FuncType) -> Shape {
    let architecture = machine.target.architecture;
    let representations = |types: &[tepui_module::ValType]| {
        types
            .iter()
            .map(|ty| Representation::of(*ty))
            .collect::<Vec<_>>()
    };
    let parameters = convention::parameters(architecture, representations(&ty.params)).locations;
    let results = convention::results(architecture, representations(&ty.results)).locations;

    let mut signature = Signature::new(CallConv::Tail);
    signature
        .params
        .push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
    signature.params.push(AbiParam::new(types::I64));
    let in_registers = |types: &[tepui_module::ValType], locations: &[Location]| {
        types
            .iter()
            .zip(locations)
            .filter(|(_, location)| !matches!(location, Location::Overflow(_)))
            .map(|(ty, _)| AbiParam::new(clif_type(*ty)))
            .collect::<Vec<_>>()
    };
    signature
        .params
        .extend(in_registers(&ty.params, &parameters));
    signature.returns = in_registers(&ty.results, &results);
    Shape {
        signature,
        parameters,
        results,
    }
}

/// What is called.
#[derive(Clone, Copy)]
enum Callee {
    /// A function of the batch.
    Direct(FuncRef),
    /// Code at an address.
    At(Value),
}

impl Translator<'_, '_> {
    fn shape_of(&mut self, ty: TypeIndex) -> Rc<CallShape> {
        if let Some(shape) = self.shapes.get(&ty.as_u32()) {
            return shape.clone();
        }
        let func_type = self.module.func_type_at(ty);
        let shape = signature(self.machine, func_type);
        let shape = Rc::new(CallShape {
            signature: self.builder.import_signature(shape.signature),
            parameters: shape.parameters,
            results: shape.results,
            result_types: func_type.results.iter().map(|ty| clif_type(*ty)).collect(),
        });
        self.shapes.insert(ty.as_u32(), shape.clone());
        shape
    }

    /// The shape of the function being translated.
    pub(super) fn own_shape(&mut self) -> Rc<CallShape> {
        self.shape_of(self.own_type)
    }

    // The overflow area.

    fn stack_object(&mut self) -> Value {
        if let Some(stack) = self.stack_object {
            return stack;
        }
        // The store context names another stack only while this one waits.
        let (store, offset) = (self.store, self.store_layout.stack() as i32);
        let flags = self.regions.constant();
        let stack = self.at_entry(|cursor| {
            use cranelift_codegen::ir::InstBuilder;
            cursor.ins().load(types::I64, flags, store, offset)
        });
        self.stack_object = Some(stack);
        stack
    }

    pub(super) fn load_overflow(&mut self, ty: Type, slot: u16) -> Value {
        let stack = self.stack_object();
        let offset = StackLayout::new(self.machine.target).overflow_slot(u32::from(slot));
        self.load_slot(ty, self.regions.overflow(), stack, offset)
    }

    pub(super) fn store_overflow(&mut self, value: Value, slot: u16) {
        let stack = self.stack_object();
        let offset = StackLayout::new(self.machine.target).overflow_slot(u32::from(slot));
        self.store_slot(value, self.regions.overflow(), stack, offset);
    }

    // Calls.

    /// Calls with the arguments on top of the stack.
    fn emit_call(
        &mut self,
        shape: &CallShape,
        callee: Callee,
        callee_context: Value,
        kind: CallKind,
    ) -> Step {
        let count = shape.parameters.len();
        self.canonicalize_top(count);
        let start = self.stack.len() - count;
        let mut arguments = Vec::with_capacity(count + 2);
        arguments.push(callee_context);
        arguments.push(self.context);
        for (i, location) in shape.parameters.iter().enumerate() {
            let value = self.stack[start + i];
            match *location {
                Location::Overflow(slot) => self.store_overflow(value, slot),
                _ => arguments.push(value),
            }
        }
        self.stack.truncate(start);
        if kind == CallKind::Tail {
            match callee {
                Callee::Direct(function) => self.builder.ins().return_call(function, &arguments),
                Callee::At(code) => {
                    self.builder
                        .ins()
                        .return_call_indirect(shape.signature, code, &arguments)
                }
            };
            self.unreachable();
            return Ok(());
        }
        let call = match callee {
            Callee::Direct(function) => self.builder.ins().call(function, &arguments),
            Callee::At(code) => self
                .builder
                .ins()
                .call_indirect(shape.signature, code, &arguments),
        };
        let mut next = 0;
        for (location, ty) in shape.results.iter().zip(&shape.result_types) {
            let value = match *location {
                Location::Overflow(slot) => self.load_overflow(*ty, slot),
                _ => {
                    next += 1;
                    self.builder.inst_results(call)[next - 1]
                }
            };
            self.stack.push(value);
        }
        self.check_size()
    }

    pub(super) fn call(&mut self, function: u32, kind: CallKind) -> Step {
        self.charge();
        let function = FuncIndex::new(function);
        let shape = self.shape_of(self.module.func_type_index(function));
        let pointer = self.machine.target;
        let Some(defined) = self.module.defined_func_index(function) else {
            let import = self.plan.layout.imported_function(function.as_u32());
            let layout = ImportedFunctionLayout::new(pointer);
            let code = self.context_pointer(import + layout.code());
            let context = self.context_pointer(import + layout.context());
            return self.emit_call(&shape, Callee::At(code), context, kind);
        };
        let callee = if self.batch.contains(defined) {
            let reference = match self.direct.get(&defined.as_u32()) {
                Some(reference) => *reference,
                None => {
                    let name = self
                        .builder
                        .func
                        .declare_imported_user_function(UserExternalName::new(0, defined.as_u32()));
                    let reference = self.builder.import_function(ExtFuncData {
                        name: ExternalName::user(name),
                        signature: shape.signature,
                        colocated: true,
                        patchable: false,
                    });
                    self.direct.insert(defined.as_u32(), reference);
                    reference
                }
            };
            Callee::Direct(reference)
        } else {
            let stubs = self.context_pointer(self.plan.layout.stub_base());
            let geometry = SlotGeometry::new(pointer.architecture);
            let offset = self.iconst64(geometry.stub_offset(defined.as_u32()));
            Callee::At(self.builder.ins().iadd(stubs, offset))
        };
        self.emit_call(&shape, callee, self.context, kind)
    }

    /// Calls the function behind a reference; `null` is the trap of a null one,
    /// when it may be null.
    fn call_reference(
        &mut self,
        shape: &CallShape,
        reference: Value,
        null: Option<Trap>,
        kind: CallKind,
    ) -> Step {
        let layout = FuncRefLayout::new(self.machine.target);
        // Both loads carry the trap: whichever comes first meets the null.
        let flags = self.regions.reference(null);
        let ins = self.builder.ins();
        let code = ins.load(types::I64, flags, reference, layout.code() as i32);
        let context =
            self.builder
                .ins()
                .load(types::I64, flags, reference, layout.context() as i32);
        self.emit_call(shape, Callee::At(code), context, kind)
    }

    pub(super) fn call_ref(&mut self, ty: u32, kind: CallKind) -> Step {
        self.charge();
        let shape = self.shape_of(TypeIndex::new(ty));
        let reference = self.pop();
        self.call_reference(&shape, reference, Some(Trap::NullReference), kind)
    }

    pub(super) fn call_indirect(&mut self, ty: u32, table: u32, kind: CallKind) -> Step {
        self.charge();
        let ty = TypeIndex::new(ty);
        let shape = self.shape_of(ty);
        let element = self.module.table(TableIndex::new(table)).element;
        let reference = self.load_element(table);
        let null = element.nullable.then_some(Trap::IndirectCallToNull);

        let expected = self.module.type_id(ty);
        let always = match element.heap {
            HeapType::Concrete(id) => self.module.is_sub_id(id, expected),
            _ => false,
        };
        if !always {
            self.check_type(ty, reference, null);
        }
        // A checked reference is not null: the check has loaded from it.
        let null = if always { null } else { None };
        self.call_reference(&shape, reference, null, kind)
    }

    /// Traps unless the function behind `reference` has the type.
    fn check_type(&mut self, ty: TypeIndex, reference: Value, null: Option<Trap>) {
        let layout = FuncRefLayout::new(self.machine.target);
        let actual = self.builder.ins().load(
            types::I32,
            self.regions.reference(null),
            reference,
            layout.type_id() as i32,
        );
        let ids = self.context_pointer(self.plan.layout.type_ids());
        let expected = self.builder.ins().load(
            types::I32,
            self.regions.constant(),
            ids,
            (4 * ty.as_u32()) as i32,
        );
        if self.module.defined_type(ty).is_final() {
            let differs = self.builder.ins().icmp(IntCC::NotEqual, actual, expected);
            self.trap_if(differs, Trap::BadSignature);
            return;
        }
        let differs = self.builder.ins().icmp(IntCC::NotEqual, actual, expected);
        self.when_rarely(differs, |this| {
            if let Some(is_subtype) = this.call_builtin(Builtin::is_subtype, &[actual, expected]) {
                this.builder
                    .ins()
                    .trapz(is_subtype, super::trap_code(Trap::BadSignature));
            }
        });
    }

    // Builtins.

    fn builtin_signature(&mut self, builtin: Builtin) -> SigRef {
        if let Some(signature) = self.builtin_signatures.get(&(builtin as u32)) {
            return *signature;
        }
        let extension = self.machine.isa().default_argument_extension();
        let param = |ty: BuiltinType| match ty {
            BuiltinType::U32 => AbiParam {
                extension,
                ..AbiParam::new(types::I32)
            },
            BuiltinType::U64 | BuiltinType::Pointer => AbiParam {
                extension: ArgumentExtension::None,
                ..AbiParam::new(types::I64)
            },
        };
        let mut signature = Signature::new(self.machine.host_convention);
        signature.params.push(AbiParam::new(types::I64));
        signature
            .params
            .extend(builtin.arguments().iter().map(|ty| param(*ty)));
        signature.returns.extend(builtin.result().map(param));
        let signature = self.builder.import_signature(signature);
        self.builtin_signatures.insert(builtin as u32, signature);
        signature
    }

    /// Calls a function of the runtime.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, arguments: &[Value]) -> Option<Value> {
        debug_assert_eq!(arguments.len(), builtin.arguments().len());
        let signature = self.builtin_signature(builtin);
        let table = self.context_pointer(self.plan.layout.builtins());
        let offset = builtin.offset(self.machine.target.pointer());
        let flags = self.regions.constant();
        let code = self
            .builder
            .ins()
            .load(types::I64, flags, table, offset as i32);
        let mut all = Vec::with_capacity(arguments.len() + 1);
        all.push(self.context);
        all.extend_from_slice(arguments);
        let call = self.builder.ins().call_indirect(signature, code, &all);
        self.builder.inst_results(call).first().copied()
    }

    /// Calls a function of the runtime that has a result.
    pub(super) fn call_builtin_value(&mut self, builtin: Builtin, arguments: &[Value]) -> Value {
        self.call_builtin(builtin, arguments)
            .expect("the builtin has a result in the table")
    }
}
