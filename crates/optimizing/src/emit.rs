//! What is taken out of the code generator's buffer? Code, calls to be
//! patched, and the tables kept beside code.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{ExternalName, Function, TrapCode};
use cranelift_codegen::{CompiledCode, FinalizedRelocTarget};
use tepui_abi::metadata::{FunctionMetadata, SourcePosition, TrapSite};
use tepui_abi::{CompiledFunction, Relocation, RelocationKind, Trap};
use tepui_module::DefinedFuncIndex;

/// The trap that a code of the code generator means.
fn trap_of(code: TrapCode) -> Option<Trap> {
    match code {
        TrapCode::STACK_OVERFLOW => Some(Trap::StackOverflow),
        TrapCode::INTEGER_OVERFLOW => Some(Trap::IntegerOverflow),
        TrapCode::HEAP_OUT_OF_BOUNDS => Some(Trap::MemoryOutOfBounds),
        TrapCode::INTEGER_DIVISION_BY_ZERO => Some(Trap::IntegerDivisionByZero),
        TrapCode::BAD_CONVERSION_TO_INTEGER => Some(Trap::BadConversionToInteger),
        user => Trap::from_code(user.as_raw().get()),
    }
}

/// The kind of a call relocation, and the addend that its definition implies.
fn kind_of(kind: Reloc) -> Option<(RelocationKind, i64)> {
    match kind {
        Reloc::X86CallPCRel4 | Reloc::X86PCRel4 => Some((RelocationKind::X86PcRelative4, -4)),
        Reloc::Arm64Call => Some((RelocationKind::Aarch64Call26, 0)),
        Reloc::RiscvCallPlt => Some((RelocationKind::RiscvCall, 0)),
        Reloc::S390xPCRel32Dbl | Reloc::S390xPLTRel32Dbl => {
            Some((RelocationKind::S390xPcRelative32Doubled, 2))
        }
        _ => None,
    }
}

/// Makes the result from compiled code and the function it was made from.
pub(crate) fn emit(
    compiled: &CompiledCode,
    func: &Function,
    minimum_alignment: u32,
) -> Result<CompiledFunction, String> {
    let buffer = &compiled.buffer;

    let mut relocations = Vec::with_capacity(buffer.relocs().len());
    for reloc in buffer.relocs() {
        let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = &reloc.target else {
            return Err(format!(
                "the code generator wants a relocation to {:?}",
                reloc.target
            ));
        };
        let name = &func.params.user_named_funcs()[*name];
        match kind_of(reloc.kind) {
            Some((kind, addend)) if addend == reloc.addend => relocations.push(Relocation {
                offset: reloc.offset,
                kind,
                target: DefinedFuncIndex::new(name.index),
            }),
            _ => {
                return Err(format!(
                    "the code generator wants a relocation of kind {:?} with addend {}",
                    reloc.kind, reloc.addend
                ));
            }
        }
    }

    let mut traps = Vec::with_capacity(buffer.traps().len());
    for site in buffer.traps() {
        let trap = trap_of(site.code)
            .ok_or_else(|| format!("the code generator made trap code {}", site.code))?;
        traps.push(TrapSite {
            offset: site.offset,
            trap,
        });
    }
    traps.sort_unstable_by_key(|site| site.offset);

    let mut positions: Vec<SourcePosition> = Vec::new();
    let mut push = |offset: u32, wasm: u32| {
        match positions.last_mut() {
            // What was opened here covers no code.
            Some(last) if last.offset == offset => last.wasm = wasm,
            Some(last) if last.wasm == wasm => return,
            _ => positions.push(SourcePosition { offset, wasm }),
        }
        // Two neighbours may have become alike.
        if let [.., before, last] = positions.as_slice()
            && before.wasm == last.wasm
        {
            positions.pop();
        }
    };
    push(0, SourcePosition::NONE);
    for range in buffer.get_srclocs_sorted() {
        let wasm = if range.loc.is_default() {
            SourcePosition::NONE
        } else {
            range.loc.bits()
        };
        push(range.start, wasm);
        push(range.end, SourcePosition::NONE);
    }

    Ok(CompiledFunction {
        code: buffer.data().to_vec(),
        alignment: buffer.alignment.max(minimum_alignment),
        relocations,
        metadata: FunctionMetadata {
            profile: None,
            traps,
            positions,
            frame_bytes: buffer
                .frame_layout()
                .map_or(0, |layout| layout.frame_to_fp_offset),
        },
    })
}
