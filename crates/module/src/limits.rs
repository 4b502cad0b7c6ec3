//! How large may a module be? The implementation limits, by name.
//!
//! They are those of the WebAssembly JavaScript interface, section
//! "Implementation-defined Limits", which engines agree upon, so that a module
//! accepted here is accepted elsewhere. A module beyond one of them is refused
//! with an error of kind [`ErrorKind::Limit`](crate::ErrorKind::Limit).

/// Bytes of a module: 1 GiB. Offsets into a module therefore fit 32 bits.
pub const MODULE_SIZE: usize = 1 << 30;
/// Types of the type section.
pub const TYPES: usize = 1_000_000;
/// Levels of declared supertypes above a type.
pub const SUBTYPING_DEPTH: usize = 63;
/// Functions, imported and defined.
pub const FUNCTIONS: usize = 1_000_000;
/// Imports.
pub const IMPORTS: usize = 1_000_000;
/// Bytes by which the names of all imports together may exceed the module's
/// size. Only compact import sections, which write a module's name once for
/// many imports, can come near it.
pub const COMPACT_IMPORT_NAMES: usize = 16 << 20;
/// The sum of the sizes of all imported and exported types: one each, and one
/// for each parameter and result.
pub const EXTERN_TYPES_SIZE: usize = 1_000_000;
/// Exports.
pub const EXPORTS: usize = 1_000_000;
/// Globals, imported and defined.
pub const GLOBALS: usize = 1_000_000;
/// Tags, imported and defined.
pub const TAGS: usize = 1_000_000;
/// Tables, imported and defined.
pub const TABLES: usize = 100_000;
/// Memories, imported and defined.
pub const MEMORIES: usize = 100;
/// Element segments.
pub const ELEMENT_SEGMENTS: usize = 100_000;
/// Items of one element segment.
pub const ELEMENT_SEGMENT_ITEMS: usize = 10_000_000;
/// Data segments.
pub const DATA_SEGMENTS: usize = 100_000;
/// Bytes of a name: of an import, an export or a custom section.
pub const NAME_SIZE: usize = 100_000;
/// Bytes of a function body, its local declarations included.
pub const FUNCTION_SIZE: usize = 7_654_321;
/// Locals of a function, its parameters included.
pub const FUNCTION_LOCALS: usize = 50_000;
/// Parameters of a function or block type.
pub const FUNCTION_PARAMS: usize = 1_000;
/// Results of a function or block type.
pub const FUNCTION_RESULTS: usize = 1_000;
/// Targets of one `br_table`. No body that is allowed can hold more.
pub const BR_TABLE_SIZE: usize = FUNCTION_SIZE;
/// Fields of a structure type.
pub const STRUCT_FIELDS: usize = 10_000;
