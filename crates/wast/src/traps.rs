//! Which traps does a message of the specification's scripts stand for?

use tepui::Trap;

/// The messages that scripts use, as the reference interpreter prints them,
/// and the trap that each one names.
const MESSAGES: &[(&str, Trap)] = &[
    ("call stack exhausted", Trap::StackOverflow),
    ("out of bounds memory access", Trap::MemoryOutOfBounds),
    ("out of bounds table access", Trap::TableOutOfBounds),
    ("out of bounds array access", Trap::ArrayOutOfBounds),
    ("undefined element", Trap::TableOutOfBounds),
    ("uninitialized element", Trap::IndirectCallToNull),
    ("indirect call type mismatch", Trap::BadSignature),
    ("integer overflow", Trap::IntegerOverflow),
    ("integer divide by zero", Trap::IntegerDivisionByZero),
    (
        "invalid conversion to integer",
        Trap::BadConversionToInteger,
    ),
    ("unreachable", Trap::UnreachableCodeReached),
    ("unaligned atomic", Trap::HeapMisaligned),
    ("expected shared memory", Trap::AtomicWaitNonSharedMemory),
    ("null reference", Trap::NullReference),
    ("null function reference", Trap::NullReference),
    ("null structure reference", Trap::NullReference),
    ("null array reference", Trap::NullReference),
    ("null i31 reference", Trap::NullReference),
    ("null exception reference", Trap::NullReference),
    ("null descriptor reference", Trap::NullReference),
    ("cast failure", Trap::CastFailure),
    ("descriptor cast failure", Trap::CastFailure),
];

/// The kinds of trap that the message of an `assert_trap` or an
/// `assert_exhaustion` allows.
///
/// Scripts shorten the messages (`"out of bounds"`, `"undefined"`) and lengthen
/// them (`"uninitialized element 2"`), so either may be the beginning of the
/// other, up to the end of a word. A short one may stand for several kinds. The
/// list is empty when the message names no trap, the empty message included.
pub fn kinds_of_message(message: &str) -> Vec<Trap> {
    let mut kinds = Vec::new();
    for &(known, trap) in MESSAGES {
        if (begins_with(known, message) || begins_with(message, known)) && !kinds.contains(&trap) {
            kinds.push(trap);
        }
    }
    kinds
}

/// Whether the words of `start` are the first words of `text`.
fn begins_with(text: &str, start: &str) -> bool {
    !start.is_empty()
        && text
            .strip_prefix(start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_short_and_long_messages() {
        assert_eq!(
            kinds_of_message("integer divide by zero"),
            [Trap::IntegerDivisionByZero]
        );
        assert_eq!(
            kinds_of_message("out of bounds"),
            [
                Trap::MemoryOutOfBounds,
                Trap::TableOutOfBounds,
                Trap::ArrayOutOfBounds
            ]
        );
        assert_eq!(
            kinds_of_message("uninitialized element 2"),
            [Trap::IndirectCallToNull]
        );
        assert_eq!(
            kinds_of_message("uninitialized"),
            [Trap::IndirectCallToNull]
        );
        assert_eq!(kinds_of_message("undefined"), [Trap::TableOutOfBounds]);
        assert_eq!(kinds_of_message("indirect call"), [Trap::BadSignature]);
    }

    #[test]
    fn words_are_not_cut() {
        assert!(kinds_of_message("un").is_empty());
        assert!(kinds_of_message("unreachableness").is_empty());
        assert!(kinds_of_message("").is_empty());
        assert!(kinds_of_message("integer").contains(&Trap::IntegerOverflow));
        assert!(kinds_of_message("something else").is_empty());
    }
}
