//! What gives one value of a type? Leaves, operators, calls, blocks; and references.

use super::super::{constant, typed};
use super::{Body, DEPTH, Label};
use crate::operators::plain;
use wasm_encoder::{HeapType, Instruction, RefType, ValType};

impl Body<'_> {
    pub(super) fn leaf(&mut self, ty: ValType) {
        let place = match self.numbers.below(10) {
            0..=4 => self.local_of(ty).map(Instruction::LocalGet),
            5..=6 => self.global_of(ty, false).map(Instruction::GlobalGet),
            _ => None,
        };
        let place = place.or_else(|| match ty {
            ValType::Ref(reference) if self.numbers.chance(70) => self.function_of(reference),
            _ => None,
        });
        let instruction = place.unwrap_or_else(|| constant(self.numbers, ty));
        self.emit(instruction);
    }

    /// A reference to a function of the given type.
    pub(super) fn function_of(&mut self, reference: RefType) -> Option<Instruction<'static>> {
        let functions = match reference.heap_type {
            HeapType::Concrete(ty) => self.plan.functions_of(ty),
            _ if reference == RefType::FUNCREF => (0..self.plan.functions.len() as u32).collect(),
            _ => Vec::new(),
        };
        (!functions.is_empty()).then(|| Instruction::RefFunc(self.numbers.pick(&functions)))
    }

    /// Leaves one value of type `ty`.
    pub(super) fn value(&mut self, ty: ValType) {
        self.budget -= 1;
        if self.budget < 0 || self.depth >= DEPTH {
            return self.leaf(ty);
        }
        self.depth += 1;
        match ty {
            ValType::Ref(reference) => self.reference(ty, reference),
            _ => self.number(ty),
        }
        self.depth -= 1;
    }

    pub(super) fn number(&mut self, ty: ValType) {
        match self.numbers.below(100) {
            0..=17 => self.leaf(ty),
            18..=62 => {
                let plan = self.plan;
                let operator = &plain()[self.numbers.pick(&plan.operators[&ty])];
                if !self.is_at_home(operator) {
                    return self.leaf(ty);
                }
                self.apply(operator);
                if operator.results.len() > 1 {
                    self.keep(&operator.results, 0);
                }
            }
            63..=66 => match self.open_local_of(ty) {
                Some(local) => {
                    self.value(ty);
                    self.emit(Instruction::LocalTee(local));
                }
                None => self.leaf(ty),
            },
            67..=70 => self.select(ty, false),
            71..=72 => self.select(ty, true),
            73..=77 => self.branching_block(ty),
            78..=82 => self.conditional(&[ty]),
            83..=87 => self.call_for(ty),
            88..=89 => self.branch_table(&[ty]),
            90..=91 => self.pressed(ty),
            92..=93 => {
                let label = self.label_in_a_loop(&[ty]);
                self.emit(label);
                self.labels.push(Label {
                    types: Vec::new(),
                    is_loop: true,
                });
                self.some_statements(2);
                self.value(ty);
                self.close();
            }
            94..=95 => {
                // Parameters of a block, from values that lie on the stack.
                let params = [
                    ty,
                    self.numbers
                        .pick(&[ValType::I32, ValType::F64, ValType::I64]),
                ];
                self.values(&params);
                let block = self.block_type(&params, &[ty]);
                self.emit(Instruction::Block(block));
                self.label(&[ty], false);
                self.consume(&params[1..]);
                self.some_statements(2);
                self.close();
            }
            _ => self.question(ty),
        }
    }

    pub(super) fn label_in_a_loop(&mut self, types: &[ValType]) -> Instruction<'static> {
        Instruction::Loop(self.block_type(&[], types))
    }

    pub(super) fn select(&mut self, ty: ValType, with_type: bool) {
        self.value(ty);
        self.value(ty);
        self.condition();
        self.emit(if with_type || matches!(ty, ValType::Ref(_)) {
            Instruction::TypedSelect(ty)
        } else {
            Instruction::Select
        });
    }

    /// A condition: of most values it is one bit that counts, so that either way is
    /// taken.
    pub(super) fn condition(&mut self) {
        self.value(ValType::I32);
        if self.numbers.chance(50) {
            let bit = 1 << self.numbers.below(4);
            self.emit(Instruction::I32Const(bit));
            self.emit(Instruction::I32And);
        }
    }

    /// A block that is left by a branch with a value, or at its end.
    pub(super) fn branching_block(&mut self, ty: ValType) {
        self.open_block(&[ty]);
        self.some_statements(2);
        self.value(ty);
        self.condition();
        self.emit(Instruction::BrIf(0));
        if self.numbers.chance(50) {
            self.emit(Instruction::Drop);
            self.some_statements(2);
            self.value(ty);
        }
        if self.numbers.chance(10) {
            self.emit(Instruction::Br(0));
            // What stands here is never reached, and typed all the same.
            self.value(ty);
        }
        self.close();
    }

    pub(super) fn conditional(&mut self, types: &[ValType]) {
        self.condition();
        let ty = self.block_type(&[], types);
        self.emit(Instruction::If(ty));
        self.label(types, false);
        self.some_statements(2);
        self.values(types);
        if !types.is_empty() || self.numbers.chance(50) {
            self.emit(Instruction::Else);
            self.some_statements(2);
            self.values(types);
        }
        self.close();
    }

    /// Values that are all there at once, more than there are registers.
    pub(super) fn pressed(&mut self, ty: ValType) {
        let count = self.numbers.within(4, 24);
        for _ in 0..count {
            if self.numbers.chance(60) {
                self.leaf(ty);
            } else {
                self.value(ty);
            }
        }
        let fold = match ty {
            ValType::I32 => Instruction::I32Add,
            ValType::I64 => Instruction::I64Xor,
            ValType::F32 => Instruction::F32Copysign,
            ValType::F64 => Instruction::F64Copysign,
            _ => Instruction::I16x8Sub,
        };
        for _ in 1..count {
            self.emit(fold.clone());
        }
    }

    /// What only has numbers of one type: sizes and the like.
    pub(super) fn question(&mut self, ty: ValType) {
        match self.numbers.below(6) {
            0 => {
                let memory = self.numbers.below(self.plan.memories.len()) as u32;
                let index = self.memory_index(memory);
                if index != ty {
                    return self.leaf(ty);
                }
                if self.numbers.chance(50) {
                    self.emit(Instruction::MemorySize(memory));
                } else {
                    self.small(index, 2);
                    self.emit(Instruction::MemoryGrow(memory));
                }
            }
            1 => {
                let table = self.numbers.below(self.plan.tables.len()) as u32;
                let index = self.table_index(table);
                if index != ty {
                    return self.leaf(ty);
                }
                if self.numbers.chance(50) {
                    self.emit(Instruction::TableSize(table));
                } else {
                    let element = self.plan.tables[table as usize].ty.element_type;
                    self.value(ValType::Ref(element));
                    self.small(index, 3);
                    self.emit(Instruction::TableGrow(table));
                }
            }
            2..=3 if ty == ValType::I32 => {
                let reference = self.reference_type();
                self.value(ValType::Ref(reference));
                self.emit(Instruction::RefIsNull);
            }
            _ => self.pressed(ty),
        }
    }

    pub(super) fn reference_type(&mut self) -> RefType {
        match self.numbers.below(4) {
            0 => RefType::EXTERNREF,
            1 => RefType::FUNCREF,
            _ => {
                let function = self.numbers.below(self.plan.functions.len());
                typed(self.plan.functions[function])
            }
        }
    }

    pub(super) fn reference(&mut self, ty: ValType, reference: RefType) {
        match self.numbers.below(10) {
            0..=3 => self.leaf(ty),
            4 => self.select(ty, true),
            5 => self.conditional(&[ty]),
            6 => self.call_for(ty),
            7 => self.branching_block(ty),
            _ => {
                let fits: Vec<u32> = (0..self.plan.tables.len() as u32)
                    .filter(|table| {
                        self.plan.tables[*table as usize].ty.element_type == reference
                            && (self.plan.tables[*table as usize].ty.minimum > 0
                                || self.plan.risk > 20)
                    })
                    .collect();
                if fits.is_empty() {
                    return self.leaf(ty);
                }
                let table = self.numbers.pick(&fits);
                self.table_place(table, 1);
                self.emit(Instruction::TableGet(table));
            }
        }
    }

    /// A number below `bound`, computed or constant.
    pub(super) fn small(&mut self, ty: ValType, bound: u64) {
        if bound < 2 || self.numbers.chance(50) {
            let value = self.numbers.below(bound as usize) as i64;
            return self.emit(match ty {
                ValType::I32 => Instruction::I32Const(value as i32),
                _ => Instruction::I64Const(value),
            });
        }
        let mask = (1_i64 << bound.ilog2()) - 1;
        self.value(ty);
        if ty == ValType::I32 {
            self.emit(Instruction::I32Const(mask as i32));
            self.emit(Instruction::I32And);
        } else {
            self.emit(Instruction::I64Const(mask));
            self.emit(Instruction::I64And);
        }
    }
}
