//! Can any bytes make the decoder panic, hang or accept half a module?

mod common;

use common::{Random, try_load, wasm};
use tepui_module::{Features, FuncIndex, Module, TypeRegistry};

/// Modules that between them have every section and most instructions.
fn samples() -> Vec<Vec<u8>> {
    let full = r#"(module $sample
        (type $t (func (param i32) (result i64)))
        (rec (type $r (sub (func (param (ref null $s))))) (type $s (sub $r (func (param (ref null $s))))))
        (import "env" "f" (func $imported (type $t)))
        (import "env" "g" (global $base i32))
        (memory $m 1 2) (memory i64 1)
        (table $tab 10 funcref) (table i64 2 (ref null $t))
        (global $a (mut f64) (f64.const 1.5))
        (global i32 (i32.add (global.get $base) (i32.const 4)))
        (global (ref null $t) (ref.func $imported))
        (func $defined (type $t) (local i32 f32 v128 (ref null $t))
            loop $l
                local.get 0 i32.const 1 i32.sub local.tee 0 br_if $l
                block $a block $b local.get 0 br_table $a $b $l end end
                local.get 0 if (result i32) i32.const 4 else memory.size end local.set 1
            end
            v128.const i64x2 1 2 local.tee 3 i8x16.popcnt drop
            i32.const 0 i32.const 0 i32.const 5 memory.init $d
            i64.const 5 i32.load8_s 1 offset=77 drop
            i32.const 1 local.get 4 ref.as_non_null call_ref $t drop
            i32.const 0 i32.const 2 call_indirect $tab (type $t) drop
            i32.const 3 return_call $imported)
        (func $other (param externref) (local i64) i64.const -9 i64.const 3 i64.mul_wide_u drop local.set 1)
        (export "run" (func $defined)) (export "mem" (memory $m))
        (start $go) (func $go)
        (elem (table $tab) (offset (i32.const 1)) func $other $imported)
        (elem $exprs (ref null $t) (ref.func $imported) (ref.null $t))
        (elem declare func $defined)
        (data $d "xyz") (data (memory $m) (global.get $base) "hello")
        (@custom "mine" "abc"))"#;
    let many: String = (0..30)
        .map(|i| {
            format!(
                "(func $f{i} (export \"e{i}\") (param i32) (local i32) local.get 0 local.set 1)"
            )
        })
        .collect();
    vec![
        wasm(full),
        wasm(&format!("(module {many})")),
        wasm(
            "(module (memory 1 1 shared) (func (param i32) (drop (i32.atomic.rmw.add (local.get 0) (i32.const 1)))))",
        ),
    ]
}

/// What is accepted can be asked anything without a panic.
fn poke(bytes: &[u8]) -> bool {
    let mut registry = TypeRegistry::new();
    let Ok((module, bodies)) = Module::decode(bytes, Features::IMPLEMENTED, &mut registry) else {
        return false;
    };
    let Ok(summaries) = bodies.validate(&module, bytes) else {
        return false;
    };
    assert_eq!(summaries.len(), module.bodies().len());
    for index in 0..module.function_count() {
        let _ = module.func_type(FuncIndex::new(index));
        let _ = module.function_name(bytes, FuncIndex::new(index));
    }
    for segment in module.data_segments() {
        let _ = &bytes[segment.range.clone()];
    }
    for section in module.custom_sections() {
        let _ = &bytes[section.range.clone()];
    }
    for export in module.exports() {
        let _ = module.extern_type(export.index);
    }
    let _ = (
        module.function_names(bytes),
        module.branch_hints(bytes),
        module.name(bytes),
    );
    true
}

#[test]
fn every_truncation_is_an_error() {
    for bytes in samples() {
        assert!(poke(&bytes));
        let mut whole = 0;
        for end in 0..bytes.len() {
            match try_load(&bytes[..end], Features::IMPLEMENTED) {
                Err(error) => assert!(error.offset() <= end, "{error} in {end} bytes"),
                // Only between two sections, where what is left is a module.
                Ok(_) => whole += 1,
            }
        }
        assert!(whole <= 5, "{whole} prefixes were accepted");
    }
}

#[test]
fn random_changes_do_no_harm() {
    let samples = samples();
    let mut random = Random(0x5eed_1234_5678_9abc);
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut bytes = samples[round % samples.len()].clone();
        for _ in 0..1 + random.below(4) {
            let at = 8 + random.below(bytes.len() - 8);
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.next() as u8),
            }
        }
        accepted += usize::from(poke(&bytes));
    }
    // Both ends are met: the changes are neither all fatal nor all harmless.
    assert!((100..19_000).contains(&accepted), "{accepted} accepted");
}

#[test]
fn random_bytes_after_the_header_do_no_harm() {
    let mut random = Random(77);
    for _ in 0..20_000 {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        for _ in 0..random.below(60) {
            bytes.push(random.next() as u8 & if random.below(2) == 0 { 0x0f } else { 0xff });
        }
        poke(&bytes);
    }
}

/// One type section with a huge group whose members all mention one another's
/// neighbours is linear work.
#[test]
fn a_large_recursion_group() {
    let mut text = String::from("(module (type $z (func)) (rec ");
    for i in 0..20_000 {
        text += &format!(
            "(type $t{i} (sub (func (param (ref null $t{}) (ref $z)))))",
            (i + 1) % 20_000
        );
    }
    text += "))";
    let bytes = wasm(&text);
    let mut registry = TypeRegistry::new();
    let (module, _) = Module::decode(&bytes, Features::default(), &mut registry).unwrap();
    let (again, _) = Module::decode(&bytes, Features::default(), &mut registry).unwrap();
    assert!(module.types().eq(again.types()));
    assert_eq!(registry.group_count(), 2);
    drop((module, again));
    registry.sweep();
    assert_eq!(registry.group_count(), 0);
}
