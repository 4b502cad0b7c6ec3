//! The table of functions that generated code calls in the runtime.
//!
//! A builtin is reached through the table that the context points to
//! ([`ContextLayout::builtins`](crate::layout::ContextLayout::builtins)), so
//! that code needs no relocation. It takes the caller's context first, follows
//! the system's C calling convention, and is entered through a stub that
//! records the exit frame in the store context and, when the builtin left a
//! non-zero [`pending`](crate::layout::StoreLayout::pending), unwinds instead
//! of returning: generated code never checks for a trap after a call.
//!
//! Numbers travel as `u32` and `u64` whatever the memory or table's index type.
//! Elements of tables travel as `u64`: a pointer to a function reference, or a
//! 32-bit id.

/// Calls `$callback!` with the table, each row as
/// `name(argument: type, …) -> result: type;`, in table order.
///
/// Types are `u32`, `u64` and `ptr` (pointer-wide); `()` is no result.
#[macro_export]
macro_rules! for_each_builtin {
    ($callback:ident) => {
        $callback! {
            /// `memory.grow`: the old size in pages, or all ones.
            memory_grow(delta: u64, memory: u32) -> u64;
            /// `memory.copy`.
            memory_copy(destination_memory: u32, source_memory: u32, destination: u64, source: u64, length: u64) -> ();
            /// `memory.fill`.
            memory_fill(memory: u32, destination: u64, value: u32, length: u64) -> ();
            /// `memory.init`.
            memory_init(memory: u32, data: u32, destination: u64, source: u32, length: u32) -> ();
            /// `data.drop`.
            data_drop(data: u32) -> ();
            /// `memory.atomic.notify`: the number of waiters woken.
            memory_atomic_notify(memory: u32, address: u64, count: u32) -> u32;
            /// `memory.atomic.wait32`: 0 woken, 1 not equal, 2 timed out.
            memory_atomic_wait32(memory: u32, address: u64, expected: u32, timeout: u64) -> u32;
            /// `memory.atomic.wait64`: 0 woken, 1 not equal, 2 timed out.
            memory_atomic_wait64(memory: u32, address: u64, expected: u64, timeout: u64) -> u32;
            /// `table.grow`: the old size, or all ones.
            table_grow(table: u32, value: u64, delta: u64) -> u64;
            /// `table.fill`.
            table_fill(table: u32, destination: u64, value: u64, length: u64) -> ();
            /// `table.copy`.
            table_copy(destination_table: u32, source_table: u32, destination: u64, source: u64, length: u64) -> ();
            /// `table.init`.
            table_init(table: u32, element: u32, destination: u64, source: u32, length: u32) -> ();
            /// `elem.drop`.
            elem_drop(element: u32) -> ();
            /// Whether the canonical type `actual` is a subtype of `expected`:
            /// the slow path of `call_indirect` on a type that is not final.
            is_subtype(actual: u32, expected: u32) -> u32;
            /// Fuel turned positive: refuels, yields, or traps.
            out_of_fuel() -> ();
            /// The epoch deadline passed: the new deadline, or a trap.
            new_epoch() -> u64;
            /// Raises the trap with this code, for code that cannot fault.
            raise(trap: u32) -> ();
            /// `f32.ceil` for processors without it, on bit patterns.
            f32_ceil(value: u32) -> u32;
            /// `f32.floor`.
            f32_floor(value: u32) -> u32;
            /// `f32.trunc`.
            f32_trunc(value: u32) -> u32;
            /// `f32.nearest`.
            f32_nearest(value: u32) -> u32;
            /// `f64.ceil`.
            f64_ceil(value: u64) -> u64;
            /// `f64.floor`.
            f64_floor(value: u64) -> u64;
            /// `f64.trunc`.
            f64_trunc(value: u64) -> u64;
            /// `f64.nearest`.
            f64_nearest(value: u64) -> u64;
            /// Fused multiply and add, for processors without it.
            f32_fma(a: u32, b: u32, c: u32) -> u32;
            /// Fused multiply and add.
            f64_fma(a: u64, b: u64, c: u64) -> u64;
            /// A function was entered as often as its count lets pass.
            hot_function(function: u32) -> ();
            /// A loop of a function went round as often as its
            /// count lets pass: the address of the OSR buffer to leave
            /// with, or 0 to go on.
            hot_loop(function: u32, index: u32) -> u64;
        }
    };
}

/// How an argument or a result of a builtin travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinType {
    /// A 32-bit integer.
    U32,
    /// A 64-bit integer.
    U64,
    /// A pointer.
    Pointer,
}

/// Turns the type names of the table into [`BuiltinType`]s.
macro_rules! builtin_type {
    (u32) => {
        Some(BuiltinType::U32)
    };
    (u64) => {
        Some(BuiltinType::U64)
    };
    (ptr) => {
        Some(BuiltinType::Pointer)
    };
    (()) => {
        None
    };
}

macro_rules! declare {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:tt),*) -> $result:tt;)*) => {
        /// A function of the runtime that generated code calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(non_camel_case_types, reason = "the names are those of the functions")]
        #[repr(u32)]
        pub enum Builtin {
            $($(#[$doc])* $name,)*
        }

        impl Builtin {
            /// Every builtin, in table order.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$name,)*];

            /// The name, as in the table.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Builtin::$name => stringify!($name),)*
                }
            }

            /// The arguments after the context.
            pub const fn arguments(self) -> &'static [BuiltinType] {
                match self {
                    $(Builtin::$name => {
                        const ARGUMENTS: &[Option<BuiltinType>] = &[$(builtin_type!($type),)*];
                        const LENGTH: usize = ARGUMENTS.len();
                        const FLAT: [BuiltinType; LENGTH] = {
                            let mut flat = [BuiltinType::U32; LENGTH];
                            let mut i = 0;
                            while i < LENGTH {
                                if let Some(ty) = ARGUMENTS[i] {
                                    flat[i] = ty;
                                }
                                i += 1;
                            }
                            flat
                        };
                        &FLAT
                    })*
                }
            }

            /// The result, if there is one.
            pub const fn result(self) -> Option<BuiltinType> {
                match self {
                    $(Builtin::$name => builtin_type!($result),)*
                }
            }
        }
    };
}

for_each_builtin!(declare);

/// Words of the table before the first builtin: the entry that the *leave*
/// stub of uncompiled functions calls
/// (`extern "C" fn(callee, caller, image, slot) -> LeaveStatus`).
pub const TABLE_HEADER_WORDS: u32 = 1;

/// Offset of the entry for uncompiled functions in the table.
pub const fn slot_entry_offset() -> u32 {
    0
}

impl Builtin {
    /// Offset of this builtin in the table, for pointers of `pointer` bytes.
    pub const fn offset(self, pointer: u32) -> u32 {
        (TABLE_HEADER_WORDS + self as u32) * pointer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_the_table_says() {
        assert_eq!(
            Builtin::memory_grow.arguments(),
            &[BuiltinType::U64, BuiltinType::U32]
        );
        assert_eq!(Builtin::memory_grow.result(), Some(BuiltinType::U64));
        assert_eq!(Builtin::data_drop.result(), None);
        assert_eq!(Builtin::memory_grow.offset(8), 8);
        for (index, builtin) in Builtin::ALL.iter().enumerate() {
            assert_eq!(*builtin as usize, index);
        }
    }
}
