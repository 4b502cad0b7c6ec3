//! The code of a function in a form that can be looked at: which bytes each
//! Wasm instruction became.

use tepui_abi::{CompileError, CompiledFunction, FunctionInput};

use crate::Baseline;

/// The code of one function, and where each Wasm instruction's begins.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The code.
    pub function: CompiledFunction,
    /// Offset in the code, offset of the instruction in the module; ascending.
    /// What stands before the first is the prologue. The last entry is the
    /// epilogue, with what follows it, at the offset of the body's end.
    pub instructions: Vec<(u32, u32)>,
    /// Bytes of instructions; constants and tables of jumps follow.
    pub code_bytes: u32,
}

impl Baseline {
    /// Compiles one function and keeps which code belongs to which instruction.
    ///
    /// # Errors
    ///
    /// As for [`Compiler::compile`](tepui_abi::Compiler::compile).
    pub fn list(&self, input: &FunctionInput<'_>) -> Result<Listing, CompileError> {
        let mut instructions = Vec::new();
        let listing = Some(&mut instructions);
        let function = self
            .pool
            .compile(input, self.cpu, &self.tunables, listing)?;
        let (code_bytes, _) = instructions.pop().unwrap_or_default();
        Ok(Listing {
            function,
            instructions,
            code_bytes,
        })
    }
}
