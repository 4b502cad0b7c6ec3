//! What a layout depends on: architecture, pointer width, byte order.

use core::fmt;

/// An instruction set that generated code exists for, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86-64, 64-bit pointers, little-endian.
    X86_64,
    /// AArch64, 64-bit pointers, little-endian.
    Aarch64,
    /// RV64GC, 64-bit pointers, little-endian.
    Riscv64,
    /// z/Architecture, 64-bit pointers, big-endian.
    S390x,
    /// A machine on which only the interpreter runs.
    Interpreted,
}

impl Architecture {
    /// Every architecture that has a calling convention.
    pub const NATIVE: [Architecture; 4] = [
        Architecture::X86_64,
        Architecture::Aarch64,
        Architecture::Riscv64,
        Architecture::S390x,
    ];

    /// Whether a store that faults in its second page may have written to its first.
    ///
    /// Arm and RISC-V leave that open for stores that are not aligned. Code that relies
    /// on faults to stay inside of a memory reads there first: a load that faults does
    /// so before all that follows it.
    pub const fn splits_stores(self) -> bool {
        matches!(self, Architecture::Aarch64 | Architecture::Riscv64)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
            Architecture::Riscv64 => "riscv64",
            Architecture::S390x => "s390x",
            Architecture::Interpreted => "interpreted",
        })
    }
}

/// The order of the bytes of a number in memory that the host reads.
///
/// Wasm memories are little-endian everywhere; this is the order of contexts,
/// definitions and register images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endianness {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Everything about a machine that a layout may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The instruction set.
    pub architecture: Architecture,
    /// Bytes in a pointer: 4 or 8.
    pub pointer_bytes: u8,
    /// Byte order.
    pub endianness: Endianness,
}

impl Target {
    /// The target with 64-bit pointers that belongs to `architecture`.
    ///
    /// [`Architecture::Interpreted`] gives the little-endian 64-bit machine.
    pub const fn of(architecture: Architecture) -> Target {
        Target {
            architecture,
            pointer_bytes: 8,
            endianness: match architecture {
                Architecture::S390x => Endianness::Big,
                _ => Endianness::Little,
            },
        }
    }

    /// The machine that this crate was compiled for.
    pub const fn host() -> Target {
        let architecture = if cfg!(target_arch = "x86_64") {
            Architecture::X86_64
        } else if cfg!(target_arch = "aarch64") {
            Architecture::Aarch64
        } else if cfg!(target_arch = "riscv64") {
            Architecture::Riscv64
        } else if cfg!(target_arch = "s390x") {
            Architecture::S390x
        } else {
            Architecture::Interpreted
        };
        Target {
            architecture,
            pointer_bytes: (usize::BITS / 8) as u8,
            endianness: if cfg!(target_endian = "big") {
                Endianness::Big
            } else {
                Endianness::Little
            },
        }
    }

    /// Bytes in a pointer, for offset arithmetic.
    pub const fn pointer(&self) -> u32 {
        self.pointer_bytes as u32
    }
}
