//! How is a module written down without being Wasm? As a description, for builds
//! without a decoder.
//!
//! A description holds what a [`Module`] does but its code: what was decoded and
//! validated, in one fixed order. All numbers are unsigned LEB128. Value types are one
//! number (see `words`), types are named by module index. What a section may be left
//! out of the Wasm for is a count of zero here.
//!
//! Descriptions are trusted: they were written from a valid module. What can be
//! checked at no cost is: that nothing lies outside, that numbers are in their range,
//! and that types exist where they are named.

use crate::canon::{RecGroup, WithRegistry};
use crate::const_expr::{ConstExpr, ConstOp};
use crate::features::Features;
use crate::module::*;
use crate::types::{
    CompositeType, ExternType, GlobalType, HeapType, MemoryType, RefType, TableType, TagType,
    TypeId, ValType,
};
use crate::words::{described, is_concrete, undescribed};
use crate::{FuncIndex, GlobalIndex, MemoryIndex, TableIndex, TagIndex, TypeIndex};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// A description is damaged, or of another version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DescriptionError {
    /// Where it was noticed, in bytes from the start of what was given.
    pub offset: usize,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the description of the module is damaged (at offset {:#x})",
            self.offset
        )
    }
}

impl core::error::Error for DescriptionError {}

// Kinds of external items.
const FUNC: u32 = 0;
const TABLE: u32 = 1;
const MEMORY: u32 = 2;
const GLOBAL: u32 = 3;
const TAG: u32 = 4;

// Kinds of segments, and of table initializers.
const PASSIVE: u32 = 0;
const ACTIVE: u32 = 1;
const DECLARED: u32 = 2;

// What items of element segments are.
const FUNCTIONS: u32 = 0;
const EXPRESSIONS: u32 = 1;

// Constant instructions.
const I32_CONST: u32 = 0;
const I64_CONST: u32 = 1;
const F32_CONST: u32 = 2;
const F64_CONST: u32 = 3;
const V128_CONST: u32 = 4;
const GLOBAL_GET: u32 = 5;
const REF_NULL: u32 = 6;
const REF_FUNC: u32 = 7;
/// Instructions without immediates, from [`PLAIN`] on.
const PLAIN_OPS: [ConstOp; 6] = [
    ConstOp::I32Add,
    ConstOp::I32Sub,
    ConstOp::I32Mul,
    ConstOp::I64Add,
    ConstOp::I64Sub,
    ConstOp::I64Mul,
];
const PLAIN: u32 = 8;

// Flags of types.
const IS_FINAL: u32 = 1;
const HAS_SUPER: u32 = 2;

// Flags of limits.
const HAS_MAXIMUM: u32 = 1;
const IS_64: u32 = 2;
const IS_SHARED: u32 = 4;

impl Module {
    /// Writes the module down for [`Module::from_description`]: all but its code and
    /// its custom sections, of which only the names stay.
    ///
    /// `bytes` are those that it was decoded from.
    ///
    /// # Errors
    ///
    /// `None` when `bytes` end before the module does, or it has types that
    /// descriptions have no form for: others than those of functions.
    pub fn describe(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut first_of = BTreeMap::new();
        for (index, id) in (0..).zip(self.types()) {
            first_of.entry(id).or_insert(index);
        }
        let mut writer = Writer {
            out: Vec::new(),
            first_of,
            own: BTreeMap::new(),
        };
        writer.module(self, bytes)?;
        Some(writer.out)
    }

    /// The module that a description in `range` of `bytes` is of. Data are ranges of
    /// `bytes` then, and there are no bodies: only where they began and ended.
    ///
    /// `with_registry` must call its argument once, with the registry.
    ///
    /// # Errors
    ///
    /// When the description is damaged.
    ///
    /// # Panics
    ///
    /// When `with_registry` does not call its argument.
    pub fn from_description(
        bytes: &[u8],
        range: Range<usize>,
        with_registry: &mut WithRegistry<'_>,
    ) -> Result<Module, DescriptionError> {
        let mut reader = Reader {
            bytes: bytes.get(..range.end).unwrap_or_default(),
            at: range.start,
            types: Vec::new(),
        };
        let read = reader.module(with_registry);
        read.filter(|_| reader.at == range.end)
            .ok_or(DescriptionError { offset: reader.at })
    }
}

struct Writer {
    out: Vec<u8>,
    /// The first index of each type.
    first_of: BTreeMap<TypeId, u32>,
    /// The indices of the types of the group that is written. In its own group a type
    /// is named by its place, even if an equal group came before.
    own: BTreeMap<TypeId, u32>,
}

impl Writer {
    fn number(&mut self, number: impl Into<u64>) {
        let mut number = number.into();
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn text(&mut self, text: &str) {
        self.contents(text.as_bytes());
    }

    fn contents(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn type_id(&mut self, id: TypeId) {
        let index = *self.own.get(&id).unwrap_or_else(|| &self.first_of[&id]);
        self.number(index);
    }

    fn val(&mut self, ty: ValType) {
        let (word, id) = described(ty);
        self.number(word);
        if let Some(id) = id {
            self.type_id(id);
        }
    }

    fn limits(&mut self, minimum: u64, maximum: Option<u64>, flags: u32) {
        let has_maximum = if maximum.is_some() { HAS_MAXIMUM } else { 0 };
        self.number(flags | has_maximum);
        self.number(minimum);
        if let Some(maximum) = maximum {
            self.number(maximum);
        }
    }

    fn table(&mut self, ty: &TableType) {
        self.val(ty.element.into());
        let flags = if ty.table64 { IS_64 } else { 0 };
        self.limits(ty.minimum, ty.maximum, flags);
    }

    fn memory(&mut self, ty: &MemoryType) {
        let is_64 = if ty.memory64 { IS_64 } else { 0 };
        let is_shared = if ty.shared { IS_SHARED } else { 0 };
        self.limits(ty.minimum, ty.maximum, is_64 | is_shared);
        self.number(ty.page_size_log2);
    }

    fn global(&mut self, ty: &GlobalType) {
        self.val(ty.content);
        self.number(ty.mutable);
    }

    fn expression(&mut self, expression: &ConstExpr) {
        self.count(expression.ops().len());
        for op in expression.ops() {
            match *op {
                ConstOp::I32Const(value) => {
                    self.number(I32_CONST);
                    self.number(value as u32);
                }
                ConstOp::I64Const(value) => {
                    self.number(I64_CONST);
                    self.number(value as u64);
                }
                ConstOp::F32Const(bits) => {
                    self.number(F32_CONST);
                    self.number(bits);
                }
                ConstOp::F64Const(bits) => {
                    self.number(F64_CONST);
                    self.number(bits);
                }
                ConstOp::V128Const(bytes) => {
                    self.number(V128_CONST);
                    self.out.extend_from_slice(&bytes);
                }
                ConstOp::GlobalGet(index) => {
                    self.number(GLOBAL_GET);
                    self.number(index.as_u32());
                }
                ConstOp::RefNull(heap) => {
                    self.number(REF_NULL);
                    self.val(RefType::new(true, heap).into());
                }
                ConstOp::RefFunc(index) => {
                    self.number(REF_FUNC);
                    self.number(index.as_u32());
                }
                plain => {
                    let place = PLAIN_OPS.iter().position(|op| *op == plain);
                    let place = place.expect("all others have immediates");
                    self.number(PLAIN + place as u32);
                }
            }
        }
    }

    /// The types, group by group.
    fn types(&mut self, types: &[ModuleType]) -> Option<()> {
        self.count(types.len());
        let mut first = 0;
        while let Some(ty) = types.get(first) {
            let group: &RecGroup = &ty.group;
            self.own.clear();
            for (place, ty) in group.types().iter().enumerate() {
                self.own.insert(ty.id(), (first + place) as u32);
            }
            self.count(group.types().len());
            for ty in group.types() {
                let CompositeType::Func(func) = ty.composite() else {
                    return None;
                };
                let is_final = if ty.is_final() { IS_FINAL } else { 0 };
                let has_super = if ty.supertype().is_some() {
                    HAS_SUPER
                } else {
                    0
                };
                self.number(is_final | has_super);
                if let Some(supertype) = ty.supertype() {
                    self.type_id(supertype);
                }
                self.count(func.params.len());
                self.count(func.results.len());
                for &ty in func.params.iter().chain(&func.results) {
                    self.val(ty);
                }
            }
            first += group.types().len();
        }
        self.own.clear();
        Some(())
    }

    fn module(&mut self, module: &Module, bytes: &[u8]) -> Option<()> {
        self.number(module.features.bits());
        self.count(module.size);
        self.types(&module.types)?;

        self.count(module.imports.len());
        for import in &module.imports {
            self.text(&import.module);
            self.text(&import.field);
            match &import.ty {
                ExternType::Func(_) => self.number(FUNC),
                ExternType::Table(ty) => {
                    self.number(TABLE);
                    self.table(ty);
                }
                ExternType::Memory(ty) => {
                    self.number(MEMORY);
                    self.memory(ty);
                }
                ExternType::Global(ty) => {
                    self.number(GLOBAL);
                    self.global(ty);
                }
                ExternType::Tag(ty) => {
                    self.number(TAG);
                    self.type_id(ty.ty);
                }
            }
        }
        self.count(module.functions.len());
        for ty in &module.functions {
            self.number(ty.as_u32());
        }
        let tables = &module.tables[module.imported_tables as usize..];
        self.count(tables.len());
        for (ty, initializer) in tables.iter().zip(&module.table_initializers) {
            self.table(ty);
            match initializer {
                TableInitializer::Null => self.number(PASSIVE),
                TableInitializer::Expr(value) => {
                    self.number(ACTIVE);
                    self.expression(value);
                }
            }
        }
        let memories = &module.memories[module.imported_memories as usize..];
        self.count(memories.len());
        for ty in memories {
            self.memory(ty);
        }
        let globals = &module.globals[module.imported_globals as usize..];
        self.count(globals.len());
        for (ty, value) in globals.iter().zip(&module.global_initializers) {
            self.global(ty);
            self.expression(value);
        }
        let tags = &module.tags[module.imported_tags as usize..];
        self.count(tags.len());
        for ty in tags {
            self.type_id(ty.ty);
        }
        self.count(module.exports.len());
        for export in &module.exports {
            self.text(&export.name);
            let (kind, index) = match export.index {
                ExternIndex::Func(index) => (FUNC, index.as_u32()),
                ExternIndex::Table(index) => (TABLE, index.as_u32()),
                ExternIndex::Memory(index) => (MEMORY, index.as_u32()),
                ExternIndex::Global(index) => (GLOBAL, index.as_u32()),
                ExternIndex::Tag(index) => (TAG, index.as_u32()),
            };
            self.number(kind);
            self.number(index);
        }
        for position in &module.exports_by_name {
            self.number(*position);
        }
        // 0 is none.
        self.number(
            module
                .start
                .map_or(0, |index| u64::from(index.as_u32()) + 1),
        );
        self.count(module.elements.len());
        for segment in &module.elements {
            self.element(segment);
        }
        self.number(module.data_count.map_or(0, |count| u64::from(count) + 1));
        self.count(module.data.len());
        for segment in &module.data {
            match &segment.mode {
                DataMode::Passive => self.number(PASSIVE),
                DataMode::Active { memory, offset } => {
                    self.number(ACTIVE);
                    self.number(memory.as_u32());
                    self.expression(offset);
                }
            }
            self.contents(bytes.get(segment.range.clone())?);
        }
        self.number(module.code.start);
        self.number(module.code.end);
        self.count(module.bodies.len());
        for body in &module.bodies {
            self.number(body.start);
            self.number(body.end);
        }
        self.count(module.escaped.len());
        for word in &module.escaped {
            self.number(*word);
        }
        self.contents(module.custom_section(bytes, "name").unwrap_or_default());
        Some(())
    }

    fn element(&mut self, segment: &ElementSegment) {
        self.val(segment.ty.into());
        match &segment.mode {
            ElementMode::Passive => self.number(PASSIVE),
            ElementMode::Declared => self.number(DECLARED),
            ElementMode::Active { table, offset } => {
                self.number(ACTIVE);
                self.number(table.as_u32());
                self.expression(offset);
            }
        }
        match &segment.items {
            ElementItems::Functions(items) => {
                self.number(FUNCTIONS);
                self.count(items.len());
                for item in items {
                    self.number(item.as_u32());
                }
            }
            ElementItems::Expressions(items) => {
                self.number(EXPRESSIONS);
                self.count(items.len());
                for item in items {
                    self.expression(item);
                }
            }
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    types: Vec<ModuleType>,
}

/// `None` stands for a description that is damaged where the reader is.
impl<'a> Reader<'a> {
    fn long(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<u32> {
        u32::try_from(self.long()?).ok()
    }

    /// A count of things that take a byte at least.
    fn count(&mut self) -> Option<usize> {
        let count = self.number()? as usize;
        (count <= self.bytes.len() - self.at).then_some(count)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn range(&mut self) -> Option<Range<usize>> {
        let length = self.count()?;
        let start = self.at;
        self.at += length;
        Some(start..self.at)
    }

    fn text(&mut self) -> Option<&'a str> {
        let range = self.range()?;
        core::str::from_utf8(&self.bytes[range]).ok()
    }

    fn type_index(&mut self) -> Option<TypeIndex> {
        let index = TypeIndex::new(self.number()?);
        (index.index() < self.types.len()).then_some(index)
    }

    fn type_id(&mut self) -> Option<TypeId> {
        let index = self.type_index()?;
        Some(self.types[index.index()].get().id())
    }

    fn val(&mut self) -> Option<ValType> {
        let word = self.number()?;
        let id = if is_concrete(word) {
            Some(self.type_id()?)
        } else {
            None
        };
        undescribed(word, id)
    }

    fn reference(&mut self) -> Option<RefType> {
        self.val()?.as_ref_type()
    }

    fn table(&mut self) -> Option<TableType> {
        let element = self.reference()?;
        let flags = self.number()?;
        Some(TableType {
            element,
            minimum: self.long()?,
            maximum: self.maximum(flags)?,
            table64: flags & IS_64 != 0,
        })
    }

    fn maximum(&mut self, flags: u32) -> Option<Option<u64>> {
        Some(if flags & HAS_MAXIMUM != 0 {
            Some(self.long()?)
        } else {
            None
        })
    }

    fn memory(&mut self) -> Option<MemoryType> {
        let flags = self.number()?;
        Some(MemoryType {
            minimum: self.long()?,
            maximum: self.maximum(flags)?,
            shared: flags & IS_SHARED != 0,
            memory64: flags & IS_64 != 0,
            page_size_log2: self.number().filter(|log2| *log2 < 64)? as u8,
        })
    }

    fn global(&mut self) -> Option<GlobalType> {
        Some(GlobalType {
            content: self.val()?,
            mutable: self.number()? != 0,
        })
    }

    fn expression(&mut self) -> Option<ConstExpr> {
        let ops = self.list(|this| {
            Some(match this.number()? {
                I32_CONST => ConstOp::I32Const(this.number()? as i32),
                I64_CONST => ConstOp::I64Const(this.long()? as i64),
                F32_CONST => ConstOp::F32Const(this.number()?),
                F64_CONST => ConstOp::F64Const(this.long()?),
                V128_CONST => {
                    let (bytes, _) = this.bytes[this.at..].split_first_chunk()?;
                    this.at += bytes.len();
                    ConstOp::V128Const(*bytes)
                }
                GLOBAL_GET => ConstOp::GlobalGet(GlobalIndex::new(this.number()?)),
                REF_NULL => {
                    let heap: HeapType = this.reference()?.heap;
                    ConstOp::RefNull(heap)
                }
                REF_FUNC => ConstOp::RefFunc(FuncIndex::new(this.number()?)),
                plain => *PLAIN_OPS.get(plain.checked_sub(PLAIN)? as usize)?,
            })
        })?;
        (!ops.is_empty()).then(|| ConstExpr::from_ops(&ops))
    }

    /// Registers the types, group by group.
    fn types(&mut self, with_registry: &mut WithRegistry<'_>) -> Option<crate::RegistryId> {
        let mut id = None;
        let mut read = None;
        with_registry(&mut |registry| {
            id = Some(registry.id().clone());
            let mut types = || {
                let count = self.count()?;
                while self.types.len() < count {
                    let group_len = self.count()?;
                    if group_len == 0 {
                        return None;
                    }
                    let known = core::mem::take(&mut self.types);
                    let earlier = |index: u32| Some(known.get(index as usize)?.get().id());
                    let first = known.len() as u32;
                    let mut is_whole = true;
                    let group = registry.register_written(
                        group_len as u32,
                        first,
                        &earlier,
                        &mut |writer| {
                            for _ in 0..group_len {
                                is_whole &= self.func_type(writer)?.is_some();
                            }
                            Ok(())
                        },
                    );
                    self.types = known;
                    push_group(&mut self.types, &group.ok().filter(|_| is_whole)?);
                }
                (self.types.len() == count).then_some(())
            };
            read = types();
        });
        read?;
        Some(id.expect("the registry is given"))
    }

    /// Hands a function type on to a registry. `None` when it is damaged.
    fn func_type(
        &mut self,
        writer: &mut crate::words::Writer<'_>,
    ) -> Result<Option<()>, crate::RegisterError> {
        let head = (|| {
            let flags = self.number()?;
            let supertype = if flags & HAS_SUPER != 0 {
                Some(self.number()?)
            } else {
                None
            };
            Some((flags, supertype, self.count()?, self.count()?))
        })();
        let damaged = Err(crate::RegisterError::Unrepresentable);
        let Some((flags, supertype, params, results)) = head else {
            return damaged;
        };
        writer.described_func(
            flags & IS_FINAL != 0,
            supertype,
            params as u32,
            results as u32,
        )?;
        for _ in 0..params + results {
            let val = (|| {
                let word = self.number()?;
                if is_concrete(word) {
                    return Some((word, Some(self.number()?)));
                }
                undescribed(word, None)?;
                Some((word, None))
            })();
            let Some((word, index)) = val else {
                return damaged;
            };
            writer.described_val(word, index)?;
        }
        Ok(Some(()))
    }

    fn module(&mut self, with_registry: &mut WithRegistry<'_>) -> Option<Module> {
        let features = Features::from_bits(self.long()?)?;
        let size = self.number()? as usize;
        let registry = self.types(with_registry)?;

        let (mut tables, mut memories) = (Vec::new(), Vec::new());
        let (mut globals, mut tags) = (Vec::new(), Vec::new());
        let mut last_module: Option<Arc<str>> = None;
        // The types of imported functions come with those of all functions.
        let mut imported_functions = 0;
        let mut imports = self.list(|this| {
            let module = this.text()?;
            let module = match &last_module {
                Some(last) if **last == *module => last.clone(),
                _ => Arc::from(module),
            };
            last_module = Some(module.clone());
            let field: Box<str> = this.text()?.into();
            let ty = match this.number()? {
                FUNC => {
                    imported_functions += 1;
                    ExternType::Func(TypeId::new(0))
                }
                TABLE => {
                    tables.push(this.table()?);
                    ExternType::Table(*tables.last()?)
                }
                MEMORY => {
                    memories.push(this.memory()?);
                    ExternType::Memory(*memories.last()?)
                }
                GLOBAL => {
                    globals.push(this.global()?);
                    ExternType::Global(*globals.last()?)
                }
                TAG => {
                    tags.push(TagType {
                        ty: this.type_id()?,
                    });
                    ExternType::Tag(*tags.last()?)
                }
                _ => return None,
            };
            Some(Import { module, field, ty })
        })?;
        let functions = self.list(|this| {
            let index = this.type_index()?;
            this.types[index.index()].get().as_func()?;
            Some(index)
        })?;
        let imported = imports
            .iter_mut()
            .filter_map(|import| match &mut import.ty {
                ExternType::Func(id) => Some(id),
                _ => None,
            });
        let mut of_imports = functions.iter();
        for id in imported {
            *id = self.types[of_imports.next()?.index()].get().id();
        }
        let [
            imported_tables,
            imported_memories,
            imported_globals,
            imported_tags,
        ] = [tables.len(), memories.len(), globals.len(), tags.len()].map(|count| count as u32);
        let table_initializers = self.list(|this| {
            tables.push(this.table()?);
            Some(match this.number()? {
                PASSIVE => TableInitializer::Null,
                _ => TableInitializer::Expr(this.expression()?),
            })
        })?;
        memories.extend(self.list(Self::memory)?);
        let global_initializers = self.list(|this| {
            globals.push(this.global()?);
            this.expression()
        })?;
        tags.extend(self.list(|this| {
            Some(TagType {
                ty: this.type_id()?,
            })
        })?);
        let counts = [
            functions.len(),
            tables.len(),
            memories.len(),
            globals.len(),
            tags.len(),
        ];
        let exports = self.list(|this| {
            let name = this.text()?.into();
            let kind = this.number()?;
            let index = this.number()?;
            if index as usize >= *counts.get(kind as usize)? {
                return None;
            }
            let index = match kind {
                FUNC => ExternIndex::Func(FuncIndex::new(index)),
                TABLE => ExternIndex::Table(TableIndex::new(index)),
                MEMORY => ExternIndex::Memory(MemoryIndex::new(index)),
                GLOBAL => ExternIndex::Global(GlobalIndex::new(index)),
                _ => ExternIndex::Tag(TagIndex::new(index)),
            };
            Some(Export { name, index })
        })?;
        let exports_by_name = (0..exports.len())
            .map(|_| self.number().filter(|at| (*at as usize) < exports.len()))
            .collect::<Option<Vec<_>>>()?;
        let start = self.number()?.checked_sub(1).map(FuncIndex::new);
        if start.is_some_and(|start| start.index() >= functions.len()) {
            return None;
        }
        let elements = self.list(Self::element)?;
        let data_count = self.number()?.checked_sub(1);
        let data = self.list(|this| {
            let mode = match this.number()? {
                PASSIVE => DataMode::Passive,
                _ => DataMode::Active {
                    memory: MemoryIndex::new(this.number()?),
                    offset: this.expression()?,
                },
            };
            Some(DataSegment {
                mode,
                range: this.range()?,
            })
        })?;
        let code = self.number()?..self.number()?;
        let bodies = self.list(|this| {
            let (start, end) = (this.number()?, this.number()?);
            (start <= end).then_some(FunctionBody { start, end })
        })?;
        if functions.len() != imported_functions + bodies.len() {
            return None;
        }
        let escaped = self.list(Self::long)?;
        let names = self.range()?;

        let types = core::mem::take(&mut self.types);
        let types_by_id = types_by_id(&types);
        Some(Module {
            features,
            registry,
            size,
            types,
            types_by_id,
            imports,
            functions,
            imported_functions: imported_functions as u32,
            tables,
            imported_tables,
            table_initializers,
            memories,
            imported_memories,
            globals,
            imported_globals,
            global_initializers,
            tags,
            imported_tags,
            exports,
            exports_by_name,
            start,
            elements,
            data_count,
            data,
            code,
            bodies,
            custom_sections: Vec::from([CustomSection {
                name: "name".into(),
                range: names,
            }]),
            escaped,
        })
    }

    fn element(&mut self) -> Option<ElementSegment> {
        let ty = self.reference()?;
        let mode = match self.number()? {
            PASSIVE => ElementMode::Passive,
            DECLARED => ElementMode::Declared,
            _ => ElementMode::Active {
                table: TableIndex::new(self.number()?),
                offset: self.expression()?,
            },
        };
        let items = match self.number()? {
            FUNCTIONS => {
                let items = self.list(|this| Some(FuncIndex::new(this.number()?)))?;
                ElementItems::Functions(items.into())
            }
            _ => ElementItems::Expressions(self.list(Self::expression)?.into()),
        };
        Some(ElementSegment { ty, mode, items })
    }
}
