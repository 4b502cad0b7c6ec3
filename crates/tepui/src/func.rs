//! Functions: the handle, dynamic and typed calls, and the caller's side of
//! host functions.
//!
//! This file holds unsafe code: it moves parameters and results between Rust
//! and generated code.

use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use tepui_abi::convention::Representation;
#[cfg(feature = "compiler")]
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_module::TypeId;

use crate::host::{Entry, HostFunc, run_host};
#[cfg(feature = "compiler")]
use crate::host::{classes, overflow_of, register_classes, run_host_direct, status};
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::{StoreId, StoreOpaque};
use crate::types::{FuncType, HeapType, RefType, ValType};
use crate::values::{ExternRef, Rooted, V128};
use crate::vm::call;
#[cfg(feature = "compiler")]
use crate::vm::context::VmStack;
use crate::vm::context::{VmFuncRef, VmHostContext};
use crate::vm::instance::VmInstance;
#[cfg(feature = "compiler")]
use crate::vm::transfer::{Cursor, RESULTS};
use crate::vm::transfer::{PARAMETERS, Places, Slots};
use crate::{
    AsContext, AsContextMut, Engine, Error, Extern, Result, StoreContext, StoreContextMut, Val,
};

/// A function of a guest or of the host, in a store.
///
/// # Panics
///
/// Methods panic when they are given another store than the function's, except
/// for those that return an error for it.
#[derive(Clone, Copy)]
pub struct Func {
    store: StoreId,
    raw: NonNull<VmFuncRef>,
}

// SAFETY: the pointer is only followed with the store at hand, which is what
// keeps the function reference alive.
unsafe impl Send for Func {}
// SAFETY: as for `Send`.
unsafe impl Sync for Func {}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Func {
    /// The function behind a function reference of `store`.
    ///
    /// # Safety
    ///
    /// `raw` is a function reference that lives as long as `store`.
    #[inline]
    pub(crate) unsafe fn from_raw(store: &StoreOpaque, raw: NonNull<VmFuncRef>) -> Func {
        Func {
            store: store.id(),
            raw,
        }
    }

    #[inline]
    pub(crate) fn raw(&self) -> NonNull<VmFuncRef> {
        self.raw
    }

    pub(crate) fn check_store(&self, store: &StoreOpaque) -> Result<()> {
        if self.store == store.id() {
            Ok(())
        } else {
            Err(Error::msg("function used with the wrong store"))
        }
    }

    /// The canonical type. The store must have been checked.
    pub(crate) fn type_id(&self) -> TypeId {
        // SAFETY: function references live as long as their store, whose
        // presence the caller has checked; the type is never written.
        TypeId::new(unsafe { (*self.raw.as_ptr()).type_id })
    }

    /// Makes a host function that takes and gives dynamic values.
    ///
    /// `results` holds as many values as the type has results; `function` has
    /// to fill them in with values of the right types, or the call fails.
    ///
    /// # Panics
    ///
    /// When `ty` belongs to another engine.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        let store = store.as_context_mut().0.opaque_mut();
        assert!(
            Engine::same(store.engine(), ty.engine()),
            "function type belongs to another engine than the store"
        );
        Func::bind(store, &HostFunc::dynamic(ty, function))
    }

    /// Makes a host function of a closure over Rust types.
    ///
    /// The closure may take a [`Caller`] first. It returns nothing, a value, a
    /// tuple of values, or a [`Result`] of these.
    ///
    /// ```
    /// use tepui::{Caller, Func, Store};
    ///
    /// # fn main() -> tepui::Result<()> {
    /// let mut store = Store::new(&Default::default(), 5);
    /// let add = Func::wrap(&mut store, |caller: Caller<'_, i32>, x: i32| caller.data() + x);
    /// let add = add.typed::<i32, i32>(&store)?;
    /// assert_eq!(add.call(&mut store, 2)?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap<T: 'static, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        function: impl IntoFunc<T, Params, Results>,
    ) -> Func {
        let store = store.as_context_mut().0.opaque_mut();
        let host = function.into_func(store.engine());
        Func::bind(store, &host)
    }

    pub(crate) fn bind(store: &mut StoreOpaque, host: &Arc<HostFunc>) -> Func {
        let raw = store.bind(host);
        // SAFETY: the store keeps what it bound.
        unsafe { Func::from_raw(store, raw) }
    }

    /// The type of the function.
    ///
    /// # Panics
    ///
    /// When `store` is not the function's.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let context = store.as_context();
        let store = context.0.opaque();
        self.store.assert_same(store.id());
        store.engine().func_type(self.type_id())
    }

    /// Whether the function can be used as one of type `ty`.
    ///
    /// # Panics
    ///
    /// When `store` is not the function's.
    pub fn matches_ty(&self, store: impl AsContext, ty: &FuncType) -> bool {
        let context = store.as_context();
        let store = context.0.opaque();
        self.store.assert_same(store.id());
        Engine::same(store.engine(), ty.engine())
            && store.engine().is_subtype(self.type_id(), ty.type_id())
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// When the number or the types of `params`, or the number of `results`,
    /// are not those of the function; when a reference belongs to another
    /// store; the [trap](crate::Trap) or the host function's error that ended
    /// the call.
    ///
    /// # Panics
    ///
    /// When `store` is not the function's; goes on with the panic of a host
    /// function that the call runs into.
    pub fn call(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut context = store.as_context_mut();
        let ty = self.ty(&mut context);
        if ty.params().len() != params.len() {
            return Err(Error::msg(format!(
                "expected {} arguments, got {}",
                ty.params().len(),
                params.len()
            )));
        }
        if ty.results().len() != results.len() {
            return Err(Error::msg(format!(
                "expected {} results, got {}",
                ty.results().len(),
                results.len()
            )));
        }
        let store = context.0.opaque_mut();
        for (index, (param, ty)) in params.iter().zip(ty.params()).enumerate() {
            param
                .check(store, &ty)
                .map_err(|error| error.context(format!("argument {index} is wrong")))?;
        }
        // SAFETY: the function is the store's, and the parameters were checked
        // against its type.
        unsafe {
            #[cfg(feature = "compiler")]
            if !call::takes_slots(self.raw) {
                return self.call_image(store, &ty, params, results);
            }
            self.call_slots(store, &ty, params, results)
        }
    }

    /// Calls a function that takes slots.
    ///
    /// # Safety
    ///
    /// The function is one of `store`, of type `ty`, as are the parameters; there
    /// are as many results.
    unsafe fn call_slots(
        &self,
        store: &mut StoreOpaque,
        ty: &FuncType,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        // Every value takes two slots at most.
        let mut few = [0; 2 * FEW_VALUES];
        let mut many = Vec::new();
        let count = params.len().max(results.len());
        let slots = if count <= FEW_VALUES {
            few.as_mut_ptr()
        } else {
            many.resize(2 * count, 0);
            many.as_mut_ptr()
        };
        // SAFETY: there are slots for all parameters and for all results; the
        // rest is the caller's promise.
        unsafe {
            let mut places = Slots::new(slots);
            for param in params {
                param.write(&mut places);
            }
            call::call_slots(store, self.raw, slots)?;
            let mut places = Slots::new(slots);
            for (result, ty) in results.iter_mut().zip(ty.results()) {
                *result = Val::read(store, &mut places, &ty);
            }
        }
        Ok(())
    }

    /// Calls a function through *enter*.
    ///
    /// # Safety
    ///
    /// As for [`Func::call_slots`].
    #[cfg(feature = "compiler")]
    unsafe fn call_image(
        &self,
        store: &mut StoreOpaque,
        ty: &FuncType,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut image = RegisterImage::default();
        // SAFETY: the caller's promises; the overflow area is free between calls.
        unsafe {
            let overflow = running_overflow(store);
            let mut cursor = Cursor::new(PARAMETERS, &raw mut image, overflow);
            for param in params {
                param.write(&mut cursor);
            }
            call::enter(store, self.raw, &raw mut image, register_classes(ty))?;
            let mut cursor = Cursor::new(RESULTS, &raw mut image, running_overflow(store));
            for (result, ty) in results.iter_mut().zip(ty.results()) {
                *result = Val::read(store, &mut cursor, &ty);
            }
        }
        Ok(())
    }

    /// The function with its type checked once, for fast calls.
    ///
    /// # Errors
    ///
    /// When the function's type is not that of `Params` and `Results`.
    ///
    /// # Panics
    ///
    /// When `store` is not the function's.
    pub fn typed<Params: WasmParams, Results: WasmResults>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<Params, Results>> {
        let ty = self.ty(store);
        Params::check_params(ty.params())
            .map_err(|error| error.context("type mismatch with parameters"))?;
        Results::check_results(ty.results())
            .map_err(|error| error.context("type mismatch with results"))?;
        Ok(TypedFunc {
            func: *self,
            ty: PhantomData,
        })
    }
}

/// Values of a dynamic call that are passed without an allocation.
const FEW_VALUES: usize = 8;

/// Parameters that a typed function has at most.
const MOST_VALUES: usize = 17;

/// The overflow area of the stack that `store` runs on.
#[cfg(feature = "compiler")]
#[inline(always)]
fn running_overflow(store: &StoreOpaque) -> *mut crate::vm::context::OverflowSlot {
    // SAFETY: the store context and its stack live as long as the store.
    unsafe { VmStack::overflow((*store.vm().as_ptr()).stack) }
}

/// A function whose type is known to Rust.
///
/// Made by [`Func::typed`] or
/// [`Instance::get_typed_func`](crate::Instance::get_typed_func).
pub struct TypedFunc<Params, Results> {
    func: Func,
    ty: PhantomData<fn(Params) -> Results>,
}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Params, Results> Copy for TypedFunc<Params, Results> {}

impl<Params, Results> fmt::Debug for TypedFunc<Params, Results> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedFunc").field(&self.func).finish()
    }
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    /// The function without its type.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// The [trap](crate::Trap) or the host function's error that ended the
    /// call; a reference among the parameters that belongs to another store.
    ///
    /// # Panics
    ///
    /// When `store` is not the function's; goes on with the panic of a host
    /// function that the call runs into.
    #[inline]
    pub fn call(&self, mut store: impl AsContextMut, params: Params) -> Result<Results> {
        let context = store.as_context_mut();
        let store = context.0.opaque_mut();
        self.func.store.assert_same(store.id());
        params.check_store(store)?;
        // SAFETY: the type was checked when `self` was made, the store just now.
        unsafe {
            #[cfg(feature = "compiler")]
            if !call::takes_slots(self.func.raw) {
                return self.call_image(store, params);
            }
            self.call_slots(store, params)
        }
    }

    /// Calls a function that takes slots.
    ///
    /// # Safety
    ///
    /// The function and the parameters are those of `store`.
    #[inline]
    unsafe fn call_slots(&self, store: &mut StoreOpaque, params: Params) -> Result<Results> {
        // Every value takes two slots at most.
        let mut slots = [MaybeUninit::<u64>::uninit(); 2 * MOST_VALUES];
        let slots = slots.as_mut_ptr().cast::<u64>();
        // SAFETY: there are slots for all parameters and for all results; the
        // rest is the caller's promise.
        unsafe {
            params.write(&mut Slots::new(slots));
            call::call_slots(store, self.func.raw, slots)?;
            Ok(Results::read(store, &mut Slots::new(slots)))
        }
    }

    /// Calls a function through *enter*.
    ///
    /// # Safety
    ///
    /// As for [`TypedFunc::call_slots`].
    #[cfg(feature = "compiler")]
    #[inline]
    unsafe fn call_image(&self, store: &mut StoreOpaque, params: Params) -> Result<Results> {
        let mut image = MaybeUninit::<RegisterImage>::uninit();
        let image = image.as_mut_ptr();
        // SAFETY: the caller's promises; the overflow area is free between calls.
        // The stub may copy registers of the image that no parameter was written
        // to; they are copied as bytes and never read as parameters.
        unsafe {
            let mut cursor = Cursor::new(PARAMETERS, image, running_overflow(store));
            params.write(&mut cursor);
            call::enter(
                store,
                self.func.raw,
                image,
                const { classes(Params::USES_VECTORS, Results::USES_VECTORS, Results::COUNT) },
            )?;
            let mut cursor = Cursor::new(RESULTS, image, running_overflow(store));
            Ok(Results::read(store, &mut cursor))
        }
    }
}

/// A Rust type that stands for a Wasm value type.
///
/// Implemented for `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, [`V128`],
/// [`Func`], `Option<Func>`, `Rooted<ExternRef>` and
/// `Option<Rooted<ExternRef>>`.
///
/// # Safety
///
/// Implemented by this crate alone: generated code relies on what it says.
pub unsafe trait WasmTy: Send + Sized + 'static {
    #[doc(hidden)]
    const USES_VECTORS: bool;
    /// The type by which C passes the value in the same kind of register.
    #[doc(hidden)]
    type Direct: Default;
    /// Integer and float registers that the value takes as C passes it; more
    /// than there are when it cannot.
    #[doc(hidden)]
    const REGISTERS: (usize, usize);
    #[doc(hidden)]
    fn val_type() -> ValType;
    #[doc(hidden)]
    fn into_direct(self) -> Self::Direct;
    #[doc(hidden)]
    unsafe fn from_direct(store: &StoreAccess<'_>, value: Self::Direct) -> Self;
    #[doc(hidden)]
    fn check_store(&self, store: &StoreAccess<'_>) -> Result<()>;
    #[doc(hidden)]
    unsafe fn write<P: Places>(self, places: &mut P);
    #[doc(hidden)]
    unsafe fn read<P: Places>(store: &StoreAccess<'_>, places: &mut P) -> Self;
}

/// A store, as the implementations of [`WasmTy`] see it.
#[doc(hidden)]
pub struct StoreAccess<'a>(&'a StoreOpaque);

macro_rules! number {
    ($($rust:ty, $wasm:ident, $representation:ident, $vectors:literal, $registers:expr;)*) => {
        $(
            // SAFETY: the Rust type has the size of its representation and any
            // bit pattern is valid.
            unsafe impl WasmTy for $rust {
                const USES_VECTORS: bool = $vectors;
                const REGISTERS: (usize, usize) = $registers;
                type Direct = $rust;

                #[inline]
                fn val_type() -> ValType {
                    ValType::$wasm
                }

                #[inline(always)]
                fn into_direct(self) -> $rust {
                    self
                }

                #[inline(always)]
                unsafe fn from_direct(_: &StoreAccess<'_>, value: $rust) -> $rust {
                    value
                }

                #[inline]
                fn check_store(&self, _store: &StoreAccess<'_>) -> Result<()> {
                    Ok(())
                }

                #[inline(always)]
                unsafe fn write<P: Places>(self, places: &mut P) {
                    // SAFETY: the caller promises that the type fits.
                    unsafe { places.write(Representation::$representation, self) }
                }

                #[inline(always)]
                unsafe fn read<P: Places>(_: &StoreAccess<'_>, places: &mut P) -> Self {
                    // SAFETY: the caller promises that the type fits.
                    unsafe { places.read(Representation::$representation) }
                }
            }
        )*
    };
}

number! {
    i32, I32, I32, false, (1, 0);
    u32, I32, I32, false, (1, 0);
    i64, I64, I64, false, (1, 0);
    u64, I64, I64, false, (1, 0);
    f32, F32, F32, true, (0, 1);
    f64, F64, F64, true, (0, 1);
    V128, V128, V128, true, (usize::MAX / 64, usize::MAX / 64);
}

// SAFETY: a function reference is a pointer.
unsafe impl WasmTy for Option<Func> {
    const USES_VECTORS: bool = false;
    const REGISTERS: (usize, usize) = (1, 0);
    type Direct = usize;

    #[inline]
    fn into_direct(self) -> usize {
        self.map_or(0, |func| func.raw.as_ptr() as usize)
    }

    #[inline]
    unsafe fn from_direct(store: &StoreAccess<'_>, value: usize) -> Self {
        // SAFETY: the caller promises a function reference of the store.
        NonNull::new(value as *mut VmFuncRef).map(|raw| unsafe { Func::from_raw(store.0, raw) })
    }

    fn val_type() -> ValType {
        ValType::Ref(RefType::new(true, HeapType::Func))
    }

    fn check_store(&self, store: &StoreAccess<'_>) -> Result<()> {
        self.map_or(Ok(()), |func| func.check_store(store.0))
    }

    unsafe fn write<P: Places>(self, places: &mut P) {
        let raw = self.map_or(core::ptr::null_mut(), |func| func.raw.as_ptr());
        // SAFETY: the caller promises that the type fits.
        unsafe { places.write(Representation::Pointer, raw) }
    }

    unsafe fn read<P: Places>(store: &StoreAccess<'_>, places: &mut P) -> Self {
        // SAFETY: the caller promises a function reference of the store.
        unsafe {
            let raw = places.read::<*mut VmFuncRef>(Representation::Pointer);
            NonNull::new(raw).map(|raw| Func::from_raw(store.0, raw))
        }
    }
}

// SAFETY: a function reference is a pointer.
unsafe impl WasmTy for Func {
    const USES_VECTORS: bool = false;
    const REGISTERS: (usize, usize) = (1, 0);
    type Direct = usize;

    #[inline]
    fn into_direct(self) -> usize {
        WasmTy::into_direct(Some(self))
    }

    #[inline]
    unsafe fn from_direct(store: &StoreAccess<'_>, value: usize) -> Self {
        // SAFETY: as in `read`.
        unsafe { <Option<Func> as WasmTy>::from_direct(store, value).unwrap_unchecked() }
    }

    fn val_type() -> ValType {
        ValType::Ref(RefType::new(false, HeapType::Func))
    }

    fn check_store(&self, store: &StoreAccess<'_>) -> Result<()> {
        Func::check_store(self, store.0)
    }

    unsafe fn write<P: Places>(self, places: &mut P) {
        // SAFETY: as for `Option<Func>`.
        unsafe { WasmTy::write(Some(self), places) }
    }

    unsafe fn read<P: Places>(store: &StoreAccess<'_>, places: &mut P) -> Self {
        // SAFETY: the type of the signature is not nullable, so validation
        // proved that the reference is not null.
        unsafe { <Option<Func> as WasmTy>::read(store, places).unwrap_unchecked() }
    }
}

// SAFETY: other references are 32-bit ids.
unsafe impl WasmTy for Option<Rooted<ExternRef>> {
    const USES_VECTORS: bool = false;
    const REGISTERS: (usize, usize) = (1, 0);
    type Direct = u32;

    #[inline]
    fn into_direct(self) -> u32 {
        crate::Ref::Extern(self).to_bits() as u32
    }

    #[inline]
    unsafe fn from_direct(store: &StoreAccess<'_>, value: u32) -> Self {
        (value != 0).then(|| Rooted::new(store.0.id(), value))
    }

    fn val_type() -> ValType {
        ValType::EXTERNREF
    }

    fn check_store(&self, store: &StoreAccess<'_>) -> Result<()> {
        self.map_or(Ok(()), |reference| reference.id_in(store.0).map(|_| ()))
    }

    unsafe fn write<P: Places>(self, places: &mut P) {
        let id = crate::Ref::Extern(self).to_bits() as u32;
        // SAFETY: the caller promises that the type fits.
        unsafe { places.write(Representation::I32, id) }
    }

    unsafe fn read<P: Places>(store: &StoreAccess<'_>, places: &mut P) -> Self {
        // SAFETY: the caller promises that the type fits.
        let id: u32 = unsafe { places.read(Representation::I32) };
        (id != 0).then(|| Rooted::new(store.0.id(), id))
    }
}

// SAFETY: other references are 32-bit ids.
unsafe impl WasmTy for Rooted<ExternRef> {
    const USES_VECTORS: bool = false;
    const REGISTERS: (usize, usize) = (1, 0);
    type Direct = u32;

    #[inline]
    fn into_direct(self) -> u32 {
        WasmTy::into_direct(Some(self))
    }

    #[inline]
    unsafe fn from_direct(store: &StoreAccess<'_>, value: u32) -> Self {
        Rooted::new(store.0.id(), value)
    }

    fn val_type() -> ValType {
        ValType::Ref(RefType::new(false, HeapType::Extern))
    }

    fn check_store(&self, store: &StoreAccess<'_>) -> Result<()> {
        self.id_in(store.0).map(|_| ())
    }

    unsafe fn write<P: Places>(self, places: &mut P) {
        // SAFETY: as for `Option<Rooted<ExternRef>>`.
        unsafe { WasmTy::write(Some(self), places) }
    }

    unsafe fn read<P: Places>(store: &StoreAccess<'_>, places: &mut P) -> Self {
        // SAFETY: the caller promises that the type fits.
        let id: u32 = unsafe { places.read(Representation::I32) };
        Rooted::new(store.0.id(), id)
    }
}

/// The parameters of a typed function: a value, or a tuple of values.
///
/// # Safety
///
/// Implemented by this crate alone.
pub unsafe trait WasmParams: Send {
    #[doc(hidden)]
    const USES_VECTORS: bool;
    /// How many values there are.
    #[doc(hidden)]
    const COUNT: usize;
    /// Whether the values, as parameters, travel as C passes them.
    #[doc(hidden)]
    const DIRECT_PARAMETERS: bool;
    /// Whether the values, as results, travel as C returns them: none, or one.
    #[doc(hidden)]
    const DIRECT_RESULT: bool;
    /// What C returns for them; of no use unless [`Self::DIRECT_RESULT`].
    #[doc(hidden)]
    type Direct: Default;
    #[doc(hidden)]
    fn into_direct(self) -> Self::Direct;
    #[doc(hidden)]
    fn val_types() -> Vec<ValType>;
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "implemented by this crate alone")]
    fn check_store(&self, store: &StoreOpaque) -> Result<()>;
    #[doc(hidden)]
    unsafe fn write<P: Places>(self, places: &mut P);
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "implemented by this crate alone")]
    unsafe fn read<P: Places>(store: &StoreOpaque, places: &mut P) -> Self;

    #[doc(hidden)]
    fn check_params(actual: impl ExactSizeIterator<Item = ValType>) -> Result<()> {
        check_types(Self::val_types(), actual, |rust, wasm| rust.matches(wasm))
    }
}

/// The results of a typed function: nothing, a value, or a tuple of values.
///
/// # Safety
///
/// Implemented by this crate alone.
pub unsafe trait WasmResults: WasmParams {
    #[doc(hidden)]
    fn check_results(actual: impl ExactSizeIterator<Item = ValType>) -> Result<()> {
        check_types(Self::val_types(), actual, |rust, wasm| wasm.matches(rust))
    }
}

fn check_types(
    rust: Vec<ValType>,
    wasm: impl ExactSizeIterator<Item = ValType>,
    fits: impl Fn(&ValType, &ValType) -> bool,
) -> Result<()> {
    if rust.len() != wasm.len() {
        return Err(Error::msg(format!(
            "expected {} types, found {}",
            wasm.len(),
            rust.len()
        )));
    }
    for (index, (rust, wasm)) in rust.iter().zip(wasm).enumerate() {
        if !fits(rust, &wasm) {
            return Err(Error::msg(format!(
                "type {index}: expected {wasm}, found {rust}"
            )));
        }
    }
    Ok(())
}

macro_rules! tuples {
    ($($name:ident)*) => {
        // SAFETY: reads and writes each value in order, as the convention says.
        #[allow(non_snake_case, reason = "one name for the type and its value")]
        #[allow(unused_variables, reason = "the empty tuple uses none")]
        #[allow(clippy::unused_unit, reason = "the empty tuple is one")]
        unsafe impl<$($name: WasmTy),*> WasmParams for ($($name,)*) {
            const USES_VECTORS: bool = false $(|| $name::USES_VECTORS)*;
            const COUNT: usize = {
                let names: &[&str] = &[$(stringify!($name)),*];
                names.len()
            };
            const DIRECT_PARAMETERS: bool = {
                let integers: usize = 0 $(+ $name::REGISTERS.0)*;
                let floats: usize = 0 $(+ $name::REGISTERS.1)*;
                integers <= PARAMETERS.integers as usize && floats <= PARAMETERS.vectors as usize
            };
            const DIRECT_RESULT: bool = Self::COUNT == 0;
            type Direct = ();

            #[inline(always)]
            fn into_direct(self) {}

            fn val_types() -> Vec<ValType> {
                vec![$($name::val_type()),*]
            }

            #[inline]
            #[expect(private_interfaces, reason = "implemented by this crate alone")]
            fn check_store(&self, store: &StoreOpaque) -> Result<()> {
                let ($($name,)*) = self;
                $($name.check_store(&StoreAccess(store))?;)*
                Ok(())
            }

            #[inline(always)]
            unsafe fn write<P: Places>(self, places: &mut P) {
                let ($($name,)*) = self;
                // SAFETY: the caller promises that the types fit.
                $(unsafe { $name.write(places) };)*
            }

            #[inline(always)]
            #[expect(private_interfaces, reason = "implemented by this crate alone")]
            unsafe fn read<P: Places>(store: &StoreOpaque, places: &mut P) -> Self {
                // SAFETY: the caller promises that the types fit.
                $(let $name = unsafe { $name::read(&StoreAccess(store), places) };)*
                ($($name,)*)
            }
        }

        // SAFETY: as above.
        unsafe impl<$($name: WasmTy),*> WasmResults for ($($name,)*) {}
    };
}

// SAFETY: one value is the tuple of it alone.
unsafe impl<A: WasmTy> WasmParams for A {
    const USES_VECTORS: bool = <(A,) as WasmParams>::USES_VECTORS;
    const COUNT: usize = 1;
    const DIRECT_PARAMETERS: bool = <(A,) as WasmParams>::DIRECT_PARAMETERS;
    const DIRECT_RESULT: bool = <(A,) as WasmParams>::DIRECT_PARAMETERS;
    type Direct = A::Direct;

    #[inline(always)]
    fn into_direct(self) -> A::Direct {
        WasmTy::into_direct(self)
    }

    fn val_types() -> Vec<ValType> {
        <(A,)>::val_types()
    }

    #[inline]
    #[expect(private_interfaces, reason = "implemented by this crate alone")]
    fn check_store(&self, store: &StoreOpaque) -> Result<()> {
        WasmTy::check_store(self, &StoreAccess(store))
    }

    #[inline(always)]
    unsafe fn write<P: Places>(self, places: &mut P) {
        // SAFETY: the caller promises that the type fits.
        unsafe { WasmParams::write((self,), places) }
    }

    #[inline(always)]
    #[expect(private_interfaces, reason = "implemented by this crate alone")]
    unsafe fn read<P: Places>(store: &StoreOpaque, places: &mut P) -> Self {
        // SAFETY: the caller promises that the type fits.
        unsafe { <(A,) as WasmParams>::read(store, places).0 }
    }
}

// SAFETY: as above.
unsafe impl<A: WasmTy> WasmResults for A {}

/// What a host function may return: nothing, a value, a tuple of values, or a
/// [`Result`] of these.
///
/// # Safety
///
/// Implemented by this crate alone.
pub unsafe trait WasmRet {
    #[doc(hidden)]
    type Values: WasmResults;
    #[doc(hidden)]
    fn into_values(self) -> Result<Self::Values>;
}

// SAFETY: hands the values on.
unsafe impl<R: WasmResults> WasmRet for R {
    type Values = R;

    #[inline]
    fn into_values(self) -> Result<R> {
        Ok(self)
    }
}

// SAFETY: hands the values on.
unsafe impl<R: WasmResults, E: Into<Error>> WasmRet for Result<R, E> {
    type Values = R;

    #[inline]
    fn into_values(self) -> Result<R> {
        self.map_err(Into::into)
    }
}

/// A closure that can be a host function: up to 17 parameters that are
/// [`WasmTy`], a [`Caller`] before them if it wants one.
pub trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "implemented by this crate alone")]
    fn into_func(self, engine: &Engine) -> Arc<HostFunc>;
}

fn typed_host<Params: WasmParams, Results: WasmResults>(engine: &Engine) -> FuncType {
    FuncType::new(engine, Params::val_types(), Results::val_types())
}

macro_rules! closures {
    ($($name:ident)*) => {
        tuples!($($name)*);

        impl<T: 'static, F, $($name,)* R> IntoFunc<T, ($($name,)*), R> for F
        where
            F: Fn($($name),*) -> R + Send + Sync + 'static,
            $($name: WasmTy,)*
            R: WasmRet,
        {
            #[expect(private_interfaces, reason = "implemented by this crate alone")]
            fn into_func(self, engine: &Engine) -> Arc<HostFunc> {
                #[allow(non_snake_case, reason = "one name for the type and its value")]
                let closure = move |_caller: Caller<'_, T>, $($name: $name),*| self($($name),*);
                IntoFunc::<T, (Caller<'_, T>, $($name,)*), R>::into_func(closure, engine)
            }
        }

        impl<T: 'static, F, $($name,)* R> IntoFunc<T, (Caller<'_, T>, $($name,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
            $($name: WasmTy,)*
            R: WasmRet,
        {
            #[expect(private_interfaces, reason = "implemented by this crate alone")]
            fn into_func(self, engine: &Engine) -> Arc<HostFunc> {
                /// Reads parameters, runs the closure, writes results.
                ///
                /// # Safety
                ///
                /// `callee` is a host context of a closure of type `F`, and the
                /// places are those of its signature.
                #[inline(always)]
                unsafe fn run<T, F, $($name,)* R>(
                    callee: *mut u8,
                    caller: *mut u8,
                    mut parameters: impl Places,
                    mut results: impl Places,
                ) -> Option<()>
                where
                    T: 'static,
                    F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
                    $($name: WasmTy,)*
                    R: WasmRet,
                {
                    let body = |mut caller: Caller<'_, T>| {
                        // SAFETY: the places hold parameters of the type that the
                        // function was made with.
                        #[allow(non_snake_case, reason = "one name for the type and its value")]
                        let ($($name,)*) = unsafe {
                            <($($name,)*) as WasmParams>::read(
                                caller.store.0.opaque(),
                                &mut parameters,
                            )
                        };
                        // SAFETY: the context was made for a closure of this type.
                        let closure = unsafe { VmHostContext::closure::<F>(callee) };
                        let values = closure(caller.reborrow(), $($name),*).into_values()?;
                        values.check_store(caller.store.0.opaque())?;
                        // SAFETY: the results have the type that the function
                        // was made with; the places are free.
                        unsafe { values.write(&mut results) };
                        Ok(())
                    };
                    // SAFETY: the caller's promises.
                    unsafe { run_host::<T, _>(callee, caller, body) }
                }

                #[cfg(feature = "compiler")]
                tepui_native::stub_convention! {
                    [unsafe] fn entry<T, F, $($name,)* R>(
                        callee: *mut u8,
                        caller: *mut u8,
                        image: *mut RegisterImage,
                        _slot: usize,
                    ) -> LeaveStatus
                    where
                        T: 'static,
                        F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
                        $($name: WasmTy,)*
                        R: WasmRet,
                    {
                        // SAFETY: generated code calls an entry with the host context
                        // that it is part of; *leave* filled the image and the
                        // overflow area, and reads results from there.
                        let ran = unsafe {
                            let parameters = Cursor::new(PARAMETERS, image, overflow_of(callee));
                            let results = Cursor::new(RESULTS, image, overflow_of(callee));
                            run::<T, F, $($name,)* R>(callee, caller, parameters, results)
                        };
                        status(ran)
                    }
                }

                unsafe fn slots<T, F, $($name,)* R>(
                    callee: *mut u8,
                    caller: *mut u8,
                    slots: *mut u64,
                ) -> Option<()>
                where
                    T: 'static,
                    F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
                    $($name: WasmTy,)*
                    R: WasmRet,
                {
                    // SAFETY: the caller has filled the slots, and reads results
                    // from there.
                    unsafe {
                        let places = (Slots::new(slots), Slots::new(slots));
                        run::<T, F, $($name,)* R>(callee, caller, places.0, places.1)
                    }
                }

                #[cfg(feature = "compiler")]
                tepui_native::stub_convention! {
                    #[allow(non_snake_case, reason = "one name for the type and its value")]
                    [unsafe] fn direct<T, F, $($name,)* R>(
                        callee: *mut u8,
                        caller: *mut u8,
                        $($name: $name::Direct,)*
                    ) -> <R::Values as WasmParams>::Direct
                    where
                        T: 'static,
                        F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
                        $($name: WasmTy,)*
                        R: WasmRet,
                    {
                        let body = |mut caller: Caller<'_, T>| {
                            // SAFETY: generated code passes values of the types
                            // that the function was made with.
                            $(let $name = unsafe {
                                $name::from_direct(&StoreAccess(caller.store.0.opaque()), $name)
                            };)*
                            // SAFETY: the context was made for a closure of this type.
                            let closure = unsafe { VmHostContext::closure::<F>(callee) };
                            let results = closure(caller.reborrow(), $($name),*).into_values()?;
                            results.check_store(caller.store.0.opaque())?;
                            Ok(results.into_direct())
                        };
                        // SAFETY: generated code calls an entry with the host
                        // context that it is part of.
                        unsafe { run_host_direct::<T, _>(callee, caller, body) }
                    }
                }

                let ty = typed_host::<($($name,)*), R::Values>(engine);
                #[cfg(feature = "compiler")]
                let fits = const {
                    tepui_native::NATIVE_CODE
                        && <($($name,)*) as WasmParams>::DIRECT_PARAMETERS
                        && R::Values::DIRECT_RESULT
                };
                #[cfg(feature = "compiler")]
                let entry = if fits {
                    Entry::Direct(direct::<T, F, $($name,)* R> as *const u8)
                } else {
                    Entry::Image(entry::<T, F, $($name,)* R>)
                };
                #[cfg(not(feature = "compiler"))]
                let entry = Entry;
                let slots = slots::<T, F, $($name,)* R>;
                // SAFETY: the entries belong to the closure and the type.
                unsafe { HostFunc::new(ty, entry, slots, Box::new(self)) }
            }
        }
    };
}

closures!();
closures!(A1);
closures!(A1 A2);
closures!(A1 A2 A3);
closures!(A1 A2 A3 A4);
closures!(A1 A2 A3 A4 A5);
closures!(A1 A2 A3 A4 A5 A6);
closures!(A1 A2 A3 A4 A5 A6 A7);
closures!(A1 A2 A3 A4 A5 A6 A7 A8);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16);
closures!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17);

/// The store, and the instance that called, as a host function sees them.
pub struct Caller<'a, T: 'static> {
    pub(crate) store: StoreContextMut<'a, T>,
    instance: Option<NonNull<VmInstance>>,
}

impl<'a, T: 'static> Caller<'a, T> {
    /// # Safety
    ///
    /// `context` is the context of an instance of the store, if any.
    pub(crate) unsafe fn new(
        inner: &'a mut crate::store::StoreInner<T>,
        context: Option<NonNull<u8>>,
    ) -> Caller<'a, T> {
        // SAFETY: the caller promises an instance context.
        let instance = context.map(|context| unsafe { VmInstance::of_context(context) });
        Caller {
            store: StoreContextMut(inner),
            instance,
        }
    }

    pub(crate) fn reborrow(&mut self) -> Caller<'_, T> {
        Caller {
            store: StoreContextMut(self.store.0),
            instance: self.instance,
        }
    }

    /// An export of the instance that called, if there is one of that name.
    /// `None` also when the host itself called the function.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let instance = self.instance?;
        // SAFETY: instances live as long as their store, and the one that
        // called belongs to this store.
        let instance = unsafe { instance.as_ref() };
        instance.export(self.store.0.opaque_mut(), name)
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The host's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// See [`Store::set_fuel`](crate::Store::set_fuel).
    ///
    /// # Errors
    ///
    /// When the engine does not meter fuel.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.store.set_fuel(fuel)
    }

    /// See [`Store::get_fuel`](crate::Store::get_fuel).
    ///
    /// # Errors
    ///
    /// When the engine does not meter fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.store.get_fuel()
    }
}

impl<T: 'static> AsContext for Caller<'_, T> {
    type Data = T;

    #[inline]
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.store.0)
    }
}

impl<T: 'static> AsContextMut for Caller<'_, T> {
    #[inline]
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.store.0)
    }
}

impl<T: 'static> fmt::Debug for Caller<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}
