//! How do the command line's choices become an engine? What the embedding API
//! calls tiers and proposals is translated here and nowhere else.

use crate::args::EngineArgs;
use crate::failure::Failure;
use crate::progress;
use std::fmt;
use std::str::FromStr;
use tepui::{Config, Engine, Features, Proposal, Strategy};

/// A tier that this build has, or all of them mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier(Strategy);

/// How `--tier` mixes the tiers, and what that is for.
pub(crate) const MIXED: (&str, &str) = (
    "mixed:SEED",
    "for tests: each function in a tier that the number SEED decides",
);

impl Tier {
    /// Whether it is the interpreter for all functions.
    #[cfg(feature = "compiler")]
    pub(crate) fn interprets(self) -> bool {
        self.0 == Strategy::Interpreter
    }

    /// Name, description, and whether this build has it, of every tier.
    pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        Strategy::ALL.iter().map(|strategy| {
            let about = match strategy {
                Strategy::Interpreter => "starts at once, needs no executable memory",
                Strategy::Baseline => "compiles in one pass",
                Strategy::Optimizing => "compiles for the fastest code",
                Strategy::Auto => "starts in the lowest tier and moves up",
                _ => "",
            };
            let available = Strategy::AVAILABLE.contains(strategy);
            (strategy.name(), about, available)
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Tier, String> {
        match text.parse::<Strategy>() {
            Ok(strategy) if strategy.is_available() => Ok(Tier(strategy)),
            Ok(_) => {
                let available: Vec<_> = Tier::all().filter(|t| t.2).map(|t| t.0).collect();
                Err(format!(
                    "this build does not have that tier; it has: {}",
                    available.join(", ")
                ))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A proposal, or all of them, as `--enable` and `--disable` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    All,
    One(Proposal),
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Switch::All => f.write_str("all"),
            Switch::One(proposal) => f.write_str(proposal.name()),
        }
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Switch, String> {
        if text == "all" {
            return Ok(Switch::All);
        }
        text.parse().map(Switch::One).map_err(|_| {
            let names: Vec<_> = Proposal::ALL
                .iter()
                .filter(|proposal| proposal.is_implemented())
                .map(|proposal| proposal.name())
                .collect();
            format!(
                "there is no such proposal; known are: all, {}",
                names.join(", ")
            )
        })
    }
}

/// Reads the argument of `--enable`: a [`Switch`] of what is implemented.
pub(crate) fn parse_enable(text: &str) -> Result<Switch, String> {
    let switch = text.parse()?;
    match switch {
        Switch::One(proposal) if !proposal.is_implemented() => {
            Err("this version does not implement it".to_string())
        }
        _ => Ok(switch),
    }
}

/// The proposals that are on: `base`, changed as the command line says. `all`
/// counts before single names, wherever it stands.
fn features(base: Features, args: &EngineArgs) -> Result<Features, Failure> {
    if let Some(both) = args.enable.iter().find(|s| args.disable.contains(s)) {
        return Err(Failure::Usage(format!(
            "{both} is named both by --enable and by --disable"
        )));
    }
    let mut features = base;
    if args.enable.contains(&Switch::All) {
        features = Features::IMPLEMENTED;
    }
    if args.disable.contains(&Switch::All) {
        features = Features::MVP;
    }
    for switch in &args.enable {
        if let Switch::One(proposal) = *switch {
            features
                .enable(proposal)
                .map_err(|e| Failure::Usage(format!("--enable {proposal}: {e}")))?;
        }
    }
    for switch in &args.disable {
        if let Switch::One(proposal) = *switch {
            features.disable(proposal);
        }
    }
    Ok(features)
}

/// What an engine is made for, beyond what [`EngineArgs`] say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Purpose<'a> {
    /// Every implemented proposal is on unless it is switched off.
    pub(crate) all_proposals: bool,
    /// Guests are given an amount of fuel.
    pub(crate) fuel: bool,
    /// Guests can be interrupted.
    pub(crate) interruption: bool,
    /// The target triple to compile for; the host when absent.
    pub(crate) target: Option<&'a str>,
}

/// Makes the engine.
pub(crate) fn engine(args: &EngineArgs, purpose: Purpose<'_>) -> Result<Engine, Failure> {
    let base = if purpose.all_proposals {
        Features::IMPLEMENTED
    } else {
        Features::DEFAULT
    };
    let mut config = Config::new();
    config.features(features(base, args)?);
    if let Some(Tier(strategy)) = args.tier {
        config.strategy(strategy);
    }
    if let Some(bytes) = args.max_stack {
        config.max_wasm_stack(bytes);
    }
    if let Some(threads) = args.jobs {
        config.compile_threads(threads);
    }
    config.compile_progress(progress::report);
    config.consume_fuel(purpose.fuel);
    config.epoch_interruption(purpose.interruption);
    if let Some(target) = purpose.target {
        config
            .target(target)
            .map_err(|e| Failure::Usage(format!("--target {target}: {e:#}")))?;
    }
    Engine::new(&config).map_err(|e| Failure::Usage(format!("{e:#}")))
}

/// Why an image may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It has the tag of the user's key.
    Tagged,
    /// The person who runs it says so.
    #[cfg(feature = "compiler")]
    Given,
}

/// The proposals with name, description, phase, default and whether they are
/// implemented.
pub(crate) fn proposals() -> impl Iterator<Item = &'static Proposal> {
    Proposal::ALL.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(enable: &[&str], disable: &[&str]) -> EngineArgs {
        let parse = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.parse().expect("a known name"))
                .collect()
        };
        EngineArgs {
            enable: parse(enable),
            disable: parse(disable),
            ..EngineArgs::default()
        }
    }

    #[test]
    fn all_counts_before_single_names() {
        let get = |enable: &[&str], disable: &[&str]| {
            features(Features::DEFAULT, &switches(enable, disable)).expect("consistent")
        };
        assert_eq!(get(&[], &[]), Features::DEFAULT);
        assert_eq!(get(&["all"], &[]), Features::IMPLEMENTED);
        assert_eq!(get(&[], &["all"]), Features::MVP);
        let only = get(&["simd"], &["all"]);
        assert_eq!(only.iter().collect::<Vec<_>>(), [Proposal::Simd]);
        let but = get(&["all"], &["simd"]);
        assert!(!but.contains(Proposal::Simd) && but.contains(Proposal::CustomPageSizes));
        assert!(features(Features::DEFAULT, &switches(&["simd"], &["simd"])).is_err());
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let message = "smid".parse::<Switch>().expect_err("unknown");
        assert!(message.contains("simd") && message.contains("threads"));
        assert!(parse_enable("gc").is_err());
        assert_eq!(parse_enable("simd"), Ok(Switch::One(Proposal::Simd)));
        let message = "fast".parse::<Tier>().expect_err("unknown");
        assert!(message.contains("no tier is called `fast`"), "{message}");
        let message = "mixed:x".parse::<Tier>().expect_err("no seed");
        assert!(message.contains("`x` is not a seed"), "{message}");
        assert_eq!(
            "mixed:7".parse(),
            Ok(Tier(tepui::Strategy::Mixed { seed: 7 }))
        );
    }
}
