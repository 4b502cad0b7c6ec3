//! The register image that the *enter* and *leave* stubs exchange with the host.
//!
//! *Enter* loads the parameter registers from an image and stores the result
//! registers into the same image; *leave* does the opposite. An image has the
//! same layout on every target: integer registers first, then vector registers
//! (on targets where floats and vectors share registers, these hold both), then
//! float registers of the targets where floats are apart.
//!
//! The number of a register in an image is its number within its class in
//! [`convention`](crate::convention), for parameters and for results alike.

/// Integer registers in an image.
pub const INTEGERS: u32 = 8;
/// Vector registers in an image.
pub const VECTORS: u32 = 8;
/// Float registers in an image, used by riscv64 and s390x.
pub const FLOATS: u32 = 8;

/// Offset of integer register `index`, eight bytes.
pub const fn integer(index: u32) -> u32 {
    index * 8
}

/// Offset of vector register `index`, sixteen bytes. A float in a vector
/// register lies in the first bytes.
pub const fn vector(index: u32) -> u32 {
    INTEGERS * 8 + index * 16
}

/// Offset of float register `index`, eight bytes.
pub const fn float(index: u32) -> u32 {
    INTEGERS * 8 + VECTORS * 16 + index * 8
}

/// Bytes in an image, a multiple of 16.
pub const SIZE: u32 = float(FLOATS);

/// A register image in the host's memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct RegisterImage {
    /// Integer registers; a 32-bit value lies in the low half, and nothing may
    /// be assumed of the high half.
    pub integers: [u64; INTEGERS as usize],
    /// Vector registers, as numbers of the host's byte order.
    pub vectors: [u128; VECTORS as usize],
    /// Float registers of the targets where they are apart.
    pub floats: [u64; FLOATS as usize],
}

impl Default for RegisterImage {
    fn default() -> Self {
        RegisterImage {
            integers: [0; INTEGERS as usize],
            vectors: [0; VECTORS as usize],
            floats: [0; FLOATS as usize],
        }
    }
}

/// What a host function, the interpreter or the lazy-compile hook tells the
/// *leave* stub to do when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LeaveStatus {
    /// Results are in the image and in the overflow area: return to the caller.
    Return = 0,
    /// Unwind to the frame that entered Wasm; the runtime has recorded why.
    Unwind = 1,
    /// Make a tail call: the image holds its parameters, the store context its
    /// target (see [`StoreLayout::tail_code`](crate::layout::StoreLayout::tail_code)).
    TailCall = 2,
}

const _: () = {
    assert!(SIZE as usize == core::mem::size_of::<RegisterImage>());
    assert!(vector(0) as usize == core::mem::offset_of!(RegisterImage, vectors));
    assert!(float(0) as usize == core::mem::offset_of!(RegisterImage, floats));
    assert!(SIZE.is_multiple_of(16));
};
