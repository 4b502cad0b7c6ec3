//! How are linear memories accessed without leaving them? Addresses, bounds,
//! loads and stores, and the bulk instructions.
//!
//! # Bounds
//!
//! An access of `width` bytes at `index + offset` must end within the length.
//!
//! * A *guarded* memory is followed by addresses that fault. A 32-bit index,
//!   zero-extended, plus a static offset that cannot reach beyond the guard
//!   needs no check. Farther offsets compare the index with a constant: beyond
//!   it the access would end past 4 GiB, which no 32-bit memory does.
//! * A *checked* memory compares the end of the access with the length, in
//!   64 bits. For 32-bit indices the sum cannot wrap. For 64-bit indices it is
//!   added with a trap on overflow, or, when the least size of the memory is
//!   known to be enough, the length is reduced instead.
//!
//! With hardening on, the address of an access that fails its check is replaced
//! by null, also under misspeculation, and the access to null is the trap; there
//! is no branch.
//!
//! # Stores that end outside
//!
//! A store to a guarded memory may begin inside and end outside. It must write
//! nothing then. For machines that may have written the first part when the second
//! faults, the last byte is loaded first. The code generator does not remove a load
//! that may fault, unless the same has been loaded before, which serves as well.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value, types,
};
use tepui_abi::builtin::Builtin;
use tepui_abi::layout::MemoryLayout;
use tepui_abi::{MemoryPlace, MemoryStyle, Trap};
use tepui_module::{MemoryIndex, MemoryType};
use wasmparser::{MemArg, MemArgTarget};

use super::regions::Faults;
use super::{Step, Stop, Translator};

/// What a translation knows of a memory.
#[derive(Clone, Copy)]
pub(super) struct MemoryState {
    ty: MemoryType,
    style: MemoryStyle,
    /// The definition: a pointer and an offset from it.
    definition: (Value, i32),
    /// The base, when it never moves.
    base: Option<Value>,
    /// The length in bytes, when it never changes.
    length: Option<u64>,
}

impl MemoryState {
    /// Whether indices are `i64`.
    pub(super) fn is_64(&self) -> bool {
        self.ty.memory64
    }
}

/// An address that may be accessed.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) base: Value,
    pub(super) offset: i32,
    pub(super) flags: MemFlagsData,
    end: End,
}

/// Where an access ends that begins inside of the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Inside.
    Inside,
    /// Inside, or among the addresses behind the memory that fault.
    Anywhere,
}

/// The memory that an instruction names.
pub(super) fn memory_of(memarg: &MemArg) -> Step<u32> {
    match memarg.target {
        MemArgTarget::Memory(index) => Ok(index),
        MemArgTarget::Array(_) => Err(Stop::new(
            "the multibyte-array-access proposal is not implemented",
        )),
    }
}

impl Translator<'_, '_> {
    pub(super) fn memory_state(&mut self, memory: u32) -> MemoryState {
        if let Some(state) = self.memories.get(&memory) {
            return *state;
        }
        let index = MemoryIndex::new(memory);
        let ty = *self.module.memory(index);
        let plan = *self.plan.memory(index);
        let layout = MemoryLayout::new(self.machine.target);
        let definition = match plan.place {
            MemoryPlace::Direct(number) => {
                (self.context, self.plan.layout.direct_memory(number) as i32)
            }
            MemoryPlace::Indirect(number) => {
                let offset = self.plan.layout.indirect_memory(number);
                (self.context_pointer(offset), 0)
            }
        };
        let is_fixed = ty.page_limit() == ty.minimum;
        let never_moves =
            matches!(plan.style, MemoryStyle::Guarded { .. }) || ty.shared || is_fixed;
        let base = never_moves.then(|| {
            let flags = self.regions.constant();
            self.at_entry(|cursor| {
                use cranelift_codegen::ir::InstBuilder;
                let offset = definition.1 + layout.base() as i32;
                cursor.ins().load(types::I64, flags, definition.0, offset)
            })
        });
        let state = MemoryState {
            ty,
            style: plan.style,
            definition,
            base,
            length: if is_fixed { ty.minimum_bytes() } else { None },
        };
        self.memories.insert(memory, state);
        state
    }

    fn memory_base(&mut self, state: &MemoryState) -> Value {
        match state.base {
            Some(base) => base,
            None => {
                let layout = MemoryLayout::new(self.machine.target);
                self.builder.ins().load(
                    types::I64,
                    self.regions.definition(),
                    state.definition.0,
                    state.definition.1 + layout.base() as i32,
                )
            }
        }
    }

    fn memory_length(&mut self, state: &MemoryState) -> Value {
        match state.length {
            Some(length) => self.iconst64(length),
            // Aligned and as wide as a register: atomic on every target.
            None => {
                let layout = MemoryLayout::new(self.machine.target);
                self.builder.ins().load(
                    types::I64,
                    self.regions.definition(),
                    state.definition.0,
                    state.definition.1 + layout.length() as i32,
                )
            }
        }
    }

    /// An index as 64 bits. Of a 32-bit one nothing is assumed of the upper half.
    pub(super) fn wide_index(&mut self, index: Value, is_64: bool) -> Value {
        if is_64 {
            index
        } else {
            self.builder.ins().uextend(types::I64, index)
        }
    }

    /// The address of `width` bytes at `index` plus the offset of `memarg`, or
    /// `None` when the access always traps; then the code at hand has ended.
    pub(super) fn address(
        &mut self,
        memarg: &MemArg,
        index: Value,
        width: u32,
    ) -> Step<Option<Address>> {
        let state = self.memory_state(memory_of(memarg)?);
        let Some(end) = memarg.offset.checked_add(u64::from(width)) else {
            self.trap(Trap::MemoryOutOfBounds);
            return Ok(None);
        };
        if end > state.ty.byte_limit() {
            self.trap(Trap::MemoryOutOfBounds);
            return Ok(None);
        }
        let index = self.wide_index(index, state.is_64());
        if let MemoryStyle::Guarded { reservation, guard } = state.style {
            let base = self.memory_base(&state);
            let farthest = u64::from(u32::MAX) + end;
            if farthest <= reservation.saturating_add(guard) {
                // Memories begin and end with pages.
                let is_aligned = self.constant(index).is_some_and(|index| {
                    (index.wrapping_add(memarg.offset)).is_multiple_of(u64::from(width))
                });
                let end = if is_aligned {
                    End::Inside
                } else {
                    End::Anywhere
                };
                let address = self.builder.ins().iadd(base, index);
                return Ok(Some(self.with_offset(
                    address,
                    memarg.offset,
                    Faults::Outside,
                    end,
                )));
            }
            // The index beyond which the access ends past what a 32-bit memory
            // can have; below it, the guard region does the rest.
            let greatest = self.iconst64((1 << 32) - end);
            let is_out = self
                .builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThan, index, greatest);
            return Ok(Some(self.guarded_by(
                is_out,
                base,
                index,
                memarg.offset,
                Faults::Outside,
            )));
        }

        let length = self.memory_length(&state);
        let is_out = if !state.is_64() {
            let end = self.iconst64(end);
            let end = self.builder.ins().iadd(index, end);
            self.builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThan, end, length)
        } else if state.ty.minimum_bytes().is_some_and(|least| least >= end) {
            // The length never falls below the least size.
            let end = self.iconst64(end);
            let greatest = self.builder.ins().isub(length, end);
            self.builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThan, index, greatest)
        } else {
            let end = self.iconst64(end);
            let end = self.builder.ins().uadd_overflow_trap(
                index,
                end,
                super::trap_code(Trap::MemoryOutOfBounds),
            );
            self.builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThan, end, length)
        };
        let base = self.memory_base(&state);
        Ok(Some(self.guarded_by(
            is_out,
            base,
            index,
            memarg.offset,
            Faults::Never,
        )))
    }

    /// The address of an access that must not happen when `is_out` holds;
    /// `otherwise` says whether it can still fault when it does not hold.
    fn guarded_by(
        &mut self,
        is_out: Value,
        base: Value,
        index: Value,
        offset: u64,
        otherwise: Faults,
    ) -> Address {
        let end = match otherwise {
            Faults::Outside => End::Anywhere,
            Faults::Never => End::Inside,
        };
        if !self.tunables.spectre {
            self.trap_if(is_out, Trap::MemoryOutOfBounds);
            let address = self.builder.ins().iadd(base, index);
            return self.with_offset(address, offset, otherwise, end);
        }
        let mut address = self.builder.ins().iadd(base, index);
        if offset != 0 {
            let offset = self.iconst64(offset);
            address = self.builder.ins().iadd(address, offset);
        }
        let null = self.iconst64(0);
        let address = self
            .builder
            .ins()
            .select_spectre_guard(is_out, null, address);
        self.with_offset(address, 0, Faults::Outside, end)
    }

    /// An address plus an offset.
    fn with_offset(&mut self, address: Value, offset: u64, faults: Faults, end: End) -> Address {
        let flags = self.regions.memory(faults);
        match i32::try_from(offset) {
            Ok(offset) => Address {
                base: address,
                offset,
                flags,
                end,
            },
            Err(_) => {
                let offset = self.iconst64(offset);
                Address {
                    base: self.builder.ins().iadd(address, offset),
                    offset: 0,
                    flags,
                    end,
                }
            }
        }
    }

    /// A load of `memory_type`, extended as `opcode` says to `ty`.
    pub(super) fn load(&mut self, memarg: &MemArg, opcode: Opcode, ty: Type) -> Step {
        let index = self.pop();
        let width = match opcode {
            Opcode::Uload8 | Opcode::Sload8 => 1,
            Opcode::Uload16 | Opcode::Sload16 => 2,
            Opcode::Uload32 | Opcode::Sload32 => 4,
            _ => ty.bytes(),
        };
        let Some(address) = self.address(memarg, index, width)? else {
            return Ok(());
        };
        let Address {
            base,
            offset,
            flags,
            ..
        } = address;
        let ins = self.builder.ins();
        let value = match opcode {
            Opcode::Uload8 => ins.uload8(ty, flags, base, offset),
            Opcode::Sload8 => ins.sload8(ty, flags, base, offset),
            Opcode::Uload16 => ins.uload16(ty, flags, base, offset),
            Opcode::Sload16 => ins.sload16(ty, flags, base, offset),
            Opcode::Uload32 => ins.uload32(flags, base, offset),
            Opcode::Sload32 => ins.sload32(flags, base, offset),
            _ => ins.load(ty, flags, base, offset),
        };
        self.push(value);
        Ok(())
    }

    /// A store of the low `width` bytes.
    pub(super) fn store(&mut self, memarg: &MemArg, width: u32) -> Step {
        let (index, value) = self.pop2();
        if let Some(address) = self.address(memarg, index, width)? {
            self.store_at(address, value, width);
        }
        Ok(())
    }

    /// Stores the low `width` bytes of a value: all of them, or none with a trap.
    pub(super) fn store_at(&mut self, address: Address, value: Value, width: u32) {
        let Address {
            base,
            offset,
            flags,
            end,
        } = address;
        let ty = self.value_type(value);
        let is_whole = ty.bytes() == width;
        let may_be_split =
            end == End::Anywhere && width > 1 && self.machine.target.architecture.splits_stores();
        if may_be_split {
            let last = width as i32 - 1;
            let (base, offset) = match offset.checked_add(last) {
                Some(offset) => (base, offset),
                None => {
                    let last = self.iconst64(last as u64);
                    (self.builder.ins().iadd(base, last), offset)
                }
            };
            self.builder.ins().uload8(types::I32, flags, base, offset);
        }
        let ins = self.builder.ins();
        match width {
            _ if is_whole => ins.store(flags, value, base, offset),
            1 => ins.istore8(flags, value, base, offset),
            2 => ins.istore16(flags, value, base, offset),
            _ => ins.istore32(flags, value, base, offset),
        };
    }

    /// The number that a value is known to be.
    fn constant(&self, value: Value) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        match dfg.insts[dfg.value_def(value).inst()?] {
            InstructionData::UnaryImm {
                opcode: Opcode::Iconst,
                imm,
            } => {
                let unused = 64u32.checked_sub(dfg.value_type(value).bits())?;
                Some(imm.bits() as u64 & u64::MAX >> unused)
            }
            // An index of 32 bits.
            InstructionData::Unary {
                opcode: Opcode::Uextend,
                arg,
            } => self.constant(arg),
            _ => None,
        }
    }

    // Sizes and bulk instructions.

    /// The size in pages, as the memory's index type.
    pub(super) fn memory_size(&mut self, memory: u32) {
        let state = self.memory_state(memory);
        let length = self.memory_length(&state);
        let shift = self.iconst64(u64::from(state.ty.page_size_log2));
        let pages = self.builder.ins().ushr(length, shift);
        let pages = self.narrow_index(pages, state.is_64());
        self.push(pages);
    }

    /// 64 bits as an index type.
    pub(super) fn narrow_index(&mut self, value: Value, is_64: bool) -> Value {
        if is_64 {
            value
        } else {
            self.builder.ins().ireduce(types::I32, value)
        }
    }

    pub(super) fn memory_grow(&mut self, memory: u32) {
        self.charge();
        let is_64 = self.memory_state(memory).is_64();
        let delta = self.pop();
        let delta = self.wide_index(delta, is_64);
        let memory = self.iconst32(memory);
        let old = self.call_builtin_value(Builtin::memory_grow, &[delta, memory]);
        let old = self.narrow_index(old, is_64);
        self.push(old);
    }

    pub(super) fn memory_copy(&mut self, destination: u32, source: u32) {
        let to_64 = self.memory_state(destination).is_64();
        let from_64 = self.memory_state(source).is_64();
        let (to, from, length) = self.pop3();
        let to = self.wide_index(to, to_64);
        let from = self.wide_index(from, from_64);
        let length = self.wide_index(length, to_64 && from_64);
        let destination = self.iconst32(destination);
        let source = self.iconst32(source);
        self.call_builtin(
            Builtin::memory_copy,
            &[destination, source, to, from, length],
        );
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let is_64 = self.memory_state(memory).is_64();
        let (to, value, length) = self.pop3();
        let to = self.wide_index(to, is_64);
        let length = self.wide_index(length, is_64);
        let memory = self.iconst32(memory);
        self.call_builtin(Builtin::memory_fill, &[memory, to, value, length]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, data: u32) {
        let is_64 = self.memory_state(memory).is_64();
        let (to, from, length) = self.pop3();
        let to = self.wide_index(to, is_64);
        let memory = self.iconst32(memory);
        let data = self.iconst32(data);
        self.call_builtin(Builtin::memory_init, &[memory, data, to, from, length]);
    }

    pub(super) fn data_drop(&mut self, data: u32) {
        let data = self.iconst32(data);
        self.call_builtin(Builtin::data_drop, &[data]);
    }
}
