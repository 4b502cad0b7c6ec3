//! How is an operator applied? Its operands, the places it accesses (sometimes out of
//! bounds, on purpose), and results that every tier agrees on.

use super::super::FILLED;
use super::Body;
use crate::operators::{Immediates, Plain};
use wasm_encoder::{Ieee32, Ieee64, Instruction, ValType};

impl Body<'_> {
    /// True once in a while, in modules that take risks.
    pub(super) fn risky(&mut self) -> bool {
        self.numbers.below(1000) < self.plan.risk
    }

    pub(super) fn memory_index(&self, memory: u32) -> ValType {
        if self.plan.memories[memory as usize].ty.memory64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    pub(super) fn table_index(&self, table: u32) -> ValType {
        if self.plan.tables[table as usize].ty.table64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    /// An index such that `count` elements from there on are in the table.
    pub(super) fn table_place(&mut self, table: u32, count: u64) {
        let ty = self.table_index(table);
        if self.risky() {
            return self.value(ty);
        }
        let minimum = self.plan.tables[table as usize].ty.minimum;
        self.small(ty, (minimum + 1).saturating_sub(count).max(1));
    }

    /// An address such that `bytes` bytes from there on are in the memory.
    pub(super) fn memory_place(&mut self, memory: u32, bytes: u64) {
        let ty = self.memory_index(memory);
        if self.risky() {
            return self.value(ty);
        }
        let length = self.plan.memories[memory as usize].bytes;
        self.small(ty, (length + 1).saturating_sub(bytes).max(1));
    }

    /// A memory that has so many bytes.
    pub(super) fn memory_with(&mut self, bytes: u64) -> Option<u32> {
        let fits: Vec<u32> = (0..self.plan.memories.len() as u32)
            .filter(|memory| self.plan.memories[*memory as usize].bytes >= bytes)
            .collect();
        (!fits.is_empty()).then(|| self.numbers.pick(&fits))
    }

    /// Whether an operator does not trap whatever it is applied to: there is a memory
    /// for it.
    pub(super) fn is_at_home(&mut self, operator: &Plain) -> bool {
        match operator.align {
            Some((_, most)) => self.memory_with(1 << most).is_some() || self.risky(),
            None => true,
        }
    }

    /// The address of an access, and its immediates.
    pub(super) fn address(&mut self, operator: &Plain) -> Immediates {
        let mut immediates = Immediates::default();
        if operator.lanes > 0 {
            immediates.lane = self.numbers.below(operator.lanes.into()) as u8;
        }
        let Some((least, most)) = operator.align else {
            return immediates;
        };
        let width = 1_u64 << most;
        let memory = self
            .memory_with(width)
            .unwrap_or_else(|| self.numbers.below(self.plan.memories.len()) as u32);
        let index = self.memory_index(memory);
        let length = self.plan.memories[memory as usize].bytes;
        immediates.memory = memory;
        immediates.align = self.numbers.within(least.into(), most.into()) as u8;
        let number = |value: u64| match index {
            ValType::I32 => Instruction::I32Const(value as i32),
            _ => Instruction::I64Const(value as i64),
        };
        let step = if operator.is_atomic() && !self.risky() {
            width
        } else {
            1
        };
        if self.risky() {
            self.value(index);
            immediates.offset = match self.numbers.below(6) {
                0 => u64::from(u32::MAX),
                1 => 1 << 31,
                2 if index == ValType::I64 => self.numbers.draw() | 1 << 63,
                3 if index == ValType::I64 => u64::MAX - self.numbers.below(16) as u64,
                4 => self.numbers.draw() >> 32,
                _ => length - self.numbers.below(length.min(9) as usize) as u64,
            };
            return immediates;
        }
        // The memory may have none of the bytes that an access needs.
        let last = (length.saturating_sub(width)) / step * step;
        match self.numbers.below(10) {
            0..=1 => {
                // Exactly at the end, by address and offset together.
                let offset = self.numbers.below(last.min(1000) as usize + 1) as u64 / step * step;
                immediates.offset = offset;
                self.emit(number(last - offset));
            }
            2 => {
                let address = self.numbers.below(last as usize + 1) as u64 / step * step;
                self.emit(number(address));
            }
            _ => {
                // Half of the memory by the address, the rest by the offset. Mostly
                // where there is something, so that what is stored is loaded.
                let mut mask = (1_u64 << (last / 2 + 1).ilog2()) - 1;
                if self.numbers.chance(75) {
                    mask = mask.min(FILLED / 2 - 1);
                }
                self.value(index);
                self.emit(number(mask / step * step));
                self.emit(if index == ValType::I32 {
                    Instruction::I32And
                } else {
                    Instruction::I64And
                });
                let room = (last - (mask / step * step)).min(200);
                immediates.offset = self.numbers.below(room as usize + 1) as u64 / step * step;
            }
        }
        immediates
    }

    /// Applies an operator to operands of its types.
    pub(super) fn apply(&mut self, operator: &Plain) {
        let mut immediates = self.address(operator);
        let taken = usize::from(operator.align.is_some());
        for (place, ty) in operator.params.iter().enumerate().skip(taken) {
            self.value(*ty);
            // What would trap is made not to, most of the time.
            if operator.may_trap() && place + 1 == operator.params.len() {
                self.tame(operator);
            }
        }
        if operator.is_shuffle() {
            let kind = self.numbers.below(5);
            let first = self.numbers.below(32) as u8;
            for (index, lane) in immediates.lanes.iter_mut().enumerate() {
                *lane = match kind {
                    0 => first,
                    1 => (first % 16) + index as u8,
                    2 => index as u8 ^ (first & 15),
                    3 => (index as u8 / 2) + 16 * (index as u8 % 2),
                    _ => self.numbers.below(32) as u8,
                };
            }
        }
        self.emit(operator.instruction(&immediates));
        if self.plan.purpose.canonical_nans && operator.may_make_nans() {
            self.make_canonical(operator);
        }
    }

    /// Changes the last operand to one for which the operator does not trap.
    pub(super) fn tame(&mut self, operator: &Plain) {
        if (0..3).any(|_| self.risky()) {
            return;
        }
        match operator.params.last() {
            Some(ValType::I32) => {
                let bits = self.numbers.pick(&[1, 3, 255]);
                self.emit(Instruction::I32Const(bits));
                self.emit(Instruction::I32Or);
                // No division of the least number by -1.
                self.emit(Instruction::I32Const(0x7fff_ffff));
                self.emit(Instruction::I32And);
            }
            Some(ValType::I64) => {
                let bits = self.numbers.pick(&[1, 3, 255]);
                self.emit(Instruction::I64Const(bits));
                self.emit(Instruction::I64Or);
                self.emit(Instruction::I64Const(i64::MAX));
                self.emit(Instruction::I64And);
            }
            Some(ValType::F32) => {
                self.emit(Instruction::Drop);
                self.value(ValType::I32);
                self.emit(Instruction::I32Const(16));
                self.emit(Instruction::I32ShrU);
                self.emit(Instruction::F32ConvertI32U);
            }
            _ => {
                self.emit(Instruction::Drop);
                self.value(ValType::I32);
                self.emit(Instruction::I32Const(1));
                self.emit(Instruction::I32ShrU);
                self.emit(Instruction::F64ConvertI32U);
            }
        }
    }

    /// Replaces NaNs that the operator made, whose bits may differ, with the
    /// canonical one.
    pub(super) fn make_canonical(&mut self, operator: &Plain) {
        let ty = operator.results[0];
        let local = self.local(ty);
        let (nan, same, choose) = match ty {
            ValType::F32 => (
                Instruction::F32Const(Ieee32::new(0x7fc0_0000)),
                Instruction::F32Eq,
                Instruction::Select,
            ),
            ValType::F64 => (
                Instruction::F64Const(Ieee64::new(0x7ff8_0000_0000_0000)),
                Instruction::F64Eq,
                Instruction::Select,
            ),
            _ if operator.name.starts_with("F64x2") => (
                Instruction::V128Const(0x7ff8_0000_0000_0000_7ff8_0000_0000_0000),
                Instruction::F64x2Eq,
                Instruction::V128Bitselect,
            ),
            _ => (
                Instruction::V128Const(0x7fc0_0000_7fc0_0000_7fc0_0000_7fc0_0000),
                Instruction::F32x4Eq,
                Instruction::V128Bitselect,
            ),
        };
        self.code.extend([
            Instruction::LocalTee(local),
            nan,
            Instruction::LocalGet(local),
            Instruction::LocalGet(local),
            same,
            choose,
            // Nobody reads the other one from there.
            Instruction::LocalTee(local),
        ]);
    }
}
