//! How do bytes become a [`Module`]? Sections, decoded and validated in order.
//!
//! Each section is validated by the decoder's validator first and then read
//! into the module's own form, so what is read here obeys the rules already.
//! Function bodies are only found here; [`Bodies`](crate::Bodies) validates
//! them, later, on many threads or while something else is done.
//!
//! Nothing is allocated on the word of a count alone: a vector's first size is
//! held to the bytes that are left in its section.

use crate::canon::{RegisterError, TypeRegistry, WithRegistry};
use crate::const_expr::{ConstExpr, ConstOp};
use crate::error::{Error, ErrorKind, Result};
use crate::features::{Features, Proposal};
use crate::module::*;
use crate::order;
use crate::support::{self, Refused};
use crate::types::{
    ExternType, GlobalType, HeapType, MemoryType, RefType, TableType, TagType, TypeId, ValType,
};
use crate::validate::Bodies;
use crate::words::abstract_heap_type;
use crate::{
    FuncIndex, GlobalIndex, MemoryIndex, Summaries, TableIndex, TagIndex, TypeIndex, limits,
};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use wasmparser::{FromReader, Parser, Payload, SectionLimited, Validator, ValidatorResources};

impl Module {
    /// Decodes a module and validates all of it but function bodies, which the
    /// returned [`Bodies`] validate.
    ///
    /// Nothing of the module may run before its bodies are validated.
    ///
    /// # Errors
    ///
    /// The first rule broken, in the order of the bytes.
    pub fn decode(
        bytes: &[u8],
        features: Features,
        registry: &mut TypeRegistry,
    ) -> Result<(Module, Bodies)> {
        Self::decode_with(bytes, features, &mut |register| register(registry))
    }

    /// [`Module::decode`] with a registry behind a lock, which is taken only
    /// while the types are registered.
    ///
    /// `with_registry` must call its argument once, with the registry.
    ///
    /// # Errors
    ///
    /// As [`Module::decode`].
    ///
    /// # Panics
    ///
    /// When `with_registry` does not call its argument.
    pub fn decode_with(
        bytes: &[u8],
        features: Features,
        with_registry: &mut WithRegistry<'_>,
    ) -> Result<(Module, Bodies)> {
        Decoder::new(bytes, features).decode(with_registry)
    }

    /// Decodes and validates all of a module on the calling thread.
    ///
    /// # Errors
    ///
    /// The first rule broken: of the sections, then of the bodies.
    pub fn decode_and_validate(
        bytes: &[u8],
        features: Features,
        registry: &mut TypeRegistry,
    ) -> Result<(Module, Summaries)> {
        let (module, bodies) = Self::decode(bytes, features, registry)?;
        let summaries = bodies.validate_here(&module, bytes)?;
        Ok((module, summaries))
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    features: Features,
    validator: Validator,
    resources: Option<ValidatorResources>,
    groups: Vec<ModuleType>,
    module: Partial,
    /// Scratch for constant expressions.
    ops: Vec<ConstOp>,
    last_import_module: Option<Arc<str>>,
}

/// What of the module does not need a registry to begin with.
#[derive(Default)]
struct Partial {
    imports: Vec<Import>,
    functions: Vec<TypeIndex>,
    imported_functions: u32,
    tables: Vec<TableType>,
    imported_tables: u32,
    table_initializers: Vec<TableInitializer>,
    memories: Vec<MemoryType>,
    imported_memories: u32,
    globals: Vec<GlobalType>,
    imported_globals: u32,
    global_initializers: Vec<ConstExpr>,
    tags: Vec<TagType>,
    imported_tags: u32,
    exports: Vec<Export>,
    start: Option<FuncIndex>,
    elements: Vec<ElementSegment>,
    data_count: Option<u32>,
    data: Vec<DataSegment>,
    code: core::ops::Range<u32>,
    bodies: Vec<FunctionBody>,
    custom_sections: Vec<CustomSection>,
    escaped: Vec<u64>,
}

impl Partial {
    fn escape(&mut self, index: u32) {
        let word = index as usize / 64;
        if self.escaped.len() <= word {
            self.escaped.resize(word + 1, 0);
        }
        self.escaped[word] |= 1 << (index % 64);
    }
}

/// Offsets fit: modules are at most [`limits::MODULE_SIZE`] bytes.
fn narrow(offset: u64) -> u32 {
    u32::try_from(offset).expect("a module is smaller than 4 GiB")
}

/// The first capacity for a section's items: its count, but not more than it has bytes.
fn capacity<'a, T: FromReader<'a>>(section: &SectionLimited<'a, T>) -> usize {
    let bytes = section.range().end - section.range().start;
    (section.count() as usize).min(usize::try_from(bytes).unwrap_or(0))
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8], features: Features) -> Self {
        Self {
            bytes,
            features,
            validator: Validator::new_with_features(features.decoder_flags()),
            resources: None,
            groups: Vec::new(),
            module: Partial::default(),
            ops: Vec::new(),
            last_import_module: None,
        }
    }

    #[cold]
    fn malformed(&self, error: wasmparser::Error) -> Error {
        support::explain(self.bytes, self.features, &error, ErrorKind::Malformed)
    }

    /// The error of a section that the validator refused: malformed when it
    /// cannot be read to its end, invalid when it can.
    #[cold]
    fn refused<T: FromReader<'a>>(
        &self,
        section: &SectionLimited<'a, T>,
        error: wasmparser::Error,
    ) -> Error {
        let readable = section.clone().into_iter().all(|item| item.is_ok());
        let kind = if readable {
            ErrorKind::Invalid
        } else {
            ErrorKind::Malformed
        };
        support::explain(self.bytes, self.features, &error, kind)
    }

    #[cold]
    fn invalid(&self, error: wasmparser::Error) -> Error {
        support::explain(self.bytes, self.features, &error, ErrorKind::Invalid)
    }

    fn decode(mut self, with_registry: &mut WithRegistry<'_>) -> Result<(Module, Bodies)> {
        let bytes = self.bytes;
        if bytes.len() > limits::MODULE_SIZE {
            let message = format!(
                "module of {} bytes exceeds the limit of {}",
                bytes.len(),
                limits::MODULE_SIZE
            );
            return Err(Error::new(ErrorKind::Limit, limits::MODULE_SIZE, message));
        }
        if bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0]) {
            return Err(Error::unsupported(
                Proposal::ComponentModel,
                4,
                "the file is a component, not a core module",
            ));
        }

        let mut registry_id = None;
        let mut parser = Parser::new(0);
        parser.set_features(self.features.decoder_flags());
        for payload in parser.parse_all(bytes) {
            match payload.map_err(|e| self.malformed(e))? {
                Payload::TypeSection(section) => {
                    registry_id = Some(self.types(section, with_registry)?);
                }
                other => self.payload(other)?,
            }
        }
        let registry = match registry_id {
            Some(id) => id,
            None => {
                let mut id = None;
                with_registry(&mut |registry| id = Some(registry.id().clone()));
                id.expect("the registry is given")
            }
        };
        Ok(self.finish(registry))
    }

    fn payload(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::Version {
                num,
                encoding,
                range,
            } => self
                .validator
                .version(num, encoding, &range)
                .map_err(|e| self.malformed(e))?,
            Payload::ImportSection(section) => self.imports(section)?,
            Payload::FunctionSection(section) => {
                self.validator
                    .function_section(&section)
                    .map_err(|e| self.refused(&section, e))?;
                self.module.functions.reserve(capacity(&section));
                for index in section {
                    let index = index.map_err(|e| self.malformed(e))?;
                    self.module.functions.push(TypeIndex::new(index));
                }
            }
            Payload::TableSection(section) => self.tables(section)?,
            Payload::MemorySection(section) => {
                self.validator
                    .memory_section(&section)
                    .map_err(|e| self.refused(&section, e))?;
                for ty in section {
                    let ty = ty.map_err(|e| self.malformed(e))?;
                    self.module.memories.push(memory_type(ty));
                }
            }
            Payload::TagSection(section) => {
                self.validator
                    .tag_section(&section)
                    .map_err(|e| self.refused(&section, e))?;
                for item in section.into_iter_with_offsets() {
                    let (offset, ty) = item.map_err(|e| self.malformed(e))?;
                    self.check(
                        support::refuse(Proposal::Exceptions, "section", "tag"),
                        offset,
                    )?;
                    let ty = self.tag_type(ty);
                    self.module.tags.push(ty);
                }
            }
            Payload::GlobalSection(section) => self.globals(section)?,
            Payload::ExportSection(section) => self.exports(section)?,
            Payload::StartSection { func, range } => {
                self.validator
                    .start_section(func, &range)
                    .map_err(|e| self.invalid(e))?;
                self.module.start = Some(FuncIndex::new(func));
            }
            Payload::ElementSection(section) => self.elements(section)?,
            Payload::DataCountSection { count, range } => {
                self.validator
                    .data_count_section(count, &range)
                    .map_err(|e| self.invalid(e))?;
                self.module.data_count = Some(count);
            }
            Payload::CodeSectionStart {
                count,
                unchecked_range,
                ..
            } => {
                self.validator
                    .code_section_start(&unchecked_range)
                    .map_err(|e| self.invalid(e))?;
                // The parser refuses the section when it runs past the end.
                let end = unchecked_range.end.min(self.bytes.len() as u64);
                self.module.code = narrow(unchecked_range.start)..narrow(end);
                let most = (end - unchecked_range.start).min(u64::from(count));
                self.module.bodies.reserve(most as usize);
            }
            Payload::CodeSectionEntry(body) => {
                let function = self
                    .validator
                    .code_section_entry(&body)
                    .map_err(|e| self.body_refused(e))?;
                if self.resources.is_none() {
                    self.resources = Some(function.resources);
                }
                let range = body.range();
                self.module.bodies.push(FunctionBody {
                    start: narrow(range.start),
                    end: narrow(range.end),
                });
            }
            Payload::DataSection(section) => self.data(section)?,
            Payload::CustomSection(section) => {
                let range = section.data_range();
                self.module.custom_sections.push(CustomSection {
                    name: section.name().into(),
                    range: narrow(range.start) as usize..narrow(range.end) as usize,
                });
            }
            Payload::UnknownSection { id, range, .. } => {
                let offset = narrow(range.start) as usize;
                let message = format!("malformed section id: {id}");
                return Err(Error::new(ErrorKind::Malformed, offset, message));
            }
            // `TypeSection` is the caller's; components were refused.
            _ => {}
        }
        Ok(())
    }

    /// The error of a body that is too large: the one thing checked when it is found.
    #[cold]
    fn body_refused(&self, error: wasmparser::Error) -> Error {
        let index = self.module.imported_functions + self.module.bodies.len() as u32;
        self.invalid(error).in_function(FuncIndex::new(index), None)
    }

    fn check(&self, check: Result<(), Refused>, offset: u64) -> Result<()> {
        check.map_err(|refused| refused.at(narrow(offset) as usize))
    }

    fn types(
        &mut self,
        section: wasmparser::TypeSectionReader<'a>,
        with_registry: &mut WithRegistry<'_>,
    ) -> Result<crate::RegistryId> {
        self.validator
            .type_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        let mut groups = Vec::with_capacity(capacity(&section));
        for item in section.into_iter_with_offsets() {
            let (offset, group) = item.map_err(|e| self.malformed(e))?;
            let mut types = Vec::with_capacity(group.types().len());
            for (offset, ty) in group.into_types_and_offsets() {
                self.check(support::check_sub_type(&ty), offset)?;
                types.push(ty);
            }
            groups.push((offset, types));
        }

        let mut id = None;
        let mut failed = None;
        let registered = &mut self.groups;
        with_registry(&mut |registry| {
            id = Some(registry.id().clone());
            for (offset, types) in &groups {
                let first_index = registered.len() as u32;
                let earlier = |index: u32| -> Option<TypeId> {
                    let ty: &ModuleType = registered.get(index as usize)?;
                    Some(ty.group.types()[ty.position as usize].id())
                };
                match registry.register_group(types, first_index, &earlier) {
                    Ok(group) => push_group(registered, &group),
                    Err(error) => {
                        failed = Some((*offset, error));
                        return;
                    }
                }
            }
        });
        if let Some((offset, error)) = failed {
            let kind = match error {
                RegisterError::OutOfIds => ErrorKind::Limit,
                _ => ErrorKind::Invalid,
            };
            return Err(Error::new(kind, narrow(offset) as usize, error.to_string()));
        }
        Ok(id.expect("the registry is given"))
    }

    fn imports(&mut self, section: wasmparser::ImportSectionReader<'a>) -> Result<()> {
        self.import_names(&section)?;
        self.validator
            .import_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        self.module.imports.reserve(capacity(&section));
        for item in section.into_imports_with_offsets() {
            let (offset, import) = item.map_err(|e| self.malformed(e))?;
            let module = match &self.last_import_module {
                Some(last) if **last == *import.module => last.clone(),
                _ => {
                    let name: Arc<str> = import.module.into();
                    self.last_import_module = Some(name.clone());
                    name
                }
            };
            let ty = match import.ty {
                wasmparser::TypeRef::Func(index) => {
                    self.module.functions.push(TypeIndex::new(index));
                    self.module.imported_functions += 1;
                    ExternType::Func(self.type_id(index))
                }
                wasmparser::TypeRef::FuncExact(_) => {
                    let refused = Refused::new(Proposal::CustomDescriptors, "import type", "exact");
                    return Err(refused.at(narrow(offset) as usize));
                }
                wasmparser::TypeRef::Table(ty) => {
                    let ty = self.table_type(ty, offset)?;
                    self.module.tables.push(ty);
                    self.module.imported_tables += 1;
                    ExternType::Table(ty)
                }
                wasmparser::TypeRef::Memory(ty) => {
                    let ty = memory_type(ty);
                    self.module.memories.push(ty);
                    self.module.imported_memories += 1;
                    ExternType::Memory(ty)
                }
                wasmparser::TypeRef::Global(ty) => {
                    let ty = self.global_type(ty, offset)?;
                    self.module.globals.push(ty);
                    self.module.imported_globals += 1;
                    ExternType::Global(ty)
                }
                wasmparser::TypeRef::Tag(ty) => {
                    self.check(
                        support::refuse(Proposal::Exceptions, "import", "tag"),
                        offset,
                    )?;
                    let ty = self.tag_type(ty);
                    self.module.tags.push(ty);
                    self.module.imported_tags += 1;
                    ExternType::Tag(ty)
                }
            };
            self.module.imports.push(Import {
                module,
                field: import.name.into(),
                ty,
            });
        }
        Ok(())
    }

    /// A compact import section repeats a long module name for the price of a
    /// byte, and the validator copies it each time: bounds the sum beforehand.
    fn import_names(&self, section: &wasmparser::ImportSectionReader<'a>) -> Result<()> {
        if !self.features.contains(Proposal::CompactImports) {
            return Ok(());
        }
        let mut count = 0usize;
        let mut names = 0usize;
        let limit = self.bytes.len() + limits::COMPACT_IMPORT_NAMES;
        for item in section.clone().into_imports_with_offsets() {
            // What cannot be read is the validator's to report.
            let Ok((offset, import)) = item else {
                return Ok(());
            };
            count += 1;
            names = names.saturating_add(import.module.len() + import.name.len());
            let message = if count > limits::IMPORTS {
                format!("imports count exceeds limit of {}", limits::IMPORTS)
            } else if names > limit {
                format!("import names exceed the limit of {limit} bytes")
            } else {
                continue;
            };
            return Err(Error::new(
                ErrorKind::Limit,
                narrow(offset) as usize,
                message,
            ));
        }
        Ok(())
    }

    fn tables(&mut self, section: wasmparser::TableSectionReader<'a>) -> Result<()> {
        self.validator
            .table_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        for item in section.into_iter_with_offsets() {
            let (offset, table) = item.map_err(|e| self.malformed(e))?;
            let ty = self.table_type(table.ty, offset)?;
            self.module.tables.push(ty);
            let initializer = match table.init {
                wasmparser::TableInit::RefNull => TableInitializer::Null,
                wasmparser::TableInit::Expr(expr) => TableInitializer::Expr(self.const_expr(expr)?),
            };
            self.module.table_initializers.push(initializer);
        }
        Ok(())
    }

    fn globals(&mut self, section: wasmparser::GlobalSectionReader<'a>) -> Result<()> {
        self.validator
            .global_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        self.module.globals.reserve(capacity(&section));
        for item in section.into_iter_with_offsets() {
            let (offset, global) = item.map_err(|e| self.malformed(e))?;
            let ty = self.global_type(global.ty, offset)?;
            self.module.globals.push(ty);
            let value = self.const_expr(global.init_expr)?;
            self.module.global_initializers.push(value);
        }
        Ok(())
    }

    fn exports(&mut self, section: wasmparser::ExportSectionReader<'a>) -> Result<()> {
        self.validator
            .export_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        self.module.exports.reserve(capacity(&section));
        for export in section {
            let export = export.map_err(|e| self.malformed(e))?;
            let index = match export.kind {
                wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact => {
                    self.module.escape(export.index);
                    ExternIndex::Func(FuncIndex::new(export.index))
                }
                wasmparser::ExternalKind::Table => {
                    ExternIndex::Table(TableIndex::new(export.index))
                }
                wasmparser::ExternalKind::Memory => {
                    ExternIndex::Memory(MemoryIndex::new(export.index))
                }
                wasmparser::ExternalKind::Global => {
                    ExternIndex::Global(GlobalIndex::new(export.index))
                }
                wasmparser::ExternalKind::Tag => ExternIndex::Tag(TagIndex::new(export.index)),
            };
            self.module.exports.push(Export {
                name: export.name.into(),
                index,
            });
        }
        Ok(())
    }

    fn elements(&mut self, section: wasmparser::ElementSectionReader<'a>) -> Result<()> {
        self.validator
            .element_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        self.module.elements.reserve(capacity(&section));
        for item in section.into_iter_with_offsets() {
            let (offset, segment) = item.map_err(|e| self.malformed(e))?;
            let mode = match segment.kind {
                wasmparser::ElementKind::Passive => ElementMode::Passive,
                wasmparser::ElementKind::Declared => ElementMode::Declared,
                wasmparser::ElementKind::Active {
                    table_index,
                    offset_expr,
                } => ElementMode::Active {
                    table: TableIndex::new(table_index.unwrap_or(0)),
                    offset: self.const_expr(offset_expr)?,
                },
            };
            let (ty, items) = match segment.items {
                wasmparser::ElementItems::Functions(items) => {
                    let mut functions = Vec::with_capacity(capacity(&items));
                    for index in items {
                        let index = index.map_err(|e| self.malformed(e))?;
                        self.module.escape(index);
                        functions.push(FuncIndex::new(index));
                    }
                    (RefType::FUNCREF, ElementItems::Functions(functions.into()))
                }
                wasmparser::ElementItems::Expressions(ty, items) => {
                    let ty = self.ref_type(ty, offset)?;
                    let mut expressions = Vec::with_capacity(capacity(&items));
                    for item in items {
                        let item = item.map_err(|e| self.malformed(e))?;
                        expressions.push(self.const_expr(item)?);
                    }
                    (ty, ElementItems::Expressions(expressions.into()))
                }
            };
            self.module
                .elements
                .push(ElementSegment { ty, mode, items });
        }
        Ok(())
    }

    fn data(&mut self, section: wasmparser::DataSectionReader<'a>) -> Result<()> {
        self.validator
            .data_section(&section)
            .map_err(|e| self.refused(&section, e))?;
        self.module.data.reserve(capacity(&section));
        for segment in section {
            let segment = segment.map_err(|e| self.malformed(e))?;
            let mode = match segment.kind {
                wasmparser::DataKind::Passive => DataMode::Passive,
                wasmparser::DataKind::Active {
                    memory_index,
                    offset_expr,
                } => DataMode::Active {
                    memory: MemoryIndex::new(memory_index),
                    offset: self.const_expr(offset_expr)?,
                },
            };
            // The data are the last bytes of the segment.
            let end = narrow(segment.range.end) as usize;
            self.module.data.push(DataSegment {
                mode,
                range: end - segment.data.len()..end,
            });
        }
        Ok(())
    }

    /// Reads a constant expression that is valid. The few instructions that it may
    /// have are read here, because the decoder's way brings a reader of all that
    /// there are, twice as large as all else of this crate.
    fn const_expr(&mut self, expr: wasmparser::ConstExpr<'a>) -> Result<ConstExpr> {
        let mut reader = expr.get_binary_reader();
        self.ops.clear();
        loop {
            let offset = reader.original_position();
            match self.const_op(&mut reader) {
                Ok(Read::End) => break,
                Ok(Read::Op(op)) => self.ops.push(op),
                Ok(Read::Null(heap)) => {
                    self.check(support::check_heap(heap), offset)?;
                    let heap = self.heap_type(heap);
                    self.ops.push(ConstOp::RefNull(heap));
                }
                // All other instructions that validation lets through here are
                // those of gc.
                Ok(Read::Gc(name)) => {
                    let refused = Refused::new(Proposal::Gc, "constant instruction", name);
                    return Err(refused.at(narrow(offset) as usize));
                }
                Err(error) => return Err(self.malformed(error)),
            }
        }
        Ok(ConstExpr::from_ops(&self.ops))
    }

    /// Reads one instruction of a constant expression.
    fn const_op(&mut self, reader: &mut wasmparser::BinaryReader<'a>) -> wasmparser::Result<Read> {
        Ok(Read::Op(match reader.read_u8()? {
            0x0b => return Ok(Read::End),
            0x23 => ConstOp::GlobalGet(GlobalIndex::new(reader.read_var_u32()?)),
            0x41 => ConstOp::I32Const(reader.read_var_i32()?),
            0x42 => ConstOp::I64Const(reader.read_var_i64()?),
            0x43 => ConstOp::F32Const(reader.read_f32()?.bits()),
            0x44 => ConstOp::F64Const(reader.read_f64()?.bits()),
            0x6a => ConstOp::I32Add,
            0x6b => ConstOp::I32Sub,
            0x6c => ConstOp::I32Mul,
            0x7c => ConstOp::I64Add,
            0x7d => ConstOp::I64Sub,
            0x7e => ConstOp::I64Mul,
            0xd0 => return Ok(Read::Null(reader.read()?)),
            0xd2 => {
                let function = reader.read_var_u32()?;
                self.module.escape(function);
                ConstOp::RefFunc(FuncIndex::new(function))
            }
            // `v128.const` is the only one of vectors.
            0xfd => {
                reader.read_var_u32()?;
                let mut bytes = [0; 16];
                bytes.copy_from_slice(reader.read_bytes(16)?);
                ConstOp::V128Const(bytes)
            }
            0xfb => {
                return Ok(Read::Gc(match reader.read_var_u32()? {
                    0 => "struct.new",
                    1 => "struct.new_default",
                    6 => "array.new",
                    7 => "array.new_default",
                    8 => "array.new_fixed",
                    26 => "any.convert_extern",
                    27 => "extern.convert_any",
                    28 => "ref.i31",
                    _ => "of gc",
                }));
            }
            _ => return Ok(Read::Gc("of gc")),
        }))
    }

    fn type_id(&self, index: u32) -> TypeId {
        let ty = &self.groups[index as usize];
        ty.group.types()[ty.position as usize].id()
    }

    fn heap_type(&self, ty: wasmparser::HeapType) -> HeapType {
        match ty {
            wasmparser::HeapType::Abstract { ty, .. } => abstract_heap_type(ty),
            wasmparser::HeapType::Concrete(index) | wasmparser::HeapType::Exact(index) => {
                let index = index.as_module_index();
                HeapType::Concrete(self.type_id(index.expect("types are read by module index")))
            }
        }
    }

    fn ref_type(&self, ty: wasmparser::RefType, offset: u64) -> Result<RefType> {
        self.check(support::check_ref(ty), offset)?;
        Ok(RefType::new(
            ty.is_nullable(),
            self.heap_type(ty.heap_type()),
        ))
    }

    fn table_type(&self, ty: wasmparser::TableType, offset: u64) -> Result<TableType> {
        if ty.shared {
            let check = support::refuse(Proposal::SharedEverythingThreads, "table type", "shared");
            self.check(check, offset)?;
        }
        Ok(TableType {
            element: self.ref_type(ty.element_type, offset)?,
            minimum: ty.initial,
            maximum: ty.maximum,
            table64: ty.table64,
        })
    }

    fn global_type(&self, ty: wasmparser::GlobalType, offset: u64) -> Result<GlobalType> {
        if ty.shared {
            let check = support::refuse(Proposal::SharedEverythingThreads, "global type", "shared");
            self.check(check, offset)?;
        }
        let content = match ty.content_type {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => ValType::Ref(self.ref_type(ty, offset)?),
        };
        Ok(GlobalType {
            content,
            mutable: ty.mutable,
        })
    }

    fn tag_type(&self, ty: wasmparser::TagType) -> TagType {
        TagType {
            ty: self.type_id(ty.func_type_idx),
        }
    }

    fn finish(self, registry: crate::RegistryId) -> (Module, Bodies) {
        let types = self.groups;
        let types_by_id = types_by_id(&types);
        let module = self.module;
        let exports = module.exports;
        let mut exports_by_name: Vec<_> = (0..exports.len() as u32).collect();
        order::sort_by_key(&mut exports_by_name, |position| {
            &*exports[position as usize].name
        });

        let module = Module {
            features: self.features,
            registry,
            size: self.bytes.len(),
            types,
            types_by_id,
            imports: module.imports,
            functions: module.functions,
            imported_functions: module.imported_functions,
            tables: module.tables,
            imported_tables: module.imported_tables,
            table_initializers: module.table_initializers,
            memories: module.memories,
            imported_memories: module.imported_memories,
            globals: module.globals,
            imported_globals: module.imported_globals,
            global_initializers: module.global_initializers,
            tags: module.tags,
            imported_tags: module.imported_tags,
            exports,
            exports_by_name,
            start: module.start,
            elements: module.elements,
            data_count: module.data_count,
            data: module.data,
            code: module.code,
            bodies: module.bodies,
            custom_sections: module.custom_sections,
            escaped: module.escaped,
        };
        let bodies = Bodies::new(self.resources, self.features, self.bytes.len());
        (module, bodies)
    }
}

/// What is read of a constant expression at a time.
enum Read {
    Op(ConstOp),
    /// A null reference of this type.
    Null(wasmparser::HeapType),
    /// An instruction of gc, by name.
    Gc(&'static str),
    End,
}

fn memory_type(ty: wasmparser::MemoryType) -> MemoryType {
    MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        shared: ty.shared,
        memory64: ty.memory64,
        page_size_log2: ty.page_size_log2() as u8,
    }
}
