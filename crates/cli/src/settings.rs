//! `tepui settings`: what can this build do on this machine?

use crate::engine::{self, Tier};
use crate::output::out;
use crate::units::show_size;
use crate::{Outcome, run};
#[cfg(feature = "wast")]
use tepui_wast::WastRunner;

/// Prints the tables.
pub(crate) fn settings() -> Outcome {
    out!("tepui {}", env!("CARGO_PKG_VERSION"))?;

    out!("\nHost")?;
    out!(
        "  {:<26} {}-{}",
        "architecture and system",
        std::env::consts::ARCH,
        std::env::consts::OS
    )?;
    let features = cpu_features();
    let features = match features.len() {
        0 => "none asked for".to_string(),
        _ => features.join(" "),
    };
    out!("  {:<26} {features}", "processor features")?;
    out!(
        "  {:<26} {}",
        "threads to compile with",
        std::thread::available_parallelism().map_or(1, |n| n.get())
    )?;

    out!("\nTiers (--tier)")?;
    for (name, about, available) in Tier::all() {
        let available = if available {
            "yes"
        } else {
            "not in this build"
        };
        out!("  {name:<26} {available:<18} {about}")?;
    }
    let (mixed, about) = engine::MIXED;
    out!("  {mixed:<26} {:<18} {about}", "yes")?;

    out!("\nProposals (--enable, --disable)")?;
    for proposal in engine::proposals() {
        let state = if !proposal.is_implemented() {
            "not implemented"
        } else if proposal.is_default() {
            "on"
        } else {
            "off"
        };
        out!(
            "  {:<26} {state:<18} phase {}: {}",
            proposal.name(),
            proposal.phase(),
            proposal.description()
        )?;
    }

    out!("\nLimits")?;
    out!("  {:<26} none, unless --fuel N is given", "instructions")?;
    out!("  {:<26} none, unless --timeout D is given", "time")?;
    out!(
        "  {:<26} what modules declare, unless --max-memory N is given",
        "memory"
    )?;
    out!(
        "  {:<26} the engine's default, unless --max-stack N is given",
        "stack of Wasm frames"
    )?;
    out!(
        "  {:<26} from {} to {}",
        "what --max-stack takes",
        show_size(run::MIN_STACK as u64),
        show_size(run::MAX_STACK as u64)
    )?;
    #[cfg(feature = "wast")]
    out!(
        "  {:<26} {}, unless --max-stack N is given",
        "native stack of a script",
        show_size(WastRunner::DEFAULT_STACK_SIZE as u64)
    )?;
    Ok(())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detect {
    ($detect:ident: $($name:tt)*) => {
        [$(($name, std::arch::$detect!($name))),*]
            .into_iter()
            .filter_map(|(name, has)| has.then_some(name))
            .collect()
    };
}

/// The processor's features that code generation looks at, by the names that
/// the architecture gives them.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    detect!(is_x86_feature_detected:
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
        "cmpxchg16b" "avx512f" "avx512vl" "avx512dq" "avx512bitalg" "avx512vbmi")
}

/// As for x86-64.
#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    detect!(is_aarch64_feature_detected: "lse" "paca" "pacg" "fp16" "bti" "dotprod")
}

/// On other architectures there is no stable way to ask.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
