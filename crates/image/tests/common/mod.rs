//! What the tests share: functions to lay out.

use tepui_abi::metadata::{FunctionMetadata, SourcePosition, TrapSite};
use tepui_abi::{Architecture, CompiledFunction, Relocation, RelocationKind, Trap};
use tepui_module::DefinedFuncIndex;

/// A defined function.
pub(crate) fn func(index: u32) -> DefinedFuncIndex {
    DefinedFuncIndex::new(index)
}

/// A call that is to be resolved: its bytes, where its field lies in them, and
/// the kind of its relocation.
pub(crate) fn call(architecture: Architecture) -> (&'static [u8], u32, RelocationKind) {
    match architecture {
        Architecture::X86_64 => (&[0xe8, 0, 0, 0, 0], 1, RelocationKind::X86PcRelative4),
        Architecture::Aarch64 => (&[0, 0, 0, 0x94], 0, RelocationKind::Aarch64Call26),
        Architecture::Riscv64 => (
            &[0x97, 0, 0, 0, 0xe7, 0x80, 0, 0],
            0,
            RelocationKind::RiscvCall,
        ),
        Architecture::S390x => (
            &[0xc0, 0xe5, 0, 0, 0, 0],
            2,
            RelocationKind::S390xPcRelative32Doubled,
        ),
        Architecture::Interpreted => unreachable!("there is no code"),
    }
}

/// A function that calls `targets` one after the other, `gap` bytes apart, with
/// a trap site and a source position at each call.
pub(crate) fn caller(
    architecture: Architecture,
    targets: &[u32],
    gap: usize,
    wasm: u32,
) -> CompiledFunction {
    let (bytes, field, kind) = call(architecture);
    let mut function = CompiledFunction {
        code: vec![0; 4],
        alignment: 16,
        relocations: Vec::new(),
        metadata: FunctionMetadata {
            frame_bytes: 16 * targets.len() as u32,
            positions: vec![SourcePosition {
                offset: 0,
                wasm: SourcePosition::NONE,
            }],
            ..FunctionMetadata::default()
        },
    };
    for (i, &target) in targets.iter().enumerate() {
        let at = function.code.len() as u32;
        function.relocations.push(Relocation {
            offset: at + field,
            kind,
            target: func(target),
        });
        function.metadata.traps.push(TrapSite {
            offset: at,
            trap: Trap::ALL[i % Trap::ALL.len()],
        });
        function.metadata.positions.push(SourcePosition {
            offset: at,
            wasm: wasm + 2 * i as u32,
        });
        function.code.extend_from_slice(bytes);
        let end = function.code.len() + gap;
        function.code.resize(end.next_multiple_of(4), 0);
    }
    function
}

/// A fixed sequence of numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number, below `limit`.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        (self.next() >> 32) as u32 % limit
    }
}
