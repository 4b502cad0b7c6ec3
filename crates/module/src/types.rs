//! What types does WebAssembly have? Values of the type grammar, in canonical form.
//!
//! The grammar is that of the core specification, section 2.3 "Types". A type
//! here never mentions a module's type index: a defined type is named by its
//! [`TypeId`], which [`TypeRegistry`](crate::TypeRegistry) gives to each
//! canonical type of an engine. Two types are therefore equal in the sense of
//! the specification exactly when they are `==`.
//!
//! Every type displays as it is written in the text format; defined types,
//! which have no name there, as `(type N)` with the number of the `TypeId`.

use alloc::boxed::Box;
use core::fmt;

/// The canonical name of a defined type within one engine.
///
/// Equal ids mean equal types. Ids are dense and small, so tables may be
/// indexed by them. An id means something only together with the
/// [`TypeRegistry`](crate::TypeRegistry) that gave it, and only while a
/// [`RecGroup`](crate::RecGroup) that contains it is held; afterwards the
/// number may be given to another type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct TypeId(u32);

impl TypeId {
    /// The id with the given number.
    #[inline]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number of this id.
    #[inline]
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The number of this id, ready to index a slice.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// *valtype*: the type of a value on the operand stack, in a local or a global.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
    pub const FUNCREF: Self = Self::Ref(RefType::FUNCREF);
    /// `externref`
    pub const EXTERNREF: Self = Self::Ref(RefType::EXTERNREF);

    /// Whether the type is a reference type.
    #[inline]
    pub const fn is_ref(self) -> bool {
        matches!(self, Self::Ref(_))
    }

    /// The reference type, when it is one.
    #[inline]
    pub const fn as_ref_type(self) -> Option<RefType> {
        match self {
            Self::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether a local of this type has a default value (specification, "Defaultable Types").
    #[inline]
    pub const fn is_defaultable(self) -> bool {
        match self {
            Self::Ref(ty) => ty.nullable,
            _ => true,
        }
    }

    /// Whether values are numbers held in integer registers: `i32` and `i64`.
    #[inline]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }

    /// Whether values are held in vector registers: `f32`, `f64` and `v128`.
    #[inline]
    pub const fn is_float_or_vector(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::V128)
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> Self {
        Self::Ref(ty)
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::V128 => f.write_str("v128"),
            Self::Ref(ty) => fmt::Display::fmt(ty, f),
        }
    }
}

/// *reftype*: a heap type and whether null belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RefType {
    /// Whether null is a value of the type.
    pub nullable: bool,
    /// What a reference that is not null refers to.
    pub heap: HeapType,
}

impl RefType {
    /// `funcref`, that is `(ref null func)`.
    pub const FUNCREF: Self = Self::new(true, HeapType::Func);
    /// `externref`, that is `(ref null extern)`.
    pub const EXTERNREF: Self = Self::new(true, HeapType::Extern);

    /// The reference type of the given nullability and heap type.
    #[inline]
    pub const fn new(nullable: bool, heap: HeapType) -> Self {
        Self { nullable, heap }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nullable {
            let short = match self.heap {
                HeapType::Func => "funcref",
                HeapType::NoFunc => "nullfuncref",
                HeapType::Extern => "externref",
                HeapType::NoExtern => "nullexternref",
                HeapType::Any => "anyref",
                HeapType::Eq => "eqref",
                HeapType::I31 => "i31ref",
                HeapType::Struct => "structref",
                HeapType::Array => "arrayref",
                HeapType::None => "nullref",
                HeapType::Exn => "exnref",
                HeapType::NoExn => "nullexnref",
                HeapType::Cont => "contref",
                HeapType::NoCont => "nullcontref",
                HeapType::Concrete(_) => return write!(f, "(ref null {})", self.heap),
            };
            f.write_str(short)
        } else {
            write!(f, "(ref {})", self.heap)
        }
    }
}

/// *heaptype*: what a reference refers to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HeapType {
    /// `func`: any function.
    Func,
    /// `nofunc`: the bottom of the function types.
    NoFunc,
    /// `extern`: any value of the host.
    Extern,
    /// `noextern`: the bottom of the host types.
    NoExtern,
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
    /// `none`: the bottom of the `any` types.
    None,
    /// `exn`: any exception.
    Exn,
    /// `noexn`: the bottom of the exception types.
    NoExn,
    /// `cont`: any continuation.
    Cont,
    /// `nocont`: the bottom of the continuation types.
    NoCont,
    /// A defined type.
    Concrete(TypeId),
}

impl HeapType {
    /// The defined type's id, when it is one.
    #[inline]
    pub const fn as_concrete(self) -> Option<TypeId> {
        match self {
            Self::Concrete(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Func => "func",
            Self::NoFunc => "nofunc",
            Self::Extern => "extern",
            Self::NoExtern => "noextern",
            Self::Any => "any",
            Self::Eq => "eq",
            Self::I31 => "i31",
            Self::Struct => "struct",
            Self::Array => "array",
            Self::None => "none",
            Self::Exn => "exn",
            Self::NoExn => "noexn",
            Self::Cont => "cont",
            Self::NoCont => "nocont",
            Self::Concrete(id) => return write!(f, "(type {id})"),
        })
    }
}

/// *functype*: parameters and results, at most 1,000 of each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FuncType {
    /// The types of the parameters, in order.
    pub params: Box<[ValType]>,
    /// The types of the results, in order.
    pub results: Box<[ValType]>,
}

impl FuncType {
    /// A function type with the given parameters and results.
    pub fn new(params: impl Into<Box<[ValType]>>, results: impl Into<Box<[ValType]>>) -> Self {
        Self {
            params: params.into(),
            results: results.into(),
        }
    }
}

fn write_types(f: &mut fmt::Formatter<'_>, keyword: &str, types: &[ValType]) -> fmt::Result {
    if types.is_empty() {
        return Ok(());
    }
    write!(f, " ({keyword}")?;
    for ty in types {
        write!(f, " {ty}")?;
    }
    f.write_str(")")
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        write_types(f, "param", &self.params)?;
        write_types(f, "result", &self.results)?;
        f.write_str(")")
    }
}

/// *storagetype*: what a field of a structure or array holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StorageType {
    /// A packed 8-bit integer.
    I8,
    /// A packed 16-bit integer.
    I16,
    /// A value.
    Val(ValType),
}

impl StorageType {
    /// The type that the field has on the operand stack: `i32` for packed fields.
    pub const fn unpacked(self) -> ValType {
        match self {
            Self::I8 | Self::I16 => ValType::I32,
            Self::Val(ty) => ty,
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I8 => f.write_str("i8"),
            Self::I16 => f.write_str("i16"),
            Self::Val(ty) => fmt::Display::fmt(ty, f),
        }
    }
}

/// *fieldtype*: a storage type and whether the field may be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldType {
    /// What the field holds.
    pub storage: StorageType,
    /// Whether the field may be written after the object is made.
    pub mutable: bool,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mutable {
            write!(f, "(mut {})", self.storage)
        } else {
            fmt::Display::fmt(&self.storage, f)
        }
    }
}

/// *comptype*: the structure of a defined type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CompositeType {
    /// A function.
    Func(FuncType),
    /// A structure, with its fields.
    Struct(Box<[FieldType]>),
    /// An array, with its element.
    Array(FieldType),
    /// A continuation of the given function type.
    Cont(TypeId),
}

impl CompositeType {
    /// The function type, when it is one.
    #[inline]
    pub const fn as_func(&self) -> Option<&FuncType> {
        match self {
            Self::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// The abstract heap type directly above every type of this kind.
    pub const fn abstract_supertype(&self) -> HeapType {
        match self {
            Self::Func(_) => HeapType::Func,
            Self::Struct(_) => HeapType::Struct,
            Self::Array(_) => HeapType::Array,
            Self::Cont(_) => HeapType::Cont,
        }
    }
}

impl fmt::Display for CompositeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(ty) => fmt::Display::fmt(ty, f),
            Self::Struct(fields) => {
                f.write_str("(struct")?;
                for field in fields {
                    write!(f, " (field {field})")?;
                }
                f.write_str(")")
            }
            Self::Array(element) => write!(f, "(array {element})"),
            Self::Cont(id) => write!(f, "(cont (type {id}))"),
        }
    }
}

/// *tabletype*: the element type and the limits, in elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableType {
    /// The type of the elements.
    pub element: RefType,
    /// Elements at the start.
    pub minimum: u64,
    /// The greatest number of elements, if declared.
    pub maximum: Option<u64>,
    /// Whether the table is indexed by `i64` instead of `i32`.
    pub table64: bool,
}

impl TableType {
    /// The type of indices into the table.
    pub const fn index_type(&self) -> ValType {
        if self.table64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    /// The greatest number of elements that the type allows: the declared
    /// maximum, or else what the index type can count.
    pub const fn size_limit(&self) -> u64 {
        let limit = if self.table64 {
            u64::MAX
        } else {
            u32::MAX as u64
        };
        match self.maximum {
            Some(maximum) if maximum < limit => maximum,
            _ => limit,
        }
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(table {}{}", index_prefix(self.table64), self.minimum)?;
        if let Some(maximum) = self.maximum {
            write!(f, " {maximum}")?;
        }
        write!(f, " {})", self.element)
    }
}

fn index_prefix(is_64: bool) -> &'static str {
    if is_64 { "i64 " } else { "" }
}

/// *memtype*: the limits of a linear memory, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemoryType {
    /// Pages at the start.
    pub minimum: u64,
    /// The greatest number of pages, if declared. Shared memories always declare it.
    pub maximum: Option<u64>,
    /// Whether threads may share the memory (threads proposal).
    pub shared: bool,
    /// Whether the memory is indexed by `i64` instead of `i32` (memory64 proposal).
    pub memory64: bool,
    /// The base-2 logarithm of the page size in bytes: 16, or 0 under the
    /// custom-page-sizes proposal.
    pub page_size_log2: u8,
}

impl MemoryType {
    /// The page size of memories that do not declare one: 64 KiB.
    pub const DEFAULT_PAGE_SIZE_LOG2: u8 = 16;

    /// The size of a page in bytes.
    #[inline]
    pub const fn page_size(&self) -> u64 {
        1 << self.page_size_log2
    }

    /// The type of addresses.
    #[inline]
    pub const fn index_type(&self) -> ValType {
        if self.memory64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    /// The size in bytes of `pages` pages, or `None` when it is 2^64 or more.
    #[inline]
    pub const fn bytes(&self, pages: u64) -> Option<u64> {
        if pages > u64::MAX >> self.page_size_log2 {
            return None;
        }
        Some(pages << self.page_size_log2)
    }

    /// The size at the start in bytes, or `None` when it is 2^64 or more.
    #[inline]
    pub const fn minimum_bytes(&self) -> Option<u64> {
        self.bytes(self.minimum)
    }

    /// The greatest number of pages that the type allows: the declared maximum,
    /// or else what the index type can address.
    ///
    /// `memory.grow` beyond it fails. For a 32-bit memory with 64 KiB pages the
    /// answer is at most 65,536; for one with 1-byte pages at most 2^32-1,
    /// because the size must be an `i32`.
    pub const fn page_limit(&self) -> u64 {
        let limit = if self.memory64 {
            if self.page_size_log2 == 0 {
                u64::MAX
            } else {
                1 << (64 - self.page_size_log2 as u32)
            }
        } else if self.page_size_log2 == 0 {
            u32::MAX as u64
        } else {
            1 << (32 - self.page_size_log2 as u32)
        };
        match self.maximum {
            Some(maximum) if maximum < limit => maximum,
            _ => limit,
        }
    }

    /// The greatest size in bytes that the type allows, held to 2^64-1.
    pub const fn byte_limit(&self) -> u64 {
        match self.bytes(self.page_limit()) {
            Some(bytes) => bytes,
            None => u64::MAX,
        }
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(memory {}{}", index_prefix(self.memory64), self.minimum)?;
        if let Some(maximum) = self.maximum {
            write!(f, " {maximum}")?;
        }
        if self.shared {
            f.write_str(" shared")?;
        }
        if self.page_size_log2 != Self::DEFAULT_PAGE_SIZE_LOG2 {
            write!(f, " (pagesize {})", self.page_size())?;
        }
        f.write_str(")")
    }
}

/// *globaltype*: the type of the value and whether it may change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GlobalType {
    /// The type of the value.
    pub content: ValType,
    /// Whether `global.set` may write it.
    pub mutable: bool,
}

impl fmt::Display for GlobalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mutable {
            write!(f, "(global (mut {}))", self.content)
        } else {
            write!(f, "(global {})", self.content)
        }
    }
}

/// *tagtype*: the function type whose parameters an exception of the tag carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TagType {
    /// The canonical function type.
    pub ty: TypeId,
}

impl fmt::Display for TagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(tag (type {}))", self.ty)
    }
}

/// *externtype*: the type of something imported or exported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExternType {
    /// A function of a canonical type.
    Func(TypeId),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag.
    Tag(TagType),
}

impl ExternType {
    /// The word for the kind, as in the text format: `func`, `table`, `memory`, `global` or `tag`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Func(_) => "func",
            Self::Table(_) => "table",
            Self::Memory(_) => "memory",
            Self::Global(_) => "global",
            Self::Tag(_) => "tag",
        }
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(id) => write!(f, "(func (type {id}))"),
            Self::Table(ty) => fmt::Display::fmt(ty, f),
            Self::Memory(ty) => fmt::Display::fmt(ty, f),
            Self::Global(ty) => fmt::Display::fmt(ty, f),
            Self::Tag(ty) => fmt::Display::fmt(ty, f),
        }
    }
}
