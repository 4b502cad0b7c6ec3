//! What types do globals, tables, memories and other imports and exports have?

use core::fmt;

use tepui_module as module;

use super::{FuncType, RefType, ValType};
use crate::engine::Engine;
use crate::error::{Error, Result};
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// Whether a global may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutability {
    /// It keeps its first value.
    Const,
    /// `global.set` may write it.
    Var,
}

impl Mutability {
    /// Whether it keeps its first value.
    pub fn is_const(self) -> bool {
        self == Mutability::Const
    }

    /// Whether it may be written.
    pub fn is_var(self) -> bool {
        self == Mutability::Var
    }
}

/// *globaltype*: the type of a global's value, and whether it may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    content: ValType,
    mutability: Mutability,
}

impl GlobalType {
    /// The type of globals with values of type `content`.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType {
            content,
            mutability,
        }
    }

    /// The type of the value.
    pub fn content(&self) -> &ValType {
        &self.content
    }

    /// Whether the value may change.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }

    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::GlobalType {
        module::GlobalType {
            content: self.content.to_module(),
            mutable: self.mutability.is_var(),
        }
    }

    /// See [`ValType::from_module`].
    pub(crate) fn from_module(engine: &Engine, ty: &module::GlobalType) -> GlobalType {
        GlobalType {
            content: ValType::from_module(engine, ty.content),
            mutability: if ty.mutable {
                Mutability::Var
            } else {
                Mutability::Const
            },
        }
    }
}

/// *tabletype*: the type of a table's elements, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    element: RefType,
    /// Its element is alive for as long as `element` is held.
    ty: module::TableType,
}

impl TableType {
    /// The type of tables that are indexed by `i32`, with `min` to `max` elements.
    pub fn new(element: RefType, min: u32, max: Option<u32>) -> TableType {
        let ty = module::TableType {
            element: element.to_module(),
            minimum: min.into(),
            maximum: max.map(Into::into),
            table64: false,
        };
        TableType { element, ty }
    }

    /// The type of tables that are indexed by `i64`, with `min` to `max` elements.
    pub fn new64(element: RefType, min: u64, max: Option<u64>) -> TableType {
        let ty = module::TableType {
            element: element.to_module(),
            minimum: min,
            maximum: max,
            table64: true,
        };
        TableType { element, ty }
    }

    /// Whether it is indexed by `i64`.
    pub fn is_64(&self) -> bool {
        self.ty.table64
    }

    /// The type of the elements.
    pub fn element(&self) -> &RefType {
        &self.element
    }

    /// Elements at the start.
    pub fn minimum(&self) -> u64 {
        self.ty.minimum
    }

    /// The most elements, if declared.
    pub fn maximum(&self) -> Option<u64> {
        self.ty.maximum
    }

    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::TableType {
        self.ty
    }

    /// See [`ValType::from_module`].
    pub(crate) fn from_module(engine: &Engine, ty: &module::TableType) -> TableType {
        TableType {
            element: RefType::from_module(engine, ty.element),
            ty: *ty,
        }
    }
}

/// Makes a [`MemoryType`].
///
/// ```
/// # fn main() -> tepui::Result<()> {
/// let ty = tepui::MemoryType::builder()
///     .memory64(true)
///     .min(1)
///     .max(Some(1 << 20))
///     .build()?;
/// assert_eq!(ty.page_size(), 65_536);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemoryTypeBuilder {
    ty: module::MemoryType,
}

impl Default for MemoryTypeBuilder {
    fn default() -> MemoryTypeBuilder {
        MemoryTypeBuilder::new()
    }
}

impl MemoryTypeBuilder {
    /// Starts with an unshared memory that is addressed by `i32`, has pages of
    /// 64 KiB, none of them at the start, and no maximum.
    pub fn new() -> MemoryTypeBuilder {
        MemoryTypeBuilder {
            ty: module::MemoryType {
                minimum: 0,
                maximum: None,
                shared: false,
                memory64: false,
                page_size_log2: module::MemoryType::DEFAULT_PAGE_SIZE_LOG2,
            },
        }
    }

    /// Pages at the start.
    pub fn min(&mut self, minimum: u64) -> &mut MemoryTypeBuilder {
        self.ty.minimum = minimum;
        self
    }

    /// The most pages.
    pub fn max(&mut self, maximum: Option<u64>) -> &mut MemoryTypeBuilder {
        self.ty.maximum = maximum;
        self
    }

    /// Whether it is addressed by `i64`.
    pub fn memory64(&mut self, memory64: bool) -> &mut MemoryTypeBuilder {
        self.ty.memory64 = memory64;
        self
    }

    /// Whether threads may share it. It then needs a maximum.
    pub fn shared(&mut self, shared: bool) -> &mut MemoryTypeBuilder {
        self.ty.shared = shared;
        self
    }

    /// The base-2 logarithm of the page size in bytes: 16, or 0 (custom-page-sizes).
    pub fn page_size_log2(&mut self, page_size_log2: u8) -> &mut MemoryTypeBuilder {
        self.ty.page_size_log2 = page_size_log2;
        self
    }

    /// The type.
    ///
    /// # Errors
    ///
    /// When it is not valid (specification, "Memory Types"): another page size,
    /// a minimum above the maximum, either beyond what the index type can
    /// address, or a shared memory without a maximum.
    pub fn build(&self) -> Result<MemoryType> {
        let ty = self.ty;
        if !matches!(ty.page_size_log2, 0 | 16) {
            return Err(Error::msg(format!(
                "memory page size must be 1 or 65536 bytes, not 2^{}",
                ty.page_size_log2
            )));
        }
        if ty.shared && ty.maximum.is_none() {
            return Err(Error::msg("shared memory must have a maximum"));
        }
        let limit = module::MemoryType {
            maximum: None,
            ..ty
        }
        .page_limit();
        if ty.minimum > limit || ty.maximum.is_some_and(|maximum| maximum > limit) {
            return Err(Error::msg(format!(
                "memory size must be at most {limit} pages"
            )));
        }
        if ty.maximum.is_some_and(|maximum| maximum < ty.minimum) {
            return Err(Error::msg(
                "size minimum must not be greater than maximum of a memory",
            ));
        }
        Ok(MemoryType { ty })
    }
}

/// *memtype*: how many pages a memory has, and of which kind it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    ty: module::MemoryType,
}

impl MemoryType {
    /// The type of memories that are addressed by `i32`, with `minimum` to
    /// `maximum` pages of 64 KiB.
    ///
    /// # Panics
    ///
    /// When the type is not valid; see [`MemoryTypeBuilder::build`].
    pub fn new(minimum: u32, maximum: Option<u32>) -> MemoryType {
        MemoryType::valid(
            MemoryTypeBuilder::new()
                .min(minimum.into())
                .max(maximum.map(Into::into)),
        )
    }

    /// The same for memories that are addressed by `i64`.
    ///
    /// # Panics
    ///
    /// When the type is not valid; see [`MemoryTypeBuilder::build`].
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType::valid(
            MemoryTypeBuilder::new()
                .memory64(true)
                .min(minimum)
                .max(maximum),
        )
    }

    /// The same for memories that threads may share.
    ///
    /// # Panics
    ///
    /// When the type is not valid; see [`MemoryTypeBuilder::build`].
    pub fn shared(minimum: u32, maximum: u32) -> MemoryType {
        MemoryType::valid(
            MemoryTypeBuilder::new()
                .shared(true)
                .min(minimum.into())
                .max(Some(maximum.into())),
        )
    }

    fn valid(builder: &MemoryTypeBuilder) -> MemoryType {
        builder
            .build()
            .unwrap_or_else(|error| panic!("invalid memory type: {error}"))
    }

    /// Starts a type of other properties.
    pub fn builder() -> MemoryTypeBuilder {
        MemoryTypeBuilder::new()
    }

    /// Whether it is addressed by `i64`.
    pub fn is_64(&self) -> bool {
        self.ty.memory64
    }

    /// Whether threads may share it.
    pub fn is_shared(&self) -> bool {
        self.ty.shared
    }

    /// Pages at the start.
    pub fn minimum(&self) -> u64 {
        self.ty.minimum
    }

    /// The most pages, if declared.
    pub fn maximum(&self) -> Option<u64> {
        self.ty.maximum
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u64 {
        self.ty.page_size()
    }

    /// The base-2 logarithm of the page size.
    pub fn page_size_log2(&self) -> u8 {
        self.ty.page_size_log2
    }

    /// The type as modules name it.
    pub(crate) fn to_module(&self) -> module::MemoryType {
        self.ty
    }

    /// The type that a module names `ty`.
    pub(crate) fn from_module(ty: &module::MemoryType) -> MemoryType {
        MemoryType { ty: *ty }
    }
}

/// *tagtype*: the function type whose parameters an exception of the tag carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagType {
    ty: FuncType,
}

impl TagType {
    /// The type of tags with the parameters of `ty`.
    pub fn new(ty: FuncType) -> TagType {
        TagType { ty }
    }

    /// The function type.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::TagType {
        module::TagType {
            ty: self.ty.type_id(),
        }
    }
}

/// *externtype*: the type of something that is imported or exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A global.
    Global(GlobalType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A tag.
    Tag(TagType),
}

macro_rules! extern_accessors {
    ($($variant:ident($ty:ident) $what:literal $get:ident $unwrap:ident)*) => {
        impl ExternType {
            $(
                #[doc = concat!("The ", $what, " type, when it is one.")]
                pub fn $get(&self) -> Option<&$ty> {
                    match self {
                        ExternType::$variant(ty) => Some(ty),
                        _ => None,
                    }
                }

                #[doc = concat!("The ", $what, " type.\n\n# Panics\n\nWhen it is none.")]
                pub fn $unwrap(&self) -> &$ty {
                    self.$get()
                        .unwrap_or_else(|| panic!(concat!("{:?} is not a ", $what, " type"), self))
                }
            )*
        }

        $(
            impl From<$ty> for ExternType {
                fn from(ty: $ty) -> ExternType {
                    ExternType::$variant(ty)
                }
            }
        )*
    };
}

extern_accessors! {
    Func(FuncType) "function" func unwrap_func
    Global(GlobalType) "global" global unwrap_global
    Table(TableType) "table" table unwrap_table
    Memory(MemoryType) "memory" memory unwrap_memory
    Tag(TagType) "tag" tag unwrap_tag
}

impl ExternType {
    /// See [`ValType::to_module`].
    pub(crate) fn to_module(&self) -> module::ExternType {
        match self {
            ExternType::Func(ty) => module::ExternType::Func(ty.type_id()),
            ExternType::Global(ty) => module::ExternType::Global(ty.to_module()),
            ExternType::Table(ty) => module::ExternType::Table(ty.to_module()),
            ExternType::Memory(ty) => module::ExternType::Memory(ty.to_module()),
            ExternType::Tag(ty) => module::ExternType::Tag(ty.to_module()),
        }
    }

    /// See [`ValType::from_module`].
    pub(crate) fn from_module(engine: &Engine, ty: &module::ExternType) -> ExternType {
        match ty {
            module::ExternType::Func(id) => ExternType::Func(FuncType::from_id(engine, *id)),
            module::ExternType::Global(ty) => {
                ExternType::Global(GlobalType::from_module(engine, ty))
            }
            module::ExternType::Table(ty) => ExternType::Table(TableType::from_module(engine, ty)),
            module::ExternType::Memory(ty) => ExternType::Memory(MemoryType::from_module(ty)),
            module::ExternType::Tag(ty) => {
                ExternType::Tag(TagType::new(FuncType::from_id(engine, ty.ty)))
            }
        }
    }
}

/// An import that a module declares.
#[derive(Clone)]
pub struct ImportType<'module> {
    module: &'module str,
    name: &'module str,
    ty: ExternType,
}

impl<'module> ImportType<'module> {
    pub(crate) fn new(
        module: &'module str,
        name: &'module str,
        ty: ExternType,
    ) -> ImportType<'module> {
        ImportType { module, name, ty }
    }

    /// The module name, the first of the two names.
    pub fn module(&self) -> &'module str {
        self.module
    }

    /// The item name, the second of the two names.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// The type that what is imported must match.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

impl fmt::Debug for ImportType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportType")
            .field("module", &self.module)
            .field("name", &self.name)
            .field("ty", &self.ty)
            .finish()
    }
}

/// An export that a module declares.
#[derive(Clone)]
pub struct ExportType<'module> {
    name: &'module str,
    ty: ExternType,
}

impl<'module> ExportType<'module> {
    pub(crate) fn new(name: &'module str, ty: ExternType) -> ExportType<'module> {
        ExportType { name, ty }
    }

    /// The name.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// The type.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

impl fmt::Debug for ExportType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportType")
            .field("name", &self.name)
            .field("ty", &self.ty)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip_through_modules() {
        let engine = Engine::default();
        let func = FuncType::new(&engine, [ValType::I32], []);
        let types = [
            ExternType::from(func.clone()),
            GlobalType::new(
                RefType::new(false, func.clone().into()).into(),
                Mutability::Var,
            )
            .into(),
            GlobalType::new(ValType::V128, Mutability::Const).into(),
            TableType::new(RefType::EXTERNREF, 1, Some(u32::MAX)).into(),
            TableType::new64(RefType::new(true, func.clone().into()), u64::MAX, None).into(),
            MemoryType::shared(1, 2).into(),
            TagType::new(func).into(),
        ];
        for ty in types {
            assert_eq!(ExternType::from_module(&engine, &ty.to_module()), ty);
        }
    }

    #[test]
    fn memory_types_are_checked() {
        let build = |change: &dyn Fn(&mut MemoryTypeBuilder)| {
            let mut builder = MemoryType::builder();
            change(&mut builder);
            builder.build().map_err(|error| error.to_string())
        };
        assert!(build(&|b| _ = b.min(65_536)).is_ok());
        assert!(build(&|b| _ = b.min(65_537)).is_err());
        assert!(build(&|b| _ = b.max(Some(65_537))).is_err());
        assert!(build(&|b| _ = b.min(2).max(Some(1))).is_err());
        assert!(build(&|b| _ = b.shared(true)).is_err());
        assert!(build(&|b| _ = b.page_size_log2(12)).is_err());
        assert!(build(&|b| _ = b.page_size_log2(200)).is_err());
        assert!(build(&|b| _ = b.page_size_log2(0).min(u32::MAX.into())).is_ok());
        assert!(build(&|b| _ = b.page_size_log2(0).min(1 << 32)).is_err());
        assert!(build(&|b| _ = b.memory64(true).min(1 << 48)).is_ok());
        assert!(build(&|b| _ = b.memory64(true).min((1 << 48) + 1)).is_err());
        assert_eq!(MemoryType::new64(3, None).minimum(), 3);
    }
}
