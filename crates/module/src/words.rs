//! How is a recursion group written so that equal groups look the same? As words.
//!
//! See [`crate::canon`] for what the words are for. A type is: flags; its
//! supertype if [`HAS_SUPER`]; its kind; then what the kind needs. A reference
//! to a type is two words: whether it is of the same group, and its position
//! there or its [`TypeId`].

use crate::canon::{RegisterError, TypeRegistry};
use crate::types::{
    CompositeType, FieldType, FuncType, HeapType, RefType, StorageType, TypeId, ValType,
};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A defined type to be registered: its references name types by module index.
#[cfg(feature = "decoder")]
pub(crate) use wasmparser::SubType as SourceType;

pub(crate) const FINAL: u32 = 1;
const HAS_SUPER: u32 = 2;
pub(crate) const KIND_FUNC: u32 = 0;
const KIND_STRUCT: u32 = 1;
const KIND_ARRAY: u32 = 2;
const KIND_CONT: u32 = 3;
pub(crate) const SAME_GROUP: u32 = 0;
const OTHER_GROUP: u32 = 1;
const MUTABLE: u32 = 1 << 8;
const NULLABLE: u32 = 1 << 9;
const TAG: u32 = 0xff;

/// Value types other than references, then storage types, then heap types.
const TAGS: [(u32, Plain); 21] = {
    use HeapType as H;
    use Plain::*;
    [
        (0, Val(ValType::I32)),
        (1, Val(ValType::I64)),
        (2, Val(ValType::F32)),
        (3, Val(ValType::F64)),
        (4, Val(ValType::V128)),
        (5, Packed(StorageType::I8)),
        (6, Packed(StorageType::I16)),
        (7, Heap(H::Func)),
        (8, Heap(H::NoFunc)),
        (9, Heap(H::Extern)),
        (10, Heap(H::NoExtern)),
        (11, Heap(H::Any)),
        (12, Heap(H::Eq)),
        (13, Heap(H::I31)),
        (14, Heap(H::Struct)),
        (15, Heap(H::Array)),
        (16, Heap(H::None)),
        (17, Heap(H::Exn)),
        (18, Heap(H::NoExn)),
        (19, Heap(H::Cont)),
        (20, Heap(H::NoCont)),
    ]
};
const TAG_CONCRETE: u32 = 21;

#[derive(Clone, Copy, PartialEq)]
enum Plain {
    Val(ValType),
    Packed(StorageType),
    Heap(HeapType),
}

fn tag_of(plain: Plain) -> u32 {
    let entry = TAGS.iter().find(|(_, other)| *other == plain);
    entry.expect("the table lists every plain type").0
}

/// Writes the types of one group.
pub(crate) struct Writer<'a> {
    registry: &'a TypeRegistry,
    pub(crate) words: Vec<u32>,
    /// The other groups that it mentions, by number, some more than once.
    pub(crate) mentions: Vec<u32>,
    pub(crate) first_index: u32,
    pub(crate) group_len: u32,
    pub(crate) earlier: Option<&'a dyn Fn(u32) -> Option<TypeId>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(registry: &'a TypeRegistry) -> Self {
        Self {
            registry,
            words: Vec::new(),
            mentions: Vec::new(),
            first_index: 0,
            group_len: 0,
            earlier: None,
        }
    }

    fn other_group(&mut self, id: TypeId) -> Result<(), RegisterError> {
        let group = self.registry.group_number(id);
        self.mentions
            .push(group.ok_or(RegisterError::UnknownType(id))?);
        self.words.extend([OTHER_GROUP, id.as_u32()]);
        Ok(())
    }

    /// A reference to the type of this module index.
    fn index(&mut self, index: u32) -> Result<(), RegisterError> {
        if index >= self.first_index {
            let position = index - self.first_index;
            if position >= self.group_len {
                return Err(RegisterError::UnknownIndex(index));
            }
            self.words.extend([SAME_GROUP, position]);
            return Ok(());
        }
        let id = self.earlier.and_then(|earlier| earlier(index));
        self.other_group(id.ok_or(RegisterError::UnknownIndex(index))?)
    }

    pub(crate) fn canonical_val(&mut self, ty: ValType) -> Result<(), RegisterError> {
        match ty {
            ValType::Ref(ty) => {
                let nullable = if ty.nullable { NULLABLE } else { 0 };
                match ty.heap {
                    HeapType::Concrete(id) => {
                        self.words.push(TAG_CONCRETE | nullable);
                        self.other_group(id)?;
                    }
                    heap => self.words.push(tag_of(Plain::Heap(heap)) | nullable),
                }
            }
            ty => self.words.push(tag_of(Plain::Val(ty))),
        }
        Ok(())
    }

    /// A value type of a description: a word that [`described`] gave, and the module
    /// index of the type that it is a reference to, if it is one to a type.
    pub(crate) fn described_val(
        &mut self,
        word: u32,
        index: Option<u32>,
    ) -> Result<(), RegisterError> {
        self.words.push(word);
        index.map_or(Ok(()), |index| self.index(index))
    }

    /// The beginning of a function type of a description.
    pub(crate) fn described_func(
        &mut self,
        is_final: bool,
        supertype: Option<u32>,
        params: u32,
        results: u32,
    ) -> Result<(), RegisterError> {
        let flags = if is_final { FINAL } else { 0 };
        match supertype {
            None => self.words.push(flags),
            Some(supertype) => {
                self.words.push(flags | HAS_SUPER);
                self.index(supertype)?;
            }
        }
        self.words.extend([KIND_FUNC, params, results]);
        Ok(())
    }
}

/// A value type as one word; and the type that it is a reference to, if it is one to
/// a defined type.
pub(crate) fn described(ty: ValType) -> (u32, Option<TypeId>) {
    match ty {
        ValType::Ref(ty) => {
            let nullable = if ty.nullable { NULLABLE } else { 0 };
            match ty.heap {
                HeapType::Concrete(id) => (TAG_CONCRETE | nullable, Some(id)),
                heap => (tag_of(Plain::Heap(heap)) | nullable, None),
            }
        }
        ty => (tag_of(Plain::Val(ty)), None),
    }
}

/// Whether a word that [`described`] gave is of a reference to a defined type.
pub(crate) fn is_concrete(word: u32) -> bool {
    word & TAG == TAG_CONCRETE
}

/// The value type that [`described`] gave this for, if it is one.
pub(crate) fn undescribed(word: u32, id: Option<TypeId>) -> Option<ValType> {
    let nullable = match word & !TAG {
        0 => false,
        NULLABLE => true,
        _ => return None,
    };
    if let Some(id) = id {
        return Some(RefType::new(nullable, HeapType::Concrete(id)).into());
    }
    match TAGS.get((word & TAG) as usize)?.1 {
        Plain::Val(ty) if !nullable => Some(ty),
        Plain::Heap(heap) => Some(RefType::new(nullable, heap).into()),
        _ => None,
    }
}

/// Types as the decoder gives them.
#[cfg(feature = "decoder")]
impl Writer<'_> {
    fn packed(&mut self, index: Option<wasmparser::PackedIndex>) -> Result<(), RegisterError> {
        let index = index.and_then(|index| index.as_module_index());
        self.index(index.ok_or(RegisterError::Unrepresentable)?)
    }

    fn source_val(&mut self, ty: wasmparser::ValType, extra: u32) -> Result<(), RegisterError> {
        use wasmparser::ValType as V;
        let ty = match ty {
            V::I32 => ValType::I32,
            V::I64 => ValType::I64,
            V::F32 => ValType::F32,
            V::F64 => ValType::F64,
            V::V128 => ValType::V128,
            V::Ref(ty) => {
                let nullable = if ty.is_nullable() { NULLABLE } else { 0 };
                match ty.heap_type() {
                    wasmparser::HeapType::Concrete(index) => {
                        self.words.push(TAG_CONCRETE | nullable | extra);
                        self.packed(index.pack())?;
                    }
                    wasmparser::HeapType::Abstract { shared: false, ty } => {
                        let tag = tag_of(Plain::Heap(abstract_heap_type(ty)));
                        self.words.push(tag | nullable | extra);
                    }
                    _ => return Err(RegisterError::Unrepresentable),
                }
                return Ok(());
            }
        };
        self.words.push(tag_of(Plain::Val(ty)) | extra);
        Ok(())
    }

    fn source_field(&mut self, field: &wasmparser::FieldType) -> Result<(), RegisterError> {
        let extra = if field.mutable { MUTABLE } else { 0 };
        match field.element_type {
            wasmparser::StorageType::I8 => {
                self.words
                    .push(tag_of(Plain::Packed(StorageType::I8)) | extra);
            }
            wasmparser::StorageType::I16 => {
                self.words
                    .push(tag_of(Plain::Packed(StorageType::I16)) | extra);
            }
            wasmparser::StorageType::Val(ty) => self.source_val(ty, extra)?,
        }
        Ok(())
    }

    pub(crate) fn source_type(&mut self, ty: &SourceType) -> Result<(), RegisterError> {
        let composite = &ty.composite_type;
        if composite.shared
            || composite.describes_idx.is_some()
            || composite.descriptor_idx.is_some()
            || ty.supertype_idxs.len() > 1
        {
            return Err(RegisterError::Unrepresentable);
        }
        let flags = if ty.is_final { FINAL } else { 0 };
        match ty.supertype_idxs.first() {
            None => self.words.push(flags),
            Some(&supertype) => {
                self.words.push(flags | HAS_SUPER);
                self.packed(Some(supertype))?;
            }
        }
        match &composite.inner {
            wasmparser::CompositeInnerType::Func(ty) => {
                self.words.push(KIND_FUNC);
                self.words.push(ty.params().len() as u32);
                self.words.push(ty.results().len() as u32);
                for &ty in ty.params().iter().chain(ty.results()) {
                    self.source_val(ty, 0)?;
                }
            }
            wasmparser::CompositeInnerType::Struct(ty) => {
                self.words.push(KIND_STRUCT);
                self.words.push(ty.fields.len() as u32);
                for field in &ty.fields {
                    self.source_field(field)?;
                }
            }
            wasmparser::CompositeInnerType::Array(ty) => {
                self.words.push(KIND_ARRAY);
                self.source_field(&ty.0)?;
            }
            wasmparser::CompositeInnerType::Cont(ty) => {
                self.words.push(KIND_CONT);
                self.packed(Some(ty.0))?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "decoder")]
pub(crate) fn abstract_heap_type(ty: wasmparser::AbstractHeapType) -> HeapType {
    use wasmparser::AbstractHeapType as A;
    match ty {
        A::Func => HeapType::Func,
        A::Extern => HeapType::Extern,
        A::Any => HeapType::Any,
        A::None => HeapType::None,
        A::NoExtern => HeapType::NoExtern,
        A::NoFunc => HeapType::NoFunc,
        A::Eq => HeapType::Eq,
        A::Struct => HeapType::Struct,
        A::Array => HeapType::Array,
        A::I31 => HeapType::I31,
        A::Exn => HeapType::Exn,
        A::NoExn => HeapType::NoExn,
        A::Cont => HeapType::Cont,
        A::NoCont => HeapType::NoCont,
    }
}

/// Reads words that [`Writer`] wrote.
pub(crate) struct Reader<'a> {
    words: &'a [u32],
    ids: &'a [TypeId],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(words: &'a [u32], ids: &'a [TypeId]) -> Self {
        Self { words, ids }
    }

    /// How many types the words describe.
    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        while !self.words.is_empty() {
            self.skip_type();
            count += 1;
        }
        count
    }

    fn next(&mut self) -> u32 {
        let (&first, rest) = self
            .words
            .split_first()
            .expect("the writer ends no type early");
        self.words = rest;
        first
    }

    fn skip_type(&mut self) {
        if self.next() & HAS_SUPER != 0 {
            self.skip_id();
        }
        match self.next() {
            KIND_FUNC => {
                let count = self.next() + self.next();
                (0..count).for_each(|_| self.skip_field());
            }
            KIND_STRUCT => {
                let count = self.next();
                (0..count).for_each(|_| self.skip_field());
            }
            KIND_ARRAY => self.skip_field(),
            _ => self.skip_id(),
        }
    }

    fn skip_id(&mut self) {
        self.next();
        self.next();
    }

    fn skip_field(&mut self) {
        if self.next() & TAG == TAG_CONCRETE {
            self.skip_id();
        }
    }

    fn id(&mut self) -> TypeId {
        let space = self.next();
        let number = self.next();
        if space == SAME_GROUP {
            self.ids[number as usize]
        } else {
            TypeId::new(number)
        }
    }

    fn field(&mut self) -> FieldType {
        let word = self.next();
        let nullable = word & NULLABLE != 0;
        let storage = match word & TAG {
            TAG_CONCRETE => {
                let heap = HeapType::Concrete(self.id());
                StorageType::Val(ValType::Ref(RefType::new(nullable, heap)))
            }
            tag => match TAGS[tag as usize].1 {
                Plain::Val(ty) => StorageType::Val(ty),
                Plain::Packed(storage) => storage,
                Plain::Heap(heap) => StorageType::Val(ValType::Ref(RefType::new(nullable, heap))),
            },
        };
        FieldType {
            storage,
            mutable: word & MUTABLE != 0,
        }
    }

    fn vals(&mut self, count: u32) -> Box<[ValType]> {
        (0..count)
            .map(|_| self.field().storage.unpacked())
            .collect()
    }

    /// Finality, supertype as it is written, and structure.
    pub(crate) fn sub_type(&mut self) -> (bool, Option<(u32, u32)>, CompositeType) {
        let flags = self.next();
        let supertype = (flags & HAS_SUPER != 0).then(|| (self.next(), self.next()));
        let composite = match self.next() {
            KIND_FUNC => {
                let params = self.next();
                let results = self.next();
                CompositeType::Func(FuncType {
                    params: self.vals(params),
                    results: self.vals(results),
                })
            }
            KIND_STRUCT => {
                let count = self.next();
                CompositeType::Struct((0..count).map(|_| self.field()).collect())
            }
            KIND_ARRAY => CompositeType::Array(self.field()),
            _ => CompositeType::Cont(self.id()),
        };
        (flags & FINAL != 0, supertype, composite)
    }
}
