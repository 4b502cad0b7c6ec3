//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its part")]

use tepui_abi::{
    Architecture, Batch, CompileError, CompiledFunction, Compiler, Entry, FunctionInput, Plan,
    Target, Tunables,
};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_module::{DefinedFuncIndex, Features, Module, Summaries, TypeRegistry};

/// Guarded memories, hardening, no meters.
pub(crate) const GUARDED: Tunables = Tunables::guarded(12);

/// Everything that can be asked for, with checked memories.
pub(crate) const METERED: Tunables = Tunables {
    fuel: true,
    epoch: true,
    deterministic: true,
    ..GUARDED.checked()
};

/// Nothing that can be left out.
pub(crate) const BARE: Tunables = Tunables {
    spectre: false,
    ..GUARDED
};

/// Everything that this crate makes use of.
pub(crate) fn everything() -> CpuFeatures {
    CpuFeatures::ALL
}

pub(crate) fn compiler(cpu: CpuFeatures, tunables: Tunables) -> Baseline {
    Baseline::new(Target::of(Architecture::X86_64), cpu, tunables)
        .expect("there is a compiler for x86-64")
}

/// A module with what compiling it needs.
pub(crate) struct Loaded {
    pub(crate) module: Module,
    pub(crate) summaries: Summaries,
    pub(crate) bytes: Vec<u8>,
}

impl Loaded {
    pub(crate) fn text(text: &str) -> Loaded {
        let bytes = wat::parse_str(text).expect("the test's module can be parsed");
        Loaded::bytes(bytes).expect("the test's module is valid")
    }

    pub(crate) fn bytes(bytes: Vec<u8>) -> Result<Loaded, tepui_module::Error> {
        let mut registry = TypeRegistry::new();
        let (module, summaries) =
            Module::decode_and_validate(&bytes, Features::IMPLEMENTED, &mut registry)?;
        Ok(Loaded {
            module,
            summaries,
            bytes,
        })
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = DefinedFuncIndex> + use<> {
        (0..self.module.defined_function_count()).map(DefinedFuncIndex::new)
    }

    pub(crate) fn plan(&self, compiler: &Baseline) -> Plan {
        Plan::new(&self.module, compiler.target(), compiler.tunables())
    }

    pub(crate) fn input<'a>(
        &'a self,
        plan: &'a Plan,
        function: DefinedFuncIndex,
        batch: Batch<'a>,
    ) -> FunctionInput<'a> {
        FunctionInput {
            module: &self.module,
            bytes: &self.bytes,
            summaries: Some(&self.summaries),
            plan,
            function,
            entry: Entry::Start,
            batch,
        }
    }

    pub(crate) fn compile(
        &self,
        compiler: &Baseline,
        function: DefinedFuncIndex,
        batch: Batch<'_>,
    ) -> Result<CompiledFunction, CompileError> {
        compiler.compile(&self.input(&self.plan(compiler), function, batch))
    }
}
