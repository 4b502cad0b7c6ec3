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
use crate::masm::{Alu, Assembler, IntCc, Mem, Rmw, Size, Src};

impl<A: Assembler> Function<'_, A> {
    /// The address of an atomic access. The index may be in a register only.
    fn atomic_address(
        &mut self,
        memarg: &MemArg,
        index: Entry,
        size: Size,
    ) -> Step<Option<Address>> {
        let width = size.bytes();
        let held = self.hold(index);
        let index = Entry::new(Place::Reg(held.reg), index.repr, index.end);
        if width > 1 {
            // Only the low bits matter, so the sum may wrap.
            let offset = memarg.offset & u64::from(width - 1);
            if offset == 0 {
                self.masm.test_bits(held.reg, width - 1);
            } else {
                self.masm
                    .lea(Size::S32, A::SCRATCH, Mem::at(held.reg, offset as i32));
                self.masm.test_bits(A::SCRATCH, width - 1);
            }
            self.masm.trap_if(IntCc::NotEqual, Trap::HeapMisaligned);
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
        self.masm.atomic_load(size, dst, address.mem, address.trap);
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
        self.masm
            .atomic_store(size, value_reg, address.mem, address.trap);
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
        self.masm
            .atomic_rmw(op, size, value_reg, address.mem, address.trap);
        self.push_old(size, repr);
        Ok(())
    }

    /// Pushes what was in memory, which is in the scratch register.
    fn push_old(&mut self, size: Size, repr: Representation) {
        let dst = self.allocate(repr);
        self.masm
            .extend(size, false, size_of(repr), dst, A::SCRATCH);
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
        self.masm
            .atomic_compare_exchange(size, expected, replacement, address.mem, address.trap);
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
            if is_64 {
                self.masm
                    .add_or_trap(sum, held.reg, Trap::MemoryOutOfBounds);
            } else {
                self.masm
                    .alu(Alu::Add, Size::S64, sum, sum, Src::Reg(held.reg));
            }
            effective = Entry::new(Place::Reg(sum), Representation::I64, 0);
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
