//! Which proposals may a module use? A set of them, by the names that the specification gives.

use core::fmt;
use core::str::FromStr;
#[cfg(feature = "decoder")]
use wasmparser::WasmFeatures;

/// A proposal is on by default from this phase of the standardization process.
pub const FINISHED_PHASE: u8 = 4;

macro_rules! proposals {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident {
            name: $name:literal $(or $alias:literal)*,
            phase: $phase:literal,
            implemented: $implemented:expr,
            flags: $flags:expr,
        }
    )*) => {
        /// One proposal to extend WebAssembly, finished or not.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Proposal {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Proposal {
            /// Every proposal known, in the order of the specification's change history.
            pub const ALL: &[Proposal] = &[$(Proposal::$variant),*];

            /// The name, as the specification's repositories are named.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The phase of the standardization process that it has reached, 1 to 5.
            pub const fn phase(self) -> u8 {
                match self {
                    $(Self::$variant => $phase,)*
                }
            }

            /// Whether this version of Tepui implements it.
            pub const fn is_implemented(self) -> bool {
                match self {
                    $(Self::$variant => $implemented,)*
                }
            }

            /// What it adds, in one line.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }

            /// What the decoder calls it.
            #[cfg(feature = "decoder")]
            pub(crate) const fn decoder_flags(self) -> WasmFeatures {
                match self {
                    $(Self::$variant => $flags,)*
                }
            }
        }

        impl FromStr for Proposal {
            type Err = UnknownProposal;

            /// Reads the name, or one of the other names in use. Underscores may
            /// stand for hyphens.
            fn from_str(name: &str) -> Result<Self, UnknownProposal> {
                let same = |known: &str| {
                    known.len() == name.len()
                        && known.bytes().zip(name.bytes()).all(|(a, b)| {
                            a == b.to_ascii_lowercase() || (a == b'-' && b == b'_')
                        })
                };
                $(
                    if same($name) $(|| same($alias))* {
                        return Ok(Self::$variant);
                    }
                )*
                Err(UnknownProposal)
            }
        }
    };
}

proposals! {
    /// Imported and exported globals may be mutable.
    MutableGlobals {
        name: "mutable-globals" or "mutable-global",
        phase: 5, implemented: true, flags: WasmFeatures::MUTABLE_GLOBAL,
    }
    /// Instructions that extend the sign of 8, 16 and 32-bit integers.
    SignExtension {
        name: "sign-extension" or "sign-extension-ops",
        phase: 5, implemented: true, flags: WasmFeatures::SIGN_EXTENSION,
    }
    /// Conversions from floats to integers that saturate instead of trapping.
    SaturatingFloatToInt {
        name: "saturating-float-to-int" or "nontrapping-float-to-int" or "nontrapping-float-to-int-conversions",
        phase: 5, implemented: true, flags: WasmFeatures::SATURATING_FLOAT_TO_INT,
    }
    /// Several results, and parameters of blocks.
    MultiValue {
        name: "multi-value",
        phase: 5, implemented: true, flags: WasmFeatures::MULTI_VALUE,
    }
    /// Bulk operations on memories and tables, and passive segments.
    BulkMemory {
        name: "bulk-memory" or "bulk-memory-operations",
        phase: 5, implemented: true, flags: WasmFeatures::BULK_MEMORY,
    }
    /// `externref`, several tables, and instructions on table elements.
    ReferenceTypes {
        name: "reference-types",
        phase: 5, implemented: true, flags: WasmFeatures::REFERENCE_TYPES,
    }
    /// 128-bit vectors.
    Simd {
        name: "simd" or "fixed-width-simd",
        phase: 5, implemented: cfg!(feature = "simd"), flags: WasmFeatures::SIMD,
    }
    /// Vector instructions whose results may differ between hosts.
    RelaxedSimd {
        name: "relaxed-simd",
        phase: 5, implemented: cfg!(feature = "simd"), flags: WasmFeatures::RELAXED_SIMD,
    }
    /// Several memories in a module.
    MultiMemory {
        name: "multi-memory",
        phase: 5, implemented: true, flags: WasmFeatures::MULTI_MEMORY,
    }
    /// Shared memories, atomic instructions, wait and notify.
    Threads {
        name: "threads",
        phase: 4, implemented: true, flags: WasmFeatures::THREADS,
    }
    /// Calls that replace the frame of their caller.
    TailCall {
        name: "tail-call",
        phase: 5, implemented: true, flags: WasmFeatures::TAIL_CALL,
    }
    /// Addition, subtraction and multiplication in constant expressions.
    ExtendedConst {
        name: "extended-const",
        phase: 5, implemented: true, flags: WasmFeatures::EXTENDED_CONST,
    }
    /// Memories and tables with 64-bit indices.
    Memory64 {
        name: "memory64",
        phase: 5, implemented: true, flags: WasmFeatures::MEMORY64,
    }
    /// Typed and non-null function references, calls through them, recursive and subtyped function types.
    FunctionReferences {
        name: "function-references" or "typed-function-references",
        phase: 5, implemented: true, flags: WasmFeatures::FUNCTION_REFERENCES,
    }
    /// Advice on the likely direction of a branch, in a custom section.
    BranchHinting {
        name: "branch-hinting",
        phase: 5, implemented: true, flags: WasmFeatures::empty(),
    }
    /// 128-bit integer addition, subtraction and multiplication in pairs of `i64`.
    WideArithmetic {
        name: "wide-arithmetic",
        phase: 4, implemented: true, flags: WasmFeatures::WIDE_ARITHMETIC,
    }
    /// Imports of one module written with its name once.
    CompactImports {
        name: "compact-imports" or "compact-import-section",
        phase: 4, implemented: true, flags: WasmFeatures::COMPACT_IMPORTS,
    }
    /// Memories whose pages are single bytes.
    CustomPageSizes {
        name: "custom-page-sizes",
        phase: 3, implemented: true, flags: WasmFeatures::CUSTOM_PAGE_SIZES,
    }
    /// Tags, `throw`, `try_table` and `exnref`.
    Exceptions {
        name: "exceptions" or "exception-handling",
        phase: 5, implemented: false, flags: WasmFeatures::EXCEPTIONS,
    }
    /// The older form of exception handling: `try`, `catch`, `delegate`, `rethrow`.
    LegacyExceptions {
        name: "legacy-exceptions",
        phase: 3, implemented: false, flags: WasmFeatures::LEGACY_EXCEPTIONS,
    }
    /// Structures, arrays, `i31`, casts: objects collected by the runtime.
    Gc {
        name: "gc",
        phase: 5, implemented: false, flags: WasmFeatures::GC,
    }
    /// Continuations: `cont.new`, `resume`, `suspend`, `switch`.
    StackSwitching {
        name: "stack-switching",
        phase: 3, implemented: false, flags: WasmFeatures::STACK_SWITCHING,
    }
    /// Components: modules linked through interfaces with rich types.
    ComponentModel {
        name: "component-model",
        phase: 3, implemented: false, flags: WasmFeatures::empty(),
    }
    /// Acquire and release ordering for atomic instructions.
    AcquireReleaseAtomics {
        name: "acquire-release-atomics",
        phase: 1, implemented: false, flags: WasmFeatures::ACQUIRE_RELEASE_ATOMICS,
    }
    /// Exact types and structures that describe the type of others.
    CustomDescriptors {
        name: "custom-descriptors",
        phase: 3, implemented: false, flags: WasmFeatures::CUSTOM_DESCRIPTORS,
    }
    /// Instructions that map, protect and discard parts of a memory.
    MemoryControl {
        name: "memory-control",
        phase: 1, implemented: false, flags: WasmFeatures::MEMORY_CONTROL,
    }
    /// Loads and stores of several bytes in byte arrays.
    MultibyteArrayAccess {
        name: "multibyte-array-access",
        phase: 1, implemented: false, flags: WasmFeatures::MULTIBYTE_ARRAY_ACCESS,
    }
    /// Functions, globals, tables and objects shared by threads.
    SharedEverythingThreads {
        name: "shared-everything-threads",
        phase: 1, implemented: false, flags: WasmFeatures::SHARED_EVERYTHING_THREADS,
    }
}

const _: () = assert!(Proposal::ALL.len() <= 64, "a feature set is 64 bits");

impl Proposal {
    /// Whether it is on unless someone says otherwise: it is finished and implemented.
    pub const fn is_default(self) -> bool {
        self.is_implemented() && self.phase() >= FINISHED_PHASE
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of no known proposal. [`Proposal::ALL`] lists those that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownProposal;

impl fmt::Display for UnknownProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a known proposal")
    }
}

impl core::error::Error for UnknownProposal {}

/// A proposal cannot be switched on, because this version does not implement it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotImplemented(pub Proposal);

impl fmt::Display for NotImplemented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this version of Tepui does not implement the {} proposal",
            self.0
        )
    }
}

impl core::error::Error for NotImplemented {}

/// The proposals that modules may use. What is not in the set is refused by
/// name when a module needs it.
///
/// The default is what is finished (phase 4 and up) and implemented.
///
/// ```
/// use tepui_module::{Features, Proposal};
/// let mut features = Features::default();
/// assert!(features.contains(Proposal::BulkMemory));
/// features.disable("bulk-memory".parse().unwrap());
/// assert!(!features.contains(Proposal::BulkMemory));
/// assert!(features.enable(Proposal::Gc).is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features(u64);

impl Features {
    /// The first version of WebAssembly: no proposal at all.
    pub const MVP: Self = Self(0);

    /// Everything that this version implements, finished or not.
    pub const IMPLEMENTED: Self = {
        let mut bits = 0;
        let mut i = 0;
        while i < Proposal::ALL.len() {
            if Proposal::ALL[i].is_implemented() {
                bits |= Proposal::ALL[i].bit();
            }
            i += 1;
        }
        Self(bits)
    };

    /// What is finished and implemented.
    pub const DEFAULT: Self = {
        let mut bits = 0;
        let mut i = 0;
        while i < Proposal::ALL.len() {
            if Proposal::ALL[i].is_default() {
                bits |= Proposal::ALL[i].bit();
            }
            i += 1;
        }
        Self(bits)
    };

    /// Whether modules may use the proposal.
    #[inline]
    pub const fn contains(self, proposal: Proposal) -> bool {
        self.0 & proposal.bit() != 0
    }

    /// Lets modules use the proposal.
    ///
    /// # Errors
    ///
    /// [`NotImplemented`] when this version does not implement it.
    pub fn enable(&mut self, proposal: Proposal) -> Result<(), NotImplemented> {
        if !proposal.is_implemented() {
            return Err(NotImplemented(proposal));
        }
        self.0 |= proposal.bit();
        Ok(())
    }

    /// Refuses modules that use the proposal.
    pub fn disable(&mut self, proposal: Proposal) {
        self.0 &= !proposal.bit();
    }

    /// The proposals of the set, in the order of [`Proposal::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Proposal> {
        Proposal::ALL
            .iter()
            .copied()
            .filter(move |&p| self.contains(p))
    }

    /// The set as a number that stays the same between builds of one version,
    /// for keys of caches and images.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of this number, if this version implements all that is in it.
    pub const fn from_bits(bits: u64) -> Option<Features> {
        if bits & !Self::IMPLEMENTED.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// What the decoder must be told.
    ///
    /// Recursive and subtyped function types belong to function references
    /// here, but the decoder knows them by its `gc` flag; what else that flag
    /// lets through is refused by this crate.
    #[cfg(feature = "decoder")]
    pub(crate) fn decoder_flags(self) -> WasmFeatures {
        let mut flags = WasmFeatures::FLOATS | WasmFeatures::GC_TYPES;
        for proposal in self.iter() {
            flags |= proposal.decoder_flags();
        }
        if self.contains(Proposal::FunctionReferences) {
            flags |= WasmFeatures::GC;
        }
        flags
    }

    /// The proposal that a flag of the decoder stands for.
    #[cfg(feature = "decoder")]
    pub(crate) fn of_decoder_flag(flag: WasmFeatures) -> Option<Proposal> {
        // Parts of a proposal that have a flag of their own.
        if WasmFeatures::BULK_MEMORY.contains(flag) && !flag.is_empty() {
            return Some(Proposal::BulkMemory);
        }
        if WasmFeatures::REFERENCE_TYPES.contains(flag) && !flag.is_empty() {
            return Some(Proposal::ReferenceTypes);
        }
        Proposal::ALL
            .iter()
            .copied()
            .find(|p| p.decoder_flags() == flag && !flag.is_empty())
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Proposal::name))
            .finish()
    }
}
