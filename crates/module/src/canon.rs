//! Which defined types are the same? Canonical types of an engine.
//!
//! WebAssembly compares defined types by structure, recursion group by
//! recursion group (core specification, "Recursive Types", iso-recursive
//! equality). A [`TypeRegistry`] keeps one copy of each group that an engine
//! has met and names each type in it with a [`TypeId`], so that equality is a
//! comparison of two numbers afterwards.
//!
//! **Canonical form.** A group is written as a list of 32-bit words in which a
//! type of the same group is named by its position and any other by its
//! `TypeId`. References can only go to the same group or to earlier ones, so
//! those ids exist already. Two groups are equal exactly when their words are;
//! a hash table finds the copy. The cost is linear in the size of the group.
//!
//! **Subtyping.** Each type keeps its *display*: the ids of its declared
//! supertypes from the root down. `a` is below `b` when `b` stands in `a`'s
//! display at the depth of `b`: one load and one comparison.
//!
//! **Lifetime.** Who uses a type holds an [`Arc`] of its [`RecGroup`].
//! Dropping one needs no lock and takes constant time. The registry frees
//! groups that nobody but itself holds when it next grows, under its owner's
//! lock: finding a group and taking hold of it needs that same lock, so a
//! group that is being freed cannot be found. A group also counts as held
//! while another group that mentions it lives; freeing follows those counts
//! with a list, not by recursion, so that chains of any length are safe. Ids
//! are used again only after their group was freed.

use crate::types::{CompositeType, ExternType, FuncType, HeapType, RefType, TypeId, ValType};
#[cfg(feature = "decoder")]
use crate::words::SourceType;
use crate::words::{FINAL, KIND_FUNC, Reader, SAME_GROUP, Writer};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use hashbrown::HashTable;

/// A defined type in canonical form: structure, finality and supertype.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubType {
    id: TypeId,
    is_final: bool,
    composite: CompositeType,
    /// Declared supertypes from the root down to the direct one.
    display: Box<[TypeId]>,
}

impl SubType {
    /// The canonical name.
    #[inline]
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// Whether no other type may declare this one as its supertype.
    #[inline]
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// The declared direct supertype.
    #[inline]
    pub fn supertype(&self) -> Option<TypeId> {
        self.display.last().copied()
    }

    /// All declared supertypes, from the root of the hierarchy down to the
    /// direct one. Its length is the depth of this type, at most
    /// [`limits::SUBTYPING_DEPTH`](crate::limits::SUBTYPING_DEPTH).
    #[inline]
    pub fn supertypes(&self) -> &[TypeId] {
        &self.display
    }

    /// The structure.
    #[inline]
    pub fn composite(&self) -> &CompositeType {
        &self.composite
    }

    /// The function type, when it is one.
    #[inline]
    pub fn as_func(&self) -> Option<&FuncType> {
        self.composite.as_func()
    }

    /// Whether this type is `other` or declared, directly or not, below it.
    #[inline]
    pub fn is_subtype_of(&self, other: &SubType) -> bool {
        self.id == other.id || self.display.get(other.display.len()) == Some(&other.id)
    }
}

/// A recursion group in canonical form. Holding it keeps the ids of its types,
/// and of all types that they mention, from being given to others.
pub struct RecGroup {
    types: Box<[SubType]>,
    registry: RegistryId,
}

impl RecGroup {
    /// The types of the group, in order; never empty.
    #[inline]
    pub fn types(&self) -> &[SubType] {
        &self.types
    }

    /// The registry that made the group.
    pub fn registry(&self) -> &RegistryId {
        &self.registry
    }
}

impl fmt::Debug for RecGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.types).finish()
    }
}

/// Which registry, and so which engine, something belongs to. Equal only to
/// its own clones.
#[derive(Clone)]
pub struct RegistryId(Arc<u8>);

impl RegistryId {
    fn new() -> Self {
        Self(Arc::new(0))
    }
}

impl PartialEq for RegistryId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RegistryId {}

impl fmt::Debug for RegistryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryId({:p})", Arc::as_ptr(&self.0))
    }
}

/// Why a type could not be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegisterError {
    /// It mentions a [`TypeId`] that names no live type of this registry.
    UnknownType(TypeId),
    /// It mentions a type index that is not declared before the end of the group.
    UnknownIndex(u32),
    /// It uses a part of the type grammar that this crate does not represent.
    Unrepresentable,
    /// All 2^32-1 ids are in use.
    OutOfIds,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(id) => write!(f, "type id {id} names no type of this engine"),
            Self::UnknownIndex(index) => write!(f, "unknown type {index}"),
            Self::Unrepresentable => f.write_str("type uses an unsupported part of the grammar"),
            Self::OutOfIds => f.write_str("too many types"),
        }
    }
}

impl core::error::Error for RegisterError {}

/// Something that knows the canonical types behind ids: a registry, or a module
/// for the types that it declares.
///
/// The subtyping relation is here, once, for the linker, the validator's
/// consumers and all tiers (core specification, "Matching").
pub trait TypeLookup {
    /// The type that an id names, if this knows it.
    fn sub_type(&self, id: TypeId) -> Option<&SubType>;

    /// Whether the defined type `a` is `b` or declared below it.
    #[inline]
    fn is_sub_id(&self, a: TypeId, b: TypeId) -> bool {
        a == b
            || match (self.sub_type(a), self.sub_type(b)) {
                (Some(a), Some(b)) => a.is_subtype_of(b),
                _ => false,
            }
    }

    /// Whether heap type `a` matches `b`. Ids that are not known match only themselves.
    fn is_sub_heap(&self, a: HeapType, b: HeapType) -> bool {
        use HeapType::*;
        if a == b {
            return true;
        }
        let kind = |id| {
            self.sub_type(id)
                .map(|ty| ty.composite.abstract_supertype())
        };
        match (a, b) {
            (Concrete(a), Concrete(b)) => self.is_sub_id(a, b),
            (Concrete(a), b) => match kind(a) {
                Some(a) => a == b || (matches!(a, Struct | Array) && matches!(b, Eq | Any)),
                Option::None => false,
            },
            (NoFunc, Concrete(b)) => kind(b) == Some(Func),
            (NoCont, Concrete(b)) => kind(b) == Some(Cont),
            (None, Concrete(b)) => matches!(kind(b), Some(Struct | Array)),
            (NoFunc, Func) | (NoExtern, Extern) | (NoExn, Exn) | (NoCont, Cont) => true,
            (None, I31 | Struct | Array | Eq | Any) => true,
            (I31 | Struct | Array, Eq | Any) => true,
            (Eq, Any) => true,
            _ => false,
        }
    }

    /// Whether reference type `a` matches `b`.
    #[inline]
    fn is_sub_ref(&self, a: RefType, b: RefType) -> bool {
        (b.nullable || !a.nullable) && self.is_sub_heap(a.heap, b.heap)
    }

    /// Whether value type `a` matches `b`.
    #[inline]
    fn is_sub_val(&self, a: ValType, b: ValType) -> bool {
        match (a, b) {
            (ValType::Ref(a), ValType::Ref(b)) => self.is_sub_ref(a, b),
            (a, b) => a == b,
        }
    }

    /// Whether something of type `given` may be imported where `wanted` is
    /// declared (core specification, "Import Matching").
    ///
    /// For tables and memories `given.minimum` is to be the present size.
    fn extern_matches(&self, given: &ExternType, wanted: &ExternType) -> bool {
        match (given, wanted) {
            (ExternType::Func(given), ExternType::Func(wanted)) => self.is_sub_id(*given, *wanted),
            (ExternType::Table(given), ExternType::Table(wanted)) => {
                given.table64 == wanted.table64
                    && limits_match(
                        (given.minimum, given.maximum),
                        (wanted.minimum, wanted.maximum),
                    )
                    && self.is_sub_ref(given.element, wanted.element)
                    && self.is_sub_ref(wanted.element, given.element)
            }
            (ExternType::Memory(given), ExternType::Memory(wanted)) => {
                given.memory64 == wanted.memory64
                    && given.shared == wanted.shared
                    && given.page_size_log2 == wanted.page_size_log2
                    && limits_match(
                        (given.minimum, given.maximum),
                        (wanted.minimum, wanted.maximum),
                    )
            }
            (ExternType::Global(given), ExternType::Global(wanted)) => {
                given.mutable == wanted.mutable
                    && self.is_sub_val(given.content, wanted.content)
                    && (!given.mutable || self.is_sub_val(wanted.content, given.content))
            }
            (ExternType::Tag(given), ExternType::Tag(wanted)) => given.ty == wanted.ty,
            _ => false,
        }
    }
}

fn limits_match(given: (u64, Option<u64>), wanted: (u64, Option<u64>)) -> bool {
    given.0 >= wanted.0
        && match (given.1, wanted.1) {
            (_, None) => true,
            (Some(given), Some(wanted)) => given <= wanted,
            (None, Some(_)) => false,
        }
}

/// How whoever reads a module reaches a registry behind a lock: calls its argument
/// with the registry.
pub type WithRegistry<'a> = dyn FnMut(&mut dyn FnMut(&mut TypeRegistry)) + 'a;

/// The canonical types of one engine. The engine keeps it behind a lock.
pub struct TypeRegistry {
    id: RegistryId,
    /// By number of the id.
    types: Vec<Option<TypeSlot>>,
    free_types: Vec<u32>,
    groups: Vec<Option<GroupSlot>>,
    free_groups: Vec<u32>,
    /// Live groups by their words.
    by_words: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
    live_groups: usize,
    /// Sweep when this many groups are alive.
    sweep_at: usize,
}

#[derive(Clone, Copy)]
struct TypeSlot {
    group: u32,
    position: u32,
}

struct GroupSlot {
    words: Box<[u32]>,
    group: Arc<RecGroup>,
    /// Groups that this one mentions, each once.
    mentions: Box<[u32]>,
    /// How many live groups mention this one.
    mentioned_by: usize,
}

/// Sweeps below this size are not worth their while.
const FIRST_SWEEP: usize = 256;

impl Default for TypeRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TypeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypeRegistry")
            .field("id", &self.id)
            .field("groups", &self.live_groups)
            .finish_non_exhaustive()
    }
}

impl TypeLookup for TypeRegistry {
    #[inline]
    fn sub_type(&self, id: TypeId) -> Option<&SubType> {
        let slot = (*self.types.get(id.index())?)?;
        let group = self.groups[slot.group as usize].as_ref()?;
        Some(&group.group.types[slot.position as usize])
    }
}

impl TypeRegistry {
    /// A registry without types, distinct from every other.
    pub fn new() -> Self {
        Self {
            id: RegistryId::new(),
            types: Vec::new(),
            free_types: Vec::new(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            by_words: HashTable::new(),
            hasher: Default::default(),
            live_groups: 0,
            sweep_at: FIRST_SWEEP,
        }
    }

    /// Which registry this is.
    pub fn id(&self) -> &RegistryId {
        &self.id
    }

    /// How many groups are alive or not yet swept.
    pub fn group_count(&self) -> usize {
        self.live_groups
    }

    /// One more than the greatest number any live or past id has had.
    pub fn id_bound(&self) -> u32 {
        self.types.len() as u32
    }

    /// The group of a live type, which keeps it alive while held.
    pub fn group_of(&self, id: TypeId) -> Option<Arc<RecGroup>> {
        let slot = (*self.types.get(id.index())?)?;
        Some(self.groups[slot.group as usize].as_ref()?.group.clone())
    }

    /// The number of the group of a live type.
    pub(crate) fn group_number(&self, id: TypeId) -> Option<u32> {
        Some((*self.types.get(id.index())?)?.group)
    }

    /// The canonical form of a final function type without supertype, as hosts
    /// and the short form of the text format declare it.
    ///
    /// # Errors
    ///
    /// [`RegisterError::UnknownType`] when `ty` mentions a type that is not alive here.
    pub fn register_func(&mut self, ty: &FuncType) -> Result<Arc<RecGroup>, RegisterError> {
        let mut writer = Writer::new(self);
        writer.words.push(FINAL);
        writer.words.push(KIND_FUNC);
        writer.words.push(ty.params.len() as u32);
        writer.words.push(ty.results.len() as u32);
        for &ty in ty.params.iter().chain(&ty.results) {
            writer.canonical_val(ty)?;
        }
        let Writer {
            words, mentions, ..
        } = writer;
        self.intern(words, mentions)
    }

    /// The canonical form of a recursion group of a module, as the decoder gives it.
    ///
    /// `first_index` is the type index of the group's first type and
    /// `earlier` gives the canonical id for each type index below it. The
    /// group must be valid: supertypes are trusted to match and not to be final.
    #[cfg(feature = "decoder")]
    pub(crate) fn register_group(
        &mut self,
        group: &[SourceType],
        first_index: u32,
        earlier: &dyn Fn(u32) -> Option<TypeId>,
    ) -> Result<Arc<RecGroup>, RegisterError> {
        self.register_written(group.len() as u32, first_index, earlier, &mut |writer| {
            group.iter().try_for_each(|ty| writer.source_type(ty))
        })
    }

    /// [`TypeRegistry::register_group`] of the types that `write` writes, so many.
    pub(crate) fn register_written(
        &mut self,
        group_len: u32,
        first_index: u32,
        earlier: &dyn Fn(u32) -> Option<TypeId>,
        write: &mut dyn FnMut(&mut Writer<'_>) -> Result<(), RegisterError>,
    ) -> Result<Arc<RecGroup>, RegisterError> {
        let mut writer = Writer::new(self);
        writer.first_index = first_index;
        writer.group_len = group_len;
        writer.earlier = Some(earlier);
        write(&mut writer)?;
        let Writer {
            words, mentions, ..
        } = writer;
        self.intern(words, mentions)
    }

    /// Frees the groups that nobody holds any more. The registry does so by
    /// itself when it grows; call it to give memory back at once.
    pub fn sweep(&mut self) {
        let mut dead: Vec<u32> = Vec::new();
        for (index, slot) in self.groups.iter().enumerate() {
            if slot.as_ref().is_some_and(GroupSlot::is_unused) {
                dead.push(index as u32);
            }
        }
        while let Some(index) = dead.pop() {
            let slot = self.groups[index as usize]
                .take()
                .expect("a group is put on the list once, when its last user goes");
            let hash = self.hasher.hash_one(&*slot.words);
            if let Ok(entry) = self.by_words.find_entry(hash, |&other| other == index) {
                entry.remove();
            }
            for ty in &slot.group.types {
                self.types[ty.id.index()] = None;
                self.free_types.push(ty.id.as_u32());
            }
            self.free_groups.push(index);
            self.live_groups -= 1;
            for &mentioned in &slot.mentions {
                let mentioned_slot = self.groups[mentioned as usize]
                    .as_mut()
                    .expect("a mentioned group outlives those that mention it");
                mentioned_slot.mentioned_by -= 1;
                if mentioned_slot.is_unused() {
                    dead.push(mentioned);
                }
            }
        }
        self.sweep_at = (self.live_groups * 2).max(FIRST_SWEEP);
    }

    fn intern(
        &mut self,
        words: Vec<u32>,
        mut mentions: Vec<u32>,
    ) -> Result<Arc<RecGroup>, RegisterError> {
        mentions.sort_unstable();
        mentions.dedup();
        let hash = self.hasher.hash_one(&*words);
        let groups = &self.groups;
        if let Some(&found) = self.by_words.find(hash, |&index| {
            groups[index as usize]
                .as_ref()
                .is_some_and(|slot| *slot.words == *words)
        }) {
            let slot = self.groups[found as usize].as_ref();
            return Ok(slot.expect("the table lists live groups").group.clone());
        }

        // What the new group mentions is held by whoever registers it, so a
        // sweep here cannot free it: the caller holds the groups of `earlier`
        // ids, and ids given by hosts are checked to be alive. To be safe even
        // when a host holds only the number, count the mentions first.
        for &index in &mentions {
            if let Some(slot) = &mut self.groups[index as usize] {
                slot.mentioned_by += 1;
            }
        }
        if self.live_groups >= self.sweep_at {
            self.sweep();
        }

        let group_index = match self.free_groups.pop() {
            Some(index) => index,
            None => {
                self.groups.push(None);
                self.groups.len() as u32 - 1
            }
        };
        let count = Reader::new(&words, &[]).count();
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(match self.free_types.pop() {
                Some(id) => TypeId::new(id),
                None if self.types.len() >= u32::MAX as usize => {
                    self.abandon(group_index, &ids, &mentions);
                    return Err(RegisterError::OutOfIds);
                }
                None => {
                    self.types.push(None);
                    TypeId::new(self.types.len() as u32 - 1)
                }
            });
        }

        let mut types: Vec<SubType> = Vec::with_capacity(count);
        let mut reader = Reader::new(&words, &ids);
        for &id in &ids {
            let (is_final, supertype, composite) = reader.sub_type();
            let display = match supertype {
                None => Box::default(),
                Some((space, number)) => {
                    // A supertype is declared before its subtype: in this
                    // group at a lower position, or in an earlier group.
                    let above = if space == SAME_GROUP {
                        types.get(number as usize)
                    } else {
                        self.sub_type(TypeId::new(number))
                    };
                    match above {
                        Some(above) => above.display.iter().copied().chain([above.id]).collect(),
                        None => {
                            self.abandon(group_index, &ids, &mentions);
                            return Err(RegisterError::UnknownIndex(number));
                        }
                    }
                }
            };
            types.push(SubType {
                id,
                is_final,
                composite,
                display,
            });
        }
        for (position, id) in ids.iter().enumerate() {
            self.types[id.index()] = Some(TypeSlot {
                group: group_index,
                position: position as u32,
            });
        }
        let group = Arc::new(RecGroup {
            types: types.into(),
            registry: self.id.clone(),
        });
        self.groups[group_index as usize] = Some(GroupSlot {
            words: words.into(),
            group: group.clone(),
            mentions: mentions.into(),
            mentioned_by: 0,
        });
        let groups = &self.groups;
        let hasher = &self.hasher;
        self.by_words.insert_unique(hash, group_index, |&index| {
            let slot = groups[index as usize].as_ref();
            hasher.hash_one(&*slot.expect("the table lists live groups").words)
        });
        self.live_groups += 1;
        Ok(group)
    }

    /// Gives back what a group that cannot be registered had taken.
    fn abandon(&mut self, group_index: u32, ids: &[TypeId], mentions: &[u32]) {
        self.free_types.extend(ids.iter().map(|id| id.as_u32()));
        self.free_groups.push(group_index);
        for &index in mentions {
            if let Some(slot) = &mut self.groups[index as usize] {
                slot.mentioned_by -= 1;
            }
        }
    }
}

impl GroupSlot {
    fn is_unused(&self) -> bool {
        // The registry's own hold is the one left. Nobody can take another
        // meanwhile: that needs the registry, which the caller has exclusively.
        self.mentioned_by == 0 && Arc::strong_count(&self.group) == 1
    }
}
