//! Where parameters and results travel: one convention per architecture, for
//! every tier.
//!
//! A function takes the callee context, the caller context, then its
//! parameters: integers and references in integer registers, floats and vectors
//! in vector registers, and **never on the stack**. What finds no register goes,
//! in order, to the [overflow area](crate::stack) of the running stack. Results
//! travel the same way.
//!
//! The register numbers below are those that Cranelift's `tail` convention
//! assigns to a signature with only as many parameters as fit; the tests of the
//! optimizing compiler hold the tables against what it emits. Every frame keeps
//! a frame pointer (a backchain on s390x).
//!
//! | | integer parameters | float, vector parameters | integer results | float, vector results |
//! |---|---|---|---|---|
//! | x86-64 | rdx rcx r8 r9 | xmm0–7 | rax rcx rdx rsi rdi r8 r9 r10 | xmm0–7 |
//! | aarch64 | x4–x7 | v0–v7 | x2–x7 | v0–v7 |
//! | riscv64 | a2–a7 | fa0–fa7, vectors overflow | a0 a1 | fa0 fa1, vectors overflow |
//! | s390x | r4–r7 | f0 f2 f4 f6, v24–v31 | r2–r7 | f0 f2 f4 f6, v24–v31 |
//!
//! Contexts: x86-64 rdi, rsi; aarch64 x2, x3; riscv64 a0, a1; s390x r2, r3.

use alloc::vec::Vec;
use tepui_module::{HeapType, ValType};

use crate::target::Architecture;

/// The machine representation of a Wasm value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    /// `i32`, and references that are 32-bit ids (all but function references).
    I32,
    /// `i64`.
    I64,
    /// A pointer: function references.
    Pointer,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `v128`.
    V128,
}

impl Representation {
    /// Every representation.
    pub const ALL: [Representation; 6] = [
        Representation::I32,
        Representation::I64,
        Representation::Pointer,
        Representation::F32,
        Representation::F64,
        Representation::V128,
    ];

    /// Bytes of a value, on 64-bit targets.
    #[inline]
    pub const fn bytes(self) -> u32 {
        match self {
            Representation::I32 | Representation::F32 => 4,
            Representation::I64 | Representation::Pointer | Representation::F64 => 8,
            Representation::V128 => 16,
        }
    }

    /// How values of `ty` are represented.
    pub fn of(ty: ValType) -> Representation {
        match ty {
            ValType::I32 => Representation::I32,
            ValType::I64 => Representation::I64,
            ValType::F32 => Representation::F32,
            ValType::F64 => Representation::F64,
            ValType::V128 => Representation::V128,
            ValType::Ref(ty) => Representation::of_reference(ty.heap),
        }
    }

    /// How references to `heap` are represented.
    ///
    /// Concrete types are function types for as long as no garbage-collected
    /// types are decoded.
    pub fn of_reference(heap: HeapType) -> Representation {
        match heap {
            HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_) => Representation::Pointer,
            _ => Representation::I32,
        }
    }
}

/// Where one parameter or result travels.
///
/// Register numbers count within their class and are those of the
/// [register image](crate::image).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// An integer register.
    Integer(u8),
    /// A vector register; floats too, where they share registers with vectors.
    Vector(u8),
    /// A float register of a target where floats are apart.
    Float(u8),
    /// A slot of the overflow area.
    Overflow(u16),
}

/// How many registers of each class carry values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Integer registers.
    pub integers: u8,
    /// Vector registers.
    pub vectors: u8,
    /// Registers for floats only; `None` where floats use vector registers.
    pub floats: Option<u8>,
}

/// Registers for parameters, after the two contexts.
pub const fn parameter_registers(architecture: Architecture) -> Registers {
    match architecture {
        Architecture::X86_64 | Architecture::Aarch64 => Registers {
            integers: 4,
            vectors: 8,
            floats: None,
        },
        Architecture::Riscv64 => Registers {
            integers: 6,
            vectors: 0,
            floats: Some(8),
        },
        Architecture::S390x => Registers {
            integers: 4,
            vectors: 8,
            floats: Some(4),
        },
        Architecture::Interpreted => Registers {
            integers: 0,
            vectors: 0,
            floats: None,
        },
    }
}

/// Registers for results.
pub const fn result_registers(architecture: Architecture) -> Registers {
    match architecture {
        Architecture::X86_64 => Registers {
            integers: 8,
            vectors: 8,
            floats: None,
        },
        Architecture::Aarch64 => Registers {
            integers: 6,
            vectors: 8,
            floats: None,
        },
        Architecture::Riscv64 => Registers {
            integers: 2,
            vectors: 0,
            floats: Some(2),
        },
        Architecture::S390x => Registers {
            integers: 6,
            vectors: 8,
            floats: Some(4),
        },
        Architecture::Interpreted => Registers {
            integers: 0,
            vectors: 0,
            floats: None,
        },
    }
}

/// The assignment of a list of values to registers and overflow slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// One location per value, in order.
    pub locations: Vec<Location>,
    /// Overflow slots used.
    pub overflow: u16,
    /// Whether a vector or float register is used.
    pub uses_vectors: bool,
}

/// Assigns parameters.
pub fn parameters(
    architecture: Architecture,
    values: impl IntoIterator<Item = Representation>,
) -> Assignment {
    assign(parameter_registers(architecture), values)
}

/// Assigns results.
pub fn results(
    architecture: Architecture,
    values: impl IntoIterator<Item = Representation>,
) -> Assignment {
    assign(result_registers(architecture), values)
}

/// Assigns values to registers and overflow slots, one after the other: what
/// [`parameters`] and [`results`] do, without a list.
#[derive(Clone, Copy, Debug)]
pub struct Assigner {
    free: Registers,
    given: Registers,
    overflow: u16,
}

impl Assigner {
    /// For parameters.
    pub const fn parameters(architecture: Architecture) -> Assigner {
        Assigner::new(parameter_registers(architecture))
    }

    /// For results.
    pub const fn results(architecture: Architecture) -> Assigner {
        Assigner::new(result_registers(architecture))
    }

    const fn new(free: Registers) -> Assigner {
        Assigner {
            free,
            given: Registers {
                integers: 0,
                vectors: 0,
                floats: Some(0),
            },
            overflow: 0,
        }
    }

    /// Where the next value travels.
    #[inline]
    pub fn assign(&mut self, value: Representation) -> Location {
        let (next, limit, location): (_, _, fn(u8) -> Location) = match (value, self.free.floats) {
            (Representation::I32 | Representation::I64 | Representation::Pointer, _) => (
                &mut self.given.integers,
                self.free.integers,
                Location::Integer,
            ),
            (Representation::F32 | Representation::F64, Some(floats)) => {
                (self.given.floats.get_or_insert(0), floats, Location::Float)
            }
            _ => (&mut self.given.vectors, self.free.vectors, Location::Vector),
        };
        if *next < limit {
            *next += 1;
            location(*next - 1)
        } else {
            self.overflow += 1;
            Location::Overflow(self.overflow - 1)
        }
    }

    /// Overflow slots used so far.
    pub const fn overflow(&self) -> u16 {
        self.overflow
    }
}

fn assign(registers: Registers, values: impl IntoIterator<Item = Representation>) -> Assignment {
    let mut assigner = Assigner::new(registers);
    let locations: Vec<Location> = values
        .into_iter()
        .map(|value| assigner.assign(value))
        .collect();
    Assignment {
        uses_vectors: locations
            .iter()
            .any(|location| matches!(location, Location::Vector(_) | Location::Float(_))),
        locations,
        overflow: assigner.overflow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn overflow_is_in_order_across_classes() {
        use Representation::*;
        let values = vec![I32, I64, Pointer, I32, I64, F32, I32, V128];
        let assigned = parameters(Architecture::X86_64, values);
        assert_eq!(
            assigned.locations,
            vec![
                Location::Integer(0),
                Location::Integer(1),
                Location::Integer(2),
                Location::Integer(3),
                Location::Overflow(0),
                Location::Vector(0),
                Location::Overflow(1),
                Location::Vector(1),
            ]
        );
        assert_eq!(assigned.overflow, 2);
        assert!(assigned.uses_vectors);
    }

    #[test]
    fn a_thousand_values_fit_the_overflow_area() {
        for architecture in Architecture::NATIVE {
            let values = core::iter::repeat_n(Representation::V128, 1_000);
            let assigned = parameters(architecture, values);
            assert!(u32::from(assigned.overflow) <= crate::stack::OVERFLOW_SLOTS);
        }
    }

    #[test]
    fn image_has_room_for_every_register() {
        for architecture in Architecture::NATIVE {
            for registers in [
                parameter_registers(architecture),
                result_registers(architecture),
            ] {
                assert!(u32::from(registers.integers) <= crate::image::INTEGERS);
                assert!(u32::from(registers.vectors) <= crate::image::VECTORS);
                assert!(u32::from(registers.floats.unwrap_or(0)) <= crate::image::FLOATS);
            }
        }
    }
}
