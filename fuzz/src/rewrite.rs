//! How does a module become another one that is as valid? Operators give way to
//! others of the same types, constants and immediates to other ones.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::OnceLock;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, Function, FunctionSection, Ieee32, Ieee64, Instruction, MemoryType, Module,
    TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, Operator, Parser};

use crate::numbers::Numbers;
use crate::operators::{Immediates, alike, plain};

/// Makes every wait for another thread end after a microsecond: there is none.
/// `None` when the module cannot be read.
pub fn without_waits(bytes: &[u8]) -> Option<Vec<u8>> {
    rewrite(bytes, &mut Rewriter::new(Change::Nothing))
}

/// Replaces `percent` in a hundred of what can be replaced, and makes waits end.
/// `None` when the module cannot be read. The result is valid, except where an
/// offset does not fit its memory.
pub fn mutate(numbers: &mut Numbers, bytes: &[u8], percent: usize) -> Option<Vec<u8>> {
    let numbers = numbers.clone();
    rewrite(bytes, &mut Rewriter::new(Change::Some { numbers, percent }))
}

pub(crate) fn rewrite(bytes: &[u8], rewriter: &mut Rewriter<'_>) -> Option<Vec<u8>> {
    let mut module = Module::new();
    rewriter
        .parse_core_module(&mut module, Parser::new(0), bytes)
        .ok()?;
    Some(module.finish())
}

/// What becomes of the code.
pub(crate) enum Change<'a> {
    /// It stays.
    Nothing,
    /// So many in a hundred of what can be replaced are.
    Some { numbers: Numbers, percent: usize },
    /// The plain operator with so many before it gives way to the instructions.
    One {
        place: usize,
        make: &'a mut dyn FnMut(&mut Site<'_>) -> Vec<Instruction<'static>>,
    },
}

/// Where the one operator stands that is replaced.
pub(crate) struct Site<'a> {
    /// What it is, as a place in [`plain`].
    pub(crate) operator: usize,
    pub(crate) immediates: Immediates,
    /// Locals that are added to the function.
    locals: &'a mut Vec<ValType>,
    first_local: u32,
    has_wide_address: bool,
}

impl Site<'_> {
    /// A new local of the function.
    pub(crate) fn local(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.first_local + self.locals.len() as u32 - 1
    }

    /// Whether the memory that is accessed has addresses of 64 bits.
    pub(crate) fn has_wide_address(&self) -> bool {
        self.has_wide_address
    }
}

pub(crate) struct Rewriter<'c> {
    change: Change<'c>,
    /// The parameters of each function type, in order.
    params: Vec<u32>,
    /// The types of the defined functions.
    functions: Vec<u32>,
    /// Whether the addresses of each memory have 64 bits.
    wide: Vec<bool>,
    bodies: usize,
    /// Plain operators so far.
    pub(crate) seen: usize,
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

impl<'c> Rewriter<'c> {
    pub(crate) fn new(change: Change<'c>) -> Rewriter<'c> {
        Rewriter {
            change,
            params: Vec::new(),
            functions: Vec::new(),
            wide: Vec::new(),
            bodies: 0,
            seen: 0,
        }
    }

    fn replace<'a>(
        &mut self,
        operator: Operator<'a>,
        function: &mut Vec<Instruction<'a>>,
        locals: &mut Vec<ValType>,
        first_local: u32,
    ) -> Result<(), Error> {
        let recognized = recognize(&operator);
        let before = self.seen;
        self.seen += usize::from(recognized.is_some());
        let other = match (&mut self.change, recognized) {
            (Change::One { place, make }, Some((operator, immediates))) if *place == before => {
                function.extend(make(&mut Site {
                    operator,
                    immediates,
                    locals,
                    first_local,
                    has_wide_address: self.wide.get(immediates.memory as usize) == Some(&true),
                }));
                return Ok(());
            }
            (Change::Some { numbers, percent }, _) => {
                let percent = *percent;
                let here = percent > 0 && numbers.chance(percent);
                here.then(|| another(numbers, &operator, recognized))
                    .flatten()
            }
            _ => None,
        };
        function.push(match other {
            Some(other) => other,
            None => utils::instruction(self, operator)?,
        });
        Ok(())
    }
}

/// What may stand in an operator's place; `None` when there is nothing.
fn another(
    numbers: &mut Numbers,
    operator: &Operator<'_>,
    recognized: Option<(usize, Immediates)>,
) -> Option<Instruction<'static>> {
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
        return Some(other.instruction(&immediates));
    }
    Some(match operator {
        Operator::I32Const { .. } => Instruction::I32Const(numbers.i32()),
        Operator::I64Const { .. } => Instruction::I64Const(numbers.i64()),
        Operator::F32Const { .. } => Instruction::F32Const(Ieee32::new(numbers.f32())),
        Operator::F64Const { .. } => Instruction::F64Const(Ieee64::new(numbers.f64())),
        Operator::V128Const { .. } => Instruction::V128Const(numbers.v128() as i128),
        _ => return None,
    })
}

impl Reencode for Rewriter<'_> {
    type Error = Infallible;

    fn memory_type(&mut self, ty: wasmparser::MemoryType) -> Result<MemoryType, Error> {
        // Imported ones come first, here as in the space of indices.
        self.wide.push(ty.memory64);
        Ok(utils::memory_type(self, ty))
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        for group in section.clone() {
            self.params
                .extend(group?.types().map(|ty| match &ty.composite_type.inner {
                    CompositeInnerType::Func(ty) => ty.params().len() as u32,
                    _ => 0,
                }));
        }
        utils::parse_type_section(self, types, section)
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        for ty in section.clone() {
            self.functions.push(ty?);
        }
        utils::parse_function_section(self, functions, section)
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error> {
        let ty = self.functions.get(self.bodies).copied().unwrap_or_default();
        self.bodies += 1;
        let mut first_local = self.params.get(ty as usize).copied().unwrap_or_default();
        let mut locals = Vec::new();
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            first_local += count;
            locals.push((count, self.val_type(ty)?));
        }
        let (mut instructions, mut more) = (Vec::new(), Vec::new());
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if let Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } =
                operator
            {
                instructions.extend([Instruction::Drop, Instruction::I64Const(1000)]);
            }
            self.replace(operator, &mut instructions, &mut more, first_local)?;
        }
        locals.extend(more.into_iter().map(|ty| (1, ty)));
        let mut function = Function::new(locals);
        for instruction in &instructions {
            function.instruction(instruction);
        }
        code.function(&function);
        Ok(())
    }
}
