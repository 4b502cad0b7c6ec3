//! How is a module's description written?

use super::*;
use crate::canon::RecGroup;
use crate::const_expr::ConstExpr;
use crate::leb128;
use crate::module::*;
use crate::types::{
    CompositeType, ExternType, GlobalType, MemoryType, RefType, TableType, TypeId, ValType,
};
use crate::words::described;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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
        leb128::write(&mut self.out, number);
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
