//! How are functions called? Arguments and results under the convention, direct
//! and indirect calls, tail calls, the overflow area, and builtins.

use tepui_abi::builtin::Builtin;
use tepui_abi::convention::{Assigner, Location, Representation};
use tepui_abi::layout::{FuncRefLayout, ImportedFunctionLayout};
use tepui_abi::profile::Homes;
use tepui_abi::slots::SlotGeometry;
use tepui_abi::stack::StackLayout;
use tepui_abi::{Relocation, Trap};
use tepui_module::{
    CallKind, DefinedFuncIndex, FuncIndex, HeapType, TableIndex, TypeIndex, TypeLookup,
};

use super::{Entry, Exit, Function, Place, Step, is_float, size_of};
use crate::masm::{Alu, Assembler, Condition, IntCc, Mem, Size, Src};
use crate::reg::Reg;

/// What is called.
#[derive(Clone, Copy)]
enum Callee {
    /// A function of the batch.
    Direct(DefinedFuncIndex),
    /// A function of this instance, by its slot stub.
    Stub(DefinedFuncIndex),
    /// An imported function, by the offset of its description in the context.
    Import(u32),
    /// The function whose reference is in the scratch register, with the trap
    /// of a null one.
    Reference(Option<Trap>),
}

impl<A: Assembler> Function<'_, A> {
    // The overflow area.

    /// Loads the address of the running stack object.
    pub(super) fn load_stack_object(&mut self, dst: Reg) {
        let store = self.in_context(self.plan.layout.store_context());
        self.masm.load(Size::S64, dst, store);
        let stack = Mem::at(dst, self.store_layout.stack() as i32);
        self.masm.load(Size::S64, dst, stack);
    }

    pub(super) fn overflow(&self, stack: Reg, slot: u16) -> Mem {
        let layout = StackLayout::new(self.plan.layout.target());
        Mem::at(stack, layout.overflow_slot(u32::from(slot)) as i32)
    }

    /// Binds parameters to their registers, and loads the others from the
    /// overflow area into their homes.
    pub(super) fn load_parameters(&mut self) {
        let architecture = self.plan.layout.target().architecture;
        let func_type = self.func_type;
        let mut assigner = Assigner::parameters(architecture);
        // In this order nothing is overwritten that is still to be read.
        for i in 0..func_type.params.len() {
            let local = self.locals[i];
            match assigner.assign(local.repr) {
                Location::Integer(number) => {
                    let dst = A::BODY_PARAMS[number as usize];
                    let src = A::INT_PARAMS[number as usize];
                    if local.repr == Representation::I32 || dst != src {
                        self.masm.move_reg(size_of(local.repr), dst, src);
                    }
                    self.bind_local(i as u32, dst, true);
                }
                Location::Vector(number) | Location::Float(number) => {
                    self.bind_local(i as u32, Reg::vector(number), true);
                }
                Location::Overflow(_) => {}
            }
        }
        if assigner.overflow() == 0 {
            return;
        }
        self.load_stack_object(A::SCRATCH);
        assigner = Assigner::parameters(architecture);
        for i in 0..func_type.params.len() {
            let local = self.locals[i];
            if let Location::Overflow(slot) = assigner.assign(local.repr) {
                let mem = self.overflow(A::SCRATCH, slot);
                let carrier = if is_float(local.repr) {
                    A::VECTOR_SCRATCH
                } else {
                    A::SCRATCH_2
                };
                self.load_any(local.repr, carrier, mem);
                self.store_home(local.repr, carrier, local.end);
            }
        }
    }

    /// Puts the values of the stack from `start` on where the convention wants
    /// them: into registers and the overflow area. They stay known. Leaves the
    /// scratch register alone unless a value is for it.
    pub(super) fn pass_values(&mut self, start: usize, mut assigner: Assigner, integers: &[Reg]) {
        let mut moves = self.take_moves();
        let mut late = [(0, A::SCRATCH); 16];
        let mut late_count = 0;
        let mut has_stack_object = false;
        for index in start..self.stack.len() {
            let entry = self.stack[index];
            let dst = match assigner.assign(entry.repr) {
                Location::Overflow(slot) => {
                    if !has_stack_object {
                        self.load_stack_object(A::SCRATCH_2);
                        has_stack_object = true;
                    }
                    let mem = self.overflow(A::SCRATCH_2, slot);
                    self.store_value(entry, mem);
                    continue;
                }
                Location::Integer(number) => integers[number as usize],
                Location::Vector(number) | Location::Float(number) => Reg::vector(number),
            };
            match self.register_of(&entry) {
                Some(src) if src == dst => {}
                Some(src) => moves.push((src, dst, entry.repr)),
                None => {
                    late[late_count] = (index, dst);
                    late_count += 1;
                }
            }
        }
        self.move_registers(&mut moves);
        self.moves = moves;
        for &(index, dst) in &late[..late_count] {
            self.materialize(self.stack[index], dst);
        }
    }

    // Calls.

    /// Calls with the arguments on top of the stack.
    fn emit_call(&mut self, ty: TypeIndex, callee: Callee, kind: CallKind) -> Step {
        let module = self.module;
        let func_type = module.func_type_at(ty);
        let architecture = self.plan.layout.target().architecture;
        let start = self.stack.len() - func_type.params.len();
        self.calls = true;
        if kind == CallKind::Ordinary {
            self.save_for_call(start);
        }
        // The scratch register holds what is called.
        self.pass_values(start, Assigner::parameters(architecture), A::INT_PARAMS);
        self.forget(start);

        let context = self.context();
        let layout = FuncRefLayout::new(self.plan.layout.target());
        self.masm.mark();
        match callee {
            Callee::Direct(_) => self.masm.copy(A::CALLEE_CONTEXT, context),
            Callee::Stub(function) => {
                let stubs = self.in_context(self.plan.layout.stub_base());
                self.masm.load(Size::S64, A::SCRATCH, stubs);
                let offset = SlotGeometry::new(architecture).stub_offset(function.as_u32());
                self.masm.alu(
                    Alu::Add,
                    Size::S64,
                    A::SCRATCH,
                    A::SCRATCH,
                    Src::Imm(offset as i64),
                );
                self.masm.copy(A::CALLEE_CONTEXT, context);
            }
            Callee::Import(import) => {
                let import_layout = ImportedFunctionLayout::new(self.plan.layout.target());
                let callee_context = self.in_context(import + import_layout.context());
                self.masm.load(Size::S64, A::CALLEE_CONTEXT, callee_context);
                let code = self.in_context(import + import_layout.code());
                self.masm.load(Size::S64, A::SCRATCH, code);
            }
            Callee::Reference(null) => {
                self.masm.site(null);
                self.masm.load(
                    Size::S64,
                    A::CALLEE_CONTEXT,
                    Mem::at(A::SCRATCH, layout.context() as i32),
                );
                self.masm.load(
                    Size::S64,
                    A::SCRATCH,
                    Mem::at(A::SCRATCH, layout.code() as i32),
                );
            }
        }
        self.masm.copy(A::CALLER_CONTEXT, context);
        if kind == CallKind::Tail {
            let label = self.masm.label();
            self.masm.jump(label);
            let exit = match callee {
                Callee::Direct(function) => Exit::Direct(function),
                _ => Exit::Scratch,
            };
            self.exits.push((label, exit));
            self.unreachable();
            return Ok(());
        }
        match callee {
            Callee::Direct(target) => {
                let offset = self.masm.call_direct();
                self.relocations.push(Relocation {
                    offset,
                    kind: A::CALL_RELOCATION,
                    target,
                });
            }
            _ => self.masm.call_reg(A::SCRATCH),
        }
        self.after_call();
        self.push_results(func_type);
        Ok(())
    }

    /// Room in the frame above all that the stack needs; good until something
    /// is pushed.
    pub(super) fn spare(&mut self, bytes: u32) -> u32 {
        let mut end = self.stack.last().map_or(self.locals_end, |entry| entry.end) + bytes;
        if A::HOMES == Homes::Aligned {
            end = end.next_multiple_of(16);
        }
        self.deepest = self.deepest.max(end);
        end
    }

    /// Pushes the results of a call.
    fn push_results(&mut self, func_type: &tepui_module::FuncType) {
        let architecture = self.plan.layout.target().architecture;
        let mut assigner = Assigner::results(architecture);
        if let [ty] = &func_type.results[..] {
            let repr = Representation::of(*ty);
            match assigner.assign(repr) {
                Location::Integer(number) => {
                    let src = A::INT_RESULTS[number as usize];
                    let dst = self.allocate(repr);
                    self.masm.move_reg(size_of(repr), dst, src);
                    self.push_reg(dst, repr);
                    return;
                }
                Location::Vector(number) | Location::Float(number) => {
                    self.push_reg(Reg::vector(number), repr);
                    return;
                }
                Location::Overflow(_) => assigner = Assigner::results(architecture),
            }
        }
        // Several: to their homes. First those in registers, so that the
        // scratch registers become free for the others.
        let mut end = self.stack.last().map_or(self.locals_end, |entry| entry.end);
        let start = end;
        for ty in &func_type.results {
            let repr = Representation::of(*ty);
            end = Self::home_above(end, repr);
            let src = match assigner.assign(repr) {
                Location::Integer(number) => A::INT_RESULTS[number as usize],
                Location::Vector(number) | Location::Float(number) => Reg::vector(number),
                Location::Overflow(_) => continue,
            };
            self.store_home(repr, src, end);
        }
        if assigner.overflow() > 0 {
            self.load_stack_object(A::SCRATCH);
        }
        end = start;
        assigner = Assigner::results(architecture);
        for ty in &func_type.results {
            let repr = Representation::of(*ty);
            end = Self::home_above(end, repr);
            if let Location::Overflow(slot) = assigner.assign(repr) {
                let mem = self.overflow(A::SCRATCH, slot);
                let carrier = if is_float(repr) {
                    A::VECTOR_SCRATCH
                } else {
                    A::SCRATCH_2
                };
                self.load_any(repr, carrier, mem);
                self.store_home(repr, carrier, end);
            }
            self.push(Place::Home(-(end as i32)), repr);
        }
    }

    pub(super) fn call(&mut self, function: u32, kind: CallKind) -> Step {
        self.charge();
        let function = FuncIndex::new(function);
        let ty = self.module.func_type_index(function);
        let callee = match self.module.defined_func_index(function) {
            None => Callee::Import(self.plan.layout.imported_function(function.as_u32())),
            Some(defined) if self.input.batch.contains(defined) => Callee::Direct(defined),
            Some(defined) => Callee::Stub(defined),
        };
        self.emit_call(ty, callee, kind)
    }

    pub(super) fn call_ref(&mut self, ty: u32, kind: CallKind) -> Step {
        self.charge();
        let entry = self.pop();
        self.materialize(entry, A::SCRATCH);
        self.locked = 0;
        let null = self.record_call(Some(Trap::NullReference));
        self.emit_call(TypeIndex::new(ty), Callee::Reference(null), kind)
    }

    pub(super) fn call_indirect(&mut self, ty: u32, table: u32, kind: CallKind) -> Step {
        self.charge();
        let ty = TypeIndex::new(ty);
        let element = self.module.table(TableIndex::new(table)).element;
        let index = self.pop();
        self.load_element(table, index, A::SCRATCH);
        self.locked = 0;
        let null = element.nullable.then_some(Trap::IndirectCallToNull);
        let expected = self.module.type_id(ty);
        let always = match element.heap {
            HeapType::Concrete(id) => self.module.is_sub_id(id, expected),
            _ => false,
        };
        if !always {
            self.check_type(ty, null);
        }
        // A checked reference is not null: the check has loaded from it.
        let null = if always { null } else { None };
        let null = self.record_call(null);
        self.emit_call(ty, Callee::Reference(null), kind)
    }

    /// Traps unless the function behind the reference in the scratch register
    /// has the type.
    fn check_type(&mut self, ty: TypeIndex, null: Option<Trap>) {
        let layout = FuncRefLayout::new(self.plan.layout.target());
        let is_final = self.module.defined_type(ty).is_final();
        if !is_final {
            // The slow path calls the runtime.
            self.settle_below(self.stack.len());
            self.save_for_call(self.stack.len());
            self.after_call();
        }
        let ids = self.in_context(self.plan.layout.type_ids());
        self.masm.load(Size::S64, A::SCRATCH_2, ids);
        let expected = Mem::at(A::SCRATCH_2, (4 * ty.as_u32()) as i32);
        self.masm.load(Size::S32, A::SCRATCH_2, expected);
        self.masm.site(null);
        self.masm.compare(
            Size::S32,
            A::SCRATCH_2,
            Src::Mem(Mem::at(A::SCRATCH, layout.type_id() as i32)),
        );
        if is_final {
            self.masm.trap_if(IntCc::NotEqual, Trap::BadSignature);
            return;
        }
        let equal = self.masm.label();
        self.masm.jump_if(Condition::Is(IntCc::Equal), equal);
        let at = A::home(self.spare(8));
        self.masm.store(Size::S64, A::SCRATCH, at);
        // actual, expected.
        self.masm.copy(A::C_PARAMS[2], A::SCRATCH_2);
        self.masm.load(
            Size::S32,
            A::C_PARAMS[1],
            Mem::at(A::SCRATCH, layout.type_id() as i32),
        );
        self.call_runtime(Builtin::is_subtype);
        self.masm.test(Size::S32, A::SCRATCH);
        self.masm.trap_if(IntCc::Equal, Trap::BadSignature);
        self.masm.load(Size::S64, A::SCRATCH, at);
        self.masm.bind(equal);
    }

    // Builtins.

    /// Calls a function of the runtime whose arguments after the context are in
    /// place already. Its result is in the scratch register.
    pub(super) fn call_runtime(&mut self, builtin: Builtin) {
        let context = self.context();
        let table = self.in_context(self.plan.layout.builtins());
        self.masm.mark();
        let offset = builtin.offset(self.plan.layout.target().pointer());
        self.masm.call_builtin(context, table, offset);
    }

    /// Calls a function of the runtime with values that were taken from the
    /// stack. Its result is in the scratch register.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, arguments: &[Entry]) {
        debug_assert_eq!(arguments.len(), builtin.arguments().len());
        self.save_for_call(self.stack.len());
        let mut moves = [(Self::constant(0), A::SCRATCH); 6];
        for (i, argument) in arguments.iter().enumerate() {
            moves[i] = (*argument, A::C_PARAMS[i + 1]);
        }
        self.move_all(&moves[..arguments.len()]);
        self.call_runtime(builtin);
        self.after_call();
    }

    /// The same, and pushes the result.
    pub(super) fn call_builtin_value(
        &mut self,
        builtin: Builtin,
        arguments: &[Entry],
        repr: Representation,
    ) {
        self.call_builtin(builtin, arguments);
        let dst = self.allocate(repr);
        self.masm.move_reg(size_of(repr), dst, A::SCRATCH);
        self.push_reg(dst, repr);
    }

    /// A constant as an argument.
    pub(super) fn constant(value: u32) -> Entry {
        Entry::new(Place::Const(value.into()), Representation::I32, 0)
    }
}
