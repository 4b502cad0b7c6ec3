//! Which machine is code made for? Targets, processor features and settings of
//! the code generator, and what the translator asks about them.

use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable, SettingKind};
use tepui_abi::target::Endianness;
use tepui_abi::{Architecture, Target, Tunables};

/// The processor features that code may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// Those of the machine that runs this process. The target must be it.
    #[default]
    Host,
    /// Those that every processor of the architecture has, and these: names of
    /// features or of processors as the code generator knows them, such as
    /// `has_avx2`, `has_lse` or `x86-64-v3`.
    Named(Vec<String>),
}

impl Processor {
    /// What every processor of the architecture has.
    pub const BASELINE: Processor = Processor::Named(Vec::new());
}

/// How much the code generator optimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// Not at all: for looking at the translation itself.
    None,
    /// For speed.
    #[default]
    Speed,
    /// For speed, and for size where it costs no speed.
    SpeedAndSize,
}

impl OptLevel {
    const fn name(self) -> &'static str {
        match self {
            OptLevel::None => "none",
            OptLevel::Speed => "speed",
            OptLevel::SpeedAndSize => "speed_and_size",
        }
    }
}

/// Whether the code generator checks what the translator gives to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verifier {
    /// It does: an error of the translator becomes a compile error. Slower.
    On,
    /// It trusts the translator.
    Off,
}

impl Default for Verifier {
    /// On in builds with debug assertions.
    fn default() -> Self {
        if cfg!(debug_assertions) {
            Verifier::On
        } else {
            Verifier::Off
        }
    }
}

/// Why no compiler could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(pub(crate) String);

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

/// Whether the good algorithms of the code generator can be afforded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// They can.
    Usual,
    /// Their time would grow with the square of the size: the fast ones are used.
    Giant,
}

fn error(message: impl Into<String>) -> SetupError {
    SetupError(message.into())
}

/// The back end with what the translator asks about it.
pub(crate) struct Machine {
    pub(crate) isa: OwnedTargetIsa,
    /// The same machine with the algorithms that stay fast on giants.
    giant_isa: OwnedTargetIsa,
    pub(crate) target: Target,
    /// The C calling convention that builtins follow: the system's, or on Windows
    /// that of other systems.
    pub(crate) host_convention: CallConv,
    /// Vectors have instructions.
    pub(crate) has_vectors: bool,
    /// Rounding of floats has instructions.
    pub(crate) has_rounding: bool,
    /// Bytes of vectors can be shuffled by an instruction.
    pub(crate) has_byte_shuffle: bool,
    /// Fused multiply and add has an instruction.
    pub(crate) has_fma: bool,
}

const fn triple(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::X86_64 => Some("x86_64-unknown-linux-gnu"),
        Architecture::Aarch64 => Some("aarch64-unknown-linux-gnu"),
        Architecture::Riscv64 => Some("riscv64gc-unknown-linux-gnu"),
        Architecture::S390x => Some("s390x-unknown-linux-gnu"),
        Architecture::Interpreted => None,
    }
}

/// Features that every processor of the architecture has, where the code
/// generator does not take them for granted.
const fn minimum(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Riscv64 => &[
            "has_m",
            "has_a",
            "has_f",
            "has_d",
            "has_zca",
            "has_zcd",
            "has_zicsr",
            "has_zifencei",
        ],
        _ => &[],
    }
}

impl Machine {
    pub(crate) fn new(
        target: Target,
        processor: &Processor,
        tunables: &Tunables,
        opt_level: OptLevel,
        verifier: Verifier,
    ) -> Result<Machine, SetupError> {
        let name = triple(target.architecture).ok_or_else(|| {
            error("this machine has no native code: only the interpreter runs on it")
        })?;
        if target.pointer_bytes != 8 {
            return Err(error("native code needs 64-bit pointers"));
        }
        let mut builder = match processor {
            Processor::Host => {
                if target != Target::host() {
                    return Err(error(format!(
                        "the processor of this machine was asked for, but the target is {}",
                        target.architecture
                    )));
                }
                cranelift_native::builder().map_err(error)?
            }
            Processor::Named(features) => {
                // The C convention and page size of the system that this runs
                // on, when the target is this machine.
                let mut builder = if target == Target::host() {
                    cranelift_native::builder_with_options(false).map_err(error)?
                } else {
                    isa::lookup_by_name(name).map_err(|e| error(e.to_string()))?
                };
                let needed = minimum(target.architecture).iter().copied();
                for feature in needed.chain(features.iter().map(String::as_str)) {
                    builder
                        .enable(feature)
                        .map_err(|e| error(format!("processor feature {feature}: {e}")))?;
                }
                builder
            }
        };
        if let Processor::Host = processor {
            for feature in minimum(target.architecture) {
                builder
                    .enable(feature)
                    .map_err(|e| error(format!("processor feature {feature}: {e}")))?;
            }
        }

        let shared = |opt_level: OptLevel, allocator: &str| {
            let mut flags = settings::builder();
            let mut set = |name: &str, value: &str| {
                flags
                    .set(name, value)
                    .map_err(|e| error(format!("setting {name}: {e}")))
            };
            let on_off = |on: bool| if on { "true" } else { "false" };
            set("opt_level", opt_level.name())?;
            set("regalloc_algorithm", allocator)?;
            set("enable_verifier", on_off(verifier == Verifier::On))?;
            set("preserve_frame_pointers", "true")?;
            set("unwind_info", "false")?;
            set("enable_probestack", on_off(tunables.stack_probes))?;
            if tunables.stack_probes {
                set("probestack_strategy", "inline")?;
            }
            set("is_pic", "true")?;
            set(
                "enable_nan_canonicalization",
                on_off(tunables.deterministic),
            )?;
            // The translator does this itself where accesses to memories and
            // tables are concerned; the settings are kept in line with it.
            let spectre = on_off(tunables.spectre);
            set("enable_heap_access_spectre_mitigation", spectre)?;
            set("enable_table_access_spectre_mitigation", spectre)?;
            Ok(settings::Flags::new(flags))
        };
        let finish = |opt_level, allocator| {
            builder
                .finish(shared(opt_level, allocator)?)
                .map_err(|e| error(e.to_string()))
        };
        let isa = finish(opt_level, "backtracking")?;
        let giant_isa = finish(OptLevel::None, "single_pass")?;

        let flag = |name: &str| {
            isa.isa_flags()
                .iter()
                .any(|value| value.name == name && value.as_bool() == Some(true))
        };
        Ok(Machine {
            target,
            host_convention: match isa.default_call_conv() {
                CallConv::WindowsFastcall => CallConv::SystemV,
                convention => convention,
            },
            has_vectors: target.architecture != Architecture::Riscv64 || flag("has_v"),
            has_rounding: isa.has_round(),
            has_byte_shuffle: target.architecture != Architecture::X86_64
                || isa.has_x86_pshufb_lowering(),
            has_fma: isa.has_native_fma(),
            isa,
            giant_isa,
        })
    }

    pub(crate) fn isa(&self) -> &dyn TargetIsa {
        &*self.isa
    }

    /// The back end for a function of that size.
    pub(crate) fn isa_for(&self, size: Size) -> &dyn TargetIsa {
        match size {
            Size::Usual => &*self.isa,
            Size::Giant => &*self.giant_isa,
        }
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        self.target.endianness == Endianness::Big
    }

    /// Every setting that code depends on, as text.
    pub(crate) fn settings(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("{} {}", cranelift_codegen::VERSION, self.isa.triple());
        for value in self.isa.flags().iter().chain(self.isa.isa_flags()) {
            let _ = write!(text, " {}={}", value.name, value.value_string());
        }
        text
    }

    /// Compares the features that code uses with those of this processor.
    pub(crate) fn check_host(&self) -> Result<(), String> {
        if self.target != Target::host() {
            return Err(format!(
                "the code is for {}, this machine is {}",
                self.target.architecture,
                Target::host().architecture
            ));
        }
        let mut host = cranelift_native::builder()?;
        for feature in minimum(self.target.architecture) {
            host.enable(feature).map_err(|e| e.to_string())?;
        }
        let host = host
            .finish(settings::Flags::new(settings::builder()))
            .map_err(|e| e.to_string())?;
        let host = host.isa_flags();
        let missing: Vec<&str> = self
            .isa
            .isa_flags()
            .iter()
            .filter(|value| value.kind() == SettingKind::Bool && value.as_bool() == Some(true))
            .filter(|value| {
                !host
                    .iter()
                    .any(|h| h.name == value.name && h.as_bool() == Some(true))
            })
            .map(|value| value.name)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("this processor lacks {}", missing.join(", ")))
        }
    }
}
