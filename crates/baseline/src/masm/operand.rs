//! What are operations made of? Sizes, operands, conditions, and the names of
//! scalar operations, the same for every architecture.

use crate::reg::Reg;

/// A place in code that jumps go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) u32);

/// An address: base, index times scale, distance. All of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mem {
    pub(crate) base: Reg,
    pub(crate) index: Option<Reg>,
    /// log2 of what the index is multiplied with, up to 3.
    pub(crate) scale: u8,
    pub(crate) disp: i32,
}

impl Mem {
    pub(crate) const fn at(base: Reg, disp: i32) -> Mem {
        Mem {
            base,
            index: None,
            scale: 0,
            disp,
        }
    }
}

/// How wide an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    S8,
    S16,
    S32,
    S64,
}

impl Size {
    pub(crate) const fn bytes(self) -> u32 {
        match self {
            Size::S8 => 1,
            Size::S16 => 2,
            Size::S32 => 4,
            Size::S64 => 8,
        }
    }

    pub(crate) const fn is_64(self) -> bool {
        matches!(self, Size::S64)
    }
}

/// A second operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Src {
    Reg(Reg),
    Imm(i64),
    Mem(Mem),
}

impl From<Reg> for Src {
    fn from(reg: Reg) -> Src {
        Src::Reg(reg)
    }
}

/// What a comparison of integers has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntCc {
    Equal,
    NotEqual,
    /// Unsigned.
    Below,
    /// Unsigned.
    AboveEqual,
    /// Unsigned.
    BelowEqual,
    /// Unsigned.
    Above,
    /// Signed.
    Less,
    /// Signed.
    GreaterEqual,
    /// Signed.
    LessEqual,
    /// Signed.
    Greater,
}

impl IntCc {
    /// What holds when this does not.
    pub(crate) const fn not(self) -> IntCc {
        match self {
            IntCc::Equal => IntCc::NotEqual,
            IntCc::NotEqual => IntCc::Equal,
            IntCc::Below => IntCc::AboveEqual,
            IntCc::AboveEqual => IntCc::Below,
            IntCc::BelowEqual => IntCc::Above,
            IntCc::Above => IntCc::BelowEqual,
            IntCc::Less => IntCc::GreaterEqual,
            IntCc::GreaterEqual => IntCc::Less,
            IntCc::LessEqual => IntCc::Greater,
            IntCc::Greater => IntCc::LessEqual,
        }
    }

    /// What holds of the operands in the other order.
    pub(crate) const fn swapped(self) -> IntCc {
        match self {
            IntCc::Below => IntCc::Above,
            IntCc::Above => IntCc::Below,
            IntCc::BelowEqual => IntCc::AboveEqual,
            IntCc::AboveEqual => IntCc::BelowEqual,
            IntCc::Less => IntCc::Greater,
            IntCc::Greater => IntCc::Less,
            IntCc::LessEqual => IntCc::GreaterEqual,
            IntCc::GreaterEqual => IntCc::LessEqual,
            same => same,
        }
    }
}

/// What a comparison of floats has to say. When one is no number, those that
/// begin with `Not` hold, and the others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatCc {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    NotLess,
    NotGreater,
    NotLessEqual,
    NotGreaterEqual,
}

impl FloatCc {
    const fn not(self) -> FloatCc {
        match self {
            FloatCc::Equal => FloatCc::NotEqual,
            FloatCc::NotEqual => FloatCc::Equal,
            FloatCc::Less => FloatCc::NotLess,
            FloatCc::Greater => FloatCc::NotGreater,
            FloatCc::LessEqual => FloatCc::NotLessEqual,
            FloatCc::GreaterEqual => FloatCc::NotGreaterEqual,
            FloatCc::NotLess => FloatCc::Less,
            FloatCc::NotGreater => FloatCc::Greater,
            FloatCc::NotLessEqual => FloatCc::LessEqual,
            FloatCc::NotGreaterEqual => FloatCc::GreaterEqual,
        }
    }
}

/// What the flags have to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// After a comparison of integers.
    Is(IntCc),
    /// After the comparison of floats for this or its opposite.
    Float(FloatCc),
}

impl Condition {
    /// One, where there is none.
    pub(crate) const ANY: Condition = Condition::Is(IntCc::Equal);

    /// What holds when this does not.
    pub(crate) const fn not(self) -> Condition {
        match self {
            Condition::Is(cc) => Condition::Is(cc.not()),
            Condition::Float(cc) => Condition::Float(cc.not()),
        }
    }
}

/// Two-operand arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add,
    Or,
    And,
    Sub,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Rotl,
    Rotr,
    Shl,
    ShrU,
    ShrS,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Division {
    DivS,
    DivU,
    RemS,
    RemU,
}

/// What is done with the old value and the operand of an atomic access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rmw {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Xchg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatBinary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Copysign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Floor,
    Ceil,
    Trunc,
}

/// A float type and an integer type to convert between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    /// The float is an `f64`.
    pub(crate) double: bool,
    /// The integer is an `i64`.
    pub(crate) wide: bool,
    pub(crate) signed: bool,
}
