//! May this be imported there? Import matching, with messages that say why not.
//!
//! The relation itself is [`TypeLookup::extern_matches`] (core specification,
//! "Import Matching"); this file asks it, and finds the words when it says no.

use core::fmt;

use tepui_module::{ExternType, FuncType, TypeId, TypeLookup};

use crate::error::{Error, Result};
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// Checks that something of type `found` may be imported as `module`::`name`,
/// which is declared as `expected`.
///
/// For tables and memories `found.minimum` is to be the present size. Both
/// types belong to the engine of `types`.
///
/// # Errors
///
/// An error that names the import, both types and the rule that is broken.
pub(crate) fn check_import(
    types: &impl TypeLookup,
    module: &str,
    name: &str,
    expected: &ExternType,
    found: &ExternType,
) -> Result<()> {
    if types.extern_matches(found, expected) {
        return Ok(());
    }
    Err(mismatch(types, module, name, expected, found))
}

/// The error for an import that nothing is provided for.
pub(crate) fn unknown_import(
    types: &impl TypeLookup,
    module: &str,
    name: &str,
    expected: &ExternType,
) -> Error {
    Error::msg(format!(
        "unknown import: `{}`::`{}` has not been defined; the module expects {}",
        module.escape_debug(),
        name.escape_debug(),
        Shown(types, expected),
    ))
}

#[cold]
fn mismatch(
    types: &impl TypeLookup,
    module: &str,
    name: &str,
    expected: &ExternType,
    found: &ExternType,
) -> Error {
    let reason = reason(types, expected, found);
    Error::msg(format!(
        "incompatible import type for `{}`::`{}`: expected {}, found {}: {reason}",
        module.escape_debug(),
        name.escape_debug(),
        Shown(types, expected),
        Shown(types, found),
    ))
}

/// Which rule is broken.
fn reason(types: &impl TypeLookup, expected: &ExternType, found: &ExternType) -> String {
    match (expected, found) {
        (ExternType::Func(expected), ExternType::Func(found)) => {
            let same_structure = func(types, *expected) == func(types, *found);
            if same_structure {
                "the function types have the same structure but are declared differently \
                 (recursion group, finality or supertype)"
                    .into()
            } else {
                "the function has another type".into()
            }
        }
        (ExternType::Table(expected), ExternType::Table(found)) => {
            if expected.table64 != found.table64 {
                index_types(expected.table64, found.table64)
            } else if !(types.is_sub_ref(expected.element, found.element)
                && types.is_sub_ref(found.element, expected.element))
            {
                "the element types differ".into()
            } else {
                limits(
                    "elements",
                    (expected.minimum, expected.maximum),
                    (found.minimum, found.maximum),
                )
            }
        }
        (ExternType::Memory(expected), ExternType::Memory(found)) => {
            if expected.shared != found.shared {
                let word = |shared| if shared { "shared" } else { "not shared" };
                format!(
                    "expected a memory that is {}, found one that is {}",
                    word(expected.shared),
                    word(found.shared)
                )
            } else if expected.memory64 != found.memory64 {
                index_types(expected.memory64, found.memory64)
            } else if expected.page_size_log2 != found.page_size_log2 {
                format!(
                    "expected pages of {} bytes, found pages of {} bytes",
                    expected.page_size(),
                    found.page_size()
                )
            } else {
                limits(
                    "pages",
                    (expected.minimum, expected.maximum),
                    (found.minimum, found.maximum),
                )
            }
        }
        (ExternType::Global(expected), ExternType::Global(found)) => {
            if expected.mutable != found.mutable {
                let word = |mutable| if mutable { "mutable" } else { "immutable" };
                format!(
                    "expected a global that is {}, found one that is {}",
                    word(expected.mutable),
                    word(found.mutable)
                )
            } else if expected.mutable {
                "the type of a mutable global must be the same".into()
            } else {
                "the type of the global is no subtype".into()
            }
        }
        (ExternType::Tag(_), ExternType::Tag(_)) => "the tags have different types".into(),
        _ => format!("expected a {}, found a {}", expected.kind(), found.kind()),
    }
}

fn index_types(expected_64: bool, found_64: bool) -> String {
    let word = |is_64| if is_64 { "i64" } else { "i32" };
    format!(
        "expected one indexed by {}, found one indexed by {}",
        word(expected_64),
        word(found_64)
    )
}

fn limits(what: &str, expected: (u64, Option<u64>), found: (u64, Option<u64>)) -> String {
    if found.0 < expected.0 {
        return format!("expected at least {} {what}, found {}", expected.0, found.0);
    }
    match (expected.1, found.1) {
        (Some(expected), Some(found)) => {
            format!("expected a maximum of at most {expected} {what}, found {found}")
        }
        (Some(expected), None) => {
            format!("expected a maximum of at most {expected} {what}, found no maximum")
        }
        (None, _) => "the limits differ".into(),
    }
}

fn func(types: &impl TypeLookup, id: TypeId) -> Option<&FuncType> {
    types.sub_type(id)?.as_func()
}

/// A type with the function types that it names written out.
struct Shown<'a, T>(&'a T, &'a ExternType);

impl<T: TypeLookup> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = match self.1 {
            ExternType::Func(id) => *id,
            ExternType::Tag(tag) => tag.ty,
            other => return fmt::Display::fmt(other, f),
        };
        match (func(self.0, id), self.1) {
            (Some(ty), ExternType::Func(_)) => fmt::Display::fmt(ty, f),
            (Some(ty), _) => write!(f, "(tag {ty})"),
            (None, other) => fmt::Display::fmt(other, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tepui_module::{
        GlobalType, HeapType, MemoryType, RefType, TableType, TypeRegistry, ValType,
    };

    const MEMORY: MemoryType = MemoryType {
        minimum: 2,
        maximum: Some(4),
        shared: false,
        memory64: false,
        page_size_log2: 16,
    };

    const TABLE: TableType = TableType {
        element: RefType::FUNCREF,
        minimum: 2,
        maximum: None,
        table64: false,
    };

    /// The error for importing `found` as `expected`, or nothing.
    fn check(types: &TypeRegistry, expected: ExternType, found: ExternType) -> Option<String> {
        check_import(types, "env", "x", &expected, &found)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn memories() {
        let types = TypeRegistry::new();
        let memory = |found| {
            check(
                &types,
                ExternType::Memory(MEMORY),
                ExternType::Memory(found),
            )
        };
        assert_eq!(memory(MEMORY), None);
        assert_eq!(
            memory(MemoryType {
                minimum: 4,
                maximum: Some(4),
                ..MEMORY
            }),
            None
        );
        assert_eq!(
            memory(MemoryType {
                minimum: 1,
                ..MEMORY
            })
            .unwrap(),
            "incompatible import type for `env`::`x`: expected (memory 2 4), \
             found (memory 1 4): expected at least 2 pages, found 1"
        );
        for (found, reason) in [
            (
                MemoryType {
                    maximum: None,
                    ..MEMORY
                },
                "at most 4 pages, found no maximum",
            ),
            (
                MemoryType {
                    maximum: Some(5),
                    ..MEMORY
                },
                "at most 4 pages, found 5",
            ),
            (
                MemoryType {
                    shared: true,
                    ..MEMORY
                },
                "found one that is shared",
            ),
            (
                MemoryType {
                    memory64: true,
                    ..MEMORY
                },
                "found one indexed by i64",
            ),
            (
                MemoryType {
                    page_size_log2: 0,
                    ..MEMORY
                },
                "found pages of 1 bytes",
            ),
        ] {
            let message = memory(found).unwrap();
            assert!(message.ends_with(reason), "{message}");
        }
    }

    #[test]
    fn tables_have_invariant_elements() {
        let types = TypeRegistry::new();
        let table = |found| check(&types, ExternType::Table(TABLE), ExternType::Table(found));
        assert_eq!(
            table(TableType {
                minimum: 9,
                maximum: Some(9),
                ..TABLE
            }),
            None
        );
        let message = table(TableType {
            element: RefType::new(true, HeapType::NoFunc),
            ..TABLE
        });
        assert!(message.unwrap().ends_with("the element types differ"));
        let message = table(TableType {
            table64: true,
            ..TABLE
        });
        assert!(message.unwrap().ends_with("indexed by i64"));
        let message = table(TableType {
            minimum: 1,
            ..TABLE
        });
        assert!(message.unwrap().ends_with("at least 2 elements, found 1"));
    }

    #[test]
    fn globals_vary_only_when_they_cannot_change() {
        let types = TypeRegistry::new();
        let global = |content, mutable| ExternType::Global(GlobalType { content, mutable });
        let narrow = ValType::Ref(RefType::new(false, HeapType::Func));
        let wide = ValType::FUNCREF;
        assert_eq!(
            check(&types, global(wide, false), global(narrow, false)),
            None
        );
        assert!(check(&types, global(narrow, false), global(wide, false)).is_some());
        let message = check(&types, global(wide, true), global(narrow, true)).unwrap();
        assert!(message.ends_with("must be the same"), "{message}");
        let message = check(&types, global(wide, true), global(wide, false)).unwrap();
        assert!(
            message.ends_with("found one that is immutable"),
            "{message}"
        );
    }

    #[test]
    fn functions_are_written_out() {
        let mut types = TypeRegistry::new();
        let one = types
            .register_func(&FuncType::new([ValType::I32], []))
            .unwrap();
        let two = types
            .register_func(&FuncType::new([ValType::I64], [ValType::F32]))
            .unwrap();
        let (one, two) = (one.types()[0].id(), two.types()[0].id());
        assert_eq!(
            check(&types, ExternType::Func(one), ExternType::Func(one)),
            None
        );
        assert_eq!(
            check(&types, ExternType::Func(one), ExternType::Func(two)).unwrap(),
            "incompatible import type for `env`::`x`: expected (func (param i32)), \
             found (func (param i64) (result f32)): the function has another type"
        );
        let message = check(&types, ExternType::Func(one), ExternType::Memory(MEMORY)).unwrap();
        assert!(
            message.ends_with("expected a func, found a memory"),
            "{message}"
        );
        assert_eq!(
            unknown_import(&types, "e\nv", "f", &ExternType::Func(two)).to_string(),
            "unknown import: `e\\nv`::`f` has not been defined; \
             the module expects (func (param i64) (result f32))"
        );
    }
}
