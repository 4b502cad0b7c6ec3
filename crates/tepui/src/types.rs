//! What types do values and functions have, as an embedder meets them?
//!
//! A defined function type ([`FuncType`]) belongs to the engine that made it
//! and keeps its canonical form alive; every other type is plain data. `==` is
//! equality and [`matches`](ValType::matches) is subtyping in the sense of the
//! specification; types of two engines are neither equal nor subtypes. What is
//! imported and exported has the types of [`external`].

use alloc::sync::Arc;
use core::fmt;
use core::hash::{Hash, Hasher};

use tepui_module::{self as module, RecGroup, SubType, TypeId, TypeLookup, limits};

mod external;

pub use external::{
    ExportType, ExternType, GlobalType, ImportType, MemoryType, MemoryTypeBuilder, Mutability,
    TableType, TagType,
};

use crate::engine::Engine;
use crate::error::{Error, Result};
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// *valtype*: the type of a value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ValType {
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `v128`
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// `funcref`
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `nullfuncref`
    pub const NULLFUNCREF: ValType = ValType::Ref(RefType::NULLFUNCREF);
    /// `externref`
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// `nullexternref`
    pub const NULLEXTERNREF: ValType = ValType::Ref(RefType::NULLEXTERNREF);

    /// Whether it is `i32`, `i64`, `f32` or `f64`.
    pub fn is_num(&self) -> bool {
        matches!(
            self,
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64
        )
    }

    /// Whether it is `i32`.
    pub fn is_i32(&self) -> bool {
        matches!(self, ValType::I32)
    }

    /// Whether it is `i64`.
    pub fn is_i64(&self) -> bool {
        matches!(self, ValType::I64)
    }

    /// Whether it is `f32`.
    pub fn is_f32(&self) -> bool {
        matches!(self, ValType::F32)
    }

    /// Whether it is `f64`.
    pub fn is_f64(&self) -> bool {
        matches!(self, ValType::F64)
    }

    /// Whether it is `v128`.
    pub fn is_v128(&self) -> bool {
        matches!(self, ValType::V128)
    }

    /// Whether it is a reference type.
    pub fn is_ref(&self) -> bool {
        matches!(self, ValType::Ref(_))
    }

    /// Whether it is exactly `funcref`.
    pub fn is_funcref(&self) -> bool {
        *self == ValType::FUNCREF
    }

    /// Whether it is exactly `externref`.
    pub fn is_externref(&self) -> bool {
        *self == ValType::EXTERNREF
    }

    /// The reference type, when it is one.
    pub fn as_ref(&self) -> Option<&RefType> {
        match self {
            ValType::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    /// The reference type.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn unwrap_ref(&self) -> &RefType {
        self.as_ref()
            .unwrap_or_else(|| panic!("{self} is not a reference type"))
    }

    /// Whether it is a subtype of `other`, or `other` itself.
    pub fn matches(&self, other: &ValType) -> bool {
        match (self, other) {
            (ValType::Ref(a), ValType::Ref(b)) => a.matches(b),
            (a, b) => a == b,
        }
    }

    /// Whether the type belongs to no engine, or to `engine`.
    pub(crate) fn comes_from_same_engine(&self, engine: &Engine) -> bool {
        self.as_ref()
            .is_none_or(|ty| ty.comes_from_same_engine(engine))
    }

    /// The type as modules name it, of use while `self` is held.
    pub(crate) fn to_module(&self) -> module::ValType {
        match self {
            ValType::I32 => module::ValType::I32,
            ValType::I64 => module::ValType::I64,
            ValType::F32 => module::ValType::F32,
            ValType::F64 => module::ValType::F64,
            ValType::V128 => module::ValType::V128,
            ValType::Ref(ty) => module::ValType::Ref(ty.to_module()),
        }
    }

    /// The type that a module names `ty`.
    ///
    /// Takes the lock of the registry for defined types, so it must not be
    /// held. `ty` must be alive in `engine`: something that mentions it is held.
    pub(crate) fn from_module(engine: &Engine, ty: module::ValType) -> ValType {
        match ty {
            module::ValType::I32 => ValType::I32,
            module::ValType::I64 => ValType::I64,
            module::ValType::F32 => ValType::F32,
            module::ValType::F64 => ValType::F64,
            module::ValType::V128 => ValType::V128,
            module::ValType::Ref(ty) => ValType::Ref(RefType::from_module(engine, ty)),
        }
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::Ref(ty) => fmt::Display::fmt(ty, f),
            other => fmt::Display::fmt(&other.to_module(), f),
        }
    }
}

impl fmt::Debug for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// *reftype*: a heap type, and whether null belongs to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RefType {
    nullable: bool,
    heap_type: HeapType,
}

impl RefType {
    /// `funcref`
    pub const FUNCREF: RefType = RefType::abstract_null(HeapType::Func);
    /// `nullfuncref`
    pub const NULLFUNCREF: RefType = RefType::abstract_null(HeapType::NoFunc);
    /// `externref`
    pub const EXTERNREF: RefType = RefType::abstract_null(HeapType::Extern);
    /// `nullexternref`
    pub const NULLEXTERNREF: RefType = RefType::abstract_null(HeapType::NoExtern);

    const fn abstract_null(heap_type: HeapType) -> RefType {
        RefType {
            nullable: true,
            heap_type,
        }
    }

    /// `(ref null heap_type)` when `is_nullable`, or else `(ref heap_type)`.
    pub fn new(is_nullable: bool, heap_type: HeapType) -> RefType {
        RefType {
            nullable: is_nullable,
            heap_type,
        }
    }

    /// Whether null belongs to it.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What a reference that is not null refers to.
    pub fn heap_type(&self) -> &HeapType {
        &self.heap_type
    }

    /// Whether it is a subtype of `other`, or `other` itself.
    pub fn matches(&self, other: &RefType) -> bool {
        (other.nullable || !self.nullable) && self.heap_type.matches(&other.heap_type)
    }

    pub(crate) fn comes_from_same_engine(&self, engine: &Engine) -> bool {
        match &self.heap_type {
            HeapType::ConcreteFunc(ty) => ty.comes_from_same_engine(engine),
            _ => true,
        }
    }

    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::RefType {
        module::RefType::new(self.nullable, self.heap_type.to_module())
    }

    /// See [`ValType::from_module`].
    pub(crate) fn from_module(engine: &Engine, ty: module::RefType) -> RefType {
        RefType::new(ty.nullable, HeapType::from_module(engine, ty.heap))
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.heap_type {
            HeapType::ConcreteFunc(ty) => {
                let null = if self.nullable { "null " } else { "" };
                write!(f, "(ref {null}{ty})")
            }
            _ => fmt::Display::fmt(&self.to_module(), f),
        }
    }
}

impl fmt::Debug for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// *heaptype*: what a reference refers to.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapType {
    /// `extern`: any value of the host.
    Extern,
    /// `noextern`: nothing; the bottom of the host's types.
    NoExtern,
    /// `func`: any function.
    Func,
    /// A function of a defined type.
    ConcreteFunc(FuncType),
    /// `nofunc`: nothing; the bottom of the function types.
    NoFunc,
    /// `any`: any value of the Wasm heap.
    Any,
    /// `eq`: any value that `ref.eq` compares.
    Eq,
    /// `i31`: an unboxed 31-bit integer.
    I31,
    /// `struct`: any structure.
    Struct,
    /// `array`: any array.
    Array,
    /// `none`: nothing; the bottom of the `any` types.
    None,
    /// `exn`: any exception.
    Exn,
    /// `noexn`: nothing; the bottom of the exception types.
    NoExn,
    /// `cont`: any continuation.
    Cont,
    /// `nocont`: nothing; the bottom of the continuation types.
    NoCont,
}

impl HeapType {
    /// Whether it is `extern`.
    pub fn is_extern(&self) -> bool {
        matches!(self, HeapType::Extern)
    }

    /// Whether it is `func`.
    pub fn is_func(&self) -> bool {
        matches!(self, HeapType::Func)
    }

    /// Whether it is `nofunc`.
    pub fn is_no_func(&self) -> bool {
        matches!(self, HeapType::NoFunc)
    }

    /// Whether it is a defined type.
    pub fn is_concrete(&self) -> bool {
        matches!(self, HeapType::ConcreteFunc(_))
    }

    /// Whether it is none of the defined types.
    pub fn is_abstract(&self) -> bool {
        !self.is_concrete()
    }

    /// The defined function type, when it is one.
    pub fn as_concrete_func(&self) -> Option<&FuncType> {
        match self {
            HeapType::ConcreteFunc(ty) => Some(ty),
            _ => None,
        }
    }

    /// The type above all others of its hierarchy.
    pub fn top(&self) -> HeapType {
        match self {
            HeapType::Func | HeapType::ConcreteFunc(_) | HeapType::NoFunc => HeapType::Func,
            HeapType::Extern | HeapType::NoExtern => HeapType::Extern,
            HeapType::Exn | HeapType::NoExn => HeapType::Exn,
            HeapType::Cont | HeapType::NoCont => HeapType::Cont,
            HeapType::Any
            | HeapType::Eq
            | HeapType::I31
            | HeapType::Struct
            | HeapType::Array
            | HeapType::None => HeapType::Any,
        }
    }

    /// The type below all others of its hierarchy.
    pub fn bottom(&self) -> HeapType {
        match self.top() {
            HeapType::Func => HeapType::NoFunc,
            HeapType::Extern => HeapType::NoExtern,
            HeapType::Exn => HeapType::NoExn,
            HeapType::Cont => HeapType::NoCont,
            _ => HeapType::None,
        }
    }

    /// Whether it is a subtype of `other`, or `other` itself.
    pub fn matches(&self, other: &HeapType) -> bool {
        if let (Some(a), Some(b)) = (self.as_concrete_func(), other.as_concrete_func()) {
            return a.matches(b);
        }
        /// What the two types know of themselves; no lock is needed.
        struct Known<'a>([Option<&'a FuncType>; 2]);
        impl TypeLookup for Known<'_> {
            fn sub_type(&self, id: TypeId) -> Option<&SubType> {
                let mut known = self.0.iter().flatten();
                known.find(|ty| ty.type_id() == id).map(|ty| ty.sub_type())
            }
        }
        Known([self.as_concrete_func(), other.as_concrete_func()])
            .is_sub_heap(self.to_module(), other.to_module())
    }

    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::HeapType {
        match self {
            HeapType::Extern => module::HeapType::Extern,
            HeapType::NoExtern => module::HeapType::NoExtern,
            HeapType::Func => module::HeapType::Func,
            HeapType::ConcreteFunc(ty) => module::HeapType::Concrete(ty.type_id()),
            HeapType::NoFunc => module::HeapType::NoFunc,
            HeapType::Any => module::HeapType::Any,
            HeapType::Eq => module::HeapType::Eq,
            HeapType::I31 => module::HeapType::I31,
            HeapType::Struct => module::HeapType::Struct,
            HeapType::Array => module::HeapType::Array,
            HeapType::None => module::HeapType::None,
            HeapType::Exn => module::HeapType::Exn,
            HeapType::NoExn => module::HeapType::NoExn,
            HeapType::Cont => module::HeapType::Cont,
            HeapType::NoCont => module::HeapType::NoCont,
        }
    }

    /// See [`ValType::from_module`].
    ///
    /// # Panics
    ///
    /// When `ty` is a defined type that is not alive, or not a function type:
    /// modules with other defined types are refused before anything asks.
    pub(crate) fn from_module(engine: &Engine, ty: module::HeapType) -> HeapType {
        match ty {
            module::HeapType::Extern => HeapType::Extern,
            module::HeapType::NoExtern => HeapType::NoExtern,
            module::HeapType::Func => HeapType::Func,
            module::HeapType::Concrete(id) => HeapType::ConcreteFunc(FuncType::from_id(engine, id)),
            module::HeapType::NoFunc => HeapType::NoFunc,
            module::HeapType::Any => HeapType::Any,
            module::HeapType::Eq => HeapType::Eq,
            module::HeapType::I31 => HeapType::I31,
            module::HeapType::Struct => HeapType::Struct,
            module::HeapType::Array => HeapType::Array,
            module::HeapType::None => HeapType::None,
            module::HeapType::Exn => HeapType::Exn,
            module::HeapType::NoExn => HeapType::NoExn,
            module::HeapType::Cont => HeapType::Cont,
            module::HeapType::NoCont => HeapType::NoCont,
        }
    }
}

impl From<FuncType> for HeapType {
    fn from(ty: FuncType) -> HeapType {
        HeapType::ConcreteFunc(ty)
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeapType::ConcreteFunc(ty) => fmt::Display::fmt(ty, f),
            other => fmt::Display::fmt(&other.to_module(), f),
        }
    }
}

impl fmt::Debug for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// *functype*: the parameters and results of a function.
///
/// It belongs to the engine that it was made with; cloning is cheap.
#[derive(Clone)]
pub struct FuncType {
    engine: Engine,
    /// Keeps the type, and all that it mentions, registered.
    group: Arc<RecGroup>,
    /// The type's place in the group.
    position: u32,
}

impl FuncType {
    /// The function type with these parameters and results.
    ///
    /// # Panics
    ///
    /// Where [`FuncType::try_new`] fails.
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        match FuncType::try_new(engine, params, results) {
            Ok(ty) => ty,
            Err(error) => panic!("cannot make a function type: {error:#}"),
        }
    }

    /// The function type with these parameters and results.
    ///
    /// # Errors
    ///
    /// When there are more than 1,000 parameters or results, when a type among
    /// them belongs to another engine, or when the engine has run out of type
    /// ids.
    pub fn try_new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Result<FuncType> {
        // Held until the new type, which mentions them, is registered. One more
        // than is allowed shows that there are too many, without taking all.
        let params: Vec<_> = params
            .into_iter()
            .take(limits::FUNCTION_PARAMS + 1)
            .collect();
        let results: Vec<_> = results
            .into_iter()
            .take(limits::FUNCTION_RESULTS + 1)
            .collect();
        for (types, limit, what) in [
            (&params, limits::FUNCTION_PARAMS, "parameters"),
            (&results, limits::FUNCTION_RESULTS, "results"),
        ] {
            if types.len() > limit {
                return Err(Error::msg(format!(
                    "a function type has at most {limit} {what}"
                )));
            }
            if let Some(foreign) = types.iter().find(|ty| !ty.comes_from_same_engine(engine)) {
                return Err(Error::msg(format!(
                    "type {foreign} among the {what} belongs to another engine"
                )));
            }
        }
        let ty = module::FuncType::new(
            params.iter().map(ValType::to_module).collect::<Vec<_>>(),
            results.iter().map(ValType::to_module).collect::<Vec<_>>(),
        );
        let group = engine.types_mut().register_func(&ty)?;
        Ok(FuncType {
            engine: engine.clone(),
            group,
            position: 0,
        })
    }

    /// The defined type `id`, which is alive in `engine`.
    ///
    /// # Panics
    ///
    /// When it is not, or not a function type.
    pub(crate) fn from_id(engine: &Engine, id: TypeId) -> FuncType {
        let group = engine
            .group_of(id)
            .unwrap_or_else(|| panic!("type {id} is not alive"));
        FuncType::from_group(engine, group, id)
    }

    /// The type `id` of `group`, without asking the registry.
    ///
    /// # Panics
    ///
    /// When `group` has no function type of this id.
    pub(crate) fn from_group(engine: &Engine, group: Arc<RecGroup>, id: TypeId) -> FuncType {
        let position = group
            .types()
            .iter()
            .position(|ty| ty.id() == id && ty.as_func().is_some())
            .unwrap_or_else(|| panic!("type {id} is not a function type of its group"));
        FuncType {
            engine: engine.clone(),
            group,
            position: position as u32,
        }
    }

    /// The engine that the type belongs to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The canonical name, which is the type's for as long as `self` is held.
    #[inline]
    pub(crate) fn type_id(&self) -> TypeId {
        self.sub_type().id()
    }

    #[inline]
    fn sub_type(&self) -> &SubType {
        &self.group.types()[self.position as usize]
    }

    #[inline]
    fn func(&self) -> &module::FuncType {
        match self.sub_type().as_func() {
            Some(ty) => ty,
            None => unreachable!("only function types are held"),
        }
    }

    /// Calls `look` with the type as modules know it.
    #[inline]
    #[cfg(feature = "compiler")]
    pub(crate) fn with_module_type<R>(&self, look: impl FnOnce(&module::FuncType) -> R) -> R {
        look(self.func())
    }

    /// Parameter `i`, if there are so many.
    pub fn param(&self, i: usize) -> Option<ValType> {
        let ty = *self.func().params.get(i)?;
        Some(ValType::from_module(&self.engine, ty))
    }

    /// The parameters.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        let types = self.func().params.iter();
        types.map(|ty| ValType::from_module(&self.engine, *ty))
    }

    /// Result `i`, if there are so many.
    pub fn result(&self, i: usize) -> Option<ValType> {
        let ty = *self.func().results.get(i)?;
        Some(ValType::from_module(&self.engine, ty))
    }

    /// The results.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        let types = self.func().results.iter();
        types.map(|ty| ValType::from_module(&self.engine, *ty))
    }

    /// Whether it is `other` or declared, directly or not, to be a subtype of it.
    pub fn matches(&self, other: &FuncType) -> bool {
        self.group.registry() == other.group.registry()
            && self.sub_type().is_subtype_of(other.sub_type())
    }

    pub(crate) fn comes_from_same_engine(&self, engine: &Engine) -> bool {
        Engine::same(&self.engine, engine)
    }
}

impl PartialEq for FuncType {
    fn eq(&self, other: &FuncType) -> bool {
        self.group.registry() == other.group.registry() && self.type_id() == other.type_id()
    }
}

impl Eq for FuncType {}

impl Hash for FuncType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.type_id().hash(state);
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Types that it mentions are shown by number: they may mention this
        // one in turn.
        fmt::Display::fmt(self.func(), f)
    }
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        Engine::default()
    }

    #[test]
    fn function_types_are_canonical() {
        let engine = engine();
        let a = FuncType::new(&engine, [ValType::I32, ValType::EXTERNREF], [ValType::F64]);
        let b = FuncType::new(&engine, [ValType::I32, ValType::EXTERNREF], [ValType::F64]);
        let c = FuncType::new(&engine, [ValType::I32], [ValType::F64]);
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert!(a.matches(&b) && !a.matches(&c));
        assert_eq!(a.to_string(), "(func (param i32 externref) (result f64))");
        assert_eq!(a.params().len(), 2);
        assert_eq!(a.params().nth(1), Some(ValType::EXTERNREF));
        assert_eq!((a.param(2), a.result(0)), (None, Some(ValType::F64)));
    }

    #[test]
    fn function_types_of_two_engines_are_strangers() {
        let (one, two) = (engine(), engine());
        let a = FuncType::new(&one, [ValType::I32], []);
        let b = FuncType::new(&two, [ValType::I32], []);
        assert_eq!(a.type_id(), b.type_id(), "the numbers collide");
        assert_ne!(a, b);
        assert!(!a.matches(&b));
        let (a, b) = (HeapType::from(a), HeapType::from(b));
        assert!(!a.matches(&b) && a != b);
        let error = FuncType::try_new(&one, [RefType::new(true, b).into()], []).unwrap_err();
        assert!(error.to_string().contains("another engine"), "{error}");
    }

    #[test]
    fn a_function_type_keeps_what_it_mentions() {
        let engine = engine();
        let inner = FuncType::new(&engine, [ValType::V128], []);
        let id = inner.type_id();
        let outer = FuncType::new(&engine, [RefType::new(false, inner.into()).into()], []);
        engine.types_mut().sweep();
        let again = outer.param(0).unwrap();
        let again = again.unwrap_ref().heap_type().as_concrete_func().unwrap();
        assert_eq!(again.type_id(), id);
        assert_eq!(again.param(0), Some(ValType::V128));
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let engine = engine();
        assert!(FuncType::try_new(&engine, vec![ValType::I64; 1_000], []).is_ok());
        assert!(FuncType::try_new(&engine, vec![ValType::I64; 1_001], []).is_err());
        assert!(FuncType::try_new(&engine, [], std::iter::repeat(ValType::I64)).is_err());
    }

    #[test]
    fn references_are_subtypes_by_the_rules() {
        let engine = engine();
        let func = HeapType::from(FuncType::new(&engine, [], []));
        let other = HeapType::from(FuncType::new(&engine, [ValType::I32], []));
        assert!(func.matches(&HeapType::Func));
        assert!(HeapType::NoFunc.matches(&func));
        assert!(!func.matches(&other));
        assert!(!func.matches(&HeapType::Extern));
        assert!(!HeapType::Func.matches(&func));
        assert!(HeapType::I31.matches(&HeapType::Any));
        let nullable = RefType::new(true, func.clone());
        let non_null = RefType::new(false, func.clone());
        assert!(non_null.matches(&nullable) && !nullable.matches(&non_null));
        assert!(nullable.matches(&RefType::FUNCREF));
        assert!(ValType::NULLFUNCREF.matches(&nullable.into()));
        assert!(!ValType::I32.matches(&ValType::I64));
        assert_eq!(func.top(), HeapType::Func);
        assert_eq!(HeapType::Struct.bottom(), HeapType::None);
    }
}
