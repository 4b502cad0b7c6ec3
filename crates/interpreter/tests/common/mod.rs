//! A small runtime for tests: contexts laid out by plans, memories and tables in
//! vectors, host functions as Rust functions.
//!
//! This file holds unsafe code: it fills contexts as the layouts say.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;

use tepui_abi::layout::{
    FuncRefLayout, ImportedFunctionLayout, MemoryLayout, StoreLayout, TableLayout,
};
use tepui_abi::{MemoryPlace, Plan, Target, Trap, Tunables};
use tepui_interpreter::{
    Builtins, Frame, ModuleCode, Outcome, Raised, Resolution, Runtime, SlotStack,
};
use tepui_module::{
    ConstOp, DefinedFuncIndex, ElementItems, ElementMode, ExternIndex, Features, FuncIndex, Module,
    TypeRegistry,
};

const TARGET: Target = Target::host();
const PAGE: usize = 65_536;

/// What a host function is: it is given the slots of its parameters.
pub(crate) type Host = fn(&mut [u64]) -> Result<(), Trap>;

thread_local! {
    /// The traps that the runtime raised.
    static RAISED: RefCell<Option<Trap>> = const { RefCell::new(None) };
    /// Values that host functions saw.
    pub(crate) static SEEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A store: a store context, a slot stack, the instances.
pub(crate) struct Store {
    registry: TypeRegistry,
    tunables: Tunables,
    context: Box<[u128; 8]>,
    pub(crate) stack: Box<SlotStack>,
    #[allow(clippy::vec_box, reason = "code holds pointers to instances")]
    #[expect(clippy::vec_box, reason = "contexts point to instances")]
    instances: Vec<Box<Instance>>,
    epoch: Box<u64>,
}

/// An instance.
pub(crate) struct Instance {
    module: Module,
    bytes: Vec<u8>,
    plan: Plan,
    code: ModuleCode,
    context: *mut u8,
    layout: Layout,
    memories: Vec<Vec<u8>>,
    /// Elements are references, which are addresses.
    tables: Vec<Vec<usize>>,
    type_ids: Vec<u32>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: allocated in `Store::instantiate` with this layout.
        unsafe { dealloc(self.context, self.layout) }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trapped {
    pub(crate) trap: Trap,
    /// Functions and offsets in the module, innermost first.
    pub(crate) frames: Vec<(u32, usize)>,
}

/// # Safety
///
/// `at` points to room for a `T`.
unsafe fn put<T>(at: *mut u8, offset: u32, value: T) {
    // SAFETY: the caller's.
    unsafe { at.add(offset as usize).cast::<T>().write(value) }
}

/// # Safety
///
/// `at` points to a `T`.
unsafe fn get<T: Copy>(at: *mut u8, offset: u32) -> T {
    // SAFETY: the caller's.
    unsafe { at.add(offset as usize).cast::<T>().read() }
}

pub(crate) fn tunables() -> Tunables {
    Tunables::guarded(12).checked()
}

impl Store {
    pub(crate) fn new(tunables: Tunables, stack_bytes: usize) -> Store {
        Store {
            registry: TypeRegistry::new(),
            tunables,
            context: Box::new([0; 8]),
            stack: Box::new(SlotStack::new(stack_bytes).expect("memory for a stack")),
            instances: Vec::new(),
            epoch: Box::new(0),
        }
    }

    fn field(&mut self, offset: u32) -> *mut u8 {
        assert!(StoreLayout::new(TARGET).size() <= 128);
        let base: *mut u8 = self.context.as_mut_ptr().cast();
        base.wrapping_add(offset as usize)
    }

    pub(crate) fn set_fuel(&mut self, fuel: i64) {
        let at = self.field(StoreLayout::new(TARGET).fuel());
        // SAFETY: a field of the store context.
        unsafe { put(at, 0, -fuel) }
    }

    pub(crate) fn fuel(&mut self) -> i64 {
        let at = self.field(StoreLayout::new(TARGET).fuel());
        // SAFETY: a field of the store context.
        unsafe { -get::<i64>(at, 0) }
    }

    /// Lets the epoch deadline be `ticks` from now.
    pub(crate) fn set_deadline(&mut self, ticks: u64) {
        let deadline = *self.epoch + ticks;
        let at = self.field(StoreLayout::new(TARGET).epoch_deadline());
        // SAFETY: a field of the store context.
        unsafe { put(at, 0, deadline) }
    }

    /// Instantiates a module. Its function imports are, in order: exports of
    /// other instances, by number and name, then host functions.
    pub(crate) fn instantiate(
        &mut self,
        wat: &str,
        imports: &[(usize, &str)],
        hosts: &[Host],
    ) -> usize {
        let bytes = wat::parse_str(wat).expect("test modules are well-formed");
        let mut features = Features::IMPLEMENTED;
        features.disable(tepui_module::Proposal::CustomPageSizes);
        let (module, bodies) =
            Module::decode(&bytes, features, &mut self.registry).expect("test modules decode");
        bodies
            .validate(&module, &bytes)
            .expect("test modules are valid");
        let plan = Plan::new(&module, TARGET, &self.tunables);
        let code = ModuleCode::new(&module, &plan, &self.tunables);
        let layout = Layout::from_size_align(plan.layout.size() as usize, 16).expect("a layout");
        // SAFETY: contexts are not empty.
        let context = unsafe { alloc_zeroed(layout) };
        let mut instance = Box::new(Instance {
            type_ids: module.types().map(|id| id.as_u32()).collect(),
            module,
            bytes,
            plan,
            code,
            context,
            layout,
            memories: Vec::new(),
            tables: Vec::new(),
        });
        let functions = instance.module.imported_function_count() as usize;
        assert_eq!(imports.len() + hosts.len(), functions, "imports");
        let store_context = self.field(0);
        let epoch: *mut u64 = &mut *self.epoch;
        // SAFETY: offsets are those of the plan, whose size the context has.
        unsafe {
            let layout = &instance.plan.layout;
            put(context, layout.store_context(), store_context);
            put(context, layout.type_ids(), instance.type_ids.as_ptr());
            put(context, layout.epoch(), epoch);
            put(context, layout.functions(), &raw const instance.code);
            let reference = FuncRefLayout::new(TARGET);
            for (number, function) in instance.plan.escaped.iter().enumerate() {
                let at = context.add(layout.func_ref(number as u32) as usize);
                let defined = instance.module.defined_func_index(*function);
                let id = instance.module.func_type_id(*function).as_u32();
                put(at, reference.context(), context);
                put(at, reference.type_id(), id);
                put(at, reference.function(), defined.expect("defined").as_u32());
            }
            let import = ImportedFunctionLayout::new(TARGET);
            for index in 0..functions {
                let at = match imports.get(index) {
                    Some((other, name)) => self.reference(*other, name),
                    None => {
                        let at: *mut u8 = Box::leak(Box::new([0_u64; 4])).as_mut_ptr().cast();
                        let id = instance
                            .module
                            .func_type_id(FuncIndex::new(index as u32))
                            .as_u32();
                        // What the context of a host function is, is the
                        // runtime's affair: here, the reference itself.
                        put(at, reference.code(), hosts[index - imports.len()]);
                        put(at, reference.context(), at);
                        put(at, reference.type_id(), id);
                        put(at, reference.function(), FuncRefLayout::NO_FUNCTION);
                        at
                    }
                };
                let offset = layout.imported_function(index as u32) + import.reference();
                put(context, offset, at);
            }
        }
        let memories = instance.module.memories().to_vec();
        for (number, ty) in memories.iter().enumerate() {
            let MemoryPlace::Direct(place) = instance.plan.memories[number].place else {
                panic!("test memories are not shared or imported");
            };
            let mut memory = vec![0; ty.minimum as usize * PAGE];
            let definition = MemoryLayout::new(TARGET);
            let at = instance.plan.layout.direct_memory(place);
            // SAFETY: the offset is that of the definition.
            unsafe {
                put(context, at + definition.base(), memory.as_mut_ptr());
                put(context, at + definition.length(), memory.len());
            }
            instance.memories.push(memory);
        }
        let globals = instance.module.global_initializers().to_vec();
        for (number, value) in globals.iter().enumerate() {
            let offset = instance.plan.layout.defined_global(number as u32);
            // SAFETY: globals are 16 bytes.
            unsafe {
                match value.ops() {
                    [ConstOp::I32Const(value)] => put(context, offset, *value),
                    [ConstOp::I64Const(value)] => put(context, offset, *value),
                    other => panic!("a test global starts with {other:?}"),
                }
            }
        }
        let tables = instance.module.tables().to_vec();
        for (number, ty) in tables.iter().enumerate() {
            let mut table = vec![0_usize; ty.minimum as usize];
            let definition = TableLayout::new(TARGET);
            let at = instance.plan.layout.defined_table(number as u32);
            // SAFETY: the offset is that of the definition.
            unsafe {
                put(context, at + definition.base(), table.as_mut_ptr());
                put(context, at + definition.length(), table.len());
            }
            instance.tables.push(table);
        }
        self.instances.push(instance);
        let number = self.instances.len() - 1;
        for segment in self.instances[number].module.elements().to_vec() {
            let (ElementMode::Active { table, offset }, ElementItems::Functions(items)) =
                (&segment.mode, &segment.items)
            else {
                continue;
            };
            let start = offset.as_const_address().expect("a constant") as usize;
            for (i, function) in items.iter().enumerate() {
                let reference = self.function_reference(number, *function) as usize;
                self.instances[number].tables[table.index()][start + i] = reference;
            }
        }
        number
    }

    fn function_reference(&self, instance: usize, function: FuncIndex) -> *mut u8 {
        let instance = &self.instances[instance];
        let layout = &instance.plan.layout;
        // SAFETY: the offsets are those of the plan.
        unsafe {
            if instance.module.defined_func_index(function).is_some() {
                let number = instance.plan.escaped_index(function).expect("it escapes");
                return instance.context.add(layout.func_ref(number) as usize);
            }
            let import = ImportedFunctionLayout::new(TARGET);
            let offset = layout.imported_function(function.as_u32()) + import.reference();
            get(instance.context, offset)
        }
    }

    fn reference(&self, instance: usize, name: &str) -> *mut u8 {
        let Some(ExternIndex::Func(function)) = self.instances[instance].module.export(name) else {
            panic!("no function {name}");
        };
        self.function_reference(instance, function)
    }

    /// Calls an exported function with slots.
    pub(crate) fn call(
        &mut self,
        instance: usize,
        name: &str,
        parameters: &[u64],
    ) -> Result<Vec<u64>, Trapped> {
        let this = &*self.instances[instance];
        let Some(ExternIndex::Func(function)) = this.module.export(name) else {
            panic!("no function {name}");
        };
        let defined = this
            .module
            .defined_func_index(function)
            .expect("a defined function");
        let results = this.module.func_type(function).results.len();
        let code = this
            .code
            .function(&this.module, &this.bytes, &this.plan, defined)
            .expect("test functions are small enough");
        let stack: *mut SlotStack = &mut *self.stack;
        // SAFETY: context and code are those of a live instance.
        unsafe {
            SlotStack::call(
                stack,
                &RUNTIME,
                this.context,
                code,
                0,
                |slots| slots.copy_from_nonoverlapping(parameters.as_ptr(), parameters.len()),
                |outcome, slots| match outcome {
                    Outcome::Returned => Ok(std::slice::from_raw_parts(slots, results).to_vec()),
                    Outcome::Trap(trap) => Err(self.trapped(trap)),
                    Outcome::Raised => {
                        let trap = RAISED.take().expect("a reason");
                        Err(self.trapped(trap))
                    }
                    Outcome::TailCall(_) => panic!("there is no native code"),
                },
            )
        }
    }

    fn trapped(&self, trap: Trap) -> Trapped {
        // SAFETY: no guest runs.
        let frames = unsafe { self.stack.activations() }
            .flat_map(|activation| activation.frames())
            .map(|frame| self.position(&frame))
            .collect();
        Trapped { trap, frames }
    }

    fn position(&self, frame: &Frame) -> (u32, usize) {
        let instance = self
            .instances
            .iter()
            .find(|instance| instance.context == frame.context)
            .expect("contexts are those of instances");
        let position = instance.code.position(
            &instance.module,
            &instance.bytes,
            &instance.plan,
            frame.function,
            frame.code_offset,
        );
        (frame.function.as_u32(), position.expect("a position"))
    }

    /// Bytes of memory 0 of an instance.
    pub(crate) fn memory(&mut self, instance: usize) -> &mut [u8] {
        &mut self.instances[instance].memories[0]
    }

    /// The offset in the module of the `nth` occurrence of the bytes `code` in
    /// the bodies.
    pub(crate) fn offset_of(&self, instance: usize, code: &[u8], nth: usize) -> usize {
        let instance = &self.instances[instance];
        let range = instance.module.code_range();
        let body = &instance.bytes[range.clone()];
        let found = body
            .windows(code.len())
            .enumerate()
            .filter(|(_, window)| *window == code)
            .nth(nth);
        range.start + found.expect("the bytes occur").0
    }
}

fn raise<T>(trap: Trap) -> Result<T, Raised> {
    RAISED.set(Some(trap));
    Err(Raised)
}

unsafe fn call_host(callee: *mut u8, _caller: *mut u8, slots: *mut u64) -> Result<(), Raised> {
    // SAFETY: contexts of host functions are their references, whose code is a
    // `Host`; they take or give one value at most.
    unsafe {
        let host: Host = get(callee, FuncRefLayout::new(TARGET).code());
        host(std::slice::from_raw_parts_mut(slots, 1)).or_else(raise)
    }
}

unsafe fn resolve(context: *mut u8, function: DefinedFuncIndex) -> Result<Resolution, Raised> {
    // SAFETY: the context leads to the code, which is the field of an instance.
    let instance = unsafe {
        let code: *const u8 = get(
            context,
            tepui_abi::layout::ContextLayout::functions_on(TARGET),
        );
        let offset = std::mem::offset_of!(Instance, code);
        &*code.sub(offset).cast::<Instance>()
    };
    let code = instance
        .code
        .function(&instance.module, &instance.bytes, &instance.plan, function)
        .expect("test functions are small enough");
    Ok(Resolution::Interpreted(code))
}

fn unsupported<T>() -> Result<T, Raised> {
    raise(Trap::UnreachableCodeReached)
}

unsafe fn memory_grow(context: *mut u8, delta: u64, memory: u32) -> Result<u64, Raised> {
    // SAFETY: as in `resolve`; nobody else uses the instance.
    unsafe {
        let code: *mut u8 = get(
            context,
            tepui_abi::layout::ContextLayout::functions_on(TARGET),
        );
        let instance = code
            .sub(std::mem::offset_of!(Instance, code))
            .cast::<Instance>();
        let memories = &raw mut (*instance).memories;
        let bytes = &mut (&mut *memories)[memory as usize];
        let old = bytes.len() / PAGE;
        let mut grown = vec![0; bytes.len() + delta as usize * PAGE];
        grown[..bytes.len()].copy_from_slice(bytes);
        // The old bytes become garbage: whoever still reads them is found out.
        bytes.fill(0xee);
        *bytes = grown;
        let definition = MemoryLayout::new(TARGET);
        let at = (*instance).plan.layout.direct_memory(memory);
        put(context, at + definition.base(), bytes.as_mut_ptr());
        put(context, at + definition.length(), bytes.len());
        Ok(old as u64)
    }
}

static RUNTIME: Runtime = Runtime {
    builtins: Builtins {
        memory_grow,
        memory_copy: |_, _, _, _, _, _| unsupported(),
        memory_fill: |_, _, _, _, _| unsupported(),
        memory_init: |_, _, _, _, _, _| unsupported(),
        data_drop: |_, _| unsupported(),
        memory_atomic_notify: |_, _, _, _| unsupported(),
        memory_atomic_wait32: |_, _, _, _, _| unsupported(),
        memory_atomic_wait64: |_, _, _, _, _| unsupported(),
        table_grow: |_, _, _, _| unsupported(),
        table_fill: |_, _, _, _, _| unsupported(),
        table_copy: |_, _, _, _, _, _| unsupported(),
        table_init: |_, _, _, _, _, _| unsupported(),
        elem_drop: |_, _| unsupported(),
        is_subtype: |_, _, _| unsupported(),
        out_of_fuel: |_| raise(Trap::OutOfFuel),
        new_epoch: |_| raise(Trap::Interrupt),
        raise: |_, _| unsupported(),
        f32_ceil: |_, _| unsupported(),
        f32_floor: |_, _| unsupported(),
        f32_trunc: |_, _| unsupported(),
        f32_nearest: |_, _| unsupported(),
        f64_ceil: |_, _| unsupported(),
        f64_floor: |_, _| unsupported(),
        f64_trunc: |_, _| unsupported(),
        f64_nearest: |_, _| unsupported(),
        f32_fma: |_, _, _, _| unsupported(),
        f64_fma: |_, _, _, _| unsupported(),
        hot_function: |_, _| unsupported(),
        hot_loop: |_, _, _| unsupported(),
    },
    call: |_| panic!("there is no native code"),
    call_host,
    resolve,
};
