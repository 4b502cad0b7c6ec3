//! How is a call that another tier began continued in the middle of a loop?
//!
//! The function is translated as usual, but nothing jumps to its start: the
//! entry block jumps to a block that loads the locals and the operand stack from
//! the [OSR buffer](tepui_abi::profile::OSR_SLOT_BYTES) and goes to the header
//! of the *outermost* loop around the target. Each loop on the way has a test of
//! a flag at its header that leads on to the next loop inward; the last step
//! clears the flag. So every loop keeps its one header, and is reducible. What
//! comes before is unreachable and is dropped by the code generator.
//!
//! Values of the operand stack that lie below an enclosing block may come from
//! the buffer or from code that ran in this function; they are made variables
//! when a block *on the path* (one that encloses the target) is opened, and are
//! taken anew from the variables where control enters such a block's header,
//! `else` or end. Invariant: while `n` blocks of the path are open, `variables`
//! holds at least as many variables as the innermost of them has values below.

use cranelift_codegen::ir::{Block, Type, Value};
use cranelift_frontend::Variable;

use crate::translate::{Step, Stop};

/// The state of a translation that is entered at a loop.
pub(crate) struct Osr {
    /// Offsets of the instructions that open the blocks around the target, the
    /// target last.
    path: Vec<u32>,
    /// How many of them were opened.
    opened: usize,
    /// Variables of the operand stack, from the bottom.
    pub(crate) variables: Vec<Variable>,
    /// The block that loads the buffer.
    pub(crate) load_block: Option<Block>,
    /// The buffer.
    pub(crate) buffer: Option<Value>,
    /// Whether to go on inward.
    pub(crate) flag: Option<Variable>,
    /// The header of the outermost loop and its parameters, when it is not the
    /// target.
    pub(crate) outermost: Option<(Block, Vec<Type>)>,
    /// The block that goes on to the next loop inward.
    pub(crate) dispatch: Option<Block>,
}

/// What a block is to the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnPath {
    /// It does not enclose the target.
    No,
    /// It encloses the target.
    Encloses,
    /// It is the target.
    Target,
}

impl Osr {
    /// What the block is that the instruction at `position` opens.
    pub(crate) fn open(&mut self, position: u32) -> OnPath {
        if self.path.get(self.opened) != Some(&position) {
            return OnPath::No;
        }
        self.opened += 1;
        if self.opened == self.path.len() {
            OnPath::Target
        } else {
            OnPath::Encloses
        }
    }

    /// Fails when the target was not met: it is in unreachable code.
    pub(crate) fn finished(&self) -> Step {
        if self.opened == self.path.len() {
            Ok(())
        } else {
            Err(Stop::new("the loop to enter at cannot be reached"))
        }
    }
}

/// Finds the blocks around loop `index` of a body.
pub(crate) fn find(body: &wasmparser::FunctionBody<'_>, index: u32) -> Step<Osr> {
    let mut reader = body.get_operators_reader()?;
    let mut open: Vec<u32> = Vec::new();
    let mut loops = 0;
    while !reader.eof() {
        let position = reader.original_position() as u32;
        match reader.read()? {
            wasmparser::Operator::Loop { .. } => {
                open.push(position);
                if loops == index {
                    return Ok(Osr {
                        path: open,
                        opened: 0,
                        variables: Vec::new(),
                        load_block: None,
                        buffer: None,
                        flag: None,
                        outermost: None,
                        dispatch: None,
                    });
                }
                loops += 1;
            }
            wasmparser::Operator::Block { .. }
            | wasmparser::Operator::If { .. }
            | wasmparser::Operator::TryTable { .. } => open.push(position),
            wasmparser::Operator::End => {
                open.pop();
            }
            _ => {}
        }
    }
    Err(Stop::new(format!(
        "there is no loop {index}: the function has {loops}"
    )))
}
