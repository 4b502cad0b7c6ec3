//! An instance: its context, and what its index spaces lead to.
//!
//! This file holds unsafe code: contexts are raw memory under the layout of the
//! module's plan, aliased by generated code for as long as the store lives.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::sync::Arc;
use core::cell::Cell;
use core::ptr::NonNull;

use tepui_abi::MemoryPlace;
use tepui_abi::layout::ContextLayout;
use tepui_module::{
    DataIndex, ElemIndex, ExternIndex, FuncIndex, GlobalIndex, MemoryIndex, Module as Decoded,
    TableIndex,
};

use super::context::{VmFuncRef, VmGlobalDefinition, VmImportedFunction, VmStoreContext};
use super::definition::{MemoryDefinition, TableDefinition};
use crate::code::ModuleCode;
use crate::externals::{Extern, Global, Memory, Table};
use crate::func::Func;
use crate::module::{Module, ModuleInner};
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::{MemoryEntry, StoreOpaque};
use crate::{Error, Result};

/// An instance of a module in a store.
pub(crate) struct VmInstance {
    module: Module,
    code: Arc<ModuleCode>,
    context: NonNull<u8>,
    /// Store numbers of the memories, in index order.
    pub(crate) memories: Box<[usize]>,
    /// Store numbers of the tables, in index order.
    pub(crate) tables: Box<[usize]>,
    /// Store numbers of the globals, in index order.
    pub(crate) globals: Box<[usize]>,
    /// Which element segments were dropped, or used up by instantiation.
    dropped_elements: Box<[Cell<bool>]>,
    /// Which data segments were dropped, or used up by instantiation.
    dropped_data: Box<[Cell<bool>]>,
}

/// An instance that its store owns, by a raw pointer because generated code
/// and handles alias it.
pub(crate) struct OwnedInstance(NonNull<VmInstance>);

impl OwnedInstance {
    /// The instance, alive for as long as its store.
    pub(crate) fn pointer(&self) -> NonNull<VmInstance> {
        self.0
    }
}

impl Drop for OwnedInstance {
    fn drop(&mut self) {
        // SAFETY: allocated by `VmInstance::allocate`; dropped once, by the
        // store, after which nothing leads to it.
        unsafe {
            let instance = Box::from_raw(self.0.as_ptr());
            let layout = context_memory(&instance.code.plan().layout)
                .expect("the layout was valid when the context was allocated");
            dealloc(instance.context.as_ptr(), layout);
        }
    }
}

fn context_memory(layout: &ContextLayout) -> Result<Layout> {
    Ok(Layout::from_size_align(layout.size() as usize, 16)?)
}

impl VmInstance {
    /// Allocates an instance whose context is zero but for its header. Its
    /// index spaces are empty; instantiation fills them.
    ///
    /// # Errors
    ///
    /// When there is no memory.
    pub(crate) fn allocate(
        store_context: NonNull<VmStoreContext>,
        module: &Module,
        code: Arc<ModuleCode>,
    ) -> Result<OwnedInstance> {
        let layout = code.plan().layout;
        // SAFETY: contexts are never empty: they have a header.
        let context = unsafe { alloc_zeroed(context_memory(&layout)?) };
        let Some(context) = NonNull::new(context) else {
            return Err(Error::msg("out of memory for an instance"));
        };
        let decoded = module.inner().module();
        let stub_base = code.stub_base();
        let instance = Box::into_raw(Box::new(VmInstance {
            module: module.clone(),
            context,
            memories: Box::default(),
            tables: Box::default(),
            globals: Box::default(),
            dropped_elements: vec![Cell::new(false); decoded.elements().len()].into(),
            dropped_data: vec![Cell::new(false); decoded.data_segments().len()].into(),
            code,
        }));
        // SAFETY: the context has room for its layout, and the instance was
        // just allocated.
        unsafe {
            let this = &*instance;
            this.write(layout.store_context(), store_context.as_ptr());
            #[cfg(feature = "compiler")]
            this.write(layout.builtins(), super::builtins::table());
            #[cfg(feature = "compiler")]
            if layout.shape().profile {
                this.write(layout.profiles(), this.code.profiles());
            }
            this.write(layout.type_ids(), module.inner().type_ids().as_ptr());
            this.write(layout.stub_base(), stub_base);
            this.write(layout.epoch(), module.engine().epoch_counter());
            this.write(layout.instance(), instance);
            #[cfg(feature = "interpreter")]
            if let Some(functions) = this.code.interpreted() {
                this.write(layout.functions(), core::ptr::from_ref(functions));
            }
            let mut number = 0;
            for &function in &this.code.plan().escaped {
                if let Some(defined) = decoded.defined_func_index(function) {
                    let type_id = decoded.func_type_id(function).as_u32();
                    let func_ref = this.code.func_ref(defined, type_id, context.as_ptr());
                    this.write(layout.func_ref(number), func_ref);
                    number += 1;
                }
            }
            Ok(OwnedInstance(NonNull::new_unchecked(instance)))
        }
    }

    /// The instance that a context belongs to.
    ///
    /// # Safety
    ///
    /// `context` is a live instance context.
    #[inline]
    pub(crate) unsafe fn of_context(context: NonNull<u8>) -> NonNull<VmInstance> {
        // The header has the same layout in every instance context.
        const OFFSET: u32 = ContextLayout::instance_on(tepui_abi::Target::host());
        // SAFETY: every instance context holds a pointer to its instance.
        unsafe {
            let instance = context
                .as_ptr()
                .add(OFFSET as usize)
                .cast::<*mut VmInstance>()
                .read();
            NonNull::new_unchecked(instance)
        }
    }

    /// Whether functions of the instance of `context` may be interpreted.
    ///
    /// # Safety
    ///
    /// `context` is a live instance context.
    #[cfg(feature = "compiler")]
    #[inline(always)]
    pub(crate) unsafe fn has_interpreted(context: *mut u8) -> bool {
        const OFFSET: u32 = ContextLayout::functions_on(tepui_abi::Target::host());
        // SAFETY: every instance context has this field.
        unsafe {
            let functions = context.add(OFFSET as usize).cast::<*const u8>().read();
            !functions.is_null()
        }
    }

    /// # Safety
    ///
    /// `offset` is the layout's for a field of type `T`.
    unsafe fn write<T>(&self, offset: u32, value: T) {
        // SAFETY: the caller promises that the field lies in the context.
        unsafe {
            self.context
                .as_ptr()
                .add(offset as usize)
                .cast::<T>()
                .write(value)
        }
    }

    /// # Safety
    ///
    /// `offset` is the layout's for a field of type `T`.
    unsafe fn field<T>(&self, offset: u32) -> NonNull<T> {
        // SAFETY: the caller promises that the field lies in the context.
        unsafe { NonNull::new_unchecked(self.context.as_ptr().add(offset as usize).cast()) }
    }

    fn layout(&self) -> &ContextLayout {
        &self.code.plan().layout
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    pub(crate) fn inner(&self) -> &Arc<ModuleInner> {
        self.module.inner()
    }

    pub(crate) fn decoded(&self) -> &Decoded {
        self.module.inner().module()
    }

    pub(crate) fn code(&self) -> &ModuleCode {
        &self.code
    }

    pub(crate) fn context(&self) -> NonNull<u8> {
        self.context
    }

    /// Sets an imported function.
    pub(crate) fn set_imported_function(&self, index: u32, reference: NonNull<VmFuncRef>) {
        // SAFETY: function references are valid for as long as the store; the
        // offset is that of an imported function.
        unsafe {
            let func_ref = reference.as_ptr();
            self.write(
                self.layout().imported_function(index),
                VmImportedFunction {
                    code: (*func_ref).code,
                    context: (*func_ref).context,
                    reference: func_ref,
                },
            );
        }
    }

    /// Sets the pointer to an imported global.
    pub(crate) fn set_imported_global(&self, index: u32, definition: NonNull<VmGlobalDefinition>) {
        // SAFETY: the offset is that of an imported global.
        unsafe { self.write(self.layout().imported_global(index), definition.as_ptr()) }
    }

    /// Sets the pointer to an imported table.
    pub(crate) fn set_imported_table(&self, index: u32, definition: NonNull<TableDefinition>) {
        // SAFETY: the offset is that of an imported table.
        unsafe { self.write(self.layout().imported_table(index), definition.as_ptr()) }
    }

    /// Sets the pointer to a memory that is reached through one.
    pub(crate) fn set_indirect_memory(&self, number: u32, definition: NonNull<MemoryDefinition>) {
        // SAFETY: the offset is that of an indirect memory.
        unsafe { self.write(self.layout().indirect_memory(number), definition.as_ptr()) }
    }

    /// Where the definition of a defined memory lies.
    pub(crate) fn direct_memory(&self, number: u32) -> NonNull<MemoryDefinition> {
        // SAFETY: the offset is that of a direct memory.
        unsafe { self.field(self.layout().direct_memory(number)) }
    }

    /// Where the definition of a defined table lies.
    pub(crate) fn defined_table(&self, number: u32) -> NonNull<TableDefinition> {
        // SAFETY: the offset is that of a defined table.
        unsafe { self.field(self.layout().defined_table(number)) }
    }

    /// Where a defined global lies.
    pub(crate) fn defined_global(&self, number: u32) -> NonNull<VmGlobalDefinition> {
        // SAFETY: the offset is that of a defined global.
        unsafe { self.field(self.layout().defined_global(number)) }
    }

    /// The definition of a memory.
    pub(crate) fn memory_definition(&self, index: MemoryIndex) -> &MemoryDefinition {
        // SAFETY: definitions are set during instantiation, live as long as
        // the store, and are atomics.
        unsafe {
            match self.code.plan().memory(index).place {
                MemoryPlace::Direct(number) => &*self.direct_memory(number).as_ptr(),
                MemoryPlace::Indirect(number) => {
                    let pointer: NonNull<*mut MemoryDefinition> =
                        self.field(self.layout().indirect_memory(number));
                    &*pointer.read()
                }
            }
        }
    }

    /// A reference to a function of the instance, if one can be taken.
    pub(crate) fn func_ref(&self, index: FuncIndex) -> Option<NonNull<VmFuncRef>> {
        let decoded = self.decoded();
        // SAFETY: the offsets are those of an imported or an escaped function,
        // both of which are set before anybody asks.
        unsafe {
            if decoded.defined_func_index(index).is_none() {
                let import: NonNull<VmImportedFunction> =
                    self.field(self.layout().imported_function(index.as_u32()));
                return NonNull::new((*import.as_ptr()).reference);
            }
            let number = self.code.plan().escaped_index(index)?;
            Some(self.field(self.layout().func_ref(number)))
        }
    }

    /// The export of this name, as a handle.
    pub(crate) fn export(&self, store: &mut StoreOpaque, name: &str) -> Option<Extern> {
        let index = self.decoded().export(name)?;
        self.extern_at(store, index)
    }

    /// What is at a place of an index space, as a handle.
    pub(crate) fn extern_at(&self, store: &StoreOpaque, index: ExternIndex) -> Option<Extern> {
        Some(match index {
            ExternIndex::Func(index) => {
                // SAFETY: the reference lives as long as the store.
                Extern::Func(unsafe { Func::from_raw(store, self.func_ref(index)?) })
            }
            ExternIndex::Table(index) => self.table(store, index).into(),
            ExternIndex::Memory(index) => {
                let number = self.memories[index.index()];
                match store.memory(number) {
                    MemoryEntry::Local(_) => Memory::from_number(store, number).into(),
                    MemoryEntry::Shared(memory) => memory.clone().into(),
                }
            }
            ExternIndex::Global(index) => self.global(store, index).into(),
            // No proposal with tags is implemented, so no module has one.
            ExternIndex::Tag(_) => return None,
        })
    }

    fn table(&self, store: &StoreOpaque, index: TableIndex) -> Table {
        Table::from_number(store, self.tables[index.index()])
    }

    fn global(&self, store: &StoreOpaque, index: GlobalIndex) -> Global {
        Global::from_number(store, self.globals[index.index()])
    }

    /// The bytes of a data segment: none once it was dropped.
    pub(crate) fn data(&self, index: DataIndex) -> &[u8] {
        if self.dropped_data[index.index()].get() {
            return &[];
        }
        let range = self.decoded().data(index).range.clone();
        &self.module.inner().bytes()[range]
    }

    /// `data.drop`.
    pub(crate) fn drop_data(&self, index: DataIndex) {
        self.dropped_data[index.index()].set(true);
    }

    /// Whether an element segment was dropped.
    pub(crate) fn element_dropped(&self, index: ElemIndex) -> bool {
        self.dropped_elements[index.index()].get()
    }

    /// `elem.drop`.
    pub(crate) fn drop_element(&self, index: ElemIndex) {
        self.dropped_elements[index.index()].set(true);
    }
}
