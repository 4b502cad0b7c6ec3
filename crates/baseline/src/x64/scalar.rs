//! Numbers: integer and float operations and conversions between them.
//!
//! Every operation takes its result register apart from its operands and works
//! whichever of them are one.

use tepui_abi::Trap;

use super::Masm;
use super::emit::*;
use crate::masm::{
    Alu, Assembler, Conversion, Division, FloatBinary, FloatCc, Mem, Numbers, Rmw, Rounding, Shift,
    Size, Src,
};
use crate::reg::Reg;

const fn code_of(op: Alu) -> u8 {
    match op {
        Alu::Add => 0,
        Alu::Or => 1,
        Alu::And => 4,
        Alu::Sub => 5,
        Alu::Xor => 6,
    }
}

/// The immediate that asks an instruction to round like this, without noting
/// that the result is inexact.
pub(super) const fn rounding(mode: Rounding) -> u8 {
    8 | match mode {
        Rounding::Nearest => 0,
        Rounding::Floor => 1,
        Rounding::Ceil => 2,
        Rounding::Trunc => 3,
    }
}

fn fits(value: i64) -> Option<Imm> {
    i32::try_from(value)
        .ok()
        .map(|value| Imm::I32(value as u32))
}

impl Masm {
    /// The form with an immediate of a byte when it fits.
    fn alu_imm(&mut self, code: u8, wide: bool, rm: impl Operand, value: i32) {
        match i8::try_from(value) {
            Ok(value) => self.e.op_imm(0x83, wide, code, rm, Imm::I8(value as u8)),
            Err(_) => self.e.op_imm(0x81, wide, code, rm, Imm::I32(value as u32)),
        }
    }

    fn alu_src(&mut self, code: u8, wide: bool, dst: Reg, b: Src) {
        self.alu_src_untested(code, wide, dst, b);
        // Comparisons set the flags by something else.
        if code != 7 {
            self.tested = (self.e.position(), dst, wide);
        }
    }

    fn alu_src_untested(&mut self, code: u8, wide: bool, dst: Reg, b: Src) {
        let op = u32::from(code) << 3 | 3;
        match b {
            Src::Reg(b) => self.e.op(op, wide, dst.code(), b),
            Src::Mem(b) => self.e.op(op, wide, dst.code(), b),
            Src::Imm(value) => {
                let value = if wide { value } else { i64::from(value as i32) };
                match i32::try_from(value) {
                    Ok(value) => self.alu_imm(code, wide, dst, value),
                    Err(_) => {
                        self.e.mov_imm64(RAX, value as u64);
                        self.e.op(op, wide, dst.code(), RAX);
                    }
                }
            }
        }
    }

    fn move_if_differs(&mut self, size: Size, dst: Reg, src: Reg) {
        if dst != src {
            self.move_reg(size, dst, src);
        }
    }

    /// `cdq` or `cqo`.
    fn sign_extend(&mut self, wide: bool) {
        if wide {
            self.e.byte(0x48);
        }
        self.e.byte(0x99);
    }

    // Floats.

    const fn float_prefix(double: bool) -> u32 {
        if double { 0xf2_0000 } else { 0xf3_0000 }
    }

    /// The constant with `f32` or `f64` of these bits in every lane.
    pub(super) fn splat_constant(&mut self, double: bool, bits: u64) -> Constant {
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = bits.to_le_bytes()[if double { i % 8 } else { i % 4 }];
        }
        self.e.constant(bytes)
    }

    pub(super) fn sign_mask(&mut self, double: bool) -> Constant {
        self.splat_constant(double, if double { 1 << 63 } else { 1 << 31 })
    }

    pub(super) fn magnitude_mask(&mut self, double: bool) -> Constant {
        let bits = if double { !(1 << 63) } else { 0x7fff_ffff };
        self.splat_constant(double, bits)
    }

    fn float_least(&mut self, double: bool, least: bool, dst: Reg, a: Reg, b: Reg) {
        let prefix = Self::float_prefix(double);
        // Work in a scratch register where `b` would be lost.
        let (work, b) = if dst == b && dst != a {
            (XMM15, b)
        } else {
            (dst, b)
        };
        if work != a {
            self.vmove(work, a);
        }
        self.ucomis(double, work, b);
        let differs = self.e.hop(Cc::NotEqual);
        let unordered = self.e.hop(Cc::Parity);
        // Equal: zeros may differ in sign.
        self.v3(if least { 0x0156 } else { 0x0154 }, work, work, b.into());
        let done = self.e.hop_always();
        self.e.land(differs);
        let ordered = self.e.hop(Cc::NotParity);
        self.e.land(unordered);
        self.v3(prefix | 0x0158, work, work, b.into());
        let done_too = self.e.hop_always();
        self.e.land(ordered);
        self.v3(
            prefix | if least { 0x015d } else { 0x015f },
            work,
            work,
            b.into(),
        );
        self.e.land(done);
        self.e.land(done_too);
        if work != dst {
            self.vmove(dst, work);
        }
    }

    pub(super) fn ucomis(&mut self, double: bool, a: Reg, b: Reg) {
        self.vload(if double { 0x66_012e } else { 0x012e }, a, b.into());
    }

    /// An instruction that keeps the upper lanes of its result register: with
    /// AVX, those of its source, so that it waits for nothing.
    fn merge(&mut self, op: Op, dst: Reg, a: Reg) {
        if self.cpu.avx {
            self.e.vex(op, false, dst, a.code(), a.into(), Imm::None);
        } else {
            self.e.op(op, false, dst.code(), a);
        }
    }

    // Conversions.

    fn cvt_from_int(&mut self, double: bool, wide: bool, dst: Reg, src: Reg) {
        let op = Self::float_prefix(double) | 0x012a;
        // Ends the wait for the register's old value.
        self.v3(0x0157, dst, dst, dst.into());
        if self.cpu.avx {
            self.e.vex(op, wide, dst, dst.code(), src.into(), Imm::None);
        } else {
            self.e.op(op, wide, dst.code(), src);
        }
    }

    fn cvtt(&mut self, double: bool, wide: bool, dst: Reg, src: Reg) {
        let op = Self::float_prefix(double) | 0x012c;
        if self.cpu.avx {
            self.e.vex(op, wide, dst, 0, src.into(), Imm::None);
        } else {
            self.e.op(op, wide, dst.code(), src);
        }
    }

    /// The greatest float that is too small, whether it is itself in range, and
    /// the least that is too large; as bits.
    fn range(how: Conversion) -> (u64, bool, u64) {
        let bits = |value: f64| {
            if how.double {
                value.to_bits()
            } else {
                u64::from((value as f32).to_bits())
            }
        };
        let two_63 = 9_223_372_036_854_775_808.0;
        match (how.wide, how.signed) {
            (false, true) if how.double => (bits(-2_147_483_649.0), false, bits(2_147_483_648.0)),
            (false, true) => (bits(-2_147_483_648.0), true, bits(2_147_483_648.0)),
            (true, true) => (bits(-two_63), true, bits(two_63)),
            (false, false) => (bits(-1.0), false, bits(4_294_967_296.0)),
            (true, false) => (bits(-1.0), false, bits(2.0 * two_63)),
        }
    }

    /// Compares with a constant.
    fn ucomis_bits(&mut self, double: bool, a: Reg, bits: u64) {
        let constant = self.splat_constant(double, bits);
        self.vload(if double { 0x66_012e } else { 0x012e }, a, constant.into());
    }

    /// Converts what is known to be in range.
    fn convert_in_range(&mut self, how: Conversion, dst: Reg, src: Reg) {
        match (how.wide, how.signed) {
            (wide, true) => self.cvtt(how.double, wide, dst, src),
            (false, false) => {
                self.cvtt(how.double, true, dst, src);
                self.move_reg(Size::S32, dst, dst);
            }
            (true, false) => {
                let two_63: f64 = 9_223_372_036_854_775_808.0;
                let bits = if how.double {
                    two_63.to_bits()
                } else {
                    u64::from((two_63 as f32).to_bits())
                };
                self.ucomis_bits(how.double, src, bits);
                let large = self.e.hop(Cc::NotCarry);
                self.cvtt(how.double, true, dst, src);
                let done = self.e.hop_always();
                self.e.land(large);
                let constant = self.splat_constant(how.double, bits);
                self.vmove(XMM15, src);
                let op = Self::float_prefix(how.double) | 0x015c;
                self.v3_scalar(op, how.double, XMM15, XMM15, constant);
                self.cvtt(how.double, true, dst, XMM15);
                self.e.mov_imm64(RAX, 1 << 63);
                self.e.op(0x31, true, RAX.code(), dst);
                self.e.land(done);
            }
        }
    }

    /// A scalar operation with a constant that fills all lanes.
    fn v3_scalar(&mut self, op: Op, _double: bool, dst: Reg, a: Reg, b: Constant) {
        self.v3(op, dst, a, b.into());
    }

    // Atomics.

    /// An instruction on a register and memory of this size, by the opcode of
    /// its form for 32 bits; that for bytes is one less.
    fn sized(&mut self, size: Size, op: Op, reg: Reg, mem: Mem) {
        match size {
            Size::S8 => self.e.op8(op - 1, reg, mem),
            Size::S16 => self.e.op(0x66_0000 | op, false, reg.code(), mem),
            _ => self.e.op(op, size.is_64(), reg.code(), mem),
        }
    }

    /// The same, as one access.
    fn locked(&mut self, size: Size, op: Op, reg: Reg, mem: Mem) {
        self.e.byte(0xf0);
        self.sized(size, op, reg, mem);
    }
}

impl Numbers for Masm {
    fn alu(&mut self, op: Alu, size: Size, dst: Reg, a: Reg, b: Src) {
        let wide = size.is_64();
        if dst == a {
            return self.alu_src(code_of(op), wide, dst, b);
        }
        match (op, b) {
            (Alu::Add, Src::Reg(b)) => {
                let mem = Mem {
                    base: a,
                    index: Some(b),
                    scale: 0,
                    disp: 0,
                };
                self.lea(size, dst, mem);
            }
            (Alu::Add, Src::Imm(value)) if fits(value).is_some() => {
                self.lea(size, dst, Mem::at(a, value as i32));
            }
            (Alu::Sub, Src::Imm(value))
                if value != i64::from(i32::MIN) && fits(value).is_some() =>
            {
                self.lea(size, dst, Mem::at(a, -(value as i32)));
            }
            (Alu::Sub, Src::Reg(b)) if b == dst => {
                self.e.op(0xf7, wide, 3, dst);
                self.e.op(0x03, wide, dst.code(), a);
            }
            (_, Src::Reg(b)) if b == dst => self.alu_src(code_of(op), wide, dst, Src::Reg(a)),
            _ => {
                self.move_reg(size, dst, a);
                self.alu_src(code_of(op), wide, dst, b);
            }
        }
    }

    fn add_or_trap(&mut self, dst: Reg, b: Reg, trap: Trap) {
        self.e.op(0x03, true, dst.code(), b);
        self.trap_on(Cc::Carry, trap);
    }

    fn add_wide(&mut self, op: Alu, low: Reg, high: Reg, a: [Reg; 2], b: [Reg; 2]) {
        self.copy(low, a[0]);
        self.copy(high, a[1]);
        self.alu(op, Size::S64, low, low, b[0].into());
        let carry = if op == Alu::Sub { 0x1b } else { 0x13 };
        self.e.op(carry, true, high.code(), b[1]);
    }

    fn mul(&mut self, size: Size, dst: Reg, a: Reg, b: Src) {
        let wide = size.is_64();
        match b {
            Src::Imm(value) if fits(value).is_some() => {
                let value = if wide { value } else { i64::from(value as i32) };
                if value > 0 && (value as u64).is_power_of_two() {
                    let by = value.trailing_zeros();
                    return self.shift(Shift::Shl, size, dst, a, Src::Imm(i64::from(by)));
                }
                match i8::try_from(value) {
                    Ok(value) => self
                        .e
                        .op_imm(0x6b, wide, dst.code(), a, Imm::I8(value as u8)),
                    Err(_) => self
                        .e
                        .op_imm(0x69, wide, dst.code(), a, Imm::I32(value as u32)),
                }
            }
            Src::Imm(value) => {
                self.imm(RAX, value as u64);
                self.mul(size, dst, a, Src::Reg(RAX));
            }
            Src::Reg(b) if b == dst => self.e.op(0x01af, wide, dst.code(), a),
            Src::Reg(b) => {
                self.copy(dst, a);
                self.e.op(0x01af, wide, dst.code(), b);
            }
            Src::Mem(b) => {
                self.copy(dst, a);
                self.e.op(0x01af, wide, dst.code(), b);
            }
        }
    }

    fn mul_wide(&mut self, signed: bool, low: Reg, high: Reg, a: Reg, b: Reg) {
        self.copy(RAX, a);
        self.e.op(0xf7, true, if signed { 5 } else { 4 }, b);
        self.copy(low, RAX);
        self.copy(high, RDX);
    }

    fn shift(&mut self, op: Shift, size: Size, dst: Reg, a: Reg, b: Src) {
        let wide = size.is_64();
        let code = match op {
            Shift::Rotl => 0,
            Shift::Rotr => 1,
            Shift::Shl => 4,
            Shift::ShrU => 5,
            Shift::ShrS => 7,
        };
        match b {
            Src::Imm(by) => {
                let by = by as u8 & if wide { 63 } else { 31 };
                self.move_if_differs(size, dst, a);
                if by != 0 {
                    self.e.op_imm(0xc1, wide, code, dst, Imm::I8(by));
                }
            }
            Src::Reg(b) => {
                let shiftx = match op {
                    Shift::Shl => Some(0x66_02f7),
                    Shift::ShrU => Some(0xf2_02f7),
                    Shift::ShrS => Some(0xf3_02f7),
                    _ => None,
                };
                if let (Some(shiftx), true) = (shiftx, self.cpu.bmi2) {
                    self.e.vex(shiftx, wide, dst, b.code(), a.into(), Imm::None);
                    return;
                }
                self.e.op(0x8b, false, RCX.code(), b);
                self.move_if_differs(size, dst, a);
                self.e.op(0xd3, wide, code, dst);
            }
            Src::Mem(b) => {
                self.e.op(0x8b, false, RCX.code(), b);
                self.move_if_differs(size, dst, a);
                self.e.op(0xd3, wide, code, dst);
            }
        }
    }

    fn divide(&mut self, op: Division, size: Size, dst: Reg, a: Reg, b: Src) {
        let wide = size.is_64();
        let mut constant = None;
        let b = match b {
            Src::Reg(b) => b,
            Src::Mem(mem) => {
                self.load(size, RCX, mem);
                RCX
            }
            Src::Imm(value) => {
                let value = if wide {
                    value as u64
                } else {
                    u64::from(value as u32)
                };
                constant = Some(value);
                if value.is_power_of_two() {
                    let by = i64::from(value.trailing_zeros());
                    match op {
                        Division::DivU => {
                            return self.shift(Shift::ShrU, size, dst, a, Src::Imm(by));
                        }
                        Division::RemU => {
                            let mask = value - 1;
                            return self.alu(Alu::And, size, dst, a, Src::Imm(mask as i64));
                        }
                        _ => {}
                    }
                }
                self.imm(RCX, value);
                RCX
            }
        };
        let minus_one = if wide { u64::MAX } else { u64::from(u32::MAX) };
        let knows_not_zero = constant.is_some_and(|value| value != 0);
        match op {
            Division::DivU | Division::RemU => {
                self.copy(RAX, a);
                self.e.op(0x31, false, RDX.code(), RDX);
                self.site((!knows_not_zero).then_some(Trap::IntegerDivisionByZero));
                self.e.op(0xf7, wide, 6, b);
            }
            Division::DivS => {
                if !knows_not_zero {
                    self.e.op(0x85, wide, b.code(), b);
                    self.trap_on(Cc::Equal, Trap::IntegerDivisionByZero);
                }
                self.copy(RAX, a);
                self.sign_extend(wide);
                self.site(
                    constant
                        .is_none_or(|value| value == minus_one)
                        .then_some(Trap::IntegerOverflow),
                );
                self.e.op(0xf7, wide, 7, b);
            }
            Division::RemS => {
                if !knows_not_zero {
                    self.e.op(0x85, wide, b.code(), b);
                    self.trap_on(Cc::Equal, Trap::IntegerDivisionByZero);
                }
                // The remainder by -1 is 0; the instruction would fault on the
                // least number.
                self.e.op(0x31, false, RDX.code(), RDX);
                self.alu_imm(7, wide, b, -1);
                let hop = self.e.hop(Cc::Equal);
                self.copy(RAX, a);
                self.sign_extend(wide);
                self.e.op(0xf7, wide, 7, b);
                self.e.land(hop);
            }
        }
        let result = match op {
            Division::DivS | Division::DivU => RAX,
            Division::RemS | Division::RemU => RDX,
        };
        self.move_reg(size, dst, result);
    }

    fn compare(&mut self, size: Size, a: Reg, b: Src) {
        match b {
            // The carry and overflow of arithmetic are not those of this.
            Src::Imm(0) => self.e.op(0x85, size.is_64(), a.code(), a),
            _ => self.alu_src(7, size.is_64(), a, b),
        }
    }

    fn compare_mem_imm(&mut self, size: Size, mem: Mem, value: i32) {
        self.alu_imm(7, size.is_64(), mem, value);
    }

    fn test(&mut self, size: Size, a: Reg) {
        // Only whether it is zero is asked, which arithmetic has said.
        if self.tested == (self.e.position(), a, size.is_64()) {
            return;
        }
        self.e.op(0x85, size.is_64(), a.code(), a);
    }

    fn test_bits(&mut self, a: Reg, mask: u32) {
        self.e.op_imm(0xf7, false, 0, a, Imm::I32(mask));
    }

    fn add_to_mem(&mut self, mem: Mem, value: u64) {
        match i32::try_from(value) {
            Ok(value) => self.alu_imm(0, true, mem, value),
            Err(_) => {
                self.e.mov_imm64(RCX, value);
                self.e.op(0x01, true, RCX.code(), mem);
            }
        }
    }

    fn alu_mem(&mut self, op: Alu, mem: Mem, value: u32) {
        let op = match op {
            Alu::Sub => 5,
            _ => 0,
        };
        self.alu_imm(op, false, mem, value as i32);
    }

    fn clz(&mut self, size: Size, dst: Reg, a: Reg) {
        let wide = size.is_64();
        if self.cpu.lzcnt {
            return self.e.op(0xf3_01bd, wide, dst.code(), a);
        }
        // bsr leaves its result undefined for zero.
        let bits: u32 = if wide { 64 } else { 32 };
        self.e.mov_imm32(RCX, 2 * bits - 1);
        self.e.op(0x01bd, wide, RAX.code(), a);
        self.e.op(0x0144, false, RAX.code(), RCX);
        self.alu_imm(6, false, RAX, bits as i32 - 1);
        self.move_reg(Size::S32, dst, RAX);
    }

    fn ctz(&mut self, size: Size, dst: Reg, a: Reg) {
        let wide = size.is_64();
        if self.cpu.bmi1 {
            return self.e.op(0xf3_01bc, wide, dst.code(), a);
        }
        self.e.mov_imm32(RCX, if wide { 64 } else { 32 });
        self.e.op(0x01bc, wide, RAX.code(), a);
        self.e.op(0x0144, false, RAX.code(), RCX);
        self.move_reg(Size::S32, dst, RAX);
    }

    fn popcnt(&mut self, size: Size, dst: Reg, a: Reg) {
        let wide = size.is_64();
        if self.cpu.popcnt {
            return self.e.op(0xf3_01b8, wide, dst.code(), a);
        }
        let mask = |masm: &mut Masm, byte: u8| {
            masm.imm(RDX, u64::from_le_bytes([byte; 8]));
        };
        // Sums of ever wider groups of bits.
        self.move_reg(size, RAX, a);
        self.copy(RCX, RAX);
        self.e.op_imm(0xc1, true, 5, RCX, Imm::I8(1));
        mask(self, 0x55);
        self.e.op(0x21, true, RDX.code(), RCX);
        self.e.op(0x29, true, RCX.code(), RAX);
        mask(self, 0x33);
        self.copy(RCX, RAX);
        self.e.op_imm(0xc1, true, 5, RCX, Imm::I8(2));
        self.e.op(0x21, true, RDX.code(), RAX);
        self.e.op(0x21, true, RDX.code(), RCX);
        self.e.op(0x01, true, RCX.code(), RAX);
        self.copy(RCX, RAX);
        self.e.op_imm(0xc1, true, 5, RCX, Imm::I8(4));
        self.e.op(0x01, true, RCX.code(), RAX);
        mask(self, 0x0f);
        self.e.op(0x21, true, RDX.code(), RAX);
        mask(self, 0x01);
        self.e.op(0x01af, true, RAX.code(), RDX);
        self.e.op_imm(0xc1, true, 5, RAX, Imm::I8(56));
        self.move_reg(Size::S32, dst, RAX);
    }

    fn float_binary(&mut self, op: FloatBinary, double: bool, dst: Reg, a: Reg, b: Reg) {
        let prefix = Self::float_prefix(double);
        let op = match op {
            FloatBinary::Add => 0x0158,
            FloatBinary::Mul => 0x0159,
            FloatBinary::Sub => 0x015c,
            FloatBinary::Div => 0x015e,
            FloatBinary::Min => return self.float_least(double, true, dst, a, b),
            FloatBinary::Max => return self.float_least(double, false, dst, a, b),
            FloatBinary::Copysign => {
                let sign = self.sign_mask(double);
                let magnitude = self.magnitude_mask(double);
                self.vload(0x0128, XMM15, sign.into());
                self.v3(0x0154, XMM15, XMM15, b.into());
                self.v3(0x0154, dst, a, magnitude.into());
                self.v3(0x0156, dst, dst, XMM15.into());
                return;
            }
        };
        self.v3(prefix | op, dst, a, b.into());
    }

    fn compare_floats(&mut self, double: bool, cc: FloatCc, a: Reg, b: Reg) {
        match cc {
            FloatCc::Less | FloatCc::LessEqual | FloatCc::NotLess | FloatCc::NotLessEqual => {
                self.ucomis(double, b, a);
            }
            _ => self.ucomis(double, a, b),
        }
    }

    fn float_abs(&mut self, double: bool, dst: Reg, a: Reg) {
        let mask = self.magnitude_mask(double);
        self.v3(0x0154, dst, a, mask.into());
    }

    fn float_neg(&mut self, double: bool, dst: Reg, a: Reg) {
        let mask = self.sign_mask(double);
        self.v3(0x0157, dst, a, mask.into());
    }

    fn float_sqrt(&mut self, double: bool, dst: Reg, a: Reg) {
        self.merge(Self::float_prefix(double) | 0x0151, dst, a);
    }

    fn has_rounding(&self) -> bool {
        self.cpu.sse41
    }

    fn float_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg) {
        let op = if double { 0x66_030b } else { 0x66_030a };
        let imm = Imm::I8(rounding(mode));
        if self.cpu.avx {
            self.e.vex(op, false, dst, a.code(), a.into(), imm);
        } else {
            self.e.op_imm(op, false, dst.code(), a, imm);
        }
    }

    fn promote(&mut self, dst: Reg, a: Reg) {
        self.merge(0xf3_015a, dst, a);
    }

    fn demote(&mut self, dst: Reg, a: Reg) {
        self.merge(0xf2_015a, dst, a);
    }

    fn canonical_nan(&mut self, double: bool, reg: Reg) {
        self.ucomis(double, reg, reg);
        let hop = self.e.hop(Cc::NotParity);
        let bits = if double {
            0x7ff8_0000_0000_0000
        } else {
            0x7fc0_0000
        };
        let constant = self.splat_constant(double, bits);
        self.vload(0x0110, reg, constant.into());
        self.e.land(hop);
    }

    fn int_to_float(&mut self, how: Conversion, dst: Reg, src: Reg) {
        match (how.wide, how.signed) {
            (_, true) => self.cvt_from_int(how.double, how.wide, dst, src),
            // Zeros lie above a 32-bit number.
            (false, false) => self.cvt_from_int(how.double, true, dst, src),
            (true, false) => {
                self.test(Size::S64, src);
                let large = self.e.hop(Cc::Sign);
                self.cvt_from_int(how.double, true, dst, src);
                let done = self.e.hop_always();
                self.e.land(large);
                // Half of it, the lost bit kept for rounding.
                self.copy(RAX, src);
                self.e.op(0x8b, false, RCX.code(), src);
                self.e.op_imm(0xc1, true, 5, RAX, Imm::I8(1));
                self.alu_imm(4, false, RCX, 1);
                self.e.op(0x09, true, RCX.code(), RAX);
                self.cvt_from_int(how.double, true, dst, RAX);
                let op = Self::float_prefix(how.double) | 0x0158;
                self.v3(op, dst, dst, dst.into());
                self.e.land(done);
            }
        }
    }

    fn float_to_int(&mut self, how: Conversion, dst: Reg, src: Reg) {
        let (low, low_fits, high) = Self::range(how);
        self.ucomis_bits(how.double, src, low);
        self.trap_on(Cc::Parity, Trap::BadConversionToInteger);
        let too_small = if low_fits { Cc::Carry } else { Cc::BelowEqual };
        self.trap_on(too_small, Trap::IntegerOverflow);
        self.ucomis_bits(how.double, src, high);
        self.trap_on(Cc::NotCarry, Trap::IntegerOverflow);
        self.convert_in_range(how, dst, src);
    }

    fn float_to_int_sat(&mut self, how: Conversion, dst: Reg, src: Reg) {
        let (low, low_fits, high) = Self::range(how);
        let (least, greatest) = match (how.wide, how.signed) {
            (false, true) => (0x8000_0000, 0x7fff_ffff),
            (true, true) => (1 << 63, (1 << 63) - 1),
            (false, false) => (0, u64::from(u32::MAX)),
            (true, false) => (0, u64::MAX),
        };
        let done = self.e.label();
        self.imm(dst, 0);
        self.ucomis_bits(how.double, src, low);
        self.e.jcc(Cc::Parity, done);
        let over = self.e.hop(if low_fits { Cc::NotCarry } else { Cc::Above });
        if least != 0 {
            self.imm(dst, least);
        }
        self.e.jmp(done);
        self.e.land(over);
        self.imm(dst, greatest);
        self.ucomis_bits(how.double, src, high);
        self.e.jcc(Cc::NotCarry, done);
        self.convert_in_range(how, dst, src);
        self.e.bind(done);
    }

    fn atomic_load(&mut self, size: Size, dst: Reg, mem: Mem, trap: Option<Trap>) {
        self.site(trap);
        self.load_extended(size, false, Size::S64, dst, mem);
    }

    fn atomic_store(&mut self, size: Size, src: Reg, mem: Mem, trap: Option<Trap>) {
        self.atomic_rmw(Rmw::Xchg, size, src, mem, trap);
    }

    fn atomic_rmw(&mut self, op: Rmw, size: Size, operand: Reg, mem: Mem, trap: Option<Trap>) {
        let op = match op {
            Rmw::Add | Rmw::Sub => {
                self.copy(RAX, operand);
                if op == Rmw::Sub {
                    self.e.op(0xf7, true, 3, RAX);
                }
                self.site(trap);
                return self.locked(size, 0x01c1, RAX, mem);
            }
            Rmw::Xchg => {
                self.copy(RAX, operand);
                self.site(trap);
                return self.sized(size, 0x87, RAX, mem);
            }
            Rmw::And => Alu::And,
            Rmw::Or => Alu::Or,
            Rmw::Xor => Alu::Xor,
        };
        self.site(trap);
        self.load_extended(size, false, Size::S64, RAX, mem);
        let again = self.e.label();
        self.e.bind(again);
        self.copy(RDX, RAX);
        self.alu(op, Size::S64, RDX, RDX, operand.into());
        self.site(trap);
        self.locked(size, 0x01b1, RDX, mem);
        self.e.jcc(Cc::NotEqual, again);
    }

    fn atomic_compare_exchange(
        &mut self,
        size: Size,
        expected: Reg,
        new: Reg,
        mem: Mem,
        trap: Option<Trap>,
    ) {
        self.copy(RAX, expected);
        self.site(trap);
        self.locked(size, 0x01b1, new, mem);
    }

    fn fence(&mut self) {
        self.e.code.extend_from_slice(&[0x0f, 0xae, 0xf0]);
    }
}
