//! Would a mistake of a compiler be noticed, and if not, why? A compiler that uses a
//! wrong operator is imitated by a module with one.
//!
//! Whether it is noticed depends on three things, each of which can be seen alone:
//! that the operator is executed, that it gives something else for what it is applied
//! to, and that this comes to light. Only the last is up to the comparison; an
//! operator that is never executed, or gives the same each time, no test can tell
//! from the right one by the programs at hand.

use wasm_encoder::{BlockType, Instruction, ValType};

use crate::case::Case;
use crate::engines::{Engines, Variant};
use crate::numbers::Numbers;
use crate::operators::{Plain, alike, plain};
use crate::oracle::check_with;
use crate::rewrite::{Change, Rewriter, Site, rewrite};

/// One operator in the place of another one of the same types.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// Plain operators before it.
    place: usize,
    /// What stands there.
    pub right: &'static Plain,
    /// What is to stand there.
    pub wrong: &'static Plain,
}

/// How far a mistake comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The operator is never executed.
    Never,
    /// It is executed and gives the same as the right one each time.
    Alike,
    /// It gives something else at least once, or may: of operators that write to
    /// memory or may trap that is not known.
    Matters,
}

impl Mistake {
    /// A mistake in the module, one of all that there could be. `None` when there is
    /// no operator that has another one of its types.
    pub fn new(numbers: &mut Numbers, bytes: &[u8]) -> Option<Mistake> {
        let mut count = Rewriter::new(Change::Nothing);
        rewrite(bytes, &mut count)?;
        // Some operators are alone.
        for _ in 0..20 {
            let place = numbers.below(count.seen);
            let mut found = None;
            change(bytes, place, |site| {
                found = Some(site.operator);
                vec![Instruction::Unreachable]
            })?;
            let right = found?;
            let others: Vec<usize> = alike(right)
                .iter()
                .copied()
                .filter(|other| *other != right)
                .collect();
            if !others.is_empty() {
                return Some(Mistake {
                    place,
                    right: &plain()[right],
                    wrong: &plain()[numbers.pick(&others)],
                });
            }
        }
        None
    }

    /// The module with the mistake. `None` when the module cannot be read.
    pub fn made(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let wrong = self.wrong;
        change(bytes, self.place, |site| {
            vec![wrong.instruction(&site.immediates)]
        })
    }

    /// How far the mistake comes in the case's module.
    pub fn reach(&self, engines: &mut Engines, case: &Case) -> Option<Reach> {
        let trapping = |end: Instruction<'static>| {
            change(&case.bytes, self.place, |site| {
                vec![end.clone(), self.right.instruction(&site.immediates)]
            })
        };
        if !differ(engines, case, trapping)? {
            return Some(Reach::Never);
        }
        let writes = self.right.align.is_some() && !self.right.name.contains("Load");
        if writes || self.wrong.may_trap() {
            return Some(Reach::Matters);
        }
        let comparing = |end: Instruction<'static>| {
            change(&case.bytes, self.place, |site| {
                self.compare(site, end.clone())
            })
        };
        Some(if differ(engines, case, comparing)? {
            Reach::Matters
        } else {
            Reach::Alike
        })
    }

    /// Code that applies both operators and executes `end` if they do not give the
    /// same bits.
    fn compare(&self, site: &mut Site<'_>, end: Instruction<'static>) -> Vec<Instruction<'static>> {
        let mut code = Vec::new();
        let mut params: Vec<u32> = Vec::new();
        for (place, ty) in self.right.params.iter().enumerate() {
            let is_wide = place == 0 && self.right.align.is_some() && site.has_wide_address();
            params.push(site.local(if is_wide { ValType::I64 } else { *ty }));
        }
        code.extend(
            params
                .iter()
                .rev()
                .map(|local| Instruction::LocalSet(*local)),
        );
        let mut results = |site: &mut Site<'_>, operator: &Plain| {
            code.extend(params.iter().map(|local| Instruction::LocalGet(*local)));
            code.push(operator.instruction(&site.immediates));
            let results: Vec<u32> = operator.results.iter().map(|ty| site.local(*ty)).collect();
            code.extend(
                results
                    .iter()
                    .rev()
                    .map(|local| Instruction::LocalSet(*local)),
            );
            results
        };
        let right = results(site, self.right);
        let wrong = results(site, self.wrong);
        for ((ty, right), wrong) in self.right.results.iter().zip(&right).zip(wrong) {
            let bits = match ty {
                ValType::F32 => Some(Instruction::I32ReinterpretF32),
                ValType::F64 => Some(Instruction::I64ReinterpretF64),
                _ => None,
            };
            for local in [*right, wrong] {
                code.push(Instruction::LocalGet(local));
                code.extend(bits.clone());
            }
            match ty {
                ValType::I32 | ValType::F32 => code.push(Instruction::I32Ne),
                ValType::V128 => code.extend([Instruction::V128Xor, Instruction::V128AnyTrue]),
                _ => code.push(Instruction::I64Ne),
            }
            code.extend([
                Instruction::If(BlockType::Empty),
                end.clone(),
                Instruction::End,
            ]);
        }
        code.extend(right.iter().map(|local| Instruction::LocalGet(*local)));
        code
    }
}

fn change(
    bytes: &[u8],
    place: usize,
    mut make: impl FnMut(&mut Site<'_>) -> Vec<Instruction<'static>>,
) -> Option<Vec<u8>> {
    let make = &mut make;
    rewrite(bytes, &mut Rewriter::new(Change::One { place, make }))
}

/// Whether it makes a difference that a trap stands somewhere: whether it is reached.
fn differ(
    engines: &mut Engines,
    case: &Case,
    module: impl Fn(Instruction<'static>) -> Option<Vec<u8>>,
) -> Option<bool> {
    let modules = [module(Instruction::Nop)?, module(Instruction::Unreachable)?];
    let case = Case {
        variants: vec![Variant::REFERENCE; 2],
        ..case.clone()
    };
    let outcome = check_with(engines, &case, |variant| &modules[variant]);
    Some(outcome.difference.is_some())
}
