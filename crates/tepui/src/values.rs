//! Values as the host handles them: `Val`, `Ref`, `ExternRef`, `V128`.
//!
//! This file holds unsafe code: references travel as pointers and ids.

use core::any::Any;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use tepui_abi::convention::Representation;

#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::{StoreId, StoreOpaque};
use crate::types::{HeapType, RefType, ValType};
use crate::vm::context::{VmFuncRef, VmGlobalDefinition};
use crate::vm::transfer::Places;
use crate::{AsContext, AsContextMut, Error, Func, Result};

/// A 128-bit vector.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct V128(u128);

impl V128 {
    /// The vector as a number, lane 0 in the least significant bits.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<u128> for V128 {
    fn from(value: u128) -> V128 {
        V128(value)
    }
}

impl From<V128> for u128 {
    fn from(value: V128) -> u128 {
        value.0
    }
}

impl fmt::Debug for V128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#034x}", self.0)
    }
}

/// A handle to a reference of a guest, valid with the store that it came from.
pub struct Rooted<R> {
    store: StoreId,
    id: u32,
    kind: PhantomData<fn() -> R>,
}

impl<R> Rooted<R> {
    pub(crate) fn new(store: StoreId, id: u32) -> Rooted<R> {
        Rooted {
            store,
            id,
            kind: PhantomData,
        }
    }

    pub(crate) fn id_in(&self, store: &StoreOpaque) -> Result<u32> {
        if self.store == store.id() {
            Ok(self.id)
        } else {
            Err(Error::msg("reference used with the wrong store"))
        }
    }

    /// Whether both are the same reference.
    ///
    /// # Errors
    ///
    /// When one of them does not belong to the store.
    pub fn ref_eq(store: impl AsContext, a: &Self, b: &Self) -> Result<bool> {
        let store = store.as_context();
        Ok(a.id_in(store.0.opaque())? == b.id_in(store.0.opaque())?)
    }
}

impl<R> Clone for Rooted<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Rooted<R> {}

impl<R> fmt::Debug for Rooted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooted")
            .field("store", &self.store)
            .field("id", &self.id)
            .finish()
    }
}

/// A host value that guests can hold as an `externref`, but not look into.
///
/// ```
/// use tepui::{ExternRef, Store};
///
/// # fn main() -> tepui::Result<()> {
/// let mut store = Store::<()>::default();
/// let reference = ExternRef::new(&mut store, "host data")?;
/// let data = reference.data(&store)?.and_then(|data| data.downcast_ref::<&str>());
/// assert_eq!(data, Some(&"host data"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ExternRef(());

impl ExternRef {
    /// Makes a reference to `value`, which the store owns from now on.
    ///
    /// # Errors
    ///
    /// When the store has 2<sup>32</sup> − 1 references already.
    pub fn new(
        mut store: impl AsContextMut,
        value: impl Any + Send + Sync,
    ) -> Result<Rooted<ExternRef>> {
        let store = store.as_context_mut().0.opaque_mut();
        let id = store.extern_refs.insert(Box::new(value))?;
        Ok(Rooted::new(store.id(), id))
    }
}

impl Rooted<ExternRef> {
    /// The host value. `None` when the reference was not made by the host.
    ///
    /// # Errors
    ///
    /// When the reference belongs to another store.
    pub fn data<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.into();
        let id = self.id_in(store.0.opaque())?;
        Ok(store.0.opaque().extern_refs.get(id))
    }
}

/// The host values that the `externref`s of a store stand for.
///
/// An id is one more than the position; 0 is null.
#[derive(Default)]
pub(crate) struct ExternRefTable {
    values: Vec<Box<dyn Any + Send + Sync>>,
}

impl ExternRefTable {
    fn insert(&mut self, value: Box<dyn Any + Send + Sync>) -> Result<u32> {
        let id = u32::try_from(self.values.len() + 1)
            .map_err(|_| Error::msg("the store holds too many external references"))?;
        self.values.push(value);
        Ok(id)
    }

    fn get(&self, id: u32) -> Option<&(dyn Any + Send + Sync)> {
        let position = (id as usize).checked_sub(1)?;
        self.values.get(position).map(|value| &**value)
    }
}

/// A reference value.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ref {
    /// A `funcref`.
    Func(Option<Func>),
    /// An `externref`.
    Extern(Option<Rooted<ExternRef>>),
}

impl Ref {
    /// The null of the hierarchy of `heap`.
    pub fn null(heap: &HeapType) -> Ref {
        match Representation::of_reference(heap.to_module()) {
            Representation::Pointer => Ref::Func(None),
            _ => Ref::Extern(None),
        }
    }

    /// Whether the reference is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Ref::Func(None) | Ref::Extern(None))
    }

    /// The function, if this is a non-null `funcref`.
    pub fn as_func(&self) -> Option<&Func> {
        match self {
            Ref::Func(Some(func)) => Some(func),
            _ => None,
        }
    }

    /// Whether the reference is of type `ty`.
    ///
    /// # Errors
    ///
    /// When it belongs to another store.
    pub fn matches_ty(&self, store: impl AsContext, ty: &RefType) -> Result<bool> {
        self.matches(store.as_context().0.opaque(), ty)
    }

    pub(crate) fn matches(&self, store: &StoreOpaque, ty: &RefType) -> Result<bool> {
        let heap = ty.heap_type().to_module();
        let is_func = Representation::of_reference(heap) == Representation::Pointer;
        if !ty.comes_from_same_engine(store.engine()) {
            return Ok(false);
        }
        Ok(match self {
            Ref::Func(None) => is_func && ty.is_nullable(),
            Ref::Extern(None) => !is_func && ty.is_nullable(),
            Ref::Func(Some(func)) => {
                func.check_store(store)?;
                match heap {
                    tepui_module::HeapType::Func => true,
                    tepui_module::HeapType::Concrete(id) => {
                        store.engine().is_subtype(func.type_id(), id)
                    }
                    _ => false,
                }
            }
            Ref::Extern(Some(reference)) => {
                reference.id_in(store)?;
                heap == tepui_module::HeapType::Extern
            }
        })
    }

    /// The bits of the reference in a table or global.
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Ref::Func(None) | Ref::Extern(None) => 0,
            Ref::Func(Some(func)) => func.raw().as_ptr() as u64,
            Ref::Extern(Some(reference)) => reference.id.into(),
        }
    }

    /// The reference with these bits.
    ///
    /// # Safety
    ///
    /// `bits` came from a place of `store` whose type has this representation.
    pub(crate) unsafe fn from_bits(
        store: &StoreOpaque,
        representation: Representation,
        bits: u64,
    ) -> Ref {
        if representation == Representation::Pointer {
            let pointer = NonNull::new(bits as usize as *mut VmFuncRef);
            // SAFETY: the caller promises a function reference of the store.
            Ref::Func(pointer.map(|raw| unsafe { Func::from_raw(store, raw) }))
        } else {
            let id = bits as u32;
            Ref::Extern((id != 0).then(|| Rooted::new(store.id(), id)))
        }
    }
}

impl From<Func> for Ref {
    fn from(func: Func) -> Ref {
        Ref::Func(Some(func))
    }
}

impl From<Option<Func>> for Ref {
    fn from(func: Option<Func>) -> Ref {
        Ref::Func(func)
    }
}

impl From<Rooted<ExternRef>> for Ref {
    fn from(reference: Rooted<ExternRef>) -> Ref {
        Ref::Extern(Some(reference))
    }
}

impl From<Option<Rooted<ExternRef>>> for Ref {
    fn from(reference: Option<Rooted<ExternRef>>) -> Ref {
        Ref::Extern(reference)
    }
}

/// A value of any WebAssembly type.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Val {
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
    /// A `v128`.
    V128(V128),
    /// A `funcref`.
    FuncRef(Option<Func>),
    /// An `externref`.
    ExternRef(Option<Rooted<ExternRef>>),
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident $unwrap:ident $ty:ty: $pattern:pat => $value:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> Option<$ty> {
                match *self {
                    $pattern => Some($value),
                    _ => None,
                }
            }

            /// The same, when the type is known.
            ///
            /// # Panics
            ///
            /// When the value is of another type.
            #[track_caller]
            pub fn $unwrap(&self) -> $ty {
                self.$name().unwrap_or_else(|| {
                    panic!("expected {}, found {self:?}", stringify!($ty))
                })
            }
        )*
    };
}

impl Val {
    accessors! {
        /// The value, if it is an `i32`.
        i32 unwrap_i32 i32: Val::I32(value) => value;
        /// The value, if it is an `i64`.
        i64 unwrap_i64 i64: Val::I64(value) => value;
        /// The value, if it is an `f32`.
        f32 unwrap_f32 f32: Val::F32(bits) => f32::from_bits(bits);
        /// The value, if it is an `f64`.
        f64 unwrap_f64 f64: Val::F64(bits) => f64::from_bits(bits);
        /// The value, if it is a `v128`.
        v128 unwrap_v128 V128: Val::V128(value) => value;
    }

    /// The function, if this is a non-null `funcref`; `Some(None)` for null.
    pub fn func_ref(&self) -> Option<Option<&Func>> {
        match self {
            Val::FuncRef(func) => Some(func.as_ref()),
            _ => None,
        }
    }

    /// The reference, if this is an `externref`; `Some(None)` for null.
    pub fn extern_ref(&self) -> Option<Option<&Rooted<ExternRef>>> {
        match self {
            Val::ExternRef(reference) => Some(reference.as_ref()),
            _ => None,
        }
    }

    /// The value as a reference, if it is one.
    pub fn ref_(&self) -> Option<Ref> {
        match *self {
            Val::FuncRef(func) => Some(Ref::Func(func)),
            Val::ExternRef(reference) => Some(Ref::Extern(reference)),
            _ => None,
        }
    }

    /// The default value of a type: zero or null. A type without a default, a
    /// reference that cannot be null, gives the null of its hierarchy.
    pub fn default_for(ty: &ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128(0)),
            ValType::Ref(ty) => Ref::null(ty.heap_type()).into(),
        }
    }

    /// The null of a hierarchy.
    pub fn null_ref(heap: &HeapType) -> Val {
        Ref::null(heap).into()
    }

    /// The null `funcref`.
    pub fn null_func_ref() -> Val {
        Val::FuncRef(None)
    }

    /// The null `externref`.
    pub fn null_extern_ref() -> Val {
        Val::ExternRef(None)
    }

    /// The type of the value.
    ///
    /// # Errors
    ///
    /// When it is a reference of another store.
    pub fn ty(&self, store: impl AsContext) -> Result<ValType> {
        let context = store.as_context();
        let store = context.0.opaque();
        Ok(match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(None) => ValType::Ref(RefType::new(true, HeapType::NoFunc)),
            Val::ExternRef(None) => ValType::Ref(RefType::new(true, HeapType::NoExtern)),
            Val::FuncRef(Some(func)) => {
                func.check_store(store)?;
                let ty = store.engine().func_type(func.type_id());
                ValType::Ref(RefType::new(false, HeapType::ConcreteFunc(ty)))
            }
            Val::ExternRef(Some(reference)) => {
                reference.id_in(store)?;
                ValType::Ref(RefType::new(false, HeapType::Extern))
            }
        })
    }

    /// Whether the value is of type `ty`.
    ///
    /// # Errors
    ///
    /// When it is a reference of another store.
    pub fn matches_ty(&self, store: impl AsContext, ty: &ValType) -> Result<bool> {
        self.matches(store.as_context().0.opaque(), ty)
    }

    pub(crate) fn matches(&self, store: &StoreOpaque, ty: &ValType) -> Result<bool> {
        Ok(match (self, ty) {
            (Val::I32(_), ValType::I32)
            | (Val::I64(_), ValType::I64)
            | (Val::F32(_), ValType::F32)
            | (Val::F64(_), ValType::F64)
            | (Val::V128(_), ValType::V128) => true,
            (value, ValType::Ref(ty)) => match value.ref_() {
                Some(reference) => reference.matches(store, ty)?,
                None => false,
            },
            _ => false,
        })
    }

    /// An error unless the value is of type `ty`.
    pub(crate) fn check(&self, store: &StoreOpaque, ty: &ValType) -> Result<()> {
        if self.matches(store, ty)? {
            Ok(())
        } else {
            Err(Error::msg(format!(
                "type mismatch: expected {ty}, found {}",
                self.kind()
            )))
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Val::I32(_) => "i32",
            Val::I64(_) => "i64",
            Val::F32(_) => "f32",
            Val::F64(_) => "f64",
            Val::V128(_) => "v128",
            Val::FuncRef(None) => "a null funcref",
            Val::FuncRef(Some(_)) => "a function reference of another type",
            Val::ExternRef(None) => "a null externref",
            Val::ExternRef(Some(_)) => "externref",
        }
    }

    /// Reads the next value of a signature.
    ///
    /// # Safety
    ///
    /// The next value of the walk is a value of type `ty` of `store`.
    pub(crate) unsafe fn read<P: Places>(store: &StoreOpaque, cursor: &mut P, ty: &ValType) -> Val {
        // SAFETY: the caller promises the type; each Rust type below is that of
        // its representation.
        unsafe {
            match ty {
                ValType::I32 => Val::I32(cursor.read(Representation::I32)),
                ValType::I64 => Val::I64(cursor.read(Representation::I64)),
                ValType::F32 => Val::F32(cursor.read(Representation::F32)),
                ValType::F64 => Val::F64(cursor.read(Representation::F64)),
                ValType::V128 => Val::V128(V128(cursor.read(Representation::V128))),
                ValType::Ref(ty) => {
                    let representation = Representation::of_reference(ty.heap_type().to_module());
                    let bits = match representation {
                        Representation::Pointer => {
                            cursor.read::<usize>(Representation::Pointer) as u64
                        }
                        _ => cursor.read::<u32>(Representation::I32).into(),
                    };
                    Ref::from_bits(store, representation, bits).into()
                }
            }
        }
    }

    /// Writes the value as the next one of a signature.
    ///
    /// # Safety
    ///
    /// The value belongs to the store that the places belong to, and
    /// is of the type that the signature has there.
    pub(crate) unsafe fn write<P: Places>(&self, cursor: &mut P) {
        // SAFETY: as in `read`.
        unsafe {
            match *self {
                Val::I32(value) => cursor.write(Representation::I32, value),
                Val::I64(value) => cursor.write(Representation::I64, value),
                Val::F32(bits) => cursor.write(Representation::F32, bits),
                Val::F64(bits) => cursor.write(Representation::F64, bits),
                Val::V128(value) => cursor.write(Representation::V128, value.0),
                Val::FuncRef(func) => cursor.write(
                    Representation::Pointer,
                    func.map_or(core::ptr::null_mut(), |func| func.raw().as_ptr()),
                ),
                Val::ExternRef(reference) => cursor.write(
                    Representation::I32,
                    reference.map_or(0, |reference| reference.id),
                ),
            }
        }
    }

    /// The value as a global holds it.
    pub(crate) fn to_global(self) -> VmGlobalDefinition {
        match self {
            Val::I32(value) => VmGlobalDefinition::from_bytes(&value.to_ne_bytes()),
            Val::I64(value) => VmGlobalDefinition::from_bytes(&value.to_ne_bytes()),
            Val::F32(bits) => VmGlobalDefinition::from_bytes(&bits.to_ne_bytes()),
            Val::F64(bits) => VmGlobalDefinition::from_bytes(&bits.to_ne_bytes()),
            // Lane 0 first on every machine, as in memories and slots.
            Val::V128(value) => VmGlobalDefinition::from_bytes(&value.0.to_le_bytes()),
            Val::FuncRef(_) => {
                let bits = Ref::to_bits(self.ref_().unwrap_or(Ref::Func(None))) as usize;
                VmGlobalDefinition::from_bytes(&bits.to_ne_bytes())
            }
            Val::ExternRef(_) => {
                let bits = Ref::to_bits(self.ref_().unwrap_or(Ref::Extern(None))) as u32;
                VmGlobalDefinition::from_bytes(&bits.to_ne_bytes())
            }
        }
    }

    /// The value that a global of type `ty` holds.
    ///
    /// # Safety
    ///
    /// `definition` is that of a global of `store` of type `ty`.
    pub(crate) unsafe fn from_global(
        store: &StoreOpaque,
        definition: VmGlobalDefinition,
        ty: &ValType,
    ) -> Val {
        match ty {
            ValType::I32 => Val::I32(i32::from_ne_bytes(definition.bytes())),
            ValType::I64 => Val::I64(i64::from_ne_bytes(definition.bytes())),
            ValType::F32 => Val::F32(u32::from_ne_bytes(definition.bytes())),
            ValType::F64 => Val::F64(u64::from_ne_bytes(definition.bytes())),
            ValType::V128 => Val::V128(V128(u128::from_le_bytes(definition.bytes()))),
            ValType::Ref(ty) => {
                let representation = Representation::of_reference(ty.heap_type().to_module());
                let bits = match representation {
                    Representation::Pointer => usize::from_ne_bytes(definition.bytes()) as u64,
                    _ => u32::from_ne_bytes(definition.bytes()).into(),
                };
                // SAFETY: the caller promises a value of the store and type.
                unsafe { Ref::from_bits(store, representation, bits) }.into()
            }
        }
    }
}

impl From<Ref> for Val {
    fn from(reference: Ref) -> Val {
        match reference {
            Ref::Func(func) => Val::FuncRef(func),
            Ref::Extern(reference) => Val::ExternRef(reference),
        }
    }
}

macro_rules! from_rust {
    ($($ty:ty: $value:ident => $val:expr;)*) => {
        $(
            impl From<$ty> for Val {
                fn from($value: $ty) -> Val {
                    $val
                }
            }
        )*
    };
}

from_rust! {
    i32: value => Val::I32(value);
    i64: value => Val::I64(value);
    f32: value => Val::F32(value.to_bits());
    f64: value => Val::F64(value.to_bits());
    V128: value => Val::V128(value);
    u128: value => Val::V128(V128(value));
    Func: value => Val::FuncRef(Some(value));
    Option<Func>: value => Val::FuncRef(value);
    Rooted<ExternRef>: value => Val::ExternRef(Some(value));
    Option<Rooted<ExternRef>>: value => Val::ExternRef(value);
}
