//! What does a module declare? Everything of it but the code itself.
//!
//! A [`Module`] does not own the bytes that it was decoded from. Bodies, data
//! and custom sections are ranges of them, and whoever keeps the module keeps
//! the bytes too. Methods that take `bytes` must be given the same bytes;
//! given others they answer `None`, nothing or an error, or describe those
//! other bytes, but do not panic.
//!
//! All index spaces start with what is imported (core specification,
//! "Indices"). Types are canonical from the start: see [`crate::canon`].

use crate::canon::{RecGroup, RegistryId, SubType, TypeLookup};
use crate::const_expr::ConstExpr;
use crate::features::Features;
use crate::order;
use crate::types::{
    ExternType, FuncType, GlobalType, MemoryType, RefType, TableType, TagType, TypeId, ValType,
};
use crate::{
    DataIndex, DefinedFuncIndex, ElemIndex, FuncIndex, GlobalIndex, MemoryIndex, TableIndex,
    TagIndex, TypeIndex,
};
#[cfg(feature = "decoder")]
use crate::{types::HeapType, words::abstract_heap_type};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// A decoded module. See the [module page](crate::module).
pub struct Module {
    pub(crate) features: Features,
    pub(crate) registry: RegistryId,
    pub(crate) size: usize,
    pub(crate) types: Vec<ModuleType>,
    /// Types by id, for look-ups that start from one; each id once.
    pub(crate) types_by_id: Vec<TypeIndex>,
    pub(crate) imports: Vec<Import>,
    pub(crate) functions: Vec<TypeIndex>,
    pub(crate) imported_functions: u32,
    pub(crate) tables: Vec<TableType>,
    pub(crate) imported_tables: u32,
    /// Of the tables defined here.
    pub(crate) table_initializers: Vec<TableInitializer>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) imported_memories: u32,
    pub(crate) globals: Vec<GlobalType>,
    pub(crate) imported_globals: u32,
    /// Of the globals defined here.
    pub(crate) global_initializers: Vec<ConstExpr>,
    pub(crate) tags: Vec<TagType>,
    pub(crate) imported_tags: u32,
    pub(crate) exports: Vec<Export>,
    /// Positions in `exports`, in the order of their names.
    pub(crate) exports_by_name: Vec<u32>,
    pub(crate) start: Option<FuncIndex>,
    pub(crate) elements: Vec<ElementSegment>,
    pub(crate) data_count: Option<u32>,
    pub(crate) data: Vec<DataSegment>,
    pub(crate) code: Range<u32>,
    pub(crate) bodies: Vec<FunctionBody>,
    pub(crate) custom_sections: Vec<CustomSection>,
    /// One bit per function.
    pub(crate) escaped: Vec<u64>,
}

/// A type of the type section: a place in a canonical group.
#[derive(Clone)]
pub(crate) struct ModuleType {
    pub(crate) group: Arc<RecGroup>,
    pub(crate) position: u32,
}

impl ModuleType {
    #[inline]
    pub(crate) fn get(&self) -> &SubType {
        &self.group.types()[self.position as usize]
    }
}

/// One index of each type, in the order of their ids.
pub(crate) fn types_by_id(types: &[ModuleType]) -> Vec<TypeIndex> {
    let id = |place: u32| types[place as usize].get().id();
    let mut by_id: Vec<_> = (0..types.len() as u32).collect();
    order::sort_by_key(&mut by_id, id);
    by_id.dedup_by_key(|place| id(*place));
    by_id.into_iter().map(TypeIndex::new).collect()
}

/// Adds the types of a group.
pub(crate) fn push_group(types: &mut Vec<ModuleType>, group: &Arc<RecGroup>) {
    for position in 0..group.types().len() as u32 {
        types.push(ModuleType {
            group: group.clone(),
            position,
        });
    }
}

/// An import, in the order of the import section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// The name of the module that it comes from.
    pub module: Arc<str>,
    /// The name of the item in that module.
    pub field: Box<str>,
    /// What it must be.
    pub ty: ExternType,
}

/// Something that a module exports, by its place in an index space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExternIndex {
    /// A function.
    Func(FuncIndex),
    /// A table.
    Table(TableIndex),
    /// A memory.
    Memory(MemoryIndex),
    /// A global.
    Global(GlobalIndex),
    /// A tag.
    Tag(TagIndex),
}

/// An export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// Its name, which no other export of the module has.
    pub name: Box<str>,
    /// What it is.
    pub index: ExternIndex,
}

/// What the elements of a defined table are at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableInitializer {
    /// Null.
    Null,
    /// All the value of this expression.
    Expr(ConstExpr),
}

/// An element segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElementSegment {
    /// The type of its items.
    pub ty: RefType,
    /// When its items are used.
    pub mode: ElementMode,
    /// Its items.
    pub items: ElementItems,
}

/// When the items of an element segment are used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ElementMode {
    /// By `table.init`.
    Passive,
    /// At instantiation, in a table from an offset on.
    Active {
        /// The table.
        table: TableIndex,
        /// The index of the first element written.
        offset: ConstExpr,
    },
    /// Never: it only declares that references to its functions are taken.
    Declared,
}

/// The items of an element segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ElementItems {
    /// References to functions.
    Functions(Box<[FuncIndex]>),
    /// The values of expressions.
    Expressions(Box<[ConstExpr]>),
}

impl ElementItems {
    /// The number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Functions(items) => items.len(),
            Self::Expressions(items) => items.len(),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataSegment {
    /// When it is used.
    pub mode: DataMode,
    /// Its contents, as a range of the module's bytes.
    pub range: Range<usize>,
}

/// When a data segment is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataMode {
    /// By `memory.init`.
    Passive,
    /// At instantiation, in a memory from an address on.
    Active {
        /// The memory.
        memory: MemoryIndex,
        /// The address of the first byte written.
        offset: ConstExpr,
    },
}

/// Where the body of a defined function stands in the module's bytes: the
/// local declarations and the expression, without the size before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionBody {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl FunctionBody {
    /// The range of the module's bytes.
    #[inline]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The number of bytes.
    #[inline]
    pub fn size(self) -> u32 {
        self.end - self.start
    }
}

/// A custom section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomSection {
    /// Its name. Several sections may have the same.
    pub name: Box<str>,
    /// Its contents after the name, as a range of the module's bytes.
    pub range: Range<usize>,
}

/// The parameters and results of a block, from [`Module::block_type`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockType<'a> {
    /// Neither.
    Empty,
    /// One result.
    Result(ValType),
    /// Those of a function type.
    Func(&'a FuncType),
}

impl BlockType<'_> {
    /// The types of the parameters.
    pub fn params(&self) -> &[ValType] {
        match self {
            Self::Empty | Self::Result(_) => &[],
            Self::Func(ty) => &ty.params,
        }
    }

    /// The types of the results.
    pub fn results(&self) -> &[ValType] {
        match self {
            Self::Empty => &[],
            Self::Result(ty) => core::slice::from_ref(ty),
            Self::Func(ty) => &ty.results,
        }
    }
}

impl Module {
    /// The features under which the module was decoded.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The registry that canonicalized the module's types: the engine it belongs to.
    pub fn registry(&self) -> &RegistryId {
        &self.registry
    }

    /// The size in bytes of what the module was decoded from.
    pub fn size(&self) -> usize {
        self.size
    }

    // Types.

    /// The number of types in the type section.
    pub fn type_count(&self) -> u32 {
        self.types.len() as u32
    }

    /// The canonical ids of the type section's types, in order.
    pub fn types(&self) -> impl ExactSizeIterator<Item = TypeId> {
        self.types.iter().map(|ty| ty.get().id())
    }

    /// The canonical id of a type of the module.
    ///
    /// # Panics
    ///
    /// When there is no such type; so do the other methods that take an index.
    #[inline]
    pub fn type_id(&self, index: TypeIndex) -> TypeId {
        self.types[index.index()].get().id()
    }

    /// A type of the module.
    #[inline]
    pub fn defined_type(&self, index: TypeIndex) -> &SubType {
        self.types[index.index()].get()
    }

    /// The canonical group of a type of the module: hold it to keep the type's
    /// id valid beyond the module.
    #[inline]
    pub fn rec_group(&self, index: TypeIndex) -> &Arc<RecGroup> {
        &self.types[index.index()].group
    }

    /// A function type of the module.
    ///
    /// # Panics
    ///
    /// When there is no such type or it is not a function type. Validated code
    /// names only function types where one is needed.
    #[inline]
    pub fn func_type_at(&self, index: TypeIndex) -> &FuncType {
        self.defined_type(index)
            .as_func()
            .expect("validated code names a function type here")
    }

    // Imports and exports.

    /// The imports, in order.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// The exports, in order.
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// The position in [`Module::exports`] of the export of that name.
    pub fn export_position(&self, name: &str) -> Option<usize> {
        let found = self
            .exports_by_name
            .binary_search_by(|&position| (*self.exports[position as usize].name).cmp(name));
        Some(self.exports_by_name[found.ok()?] as usize)
    }

    /// The export of that name.
    pub fn export(&self, name: &str) -> Option<ExternIndex> {
        Some(self.exports[self.export_position(name)?].index)
    }

    /// The type of anything in an index space of the module.
    pub fn extern_type(&self, index: ExternIndex) -> ExternType {
        match index {
            ExternIndex::Func(index) => ExternType::Func(self.func_type_id(index)),
            ExternIndex::Table(index) => ExternType::Table(*self.table(index)),
            ExternIndex::Memory(index) => ExternType::Memory(*self.memory(index)),
            ExternIndex::Global(index) => ExternType::Global(*self.global(index)),
            ExternIndex::Tag(index) => ExternType::Tag(*self.tag(index)),
        }
    }

    // Functions.

    /// The type index of each function, imported ones first.
    pub fn functions(&self) -> &[TypeIndex] {
        &self.functions
    }

    /// The number of functions, imported and defined.
    pub fn function_count(&self) -> u32 {
        self.functions.len() as u32
    }

    /// The number of imported functions: the index of the first defined one.
    #[inline]
    pub fn imported_function_count(&self) -> u32 {
        self.imported_functions
    }

    /// The number of functions that the module defines.
    pub fn defined_function_count(&self) -> u32 {
        self.functions.len() as u32 - self.imported_functions
    }

    /// The place of a function in the code section, or `None` for an import.
    #[inline]
    pub fn defined_func_index(&self, index: FuncIndex) -> Option<DefinedFuncIndex> {
        index
            .as_u32()
            .checked_sub(self.imported_functions)
            .map(DefinedFuncIndex::new)
    }

    /// The index of a defined function in the function index space.
    #[inline]
    pub fn func_index(&self, index: DefinedFuncIndex) -> FuncIndex {
        FuncIndex::new(index.as_u32() + self.imported_functions)
    }

    /// The type index of a function.
    #[inline]
    pub fn func_type_index(&self, index: FuncIndex) -> TypeIndex {
        self.functions[index.index()]
    }

    /// The canonical type of a function.
    #[inline]
    pub fn func_type_id(&self, index: FuncIndex) -> TypeId {
        self.type_id(self.func_type_index(index))
    }

    /// The parameters and results of a function.
    #[inline]
    pub fn func_type(&self, index: FuncIndex) -> &FuncType {
        self.func_type_at(self.func_type_index(index))
    }

    /// Whether a reference to the function can be taken: it is exported, or in
    /// an element segment, or named by `ref.func`. Only such functions can be
    /// called otherwise than by direct calls of this module and as its start function.
    #[inline]
    pub fn is_escaped(&self, index: FuncIndex) -> bool {
        let word = self.escaped.get(index.index() / 64).copied().unwrap_or(0);
        word >> (index.index() % 64) & 1 != 0
    }

    /// The functions for which [`Module::is_escaped`] holds, in order.
    pub fn escaped_functions(&self) -> impl Iterator<Item = FuncIndex> {
        (0..self.function_count())
            .map(FuncIndex::new)
            .filter(|&index| self.is_escaped(index))
    }

    /// The function to call at the end of instantiation.
    pub fn start(&self) -> Option<FuncIndex> {
        self.start
    }

    /// Where each defined function's body stands.
    pub fn bodies(&self) -> &[FunctionBody] {
        &self.bodies
    }

    /// Where the contents of the code section stand; empty when there is none.
    pub fn code_range(&self) -> Range<usize> {
        self.code.start as usize..self.code.end as usize
    }

    /// Where a defined function's body stands.
    #[inline]
    pub fn body(&self, index: DefinedFuncIndex) -> FunctionBody {
        self.bodies[index.index()]
    }

    // Tables, memories, globals, tags.

    /// The tables, imported ones first.
    pub fn tables(&self) -> &[TableType] {
        &self.tables
    }

    /// The number of imported tables.
    pub fn imported_table_count(&self) -> u32 {
        self.imported_tables
    }

    /// A table's type.
    #[inline]
    pub fn table(&self, index: TableIndex) -> &TableType {
        &self.tables[index.index()]
    }

    /// What defined tables hold at the start, in order.
    pub fn table_initializers(&self) -> &[TableInitializer] {
        &self.table_initializers
    }

    /// The memories, imported ones first.
    pub fn memories(&self) -> &[MemoryType] {
        &self.memories
    }

    /// The number of imported memories.
    pub fn imported_memory_count(&self) -> u32 {
        self.imported_memories
    }

    /// A memory's type.
    #[inline]
    pub fn memory(&self, index: MemoryIndex) -> &MemoryType {
        &self.memories[index.index()]
    }

    /// The globals, imported ones first.
    pub fn globals(&self) -> &[GlobalType] {
        &self.globals
    }

    /// The number of imported globals.
    pub fn imported_global_count(&self) -> u32 {
        self.imported_globals
    }

    /// A global's type.
    #[inline]
    pub fn global(&self, index: GlobalIndex) -> &GlobalType {
        &self.globals[index.index()]
    }

    /// The initial values of defined globals, in order. They are to be
    /// evaluated in that order, because later ones may read earlier ones.
    pub fn global_initializers(&self) -> &[ConstExpr] {
        &self.global_initializers
    }

    /// The expression that a defined, immutable global always has the value
    /// of, or `None` for an imported or mutable one.
    pub fn constant_global(&self, index: GlobalIndex) -> Option<&ConstExpr> {
        let defined = index.as_u32().checked_sub(self.imported_globals)?;
        if self.global(index).mutable {
            return None;
        }
        self.global_initializers.get(defined as usize)
    }

    /// The tags, imported ones first.
    pub fn tags(&self) -> &[TagType] {
        &self.tags
    }

    /// The number of imported tags.
    pub fn imported_tag_count(&self) -> u32 {
        self.imported_tags
    }

    /// A tag's type.
    pub fn tag(&self, index: TagIndex) -> &TagType {
        &self.tags[index.index()]
    }

    // Segments.

    /// The element segments, in order.
    pub fn elements(&self) -> &[ElementSegment] {
        &self.elements
    }

    /// An element segment.
    pub fn element(&self, index: ElemIndex) -> &ElementSegment {
        &self.elements[index.index()]
    }

    /// The data segments, in order.
    pub fn data_segments(&self) -> &[DataSegment] {
        &self.data
    }

    /// A data segment.
    pub fn data(&self, index: DataIndex) -> &DataSegment {
        &self.data[index.index()]
    }

    /// The number in the data count section, if there is one.
    pub fn data_count(&self) -> Option<u32> {
        self.data_count
    }

    // Custom sections.

    /// The custom sections, in order, names and branch hints included.
    pub fn custom_sections(&self) -> &[CustomSection] {
        &self.custom_sections
    }

    /// The contents of the first custom section of that name.
    pub fn custom_section<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let section = self.custom_sections.iter().find(|s| *s.name == *name)?;
        bytes.get(section.range.clone())
    }
}

/// What the decoder reads, in terms of the module.
#[cfg(feature = "decoder")]
impl Module {
    /// A value type as the decoder gives it, in canonical form.
    ///
    /// # Panics
    ///
    /// On types that validation under this module's features would refuse; so
    /// do [`Module::ref_type`], [`Module::heap_type`] and [`Module::block_type`].
    #[inline]
    pub fn val_type(&self, ty: wasmparser::ValType) -> ValType {
        match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => ValType::Ref(self.ref_type(ty)),
        }
    }

    /// A reference type as the decoder gives it, in canonical form.
    pub fn ref_type(&self, ty: wasmparser::RefType) -> RefType {
        RefType::new(ty.is_nullable(), self.heap_type(ty.heap_type()))
    }

    /// A heap type as the decoder gives it, in canonical form.
    pub fn heap_type(&self, ty: wasmparser::HeapType) -> HeapType {
        match ty {
            wasmparser::HeapType::Abstract { ty, .. } => abstract_heap_type(ty),
            wasmparser::HeapType::Concrete(index) | wasmparser::HeapType::Exact(index) => {
                let index = index
                    .as_module_index()
                    .expect("the decoder names types by module index");
                HeapType::Concrete(self.type_id(TypeIndex::new(index)))
            }
        }
    }

    /// A block type as the decoder gives it, in canonical form.
    #[inline]
    pub fn block_type(&self, ty: wasmparser::BlockType) -> BlockType<'_> {
        match ty {
            wasmparser::BlockType::Empty => BlockType::Empty,
            wasmparser::BlockType::Type(ty) => BlockType::Result(self.val_type(ty)),
            wasmparser::BlockType::FuncType(index) => {
                BlockType::Func(self.func_type_at(TypeIndex::new(index)))
            }
        }
    }

    /// A reader of a defined function's body, whose positions are offsets into the module.
    ///
    /// # Errors
    ///
    /// `None` when `bytes` end before the body does.
    pub fn body_reader<'a>(
        &self,
        bytes: &'a [u8],
        index: DefinedFuncIndex,
    ) -> Option<wasmparser::FunctionBody<'a>> {
        let body = self.body(index);
        Some(wasmparser::FunctionBody::new(
            wasmparser::BinaryReader::new_features(
                bytes.get(body.range())?,
                u64::from(body.start),
                self.features.decoder_flags(),
            ),
        ))
    }
}

impl TypeLookup for Module {
    /// Knows the types that the module declares.
    fn sub_type(&self, id: TypeId) -> Option<&SubType> {
        let found = self
            .types_by_id
            .binary_search_by_key(&id, |&index| self.type_id(index));
        Some(self.defined_type(self.types_by_id[found.ok()?]))
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("size", &self.size)
            .field("types", &self.types.len())
            .field("imports", &self.imports.len())
            .field("functions", &self.functions.len())
            .field("exports", &self.exports.len())
            .finish_non_exhaustive()
    }
}
