//! How do threads meet in shared memories? Atomic accesses, fences, waiting.
//!
//! Every atomic access is sequentially consistent. Its address must be a
//! multiple of its width: that is checked first, then the bounds.

use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value, types};
use tepui_abi::Trap;
use tepui_abi::builtin::Builtin;
use wasmparser::MemArg;

use super::memory::{Address, memory_of};
use super::{Step, Translator, trap_code};

impl Translator<'_, '_> {
    /// The address of an atomic access: one value, because atomic instructions
    /// have no offset.
    fn atomic_address(
        &mut self,
        memarg: &MemArg,
        index: Value,
        ty: Type,
    ) -> Step<Option<(Value, Address)>> {
        let width = ty.bytes();
        if width > 1 {
            // Only the low bits matter, so the sum may wrap.
            let index_type = self.value_type(index);
            let offset = (memarg.offset & u64::from(width - 1)) as i64;
            let mut low = index;
            if offset != 0 {
                let offset = self.builder.ins().iconst(index_type, offset);
                low = self.builder.ins().iadd(low, offset);
            }
            let mask = self.builder.ins().iconst(index_type, i64::from(width - 1));
            let misaligned = self.builder.ins().band(low, mask);
            self.trap_if(misaligned, Trap::HeapMisaligned);
        }
        let Some(address) = self.address(memarg, index, width)? else {
            return Ok(None);
        };
        let mut at = address.base;
        if address.offset != 0 {
            let offset = self.iconst64(address.offset as u64);
            at = self.builder.ins().iadd(at, offset);
        }
        Ok(Some((at, address)))
    }

    fn narrow(&mut self, value: Value, ty: Type) -> Value {
        if self.value_type(value) == ty {
            value
        } else {
            self.builder.ins().ireduce(ty, value)
        }
    }

    fn widen(&mut self, value: Value, ty: Type) -> Value {
        if self.value_type(value) == ty {
            value
        } else {
            self.builder.ins().uextend(ty, value)
        }
    }

    /// Loads `access` and extends it to `ty`.
    pub(super) fn atomic_load(&mut self, memarg: &MemArg, access: Type, ty: Type) -> Step {
        let index = self.pop();
        if let Some((at, address)) = self.atomic_address(memarg, index, access)? {
            let value = self.builder.ins().atomic_load(access, address.flags, at);
            let value = self.widen(value, ty);
            self.push(value);
        }
        Ok(())
    }

    pub(super) fn atomic_store(&mut self, memarg: &MemArg, access: Type) -> Step {
        let (index, value) = self.pop2();
        if let Some((at, address)) = self.atomic_address(memarg, index, access)? {
            let value = self.narrow(value, access);
            self.builder.ins().atomic_store(address.flags, value, at);
        }
        Ok(())
    }

    pub(super) fn atomic_rmw(
        &mut self,
        memarg: &MemArg,
        op: AtomicRmwOp,
        access: Type,
        ty: Type,
    ) -> Step {
        let (index, value) = self.pop2();
        if let Some((at, address)) = self.atomic_address(memarg, index, access)? {
            let value = self.narrow(value, access);
            let old = self
                .builder
                .ins()
                .atomic_rmw(access, address.flags, op, at, value);
            let old = self.widen(old, ty);
            self.push(old);
        }
        Ok(())
    }

    /// The expected value is wrapped to the width of the access, like the
    /// replacement.
    pub(super) fn atomic_cmpxchg(&mut self, memarg: &MemArg, access: Type, ty: Type) -> Step {
        let (index, expected, replacement) = self.pop3();
        let Some((at, address)) = self.atomic_address(memarg, index, access)? else {
            return Ok(());
        };
        let expected = self.narrow(expected, access);
        let replacement = self.narrow(replacement, access);
        let old = self
            .builder
            .ins()
            .atomic_cas(address.flags, at, expected, replacement);
        let old = self.widen(old, ty);
        self.push(old);
        Ok(())
    }

    pub(super) fn atomic_fence(&mut self) {
        self.builder.ins().fence();
    }

    // Waiting.

    /// The index plus the static offset, in 64 bits: the runtime checks it.
    fn effective_index(&mut self, memarg: &MemArg, index: Value) -> Step<(Value, Value)> {
        let memory = memory_of(memarg)?;
        let is_64 = self.memory_state(memory).is_64();
        let mut index = self.wide_index(index, is_64);
        if memarg.offset != 0 {
            let offset = self.iconst64(memarg.offset);
            index = if is_64 {
                self.builder.ins().uadd_overflow_trap(
                    index,
                    offset,
                    trap_code(Trap::MemoryOutOfBounds),
                )
            } else {
                self.builder.ins().iadd(index, offset)
            };
        }
        let memory = self.iconst32(memory);
        Ok((memory, index))
    }

    pub(super) fn memory_atomic_notify(&mut self, memarg: &MemArg) -> Step {
        let (index, count) = self.pop2();
        let (memory, index) = self.effective_index(memarg, index)?;
        let woken = self.call_builtin_value(Builtin::memory_atomic_notify, &[memory, index, count]);
        self.push(woken);
        Ok(())
    }

    pub(super) fn memory_atomic_wait(&mut self, memarg: &MemArg, ty: Type) -> Step {
        self.charge();
        let (index, expected, timeout) = self.pop3();
        let (memory, index) = self.effective_index(memarg, index)?;
        let builtin = if ty == types::I32 {
            Builtin::memory_atomic_wait32
        } else {
            Builtin::memory_atomic_wait64
        };
        let outcome = self.call_builtin_value(builtin, &[memory, index, expected, timeout]);
        self.push(outcome);
        Ok(())
    }
}
