//! How do threads meet in shared memories? Atomic accesses, fences, waiting.
//!
//! Every atomic access is sequentially consistent. Its address must be a
//! multiple of its width: that is checked first, then the bounds.

use tepui_abi::Trap;
use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation;
use wasmparser::MemArg;

use super::memory::{Address, memory_of};
use super::{Entry, Function, Place, Step, size_of};
use crate::x64::{self, Alu, Cc, Mem, Size, Src};

/// What is done with the old value and the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rmw {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Xchg,
}

impl Function<'_> {
    /// The address of an atomic access. The index may be in a register only.
    fn atomic_address(
        &mut self,
        memarg: &MemArg,
        index: Entry,
        size: Size,
    ) -> Step<Option<Address>> {
        let width = size.bytes();
        let held = self.hold(index);
        let index = Entry {
            place: Place::Reg(held.reg),
            ..index
        };
        if width > 1 {
            // Only the low bits matter, so the sum may wrap.
            let offset = memarg.offset & u64::from(width - 1);
            if offset == 0 {
                self.masm.test_bits(held.reg, width - 1);
            } else {
                self.masm
                    .lea(Size::S32, x64::SCRATCH, Mem::at(held.reg, offset as i32));
                self.masm.test_bits(x64::SCRATCH, width - 1);
            }
            self.masm.trap_if(Cc::NotEqual, Trap::HeapMisaligned);
        }
        self.address(memarg, index, width)
    }

    pub(super) fn atomic_load(
        &mut self,
        memarg: &MemArg,
        size: Size,
        repr: Representation,
    ) -> Step {
        let index = self.pop();
        let Some(address) = self.atomic_address(memarg, index, size)? else {
            return Ok(());
        };
        let dst = self.allocate(repr);
        self.masm.site(address.trap);
        self.masm
            .load_extended(size, false, size_of(repr), dst, address.mem);
        self.push_reg(dst, repr);
        Ok(())
    }

    pub(super) fn atomic_store(&mut self, memarg: &MemArg, size: Size) -> Step {
        let value = self.pop();
        let value_reg = self.hold(value).reg;
        let index = self.pop();
        let Some(address) = self.atomic_address(memarg, index, size)? else {
            return Ok(());
        };
        self.masm.copy(x64::SCRATCH, value_reg);
        self.masm.site(address.trap);
        self.masm.atomic_exchange(size, x64::SCRATCH, address.mem);
        Ok(())
    }

    pub(super) fn atomic_rmw(
        &mut self,
        memarg: &MemArg,
        op: Rmw,
        size: Size,
        repr: Representation,
    ) -> Step {
        let value = self.pop();
        let value_reg = self.hold(value).reg;
        let index = self.pop();
        let Some(address) = self.atomic_address(memarg, index, size)? else {
            return Ok(());
        };
        match op {
            Rmw::Add | Rmw::Sub | Rmw::Xchg => {
                self.masm.copy(x64::SCRATCH, value_reg);
                if op == Rmw::Sub {
                    self.masm.negate(x64::SCRATCH);
                }
                if op == Rmw::Xchg {
                    self.masm.site(address.trap);
                    self.masm.atomic_exchange(size, x64::SCRATCH, address.mem);
                } else {
                    self.masm
                        .atomic_add(size, x64::SCRATCH, address.mem, address.trap);
                }
            }
            Rmw::And | Rmw::Or | Rmw::Xor => {
                let op = match op {
                    Rmw::And => Alu::And,
                    Rmw::Or => Alu::Or,
                    _ => Alu::Xor,
                };
                self.masm.site(address.trap);
                self.masm
                    .load_extended(size, false, Size::S64, x64::SCRATCH, address.mem);
                let again = self.masm.e.label();
                self.masm.e.bind(again);
                self.masm.copy(x64::SCRATCH_3, x64::SCRATCH);
                self.masm.alu(
                    op,
                    Size::S64,
                    x64::SCRATCH_3,
                    x64::SCRATCH_3,
                    Src::Reg(value_reg),
                );
                self.masm
                    .atomic_compare_exchange(size, x64::SCRATCH_3, address.mem, address.trap);
                self.masm.e.jcc(Cc::NotEqual, again);
            }
        }
        self.push_old(size, repr);
        Ok(())
    }

    /// Pushes what was in memory, which is in the scratch register.
    fn push_old(&mut self, size: Size, repr: Representation) {
        let dst = self.allocate(repr);
        self.masm
            .extend(size, false, size_of(repr), dst, x64::SCRATCH);
        self.push_reg(dst, repr);
    }

    pub(super) fn atomic_cmpxchg(
        &mut self,
        memarg: &MemArg,
        size: Size,
        repr: Representation,
    ) -> Step {
        let replacement = self.pop();
        let replacement = self.hold(replacement).reg;
        let expected = self.pop();
        let expected = self.hold(expected).reg;
        let index = self.pop();
        let Some(address) = self.atomic_address(memarg, index, size)? else {
            return Ok(());
        };
        self.masm.copy(x64::SCRATCH, expected);
        self.masm
            .atomic_compare_exchange(size, replacement, address.mem, address.trap);
        self.push_old(size, repr);
        Ok(())
    }

    // Waiting.

    /// The index plus the static offset, in 64 bits: the runtime checks it.
    fn effective_index(&mut self, memarg: &MemArg, index: Entry) -> Step<(Entry, Entry)> {
        let memory = memory_of(memarg)?;
        let is_64 = self.memory_facts(memory).ty.memory64;
        let mut effective = index;
        if memarg.offset != 0 {
            let held = self.hold(index);
            let sum = self.allocate(Representation::I64);
            self.masm.imm(sum, memarg.offset);
            self.masm
                .alu(Alu::Add, Size::S64, sum, sum, Src::Reg(held.reg));
            if is_64 {
                self.masm.trap_if(Cc::Carry, Trap::MemoryOutOfBounds);
            }
            effective = Entry {
                place: Place::Reg(sum),
                repr: Representation::I64,
                end: 0,
            };
        }
        Ok((Self::constant(memory), effective))
    }

    pub(super) fn memory_atomic_notify(&mut self, memarg: &MemArg) -> Step {
        let count = self.pop();
        let index = self.pop();
        let (memory, index) = self.effective_index(memarg, index)?;
        self.call_builtin_value(
            Builtin::memory_atomic_notify,
            &[memory, index, count],
            Representation::I32,
        );
        Ok(())
    }

    pub(super) fn memory_atomic_wait(&mut self, memarg: &MemArg, builtin: Builtin) -> Step {
        self.charge();
        let (index, expected, timeout) = self.pop3();
        let (memory, index) = self.effective_index(memarg, index)?;
        self.call_builtin_value(
            builtin,
            &[memory, index, expected, timeout],
            Representation::I32,
        );
        Ok(())
    }
}
