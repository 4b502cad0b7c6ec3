//! How does a module become another one that is as valid? Operators give way to
//! others of the same types, constants and immediates to other ones.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::OnceLock;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Ieee32, Ieee64, Instruction, Module};
use wasmparser::{Operator, Parser};

use crate::numbers::Numbers;
use crate::operators::{Immediates, alike, plain};

/// Makes every wait for another thread end after a microsecond: there is none.
/// `None` when the module cannot be read.
pub fn without_waits(bytes: &[u8]) -> Option<Vec<u8>> {
    rewrite(
        bytes,
        &mut Rewriter {
            numbers: None,
            share: 0,
            only: None,
            seen: 0,
            changed: 0,
        },
    )
}

/// Replaces `percent` in a hundred of what can be replaced, and makes waits end.
/// `None` when the module cannot be read. The result is valid, except where an
/// offset does not fit its memory.
pub fn mutate(numbers: &mut Numbers, bytes: &[u8], percent: usize) -> Option<Vec<u8>> {
    rewrite(
        bytes,
        &mut Rewriter {
            numbers: Some(numbers.clone()),
            share: percent,
            only: None,
            seen: 0,
            changed: 0,
        },
    )
}

/// Replaces one operator by another one with the same types, as a compiler does
/// that has a bug. `None` when there is nothing to replace.
pub fn mistake(numbers: &mut Numbers, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut count = Rewriter {
        numbers: None,
        share: 0,
        only: None,
        seen: 0,
        changed: 0,
    };
    rewrite(bytes, &mut count)?;
    let mut one = Rewriter {
        numbers: Some(numbers.clone()),
        share: 0,
        only: Some(numbers.below(count.seen)),
        seen: 0,
        changed: 0,
    };
    let result = rewrite(bytes, &mut one)?;
    (one.changed > 0).then_some(result)
}

fn rewrite(bytes: &[u8], rewriter: &mut Rewriter) -> Option<Vec<u8>> {
    let mut module = Module::new();
    rewriter
        .parse_core_module(&mut module, Parser::new(0), bytes)
        .ok()?;
    Some(module.finish())
}

struct Rewriter {
    numbers: Option<Numbers>,
    share: usize,
    /// The one place to change, if it is one: as many plain operators are
    /// before it.
    only: Option<usize>,
    seen: usize,
    changed: usize,
}

/// The place of an operator in [`plain`], with its immediates.
fn recognize(operator: &Operator<'_>) -> Option<(usize, Immediates)> {
    static NAMES: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        plain()
            .iter()
            .enumerate()
            .map(|(index, plain)| (plain.name, index))
            .collect()
    });
    let mut immediates = Immediates::default();
    // The name is that of the variant, as it is printed.
    let text = format!("{operator:?}");
    let name = text.split([' ', '{', '(']).next()?;
    let index = *names.get(name)?;
    macro_rules! take {
        ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
            match operator {
                $( Operator::$op $({ $($arg),* })? => { $($( take!(one immediates $arg $arg); )*)? } )*
                _ => return None,
            }
        };
        (one $to:ident $value:ident memarg) => {
            $to.align = $value.align;
            $to.offset = $value.offset;
            if let wasmparser::MemArgTarget::Memory(memory) = $value.target {
                $to.memory = memory;
            }
        };
        (one $to:ident $value:ident lane) => {
            $to.lane = *$value;
        };
        (one $to:ident $value:ident lanes) => {
            $to.lanes = *$value;
        };
        (one $to:ident $value:ident $other:ident) => {
            let _ = $value;
        };
    }
    wasmparser::for_each_operator!(take);
    Some((index, immediates))
}

impl Rewriter {
    fn replace<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        let recognized = recognize(&operator);
        if let Some((index, _)) = recognized {
            let here = self.only == Some(self.seen);
            self.seen += 1;
            if here && let Some(numbers) = &mut self.numbers {
                let others: Vec<usize> = alike(index)
                    .iter()
                    .copied()
                    .filter(|other| *other != index)
                    .collect();
                if !others.is_empty() {
                    self.changed += 1;
                    let other = &plain()[numbers.pick(&others)];
                    return utils::instruction(self, other.operator(&recognized.unwrap().1));
                }
            }
        }
        let share = self.share;
        if let Some(numbers) = &mut self.numbers
            && share > 0
            && numbers.chance(share)
        {
            if let Some((index, mut immediates)) = recognized {
                let other = &plain()[numbers.pick(alike(index))];
                if other.lanes > 0 && numbers.chance(50) {
                    immediates.lane = numbers.below(other.lanes.into()) as u8;
                }
                if other.align.is_some() && numbers.chance(20) {
                    immediates.offset = numbers.below(70_000) as u64;
                }
                if other.is_shuffle() {
                    for lane in &mut immediates.lanes {
                        *lane = numbers.below(32) as u8;
                    }
                }
                return utils::instruction(self, other.operator(&immediates));
            }
            match operator {
                Operator::I32Const { .. } => return Ok(Instruction::I32Const(numbers.i32())),
                Operator::I64Const { .. } => return Ok(Instruction::I64Const(numbers.i64())),
                Operator::F32Const { .. } => {
                    return Ok(Instruction::F32Const(Ieee32::new(numbers.f32())));
                }
                Operator::F64Const { .. } => {
                    return Ok(Instruction::F64Const(Ieee64::new(numbers.f64())));
                }
                Operator::V128Const { .. } => {
                    return Ok(Instruction::V128Const(numbers.v128() as i128));
                }
                _ => {}
            }
        }
        utils::instruction(self, operator)
    }
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if let Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } =
                operator
            {
                function.instruction(&Instruction::Drop);
                function.instruction(&Instruction::I64Const(1000));
            }
            let instruction = self.replace(operator)?;
            function.instruction(&instruction);
        }
        code.function(&function);
        Ok(())
    }
}
