//! Constant expressions and segments: what instantiation and the bulk
//! instructions write into globals, tables and memories.
//!
//! This file holds unsafe code: references are raw.

use core::ptr::NonNull;

use tepui_abi::Trap;
use tepui_module::{
    ConstContext, ConstExpr, ConstValue, ElemIndex, ElementItems, FuncIndex, GlobalIndex, HeapType,
    TableIndex,
};

#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::StoreOpaque;
use crate::values::V128;
use crate::vm::instance::VmInstance;
use crate::{Error, Ref, Result, Val};

/// Evaluates constant expressions of one instance.
pub(crate) struct Evaluator<'a> {
    store: &'a StoreOpaque,
    instance: &'a VmInstance,
    stack: Vec<ConstValue<u64>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(store: &'a StoreOpaque, instance: &'a VmInstance) -> Evaluator<'a> {
        Evaluator {
            store,
            instance,
            stack: Vec::new(),
        }
    }

    /// The value of an expression; references as bits.
    pub(crate) fn evaluate(&mut self, expression: &ConstExpr) -> Result<ConstValue<u64>> {
        let mut stack = core::mem::take(&mut self.stack);
        let value = expression.evaluate(self, &mut stack);
        self.stack = stack;
        value
    }

    /// The value of an expression that is an address or an index.
    pub(crate) fn address(&mut self, expression: &ConstExpr) -> Result<u64> {
        self.evaluate(expression)?
            .as_address()
            .ok_or_else(|| Error::msg("the offset of a segment is not an integer"))
    }

    /// The value of an expression that is a reference, as bits.
    pub(crate) fn reference(&mut self, expression: &ConstExpr) -> Result<u64> {
        match self.evaluate(expression)? {
            ConstValue::Ref(bits) => Ok(bits),
            _ => Err(Error::msg("the item of a segment is not a reference")),
        }
    }
}

impl ConstContext for Evaluator<'_> {
    type Ref = u64;
    type Error = Error;

    fn global(&mut self, index: GlobalIndex) -> Result<ConstValue<u64>> {
        let entry = &self.store.globals[self.instance.globals[index.index()]];
        // SAFETY: the definition lives as long as the store, and holds a value
        // of the global's type: globals are initialized in order.
        let value = unsafe {
            let definition = entry.definition.as_ptr().read();
            Val::from_global(self.store, definition, entry.ty.content())
        };
        Ok(match value {
            Val::I32(value) => ConstValue::I32(value),
            Val::I64(value) => ConstValue::I64(value),
            Val::F32(bits) => ConstValue::F32(bits),
            Val::F64(bits) => ConstValue::F64(bits),
            Val::V128(value) => ConstValue::V128(value.as_u128().to_le_bytes()),
            Val::FuncRef(func) => ConstValue::Ref(Ref::Func(func).to_bits()),
            Val::ExternRef(reference) => ConstValue::Ref(Ref::Extern(reference).to_bits()),
        })
    }

    fn ref_null(&mut self, _heap: HeapType) -> Result<u64> {
        Ok(0)
    }

    fn ref_func(&mut self, index: FuncIndex) -> Result<u64> {
        func_bits(self.instance, index)
    }
}

fn func_bits(instance: &VmInstance, index: FuncIndex) -> Result<u64> {
    instance
        .func_ref(index)
        .map(|func_ref: NonNull<_>| func_ref.as_ptr() as u64)
        .ok_or_else(|| Error::msg("a reference is taken to a function that is not declared"))
}

/// A constant as a value of the host; references keep the type of `like`.
pub(crate) fn to_val(store: &StoreOpaque, value: ConstValue<u64>, heap: Option<HeapType>) -> Val {
    match value {
        ConstValue::I32(value) => Val::I32(value),
        ConstValue::I64(value) => Val::I64(value),
        ConstValue::F32(bits) => Val::F32(bits),
        ConstValue::F64(bits) => Val::F64(bits),
        ConstValue::V128(bytes) => Val::V128(V128::from(u128::from_le_bytes(bytes))),
        ConstValue::Ref(bits) => {
            let representation =
                tepui_abi::convention::Representation::of_reference(heap.unwrap_or(HeapType::Func));
            // SAFETY: the bits came from a constant expression of this type.
            unsafe { Ref::from_bits(store, representation, bits) }.into()
        }
    }
}

/// `table.init`: writes items of an element segment into a table.
///
/// # Errors
///
/// [`Trap::TableOutOfBounds`], with nothing written, when a range reaches
/// beyond the segment or the table.
pub(crate) fn init_table(
    store: &mut StoreOpaque,
    instance: &VmInstance,
    table: TableIndex,
    element: ElemIndex,
    destination: u64,
    source: u32,
    length: u32,
) -> Result<()> {
    let segment = instance.decoded().element(element);
    let available = if instance.element_dropped(element) {
        0
    } else {
        segment.items.len()
    };
    let (source, length) = (source as usize, length as usize);
    let end = source
        .checked_add(length)
        .filter(|end| *end <= available)
        .ok_or(Trap::TableOutOfBounds)?;
    let number = instance.tables[table.index()];
    // Checked as a whole before anything is written.
    if destination
        .checked_add(length as u64)
        .is_none_or(|end| end > store.tables[number].size())
    {
        return Err(Trap::TableOutOfBounds.into());
    }
    if length == 0 {
        return Ok(());
    }
    match &segment.items {
        ElementItems::Functions(functions) => {
            let table = &mut store.tables[number];
            for (index, function) in (destination..).zip(&functions[source..end]) {
                table.set(index, func_bits(instance, *function)?)?;
            }
        }
        ElementItems::Expressions(expressions) => {
            let mut evaluator = Evaluator::new(store, instance);
            let bits = expressions[source..end]
                .iter()
                .map(|expression| evaluator.reference(expression))
                .collect::<Result<Vec<u64>>>()?;
            let table = &mut store.tables[number];
            for (index, bits) in (destination..).zip(bits) {
                table.set(index, bits)?;
            }
        }
    }
    Ok(())
}
