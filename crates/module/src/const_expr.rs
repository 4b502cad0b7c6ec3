//! What value does an initializer have? Constant expressions and their evaluation.
//!
//! Core specification, "Constant Expressions", with extended-const. Evaluation
//! is here, once, so that globals, tables and segments all mean the same by
//! it; what references and globals are is the caller's through [`ConstContext`].

use crate::types::HeapType;
use crate::{FuncIndex, GlobalIndex};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// One instruction of a constant expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConstOp {
    /// `i32.const`
    I32Const(i32),
    /// `i64.const`
    I64Const(i64),
    /// `f32.const`, as bits.
    F32Const(u32),
    /// `f64.const`, as bits.
    F64Const(u64),
    /// `v128.const`, least significant byte first.
    V128Const([u8; 16]),
    /// `global.get` of an immutable global that is initialized before.
    GlobalGet(GlobalIndex),
    /// `ref.null`
    RefNull(HeapType),
    /// `ref.func`
    RefFunc(FuncIndex),
    /// `i32.add`
    I32Add,
    /// `i32.sub`
    I32Sub,
    /// `i32.mul`
    I32Mul,
    /// `i64.add`
    I64Add,
    /// `i64.sub`
    I64Sub,
    /// `i64.mul`
    I64Mul,
}

/// A valid constant expression: instructions in order, without the final `end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConstExpr(Repr);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Repr {
    // Nearly all are one instruction: those need no allocation.
    One(ConstOp),
    Many(Box<[ConstOp]>),
}

impl From<ConstOp> for ConstExpr {
    fn from(op: ConstOp) -> Self {
        Self(Repr::One(op))
    }
}

impl ConstExpr {
    pub(crate) fn from_ops(ops: &[ConstOp]) -> Self {
        match ops {
            [op] => Self(Repr::One(*op)),
            ops => Self(Repr::Many(ops.into())),
        }
    }

    /// The instructions, in order.
    #[inline]
    pub fn ops(&self) -> &[ConstOp] {
        match &self.0 {
            Repr::One(op) => core::slice::from_ref(op),
            Repr::Many(ops) => ops,
        }
    }

    /// The value when it is known without instantiating and is an integer:
    /// the address of most segments. An `i32` is taken as unsigned.
    pub fn as_const_address(&self) -> Option<u64> {
        match self.0 {
            Repr::One(ConstOp::I32Const(value)) => Some(u64::from(value as u32)),
            Repr::One(ConstOp::I64Const(value)) => Some(value as u64),
            _ => None,
        }
    }

    /// Evaluates the expression.
    ///
    /// `stack` is scratch memory, kept by the caller across evaluations; what
    /// it holds is lost.
    ///
    /// # Errors
    ///
    /// What `context` returns. The expression itself cannot fail.
    ///
    /// # Panics
    ///
    /// When `context` gives a global a value of another type than it has.
    pub fn evaluate<C: ConstContext>(
        &self,
        context: &mut C,
        stack: &mut Vec<ConstValue<C::Ref>>,
    ) -> Result<ConstValue<C::Ref>, C::Error> {
        stack.clear();
        for op in self.ops() {
            let value = match *op {
                ConstOp::I32Const(value) => ConstValue::I32(value),
                ConstOp::I64Const(value) => ConstValue::I64(value),
                ConstOp::F32Const(bits) => ConstValue::F32(bits),
                ConstOp::F64Const(bits) => ConstValue::F64(bits),
                ConstOp::V128Const(bytes) => ConstValue::V128(bytes),
                ConstOp::GlobalGet(index) => context.global(index)?,
                ConstOp::RefNull(heap) => ConstValue::Ref(context.ref_null(heap)?),
                ConstOp::RefFunc(index) => ConstValue::Ref(context.ref_func(index)?),
                ConstOp::I32Add => i32_op(stack, i32::wrapping_add),
                ConstOp::I32Sub => i32_op(stack, i32::wrapping_sub),
                ConstOp::I32Mul => i32_op(stack, i32::wrapping_mul),
                ConstOp::I64Add => i64_op(stack, i64::wrapping_add),
                ConstOp::I64Sub => i64_op(stack, i64::wrapping_sub),
                ConstOp::I64Mul => i64_op(stack, i64::wrapping_mul),
            };
            stack.push(value);
        }
        Ok(stack.pop().expect("a valid expression leaves one value"))
    }
}

fn i32_op<R>(stack: &mut Vec<ConstValue<R>>, op: fn(i32, i32) -> i32) -> ConstValue<R> {
    match (stack.pop(), stack.pop()) {
        (Some(ConstValue::I32(b)), Some(ConstValue::I32(a))) => ConstValue::I32(op(a, b)),
        _ => panic!("validation gives i32 instructions two i32 operands"),
    }
}

fn i64_op<R>(stack: &mut Vec<ConstValue<R>>, op: fn(i64, i64) -> i64) -> ConstValue<R> {
    match (stack.pop(), stack.pop()) {
        (Some(ConstValue::I64(b)), Some(ConstValue::I64(a))) => ConstValue::I64(op(a, b)),
        _ => panic!("validation gives i64 instructions two i64 operands"),
    }
}

/// The value of a constant expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConstValue<R> {
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
    /// A `v128`, least significant byte first.
    V128([u8; 16]),
    /// A reference.
    Ref(R),
}

impl<R> ConstValue<R> {
    /// The value as an address or index; an `i32` is taken as unsigned.
    pub fn as_address(&self) -> Option<u64> {
        match *self {
            Self::I32(value) => Some(u64::from(value as u32)),
            Self::I64(value) => Some(value as u64),
            _ => None,
        }
    }
}

/// What constant expressions need of the instance that they are evaluated for.
pub trait ConstContext {
    /// A reference.
    type Ref;
    /// Why a reference could not be made.
    type Error;

    /// The value of a global that is initialized already.
    fn global(&mut self, index: GlobalIndex) -> Result<ConstValue<Self::Ref>, Self::Error>;
    /// A null of the given type.
    fn ref_null(&mut self, heap: HeapType) -> Result<Self::Ref, Self::Error>;
    /// A reference to a function of the instance.
    fn ref_func(&mut self, index: FuncIndex) -> Result<Self::Ref, Self::Error>;
}
