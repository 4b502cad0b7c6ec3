//! In which ways is a module run? In each tier, with everything that changes the
//! code and not its meaning.

use std::collections::HashMap;

use tepui::{Config, Engine, Features, Module, OptLevel, Profiling, Result, Strategy, WhenHot};

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

/// How soon code that counts is left for better code: see [`Profiling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counting {
    /// Entries of a function that are let pass.
    pub calls: i32,
    /// Rounds of a loop that are let pass.
    pub rounds: i32,
}

impl Counting {
    /// At once, soon, and such that only loops or only functions are left; few, so
    /// that engines are used again.
    pub const ALL: [Counting; 5] = [
        Counting {
            calls: 0,
            rounds: 0,
        },
        Counting {
            calls: 1,
            rounds: 2,
        },
        Counting {
            calls: 7,
            rounds: 4,
        },
        Counting {
            calls: i32::MAX,
            rounds: 1,
        },
        Counting {
            calls: 2,
            rounds: i32::MAX,
        },
    ];
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
    /// Whether baseline code counts, and functions and loops that are hot change to
    /// the optimizing tier while they run.
    pub counting: Option<Counting>,
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
        counting: None,
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
            counting: None,
        }
    }

    /// A way in which functions begin in the baseline tier, all or some of them, and
    /// are changed to the optimizing one as they run.
    pub fn changing(numbers: &mut Numbers) -> Variant {
        let strategy = match numbers.below(10) {
            0..=2 => Strategy::Mixed {
                seed: numbers.below(3) as u64,
            },
            _ => Strategy::Baseline,
        };
        Variant {
            opt_level: numbers.pick(&[OptLevel::None, OptLevel::Speed, OptLevel::Speed]),
            counting: Some(numbers.pick(&Counting::ALL)),
            ..Variant::of(numbers, strategy)
        }
    }

    /// Whether some of the code is that of the optimizing compiler.
    pub(crate) fn optimizes(&self) -> bool {
        self.counting.is_some()
            || matches!(self.strategy, Strategy::Optimizing | Strategy::Mixed { .. })
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
        if let Some(Counting { calls, rounds }) = self.counting {
            config.profiling(Profiling {
                calls,
                rounds,
                when_hot: WhenHot::Optimize,
            });
        }
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
