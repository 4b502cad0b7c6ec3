//! Does the interpreter run what only it can get wrong? Frames, calls between
//! instances, tail calls, positions, meters, dispatch. What instructions mean is
//! held by the official suite, which runs in every tier.

mod common;

use common::{SEEN, Store, tunables};
use tepui_abi::Trap;

const STACK: usize = 1 << 20;

fn store() -> Store {
    Store::new(tunables(), STACK)
}

/// Calls `count` of a module, which counts to its argument, on a native stack of 256 KiB.
fn counts_on_a_small_stack(wat: &str, times: u64) {
    let mut store = store();
    let instance = store.instantiate(wat, &[], &[]);
    let run = move || {
        let mut store = store;
        assert_eq!(store.call(instance, "count", &[times]), Ok(vec![times]));
    };
    // Raw pointers in it are those of its own memory, which nobody else uses.
    struct Moved<F>(F);
    // SAFETY: the store moves as a whole, while nothing of it is used.
    unsafe impl<F> Send for Moved<F> {}
    let moved = Moved(run);
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || {
            let moved = moved;
            (moved.0)();
        })
        .expect("a thread")
        .join()
        .expect("the guest ends");
}

#[test]
fn a_hundred_million_instructions_take_no_native_stack() {
    let wat = r#"(module (func (export "count") (param i64) (result i64)
        (local $i i64)
        (loop $again
          (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if $again (i64.lt_u (local.get $i) (local.get 0))))
        (local.get $i)))"#;
    // Two instructions each time. In 256 KiB of native stack, no other way of
    // reaching handlers survives even a thousandth of it.
    let times: u64 = if cfg!(debug_assertions) {
        1_000_000
    } else {
        50_000_000
    };
    counts_on_a_small_stack(wat, times);
}

/// Handlers that compare an index with a length do something to it that no optimizer
/// sees through, and reach others by jumps all the same.
#[test]
fn accesses_take_no_native_stack() {
    let wat = r#"(module
        (memory 1)
        (table funcref (elem $next))
        (func $next (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
        (func (export "count") (param i64) (result i64)
          (loop $again
            (i64.store (i32.const 8)
              (call_indirect (param i64) (result i64)
                (i64.load (i32.const 8)) (i32.load8_u (i32.const 0))))
            (i32.store8 (i32.const 0) (i32.const 0))
            (br_if $again (i64.lt_u (i64.load (i32.const 8)) (local.get 0))))
          (i64.load (i32.const 8))))"#;
    counts_on_a_small_stack(wat, 100_000);
}

#[test]
fn recursion_works_and_ends_at_the_stack() {
    let mut store = store();
    let wat = r#"(module
        (func $fib (export "fib") (param i32) (result i32)
          (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add
              (call $fib (i32.sub (local.get 0) (i32.const 1)))
              (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func $forever (export "forever") (param i64 i64) (result i64)
          (i64.add (i64.const 1) (call $forever (local.get 1) (local.get 0)))))"#;
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "fib", &[20]), Ok(vec![6765]));
    let trapped = store
        .call(instance, "forever", &[1, 2])
        .expect_err("it never ends");
    assert_eq!(trapped.trap, Trap::StackOverflow);
    let depth = trapped.frames.len();
    // A frame has two parameters, the header, and two temporaries.
    assert!(depth > STACK / 128 && depth < STACK / 48, "{depth} frames");
    let call = store.offset_of(instance, &[0x10, 1], 0);
    assert!(trapped.frames.iter().all(|frame| *frame == (1, call)));
    // The stack is as it was.
    assert_eq!(store.call(instance, "fib", &[10]), Ok(vec![55]));
}

#[test]
fn functions_with_very_many_slots_work() {
    let mut wat = String::from("(module (func $many (param");
    wat.push_str(&" i64".repeat(1_000));
    wat.push_str(") (result i64) (local");
    wat.push_str(&" i64".repeat(49_000));
    wat.push_str(
        ") (local.set 49999 (i64.add (local.get 999) (local.get 49998)))
        (i64.add (local.get 0) (local.get 49999)))
        (func (export \"run\") (result i64)",
    );
    for i in 0..1_000 {
        wat.push_str(&format!("(i64.const {i})"));
    }
    wat.push_str("call $many))");
    let mut large = store();
    let instance = large.instantiate(&wat, &[], &[]);
    assert_eq!(large.call(instance, "run", &[]), Ok(vec![999]));
    let mut small = Store::new(tunables(), 64 << 10);
    let instance = small.instantiate(&wat, &[], &[]);
    let trapped = small.call(instance, "run", &[]).expect_err("too small");
    assert_eq!(trapped.trap, Trap::StackOverflow);
}

#[test]
fn assignments_do_not_change_what_was_read_before() {
    let mut store = store();
    let wat = r#"(module
        (func (export "swap") (param i32 i32) (result i32 i32)
          (local.get 0) (local.get 1) (local.set 0) (local.set 1)
          (local.get 0) (local.get 1))
        (func (export "returned") (param i32 i32) (result i32 i32)
          (local.get 1) (local.get 0))
        (func (export "old") (param i32) (result i32)
          (local.get 0)
          (local.set 0 (i32.const 7))
          (block (br_if 0 (local.get 0)) (unreachable))
          (i32.add (local.get 0)))
        (func (export "tee") (param i32) (result i32)
          (i32.add (local.get 0) (local.tee 0 (i32.mul (local.get 0) (local.get 0)))))
        (func (export "rotate") (param i64) (result i64) (local i64 i64 i64)
          (local.set 1 (i64.const 1)) (local.set 2 (i64.const 10)) (local.set 3 (i64.const 100))
          (loop $again
            (local.get 1) (local.get 2) (local.get 3)
            (local.set 1) (local.set 3) (local.set 2)
            (br_if $again (i64.ne (i64.const 0)
              (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
          (i64.add (local.get 1) (i64.add (i64.mul (local.get 2) (i64.const 1000))
            (i64.mul (local.get 3) (i64.const 1000000)))))
        (func (export "deep") (param i32) (result i32)
          (local.get 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
          (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (i32.const 11)
          (i32.const 12) (i32.const 13) (i32.const 14) (i32.const 15) (i32.const 16) (i32.const 17)
          (local.set 0 (i32.const 99))
          drop drop drop drop drop drop drop drop drop drop drop drop drop drop drop drop drop))"#;
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "swap", &[1, 2]), Ok(vec![2, 1]));
    assert_eq!(store.call(instance, "returned", &[1, 2]), Ok(vec![2, 1]));
    assert_eq!(store.call(instance, "old", &[5]), Ok(vec![12]));
    assert_eq!(store.call(instance, "tee", &[5]), Ok(vec![30]));
    assert_eq!(store.call(instance, "rotate", &[1]), Ok(vec![10_001_100]));
    assert_eq!(store.call(instance, "rotate", &[3]), Ok(vec![100_010_001]));
    assert_eq!(store.call(instance, "deep", &[5]), Ok(vec![5]));
}

#[test]
fn each_instance_has_its_own_memory_across_calls() {
    let mut store = store();
    let first = store.instantiate(
        r#"(module (memory 1)
          (func (export "put") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
          (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
          (func (export "grow") (result i32) (memory.grow (i32.const 1)) drop
            (i32.store (i32.const 65536) (i32.const 77))
            (i32.load (i32.const 65536))))"#,
        &[],
        &[],
    );
    let second = store.instantiate(
        r#"(module
          (import "" "" (func $put (param i32 i32)))
          (import "" "" (func $get (param i32) (result i32)))
          (import "" "" (func $grow (result i32)))
          (type $get (func (param i32) (result i32)))
          (memory 2) (table funcref (elem $get))
          (func (export "run") (result i32 i32 i32 i32)
            (call $put (i32.const 8) (i32.const 111))
            (i32.store (i32.const 8) (i32.const 222))
            (i32.store (i32.const 70000) (i32.const 333))
            (call_indirect (type $get) (i32.const 8) (i32.const 0))
            (i32.load (i32.const 8))
            (call $grow)
            (i32.load (i32.const 70000)))
          (func (export "outside") (result i32) (call $get (i32.const 140000))))"#,
        &[(first, "put"), (first, "get"), (first, "grow")],
        &[],
    );
    assert_eq!(store.call(second, "run", &[]), Ok(vec![111, 222, 77, 333]));
    let trapped = store.call(second, "outside", &[]).expect_err("out");
    assert_eq!(trapped.trap, Trap::MemoryOutOfBounds);
    let load = store.offset_of(first, &[0x28, 2, 0], 0);
    let call = store.offset_of(second, &[0x10, 1], 0);
    assert_eq!(trapped.frames, vec![(1, load), (1, call)]);
}

#[test]
fn tail_calls_take_no_stack_within_and_across_instances() {
    let mut store = store();
    let even = r#"(module
        (import "" "" (func $log (param i64)))
        (memory 1) (data "")
        (table (export "t") 1 funcref)
        (func $even (export "even") (param i64) (result i64)
          (if (i64.eqz (local.get 0)) (then (call $log (i64.const 1)) (return (i64.const 1))))
          (return_call $odd (i64.sub (local.get 0) (i64.const 1)) (i64.const 5) (i64.const 6)))
        (func $odd (export "odd") (param i64 i64 i64) (result i64)
          (if (i64.eqz (local.get 0)) (then (return (i64.const 0))))
          (return_call $even (i64.sub (local.get 0) (i64.const 1))))
        (func (export "size") (param i64) (result i64) (i64.extend_i32_u (memory.size))))"#;
    let instance = store.instantiate(even, &[], &[seen]);
    assert_eq!(store.call(instance, "even", &[1_000_000]), Ok(vec![1]));
    assert_eq!(store.call(instance, "odd", &[1_000_000, 0, 0]), Ok(vec![0]));
    assert_eq!(SEEN.take(), vec![1]);

    // Each step goes to the other instance; callers that expect to come back to
    // their own find its memory.
    let other = store.instantiate(
        r#"(module
          (import "" "" (func $even (param i64) (result i64)))
          (import "" "" (func $size (param i64) (result i64)))
          (memory 3)
          (func $mine (param i64) (result i64)
            (if (i64.eqz (local.get 0)) (then (return_call $size (i64.const 0))))
            (return_call $even (i64.const 100000)))
          (func (export "run") (param i64) (result i64 i64 i64)
            (call $mine (i64.const 0))
            (call $mine (i64.const 1))
            (i64.extend_i32_u (memory.size))))"#,
        &[(instance, "even"), (instance, "size")],
        &[],
    );
    assert_eq!(store.call(other, "run", &[0]), Ok(vec![1, 1, 3]));
    SEEN.take();
}

fn seen(slots: &mut [u64]) -> Result<(), Trap> {
    SEEN.with_borrow_mut(|seen| seen.push(slots[0]));
    Ok(())
}

fn doubled(slots: &mut [u64]) -> Result<(), Trap> {
    slots[0] *= 2;
    Ok(())
}

fn failing(_: &mut [u64]) -> Result<(), Trap> {
    Err(Trap::UnreachableCodeReached)
}

#[test]
fn host_functions_are_called_and_tail_called() {
    let mut store = store();
    let instance = store.instantiate(
        r#"(module
          (import "" "" (func $double (param i64) (result i64)))
          (import "" "" (func $fail (param i64)))
          (func (export "call") (param i64) (result i64)
            (i64.add (i64.const 1) (call $double (local.get 0))))
          (func $tail (export "tail") (param i64 i64) (result i64)
            (return_call $double (local.get 1)))
          (func (export "inner") (param i64) (result i64)
            (i64.add (i64.const 3) (call $tail (i64.const 0) (local.get 0))))
          (func (export "fail") (nop) (call $fail (i64.const 0))))"#,
        &[],
        &[doubled, failing],
    );
    assert_eq!(store.call(instance, "call", &[20]), Ok(vec![41]));
    assert_eq!(store.call(instance, "tail", &[1, 20]), Ok(vec![40]));
    assert_eq!(store.call(instance, "inner", &[20]), Ok(vec![43]));
    let trapped = store.call(instance, "fail", &[]).expect_err("it fails");
    assert_eq!(trapped.trap, Trap::UnreachableCodeReached);
    let call = store.offset_of(instance, &[0x10, 1], 0);
    assert_eq!(trapped.frames, vec![(3, call)]);
}

#[test]
fn memories_that_move_are_found_again() {
    let mut store = store();
    let instance = store.instantiate(
        r#"(module (memory 1)
          (func (export "run") (result i32 i32)
            (i32.store (i32.const 100) (i32.const 42))
            (drop (memory.grow (i32.const 3)))
            (i32.store (i32.const 200000) (i32.const 43))
            (i32.load (i32.const 100))
            (i32.load (i32.const 200000))))"#,
        &[],
        &[],
    );
    assert_eq!(store.call(instance, "run", &[]), Ok(vec![42, 43]));
    assert_eq!(store.memory(instance)[200_000], 43);
}

#[cfg_attr(not(feature = "simd"), ignore = "it uses vectors")]
#[test]
fn bounds_are_exact() {
    let mut store = store();
    let instance = store.instantiate(
        r#"(module (memory 1)
          (func (export "load") (param i32) (result i64) (i64.load offset=8 (local.get 0)))
          (func (export "store") (param i32) (i32.store16 offset=4294967295 (local.get 0) (i32.const -1)))
          (func (export "at") (result i32) (i32.load8_u (i32.const 65535)))
          (func (export "beyond") (result i32) (i32.load8_u offset=1 (i32.const 65535)))
          (func (export "wraps") (result i32) (i32.load8_u offset=1 (i32.const -1)))
          (func (export "copy") (param i32) (v128.store (local.get 0) (v128.load (i32.const 0)))))"#,
        &[],
        &[],
    );
    store.memory(instance)[65_535] = 9;
    let out = |trapped: Result<Vec<u64>, common::Trapped>| {
        assert_eq!(trapped.expect_err("out").trap, Trap::MemoryOutOfBounds);
    };
    assert_eq!(store.call(instance, "load", &[65_520]), Ok(vec![9 << 56]));
    out(store.call(instance, "load", &[65_521]));
    out(store.call(instance, "load", &[u64::from(u32::MAX)]));
    out(store.call(instance, "store", &[0]));
    out(store.call(instance, "store", &[1]));
    assert_eq!(store.call(instance, "at", &[]), Ok(vec![9]));
    out(store.call(instance, "beyond", &[]));
    out(store.call(instance, "wraps", &[]));
    assert_eq!(store.call(instance, "copy", &[65_520]), Ok(vec![]));
    out(store.call(instance, "copy", &[65_521]));
}

#[test]
fn fuel_is_charged_by_blocks_and_runs_out() {
    let tunables = tepui_abi::Tunables {
        fuel: true,
        ..tunables()
    };
    let mut store = Store::new(tunables, STACK);
    let wat = r#"(module
        (func (export "count") (param i32)
          (loop $again
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "straight") (result i32) (i32.add (i32.const 1) (i32.const 2))))"#;
    let instance = store.instantiate(wat, &[], &[]);
    store.set_fuel(100);
    assert_eq!(store.call(instance, "straight", &[]), Ok(vec![3]));
    assert_eq!(store.fuel(), 97);
    assert_eq!(store.call(instance, "count", &[10]), Ok(vec![]));
    // local.get, i32.const, i32.sub, local.tee, br_if.
    assert_eq!(store.fuel(), 47);
    let trapped = store.call(instance, "count", &[0]).expect_err("no fuel");
    assert_eq!(trapped.trap, Trap::OutOfFuel);
}

#[test]
fn epochs_interrupt_loops() {
    let tunables = tepui_abi::Tunables {
        epoch: true,
        ..tunables()
    };
    let mut store = Store::new(tunables, STACK);
    let wat = r#"(module
        (func (export "forever") (loop $again (br $again)))
        (func (export "nothing")))"#;
    let instance = store.instantiate(wat, &[], &[]);
    store.set_deadline(1);
    assert_eq!(store.call(instance, "nothing", &[]), Ok(vec![]));
    store.set_deadline(0);
    let trapped = store.call(instance, "forever", &[]).expect_err("over");
    assert_eq!(trapped.trap, Trap::Interrupt);
}

#[cfg_attr(not(feature = "simd"), ignore = "it uses vectors")]
#[test]
fn nans_are_canonical_in_deterministic_engines() {
    let wat = r#"(module
        (func (export "add") (param f32) (result i32)
          (i32.reinterpret_f32 (f32.add (local.get 0) (f32.const 1))))
        (func (export "lanes") (param f64) (result i64)
          (i64x2.extract_lane 1 (f64x2.mul (f64x2.splat (local.get 0)) (f64x2.splat (f64.const 2)))))
        (func (export "negated") (param f32) (result i32)
          (i32.reinterpret_f32 (f32.neg (local.get 0)))))"#;
    let odd = u64::from(0xffc1_2345_u32);
    let mut plain = store();
    let instance = plain.instantiate(wat, &[], &[]);
    assert_eq!(
        plain.call(instance, "negated", &[odd]),
        Ok(vec![0x7fc1_2345])
    );
    let mut store = Store::new(
        tepui_abi::Tunables {
            deterministic: true,
            ..tunables()
        },
        STACK,
    );
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "add", &[odd]), Ok(vec![0x7fc0_0000]));
    assert_eq!(
        store.call(instance, "lanes", &[0xfff8_0000_0000_0007]),
        Ok(vec![0x7ff8_0000_0000_0000])
    );
    // Negation only changes a bit, whatever the mode.
    assert_eq!(
        store.call(instance, "negated", &[odd]),
        Ok(vec![0x7fc1_2345])
    );
}

#[test]
fn traps_say_where() {
    let mut store = store();
    let wat = r#"(module
        (func $divide (param i32 i32) (result i32)
          (local i32)
          (local.set 2 (i32.div_s (local.get 0) (local.get 1)))
          (local.get 2))
        (func (export "run") (param i32 i32) (result i32)
          (if (result i32) (i32.gt_s (local.get 0) (i32.const 5))
            (then (call $divide (local.get 0) (local.get 1)))
            (else (i32.rem_u (local.get 0) (local.get 1))))))"#;
    let instance = store.instantiate(wat, &[], &[]);
    assert_eq!(store.call(instance, "run", &[12, 4]), Ok(vec![3]));
    let divide = store.offset_of(instance, &[0x6d], 0);
    let call = store.offset_of(instance, &[0x10, 0], 0);
    let trapped = store.call(instance, "run", &[12, 0]).expect_err("zero");
    assert_eq!(trapped.trap, Trap::IntegerDivisionByZero);
    assert_eq!(trapped.frames, vec![(0, divide), (1, call)]);
    let remainder = store.offset_of(instance, &[0x70], 0);
    let trapped = store.call(instance, "run", &[3, 0]).expect_err("zero");
    assert_eq!(trapped.frames, vec![(1, remainder)]);
    let trapped = store
        .call(instance, "run", &[u64::from(i32::MIN as u32), 0])
        .expect_err("zero");
    assert_eq!(trapped.trap, Trap::IntegerDivisionByZero);
}

#[test]
fn branch_tables_lead_everywhere_with_values() {
    let mut store = store();
    let wat = r#"(module (func (export "run") (param i32) (result i64)
        (i64.add (i64.const 1000)
          (block $a (result i64)
            (i64.add (i64.const 100)
              (block $b (result i64)
                (i64.add (i64.const 10)
                  (block $c (result i64)
                    (i64.const 1) (local.get 0)
                    (br_table $a $b $c $b 3 $a)))))))))"#;
    let instance = store.instantiate(wat, &[], &[]);
    let expected = [1001, 1101, 1111, 1101, 1, 1001, 1001];
    for (selector, expected) in expected.into_iter().enumerate() {
        assert_eq!(
            store.call(instance, "run", &[selector as u64]),
            Ok(vec![expected]),
            "{selector}"
        );
    }
    assert_eq!(
        store.call(instance, "run", &[u64::from(u32::MAX)]),
        Ok(vec![1001])
    );
}

#[test]
fn dispatch_is_the_one_that_was_asked_for() {
    let expected = !cfg!(debug_assertions) && !cfg!(feature = "loop-dispatch");
    assert_eq!(
        tepui_interpreter::HAS_TAIL_DISPATCH,
        expected
            && !cfg!(windows)
            && cfg!(any(
                target_arch = "x86_64",
                target_arch = "aarch64",
                target_arch = "riscv64"
            ))
    );
}
