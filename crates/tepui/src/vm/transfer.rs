//! How values move between Rust and the register image and overflow area.
//!
//! This file holds unsafe code. [`Cursor`] walks the places of a signature in
//! order, exactly as `tepui_abi::convention` assigns them; with the types known
//! at compile time the walk folds away.

use tepui_abi::convention::{self, Registers, Representation};
use tepui_abi::image::RegisterImage;
use tepui_abi::{Architecture, Target};

use super::context::OverflowSlot;

const ARCHITECTURE: Architecture = Target::host().architecture;

/// Where parameters travel on this host.
pub(crate) const PARAMETERS: Registers = convention::parameter_registers(ARCHITECTURE);
/// Where results travel on this host.
pub(crate) const RESULTS: Registers = convention::result_registers(ARCHITECTURE);

/// A walk over the places of a list of values.
pub(crate) struct Cursor {
    registers: Registers,
    image: *mut RegisterImage,
    overflow: *mut OverflowSlot,
    integers: u8,
    vectors: u8,
    floats: u8,
    slots: u16,
}

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

    /// Reads the next value.
    ///
    /// # Safety
    ///
    /// `T` is the Rust type of `representation` (same size, any bit pattern
    /// valid), and what was promised to [`Cursor::new`] still holds.
    #[inline(always)]
    pub(crate) unsafe fn read<T: Copy>(&mut self, representation: Representation) -> T {
        // SAFETY: the place lies in the image or the overflow area, which the
        // creator of the cursor vouched for.
        unsafe { self.place::<T>(representation).read_unaligned() }
    }

    /// Writes the next value.
    ///
    /// # Safety
    ///
    /// As for [`Cursor::read`].
    #[inline(always)]
    pub(crate) unsafe fn write<T: Copy>(&mut self, representation: Representation, value: T) {
        let place = self.place::<T>(representation);
        // SAFETY: as in `read`.
        unsafe {
            // The stubs load whole registers. A store as wide as that load is
            // forwarded to it; a narrower one would have to reach memory first.
            #[cfg(target_arch = "x86_64")]
            match representation {
                Representation::F32 => {
                    use std::arch::x86_64::{_mm_set_ss, _mm_storeu_ps};
                    let value = std::mem::transmute_copy::<T, f32>(&value);
                    return _mm_storeu_ps(place.cast(), _mm_set_ss(value));
                }
                Representation::F64 => {
                    use std::arch::x86_64::{_mm_set_sd, _mm_storeu_pd};
                    let value = std::mem::transmute_copy::<T, f64>(&value);
                    return _mm_storeu_pd(place.cast(), _mm_set_sd(value));
                }
                _ => {}
            }
            place.write_unaligned(value);
        }
    }
}
