//! How are bytes of a guest memory read and written, when other threads may be
//! doing the same?
//!
//! This file holds unsafe code. The caller has checked the bounds. An access is
//! one instruction in inline assembly where there is a form for the machine: to
//! Rust it is opaque, so that a race is what the machine makes of it (some mix
//! of the bytes written), as Wasm allows. Elsewhere, and under Miri, accesses
//! are relaxed atomics: of the whole width where the address is aligned, byte
//! by byte where not.

/// Access to one width of integers, in the host's byte order of little-endian
/// memory: the values are numbers.
pub(crate) trait Raw: Copy {
    /// Reads at `base + index`.
    ///
    /// # Safety
    ///
    /// The bytes lie in a memory.
    unsafe fn fetch(base: *const u8, index: usize) -> Self;

    /// Writes at `base + index`.
    ///
    /// # Safety
    ///
    /// The bytes lie in a memory.
    unsafe fn put(self, base: *mut u8, index: usize);
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod native {
    use super::Raw;
    use core::arch::asm;

    macro_rules! access {
        ($($ty:ty, $load:literal, $store:literal, $class:ident;)*) => {
            $(impl Raw for $ty {
                #[inline(always)]
                unsafe fn fetch(base: *const u8, index: usize) -> Self {
                    let value: $ty;
                    // SAFETY: the caller's; a load changes nothing but its
                    // destination.
                    unsafe {
                        asm!(
                            $load,
                            base = in(reg) base,
                            index = in(reg) index,
                            value = lateout($class) value,
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    value
                }

                #[inline(always)]
                unsafe fn put(self, base: *mut u8, index: usize) {
                    // SAFETY: the caller's; a store changes nothing but its
                    // bytes.
                    unsafe {
                        asm!(
                            $store,
                            base = in(reg) base,
                            index = in(reg) index,
                            value = in($class) self,
                            options(nostack, preserves_flags),
                        );
                    }
                }
            })*
        };
    }

    access! {
        u16, "movzx {value:e}, word ptr [{base} + {index}]", "mov word ptr [{base} + {index}], {value:x}", reg;
        u32, "mov {value:e}, dword ptr [{base} + {index}]", "mov dword ptr [{base} + {index}], {value:e}", reg;
        u64, "mov {value}, qword ptr [{base} + {index}]", "mov qword ptr [{base} + {index}], {value}", reg;
    }

    impl Raw for u8 {
        #[inline(always)]
        unsafe fn fetch(base: *const u8, index: usize) -> Self {
            let value: u32;
            // SAFETY: the caller's; a load changes nothing but its destination.
            unsafe {
                asm!(
                    "movzx {value:e}, byte ptr [{base} + {index}]",
                    base = in(reg) base,
                    index = in(reg) index,
                    value = lateout(reg) value,
                    options(nostack, preserves_flags, readonly),
                );
            }
            value as u8
        }

        #[inline(always)]
        unsafe fn put(self, base: *mut u8, index: usize) {
            // SAFETY: the caller's; a store changes nothing but its bytes.
            unsafe {
                asm!(
                    "mov byte ptr [{base} + {index}], {value}",
                    base = in(reg) base,
                    index = in(reg) index,
                    value = in(reg_byte) self,
                    options(nostack, preserves_flags),
                );
            }
        }
    }
}

#[cfg(all(target_arch = "aarch64", not(miri), target_endian = "little"))]
mod native {
    use super::Raw;
    use core::arch::asm;

    macro_rules! access {
        ($($ty:ty, $load:literal, $store:literal;)*) => {
            $(impl Raw for $ty {
                #[inline(always)]
                unsafe fn fetch(base: *const u8, index: usize) -> Self {
                    let value: u64;
                    // SAFETY: the caller's; a load changes nothing but its
                    // destination.
                    unsafe {
                        asm!(
                            $load,
                            base = in(reg) base,
                            index = in(reg) index,
                            value = lateout(reg) value,
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    value as $ty
                }

                #[inline(always)]
                unsafe fn put(self, base: *mut u8, index: usize) {
                    // SAFETY: the caller's; a store changes nothing but its
                    // bytes.
                    unsafe {
                        asm!(
                            $store,
                            base = in(reg) base,
                            index = in(reg) index,
                            value = in(reg) u64::from(self),
                            options(nostack, preserves_flags),
                        );
                    }
                }
            })*
        };
    }

    access! {
        u8, "ldrb {value:w}, [{base}, {index}]", "strb {value:w}, [{base}, {index}]";
        u16, "ldrh {value:w}, [{base}, {index}]", "strh {value:w}, [{base}, {index}]";
        u32, "ldr {value:w}, [{base}, {index}]", "str {value:w}, [{base}, {index}]";
        u64, "ldr {value:x}, [{base}, {index}]", "str {value:x}, [{base}, {index}]";
    }
}

#[cfg(not(any(
    all(target_arch = "x86_64", not(miri)),
    all(target_arch = "aarch64", not(miri), target_endian = "little")
)))]
mod portable {
    use super::Raw;
    use core::sync::atomic::{AtomicU8, Ordering};

    impl Raw for u8 {
        #[inline(always)]
        unsafe fn fetch(base: *const u8, index: usize) -> Self {
            // SAFETY: the caller's; all accesses of memories are atomic.
            unsafe { AtomicU8::from_ptr(base.add(index).cast_mut()).load(Ordering::Relaxed) }
        }

        #[inline(always)]
        unsafe fn put(self, base: *mut u8, index: usize) {
            // SAFETY: as in `read`.
            unsafe { AtomicU8::from_ptr(base.add(index)).store(self, Ordering::Relaxed) }
        }
    }

    macro_rules! access {
        ($($ty:ty, $atomic:ident, $width:literal;)*) => {
            $(impl Raw for $ty {
                #[inline(always)]
                unsafe fn fetch(base: *const u8, index: usize) -> Self {
                    let at = base.wrapping_add(index).cast_mut();
                    #[cfg(target_has_atomic = $width)]
                    if at.addr().is_multiple_of(size_of::<$ty>()) {
                        use core::sync::atomic::$atomic;
                        // SAFETY: the caller's; aligned as was just asked.
                        let value = unsafe {
                            $atomic::from_ptr(at.cast()).load(Ordering::Relaxed)
                        };
                        return <$ty>::from_le(value);
                    }
                    // SAFETY: the caller's.
                    <$ty>::from_le_bytes(core::array::from_fn(|i| unsafe { u8::fetch(at, i) }))
                }

                #[inline(always)]
                unsafe fn put(self, base: *mut u8, index: usize) {
                    let at = base.wrapping_add(index);
                    #[cfg(target_has_atomic = $width)]
                    if at.addr().is_multiple_of(size_of::<$ty>()) {
                        use core::sync::atomic::$atomic;
                        // SAFETY: the caller's; aligned as was just asked.
                        unsafe {
                            $atomic::from_ptr(at.cast()).store(self.to_le(), Ordering::Relaxed);
                        }
                        return;
                    }
                    for (i, byte) in self.to_le_bytes().into_iter().enumerate() {
                        // SAFETY: the caller's.
                        unsafe { byte.put(at, i) }
                    }
                }
            })*
        };
    }

    access! {
        u16, AtomicU16, "16";
        u32, AtomicU32, "32";
        u64, AtomicU64, "64";
    }
}
