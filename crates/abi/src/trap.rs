//! Trap codes.
//!
//! A code is a byte: it stands in the trap tables beside generated code, in
//! ahead-of-time images, and is what builtins and the interpreter raise. The
//! messages are one for all tiers.

use core::fmt;

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// Why a guest was stopped by the rules of WebAssembly or by a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Trap {
            $($(#[$doc])* $name = $code,)*
        }

        impl Trap {
            /// Every trap, in the order of their codes.
            pub const ALL: &'static [Trap] = &[$(Trap::$name,)*];

            /// The trap with this code.
            pub const fn from_code(code: u8) -> Option<Trap> {
                match code {
                    $($code => Some(Trap::$name),)*
                    _ => None,
                }
            }

            /// The message, the same in every tier.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Trap::$name => $message,)*
                }
            }
        }
    };
}

traps! {
    /// The stack of the call chain reached its limit.
    StackOverflow = 1, "call stack exhausted";
    /// A memory access reached outside the memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// An atomic access at an address that is not a multiple of its width.
    HeapMisaligned = 3, "unaligned atomic";
    /// A table access reached outside the table.
    TableOutOfBounds = 4, "undefined element: out of bounds table access";
    /// `call_indirect` found a null reference.
    IndirectCallToNull = 5, "uninitialized element";
    /// `call_indirect` found a function of another type.
    BadSignature = 6, "indirect call type mismatch";
    /// An integer operation whose result is not representable.
    IntegerOverflow = 7, "integer overflow";
    /// Division or remainder by zero.
    IntegerDivisionByZero = 8, "integer divide by zero";
    /// A conversion of NaN to an integer.
    BadConversionToInteger = 9, "invalid conversion to integer";
    /// The `unreachable` instruction.
    UnreachableCodeReached = 10, "wasm `unreachable` instruction executed";
    /// The epoch deadline passed, or the host interrupted the guest.
    Interrupt = 11, "interrupt";
    /// All fuel was consumed.
    OutOfFuel = 12, "all fuel consumed by WebAssembly";
    /// `memory.atomic.wait` on a memory that is not shared.
    AtomicWaitNonSharedMemory = 13, "atomic wait on non-shared memory";
    /// A null reference where the instruction needs an object.
    NullReference = 14, "null reference";
    /// An array access reached outside the array.
    ArrayOutOfBounds = 15, "out of bounds array access";
    /// An object that is too large for the heap.
    AllocationTooLarge = 16, "allocation size too large";
    /// A cast to a type that the reference does not have.
    CastFailure = 17, "cast failure";
    /// A collected heap that reached its limit.
    HeapExhausted = 18, "garbage-collected heap exhausted";
    /// `throw` that no handler of the guest or the host took.
    UncaughtException = 19, "uncaught exception";
    /// `resume` of a continuation that was already resumed.
    ContinuationAlreadyConsumed = 20, "continuation already consumed";
    /// `suspend` with a tag that no enclosing `resume` handles.
    UnhandledTag = 21, "unhandled tag";
}

impl Trap {
    /// The code of this trap, from 1 to 250.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Trap {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_stay_in_range() {
        for trap in Trap::ALL {
            assert_eq!(Trap::from_code(trap.code()), Some(*trap));
            assert!((1..=250).contains(&trap.code()));
            assert!(!trap.message().is_empty());
        }
        assert_eq!(Trap::from_code(0), None);
        assert_eq!(Trap::from_code(255), None);
    }
}
