//! What instances import and export: memories, tables, globals, and `Extern`.
//!
//! This file holds unsafe code: globals and references are raw in contexts.

use tepui_abi::convention::Representation;

use crate::host::wrong_engine;
use crate::limits::ResourceLimiter;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::{GlobalEntry, MemoryEntry, OwnedGlobal, StoreId, StoreOpaque};
use crate::types::{ExternType, GlobalType, MemoryType, Mutability, RefType, TableType, ValType};
use crate::vm::memory::{self, VmMemory};
use crate::vm::shared_memory::SharedMemory;
use crate::vm::table::{self, VmTable};
use crate::{
    AsContext, AsContextMut, Error, Func, Ref, Result, StoreContext, StoreContextMut, Val,
};

/// Something that an instance imports or exports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A global.
    Global(Global),
    /// A table.
    Table(Table),
    /// A memory of one store.
    Memory(Memory),
    /// A memory shared by stores and threads.
    SharedMemory(SharedMemory),
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        match self {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        match self {
            Extern::Global(global) => Some(global),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        match self {
            Extern::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The memory, if it is one and not shared.
    pub fn into_memory(self) -> Option<Memory> {
        match self {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The shared memory, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        match self {
            Extern::SharedMemory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The type, with the present size of a memory or table as its minimum.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        let context = store.as_context();
        let store = context.0.opaque();
        match self.check_store(store) {
            Ok(()) => ExternType::from_module(store.engine(), &self.module_type(store)),
            Err(error) => panic!("{error}"),
        }
    }

    /// An error unless it can be used with `store`.
    pub(crate) fn check_store(&self, store: &StoreOpaque) -> Result<()> {
        let id = match self {
            Extern::Func(func) => return func.check_store(store),
            Extern::Global(global) => global.store,
            Extern::Table(table) => table.store,
            Extern::Memory(memory) => memory.store,
            Extern::SharedMemory(memory) => {
                return if crate::Engine::same(memory.engine(), store.engine()) {
                    Ok(())
                } else {
                    Err(wrong_engine("shared memory"))
                };
            }
        };
        if id == store.id() {
            Ok(())
        } else {
            Err(Error::msg("object used with the wrong store"))
        }
    }

    /// The type for import matching. The store must have been checked.
    pub(crate) fn module_type(&self, store: &StoreOpaque) -> tepui_module::ExternType {
        use tepui_module::ExternType;
        match self {
            Extern::Func(func) => ExternType::Func(func.type_id()),
            Extern::Global(global) => {
                ExternType::Global(store.globals[global.number].ty.to_module())
            }
            Extern::Table(table) => ExternType::Table(store.tables[table.number].current_type()),
            Extern::Memory(memory) => {
                ExternType::Memory(memory_of(store, memory.number).current_type())
            }
            Extern::SharedMemory(memory) => ExternType::Memory(memory.current_type()),
        }
    }
}

macro_rules! into_extern {
    ($($variant:ident $ty:ty;)*) => {
        $(
            impl From<$ty> for Extern {
                fn from(item: $ty) -> Extern {
                    Extern::$variant(item)
                }
            }
        )*
    };
}

into_extern! {
    Func Func;
    Global Global;
    Table Table;
    Memory Memory;
    SharedMemory SharedMemory;
}

/// An export of an instance, with its name.
#[derive(Clone, Debug)]
pub struct Export<'instance> {
    name: &'instance str,
    definition: Extern,
}

impl<'instance> Export<'instance> {
    pub(crate) fn new(name: &'instance str, definition: Extern) -> Export<'instance> {
        Export { name, definition }
    }

    /// The name.
    pub fn name(&self) -> &'instance str {
        self.name
    }

    /// The type.
    ///
    /// # Panics
    ///
    /// When the instance belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        self.definition.ty(store)
    }

    /// What is exported.
    pub fn into_extern(self) -> Extern {
        self.definition
    }

    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        self.definition.into_func()
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        self.definition.into_memory()
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        self.definition.into_table()
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        self.definition.into_global()
    }
}

fn memory_of(store: &StoreOpaque, number: usize) -> &VmMemory {
    match store.memory(number) {
        MemoryEntry::Local(memory) => memory,
        MemoryEntry::Shared(_) => unreachable!("a `Memory` is never shared"),
    }
}

fn memory_of_mut(store: &mut StoreOpaque, number: usize) -> &mut VmMemory {
    match &mut store.memories[number] {
        MemoryEntry::Local(memory) => memory,
        MemoryEntry::Shared(_) => unreachable!("a `Memory` is never shared"),
    }
}

/// A read or write of a [`Memory`] beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryAccessError {}

impl core::fmt::Display for MemoryAccessError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("out of bounds memory access")
    }
}

impl core::error::Error for MemoryAccessError {}

/// A linear memory of a store.
///
/// The bytes are borrowed from the store: no guest can run, and the memory
/// cannot grow, while the host looks at them.
///
/// # Panics
///
/// Methods panic when they are given another store than the memory's.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    store: StoreId,
    number: usize,
}

impl Memory {
    pub(crate) fn from_number(store: &StoreOpaque, number: usize) -> Memory {
        Memory {
            store: store.id(),
            number,
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes a memory of zeros.
    ///
    /// # Errors
    ///
    /// When the type is shared (use [`SharedMemory`]), when a limit forbids it,
    /// or when the system has no room.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let store = store.as_context_mut().0.opaque_mut();
        if ty.is_shared() {
            return Err(Error::msg(
                "shared memories are made with `SharedMemory::new`",
            ));
        }
        let number = create_memory(store, &ty.to_module())?;
        Ok(Memory::from_number(store, number))
    }

    /// The type that the memory was declared with.
    ///
    /// # Panics
    ///
    /// When `store` is not the memory's.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        let context = store.as_context();
        MemoryType::from_module(self.get(context.0.opaque()).ty())
    }

    fn get<'a>(&self, store: &'a StoreOpaque) -> &'a VmMemory {
        self.store.assert_same(store.id());
        memory_of(store, self.number)
    }

    fn get_mut<'a>(&self, store: &'a mut StoreOpaque) -> &'a mut VmMemory {
        self.store.assert_same(store.id());
        memory_of_mut(store, self.number)
    }

    /// The bytes.
    pub fn data<'a, T: 'static>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        self.get(store.into().0.opaque()).data()
    }

    /// The bytes, for writing.
    pub fn data_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> &'a mut [u8] {
        self.get_mut(store.into().0.opaque_mut()).data_mut()
    }

    /// The bytes, for writing, together with the host's data.
    pub fn data_and_store_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let inner = store.into().0;
        let bytes: *mut [u8] = self.get_mut(inner.opaque_mut()).data_mut();
        // SAFETY: the bytes are a mapping of their own, apart from the host's
        // data, and both are borrowed from the store for `'a`.
        (unsafe { &mut *bytes }, &mut inner.data)
    }

    /// The address of the first byte.
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        self.get(store.as_context().0.opaque()).base().as_ptr()
    }

    /// The size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.get(store.as_context().0.opaque()).byte_size()
    }

    /// The size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().0.opaque()).size()
    }

    /// The size of a page in bytes.
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().0.opaque()).ty().page_size()
    }

    /// Adds `delta` pages of zeros, and returns the old size in pages.
    ///
    /// # Errors
    ///
    /// When the maximum, a limit or the system forbids it.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let store = store.as_context_mut().0.opaque_mut();
        self.store.assert_same(store.id());
        store
            .grow_memory(self.number, delta)?
            .ok_or_else(|| Error::msg(format!("failed to grow memory by {delta} pages")))
    }

    /// Copies the bytes from `offset` on into `buffer`.
    ///
    /// # Errors
    ///
    /// When they are not all in the memory.
    pub fn read(
        &self,
        store: impl AsContext,
        offset: usize,
        buffer: &mut [u8],
    ) -> Result<(), MemoryAccessError> {
        let context = store.as_context();
        let bytes = offset
            .checked_add(buffer.len())
            .and_then(|end| self.get(context.0.opaque()).data().get(offset..end))
            .ok_or(MemoryAccessError {})?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    /// Copies `buffer` to the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// When they are not all in the memory; nothing is written then.
    pub fn write(
        &self,
        mut store: impl AsContextMut,
        offset: usize,
        buffer: &[u8],
    ) -> Result<(), MemoryAccessError> {
        let context = store.as_context_mut();
        let bytes = offset
            .checked_add(buffer.len())
            .and_then(|end| {
                self.get_mut(context.0.opaque_mut())
                    .data_mut()
                    .get_mut(offset..end)
            })
            .ok_or(MemoryAccessError {})?;
        bytes.copy_from_slice(buffer);
        Ok(())
    }
}

/// Creates a memory of its store alone; returns its number.
pub(crate) fn create_memory(
    store: &mut StoreOpaque,
    ty: &tepui_module::MemoryType,
) -> Result<usize> {
    check_count(store, "memories", store.memories.len(), |l| l.memories())?;
    if let Some(limiter) = store.limiter() {
        memory::check_new(ty, limiter)?;
    }
    let memory = VmMemory::new(ty, store.engine().tunables())?;
    store.memories.push(MemoryEntry::Local(Box::new(memory)));
    Ok(store.memories.len() - 1)
}

/// Creates a table whose elements are `value`; returns its number.
pub(crate) fn create_table(
    store: &mut StoreOpaque,
    ty: &tepui_module::TableType,
    value: u64,
) -> Result<usize> {
    check_count(store, "tables", store.tables.len(), |l| l.tables())?;
    if let Some(limiter) = store.limiter() {
        table::check_new(ty, limiter)?;
    }
    let table = VmTable::new(ty, value)?;
    store.tables.push(table);
    Ok(store.tables.len() - 1)
}

/// An error when the store's limiter wants no more of something.
pub(crate) fn check_count(
    store: &StoreOpaque,
    what: &str,
    count: usize,
    limit: impl FnOnce(&dyn ResourceLimiter) -> usize,
) -> Result<()> {
    if let Some(limiter) = store.limiter() {
        let limit = limit(limiter);
        if count >= limit {
            return Err(Error::msg(format!(
                "resource limit exceeded: the store may have {limit} {what}"
            )));
        }
    }
    Ok(())
}

/// A table of a store.
///
/// # Panics
///
/// Methods panic when they are given another store than the table's.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    store: StoreId,
    number: usize,
}

impl Table {
    pub(crate) fn from_number(store: &StoreOpaque, number: usize) -> Table {
        Table {
            store: store.id(),
            number,
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes a table whose elements are `init`.
    ///
    /// # Errors
    ///
    /// When `init` is not of the table's element type or belongs to another
    /// store, when a limit forbids the table, or when there is no memory.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Ref) -> Result<Table> {
        let store = store.as_context_mut().0.opaque_mut();
        check_engine(store, ty.element())?;
        check_ref(store, ty.element(), &init)?;
        store.keep_type(ty.element());
        let number = create_table(store, &ty.to_module(), init.to_bits())?;
        Ok(Table::from_number(store, number))
    }

    /// The type that the table was declared with.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let context = store.as_context();
        let store = context.0.opaque();
        TableType::from_module(store.engine(), self.table(store).ty())
    }

    fn table<'a>(&self, store: &'a StoreOpaque) -> &'a VmTable {
        self.store.assert_same(store.id());
        &store.tables[self.number]
    }

    fn check(&self, store: &StoreOpaque, value: &Ref) -> Result<()> {
        let element = self.table(store).ty().element;
        check_ref(store, &RefType::from_module(store.engine(), element), value)
    }

    /// The element at `index`; `None` beyond the end.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Ref> {
        let store = store.as_context_mut().0.opaque_mut();
        let table = self.table(store);
        let representation = Representation::of_reference(table.ty().element.heap);
        let bits = table.get(index).ok()?;
        // SAFETY: elements of a table are references of its store.
        Some(unsafe { Ref::from_bits(store, representation, bits) })
    }

    /// Sets the element at `index`.
    ///
    /// # Errors
    ///
    /// When `index` is beyond the end, or `value` is not of the element type
    /// or belongs to another store.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Ref) -> Result<()> {
        let store = store.as_context_mut().0.opaque_mut();
        self.check(store, &value)?;
        store.tables[self.number].set(index, value.to_bits())?;
        Ok(())
    }

    /// The number of elements.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.table(store.as_context().0.opaque()).size()
    }

    /// Adds `delta` elements that are `init`, and returns the old size.
    ///
    /// # Errors
    ///
    /// When the maximum, a limit or the system forbids it, or `init` is not of
    /// the element type or belongs to another store.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Ref) -> Result<u64> {
        let store = store.as_context_mut().0.opaque_mut();
        self.check(store, &init)?;
        store
            .grow_table(self.number, delta, init.to_bits())?
            .ok_or_else(|| Error::msg(format!("failed to grow table by {delta} elements")))
    }

    /// Sets `length` elements from `destination` on to `value`.
    ///
    /// # Errors
    ///
    /// When they are not all in the table, or `value` is not of the element
    /// type or belongs to another store.
    pub fn fill(
        &self,
        mut store: impl AsContextMut,
        destination: u64,
        value: Ref,
        length: u64,
    ) -> Result<()> {
        let store = store.as_context_mut().0.opaque_mut();
        self.check(store, &value)?;
        store.tables[self.number].fill(destination, value.to_bits(), length)?;
        Ok(())
    }
}

/// An error when the type is one of another engine, where numbers of types mean
/// something else.
fn check_engine(store: &StoreOpaque, ty: &RefType) -> Result<()> {
    if ty.comes_from_same_engine(store.engine()) {
        Ok(())
    } else {
        Err(wrong_engine(&format!("type {ty}")))
    }
}

fn check_ref(store: &StoreOpaque, ty: &RefType, value: &Ref) -> Result<()> {
    Val::from(*value).check(store, &ValType::Ref(ty.clone()))
}

/// A global of a store.
///
/// # Panics
///
/// Methods panic when they are given another store than the global's.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: StoreId,
    number: usize,
}

impl Global {
    pub(crate) fn from_number(store: &StoreOpaque, number: usize) -> Global {
        Global {
            store: store.id(),
            number,
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes a global.
    ///
    /// # Errors
    ///
    /// When `value` is not of the global's type or belongs to another store.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let store = store.as_context_mut().0.opaque_mut();
        if let ValType::Ref(content) = ty.content() {
            check_engine(store, content)?;
        }
        value.check(store, ty.content())?;
        let owned = OwnedGlobal::new(value.to_global());
        store.globals.push(GlobalEntry {
            ty,
            definition: owned.definition(),
            _owned: Some(owned),
        });
        Ok(Global::from_number(store, store.globals.len() - 1))
    }

    fn entry<'a>(&self, store: &'a StoreOpaque) -> &'a GlobalEntry {
        self.store.assert_same(store.id());
        &store.globals[self.number]
    }

    /// The type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        self.entry(store.as_context().0.opaque()).ty.clone()
    }

    /// The value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let store = store.as_context_mut().0.opaque_mut();
        let entry = self.entry(store);
        // SAFETY: the definition lives as long as the store, no guest runs
        // while the host has the store, and the value is of the entry's type.
        unsafe {
            let definition = entry.definition.as_ptr().read();
            Val::from_global(store, definition, entry.ty.content())
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// When the global is immutable, or `value` is not of its type or belongs
    /// to another store.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let store = store.as_context_mut().0.opaque_mut();
        let entry = self.entry(store);
        if entry.ty.mutability() != Mutability::Var {
            return Err(Error::msg("immutable global cannot be set"));
        }
        value.check(store, entry.ty.content())?;
        // SAFETY: as in `get`.
        unsafe { entry.definition.as_ptr().write(value.to_global()) };
        Ok(())
    }
}
