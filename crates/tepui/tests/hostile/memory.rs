//! Do memories hold what was put there, wherever they are and however they
//! grow, and are impossible ones refused?

use std::fmt::Write as _;

use tepui::{Caller, Extern, Memory, MemoryType, Module, Store, Trap};

use crate::accesses::call_at;
use crate::support::{Numbers, World, engine_with, engines, trap_of};

/// Memories in numbers: each access goes to the one that it names.
#[test]
fn memories_are_kept_apart() {
    let memories = 40;
    let mut text = String::from("(module ");
    for index in 0..memories {
        let (form, ty) = match index % 4 {
            0 => ("1 3", "i32"),
            1 => ("i64 1 3", "i64"),
            2 => ("100 300 (pagesize 1)", "i32"),
            _ => ("1 3 shared", "i32"),
        };
        write!(
            text,
            "(memory $m{index} {form})
             (func (export \"set{index}\") (param i32)
               (i32.store8 $m{index} ({ty}.const 99) (local.get 0)))
             (func (export \"get{index}\") (result i32) (i32.load8_u $m{index} ({ty}.const 99)))
             (func (export \"grow{index}\") (result i64)
               {})\n",
            if ty == "i32" {
                format!("(i64.extend_i32_s (memory.grow $m{index} (i32.const 1)))")
            } else {
                format!("(memory.grow $m{index} (i64.const 1))")
            }
        )
        .unwrap();
    }
    text.push(')');
    for (name, engine) in engines() {
        let mut world = World::new(&engine, &text);
        for round in 0..3 {
            for index in 0..memories {
                world
                    .call::<_, ()>(&format!("set{index}"), index + round)
                    .unwrap();
            }
            for index in 0..memories {
                let value: i32 = world.call(&format!("get{index}"), ()).unwrap();
                assert_eq!(value, index + round, "{name}: memory {index}");
            }
            for index in (0..memories).step_by(3) {
                let old: i64 = world.call(&format!("grow{index}"), ()).unwrap();
                let first = if index % 4 == 2 { 100 } else { 1 };
                let full = index % 4 != 2 && round == 2;
                let expected = if full { -1 } else { first + i64::from(round) };
                assert_eq!(old, expected, "{name}: memory {index}");
            }
        }
    }
}

/// Resource accounting: what no machine has is refused with a clear error.
#[test]
fn huge_declared_memories_are_errors() {
    for (name, engine) in engines() {
        for declaration in [
            "i64 0x100000000000",
            "i64 0xffffffffffff",
            "i64 0xffffffffffff 0xffffffffffff",
            "i64 0x7fffffffffffffff (pagesize 1)",
            "i64 0xffffffffffffffff (pagesize 1)",
            "i64 0x800000000000 (pagesize 1)",
        ] {
            let text = format!("(module (memory {declaration}))");
            let error = match Module::new(&engine, &text) {
                Ok(module) => {
                    let mut store = Store::new(&engine, ());
                    let error = tepui::Instance::new(&mut store, &module, &[]).unwrap_err();
                    // The store is none the worse.
                    let small = Module::new(&engine, "(module (memory 1))").unwrap();
                    tepui::Instance::new(&mut store, &small, &[]).unwrap();
                    error
                }
                Err(error) => error,
            };
            assert!(format!("{error:#}").contains("memory"), "{name}: {error:?}");
        }
        let mut store = Store::new(&engine, ());
        let error = Memory::new(&mut store, MemoryType::new64(1 << 47, None)).unwrap_err();
        assert!(format!("{error:#}").contains("memory"), "{name}: {error:?}");
        // A large maximum costs nothing.
        for declaration in [
            "0 65536",
            "i64 0 0x1000000000000",
            "i64 0 0xffffffffffffffff (pagesize 1)",
        ] {
            let mut world = World::new(
                &engine,
                format!("(module (memory {declaration}) (func (export \"f\")))"),
            );
            world.call::<(), ()>("f", ()).unwrap();
        }
    }
}

/// 1: a memory of 4 GiB, or a clear refusal; the last byte is a byte.
#[test]
fn four_gibibytes_end_where_they_end() {
    for (name, engine) in engines() {
        let text = "(module (memory 65536)
            (func (export \"get\") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export \"get+1\") (param i32) (result i32) (i32.load8_u offset=1 (local.get 0)))
            (func (export \"get8\") (param i32) (result i64) (i64.load (local.get 0)))
            (func (export \"size\") (result i32) (memory.size))
            (func (export \"grow\") (result i32) (memory.grow (i32.const 1))))";
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = match tepui::Instance::new(&mut store, &module, &[]) {
            Ok(instance) => instance,
            Err(error) => {
                assert!(format!("{error:#}").contains("memory"), "{name}: {error:?}");
                continue;
            }
        };
        let mut world = World { store, instance };
        assert_eq!(world.call::<_, i32>("size", ()).unwrap(), 65536);
        assert_eq!(world.call::<_, i32>("grow", ()).unwrap(), -1);
        assert_eq!(world.call::<_, i32>("get", -1).unwrap(), 0);
        assert_eq!(world.call::<_, i64>("get8", -8).unwrap(), 0);
        for address in -7..0 {
            assert_eq!(
                world.trap::<_, i64>("get8", address),
                Trap::MemoryOutOfBounds,
                "{name}"
            );
        }
        assert_eq!(
            world.trap::<_, i32>("get+1", -1),
            Trap::MemoryOutOfBounds,
            "{name}"
        );
    }
}

/// 1: memories without a byte.
#[test]
fn empty_memories_have_no_bytes() {
    for (name, engine) in engines() {
        for (declaration, ty) in [
            ("0", "i32"),
            ("0 0", "i32"),
            ("i64 0 0", "i64"),
            ("0 0 (pagesize 1)", "i32"),
            ("0 0 shared", "i32"),
        ] {
            let mut world = World::new(
                &engine,
                format!(
                    "(module (memory {declaration}) (data $d \"\")
                       (func (export \"load\") (param {ty}) (drop (i32.load8_u (local.get 0))))
                       (func (export \"fill\") (param {ty} {ty})
                         (memory.fill (local.get 0) (i32.const 0) (local.get 1)))
                       (func (export \"init\") (param {ty})
                         (memory.init $d (local.get 0) (i32.const 0) (i32.const 0))))"
                ),
            );
            for address in [0, 1, 65536, 0x7fff_ffff, 0xffff_ffff] {
                let error = call_at(&mut world, ty == "i64", "load", address).unwrap_err();
                assert_eq!(
                    trap_of(&error),
                    Trap::MemoryOutOfBounds,
                    "{name}: {declaration}"
                );
                let result = call_at(&mut world, ty == "i64", "init", address);
                assert_eq!(
                    result.is_ok(),
                    address == 0,
                    "{name}: {declaration} {address}"
                );
            }
            let fill = |world: &mut World, to: u64, length: u64| {
                if ty == "i64" {
                    world.call::<_, ()>("fill", (to, length))
                } else {
                    world.call::<_, ()>("fill", (to as u32, length as u32))
                }
            };
            assert!(fill(&mut world, 0, 0).is_ok(), "{name}: {declaration}");
            assert!(fill(&mut world, 0, 1).is_err(), "{name}: {declaration}");
            assert!(fill(&mut world, 1, 0).is_err(), "{name}: {declaration}");
        }
    }
}

/// 25: a guarded memory grows where it is, and what the host reads after a
/// growth is what the guest wrote, wherever the memory is then.
#[test]
fn growth_under_the_eyes_of_the_host() {
    let text = "(module
        (import \"\" \"look\" (func $look))
        (memory (export \"m\") 1 200)
        (func (export \"run\") (param $n i32)
          (local $i i32)
          (loop $l
            (i32.store (i32.const 0) (local.get $i))
            (call $look)
            (i32.store
              (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))
              (i32.const 0))
            (br_if $l (i32.lt_u
              (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))))";
    for (name, engine) in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, Vec::<(usize, usize)>::new());
        let look = tepui::Func::wrap(&mut store, |mut caller: Caller<'_, Vec<(usize, usize)>>| {
            let memory = caller
                .get_export("m")
                .and_then(Extern::into_memory)
                .unwrap();
            let round = caller.data().len() as u32;
            assert_eq!(memory.data(&caller)[..4], round.to_le_bytes());
            let old = memory.data(&caller).to_vec();
            let old_pages = memory.grow(&mut caller, 3).unwrap();
            assert_eq!(old_pages, 1 + 3 * u64::from(round));
            let data = memory.data(&caller);
            assert_eq!(data[..old.len()], old, "growth keeps what was there");
            assert!(data[old.len()..].iter().all(|byte| *byte == 0));
            assert_eq!(data.as_ptr(), memory.data_ptr(&caller).cast_const());
            let (base, length) = (data.as_ptr() as usize, data.len());
            caller.data_mut().push((base, length));
        });
        let instance = tepui::Instance::new(&mut store, &module, &[look.into()]).unwrap();
        let run = instance
            .get_typed_func::<i32, ()>(&mut store, "run")
            .unwrap();
        run.call(&mut store, 20).unwrap();
        let seen = store.data();
        assert_eq!(seen.len(), 20);
        if name.starts_with("guarded") {
            assert!(
                seen.iter().all(|(base, _)| *base == seen[0].0),
                "{name} moved"
            );
        }
        assert!(
            seen.windows(2)
                .all(|pair| pair[0].1 + 3 * 65536 == pair[1].1)
        );
    }
}

/// 25: the host may hold bytes of one memory only while nothing else happens in
/// the store; growth beside it is refused by the borrow checker, so what is
/// left to test is growth between borrows.
#[test]
fn the_host_rereads_after_growth() {
    let engine = engine_with(|config| {
        config.memory_reservation(0);
    });
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(1000))).unwrap();
    memory.write(&mut store, 65532, b"last").unwrap();
    let mut moved = false;
    let mut base = memory.data_ptr(&store);
    for pages in 1..300 {
        assert_eq!(memory.grow(&mut store, 1).unwrap(), pages);
        moved |= memory.data_ptr(&store) != base;
        base = memory.data_ptr(&store);
        let mut buffer = [0; 4];
        memory.read(&store, 65532, &mut buffer).unwrap();
        assert_eq!(&buffer, b"last");
        let end = memory.data_size(&store);
        assert_eq!(end as u64, (pages + 1) * 65536);
        memory.write(&mut store, end - 1, &[1]).unwrap();
        assert!(memory.write(&mut store, end - 1, &[1, 2]).is_err());
        assert!(memory.read(&store, usize::MAX, &mut [0; 2]).is_err());
        assert!(memory.read(&store, end, &mut []).is_ok());
        assert!(memory.read(&store, end + 1, &mut []).is_err());
    }
    assert!(
        moved,
        "a checked memory without a reservation has to move some time"
    );
    assert!(memory.grow(&mut store, u64::MAX).is_err());
    assert!(memory.grow(&mut store, 701).is_err());
    assert_eq!(memory.grow(&mut store, 700).unwrap(), 300);
}

/// Overflow: reservations and guards of any size are taken or refused, not
/// believed.
#[test]
fn strange_reservations() {
    for (reservation, guard) in [
        (u64::MAX, 0),
        (0, u64::MAX),
        (u64::MAX, u64::MAX),
        (4 << 30, u64::MAX - (4 << 30)),
        ((4 << 30) + 1, 1),
        (4 << 30, 4095),
        ((4 << 30) - 1, 32 << 20),
        (1, 1),
        (8 << 30, 4 << 30),
        (1 << 60, 0),
    ] {
        let engine = engine_with(|config| {
            config
                .memory_reservation(reservation)
                .memory_guard_size(guard);
        });
        let what = format!("reservation {reservation:#x}, guard {guard:#x}");
        let mut world = World::new(
            &engine,
            "(module (memory 1 3) (memory $s 5 9 (pagesize 1)) (memory $w i64 1)
               (func (export \"get\") (param i32) (result i32)
                 (i32.load8_u offset=4095 (local.get 0)))
               (func (export \"small\") (param i32) (result i32) (i32.load8_u $s (local.get 0)))
               (func (export \"wide\") (param i64) (result i64)
                 (i64.load $w offset=8 (local.get 0)))
               (func (export \"grow\") (result i32) (memory.grow (i32.const 2))))",
        );
        for _ in 0..2 {
            assert_eq!(world.call::<_, i32>("get", 61440).unwrap(), 0, "{what}");
            assert_eq!(world.call::<_, i32>("small", 4).unwrap(), 0, "{what}");
            for address in [5, 4096, -1] {
                assert_eq!(
                    world.trap::<_, i32>("small", address),
                    Trap::MemoryOutOfBounds,
                    "{what}"
                );
            }
            for address in [65521, 65536, i64::MAX, -1, -8, -16] {
                assert_eq!(
                    world.trap::<_, i64>("wide", address),
                    Trap::MemoryOutOfBounds,
                    "{what}"
                );
            }
            for address in [192_513, -1, i32::MIN] {
                assert_eq!(
                    world.trap::<_, i32>("get", address),
                    Trap::MemoryOutOfBounds,
                    "{what}"
                );
            }
            world.call::<_, i32>("grow", ()).unwrap();
        }
    }
}

/// 21, 22: instances from the third on get their initial data as a mapping that
/// is shared until it is written; nobody sees another's bytes.
#[test]
fn initial_data_is_not_shared_between_instances() {
    for (name, engine) in engines() {
        for declaration in ["2", "i64 2", "70000 (pagesize 1)", "5000 (pagesize 1)"] {
            let ty = if declaration.starts_with("i64") {
                "i64"
            } else {
                "i32"
            };
            let text = format!(
                "(module (memory (export \"m\") {declaration})
                   (data ({ty}.const 1000) \"{}\")
                   (data ({ty}.const 4090) \"abcdefghijklmnop\")
                   (data ({ty}.const 4095) \"X\"))",
                "0123456789abcdef".repeat(200)
            );
            let module = Module::new(&engine, &text).unwrap();
            let mut expected = vec![0_u8; 4106];
            for (index, byte) in expected[1000..4106].iter_mut().enumerate() {
                *byte = b"0123456789abcdef"[index % 16];
            }
            expected[4090..4106].copy_from_slice(b"abcdefghijklmnop");
            expected[4095] = b'X';
            let mut worlds: Vec<_> = Vec::new();
            for round in 0..6 {
                let mut world = World::of(&module);
                let memory = world.instance.get_memory(&mut world.store, "m").unwrap();
                let data = memory.data_mut(&mut world.store);
                assert_eq!(
                    data[..4106],
                    expected,
                    "{name}: {declaration}, instance {round}"
                );
                assert!(
                    data[4200..].iter().all(|byte| *byte == 0),
                    "{name}: {declaration}, instance {round}"
                );
                data.fill(0xa0 + round);
                worlds.push((world, memory));
            }
            for (round, (world, memory)) in worlds.iter().enumerate() {
                let fill = 0xa0 + round as u8;
                assert!(memory.data(&world.store).iter().all(|byte| *byte == fill));
            }
        }
    }
}

/// 11: dropped and empty data segments, again and again.
#[test]
fn dropped_data_segments_are_empty() {
    for (name, engine) in engines() {
        let mut world = World::new(
            &engine,
            "(module (memory 1) (memory $w i64 1)
               (data $p \"passive\") (data $a (i32.const 8) \"active\") (data $e \"\")
               (func (export \"p\") (param i32 i32 i32)
                 (memory.init $p (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"w\") (param i64 i32 i32)
                 (memory.init $w $p (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"a\") (param i32 i32 i32)
                 (memory.init $a (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"e\") (param i32 i32 i32)
                 (memory.init $e (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"drop\") (data.drop $p) (data.drop $a) (data.drop $e)))",
        );
        let mut init = |export: &str, to: u32, from: u32, length: u32| {
            world.call::<_, ()>(export, (to, from, length)).is_ok()
        };
        assert!(init("p", 0, 0, 7) && init("p", 65529, 0, 7) && init("p", 65536, 7, 0));
        assert!(
            !init("p", 65530, 0, 7) && !init("p", 0, 1, 7) && !init("p", 0, 8, 0),
            "{name}"
        );
        assert!(!init("p", 0, 1, u32::MAX) && !init("p", u32::MAX, 0, 1));
        assert!(!init("a", 0, 0, 1) && init("a", 0, 0, 0) && !init("a", 0, 1, 0));
        assert!(init("e", 65536, 0, 0) && !init("e", 0, 0, 1) && !init("e", 65537, 0, 0));
        assert!(world.call::<_, ()>("w", (65529_u64, 0_u32, 7_u32)).is_ok());
        assert!(
            world
                .call::<_, ()>("w", (1_u64 << 32, 0_u32, 1_u32))
                .is_err()
        );
        assert!(world.call::<_, ()>("w", (u64::MAX, 0_u32, 7_u32)).is_err());
        for _ in 0..3 {
            world.call::<_, ()>("drop", ()).unwrap();
            for export in ["p", "a", "e"] {
                assert!(
                    world.call::<_, ()>(export, (0, 0, 0)).is_ok(),
                    "{name}: {export}"
                );
                let error = world.call::<_, ()>(export, (0, 0, 1)).unwrap_err();
                assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds, "{name}: {export}");
            }
        }
    }
}

/// Bulk operations with every overlap, between memories of both widths, against
/// a model.
#[test]
fn bulk_operations_against_a_model() {
    for (name, engine) in engines() {
        let mut world = World::new(
            &engine,
            "(module (memory $a (export \"a\") 300 300 (pagesize 1))
               (memory $b (export \"b\") i64 1)
               (func (export \"aa\") (param i32 i32 i32)
                 (memory.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"ab\") (param i32 i64 i32)
                 (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"ba\") (param i64 i32 i32)
                 (memory.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
               (func (export \"fill\") (param i32 i32 i32)
                 (memory.fill $a (local.get 0) (local.get 1) (local.get 2))))",
        );
        let a = world.instance.get_memory(&mut world.store, "a").unwrap();
        let b = world.instance.get_memory(&mut world.store, "b").unwrap();
        let mut numbers = Numbers(7);
        let mut model_a: Vec<u8> = (0..300).map(|_| numbers.next() as u8).collect();
        let mut model_b: Vec<u8> = (0..65536).map(|_| numbers.next() as u8).collect();
        a.write(&mut world.store, 0, &model_a).unwrap();
        b.write(&mut world.store, 0, &model_b).unwrap();
        for round in 0..400 {
            let pick = |numbers: &mut Numbers, end: usize| match numbers.below(8) {
                0 => end as u64,
                1 => end as u64 + 1,
                2 => 0xffff_ffff - numbers.next() % 3,
                3 => 0,
                _ => numbers.below(end) as u64,
            };
            let to = pick(&mut numbers, 300);
            let from = pick(&mut numbers, 300);
            let length = match numbers.below(6) {
                0 => 0,
                1 => 0xffff_ffff,
                2 => 300,
                _ => numbers.below(80) as u64,
            };
            let ok = |start: u64, end: usize| start + length <= end as u64;
            let range = |start: u64| start as usize..(start + length) as usize;
            let wide = |start: u64| start * 150;
            let value = numbers.next() as u32;
            let (result, expected) = match numbers.below(4) {
                0 => {
                    let fits = ok(to, 300) && ok(from, 300);
                    if fits {
                        model_a.copy_within(range(from), to as usize);
                    }
                    (
                        world.call::<_, ()>("aa", (to as u32, from as u32, length as u32)),
                        fits,
                    )
                }
                1 => {
                    let from = wide(from);
                    let fits = ok(to, 300) && ok(from, 65536);
                    if fits {
                        model_a[range(to)].copy_from_slice(&model_b[range(from)]);
                    }
                    (
                        world.call::<_, ()>("ab", (to as u32, from, length as u32)),
                        fits,
                    )
                }
                2 => {
                    let to = if round % 7 == 0 {
                        u64::MAX - to
                    } else {
                        wide(to)
                    };
                    let fits = to < 1 << 40 && ok(to, 65536) && ok(from, 300);
                    if fits {
                        model_b[range(to)].copy_from_slice(&model_a[range(from)]);
                    }
                    (
                        world.call::<_, ()>("ba", (to, from as u32, length as u32)),
                        fits,
                    )
                }
                _ => {
                    let fits = ok(to, 300);
                    if fits {
                        model_a[range(to)].fill(value as u8);
                    }
                    (
                        world.call::<_, ()>("fill", (to as u32, value, length as u32)),
                        fits,
                    )
                }
            };
            assert_eq!(
                result.is_ok(),
                expected,
                "{name}: round {round}: {to} {from} {length}"
            );
            assert_eq!(a.data(&world.store), model_a, "{name}: round {round}");
            assert_eq!(b.data(&world.store), model_b, "{name}: round {round}");
        }
    }
}

/// A memory that was made by the host, or grown, is what its importer gets; one
/// whose code expects a guard that is not there still checks.
#[test]
fn imported_memories_of_every_style() {
    let text = "(module (import \"\" \"m\" (memory 1 10))
        (func (export \"get\") (param i32) (result i32) (i32.load offset=60000 (local.get 0)))
        (func (export \"grow\") (result i32) (memory.grow (i32.const 1))))";
    for (name, engine) in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        for host_made in [false, true] {
            let memory: Extern = if host_made {
                Memory::new(&mut store, MemoryType::new(1, Some(3)))
                    .unwrap()
                    .into()
            } else {
                let exporter =
                    Module::new(&engine, "(module (memory (export \"m\") 1 3))").unwrap();
                let exporter = tepui::Instance::new(&mut store, &exporter, &[]).unwrap();
                exporter.get_memory(&mut store, "m").unwrap().into()
            };
            let users: Vec<_> = (0..2)
                .map(|_| {
                    tepui::Instance::new(&mut store, &module, std::slice::from_ref(&memory))
                        .unwrap()
                })
                .collect();
            for round in 1..4 {
                for user in &users {
                    let get = user.get_typed_func::<i32, i32>(&mut store, "get").unwrap();
                    let last = round * 65536 - 60004;
                    assert_eq!(get.call(&mut store, last).unwrap(), 0, "{name}");
                    for address in [last + 1, i32::MAX, -1, -60_000] {
                        let error = get.call(&mut store, address).unwrap_err();
                        assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds, "{name}");
                    }
                }
                let user = users[round as usize % 2];
                let grow = user.get_typed_func::<(), i32>(&mut store, "grow").unwrap();
                let expected = if round < 3 { round } else { -1 };
                assert_eq!(grow.call(&mut store, ()).unwrap(), expected, "{name}");
            }
        }
    }
}
