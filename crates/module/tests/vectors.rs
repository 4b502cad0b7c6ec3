//! What does a build without vectors say to a module that uses them?

#![cfg(not(feature = "simd"))]

use tepui_module::{ErrorKind, Features, Module, Proposal, TypeRegistry};

#[test]
fn modules_with_vectors_are_refused_by_name() {
    assert!(!Features::IMPLEMENTED.contains(Proposal::Simd));
    for text in [
        "(module (func (param v128)))",
        "(module (func (local v128)))",
        "(module (global v128 (v128.const i32x4 1 2 3 4)))",
        "(module (func (drop (v128.const i32x4 1 2 3 4))))",
        "(module (func (result i32) (i32x4.extract_lane 0 (i32x4.splat (i32.const 1)))))",
        "(module (memory 1) (func (drop (v128.load (i32.const 0)))))",
    ] {
        let bytes = wat::parse_str(text).unwrap();
        let mut registry = TypeRegistry::new();
        let error = Module::decode_and_validate(&bytes, Features::IMPLEMENTED, &mut registry)
            .map(|_| ())
            .expect_err(text);
        assert_eq!(
            error.kind(),
            ErrorKind::Unsupported(Proposal::Simd),
            "{text}: {error}"
        );
        assert!(error.to_string().contains("simd proposal"), "{error}");
    }
}
