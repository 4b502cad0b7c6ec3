//! What is a table? An array of references, a length, a definition.
//!
//! This file holds unsafe code. A [`VmTable`] owns the elements; generated code
//! reaches them through the table's [definition](TableDefinition), but only
//! this file makes them move or changes how many there are.
//!
//! Elements are pointers to function references or null, or 32-bit ids with 0
//! for null; here both travel as `u64`. Nothing here follows them: whoever puts
//! one in vouches that it belongs to the table's type and store, because
//! generated code trusts what it finds.
//!
//! **Invariants.** The allocation holds `capacity` elements, of which the first
//! `length` are initialized. The definition says where they are and how many.
//! The elements move when the table grows.

use alloc::alloc::{Layout, alloc_zeroed, dealloc, realloc};
use core::ptr::NonNull;

use tepui_abi::Trap;
use tepui_abi::convention::Representation;
use tepui_module::TableType;

use super::definition::{Definition, Place, TableDefinition};
use crate::error::{Context as _, Error, Result};
use crate::limits::ResourceLimiter;
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// The most elements of a table: the implementation limit of the WebAssembly
/// JavaScript interface. Beyond it creation fails and `table.grow` answers -1.
pub(crate) const MAX_ELEMENTS: u64 = 10_000_000;

/// How the elements of a table are represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementKind {
    /// Pointers to function references, or null.
    Pointer,
    /// 32-bit ids; 0 is null.
    Id,
}

impl ElementKind {
    /// The representation in tables of type `ty`.
    pub(crate) fn of(ty: &TableType) -> ElementKind {
        match Representation::of_reference(ty.element.heap) {
            Representation::Pointer => ElementKind::Pointer,
            _ => ElementKind::Id,
        }
    }

    /// Bytes in an element.
    #[inline]
    pub(crate) const fn width(self) -> usize {
        match self {
            ElementKind::Pointer => size_of::<*mut u8>(),
            ElementKind::Id => 4,
        }
    }

    /// Reads an element.
    ///
    /// # Safety
    ///
    /// `place` points to an initialized element of this kind.
    #[inline]
    unsafe fn read(self, place: *const u8) -> u64 {
        // SAFETY: the caller promises an element, and elements are aligned.
        unsafe {
            match self {
                ElementKind::Pointer => place.cast::<*mut u8>().read().expose_provenance() as u64,
                ElementKind::Id => place.cast::<u32>().read().into(),
            }
        }
    }

    /// Writes an element.
    ///
    /// # Safety
    ///
    /// `place` points to room for an element of this kind.
    #[inline]
    unsafe fn write(self, place: *mut u8, value: u64) {
        // SAFETY: the caller promises room, and elements are aligned.
        unsafe {
            match self {
                ElementKind::Pointer => place
                    .cast::<*mut u8>()
                    .write(core::ptr::with_exposed_provenance_mut(value as usize)),
                ElementKind::Id => place.cast::<u32>().write(value as u32),
            }
        }
    }
}

impl ElementKind {
    /// Writes `count` elements that are `value`.
    ///
    /// # Safety
    ///
    /// `start` points to room for so many elements of this kind.
    #[inline]
    unsafe fn write_all(self, start: *mut u8, count: usize, value: u64) {
        for index in 0..count {
            // SAFETY: the caller promises room for more than `index` elements.
            unsafe { self.write(start.add(index * self.width()), value) };
        }
    }
}

/// The memory that elements lie in.
#[derive(Debug)]
struct Elements {
    base: NonNull<u8>,
    /// In elements.
    capacity: usize,
    kind: ElementKind,
}

impl Elements {
    /// Room for no element, at an aligned address that is not null.
    fn empty(kind: ElementKind) -> Elements {
        Elements {
            base: NonNull::<u64>::dangling().cast(),
            capacity: 0,
            kind,
        }
    }

    fn layout(&self, capacity: usize) -> Option<Layout> {
        let bytes = capacity.checked_mul(self.kind.width())?;
        Layout::from_size_align(bytes, self.kind.width()).ok()
    }

    /// Makes room for `capacity` elements, which is more than there is. What
    /// there was is kept; the new room is uninitialized, or zero if there was
    /// nothing before. `None` when there is no memory.
    fn enlarge(&mut self, capacity: usize) -> Option<()> {
        debug_assert!(capacity > self.capacity);
        let layout = self.layout(capacity)?;
        let base = if self.capacity == 0 {
            // SAFETY: the layout is not empty, because `capacity` is not 0.
            unsafe { alloc_zeroed(layout) }
        } else {
            let old = self.layout(self.capacity)?;
            // SAFETY: allocated here with the layout `old`; the new size is not
            // 0 and was checked by making a layout of it.
            unsafe { realloc(self.base.as_ptr(), old, layout.size()) }
        };
        self.base = NonNull::new(base)?;
        self.capacity = capacity;
        Some(())
    }
}

impl Drop for Elements {
    fn drop(&mut self) {
        if self.capacity != 0
            && let Some(layout) = self.layout(self.capacity)
        {
            // SAFETY: allocated in `enlarge` with this layout.
            unsafe { dealloc(self.base.as_ptr(), layout) };
        }
    }
}

/// A table of a store.
#[derive(Debug)]
pub(crate) struct VmTable {
    ty: TableType,
    elements: Elements,
    length: usize,
    place: Place,
}

// SAFETY: the elements are an allocation that the table owns; what they refer
// to belongs to the store that owns the table.
unsafe impl Send for VmTable {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for VmTable {}

impl VmTable {
    /// Creates a table with its minimal size, each element being `value`. No
    /// limiter is asked; see [`check_new`].
    ///
    /// # Errors
    ///
    /// When the minimal size is above [`MAX_ELEMENTS`], or there is no memory.
    pub(crate) fn new(ty: &TableType, value: u64) -> Result<VmTable> {
        let minimum = check_minimum(ty)?;
        let elements = Elements::empty(ElementKind::of(ty));
        let place = Place::new(Definition::new(elements.base, 0));
        let mut table = VmTable {
            ty: *ty,
            elements,
            length: 0,
            place,
        };
        table
            .resize(minimum, value)
            .with_context(|| format!("cannot allocate a table of {minimum} elements"))?;
        Ok(table)
    }

    /// The type that the table was created with.
    pub(crate) fn ty(&self) -> &TableType {
        &self.ty
    }

    /// The type as importers see it: with the present size as minimum.
    pub(crate) fn current_type(&self) -> TableType {
        TableType {
            minimum: self.size(),
            ..self.ty
        }
    }

    /// How elements are represented.
    pub(crate) fn kind(&self) -> ElementKind {
        self.elements.kind
    }

    /// The number of elements.
    pub(crate) fn size(&self) -> u64 {
        self.length as u64
    }

    /// Where generated code finds the table.
    pub(crate) fn definition(&self) -> NonNull<TableDefinition> {
        self.place.pointer()
    }

    /// Moves the definition into the context of the defining instance.
    ///
    /// # Safety
    ///
    /// As for [`Place::move_to`].
    pub(crate) unsafe fn attach(&mut self, target: NonNull<TableDefinition>) {
        // SAFETY: the same promise.
        unsafe { self.place.move_to(target) }
    }

    /// The address of the `length` elements from `start`.
    ///
    /// # Errors
    ///
    /// [`Trap::TableOutOfBounds`] when they do not all lie in the table.
    #[inline]
    fn check(&self, start: u64, length: u64) -> Result<*mut u8, Trap> {
        let end = start.checked_add(length).ok_or(Trap::TableOutOfBounds)?;
        if end > self.length as u64 {
            return Err(Trap::TableOutOfBounds);
        }
        // `start` is at most the length, and so many elements are allocated.
        let offset = start as usize * self.kind().width();
        Ok(self.elements.base.as_ptr().wrapping_add(offset))
    }

    /// `table.get`: the element `index`.
    ///
    /// # Errors
    ///
    /// [`Trap::TableOutOfBounds`] when there is none.
    #[inline]
    pub(crate) fn get(&self, index: u64) -> Result<u64, Trap> {
        let place = self.check(index, 1)?;
        // SAFETY: the element was just checked to exist.
        Ok(unsafe { self.kind().read(place) })
    }

    /// `table.set`: writes the element `index`.
    ///
    /// # Errors
    ///
    /// [`Trap::TableOutOfBounds`] when there is none.
    #[inline]
    pub(crate) fn set(&mut self, index: u64, value: u64) -> Result<(), Trap> {
        let place = self.check(index, 1)?;
        // SAFETY: the element was just checked to exist.
        unsafe { self.kind().write(place, value) };
        Ok(())
    }

    /// `table.fill`.
    ///
    /// # Errors
    ///
    /// [`Trap::TableOutOfBounds`], with nothing written.
    pub(crate) fn fill(&mut self, destination: u64, value: u64, length: u64) -> Result<(), Trap> {
        let to = self.check(destination, length)?;
        // SAFETY: the elements were just checked to exist.
        unsafe { self.kind().write_all(to, length as usize, value) };
        Ok(())
    }

    /// `table.copy` inside of one table; the ranges may overlap.
    ///
    /// # Errors
    ///
    /// [`Trap::TableOutOfBounds`], with nothing written.
    pub(crate) fn copy_within(
        &mut self,
        destination: u64,
        source: u64,
        length: u64,
    ) -> Result<(), Trap> {
        let from = self.check(source, length)?;
        let to = self.check(destination, length)?;
        // SAFETY: both ranges were just checked, and may overlap.
        unsafe { core::ptr::copy(from, to, length as usize * self.kind().width()) };
        Ok(())
    }

    /// `table.grow`: adds `delta` elements that are `value`, if `limiter`, the
    /// maximum and the system allow. Answers the former size, or `None` with
    /// the table as it was. The base may move; the definition follows.
    ///
    /// # Errors
    ///
    /// Only those of `limiter`.
    pub(crate) fn grow(
        &mut self,
        delta: u64,
        value: u64,
        mut limiter: Option<&mut dyn ResourceLimiter>,
    ) -> Result<Option<u64>> {
        let old = self.size();
        if delta == 0 {
            return Ok(Some(old));
        }
        let grown = match self.grown_length(delta) {
            Ok(length) => {
                if let Some(limiter) = &mut limiter
                    && !limiter.table_growing(self.length, length, maximum(&self.ty))?
                {
                    return Ok(None);
                }
                self.resize(length, value).with_context(|| {
                    format!("table cannot grow to {length} elements: out of memory")
                })
            }
            Err(error) => Err(error),
        };
        match (grown, limiter) {
            (Ok(()), _) => Ok(Some(old)),
            (Err(error), Some(limiter)) => {
                limiter.table_grow_failed(error)?;
                Ok(None)
            }
            (Err(_), None) => Ok(None),
        }
    }

    fn grown_length(&self, delta: u64) -> Result<usize> {
        let limit = self.ty.size_limit().min(MAX_ELEMENTS);
        self.size()
            .checked_add(delta)
            .filter(|length| *length <= limit)
            .and_then(|length| usize::try_from(length).ok())
            .with_context(|| {
                format!(
                    "table of {} elements cannot grow by {delta}: the maximum is {limit}",
                    self.length
                )
            })
    }

    /// Makes the table `length` elements long; it never shrinks.
    fn resize(&mut self, length: usize, value: u64) -> Option<()> {
        let was_empty = self.elements.capacity == 0;
        if length > self.elements.capacity {
            let limit = self.ty.size_limit().min(MAX_ELEMENTS);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            // Doubling makes repeated growth linear; the first size is exact.
            let roomy = (2 * self.elements.capacity).min(limit).max(length);
            self.elements
                .enlarge(roomy)
                .or_else(|| self.elements.enlarge(length))?;
        }
        // Room that was just made for an empty table is zero, and so null,
        // already: a large table costs nothing until it is used.
        if !(was_empty && value == 0) {
            // SAFETY: the capacity is at least `length`, which is more than
            // `self.length`.
            unsafe {
                let end = self.length * self.kind().width();
                let place = self.elements.base.as_ptr().add(end);
                self.kind().write_all(place, length - self.length, value);
            }
        }
        self.length = length;
        self.place.get().set(self.elements.base, length);
        Some(())
    }
}

/// The declared maximum, as limiters are told it.
fn maximum(ty: &TableType) -> Option<usize> {
    Some(usize::try_from(ty.maximum?).unwrap_or(usize::MAX))
}

fn check_minimum(ty: &TableType) -> Result<usize> {
    usize::try_from(ty.minimum)
        .ok()
        .filter(|_| ty.minimum <= MAX_ELEMENTS)
        .with_context(|| {
            format!(
                "cannot create a table of {} elements: at most {MAX_ELEMENTS} are supported",
                ty.minimum
            )
        })
}

/// Asks `limiter` whether a table of type `ty` may be created.
///
/// # Errors
///
/// When it may not, or is larger than tables can be.
pub(crate) fn check_new(ty: &TableType, limiter: &mut dyn ResourceLimiter) -> Result<()> {
    let elements = check_minimum(ty)?;
    if limiter.table_growing(0, elements, maximum(ty))? {
        return Ok(());
    }
    Err(Error::msg(format!(
        "table minimum size of {} elements exceeds table limits",
        ty.minimum
    )))
}

/// `table.copy` between two tables of a store.
///
/// # Errors
///
/// [`Trap::TableOutOfBounds`], with nothing written.
///
/// # Panics
///
/// When the elements are not of the same kind. Validation saw to it that those
/// of `from` belong to the type of `to`.
pub(crate) fn copy(
    to: &mut VmTable,
    from: &VmTable,
    destination: u64,
    source: u64,
    length: u64,
) -> Result<(), Trap> {
    assert_eq!(to.kind(), from.kind(), "elements of different kinds");
    let source = from.check(source, length)?;
    let destination = to.check(destination, length)?;
    // SAFETY: both ranges were just checked. The tables are two, so that they
    // do not overlap.
    unsafe {
        core::ptr::copy_nonoverlapping(source, destination, length as usize * to.kind().width());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::StoreLimitsBuilder;
    use tepui_module::RefType;

    fn ty(minimum: u64, maximum: Option<u64>) -> TableType {
        TableType {
            element: RefType::EXTERNREF,
            minimum,
            maximum,
            table64: false,
        }
    }

    fn ty64(minimum: u64, maximum: Option<u64>) -> TableType {
        TableType {
            element: RefType::FUNCREF,
            table64: true,
            ..ty(minimum, maximum)
        }
    }

    fn table(ty: &TableType, value: u64) -> VmTable {
        VmTable::new(ty, value).unwrap()
    }

    fn grow(table: &mut VmTable, delta: u64, value: u64) -> Option<u64> {
        table.grow(delta, value, None).unwrap()
    }

    fn definition(table: &VmTable) -> &TableDefinition {
        // SAFETY: the definition lives as long as the table.
        unsafe { table.definition().as_ref() }
    }

    fn contents(table: &VmTable) -> Vec<u64> {
        let mut elements = Vec::new();
        while let Ok(element) = table.get(elements.len() as u64) {
            elements.push(element);
        }
        assert_eq!(elements.len() as u64, table.size());
        assert_eq!(definition(table).length() as u64, table.size());
        assert_eq!(definition(table).base(), table.elements.base.as_ptr());
        elements
    }

    #[test]
    fn elements_are_as_wide_as_their_kind() {
        let ids = table(&ty(2, None), 0x1_0000_0007);
        assert_eq!(ids.kind(), ElementKind::Id);
        assert_eq!(contents(&ids), [7, 7], "ids have 32 bits");
        let pointers = table(&ty64(1, None), 0x7fff_1234_5678);
        assert_eq!(pointers.kind(), ElementKind::Pointer);
        assert_eq!(contents(&pointers), [0x7fff_1234_5678]);
    }

    #[test]
    fn growth_keeps_and_fills() {
        for ty in [ty(0, Some(40)), ty64(0, Some(40))] {
            let mut table = table(&ty, 0);
            assert!(!definition(&table).base().is_null());
            let mut expected = Vec::new();
            for delta in [0, 1, 2, 7, 30] {
                assert_eq!(
                    grow(&mut table, delta, delta * 3),
                    Some(expected.len() as u64)
                );
                expected.extend((0..delta).map(|_| delta * 3));
                assert_eq!(contents(&table), expected);
            }
            for delta in [1, u64::MAX, u64::MAX - 39, 1 << 32] {
                assert_eq!(grow(&mut table, delta, 0), None, "by {delta}");
            }
            assert_eq!(grow(&mut table, 0, 0), Some(40));
            assert_eq!(contents(&table), expected);
        }
    }

    #[test]
    fn null_fills_room_that_was_used_before() {
        let mut table = table(&ty(1, None), 5);
        assert_eq!(grow(&mut table, 1, 6), Some(1));
        assert_eq!(grow(&mut table, 5, 0), Some(2));
        assert_eq!(contents(&table), [5, 6, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn huge_tables_are_refused() {
        for huge in [
            ty64(u64::MAX, None),
            ty64(1 << 40, None),
            ty(MAX_ELEMENTS + 1, None),
        ] {
            let error = VmTable::new(&huge, 0).unwrap_err();
            assert!(error.to_string().contains("at most 10000000"), "{error}");
        }
        let mut table = table(&ty64(1, Some(u64::MAX)), 3);
        assert_eq!(grow(&mut table, MAX_ELEMENTS, 0), None);
        assert_eq!(grow(&mut table, u64::MAX - 1, 0), None);
        assert_eq!(grow(&mut table, MAX_ELEMENTS - 1, 0), Some(1));
        assert_eq!(grow(&mut table, 1, 0), None);
        assert_eq!((table.get(0), table.get(MAX_ELEMENTS - 1)), (Ok(3), Ok(0)));
        assert_eq!(table.get(MAX_ELEMENTS), Err(Trap::TableOutOfBounds));
    }

    #[test]
    fn limiters_are_asked_and_told() {
        let mut limits = StoreLimitsBuilder::new().table_elements(3).build();
        let mut table = table(&ty(1, Some(4)), 0);
        assert_eq!(table.grow(2, 0, Some(&mut limits)).unwrap(), Some(1));
        assert_eq!(table.grow(1, 0, Some(&mut limits)).unwrap(), None);
        assert_eq!(table.grow(9, 0, Some(&mut limits)).unwrap(), None);
        let mut strict = StoreLimitsBuilder::new().trap_on_grow_failure(true).build();
        let error = table.grow(2, 0, Some(&mut strict)).unwrap_err();
        assert!(
            format!("{error:#}").contains("the maximum is 4"),
            "{error:#}"
        );
        assert_eq!(table.size(), 3);
        assert!(check_new(&ty(3, None), &mut limits).is_ok());
        assert!(check_new(&ty(4, None), &mut limits).is_err());
        assert!(check_new(&ty64(u64::MAX, None), &mut limits).is_err());
    }

    #[test]
    fn operations_check_every_edge_before_they_write() {
        let oob = Err(Trap::TableOutOfBounds);
        for ty in [ty(10, None), ty64(10, None)] {
            let mut one = table(&ty, 1);
            let mut two = table(&ty, 1);
            for (start, length, fits) in [
                (0, 10, true),
                (10, 0, true),
                (9, 1, true),
                (11, 0, false),
                (9, 2, false),
                (0, 11, false),
                (u64::MAX, 0, false),
                (u64::MAX, 1, false),
                (1, u64::MAX, false),
                (1 << 61, 1, false),
                (0xffff_ffff, 2, false),
            ] {
                let expected = if fits { Ok(()) } else { oob };
                assert_eq!(one.fill(start, 1, length), expected, "{start} {length}");
                assert_eq!(one.copy_within(start, 0, length), expected);
                assert_eq!(one.copy_within(0, start, length), expected);
                assert_eq!(copy(&mut two, &one, start, 0, length), expected);
                assert_eq!(copy(&mut two, &one, 0, start, length), expected);
            }
            assert_eq!(one.fill(1, 9, 10), oob);
            assert_eq!(one.set(10, 9), oob);
            assert_eq!(one.set(u64::MAX, 9), oob);
            assert_eq!(one.get(10), Err(Trap::TableOutOfBounds));
            assert_eq!(contents(&one), [1; 10]);
            assert_eq!(contents(&two), [1; 10]);
        }
    }

    #[test]
    fn copies_overlap() {
        for ty in [ty(6, None), ty64(6, None)] {
            let mut one = table(&ty, 0);
            for index in 1..5 {
                one.set(index, 101 + index).unwrap();
            }
            assert_eq!(contents(&one), [0, 102, 103, 104, 105, 0]);
            one.copy_within(2, 1, 4).unwrap();
            assert_eq!(contents(&one), [0, 102, 102, 103, 104, 105]);
            one.copy_within(0, 1, 5).unwrap();
            assert_eq!(contents(&one), [102, 102, 103, 104, 105, 105]);
            one.set(5, 8).unwrap();
            one.fill(1, 7, 2).unwrap();
            assert_eq!(contents(&one), [102, 7, 7, 104, 105, 8]);
            let mut two = table(&ty, 1);
            copy(&mut two, &one, 1, 3, 3).unwrap();
            assert_eq!(contents(&two), [1, 104, 105, 8, 1, 1]);
        }
    }

    #[test]
    fn definitions_move_into_contexts() {
        let mut context = Box::new(std::mem::MaybeUninit::<TableDefinition>::uninit());
        let target = NonNull::from(&mut *context).cast();
        let mut table = table(&ty(1, None), 4);
        // SAFETY: the box outlives the table and is used by nobody else.
        unsafe { table.attach(target) };
        assert_eq!(table.definition(), target);
        assert_eq!(grow(&mut table, 1_000, 0), Some(1));
        assert_eq!(contents(&table).len(), 1_001);
        drop(table);
    }
}
