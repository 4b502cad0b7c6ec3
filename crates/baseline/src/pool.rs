//! Who compiles for which architecture, with what memory? The choice of the
//! assembler, and workspaces that compilations hand on.

use std::sync::{Mutex, MutexGuard};

use tepui_abi::{Architecture, CompileError, CompiledFunction, FunctionInput, Tunables};

use crate::CpuFeatures;
use crate::compile::{self, Workspace};
use crate::masm::Assembler;
use crate::{a64, x64};

/// The workspaces of one architecture.
pub(crate) enum Pool {
    X64(Workspaces<x64::Masm>),
    A64(Workspaces<a64::Masm>),
}

impl Pool {
    /// One for the architecture, if there is a compiler for it.
    pub(crate) fn new(architecture: Architecture) -> Option<Pool> {
        match architecture {
            Architecture::X86_64 => Some(Pool::X64(Workspaces::default())),
            Architecture::Aarch64 => Some(Pool::A64(Workspaces::default())),
            _ => None,
        }
    }

    /// Compiles one function, and says in `listing` where the code of each of
    /// its instructions begins.
    pub(crate) fn compile(
        &self,
        input: &FunctionInput<'_>,
        cpu: CpuFeatures,
        tunables: &Tunables,
        listing: Option<&mut Vec<(u32, u32)>>,
    ) -> Result<CompiledFunction, CompileError> {
        match self {
            Pool::X64(workspaces) => workspaces.compile(input, cpu, tunables, listing),
            Pool::A64(workspaces) => workspaces.compile(input, cpu, tunables, listing),
        }
    }
}

/// Workspaces that no compilation uses at the moment.
#[derive(Default)]
pub(crate) struct Workspaces<A>(Mutex<Vec<Workspace<A>>>);

impl<A: Assembler> Workspaces<A> {
    fn lock(&self) -> MutexGuard<'_, Vec<Workspace<A>>> {
        match self.0.lock() {
            Ok(list) => list,
            // A workspace is only ever pushed or popped whole.
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn compile(
        &self,
        input: &FunctionInput<'_>,
        cpu: CpuFeatures,
        tunables: &Tunables,
        listing: Option<&mut Vec<(u32, u32)>>,
    ) -> Result<CompiledFunction, CompileError> {
        let mut workspace = self.lock().pop().unwrap_or_default();
        let result = compile::compile(input, cpu, tunables, &mut workspace, listing);
        // What a giant needed is not kept for the small ones that follow.
        if workspace.is_small() {
            self.lock().push(workspace);
        }
        result
    }
}
