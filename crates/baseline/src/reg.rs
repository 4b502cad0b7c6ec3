//! Registers, as the driver sees them: a number within a class, and sets.

/// A register: 0 to 31 integer, 32 to 63 vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(u8);

impl Reg {
    pub(crate) const fn int(code: u8) -> Reg {
        Reg(code)
    }

    pub(crate) const fn vector(code: u8) -> Reg {
        Reg(32 + code)
    }

    /// The number among all registers.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn from_index(index: u32) -> Reg {
        Reg(index as u8)
    }

    /// The number within the class, as the encoding has it.
    #[inline(always)]
    pub(crate) const fn code(self) -> u8 {
        self.0 & 31
    }

    pub(crate) const fn is_vector(self) -> bool {
        self.0 >= 32
    }

    /// The set of this register alone.
    pub(crate) const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// The registers of a set, ascending.
pub(crate) fn each(mut set: u64) -> impl Iterator<Item = Reg> {
    std::iter::from_fn(move || {
        if set == 0 {
            return None;
        }
        let reg = Reg::from_index(set.trailing_zeros());
        set &= set - 1;
        Some(reg)
    })
}
