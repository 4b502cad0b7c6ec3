//! The structures of the contract as the host's Rust sees them.
//!
//! This file holds unsafe code. Generated code reads and writes these
//! structures, so they are only ever touched through raw pointers or for the
//! moment of one access; the assertions at the end hold them against the
//! layouts of `tepui-abi`.

use alloc::sync::Arc;
use core::ptr::{self, NonNull};

use tepui_abi::Target;
use tepui_abi::layout::{ContextHeader, FuncRefLayout, ImportedFunctionLayout, StoreLayout};
#[cfg(feature = "compiler")]
use tepui_abi::stack::{OVERFLOW_SLOTS, StackLayout};

use crate::FuncType;
use crate::host::HostFunc;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::StoreOpaque;

/// The store context: limits, counters, state of the call chain.
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct VmStoreContext {
    pub(crate) fuel: i64,
    pub(crate) epoch_deadline: u64,
    pub(crate) pending: u32,
    /// Fills up to 8 bytes, also where pointers have 4.
    pub(crate) reserved: u32,
    pub(crate) stack_limit: usize,
    pub(crate) stack: *mut VmStack,
    pub(crate) entry_sp: usize,
    pub(crate) exit_fp: usize,
    pub(crate) tail_code: *const u8,
    pub(crate) tail_context: *mut u8,
    pub(crate) store: *mut StoreOpaque,
}

/// One slot of the overflow area.
#[cfg(feature = "compiler")]
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct OverflowSlot(pub(crate) [u8; 16]);

/// Stacks are nobody's business where there is no code.
#[cfg(not(feature = "compiler"))]
#[derive(Debug)]
pub(crate) enum VmStack {}

/// A stack object; see `tepui_abi::stack`.
#[cfg(feature = "compiler")]
#[repr(C, align(64))]
pub(crate) struct VmStack {
    position: usize,
    limit: usize,
    base: usize,
    parent: *mut VmStack,
    overflow: Overflow,
}

#[cfg(feature = "compiler")]
#[repr(C, align(64))]
struct Overflow([OverflowSlot; OVERFLOW_SLOTS as usize]);

#[cfg(feature = "compiler")]
impl VmStack {
    /// The stack object of a store that runs on the thread's own stack.
    pub(crate) fn new() -> VmStack {
        VmStack {
            position: 0,
            limit: 0,
            base: 0,
            parent: ptr::null_mut(),
            overflow: Overflow([OverflowSlot([0; 16]); OVERFLOW_SLOTS as usize]),
        }
    }

    /// The first slot of the overflow area of `stack`.
    ///
    /// # Safety
    ///
    /// `stack` points to a stack object.
    pub(crate) unsafe fn overflow(stack: *mut VmStack) -> *mut OverflowSlot {
        // SAFETY: `stack` points to a stack object, so the field is in bounds.
        unsafe { (&raw mut (*stack).overflow).cast() }
    }
}

/// What a non-null `funcref` points to.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct VmFuncRef {
    /// A slot stub, or a *leave* stub.
    pub(crate) code: *const u8,
    /// The callee context.
    pub(crate) context: *mut u8,
    /// The canonical type.
    pub(crate) type_id: u32,
    /// The defined function of the context's module, or
    /// [`FuncRefLayout::NO_FUNCTION`].
    pub(crate) function: u32,
}

/// An imported function in an instance context.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct VmImportedFunction {
    pub(crate) code: *const u8,
    pub(crate) context: *mut u8,
    pub(crate) reference: *mut VmFuncRef,
}

/// A global: room for every value type.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct VmGlobalDefinition(pub(crate) [u8; 16]);

impl VmGlobalDefinition {
    pub(crate) const ZERO: VmGlobalDefinition = VmGlobalDefinition([0; 16]);

    /// A definition that holds the native bytes of a value of at most 16 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> VmGlobalDefinition {
        let mut definition = VmGlobalDefinition::ZERO;
        definition.0[..bytes.len()].copy_from_slice(bytes);
        definition
    }

    /// The first `N` bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[..N]);
        bytes
    }
}

/// What the *leave* stubs call.
#[cfg(feature = "compiler")]
pub(crate) use tepui_native::stubs::LeaveFn as HostEntry;

/// What is called without a stub: reads parameters from slots (see
/// [`Slots`](super::transfer::Slots)) and writes results there. `None` when the
/// store has recorded why the guest is to be unwound.
pub(crate) type SlotsEntry =
    unsafe fn(callee: *mut u8, caller: *mut u8, slots: *mut u64) -> Option<()>;

/// The context of a host function in one store.
#[repr(C)]
pub(crate) struct VmHostContext {
    store_context: *mut VmStoreContext,
    entry: *const u8,
    func_ref: VmFuncRef,
    /// The closure of `host`, at hand for its entry.
    closure: *const (),
    slots: SlotsEntry,
    host: Arc<HostFunc>,
}

impl VmHostContext {
    /// Allocates the context of `host` in the store of `store_context`.
    pub(crate) fn allocate(
        store_context: NonNull<VmStoreContext>,
        host: Arc<HostFunc>,
    ) -> OwnedHostContext {
        let func_ref = VmFuncRef {
            code: host.leave_stub(),
            context: ptr::null_mut(),
            type_id: host.type_id(),
            function: FuncRefLayout::NO_FUNCTION,
        };
        let raw = Box::into_raw(Box::new(VmHostContext {
            store_context: store_context.as_ptr(),
            entry: host.entry(),
            func_ref,
            closure: host.closure(),
            slots: host.slots_entry(),
            host,
        }));
        // SAFETY: `raw` was just allocated, and nobody else has it yet.
        unsafe { (*raw).func_ref.context = raw.cast() };
        // SAFETY: a box is never null.
        OwnedHostContext(unsafe { NonNull::new_unchecked(raw) })
    }

    /// The store context of the store that `context` belongs to.
    ///
    /// # Safety
    ///
    /// `context` points to any live context.
    pub(crate) unsafe fn store_context_of(context: *mut u8) -> *mut VmStoreContext {
        // SAFETY: every context begins with a pointer to its store context.
        unsafe { context.cast::<*mut VmStoreContext>().read() }
    }

    /// Calls the host function behind a host context, without a stub. `None` when
    /// the store has recorded why the guest is to be unwound.
    ///
    /// # Safety
    ///
    /// `callee` is a live host context whose store nobody else uses, `caller` the
    /// context of the instance that calls, or null; `slots` hold the parameters,
    /// and have room for the results.
    #[inline]
    pub(crate) unsafe fn call(callee: *mut u8, caller: *mut u8, slots: *mut u64) -> Option<()> {
        // SAFETY: the caller's promises.
        unsafe { ((*callee.cast::<VmHostContext>()).slots)(callee, caller, slots) }
    }

    /// The type of the host function behind a host context.
    ///
    /// # Safety
    ///
    /// `context` points to a live host context, for as long as `'a`.
    pub(crate) unsafe fn ty<'a>(context: *mut u8) -> &'a FuncType {
        // SAFETY: the caller promises a live host context; the field is never
        // written after creation.
        unsafe { (*context.cast::<VmHostContext>()).host.ty() }
    }

    /// The closure of the host function behind a host context.
    ///
    /// # Safety
    ///
    /// `context` points to a live host context, for as long as `'a`, of a
    /// function whose closure is an `F`.
    #[inline(always)]
    pub(crate) unsafe fn closure<'a, F>(context: *mut u8) -> &'a F {
        // SAFETY: the caller promises a live host context and the type.
        unsafe { &*(*context.cast::<VmHostContext>()).closure.cast::<F>() }
    }
}

/// A host context that its store owns.
///
/// It is a raw pointer rather than a box because generated code and function
/// references alias it.
pub(crate) struct OwnedHostContext(NonNull<VmHostContext>);

impl OwnedHostContext {
    /// The function reference, valid for as long as the store.
    pub(crate) fn func_ref(&self) -> NonNull<VmFuncRef> {
        // SAFETY: the context is alive for as long as `self`.
        unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).func_ref) }
    }
}

impl Drop for OwnedHostContext {
    fn drop(&mut self) {
        // SAFETY: allocated by a box in `VmHostContext::allocate`; dropped once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

const _: () = {
    use core::mem::{offset_of, size_of};
    const TARGET: Target = Target::host();
    const STORE: StoreLayout = StoreLayout::new(TARGET);
    assert!(offset_of!(VmStoreContext, fuel) == STORE.fuel() as usize);
    assert!(offset_of!(VmStoreContext, epoch_deadline) == STORE.epoch_deadline() as usize);
    assert!(offset_of!(VmStoreContext, pending) == STORE.pending() as usize);
    assert!(offset_of!(VmStoreContext, stack_limit) == STORE.stack_limit() as usize);
    assert!(offset_of!(VmStoreContext, stack) == STORE.stack() as usize);
    assert!(offset_of!(VmStoreContext, entry_sp) == STORE.entry_sp() as usize);
    assert!(offset_of!(VmStoreContext, exit_fp) == STORE.exit_fp() as usize);
    assert!(offset_of!(VmStoreContext, tail_code) == STORE.tail_code() as usize);
    assert!(offset_of!(VmStoreContext, tail_context) == STORE.tail_context() as usize);
    assert!(offset_of!(VmStoreContext, store) == STORE.store() as usize);
    assert!(size_of::<VmStoreContext>() == STORE.size() as usize);

    #[cfg(feature = "compiler")]
    {
        const STACK: StackLayout = StackLayout::new(TARGET);
        assert!(offset_of!(VmStack, position) == STACK.position() as usize);
        assert!(offset_of!(VmStack, limit) == STACK.limit() as usize);
        assert!(offset_of!(VmStack, base) == STACK.base() as usize);
        assert!(offset_of!(VmStack, parent) == STACK.parent() as usize);
        assert!(offset_of!(VmStack, overflow) == STACK.overflow() as usize);
        assert!(size_of::<VmStack>() >= STACK.size() as usize);
    }

    const FUNC_REF: FuncRefLayout = FuncRefLayout::new(TARGET);
    assert!(offset_of!(VmFuncRef, code) == FUNC_REF.code() as usize);
    assert!(offset_of!(VmFuncRef, context) == FUNC_REF.context() as usize);
    assert!(offset_of!(VmFuncRef, type_id) == FUNC_REF.type_id() as usize);
    assert!(offset_of!(VmFuncRef, function) == FUNC_REF.function() as usize);
    assert!(size_of::<VmFuncRef>() <= FUNC_REF.size() as usize);

    const IMPORT: ImportedFunctionLayout = ImportedFunctionLayout::new(TARGET);
    assert!(offset_of!(VmImportedFunction, code) == IMPORT.code() as usize);
    assert!(offset_of!(VmImportedFunction, context) == IMPORT.context() as usize);
    assert!(offset_of!(VmImportedFunction, reference) == IMPORT.reference() as usize);
    assert!(size_of::<VmImportedFunction>() == IMPORT.size() as usize);

    const HEADER: ContextHeader = ContextHeader::new(TARGET);
    assert!(offset_of!(VmHostContext, store_context) == HEADER.store_context() as usize);
    assert!(offset_of!(VmHostContext, entry) == HEADER.host_entry() as usize);
};
