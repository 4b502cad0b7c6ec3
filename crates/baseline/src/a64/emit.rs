//! How are instructions of aarch64 encoded? Words, immediates, labels,
//! constants beside the code.
//!
//! Every instruction is a word. Jumps to labels that are not bound yet are
//! written down, and filled in when the function is complete. In
//! [`Reach::Far`], conditional jumps, which reach 1 MiB, only ever hop over
//! unconditional ones, which reach 128 MiB, and constants stand inside the code.

use std::collections::HashMap;

use crate::masm::{FloatCc, IntCc, Label, Reach};
use crate::reg::Reg;

pub(super) const X0: Reg = Reg::int(0);
pub(super) const X1: Reg = Reg::int(1);
pub(super) const X2: Reg = Reg::int(2);
pub(super) const X3: Reg = Reg::int(3);
pub(super) const X4: Reg = Reg::int(4);
pub(super) const X5: Reg = Reg::int(5);
pub(super) const X6: Reg = Reg::int(6);
pub(super) const X7: Reg = Reg::int(7);
pub(super) const X8: Reg = Reg::int(8);
pub(super) const X16: Reg = Reg::int(16);
pub(super) const X17: Reg = Reg::int(17);
pub(super) const X26: Reg = Reg::int(26);
pub(super) const X27: Reg = Reg::int(27);
pub(super) const X28: Reg = Reg::int(28);
pub(super) const X29: Reg = Reg::int(29);
pub(super) const X30: Reg = Reg::int(30);
/// The stack pointer, where an instruction takes it.
pub(super) const SP: Reg = Reg::int(31);
/// Zero, where an instruction takes that.
pub(super) const ZR: Reg = Reg::int(31);
pub(super) const V30: Reg = Reg::vector(30);
pub(super) const V31: Reg = Reg::vector(31);

/// A condition, by its number in the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cond {
    Eq = 0,
    Ne = 1,
    /// Unsigned higher or same; carry.
    Hs = 2,
    /// Unsigned lower.
    Lo = 3,
    /// Negative; less, of ordered floats.
    Mi = 4,
    Pl = 5,
    /// Overflow; unordered.
    Vs = 6,
    Vc = 7,
    Hi = 8,
    Ls = 9,
    Ge = 10,
    Lt = 11,
    Gt = 12,
    Le = 13,
}

impl Cond {
    pub(super) const fn not(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Hs => Cond::Lo,
            Cond::Lo => Cond::Hs,
            Cond::Mi => Cond::Pl,
            Cond::Pl => Cond::Mi,
            Cond::Vs => Cond::Vc,
            Cond::Vc => Cond::Vs,
            Cond::Hi => Cond::Ls,
            Cond::Ls => Cond::Hi,
            Cond::Ge => Cond::Lt,
            Cond::Lt => Cond::Ge,
            Cond::Gt => Cond::Le,
            Cond::Le => Cond::Gt,
        }
    }
}

impl From<IntCc> for Cond {
    fn from(cc: IntCc) -> Cond {
        match cc {
            IntCc::Equal => Cond::Eq,
            IntCc::NotEqual => Cond::Ne,
            IntCc::Below => Cond::Lo,
            IntCc::AboveEqual => Cond::Hs,
            IntCc::BelowEqual => Cond::Ls,
            IntCc::Above => Cond::Hi,
            IntCc::Less => Cond::Lt,
            IntCc::GreaterEqual => Cond::Ge,
            IntCc::LessEqual => Cond::Le,
            IntCc::Greater => Cond::Gt,
        }
    }
}

impl From<FloatCc> for Cond {
    fn from(cc: FloatCc) -> Cond {
        match cc {
            FloatCc::Equal => Cond::Eq,
            FloatCc::NotEqual => Cond::Ne,
            FloatCc::Less => Cond::Mi,
            FloatCc::NotLess => Cond::Pl,
            FloatCc::Greater => Cond::Gt,
            FloatCc::NotGreater => Cond::Le,
            FloatCc::LessEqual => Cond::Ls,
            FloatCc::NotLessEqual => Cond::Hi,
            FloatCc::GreaterEqual => Cond::Ge,
            FloatCc::NotGreaterEqual => Cond::Lt,
        }
    }
}

/// The immediate of a logical instruction: N, immr and imms in their places, or
/// `None` when the value has no such form. Values of 32 bits have zeros above.
///
/// Such an immediate is an element of 2, 4, … or 64 bits, repeated, which is a
/// run of ones, rotated.
pub(super) fn logical_imm(value: u64, wide: bool) -> Option<u32> {
    let value = if wide {
        value
    } else {
        (value & 0xffff_ffff) | (value << 32)
    };
    if value == 0 || value == u64::MAX {
        return None;
    }
    // The smallest element that repeats.
    let mut bits = 64;
    while bits > 2 {
        let half = bits / 2;
        let mask = (1_u64 << half) - 1;
        if value & mask != (value >> half) & mask {
            break;
        }
        bits = half;
    }
    let mask = u64::MAX >> (64 - bits);
    let element = value & mask;
    // Turned right so that the run of ones begins at bit 0.
    let rotation = if element & 1 == 0 {
        element.trailing_zeros()
    } else {
        // The run may wrap around: it begins behind the highest zero.
        let zeros = !element & mask;
        bits - (zeros << (64 - bits)).leading_zeros()
    };
    let rotation = rotation % bits;
    let turned = if rotation == 0 {
        element
    } else {
        ((element >> rotation) | (element << (bits - rotation))) & mask
    };
    let ones = turned.trailing_ones();
    if turned != u64::MAX >> (64 - ones) {
        return None;
    }
    let immr = (bits - rotation) % bits;
    let (n, imms) = if bits == 64 {
        (1, ones - 1)
    } else {
        (0, (!(2 * bits - 1) & 0x3f) | (ones - 1))
    };
    Some(n << 22 | immr << 16 | imms << 10)
}

/// The eight bits of a float that `fmov` can make, from the bits of the float.
pub(super) fn float_imm(double: bool, bits: u64) -> Option<u32> {
    // Sign, three bits of exponent, four of fraction; the rest is implied.
    let (sign, exponent, fraction, exponent_bits) = if double {
        if bits & 0x0000_ffff_ffff_ffff != 0 {
            return None;
        }
        (bits >> 63, (bits >> 52) & 0x7ff, (bits >> 48) & 0xf, 11)
    } else {
        if bits & 0x0007_ffff != 0 {
            return None;
        }
        ((bits >> 31) & 1, (bits >> 23) & 0xff, (bits >> 19) & 0xf, 8)
    };
    let bias = (1 << (exponent_bits - 1)) - 1;
    let unbiased = exponent as i64 - bias;
    if !(-3..=4).contains(&unbiased) {
        return None;
    }
    // 1 … 4 are 000 … 011, -3 … 0 are 100 … 111.
    let code = ((unbiased + 7) & 7) as u64 & 3 | if unbiased <= 0 { 4 } else { 0 };
    Some((sign << 7 | code << 4 | fraction) as u32)
}

/// A constant beside the code, by its offset among the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Constant(u32);

const UNBOUND: u32 = u32::MAX;

/// A buffer of code.
#[derive(Default)]
pub(super) struct Emitter {
    pub(super) code: Vec<u32>,
    /// The index of the word that each label is at.
    labels: Vec<u32>,
    /// Jumps whose distance is missing: the word's index.
    jumps: Vec<(u32, Label)>,
    constants: Vec<u8>,
    known: HashMap<[u8; 16], Constant>,
    /// Loads of constants whose distance is missing.
    loads: Vec<(u32, Constant)>,
    /// Jump tables: the index of the first word, then the labels.
    tables: Vec<(u32, Vec<Label>)>,
    pub(super) far: bool,
}

impl Emitter {
    pub(super) fn begin(&mut self, reach: Reach) {
        self.code.clear();
        self.labels.clear();
        self.jumps.clear();
        self.constants.clear();
        self.known.clear();
        self.loads.clear();
        self.tables.clear();
        self.far = reach == Reach::Far;
    }

    #[inline(always)]
    pub(super) fn position(&self) -> u32 {
        4 * self.code.len() as u32
    }

    #[inline(always)]
    fn here(&self) -> u32 {
        self.code.len() as u32
    }

    #[inline(always)]
    pub(super) fn put(&mut self, word: u32) {
        self.code.push(word);
    }

    /// An instruction with one source.
    #[inline(always)]
    pub(super) fn rr(&mut self, op: u32, dst: Reg, a: Reg) {
        self.put(op | u32::from(a.code()) << 5 | u32::from(dst.code()));
    }

    /// An instruction with two sources.
    #[inline(always)]
    pub(super) fn rrr(&mut self, op: u32, dst: Reg, a: Reg, b: Reg) {
        self.rr(op | u32::from(b.code()) << 16, dst, a);
    }

    /// The same with three.
    #[inline(always)]
    pub(super) fn rrrr(&mut self, op: u32, dst: Reg, a: Reg, b: Reg, c: Reg) {
        self.rrr(op | u32::from(c.code()) << 10, dst, a, b);
    }

    /// A constant of 64 bits, zeros above one of 32.
    pub(super) fn imm(&mut self, dst: Reg, value: u64) {
        let rd = u32::from(dst.code());
        let wide = value > u64::from(u32::MAX);
        let sf = u32::from(wide) << 31;
        let halves = if wide { 4 } else { 2 };
        let half = |i: u32| (value >> (16 * i)) as u32 & 0xffff;
        let zeros = (0..halves).filter(|i| half(*i) == 0).count();
        let ones = (0..halves).filter(|i| half(*i) == 0xffff).count();
        let most = halves as usize - 1;
        if zeros < most
            && ones < most
            && let Some(imm) = logical_imm(value, wide)
        {
            // orr dst, zr, #value
            self.put(sf | 0x3200_03e0 | imm | rd);
            return;
        }
        // Begin with what leaves the least to fill in.
        let inverted = ones > zeros;
        let (first, filler) = if inverted {
            (0x1280_0000, 0xffff)
        } else {
            (0x5280_0000, 0)
        };
        let mut begun = false;
        for i in 0..halves {
            if half(i) == filler {
                continue;
            }
            let word = if begun {
                0x7280_0000 | half(i) << 5
            } else if inverted {
                first | (!half(i) & 0xffff) << 5
            } else {
                first | half(i) << 5
            };
            self.put(sf | word | i << 21 | rd);
            begun = true;
        }
        if !begun {
            self.put(sf | first | rd);
        }
    }

    /// How many instructions [`Emitter::imm`] makes of it, at most.
    pub(super) fn imm_words(value: u64) -> u32 {
        let halves = |filler: u64| {
            (0..4)
                .filter(|i| (value >> (16 * i)) & 0xffff != filler)
                .count() as u32
        };
        halves(0).min(halves(0xffff)).max(1)
    }

    // Labels.

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    pub(super) fn bind(&mut self, label: Label) {
        let here = self.here();
        let at = &mut self.labels[label.0 as usize];
        debug_assert!(*at == UNBOUND, "a label is bound once");
        *at = here;
    }

    /// The distance in words to a label that is bound.
    fn back(&self, label: Label) -> Option<i64> {
        let at = self.labels[label.0 as usize];
        (at != UNBOUND).then(|| i64::from(at) - i64::from(self.here()))
    }

    pub(super) fn jump(&mut self, label: Label) {
        match self.back(label) {
            Some(distance) => self.put(0x1400_0000 | distance as u32 & 0x03ff_ffff),
            None => {
                self.jumps.push((self.here(), label));
                self.put(0x1400_0000);
            }
        }
    }

    /// A jump with 19 bits of distance; `opposite` is the one that hops over
    /// what this one would not.
    fn jump_19(&mut self, op: u32, opposite: u32, label: Label) {
        match self.back(label) {
            Some(distance) if distance >= -(1 << 18) => {
                self.put(op | (distance as u32 & 0x7_ffff) << 5);
            }
            None if !self.far => {
                self.jumps.push((self.here(), label));
                self.put(op);
            }
            _ => {
                self.put(opposite | 2 << 5);
                self.jump(label);
            }
        }
    }

    pub(super) fn jump_cond(&mut self, cond: Cond, label: Label) {
        let op = |cond: Cond| 0x5400_0000 | cond as u32;
        self.jump_19(op(cond), op(cond.not()), label);
    }

    /// Jumps when the register is zero, or is not.
    pub(super) fn jump_zero(&mut self, wide: bool, zero: bool, reg: Reg, label: Label) {
        let op = |zero: bool| {
            let op = if zero { 0x3400_0000 } else { 0x3500_0000 };
            u32::from(wide) << 31 | op | u32::from(reg.code())
        };
        self.jump_19(op(zero), op(!zero), label);
    }

    /// Jumps over the instruction that follows.
    pub(super) fn skip_cond(&mut self, cond: Cond) {
        self.put(0x5400_0000 | 2 << 5 | cond as u32);
    }

    /// The same when the register is zero, or is not.
    pub(super) fn skip_zero(&mut self, wide: bool, zero: bool, reg: Reg) {
        let op = if zero { 0x3400_0000 } else { 0x3500_0000 };
        self.put(u32::from(wide) << 31 | op | 2 << 5 | u32::from(reg.code()));
    }

    /// A table, here in the code, of distances from its own start to the labels.
    pub(super) fn table(&mut self, labels: Vec<Label>) {
        let at = self.here();
        self.code.resize(self.code.len() + labels.len(), 0);
        self.tables.push((at, labels));
    }

    // Constants.

    fn constant(&mut self, bytes: [u8; 16]) -> Constant {
        if let Some(constant) = self.known.get(&bytes) {
            return *constant;
        }
        let constant = Constant(self.constants.len() as u32);
        self.constants.extend_from_slice(&bytes);
        self.known.insert(bytes, constant);
        constant
    }

    /// Loads the first bytes of a constant, by the `ldr` for the register.
    pub(super) fn load_constant(&mut self, op: u32, dst: Reg, bytes: [u8; 16]) {
        let op = op | u32::from(dst.code());
        if self.far {
            // It follows, and is jumped over.
            self.put(op | 2 << 5);
            self.put(0x1400_0005);
            for word in bytes.as_chunks::<4>().0 {
                self.put(u32::from_le_bytes(*word));
            }
            return;
        }
        let constant = self.constant(bytes);
        self.loads.push((self.here(), constant));
        self.put(op);
    }

    /// The code with `prologue` in front and the constants behind it, or `None`
    /// when a jump or load does not reach.
    pub(super) fn finish(&mut self, prologue: &[u8]) -> Option<Vec<u8>> {
        let total = prologue.len() + 4 * self.code.len();
        let start = if self.constants.is_empty() {
            total
        } else {
            total.next_multiple_of(16)
        };
        for (at, label) in &self.jumps {
            let distance = i64::from(self.labels[label.0 as usize]) - i64::from(*at);
            let word = &mut self.code[*at as usize];
            if *word & 0xfc00_0000 == 0x1400_0000 {
                *word |= distance as u32 & 0x03ff_ffff;
            } else if (-(1 << 18)..1 << 18).contains(&distance) {
                *word |= (distance as u32 & 0x7_ffff) << 5;
            } else {
                return None;
            }
        }
        for (at, constant) in &self.loads {
            let from = prologue.len() + 4 * *at as usize;
            let distance = (start + constant.0 as usize - from) / 4;
            if distance >= 1 << 18 {
                return None;
            }
            self.code[*at as usize] |= (distance as u32) << 5;
        }
        for (at, labels) in &self.tables {
            for (i, label) in labels.iter().enumerate() {
                let distance = i64::from(self.labels[label.0 as usize]) - i64::from(*at);
                self.code[*at as usize + i] = (4 * distance) as u32;
            }
        }
        let mut code = Vec::with_capacity(start + self.constants.len());
        code.extend_from_slice(prologue);
        for word in &self.code {
            code.extend_from_slice(&word.to_le_bytes());
        }
        code.resize(start, 0);
        code.extend_from_slice(&self.constants);
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a logical immediate means, by the manual's pseudocode.
    fn decode(imm: u32, wide: bool) -> u64 {
        let (n, immr, imms) = (imm >> 22 & 1, imm >> 16 & 0x3f, imm >> 10 & 0x3f);
        let len = 31 - (n << 6 | !imms & 0x3f).leading_zeros();
        let bits = 1_u32 << len;
        let levels = bits - 1;
        let (s, r) = (imms & levels, immr & levels);
        let ones = u64::MAX >> (63 - s);
        let mask = u64::MAX >> (64 - bits);
        let turned = if r == 0 {
            ones
        } else {
            (ones >> r | ones << (bits - r)) & mask
        };
        let mut value = 0;
        for i in 0..64 / bits {
            value |= turned << (i * bits);
        }
        if wide { value } else { value & 0xffff_ffff }
    }

    #[test]
    fn logical_immediates_are_all_found_and_right() {
        let mut count = 0;
        let mut bits = 2;
        while bits <= 64 {
            for ones in 1..bits {
                for rotation in 0..bits {
                    let run = u64::MAX >> (64 - ones);
                    let mask = u64::MAX >> (64 - bits);
                    let element = if rotation == 0 {
                        run
                    } else {
                        (run << rotation | run >> (bits - rotation)) & mask
                    };
                    let mut value = 0;
                    for i in 0..64 / bits {
                        value |= element << (i * bits);
                    }
                    let imm = logical_imm(value, true).expect("it has a form");
                    assert_eq!(decode(imm, true), value, "{value:#x}");
                    if bits <= 32 {
                        let low = value & 0xffff_ffff;
                        let imm = logical_imm(low, false).expect("it has a form");
                        assert_eq!(imm >> 22, 0, "{value:#x}");
                        assert_eq!(decode(imm, false), low, "{value:#x}");
                    }
                    count += 1;
                }
            }
            bits *= 2;
        }
        // That many there are: 63 * 64 + 31 * 32 + … + 1 * 2.
        assert_eq!(count, 5334);
        for value in [0, u64::MAX, 5, 0x1234_5678, 0xff00_ff01, 0x8000_0001_0000] {
            assert_eq!(logical_imm(value, true), None, "{value:#x}");
        }
    }

    #[test]
    fn float_immediates_are_right() {
        for code in 0..256_u64 {
            let (sign, exponent, fraction) = (code >> 7, code >> 4 & 7, code & 15);
            let power = if exponent & 4 != 0 {
                (exponent & 3) as i32 - 3
            } else {
                exponent as i32 + 1
            };
            let value = (16 + fraction) as f64 / 16.0 * 2_f64.powi(power);
            let value = if sign == 1 { -value } else { value };
            assert_eq!(float_imm(true, value.to_bits()), Some(code as u32));
            let single = u64::from((value as f32).to_bits());
            assert_eq!(float_imm(false, single), Some(code as u32));
        }
        for value in [0.0, 0.1, 32.0, 1.03125 + 1e-10, f64::NAN, f64::INFINITY] {
            assert_eq!(float_imm(true, value.to_bits()), None, "{value}");
        }
    }

    #[test]
    fn constants_are_made_right() {
        let mut emitter = Emitter::default();
        for value in [
            0,
            1,
            0xffff,
            0x1_0000,
            0xffff_0000,
            0x1234_5678,
            0xffff_fffe,
            0xffff_ffff,
            0xfffe_ffff,
            0x0001_2345_6789_abcd,
            0xffff_ffff_ffff_ffff,
            0xffff_ffff_ffff_fffe,
            0xffff_1234_ffff_ffff,
            0x7ff8_0000_0000_0000,
            0x8000_0000_0000_0000,
            0x5555_5555_5555_5555,
            0x0000_ffff_0000_1234,
        ] {
            emitter.begin(Reach::Near);
            emitter.imm(X16, value);
            let mut result = 0_u64;
            for word in &emitter.code {
                let shift = 16 * (word >> 21 & 3);
                let half = u64::from(word >> 5 & 0xffff) << shift;
                let is_wide = word >> 31 == 1;
                match word >> 23 & 0x3f {
                    0x25 if word >> 29 & 3 == 0 => result = !half,
                    0x25 if word >> 29 & 3 == 2 => result = half,
                    0x25 => result = result & !(0xffff << shift) | half,
                    0x24 => result = decode(*word & 0x007f_fc00, is_wide),
                    other => panic!("{other:#x}"),
                }
                if !is_wide {
                    result &= 0xffff_ffff;
                }
            }
            assert_eq!(result, value, "{value:#x}");
            assert!(emitter.code.len() as u32 <= Emitter::imm_words(value).max(2));
        }
    }
}
