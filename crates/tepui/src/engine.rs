//! Engines: a configuration, its canonical types, its compilers.

use alloc::sync::Arc;
use core::fmt;
#[cfg(feature = "compiler")]
use core::num::NonZeroUsize;
use core::sync::atomic::Ordering;

use portable_atomic::AtomicU64;
use tepui_abi::Tunables;
use tepui_module::{Features, RecGroup, TypeId, TypeLookup, TypeRegistry};
use tepui_native::memory::{Reservation, page_size};
#[cfg(all(feature = "interpreter", feature = "std"))]
use tepui_native::signals;

#[cfg(feature = "compiler")]
use crate::compiled::compilers::Compilers;
#[cfg(feature = "compiler")]
use crate::config::Progress;
use crate::config::{Config, Strategy};
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::tier::Tier;
use crate::types::FuncType;
use crate::{Error, Result};

/// The environment of compilation and execution: configuration, compiler,
/// canonical types, memory for code.
///
/// A clone is another handle to the same engine. Modules and stores belong to
/// an engine; modules of one engine can be instantiated in its stores only.
/// Engines are shared by threads.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

struct EngineInner {
    config: Config,
    types: RwLock<TypeRegistry>,
    #[cfg(feature = "compiler")]
    compilers: Compilers,
    tunables: Tunables,
    epoch: AtomicU64,
}

/// Under which style of memory access code is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Memories have guard pages.
    Guarded,
    /// Every access is checked.
    Checked,
}

impl Engine {
    /// Makes an engine.
    ///
    /// # Errors
    ///
    /// When this build or this machine does not have what `config` asks for.
    pub fn new(config: &Config) -> Result<Engine> {
        if !config.strategy.is_available() {
            let available: Vec<_> = Strategy::AVAILABLE.iter().map(|s| s.name()).collect();
            return Err(Error::msg(format!(
                "this build has no tier `{}`; it has: {}",
                config.strategy,
                available.join(", ")
            )));
        }
        #[cfg(feature = "compiler")]
        crate::compiled::install_signal_handlers()?;
        // Guards of memories are of use where somebody hears of faults.
        #[cfg(all(feature = "std", not(feature = "interpreter")))]
        let has_guards = true;
        #[cfg(not(feature = "std"))]
        let has_guards = false;
        #[cfg(all(feature = "interpreter", feature = "std"))]
        // SAFETY: the interpreter's landings expect the registers of its own
        // handlers, which is where it looks instructions up.
        let has_guards = unsafe { signals::install_landing(tepui_interpreter::fault_landing) }
            .map_err(|error| Error::new(error).context("cannot install signal handlers"))?;

        let tunables = Tunables {
            memory_reservation: config.memory_reservation,
            memory_guard: config.memory_guard,
            host_page_log2: page_size().trailing_zeros() as u8,
            fuel: config.consume_fuel,
            epoch: config.epoch_interruption,
            spectre: config.spectre,
            deterministic: config.deterministic,
            profile: config.profiling.is_some(),
            stack_probes: config.stack_probes,
        };
        let tunables = if has_guards && can_reserve(&tunables) {
            tunables
        } else {
            tunables.checked()
        };
        let engine = Engine {
            inner: Arc::new(EngineInner {
                config: config.clone(),
                types: RwLock::new(TypeRegistry::new()),
                #[cfg(feature = "compiler")]
                compilers: Compilers::default(),
                tunables,
                epoch: AtomicU64::new(0),
            }),
        };
        // Made at once, so that what is missing is said here.
        #[cfg(feature = "compiler")]
        for tier in Tier::COMPILERS {
            if engine.uses(tier) {
                engine.compiler(tier, engine.preferred())?;
            }
        }
        Ok(engine)
    }

    /// Whether both are handles to the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The proposals that modules may use.
    pub fn features(&self) -> Features {
        self.inner.config.features
    }

    /// Increments the epoch, on which guests with
    /// [epoch interruption](Config::epoch_interruption) look at function
    /// entries and in loops. May be called from a signal handler.
    pub fn increment_epoch(&self) {
        self.inner.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// An error when the engine compiles for another machine.
    pub(crate) fn check_runnable(&self) -> Result<()> {
        match self.inner.config.target {
            Some(target) if target != tepui_abi::Target::host() => Err(Error::msg(format!(
                "this engine compiles for {}, and cannot run code on this machine",
                target.architecture
            ))),
            _ => Ok(()),
        }
    }

    /// Whether there may be functions in this tier.
    pub(crate) fn uses(&self, tier: Tier) -> bool {
        match self.inner.config.strategy {
            Strategy::Mixed { .. } => Tier::available().any(|available| available == tier),
            strategy => strategy.tier() == Some(tier),
        }
    }

    pub(crate) fn current_epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn epoch_counter(&self) -> *const AtomicU64 {
        &raw const self.inner.epoch
    }

    pub(crate) fn max_wasm_stack(&self) -> usize {
        self.inner.config.max_wasm_stack
    }

    pub(crate) fn wasm_backtrace(&self) -> bool {
        self.inner.config.wasm_backtrace
    }

    #[cfg(feature = "compiler")]
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.inner.config.progress.as_ref()
    }

    /// The tunables of the preferred variant.
    pub(crate) fn tunables(&self) -> &Tunables {
        &self.inner.tunables
    }

    /// The variant that is compiled unless a memory asks for the other.
    pub(crate) fn preferred(&self) -> Variant {
        if self.inner.tunables.memory_reservation > 0 {
            Variant::Guarded
        } else {
            Variant::Checked
        }
    }

    /// The compilers, and their memory for code.
    #[cfg(feature = "compiler")]
    pub(crate) fn compilers(&self) -> &Compilers {
        &self.inner.compilers
    }

    /// The variant that stands for this one: without guarded memories there is
    /// only the other.
    pub(crate) fn existing(&self, variant: Variant) -> Variant {
        match self.preferred() {
            Variant::Guarded => variant,
            Variant::Checked => Variant::Checked,
        }
    }

    /// The tunables of a variant.
    pub(crate) fn tunables_of(&self, variant: Variant) -> Tunables {
        match self.existing(variant) {
            Variant::Guarded => self.inner.tunables,
            Variant::Checked => self.inner.tunables.checked(),
        }
    }

    /// The threads that a compilation may use.
    #[cfg(feature = "compiler")]
    pub(crate) fn compile_threads(&self) -> NonZeroUsize {
        self.inner
            .config
            .compile_threads
            .unwrap_or_else(tepui_module::processors)
    }

    /// The canonical types, for reading.
    pub(crate) fn types(&self) -> RwLockReadGuard<'_, TypeRegistry> {
        self.inner.types.read()
    }

    /// The canonical types, for registering.
    pub(crate) fn types_mut(&self) -> RwLockWriteGuard<'_, TypeRegistry> {
        self.inner.types.write()
    }

    /// Whether canonical type `a` is a subtype of `b`.
    pub(crate) fn is_subtype(&self, a: TypeId, b: TypeId) -> bool {
        a == b || self.types().is_sub_id(a, b)
    }

    /// The function type of this id, which is in use.
    pub(crate) fn func_type(&self, id: TypeId) -> FuncType {
        FuncType::from_id(self, id)
    }

    /// The group of a type in use.
    pub(crate) fn group_of(&self, id: TypeId) -> Option<Arc<RecGroup>> {
        self.types().group_of(id)
    }
}

impl Default for Engine {
    /// # Panics
    ///
    /// When the default configuration does not work on this machine.
    fn default() -> Engine {
        match Engine::new(&Config::default()) {
            Ok(engine) => engine,
            Err(error) => panic!("the default engine cannot be made: {error:?}"),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Whether the system grants the address space of one guarded memory.
fn can_reserve(tunables: &Tunables) -> bool {
    if tunables.memory_reservation < 4 << 30 {
        return false;
    }
    tunables
        .memory_reservation
        .checked_add(tunables.memory_guard)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .is_some_and(|bytes| Reservation::new(bytes).is_ok())
}
