//! How do values lie in slots and in instructions?
//!
//! This file holds unsafe code: slots and operands are raw memory.
//!
//! A slot is 8 bytes. Narrow values are zero-extended and always written whole,
//! so that a read of the whole slot finds one store to take them from. Of a
//! narrow value only the low half is looked at: nothing is assumed of the rest.
//! A vector takes two slots, its lanes in little-endian order on every machine.

use core::marker::PhantomData;

use crate::dispatch::{Fp, Ip, Regs};
use crate::ops::Binary;

/// A vector: its bytes, lane 0 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct V128(pub(crate) [u8; 16]);

/// Where a value is kept at hand besides its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// In the register for integers and references.
    Integer,
    /// In the register for floats.
    Float,
    /// Nowhere.
    Vector,
}

/// A type of values that handlers read and write.
pub(crate) trait Value: Copy {
    /// Whether it takes two slots.
    const WIDE: bool = false;
    /// Operands that a constant takes.
    const IMMEDIATE: usize;
    /// Where it is kept at hand.
    const CLASS: Class;

    /// The value in the low bits of a number; of a vector, nothing.
    fn bits(self) -> u64;

    /// The value that the low bits of a number are.
    fn of_bits(bits: u64) -> Self;

    /// Keeps the value at hand, if its class is.
    fn keep(self, regs: &mut Regs);

    /// The value at hand, which must be of this type.
    fn kept(regs: &Regs) -> Self;

    /// Reads the slot at `offset` bytes from the frame pointer.
    ///
    /// # Safety
    ///
    /// The slot lies in the frame.
    unsafe fn read(fp: Fp, offset: i32) -> Self;

    /// Writes the slot at `offset` bytes from the frame pointer.
    ///
    /// # Safety
    ///
    /// The slot lies in the frame.
    unsafe fn write(self, fp: Fp, offset: i32);

    /// Reads a constant at the operand at `ip`.
    ///
    /// # Safety
    ///
    /// [`Value::IMMEDIATE`] operands follow.
    unsafe fn immediate(ip: Ip) -> Self;
}

/// The slot at `offset` bytes from the frame pointer.
#[inline(always)]
pub(crate) fn slot(fp: Fp, offset: i32) -> *mut u64 {
    fp.wrapping_byte_offset(offset as isize)
}

/// Two operands as one number.
///
/// # Safety
///
/// Two operands follow.
#[inline(always)]
pub(crate) unsafe fn wide_immediate(ip: Ip) -> u64 {
    // SAFETY: the caller's.
    let words = unsafe { ip.cast::<u64>().read_unaligned() };
    // Written by halves, low half first.
    if cfg!(target_endian = "big") {
        words.rotate_left(32)
    } else {
        words
    }
}

macro_rules! narrow {
    ($($ty:ty, $class:ident, $from:expr, $to:expr;)*) => {
        $(impl Value for $ty {
            const IMMEDIATE: usize = 1;
            const CLASS: Class = Class::$class;

            #[inline(always)]
            fn bits(self) -> u64 {
                u64::from($to(self))
            }

            #[inline(always)]
            fn of_bits(bits: u64) -> Self {
                $from(bits as u32)
            }

            #[inline(always)]
            fn keep(self, regs: &mut Regs) {
                let bits = u64::from($to(self));
                match Self::CLASS {
                    Class::Float => regs.float = f64::from_bits(bits),
                    _ => regs.acc = bits,
                }
            }

            #[inline(always)]
            fn kept(regs: &Regs) -> Self {
                $from(match Self::CLASS {
                    Class::Float => regs.float.to_bits() as u32,
                    _ => regs.acc as u32,
                })
            }

            #[inline(always)]
            unsafe fn read(fp: Fp, offset: i32) -> Self {
                // SAFETY: the caller's.
                $from(unsafe { slot(fp, offset).read() } as u32)
            }

            #[inline(always)]
            unsafe fn write(self, fp: Fp, offset: i32) {
                // SAFETY: the caller's.
                unsafe { slot(fp, offset).write(u64::from($to(self))) }
            }

            #[inline(always)]
            unsafe fn immediate(ip: Ip) -> Self {
                // SAFETY: the caller's.
                $from(unsafe { ip.read() })
            }
        })*
    };
}

narrow! {
    u32, Integer, core::convert::identity, core::convert::identity;
    i32, Integer, |bits: u32| bits as i32, |value: i32| value as u32;
    f32, Float, f32::from_bits, f32::to_bits;
    bool, Integer, |bits: u32| bits != 0, u32::from;
}

macro_rules! whole {
    ($($ty:ty, $class:ident, $from:expr, $to:expr;)*) => {
        $(impl Value for $ty {
            const IMMEDIATE: usize = 2;
            const CLASS: Class = Class::$class;

            #[inline(always)]
            fn bits(self) -> u64 {
                $to(self)
            }

            #[inline(always)]
            fn of_bits(bits: u64) -> Self {
                $from(bits)
            }

            #[inline(always)]
            fn keep(self, regs: &mut Regs) {
                let bits: u64 = $to(self);
                match Self::CLASS {
                    Class::Float => regs.float = f64::from_bits(bits),
                    _ => regs.acc = bits,
                }
            }

            #[inline(always)]
            fn kept(regs: &Regs) -> Self {
                $from(match Self::CLASS {
                    Class::Float => regs.float.to_bits(),
                    _ => regs.acc,
                })
            }

            #[inline(always)]
            unsafe fn read(fp: Fp, offset: i32) -> Self {
                // SAFETY: the caller's.
                $from(unsafe { slot(fp, offset).read() })
            }

            #[inline(always)]
            unsafe fn write(self, fp: Fp, offset: i32) {
                // SAFETY: the caller's.
                unsafe { slot(fp, offset).write($to(self)) }
            }

            #[inline(always)]
            unsafe fn immediate(ip: Ip) -> Self {
                // SAFETY: the caller's.
                $from(unsafe { wide_immediate(ip) })
            }
        })*
    };
}

whole! {
    u64, Integer, core::convert::identity, core::convert::identity;
    i64, Integer, |bits: u64| bits as i64, |value: i64| value as u64;
    f64, Float, f64::from_bits, f64::to_bits;
}

impl Value for V128 {
    const WIDE: bool = true;
    const IMMEDIATE: usize = 4;
    const CLASS: Class = Class::Vector;

    #[inline(always)]
    fn bits(self) -> u64 {
        0
    }

    #[inline(always)]
    fn of_bits(_: u64) -> Self {
        V128([0; 16])
    }

    #[inline(always)]
    fn keep(self, _: &mut Regs) {}

    #[inline(always)]
    fn kept(_: &Regs) -> Self {
        V128([0; 16])
    }

    #[inline(always)]
    unsafe fn read(fp: Fp, offset: i32) -> Self {
        // SAFETY: the caller's; both slots of a vector lie in the frame.
        unsafe { slot(fp, offset).cast::<V128>().read() }
    }

    #[inline(always)]
    unsafe fn write(self, fp: Fp, offset: i32) {
        // SAFETY: as in `read`.
        unsafe { slot(fp, offset).cast::<V128>().write(self) }
    }

    #[inline(always)]
    unsafe fn immediate(ip: Ip) -> Self {
        let mut bytes = [0; 16];
        for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            // SAFETY: the caller's.
            chunk.copy_from_slice(&unsafe { ip.add(i).read() }.to_le_bytes());
        }
        V128(bytes)
    }
}

/// Where a handler takes an operand from.
pub(crate) trait Source {
    /// Words of the instruction that an operand of type `V` takes.
    fn words<V: Value>() -> usize;

    /// The operand, from word `at` of the instruction on.
    ///
    /// # Safety
    ///
    /// The instruction has such an operand.
    unsafe fn take<V: Value>(regs: &Regs, at: usize) -> V;
}

/// A slot that the instruction names.
pub(crate) struct Slot;

/// A constant in the instruction.
pub(crate) struct Constant;

/// The value that the instruction before has given.
pub(crate) struct Kept;

impl Source for Slot {
    #[inline(always)]
    fn words<V: Value>() -> usize {
        1
    }

    #[inline(always)]
    unsafe fn take<V: Value>(regs: &Regs, at: usize) -> V {
        // SAFETY: the caller's.
        unsafe { regs.get(at) }
    }
}

impl Source for Constant {
    #[inline(always)]
    fn words<V: Value>() -> usize {
        V::IMMEDIATE
    }

    #[inline(always)]
    unsafe fn take<V: Value>(regs: &Regs, at: usize) -> V {
        // SAFETY: the caller's.
        unsafe { regs.constant(at) }
    }
}

impl Source for Kept {
    #[inline(always)]
    fn words<V: Value>() -> usize {
        0
    }

    #[inline(always)]
    unsafe fn take<V: Value>(regs: &Regs, _: usize) -> V {
        V::kept(regs)
    }
}

/// What an instruction that was fused into this one computes: `O` of what `A` and
/// `B` name.
pub(crate) struct Of<O, A, B>(PhantomData<(O, A, B)>);

impl<O: Binary, A: Source, B: Source> Source for Of<O, A, B> {
    #[inline(always)]
    fn words<V: Value>() -> usize {
        A::words::<O::A>() + B::words::<O::B>()
    }

    #[inline(always)]
    unsafe fn take<V: Value>(regs: &Regs, at: usize) -> V {
        // SAFETY: the caller's.
        let result = unsafe {
            let a = A::take(regs, at);
            let b = B::take(regs, at + A::words::<O::A>());
            O::apply(a, b)
        };
        V::of_bits(result.bits())
    }
}

/// What an instruction that was fused into this one computes and writes to a slot,
/// which is named behind its operands.
pub(crate) struct Tee<S>(PhantomData<S>);

impl<S: Source> Source for Tee<S> {
    #[inline(always)]
    fn words<V: Value>() -> usize {
        S::words::<V>() + 1
    }

    #[inline(always)]
    unsafe fn take<V: Value>(regs: &Regs, at: usize) -> V {
        // SAFETY: the caller's.
        unsafe {
            let value: V = S::take(regs, at);
            regs.set(at + S::words::<V>(), value);
            value
        }
    }
}

/// Where a handler leaves its result besides keeping it at hand.
pub(crate) trait Dest {
    /// Whether the instruction names a slot that the result is written to.
    const STORED: bool;
    /// Words of the instruction that say so.
    const WORDS: usize;
}

/// In the slot that the last operand names.
pub(crate) struct Stored;

/// Nowhere: only the next instruction uses it.
pub(crate) struct Unstored;

impl Dest for Stored {
    const STORED: bool = true;
    const WORDS: usize = 1;
}

impl Dest for Unstored {
    const STORED: bool = false;
    const WORDS: usize = 0;
}
