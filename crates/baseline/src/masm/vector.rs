//! Which operations are there on vectors? The names of those that take one or
//! two operands, and of the lanes they have.

/// Declares the operations of one shape.
macro_rules! operations {
    ($(#[$doc:meta])* $name:ident { $($op:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($op,)* }
    };
}

operations! {
    /// One vector to one vector.
    Unary {
        Not, Abs8, Abs16, Abs32, Abs64, Neg8, Neg16, Neg32, Neg64, Popcnt,
        FAbs32, FAbs64, FNeg32, FNeg64, Sqrt32, Sqrt64,
        ExtendLowS8, ExtendLowU8, ExtendHighS8, ExtendHighU8,
        ExtendLowS16, ExtendLowU16, ExtendHighS16, ExtendHighU16,
        ExtendLowS32, ExtendLowU32, ExtendHighS32, ExtendHighU32,
        PairwiseS8, PairwiseU8, PairwiseS16, PairwiseU16,
        Demote, Promote,
        TruncS32, TruncU32, TruncS64, TruncU64,
        ConvertS32, ConvertU32, ConvertLowS, ConvertLowU,
    }
}

operations! {
    /// Two vectors to one.
    Binary {
        And, Or, Xor, AndNot,
        Add8, Sub8, AddSatS8, AddSatU8, SubSatS8, SubSatU8, Avgr8, MinS8, MinU8, MaxS8, MaxU8,
        Add16, Sub16, Mul16, AddSatS16, AddSatU16, SubSatS16, SubSatU16, Avgr16,
        MinS16, MinU16, MaxS16, MaxU16, Q15Mulr,
        Add32, Sub32, Mul32, MinS32, MinU32, MaxS32, MaxU32,
        Add64, Sub64, Mul64,
        NarrowS16, NarrowU16, NarrowS32, NarrowU32,
        Eq8, Eq16, Eq32, Eq64, Ne8, Ne16, Ne32, Ne64,
        GtS8, GtS16, GtS32, GtS64, LtS8, LtS16, LtS32, LtS64,
        GeS8, GeS16, GeS32, GeS64, LeS8, LeS16, LeS32, LeS64,
        GtU8, GtU16, GtU32, LtU8, LtU16, LtU32, GeU8, GeU16, GeU32, LeU8, LeU16, LeU32,
        FEq32, FNe32, FLt32, FGt32, FLe32, FGe32,
        FEq64, FNe64, FLt64, FGt64, FLe64, FGe64,
        FAdd32, FSub32, FMul32, FDiv32, FMin32, FMax32, PMin32, PMax32,
        FAdd64, FSub64, FMul64, FDiv64, FMin64, FMax64, PMin64, PMax64,
        ExtmulLowS8, ExtmulLowU8, ExtmulHighS8, ExtmulHighU8,
        ExtmulLowS16, ExtmulLowU16, ExtmulHighS16, ExtmulHighU16,
        ExtmulLowS32, ExtmulLowU32, ExtmulHighS32, ExtmulHighU32,
        Dot16, RelaxedDot8, Swizzle,
    }
}

/// The lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Lanes {
    pub(crate) const fn bytes(self) -> u32 {
        match self {
            Lanes::I8 => 1,
            Lanes::I16 => 2,
            Lanes::I32 | Lanes::F32 => 4,
            Lanes::I64 | Lanes::F64 => 8,
        }
    }

    /// A number as wide as a lane.
    pub(crate) const fn size(self) -> super::Size {
        match self {
            Lanes::I8 => super::Size::S8,
            Lanes::I16 => super::Size::S16,
            Lanes::I32 | Lanes::F32 => super::Size::S32,
            Lanes::I64 | Lanes::F64 => super::Size::S64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VectorShift {
    Shl,
    ShrS,
    ShrU,
}
