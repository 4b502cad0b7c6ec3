//! Instances: making them, and asking for their exports.
//!
//! This file holds unsafe code: it writes the raw memory of contexts.

use core::ptr::NonNull;

#[cfg(feature = "compiler")]
use tepui_abi::image::RegisterImage;
use tepui_abi::{MemoryPlace, MemoryStyle, Trap};
use tepui_module::{DataMode, DefinedFuncIndex, ElementMode, FuncIndex, TableInitializer};

use crate::engine::Variant;
use crate::externals::{
    Export, Extern, Global, Memory, Table, check_count, create_memory, create_table,
};
use crate::func::{Func, TypedFunc, WasmParams, WasmResults};
use crate::module::Module;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::segments::{self, Evaluator};
use crate::store::{GlobalEntry, MemoryEntry, StoreId, StoreOpaque};
use crate::types::GlobalType;
use crate::vm::call;
#[cfg(feature = "compiler")]
use crate::vm::call::RegisterClasses;
use crate::vm::context::{VmFuncRef, VmGlobalDefinition};
use crate::vm::instance::VmInstance;
use crate::vm::memory;
use crate::vm::shared_memory::SharedMemory;
use crate::{AsContextMut, Error, Result, matching};

/// An instance of a module, in a store.
///
/// # Panics
///
/// Methods panic when they are given another store than the instance's.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    store: StoreId,
    number: usize,
}

impl Instance {
    /// Instantiates `module` with `imports`, in the order of
    /// [`Module::imports`], and runs its start function.
    ///
    /// [`Linker`](crate::Linker) finds imports by name.
    ///
    /// # Errors
    ///
    /// When the number or a type of the imports is wrong, a limit forbids
    /// something of the instance, the system has no memory, a segment is out
    /// of bounds, or the start function traps.
    ///
    /// # Panics
    ///
    /// When an import belongs to another store.
    pub fn new(
        mut store: impl AsContextMut,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        let context = store.as_context_mut();
        let store = context.0.opaque_mut();
        check_imports(store, module, imports)?;
        instantiate(store, module, imports)
    }

    fn get<'a>(&self, store: &'a StoreOpaque) -> &'a VmInstance {
        self.store.assert_same(store.id());
        // SAFETY: instances live as long as their store, which is borrowed.
        unsafe { store.instances[self.number].pointer().as_ref() }
    }

    /// The module.
    pub fn module<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> &'a Module {
        self.get(store.into().0.opaque()).module()
    }

    /// The exports, in order.
    pub fn exports<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContextMut<'a, T>>,
    ) -> impl ExactSizeIterator<Item = Export<'a>> {
        let store: &'a StoreOpaque = store.into().0.opaque();
        let instance = self.get(store);
        let exports: Vec<_> = instance
            .decoded()
            .exports()
            .iter()
            .filter_map(|export| {
                let definition = instance.extern_at(store, export.index)?;
                Some(Export::new(&export.name, definition))
            })
            .collect();
        exports.into_iter()
    }

    /// The export of this name.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let context = store.as_context_mut();
        let store = context.0.opaque();
        let instance = self.get(store);
        let index = instance.decoded().export(name)?;
        instance.extern_at(store, index)
    }

    /// The exported function of this name.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The exported function of this name, with its type checked.
    ///
    /// # Errors
    ///
    /// When there is no such function, or it is of another type.
    pub fn get_typed_func<Params: WasmParams, Results: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<Params, Results>> {
        let func = self
            .get_func(store.as_context_mut(), name)
            .ok_or_else(|| Error::msg(format!("failed to find function export `{name}`")))?;
        func.typed(store.as_context_mut())
            .map_err(|error| error.context(format!("function `{name}` is of another type")))
    }

    /// The exported memory of this name, unless it is shared.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The exported shared memory of this name.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// The exported table of this name.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The exported global of this name.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }
}

/// Checks that `imports` are what `module` imports.
///
/// # Errors
///
/// The first import that is missing or of another type.
///
/// # Panics
///
/// When the module belongs to another engine, or an import to another store.
pub(crate) fn check_imports(
    store: &StoreOpaque,
    module: &Module,
    imports: &[Extern],
) -> Result<()> {
    assert!(
        crate::Engine::same(store.engine(), module.engine()),
        "module used with the store of another engine"
    );
    let expected = module.inner().module().imports();
    if expected.len() != imports.len() {
        return Err(Error::msg(format!(
            "expected {} imports, got {}",
            expected.len(),
            imports.len()
        )));
    }
    for (import, given) in expected.iter().zip(imports) {
        if let Err(error) = given.check_store(store) {
            panic!("import `{}`::`{}`: {error}", import.module, import.field);
        }
        matching::check_import(
            &*store.engine().types(),
            &import.module,
            &import.field,
            &import.ty,
            &given.module_type(store),
        )?;
    }
    Ok(())
}

/// Instantiates with imports that were checked.
pub(crate) fn instantiate(
    store: &mut StoreOpaque,
    module: &Module,
    imports: &[Extern],
) -> Result<Instance> {
    check_count(store, "instances", store.instances.len(), |l| l.instances())?;
    store.keep_module(module);
    let inner = module.inner();
    let decoded = inner.module();

    // Memories come first: whether all of them have guard pages decides which
    // code can run.
    let mut memories = Vec::with_capacity(decoded.memories().len());
    let mut tables = Vec::with_capacity(decoded.tables().len());
    let mut globals = Vec::with_capacity(decoded.globals().len());
    for import in imports {
        match import {
            Extern::Memory(memory) => memories.push(memory.number()),
            Extern::SharedMemory(memory) => {
                memories.push(shared_number(store, memory));
            }
            Extern::Table(table) => tables.push(table.number()),
            Extern::Global(global) => globals.push(global.number()),
            Extern::Func(_) => {}
        }
    }
    for ty in &decoded.memories()[decoded.imported_memory_count() as usize..] {
        let number = if ty.shared {
            let engine = store.engine().clone();
            let shared = SharedMemory::new(&engine, crate::MemoryType::from_module(ty))?;
            store.memories.push(MemoryEntry::Shared(shared));
            store.memories.len() - 1
        } else {
            create_memory(store, ty)?
        };
        memories.push(number);
    }
    let code = inner.code(variant_for(store, module, &memories))?;

    let owned = VmInstance::allocate(store.vm(), module, code)?;
    let mut pointer = owned.pointer();
    let number = store.instances.len();
    store.instances.push(owned);
    // SAFETY: the store keeps the instance, and nothing else uses it yet.
    let instance = unsafe { pointer.as_mut() };

    set_imported_functions(instance, imports);
    attach_memories(store, instance, &memories);
    instance.memories = memories.into();
    attach_globals(store, instance, &mut globals)?;
    attach_tables(store, instance, &mut tables)?;

    // SAFETY: as above; from here on the instance is shared with the guest.
    let instance = unsafe { pointer.as_ref() };
    write_elements(store, instance)?;
    write_data(store, instance)?;
    if let Some(start) = decoded.start() {
        run_start(store, instance, start)?;
    }
    Ok(Instance {
        store: store.id(),
        number,
    })
}

/// The number of a shared memory in the store, which is new to it or not.
fn shared_number(store: &mut StoreOpaque, memory: &SharedMemory) -> usize {
    let known = store
        .memories
        .iter()
        .position(|entry| matches!(entry, MemoryEntry::Shared(known) if known.same(memory)));
    known.unwrap_or_else(|| {
        store.memories.push(MemoryEntry::Shared(memory.clone()));
        store.memories.len() - 1
    })
}

/// The variant of code that can run on these memories: code that relies on
/// guard pages only where the plan has them and the memory too.
fn variant_for(store: &StoreOpaque, module: &Module, memories: &[usize]) -> Variant {
    let preferred = store.engine().preferred();
    let tunables = store.engine().tunables();
    let fits = memories
        .iter()
        .zip(module.inner().module().memories())
        .all(|(number, ty)| {
            let wanted = MemoryStyle::of(ty, tunables);
            let style = match store.memory(*number) {
                MemoryEntry::Local(memory) => memory.style(),
                MemoryEntry::Shared(memory) => memory.style(),
            };
            wanted == MemoryStyle::Checked || style == wanted
        });
    if fits { preferred } else { Variant::Checked }
}

fn set_imported_functions(instance: &VmInstance, imports: &[Extern]) {
    let functions = imports.iter().filter_map(|import| match import {
        Extern::Func(func) => Some(func),
        _ => None,
    });
    for (index, func) in (0..).zip(functions) {
        instance.set_imported_function(index, func.raw());
    }
}

fn attach_memories(store: &mut StoreOpaque, instance: &VmInstance, memories: &[usize]) {
    let imported = instance.decoded().imported_memory_count() as usize;
    let plans = instance.code().plan().memories.clone();
    for (index, (plan, &number)) in plans.iter().zip(memories).enumerate() {
        match plan.place {
            MemoryPlace::Indirect(place) => {
                let definition = match store.memory(number) {
                    MemoryEntry::Local(memory) => memory.definition(),
                    MemoryEntry::Shared(memory) => memory.definition(),
                };
                instance.set_indirect_memory(place, definition);
            }
            MemoryPlace::Direct(place) => {
                debug_assert!(index >= imported, "imported memories are indirect");
                if let MemoryEntry::Local(memory) = &mut store.memories[number] {
                    // SAFETY: the context has room for the definition there,
                    // and is alive until after the memory is dropped.
                    unsafe { memory.attach(instance.direct_memory(place)) };
                }
            }
        }
    }
}

fn attach_globals(
    store: &mut StoreOpaque,
    instance: &mut VmInstance,
    globals: &mut Vec<usize>,
) -> Result<()> {
    for (index, &number) in (0..).zip(globals.iter()) {
        instance.set_imported_global(index, store.globals[number].definition);
    }
    instance.globals = globals.clone().into();
    let module = instance.module().clone();
    let decoded = module.inner().module();
    let types = &decoded.globals()[globals.len()..];
    for (index, (ty, initializer)) in (0..).zip(types.iter().zip(decoded.global_initializers())) {
        let value = Evaluator::new(store, instance).evaluate(initializer)?;
        let heap = ty.content.as_ref_type().map(|ty| ty.heap);
        let value: VmGlobalDefinition = segments::to_val(store, value, heap).to_global();
        let definition = instance.defined_global(index);
        // SAFETY: the context has room for the global there.
        unsafe { definition.write(value) };
        store.globals.push(GlobalEntry {
            ty: GlobalType::from_module(store.engine(), ty),
            definition,
            _owned: None,
        });
        globals.push(store.globals.len() - 1);
        // Later initializers may read this global.
        instance.globals = globals.clone().into();
    }
    Ok(())
}

fn attach_tables(
    store: &mut StoreOpaque,
    instance: &mut VmInstance,
    tables: &mut Vec<usize>,
) -> Result<()> {
    for (index, &number) in (0..).zip(tables.iter()) {
        instance.set_imported_table(index, store.tables[number].definition());
    }
    let module = instance.module().clone();
    let decoded = module.inner().module();
    let types = &decoded.tables()[tables.len()..];
    for (index, (ty, initializer)) in (0..).zip(types.iter().zip(decoded.table_initializers())) {
        let value = match initializer {
            TableInitializer::Null => 0,
            TableInitializer::Expr(expression) => {
                Evaluator::new(store, instance).reference(expression)?
            }
        };
        let number = create_table(store, ty, value)?;
        // SAFETY: the context has room for the definition there, and is alive
        // until after the table is dropped.
        unsafe { store.tables[number].attach(instance.defined_table(index)) };
        tables.push(number);
    }
    instance.tables = core::mem::take(tables).into();
    Ok(())
}

/// Active element segments, in order; they and declared ones are then dropped.
fn write_elements(store: &mut StoreOpaque, instance: &VmInstance) -> Result<()> {
    for (index, segment) in (0..).zip(instance.decoded().elements()) {
        let index = tepui_module::ElemIndex::new(index);
        match &segment.mode {
            ElementMode::Passive => continue,
            ElementMode::Declared => {}
            ElementMode::Active { table, offset } => {
                let destination = Evaluator::new(store, instance).address(offset)?;
                let length = u32::try_from(segment.items.len())
                    .map_err(|_| Error::from(Trap::TableOutOfBounds))?;
                segments::init_table(store, instance, *table, index, destination, 0, length)?;
            }
        }
        instance.drop_element(index);
    }
    Ok(())
}

/// Active data segments, in order; they are then dropped.
fn write_data(store: &mut StoreOpaque, instance: &VmInstance) -> Result<()> {
    let inner = instance.inner().clone();
    let decoded = inner.module();
    let startup = inner.startup();
    startup.count_instance();
    let imported = decoded.imported_memory_count() as usize;
    let page = tepui_native::memory::page_size() as u64;
    let mut mapped = vec![false; decoded.memories().len()];
    for (position, &number) in instance.memories[imported..].iter().enumerate() {
        if let MemoryEntry::Local(memory) = &mut store.memories[number]
            && let Some((image, start)) = startup.image(decoded, inner.bytes(), position, page)
            && let Ok(start) = usize::try_from(start)
        {
            mapped[imported + position] = memory.map_image(image, start).unwrap_or(false);
        }
    }
    for (index, segment) in (0..).zip(decoded.data_segments()) {
        let DataMode::Active { memory, offset } = &segment.mode else {
            continue;
        };
        let index = tepui_module::DataIndex::new(index);
        if !mapped[memory.index()] {
            let destination = Evaluator::new(store, instance).address(offset)?;
            let data = instance.data(index);
            let length =
                u32::try_from(data.len()).map_err(|_| Error::from(Trap::MemoryOutOfBounds))?;
            // SAFETY: the memory is alive, and no reference into it exists.
            unsafe {
                memory::init(
                    instance.memory_definition(*memory),
                    data,
                    destination,
                    0,
                    length,
                )?;
            }
        }
        instance.drop_data(index);
    }
    Ok(())
}

fn run_start(store: &mut StoreOpaque, instance: &VmInstance, start: FuncIndex) -> Result<()> {
    let decoded = instance.decoded();
    let own;
    let function = match (instance.func_ref(start), decoded.defined_func_index(start)) {
        (Some(function), _) => function,
        (None, Some(defined)) => {
            own = own_reference(instance, start, defined);
            NonNull::from(&own)
        }
        (None, None) => unreachable!("imported functions have references"),
    };
    // SAFETY: the start function takes and gives nothing.
    unsafe {
        #[cfg(feature = "compiler")]
        if !call::takes_slots(function) {
            let mut image = RegisterImage::default();
            return call::enter(
                store,
                function,
                &raw mut image,
                RegisterClasses::FewIntegers,
            );
        }
        call::call_slots(store, function, core::ptr::dangling_mut())
    }
}

/// A reference to a function that no reference can be taken to in the guest.
fn own_reference(instance: &VmInstance, index: FuncIndex, defined: DefinedFuncIndex) -> VmFuncRef {
    let type_id = instance.decoded().func_type_id(index).as_u32();
    instance
        .code()
        .func_ref(defined, type_id, instance.context().as_ptr())
}
