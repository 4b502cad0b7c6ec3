//! How does a Wasm body become intermediate representation? The state of a
//! translation, its main loop, and what all parts of it use.
//!
//! | file | instructions |
//! |---|---|
//! | `visit` | the list of all instructions; numbers, locals, globals |
//! | `control` | blocks, branches, returns |
//! | `call` | calls, the convention, builtins |
//! | `memory` | addresses in memories, loads, stores, bulk instructions |
//! | `table` | tables |
//! | `reference` | references |
//! | `atomic` | threads |
//! | `simd` | vectors |
//! | `meter` | fuel and epochs |

mod atomic;
pub(crate) mod call;
mod control;
mod hints;
mod memory;
mod meter;
mod reference;
mod regions;
mod simd;
mod table;
mod visit;

use std::rc::Rc;

use cranelift_codegen::FxHashMap;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    self, AbiParam, ArgumentPurpose, Block, BlockArg, FuncRef, Function, GlobalValueData, Inst,
    InstBuilder, MemFlagsData, SigRef, Signature, SourceLoc, TrapCode, Type, UserFuncName, Value,
    types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use tepui_abi::convention::Representation;
use tepui_abi::layout::StoreLayout;
use tepui_abi::{Batch, CompileError, Entry, FunctionInput, Plan, Trap, Tunables};
use tepui_module::{FuncType, Module, TypeIndex, ValType};

use crate::isa::{Machine, Size};
use crate::limits;
use crate::osr::{self, Osr};
use call::CallShape;
use control::Frame;
use memory::MemoryState;
use regions::Regions;

/// Why a translation ended early.
pub(crate) struct Stop(Box<str>);

impl Stop {
    pub(crate) fn new(message: impl Into<Box<str>>) -> Stop {
        Stop(message.into())
    }

    /// A limit of this crate was met.
    pub(crate) fn too_large(what: &str) -> Stop {
        Stop(format!("the function is too large for the optimizing compiler: {what}").into())
    }
}

impl From<wasmparser::BinaryReaderError> for Stop {
    fn from(error: wasmparser::BinaryReaderError) -> Stop {
        Stop(error.to_string().into())
    }
}

pub(crate) type Step<T = ()> = Result<T, Stop>;

/// The type that values of a Wasm type have in registers.
pub(crate) fn clif_type(ty: ValType) -> Type {
    representation_type(Representation::of(ty))
}

/// The type that values of a representation have.
pub(crate) fn representation_type(representation: Representation) -> Type {
    match representation {
        Representation::I32 => types::I32,
        Representation::I64 | Representation::Pointer => types::I64,
        Representation::F32 => types::F32,
        Representation::F64 => types::F64,
        Representation::V128 => types::I8X16,
    }
}

/// A trap as the code generator carries it.
pub(crate) const fn trap_code(trap: Trap) -> TrapCode {
    TrapCode::unwrap_user(trap.code())
}

/// The state of a translation.
pub(crate) struct Translator<'a, 'f> {
    module: &'a Module,
    plan: &'a Plan,
    bytes: &'a [u8],
    batch: Batch<'a>,
    machine: &'a Machine,
    tunables: &'a Tunables,
    store_layout: StoreLayout,
    builder: FunctionBuilder<'f>,
    regions: Regions,

    /// The function's own type.
    func_type: &'a FuncType,
    own_type: TypeIndex,
    /// The operand stack. Vectors may lie here as any vector type; where
    /// control flow meets they are `i8x16`.
    stack: Vec<Value>,
    /// Open blocks, the function's body first.
    control: Vec<Frame>,
    /// Parameters of open `if` instructions, for their `else`.
    else_params: Vec<Value>,
    locals: Vec<Variable>,
    local_types: Vec<Type>,
    /// One bit per local: whether it was used, and how many were.
    touched: Vec<bool>,
    touched_count: u64,
    branch_arguments: usize,
    /// Whether the instruction at hand can be reached.
    reachable: bool,
    /// Blocks opened inside unreachable code.
    skipped: u32,
    /// Offset of the instruction at hand in the module.
    position: u32,

    /// The callee context, for the whole body.
    context: Value,
    /// The store context, for the whole body.
    store: Value,
    /// The last instruction at the start of the entry block of those that
    /// compute values for the whole body.
    anchor: Inst,
    stack_object: Option<Value>,
    memories: FxHashMap<u32, MemoryState>,
    /// Pointers that the context holds, loaded once, by their offset in it.
    context_pointers: FxHashMap<u32, Value>,
    shapes: FxHashMap<u32, Rc<CallShape>>,
    direct: FxHashMap<u32, FuncRef>,
    builtin_signatures: FxHashMap<u32, SigRef>,

    /// Costs not charged yet.
    fuel: u64,
    hints: hints::Hints,
    osr: Option<Osr>,
}

/// Translates the function of `input` into `func`.
pub(crate) fn translate(
    input: &FunctionInput<'_>,
    machine: &Machine,
    tunables: &Tunables,
    func: &mut Function,
    builder_context: &mut FunctionBuilderContext,
) -> Result<Size, CompileError> {
    let mut position = None;
    run(
        input,
        machine,
        tunables,
        func,
        builder_context,
        &mut position,
    )
    .map_err(|Stop(message)| CompileError {
        function: input.function,
        offset: position,
        message: message.into(),
    })
}

fn run(
    input: &FunctionInput<'_>,
    machine: &Machine,
    tunables: &Tunables,
    func: &mut Function,
    builder_context: &mut FunctionBuilderContext,
    position: &mut Option<usize>,
) -> Step<Size> {
    let module = input.module;
    let body = module
        .body_reader(input.bytes, input.function)
        .ok_or_else(|| Stop::new("the module's bytes end before the function's body does"))?;
    let index = module.func_index(input.function);
    let func_type = module.func_type(index);

    func.name = UserFuncName::user(0, input.function.as_u32());
    let shape = call::signature(machine, func_type);
    func.signature = match input.entry {
        Entry::Start => shape.signature,
        Entry::Loop { .. } => {
            let mut signature = Signature::new(CallConv::Tail);
            signature
                .params
                .push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
            signature.params.push(AbiParam::new(types::I64));
            signature.returns = shape.signature.returns;
            signature
        }
    };
    let osr = match input.entry {
        Entry::Start => None,
        Entry::Loop { index } => Some(osr::find(&body, index)?),
    };

    let regions = Regions::new(func);
    let store_layout = StoreLayout::new(machine.target);
    set_stack_limit(func, &regions, input.plan, &store_layout);

    let mut builder = FunctionBuilder::new(func, builder_context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let context = builder.block_params(entry)[0];
    let store = builder.ins().load(
        types::I64,
        regions.constant(),
        context,
        input.plan.layout.store_context() as i32,
    );
    let anchor = builder
        .func
        .dfg
        .value_def(store)
        .inst()
        .ok_or_else(|| Stop::new("a load has no instruction"))?;

    let mut translator = Translator {
        module,
        plan: input.plan,
        bytes: input.bytes,
        batch: input.batch,
        machine,
        tunables,
        store_layout,
        builder,
        regions,
        func_type,
        own_type: module.func_type_index(index),
        stack: Vec::new(),
        control: Vec::new(),
        else_params: Vec::new(),
        locals: Vec::new(),
        local_types: Vec::new(),
        touched: Vec::new(),
        touched_count: 0,
        branch_arguments: 0,
        reachable: true,
        skipped: 0,
        position: 0,
        context,
        store,
        anchor,
        stack_object: None,
        memories: FxHashMap::default(),
        context_pointers: FxHashMap::default(),
        shapes: FxHashMap::default(),
        direct: FxHashMap::default(),
        builtin_signatures: FxHashMap::default(),
        fuel: 0,
        hints: hints::Hints::of(module, input.bytes, index),
        osr,
    };
    let result = translator.body(&body, entry, &shape.parameters);
    *position = Some(translator.position as usize);
    // On an error, the builder's state is dropped with the workspace.
    result?;
    let size = translator.size();
    translator.builder.finalize(machine.isa().frontend_config());
    Ok(size)
}

/// Has the code generator compare the stack pointer with the limit in the store
/// context, in the prologue of every function that has a frame.
fn set_stack_limit(func: &mut Function, regions: &Regions, plan: &Plan, store: &StoreLayout) {
    let flags = func.dfg.mem_flags.insert_unchecked(regions.constant());
    let context = func.create_global_value(GlobalValueData::VMContext);
    let store_context = func.create_global_value(GlobalValueData::Load {
        base: context,
        offset: (plan.layout.store_context() as i32).into(),
        global_type: types::I64,
        flags,
    });
    let limit = func.create_global_value(GlobalValueData::Load {
        base: store_context,
        offset: (store.stack_limit() as i32).into(),
        global_type: types::I64,
        flags,
    });
    func.stack_limit = Some(limit);
}

impl<'a, 'f> Translator<'a, 'f> {
    fn body(
        &mut self,
        body: &wasmparser::FunctionBody<'a>,
        entry: Block,
        parameters: &[tepui_abi::convention::Location],
    ) -> Step {
        if self.osr.is_some() {
            self.enter_at_loop(entry);
        } else {
            self.load_parameters(entry, parameters);
        }
        let mut locals = body.get_locals_reader()?;
        for _ in 0..locals.get_count() {
            self.position = locals.original_position() as u32;
            let (count, ty) = locals.read()?;
            let ty = clif_type(self.module.val_type(ty));
            if ty == types::I8X16 {
                self.needs_vectors()?;
            }
            let zero = self.zero(ty);
            for _ in 0..count {
                self.declare_local(ty, zero);
            }
        }
        self.touched = vec![false; self.locals.len()];

        self.control.push(Frame::function());
        let mut reader = body.get_operators_reader()?;
        // What happens at the entry happens at the first instruction.
        self.position = reader.original_position() as u32;
        self.builder.set_srcloc(SourceLoc::new(self.position));
        self.check_meters();

        while !reader.eof() {
            self.position = reader.original_position() as u32;
            if self.reachable {
                self.builder.set_srcloc(SourceLoc::new(self.position));
                if self.tunables.fuel {
                    let opcode = self.bytes.get(self.position as usize).copied();
                    self.fuel += tepui_abi::fuel::cost(opcode.unwrap_or(0));
                }
                reader.visit_operator(self)??;
            } else {
                self.skip(&reader.read()?)?;
            }
        }
        reader.finish()?;
        if let Some(osr) = &self.osr {
            osr.finished()?;
        }
        Ok(())
    }

    /// Makes locals of the parameters; those in the overflow area are loaded
    /// first of all.
    fn load_parameters(&mut self, entry: Block, locations: &[tepui_abi::convention::Location]) {
        // Function parameters after the two contexts.
        let mut next = 2;
        let func_type = self.func_type;
        for (ty, location) in func_type.params.iter().zip(locations) {
            let ty = clif_type(*ty);
            let value = match *location {
                tepui_abi::convention::Location::Overflow(slot) => self.load_overflow(ty, slot),
                _ => {
                    next += 1;
                    self.builder.block_params(entry)[next - 1]
                }
            };
            self.declare_local(ty, value);
        }
    }

    fn declare_local(&mut self, ty: Type, value: Value) {
        let variable = self.builder.declare_var(ty);
        self.builder.def_var(variable, value);
        self.locals.push(variable);
        self.local_types.push(ty);
    }

    // Values.

    /// A zero, or a null reference, of the type.
    fn zero(&mut self, ty: Type) -> Value {
        match ty {
            types::F32 => self.builder.ins().f32const(0.0),
            types::F64 => self.builder.ins().f64const(0.0),
            types::I8X16 => self.vector_constant([0; 16]),
            _ => self.builder.ins().iconst(ty, 0),
        }
    }

    fn iconst32(&mut self, value: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(value))
    }

    fn iconst64(&mut self, value: u64) -> Value {
        self.builder.ins().iconst(types::I64, value as i64)
    }

    fn value_type(&self, value: Value) -> Type {
        self.builder.func.dfg.value_type(value)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Takes the top of the operand stack.
    fn pop(&mut self) -> Value {
        self.stack
            .pop()
            .expect("a validated body never pops an empty stack")
    }

    fn pop2(&mut self) -> (Value, Value) {
        let b = self.pop();
        (self.pop(), b)
    }

    fn pop3(&mut self) -> (Value, Value, Value) {
        let c = self.pop();
        let (a, b) = self.pop2();
        (a, b, c)
    }

    /// Takes a condition, without the widening of a comparison's result.
    fn pop_condition(&mut self) -> Value {
        let value = self.pop();
        let dfg = &self.builder.func.dfg;
        if let Some(inst) = dfg.value_def(value).inst()
            && let ir::InstructionData::Unary {
                opcode: ir::Opcode::Uextend,
                arg,
            } = dfg.insts[inst]
            && dfg.value_type(arg) == types::I8
        {
            return arg;
        }
        value
    }

    /// The vector as `i8x16`, other values as they are.
    fn canonical(&mut self, value: Value) -> Value {
        let ty = self.value_type(value);
        if ty.is_vector() && ty != types::I8X16 {
            self.bitcast_vector(types::I8X16, value)
        } else {
            value
        }
    }

    /// Makes the top `count` values canonical, where they lie.
    fn canonicalize_top(&mut self, count: usize) {
        let start = self.stack.len() - count;
        for i in start..self.stack.len() {
            self.stack[i] = self.canonical(self.stack[i]);
        }
    }

    /// The top `count` values as arguments of a branch. They must be canonical.
    fn top_arguments(&mut self, count: usize) -> Step<Vec<BlockArg>> {
        self.branch_arguments += count;
        if self.branch_arguments > limits::BRANCH_ARGUMENTS {
            return Err(Stop::too_large("too many values at branches"));
        }
        let start = self.stack.len() - count;
        Ok(self.stack[start..]
            .iter()
            .map(|v| BlockArg::Value(*v))
            .collect())
    }

    /// Checks what grows with the body against the limits.
    fn check_size(&self) -> Step {
        let dfg = &self.builder.func.dfg;
        if dfg.num_values() > limits::VALUES {
            return Err(Stop::too_large("too many values"));
        }
        if self.touched_count * dfg.num_blocks() as u64 > limits::VARIABLE_CELLS {
            return Err(Stop::too_large("too many locals in too many blocks"));
        }
        Ok(())
    }

    /// How the function is to be compiled, once it is translated.
    fn size(&self) -> Size {
        let dfg = &self.builder.func.dfg;
        let widest = self
            .builder
            .func
            .layout
            .blocks()
            .map(|block| dfg.block_params(block).len())
            .max()
            .unwrap_or(0);
        // The room that the operand stack has taken bounds its depth.
        let is_giant = dfg.num_blocks() > limits::GIANT_BLOCKS
            || dfg.num_values() > limits::GIANT_VALUES
            || widest > limits::GIANT_WIDTH
            || self.stack.capacity() > 2 * limits::GIANT_WIDTH
            || self.touched_count > limits::GIANT_LOCALS;
        if is_giant { Size::Giant } else { Size::Usual }
    }

    /// The variable of a local that is about to be used.
    fn local(&mut self, index: u32) -> Step<Variable> {
        let touched = &mut self.touched[index as usize];
        if !*touched {
            *touched = true;
            self.touched_count += 1;
            self.check_size()?;
        }
        Ok(self.locals[index as usize])
    }

    fn use_local(&mut self, index: u32) -> Step<Value> {
        let variable = self.local(index)?;
        let before = self.builder.func.dfg.num_values();
        let value = self.builder.use_var(variable);
        // A use may have made parameters of every loop around it.
        if self.builder.func.dfg.num_values() > before {
            self.check_size()?;
        }
        Ok(value)
    }

    // What is computed once, at the start of the entry block.

    /// Runs `make` with a cursor behind what the entry block computes for the
    /// whole body. Its last instruction must define the value that it returns.
    fn at_entry(&mut self, make: impl FnOnce(&mut FuncCursor<'_>) -> Value) -> Value {
        let mut cursor = FuncCursor::new(self.builder.func).after_inst(self.anchor);
        let value = make(&mut cursor);
        if let Some(inst) = self.builder.func.dfg.value_def(value).inst() {
            self.anchor = inst;
        }
        value
    }

    /// A pointer that the context holds at `offset` and that never changes.
    fn context_pointer(&mut self, offset: u32) -> Value {
        if let Some(value) = self.context_pointers.get(&offset) {
            return *value;
        }
        let (context, flags) = (self.context, self.regions.constant());
        let value =
            self.at_entry(|cursor| cursor.ins().load(types::I64, flags, context, offset as i32));
        self.context_pointers.insert(offset, value);
        value
    }

    // Traps.

    /// Traps, with nothing reachable behind it.
    ///
    /// The code generator makes a branch to a block that only traps a conditional
    /// trap, at the place of the branch. An instruction that is not of that kind
    /// keeps it from it, so that the trap is where the Wasm has it.
    fn trap(&mut self, trap: Trap) {
        self.builder.ins().nop();
        self.builder.ins().trap(trap_code(trap));
        self.unreachable();
    }

    /// Traps when the condition is not zero.
    fn trap_if(&mut self, condition: Value, trap: Trap) {
        self.builder.ins().trapnz(condition, trap_code(trap));
    }

    /// What follows in the block at hand cannot be reached.
    fn unreachable(&mut self) {
        self.reachable = false;
        self.fuel = 0;
        if let Some(frame) = self.control.last() {
            self.stack.truncate(frame.height);
        }
    }

    /// Loads or stores a value in a slot that other tiers and the host read:
    /// integers and floats of their own width at the start of the slot, vectors
    /// as 128-bit numbers, all in the byte order of the host.
    fn load_slot(&mut self, ty: Type, flags: MemFlagsData, base: Value, offset: u32) -> Value {
        if ty == types::I8X16 && self.machine.is_big_endian() {
            let number = self
                .builder
                .ins()
                .load(types::I128, flags, base, offset as i32);
            return self
                .builder
                .ins()
                .bitcast(types::I8X16, simd::LANES, number);
        }
        self.builder.ins().load(ty, flags, base, offset as i32)
    }

    /// See [`Self::load_slot`].
    fn store_slot(&mut self, value: Value, flags: MemFlagsData, base: Value, offset: u32) {
        let mut value = self.canonical(value);
        if self.value_type(value) == types::I8X16 && self.machine.is_big_endian() {
            value = self.builder.ins().bitcast(types::I128, simd::LANES, value);
        }
        self.builder.ins().store(flags, value, base, offset as i32);
    }

    fn needs_vectors(&self) -> Step {
        if self.machine.has_vectors {
            Ok(())
        } else {
            Err(Stop::new(
                "vector instructions need a processor with the vector extension (has_v)",
            ))
        }
    }
}
