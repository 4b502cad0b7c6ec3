//! The memory that generated code reads: contexts, function references, and
//! the definitions of memories, tables and globals.
//!
//! Two kinds of context exist. A **store context** is one per store and holds
//! limits and the state of the running call chain. A **context** is what a
//! function is called with: an *instance context* for a Wasm function, a *host
//! context* for a host function. Both kinds begin with the same two pointers
//! ([`ContextHeader`]), so that stubs need not know which one they were given.
//!
//! Offsets are in bytes. Pointers are as wide as the target's; every structure
//! that is embedded in an instance context is aligned to 16 bytes at most, and
//! instance contexts are 16-byte aligned.

use crate::target::Target;

/// Bytes in a global definition, 16-byte aligned: one `v128`, whose lane 0 comes
/// first on every target; narrower values in the byte order of the target.
pub const GLOBAL_BYTES: u32 = 16;

const fn align(offset: u32, to: u32) -> u32 {
    (offset + to - 1) & !(to - 1)
}

/// The layout of a store context: limits, counters, state of the call chain.
#[derive(Clone, Copy, Debug)]
pub struct StoreLayout {
    pointer: u32,
}

impl StoreLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> StoreLayout {
        StoreLayout {
            pointer: target.pointer(),
        }
    }

    const fn pointers_start(&self) -> u32 {
        24
    }

    /// Fuel left to consume, negated, as an `i64`: it counts up, and generated
    /// code asks for more (or traps) once it is positive.
    pub const fn fuel(&self) -> u32 {
        0
    }

    /// The epoch, a `u64`, at which generated code calls the runtime.
    pub const fn epoch_deadline(&self) -> u32 {
        8
    }

    /// Non-zero (a `u32`) when a builtin asks its stub to unwind rather than
    /// to return: 1 to the frame that entered Wasm, 2 to a handler.
    pub const fn pending(&self) -> u32 {
        16
    }

    /// The lowest address that the stack pointer may reach; that of the running
    /// [stack object](crate::stack), kept here because every prologue reads it.
    pub const fn stack_limit(&self) -> u32 {
        self.pointers_start()
    }

    /// The running [stack object](crate::stack).
    pub const fn stack(&self) -> u32 {
        self.pointers_start() + self.pointer
    }

    /// The stack pointer of the innermost *enter* frame: where a trap lands.
    pub const fn entry_sp(&self) -> u32 {
        self.pointers_start() + 2 * self.pointer
    }

    /// The frame pointer of the stub through which the guest last left for the
    /// host. There lies the frame pointer of the guest's frame, and a pointer
    /// above it the return address into the guest.
    pub const fn exit_fp(&self) -> u32 {
        self.pointers_start() + 3 * self.pointer
    }

    /// The code that *leave* jumps to for a tail call, and code that leaves a
    /// [hot loop](crate::profile).
    pub const fn tail_code(&self) -> u32 {
        self.pointers_start() + 4 * self.pointer
    }

    /// The callee context of that tail call.
    pub const fn tail_context(&self) -> u32 {
        self.pointers_start() + 5 * self.pointer
    }

    /// The runtime's store, opaque to generated code.
    pub const fn store(&self) -> u32 {
        self.pointers_start() + 6 * self.pointer
    }

    /// Bytes in a store context.
    pub const fn size(&self) -> u32 {
        align(self.pointers_start() + 7 * self.pointer, 16)
    }
}

/// The two pointers that every context begins with.
#[derive(Clone, Copy, Debug)]
pub struct ContextHeader {
    pointer: u32,
}

impl ContextHeader {
    /// The layout on `target`.
    pub const fn new(target: Target) -> ContextHeader {
        ContextHeader {
            pointer: target.pointer(),
        }
    }

    /// The store context.
    pub const fn store_context(&self) -> u32 {
        0
    }

    /// In an instance context the [builtin table](crate::builtin); in a host
    /// context the function that *leave* calls
    /// (`extern "C" fn(callee, caller, image, slot) -> LeaveStatus`).
    pub const fn builtins(&self) -> u32 {
        self.pointer
    }

    /// The same word of a host context.
    pub const fn host_entry(&self) -> u32 {
        self.pointer
    }

    /// Bytes in the header. The rest of a host context is the runtime's own.
    pub const fn size(&self) -> u32 {
        2 * self.pointer
    }
}

/// The layout of a function reference: what a non-null `funcref` points to.
#[derive(Clone, Copy, Debug)]
pub struct FuncRefLayout {
    pointer: u32,
}

impl FuncRefLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> FuncRefLayout {
        FuncRefLayout {
            pointer: target.pointer(),
        }
    }

    /// The entry: a slot stub, or a *leave* stub for a host function.
    pub const fn code(&self) -> u32 {
        0
    }

    /// The callee context.
    pub const fn context(&self) -> u32 {
        self.pointer
    }

    /// The canonical type, engine-wide, as a `u32`.
    pub const fn type_id(&self) -> u32 {
        2 * self.pointer
    }

    /// The defined function of the context's module that it leads to, a `u32`;
    /// [`FuncRefLayout::NO_FUNCTION`] for a host function.
    pub const fn function(&self) -> u32 {
        2 * self.pointer + 4
    }

    /// What [`FuncRefLayout::function`] holds for a host function.
    pub const NO_FUNCTION: u32 = u32::MAX;

    /// Bytes in a function reference.
    pub const fn size(&self) -> u32 {
        2 * self.pointer + 8
    }
}

/// The layout of an imported function in an instance context.
#[derive(Clone, Copy, Debug)]
pub struct ImportedFunctionLayout {
    pointer: u32,
}

impl ImportedFunctionLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> ImportedFunctionLayout {
        ImportedFunctionLayout {
            pointer: target.pointer(),
        }
    }

    /// The entry, as in the function reference.
    pub const fn code(&self) -> u32 {
        0
    }

    /// The callee context.
    pub const fn context(&self) -> u32 {
        self.pointer
    }

    /// The function reference itself, for `ref.func`.
    pub const fn reference(&self) -> u32 {
        2 * self.pointer
    }

    /// Bytes in an imported function.
    pub const fn size(&self) -> u32 {
        3 * self.pointer
    }
}

/// The layout of a memory definition.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLayout {
    pointer: u32,
}

impl MemoryLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> MemoryLayout {
        MemoryLayout {
            pointer: target.pointer(),
        }
    }

    /// The address of byte 0.
    pub const fn base(&self) -> u32 {
        0
    }

    /// The size in bytes, pointer-wide. Read atomically for shared memories.
    pub const fn length(&self) -> u32 {
        self.pointer
    }

    /// Bytes in a memory definition.
    pub const fn size(&self) -> u32 {
        2 * self.pointer
    }
}

/// The layout of a table definition. Elements of function tables are pointers
/// to function references or null; of other tables, 32-bit ids, 0 being null.
#[derive(Clone, Copy, Debug)]
pub struct TableLayout {
    pointer: u32,
}

impl TableLayout {
    /// The layout on `target`.
    pub const fn new(target: Target) -> TableLayout {
        TableLayout {
            pointer: target.pointer(),
        }
    }

    /// The address of element 0.
    pub const fn base(&self) -> u32 {
        0
    }

    /// The number of elements, pointer-wide.
    pub const fn length(&self) -> u32 {
        self.pointer
    }

    /// Bytes in a table definition.
    pub const fn size(&self) -> u32 {
        2 * self.pointer
    }
}

/// What the layout of a module's instance contexts depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextShape {
    /// Imported functions.
    pub imported_functions: u32,
    /// Memories that are reached through a pointer: imported ones, and defined
    /// shared ones. Shared memories are numbered among them in index order.
    pub indirect_memories: u32,
    /// Memories whose definition lies in the context.
    pub direct_memories: u32,
    /// Imported tables.
    pub imported_tables: u32,
    /// Defined tables.
    pub defined_tables: u32,
    /// Imported globals.
    pub imported_globals: u32,
    /// Defined globals.
    pub defined_globals: u32,
    /// Tags, imported or defined.
    pub tags: u32,
    /// Defined functions whose reference can be taken.
    pub escaped_functions: u32,
    /// Whether there is a table of [profiles](crate::profile).
    pub profile: bool,
}

/// The layout of the instance contexts of one module on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLayout {
    target: Target,
    shape: ContextShape,
    indirect_memories: u32,
    direct_memories: u32,
    imported_tables: u32,
    defined_tables: u32,
    imported_globals: u32,
    tags: u32,
    imported_functions: u32,
    func_refs: u32,
    defined_globals: u32,
    profiles: u32,
    size: u32,
}

impl ContextLayout {
    /// Computes the layout.
    ///
    /// Numbers of things are bounded by the implementation limits of decoding
    /// (a million each), so that offsets fit into 31 bits.
    ///
    /// # Panics
    ///
    /// When `shape` is beyond those limits.
    pub fn new(target: Target, shape: ContextShape) -> ContextLayout {
        let pointer = target.pointer();
        let mut next = u64::from(7 * pointer);
        let mut take = |count: u32, bytes: u32, to: u32| {
            next = next.next_multiple_of(u64::from(to));
            let start = next;
            next += u64::from(count) * u64::from(bytes);
            assert!(next < 1 << 31, "instance context too large");
            start as u32
        };
        // What code reads most comes first, where offsets encode shortest.
        let profiles = take(u32::from(shape.profile), pointer, pointer);
        let direct_memories = take(
            shape.direct_memories,
            MemoryLayout::new(target).size(),
            pointer,
        );
        let indirect_memories = take(shape.indirect_memories, pointer, pointer);
        let defined_tables = take(
            shape.defined_tables,
            TableLayout::new(target).size(),
            pointer,
        );
        let imported_tables = take(shape.imported_tables, pointer, pointer);
        let defined_globals = take(shape.defined_globals, GLOBAL_BYTES, GLOBAL_BYTES);
        let imported_globals = take(shape.imported_globals, pointer, pointer);
        let tags = take(shape.tags, pointer, pointer);
        let imported_functions = take(
            shape.imported_functions,
            ImportedFunctionLayout::new(target).size(),
            pointer,
        );
        let func_refs = take(
            shape.escaped_functions,
            FuncRefLayout::new(target).size(),
            8,
        );
        let size = take(0, 0, 16);
        ContextLayout {
            target,
            shape,
            indirect_memories,
            direct_memories,
            imported_tables,
            defined_tables,
            imported_globals,
            tags,
            imported_functions,
            func_refs,
            defined_globals,
            profiles,
            size,
        }
    }

    /// The target that the layout is for.
    pub const fn target(&self) -> Target {
        self.target
    }

    /// What the layout was computed from.
    pub const fn shape(&self) -> &ContextShape {
        &self.shape
    }

    /// The store context.
    pub const fn store_context(&self) -> u32 {
        ContextHeader::new(self.target).store_context()
    }

    /// The [builtin table](crate::builtin).
    pub const fn builtins(&self) -> u32 {
        ContextHeader::new(self.target).builtins()
    }

    /// Pointer to the array of canonical type ids (`u32`), one per module type.
    pub const fn type_ids(&self) -> u32 {
        ContextLayout::type_ids_on(self.target)
    }

    /// [`ContextLayout::type_ids`], which is the same for every module.
    pub const fn type_ids_on(target: Target) -> u32 {
        2 * target.pointer()
    }

    /// Pointer to the [slot stub](crate::slots) of defined function 0.
    pub const fn stub_base(&self) -> u32 {
        3 * self.target.pointer()
    }

    /// Pointer to the engine's epoch counter, a `u64`.
    pub const fn epoch(&self) -> u32 {
        ContextLayout::epoch_on(self.target)
    }

    /// [`ContextLayout::epoch`], which is the same for every module.
    pub const fn epoch_on(target: Target) -> u32 {
        4 * target.pointer()
    }

    /// Pointer to what the interpreter keeps of the module's functions, opaque
    /// to generated code; null when no function of it is interpreted.
    pub const fn functions(&self) -> u32 {
        ContextLayout::functions_on(self.target)
    }

    /// [`ContextLayout::functions`], which is the same for every module.
    pub const fn functions_on(target: Target) -> u32 {
        6 * target.pointer()
    }

    /// The runtime's instance, opaque to generated code.
    pub const fn instance(&self) -> u32 {
        ContextLayout::instance_on(self.target)
    }

    /// [`ContextLayout::instance`], which is the same for every module.
    pub const fn instance_on(target: Target) -> u32 {
        5 * target.pointer()
    }

    /// Pointer to the table of [profiles](crate::profile), a pointer for each defined
    /// function.
    pub fn profiles(&self) -> u32 {
        debug_assert!(self.shape.profile);
        self.profiles
    }

    /// Definition of direct memory `index`.
    pub fn direct_memory(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.direct_memories);
        self.direct_memories + index * MemoryLayout::new(self.target).size()
    }

    /// Pointer to the definition of indirect memory `index`.
    pub fn indirect_memory(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.indirect_memories);
        self.indirect_memories + index * self.target.pointer()
    }

    /// Pointer to the definition of imported table `index`.
    pub fn imported_table(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.imported_tables);
        self.imported_tables + index * self.target.pointer()
    }

    /// Definition of defined table `index`.
    pub fn defined_table(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.defined_tables);
        self.defined_tables + index * TableLayout::new(self.target).size()
    }

    /// Pointer to imported global `index`.
    pub fn imported_global(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.imported_globals);
        self.imported_globals + index * self.target.pointer()
    }

    /// Defined global `index`, 16-byte aligned.
    pub fn defined_global(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.defined_globals);
        self.defined_globals + index * GLOBAL_BYTES
    }

    /// Pointer that identifies tag `index` (imported ones first).
    pub fn tag(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.tags);
        self.tags + index * self.target.pointer()
    }

    /// [Imported function](ImportedFunctionLayout) `index`.
    pub fn imported_function(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.imported_functions);
        self.imported_functions + index * ImportedFunctionLayout::new(self.target).size()
    }

    /// [Function reference](FuncRefLayout) of escaped function `index`, counted
    /// among the defined functions whose reference can be taken.
    pub fn func_ref(&self, index: u32) -> u32 {
        debug_assert!(index < self.shape.escaped_functions);
        self.func_refs + index * FuncRefLayout::new(self.target).size()
    }

    /// Bytes in an instance context, a multiple of 16.
    pub const fn size(&self) -> u32 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Architecture, Endianness};
    use alloc::vec::Vec;

    #[test]
    fn regions_do_not_overlap() {
        let narrow = Target {
            architecture: Architecture::Interpreted,
            pointer_bytes: 4,
            endianness: Endianness::Little,
        };
        for target in [Target::of(Architecture::X86_64), narrow] {
            let shape = ContextShape {
                imported_functions: 3,
                indirect_memories: 2,
                direct_memories: 1,
                imported_tables: 3,
                defined_tables: 2,
                imported_globals: 5,
                defined_globals: 3,
                tags: 1,
                escaped_functions: 4,
                profile: true,
            };
            let layout = ContextLayout::new(target, shape);
            let pointer = target.pointer();
            let mut regions: Vec<(u32, u32)> = Vec::new();
            for offset in [
                layout.store_context(),
                layout.builtins(),
                layout.type_ids(),
                layout.stub_base(),
                layout.epoch(),
                layout.instance(),
                layout.functions(),
                layout.profiles(),
            ] {
                regions.push((offset, pointer));
            }
            for i in 0..shape.direct_memories {
                regions.push((layout.direct_memory(i), 2 * pointer));
            }
            for i in 0..shape.indirect_memories {
                regions.push((layout.indirect_memory(i), pointer));
            }
            for i in 0..shape.imported_tables {
                regions.push((layout.imported_table(i), pointer));
            }
            for i in 0..shape.defined_tables {
                regions.push((layout.defined_table(i), 2 * pointer));
            }
            for i in 0..shape.imported_globals {
                regions.push((layout.imported_global(i), pointer));
            }
            for i in 0..shape.defined_globals {
                assert_eq!(layout.defined_global(i) % 16, 0);
                regions.push((layout.defined_global(i), 16));
            }
            for i in 0..shape.tags {
                regions.push((layout.tag(i), pointer));
            }
            for i in 0..shape.imported_functions {
                regions.push((layout.imported_function(i), 3 * pointer));
            }
            for i in 0..shape.escaped_functions {
                assert_eq!(layout.func_ref(i) % 8, 0);
                regions.push((layout.func_ref(i), 2 * pointer + 8));
            }
            regions.sort_unstable();
            for pair in regions.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?} overlap");
            }
            let (last, bytes) = regions[regions.len() - 1];
            assert!(last + bytes <= layout.size());
            assert_eq!(layout.size() % 16, 0);
        }
    }
}
