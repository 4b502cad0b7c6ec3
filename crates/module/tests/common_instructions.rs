//! The instructions whose bytes are read here, and not by the decoder, beside the decoder:
//! with all operands that matter, in bodies that are valid and in those that are not.

use tepui_module::wasmparser::Validator;
use tepui_module::{Features, Module, TypeRegistry};

/// A module whose function has a parameter of each number type, a memory, and this code.
fn module(code: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        bytes.extend([id, content.len() as u8]);
        bytes.extend(content);
    };
    section(1, &[1, 0x60, 4, 0x7f, 0x7e, 0x7d, 0x7c, 0]);
    section(3, &[1, 0]);
    section(5, &[1, 0, 1]);
    // No locals besides, and the code.
    let mut body = vec![1, code.len() as u8 + 1, 0];
    body.extend(code);
    section(10, &body);
    bytes
}

/// The place of the first rule that each says is broken.
fn verdicts(bytes: &[u8]) -> [Option<usize>; 2] {
    let mut registry = TypeRegistry::new();
    let ours = Module::decode(bytes, Features::default(), &mut registry)
        .and_then(|(module, bodies)| bodies.validate(&module, bytes));
    let decoders = Validator::new().validate_all(bytes);
    [
        ours.err().map(|error| error.offset()),
        decoders.err().map(|error| error.offset() as usize),
    ]
}

#[test]
fn the_decoder_agrees() {
    const I32: &[u8] = &[0x20, 0];
    const I64: &[u8] = &[0x20, 1];
    const F32: &[u8] = &[0x20, 2];
    const F64: &[u8] = &[0x20, 3];
    let before = [
        &[][..],
        &[I32],
        &[I64],
        &[F32],
        &[I32, I32],
        &[I32, I64],
        &[I64, I64],
        &[I32, F32],
        &[F64, F64],
        &[I32, I32, I32],
        // What follows cannot be reached, or not even exist.
        &[&[0x00]],
        &[&[0x0b]],
    ];
    let opcodes = [0x02, 0x0b, 0x0c, 0x0d, 0x41]
        .into_iter()
        .chain(0x20..=0x22)
        .chain(0x28..=0x3e)
        .chain(0x45..=0x4f)
        .chain(0x6a..=0x78)
        .chain(0x7c..=0x8a);
    let immediates: [&[u8]; 18] = [
        &[],
        &[0x00],
        &[0x01],
        &[0x03],
        &[0x04],
        &[0x40],
        &[0x7f],
        &[0x80, 0x00],
        &[0xff, 0x7f],
        &[0x80, 0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        &[0x00, 0x00],
        &[0x02, 0x7f],
        &[0x03, 0x80, 0x01],
        &[0x02, 0x80, 0x80, 0x01],
        &[0x04, 0x00],
        &[0x10, 0x00],
        &[0x42, 0x00, 0x00],
    ];
    let after: [&[u8]; 6] = [
        &[],
        &[0x0b],
        &[0x1a, 0x0b],
        &[0x1a, 0x1a, 0x0b],
        &[0x0b, 0x0b],
        // Enough bytes for whatever comes before.
        &[0x00, 0x00, 0x00, 0x00, 0x0b],
    ];
    let (mut valid, mut invalid) = (0, 0);
    for opcode in opcodes {
        for before in before {
            for immediates in immediates {
                for after in after {
                    let code = [before.concat().as_slice(), &[opcode], immediates, after].concat();
                    let [ours, decoders] = verdicts(&module(&code));
                    assert_eq!(ours, decoders, "{code:#04x?}");
                    *if ours.is_none() {
                        &mut valid
                    } else {
                        &mut invalid
                    } += 1;
                }
            }
        }
    }
    assert!(valid > 1_000 && invalid > 10_000, "{valid} {invalid}");
}
