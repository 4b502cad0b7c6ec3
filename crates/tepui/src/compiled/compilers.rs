//! Which compilers does an engine have, and where does what they make go?

use std::sync::OnceLock;

use tepui_abi::{Compiler, Tunables};
#[cfg(feature = "baseline")]
use tepui_baseline::{Baseline, CpuFeatures};
use tepui_native::code::CodeRegion;
#[cfg(feature = "optimizing")]
use tepui_optimizing::{Optimizing, Processor, Verifier};

use crate::config::Config;
#[cfg(feature = "optimizing")]
use crate::config::OptLevel;
use crate::engine::{Engine, Variant};
use crate::tier::Tier;
use crate::{Error, Result};

/// The compilers of an engine, made when first needed, and its memory for code.
#[derive(Default)]
pub(crate) struct Compilers {
    baseline: OfTier,
    optimizing: OfTier,
    region: OnceLock<CodeRegion>,
}

/// The compilers of one tier.
#[derive(Default)]
struct OfTier {
    /// For memories with guard pages.
    guarded: OnceLock<Box<dyn Compiler>>,
    /// For memories that are checked explicitly.
    checked: OnceLock<Box<dyn Compiler>>,
}

impl Compilers {
    /// The engine's memory for code, reserved when first asked for.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn code_region(&self) -> Result<&CodeRegion> {
        if let Some(region) = self.region.get() {
            return Ok(region);
        }
        let region = CodeRegion::new()
            .map_err(|error| Error::new(error).context("cannot reserve memory for code"))?;
        Ok(self.region.get_or_init(|| region))
    }
}

/// Stands before the proposals in the fingerprint of an image.
const FEATURES: &str = "; proposals ";

impl Engine {
    /// The compiler of a tier for a variant.
    ///
    /// # Errors
    ///
    /// When it cannot be made for this machine.
    pub(crate) fn compiler(&self, tier: Tier, variant: Variant) -> Result<&dyn Compiler> {
        let compilers = match tier {
            Tier::Interpreter => return Err(Error::msg("the interpreter does not compile")),
            Tier::Baseline => &self.compilers().baseline,
            Tier::Optimizing => &self.compilers().optimizing,
        };
        let cell = match self.existing(variant) {
            Variant::Guarded => &compilers.guarded,
            Variant::Checked => &compilers.checked,
        };
        if let Some(compiler) = cell.get() {
            return Ok(&**compiler);
        }
        let compiler = compiler(self.config(), tier, self.tunables_of(variant))?;
        Ok(&**cell.get_or_init(|| compiler))
    }

    /// The compiler of images.
    ///
    /// # Errors
    ///
    /// When the engine neither makes nor loads images.
    pub(crate) fn image_compiler(&self) -> Result<&dyn Compiler> {
        match self.config().strategy.tier() {
            Some(tier @ (Tier::Baseline | Tier::Optimizing)) => {
                self.compiler(tier, self.preferred())
            }
            Some(Tier::Interpreter) => Err(Error::msg(
                "this engine interprets: its images have no machine code, and no tag",
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
}

/// Makes the compiler of a tier.
///
/// # Errors
///
/// When there is none for the target or the processor.
fn compiler(config: &Config, tier: Tier, tunables: Tunables) -> Result<Box<dyn Compiler>> {
    match tier {
        Tier::Interpreter => Err(Error::msg("the interpreter does not compile")),
        #[cfg(feature = "baseline")]
        Tier::Baseline => baseline(config, tunables),
        #[cfg(feature = "optimizing")]
        Tier::Optimizing => optimizing(config, tunables),
        #[allow(unreachable_patterns, reason = "with all compilers nothing is left")]
        _ => Err(Error::msg("this build does not have that compiler")),
    }
}

#[cfg(feature = "baseline")]
fn baseline(config: &Config, tunables: Tunables) -> Result<Box<dyn Compiler>> {
    let host = tepui_abi::Target::host();
    let target = config.target.unwrap_or(host);
    if target != host {
        return Ok(Box::new(Baseline::new(
            target,
            CpuFeatures::LEAST,
            tunables,
        )?));
    }
    let compiler = Baseline::host(tunables)?;
    compiler.check_host().map_err(Error::msg)?;
    Ok(Box::new(compiler))
}

#[cfg(feature = "optimizing")]
fn optimizing(config: &Config, tunables: Tunables) -> Result<Box<dyn Compiler>> {
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
    if target != host {
        let processor = Processor::BASELINE;
        let compiler = Optimizing::new(target, &processor, tunables, opt_level, verifier)?;
        return Ok(Box::new(compiler));
    }
    let compiler = Optimizing::new(host, &Processor::Host, tunables, opt_level, verifier)?;
    compiler.check_host().map_err(Error::msg)?;
    Ok(Box::new(compiler))
}
