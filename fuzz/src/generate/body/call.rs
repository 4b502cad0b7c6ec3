//! How is a function called? Directly, through tables and references, in tail position;
//! and how does a table of branches choose?

use super::super::typed;
use super::Body;
use wasm_encoder::{Instruction, ValType};

impl Body<'_> {
    /// The functions that may be called from here without recursion, or all.
    pub(super) fn callees(&self) -> Vec<u32> {
        (0..self.plan.functions.len() as u32)
            .filter(|function| {
                self.plan.recursive
                    || *function > self.index
                    || (*function as usize) < self.plan.imported_functions
            })
            .collect()
    }

    /// A call of a function that gives, among other things, a value of a type.
    pub(super) fn call_for(&mut self, ty: ValType) {
        let fits: Vec<u32> = self
            .callees()
            .into_iter()
            .filter(|function| self.plan.signature(*function).1.contains(&ty))
            .collect();
        if fits.is_empty() {
            return self.leaf(ty);
        }
        let function = self.numbers.pick(&fits);
        let (_, results) = self.plan.signature(function);
        self.call(function, false);
        let place = results.iter().position(|result| *result == ty);
        self.keep(&results, place.unwrap_or_default());
    }

    /// Calls a function in one of the ways that there are.
    pub(super) fn call(&mut self, function: u32, is_tail: bool) {
        let (params, _) = self.plan.signature(function);
        let ty = self.plan.functions[function as usize];
        self.values(&params);
        let mut way = self.numbers.below(10);
        if way >= 8 {
            // A table that has the function, or one of its type.
            let mut places = Vec::new();
            for (table, declared) in self.plan.tables.iter().enumerate() {
                for (place, slot) in declared.slots.iter().enumerate() {
                    let same = slot.is_some_and(|slot| {
                        slot == function
                            || (self.plan.recursive && self.plan.functions[slot as usize] == ty)
                    });
                    if same {
                        places.push((table as u32, place as u64));
                    }
                }
            }
            if places.is_empty() {
                way = 0;
            } else {
                let (table_index, place) = self.numbers.pick(&places);
                let index = self.table_index(table_index);
                if self.risky() {
                    self.value(index);
                } else {
                    self.emit(if index == ValType::I32 {
                        Instruction::I32Const(place as i32)
                    } else {
                        Instruction::I64Const(place as i64)
                    });
                }
                self.emit(if is_tail {
                    Instruction::ReturnCallIndirect {
                        type_index: ty,
                        table_index,
                    }
                } else {
                    Instruction::CallIndirect {
                        type_index: ty,
                        table_index,
                    }
                });
                return;
            }
        }
        if way >= 6 {
            if self.risky() {
                self.value(ValType::Ref(typed(ty)));
            } else {
                self.emit(Instruction::RefFunc(function));
            }
            self.emit(if is_tail {
                Instruction::ReturnCallRef(ty)
            } else {
                Instruction::CallRef(ty)
            });
        } else if is_tail {
            self.emit(Instruction::ReturnCall(function));
        } else {
            self.emit(Instruction::Call(function));
        }
    }

    /// Nested blocks, left through a table of branches; leaves `types`.
    pub(super) fn branch_table(&mut self, types: &[ValType]) {
        let deep = self.numbers.chance(4);
        let blocks = if deep {
            self.numbers.within(30, 300)
        } else {
            self.numbers.within(1, 6)
        };
        for _ in 0..blocks {
            self.open_block(types);
        }
        self.values(types);
        if self.numbers.chance(70) {
            self.small(ValType::I32, blocks as u64 + 2);
        } else {
            self.value(ValType::I32);
        }
        // Labels outside of the blocks that take the same along are targets too.
        let all = self.labels.len();
        let endless = !self.plan.purpose.bounded && self.numbers.chance(15);
        let fits: Vec<u32> = (0..all as u32)
            .filter(|depth| {
                let label = &self.labels[all - 1 - *depth as usize];
                label.types == types && (!label.is_loop || endless)
            })
            .filter(|depth| (*depth as usize) < blocks || self.numbers.chance(5))
            .collect();
        let targets: Vec<u32> = (0..self.numbers.below(blocks + 4))
            .map(|_| self.numbers.pick(&fits))
            .collect();
        let default = self.numbers.pick(&fits);
        self.emit(Instruction::BrTable(targets.into(), default));
        for left in (0..blocks).rev() {
            self.close();
            if left > 0 && !deep {
                self.consume(types);
                self.some_statements(1);
                self.values(types);
            } else if left > 0 && !types.is_empty() && left % 16 == 0 {
                self.consume(types);
                for ty in types {
                    self.leaf(*ty);
                }
            }
        }
    }
}
