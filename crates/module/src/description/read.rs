//! How does a description become a module again?

use super::*;
use crate::canon::{RegisterError, TypeRegistry, WithRegistry};
use crate::const_expr::ConstExpr;
use crate::features::Features;
use crate::leb128;
use crate::module::*;
use crate::types::{
    ExternType, GlobalType, HeapType, MemoryType, RefType, TableType, TagType, TypeId, ValType,
};
use crate::words;
use crate::{FuncIndex, GlobalIndex, MemoryIndex, TableIndex, TagIndex, TypeIndex};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

impl Module {
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

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    types: Vec<ModuleType>,
}

/// `None` stands for a description that is damaged where the reader is.
impl<'a> Reader<'a> {
    /// What `read` takes from the front of what is left.
    fn take<T>(&mut self, read: impl FnOnce(&mut &'a [u8]) -> Option<T>) -> Option<T> {
        let mut rest = self.bytes.get(self.at..)?;
        let value = read(&mut rest);
        self.at = self.bytes.len() - rest.len();
        value
    }

    fn long(&mut self) -> Option<u64> {
        self.take(leb128::read_u64)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(leb128::read_u32)
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
        let id = if words::is_concrete(word) {
            Some(self.type_id()?)
        } else {
            None
        };
        words::undescribed(word, id)
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
            read = self.groups(registry);
        });
        read?;
        Some(id.expect("the registry is given"))
    }

    fn groups(&mut self, registry: &mut TypeRegistry) -> Option<()> {
        let count = self.count()?;
        while self.types.len() < count {
            let group_len = self.count().filter(|len| *len > 0)? as u32;
            let known = core::mem::take(&mut self.types);
            let earlier = |index: u32| Some(known.get(index as usize)?.get().id());
            let first = known.len() as u32;
            let group = registry.register_written(group_len, first, &earlier, &mut |writer| {
                (0..group_len).try_for_each(|_| self.func_type(writer))
            });
            self.types = known;
            push_group(&mut self.types, &group.ok()?);
        }
        (self.types.len() == count).then_some(())
    }

    /// Hands a function type on to a registry.
    ///
    /// # Errors
    ///
    /// When it is damaged, or names types that there are not.
    fn func_type(&mut self, writer: &mut words::Writer<'_>) -> Result<(), RegisterError> {
        let damaged = RegisterError::Unrepresentable;
        let flags = self.number().ok_or(damaged)?;
        let supertype = if flags & HAS_SUPER != 0 {
            Some(self.number().ok_or(damaged)?)
        } else {
            None
        };
        let params = self.count().ok_or(damaged)?;
        let results = self.count().ok_or(damaged)?;
        writer.described_func(
            flags & IS_FINAL != 0,
            supertype,
            params as u32,
            results as u32,
        )?;
        for _ in 0..params + results {
            let word = self.number().ok_or(damaged)?;
            let index = if words::is_concrete(word) {
                Some(self.number().ok_or(damaged)?)
            } else {
                words::undescribed(word, None).ok_or(damaged)?;
                None
            };
            writer.described_val(word, index)?;
        }
        Ok(())
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
