//! Do loads and stores stay inside of memories, and reach all of them?

use std::fmt::Write as _;

use tepui::{Module, Store, Trap};

use crate::support::{Numbers, World, engines, trap_of};

/// Loads: name, bytes.
const LOADS: &[(&str, u64)] = &[
    ("i32.load", 4),
    ("i32.load8_s", 1),
    ("i32.load8_u", 1),
    ("i32.load16_s", 2),
    ("i32.load16_u", 2),
    ("i64.load", 8),
    ("i64.load8_s", 1),
    ("i64.load8_u", 1),
    ("i64.load16_s", 2),
    ("i64.load16_u", 2),
    ("i64.load32_s", 4),
    ("i64.load32_u", 4),
    ("f32.load", 4),
    ("f64.load", 8),
    ("v128.load", 16),
    ("v128.load8x8_s", 8),
    ("v128.load16x4_u", 8),
    ("v128.load32x2_s", 8),
    ("v128.load8_splat", 1),
    ("v128.load16_splat", 2),
    ("v128.load32_splat", 4),
    ("v128.load64_splat", 8),
    ("v128.load32_zero", 4),
    ("v128.load64_zero", 8),
    ("i32.atomic.load", 4),
    ("i32.atomic.load8_u", 1),
    ("i32.atomic.load16_u", 2),
    ("i64.atomic.load", 8),
    ("i64.atomic.load32_u", 4),
];

/// Stores and what else writes: name, operands after the address, bytes, and
/// whether there is a result.
const STORES: &[(&str, &str, u64, bool)] = &[
    ("i32.store", "(i32.const -1)", 4, false),
    ("i32.store8", "(i32.const -1)", 1, false),
    ("i32.store16", "(i32.const -1)", 2, false),
    ("i64.store", "(i64.const -1)", 8, false),
    ("i64.store8", "(i64.const -1)", 1, false),
    ("i64.store16", "(i64.const -1)", 2, false),
    ("i64.store32", "(i64.const -1)", 4, false),
    ("f32.store", "(f32.const -1)", 4, false),
    ("f64.store", "(f64.const -1)", 8, false),
    ("v128.store", "(v128.const i64x2 -1 -1)", 16, false),
    ("i32.atomic.store", "(i32.const -1)", 4, false),
    ("i32.atomic.store8", "(i32.const -1)", 1, false),
    ("i64.atomic.store16", "(i64.const -1)", 2, false),
    ("i64.atomic.store", "(i64.const -1)", 8, false),
    ("i32.atomic.rmw.add", "(i32.const -1)", 4, true),
    ("i32.atomic.rmw8.sub_u", "(i32.const -1)", 1, true),
    ("i32.atomic.rmw16.and_u", "(i32.const -1)", 2, true),
    ("i64.atomic.rmw.or", "(i64.const -1)", 8, true),
    ("i64.atomic.rmw32.xor_u", "(i64.const -1)", 4, true),
    ("i64.atomic.rmw8.xchg_u", "(i64.const -1)", 1, true),
    (
        "i32.atomic.rmw.cmpxchg",
        "(i32.const 0) (i32.const 1)",
        4,
        true,
    ),
    (
        "i64.atomic.rmw.cmpxchg",
        "(i64.const 0) (i64.const 1)",
        8,
        true,
    ),
    (
        "i64.atomic.rmw16.cmpxchg_u",
        "(i64.const 0) (i64.const 1)",
        2,
        true,
    ),
];

/// Instructions that name a lane: name, bytes, and whether there is a result.
const LANES: &[(&str, u64, bool)] = &[
    ("v128.load8_lane", 1, true),
    ("v128.load16_lane", 2, true),
    ("v128.load32_lane", 4, true),
    ("v128.load64_lane", 8, true),
    ("v128.store8_lane", 1, false),
    ("v128.store16_lane", 2, false),
    ("v128.store32_lane", 4, false),
    ("v128.store64_lane", 8, false),
];

/// An instruction with a static offset, from that and the code of the address.
pub(crate) type Code = Box<dyn Fn(u64, &str) -> String>;

/// An access: how it is written with a static offset, and its bytes.
pub(crate) struct Access {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) writes: bool,
    pub(crate) atomic: bool,
    pub(crate) code: Code,
}

pub(crate) fn accesses() -> Vec<Access> {
    let mut accesses = Vec::new();
    for &(name, bytes) in LOADS {
        accesses.push(Access {
            name: name.into(),
            bytes,
            writes: false,
            atomic: name.contains("atomic"),
            code: Box::new(move |offset, address| {
                format!("(drop ({name} offset={offset} {address}))")
            }),
        });
    }
    for &(name, operands, bytes, result) in STORES {
        accesses.push(Access {
            name: name.into(),
            bytes,
            writes: true,
            atomic: name.contains("atomic"),
            code: Box::new(move |offset, address| {
                let code = format!("({name} offset={offset} {address} {operands})");
                if result {
                    format!("(drop {code})")
                } else {
                    code
                }
            }),
        });
    }
    for &(name, bytes, result) in LANES {
        accesses.push(Access {
            name: name.into(),
            bytes,
            writes: !result,
            atomic: false,
            code: Box::new(move |offset, address| {
                let code = format!("({name} offset={offset} 0 {address} (v128.const i64x2 -1 -1))");
                if result {
                    format!("(drop {code})")
                } else {
                    code
                }
            }),
        });
    }
    accesses
}

/// Memories of `length` bytes in every form: their declaration, and whether
/// addresses have 64 bits.
fn declarations(length: u64) -> Vec<(String, bool)> {
    let mut declarations = vec![
        (format!("{length} (pagesize 1)"), false),
        (format!("i64 {length} (pagesize 1)"), true),
    ];
    if length.is_multiple_of(65536) {
        declarations.push((format!("{}", length / 65536), false));
        declarations.push((format!("i64 {}", length / 65536), true));
        declarations.push((format!("{0} {0} shared", length / 65536), false));
    }
    declarations
}

pub(crate) fn call_at(
    world: &mut World,
    is_64: bool,
    name: &str,
    address: u64,
) -> tepui::Result<()> {
    if is_64 {
        world.call::<u64, ()>(name, address)
    } else {
        world.call::<u32, ()>(name, address as u32)
    }
}

/// 1, 12: accesses of every width that end exactly at the end of memory, and one
/// byte after it, at a page's end and in the middle of a page.
#[test]
fn accesses_of_every_width_reach_the_last_byte_and_no_further() {
    let accesses = accesses();
    for (engine_name, engine) in engines() {
        for (declaration, is_64) in [65536, 40, 65537].into_iter().flat_map(declarations) {
            let length: u64 = if declaration.contains("pagesize") {
                let number = declaration.trim_start_matches("i64 ");
                number.split(' ').next().unwrap().parse().unwrap()
            } else {
                65536
            };
            let ty = if is_64 { "i64" } else { "i32" };
            let mut functions = String::new();
            for access in &accesses {
                let Access { name, bytes, .. } = access;
                for offset in [0, 1, length - bytes, length - bytes + 1] {
                    writeln!(
                        functions,
                        "(func (export \"{name}+{offset}\") (param {ty}) {})",
                        (access.code)(offset, "(local.get 0)")
                    )
                    .unwrap();
                }
            }
            let text = format!(
                "(module (memory (export \"m\") {declaration})
                   (func (export \"clear\") (param {ty}) (param {ty})
                     (memory.fill (local.get 0) (i32.const 0) (local.get 1)))
                   {functions})"
            );
            let mut world = World::new(&engine, text);
            for access in &accesses {
                let Access { name, bytes, .. } = access;
                for offset in [0, 1, length - bytes, length - bytes + 1] {
                    for address in [0, 1, length - bytes, length - bytes + 1, length, length + 1] {
                        let what =
                            format!("{engine_name}: ({declaration}) {name} at {address}+{offset}");
                        let result =
                            call_at(&mut world, is_64, &format!("{name}+{offset}"), address);
                        let start = address + offset;
                        let inside = start + bytes <= length;
                        let aligned = !access.atomic || start.is_multiple_of(*bytes);
                        match result {
                            Ok(()) => assert!(inside && aligned, "{what} succeeded"),
                            Err(error) => {
                                let trap = trap_of(&error);
                                assert!(!inside || !aligned, "{what}: {trap}");
                                let allowed = (trap == Trap::MemoryOutOfBounds && !inside)
                                    || (trap == Trap::HeapMisaligned && !aligned);
                                assert!(allowed, "{what}: {trap}");
                            }
                        }
                        if access.writes && !declaration.contains("shared") {
                            let memory = world.instance.get_memory(&mut world.store, "m").unwrap();
                            let data = memory.data_mut(&mut world.store);
                            let end = data.len();
                            assert_eq!(end as u64, length);
                            // What does not fit writes nothing, not even in part.
                            if !(inside && aligned) {
                                assert!(data.iter().all(|byte| *byte == 0), "{what} wrote");
                            } else {
                                data[start as usize..(start + bytes) as usize].fill(0);
                                assert!(data.iter().all(|byte| *byte == 0), "{what} wrote beyond");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// 1, 4, 12: static offsets and addresses near 2^31, 2^32 and 2^64, whose sums
/// wrap in a machine word or not.
#[test]
fn static_offsets_do_not_wrap() {
    let names = [
        "i32.load8_u",
        "i32.load",
        "i64.load",
        "v128.load",
        "i64.store",
        "i32.atomic.load",
        "i64.atomic.rmw.add",
    ];
    let mut rmw = accesses();
    rmw.push(Access {
        name: "i64.atomic.rmw.add".into(),
        bytes: 8,
        writes: true,
        atomic: true,
        code: Box::new(|offset, address| {
            format!("(drop (i64.atomic.rmw.add offset={offset} {address} (i64.const 0)))")
        }),
    });
    let accesses: Vec<_> = rmw
        .into_iter()
        .filter(|access| names.contains(&access.name.as_str()))
        .collect();
    assert_eq!(accesses.len(), names.len());
    let small = [
        0,
        8,
        65528,
        65536,
        0x7fff_fff8,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff0,
        0xffff_fff8,
        0xffff_ffff_u64,
    ];
    let large = [
        0x1_0000_0000,
        0x1_0000_0008,
        0x7fff_ffff_ffff_fff8,
        0x8000_0000_0000_0000,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_0000,
        0xffff_ffff_ffff_fff0,
        u64::MAX - 7,
        u64::MAX,
    ];
    for (engine_name, engine) in engines() {
        for (declaration, is_64) in [("1", false), ("i64 1", true)] {
            let ty = if is_64 { "i64" } else { "i32" };
            let numbers: Vec<u64> = if is_64 {
                small.into_iter().chain(large).collect()
            } else {
                small.into()
            };
            let mut functions = String::new();
            for access in &accesses {
                for offset in &numbers {
                    writeln!(
                        functions,
                        "(func (export \"{0}+{offset}\") (param {ty}) {1})",
                        access.name,
                        (access.code)(*offset, "(local.get 0)")
                    )
                    .unwrap();
                    // The address as a constant as well.
                    for address in &numbers {
                        if access.name == "i64.load" {
                            let address = format!("({ty}.const {address})");
                            let code = (access.code)(*offset, &address);
                            writeln!(functions, "(func (export \"{code}\") {code})").unwrap();
                        }
                    }
                }
            }
            let text = format!("(module (memory {declaration}) {functions})");
            let mut world = World::new(&engine, text);
            for access in &accesses {
                for &offset in &numbers {
                    for &address in &numbers {
                        let what = format!(
                            "{engine_name}: ({declaration}) {} at {address:#x}+{offset:#x}",
                            access.name
                        );
                        let end =
                            u128::from(address) + u128::from(offset) + u128::from(access.bytes);
                        let export = format!("{}+{offset}", access.name);
                        let mut results = vec![call_at(&mut world, is_64, &export, address)];
                        if access.name == "i64.load" {
                            let constant = format!("({ty}.const {address})");
                            let code = (access.code)(offset, &constant);
                            results.push(world.call::<(), ()>(&code, ()));
                        }
                        for result in results {
                            match result {
                                Ok(()) => assert!(end <= 65536, "{what} succeeded"),
                                Err(error) => {
                                    let trap = trap_of(&error);
                                    let misaligned = access.atomic
                                        && !address
                                            .wrapping_add(offset)
                                            .is_multiple_of(access.bytes);
                                    assert!(
                                        (end > 65536 && trap == Trap::MemoryOutOfBounds)
                                            || (misaligned && trap == Trap::HeapMisaligned),
                                        "{what}: {trap}"
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Expressions that leave an `i32`, whose upper half of a register may hold
/// anything. `$x` is an `i64` parameter, `$y` an `i32`.
const PRODUCERS: &[&str] = &[
    "(i32.wrap_i64 (local.get $x))",
    "(i32.wrap_i64 (i64.or (local.get $x) (i64.const 0xdeadbeef00000000)))",
    "(i32.wrap_i64 (i64.mul (local.get $x) (i64.const 0x100000001)))",
    "(i32.add (i32.wrap_i64 (local.get $x)) (i32.const -8))",
    "(i32.sub (i32.const 7) (i32.wrap_i64 (local.get $x)))",
    "(i32.mul (local.get $y) (i32.const 0x10001))",
    "(i32.shl (local.get $y) (i32.const 29))",
    "(i32.shr_s (i32.shl (local.get $y) (i32.const 28)) (i32.const 28))",
    "(i32.rotl (local.get $y) (i32.const 3))",
    "(i32.rotr (local.get $y) (local.get $y))",
    "(i32.xor (local.get $y) (i32.const -1))",
    "(i32.clz (local.get $y))",
    "(i32.popcnt (local.get $y))",
    "(i32.extend8_s (local.get $y))",
    "(i32.extend16_s (local.get $y))",
    "(i32.div_s (local.get $y) (i32.const -3))",
    "(i32.rem_s (local.get $y) (i32.const 11))",
    "(i32.rem_u (local.get $y) (i32.const 11))",
    "(i32.eqz (local.get $y))",
    "(i64.eqz (local.get $x))",
    "(i32.lt_s (local.get $y) (i32.const 3))",
    "(f64.lt (f64.convert_i32_s (local.get $y)) (f64.const 3))",
    "(i32.trunc_sat_f64_s (f64.convert_i64_s (local.get $x)))",
    "(i32.trunc_sat_f32_u (f32.convert_i64_s (local.get $x)))",
    "(i32.reinterpret_f32 (f32.demote_f64 (f64.reinterpret_i64 (local.get $x))))",
    "(select (i32.wrap_i64 (local.get $x)) (local.get $y) (i32.const 1))",
    "(select (local.get $y) (i32.wrap_i64 (local.get $x)) (local.get $y))",
    "(i32x4.extract_lane 1 (i64x2.splat (local.get $x)))",
    "(i8x16.extract_lane_s 7 (i64x2.splat (local.get $x)))",
    "(i16x8.extract_lane_u 1 (i64x2.splat (local.get $x)))",
    "(i8x16.bitmask (i64x2.splat (local.get $x)))",
    "(i32x4.all_true (i64x2.splat (local.get $x)))",
    "(v128.any_true (i64x2.splat (local.get $x)))",
    "(block (result i32) (br 0 (i32.wrap_i64 (local.get $x))))",
    "(if (result i32) (local.get $y) (then (i32.wrap_i64 (local.get $x))) (else (local.get $y)))",
    "(call $identity (i32.wrap_i64 (local.get $x)))",
    "(call_indirect $f (param i32) (result i32) (i32.wrap_i64 (local.get $x)) (i32.const 0))",
    "(call $host (i32.wrap_i64 (local.get $x)))",
    "(block (result i32) (global.set $g (i32.wrap_i64 (local.get $x))) (global.get $g))",
    "(local.tee $y (i32.wrap_i64 (local.get $x)))",
    "(i32.load8_s offset=256 (i32.and (local.get $y) (i32.const 15)))",
    "(i32.load16_s offset=256 (i32.and (local.get $y) (i32.const 14)))",
    "(i32.load offset=256 (i32.and (local.get $y) (i32.const 12)))",
    "(i32.atomic.load8_u offset=256 (i32.and (local.get $y) (i32.const 15)))",
    "(i32.atomic.rmw.add offset=280 (i32.const 0) (i32.const 0))",
    "(i32.atomic.rmw8.xchg_u offset=281 (i32.const 0) (i32.const 255))",
    "(i32.atomic.rmw.cmpxchg offset=280 (i32.const 0) (i32.const 9) (i32.const 9))",
    "(memory.size)",
    "(memory.grow (i32.const 0))",
    "(memory.grow (i32.const -1))",
    "(table.size $f)",
    "(table.grow $f (ref.null func) (i32.const -1))",
    "(ref.is_null (ref.null func))",
    "(memory.atomic.notify (i32.const 0) (i32.const 0))",
];

/// 2, 3: indices from every instruction that makes an `i32`.
#[test]
fn the_upper_half_of_a_register_never_counts() {
    let mut functions = String::new();
    for (index, producer) in PRODUCERS.iter().enumerate() {
        let wrap = |name: &str, result: &str, body: String| {
            format!(
                "(func (export \"{name}-{index}\") (param $x i64) (param $y i32) (result {result})
                   {body})\n"
            )
        };
        functions += &wrap("value", "i32", (*producer).into());
        functions += &wrap("wide", "i64", format!("(i64.extend_i32_u {producer})"));
        functions += &wrap("load", "i32", format!("(i32.load8_u {producer})"));
        functions += &wrap(
            "offset",
            "i32",
            format!("(i32.load8_u offset=16 {producer})"),
        );
        functions += &wrap("other", "i32", format!("(i32.load8_u $small {producer})"));
        functions += &wrap(
            "wide-memory",
            "i32",
            format!("(i32.load8_u $wide (i64.extend_i32_u {producer}))"),
        );
        functions += &wrap(
            "table",
            "i32",
            format!("(ref.is_null (table.get $f {producer}))"),
        );
        functions += &wrap(
            "call",
            "i32",
            format!("(call_indirect $f (param i32) (result i32) (i32.const 5) {producer})"),
        );
        functions += &wrap(
            "switch",
            "i32",
            format!(
                "(block $d (block $2 (block $1 (block $0 (br_table $0 $1 $2 $d {producer}))
                   (return (i32.const 0))) (return (i32.const 1))) (return (i32.const 2)))
                 (i32.const 3)"
            ),
        );
        functions += &wrap(
            "fill",
            "i32",
            format!("(memory.fill {producer} (i32.const 0) (i32.const 0)) (i32.const 0)"),
        );
    }
    let text = format!(
        "(module
           (import \"\" \"host\" (func $host (param i32) (result i32)))
           (memory 1)
           (memory $small 300 300 (pagesize 1))
           (memory $wide i64 1)
           (global $g (mut i32) (i32.const 0))
           (table $f 7 7 funcref) (elem (i32.const 0) $identity $identity)
           (func $identity (param i32) (result i32) (local.get 0))
           (func $restore (export \"restore\") (i32.store (i32.const 280) (i32.const -5)))
           (func (export \"set-up\")
             (local $i i32)
             (loop $l
               (i32.store8 (local.get $i) (i32.mul (local.get $i) (i32.const 31)))
               (i32.store8 $wide (i64.extend_i32_u (local.get $i)) (i32.mul (local.get $i) (i32.const 31)))
               (br_if $l (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 65536))))
             (call $restore)
             (memory.copy $small 0 (i32.const 0) (i32.const 0) (i32.const 300)))
           {functions})"
    );
    let inputs: &[(u64, u32)] = &[
        (0, 0),
        (5, 5),
        (0xffff_ffff_0000_0003, 0xffff_fffe),
        (0x8000_0000_0000_0001, 0x8000_0000),
        (0x0000_0001_0000_fff0, 1),
        (0xdead_beef_ffff_ffff, 0xffff_ffff),
        (0x7fff_ffff_7fff_ffff, 0x7fff_ffff),
        (0x4008_0000_0000_0000, 16),
    ];
    for (name, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let host = tepui::Func::wrap(&mut store, |x: i32| x);
        let module = Module::new(&engine, &text).unwrap();
        let instance = tepui::Instance::new(&mut store, &module, &[host.into()]).unwrap();
        let mut world = World { store, instance };
        world.call::<(), ()>("set-up", ()).unwrap();
        let pristine = |world: &mut World| world.call::<(), ()>("restore", ()).unwrap();
        let byte = |address: u64| match address {
            280 => 0xfb,
            281..=283 => 0xff,
            _ => (address * 31) as u8,
        };
        for (index, producer) in PRODUCERS.iter().enumerate() {
            for &(x, y) in inputs {
                pristine(&mut world);
                let what = format!("{name}: {producer} of {x:#x}, {y:#x}");
                let value = world
                    .call::<_, u32>(&format!("value-{index}"), (x, y))
                    .unwrap();
                pristine(&mut world);
                let wide = world
                    .call::<_, u64>(&format!("wide-{index}"), (x, y))
                    .unwrap();
                assert_eq!(wide, u64::from(value), "{what}");
                let mut expect = |export: &str, expected: Result<u32, Trap>| {
                    pristine(&mut world);
                    let found = world
                        .call::<_, u32>(&format!("{export}-{index}"), (x, y))
                        .map_err(|error| trap_of(&error));
                    assert_eq!(found, expected, "{what} = {value:#x}: {export}");
                };
                let load = |address: u64, length: u64| {
                    if address < length {
                        Ok(u32::from(byte(address)))
                    } else {
                        Err(Trap::MemoryOutOfBounds)
                    }
                };
                // The exchange changes the byte that it then may read.
                if !producer.contains("xchg") {
                    expect("load", load(wide, 65536));
                    expect("offset", load(wide + 16, 65536));
                }
                expect("other", load(wide, 300));
                expect("wide-memory", load(wide, 65536));
                expect(
                    "table",
                    match value {
                        0 | 1 => Ok(0),
                        2..7 => Ok(1),
                        _ => Err(Trap::TableOutOfBounds),
                    },
                );
                expect(
                    "call",
                    match value {
                        0 | 1 => Ok(5),
                        2..7 => Err(Trap::IndirectCallToNull),
                        _ => Err(Trap::TableOutOfBounds),
                    },
                );
                expect("switch", Ok(value.min(3)));
                expect(
                    "fill",
                    if wide <= 65536 {
                        Ok(0)
                    } else {
                        Err(Trap::MemoryOutOfBounds)
                    },
                );
            }
        }
    }
}

/// 3: the failed result of `memory.grow` and `table.grow` as an address.
#[test]
fn failed_growth_is_no_address() {
    for (name, engine) in engines() {
        let mut world = World::new(
            &engine,
            "(module
               (memory $m 1 2) (memory $w i64 1 2) (table $t 1 2 funcref) (table $u i64 1 2 funcref)
               (func (export \"m\") (result i32) (i32.load8_u $m (memory.grow $m (i32.const 5))))
               (func (export \"m+1\") (result i32)
                 (i32.load8_u $m offset=1 (memory.grow $m (i32.const 5))))
               (func (export \"w\") (result i32) (i32.load8_u $w (memory.grow $w (i64.const 5))))
               (func (export \"w+1\") (result i32)
                 (i32.load8_u $w offset=1 (memory.grow $w (i64.const -1))))
               (func (export \"w+2\") (result i64)
                 (i64.load $w offset=0xffffffff (memory.grow $w (i64.const -1))))
               (func (export \"t\") (result i32)
                 (ref.is_null (table.get $t (table.grow $t (ref.null func) (i32.const 5)))))
               (func (export \"u\") (result i32)
                 (ref.is_null (table.get $u (table.grow $u (ref.null func) (i64.const -1))))))",
        );
        for export in ["m", "m+1", "w", "w+1"] {
            assert_eq!(
                world.trap::<(), i32>(export, ()),
                Trap::MemoryOutOfBounds,
                "{name}: {export}"
            );
        }
        assert_eq!(world.trap::<(), i64>("w+2", ()), Trap::MemoryOutOfBounds);
        for export in ["t", "u"] {
            assert_eq!(
                world.trap::<(), i32>(export, ()),
                Trap::TableOutOfBounds,
                "{name}: {export}"
            );
        }
    }
}

/// 4: addresses made of shifts, extensions and additions, which a code generator
/// folds into addressing modes.
#[test]
fn chains_of_arithmetic_make_the_address_that_they_say() {
    type Model = fn(u32, u32) -> u64;
    // With 32-bit addresses the chain wraps at 32 bits, before the offset.
    let chains: &[(&str, Model)] = &[
        (
            "(i32.add (i32.shl (local.get 0) (i32.const 2)) (local.get 1))",
            |a, b| (a << 2).wrapping_add(b).into(),
        ),
        (
            "(i32.add (local.get 1) (i32.shl (local.get 0) (i32.const 3)))",
            |a, b| (a << 3).wrapping_add(b).into(),
        ),
        (
            "(i32.add (i32.add (local.get 0) (i32.const -16)) (i32.const 16))",
            |a, _| a.into(),
        ),
        ("(i32.add (local.get 0) (i32.const 0x7fffffff))", |a, _| {
            a.wrapping_add(0x7fff_ffff).into()
        }),
        ("(i32.add (local.get 0) (i32.const -2147483648))", |a, _| {
            a.wrapping_add(0x8000_0000).into()
        }),
        ("(i32.sub (local.get 0) (local.get 1))", |a, b| {
            a.wrapping_sub(b).into()
        }),
        ("(i32.mul (local.get 0) (i32.const 9))", |a, _| {
            a.wrapping_mul(9).into()
        }),
        (
            "(i32.add (i32.shl (i32.and (local.get 0) (i32.const 0xffff)) (i32.const 35)) (local.get 1))",
            |a, b| ((a & 0xffff) << 3).wrapping_add(b).into(),
        ),
        (
            "(i32.wrap_i64 (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)))",
            |_, _| 0,
        ),
        (
            "(i32.wrap_i64 (i64.shr_u (i64.extend_i32_s (local.get 0)) (i64.const 4)))",
            |a, _| u64::from(((i64::from(a as i32) as u64) >> 4) as u32),
        ),
        (
            "(i32.add (i32.extend8_s (local.get 0)) (i32.shl (local.get 1) (i32.const 1)))",
            |a, b| (a as i8 as i32 as u32).wrapping_add(b << 1).into(),
        ),
        (
            "(i32.add (i32.add (i32.shl (local.get 0) (i32.const 1)) (local.get 1)) (i32.const -1))",
            |a, b| (a << 1).wrapping_add(b).wrapping_sub(1).into(),
        ),
    ];
    let wide: &[(&str, Model)] = &[
        ("(i64.extend_i32_u (local.get 0))", |a, _| a.into()),
        ("(i64.extend_i32_s (local.get 0))", |a, _| {
            i64::from(a as i32) as u64
        }),
        (
            "(i64.add (i64.extend_i32_u (local.get 0)) (i64.extend_i32_s (local.get 1)))",
            |a, b| u64::from(a).wrapping_add(i64::from(b as i32) as u64),
        ),
        (
            "(i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 3))",
            |a, _| u64::from(a) << 3,
        ),
        (
            "(i64.extend_i32_u (i32.shl (local.get 0) (i32.const 3)))",
            |a, _| (a << 3).into(),
        ),
        (
            "(i64.add (i64.extend_i32_u (i32.add (local.get 0) (local.get 1))) (i64.const -8))",
            |a, b| u64::from(a.wrapping_add(b)).wrapping_sub(8),
        ),
        (
            "(i64.add (i64.shl (i64.extend_i32_s (local.get 0)) (i64.const 2)) (i64.const 0x7fffffff))",
            |a, _| ((i64::from(a as i32) as u64) << 2).wrapping_add(0x7fff_ffff),
        ),
        (
            "(i64.sub (i64.const 0) (i64.extend_i32_u (local.get 0)))",
            |a, _| 0_u64.wrapping_sub(a.into()),
        ),
    ];
    let offsets = [0_u64, 1, 7, 0x7fff_fffc, 0x8000_0000, 0xffff_fffc];
    for (engine_name, engine) in engines() {
        for (memory, chains) in [("1", chains), ("i64 1", wide)] {
            let mut functions = String::new();
            for (number, (chain, _)) in chains.iter().enumerate() {
                for offset in offsets {
                    writeln!(
                        functions,
                        "(func (export \"{number}+{offset}\") (param i32 i32) (result i32)
                           (i32.load8_u offset={offset} {chain}))"
                    )
                    .unwrap();
                }
            }
            let text = format!("(module (memory (export \"m\") {memory}) {functions})");
            let mut world = World::new(&engine, text);
            let memory = world.instance.get_memory(&mut world.store, "m").unwrap();
            for (index, byte) in memory.data_mut(&mut world.store).iter_mut().enumerate() {
                *byte = (index * 31 + (index >> 8)) as u8;
            }
            let mut numbers = Numbers(1);
            for (number, (chain, model)) in chains.iter().enumerate() {
                for offset in offsets {
                    let func = world.func::<(u32, u32), u32>(&format!("{number}+{offset}"));
                    for round in 0..24 {
                        let a = numbers.next() as u32;
                        let b = numbers.next() as u32;
                        let (a, b) = match round % 6 {
                            0 => (a & 0xfff, b & 0xfff),
                            1 => (a | 0xffff_f000, b & 0xfff),
                            2 => (a & 0xfff, b | 0xffff_0000),
                            3 => (a & 0xfff | 0x8000_0000, b & 0xff),
                            4 => (a & 0xfff | 0x4000_0000, b & 0xff | 0x8000_0000),
                            _ => (a, b),
                        };
                        let address = u128::from(model(a, b)) + u128::from(offset);
                        let expected = if address < 65536 {
                            let index = address as usize;
                            Ok(u32::from((index * 31 + (index >> 8)) as u8))
                        } else {
                            Err(Trap::MemoryOutOfBounds)
                        };
                        let found = func
                            .call(&mut world.store, (a, b))
                            .map_err(|error| trap_of(&error));
                        assert_eq!(
                            found, expected,
                            "{engine_name}: {chain}+{offset:#x} of {a:#x}, {b:#x}"
                        );
                    }
                }
            }
        }
    }
}
