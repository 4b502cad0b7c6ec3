//! The trait that compilers implement, and what they are given.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tepui_module::{DefinedFuncIndex, Module, Summaries};

use crate::metadata::FunctionMetadata;
use crate::plan::Plan;
use crate::target::Target;

/// The settings that generated code depends on, besides the processor.
///
/// Code compiled under other tunables must not run in an engine: images carry
/// them and are refused when they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunables {
    /// Address space reserved for a guarded 32-bit memory, in bytes; 0 when
    /// every access is checked explicitly.
    pub memory_reservation: u64,
    /// Inaccessible bytes after the reservation (or after a memory of its own
    /// size): static offsets below this need no check of their own.
    pub memory_guard: u64,
    /// log2 of the page size of the host that will run the code: memories with
    /// smaller pages cannot be guarded.
    pub host_page_log2: u8,
    /// Charge fuel.
    pub fuel: bool,
    /// Check the epoch at entries and loops.
    pub epoch: bool,
    /// Mask speculative accesses to memories, tables and branch tables.
    pub spectre: bool,
    /// Canonicalize NaNs, so that results do not depend on the machine.
    pub deterministic: bool,
    /// Have a place for [profiles](crate::profile) in contexts, which the code of
    /// tiers below the optimizing one fills.
    pub profile: bool,
    /// Touch each page of a large frame, from the top down: where stacks grow only
    /// when the page below is touched, as on Windows.
    pub stack_probes: bool,
}

impl Tunables {
    /// The default of a 64-bit host with guarded memories: 4 GiB reserved,
    /// 32 MiB of guard, hardening on, no metering.
    pub const fn guarded(host_page_log2: u8) -> Tunables {
        Tunables {
            memory_reservation: 4 << 30,
            memory_guard: 32 << 20,
            host_page_log2,
            fuel: false,
            epoch: false,
            spectre: true,
            deterministic: false,
            profile: false,
            stack_probes: false,
        }
    }

    /// The same with every memory access checked explicitly.
    pub const fn checked(self) -> Tunables {
        Tunables {
            memory_reservation: 0,
            memory_guard: 0,
            ..self
        }
    }
}

/// Where a compiled function is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// At its start, under the [convention](crate::convention).
    Start,
    /// At the header of a loop, in the middle of a call that another tier
    /// began. The code takes the callee context and a pointer to an
    /// [OSR buffer](crate::profile::OSR_SLOT_BYTES) in the places of the two
    /// contexts, and returns the function's results under the convention.
    Loop {
        /// The loop, counted in the order of `loop` instructions in the body.
        index: u32,
    },
}

/// Which functions will be published together with the one being compiled, so
/// that they may call each other directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch<'a> {
    /// Every defined function of the module.
    Whole,
    /// These functions, ascending: calls of others go through slot stubs.
    Functions(&'a [DefinedFuncIndex]),
    /// No other function: all calls go through slot stubs.
    Alone,
}

impl Batch<'_> {
    /// Whether `function` may be called directly.
    pub fn contains(self, function: DefinedFuncIndex) -> bool {
        match self {
            Batch::Whole => true,
            Batch::Functions(functions) => functions.binary_search(&function).is_ok(),
            Batch::Alone => false,
        }
    }
}

/// What a compiler is given for one function.
#[derive(Clone, Copy)]
pub struct FunctionInput<'a> {
    /// The module, already validated.
    pub module: &'a Module,
    /// The module's bytes.
    pub bytes: &'a [u8],
    /// What validation learned about the functions, when it is at hand. Code
    /// may be faster for it, and means the same.
    pub summaries: Option<&'a Summaries>,
    /// Layout and memory styles, made from the module and the tunables.
    pub plan: &'a Plan,
    /// The function to compile.
    pub function: DefinedFuncIndex,
    /// Where it is entered.
    pub entry: Entry,
    /// What it may call directly.
    pub batch: Batch<'a>,
}

/// The kind of a relocation: how the address of a function of the same batch
/// is written into code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationKind {
    /// x86-64: 32-bit distance from the end of the field.
    X86PcRelative4,
    /// aarch64: 26-bit word distance in a `b` or `bl`.
    Aarch64Call26,
    /// riscv64: an `auipc`, `jalr` pair.
    RiscvCall,
    /// s390x: 32-bit halfword distance in `brasl` or `larl`, from the start of
    /// the instruction two bytes before the field.
    S390xPcRelative32Doubled,
}

/// A place in code that names another function of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Offset of the field in the function's code.
    pub offset: u32,
    /// How it is written.
    pub kind: RelocationKind,
    /// The function.
    pub target: DefinedFuncIndex,
}

/// The code of one function and what is kept beside it.
#[derive(Clone, Debug, Default)]
pub struct CompiledFunction {
    /// Machine code and the constants that follow it.
    pub code: Vec<u8>,
    /// Alignment in bytes, a power of two.
    pub alignment: u32,
    /// Direct calls inside the batch.
    pub relocations: Vec<Relocation>,
    /// Tables.
    pub metadata: FunctionMetadata,
}

/// Why a function could not be compiled.
#[derive(Clone, Debug)]
pub struct CompileError {
    /// The function.
    pub function: DefinedFuncIndex,
    /// Byte offset in the module, where it is known.
    pub offset: Option<usize>,
    /// What happened.
    pub message: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "compilation of defined function {} failed",
            self.function.as_u32()
        )?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset:#x}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl core::error::Error for CompileError {}

/// A compiler: from validated Wasm to code under the contract of this crate.
///
/// Compilers keep no state of a module; they may be called from many threads.
pub trait Compiler: Send + Sync {
    /// The name of the tier, as users write it: `baseline` or `optimizing`.
    fn name(&self) -> &'static str;

    /// The machine that code is made for.
    fn target(&self) -> Target;

    /// The tunables that code is made under.
    fn tunables(&self) -> &Tunables;

    /// A text that differs whenever code for the same function could differ:
    /// version of the compiler, processor features, settings.
    fn fingerprint(&self) -> String;

    /// Whether the machine that runs this process has what the code needs.
    ///
    /// # Errors
    ///
    /// A message that names what is missing.
    fn check_host(&self) -> Result<(), String>;

    /// Compiles one function.
    ///
    /// # Errors
    ///
    /// When an implementation limit is met. A validated function is otherwise
    /// always compiled.
    fn compile(&self, input: &FunctionInput<'_>) -> Result<CompiledFunction, CompileError>;
}
