//! How are linear memories accessed without leaving them? Addresses, bounds,
//! loads and stores, and the bulk instructions.
//!
//! An access to a guarded memory with an offset below the guard is one
//! instruction: base, index and offset are its address. Everything else
//! computes the address in the second scratch register and compares, as the optimizing compiler does;
//! with hardening on, what is out of bounds becomes the address null without a
//! branch.
//!
//! Where nothing is compared, an access may begin inside of the memory and end
//! outside. A store that does so writes nothing: the assembler sees to that where
//! the machine does not.

use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation;
use tepui_abi::{MemoryStyle, Trap};
use tepui_module::MemoryType;
use wasmparser::{MemArg, MemArgTarget};

use super::{Entry, Function, Held, Place, Step, Stop};
use crate::masm::{Alu, Assembler, IntCc, Mem, Shift, Size, Src};
use crate::reg::Reg;

/// What is known of a memory.
#[derive(Clone, Copy)]
pub(super) struct MemoryFacts {
    pub(super) ty: MemoryType,
    pub(super) style: MemoryStyle,
    /// Where the base is: the offset of a pointer in the context, if the
    /// definition is behind one, then the offset of the word there.
    pub(super) base_at: (Option<i32>, i32),
    /// Where the length is, likewise.
    pub(super) length_at: (Option<i32>, i32),
    pub(super) never_moves: bool,
    /// The length in bytes, when it never changes.
    pub(super) length: Option<u64>,
}

impl MemoryFacts {
    pub(super) fn index(&self) -> Representation {
        if self.ty.memory64 {
            Representation::I64
        } else {
            Representation::I32
        }
    }
}

/// An address that may be accessed, and the trap of a fault.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) mem: Mem,
    pub(super) trap: Option<Trap>,
    pub(super) end: End,
}

/// Where an access ends that begins inside of the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Inside.
    Inside,
    /// Inside, or among the addresses behind the memory that fault.
    Anywhere,
}

pub(super) fn memory_of(memarg: &MemArg) -> Step<u32> {
    match memarg.target {
        MemArgTarget::Memory(index) => Ok(index),
        MemArgTarget::Array(_) => Err(Stop::new(
            "the multibyte-array-access proposal is not implemented",
        )),
    }
}

impl<A: Assembler> Function<'_, A> {
    /// A word of a definition: in the context, or behind a pointer that is
    /// loaded into `via`.
    fn definition_word(&mut self, at: (Option<i32>, i32), via: Reg) -> Mem {
        let context = self.context();
        match at.0 {
            Some(pointer) => {
                self.masm.load(Size::S64, via, Mem::at(context, pointer));
                Mem::at(via, at.1)
            }
            None => Mem::at(context, at.1),
        }
    }

    /// Loads the base of a memory into `dst`, unless it is in its register.
    fn base_register(&mut self, memory: u32, facts: &MemoryFacts, dst: Reg) -> Reg {
        if memory == 0 && self.memory.is_some() {
            self.saved |= A::MEMORY_BASE.bit();
            return A::MEMORY_BASE;
        }
        let word = self.definition_word(facts.base_at, dst);
        self.masm.load(Size::S64, dst, word);
        dst
    }

    /// The address of `width` bytes at the index plus the offset, or `None` when
    /// the access always traps; then the code at hand has ended. The index
    /// stays locked; the address may use the second scratch register, and
    /// nothing else that is scratch.
    pub(super) fn address(
        &mut self,
        memarg: &MemArg,
        index: Entry,
        width: u32,
    ) -> Step<Option<Address>> {
        if memarg.offset < self.plain_offsets
            && memarg.target == MemArgTarget::Memory(0)
            && !matches!(index.place(), Place::Const(_))
        {
            self.saved |= A::MEMORY_BASE.bit();
            let mem = Mem {
                base: A::MEMORY_BASE,
                index: Some(self.hold(index).reg),
                scale: 0,
                disp: memarg.offset as i32,
            };
            return Ok(Some(Address {
                mem,
                trap: Some(Trap::MemoryOutOfBounds),
                end: End::Anywhere,
            }));
        }
        self.general_address(memarg, index, width)
    }

    /// The same for any memory and any offset.
    fn general_address(
        &mut self,
        memarg: &MemArg,
        index: Entry,
        width: u32,
    ) -> Step<Option<Address>> {
        let memory = memory_of(memarg)?;
        let facts = match self.memory {
            Some(facts) if memory == 0 => facts,
            _ => self.memory_facts(memory),
        };
        let end = memarg.offset.checked_add(u64::from(width));
        let Some(end) = end.filter(|end| *end <= facts.ty.byte_limit()) else {
            self.trap_now(Trap::MemoryOutOfBounds);
            return Ok(None);
        };
        let outside = Some(Trap::MemoryOutOfBounds);
        if let MemoryStyle::Guarded { reservation, guard } = facts.style {
            let farthest = u64::from(u32::MAX) + end;
            if farthest <= reservation.saturating_add(guard)
                && let Ok(disp) = i32::try_from(memarg.offset)
            {
                if let Place::Const(value) = index.place()
                    && let Ok(disp) = i32::try_from(value + memarg.offset)
                {
                    let base = self.base_register(memory, &facts, A::SCRATCH_2);
                    // Memories begin and end with pages.
                    let is_aligned = u64::from(disp as u32).is_multiple_of(u64::from(width));
                    return Ok(Some(Address {
                        mem: Mem::at(base, disp),
                        trap: outside,
                        end: if is_aligned {
                            End::Inside
                        } else {
                            End::Anywhere
                        },
                    }));
                }
                let index = self.hold(index);
                let base = self.base_register(memory, &facts, A::SCRATCH_2);
                return Ok(Some(Address {
                    mem: Mem {
                        base,
                        index: Some(index.reg),
                        scale: 0,
                        disp,
                    },
                    trap: outside,
                    end: End::Anywhere,
                }));
            }
            // The index beyond which the access ends past what a 32-bit memory
            // can have; below it, the guard region does the rest.
            let index = self.hold(index);
            self.compute_address(memory, &facts, index, memarg.offset);
            self.masm.imm(A::SCRATCH, (1 << 32) - end);
            self.masm
                .compare(Size::S64, index.reg, Src::Reg(A::SCRATCH));
            return Ok(Some(self.clamped(IntCc::Above, outside)));
        }
        let index = self.hold(index);
        self.compute_address(memory, &facts, index, memarg.offset);
        let is_64 = facts.ty.memory64;
        let least = facts.ty.minimum_bytes();
        let (length, via) = match facts.length {
            Some(length) => (Some(length), A::SCRATCH_3),
            None => (None, A::SCRATCH_3),
        };
        let length_source = |this: &mut Self| match length {
            Some(length) => {
                this.masm.imm(via, length);
                Src::Reg(via)
            }
            None => {
                let word = this.definition_word(facts.length_at, via);
                Src::Mem(word)
            }
        };
        if is_64 && least.is_some_and(|least| least >= end) {
            // The length never falls below the least size.
            let length = length_source(self);
            match length {
                Src::Mem(mem) => self.masm.load(Size::S64, A::SCRATCH, mem),
                _ => self.masm.copy(A::SCRATCH, via),
            }
            self.subtract(A::SCRATCH, end);
            self.masm
                .compare(Size::S64, index.reg, Src::Reg(A::SCRATCH));
            return Ok(Some(self.clamped(IntCc::Above, None)));
        }
        if !is_64 && i32::try_from(end).is_ok() {
            self.masm
                .lea(Size::S64, A::SCRATCH, Mem::at(index.reg, end as i32));
        } else {
            self.masm.imm(A::SCRATCH, end);
            if is_64 {
                self.masm
                    .add_or_trap(A::SCRATCH, index.reg, Trap::MemoryOutOfBounds);
            } else {
                self.masm.alu(
                    Alu::Add,
                    Size::S64,
                    A::SCRATCH,
                    A::SCRATCH,
                    Src::Reg(index.reg),
                );
            }
        }
        let length = length_source(self);
        self.masm.compare(Size::S64, A::SCRATCH, length);
        Ok(Some(self.clamped(IntCc::Above, None)))
    }

    fn subtract(&mut self, reg: Reg, value: u64) {
        match i32::try_from(value) {
            Ok(value) => self
                .masm
                .alu(Alu::Sub, Size::S64, reg, reg, Src::Imm(i64::from(value))),
            Err(_) => {
                self.masm.imm(A::SCRATCH_3, value);
                self.masm
                    .alu(Alu::Sub, Size::S64, reg, reg, Src::Reg(A::SCRATCH_3));
            }
        }
    }

    /// Base plus index plus offset in the second scratch register.
    fn compute_address(&mut self, memory: u32, facts: &MemoryFacts, index: Held, offset: u64) {
        let base = self.base_register(memory, facts, A::SCRATCH_2);
        let disp = i32::try_from(offset);
        self.masm.lea(
            Size::S64,
            A::SCRATCH_2,
            Mem {
                base,
                index: Some(index.reg),
                scale: 0,
                disp: disp.unwrap_or(0),
            },
        );
        if disp.is_err() {
            self.masm.imm(A::SCRATCH, offset);
            self.masm.alu(
                Alu::Add,
                Size::S64,
                A::SCRATCH_2,
                A::SCRATCH_2,
                Src::Reg(A::SCRATCH),
            );
        }
    }

    /// The address in the second scratch register, which must not be accessed
    /// when the flags say so; `otherwise` is the trap of a fault when they do not.
    fn clamped(&mut self, is_out: IntCc, otherwise: Option<Trap>) -> Address {
        let mem = Mem::at(A::SCRATCH_2, 0);
        let end = match otherwise {
            Some(_) => End::Anywhere,
            None => End::Inside,
        };
        if !self.tunables.spectre {
            self.masm.trap_if(is_out, Trap::MemoryOutOfBounds);
            return Address {
                mem,
                trap: otherwise,
                end,
            };
        }
        self.masm.null_if(is_out, A::SCRATCH_2);
        Address {
            mem,
            trap: Some(Trap::MemoryOutOfBounds),
            end,
        }
    }

    /// Announces a store of so many bytes.
    pub(super) fn store_site(&mut self, address: &Address, bytes: u32) {
        match address.trap {
            Some(trap) if address.end == End::Anywhere && bytes > 1 => {
                self.masm.whole_store_site(trap);
            }
            trap => self.masm.site(trap),
        }
    }

    /// Where the instruction of one byte with a memory argument ends: behind its
    /// two numbers or, if a bit of the first says so, with a memory between them,
    /// three.
    fn end_of_memarg(&self) -> usize {
        let mut at = self.position as usize + 1;
        let names_memory = self.bytes.get(at).is_some_and(|byte| byte & 0x40 != 0);
        for _ in 0..if names_memory { 3 } else { 2 } {
            while self.bytes.get(at).is_some_and(|byte| byte & 0x80 != 0) {
                at += 1;
            }
            at += 1;
        }
        at
    }

    pub(super) fn load_int(
        &mut self,
        memarg: &MemArg,
        from: Size,
        signed: bool,
        repr: Representation,
    ) -> Step {
        let index = self.pop();
        let Some(address) = self.address(memarg, index, from.bytes())? else {
            return Ok(());
        };
        let reuse = match (index.place(), address.mem.index) {
            (Place::Reg(reg), _) => Some(reg),
            (Place::Home(_) | Place::Const(_), Some(reg)) => Some(reg),
            _ => None,
        };
        let operands = reuse.map(|reg| Held { reg, owned: true });
        let next = self.end_of_memarg();
        let dst = self.result_before(next, repr, operands.as_slice());
        self.masm.site(address.trap);
        self.masm
            .load_extended(from, signed, super::size_of(repr), dst, address.mem);
        self.push_reg(dst, repr);
        Ok(())
    }

    pub(super) fn load_vector(&mut self, memarg: &MemArg, repr: Representation) -> Step {
        let index = self.pop();
        let bytes = repr.bytes();
        let Some(address) = self.address(memarg, index, bytes)? else {
            return Ok(());
        };
        let dst = if repr == Representation::V128 {
            self.allocate(repr)
        } else {
            let next = self.end_of_memarg();
            self.result_before(next, repr, &[])
        };
        self.masm.site(address.trap);
        self.masm.load_vector(bytes, dst, address.mem);
        self.push_reg(dst, repr);
        Ok(())
    }

    pub(super) fn store_int(&mut self, memarg: &MemArg, size: Size) -> Step {
        let value = self.pop();
        let index = self.pop();
        let value = match value.place() {
            Place::Const(bits) if size != Size::S64 || bits as i32 as i64 as u64 == bits => {
                Src::Imm(bits as i64)
            }
            _ => Src::Reg(self.hold(value).reg),
        };
        let Some(address) = self.address(memarg, index, size.bytes())? else {
            return Ok(());
        };
        self.store_site(&address, size.bytes());
        match value {
            Src::Imm(bits) => self.masm.store_imm(size, bits as i32, address.mem),
            Src::Reg(reg) => self.masm.store(size, reg, address.mem),
            Src::Mem(_) => {}
        }
        Ok(())
    }

    pub(super) fn store_vector(&mut self, memarg: &MemArg, repr: Representation) -> Step {
        let value = self.pop_reg();
        let index = self.pop();
        let bytes = repr.bytes();
        let Some(address) = self.address(memarg, index, bytes)? else {
            return Ok(());
        };
        self.store_site(&address, bytes);
        self.masm.store_vector(bytes, value.reg, address.mem);
        Ok(())
    }

    // Sizes and bulk instructions.

    pub(super) fn memory_size(&mut self, memory: u32) {
        let facts = self.memory_facts(memory);
        let repr = facts.index();
        let dst = self.allocate(repr);
        match facts.length {
            Some(length) => self.masm.imm(dst, length),
            None => {
                let word = self.definition_word(facts.length_at, A::SCRATCH);
                self.masm.load(Size::S64, dst, word);
            }
        }
        let by = Src::Imm(i64::from(facts.ty.page_size_log2));
        self.masm.shift(Shift::ShrU, Size::S64, dst, dst, by);
        if repr == Representation::I32 {
            self.masm.move_reg(Size::S32, dst, dst);
        }
        self.push_reg(dst, repr);
    }

    pub(super) fn memory_grow(&mut self, memory: u32) {
        self.charge();
        let repr = self.memory_facts(memory).index();
        let delta = self.pop();
        self.call_builtin_value(Builtin::memory_grow, &[delta, Self::constant(memory)], repr);
    }

    pub(super) fn memory_copy(&mut self, destination: u32, source: u32) {
        let (to, from, length) = self.pop3();
        self.call_builtin(
            Builtin::memory_copy,
            &[
                Self::constant(destination),
                Self::constant(source),
                to,
                from,
                length,
            ],
        );
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let (to, value, length) = self.pop3();
        self.call_builtin(
            Builtin::memory_fill,
            &[Self::constant(memory), to, value, length],
        );
    }

    pub(super) fn memory_init(&mut self, memory: u32, data: u32) {
        let (to, from, length) = self.pop3();
        self.call_builtin(
            Builtin::memory_init,
            &[
                Self::constant(memory),
                Self::constant(data),
                to,
                from,
                length,
            ],
        );
    }

    pub(super) fn data_drop(&mut self, data: u32) {
        self.call_builtin(Builtin::data_drop, &[Self::constant(data)]);
    }

    /// Takes three values as they are.
    pub(super) fn pop3(&mut self) -> (Entry, Entry, Entry) {
        let c = self.pop();
        let b = self.pop();
        (self.pop(), b, c)
    }
}
