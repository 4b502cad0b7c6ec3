//! Numbers: integer and float operations, conversions between them, atomic
//! accesses.
//!
//! Every operation takes its result register apart from its operands and works
//! whichever of them are one.

use tepui_abi::Trap;

use super::emit::*;
use super::{Masm, sf};
use crate::masm::{
    Alu, Assembler, Conversion, Division, FloatBinary, FloatCc, Label, Mem, Numbers, Rmw, Rounding,
    Shift, Size, Src,
};
use crate::reg::Reg;

const AND: u32 = 0x0a00_0000;
const ORR: u32 = 0x2a00_0000;
const EOR: u32 = 0x4a00_0000;
const ADD: u32 = 0x0b00_0000;
const SUB: u32 = 0x4b00_0000;
const SUBS: u32 = 0x6b00_0000;
/// The second operand inverted.
const NOT: u32 = 0x0020_0000;
const MOV_NOT: u32 = ORR | NOT;

/// The bit that makes a float instruction one of `f64`.
const fn ftype(double: bool) -> u32 {
    (double as u32) << 22
}

/// A constant operand of 32 bits as a number without sign.
fn unsigned(size: Size, value: i64) -> u64 {
    if size.is_64() {
        value as u64
    } else {
        u64::from(value as u32)
    }
}

impl Masm {
    /// An operand in a register, x17 if it is in none.
    fn operand(&mut self, size: Size, b: Src) -> Reg {
        match b {
            Src::Reg(b) => b,
            Src::Imm(value) => {
                self.e.imm(X17, unsigned(size, value));
                X17
            }
            Src::Mem(mem) => {
                self.load(size, X17, mem);
                X17
            }
        }
    }

    /// An addition or subtraction of a constant that an instruction can hold,
    /// by the form for registers; the opposite one for a negative constant.
    fn add_sub_imm(&mut self, op: u32, size: Size, dst: Reg, a: Reg, value: i64) -> bool {
        let value = if size.is_64() {
            value
        } else {
            i64::from(value as i32)
        };
        let (op, magnitude) = if value < 0 {
            (op ^ 0x4000_0000, value.unsigned_abs())
        } else {
            (op, value as u64)
        };
        // From the form with a shifted register to that with a constant.
        let op = sf(size) | op ^ 0x1a00_0000;
        if magnitude < 1 << 12 {
            self.e.rr(op | (magnitude as u32) << 10, dst, a);
        } else if magnitude & 0xfff == 0 && magnitude < 1 << 24 {
            self.e
                .rr(op | 1 << 22 | (magnitude as u32 >> 12) << 10, dst, a);
        } else {
            return false;
        }
        true
    }

    /// Shifts and rotations by a constant.
    fn shift_imm(&mut self, op: Shift, size: Size, dst: Reg, a: Reg, by: u32) {
        let bits = 8 * size.bytes();
        let by = by & (bits - 1);
        if by == 0 {
            return self.copy_or_wrap(size, dst, a);
        }
        let (base, n) = if size.is_64() {
            (0x8000_0000, 1 << 22)
        } else {
            (0, 0)
        };
        let field = |op: u32, immr: u32, imms: u32| base | n | op | immr << 16 | imms << 10;
        const SBFM: u32 = 0x1300_0000;
        const UBFM: u32 = 0x5300_0000;
        const EXTR: u32 = 0x1380_0000;
        match op {
            Shift::Shl => self.e.rr(field(UBFM, bits - by, bits - 1 - by), dst, a),
            Shift::ShrU => self.e.rr(field(UBFM, by, bits - 1), dst, a),
            Shift::ShrS => self.e.rr(field(SBFM, by, bits - 1), dst, a),
            Shift::Rotr => self.e.rrr(field(EXTR, 0, by), dst, a, a),
            Shift::Rotl => self.e.rrr(field(EXTR, 0, bits - by), dst, a, a),
        }
    }

    fn copy_or_wrap(&mut self, size: Size, dst: Reg, src: Reg) {
        if dst != src {
            self.move_reg(size, dst, src);
        }
    }

    /// Compares a float with one of these bits; changes the vector scratch
    /// register.
    fn compare_bits(&mut self, double: bool, a: Reg, bits: u64) {
        self.float_constant(double, V31, bits);
        self.e.rrr(0x1e20_2000 | ftype(double), Reg::int(0), a, V31);
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
}

impl Numbers for Masm {
    fn alu(&mut self, op: Alu, size: Size, dst: Reg, a: Reg, b: Src) {
        let sf = sf(size);
        let (code, logical) = match op {
            Alu::Add => (ADD, None),
            Alu::Sub => (SUB, None),
            Alu::And => (AND, Some(0x1200_0000)),
            Alu::Or => (ORR, Some(0x3200_0000)),
            Alu::Xor => (EOR, Some(0x5200_0000)),
        };
        if let Src::Imm(value) = b {
            match logical {
                None => {
                    if self.add_sub_imm(code, size, dst, a, value) {
                        return;
                    }
                }
                Some(logical) => {
                    if let Some(imm) = logical_imm(unsigned(size, value), size.is_64()) {
                        return self.e.rr(sf | logical | imm, dst, a);
                    }
                    if op == Alu::Xor && unsigned(size, value) == unsigned(size, -1) {
                        return self.e.rrr(sf | MOV_NOT, dst, ZR, a);
                    }
                }
            }
        }
        let b = self.operand(size, b);
        self.e.rrr(sf | code, dst, a, b);
    }

    fn add_or_trap(&mut self, dst: Reg, b: Reg, trap: Trap) {
        // adds
        self.e.rrr(0xab00_0000, dst, dst, b);
        self.trap_on(Cond::Hs, trap);
    }

    fn add_wide(&mut self, op: Alu, low: Reg, high: Reg, a: [Reg; 2], b: [Reg; 2]) {
        // adds and adc, or subs and sbc
        let (first, second) = if op == Alu::Sub {
            (0xeb00_0000, 0xda00_0000)
        } else {
            (0xab00_0000, 0x9a00_0000)
        };
        self.e.rrr(first, low, a[0], b[0]);
        self.e.rrr(second, high, a[1], b[1]);
    }

    fn mul(&mut self, size: Size, dst: Reg, a: Reg, b: Src) {
        if let Src::Imm(value) = b {
            let value = unsigned(size, value);
            if value.is_power_of_two() {
                return self.shift_imm(Shift::Shl, size, dst, a, value.trailing_zeros());
            }
        }
        let b = self.operand(size, b);
        // madd with zero
        self.e.rrr(sf(size) | 0x1b00_7c00, dst, a, b);
    }

    fn mul_wide(&mut self, signed: bool, low: Reg, high: Reg, a: Reg, b: Reg) {
        self.e.rrr(0x9b00_7c00, low, a, b);
        let op = if signed { 0x9b40_7c00 } else { 0x9bc0_7c00 };
        self.e.rrr(op, high, a, b);
    }

    fn shift(&mut self, op: Shift, size: Size, dst: Reg, a: Reg, b: Src) {
        if let Src::Imm(by) = b {
            return self.shift_imm(op, size, dst, a, by as u32);
        }
        // Only the low bits count.
        let mut by = self.operand(Size::S32, b);
        let code = match op {
            Shift::Shl => 0x1ac0_2000,
            Shift::ShrU => 0x1ac0_2400,
            Shift::ShrS => 0x1ac0_2800,
            Shift::Rotr => 0x1ac0_2c00,
            Shift::Rotl => {
                self.e.rrr(SUB, X17, ZR, by);
                by = X17;
                0x1ac0_2c00
            }
        };
        self.e.rrr(sf(size) | code, dst, a, by);
    }

    fn divide(&mut self, op: Division, size: Size, dst: Reg, a: Reg, b: Src) {
        let sf = sf(size);
        let constant = match b {
            Src::Imm(value) => Some(unsigned(size, value)),
            _ => None,
        };
        if let Some(value) = constant
            && value.is_power_of_two()
        {
            match op {
                Division::DivU => {
                    let by = value.trailing_zeros();
                    return self.shift_imm(Shift::ShrU, size, dst, a, by);
                }
                Division::RemU if value == 1 => return self.e.imm(dst, 0),
                Division::RemU => {
                    let mask = Src::Imm((value - 1) as i64);
                    return self.alu(Alu::And, size, dst, a, mask);
                }
                _ => {}
            }
        }
        let b = self.operand(size, b);
        if constant.is_none_or(|value| value == 0) {
            self.trap_if_zero(size, b, Trap::IntegerDivisionByZero);
        }
        let minus_one = unsigned(size, -1);
        if op == Division::DivS && constant.is_none_or(|value| value == minus_one) {
            // Of the least number by -1: cmn b, #1; ccmp a, #1, #0, eq overflows.
            self.e.rr(sf | 0x3100_0000 | 1 << 10, ZR, b);
            self.e.rr(sf | 0x7a40_0800 | 1 << 16, X0, a);
            self.trap_on(Cond::Vs, Trap::IntegerOverflow);
        }
        let divide = match op {
            Division::DivS | Division::RemS => sf | 0x1ac0_0c00,
            Division::DivU | Division::RemU => sf | 0x1ac0_0800,
        };
        match op {
            Division::DivS | Division::DivU => self.e.rrr(divide, dst, a, b),
            Division::RemS | Division::RemU => {
                self.e.rrr(divide, X16, a, b);
                // msub dst, x16, b, a
                self.e.rrrr(sf | 0x1b00_8000, dst, X16, b, a);
            }
        }
    }

    fn compare(&mut self, size: Size, a: Reg, b: Src) {
        match b {
            Src::Imm(0) => return self.test(size, a),
            Src::Imm(value) if self.add_sub_imm(SUBS, size, ZR, a, value) => return,
            _ => {}
        }
        let b = self.operand(size, b);
        self.e.rrr(sf(size) | SUBS, ZR, a, b);
    }

    fn compare_mem_imm(&mut self, size: Size, mem: Mem, value: i32) {
        self.load(size, X16, mem);
        self.compare(size, X16, Src::Imm(i64::from(value)));
    }

    fn test(&mut self, size: Size, a: Reg) {
        // cmp a, #0
        self.e.rr(sf(size) | 0x7100_0000, ZR, a);
        self.tested = Some((self.e.position(), size, a));
    }

    fn test_bits(&mut self, a: Reg, mask: u32) {
        match logical_imm(u64::from(mask), false) {
            Some(imm) => self.e.rr(0x7200_0000 | imm, ZR, a),
            None => {
                self.e.imm(X17, u64::from(mask));
                self.e.rrr(0x6a00_0000, ZR, a, X17);
            }
        }
    }

    fn add_to_mem(&mut self, mem: Mem, value: u64) {
        let address = self.resolve(mem, 3);
        self.access(0xf940_0000, X17, address);
        if !self.add_sub_imm(ADD, Size::S64, X17, X17, value as i64) {
            self.e.imm(X1, value);
            self.e.rrr(sf(Size::S64) | ADD, X17, X17, X1);
        }
        self.access(0xf900_0000, X17, address);
    }

    fn alu_mem(&mut self, op: Alu, mem: Mem, value: u32) {
        // subs w17, w17, #value; adds w17, w17, #value
        let op = match op {
            Alu::Sub => 0x7100_0000,
            _ => 0x3100_0000,
        };
        let address = self.resolve(mem, 2);
        self.access(0xb940_0000, X17, address);
        self.e.rr(op | value << 10, X17, X17);
        self.access(0xb900_0000, X17, address);
    }

    // Bits.

    fn clz(&mut self, size: Size, dst: Reg, a: Reg) {
        self.e.rr(sf(size) | 0x5ac0_1000, dst, a);
    }

    fn ctz(&mut self, size: Size, dst: Reg, a: Reg) {
        // rbit
        self.e.rr(sf(size) | 0x5ac0_0000, dst, a);
        self.clz(size, dst, dst);
    }

    fn popcnt(&mut self, size: Size, dst: Reg, a: Reg) {
        self.gpr_to_vector(size.is_64(), V31, a);
        // cnt v31.8b; addv b31, v31.8b
        self.e.rr(0x0e20_5800, V31, V31);
        self.e.rr(0x0e31_b800, V31, V31);
        self.vector_to_gpr(false, dst, V31);
    }

    // Floats.

    fn float_binary(&mut self, op: FloatBinary, double: bool, dst: Reg, a: Reg, b: Reg) {
        let op = match op {
            FloatBinary::Add => 0x1e20_2800,
            FloatBinary::Sub => 0x1e20_3800,
            FloatBinary::Mul => 0x1e20_0800,
            FloatBinary::Div => 0x1e20_1800,
            FloatBinary::Min => 0x1e20_5800,
            FloatBinary::Max => 0x1e20_4800,
            FloatBinary::Copysign => {
                if double {
                    self.e.imm(X16, 1 << 63);
                    self.gpr_to_vector(true, V31, X16);
                } else {
                    // movi v31.2s, #0x80, lsl #24
                    self.e.rr(0x0f04_6400, V31, X0);
                }
                // Where the mask has ones, of `b`; elsewhere of `a`.
                const BIT: u32 = 0x2ea0_1c00;
                const BIF: u32 = 0x2ee0_1c00;
                if dst == b {
                    self.e.rrr(BIF, dst, a, V31);
                } else {
                    self.copy(dst, a);
                    self.e.rrr(BIT, dst, b, V31);
                }
                return;
            }
        };
        self.e.rrr(op | ftype(double), dst, a, b);
    }

    fn compare_floats(&mut self, double: bool, _cc: FloatCc, a: Reg, b: Reg) {
        self.e.rrr(0x1e20_2000 | ftype(double), Reg::int(0), a, b);
    }

    fn float_abs(&mut self, double: bool, dst: Reg, a: Reg) {
        self.e.rr(0x1e20_c000 | ftype(double), dst, a);
    }

    fn float_neg(&mut self, double: bool, dst: Reg, a: Reg) {
        self.e.rr(0x1e21_4000 | ftype(double), dst, a);
    }

    fn float_sqrt(&mut self, double: bool, dst: Reg, a: Reg) {
        self.e.rr(0x1e21_c000 | ftype(double), dst, a);
    }

    fn has_rounding(&self) -> bool {
        true
    }

    fn float_round(&mut self, mode: Rounding, double: bool, dst: Reg, a: Reg) {
        let op = match mode {
            Rounding::Nearest => 0x1e24_4000,
            Rounding::Ceil => 0x1e24_c000,
            Rounding::Floor => 0x1e25_4000,
            Rounding::Trunc => 0x1e25_c000,
        };
        self.e.rr(op | ftype(double), dst, a);
    }

    fn promote(&mut self, dst: Reg, a: Reg) {
        self.e.rr(0x1e22_c000, dst, a);
    }

    fn demote(&mut self, dst: Reg, a: Reg) {
        self.e.rr(0x1e62_4000, dst, a);
    }

    fn canonical_nan(&mut self, double: bool, reg: Reg) {
        let bits = if double {
            0x7ff8_0000_0000_0000
        } else {
            0x7fc0_0000
        };
        self.float_constant(double, V31, bits);
        self.e
            .rrr(0x1e20_2000 | ftype(double), Reg::int(0), reg, reg);
        // fcsel
        let op = 0x1e20_0c00 | ftype(double) | (Cond::Vc as u32) << 12;
        self.e.rrr(op, reg, reg, V31);
    }

    fn int_to_float(&mut self, how: Conversion, dst: Reg, src: Reg) {
        let op = if how.signed { 0x1e22_0000 } else { 0x1e23_0000 };
        let wide = u32::from(how.wide) << 31;
        self.e.rr(op | wide | ftype(how.double), dst, src);
    }

    fn float_to_int(&mut self, how: Conversion, dst: Reg, src: Reg) {
        let (low, low_fits, high) = Self::range(how);
        self.compare_bits(how.double, src, low);
        self.trap_on(Cond::Vs, Trap::BadConversionToInteger);
        let too_small = if low_fits { Cond::Mi } else { Cond::Ls };
        self.trap_on(too_small, Trap::IntegerOverflow);
        self.compare_bits(how.double, src, high);
        self.trap_on(Cond::Ge, Trap::IntegerOverflow);
        self.float_to_int_sat(how, dst, src);
    }

    fn float_to_int_sat(&mut self, how: Conversion, dst: Reg, src: Reg) {
        let op = if how.signed { 0x1e38_0000 } else { 0x1e39_0000 };
        let wide = u32::from(how.wide) << 31;
        self.e.rr(op | wide | ftype(how.double), dst, src);
    }

    // Atomic accesses.

    fn atomic_load(&mut self, size: Size, dst: Reg, mem: Mem, trap: Option<Trap>) {
        let address = self.plain(mem);
        // ldar
        self.access_plain(width(size) | 0x08df_fc00, dst, address, trap);
    }

    fn atomic_store(&mut self, size: Size, src: Reg, mem: Mem, trap: Option<Trap>) {
        let address = self.plain(mem);
        // stlr
        self.access_plain(width(size) | 0x089f_fc00, src, address, trap);
    }

    fn atomic_rmw(&mut self, op: Rmw, size: Size, operand: Reg, mem: Mem, trap: Option<Trap>) {
        let address = self.plain(mem);
        let sf = sf(Size::S64);
        if self.cpu.lse {
            // ldaddal, ldclral, ldeoral, ldsetal, swpal
            let (op, operand) = match op {
                Rmw::Add => (0x0000, operand),
                Rmw::Sub => {
                    self.e.rrr(sf | SUB, X17, ZR, operand);
                    (0x0000, X17)
                }
                Rmw::And => {
                    self.e.rrr(sf | MOV_NOT, X17, ZR, operand);
                    (0x1000, X17)
                }
                Rmw::Xor => (0x2000, operand),
                Rmw::Or => (0x3000, operand),
                Rmw::Xchg => (0x8000, operand),
            };
            let operand = u32::from(operand.code()) << 16;
            let op = width(size) | 0x38e0_0000 | op | operand;
            return self.access_plain(op, X0, address, trap);
        }
        let again = self.e.label();
        self.bind(again);
        self.access_plain(width(size) | LDAXR, X0, address, trap);
        let code = match op {
            Rmw::Add => Some(ADD),
            Rmw::Sub => Some(SUB),
            Rmw::And => Some(AND),
            Rmw::Or => Some(ORR),
            Rmw::Xor => Some(EOR),
            Rmw::Xchg => None,
        };
        let new = match code {
            Some(code) => {
                self.e.rrr(sf | code, X17, X0, operand);
                X17
            }
            None => operand,
        };
        self.store_exclusive(size, new, address, trap, again);
    }

    fn atomic_compare_exchange(
        &mut self,
        size: Size,
        expected: Reg,
        new: Reg,
        mem: Mem,
        trap: Option<Trap>,
    ) {
        let address = self.plain(mem);
        if self.cpu.lse {
            self.copy(X0, expected);
            // casal
            let op = width(size) | 0x08e0_fc00 | u32::from(X0.code()) << 16;
            return self.access_plain(op, new, address, trap);
        }
        self.extend(size, false, Size::S64, X17, expected);
        let (again, differs) = (self.e.label(), self.e.label());
        self.bind(again);
        self.access_plain(width(size) | LDAXR, X0, address, trap);
        self.e.rrr(sf(Size::S64) | SUBS, ZR, X0, X17);
        self.e.jump_cond(Cond::Ne, differs);
        self.store_exclusive(size, new, address, trap, again);
        self.bind(differs);
    }

    fn fence(&mut self) {
        // dmb ish
        self.e.put(0xd503_3bbf);
    }
}

const LDAXR: u32 = 0x085f_fc00;

/// The size of an atomic access in its instruction.
const fn width(size: Size) -> u32 {
    size.bytes().trailing_zeros() << 30
}

impl Masm {
    /// Stores unless another access came in between; then it goes `again`.
    fn store_exclusive(
        &mut self,
        size: Size,
        new: Reg,
        address: Reg,
        trap: Option<Trap>,
        again: Label,
    ) {
        // stlxr w8, new, [address]
        let op = width(size) | 0x0800_fc00 | u32::from(X8.code()) << 16;
        self.access_plain(op, new, address, trap);
        self.e.jump_zero(false, false, X8, again);
    }
}
