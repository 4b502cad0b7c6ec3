//! In which ways is a module run? In each tier, with everything that changes the
//! code and not its meaning.

use std::collections::HashMap;

use tepui::{Config, Engine, Features, Module, OptLevel, Result, Strategy};

use crate::numbers::Numbers;

/// What is the same for all runs of a case, because a guest can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Whether fuel is consumed.
    pub fuel: bool,
    /// Whether the epoch is looked at.
    pub epochs: bool,
    /// Whether NaNs are made canonical.
    pub deterministic: bool,
}

/// What differs between the runs of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Which tier runs which function.
    pub strategy: Strategy,
    /// Whether 32-bit memories have guards instead of checks.
    pub guarded: bool,
    /// Whether guards are as large as usual, or not there.
    pub wide_guards: bool,
    /// Whether accesses are hardened against speculation.
    pub spectre: bool,
    /// What the optimizing compiler does.
    pub opt_level: OptLevel,
    /// Whether the code goes through an image.
    pub image: bool,
}

impl Variant {
    /// The plain interpreter, with which the others are compared.
    pub const REFERENCE: Variant = Variant {
        strategy: Strategy::Interpreter,
        guarded: true,
        wide_guards: true,
        spectre: true,
        opt_level: OptLevel::Speed,
        image: false,
    };

    /// A way in which `strategy` runs modules.
    pub fn of(numbers: &mut Numbers, strategy: Strategy) -> Variant {
        let compiled = matches!(strategy, Strategy::Baseline | Strategy::Optimizing);
        let optimizes = matches!(strategy, Strategy::Optimizing | Strategy::Mixed { .. });
        Variant {
            strategy,
            guarded: numbers.chance(60),
            wide_guards: numbers.chance(80),
            spectre: numbers.chance(60),
            opt_level: if optimizes {
                numbers.pick(&[
                    OptLevel::None,
                    OptLevel::Speed,
                    OptLevel::Speed,
                    OptLevel::SpeedAndSize,
                ])
            } else {
                OptLevel::Speed
            },
            image: compiled && numbers.chance(10),
        }
    }

    fn engine(&self, settings: Settings) -> Result<Engine> {
        let mut config = Config::new();
        config
            .strategy(self.strategy)
            .features(Features::IMPLEMENTED)
            .consume_fuel(settings.fuel)
            .epoch_interruption(settings.epochs)
            .deterministic(settings.deterministic)
            .spectre_hardening(self.spectre)
            .opt_level(self.opt_level)
            .parallel_compilation(false)
            .max_wasm_stack(256 << 10);
        if !self.guarded {
            config.memory_reservation(0);
        }
        if !self.wide_guards {
            config.memory_guard_size(0);
        }
        Engine::new(&config)
    }
}

/// Engines, made when they are needed and kept for a while.
#[derive(Default)]
pub struct Engines {
    made: HashMap<(Settings, Variant), Engine>,
}

/// How many engines are kept: each reserves address space for code.
const KEPT: usize = 48;

impl Engines {
    /// The engine for a variant.
    ///
    /// # Errors
    ///
    /// When this build does not have the tier.
    pub fn get(&mut self, settings: Settings, variant: Variant) -> Result<Engine> {
        let key = (
            settings,
            Variant {
                image: false,
                ..variant
            },
        );
        if let Some(engine) = self.made.get(&key) {
            return Ok(engine.clone());
        }
        if self.made.len() >= KEPT {
            self.made.clear();
        }
        let engine = variant.engine(settings)?;
        self.made.insert(key, engine.clone());
        Ok(engine)
    }
}

/// The module of `bytes`, compiled as `variant` says.
pub(crate) fn load(engine: &Engine, variant: Variant, bytes: &[u8]) -> Result<Module> {
    if !variant.image {
        return Module::from_binary(engine, bytes);
    }
    const KEY: &[u8; 32] = b"a key that is known to everybody";
    let image = engine.precompile_module_authenticated(bytes, KEY)?;
    Module::deserialize_authenticated(engine, &image, KEY)
}
