//! Which memory does an access touch? The regions by which the code generator
//! tells apart accesses that cannot meet.
//!
//! | region | what lies there | written by |
//! |---|---|---|
//! | constant | what a context holds for good: pointers, type ids, bases that never move | nobody, while a frame lives |
//! | definition | bases and lengths of memories and tables that may grow | calls |
//! | memory | bytes of linear memories: two memories may be one | stores, calls |
//! | table | elements of tables: likewise | `table.set`, calls |
//! | imported globals | likewise | `global.set`, calls |
//! | defined globals | each in one of eight, by its number | `global.set`, calls |
//! | function reference | code, context and type of functions | nobody |
//! | store | counters in the store context | fuel, calls |
//! | overflow | parameters and results without a register; OSR buffers | calls, stores before calls and returns |
//!
//! A defined global is never an imported one of the same instance, because what
//! an instance imports exists before it.

use std::borrow::Cow;

use cranelift_codegen::ir::{AliasRegion, AliasRegionData, Endianness, Function, MemFlagsData};
use tepui_abi::Trap;

use super::trap_code;

/// Regions of defined globals.
const GLOBAL_REGIONS: usize = 8;

pub(super) struct Regions {
    constant: AliasRegion,
    definition: AliasRegion,
    memory: AliasRegion,
    table: AliasRegion,
    imported_global: AliasRegion,
    defined_globals: [AliasRegion; GLOBAL_REGIONS],
    reference: AliasRegion,
    store: AliasRegion,
    overflow: AliasRegion,
}

impl Regions {
    pub(super) fn new(func: &mut Function) -> Regions {
        let mut next = 0;
        let mut make = |description: &'static str| {
            next += 1;
            func.dfg.alias_regions.insert(AliasRegionData {
                user_id: next,
                description: Cow::Borrowed(description),
            })
        };
        Regions {
            constant: make("constant"),
            definition: make("definition"),
            memory: make("memory"),
            table: make("table"),
            imported_global: make("imported global"),
            defined_globals: std::array::from_fn(|_| make("defined global")),
            reference: make("function reference"),
            store: make("store"),
            overflow: make("overflow"),
        }
    }

    fn known(region: AliasRegion) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(region))
    }

    /// What a context holds for good.
    pub(super) fn constant(&self) -> MemFlagsData {
        Self::known(self.constant).with_readonly().with_can_move()
    }

    /// Bases and lengths that calls may change.
    pub(super) fn definition(&self) -> MemFlagsData {
        Self::known(self.definition)
    }

    /// An access to a memory that was checked, or that faults outside.
    pub(super) fn memory(&self, faults: Faults) -> MemFlagsData {
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_alias_region(Some(self.memory))
            .with_trap_code(match faults {
                Faults::Outside => Some(trap_code(Trap::MemoryOutOfBounds)),
                Faults::Never => None,
            })
    }

    /// An access to an element of a table.
    pub(super) fn table(&self, faults: Faults) -> MemFlagsData {
        Self::known(self.table).with_trap_code(match faults {
            Faults::Outside => Some(trap_code(Trap::TableOutOfBounds)),
            Faults::Never => None,
        })
    }

    /// An access to a mutable global.
    pub(super) fn imported_global(&self) -> MemFlagsData {
        Self::known(self.imported_global)
    }

    /// An access to a mutable global, by its number among the defined ones.
    pub(super) fn defined_global(&self, index: u32) -> MemFlagsData {
        Self::known(self.defined_globals[index as usize % GLOBAL_REGIONS])
    }

    /// A load from a function reference that is known not to be null, or whose
    /// being null is this trap.
    pub(super) fn reference(&self, null: Option<Trap>) -> MemFlagsData {
        Self::known(self.reference).with_trap_code(null.map(trap_code))
    }

    /// Counters in the store context.
    pub(super) fn store(&self) -> MemFlagsData {
        Self::known(self.store)
    }

    /// The overflow area, or an OSR buffer.
    pub(super) fn overflow(&self) -> MemFlagsData {
        Self::known(self.overflow)
    }
}

/// Whether an access can fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Faults {
    /// Where it is out of bounds, it faults.
    Outside,
    /// It is in bounds.
    Never,
}
