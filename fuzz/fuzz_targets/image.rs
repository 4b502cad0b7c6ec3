//! Do any bytes do more to the reader of images than be refused?
//!
//! The bytes change an image that was made here, so that what is read deep
//! inside is reached. No code of it is run: nobody but who has the key can make
//! an image whose code is trusted, so images come in by the authenticated way.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tepui::{Engine, Module};

const KEY: &[u8; 32] = b"a key that is known to everybody";

const TEXT: &str = "(module
    (import \"h\" \"f\" (func $f (param i32)))
    (memory (export \"m\") 1) (table (export \"t\") 2 funcref)
    (global $g (mut i64) (i64.const 5))
    (elem (i32.const 0) $one $two) (data (i32.const 8) \"data\")
    (func $one (export \"one\") (result i32) (i32.load (i32.const 8)))
    (func $two (export \"two\") (param i32) (call $f (local.get 0)) (unreachable)))";

fuzz_target!(|bytes: &[u8]| {
    static MADE: OnceLock<(Engine, Vec<u8>)> = OnceLock::new();
    let (engine, image) = MADE.get_or_init(|| {
        let engine = Engine::default();
        let module = Module::new(&engine, TEXT).expect("the text is a module");
        let image = engine
            .precompile_module_authenticated(module.binary(), KEY)
            .expect("a module can be made an image");
        (engine, image)
    });
    let _ = Module::deserialize_authenticated(engine, bytes, KEY);
    let mut changed = image.clone();
    for change in bytes.chunks_exact(5) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
        let length = changed.len();
        changed[at % length] ^= change[4];
    }
    if let Some(last) = bytes.first()
        && bytes.len() % 5 == 1
    {
        changed.truncate(image.len() * usize::from(*last) / 256);
    }
    let read = Module::deserialize_authenticated(engine, &changed, KEY);
    assert!(
        read.is_err() || changed == *image,
        "a forged image was accepted"
    );
});
