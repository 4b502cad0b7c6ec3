//! What does a function do? Statements and expressions, each of a type that was
//! asked for.
//!
//! Everything that is emitted is typed: `value` leaves one value of a type on
//! the stack, `statement` leaves the stack as it was.

mod call;
mod operator;
mod statement;
mod value;

use wasm_encoder::{BlockType, Function, Instruction, ValType};

use super::Plan;
use crate::numbers::Numbers;

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
}
