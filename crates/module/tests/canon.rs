//! Are equal types one type, and unequal ones not? Canonicalization and subtyping.

mod common;

use common::wasm;
use std::sync::{Arc, Mutex};
use tepui_module::{
    ExternType, Features, FuncType, GlobalType, HeapType, MemoryType, Module, RefType, TableType,
    TypeId, TypeIndex, TypeLookup, TypeRegistry, ValType,
};

fn decode(registry: &mut TypeRegistry, text: &str) -> Module {
    let (module, _) = Module::decode(&wasm(text), Features::IMPLEMENTED, registry)
        .expect("the test's module is valid");
    module
}

fn ids(registry: &mut TypeRegistry, text: &str) -> (Module, Vec<TypeId>) {
    let module = decode(registry, text);
    let ids = module.types().collect();
    (module, ids)
}

#[test]
fn equal_function_types_are_one_across_modules() {
    let mut registry = TypeRegistry::new();
    let (_a, a) = ids(
        &mut registry,
        "(module (type (func (param i32) (result i64))) (type (func)) (type (func (param i32) (result i64))))",
    );
    let (_b, b) = ids(
        &mut registry,
        "(module (type (func)) (type (func (param i32) (result i64))))",
    );
    assert_eq!(a[0], a[2]);
    assert_ne!(a[0], a[1]);
    assert_eq!(a[0], b[1]);
    assert_eq!(a[1], b[0]);
    assert_eq!(registry.group_count(), 2);
}

#[test]
fn parameters_and_results_are_told_apart() {
    let mut registry = TypeRegistry::new();
    let (_m, ids) = ids(
        &mut registry,
        "(module
            (type (func (param i32 i32)))
            (type (func (param i32) (result i32)))
            (type (func (result i32 i32)))
            (type (func (param i32 i64)))
            (type (func (param i64 i32)))
            (type (func (param funcref)))
            (type (func (param externref)))
            (type (func (param (ref func)))))",
    );
    for (i, a) in ids.iter().enumerate() {
        for b in &ids[i + 1..] {
            assert_ne!(a, b);
        }
    }
}

#[test]
fn mutually_recursive_groups_are_equal_by_structure() {
    let mut registry = TypeRegistry::new();
    let text = "(module
        (rec (type $a (func (param (ref null $b)))) (type $b (func (result (ref $a)))))
        (rec (type $c (func (param (ref null $d)))) (type $d (func (result (ref $c)))))
        (rec (type $e (func (result (ref $f)))) (type $f (func (param (ref null $e)))))
    )";
    let (_m, here) = ids(&mut registry, text);
    assert_eq!(here[0], here[2]);
    assert_eq!(here[1], here[3]);
    // The same types in the other order are another group.
    assert_ne!(here[0], here[5]);
    assert_ne!(here[1], here[4]);
    let (_n, there) = ids(&mut registry, text);
    assert_eq!(here, there);
    assert_eq!(registry.group_count(), 2);
}

#[test]
fn a_reference_inside_the_group_differs_from_one_outside() {
    let mut registry = TypeRegistry::new();
    let (_m, ids) = ids(
        &mut registry,
        "(module
            (type $f (func))
            (rec (type $g (func)) (type (func (param (ref $g)))))
            (rec (type $h (func)) (type (func (param (ref $f)))))
            (type (func (param (ref $f)))))",
    );
    // A type of a larger group is not the lone type of the same structure.
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[2], ids[4]);
    assert_ne!(ids[5], ids[2]);
    assert_ne!(ids[5], ids[4]);
    assert_ne!(ids[1], ids[3]);
}

#[test]
fn finality_and_supertypes_are_part_of_a_type() {
    let mut registry = TypeRegistry::new();
    let (module, ids) = ids(
        &mut registry,
        "(module
            (type $open (sub (func)))
            (type $final (sub final (func)))
            (type $short (func))
            (type $below (sub $open (func)))
            (type $below_final (sub final $open (func))))",
    );
    assert_eq!(ids[1], ids[2]);
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[3], ids[4]);
    let open = module.defined_type(TypeIndex::new(0));
    let below = module.defined_type(TypeIndex::new(3));
    assert!(!open.is_final() && module.defined_type(TypeIndex::new(2)).is_final());
    assert_eq!(below.supertype(), Some(ids[0]));
    assert_eq!(open.supertype(), None);
    assert!(module.is_sub_id(ids[3], ids[0]));
    assert!(!module.is_sub_id(ids[0], ids[3]));
    assert!(!module.is_sub_id(ids[1], ids[0]));
}

#[test]
fn chains_of_supertypes_up_to_the_limit() {
    let chain = |depth: usize| {
        let mut text = String::from("(module (type $t0 (sub (func)))");
        for i in 1..=depth {
            text += &format!("(type $t{i} (sub $t{} (func)))", i - 1);
        }
        text + ")"
    };
    let mut registry = TypeRegistry::new();
    let (module, ids) = ids(&mut registry, &chain(63));
    for (i, &a) in ids.iter().enumerate() {
        assert_eq!(
            module.defined_type(TypeIndex::new(i as u32)).supertypes(),
            &ids[..i]
        );
        for (j, &b) in ids.iter().enumerate() {
            assert_eq!(registry.is_sub_id(a, b), i >= j, "{i} below {j}");
            assert_eq!(module.is_sub_id(a, b), i >= j, "{i} below {j}");
        }
    }
    let error = common::refused(&chain(64), Features::IMPLEMENTED);
    assert_eq!(error.kind(), tepui_module::ErrorKind::Limit, "{error}");
}

#[test]
fn supertypes_within_a_group() {
    let mut registry = TypeRegistry::new();
    let (_m, ids) = ids(
        &mut registry,
        "(module (rec
            (type $a (sub (func (result (ref null $b)))))
            (type $b (sub $a (func (result (ref null $c)))))
            (type $c (sub $b (func (result (ref $c)))))))",
    );
    assert!(registry.is_sub_id(ids[2], ids[0]));
    assert!(registry.is_sub_id(ids[1], ids[0]));
    assert!(!registry.is_sub_id(ids[0], ids[2]));
    let refer = |nullable, id| RefType::new(nullable, HeapType::Concrete(id));
    assert!(registry.is_sub_ref(refer(false, ids[2]), refer(true, ids[0])));
    assert!(!registry.is_sub_ref(refer(true, ids[2]), refer(false, ids[0])));
    assert!(registry.is_sub_ref(refer(false, ids[2]), RefType::FUNCREF));
    assert!(!registry.is_sub_ref(RefType::FUNCREF, refer(true, ids[2])));
    assert!(registry.is_sub_heap(HeapType::NoFunc, HeapType::Concrete(ids[1])));
    assert!(!registry.is_sub_heap(HeapType::None, HeapType::Concrete(ids[1])));
    assert!(!registry.is_sub_heap(HeapType::Concrete(ids[1]), HeapType::Any));
}

#[test]
fn abstract_heap_types_form_five_hierarchies() {
    use HeapType::*;
    let registry = TypeRegistry::new();
    let all = [
        Func, NoFunc, Extern, NoExtern, Any, Eq, I31, Struct, Array, None, Exn, NoExn, Cont, NoCont,
    ];
    let below: &[(HeapType, &[HeapType])] = &[
        (NoFunc, &[Func]),
        (NoExtern, &[Extern]),
        (NoExn, &[Exn]),
        (NoCont, &[Cont]),
        (Eq, &[Any]),
        (I31, &[Eq, Any]),
        (Struct, &[Eq, Any]),
        (Array, &[Eq, Any]),
        (None, &[I31, Struct, Array, Eq, Any]),
    ];
    for a in all {
        for b in all {
            let expected = a == b
                || below
                    .iter()
                    .any(|(low, highs)| *low == a && highs.contains(&b));
            assert_eq!(registry.is_sub_heap(a, b), expected, "{a} below {b}");
        }
    }
}

#[test]
fn host_types_are_the_same_as_modules() {
    let mut registry = TypeRegistry::new();
    let (module, ids) = ids(
        &mut registry,
        "(module (type $f (func (param i32))) (type (func (param (ref null $f)) (result v128))))",
    );
    let lone = registry
        .register_func(&FuncType::new([ValType::I32], []))
        .unwrap();
    assert_eq!(lone.types()[0].id(), ids[0]);
    let refers = FuncType::new(
        [ValType::Ref(RefType::new(true, HeapType::Concrete(ids[0])))],
        [ValType::V128],
    );
    let group = registry.register_func(&refers).unwrap();
    assert_eq!(group.types()[0].id(), ids[1]);
    assert_eq!(group.types()[0].as_func(), Some(&refers));
    assert_eq!(group.registry(), registry.id());
    assert!(Arc::ptr_eq(&group, module.rec_group(TypeIndex::new(1))));
    let unknown = RefType::new(true, HeapType::Concrete(TypeId::new(99)));
    let error = registry.register_func(&FuncType::new([ValType::Ref(unknown)], []));
    assert!(error.unwrap_err().to_string().contains("99"));
    assert_ne!(TypeRegistry::new().id(), registry.id());
}

#[test]
fn types_are_freed_when_nobody_holds_them() {
    let mut registry = TypeRegistry::new();
    let text = "(module (type $f (func (param i32))) (type (func (param (ref $f)))))";
    let module = decode(&mut registry, text);
    let second = module.rec_group(TypeIndex::new(1)).clone();
    let ids: Vec<_> = module.types().collect();
    drop(module);
    registry.sweep();
    // The second mentions the first, which lives as long.
    assert_eq!(registry.group_count(), 2);
    assert!(registry.sub_type(ids[0]).is_some());
    drop(second);
    registry.sweep();
    assert_eq!(registry.group_count(), 0);
    assert!(registry.sub_type(ids[0]).is_none() && registry.sub_type(ids[1]).is_none());
    // The numbers are used again.
    let again = decode(&mut registry, text);
    assert!(again.types().all(|id| ids.contains(&id)));
}

#[test]
fn the_registry_sweeps_by_itself() {
    let mut registry = TypeRegistry::new();
    for i in 0..5_000u32 {
        let params: Vec<_> = (0..12)
            .map(|bit| {
                if i >> bit & 1 != 0 {
                    ValType::I32
                } else {
                    ValType::I64
                }
            })
            .collect();
        let _ = registry.register_func(&FuncType::new(params, [])).unwrap();
    }
    assert!(registry.group_count() <= 512, "{}", registry.group_count());
    assert!(registry.id_bound() <= 512, "{}", registry.id_bound());
}

#[test]
fn a_chain_of_a_hundred_thousand_types_is_made_and_dropped() {
    let mut registry = TypeRegistry::new();
    let mut last = registry.register_func(&FuncType::new([], [])).unwrap();
    for _ in 0..100_000 {
        let below = RefType::new(true, HeapType::Concrete(last.types()[0].id()));
        last = registry
            .register_func(&FuncType::new([ValType::Ref(below)], []))
            .unwrap();
    }
    registry.sweep();
    assert_eq!(registry.group_count(), 100_001);
    let held = last.clone();
    drop(last);
    registry.sweep();
    assert_eq!(registry.group_count(), 100_001);
    drop(held);
    registry.sweep();
    assert_eq!(registry.group_count(), 0);
}

#[test]
fn threads_load_and_drop_modules_that_share_types() {
    let texts: Vec<Vec<u8>> = (0..8)
        .map(|i| {
            wasm(&format!(
                "(module
                    (rec (type $a (func (param (ref null $b)))) (type $b (func (result (ref $a)))))
                    (type $c (sub (func (param i32)))) (type (sub $c (func (param i32))))
                    (type (func (param {}))))",
                "i32 ".repeat(i)
            ))
        })
        .collect();
    let registry = Mutex::new(TypeRegistry::new());
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (texts, registry) = (&texts, &registry);
            scope.spawn(move || {
                let mut held = std::collections::VecDeque::new();
                for round in 0..400 {
                    let bytes = &texts[(round * 7 + thread * 3) % texts.len()];
                    let (module, _) =
                        Module::decode_with(bytes, Features::IMPLEMENTED, &mut |register| {
                            let mut registry = registry.lock().unwrap();
                            if round % 5 == 0 {
                                registry.sweep();
                            }
                            register(&mut registry);
                        })
                        .unwrap();
                    held.push_back(module);
                    if held.len() > round % 4 {
                        held.pop_front();
                    }
                    let registry = registry.lock().unwrap();
                    let mut shared: Option<Vec<TypeId>> = None;
                    for module in &held {
                        for (index, id) in module.types().enumerate() {
                            let index = TypeIndex::new(index as u32);
                            assert_eq!(registry.sub_type(id), Some(module.defined_type(index)));
                        }
                        let first: Vec<_> = module.types().take(4).collect();
                        assert!(registry.is_sub_id(first[3], first[2]));
                        assert_eq!(shared.get_or_insert(first.clone()), &first);
                    }
                }
            });
        }
    });
    let mut registry = registry.into_inner().unwrap();
    registry.sweep();
    assert_eq!(registry.group_count(), 0);
}

#[test]
fn import_matching() {
    let mut registry = TypeRegistry::new();
    let (_m, ids) = ids(
        &mut registry,
        "(module (type $f (sub (func))) (type (sub $f (func))))",
    );
    let [f, g] = ids[..] else { unreachable!() };
    let refer = |id| RefType::new(true, HeapType::Concrete(id));
    assert!(registry.extern_matches(&ExternType::Func(g), &ExternType::Func(f)));
    assert!(!registry.extern_matches(&ExternType::Func(f), &ExternType::Func(g)));

    let global = |id, mutable| {
        ExternType::Global(GlobalType {
            content: ValType::Ref(refer(id)),
            mutable,
        })
    };
    assert!(registry.extern_matches(&global(g, false), &global(f, false)));
    assert!(!registry.extern_matches(&global(f, false), &global(g, false)));
    assert!(!registry.extern_matches(&global(g, true), &global(f, true)));
    assert!(registry.extern_matches(&global(g, true), &global(g, true)));
    assert!(!registry.extern_matches(&global(g, true), &global(g, false)));

    let table = |id, minimum, maximum, table64| {
        ExternType::Table(TableType {
            element: refer(id),
            minimum,
            maximum,
            table64,
        })
    };
    let wanted = table(f, 2, Some(5), false);
    assert!(registry.extern_matches(&table(f, 3, Some(5), false), &wanted));
    assert!(registry.extern_matches(&table(f, 2, Some(4), false), &wanted));
    for other in [
        table(g, 3, Some(5), false),
        table(f, 1, Some(5), false),
        table(f, 3, Some(6), false),
        table(f, 3, None, false),
        table(f, 3, Some(5), true),
        ExternType::Func(f),
    ] {
        assert!(!registry.extern_matches(&other, &wanted), "{other}");
    }

    let memory = MemoryType {
        minimum: 1,
        maximum: Some(2),
        shared: true,
        memory64: false,
        page_size_log2: 16,
    };
    let matches =
        |given| registry.extern_matches(&ExternType::Memory(given), &ExternType::Memory(memory));
    assert!(matches(memory));
    assert!(!matches(MemoryType {
        shared: false,
        ..memory
    }));
    assert!(!matches(MemoryType {
        memory64: true,
        ..memory
    }));
    assert!(!matches(MemoryType {
        page_size_log2: 0,
        ..memory
    }));
    assert!(!matches(MemoryType {
        minimum: 0,
        ..memory
    }));
}
