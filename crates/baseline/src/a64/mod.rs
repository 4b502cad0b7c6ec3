//! The macro assembler of aarch64: what the driver asks for, in instructions.
//!
//! # Registers
//!
//! | | |
//! |---|---|
//! | x0, x1, x8, v31 | scratch, by the driver's names |
//! | x16, x17, v30 | scratch of this folder: x16 for addresses, x17 for values |
//! | x2–x7, x9–x15, v0–v7, v16–v29 | values |
//! | x19–x25 | values that calls keep |
//! | x26 | 16 KiB below the frame pointer, in functions with larger frames |
//! | x27, x28 | base of memory 0 when it never moves, context |
//! | x18 | the system's |
//!
//! v8–v15 are not used, so that they need not be saved.
//!
//! # Frames
//!
//! An instruction reaches 256 bytes below a base, and 4 KiB to 64 KiB above, by
//! its width. What lies near the frame pointer is reached from there, what lies
//! further away from x26 up, and the rest by an address in x16.

mod emit;
mod scalar;
mod simd;

use tepui_abi::profile::Homes;
use tepui_abi::{Architecture, RelocationKind, Trap};

use crate::CpuFeatures;
use crate::compile::PROBED_PAGE;
use crate::masm::{Assembler, Condition, Frame, IntCc, Label, Mem, Notes, Prologue, Reach, Size};
use crate::reg::{Reg, each};
use emit::*;

/// Holds the address this many bytes below the frame pointer.
const FRAME_BASE: Reg = X26;
const FRAME_BASE_BYTES: u32 = 16 << 10;

/// `udf`, with a number that nobody else uses by chance.
const UNDEFINED: u32 = 0xc11f;

const fn set(registers: std::ops::RangeInclusive<u8>) -> u64 {
    let mut bits = 0;
    let mut code = *registers.start();
    while code <= *registers.end() {
        bits |= 1 << code;
        code += 1;
    }
    bits
}

/// An address in a form that one instruction has.
#[derive(Clone, Copy)]
enum Address {
    /// A base and a distance, a multiple of the access' size.
    Scaled(Reg, u32),
    /// A base and a distance of nine bits with sign.
    Unscaled(Reg, i32),
    /// A base and an index, as it is or times the access' size.
    Indexed(Reg, Reg, bool),
}

/// The code of one function while it is made.
#[derive(Default)]
pub(crate) struct Masm {
    e: Emitter,
    cpu: CpuFeatures,
    notes: Notes,
    /// What a fault of the next access to memory means.
    pending: Option<Trap>,
    /// The next access is a store that writes all of its bytes or none.
    is_whole: bool,
    /// The register that the last instruction compared with zero, with the
    /// position behind it.
    tested: Option<(u32, Size, Reg)>,
    uses_frame_base: bool,
}

/// The bit that makes an integer instruction one of 64 bits.
const fn sf(size: Size) -> u32 {
    (size.is_64() as u32) << 31
}

impl Masm {
    // Traps.

    fn trap_on(&mut self, cond: Cond, trap: Trap) {
        if self.e.far {
            self.e.skip_cond(cond.not());
            self.trap(trap);
            return;
        }
        let label = self.stub(trap);
        self.e.jump_cond(cond, label);
    }

    /// Traps when the register is zero.
    fn trap_if_zero(&mut self, size: Size, reg: Reg, trap: Trap) {
        if self.e.far {
            self.e.skip_zero(size.is_64(), false, reg);
            self.trap(trap);
            return;
        }
        let label = self.stub(trap);
        self.e.jump_zero(size.is_64(), true, reg, label);
    }

    fn stub(&mut self, trap: Trap) -> Label {
        let emitter = &mut self.e;
        self.notes.stub(trap, || emitter.label())
    }

    /// Takes the comparison with zero back, if it is the last instruction.
    fn take_test(&mut self) -> Option<(Size, Reg)> {
        match self.tested.take() {
            Some((position, size, reg)) if position == self.e.position() => {
                self.e.code.pop();
                Some((size, reg))
            }
            _ => None,
        }
    }

    // Addresses.

    /// `dst = a + value`; uses `dst` alone, unless that is `a`: then x17.
    fn add_imm(&mut self, size: Size, dst: Reg, a: Reg, value: i64) {
        let sf = sf(size);
        let (op, magnitude) = if value < 0 {
            (0x5100_0000, value.unsigned_abs())
        } else {
            (0x1100_0000, value.unsigned_abs())
        };
        if magnitude >> 24 != 0 {
            let carrier = if dst == a { X17 } else { dst };
            let value = if size.is_64() {
                value as u64
            } else {
                u64::from(value as u32)
            };
            self.e.imm(carrier, value);
            // With a stack pointer as `a` it is the extended form.
            return self.e.rrr(sf | 0x0b20_6000, dst, a, carrier);
        }
        let (high, low) = ((magnitude >> 12) as u32, magnitude as u32 & 0xfff);
        let mut from = a;
        if high != 0 {
            self.e.rr(sf | op | 1 << 22 | high << 10, dst, from);
            from = dst;
        }
        if low != 0 || (high == 0 && dst != a) {
            self.e.rr(sf | op | low << 10, dst, from);
        }
    }

    /// An address for accesses of `1 << log2` bytes; may be in x16.
    fn resolve(&mut self, mem: Mem, log2: u32) -> Address {
        let direct = |base: Reg, disp: i32| {
            let mask = (1 << log2) - 1;
            if disp >= 0 && disp & mask == 0 && disp >> log2 < 4096 {
                Some(Address::Scaled(base, disp as u32 >> log2))
            } else if (-256..256).contains(&disp) {
                Some(Address::Unscaled(base, disp))
            } else {
                None
            }
        };
        let Some(index) = mem.index else {
            if let Some(address) = direct(mem.base, mem.disp) {
                return address;
            }
            if mem.base == X29 {
                let below = FRAME_BASE_BYTES as i32 + mem.disp;
                if let (true, Some(address)) = (below >= 0, direct(FRAME_BASE, below)) {
                    self.uses_frame_base = true;
                    return address;
                }
            }
            return self.resolve_far(mem.base, mem.disp, log2);
        };
        let scale = u32::from(mem.scale);
        if mem.disp == 0 && (scale == 0 || scale == log2) {
            return Address::Indexed(mem.base, index, scale != 0);
        }
        // The sum first, then the distance, where it needs no more than that.
        self.e.rrr(0x8b00_0000 | scale << 10, X16, mem.base, index);
        match direct(X16, mem.disp) {
            Some(address) => address,
            None => self.resolve_far(X16, mem.disp, log2),
        }
    }

    /// Puts the upper part of the distance into x16.
    fn resolve_far(&mut self, base: Reg, disp: i32, log2: u32) -> Address {
        // The lower part is positive, so that it may be a scaled one.
        let (upper, lower) = (disp & !0xfff, disp & 0xfff);
        let mask = (1 << log2) - 1;
        if upper.unsigned_abs() >> 24 == 0 && lower & mask == 0 {
            self.add_imm(Size::S64, X16, base, i64::from(upper));
            return Address::Scaled(X16, lower as u32 >> log2);
        }
        if base == X16 {
            self.add_imm(Size::S64, X16, X16, i64::from(disp));
            return Address::Scaled(X16, 0);
        }
        self.e.imm(X16, i64::from(disp) as u64);
        Address::Indexed(base, X16, false)
    }

    /// An instruction that accesses memory, by its form with a scaled distance.
    fn access(&mut self, op: u32, reg: Reg, address: Address) {
        let trap = self.pending.take();
        let address = match trap {
            Some(trap) if std::mem::take(&mut self.is_whole) => {
                self.load_last_byte(op, address, trap)
            }
            _ => address,
        };
        if let Some(trap) = trap {
            self.notes.site(self.e.position(), trap);
        }
        match address {
            Address::Scaled(base, distance) => self.e.rr(op | distance << 10, reg, base),
            Address::Unscaled(base, distance) => {
                let op = op & !(1 << 24) | (distance as u32 & 0x1ff) << 12;
                self.e.rr(op, reg, base);
            }
            Address::Indexed(base, index, scaled) => {
                let op = op & !(1 << 24) | 0x0020_6800 | u32::from(scaled) << 12;
                self.e.rrr(op, reg, base, index);
            }
        }
    }

    /// Loads the last byte that a store writes: if that does not fault, the store does
    /// not either, which alone may have written some bytes by then. Answers where the
    /// store is.
    ///
    /// A load of all bytes would be one instruction where this needs two, but would have
    /// to wait for narrower stores there that are still on their way to memory.
    fn load_last_byte(&mut self, op: u32, address: Address, trap: Trap) -> Address {
        // The bits that tell 16 bytes of a vector register.
        const OF_16: u32 = 1 << 26 | 1 << 23;
        let log2 = match op & OF_16 {
            OF_16 => 4,
            _ => op >> 30,
        };
        let last = (1 << log2) - 1;
        let (base, distance, address) = match address {
            Address::Unscaled(base, distance) => (base, distance + last, address),
            Address::Scaled(base, distance) if (distance << log2) as i32 + last < 4096 => {
                (base, (distance << log2) as i32 + last, address)
            }
            Address::Scaled(base, distance) => {
                self.add_imm(Size::S64, X16, base, i64::from(distance << log2));
                (X16, last, Address::Scaled(X16, 0))
            }
            Address::Indexed(base, index, scaled) => {
                let shift = if scaled { log2 } else { 0 };
                self.e.rrr(0x8b00_0000 | shift << 10, X16, base, index);
                (X16, last, Address::Scaled(X16, 0))
            }
        };
        self.notes.site(self.e.position(), trap);
        if distance >= 0 {
            // ldrb wzr, [base, #distance]
            self.e.rr(0x3940_0000 | (distance as u32) << 10, ZR, base);
        } else {
            // ldurb wzr, [base, #distance]
            self.e
                .rr(0x3840_0000 | (distance as u32 & 0x1ff) << 12, ZR, base);
        }
        address
    }

    fn access_at(&mut self, op: u32, log2: u32, reg: Reg, mem: Mem) {
        let address = self.resolve(mem, log2);
        self.access(op, reg, address);
    }

    /// An address in a register that is not x17.
    fn plain(&mut self, mem: Mem) -> Reg {
        if mem.index.is_none() && mem.disp == 0 {
            return mem.base;
        }
        self.lea(Size::S64, X16, mem);
        X16
    }

    /// An instruction at a plain address, which may fault.
    fn access_plain(&mut self, op: u32, reg: Reg, address: Reg, trap: Option<Trap>) {
        if let Some(trap) = trap {
            self.notes.site(self.e.position(), trap);
        }
        self.e.rr(op, reg, address);
    }

    // Frames.

    /// Saves or restores registers at the bottom of the frame, by the forms for
    /// one and for two.
    fn each_saved(&mut self, saved: u64, single: u32, pair: u32) {
        let mut registers = each(saved);
        let mut slot = 0;
        while let Some(first) = registers.next() {
            match registers.next() {
                Some(second) => {
                    let op = pair | slot << 15 | u32::from(second.code()) << 10;
                    self.e.rr(op, first, SP);
                }
                None => self.e.rr(single | slot << 10, first, SP),
            }
            slot += 2;
        }
    }

    /// Touches so many pages below the stack pointer, from the top down. Changes x16
    /// and x17.
    fn probe(&mut self, pages: u32) {
        if pages == 0 {
            return;
        }
        const _: () = assert!(PROBED_PAGE == 1 << 12);
        self.add_imm(
            Size::S64,
            X16,
            SP,
            -i64::from(pages) * i64::from(PROBED_PAGE),
        );
        self.e.rr(0x9100_0000, X17, SP);
        // sub x17, x17, #1, lsl #12; ldr xzr, [x17]
        self.e.rr(0xd140_0400, X17, X17);
        self.e.rr(0xf940_0000, ZR, X17);
        // cmp x17, x16; b.ne to the subtraction
        self.e.rrr(0xeb00_0000, ZR, X17, X16);
        self.e
            .put(0x5400_0000 | (-3i32 as u32 & 0x7_ffff) << 5 | Cond::Ne as u32);
    }

    /// Gives registers back and takes the frame away.
    fn leave(&mut self, frame: &Frame) {
        self.each_saved(frame.saved, 0xf940_0000, 0xa940_0000);
        if frame.bytes > 0 {
            self.e.rr(0x9100_0000, SP, X29);
        }
        // ldp x29, x30, [sp], #16
        self.e
            .rr(0xa8c1_0000 | u32::from(X30.code()) << 10, X29, SP);
    }
}

impl Assembler for Masm {
    // Unconditional jumps reach 128 MiB.
    const GREATEST_CODE: u32 = 127 << 20;
    const CALL_RELOCATION: RelocationKind = RelocationKind::Aarch64Call26;
    const HOMES: Homes = Homes::of(Architecture::Aarch64);

    const CONTEXT: Reg = X28;
    const MEMORY_BASE: Reg = X27;
    const FRAME: Reg = X29;
    const SCRATCH: Reg = X0;
    const SCRATCH_2: Reg = X1;
    const SCRATCH_3: Reg = X8;
    const VECTOR_SCRATCH: Reg = V31;
    const CALLER_SAVED: u64 = set(2..=7) | set(9..=15);
    const CALLEE_SAVED: u64 = set(19..=25);
    const VECTORS: u64 = (set(0..=7) | set(16..=29)) << 32;
    const INT_PARAMS: &'static [Reg] = &[X4, X5, X6, X7];
    const BODY_PARAMS: &'static [Reg] = &[X4, X5, X6, X7];
    const INT_RESULTS: &'static [Reg] = &[X2, X3, X4, X5, X6, X7];
    const C_PARAMS: &'static [Reg] = &[X0, X1, X2, X3, X4, X5, X6, X7];
    const CALLEE_CONTEXT: Reg = X2;
    const CALLER_CONTEXT: Reg = X3;

    fn begin(&mut self, features: CpuFeatures, reach: Reach) {
        self.e.begin(reach);
        self.notes.clear();
        self.cpu = features;
        self.pending = None;
        self.is_whole = false;
        self.tested = None;
        self.uses_frame_base = false;
    }

    #[inline(always)]
    fn position(&self) -> u32 {
        self.e.position()
    }

    fn capacity(&self) -> usize {
        4 * self.e.code.capacity()
    }

    #[inline(always)]
    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    /// Nothing to do: instructions that set flags are those that are for it.
    #[inline(always)]
    fn set_flags_live(&mut self, _live: bool) {}

    fn site(&mut self, trap: Option<Trap>) {
        debug_assert!(self.pending.is_none(), "an announced access did not come");
        self.pending = trap;
    }

    fn whole_store_site(&mut self, trap: Trap) {
        self.site(Some(trap));
        self.is_whole = true;
    }

    fn trap(&mut self, trap: Trap) {
        self.notes.site(self.e.position(), trap);
        self.e.put(UNDEFINED);
    }

    fn trap_if(&mut self, cc: IntCc, trap: Trap) {
        if cc == IntCc::Equal
            && let Some((size, reg)) = self.take_test()
        {
            return self.trap_if_zero(size, reg, trap);
        }
        self.trap_on(cc.into(), trap);
    }

    fn emit_stubs(&mut self) {
        for stub in self.notes.take_stubs() {
            self.e.bind(stub.label);
            self.notes.wasm_position = stub.wasm_position;
            self.trap(stub.trap);
        }
    }

    // Moves.

    fn imm(&mut self, dst: Reg, value: u64) {
        self.e.imm(dst, value);
    }

    fn move_reg(&mut self, size: Size, dst: Reg, src: Reg) {
        if dst.is_vector() {
            if dst != src {
                // orr dst.16b, src.16b, src.16b
                self.e.rrr(0x4ea0_1c00, dst, src, src);
            }
        } else if dst != src || !size.is_64() {
            // orr dst, zr, src
            self.e.rrr(sf(size) | 0x2a00_0000, dst, ZR, src);
        }
    }

    fn exchange(&mut self, a: Reg, b: Reg) {
        self.copy(X16, a);
        self.copy(a, b);
        self.copy(b, X16);
    }

    fn load(&mut self, size: Size, dst: Reg, mem: Mem) {
        match size {
            Size::S64 => self.access_at(0xf940_0000, 3, dst, mem),
            _ => self.access_at(0xb940_0000, 2, dst, mem),
        }
    }

    fn store(&mut self, size: Size, src: Reg, mem: Mem) {
        match size {
            Size::S8 => self.access_at(0x3900_0000, 0, src, mem),
            Size::S16 => self.access_at(0x7900_0000, 1, src, mem),
            Size::S32 => self.access_at(0xb900_0000, 2, src, mem),
            Size::S64 => self.access_at(0xf900_0000, 3, src, mem),
        }
    }

    fn store_imm(&mut self, size: Size, value: i32, mem: Mem) {
        if value == 0 {
            return self.store(size, ZR, mem);
        }
        // The address first: it may need x17.
        let log2 = size.bytes().trailing_zeros();
        let address = self.resolve(mem, log2);
        match size {
            Size::S64 => self.e.imm(X17, i64::from(value) as u64),
            Size::S32 => self.e.imm(X17, u64::from(value as u32)),
            Size::S16 => self.e.imm(X17, u64::from(value as u16)),
            Size::S8 => self.e.imm(X17, u64::from(value as u8)),
        }
        self.access(log2 << 30 | 0x3900_0000, X17, address);
    }

    fn load_extended(&mut self, from: Size, signed: bool, to: Size, dst: Reg, mem: Mem) {
        let (op, log2) = match (from, signed, to.is_64()) {
            (Size::S8, false, _) => (0x3940_0000, 0),
            (Size::S8, true, true) => (0x3980_0000, 0),
            (Size::S8, true, false) => (0x39c0_0000, 0),
            (Size::S16, false, _) => (0x7940_0000, 1),
            (Size::S16, true, true) => (0x7980_0000, 1),
            (Size::S16, true, false) => (0x79c0_0000, 1),
            (Size::S32, true, true) => (0xb980_0000, 2),
            (Size::S32, _, _) => (0xb940_0000, 2),
            (Size::S64, _, _) => (0xf940_0000, 3),
        };
        self.access_at(op, log2, dst, mem);
    }

    fn extend(&mut self, from: Size, signed: bool, to: Size, dst: Reg, src: Reg) {
        let op = match (from, signed, to.is_64()) {
            (Size::S8, false, _) => 0x5300_1c00,
            (Size::S8, true, false) => 0x1300_1c00,
            (Size::S8, true, true) => 0x9340_1c00,
            (Size::S16, false, _) => 0x5300_3c00,
            (Size::S16, true, false) => 0x1300_3c00,
            (Size::S16, true, true) => 0x9340_3c00,
            (Size::S32, true, true) => 0x9340_7c00,
            (Size::S32, _, _) => return self.move_reg(Size::S32, dst, src),
            (Size::S64, _, _) => return self.copy(dst, src),
        };
        self.e.rr(op, dst, src);
    }

    fn lea(&mut self, size: Size, dst: Reg, mem: Mem) {
        let disp = i64::from(mem.disp);
        let Some(index) = mem.index else {
            return self.add_imm(size, dst, mem.base, disp);
        };
        let op = sf(size) | 0x0b00_0000 | u32::from(mem.scale) << 10;
        self.e.rrr(op, dst, mem.base, index);
        self.add_imm(size, dst, dst, disp);
    }

    fn load_vector(&mut self, bytes: u32, dst: Reg, mem: Mem) {
        match bytes {
            4 => self.access_at(0xbd40_0000, 2, dst, mem),
            8 => self.access_at(0xfd40_0000, 3, dst, mem),
            _ => self.access_at(0x3dc0_0000, 4, dst, mem),
        }
    }

    fn store_vector(&mut self, bytes: u32, src: Reg, mem: Mem) {
        match bytes {
            4 => self.access_at(0xbd00_0000, 2, src, mem),
            8 => self.access_at(0xfd00_0000, 3, src, mem),
            _ => self.access_at(0x3d80_0000, 4, src, mem),
        }
    }

    fn float_constant(&mut self, double: bool, dst: Reg, bits: u64) {
        let kind = u32::from(double) << 22;
        if bits == 0 {
            // movi dst, #0
            self.e.rr(0x2f00_e400, dst, X0);
        } else if let Some(imm) = float_imm(double, bits) {
            self.e.rr(0x1e20_1000 | kind | imm << 13, dst, X0);
        } else if self.e.far || Emitter::imm_words(bits) <= 2 {
            self.e.imm(X16, bits);
            self.gpr_to_vector(double, dst, X16);
        } else {
            let op = if double { 0x5c00_0000 } else { 0x1c00_0000 };
            self.e
                .load_constant(op, dst, u128::from(bits).to_le_bytes());
        }
    }

    fn gpr_to_vector(&mut self, wide: bool, dst: Reg, src: Reg) {
        let op = if wide { 0x9e67_0000 } else { 0x1e27_0000 };
        self.e.rr(op, dst, src);
    }

    fn vector_to_gpr(&mut self, wide: bool, dst: Reg, src: Reg) {
        let op = if wide { 0x9e66_0000 } else { 0x1e26_0000 };
        self.e.rr(op, dst, src);
    }

    // Control.

    fn label(&mut self) -> Label {
        self.e.label()
    }

    fn bind(&mut self, label: Label) {
        self.tested = None;
        self.e.bind(label);
    }

    fn jump(&mut self, label: Label) {
        self.e.jump(label);
    }

    fn jump_if(&mut self, condition: Condition, label: Label) {
        let cond = match condition {
            Condition::Is(cc @ (IntCc::Equal | IntCc::NotEqual)) => {
                if let Some((size, reg)) = self.take_test() {
                    let zero = cc == IntCc::Equal;
                    return self.e.jump_zero(size.is_64(), zero, reg, label);
                }
                cc.into()
            }
            Condition::Is(cc) => cc.into(),
            Condition::Float(cc) => cc.into(),
        };
        self.e.jump_cond(cond, label);
    }

    fn set_if(&mut self, condition: Condition, dst: Reg) {
        // cset: csinc dst, zr, zr with the opposite.
        let cond = cond_of(condition).not();
        self.e.rr(0x1a9f_0400 | (cond as u32) << 12, dst, ZR);
    }

    fn move_if(&mut self, condition: Condition, size: Size, dst: Reg, src: Reg) {
        let cond = cond_of(condition) as u32;
        self.e
            .rrr(sf(size) | 0x1a80_0000 | cond << 12, dst, src, dst);
    }

    fn vector_move_unless(&mut self, condition: Condition, bytes: u32, dst: Reg, src: Reg) {
        if bytes == 16 {
            let over = self.e.label();
            self.jump_if(condition, over);
            self.copy(dst, src);
            return self.bind(over);
        }
        // fcsel keeps 8 bytes.
        let cond = cond_of(condition) as u32;
        self.e.rrr(0x1e60_0c00 | cond << 12, dst, dst, src);
    }

    fn null_if(&mut self, cc: IntCc, address: Reg) {
        let cond = Cond::from(cc) as u32;
        self.e.rrr(0x9a80_0000 | cond << 12, address, ZR, address);
    }

    fn call_reg(&mut self, reg: Reg) {
        self.e.rr(0xd63f_0000, X0, reg);
    }

    fn call_direct(&mut self) -> u32 {
        let field = self.e.position();
        self.e.put(0x9400_0000);
        field
    }

    fn call_builtin(&mut self, context: Reg, table: Mem, offset: u32) {
        self.load(Size::S64, X16, table);
        self.copy(X0, context);
        self.load(Size::S64, X16, Mem::at(X16, offset as i32));
        self.call_reg(X16);
    }

    fn jump_table(&mut self, labels: Vec<Label>) {
        // adr x16, the table
        self.e.put(0x1000_0000 | 4 << 5 | u32::from(X16.code()));
        // ldrsw x17, [x16, x0, lsl #2]
        self.access(0xb980_0000, X17, Address::Indexed(X16, X0, true));
        self.e.rrr(0x8b00_0000, X16, X16, X17);
        self.e.rr(0xd61f_0000, X0, X16);
        self.e.table(labels);
    }

    // Frames.

    fn zero_frame(&mut self, below: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        if bytes <= 24 && below <= 256 {
            let mut at = -(below as i32);
            for _ in 0..bytes / 8 {
                self.store(Size::S64, ZR, Mem::at(X29, at));
                at += 8;
            }
            if bytes & 4 != 0 {
                self.store(Size::S32, ZR, Mem::at(X29, at));
            }
            return;
        }
        self.add_imm(Size::S64, X16, X29, -i64::from(below));
        let pair = |op: u32| op | u32::from(ZR.code()) << 10;
        let (mut pairs, mut at) = (bytes / 16, 0);
        if pairs > 16 {
            self.e.imm(X17, u64::from(pairs));
            // stp zr, zr, [x16], #16; sub x17, x17, #1; cbnz back
            self.e.rr(pair(0xa881_0000), ZR, X16);
            self.e.rr(0xd100_0000 | 1 << 10, X17, X17);
            let back = (-2_i32 as u32 & 0x7_ffff) << 5;
            self.e.put(0xb500_0000 | back | u32::from(X17.code()));
            pairs = 0;
        }
        for _ in 0..pairs {
            self.e.rr(pair(0xa900_0000) | (at / 8) << 15, ZR, X16);
            at += 16;
        }
        if bytes & 8 != 0 {
            self.e.rr(0xf900_0000 | (at / 8) << 10, ZR, X16);
            at += 8;
        }
        if bytes & 4 != 0 {
            self.e.rr(0xb900_0000 | (at / 4) << 10, ZR, X16);
        }
    }

    fn also_saved(&self) -> u64 {
        if self.uses_frame_base {
            FRAME_BASE.bit()
        } else {
            0
        }
    }

    fn prologue(&self, frame: &Frame) -> Prologue {
        let mut masm = Masm {
            cpu: self.cpu,
            ..Masm::default()
        };
        let bytes = i64::from(frame.bytes);
        // stp x29, x30, [sp, #-16]!; mov x29, sp
        masm.e
            .rr(0xa9bf_0000 | u32::from(X30.code()) << 10, X29, SP);
        masm.e.rr(0x9100_0000, X29, SP);
        let mut overflow = None;
        if let Some((store_context, limit)) = frame.check {
            masm.load(Size::S64, X16, Mem::at(X2, store_context));
            masm.load(Size::S64, X16, Mem::at(X16, limit));
            masm.add_imm(Size::S64, X17, SP, -bytes);
            // cmp x17, x16; b.hs over the trap
            masm.e.rrr(0xeb00_0000, ZR, X17, X16);
            masm.e.skip_cond(Cond::Hs);
            overflow = Some(masm.e.position());
            masm.e.put(UNDEFINED);
        }
        masm.probe(frame.probes);
        if frame.bytes > 0 {
            masm.add_imm(Size::S64, SP, SP, -bytes);
        }
        masm.each_saved(frame.saved, 0xf900_0000, 0xa900_0000);
        if frame.saved & FRAME_BASE.bit() != 0 {
            let below = -i64::from(FRAME_BASE_BYTES);
            masm.add_imm(Size::S64, FRAME_BASE, X29, below);
        }
        if frame.saved & Self::CONTEXT.bit() != 0 {
            masm.copy(Self::CONTEXT, X2);
        }
        if let Some((definition, base)) = frame.memory {
            let definition = match definition {
                Some(pointer) => {
                    masm.load(Size::S64, Self::MEMORY_BASE, Mem::at(X2, pointer));
                    Self::MEMORY_BASE
                }
                None => X2,
            };
            masm.load(Size::S64, Self::MEMORY_BASE, Mem::at(definition, base));
        }
        Prologue {
            code: masm.e.finish(&[]).unwrap_or_default(),
            overflow,
        }
    }

    fn epilogue(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.rr(0xd65f_0000, X0, X30);
    }

    fn tail_to_scratch(&mut self, frame: &Frame) {
        self.leave(frame);
        self.e.rr(0xd61f_0000, X0, X0);
    }

    fn tail_direct(&mut self, frame: &Frame) -> u32 {
        self.leave(frame);
        let field = self.e.position();
        self.e.put(0x1400_0000);
        field
    }

    fn finish(&mut self, prologue: &[u8]) -> Option<Vec<u8>> {
        debug_assert!(self.pending.is_none(), "an announced access did not come");
        self.e.finish(prologue)
    }
}

fn cond_of(condition: Condition) -> Cond {
    match condition {
        Condition::Is(cc) => cc.into(),
        Condition::Float(cc) => cc.into(),
    }
}
