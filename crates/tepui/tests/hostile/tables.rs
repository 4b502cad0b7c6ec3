//! Do tables hold what was put there, and calls through them go where they may?

use tepui::{
    Engine, ExternRef, Func, FuncType, HeapType, Instance, Module, Ref, RefType, Store,
    StoreLimits, StoreLimitsBuilder, Table, TableType, Trap, Val, ValType,
};

use crate::support::{Numbers, World, engine, trap_of};

fn funcref() -> RefType {
    RefType::new(true, HeapType::Func)
}

/// What an element is, as a number: the value that its function gives, or -1.
fn number_at(store: &mut Store<()>, table: Table, index: u64) -> i32 {
    match table.get(&mut *store, index).unwrap().as_func() {
        None => -1,
        Some(func) => {
            let func = func.typed::<(), i32>(&*store).unwrap();
            func.call(&mut *store, ()).unwrap()
        }
    }
}

/// 10, 11: `table.fill`, `copy` and `init` between imported and defined tables
/// of both widths, with dropped segments, against a model.
#[test]
fn bulk_operations_against_a_model() {
    // Tables 0 and 1 are imported, 2 and 3 defined; 1 and 3 have 64-bit indices.
    let size = 20_u64;
    let index = |table: usize| if table % 2 == 1 { "i64" } else { "i32" };
    let mut functions = String::new();
    for to in 0..4 {
        let (t, n) = (index(to), index(to));
        functions += &format!(
            "(func (export \"fill{to}\") (param {t} i32 {n})
               (table.fill {to} (local.get 0) (table.get $source (local.get 1)) (local.get 2)))
             (func (export \"init{to}\") (param {t} i32 i32)
               (table.init {to} $elem (local.get 0) (local.get 1) (local.get 2)))
             (func (export \"expr{to}\") (param {t} i32 i32)
               (table.init {to} $expr (local.get 0) (local.get 1) (local.get 2)))"
        );
        for from in 0..4 {
            let (f, n) = (
                index(from),
                if index(to) == "i64" && index(from) == "i64" {
                    "i64"
                } else {
                    "i32"
                },
            );
            functions += &format!(
                "(func (export \"copy{to}{from}\") (param {t} {f} {n})
                   (table.copy {to} {from} (local.get 0) (local.get 1) (local.get 2)))"
            );
        }
    }
    let text = format!(
        "(module
           (import \"\" \"a\" (table 1 funcref)) (import \"\" \"b\" (table i64 1 funcref))
           (table (export \"c\") {size} funcref) (table (export \"d\") i64 {size} funcref)
           (table $source 4 funcref)
           (func $f0 (result i32) (i32.const 0)) (func $f1 (result i32) (i32.const 1))
           (func $f2 (result i32) (i32.const 2))
           (elem (table $source) (i32.const 0) func $f0 $f1 $f2)
           (elem $elem func $f2 $f1 $f0 $f2 $f1)
           (elem $expr funcref (ref.func $f1) (ref.null func) (ref.func $f0))
           (func (export \"drop\") (elem.drop $elem) (elem.drop $expr))
           {functions})"
    );
    let engine = engine();
    let module = Module::new(&engine, &text).unwrap();
    let mut store = Store::new(&engine, ());
    let a = Table::new(
        &mut store,
        TableType::new(funcref(), 20, None),
        Ref::Func(None),
    )
    .unwrap();
    let b = Table::new(
        &mut store,
        TableType::new64(funcref(), 20, None),
        Ref::Func(None),
    )
    .unwrap();
    let instance = Instance::new(&mut store, &module, &[a.into(), b.into()]).unwrap();
    let c = instance.get_table(&mut store, "c").unwrap();
    let d = instance.get_table(&mut store, "d").unwrap();
    let tables = [a, b, c, d];
    let mut model = [[-1_i32; 20]; 4];
    let mut numbers = Numbers(3);
    let call = |store: &mut Store<()>, name: &str, params: [(u64, bool); 3]| {
        let params = params.map(|(value, wide)| {
            if wide {
                Val::I64(value as i64)
            } else {
                Val::I32(value as u32 as i32)
            }
        });
        let func = instance.get_func(&mut *store, name).unwrap();
        func.call(&mut *store, &params, &mut [])
    };
    let mut dropped = false;
    for round in 0..1200 {
        if round == 900 {
            let drop = instance.get_func(&mut store, "drop").unwrap();
            drop.call(&mut store, &[], &mut []).unwrap();
            dropped = true;
        }
        let mut pick = |wide: bool| match numbers.below(10) {
            0 => 20,
            1 => 21,
            2 if wide => u64::MAX - numbers.next() % 3,
            3 if wide => 1 << 32,
            2 => 0xffff_ffff,
            _ => numbers.next() % 20,
        };
        let to = round % 4;
        let from = (round / 4) % 4;
        let (to_wide, from_wide) = (to % 2 == 1, from % 2 == 1);
        let at = pick(to_wide);
        let kind = numbers.below(4);
        let length = match numbers.below(8) {
            0 => 0,
            1 => 0xffff_ffff,
            _ => numbers.next() % 8,
        };
        let inside =
            |start: u64, bound: u64| start.checked_add(length).is_some_and(|end| end <= bound);
        let (result, fits) = match kind {
            0 => {
                let value = numbers.next() % 5;
                let fits = inside(at, size) && value < 4;
                if fits {
                    let value = [0, 1, 2, -1][value as usize];
                    model[to][at as usize..(at + length) as usize].fill(value);
                }
                let params = [(at, to_wide), (value, false), (length, to_wide)];
                (call(&mut store, &format!("fill{to}"), params), fits)
            }
            1 | 2 => {
                let items: &[i32] = match (kind, dropped) {
                    (_, true) => &[],
                    (1, _) => &[2, 1, 0, 2, 1],
                    _ => &[1, -1, 0],
                };
                let source = numbers.next() % 7;
                let fits = inside(at, size) && inside(source, items.len() as u64);
                if fits {
                    model[to][at as usize..(at + length) as usize]
                        .copy_from_slice(&items[source as usize..(source + length) as usize]);
                }
                let name = if kind == 1 { "init" } else { "expr" };
                let params = [(at, to_wide), (source, false), (length, false)];
                (call(&mut store, &format!("{name}{to}"), params), fits)
            }
            _ => {
                let source = if numbers.below(9) == 0 {
                    21
                } else {
                    numbers.next() % 20
                };
                let fits = inside(at, size) && inside(source, size);
                if fits {
                    let items = model[from][source as usize..(source + length) as usize].to_vec();
                    model[to][at as usize..(at + length) as usize].copy_from_slice(&items);
                }
                let params = [
                    (at, to_wide),
                    (source, from_wide),
                    (length, to_wide && from_wide),
                ];
                (call(&mut store, &format!("copy{to}{from}"), params), fits)
            }
        };
        match result {
            Ok(()) => assert!(fits, "round {round} succeeded"),
            Err(error) => {
                assert!(!fits, "round {round}: {error:?}");
                assert_eq!(trap_of(&error), Trap::TableOutOfBounds, "round {round}");
            }
        }
        if round % 40 == 0 || round > 1150 {
            for (table, model) in tables.iter().zip(&model) {
                for (index, expected) in (0..).zip(model) {
                    let found = number_at(&mut store, *table, index);
                    assert_eq!(found, *expected, "round {round}, element {index}");
                }
            }
        }
    }
}

/// 15: calls through null, beyond the end, to a function of another type, of an
/// equal type of another module, of a subtype and of a supertype.
#[test]
fn indirect_calls_check_types() {
    let engine = engine();
    let mut world = World::new(
        &engine,
        "(module
           (type $v (func)) (type $i (func (result i32))) (type $ii (func (param i32) (result i32)))
           (type $super (sub (func (result funcref))))
           (type $sub (sub $super (func (result (ref func)))))
           (type $final (func (result funcref)))
           (rec (type $r1 (func (result i32))) (type $r2 (func)))
           (func $f-v (type $v)) (func $f-i (type $i) (i32.const 1))
           (func $f-ii (type $ii) (local.get 0))
           (func $f-super (type $super) (ref.null func))
           (func $f-sub (type $sub) (ref.func $f-v))
           (func $f-final (type $final) (ref.null func))
           (func $f-r1 (type $r1) (i32.const 2))
           (table $t 9 9 funcref)
           (table $typed 2 2 (ref null $super))
           (table $exact 2 2 (ref null $i))
           (table $wide i64 2 2 funcref)
           (elem (table $t) (i32.const 0) funcref
             (ref.func $f-v) (ref.func $f-i) (ref.func $f-ii) (ref.func $f-super)
             (ref.func $f-sub) (ref.func $f-final) (ref.func $f-r1) (ref.null func))
           (elem (table $typed) (i32.const 0) (ref null $super) (ref.func $f-sub))
           (elem (table $exact) (i32.const 0) (ref null $i) (ref.func $f-i))
           (elem (table $wide) (i64.const 1) funcref (ref.func $f-i))
           (func (export \"v\") (param i32) (call_indirect $t (type $v) (local.get 0)))
           (func (export \"i\") (param i32) (drop (call_indirect $t (type $i) (local.get 0))))
           (func (export \"ii\") (param i32)
             (drop (call_indirect $t (type $ii) (i32.const 0) (local.get 0))))
           (func (export \"super\") (param i32) (drop (call_indirect $t (type $super) (local.get 0))))
           (func (export \"sub\") (param i32) (drop (call_indirect $t (type $sub) (local.get 0))))
           (func (export \"final\") (param i32) (drop (call_indirect $t (type $final) (local.get 0))))
           (func (export \"r1\") (param i32) (drop (call_indirect $t (type $r1) (local.get 0))))
           (func (export \"typed\") (param i32)
             (drop (call_indirect $typed (type $super) (local.get 0))))
           (func (export \"typed-sub\") (param i32)
             (drop (call_indirect $typed (type $sub) (local.get 0))))
           (func (export \"exact\") (param i32) (drop (call_indirect $exact (type $i) (local.get 0))))
           (func (export \"tail\") (param i32) (return_call_indirect $t (type $v) (local.get 0)))
           (func (export \"wide\") (param i32)
             (drop (call_indirect $wide (type $i)
               (i64.or (i64.extend_i32_u (local.get 0)) (i64.const 0)))))
           (func (export \"wide-high\") (param i32)
             (drop (call_indirect $wide (type $i)
               (i64.or (i64.extend_i32_u (local.get 0)) (i64.const 0x100000000))))))",
    );
    let b = Err(Trap::BadSignature);
    let null = Err(Trap::IndirectCallToNull);
    let out = Err(Trap::TableOutOfBounds);
    // Elements 0 to 9 and one at 2^32 - 1; 9 is beyond the end.
    let ok = Ok(());
    let expected: &[(&str, &[Result<(), Trap>])] = &[
        ("v", &[ok, b, b, b, b, b, b, null, null, out]),
        ("i", &[b, ok, b, b, b, b, b, null, null, out]),
        ("ii", &[b, b, ok, b, b, b, b, null, null, out]),
        ("super", &[b, b, b, ok, ok, b, b, null, null, out]),
        ("sub", &[b, b, b, b, ok, b, b, null, null, out]),
        ("final", &[b, b, b, b, b, ok, b, null, null, out]),
        ("r1", &[b, b, b, b, b, b, ok, null, null, out]),
        ("typed", &[ok, null, out]),
        ("typed-sub", &[ok, null, out]),
        ("exact", &[ok, null, out]),
        ("tail", &[ok, b, b, b, b, b, b, null, null, out]),
        ("wide", &[null, ok, out]),
        ("wide-high", &[out, out, out]),
    ];
    for (export, expected) in expected {
        for (index, expected) in (0..).zip(*expected) {
            let found = world
                .call::<i32, ()>(export, index)
                .map_err(|error| trap_of(&error));
            assert_eq!(found, *expected, "{export}: element {index}");
        }
        for index in [-1, i32::MIN, i32::MAX] {
            assert_eq!(
                world.trap::<i32, ()>(export, index),
                Trap::TableOutOfBounds,
                "{export}"
            );
        }
    }
}

/// 26, 27: equal types of different modules are one type, almost equal ones not.
#[test]
fn types_of_other_modules() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let table = Table::new(
        &mut store,
        TableType::new(funcref(), 4, None),
        Ref::Func(None),
    )
    .unwrap();
    let caller = Module::new(
        &engine,
        "(module (import \"\" \"t\" (table 1 funcref))
           (type $unused (func (param i64))) (type $t (func (param i32 i32) (result i32)))
           (func (export \"call\") (param i32) (result i32)
             (call_indirect (type $t) (i32.const 30) (i32.const 12) (local.get 0))))",
    )
    .unwrap();
    let caller = Instance::new(&mut store, &caller, &[table.into()]).unwrap();
    let call = caller
        .get_typed_func::<i32, i32>(&mut store, "call")
        .unwrap();
    let bodies = [
        (
            "(param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))",
            Ok(42),
        ),
        (
            "(param i32 i64) (result i32) (local.get 0)",
            Err(Trap::BadSignature),
        ),
        (
            "(param i32 i32) (result i32 i32) (local.get 0) (local.get 1)",
            Err(Trap::BadSignature),
        ),
        (
            "(param i32) (result i32) (local.get 0)",
            Err(Trap::BadSignature),
        ),
    ];
    for (index, (body, expected)) in (0..).zip(bodies) {
        let module = Module::new(
            &engine,
            format!("(module (func $f {body}) (export \"f\" (func $f)))"),
        )
        .unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let func = instance.get_func(&mut store, "f").unwrap();
        table.set(&mut store, index, func.into()).unwrap();
        let found = call
            .call(&mut store, index as i32)
            .map_err(|error| trap_of(&error));
        assert_eq!(found, expected, "{body}");
    }
    // Host functions have types as well.
    let host = Func::wrap(&mut store, |a: i32, b: i32| a * b);
    table.set(&mut store, 1, host.into()).unwrap();
    assert_eq!(call.call(&mut store, 1).unwrap(), 360);
    let host = Func::wrap(&mut store, |a: i32, b: u64| a * b as i32);
    table.set(&mut store, 1, host.into()).unwrap();
    assert_eq!(
        trap_of(&call.call(&mut store, 1).unwrap_err()),
        Trap::BadSignature
    );
}

/// 23: growth of tables under a limiter, at the maximum and beyond what exists.
#[test]
fn growth_of_tables_is_limited() {
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (table $t 1 20 funcref) (table $u i64 1 externref)
           (elem declare func $f)
           (func $f (result i32) (i32.const 6))
           (func (export \"t\") (param i32) (result i32)
             (table.grow $t (ref.func $f) (local.get 0)))
           (func (export \"u\") (param i64) (result i64)
             (table.grow $u (ref.null extern) (local.get 0)))
           (func (export \"last\") (result i32)
             (call_indirect $t (result i32) (i32.sub (table.size $t) (i32.const 1)))))",
    )
    .unwrap();
    let mut store = Store::new(&engine, StoreLimits::default());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let t = instance
        .get_typed_func::<i32, i32>(&mut store, "t")
        .unwrap();
    let u = instance
        .get_typed_func::<i64, i64>(&mut store, "u")
        .unwrap();
    let last = instance
        .get_typed_func::<(), i32>(&mut store, "last")
        .unwrap();
    assert_eq!(t.call(&mut store, 0).unwrap(), 1);
    assert_eq!(t.call(&mut store, 20).unwrap(), -1);
    assert_eq!(t.call(&mut store, -1).unwrap(), -1);
    assert_eq!(t.call(&mut store, 9).unwrap(), 1);
    assert_eq!(last.call(&mut store, ()).unwrap(), 6);
    for delta in [-1, i64::MAX, i64::MIN, 1 << 60, 1 << 50] {
        assert_eq!(u.call(&mut store, delta).unwrap(), -1, "{delta:#x}");
    }
    assert_eq!(u.call(&mut store, 100).unwrap(), 1);
    store.limiter(|limits| limits);
    *store.data_mut() = StoreLimitsBuilder::new().table_elements(12).build();
    assert_eq!(t.call(&mut store, 3).unwrap(), -1);
    assert_eq!(t.call(&mut store, 2).unwrap(), 10);
    assert_eq!(t.call(&mut store, 1).unwrap(), -1);
    assert_eq!(t.call(&mut store, 0).unwrap(), 12);
    *store.data_mut() = StoreLimitsBuilder::new()
        .table_elements(12)
        .trap_on_grow_failure(true)
        .build();
    let error = t.call(&mut store, 1).unwrap_err();
    assert!(format!("{error:#}").contains("table"), "{error:?}");
    let error = u.call(&mut store, -1).unwrap_err();
    assert!(format!("{error:#}").contains("table"), "{error:?}");
    *store.data_mut() = StoreLimits::default();
    assert_eq!(t.call(&mut store, 8).unwrap(), 12);
    assert_eq!(t.call(&mut store, 1).unwrap(), -1);
}

/// Resource accounting: tables that no machine has.
#[test]
fn huge_declared_tables_are_errors() {
    let engine = engine();
    for declaration in [
        "i64 0x1000000000000 funcref",
        "i64 0xffffffffffffffff externref",
    ] {
        let error = match Module::new(&engine, format!("(module (table {declaration}))")) {
            Ok(module) => {
                let mut store = Store::new(&engine, ());
                Instance::new(&mut store, &module, &[]).unwrap_err()
            }
            Err(error) => error,
        };
        assert!(format!("{error:#}").contains("table"), "{error:?}");
    }
    let mut store = Store::new(&engine, ());
    let ty = TableType::new64(funcref(), u64::MAX, None);
    let error = Table::new(&mut store, ty, Ref::Func(None)).unwrap_err();
    assert!(format!("{error:#}").contains("table"), "{error:?}");
    let table = Table::new(
        &mut store,
        TableType::new64(funcref(), 1, None),
        Ref::Func(None),
    )
    .unwrap();
    assert!(table.grow(&mut store, u64::MAX, Ref::Func(None)).is_err());
    assert!(
        table
            .grow(&mut store, u64::MAX - 1, Ref::Func(None))
            .is_err()
    );
    assert_eq!(table.size(&store), 1);
    assert!(table.get(&mut store, u64::MAX).is_none());
    assert!(table.set(&mut store, u64::MAX, Ref::Func(None)).is_err());
    assert!(
        table
            .fill(&mut store, 1, Ref::Func(None), u64::MAX)
            .is_err()
    );
    assert!(table.fill(&mut store, 1, Ref::Func(None), 0).is_ok());
    assert!(table.fill(&mut store, 2, Ref::Func(None), 0).is_err());
}

/// 15, 27: the type of a table that the host made is the table's for as long as
/// it lives, whatever becomes of the handle to the type and of other types.
#[test]
fn the_type_of_a_table_outlives_its_handle() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let table = {
        let ty = FuncType::new(&engine, [const { ValType::I64 }; 7], [ValType::F64]);
        let element = RefType::new(true, ty.into());
        Table::new(
            &mut store,
            TableType::new(element, 2, None),
            Ref::Func(None),
        )
        .unwrap()
    };
    // Types that would take the number of one that is gone, once the engine
    // looks for such.
    let others: Vec<_> = (0..5000)
        .map(|n| {
            let param = |bit| match n >> bit & 1 {
                0 => ValType::I32,
                _ => ValType::F32,
            };
            FuncType::new(&engine, (0..13).map(param), [])
        })
        .collect();
    for ty in &others {
        let func = Func::new(&mut store, ty.clone(), |_, _, _| Ok(()));
        assert!(table.set(&mut store, 0, func.into()).is_err(), "{ty}");
    }
    let element = table.ty(&store).element().clone();
    let ty = element.heap_type().as_concrete_func().unwrap();
    assert_eq!((ty.params().len(), ty.results().len()), (7, 1));
    let importer = |params: &str| {
        Module::new(
            &engine,
            format!(
                "(module (type $t (func {params}))
                   (import \"\" \"t\" (table 1 (ref null $t))))"
            ),
        )
        .unwrap()
    };
    let wrong = importer("(param i32 i32)");
    assert!(Instance::new(&mut store, &wrong, &[table.into()]).is_err());
    let right = importer("(param i64 i64 i64 i64 i64 i64 i64) (result f64)");
    Instance::new(&mut store, &right, &[table.into()]).unwrap();
}

/// 15: values of almost the right type are refused by the host's side of tables
/// and globals.
#[test]
fn the_host_puts_only_what_fits() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let takes = |engine: &Engine, ty: ValType| FuncType::new(engine, [ty], []);
    let wanted = takes(&engine, ValType::I32);
    let exact = RefType::new(true, wanted.clone().into());
    let never = RefType::new(false, wanted.clone().into());
    let good = Func::wrap(&mut store, |_: i32| {});
    let bad = Func::wrap(&mut store, |_: i64| {});
    let external = ExternRef::new(&mut store, 5).unwrap();
    let table = Table::new(
        &mut store,
        TableType::new(exact.clone(), 2, None),
        Ref::Func(None),
    )
    .unwrap();
    assert!(table.set(&mut store, 0, good.into()).is_ok());
    assert!(table.set(&mut store, 0, bad.into()).is_err());
    assert!(table.set(&mut store, 0, external.into()).is_err());
    assert!(table.fill(&mut store, 0, bad.into(), 1).is_err());
    assert!(table.grow(&mut store, 1, bad.into()).is_err());
    assert_eq!(table.size(&store), 2);
    let strict = TableType::new(never, 2, None);
    assert!(Table::new(&mut store, strict.clone(), Ref::Func(None)).is_err());
    assert!(Table::new(&mut store, strict.clone(), bad.into()).is_err());
    let strict = Table::new(&mut store, strict, good.into()).unwrap();
    assert!(strict.set(&mut store, 1, Ref::Func(None)).is_err());
    // As an import it has to be of just the type.
    for (declared, fits) in [
        ("(ref null $t)", true),
        ("(ref $t)", false),
        ("funcref", false),
        ("(ref null $u)", false),
        ("externref", false),
    ] {
        let module = Module::new(
            &engine,
            format!(
                "(module (type $t (func (param i32))) (type $u (func (param i64)))
                   (import \"\" \"t\" (table 1 {declared})))"
            ),
        )
        .unwrap();
        let result = Instance::new(&mut store, &module, &[table.into()]);
        assert_eq!(result.is_ok(), fits, "{declared}: {result:?}");
    }
}
