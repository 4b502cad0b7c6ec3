//! What does a function do? Statements and expressions, each of a type that was
//! asked for.
//!
//! Everything that is emitted is typed: `value` leaves one value of a type on
//! the stack, `statement` leaves the stack as it was.

use wasm_encoder::{BlockType, Function, HeapType, Ieee32, Ieee64, Instruction, RefType, ValType};

use super::{Plan, constant};
use crate::numbers::Numbers;
use crate::operators::{Immediates, Plain, plain};

/// What a branch to a label takes along.
struct Label {
    types: Vec<ValType>,
    /// Whether it is a loop's, so that a branch to it may be for ever.
    is_loop: bool,
}

struct Body<'a> {
    plan: &'a Plan,
    numbers: &'a mut Numbers,
    index: u32,
    locals: Vec<ValType>,
    /// The locals that anything may be written to: all but counters.
    open: Vec<u32>,
    code: Vec<Instruction<'static>>,
    labels: Vec<Label>,
    /// How many more expressions and statements there may be.
    budget: i32,
    depth: u32,
}

/// Expressions are leaves from this depth on.
const DEPTH: u32 = 14;

/// Makes the body of function `index`.
pub(super) fn function(plan: &Plan, numbers: &mut Numbers, index: u32) -> Function {
    let (params, results) = plan.signature(index);
    let budget = numbers.pick(&[10, 40, 100, 200, 400, 900]);
    let mut locals = params.clone();
    let more = if numbers.chance(5) { 150 } else { 12 };
    let kinds = plan.types.borrow().len();
    for _ in 0..numbers.below(more) {
        locals.push(super::value_type(numbers, kinds.min(2), true));
    }
    let open = (0..locals.len() as u32).collect();
    let mut body = Body {
        plan,
        numbers,
        index,
        locals,
        open,
        code: Vec::new(),
        labels: vec![Label {
            types: results.clone(),
            is_loop: false,
        }],
        budget,
        depth: 0,
    };
    if let Some(fuel) = plan.fuel {
        body.count_down(fuel);
        body.code.extend([
            Instruction::GlobalGet(fuel),
            Instruction::I32Const(0),
            Instruction::I32LtS,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
        ]);
    }
    // Results that lie below everything that the function does.
    let early = if body.numbers.chance(10) {
        body.numbers.below(results.len() + 1)
    } else {
        0
    };
    body.values(&results[..early]);
    while body.budget > 0 {
        body.statement();
    }
    // What is left in locals is seen.
    for local in 0..body.locals.len().min(24) {
        let ty = body.locals[local];
        body.emit(Instruction::LocalGet(local as u32));
        body.sum_up(ty);
    }
    body.values(&results[early..]);
    body.code.push(Instruction::End);
    let mut function = Function::new_with_locals_types(body.locals[params.len()..].to_vec());
    for instruction in &body.code {
        function.instruction(instruction);
    }
    function
}

impl Body<'_> {
    fn emit(&mut self, instruction: Instruction<'static>) {
        self.code.push(instruction);
    }

    /// A new local that only who asked for it writes to.
    fn local(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.locals.len() as u32 - 1
    }

    fn local_of(&mut self, ty: ValType) -> Option<u32> {
        let fits: Vec<u32> = (0..self.locals.len() as u32)
            .filter(|local| self.locals[*local as usize] == ty)
            .collect();
        (!fits.is_empty()).then(|| self.numbers.pick(&fits))
    }

    fn open_local_of(&mut self, ty: ValType) -> Option<u32> {
        let fits: Vec<u32> = self
            .open
            .iter()
            .copied()
            .filter(|local| self.locals[*local as usize] == ty)
            .collect();
        (!fits.is_empty()).then(|| self.numbers.pick(&fits))
    }

    fn global_of(&mut self, ty: ValType, mutable: bool) -> Option<u32> {
        let fits: Vec<u32> = (0..self.plan.globals.len() as u32)
            .filter(|index| {
                let global = &self.plan.globals[*index as usize];
                global.ty == ty
                    && (global.mutable || !mutable)
                    && self.plan.fuel.is_none_or(|fuel| fuel != *index)
                    && (*index != self.plan.sum || !mutable)
            })
            .collect();
        (!fits.is_empty()).then(|| self.numbers.pick(&fits))
    }

    fn block_type(&mut self, params: &[ValType], results: &[ValType]) -> BlockType {
        match (params, results) {
            ([], []) => BlockType::Empty,
            ([], [ty]) => BlockType::Result(*ty),
            _ => BlockType::FunctionType(self.plan.type_index(params, results)),
        }
    }

    fn open_block(&mut self, types: &[ValType]) {
        let ty = self.block_type(&[], types);
        self.emit(Instruction::Block(ty));
        self.label(types, false);
    }

    fn label(&mut self, types: &[ValType], is_loop: bool) {
        self.labels.push(Label {
            types: types.to_vec(),
            is_loop,
        });
    }

    fn close(&mut self) {
        self.emit(Instruction::End);
        self.labels.pop();
    }

    fn count_down(&mut self, fuel: u32) {
        self.code.extend([
            Instruction::GlobalGet(fuel),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::GlobalSet(fuel),
        ]);
    }

    fn values(&mut self, types: &[ValType]) {
        for ty in types {
            self.value(*ty);
        }
    }

    /// Takes the values of these types off the stack.
    fn consume(&mut self, types: &[ValType]) {
        for ty in types.iter().rev() {
            match self.open_local_of(*ty) {
                Some(local) if self.numbers.chance(60) => self.emit(Instruction::LocalSet(local)),
                _ => match self.global_of(*ty, true) {
                    Some(global) if self.numbers.chance(50) => {
                        self.emit(Instruction::GlobalSet(global));
                    }
                    _ => self.sum_up(*ty),
                },
            }
        }
    }

    /// Takes a value off the stack, and adds it to what is seen of the module.
    fn sum_up(&mut self, ty: ValType) {
        match ty {
            ValType::I32 => self.emit(Instruction::I64ExtendI32U),
            ValType::I64 => {}
            ValType::F32 => {
                self.emit(Instruction::I32ReinterpretF32);
                self.emit(Instruction::I64ExtendI32U);
            }
            ValType::F64 => self.emit(Instruction::I64ReinterpretF64),
            ValType::V128 => {
                let local = self.local(ty);
                self.code.extend([
                    Instruction::LocalTee(local),
                    Instruction::I64x2ExtractLane(0),
                    Instruction::LocalGet(local),
                    Instruction::I64x2ExtractLane(1),
                    Instruction::I64Const(0x1000_0000_01b3),
                    Instruction::I64Mul,
                    Instruction::I64Add,
                ]);
            }
            ValType::Ref(_) => {
                self.emit(Instruction::RefIsNull);
                self.emit(Instruction::I64ExtendI32U);
            }
        }
        self.code.extend([
            Instruction::GlobalGet(self.plan.sum),
            Instruction::I64Const(0x100_0000_01b3),
            Instruction::I64Mul,
            Instruction::I64Add,
            Instruction::GlobalSet(self.plan.sum),
        ]);
    }

    /// Of the values of `types` on the stack, leaves the one at `place`.
    fn keep(&mut self, types: &[ValType], place: usize) {
        self.consume(&types[place + 1..]);
        if place > 0 {
            let local = self.local(types[place]);
            self.emit(Instruction::LocalSet(local));
            self.consume(&types[..place]);
            self.emit(Instruction::LocalGet(local));
        }
    }

    fn leaf(&mut self, ty: ValType) {
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
    fn function_of(&mut self, reference: RefType) -> Option<Instruction<'static>> {
        let functions = match reference.heap_type {
            HeapType::Concrete(ty) => self.plan.functions_of(ty),
            _ if reference == RefType::FUNCREF => (0..self.plan.functions.len() as u32).collect(),
            _ => Vec::new(),
        };
        (!functions.is_empty()).then(|| Instruction::RefFunc(self.numbers.pick(&functions)))
    }

    /// Leaves one value of type `ty`.
    fn value(&mut self, ty: ValType) {
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

    fn number(&mut self, ty: ValType) {
        match self.numbers.below(100) {
            0..=17 => self.leaf(ty),
            18..=62 => {
                let plan = self.plan;
                let operator = &plain()[self.numbers.pick(&plan.operators[&ty])];
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

    fn label_in_a_loop(&mut self, types: &[ValType]) -> Instruction<'static> {
        Instruction::Loop(self.block_type(&[], types))
    }

    fn select(&mut self, ty: ValType, with_type: bool) {
        self.value(ty);
        self.value(ty);
        self.value(ValType::I32);
        self.emit(if with_type || matches!(ty, ValType::Ref(_)) {
            Instruction::TypedSelect(ty)
        } else {
            Instruction::Select
        });
    }

    /// A block that is left by a branch with a value, or at its end.
    fn branching_block(&mut self, ty: ValType) {
        self.open_block(&[ty]);
        self.some_statements(2);
        self.value(ty);
        self.value(ValType::I32);
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

    fn conditional(&mut self, types: &[ValType]) {
        self.value(ValType::I32);
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
    fn pressed(&mut self, ty: ValType) {
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
    fn question(&mut self, ty: ValType) {
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

    fn reference_type(&mut self) -> RefType {
        match self.numbers.below(4) {
            0 => RefType::EXTERNREF,
            1 => RefType::FUNCREF,
            _ => {
                let function = self.numbers.below(self.plan.functions.len());
                super::typed(self.plan.functions[function])
            }
        }
    }

    fn reference(&mut self, ty: ValType, reference: RefType) {
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
                                || self.plan.risk > 5)
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
    fn small(&mut self, ty: ValType, bound: u64) {
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

    /// True once in a while, in modules that take risks.
    fn risky(&mut self) -> bool {
        self.numbers.chance(self.plan.risk)
    }

    fn memory_index(&self, memory: u32) -> ValType {
        if self.plan.memories[memory as usize].ty.memory64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    fn table_index(&self, table: u32) -> ValType {
        if self.plan.tables[table as usize].ty.table64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }

    /// An index such that `count` elements from there on are in the table.
    fn table_place(&mut self, table: u32, count: u64) {
        let ty = self.table_index(table);
        if self.risky() {
            return self.value(ty);
        }
        let minimum = self.plan.tables[table as usize].ty.minimum;
        self.small(ty, (minimum + 1).saturating_sub(count).max(1));
    }

    /// An address such that `bytes` bytes from there on are in the memory.
    fn memory_place(&mut self, memory: u32, bytes: u64) {
        let ty = self.memory_index(memory);
        if self.risky() {
            return self.value(ty);
        }
        let length = self.plan.memories[memory as usize].bytes;
        self.small(ty, (length + 1).saturating_sub(bytes).max(1));
    }

    /// The address of an access, and its immediates.
    fn address(&mut self, operator: &Plain) -> Immediates {
        let mut immediates = Immediates::default();
        if operator.lanes > 0 {
            immediates.lane = self.numbers.below(operator.lanes.into()) as u8;
        }
        let Some((least, most)) = operator.align else {
            return immediates;
        };
        let width = 1_u64 << most;
        let mut memory = self.numbers.below(self.plan.memories.len()) as u32;
        if self.plan.memories[memory as usize].bytes < width {
            // In the hope of one that is large enough.
            memory = self.numbers.below(self.plan.memories.len()) as u32;
        }
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
                // Half of the memory by the address, the rest by the offset.
                let mask = (1_u64 << (last / 2 + 1).ilog2()) - 1;
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
    fn apply(&mut self, operator: &Plain) {
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
    fn tame(&mut self, operator: &Plain) {
        if self.numbers.chance(self.plan.risk * 3) {
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
    fn make_canonical(&mut self, operator: &Plain) {
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

    /// The functions that may be called from here without recursion, or all.
    fn callees(&self) -> Vec<u32> {
        (0..self.plan.functions.len() as u32)
            .filter(|function| {
                self.plan.recursive
                    || *function > self.index
                    || (*function as usize) < self.plan.imported_functions
            })
            .collect()
    }

    /// A call of a function that gives, among other things, a value of a type.
    fn call_for(&mut self, ty: ValType) {
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
    fn call(&mut self, function: u32, is_tail: bool) {
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
                self.value(ValType::Ref(super::typed(ty)));
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
    fn branch_table(&mut self, types: &[ValType]) {
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
        let fits: Vec<u32> = (0..all as u32)
            .filter(|depth| {
                let label = &self.labels[all - 1 - *depth as usize];
                label.types == types && (!label.is_loop || !self.plan.purpose.bounded)
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

    fn some_statements(&mut self, most: usize) {
        if self.depth >= DEPTH {
            return;
        }
        for _ in 0..self.numbers.below(most + 1) {
            self.statement();
        }
    }

    /// Does something, and leaves the stack as it was.
    fn statement(&mut self) {
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
                    self.apply(operator);
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
                self.value(ValType::I32);
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
                self.value(ValType::I32);
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

    fn any_type(&mut self) -> ValType {
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

    fn counted_loop(&mut self) {
        let counter = self.local(ValType::I32);
        if !self.plan.purpose.bounded && self.numbers.chance(10) {
            self.open.push(counter);
        }
        if self.numbers.chance(60) {
            let count = self.numbers.within(1, 9) as i32;
            self.emit(Instruction::I32Const(count));
        } else {
            self.value(ValType::I32);
            self.emit(Instruction::I32Const(7));
            self.emit(Instruction::I32And);
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

    fn bulk_memory(&mut self) {
        let count = self.plan.memories.len();
        let to = self.numbers.below(count) as u32;
        let length = self.numbers.below(40) as u64;
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
                let from = self.numbers.below(count) as u32;
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
                let length = self.numbers.below(has as usize + 1) as u64;
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

    fn table(&mut self) {
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

    fn segment(&mut self) {
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
    fn leave(&mut self) {
        self.value(ValType::I32);
        if self.numbers.chance(93) {
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
                let fits: Vec<u32> = (1..all as u32)
                    .filter(|depth| {
                        let label = &self.labels[all - 1 - *depth as usize];
                        !label.is_loop || !self.plan.purpose.bounded
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
    fn references(&mut self) {
        let function = self.numbers.below(self.plan.functions.len()) as u32;
        let ty = self.plan.functions[function as usize];
        let nullable = super::typed(ty);
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
