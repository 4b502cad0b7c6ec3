//! Stores: the world of one guest, and everything that lives in it.
//!
//! This file holds unsafe code. A store owns its instances, memories, tables,
//! globals and host contexts; generated code reaches them by raw pointers for
//! as long as the store is alive, so nothing is removed before the store is.

use alloc::sync::Arc;
use core::any::Any;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use portable_atomic::AtomicU64;
use tepui_abi::Trap;

use crate::backtrace::WasmBacktrace;
use crate::host::HostFunc;
use crate::limits::ResourceLimiter;
use crate::panics;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::types::RefType;
use crate::values::ExternRefTable;
#[cfg(feature = "compiler")]
use crate::vm::context::OverflowSlot;
use crate::vm::context::{
    OwnedHostContext, VmFuncRef, VmGlobalDefinition, VmHostContext, VmStack, VmStoreContext,
};
use crate::vm::instance::OwnedInstance;
use crate::vm::memory::VmMemory;
use crate::vm::shared_memory::SharedMemory;
use crate::vm::table::VmTable;
use crate::{Engine, Error, Module, Result, Val};

/// The identity of a store, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreId(u64);

impl StoreId {
    fn allocate() -> StoreId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        StoreId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Panics unless the handle and the store belong together.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_same(self, store: StoreId) {
        assert!(self == store, "object used with the wrong store");
    }
}

/// Why a call unwinds to the frame that entered Wasm.
pub(crate) enum Unwind {
    /// A trap, with the backtrace of where it happened.
    Trap(Trap, Option<WasmBacktrace>),
    /// An error of a host function.
    Error(Error),
    /// A panic of a host function, to go on beyond the Wasm frames.
    Panic(Box<dyn Any + Send>),
}

/// A memory of a store.
pub(crate) enum MemoryEntry {
    /// A memory of this store alone.
    Local(Box<VmMemory>),
    /// A memory shared with other stores and threads.
    Shared(SharedMemory),
}

/// A global of a store.
pub(crate) struct GlobalEntry {
    /// Its type.
    pub(crate) ty: crate::GlobalType,
    /// Where its value is: in an instance context, or in `owned`.
    pub(crate) definition: NonNull<VmGlobalDefinition>,
    /// The value of a global that the host created; freed with the store.
    pub(crate) _owned: Option<OwnedGlobal>,
}

/// A global definition of the host's own, allocated for the store's life.
pub(crate) struct OwnedGlobal(NonNull<VmGlobalDefinition>);

impl OwnedGlobal {
    pub(crate) fn new(definition: VmGlobalDefinition) -> OwnedGlobal {
        let raw = Box::into_raw(Box::new(definition));
        // SAFETY: a box is never null.
        OwnedGlobal(unsafe { NonNull::new_unchecked(raw) })
    }

    pub(crate) fn definition(&self) -> NonNull<VmGlobalDefinition> {
        self.0
    }
}

impl Drop for OwnedGlobal {
    fn drop(&mut self) {
        // SAFETY: allocated by a box in `new`; dropped once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What the parts of a store that do not know the type of its data ask of those
/// that do.
#[derive(Clone, Copy)]
struct Hooks {
    /// The limiter, if one is installed. It borrows from the second part of the
    /// `StoreInner` only, so that the first may be borrowed at the same time.
    limiter: unsafe fn(*mut StoreOpaque) -> Option<*mut dyn ResourceLimiter>,
    /// The epoch deadline passed: the number of ticks to go on, or an error.
    /// Borrows all of the `StoreInner`.
    epoch_deadline: unsafe fn(*mut StoreOpaque) -> Result<u64>,
}

/// What to do when the epoch deadline passes.
enum EpochBehavior<T: 'static> {
    Trap,
    Callback(EpochCallback<T>),
}

type EpochCallback<T> =
    Box<dyn FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync>;

type LimiterAccess<T> = Box<dyn FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync>;

/// What an epoch callback decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// Go on for this many more ticks.
    Continue(u64),
    /// Stop the guest with [`Trap::Interrupt`].
    Interrupt,
}

/// The fuel counter of a guest that gets nothing: positive, so that the next
/// comparison traps. At 0 it would run to the next comparison on credit.
const NO_FUEL: i64 = 1;

/// The part of a store that does not depend on the type of its data.
pub(crate) struct StoreOpaque {
    id: StoreId,
    engine: Engine,
    vm: NonNull<VmStoreContext>,
    #[cfg(feature = "compiler")]
    stack: NonNull<VmStack>,
    /// What the last frame held that was left in a loop; read before anything else
    /// happens.
    #[cfg(feature = "compiler")]
    pub(crate) osr_buffer: Vec<OverflowSlot>,
    pub(crate) instances: Vec<OwnedInstance>,
    pub(crate) memories: Vec<MemoryEntry>,
    pub(crate) tables: Vec<VmTable>,
    pub(crate) globals: Vec<GlobalEntry>,
    pub(crate) extern_refs: ExternRefTable,
    host_contexts: Vec<OwnedHostContext>,
    modules: Vec<Module>,
    types: Vec<RefType>,
    unwind: Option<Unwind>,
    fuel_reserve: u64,
    values: Vec<Val>,
    hooks: Hooks,
    #[cfg(feature = "interpreter")]
    slot_stack: Option<NonNull<tepui_interpreter::SlotStack>>,
    /// The stack pointer where the innermost run of the interpreter began.
    #[cfg(feature = "interpreter")]
    pub(crate) run_began: usize,
}

// SAFETY: the raw pointers lead to allocations that the store owns and that
// nobody uses without the store; what it owns is `Send` and `Sync`.
unsafe impl Send for StoreOpaque {}
// SAFETY: shared references only read; see `Send`.
unsafe impl Sync for StoreOpaque {}

impl StoreOpaque {
    fn new(engine: &Engine, hooks: Hooks) -> StoreOpaque {
        #[cfg(feature = "compiler")]
        let stack = Box::into_raw(Box::new(VmStack::new()));
        #[cfg(not(feature = "compiler"))]
        let stack: *mut VmStack = core::ptr::null_mut();
        let vm = Box::into_raw(Box::new(VmStoreContext {
            fuel: 0,
            epoch_deadline: 0,
            pending: 0,
            reserved: 0,
            stack_limit: 0,
            stack,
            entry_sp: 0,
            exit_fp: 0,
            tail_code: core::ptr::null(),
            tail_context: core::ptr::null_mut(),
            store: core::ptr::null_mut(),
        }));
        StoreOpaque {
            id: StoreId::allocate(),
            engine: engine.clone(),
            // SAFETY: a box is never null.
            vm: unsafe { NonNull::new_unchecked(vm) },
            #[cfg(feature = "compiler")]
            // SAFETY: a box is never null.
            stack: unsafe { NonNull::new_unchecked(stack) },
            #[cfg(feature = "compiler")]
            osr_buffer: Vec::new(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            extern_refs: ExternRefTable::default(),
            host_contexts: Vec::new(),
            modules: Vec::new(),
            types: Vec::new(),
            unwind: None,
            fuel_reserve: 0,
            values: Vec::new(),
            hooks,
            #[cfg(feature = "interpreter")]
            slot_stack: None,
            #[cfg(feature = "interpreter")]
            run_began: 0,
        }
    }

    #[inline]
    pub(crate) fn id(&self) -> StoreId {
        self.id
    }

    #[inline]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The store context, alive for as long as the store.
    #[inline]
    pub(crate) fn vm(&self) -> NonNull<VmStoreContext> {
        self.vm
    }

    /// Keeps `module` alive for as long as the store, so that its code is.
    pub(crate) fn keep_module(&mut self, module: &Module) {
        if !self.modules.iter().any(|kept| kept.same(module)) {
            self.modules.push(module.clone());
        }
    }

    /// Keeps `ty` registered for as long as the store, for what is of this type
    /// and names it by its number only.
    pub(crate) fn keep_type(&mut self, ty: &RefType) {
        if ty.heap_type().is_concrete() && !self.types.contains(ty) {
            self.types.push(ty.clone());
        }
    }

    /// Binds a host function to this store.
    pub(crate) fn bind(&mut self, host: &Arc<HostFunc>) -> NonNull<VmFuncRef> {
        let context = VmHostContext::allocate(self.vm, host.clone());
        let func_ref = context.func_ref();
        self.host_contexts.push(context);
        func_ref
    }

    /// Records why the call unwinds.
    pub(crate) fn set_unwind(&mut self, unwind: Unwind) {
        self.unwind = Some(unwind);
    }

    /// Takes what [`set_unwind`](Self::set_unwind) recorded.
    pub(crate) fn take_unwind(&mut self) -> Option<Unwind> {
        self.unwind.take()
    }

    /// A vector to keep values in during one call, reused between calls.
    pub(crate) fn take_values(&mut self) -> Vec<Val> {
        core::mem::take(&mut self.values)
    }

    /// Gives the vector of [`take_values`](Self::take_values) back.
    pub(crate) fn put_values(&mut self, values: Vec<Val>) {
        if values.capacity() > self.values.capacity() {
            self.values = values;
        }
    }

    /// The limiter that creation and growth have to ask, if there is one.
    ///
    /// The result borrows nothing of `self`: limiters live beside it. Callers
    /// use it at once and keep nothing of it.
    pub(crate) fn limiter(&self) -> Option<&'static mut dyn ResourceLimiter> {
        // SAFETY: `Store::new` made the store context point to the whole
        // store, of whose second part nobody holds a borrow while the first is
        // used by this crate's own code.
        unsafe {
            let whole = (*self.vm.as_ptr()).store;
            (self.hooks.limiter)(whole).map(|limiter| &mut *limiter)
        }
    }

    fn fuel_counter(&mut self) -> &mut i64 {
        // SAFETY: the store context is alive, and no guest runs while the
        // store is borrowed mutably by the host.
        unsafe { &mut (*self.vm.as_ptr()).fuel }
    }

    pub(crate) fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        if !self.engine.tunables().fuel {
            return Err(Error::msg("fuel is not configured in this engine"));
        }
        let injected = fuel.min(i64::MAX as u64);
        self.fuel_reserve = fuel - injected;
        *self.fuel_counter() = match injected {
            0 => NO_FUEL,
            _ => -(injected as i64),
        };
        Ok(())
    }

    pub(crate) fn fuel(&self) -> Result<u64> {
        if !self.engine.tunables().fuel {
            return Err(Error::msg("fuel is not configured in this engine"));
        }
        // SAFETY: as in `fuel_counter`.
        let counter = unsafe { (*self.vm.as_ptr()).fuel };
        let injected = if counter > 0 {
            0
        } else {
            counter.unsigned_abs()
        };
        Ok(self.fuel_reserve.saturating_add(injected))
    }

    /// The counter turned positive: injects what is in reserve.
    pub(crate) fn refuel(&mut self) -> Result<()> {
        let overdrawn = u64::try_from(*self.fuel_counter()).unwrap_or(0);
        let Some(fuel) = self.fuel_reserve.checked_sub(overdrawn) else {
            self.fuel_reserve = 0;
            *self.fuel_counter() = NO_FUEL;
            return Err(Trap::OutOfFuel.into());
        };
        let injected = fuel.min(i64::MAX as u64);
        self.fuel_reserve = fuel - injected;
        *self.fuel_counter() = -(injected as i64);
        Ok(())
    }

    pub(crate) fn set_epoch_deadline(&mut self, ticks: u64) -> u64 {
        let deadline = self.engine.current_epoch().saturating_add(ticks);
        // SAFETY: the store context is alive for as long as the store.
        unsafe { (*self.vm.as_ptr()).epoch_deadline = deadline };
        deadline
    }

    /// The deadline passed: a new one, or the error that ends the call.
    ///
    /// # Safety
    ///
    /// `store` is live, and nobody holds a borrow of it or of its data.
    pub(crate) unsafe fn extend_epoch(store: *mut StoreOpaque) -> Result<u64> {
        // SAFETY: the caller's promise.
        unsafe {
            let hook = (*store).hooks.epoch_deadline;
            let ticks = hook(store)?;
            Ok((*store).set_epoch_deadline(ticks))
        }
    }

    /// [`extend_epoch`](Self::extend_epoch) if the deadline has passed.
    ///
    /// # Safety
    ///
    /// As for [`extend_epoch`](Self::extend_epoch).
    pub(crate) unsafe fn check_epoch(store: *mut StoreOpaque) -> Result<()> {
        // SAFETY: the caller's promise; the store context is alive for as long
        // as the store.
        unsafe {
            let deadline = (*(*store).vm.as_ptr()).epoch_deadline;
            if (*store).engine.current_epoch() >= deadline {
                StoreOpaque::extend_epoch(store)?;
            }
        }
        Ok(())
    }

    /// `memory.grow` on the memory of number `index`: its old size in pages, or
    /// `None` when it cannot grow.
    pub(crate) fn grow_memory(&mut self, index: usize, delta: u64) -> Result<Option<u64>> {
        let limiter = self.limiter();
        match &mut self.memories[index] {
            MemoryEntry::Local(memory) => memory.grow(delta, limiter),
            // A shared memory belongs to no store, so no store limits it.
            MemoryEntry::Shared(memory) => Ok(memory.grow(delta).ok()),
        }
    }

    /// `table.grow` on the table of number `index`: its old size, or `None`
    /// when it cannot grow.
    pub(crate) fn grow_table(
        &mut self,
        index: usize,
        delta: u64,
        value: u64,
    ) -> Result<Option<u64>> {
        let limiter = self.limiter();
        self.tables[index].grow(delta, value, limiter)
    }

    /// The stack that interpreted functions run on. It is not borrowed: guests
    /// use it while the store is used.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    #[cfg(feature = "interpreter")]
    pub(crate) fn slot_stack(&mut self) -> Result<*mut tepui_interpreter::SlotStack> {
        if let Some(stack) = self.slot_stack {
            return Ok(stack.as_ptr());
        }
        // Slots are larger than what compiled code keeps on the native stack.
        // What is never reached costs address space only.
        const MOST: usize = 256 << 20;
        let bytes = self.engine.max_wasm_stack().saturating_mul(2).min(MOST);
        let stack = Box::new(crate::interpreter::new_slot_stack(bytes)?);
        let stack = NonNull::from(Box::leak(stack));
        self.slot_stack = Some(stack);
        Ok(stack.as_ptr())
    }

    /// The runs of interpreted functions, innermost first.
    #[cfg(feature = "interpreter")]
    pub(crate) fn interpreter_activations(
        &self,
    ) -> impl Iterator<Item = tepui_interpreter::Activation<'_>> {
        let stack = self.slot_stack;
        // SAFETY: the stack lives as long as the store, and no guest runs while
        // the host has the store.
        stack
            .into_iter()
            .flat_map(|stack| unsafe { stack.as_ref().activations() })
    }

    /// The memory of number `index`.
    pub(crate) fn memory(&self, index: usize) -> &MemoryEntry {
        &self.memories[index]
    }
}

impl Drop for StoreOpaque {
    fn drop(&mut self) {
        // Instances go first: their contexts hold the definitions that
        // memories and tables point to.
        self.memories.clear();
        self.tables.clear();
        self.globals.clear();
        self.instances.clear();
        self.host_contexts.clear();
        // SAFETY: allocated by boxes in `new`; nothing is left that points there.
        unsafe {
            drop(Box::from_raw(self.vm.as_ptr()));
            #[cfg(feature = "compiler")]
            drop(Box::from_raw(self.stack.as_ptr()));
            #[cfg(feature = "interpreter")]
            if let Some(stack) = self.slot_stack {
                drop(Box::from_raw(stack.as_ptr()));
            }
        }
    }
}

/// A store with its data; `opaque` comes first so that pointers convert.
#[repr(C)]
pub(crate) struct StoreInner<T: 'static> {
    opaque: StoreOpaque,
    epoch: EpochBehavior<T>,
    limiter: Option<LimiterAccess<T>>,
    pub(crate) data: T,
}

impl<T> StoreInner<T> {
    #[inline]
    pub(crate) fn opaque(&self) -> &StoreOpaque {
        &self.opaque
    }

    #[inline]
    pub(crate) fn opaque_mut(&mut self) -> &mut StoreOpaque {
        &mut self.opaque
    }
}

impl<T: 'static> StoreInner<T> {
    const HOOKS: Hooks = Hooks {
        limiter: Self::limiter_hook,
        epoch_deadline: Self::epoch_hook,
    };

    /// # Safety
    ///
    /// `store` is the beginning of a live `StoreInner<T>`, of which only the
    /// `opaque` part is borrowed.
    unsafe fn limiter_hook(store: *mut StoreOpaque) -> Option<*mut dyn ResourceLimiter> {
        let store = store.cast::<StoreInner<T>>();
        // SAFETY: the caller's promise; the two fields are apart from `opaque`.
        unsafe {
            let access = (*store).limiter.as_mut()?;
            let limiter: *mut dyn ResourceLimiter = access(&mut (*store).data);
            Some(limiter)
        }
    }

    /// # Safety
    ///
    /// `store` is the beginning of a live `StoreInner<T>` that nobody borrows.
    unsafe fn epoch_hook(store: *mut StoreOpaque) -> Result<u64> {
        // SAFETY: the caller's promise.
        let this = unsafe { &mut *store.cast::<StoreInner<T>>() };
        let mut behavior = core::mem::replace(&mut this.epoch, EpochBehavior::Trap);
        let decision = match &mut behavior {
            EpochBehavior::Trap => Ok(Ok(UpdateDeadline::Interrupt)),
            EpochBehavior::Callback(callback) => {
                panics::catch(|| callback(StoreContextMut(&mut *this)))
            }
        };
        // A callback cannot replace itself: it only has a context. One that
        // panicked is called again next time.
        this.epoch = behavior;
        match decision.unwrap_or_else(|payload| panics::resume(payload))? {
            UpdateDeadline::Continue(ticks) => Ok(ticks),
            UpdateDeadline::Interrupt => Err(Trap::Interrupt.into()),
        }
    }
}

/// Everything that one guest world consists of: instances, memories, tables,
/// globals, host functions and the host's own data of type `T`.
///
/// Handles such as [`Func`](crate::Func), [`Memory`](crate::Memory) or
/// [`Instance`](crate::Instance) belong to the store they were made with. Using
/// one with another store panics, as their methods say. Nothing is freed before
/// the store is dropped.
///
/// ```
/// use tepui::{Engine, Instance, Module, Store};
///
/// # fn main() -> tepui::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func (export "five") (result i32) i32.const 5))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let five = instance.get_typed_func::<(), i32>(&mut store, "five")?;
/// assert_eq!(five.call(&mut store, ())?, 5);
/// # Ok(())
/// # }
/// ```
pub struct Store<T: 'static> {
    inner: Box<StoreInner<T>>,
}

impl<T: 'static> Store<T> {
    /// Makes an empty store of `engine` that holds `data`.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        let mut inner = Box::new(StoreInner {
            opaque: StoreOpaque::new(engine, StoreInner::<T>::HOOKS),
            epoch: EpochBehavior::Trap,
            limiter: None,
            data,
        });
        let raw: *mut StoreInner<T> = &raw mut *inner;
        // SAFETY: the store context was just made; `raw` stays valid for as
        // long as the box, which moves only as a pointer.
        unsafe { (*inner.opaque.vm.as_ptr()).store = raw.cast() };
        Store { inner }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.inner.opaque.engine()
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        &self.inner.data
    }

    /// The host's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }

    /// Drops the store and returns the host's data.
    pub fn into_data(self) -> T {
        let StoreInner { data, .. } = *self.inner;
        data
    }

    /// Installs a limiter that growing memories and tables, and new instances,
    /// have to ask. It limits what is created from now on.
    pub fn limiter(
        &mut self,
        limiter: impl FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync + 'static,
    ) {
        self.inner.limiter = Some(Box::new(limiter));
    }

    /// Sets the fuel that guests of this store may consume.
    ///
    /// One unit is charged for each instruction, except for those that do
    /// nothing (`nop`, `block`, `loop`, `drop`, …), per basic block of the
    /// original Wasm. A guest without fuel traps with [`Trap::OutOfFuel`].
    ///
    /// # Errors
    ///
    /// When the engine was not configured with
    /// [`Config::consume_fuel`](crate::Config::consume_fuel).
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.inner.opaque.set_fuel(fuel)
    }

    /// The fuel that is left.
    ///
    /// # Errors
    ///
    /// As for [`set_fuel`](Self::set_fuel).
    pub fn get_fuel(&self) -> Result<u64> {
        self.inner.opaque.fuel()
    }

    /// Sets the epoch deadline to `ticks` increments beyond the engine's
    /// current epoch. It is 0 in a new store, so that a guest of an engine with
    /// [epoch interruption](crate::Config::epoch_interruption) stops at once
    /// unless a deadline was set.
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        self.inner.opaque.set_epoch_deadline(ticks);
    }

    /// Makes a guest trap with [`Trap::Interrupt`] when the epoch deadline
    /// passes. This is the default.
    pub fn epoch_deadline_trap(&mut self) {
        self.inner.epoch = EpochBehavior::Trap;
    }

    /// Calls `callback` when the epoch deadline passes.
    ///
    /// An error of the callback ends the guest's call with that error.
    pub fn epoch_deadline_callback(
        &mut self,
        callback: impl FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync + 'static,
    ) {
        self.inner.epoch = EpochBehavior::Callback(Box::new(callback));
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.inner.opaque.id)
            .field("data", &self.inner.data)
            .finish_non_exhaustive()
    }
}

impl<T: Default + 'static> Default for Store<T> {
    fn default() -> Store<T> {
        Store::new(&Engine::default(), T::default())
    }
}

/// A shared borrow of a store.
#[derive(Clone, Copy)]
pub struct StoreContext<'a, T: 'static>(pub(crate) &'a StoreInner<T>);

/// An exclusive borrow of a store.
pub struct StoreContextMut<'a, T: 'static>(pub(crate) &'a mut StoreInner<T>);

impl<'a, T> StoreContext<'a, T> {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }

    /// The host's data.
    pub fn data(&self) -> &'a T {
        &self.0.data
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The host's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// See [`Store::set_fuel`].
    ///
    /// # Errors
    ///
    /// When the engine does not meter fuel.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.0.opaque.set_fuel(fuel)
    }

    /// See [`Store::get_fuel`].
    ///
    /// # Errors
    ///
    /// When the engine does not meter fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.0.opaque.fuel()
    }

    /// See [`Store::set_epoch_deadline`].
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        self.0.opaque.set_epoch_deadline(ticks);
    }
}

/// What lends a store for reading: `&Store<T>`, `&Caller<'_, T>`, …
pub trait AsContext {
    /// The type of the store's data.
    type Data: 'static;

    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What lends a store for use: `&mut Store<T>`, `&mut Caller<'_, T>`, …
pub trait AsContextMut: AsContext {
    /// Borrows the store exclusively.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<T: 'static> AsContext for Store<T> {
    type Data = T;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}

impl<T: 'static> AsContextMut for Store<T> {
    #[inline]
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}

impl<T: 'static> AsContext for StoreContext<'_, T> {
    type Data = T;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T: 'static> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T: 'static> AsContextMut for StoreContextMut<'_, T> {
    #[inline]
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    #[inline]
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

impl<T> Deref for StoreInner<T> {
    type Target = StoreOpaque;

    #[inline]
    fn deref(&self) -> &StoreOpaque {
        &self.opaque
    }
}

impl<T> DerefMut for StoreInner<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut StoreOpaque {
        &mut self.opaque
    }
}

macro_rules! borrow_conversions {
    ($($(#[$doc:meta])* $source:ty;)*) => {
        $(
            impl<'a, T: 'static> From<&'a $source> for StoreContext<'a, T> {
                #[inline]
                fn from(source: &'a $source) -> StoreContext<'a, T> {
                    source.as_context()
                }
            }

            impl<'a, T: 'static> From<&'a mut $source> for StoreContext<'a, T> {
                #[inline]
                fn from(source: &'a mut $source) -> StoreContext<'a, T> {
                    StoreContext(source.as_context_mut().0)
                }
            }

            impl<'a, T: 'static> From<&'a mut $source> for StoreContextMut<'a, T> {
                #[inline]
                fn from(source: &'a mut $source) -> StoreContextMut<'a, T> {
                    source.as_context_mut()
                }
            }
        )*
    };
}

borrow_conversions! {
    Store<T>;
    StoreContextMut<'_, T>;
    crate::Caller<'_, T>;
}

impl<'a, T: 'static> From<StoreContextMut<'a, T>> for StoreContext<'a, T> {
    #[inline]
    fn from(source: StoreContextMut<'a, T>) -> StoreContext<'a, T> {
        StoreContext(source.0)
    }
}
