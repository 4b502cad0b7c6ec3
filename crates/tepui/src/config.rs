//! What an engine is asked to be.

use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroUsize;

use tepui_abi::target::Endianness;
use tepui_abi::{Architecture, Target};
use tepui_module::{Features, Proposal};

#[cfg(doc)]
use crate::Engine;
use crate::Result;
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// How functions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The interpreter.
    Interpreter,
    /// The one-pass compiler, over whole modules: x86-64 and aarch64.
    Baseline,
    /// The optimizing compiler, over whole modules.
    Optimizing,
    /// Start in the fastest-starting tier and move up. Not in this version yet.
    Auto,
    /// Each function in a tier of its own, for tests of how the tiers work
    /// together: any of those that this build has, by chance. What a guest does
    /// is the same; its speed is of no use to anybody. There are no images.
    Mixed {
        /// Which function gets which tier depends on this and on the module.
        seed: u64,
    },
}

impl Strategy {
    /// Every strategy but [`Mixed`](Strategy::Mixed), which is many, from the
    /// lowest tier up.
    pub const ALL: &'static [Strategy] = &[
        Strategy::Interpreter,
        Strategy::Baseline,
        Strategy::Optimizing,
        Strategy::Auto,
    ];

    /// Those of [`ALL`](Strategy::ALL) that this build has.
    pub const AVAILABLE: &'static [Strategy] = &[
        #[cfg(feature = "interpreter")]
        Strategy::Interpreter,
        #[cfg(all(
            feature = "baseline",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        Strategy::Baseline,
        #[cfg(feature = "optimizing")]
        Strategy::Optimizing,
    ];

    /// Whether this build has the strategy.
    pub fn is_available(self) -> bool {
        matches!(self, Strategy::Mixed { .. }) || Strategy::AVAILABLE.contains(&self)
    }

    /// The name, as in `tepui run --tier NAME`; without the seed of
    /// [`Mixed`](Strategy::Mixed), which the text that is shown has.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Interpreter => "interpreter",
            Strategy::Baseline => "baseline",
            Strategy::Optimizing => "optimizing",
            Strategy::Auto => "auto",
            Strategy::Mixed { .. } => "mixed",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Strategy::Mixed { seed } => write!(f, ":{seed}"),
            _ => Ok(()),
        }
    }
}

impl core::str::FromStr for Strategy {
    type Err = crate::Error;

    /// Reads a [name](Strategy::name), or `mixed:SEED` with a decimal number.
    fn from_str(name: &str) -> Result<Strategy> {
        let mixed = Strategy::Mixed { seed: 0 }.name();
        if let Some(seed) = name.strip_prefix(mixed) {
            if seed.is_empty() {
                return Err(crate::Error::msg("`mixed` needs a seed, as in `mixed:7`"));
            }
            if let Some(seed) = seed.strip_prefix(':') {
                // A sign is no part of a seed.
                let is_number = !seed.is_empty() && seed.bytes().all(|b| b.is_ascii_digit());
                return match seed.parse() {
                    Ok(seed) if is_number => Ok(Strategy::Mixed { seed }),
                    _ => Err(crate::Error::msg(format!(
                        "`{seed}` is not a seed: a seed is a number from 0 to {}",
                        u64::MAX
                    ))),
                };
            }
        }
        Strategy::ALL
            .iter()
            .copied()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| {
                crate::Error::msg(format!(
                    "no tier is called `{name}`; there are interpreter, baseline, optimizing, auto, \
                     and for tests mixed:SEED"
                ))
            })
    }
}

/// How much the optimizing compiler does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptLevel {
    /// As little as possible: compiles fastest.
    None,
    /// For speed.
    #[default]
    Speed,
    /// For speed and small code.
    SpeedAndSize,
}

/// What baseline code counts, and what happens when a count runs out: what tests of
/// changing tiers need. Programs are to have a strategy for that.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiling {
    /// Entries of a function that are let pass before it is hot.
    pub calls: i32,
    /// Rounds of a loop that are let pass before it is hot.
    pub rounds: i32,
    /// What becomes of what is hot.
    pub when_hot: WhenHot,
}

/// What becomes of hot functions and loops.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenHot {
    /// Nothing: they are counted.
    GoOn,
    /// The optimizing compiler makes code for them, while the guest waits; the present
    /// call goes on there if it is in a loop, and so do all later ones.
    Optimize,
}

/// How far a compilation is: called with functions done and functions in all.
pub(crate) type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What an [`Engine`] is asked to be. The defaults are right for most programs.
///
/// ```
/// use tepui::{Config, Engine};
///
/// # fn main() -> tepui::Result<()> {
/// let mut config = Config::new();
/// config.consume_fuel(true).max_wasm_stack(1 << 20);
/// let engine = Engine::new(&config)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) strategy: Strategy,
    pub(crate) features: Features,
    pub(crate) consume_fuel: bool,
    pub(crate) epoch_interruption: bool,
    pub(crate) wasm_backtrace: bool,
    pub(crate) max_wasm_stack: usize,
    pub(crate) memory_reservation: u64,
    pub(crate) memory_guard: u64,
    pub(crate) deterministic: bool,
    pub(crate) spectre: bool,
    pub(crate) compile_threads: Option<NonZeroUsize>,
    pub(crate) opt_level: OptLevel,
    pub(crate) verify: bool,
    pub(crate) progress: Option<Progress>,
    pub(crate) target: Option<Target>,
    pub(crate) profiling: Option<Profiling>,
    /// Whether code touches each page of a large frame.
    pub(crate) stack_probes: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            strategy: Strategy::AVAILABLE
                .last()
                .copied()
                .unwrap_or(Strategy::Optimizing),
            features: Features::default(),
            consume_fuel: false,
            epoch_interruption: false,
            wasm_backtrace: true,
            max_wasm_stack: 512 << 10,
            memory_reservation: 4 << 30,
            memory_guard: 32 << 20,
            deterministic: false,
            spectre: true,
            compile_threads: None,
            opt_level: OptLevel::Speed,
            verify: cfg!(debug_assertions),
            progress: None,
            target: None,
            profiling: None,
            stack_probes: cfg!(windows),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("strategy", &self.strategy)
            .field("features", &self.features)
            .field("consume_fuel", &self.consume_fuel)
            .field("epoch_interruption", &self.epoch_interruption)
            .field("wasm_backtrace", &self.wasm_backtrace)
            .field("max_wasm_stack", &self.max_wasm_stack)
            .field("memory_reservation", &self.memory_reservation)
            .field("memory_guard", &self.memory_guard)
            .field("deterministic", &self.deterministic)
            .field("spectre", &self.spectre)
            .field("compile_threads", &self.compile_threads)
            .field("opt_level", &self.opt_level)
            .field("profiling", &self.profiling)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The default configuration.
    pub fn new() -> Config {
        Config::default()
    }

    /// How functions are run. The default is the optimizing compiler.
    ///
    /// [`Engine::new`] refuses a strategy that this build does not have.
    pub fn strategy(&mut self, strategy: Strategy) -> &mut Config {
        self.strategy = strategy;
        self
    }

    /// The proposals that modules may use.
    pub fn features(&mut self, features: Features) -> &mut Config {
        self.features = features;
        self
    }

    /// Switches one proposal on or off.
    ///
    /// # Errors
    ///
    /// When it is to be switched on and this version does not implement it.
    pub fn feature(&mut self, proposal: Proposal, enable: bool) -> Result<&mut Config> {
        if enable {
            self.features.enable(proposal)?;
        } else {
            self.features.disable(proposal);
        }
        Ok(self)
    }

    /// Whether guests consume [fuel](crate::Store::set_fuel). Off by default.
    pub fn consume_fuel(&mut self, enable: bool) -> &mut Config {
        self.consume_fuel = enable;
        self
    }

    /// Whether guests look at the [epoch](Engine::increment_epoch) at function
    /// entries and in loops. Off by default.
    pub fn epoch_interruption(&mut self, enable: bool) -> &mut Config {
        self.epoch_interruption = enable;
        self
    }

    /// Whether errors carry a [`WasmBacktrace`](crate::WasmBacktrace). On by
    /// default.
    pub fn wasm_backtrace(&mut self, enable: bool) -> &mut Config {
        self.wasm_backtrace = enable;
        self
    }

    /// The stack that guests may use, in bytes; 512 KiB by default.
    ///
    /// It is taken from the stack of the thread that calls, of which a reserve
    /// is kept for the host in any case.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Config {
        self.max_wasm_stack = bytes;
        self
    }

    /// The address space reserved for each 32-bit memory, in bytes; 4 GiB by
    /// default. With less than 4 GiB every memory access is checked explicitly,
    /// as it also is where the system refuses the reservation.
    pub fn memory_reservation(&mut self, bytes: u64) -> &mut Config {
        self.memory_reservation = bytes;
        self
    }

    /// The inaccessible address space after each reservation, in bytes; 32 MiB
    /// by default. Accesses with static offsets below it need no check.
    pub fn memory_guard_size(&mut self, bytes: u64) -> &mut Config {
        self.memory_guard = bytes;
        self
    }

    /// Whether results are the same on every machine: NaN bit patterns are
    /// made canonical. Off by default, because it costs time.
    pub fn deterministic(&mut self, enable: bool) -> &mut Config {
        self.deterministic = enable;
        self
    }

    /// Whether accesses to memories, tables and branch tables are hardened
    /// against speculative execution. On by default.
    pub fn spectre_hardening(&mut self, enable: bool) -> &mut Config {
        self.spectre = enable;
        self
    }

    /// Whether modules are validated and compiled on all processors. On by
    /// default.
    pub fn parallel_compilation(&mut self, enable: bool) -> &mut Config {
        self.compile_threads = (!enable).then_some(NonZeroUsize::MIN);
        self
    }

    /// The threads on which a module is validated and compiled, at most; as
    /// many as there are processors by default.
    pub fn compile_threads(&mut self, threads: NonZeroUsize) -> &mut Config {
        self.compile_threads = Some(threads);
        self
    }

    /// How much the optimizing compiler does; for speed by default.
    pub fn opt_level(&mut self, level: OptLevel) -> &mut Config {
        self.opt_level = level;
        self
    }

    /// Whether the compiler checks its own intermediate code, for tests. On by
    /// default in builds with debug assertions.
    pub fn compiler_verifier(&mut self, enable: bool) -> &mut Config {
        self.verify = enable;
        self
    }

    /// Compiles for another machine: the engine can then only
    /// make images (`Engine::precompile_module`).
    ///
    /// `triple` begins with the architecture: `x86_64`, `aarch64`, `riscv64` or
    /// `s390x`. Of the rest the code depends on whether it names `windows`, where
    /// stacks grow as pages are touched. It uses no more than what every processor of
    /// the architecture has. Images for the interpreter are made for many more, such
    /// as `riscv32imac`, `thumbv7em`, `i686` or `wasm32`.
    ///
    /// # Errors
    ///
    /// When there is no code for the architecture.
    pub fn target(&mut self, triple: &str) -> Result<&mut Config> {
        let name = triple.split('-').next().unwrap_or(triple);
        let native = Architecture::NATIVE
            .into_iter()
            .find(|architecture| name.starts_with(&*architecture.to_string()))
            .map(Target::of);
        let target = native.or_else(|| {
            let known = INTERPRETED
                .iter()
                .find(|(start, ..)| name.starts_with(start));
            known.map(|&(_, pointer_bytes, endianness)| Target {
                architecture: Architecture::Interpreted,
                pointer_bytes,
                endianness,
            })
        });
        self.target = Some(target.ok_or_else(|| {
            crate::Error::msg(format!(
                "no compiler for `{triple}`; there are x86_64, aarch64, riscv64, s390x; and for \
                 the interpreter most others with 32 or 64 bits"
            ))
        })?);
        self.stack_probes = triple.contains("windows");
        Ok(self)
    }

    /// Has baseline code count, for tests.
    #[doc(hidden)]
    pub fn profiling(&mut self, profiling: Profiling) -> &mut Config {
        self.profiling = Some(profiling);
        self
    }

    /// Calls `progress` during compilations with the number of functions done
    /// and of functions in all, from any thread, many times a second.
    pub fn compile_progress(
        &mut self,
        progress: impl Fn(usize, usize) + Send + Sync + 'static,
    ) -> &mut Config {
        self.progress = Some(Arc::new(progress));
        self
    }
}

/// Machines for which there are only images for the interpreter: what their names begin
/// with, bytes of a pointer, and the order of bytes. The first that fits counts.
const INTERPRETED: &[(&str, u8, Endianness)] = &[
    ("armeb", 4, Endianness::Big),
    ("arm", 4, Endianness::Little),
    ("thumb", 4, Endianness::Little),
    ("riscv32", 4, Endianness::Little),
    ("i386", 4, Endianness::Little),
    ("i586", 4, Endianness::Little),
    ("i686", 4, Endianness::Little),
    ("wasm32", 4, Endianness::Little),
    ("wasm64", 8, Endianness::Little),
    ("xtensa", 4, Endianness::Little),
    ("mipsel", 4, Endianness::Little),
    ("mips64el", 8, Endianness::Little),
    ("mips64", 8, Endianness::Big),
    ("mips", 4, Endianness::Big),
    ("powerpc64le", 8, Endianness::Little),
    ("powerpc64", 8, Endianness::Big),
    ("powerpc", 4, Endianness::Big),
    ("loongarch64", 8, Endianness::Little),
    ("sparc64", 8, Endianness::Big),
    ("sparc", 4, Endianness::Big),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_read_as_they_are_shown() {
        let seeds = [0, 7, u64::MAX].map(|seed| Strategy::Mixed { seed });
        for strategy in Strategy::ALL.iter().copied().chain(seeds) {
            let read: Strategy = strategy.to_string().parse().unwrap();
            assert_eq!(read, strategy);
        }
        for (text, part) in [
            ("mixed", "needs a seed"),
            ("mixed:", "not a seed"),
            ("mixed:-1", "not a seed"),
            ("mixed:+1", "not a seed"),
            ("mixed: 1", "not a seed"),
            ("mixed:0x1", "not a seed"),
            ("mixed:18446744073709551616", "not a seed"),
            ("mixed7", "no tier is called"),
            ("Mixed:7", "no tier is called"),
            ("", "no tier is called"),
        ] {
            let message = text.parse::<Strategy>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
