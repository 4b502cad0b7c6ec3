//! How are bytes of a guest memory read and written, when other threads may be
//! doing the same, and nothing may be there?
//!
//! This file holds unsafe code. An access is one instruction in inline assembly
//! where there is a form for the machine: to Rust it is opaque, so that a race is
//! what the machine makes of it (some mix of the bytes written), as Wasm allows.
//! Elsewhere, and under Miri, accesses are relaxed atomics: of the whole width
//! where the address is aligned, byte by byte where not.
//!
//! The bounds of a [`Checked`] access were checked by the caller. One that is
//! [`Watched`] may fault instead: see [`faults`](crate::faults). Where a store that
//! faults may have written some of its bytes, the last one is read first.

use crate::dispatch::{Fp, Ip, Regs};
use crate::state::State;
use crate::value::V128;

/// What is known about an access.
#[cfg_attr(
    not(guard_pages),
    allow(dead_code, reason = "nothing faults in this build")
)]
pub(crate) trait Site: Copy {
    /// Whether it may fault.
    const WATCHED: bool;
    /// What a fault leaves: the instruction, the frame, the run.
    fn registers(self) -> (Ip, Fp, *mut State);
}

/// The bytes lie in a memory.
#[derive(Clone, Copy)]
pub(crate) struct Checked;

impl Site for Checked {
    const WATCHED: bool = false;
    #[inline(always)]
    fn registers(self) -> (Ip, Fp, *mut State) {
        (
            core::ptr::null(),
            core::ptr::null_mut(),
            core::ptr::null_mut(),
        )
    }
}

/// The bytes lie in a memory or in the inaccessible addresses behind it.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(guard_pages),
    allow(dead_code, reason = "nothing faults in this build")
)]
pub(crate) struct Watched {
    ip: Ip,
    fp: Fp,
    state: *mut State,
}

impl Watched {
    /// An access of the handler that has these registers.
    #[inline(always)]
    pub(crate) fn new(regs: &Regs) -> Watched {
        Watched {
            ip: regs.ip,
            fp: regs.fp,
            state: regs.state,
        }
    }
}

impl Site for Watched {
    const WATCHED: bool = cfg!(guard_pages);
    #[inline(always)]
    fn registers(self) -> (Ip, Fp, *mut State) {
        (self.ip, self.fp, self.state)
    }
}

/// A load: what is read, and what becomes of it.
pub(crate) trait Load {
    type R: crate::value::Value;
    const WIDTH: usize;
    /// # Safety
    ///
    /// `WIDTH` bytes at `base + index` are what the site says.
    unsafe fn load<S: Site>(site: S, base: *const u8, index: usize) -> Self::R;
}

/// A store. One that faults has written nothing.
pub(crate) trait Store {
    type A: crate::value::Value;
    const WIDTH: usize;
    /// # Safety
    ///
    /// As for [`Load::load`].
    unsafe fn store<S: Site>(site: S, base: *mut u8, index: usize, value: Self::A);
}

macro_rules! names {
    ($($name:ident)*) => {
        $(pub(crate) struct $name;)*
    };
}

names! {
    Load32 Load64 LoadF32 LoadF64 Load8S32 Load8U32 Load16S32 Load16U32 Load8S64 Load16S64
    Load32S64 Load128
    Store32 Store64 Store8 Store16 StoreF32 StoreF64 Store128
}

/// Access to one width of integers, whose bounds the caller has checked. Memory
/// is little-endian; the values are numbers.
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

#[cfg(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        target_arch = "aarch64"
    ),
    not(miri),
    target_endian = "little"
))]
macro_rules! raws {
    ($($ty:ty, $load:ident, $store:ident, $held:ty;)*) => {
        $(impl Raw for $ty {
            #[inline(always)]
            unsafe fn fetch(base: *const u8, index: usize) -> Self {
                // SAFETY: the caller's.
                unsafe { $load::load(Checked, base, index) as $ty }
            }
            #[inline(always)]
            unsafe fn put(self, base: *mut u8, index: usize) {
                // SAFETY: the caller's.
                unsafe { $store::store(Checked, base, index, <$held>::from(self)) }
            }
        })*
    };
}

#[cfg(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        target_arch = "aarch64"
    ),
    not(miri),
    target_endian = "little"
))]
raws! {
    u8, Load8U32, Store8, u32;
    u16, Load16U32, Store16, u32;
    u32, Load32, Store32, u32;
    u64, Load64, Store64, u64;
}

#[cfg(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        target_arch = "aarch64"
    ),
    not(miri),
    target_endian = "little"
))]
mod native {
    use super::*;
    use core::arch::asm;

    #[cfg(target_arch = "aarch64")]
    use core::arch::aarch64::uint8x16_t as Vector;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::__m128i as Vector;

    #[inline(always)]
    fn number(register: Vector) -> V128 {
        // SAFETY: all bits are values of both; lane 0 comes first in both.
        V128(unsafe { core::mem::transmute::<Vector, [u8; 16]>(register) })
    }

    #[inline(always)]
    fn register(number: V128) -> Vector {
        // SAFETY: as above.
        unsafe { core::mem::transmute::<[u8; 16], Vector>(number.0) }
    }

    /// Writes one access: as it is; and with its address in the table of faults,
    /// with the registers of the handler where the landing expects them.
    macro_rules! access {
        ($site:ident, $code:literal, [$($operand:tt)*], [$($option:ident),*]) => {
            #[cfg(guard_pages)]
            if S::WATCHED {
                let (ip, fp, state) = $site.registers();
                #[cfg(target_arch = "x86_64")]
                watched!(> $code, ["rdi" ip, "rsi" fp, "r8" state], [$($operand)*], [$($option),*]);
                #[cfg(target_arch = "aarch64")]
                watched!(> $code, ["x0" ip, "x1" fp, "x4" state], [$($operand)*], [$($option),*]);
            } else {
                asm!($code, $($operand)* options(nostack, preserves_flags $(, $option)*));
            }
            #[cfg(not(guard_pages))]
            {
                let _ = $site;
                asm!($code, $($operand)* options(nostack, preserves_flags $(, $option)*));
            }
        };
    }

    #[cfg(guard_pages)]
    macro_rules! watched {
        ($($before:literal,)? > $code:literal $($after:literal)?, [$($register:tt $value:ident),*], [$($operand:tt)*], [$($option:ident),*]) => {
            asm!(
                $($before,)?
                "2:",
                $code,
                $($after,)?
                ".pushsection tepui_faults, \"aR\", @progbits",
                ".balign 4",
                ".long 2b - .",
                ".long {landing} - .",
                ".popsection",
                landing = sym crate::faults::landing,
                $($operand)*
                $(in($register) $value,)*
                options(nostack, preserves_flags $(, $option)*),
            )
        };
    }

    macro_rules! loads {
        ($($name:ident $width:literal -> $r:ty: $code:literal $class:ident $held:ty, |$v:ident| $convert:expr;)*) => {
            $(impl Load for $name {
                type R = $r;
                const WIDTH: usize = $width;
                #[inline(always)]
                unsafe fn load<S: Site>(site: S, base: *const u8, index: usize) -> $r {
                    let $v: $held;
                    // SAFETY: the caller's; a load changes nothing but its
                    // destination. What follows a fault does not come back here.
                    unsafe {
                        access!(site, $code, [
                            base = in(reg) base,
                            index = in(reg) index,
                            value = lateout($class) $v,
                        ], [readonly]);
                    }
                    $convert
                }
            })*
        };
    }

    // A watched one may be three instructions: where it is, a load of the last byte, and the
    // store. If the load does not fault, the store does not, which alone may have written
    // some bytes by then: see `Architecture::splits_stores`.
    macro_rules! stores {
        ($($name:ident $width:literal <- $a:ty: $code:literal $([$last:literal $store:literal])? $class:ident, |$v:ident| $convert:expr;)*) => {
            $(impl Store for $name {
                type A = $a;
                const WIDTH: usize = $width;
                #[inline(always)]
                unsafe fn store<S: Site>(site: S, base: *mut u8, index: usize, $v: $a) {
                    // SAFETY: the caller's; a store changes nothing but its
                    // bytes. What follows a fault does not come back here.
                    unsafe {
                        $(#[cfg(guard_pages)]
                        if S::WATCHED {
                            let (ip, fp, state) = site.registers();
                            watched!("add {at}, {base}, {index}", > $last $store, ["x0" ip, "x1" fp, "x4" state], [
                                at = out(reg) _,
                                base = in(reg) base,
                                index = in(reg) index,
                                value = in($class) $convert,
                            ], []);
                            return;
                        })?
                        access!(site, $code, [
                            base = in(reg) base,
                            index = in(reg) index,
                            value = in($class) $convert,
                        ], []);
                    }
                }
            })*
        };
    }

    #[cfg(target_arch = "x86_64")]
    loads! {
        Load8U32 1 -> u32: "movzx {value:e}, byte ptr [{base} + {index}]" reg u32, |v| v;
        Load8S32 1 -> i32: "movsx {value:e}, byte ptr [{base} + {index}]" reg i32, |v| v;
        Load16U32 2 -> u32: "movzx {value:e}, word ptr [{base} + {index}]" reg u32, |v| v;
        Load16S32 2 -> i32: "movsx {value:e}, word ptr [{base} + {index}]" reg i32, |v| v;
        Load32 4 -> u32: "mov {value:e}, dword ptr [{base} + {index}]" reg u32, |v| v;
        Load8S64 1 -> i64: "movsx {value:r}, byte ptr [{base} + {index}]" reg i64, |v| v;
        Load16S64 2 -> i64: "movsx {value:r}, word ptr [{base} + {index}]" reg i64, |v| v;
        Load32S64 4 -> i64: "movsxd {value:r}, dword ptr [{base} + {index}]" reg i64, |v| v;
        Load64 8 -> u64: "mov {value:r}, qword ptr [{base} + {index}]" reg u64, |v| v;
        LoadF32 4 -> f32: "movss {value}, dword ptr [{base} + {index}]" xmm_reg f32, |v| v;
        LoadF64 8 -> f64: "movsd {value}, qword ptr [{base} + {index}]" xmm_reg f64, |v| v;
        Load128 16 -> V128: "movups {value}, xmmword ptr [{base} + {index}]" xmm_reg Vector, |v| number(v);
    }

    #[cfg(target_arch = "x86_64")]
    stores! {
        Store8 1 <- u32: "mov byte ptr [{base} + {index}], {value}" reg_byte, |v| v as u8;
        Store16 2 <- u32: "mov word ptr [{base} + {index}], {value:x}" reg, |v| v;
        Store32 4 <- u32: "mov dword ptr [{base} + {index}], {value:e}" reg, |v| v;
        Store64 8 <- u64: "mov qword ptr [{base} + {index}], {value:r}" reg, |v| v;
        StoreF32 4 <- f32: "movss dword ptr [{base} + {index}], {value}" xmm_reg, |v| v;
        StoreF64 8 <- f64: "movsd qword ptr [{base} + {index}], {value}" xmm_reg, |v| v;
        Store128 16 <- V128: "movups xmmword ptr [{base} + {index}], {value}" xmm_reg, |v| register(v);
    }

    #[cfg(target_arch = "aarch64")]
    loads! {
        Load8U32 1 -> u32: "ldrb {value:w}, [{base}, {index}]" reg u32, |v| v;
        Load8S32 1 -> i32: "ldrsb {value:w}, [{base}, {index}]" reg i32, |v| v;
        Load16U32 2 -> u32: "ldrh {value:w}, [{base}, {index}]" reg u32, |v| v;
        Load16S32 2 -> i32: "ldrsh {value:w}, [{base}, {index}]" reg i32, |v| v;
        Load32 4 -> u32: "ldr {value:w}, [{base}, {index}]" reg u32, |v| v;
        Load8S64 1 -> i64: "ldrsb {value:x}, [{base}, {index}]" reg i64, |v| v;
        Load16S64 2 -> i64: "ldrsh {value:x}, [{base}, {index}]" reg i64, |v| v;
        Load32S64 4 -> i64: "ldrsw {value:x}, [{base}, {index}]" reg i64, |v| v;
        Load64 8 -> u64: "ldr {value:x}, [{base}, {index}]" reg u64, |v| v;
        LoadF32 4 -> f32: "ldr {value:s}, [{base}, {index}]" vreg f32, |v| v;
        LoadF64 8 -> f64: "ldr {value:d}, [{base}, {index}]" vreg f64, |v| v;
        Load128 16 -> V128: "ldr {value:q}, [{base}, {index}]" vreg Vector, |v| number(v);
    }

    #[cfg(target_arch = "aarch64")]
    stores! {
        Store8 1 <- u32: "strb {value:w}, [{base}, {index}]" reg, |v| v;
        Store16 2 <- u32: "strh {value:w}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #1]" "strh {value:w}, [{at}]"] reg, |v| v;
        Store32 4 <- u32: "str {value:w}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #3]" "str {value:w}, [{at}]"] reg, |v| v;
        Store64 8 <- u64: "str {value:x}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #7]" "str {value:x}, [{at}]"] reg, |v| v;
        StoreF32 4 <- f32: "str {value:s}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #3]" "str {value:s}, [{at}]"] vreg, |v| v;
        StoreF64 8 <- f64: "str {value:d}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #7]" "str {value:d}, [{at}]"] vreg, |v| v;
        Store128 16 <- V128: "str {value:q}, [{base}, {index}]"
            ["ldrb wzr, [{at}, #15]" "str {value:q}, [{at}]"] vreg, |v| register(v);
    }
}

#[cfg(not(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        target_arch = "aarch64"
    ),
    not(miri),
    target_endian = "little"
)))]
mod portable {
    use super::*;
    use crate::simd::Lanes;
    use core::sync::atomic::{AtomicU8, Ordering};

    impl Raw for u8 {
        #[inline(always)]
        unsafe fn fetch(base: *const u8, index: usize) -> Self {
            // SAFETY: the caller's; all accesses of memories are atomic.
            unsafe { AtomicU8::from_ptr(base.add(index).cast_mut()).load(Ordering::Relaxed) }
        }

        #[inline(always)]
        unsafe fn put(self, base: *mut u8, index: usize) {
            // SAFETY: as in `fetch`.
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

    macro_rules! loads {
        ($($name:ident: $raw:ty => $r:ty, |$v:ident| $convert:expr;)*) => {
            $(impl Load for $name {
                type R = $r;
                const WIDTH: usize = size_of::<$raw>();
                #[inline(always)]
                unsafe fn load<S: Site>(_: S, base: *const u8, index: usize) -> $r {
                    // SAFETY: the caller's.
                    let $v = unsafe { <$raw>::fetch(base, index) };
                    $convert
                }
            })*
        };
    }

    macro_rules! stores {
        ($($name:ident: $a:ty => $raw:ty, |$v:ident| $convert:expr;)*) => {
            $(impl Store for $name {
                type A = $a;
                const WIDTH: usize = size_of::<$raw>();
                #[inline(always)]
                unsafe fn store<S: Site>(_: S, base: *mut u8, index: usize, $v: $a) {
                    // SAFETY: the caller's.
                    unsafe { <$raw>::put($convert, base, index) }
                }
            })*
        };
    }

    loads! {
        Load32: u32 => u32, |v| v;
        Load64: u64 => u64, |v| v;
        LoadF32: u32 => f32, |v| f32::from_bits(v);
        LoadF64: u64 => f64, |v| f64::from_bits(v);
        Load8S32: u8 => i32, |v| i32::from(v as i8);
        Load8U32: u8 => u32, |v| u32::from(v);
        Load16S32: u16 => i32, |v| i32::from(v as i16);
        Load16U32: u16 => u32, |v| u32::from(v);
        Load8S64: u8 => i64, |v| i64::from(v as i8);
        Load16S64: u16 => i64, |v| i64::from(v as i16);
        Load32S64: u32 => i64, |v| i64::from(v as i32);
    }

    stores! {
        Store32: u32 => u32, |v| v;
        Store64: u64 => u64, |v| v;
        Store8: u32 => u8, |v| v as u8;
        Store16: u32 => u16, |v| v as u16;
        StoreF32: f32 => u32, |v| v.to_bits();
        StoreF64: f64 => u64, |v| v.to_bits();
    }

    impl Load for Load128 {
        type R = V128;
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn load<S: Site>(_: S, base: *const u8, index: usize) -> V128 {
            // SAFETY: the caller's.
            unsafe { [u64::fetch(base, index), u64::fetch(base, index + 8)].vector() }
        }
    }

    impl Store for Store128 {
        type A = V128;
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn store<S: Site>(_: S, base: *mut u8, index: usize, value: V128) {
            let [low, high] = <[u64; 2]>::of(value);
            // SAFETY: the caller's.
            unsafe {
                low.put(base, index);
                high.put(base, index + 8);
            }
        }
    }
}
