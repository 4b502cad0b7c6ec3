//! How are the functions of a module run? As code behind slots, or interpreted.
//!
//! This file holds unsafe code: it hands on what images vouch for.

use alloc::sync::Arc;
#[cfg(feature = "compiler")]
use alloc::sync::Weak;

use tepui_abi::{Plan, Target, Tunables};
use tepui_module::DefinedFuncIndex;

use crate::Result;
#[cfg(feature = "compiler")]
use crate::compiled::code::Compiled;
use crate::engine::Engine;
use crate::module::ModuleInner;
use crate::tier::Tier;
use crate::vm::context::VmFuncRef;

/// How the functions of a module are run: as what compilers made of them, or by the
/// interpreter.
pub(crate) struct ModuleCode {
    /// None where all functions are interpreted.
    #[cfg(feature = "compiler")]
    compiled: Option<Compiled>,
    plan: Plan,
    #[cfg(feature = "interpreter")]
    interpreted: Option<tepui_interpreter::ModuleCode>,
}

impl ModuleCode {
    /// The functions of `module`, none of which has code. They are interpreted if
    /// the engine has the interpreter.
    ///
    /// # Errors
    ///
    /// When memory for slots cannot be had.
    pub(crate) fn new(
        engine: &Engine,
        module: &Arc<ModuleInner>,
        tunables: &Tunables,
    ) -> Result<ModuleCode> {
        let decoded = module.module();
        let plan = Plan::new(decoded, TARGET, tunables);
        #[cfg(feature = "compiler")]
        let compiled = if Tier::COMPILERS.into_iter().any(|tier| engine.uses(tier)) {
            let functions = decoded.defined_function_count();
            let module: Weak<ModuleInner> = Arc::downgrade(module);
            Some(Compiled::new(engine, module, functions, tunables)?)
        } else {
            None
        };
        Ok(ModuleCode {
            #[cfg(feature = "compiler")]
            compiled,
            #[cfg(feature = "interpreter")]
            interpreted: engine
                .uses(Tier::Interpreter)
                .then(|| interpreted(module, &plan, tunables)),
            plan,
        })
    }

    /// The functions as the interpreter knows them, if any may be interpreted.
    #[cfg(feature = "interpreter")]
    pub(crate) fn interpreted(&self) -> Option<&tepui_interpreter::ModuleCode> {
        self.interpreted.as_ref()
    }

    /// Where a function has code, now.
    #[cfg(feature = "interpreter")]
    pub(crate) fn entry(&self, function: DefinedFuncIndex) -> Option<*const u8> {
        #[cfg(feature = "compiler")]
        if let Some(compiled) = &self.compiled {
            return compiled.entry(function);
        }
        let _ = function;
        None
    }

    /// The slots and the code behind them, where a compiler is among the tiers.
    #[cfg(feature = "compiler")]
    pub(crate) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the slot stubs begin; null where no function has one.
    pub(crate) fn stub_base(&self) -> *const u8 {
        #[cfg(feature = "compiler")]
        if let Some(compiled) = &self.compiled {
            return compiled.slots().stub_base();
        }
        core::ptr::null()
    }

    /// The table of profiles; null where nothing is counted.
    #[cfg(feature = "compiler")]
    pub(crate) fn profiles(&self) -> *const u8 {
        let compiled = self.compiled.as_ref();
        let profiles = compiled.and_then(Compiled::profiles);
        profiles.map_or(core::ptr::null(), |profiles| profiles.table())
    }

    /// A function reference to a defined function, for a context.
    pub(crate) fn func_ref(
        &self,
        function: DefinedFuncIndex,
        type_id: u32,
        context: *mut u8,
    ) -> VmFuncRef {
        VmFuncRef {
            code: self.stub(function),
            context,
            type_id,
            function: function.as_u32(),
        }
    }

    /// The slot stub of a function; null where it has none, and nobody calls it
    /// there.
    fn stub(&self, function: DefinedFuncIndex) -> *const u8 {
        #[cfg(feature = "compiler")]
        if let Some(compiled) = &self.compiled {
            return compiled.slots().stub(function.as_u32());
        }
        let _ = function;
        core::ptr::null()
    }
}

/// The functions of a module as the interpreter knows them.
#[cfg(feature = "interpreter")]
fn interpreted(
    module: &ModuleInner,
    plan: &Plan,
    tunables: &Tunables,
) -> tepui_interpreter::ModuleCode {
    #[cfg(feature = "images")]
    if let Some(image) = module.image() {
        // SAFETY: whoever loaded the image vouched for it.
        return unsafe {
            tepui_interpreter::ModuleCode::from_image(module.module(), plan, tunables, image)
        };
    }
    tepui_interpreter::ModuleCode::new(module.module(), plan, tunables)
}

/// The layout that images of this host are made for.
pub(crate) const TARGET: Target = Target::host();
