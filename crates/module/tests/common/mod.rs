//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its part")]

use tepui_module::{Error, Features, Module, Summaries, TypeRegistry, leb128};

/// Bytes of a module in the text format.
pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's module can be parsed")
}

/// Decodes and validates with everything that is implemented.
pub(crate) fn load(text: &str) -> (Module, Summaries, Vec<u8>) {
    let bytes = wasm(text);
    let mut registry = TypeRegistry::new();
    let (module, summaries) =
        Module::decode_and_validate(&bytes, Features::IMPLEMENTED, &mut registry)
            .expect("the test's module is valid");
    (module, summaries, bytes)
}

/// Decodes and validates bytes.
pub(crate) fn try_load(bytes: &[u8], features: Features) -> Result<(Module, Summaries), Error> {
    Module::decode_and_validate(bytes, features, &mut TypeRegistry::new())
}

/// The error of a module in the text format.
pub(crate) fn refused(text: &str, features: Features) -> Error {
    try_load(&wasm(text), features).expect_err("the test's module is to be refused")
}

/// A module given section by section, for what the text format cannot say.
pub(crate) fn sections(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for (id, contents) in sections {
        bytes.push(*id);
        leb(&mut bytes, contents.len() as u32);
        bytes.extend(contents);
    }
    bytes
}

/// Appends an unsigned LEB128 number.
pub(crate) fn leb(bytes: &mut Vec<u8>, value: u32) {
    leb128::write(bytes, value);
}

/// A function body with its size before it.
pub(crate) fn sized(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    leb(&mut bytes, body.len() as u32);
    bytes.extend(body);
    bytes
}

/// A module with one function of type `() -> ()` and the given body.
pub(crate) fn one_function(body: &[u8]) -> Vec<u8> {
    let mut code = vec![1];
    code.extend(sized(body));
    sections(&[(1, vec![1, 0x60, 0, 0]), (3, vec![1, 0]), (10, code)])
}

/// Small deterministic random numbers (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
