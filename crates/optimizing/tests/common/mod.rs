//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its part")]

use tepui_abi::{
    Architecture, Batch, CompileError, CompiledFunction, Compiler, Entry, FunctionInput, Plan,
    Target, Tunables,
};
use tepui_module::{DefinedFuncIndex, Features, Module, Summaries, TypeRegistry};
use tepui_optimizing::{Listing, OptLevel, Optimizing, Processor, Verifier};

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

    pub(crate) fn plan(&self, compiler: &Optimizing) -> Plan {
        Plan::new(&self.module, compiler.target(), compiler.tunables())
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = DefinedFuncIndex> + use<> {
        (0..self.module.defined_function_count()).map(DefinedFuncIndex::new)
    }

    pub(crate) fn compile(
        &self,
        compiler: &Optimizing,
        plan: &Plan,
        function: DefinedFuncIndex,
        entry: Entry,
        batch: Batch<'_>,
    ) -> Result<CompiledFunction, CompileError> {
        compiler.compile(&FunctionInput {
            module: &self.module,
            bytes: &self.bytes,
            summaries: Some(&self.summaries),
            plan,
            function,
            entry,
            batch,
        })
    }

    pub(crate) fn list(
        &self,
        compiler: &Optimizing,
        function: u32,
        entry: Entry,
        batch: Batch<'_>,
    ) -> Result<Listing, CompileError> {
        compiler.list(&FunctionInput {
            module: &self.module,
            bytes: &self.bytes,
            summaries: Some(&self.summaries),
            plan: &self.plan(compiler),
            function: DefinedFuncIndex::new(function),
            entry,
            batch,
        })
    }
}

/// The features with which tests compile for an architecture, unless they say
/// otherwise: pinned, so that the machine that runs the tests does not matter.
pub(crate) fn processor(architecture: Architecture) -> Processor {
    let features: &[&str] = match architecture {
        Architecture::X86_64 => &["x86-64-v3"],
        Architecture::Riscv64 => &["has_v"],
        _ => &[],
    };
    Processor::Named(features.iter().map(|f| (*f).to_owned()).collect())
}

/// A compiler for an architecture, with the verifier on.
pub(crate) fn compiler(architecture: Architecture, tunables: Tunables) -> Optimizing {
    Optimizing::new(
        Target::of(architecture),
        &processor(architecture),
        tunables,
        OptLevel::Speed,
        Verifier::On,
    )
    .expect("the architecture has a compiler")
}

/// Guarded memories, hardening, no metering.
pub(crate) const GUARDED: Tunables = Tunables::guarded(12);

/// Everything that adds code.
pub(crate) const METERED: Tunables = Tunables {
    fuel: true,
    epoch: true,
    deterministic: true,
    ..Tunables::guarded(12).checked()
};

/// Nothing that adds code but what safety needs.
pub(crate) const BARE: Tunables = Tunables {
    spectre: false,
    ..Tunables::guarded(12).checked()
};
