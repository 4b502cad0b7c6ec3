//! Tepui's optimizing compiler: WebAssembly to machine code, by way of
//! Cranelift's intermediate representation.
//!
//! # Algorithm
//!
//! One function at a time, in one pass over its body. The operand stack of
//! Wasm becomes a stack of SSA values that exists only while translating;
//! locals become variables, of which the front end of the code generator makes
//! SSA values; blocks become basic blocks with a parameter per result, loops
//! basic blocks with a parameter per loop parameter. Code that cannot be
//! reached is skipped. Then the code generator optimizes, selects instructions
//! and allocates registers.
//!
//! # Invariants
//!
//! * The body was validated. The translator relies on it: it indexes and pops
//!   without asking.
//! * Nothing recurses over the nesting of the body; what grows with the body
//!   (values, blocks, variables times blocks) is bounded by the limits in
//!   [`limits`], beyond which a function is refused with an error.
//! * Whatever two tiers must agree on comes from `tepui-abi`: no offset and no
//!   register is written down here.
//! * Every load and store is tagged with the region of memory that it belongs
//!   to (see `translate::regions`): accesses of different regions never alias.
//! * A load that is marked read-only reads what does not change while a frame
//!   of the function lives.
//! * Generated code refers to nothing by absolute address. The only
//!   relocations are calls to functions of the same batch.
//!
//! # Cost
//!
//! Time is close to linear in the size of the body. The code generator's
//! optimizer and register allocator are not, on functions with very many blocks
//! or very many values that live at the same time. Such giants
//! ([`limits::GIANT_BLOCKS`] and its neighbours) are compiled without
//! optimization and with a linear allocator.
//!
//! # Choices where the specification leaves one
//!
//! See the `simd` module of the translator for relaxed vector instructions: one
//! result everywhere. NaN payloads are what the machine makes, unless
//! [`Tunables::deterministic`] asks for canonical ones.

#[cfg(test)]
mod convention;
mod emit;
mod isa;
pub mod limits;
mod osr;
mod translate;

use std::sync::Mutex;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_frontend::FunctionBuilderContext;
use tepui_abi::{CompileError, CompiledFunction, Compiler, FunctionInput, Target, Tunables};

use isa::Machine;
pub use isa::{OptLevel, Processor, SetupError, Verifier};

/// What one compilation uses, kept for the next because it owns memory.
#[derive(Default)]
struct Workspace {
    context: Option<Box<Context>>,
    builder: FunctionBuilderContext,
}

/// The optimizing compiler for one target under given tunables.
pub struct Optimizing {
    machine: Machine,
    tunables: Tunables,
    pool: Mutex<Vec<Workspace>>,
}

/// The text forms of one compilation, for looking at it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The intermediate representation as the translator made it.
    pub translated: String,
    /// The machine instructions, with symbolic registers resolved.
    pub instructions: String,
    /// The code.
    pub function: CompiledFunction,
}

impl Optimizing {
    /// A compiler for `target`.
    ///
    /// # Errors
    ///
    /// When there is no native code for the target, or a processor feature is
    /// not known.
    pub fn new(
        target: Target,
        processor: &Processor,
        tunables: Tunables,
        opt_level: OptLevel,
        verifier: Verifier,
    ) -> Result<Optimizing, SetupError> {
        Ok(Optimizing {
            machine: Machine::new(target, processor, &tunables, opt_level, verifier)?,
            tunables,
            pool: Mutex::new(Vec::new()),
        })
    }

    /// A compiler for the machine that runs this process.
    ///
    /// # Errors
    ///
    /// As for [`Optimizing::new`].
    pub fn host(tunables: Tunables) -> Result<Optimizing, SetupError> {
        Optimizing::new(
            Target::host(),
            &Processor::Host,
            tunables,
            OptLevel::default(),
            Verifier::default(),
        )
    }

    /// Compiles one function and keeps the text forms of what it became.
    ///
    /// # Errors
    ///
    /// As for [`Compiler::compile`].
    pub fn list(&self, input: &FunctionInput<'_>) -> Result<Listing, CompileError> {
        let mut workspace = Workspace::default();
        let mut translated = String::new();
        let mut instructions = String::new();
        let function = self.compile_in(
            &mut workspace,
            input,
            Some((&mut translated, &mut instructions)),
        )?;
        Ok(Listing {
            translated,
            instructions,
            function,
        })
    }

    fn compile_in(
        &self,
        workspace: &mut Workspace,
        input: &FunctionInput<'_>,
        listing: Option<(&mut String, &mut String)>,
    ) -> Result<CompiledFunction, CompileError> {
        let context = workspace
            .context
            .get_or_insert_with(|| Box::new(Context::new()));
        let size = translate::translate(
            input,
            &self.machine,
            &self.tunables,
            &mut context.func,
            &mut workspace.builder,
        )?;
        let wants_text = listing.is_some();
        context.set_disasm(wants_text);
        let mut translated = String::new();
        if wants_text {
            translated = context.func.display().to_string();
        }
        let failed = |message: String| CompileError {
            function: input.function,
            offset: None,
            message,
        };
        if let Err(error) =
            context.compile(self.machine.isa_for(size), &mut ControlPlane::default())
        {
            let message = match &error.inner {
                cranelift_codegen::CodegenError::Verifier(errors) => {
                    format!("the code generator refuses the translation: {errors}")
                }
                cranelift_codegen::CodegenError::ImplLimitExceeded
                | cranelift_codegen::CodegenError::CodeTooLarge => {
                    "the function is too large for the optimizing compiler".to_owned()
                }
                other => other.to_string(),
            };
            return Err(failed(message));
        }
        let compiled = context
            .compiled_code()
            .ok_or_else(|| failed("the code generator made no code".to_owned()))?;
        if let Some((clif, vcode)) = listing {
            *clif = translated;
            *vcode = compiled.vcode.clone().unwrap_or_default();
        }
        let alignment = self.machine.isa().function_alignment().minimum;
        emit::emit(compiled, &context.func, alignment).map_err(failed)
    }
}

impl Compiler for Optimizing {
    fn name(&self) -> &'static str {
        "optimizing"
    }

    fn target(&self) -> Target {
        self.machine.target
    }

    fn tunables(&self) -> &Tunables {
        &self.tunables
    }

    fn fingerprint(&self) -> String {
        format!(
            "optimizing {} {} {:?}",
            env!("CARGO_PKG_VERSION"),
            self.machine.settings(),
            self.tunables
        )
    }

    fn check_host(&self) -> Result<(), String> {
        self.machine.check_host()
    }

    fn compile(&self, input: &FunctionInput<'_>) -> Result<CompiledFunction, CompileError> {
        let lock = || match self.pool.lock() {
            Ok(pool) => pool,
            // A workspace is only ever pushed or popped whole.
            Err(poisoned) => poisoned.into_inner(),
        };
        let mut workspace = lock().pop().unwrap_or_default();
        let result = self.compile_in(&mut workspace, input, None);
        let values = workspace
            .context
            .as_ref()
            .map_or(0, |context| context.func.dfg.num_values());
        // An error may leave the front end's state in the middle; and what a
        // giant needed is not kept for the small ones that follow.
        if result.is_ok() && values < limits::KEPT_VALUES {
            if let Some(context) = &mut workspace.context {
                context.clear();
            }
            lock().push(workspace);
        }
        result
    }
}
