//! Tepui's baseline compiler: WebAssembly to machine code in one pass.
//!
//! # Algorithm
//!
//! The body is read once, instruction by instruction, and code is emitted as it
//! is read. The operand stack exists while compiling only: a value on it is a
//! constant, a local that has not been read yet, a register, or a slot of the
//! frame. Locals are cached in registers. Comparisons stay in the flags when a
//! branch or `select` follows; constants, slots and addresses are folded into
//! the instructions that use them. Where control flow meets, only what differs
//! is moved. See the modules of `compile` for each part and its invariants.
//!
//! What the frame needs (its size, registers to save) is known at the end. The
//! prologue is therefore made last and put in front; there is one epilogue, and
//! what leaves by a tail call is emitted behind it.
//!
//! Where [`Tunables::profile`] asks for it, code also counts and can be left in its
//! loops, as [`tepui_abi::profile`] says. Without it not a byte is different.
//!
//! # Cost
//!
//! Time and memory are linear in the size of the body. Nothing recurses over
//! its nesting.
//!
//! # Parts
//!
//! | module | what lives there |
//! |---|---|
//! | `compile` | the driver: values, registers, control flow, the contract of `tepui-abi` |
//! | `masm` | what the driver asks of an architecture: the trait of its macro assembler |
//! | `x64` | that of x86-64: instructions, SSE2 alone or with what the processor has |
//! | `a64` | that of aarch64, with or without atomic instructions of Armv8.1 |
//! | `reg` | registers and sets of them |
//! | `pool` | the choice of the architecture; memory that compilations hand on |
//!
//! A further architecture is one more folder beside `x64` and `a64`, and a line in `pool`.
//!
//! The relaxed vector instructions have the results that every tier gives;
//! NaN payloads are what the machine makes, unless
//! [`Tunables::deterministic`] asks for canonical ones.

mod a64;
mod compile;
mod features;
mod listing;
mod masm;
mod pool;
mod reg;
mod x64;

use std::fmt;

use tepui_abi::{CompileError, CompiledFunction, Compiler, FunctionInput, Target, Tunables};

pub use features::CpuFeatures;
pub use listing::Listing;
use pool::Pool;

/// Why no compiler could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(String);

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

/// The baseline compiler for one target under given tunables.
pub struct Baseline {
    target: Target,
    cpu: CpuFeatures,
    tunables: Tunables,
    pool: Pool,
}

impl Baseline {
    /// A compiler for `target`, whose processors have these features; those
    /// that need another that is missing are not used.
    ///
    /// # Errors
    ///
    /// When there is no baseline compiler for the target.
    pub fn new(
        target: Target,
        cpu: CpuFeatures,
        tunables: Tunables,
    ) -> Result<Baseline, SetupError> {
        let pool = match Pool::new(target.architecture) {
            Some(pool) if target == Target::of(target.architecture) => pool,
            _ => {
                return Err(SetupError(format!(
                    "there is no baseline compiler for {}",
                    target.architecture
                )));
            }
        };
        Ok(Baseline {
            target,
            cpu: cpu.closed(),
            tunables,
            pool,
        })
    }

    /// A compiler for the machine that runs this process.
    ///
    /// # Errors
    ///
    /// As for [`Baseline::new`].
    pub fn host(tunables: Tunables) -> Result<Baseline, SetupError> {
        Baseline::new(Target::host(), CpuFeatures::host(), tunables)
    }
}

impl Compiler for Baseline {
    fn name(&self) -> &'static str {
        "baseline"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn tunables(&self) -> &Tunables {
        &self.tunables
    }

    fn fingerprint(&self) -> String {
        format!(
            "baseline {} {} {} {:?}",
            env!("CARGO_PKG_VERSION"),
            self.target.architecture,
            self.cpu,
            self.tunables
        )
    }

    fn check_host(&self) -> Result<(), String> {
        if self.target != Target::host() {
            return Err(format!(
                "the code is for {}, which this machine is not",
                self.target.architecture
            ));
        }
        match CpuFeatures::host().lacks(self.cpu) {
            Some(feature) => Err(format!("the processor does not have {feature}")),
            None => Ok(()),
        }
    }

    fn compile(&self, input: &FunctionInput<'_>) -> Result<CompiledFunction, CompileError> {
        self.pool.compile(input, self.cpu, &self.tunables, None)
    }
}
