//! Do instructions compute the same when they become one? Every pair that may be
//! fused, with its operands in every place, against the operations of Rust.
//!
//! Memories are planned as guarded, so that accesses are fused with what computes
//! their addresses; all are inside, so that none faults.

mod common;

use common::Store;
use tepui_abi::Tunables;

const STACK: usize = 1 << 20;

fn store() -> Store {
    Store::new(Tunables::guarded(12), STACK)
}

type Int = fn(u32, u32) -> u32;
type Long = fn(u64, u64) -> u64;
type Double = fn(f64, f64) -> f64;
type Test = fn(u32, u32) -> bool;

const INTS: [(&str, Int); 12] = [
    ("i32.add", u32::wrapping_add),
    ("i32.sub", u32::wrapping_sub),
    ("i32.mul", u32::wrapping_mul),
    ("i32.and", |a, b| a & b),
    ("i32.or", |a, b| a | b),
    ("i32.xor", |a, b| a ^ b),
    ("i32.shl", u32::wrapping_shl),
    ("i32.shr_u", u32::wrapping_shr),
    ("i32.shr_s", |a, b| (a as i32).wrapping_shr(b) as u32),
    ("i32.rotl", |a, b| a.rotate_left(b % 32)),
    ("i32.rotr", |a, b| a.rotate_right(b % 32)),
    ("i32.div_u", |a, b| a / b),
];

const LONGS: [(&str, Long); 9] = [
    ("i64.add", u64::wrapping_add),
    ("i64.mul", u64::wrapping_mul),
    ("i64.and", |a, b| a & b),
    ("i64.or", |a, b| a | b),
    ("i64.xor", |a, b| a ^ b),
    ("i64.shl", |a, b| a.wrapping_shl(b as u32)),
    ("i64.shr_u", |a, b| a.wrapping_shr(b as u32)),
    ("i64.rotl", |a, b| a.rotate_left((b % 64) as u32)),
    ("i64.sub", u64::wrapping_sub),
];

const DOUBLES: [(&str, Double); 4] = [
    ("f64.add", |a, b| a + b),
    ("f64.sub", |a, b| a - b),
    ("f64.mul", |a, b| a * b),
    ("f64.div", |a, b| a / b),
];

const TESTS: [(&str, Test); 10] = [
    ("i32.eq", |a, b| a == b),
    ("i32.ne", |a, b| a != b),
    ("i32.lt_s", |a, b| (a as i32) < b as i32),
    ("i32.lt_u", |a, b| a < b),
    ("i32.gt_s", |a, b| a as i32 > b as i32),
    ("i32.gt_u", |a, b| a > b),
    ("i32.le_s", |a, b| a as i32 <= b as i32),
    ("i32.le_u", |a, b| a <= b),
    ("i32.ge_s", |a, b| a as i32 >= b as i32),
    ("i32.ge_u", |a, b| a >= b),
];

/// Numbers that are neither zero nor all alike.
const NUMBERS: [u32; 3] = [0x89ab_cdef, 5, 0x7fff_fff0];

/// Where an operand may be: the text that gives the number of parameter `n`.
/// `same` is an instruction that gives its operand and is never fused.
fn places(n: usize, constant: &str, same: &str) -> [String; 3] {
    let local = format!("(local.get {n})");
    [
        local.clone(),
        constant.to_string(),
        format!(
            "({same} {local} {constant_zero})",
            constant_zero = zero(same)
        ),
    ]
}

/// The operand that makes `same` do nothing.
fn zero(same: &str) -> &'static str {
    match same {
        "i32.rotr" => "(i32.const 0)",
        "i64.rotr" => "(i64.const 0)",
        "f64.copysign" => "(local.get 3)",
        other => panic!("{other} always does something"),
    }
}

/// Texts of `second(first(a, b), c)` and `second(c, first(a, b))`.
fn texts(first: &str, second: &str, operands: [[String; 3]; 3]) -> Vec<(String, bool)> {
    let [a, b, c] = operands;
    let mut texts = Vec::new();
    for a in &a {
        for b in &b {
            for c in &c {
                let inner = format!("({first} {a} {b})");
                texts.push((format!("({second} {inner} {c})"), false));
                texts.push((format!("({second} {c} {inner})"), true));
            }
        }
    }
    texts
}

#[test]
fn pairs_of_32_bit_arithmetic() {
    let operands = || {
        std::array::from_fn(|n| {
            places(n, &format!("(i32.const {})", NUMBERS[n] as i32), "i32.rotr")
        })
    };
    let arguments = NUMBERS.map(u64::from);
    for (first, f) in INTS {
        for (second, g) in INTS {
            let mut wat = String::from("(module");
            let mut expected = Vec::new();
            for (text, is_swapped) in texts(first, second, operands()) {
                let [a, b, c] = NUMBERS;
                let inner = f(a, b);
                if second == "i32.div_u" && inner == 0 {
                    continue;
                }
                expected.push(if is_swapped { g(c, inner) } else { g(inner, c) });
                // With the result used at once, stored to a local, and returned.
                let name = expected.len() - 1;
                wat.push_str(&format!(
                    "(func (export \"{name}\") (param i32 i32 i32) (result i32 i32) (local i32)
                       (local.set 3 {text}) (i32.popcnt {text}) (local.get 3))"
                ));
            }
            wat.push(')');
            let mut store = store();
            let instance = store.instantiate(&wat, &[], &[]);
            for (name, expected) in expected.into_iter().enumerate() {
                let results = store.call(instance, &name.to_string(), &arguments);
                let expected = vec![expected.count_ones().into(), expected.into()];
                assert_eq!(results, Ok(expected), "{first}, {second}, {name}");
            }
        }
    }
}

#[test]
fn pairs_of_64_bit_arithmetic() {
    let numbers = NUMBERS.map(|n| u64::from(n) << 20 | 3);
    let operands =
        || std::array::from_fn(|n| places(n, &format!("(i64.const {})", numbers[n]), "i64.rotr"));
    for (first, f) in LONGS {
        for (second, g) in LONGS {
            let mut wat = String::from("(module");
            let mut expected = Vec::new();
            for (text, is_swapped) in texts(first, second, operands()) {
                let [a, b, c] = numbers;
                let inner = f(a, b);
                expected.push(if is_swapped { g(c, inner) } else { g(inner, c) });
                let name = expected.len() - 1;
                wat.push_str(&format!(
                    "(func (export \"{name}\") (param i64 i64 i64) (result i64) {text})"
                ));
            }
            wat.push(')');
            let mut store = store();
            let instance = store.instantiate(&wat, &[], &[]);
            for (name, expected) in expected.into_iter().enumerate() {
                let results = store.call(instance, &name.to_string(), &numbers);
                assert_eq!(results, Ok(vec![expected]), "{first}, {second}, {name}");
            }
        }
    }
}

#[test]
fn pairs_of_double_arithmetic_round_twice() {
    let numbers = [1.1_f64, 3.7, 1e16];
    let operands = || {
        std::array::from_fn(|n| places(n, &format!("(f64.const {})", numbers[n]), "f64.copysign"))
    };
    let mut arguments: Vec<u64> = numbers.map(f64::to_bits).to_vec();
    arguments.push(1.0_f64.to_bits());
    for (first, f) in DOUBLES {
        for (second, g) in DOUBLES {
            let mut wat = String::from("(module (memory 1)");
            let mut expected = Vec::new();
            for (text, is_swapped) in texts(first, second, operands()) {
                let [a, b, c] = numbers;
                let inner = f(a, b);
                expected.push(if is_swapped { g(c, inner) } else { g(inner, c) });
                let name = expected.len() - 1;
                wat.push_str(&format!(
                    "(func (export \"{name}\") (param f64 f64 f64 f64) (result f64) (local i32)
                       (f64.store offset=8 (local.get 4) {text})
                       (f64.load offset=8 (local.get 4)))"
                ));
            }
            wat.push(')');
            let mut store = store();
            let instance = store.instantiate(&wat, &[], &[]);
            for (name, expected) in expected.into_iter().enumerate() {
                let results = store.call(instance, &name.to_string(), &arguments);
                let expected = vec![expected.to_bits()];
                assert_eq!(results, Ok(expected), "{first}, {second}, {name}");
            }
        }
    }
}

#[cfg_attr(not(feature = "simd"), ignore = "it uses vectors")]
#[test]
fn addresses_are_computed_by_accesses() {
    let base = 1_000_u32;
    // The address, by parameters 0 (`base`), 1 (24) and 2 (3).
    let addresses = [
        ("(i32.add (local.get 0) (i32.const 40))", base + 40),
        ("(i32.add (i32.const 40) (local.get 0))", base + 40),
        ("(i32.sub (local.get 0) (i32.const 40))", base - 40),
        ("(i32.add (local.get 0) (local.get 1))", base + 24),
        (
            "(i32.add (i32.mul (local.get 1) (local.get 2)) (local.get 0))",
            base + 72,
        ),
        (
            "(i32.add (local.get 0) (i32.mul (local.get 1) (local.get 2)))",
            base + 72,
        ),
        (
            "(i32.add (i32.mul (local.get 1) (local.get 2)) (i32.const 9))",
            81,
        ),
        (
            "(i32.add (local.get 0) (i32.shl (local.get 1) (i32.const 3)))",
            base + 192,
        ),
        (
            "(i32.add (i32.shl (local.get 1) (i32.const 3)) (local.get 0))",
            base + 192,
        ),
        // The sum wraps, the offset does not.
        ("(i32.add (local.get 0) (i32.const -990))", 10),
    ];
    let loads = [
        ("i32.load", 4, 4, false),
        ("i64.load", 8, 8, false),
        ("i32.load8_u", 1, 4, false),
        ("i32.load8_s", 1, 4, true),
        ("i32.load16_u", 2, 4, false),
        ("i32.load16_s", 2, 4, true),
        ("i64.load8_u", 1, 8, false),
        ("i64.load8_s", 1, 8, true),
        ("i64.load16_u", 2, 8, false),
        ("i64.load16_s", 2, 8, true),
        ("i64.load32_u", 4, 8, false),
        ("i64.load32_s", 4, 8, true),
    ];
    let bytes: Vec<u8> = (0..4096_u32)
        .map(|i| (i.wrapping_mul(151) >> 3) as u8)
        .collect();
    for (address, at) in addresses {
        let mut wat = String::from("(module (memory 1)");
        for (load, _, width, _) in loads {
            let ty = if width == 4 { "i32" } else { "i64" };
            wat.push_str(&format!(
                "(func (export \"{load}\") (param i32 i32 i32) (result {ty})
                   ({ty}.xor ({load} offset=5 {address}) ({ty}.const 0)))
                 (func (export \"{load} kept\") (param i32 i32 i32) (result {ty}) (local {ty})
                   (local.set 3 ({load} offset=5 {address})) (local.get 3))"
            ));
        }
        wat.push_str(&format!(
            "(func (export \"f64.load\") (param i32 i32 i32) (result f64)
               (f64.load offset=5 {address}))
             (func (export \"f32.load\") (param i32 i32 i32) (result f32)
               (f32.load offset=5 {address}))
             (func (export \"v128.load\") (param i32 i32 i32) (result i64)
               (i64x2.extract_lane 1 (v128.load offset=5 {address})))
             (func (export \"stores\") (param i32 i32 i32) (local f64)
               (local.set 3 (f64.const 2.5))
               (i32.store offset=5 {address} (local.get 1))
               (i32.store8 offset=10 {address} (i32.const 77))
               (i64.store offset=16 {address} (i64.const -2))
               (f64.store offset=32 {address} (local.get 3))
               (i32.store16 offset=48 {address} (i32.add (local.get 0) (local.get 1)))))"
        ));
        let mut store = store();
        let instance = store.instantiate(&wat, &[], &[]);
        store.memory(instance)[..4096].copy_from_slice(&bytes);
        let arguments = [u64::from(base), 24, 3];
        let from = at as usize + 5;
        let number = |width: usize| {
            let mut number = [0; 8];
            number[..width].copy_from_slice(&bytes[from..from + width]);
            u64::from_le_bytes(number)
        };
        for (load, width, result, signed) in loads {
            let mut expected = number(width);
            if signed {
                let shift = 64 - 8 * width as u32;
                expected = ((expected << shift) as i64 >> shift) as u64;
            }
            if result == 4 {
                expected = u64::from(expected as u32);
            }
            for name in [load.to_string(), format!("{load} kept")] {
                let results = store.call(instance, &name, &arguments);
                assert_eq!(results, Ok(vec![expected]), "{name} {address}");
            }
        }
        let floats = [("f64.load", number(8)), ("f32.load", number(4))];
        for (name, expected) in floats {
            assert_eq!(
                store.call(instance, name, &arguments),
                Ok(vec![expected]),
                "{name}"
            );
        }
        let mut high = [0; 8];
        high.copy_from_slice(&bytes[from + 8..from + 16]);
        let results = store.call(instance, "v128.load", &arguments);
        assert_eq!(results, Ok(vec![u64::from_le_bytes(high)]), "{address}");
        assert_eq!(store.call(instance, "stores", &arguments), Ok(vec![]));
        let mut expected = bytes.clone();
        let at = at as usize;
        expected[at + 5..at + 9].copy_from_slice(&24_u32.to_le_bytes());
        expected[at + 10] = 77;
        expected[at + 16..at + 24].copy_from_slice(&(-2_i64).to_le_bytes());
        expected[at + 32..at + 40].copy_from_slice(&2.5_f64.to_le_bytes());
        expected[at + 48..at + 50].copy_from_slice(&1024_u16.to_le_bytes());
        assert_eq!(store.memory(instance)[..4096], expected, "{address}");
    }
}

#[test]
fn values_are_computed_by_stores() {
    let [a, b, _] = NUMBERS;
    for (name, f) in INTS {
        let operands = places(0, &format!("(i32.const {})", a as i32), "i32.rotr");
        let others = places(1, &format!("(i32.const {})", b as i32), "i32.rotr");
        let mut wat = String::from("(module (memory 1)");
        let mut count = 0;
        for a in &operands {
            for b in &others {
                wat.push_str(&format!(
                    "(func (export \"{count}\") (param i32 i32) (result i32) (local i32)
                       (i32.store offset=12 (local.get 2) ({name} {a} {b}))
                       (i32.store16 offset=20 (local.get 2) ({name} {a} {b}))
                       (i32.load offset=12 (local.get 2)))"
                ));
                count += 1;
            }
        }
        wat.push(')');
        let mut store = store();
        let instance = store.instantiate(&wat, &[], &[]);
        for number in 0..count {
            store.memory(instance)[..64].fill(0);
            let results = store.call(instance, &number.to_string(), &[a.into(), b.into()]);
            assert_eq!(results, Ok(vec![f(a, b).into()]), "{name} {number}");
            let memory = &store.memory(instance)[20..24];
            assert_eq!(memory, (f(a, b) & 0xffff).to_le_bytes(), "{name} {number}");
        }
    }
}

#[test]
fn conditions_are_computed_by_branches() {
    let numbers = [0_u32, 1, 7, 8, 0x8000_0000, 0xffff_ffff];
    for (name, test) in TESTS {
        // Of the bits of a number, of a local as it is assigned, of neither.
        let wat = format!(
            "(module
               (func (export \"bits\") (param i32 i32) (result i32)
                 (if (result i32) ({name} (i32.and (local.get 0) (i32.const 9)) (i32.const 8))
                   (then (i32.const 1)) (else (i32.const 2))))
               (func (export \"kept bits\") (param i32 i32) (result i32)
                 (block
                   (br_if 0 ({name}
                     (i32.and (i32.rotr (local.get 0) (i32.const 0)) (i32.const 9))
                     (i32.const 8)))
                   (return (i32.const 2)))
                 (i32.const 1))
               (func (export \"assigned\") (param i32 i32) (result i32)
                 (if ({name} (local.tee 0 (i32.add (local.get 0) (i32.const 7))) (local.get 1))
                   (then (return (i32.const 1))))
                 (i32.const 2))
               (func (export \"assigned constant\") (param i32 i32) (result i32)
                 (if ({name} (local.tee 0 (i32.add (local.get 0) (i32.const 7))) (i32.const 8))
                   (then (return (local.get 0))))
                 (i32.const 2))
               (func (export \"mirrored\") (param i32 i32) (result i32)
                 (local.set 0 (i32.add (local.get 0) (i32.const 7)))
                 (if ({name} (local.get 1) (local.get 0)) (then (return (local.get 0))))
                 (i32.const 2))
               (func (export \"number\") (param i32 i32) (result i32)
                 ({name} (local.tee 0 (i32.add (local.get 0) (i32.const 7))) (local.get 1)))
               (func (export \"itself\") (param i32 i32) (result i32)
                 (local.set 0 (i32.add (local.get 0) (i32.const 7)))
                 ({name} (local.get 0) (local.get 0))))"
        );
        let mut store = store();
        let instance = store.instantiate(&wat, &[], &[]);
        for a in numbers {
            for b in numbers {
                let arguments = [a.into(), b.into()];
                let mut is = |name: &str, expected: u32| {
                    let results = store.call(instance, name, &arguments);
                    assert_eq!(results, Ok(vec![expected.into()]), "{name} {a} {b}");
                };
                let choice = |holds: bool| if holds { 1 } else { 2 };
                let sum = a.wrapping_add(7);
                is("bits", choice(test(a & 9, 8)));
                is("kept bits", choice(test(a & 9, 8)));
                is("assigned", choice(test(sum, b)));
                is("assigned constant", if test(sum, 8) { sum } else { 2 });
                is("mirrored", if test(b, sum) { sum } else { 2 });
                is("number", test(sum, b).into());
                is("itself", test(sum, sum).into());
            }
        }
    }
    let wat = "(module
        (func (export \"down\") (param i32) (result i32) (local i32)
          (loop $again
            (local.set 1 (i32.add (local.get 1) (i32.const 3)))
            (br_if $again (local.tee 0 (i32.add (local.get 0) (i32.const -1)))))
          (local.get 1))
        (func (export \"zero\") (param i32) (result i32)
          (if (i32.eqz (i32.and (local.get 0) (i32.const 6))) (then (return (i32.const 1))))
          (if (i32.and (local.get 0) (i32.const 4)) (then (return (i32.const 2))))
          (if (i32.xor (local.get 0) (local.get 0)) (then (return (i32.const 3))))
          (i32.const 4)))";
    let mut store = store();
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "down", &[5]), Ok(vec![15]));
    for (number, expected) in [(1, 1), (8, 1), (4, 2), (6, 2), (2, 4)] {
        assert_eq!(store.call(instance, "zero", &[number]), Ok(vec![expected]));
    }
}

#[test]
fn what_was_read_before_stays_when_an_assignment_joins_a_branch() {
    let mut store = store();
    let wat = "(module
        (func (export \"under\") (param i32) (result i32) (local i32)
          (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
          (if (i32.gt_s (local.get 0) (i32.const 3)) (then (local.set 0 (i32.const 100))))
          (i32.mul (local.get 0)))
        (func (export \"branch\") (param i32) (result i32)
          (block $out (result i32)
            (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
            (br_if $out (i32.ne (local.get 0) (i32.const 4)))
            (drop)
            (i32.const 50)))
        (func (export \"twice\") (param i32) (result i32)
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (local.get 0)
          (if (local.get 0) (then (local.set 0 (i32.const 7))))
          (i32.add (local.get 0))))";
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "under", &[1]), Ok(vec![4]));
    assert_eq!(store.call(instance, "under", &[3]), Ok(vec![400]));
    assert_eq!(store.call(instance, "branch", &[2]), Ok(vec![3]));
    assert_eq!(store.call(instance, "branch", &[3]), Ok(vec![50]));
    assert_eq!(store.call(instance, "twice", &[4]), Ok(vec![12]));
    assert_eq!(
        store.call(instance, "twice", &[u64::from(u32::MAX)]),
        Ok(vec![0])
    );
}

/// The sum reads a place on the stack that another value has by the time of the branch,
/// which saves it there.
#[test]
fn what_an_assignment_reads_is_not_overwritten_when_it_joins_a_branch() {
    let mut store = store();
    let sum = "local.get 0 block (result i32) i32.const 5 end i32.add local.set 2 local.get 1";
    let wat = format!(
        "(module
        (func (export \"whole\") (param i32 i32) (result i32 i32) (local i32)
          {sum} local.get 2 if nop end local.get 2)
        (func (export \"zero\") (param i32 i32) (result i32 i32) (local i32)
          {sum} local.get 2 i32.eqz if i32.const 1000 local.set 2 end local.get 2)
        (func (export \"compare\") (param i32 i32) (result i32 i32) (local i32)
          {sum} local.get 2 i32.const 12 i32.lt_s if nop else nop end local.get 2)
        (func (export \"parameter\") (param i32 i32) (result i32 i32) (local i32)
          {sum} local.get 2 if (param i32) (result i32) else end local.get 2)
        (func $sum (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export \"call\") (param i32 i32) (result i32 i32)
          local.get 1 local.get 0 i32.const 5 call $sum if nop end
          local.get 0 i32.const 5 call $sum))"
    );
    let instance = store.instantiate(&wat, &[], &[]);
    for function in ["whole", "zero", "compare", "parameter", "call"] {
        let given = store.call(instance, function, &[7, 100]);
        assert_eq!(given, Ok(vec![100, 12]), "{function}");
    }
    let zero = u64::from(5_u32.wrapping_neg());
    assert_eq!(store.call(instance, "zero", &[zero, 9]), Ok(vec![9, 1000]));
}

/// The same with a vector, which takes two places.
#[test]
#[cfg_attr(not(feature = "simd"), ignore = "it uses vectors")]
fn what_an_assignment_reads_is_not_overwritten_by_a_vector() {
    let mut store = store();
    let wat = "(module
        (func (export \"sum\") (param i32) (result i32) (local i32 v128)
          local.get 0 local.get 0 block (result i32) i32.const 5 end i32.add local.set 1 drop
          local.get 2 local.get 1 if nop end drop local.get 1))";
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "sum", &[7]), Ok(vec![12]));
}

#[test]
fn assignments_in_a_row_are_made_one_after_the_other() {
    let mut store = store();
    let wat = "(module
        (func (export \"add\") (param i32 i32) (result i32 i32)
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (local.set 1 (i32.add (local.get 1) (i32.const 10)))
          (local.set 1 (i32.add (local.get 0) (i32.const 100)))
          (local.set 0 (i32.add (local.get 0) (i32.const 1000)))
          (local.set 0 (i32.add (local.get 0) (i32.const 10000)))
          (local.get 0) (local.get 1))
        (func (export \"copy\") (param i32 i32 i32) (result i32 i32 i32) (local i32 i32)
          (local.set 3 (local.get 0))
          (local.set 0 (local.get 1))
          (local.set 1 (local.get 2))
          (local.set 2 (local.get 3))
          (local.set 4 (local.get 0))
          (local.get 4) (local.get 1) (local.get 2)))";
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "add", &[1, 2]), Ok(vec![11_002, 102]));
    assert_eq!(store.call(instance, "copy", &[1, 2, 3]), Ok(vec![2, 3, 1]));
}

#[test]
fn globals_take_sums_and_locals_begin_as_zeros() {
    let mut wat = String::from(
        "(module (global $g (mut i32) (i32.const 1000))
           (func (export \"down\") (param i32) (result i32)
             (local.set 0 (i32.sub (global.get $g) (i32.const 16)))
             (global.set $g (local.get 0))
             (i32.store (local.get 0) (i32.const 1))
             (global.set $g (i32.add (local.get 0) (i32.const 8)))
             (global.get $g))
           (func (export \"by\") (param i32) (result i32)
             (global.set $g (i32.add (i32.rotr (local.get 0) (i32.const 0)) (i32.const 5)))
             (global.set $g (i32.sub (global.get $g) (local.get 0)))
             (global.get $g))
           (memory 1)",
    );
    for count in 1..=12 {
        let sum = (0..count).fold(String::from("(i64.const 0)"), |sum, local| {
            format!("(i64.add {sum} (local.get {local}))")
        });
        wat.push_str(&format!(
            "(func $f{count} (export \"zeros {count}\") (result i64) (local {locals}) (local i64)
               (local.set {count} {sum}) {assignments} (local.get {count}))
             (func (export \"again {count}\") (result i64)
               (drop (call $f{count})) (call $f{count}))",
            locals = "i64 ".repeat(count),
            assignments = (0..count)
                .map(|local| format!("(local.set {local} (i64.const -1))"))
                .collect::<String>(),
        ));
    }
    wat.push(')');
    let mut store = store();
    let instance = store.instantiate(&wat, &[], &[]);
    assert_eq!(store.call(instance, "down", &[0]), Ok(vec![992]));
    assert_eq!(store.call(instance, "down", &[0]), Ok(vec![984]));
    assert_eq!(store.call(instance, "by", &[70]), Ok(vec![5]));
    for count in 1..=12 {
        for name in [format!("zeros {count}"), format!("again {count}")] {
            assert_eq!(store.call(instance, &name, &[]), Ok(vec![0]), "{name}");
        }
    }
}

#[test]
fn calls_give_their_result_to_the_next_instruction() {
    let mut store = store();
    let wat = "(module
        (type $i (func (param i32) (result i32)))
        (table funcref (elem $five $same $late))
        (func $five (type $i) (i32.const 5))
        (func $same (type $i) (local.get 0))
        (func $late (type $i) (i32.mul (local.get 0) (local.get 0)))
        (func $half (param f64) (result f64) (f64.mul (local.get 0) (f64.const 0.5)))
        (func $single (param f32) (result f32) (f32.neg (local.get 0)))
        (func $wide (param i64) (result i64) (i64.const 0x1_0000_0001))
        (func (export \"direct\") (param i32) (result i32)
          (i32.add (call $late (local.get 0)) (i32.sub (call $five (i32.const 0)) (i32.const 1))))
        (func (export \"through\") (param i32 i32) (result i32)
          (i32.sub (call_indirect (type $i) (local.get 0) (local.get 1)) (i32.const 1)))
        (func (export \"doubles\") (param f64) (result f64)
          (f64.add (call $half (local.get 0)) (call $half (f64.const 3))))
        (func (export \"singles\") (param f32) (result f32)
          (f32.add (call $single (local.get 0)) (f32.const 1)))
        (func (export \"wide\") (result i64) (i64.add (call $wide (i64.const 1)) (i64.const 1))))";
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "direct", &[6]), Ok(vec![40]));
    for (index, expected) in [(0, 4), (1, 8), (2, 80)] {
        assert_eq!(
            store.call(instance, "through", &[9, index]),
            Ok(vec![expected])
        );
    }
    let double = |value: f64| vec![value.to_bits()];
    assert_eq!(
        store.call(instance, "doubles", &double(5.0)),
        Ok(double(4.0))
    );
    let single = |value: f32| vec![u64::from(value.to_bits())];
    assert_eq!(
        store.call(instance, "singles", &single(3.0)),
        Ok(single(-2.0))
    );
    assert_eq!(store.call(instance, "wide", &[]), Ok(vec![0x1_0000_0002]));
    let trapped = store
        .call(instance, "through", &[9, 3])
        .expect_err("outside");
    assert_eq!(trapped.trap, tepui_abi::Trap::TableOutOfBounds);
}
