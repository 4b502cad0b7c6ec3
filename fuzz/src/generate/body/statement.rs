//! What leaves the stack as it was? Assignments, blocks and loops, bulk operations, ways
//! out.

use super::super::typed;
use super::{Body, DEPTH};
use crate::operators::plain;
use wasm_encoder::{BlockType, Instruction, RefType, ValType};

impl Body<'_> {
    pub(super) fn some_statements(&mut self, most: usize) {
        if self.depth >= DEPTH {
            return;
        }
        for _ in 0..self.numbers.below(most + 1) {
            self.statement();
        }
    }

    /// Does something, and leaves the stack as it was.
    pub(super) fn statement(&mut self) {
        self.budget -= 1;
        if self.depth >= DEPTH {
            return;
        }
        self.depth += 1;
        match self.numbers.below(100) {
            0..=19 => {
                if self.open.is_empty() {
                    self.emit(Instruction::Nop);
                } else {
                    let local = self.numbers.pick(&self.open);
                    let ty = self.locals[local as usize];
                    self.value(ty);
                    if self.numbers.chance(40) {
                        self.emit(Instruction::LocalTee(local));
                        self.sum_up(ty);
                    } else {
                        self.emit(Instruction::LocalSet(local));
                    }
                }
            }
            20..=27 => {
                let ty = self.any_type();
                self.value(ty);
                match self.global_of(ty, true) {
                    Some(global) => self.emit(Instruction::GlobalSet(global)),
                    None => self.sum_up(ty),
                }
            }
            28..=43 => {
                let plan = self.plan;
                if !plan.stores.is_empty() {
                    let operator = &plain()[self.numbers.pick(&plan.stores)];
                    if self.is_at_home(operator) {
                        self.apply(operator);
                    }
                }
            }
            44..=47 => {
                let ty = self.any_type();
                self.value(ty);
                if self.numbers.chance(15) {
                    self.emit(Instruction::Drop);
                } else {
                    self.sum_up(ty);
                }
            }
            48..=55 => self.conditional(&[]),
            56..=62 => self.counted_loop(),
            63..=67 => {
                self.open_block(&[]);
                self.some_statements(2);
                self.condition();
                self.emit(Instruction::BrIf(0));
                self.some_statements(3);
                self.close();
            }
            68..=71 => self.branch_table(&[]),
            72..=79 => {
                let callees = self.callees();
                if !callees.is_empty() {
                    let function = self.numbers.pick(&callees);
                    self.call(function, false);
                    let (_, results) = self.plan.signature(function);
                    self.consume(&results);
                }
            }
            80..=83 => self.bulk_memory(),
            84..=88 => self.table(),
            89 => self.segment(),
            90..=92 => self.leave(),
            93..=94 => self.references(),
            95..=96 => {
                let types: Vec<ValType> = (0..self.numbers.within(2, 5))
                    .map(|_| self.any_type())
                    .collect();
                self.open_block(&types);
                self.values(&types);
                self.condition();
                self.emit(Instruction::BrIf(0));
                self.close();
                self.consume(&types);
            }
            97 => {
                let types = [self.any_type(), ValType::I32];
                self.branch_table(&types);
                self.consume(&types);
            }
            _ => {
                // Both results of operators that have two.
                let plan = self.plan;
                let two = plan.operators[&ValType::I64]
                    .iter()
                    .find(|index| plain()[**index].results.len() == 2);
                if let Some(index) = two {
                    self.apply(&plain()[*index]);
                    self.consume(&plain()[*index].results);
                }
            }
        }
        self.depth -= 1;
    }

    pub(super) fn any_type(&mut self) -> ValType {
        match self.numbers.below(12) {
            0..=2 => ValType::I32,
            3..=5 => ValType::I64,
            6 => ValType::F32,
            7 => ValType::F64,
            8..=9 => ValType::V128,
            10 => ValType::EXTERNREF,
            _ => ValType::FUNCREF,
        }
    }

    pub(super) fn counted_loop(&mut self) {
        let counter = self.local(ValType::I32);
        // Rounds of loops in loops multiply.
        let is_inner = self.labels.iter().any(|label| label.is_loop);
        if !self.plan.purpose.bounded && self.numbers.chance(10) {
            self.open.push(counter);
        }
        if self.numbers.chance(60) {
            let most = if is_inner { 3 } else { 9 };
            let count = self.numbers.within(1, most) as i32;
            self.emit(Instruction::I32Const(count));
        } else {
            self.value(ValType::I32);
            self.emit(Instruction::I32Const(if is_inner { 1 } else { 7 }));
            self.emit(Instruction::I32And);
            // None at all would be very many.
            self.emit(Instruction::I32Const(1));
            self.emit(Instruction::I32Or);
        }
        self.emit(Instruction::LocalSet(counter));
        self.open_block(&[]);
        self.emit(Instruction::Loop(BlockType::Empty));
        self.label(&[], true);
        self.some_statements(5);
        self.code.extend([
            Instruction::LocalGet(counter),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::LocalTee(counter),
        ]);
        if self.numbers.chance(50) {
            self.emit(Instruction::I32Const(0));
            self.emit(Instruction::I32GtS);
        }
        if let Some(fuel) = self.plan.fuel {
            self.count_down(fuel);
            self.code.extend([
                Instruction::GlobalGet(fuel),
                Instruction::I32Const(0),
                Instruction::I32GtS,
                Instruction::I32Const(0),
                Instruction::I32Ne,
                Instruction::I32And,
            ]);
        }
        self.emit(Instruction::BrIf(0));
        self.close();
        self.close();
    }

    pub(super) fn bulk_memory(&mut self) {
        let count = self.plan.memories.len();
        let to = self.numbers.below(count) as u32;
        let room = self.plan.memories[to as usize].bytes;
        let length = (self.numbers.below(40) as u64).min(room);
        let number = |ty: ValType| match ty {
            ValType::I32 => Instruction::I32Const(length as i32),
            _ => Instruction::I64Const(length as i64),
        };
        match self.numbers.below(3) {
            0 => {
                self.memory_place(to, length);
                self.value(ValType::I32);
                self.emit(number(self.memory_index(to)));
                self.emit(Instruction::MemoryFill(to));
            }
            1 => {
                let from = self.memory_with(length).unwrap_or(to);
                self.memory_place(to, length);
                self.memory_place(from, length);
                let narrow = self.memory_index(to) == ValType::I32
                    || self.memory_index(from) == ValType::I32;
                self.emit(number(if narrow { ValType::I32 } else { ValType::I64 }));
                self.emit(Instruction::MemoryCopy {
                    src_mem: from,
                    dst_mem: to,
                });
            }
            _ => {
                if self.plan.data.is_empty() {
                    return;
                }
                let segment = self.numbers.below(self.plan.data.len());
                // Active segments are dropped, and have nothing.
                let has = match &self.plan.data[segment] {
                    (None, bytes) => bytes.len() as u64,
                    _ => 0,
                };
                let length = self.numbers.below(has.min(room) as usize + 1) as u64;
                self.memory_place(to, length);
                self.small(ValType::I32, has - length + 1);
                self.emit(Instruction::I32Const(length as i32));
                self.emit(Instruction::MemoryInit {
                    mem: to,
                    data_index: segment as u32,
                });
            }
        }
    }

    pub(super) fn table(&mut self) {
        let to = self.numbers.below(self.plan.tables.len()) as u32;
        let element = self.plan.tables[to as usize].ty.element_type;
        let minimum = self.plan.tables[to as usize].ty.minimum;
        let length = self.numbers.below(minimum.min(5) as usize + 1) as u64;
        let number = |ty: ValType| match ty {
            ValType::I32 => Instruction::I32Const(length as i32),
            _ => Instruction::I64Const(length as i64),
        };
        match self.numbers.below(5) {
            0..=1 if minimum > 0 => {
                self.table_place(to, 1);
                self.value(ValType::Ref(element));
                self.emit(Instruction::TableSet(to));
            }
            2 => {
                self.table_place(to, length);
                self.value(ValType::Ref(element));
                self.emit(number(self.table_index(to)));
                self.emit(Instruction::TableFill(to));
            }
            3 => {
                let fits: Vec<u32> = (0..self.plan.tables.len() as u32)
                    .filter(|from| {
                        let from = &self.plan.tables[*from as usize].ty;
                        from.element_type == element && from.minimum >= length
                    })
                    .collect();
                let Some(_) = fits.first() else { return };
                let from = self.numbers.pick(&fits);
                self.table_place(to, length);
                self.table_place(from, length);
                let narrow =
                    self.table_index(to) == ValType::I32 || self.table_index(from) == ValType::I32;
                self.emit(number(if narrow { ValType::I32 } else { ValType::I64 }));
                self.emit(Instruction::TableCopy {
                    src_table: from,
                    dst_table: to,
                });
            }
            _ => {
                let fits: Vec<u32> = (0..self.plan.segments.len() as u32)
                    .filter(|segment| self.plan.segments[*segment as usize].ty == element)
                    .collect();
                if fits.is_empty() {
                    return;
                }
                let segment = self.numbers.pick(&fits);
                let declared = &self.plan.segments[segment as usize];
                let has = if declared.table.is_some() {
                    0
                } else {
                    declared.functions.len() as u64
                };
                let length = self.numbers.below(has.min(minimum) as usize + 1) as u64;
                self.table_place(to, length);
                self.small(ValType::I32, has - length + 1);
                self.emit(Instruction::I32Const(length as i32));
                self.emit(Instruction::TableInit {
                    elem_index: segment,
                    table: to,
                });
            }
        }
    }

    pub(super) fn segment(&mut self) {
        if !self.numbers.chance(30) {
            return;
        }
        if self.numbers.chance(50) {
            let count = self.plan.segments.len();
            if count > 0 {
                let segment = self.numbers.below(count) as u32;
                self.emit(Instruction::ElemDrop(segment));
            }
        } else if !self.plan.data.is_empty() {
            let segment = self.numbers.below(self.plan.data.len()) as u32;
            self.emit(Instruction::DataDrop(segment));
        }
    }

    /// Leaves a block or the function, on a condition.
    pub(super) fn leave(&mut self) {
        self.value(ValType::I32);
        if self.numbers.chance(98) {
            // Seldom true.
            let value = self.numbers.i32();
            self.emit(Instruction::I32Const(value));
            self.emit(Instruction::I32Eq);
        }
        self.emit(Instruction::If(BlockType::Empty));
        self.label(&[], false);
        let results = self.labels[0].types.clone();
        match self.numbers.below(4) {
            0 => {
                self.values(&results);
                self.emit(Instruction::Return);
            }
            1 => {
                let fits: Vec<u32> = self
                    .callees()
                    .into_iter()
                    .filter(|function| self.plan.signature(*function).1 == results)
                    .collect();
                if fits.is_empty() {
                    self.emit(Instruction::Nop);
                } else {
                    let function = self.numbers.pick(&fits);
                    self.call(function, true);
                }
            }
            2 => {
                let all = self.labels.len();
                let endless = !self.plan.purpose.bounded && self.numbers.chance(15);
                let fits: Vec<u32> = (1..all as u32)
                    .filter(|depth| {
                        let label = &self.labels[all - 1 - *depth as usize];
                        !label.is_loop || endless
                    })
                    .collect();
                let Some(_) = fits.first() else {
                    return self.close();
                };
                let depth = self.numbers.pick(&fits);
                let types = self.labels[all - 1 - depth as usize].types.clone();
                self.values(&types);
                self.emit(Instruction::Br(depth));
                self.some_statements(1);
            }
            _ => {
                if self.risky() {
                    self.emit(Instruction::Unreachable);
                    self.some_statements(1);
                }
            }
        }
        self.close();
    }

    /// Branches on whether references are null.
    pub(super) fn references(&mut self) {
        let function = self.numbers.below(self.plan.functions.len()) as u32;
        let ty = self.plan.functions[function as usize];
        let nullable = typed(ty);
        let present = ValType::Ref(RefType {
            nullable: false,
            ..nullable
        });
        match self.numbers.below(3) {
            0 => {
                self.open_block(&[]);
                self.value(ValType::Ref(nullable));
                self.emit(Instruction::BrOnNull(0));
                self.some_statements(1);
                self.emit(Instruction::Drop);
                self.close();
            }
            1 => {
                self.open_block(&[present]);
                self.value(ValType::Ref(nullable));
                self.emit(Instruction::BrOnNonNull(0));
                self.some_statements(1);
                self.emit(Instruction::RefFunc(function));
                self.close();
                self.consume(&[ValType::Ref(nullable)]);
            }
            _ => {
                self.emit(Instruction::RefFunc(function));
                if self.risky() {
                    self.emit(Instruction::Drop);
                    self.value(ValType::Ref(nullable));
                }
                self.emit(Instruction::RefAsNonNull);
                self.consume(&[ValType::Ref(nullable)]);
            }
        }
    }
}
