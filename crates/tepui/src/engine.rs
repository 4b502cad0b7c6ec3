//! Engines: a configuration, its compiler, its types, its memory for code.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tepui_abi::{Compiler, Tunables};
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_module::{Features, RecGroup, TypeId, TypeLookup, TypeRegistry};
use tepui_native::code::CodeRegion;
use tepui_native::memory::{Reservation, page_size};
use tepui_native::signals;
use tepui_optimizing::{Optimizing, Processor, Verifier};

use crate::config::{Config, OptLevel, Progress, Strategy};
use crate::tier::Tier;
use crate::types::FuncType;
use crate::vm::call::on_trap;
use crate::{Error, Module, Result, code};

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
    baseline: Compilers,
    optimizing: Compilers,
    tunables: Tunables,
    code: OnceLock<CodeRegion>,
    epoch: AtomicU64,
}

/// The compilers of one tier, made when first needed.
#[derive(Default)]
struct Compilers {
    /// For memories with guard pages.
    guarded: OnceLock<Box<dyn Compiler>>,
    /// For memories that are checked explicitly.
    checked: OnceLock<Box<dyn Compiler>>,
}

/// Stands before the proposals in the fingerprint of an image.
const FEATURES: &str = "; proposals ";

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
        // SAFETY: `trap_at` only reads what is kept alive by running code, and
        // `on_trap` follows the contract of the trap stub.
        unsafe { signals::install(lookup, on_trap) }
            .map_err(|error| Error::new(error).context("cannot install signal handlers"))?;

        let tunables = Tunables {
            memory_reservation: config.memory_reservation,
            memory_guard: config.memory_guard,
            host_page_log2: page_size().trailing_zeros() as u8,
            fuel: config.consume_fuel,
            epoch: config.epoch_interruption,
            spectre: config.spectre,
            deterministic: config.deterministic,
        };
        let tunables = if can_reserve(&tunables) {
            tunables
        } else {
            tunables.checked()
        };
        let engine = Engine {
            inner: Arc::new(EngineInner {
                config: config.clone(),
                types: RwLock::new(TypeRegistry::new()),
                baseline: Compilers::default(),
                optimizing: Compilers::default(),
                tunables,
                code: OnceLock::new(),
                epoch: AtomicU64::new(0),
            }),
        };
        // Made at once, so that what is missing is said here.
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

    /// Compiles `bytes` and returns an image that
    /// [`Module::deserialize`] loads without compiling.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub fn precompile_module(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        Module::precompile(self, bytes, None)
    }

    /// [`Engine::precompile_module`] with an authentication tag under `key`,
    /// for [`Module::deserialize_authenticated`].
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub fn precompile_module_authenticated(&self, bytes: &[u8], key: &[u8; 32]) -> Result<Vec<u8>> {
        Module::precompile(self, bytes, Some(key))
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

    /// What images of this engine are made with: the compiler, and the proposals
    /// that their bodies were validated under.
    pub(crate) fn image_fingerprint(&self, compiler: &dyn Compiler) -> String {
        let features = self.features().bits();
        format!("{}{FEATURES}{features:x}", compiler.fingerprint())
    }

    /// Whether an image with this fingerprint is one that this engine could have
    /// made: by the same compiler, without proposals that are switched off here.
    pub(crate) fn accepts_fingerprint(&self, compiler: &dyn Compiler, fingerprint: &str) -> bool {
        let Some((theirs, features)) = fingerprint.rsplit_once(FEATURES) else {
            return false;
        };
        theirs == compiler.fingerprint()
            && u64::from_str_radix(features, 16)
                .is_ok_and(|features| features & !self.features().bits() == 0)
    }

    /// Whether there may be functions in this tier.
    pub(crate) fn uses(&self, tier: Tier) -> bool {
        match self.inner.config.strategy {
            Strategy::Mixed { .. } => Tier::available().any(|available| available == tier),
            strategy => strategy.tier() == Some(tier),
        }
    }

    /// The compiler of images.
    ///
    /// # Errors
    ///
    /// When the engine neither makes nor loads images.
    pub(crate) fn image_compiler(&self) -> Result<&dyn Compiler> {
        match self.inner.config.strategy.tier() {
            Some(tier @ (Tier::Baseline | Tier::Optimizing)) => {
                self.compiler(tier, self.preferred())
            }
            Some(Tier::Interpreter) => Err(Error::msg(
                "this engine interprets: it neither makes nor loads images",
            )),
            None => Err(Error::msg(
                "this engine runs functions in several tiers: it neither makes nor loads images",
            )),
        }
    }

    /// A text that names everything on which compatibility of images depends.
    ///
    /// # Errors
    ///
    /// When the engine neither makes nor loads images.
    pub fn compatibility(&self) -> Result<String> {
        Ok(self.image_fingerprint(self.image_compiler()?))
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

    /// The compiler of a tier for a variant.
    ///
    /// # Errors
    ///
    /// When it cannot be made for this machine.
    pub(crate) fn compiler(&self, tier: Tier, variant: Variant) -> Result<&dyn Compiler> {
        let compilers = match tier {
            Tier::Interpreter => return Err(Error::msg("the interpreter does not compile")),
            Tier::Baseline => &self.inner.baseline,
            Tier::Optimizing => &self.inner.optimizing,
        };
        let cell = match self.existing(variant) {
            Variant::Guarded => &compilers.guarded,
            Variant::Checked => &compilers.checked,
        };
        if let Some(compiler) = cell.get() {
            return Ok(&**compiler);
        }
        let compiler = compiler(&self.inner.config, tier, self.tunables_of(variant))?;
        Ok(&**cell.get_or_init(|| compiler))
    }

    /// The variant that stands for this one: without guarded memories there is
    /// only the other.
    fn existing(&self, variant: Variant) -> Variant {
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
    pub(crate) fn compile_threads(&self) -> NonZeroUsize {
        self.inner
            .config
            .compile_threads
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// The engine's memory for code, reserved when first asked for.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn code_region(&self) -> Result<&CodeRegion> {
        if let Some(region) = self.inner.code.get() {
            return Ok(region);
        }
        let region = CodeRegion::new()
            .map_err(|error| Error::new(error).context("cannot reserve memory for code"))?;
        Ok(self.inner.code.get_or_init(|| region))
    }

    /// The canonical types, for reading.
    pub(crate) fn types(&self) -> RwLockReadGuard<'_, TypeRegistry> {
        self.inner
            .types
            .read()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// The canonical types, for registering.
    pub(crate) fn types_mut(&self) -> RwLockWriteGuard<'_, TypeRegistry> {
        self.inner
            .types
            .write()
            .unwrap_or_else(|poison| poison.into_inner())
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

fn compiler(config: &Config, tier: Tier, tunables: Tunables) -> Result<Box<dyn Compiler>> {
    let opt_level = match config.opt_level {
        OptLevel::None => tepui_optimizing::OptLevel::None,
        OptLevel::Speed => tepui_optimizing::OptLevel::Speed,
        OptLevel::SpeedAndSize => tepui_optimizing::OptLevel::SpeedAndSize,
    };
    let verifier = if config.verify {
        Verifier::On
    } else {
        Verifier::Off
    };
    let host = tepui_abi::Target::host();
    let target = config.target.unwrap_or(host);
    if tier == Tier::Baseline {
        let compiler = if target == host {
            let compiler = Baseline::host(tunables)?;
            compiler.check_host().map_err(Error::msg)?;
            compiler
        } else {
            Baseline::new(target, CpuFeatures::LEAST, tunables)?
        };
        return Ok(Box::new(compiler));
    }
    if target != host {
        let processor = Processor::BASELINE;
        let compiler = Optimizing::new(target, &processor, tunables, opt_level, verifier)?;
        return Ok(Box::new(compiler));
    }
    let compiler = Optimizing::new(host, &Processor::Host, tunables, opt_level, verifier)?;
    compiler.check_host().map_err(Error::msg)?;
    Ok(Box::new(compiler))
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

/// What the signal handler asks of published code: `owner` is what it was
/// registered with, and it is running.
fn lookup(owner: *const (), offset: usize) -> Option<u8> {
    // SAFETY: only `ModuleCode` registers code, and running code is kept alive
    // by the store that runs it.
    unsafe { code::trap_at(owner, offset) }.map(tepui_abi::Trap::code)
}
