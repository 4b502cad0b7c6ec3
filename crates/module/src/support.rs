//! Which part of the language does this version refuse although the decoder
//! knows it? Proposals that are not implemented, found and named.
//!
//! Two ways lead here. What the decoder accepts as part of a flag that is on
//! for another reason (recursive function types need its `gc` flag) is refused
//! by the checks in this file, operator by operator and type by type; the
//! operator list is the decoder's own macro, so that a group it gains does not
//! compile until someone decides about it. And when the decoder refuses a
//! module, [`explain`] finds out whether a proposal would have made it valid.

use crate::error::{Error, ErrorKind};
use crate::features::{Features, Proposal};
use crate::validate::{Notes, Pair};
use alloc::format;
use alloc::string::String;
use core::fmt::Display;
use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, HeapType, Parser, RefType, SubType, ValType,
    ValidPayload, Validator, WasmFeatures,
};

/// Something met in a module that needs a proposal this version lacks.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) proposal: Proposal,
    pub(crate) what: String,
}

impl Refused {
    #[cold]
    pub(crate) fn new(proposal: Proposal, kind: &str, what: impl Display) -> Self {
        Self {
            proposal,
            what: format!("{kind} `{what}`"),
        }
    }

    #[cold]
    pub(crate) fn at(self, offset: usize) -> Error {
        Error::unsupported(self.proposal, offset, &self.what)
    }
}

type Check = Result<(), Refused>;

#[inline]
pub(crate) fn check_val(ty: ValType) -> Check {
    match ty {
        ValType::Ref(ty) => check_ref(ty),
        _ => Ok(()),
    }
}

pub(crate) fn check_ref(ty: RefType) -> Check {
    check_heap(ty.heap_type())
}

pub(crate) fn check_heap(ty: HeapType) -> Check {
    use AbstractHeapType as A;
    let proposal = match ty {
        HeapType::Abstract { shared: true, .. } => Proposal::SharedEverythingThreads,
        HeapType::Abstract { shared: false, ty } => match ty {
            A::Func | A::Extern => return Ok(()),
            A::Any | A::None | A::NoExtern | A::NoFunc | A::Eq | A::Struct | A::Array | A::I31 => {
                Proposal::Gc
            }
            A::Exn | A::NoExn => Proposal::Exceptions,
            A::Cont | A::NoCont => Proposal::StackSwitching,
        },
        // Its definition was checked.
        HeapType::Concrete(_) => return Ok(()),
        HeapType::Exact(_) => Proposal::CustomDescriptors,
    };
    if proposal.is_implemented() {
        return Ok(());
    }
    let name = match ty {
        HeapType::Abstract { ty, .. } => crate::words::abstract_heap_type(ty),
        _ => return Err(Refused::new(proposal, "reference type", "exact")),
    };
    Err(Refused::new(proposal, "heap type", name))
}

#[inline]
pub(crate) fn check_block(ty: BlockType) -> Check {
    match ty {
        BlockType::Type(ty) => check_val(ty),
        BlockType::Empty | BlockType::FuncType(_) => Ok(()),
    }
}

/// A type of the type section.
pub(crate) fn check_sub_type(ty: &SubType) -> Check {
    let composite = &ty.composite_type;
    if composite.shared {
        return refuse(Proposal::SharedEverythingThreads, "type", "shared");
    }
    if composite.descriptor_idx.is_some() || composite.describes_idx.is_some() {
        return refuse(Proposal::CustomDescriptors, "type", "descriptor");
    }
    match &composite.inner {
        CompositeInnerType::Func(ty) => {
            for &ty in ty.params().iter().chain(ty.results()) {
                check_val(ty)?;
            }
            Ok(())
        }
        CompositeInnerType::Struct(_) => refuse(Proposal::Gc, "type", "struct"),
        CompositeInnerType::Array(_) => refuse(Proposal::Gc, "type", "array"),
        CompositeInnerType::Cont(_) => refuse(Proposal::StackSwitching, "type", "cont"),
    }
}

/// Refuses unless the proposal is implemented.
pub(crate) fn refuse(proposal: Proposal, kind: &str, what: &str) -> Check {
    if proposal.is_implemented() {
        return Ok(());
    }
    Err(Refused::new(proposal, kind, what))
}

/// The proposal of an operator group of the decoder.
///
/// There is no arm for the rest: a group that the decoder gains must be named here.
macro_rules! proposal_of_group {
    (mvp) => {
        None
    };
    (sign_extension) => {
        Some($crate::Proposal::SignExtension)
    };
    (saturating_float_to_int) => {
        Some($crate::Proposal::SaturatingFloatToInt)
    };
    (bulk_memory) => {
        Some($crate::Proposal::BulkMemory)
    };
    (reference_types) => {
        Some($crate::Proposal::ReferenceTypes)
    };
    (tail_call) => {
        Some($crate::Proposal::TailCall)
    };
    (threads) => {
        Some($crate::Proposal::Threads)
    };
    (simd) => {
        Some($crate::Proposal::Simd)
    };
    (relaxed_simd) => {
        Some($crate::Proposal::RelaxedSimd)
    };
    (function_references) => {
        Some($crate::Proposal::FunctionReferences)
    };
    (wide_arithmetic) => {
        Some($crate::Proposal::WideArithmetic)
    };
    (exceptions) => {
        Some($crate::Proposal::Exceptions)
    };
    (legacy_exceptions) => {
        Some($crate::Proposal::LegacyExceptions)
    };
    (gc) => {
        Some($crate::Proposal::Gc)
    };
    (stack_switching) => {
        Some($crate::Proposal::StackSwitching)
    };
    (custom_descriptors) => {
        Some($crate::Proposal::CustomDescriptors)
    };
    (memory_control) => {
        Some($crate::Proposal::MemoryControl)
    };
    (shared_everything_threads) => {
        Some($crate::Proposal::SharedEverythingThreads)
    };
    (acquire_release_atomics) => {
        Some($crate::Proposal::AcquireReleaseAtomics)
    };
}
pub(crate) use proposal_of_group;

/// The text format's name of an operator, from the decoder's name for its visit method.
pub(crate) fn operator_name(visit: &str) -> String {
    let name = visit.trim_start_matches("visit_");
    match name.split_once('_') {
        Some((
            first @ ("struct" | "array" | "ref" | "i31" | "any" | "extern" | "cont" | "global"
            | "table" | "memory" | "i32" | "i64"),
            rest,
        )) => {
            format!("{first}.{rest}")
        }
        _ => name.into(),
    }
}

/// Makes the error for a module that the decoder refused.
///
/// `fallback` is the kind of the error when no proposal is to blame. Looking
/// for one validates the module again, a few times at most, so this is for
/// modules that are refused anyway.
#[cold]
pub(crate) fn explain(
    bytes: &[u8],
    features: Features,
    error: &wasmparser::Error,
    fallback: ErrorKind,
) -> Error {
    let offset = usize::try_from(error.offset()).unwrap_or(usize::MAX);
    let message = error.message();
    if let Some(proposal) = error
        .missing_wasm_feature()
        .and_then(Features::of_decoder_flag)
        // Function types may need the decoder's gc flag without needing gc.
        && (proposal != Proposal::Gc || features.contains(Proposal::FunctionReferences))
    {
        return Error::unsupported(proposal, offset, message);
    }
    // What the decoder says of vectors when it was built without them.
    if !Proposal::Simd.is_implemented() && message.starts_with("unexpected SIMD opcode") {
        return Error::unsupported(Proposal::Simd, offset, message);
    }
    if is_limit(message) {
        return Error::new(ErrorKind::Limit, offset, message);
    }
    if let Some(proposal) = missing_proposal(bytes, features) {
        return Error::unsupported(proposal, offset, message);
    }
    Error::new(fallback, offset, message)
}

/// Whether the decoder's message speaks of one of its implementation limits.
fn is_limit(message: &str) -> bool {
    [
        "exceeds limit of",
        "exceeds the limit of",
        "cannot exceed depth",
        "size is out of bounds",
        "string size out of bounds",
        "number of elements is out of bounds",
        "too many locals",
        "too many core types",
        "nesting is too deep",
        "implementation limit",
    ]
    .iter()
    .any(|part| message.contains(part))
}

/// A proposal that is off and with which the module would be valid.
fn missing_proposal(bytes: &[u8], features: Features) -> Option<Proposal> {
    if !is_valid(bytes, WasmFeatures::all()) {
        return None;
    }
    let off = || {
        Proposal::ALL
            .iter()
            .copied()
            .filter(|&p| !features.contains(p) && !p.decoder_flags().is_empty())
    };
    let base = features.decoder_flags();
    // One proposal that is enough; else one without which all the others are not.
    off()
        .find(|&p| is_valid(bytes, base | with_prerequisites(p)))
        .or_else(|| {
            off().find(|&p| !is_valid(bytes, WasmFeatures::all().difference(p.decoder_flags())))
        })
}

fn with_prerequisites(proposal: Proposal) -> WasmFeatures {
    let flags = proposal.decoder_flags();
    match proposal {
        Proposal::FunctionReferences => flags | WasmFeatures::REFERENCE_TYPES | WasmFeatures::GC,
        Proposal::Gc => flags | WasmFeatures::REFERENCE_TYPES | WasmFeatures::FUNCTION_REFERENCES,
        Proposal::StackSwitching => {
            flags
                | WasmFeatures::REFERENCE_TYPES
                | WasmFeatures::FUNCTION_REFERENCES
                | WasmFeatures::GC
                | WasmFeatures::EXCEPTIONS
        }
        Proposal::RelaxedSimd => flags | WasmFeatures::SIMD,
        Proposal::Exceptions => flags | WasmFeatures::REFERENCE_TYPES,
        _ => flags,
    }
}

fn is_valid(bytes: &[u8], flags: WasmFeatures) -> bool {
    validate(bytes, flags).is_ok()
}

fn validate(bytes: &[u8], flags: WasmFeatures) -> wasmparser::Result<()> {
    let mut parser = Parser::new(0);
    parser.set_features(flags);
    let mut validator = Validator::new_with_features(flags);
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    let mut notes = Notes {
        lets_all: true,
        ..Notes::default()
    };
    for payload in parser.parse_all(bytes) {
        if let ValidPayload::Func(function, body) = validator.payload(&payload?)? {
            // By reference, as whoever validates bodies has them: one copy of the code.
            let mut function = wasmparser::FuncToValidate {
                resources: &function.resources,
                index: function.index,
                ty: function.ty,
                features: function.features,
            }
            .into_validator(allocations);
            let mut reader = body.get_binary_reader();
            function.read_locals(&mut reader)?;
            reader.set_features(flags);
            notes.summary.begin(reader.bytes_remaining() as u32);
            notes.summary.locals(function.len_locals());
            while !reader.eof() {
                let validator = function.visitor(reader.original_position());
                // The visitor that bodies are validated by: one copy of the code.
                let notes = &mut notes;
                reader.visit_operator(&mut Pair { validator, notes })??;
            }
            reader.finish_expression(&function.visitor(reader.original_position()))?;
            allocations = function.into_allocations();
        }
    }
    Ok(())
}
