//! What do the tests share? Engines of every kind, instances in a line, a
//! source of numbers that is the same on each run.

use tepui::{
    Config, Engine, Error, Features, FrameInfo, Instance, Linker, Module, OptLevel, Store,
    Strategy, Trap, TypedFunc, WasmBacktrace, WasmParams, WasmResults,
};

use crate::tier;

/// The default configuration with every proposal of this version, in the tier of
/// this run.
pub(crate) fn config() -> Config {
    let mut config = tier::config();
    config.features(Features::IMPLEMENTED);
    config
}

/// An engine of [`config`].
pub(crate) fn engine() -> Engine {
    Engine::new(&config()).unwrap()
}

/// An engine of [`config`] as changed.
pub(crate) fn engine_with(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = config();
    change(&mut config);
    Engine::new(&config).unwrap()
}

/// Engines that compile memory accesses in every way, with a name for each.
pub(crate) fn engines() -> Vec<(&'static str, Engine)> {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 6] = [
        ("guarded", |_| {}),
        ("checked", |config| {
            config.memory_reservation(0);
        }),
        ("guarded without a guard", |config| {
            config.memory_guard_size(0);
        }),
        ("guarded with a guard of one page", |config| {
            config.memory_guard_size(65536);
        }),
        ("unoptimized, without hardening", |config| {
            config.opt_level(OptLevel::None).spectre_hardening(false);
        }),
        ("checked, unoptimized, without hardening", |config| {
            config
                .memory_reservation(0)
                .opt_level(OptLevel::None)
                .spectre_hardening(false);
        }),
    ];
    let interprets = tier::strategy() == Strategy::Interpreter;
    changes
        .into_iter()
        // What the interpreter does depends on neither.
        .filter(|(name, _)| !(interprets && name.contains("unoptimized")))
        .map(|(name, change)| (name, engine_with(change)))
        .collect()
}

/// A store with one instance.
pub(crate) struct World {
    pub(crate) store: Store<()>,
    pub(crate) instance: Instance,
}

impl World {
    /// An instance without imports, in a store of its own.
    pub(crate) fn new(engine: &Engine, text: impl AsRef<[u8]>) -> World {
        World::of(&Module::new(engine, text).unwrap())
    }

    /// An instance of `module`, which imports nothing.
    pub(crate) fn of(module: &Module) -> World {
        let mut store = Store::new(module.engine(), ());
        if module.engine().config_has_fuel() {
            store.set_fuel(u64::MAX).unwrap();
        }
        let instance = Linker::new(module.engine())
            .instantiate(&mut store, module)
            .unwrap();
        World { store, instance }
    }

    /// Calls an export.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
        params: P,
    ) -> tepui::Result<R> {
        self.func::<P, R>(name).call(&mut self.store, params)
    }

    /// An exported function.
    pub(crate) fn func<P: WasmParams, R: WasmResults>(&mut self, name: &str) -> TypedFunc<P, R> {
        self.instance
            .get_typed_func(&mut self.store, name)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Calls an export that has to trap.
    pub(crate) fn trap<P: WasmParams, R: WasmResults + std::fmt::Debug>(
        &mut self,
        name: &str,
        params: P,
    ) -> Trap {
        trap_of(&self.call::<P, R>(name, params).unwrap_err())
    }
}

/// Whether an engine meters fuel, which the public API does not say.
trait HasFuel {
    fn config_has_fuel(&self) -> bool;
}

impl HasFuel for Engine {
    fn config_has_fuel(&self) -> bool {
        Store::new(self, ()).get_fuel().is_ok()
    }
}

/// The trap that an error is.
#[track_caller]
pub(crate) fn trap_of(error: &Error) -> Trap {
    *error
        .downcast_ref::<Trap>()
        .unwrap_or_else(|| panic!("not a trap: {error:?}"))
}

/// The frames of an error's backtrace.
#[track_caller]
pub(crate) fn frames(error: &Error) -> &[FrameInfo] {
    error
        .downcast_ref::<WasmBacktrace>()
        .unwrap_or_else(|| panic!("no backtrace: {error:?}"))
        .frames()
}

/// The names of the functions of an error's backtrace, innermost first.
#[track_caller]
pub(crate) fn names(error: &Error) -> Vec<&str> {
    frames(error)
        .iter()
        .map(|frame| frame.func_name().unwrap_or("?"))
        .collect()
}

/// What a test hands a panic over as.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

/// Numbers that look random and are the same on each run (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
