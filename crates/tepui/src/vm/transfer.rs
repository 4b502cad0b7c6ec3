//! How values move between Rust and the places of a signature.
//!
//! This file holds unsafe code. [`Cursor`] walks the register image and the
//! overflow area, exactly as `tepui_abi::convention` assigns them; [`Slots`] walks
//! the slots of the interpreter. With the types known at compile time both walks
//! fold away.

use tepui_abi::convention::{self, Registers, Representation};
#[cfg(feature = "compiler")]
use tepui_abi::image::RegisterImage;
use tepui_abi::{Architecture, Target};

#[cfg(feature = "compiler")]
use super::context::OverflowSlot;

const ARCHITECTURE: Architecture = Target::host().architecture;

/// Where parameters travel on this host.
pub(crate) const PARAMETERS: Registers = convention::parameter_registers(ARCHITECTURE);
/// Where results travel on this host.
#[cfg(feature = "compiler")]
pub(crate) const RESULTS: Registers = convention::result_registers(ARCHITECTURE);

/// A walk over the places of a list of values: each call of a method goes to the
/// next one.
#[doc(hidden)]
pub trait Places {
    /// Reads the next value.
    ///
    /// # Safety
    ///
    /// `T` is the Rust type of `representation` (same size, any bit pattern
    /// valid), the value is initialized, and what was promised when the walk
    /// began still holds.
    unsafe fn read<T: Copy>(&mut self, representation: Representation) -> T;

    /// Writes the next value.
    ///
    /// # Safety
    ///
    /// As for [`Places::read`], but for the value, which this initializes.
    unsafe fn write<T: Copy>(&mut self, representation: Representation, value: T);
}

/// A walk over slots: 8 bytes each, 16 for vectors, without gaps. Narrow values
/// are extended by zeros.
pub(crate) struct Slots(*mut u64);

impl Slots {
    /// Starts at the first value.
    ///
    /// # Safety
    ///
    /// For as long as the walk goes on, there are slots for all values at `first`,
    /// which nobody else touches.
    #[inline(always)]
    pub(crate) unsafe fn new(first: *mut u64) -> Slots {
        Slots(first)
    }

    /// The slots that a value takes.
    pub(crate) const fn count(representation: Representation) -> usize {
        match representation {
            Representation::V128 => 2,
            _ => 1,
        }
    }

    #[inline(always)]
    fn next(&mut self, representation: Representation) -> *mut u64 {
        let slot = self.0;
        self.0 = slot.wrapping_add(Slots::count(representation));
        slot
    }
}

/// `value` as another type of the same size.
///
/// # Safety
///
/// The sizes are equal, and any bit pattern is valid.
#[inline(always)]
unsafe fn as_bits<T: Copy, U: Copy>(value: T) -> U {
    debug_assert_eq!(size_of::<T>(), size_of::<U>());
    // SAFETY: the caller's promise.
    unsafe { core::mem::transmute_copy(&value) }
}

impl Places for Slots {
    #[inline(always)]
    unsafe fn read<T: Copy>(&mut self, representation: Representation) -> T {
        let slot = self.next(representation);
        // SAFETY: the slots are there; the sizes are those of the representation.
        // Vectors lie in slots as their bytes, lane 0 first.
        unsafe {
            match representation {
                Representation::I32 | Representation::F32 => as_bits(slot.read() as u32),
                Representation::I64 | Representation::F64 => as_bits(slot.read()),
                Representation::Pointer => as_bits(slot.read() as usize),
                Representation::V128 => {
                    as_bits(u128::from_le_bytes(slot.cast::<[u8; 16]>().read()))
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn write<T: Copy>(&mut self, representation: Representation, value: T) {
        let slot = self.next(representation);
        // SAFETY: as in `read`.
        unsafe {
            match representation {
                Representation::I32 | Representation::F32 => {
                    slot.write(u64::from(as_bits::<T, u32>(value)));
                }
                Representation::I64 | Representation::F64 => slot.write(as_bits(value)),
                Representation::Pointer => slot.write(as_bits::<T, usize>(value) as u64),
                Representation::V128 => {
                    let bytes = as_bits::<T, u128>(value).to_le_bytes();
                    slot.cast::<[u8; 16]>().write(bytes);
                }
            }
        }
    }
}

/// A walk over the register image and the overflow area.
#[cfg(feature = "compiler")]
pub(crate) struct Cursor {
    registers: Registers,
    image: *mut RegisterImage,
    overflow: *mut OverflowSlot,
    integers: u8,
    vectors: u8,
    floats: u8,
    slots: u16,
}

#[cfg(feature = "compiler")]
impl Cursor {
    /// Starts at the first value.
    ///
    /// # Safety
    ///
    /// For as long as the cursor is used, `image` points to a register image
    /// and `overflow` to the overflow area of the running stack, both of which
    /// nobody else touches; and at most 1,000 values are walked over.
    #[inline(always)]
    pub(crate) unsafe fn new(
        registers: Registers,
        image: *mut RegisterImage,
        overflow: *mut OverflowSlot,
    ) -> Cursor {
        Cursor {
            registers,
            image,
            overflow,
            integers: 0,
            vectors: 0,
            floats: 0,
            slots: 0,
        }
    }

    #[inline(always)]
    fn slot<T>(&mut self) -> *mut T {
        // SAFETY: at most 1,000 values are walked over, and that is how many
        // slots the overflow area has.
        let slot = unsafe { self.overflow.add(self.slots.into()) };
        self.slots += 1;
        slot.cast()
    }

    #[inline(always)]
    fn integer<T>(&mut self) -> *mut T {
        if self.integers < self.registers.integers {
            self.integers += 1;
            // SAFETY: the image has room for every register of the convention.
            // A narrow value lies in the low half of its register.
            unsafe {
                let register = (&raw mut (*self.image).integers)
                    .cast::<u64>()
                    .add((self.integers - 1).into());
                if cfg!(target_endian = "big") {
                    register.cast::<u8>().add(8 - size_of::<T>()).cast()
                } else {
                    register.cast()
                }
            }
        } else {
            self.slot()
        }
    }

    #[inline(always)]
    fn float<T>(&mut self) -> *mut T {
        match self.registers.floats {
            Some(limit) if self.floats < limit => {
                self.floats += 1;
                // SAFETY: as in `integer`.
                unsafe {
                    (&raw mut (*self.image).floats)
                        .cast::<u64>()
                        .add((self.floats - 1).into())
                        .cast()
                }
            }
            Some(_) => self.slot(),
            None => self.vector(),
        }
    }

    #[inline(always)]
    fn vector<T>(&mut self) -> *mut T {
        if self.vectors < self.registers.vectors {
            self.vectors += 1;
            // SAFETY: as in `integer`.
            unsafe {
                (&raw mut (*self.image).vectors)
                    .cast::<u128>()
                    .add((self.vectors - 1).into())
                    .cast()
            }
        } else {
            self.slot()
        }
    }

    /// The place of the next value, of representation `R`.
    #[inline(always)]
    fn place<T>(&mut self, representation: Representation) -> *mut T {
        match representation {
            Representation::I32 | Representation::I64 | Representation::Pointer => self.integer(),
            Representation::F32 | Representation::F64 => self.float(),
            Representation::V128 => self.vector(),
        }
    }
}

#[cfg(feature = "compiler")]
impl Places for Cursor {
    #[inline(always)]
    unsafe fn read<T: Copy>(&mut self, representation: Representation) -> T {
        // SAFETY: the place lies in the image or the overflow area, which the
        // creator of the cursor vouched for.
        unsafe { self.place::<T>(representation).read_unaligned() }
    }

    #[inline(always)]
    unsafe fn write<T: Copy>(&mut self, representation: Representation, value: T) {
        let place = self.place::<T>(representation);
        // SAFETY: as in `read`.
        unsafe {
            // The stubs load whole registers. A store as wide as that load is
            // forwarded to it; a narrower one would have to reach memory first.
            #[cfg(target_arch = "x86_64")]
            match representation {
                Representation::F32 => {
                    use core::arch::x86_64::{_mm_set_ss, _mm_storeu_ps};
                    let value = core::mem::transmute_copy::<T, f32>(&value);
                    return _mm_storeu_ps(place.cast(), _mm_set_ss(value));
                }
                Representation::F64 => {
                    use core::arch::x86_64::{_mm_set_sd, _mm_storeu_pd};
                    let value = core::mem::transmute_copy::<T, f64>(&value);
                    return _mm_storeu_pd(place.cast(), _mm_set_sd(value));
                }
                _ => {}
            }
            place.write_unaligned(value);
        }
    }
}
