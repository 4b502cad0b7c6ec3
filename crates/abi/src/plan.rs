//! How the things of a module are reached: the layout of its contexts, and the
//! style of access to each of its memories.

use alloc::vec::Vec;

use tepui_module::{FuncIndex, MemoryIndex, MemoryType, Module};

use crate::compiler::Tunables;
use crate::layout::{ContextLayout, ContextShape};
use crate::target::Target;

/// Where the definition of a memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPlace {
    /// In the context, as direct memory of this number.
    Direct(u32),
    /// Behind a pointer in the context, as indirect memory of this number.
    Indirect(u32),
}

/// How accesses to a memory are kept inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryStyle {
    /// The memory is followed by unmapped addresses up to `reservation` bytes
    /// from its base and `guard` bytes beyond; its base never moves. A 32-bit
    /// index plus a static offset below `guard` needs no check.
    Guarded {
        /// Bytes of address space from the base, at least 4 GiB.
        reservation: u64,
        /// Bytes of inaccessible address space after the reservation.
        guard: u64,
    },
    /// Every access is compared with the length. The base may move when the
    /// memory grows, unless the memory is shared.
    Checked,
}

impl MemoryStyle {
    /// The style of memories of type `ty`, wherever they are created.
    pub fn of(ty: &MemoryType, tunables: &Tunables) -> MemoryStyle {
        let guarded = tunables.memory_reservation >= 4 << 30
            && !ty.memory64
            && ty.page_size_log2 >= tunables.host_page_log2;
        if guarded {
            MemoryStyle::Guarded {
                reservation: tunables.memory_reservation,
                guard: tunables.memory_guard,
            }
        } else {
            MemoryStyle::Checked
        }
    }
}

/// What is decided about one memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Where its definition is.
    pub place: MemoryPlace,
    /// How accesses stay inside.
    pub style: MemoryStyle,
}

/// How the things of a module are reached on one target under given tunables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The layout of instance contexts.
    pub layout: ContextLayout,
    /// One plan per memory.
    pub memories: Vec<MemoryPlan>,
    /// Defined functions whose reference can be taken, ascending.
    pub escaped: Vec<FuncIndex>,
}

impl Plan {
    /// Decides for `module`.
    pub fn new(module: &Module, target: Target, tunables: &Tunables) -> Plan {
        let mut direct = 0;
        let mut indirect = 0;
        let imported_memories = module.imported_memory_count();
        let memories = module
            .memories()
            .iter()
            .enumerate()
            .map(|(index, ty)| {
                let place = if (index as u32) < imported_memories || ty.shared {
                    indirect += 1;
                    MemoryPlace::Indirect(indirect - 1)
                } else {
                    direct += 1;
                    MemoryPlace::Direct(direct - 1)
                };
                let style = MemoryStyle::of(ty, tunables);
                MemoryPlan { place, style }
            })
            .collect();
        let escaped: Vec<FuncIndex> = module
            .escaped_functions()
            .filter(|index| module.defined_func_index(*index).is_some())
            .collect();
        let shape = ContextShape {
            imported_functions: module.imported_function_count(),
            indirect_memories: indirect,
            direct_memories: direct,
            imported_tables: module.imported_table_count(),
            defined_tables: module.tables().len() as u32 - module.imported_table_count(),
            imported_globals: module.imported_global_count(),
            defined_globals: module.globals().len() as u32 - module.imported_global_count(),
            tags: module.tags().len() as u32,
            escaped_functions: escaped.len() as u32,
            profile: tunables.profile,
        };
        Plan {
            layout: ContextLayout::new(target, shape),
            memories,
            escaped,
        }
    }

    /// The plan of memory `index`.
    pub fn memory(&self, index: MemoryIndex) -> &MemoryPlan {
        &self.memories[index.as_u32() as usize]
    }

    /// The number of `function` among the escaped functions, if it is one.
    pub fn escaped_index(&self, function: FuncIndex) -> Option<u32> {
        self.escaped
            .binary_search(&function)
            .ok()
            .map(|index| index as u32)
    }
}
