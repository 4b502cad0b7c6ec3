//! Do functions of different tiers work together as if they were of one? Each
//! test puts the functions of a small module into every combination of tiers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tepui_native::stack;

use super::*;
use crate::{
    Caller, Config, Engine, Error, Extern, Func, FuncType, Instance, Linker, Module, Store, Trap,
    UpdateDeadline, Val, ValType, WasmBacktrace,
};

fn tiers(seed: u64, functions: u32, bytes: usize) -> Vec<Tier> {
    let assignment = Assignment::new(seed, functions);
    (0..functions)
        .map(|function| assignment.tier(function, bytes))
        .collect()
}

/// Seed, function, body and module each change the assignment, and nothing
/// else does.
#[test]
fn assignments_differ() {
    let available = Tier::available().count();
    let base = tiers(1, 300, 20);
    assert_eq!(base, tiers(1, 300, 20));
    for tier in Tier::available() {
        let count = base.iter().filter(|other| **other == tier).count();
        assert!(count > 200 / available, "{tier:?} {count} times");
    }
    if available == 1 {
        return;
    }
    let differ = |other: &[Tier]| {
        let same = base.iter().zip(other).filter(|(a, b)| a == b).count();
        assert!(same < 200, "{same} of 300 functions have the same tier");
    };
    for seed in [0, 2, 3, u64::MAX] {
        differ(&tiers(seed, 300, 20));
    }
    differ(&tiers(1, 301, 20));
    differ(&tiers(1, 300, 21));
    // Modules of one function meet every tier.
    for tier in Tier::available() {
        assert!((0..40).any(|seed| tiers(seed, 1, 7) == [tier]), "{tier:?}");
    }
}

/// Every list of so many tiers.
fn combinations(count: usize) -> Vec<Vec<Tier>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|list| {
                Tier::available().map(move |tier| {
                    let mut list = list.clone();
                    list.push(tier);
                    list
                })
            })
            .collect();
    }
    all
}

/// A module in the binary format, with the number of its defined functions and
/// the lengths of their bodies.
struct Source {
    bytes: Vec<u8>,
    bodies: Vec<usize>,
}

impl Source {
    fn new(text: &str) -> Source {
        let module = Module::new(&Engine::default(), text).unwrap();
        let decoded = module.inner().module();
        Source {
            bytes: module.binary().to_vec(),
            bodies: (0..decoded.defined_function_count())
                .map(|function| decoded.body(function.into()).range().len())
                .collect(),
        }
    }

    /// The module with its first functions in these tiers.
    fn module_with(&self, tiers: &[Tier], change: impl FnOnce(&mut Config)) -> Module {
        let fits = |seed: &u64| {
            let assignment = Assignment::new(*seed, self.bodies.len() as u32);
            let got = (0..).zip(&self.bodies);
            got.zip(tiers)
                .all(|((function, bytes), tier)| assignment.tier(function, *bytes) == *tier)
        };
        let seed = (0..).find(fits).unwrap();
        let mut config = Config::new();
        config
            .strategy(Strategy::Mixed { seed })
            .parallel_compilation(false);
        change(&mut config);
        let module = Module::new(&Engine::new(&config).unwrap(), &self.bytes).unwrap();
        // What the seed was looked for is what the module got.
        let code = module.inner().code(module.engine().preferred()).unwrap();
        for (function, tier) in (0..).zip(tiers) {
            #[cfg(feature = "interpreter")]
            assert_eq!(
                code.entry(tepui_module::DefinedFuncIndex::new(function))
                    .is_none(),
                *tier == Tier::Interpreter
            );
            let _ = (&code, function, tier);
        }
        module
    }

    fn module(&self, tiers: &[Tier]) -> Module {
        self.module_with(tiers, |_| {})
    }
}

fn instantiate(module: &Module) -> (Store<()>, Instance) {
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    (store, instance)
}

#[track_caller]
fn trap_of(error: &Error) -> Trap {
    *error
        .downcast_ref::<Trap>()
        .unwrap_or_else(|| panic!("not a trap: {error:?}"))
}

/// Name and position of each frame.
#[track_caller]
fn frames(error: &Error) -> Vec<(String, Option<usize>)> {
    error
        .downcast_ref::<WasmBacktrace>()
        .unwrap_or_else(|| panic!("no backtrace: {error:?}"))
        .frames()
        .iter()
        .map(|frame| {
            let name = frame.func_name().unwrap_or("?").to_owned();
            (name, frame.module_offset())
        })
        .collect()
}

fn names(error: &Error) -> Vec<String> {
    frames(error).into_iter().map(|frame| frame.0).collect()
}

/// Rings of tail calls, of every kind and with more parameters than there are
/// registers, take no stack: a million steps through three tiers.
#[test]
fn tail_calls_in_a_ring_take_no_stack() {
    // The instruction, and what comes after the arguments.
    let call = |kind: &str, next: &str, number: usize| match kind {
        "return_call" => (format!("return_call ${next}"), String::new()),
        "return_call_ref" => (
            "return_call_ref $t".to_owned(),
            format!("(ref.func ${next})"),
        ),
        _ => (
            "return_call_indirect (type $t)".to_owned(),
            format!("(i32.const {})", (number + 1) % 3),
        ),
    };
    const RING: [(&str, &str); 3] = [("a", "b"), ("b", "c"), ("c", "a")];
    let narrow = |kind: &str| {
        let functions: String = (0..3)
            .map(|number| {
                let (name, next) = RING[number];
                let (call, callee) = call(kind, next, number);
                format!(
                    "(func ${name} (export \"{name}\") (type $t)
                       (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
                       ({call} (i64.sub (local.get 0) (i64.const 1))
                         (i64.add (local.get 1) (i64.const {})) {callee}))",
                    number + 1
                )
            })
            .collect();
        format!(
            "(module
               (type $t (func (param i64 i64) (result i64)))
               (table 3 funcref) (elem (i32.const 0) $a $b $c)
               {functions})"
        )
    };
    let wide = |kind: &str| {
        let functions: String = (0..3)
            .map(|number| {
                let (name, next) = RING[number];
                let (call, callee) = call(kind, next, number);
                format!(
                    "(func ${name} (type $t)
                       (if (i64.eqz (local.get 0)) (then
                         (return (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                           (local.get 5) (local.get 6) (i64.trunc_f64_s (local.get 7))
                           (i64x2.extract_lane 0 (local.get 8))
                           (i64x2.extract_lane 1 (local.get 8))
                           (i64.trunc_f32_s (local.get 17)))))
                       ({call} (i64.sub (local.get 0) (i64.const 1))
                         (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
                         (local.get 1) (f64.add (local.get 7) (f64.const 1))
                         (i64x2.add (local.get 8) (v128.const i64x2 1 2))
                         (local.get 10) (local.get 11) (local.get 12) (local.get 13)
                         (local.get 14) (local.get 15) (local.get 16) (local.get 9)
                         (f32.sub (local.get 17) (f32.const 0.5)) {callee}))"
                )
            })
            .collect();
        format!(
            "(module
               (type $t (func (param i64 i64 i64 i64 i64 i64 i64 f64 v128
                                     f64 f64 f64 f64 f64 f64 f64 f64 f32)
                              (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)))
               (table 3 funcref) (elem (i32.const 0) $a $b $c)
               {functions}
               (func (export \"a\") (param $n i64) (param i64) (result i64)
                 (call $a (local.get $n) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
                   (i64.const 5) (i64.const 6) (f64.const 0) (v128.const i64x2 0 0)
                   (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5)
                   (f64.const 6) (f64.const 7) (f64.const 8) (f32.const 0))
                 (i64.add) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add) (i64.add)
                 (i64.add) (i64.add)))"
        )
    };
    let kinds = ["return_call", "return_call_ref", "return_call_indirect"];
    let narrow = kinds.map(|kind| (kind, false, Source::new(&narrow(kind))));
    let wide = kinds.map(|kind| (kind, true, Source::new(&wide(kind))));
    let all: Vec<Tier> = Tier::available().collect();
    for (kind, is_wide, source) in narrow.iter().chain(&wide) {
        for tiers in combinations(3) {
            let steps = if tiers == all { 999_999 } else { 24_000 };
            let (mut store, instance) = instantiate(&source.module(&tiers));
            let run = instance
                .get_typed_func::<(i64, i64), i64>(&mut store, "a")
                .unwrap();
            let sum = run
                .call(&mut store, (steps, 0))
                .unwrap_or_else(|error| panic!("{kind} {tiers:?}: {error:?}"));
            let expected = if *is_wide {
                21 + steps + steps + 2 * steps - steps / 2
            } else {
                2 * steps
            };
            // An f32 counts by halves without loss only so far, and truncates.
            assert!((sum - expected).abs() <= 1, "{kind} {tiers:?}: {sum}");
        }
    }
}

/// Values of every kind and number pass from each tier to each, by every kind
/// of call.
#[test]
fn values_pass_between_all_tiers() {
    const KINDS: [&str; 6] = ["i32", "i64", "f32", "f64", "v128", "externref"];
    let value = |kind: &str, number: usize| match kind {
        "i32" => format!("(i32.const {})", (number as u32).wrapping_mul(0x1010_1010)),
        "i64" => format!("(i64.const {})", number as u64 * 0x0101_0101_0101_0101),
        "f32" => format!("(f32.const {number}.5)"),
        "f64" => format!("(f64.const {number}.25)"),
        "v128" => format!("(v128.const i64x2 {number} {})", number * 1000),
        _ => "(ref.null extern)".to_owned(),
    };
    // 1 if the local is that value.
    let same = |kind: &str, number: usize, local: usize| match kind {
        "v128" => format!(
            "(i8x16.all_true (i8x16.eq (local.get {local}) {}))",
            value(kind, number)
        ),
        "externref" => format!("(ref.is_null (local.get {local}))"),
        _ => format!("({kind}.eq (local.get {local}) {})", value(kind, number)),
    };
    for count in [0, 1, 4, 5, 9, 20, 110] {
        for shift in [0, 3] {
            let kinds: Vec<_> = (0..count)
                .map(|i| KINDS[(i * 7 + shift) % KINDS.len()])
                .collect();
            let parameters = kinds.join(" ");
            let reversed: Vec<_> = kinds.iter().rev().copied().collect();
            let results = reversed.join(" ");
            let arguments: String = (0..count).map(|i| value(kinds[i], i)).collect();
            let gets: String = (0..count)
                .rev()
                .map(|i| format!("(local.get {i})"))
                .collect();
            let forward: String = (0..count).map(|i| format!("(local.get {i})")).collect();
            // The callee checks what it gets, and gives it back in reverse; the
            // caller checks that.
            let callee_checks: String = (0..count)
                .map(|i| {
                    format!(
                        "(if (i32.eqz {}) (then (unreachable)))",
                        same(kinds[i], i, i)
                    )
                })
                .collect();
            let sets: String = (0..count)
                .rev()
                .map(|i| format!("(local.set {i})"))
                .collect();
            let caller_checks: String = (0..count)
                .map(|i| {
                    let number = count - 1 - i;
                    format!(
                        "(if (i32.eqz {}) (then (unreachable)))",
                        same(kinds[number], number, i)
                    )
                })
                .collect();
            let caller = |name: &str, call: &str, callee: &str| {
                format!(
                    "(func (export \"{name}\") (local {results})
                       ({call} {arguments} {callee}) {sets} {caller_checks})"
                )
            };
            let source = Source::new(&format!(
                "(module
                   (type $t (func (param {parameters}) (result {results})))
                   (table 1 funcref) (elem (i32.const 0) $callee)
                   (func $callee (type $t) {callee_checks} {gets})
                   (func $tail (type $t) (return_call $callee {forward}))
                   {} {} {} {})",
                caller("direct", "call $callee", ""),
                caller("indirect", "call_indirect (type $t)", "(i32.const 0)"),
                caller("reference", "call_ref $t", "(ref.func $callee)"),
                caller("tail", "call $tail", ""),
            ));
            for tiers in combinations(2) {
                let (callee, caller) = (tiers[0], tiers[1]);
                for tail in Tier::available() {
                    let tiers = [callee, tail, caller, caller, caller, caller];
                    let (mut store, instance) = instantiate(&source.module(&tiers));
                    for name in ["direct", "indirect", "reference", "tail"] {
                        let run = instance.get_func(&mut store, name).unwrap();
                        run.call(&mut store, &[], &mut []).unwrap_or_else(|error| {
                            panic!("{name}, {count} values, {tiers:?}: {error:?}")
                        });
                    }
                }
            }
        }
    }
}

/// Traps of every origin have the frames of all tiers, in order, at the same
/// places.
#[test]
fn backtraces_have_the_frames_of_all_tiers() {
    let chain = "(module
        (type $t (func (param i32) (result i32)))
        (memory 1) (table 1 funcref) (data $d \"abc\")
        (func $c (param i32) (result i32)
          (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
            (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 (local.get 0)))
            (unreachable))
            (return (i32.load (i32.const -4))))
            (return (i32.div_s (i32.const 7) (i32.and (local.get 0) (i32.const 0)))))
            (return (call_indirect (type $t) (i32.const 0) (i32.const 0))))
            (return (call_indirect (type $t) (i32.const 0) (i32.const 7))))
            (memory.init $d (i32.const 0) (i32.const 2) (i32.const 9)) (return (i32.const 0)))
            (memory.fill (i32.const 65530) (i32.const 2) (i32.const 9)) (return (i32.const 0)))
            (return (i32.trunc_f32_s (f32.const nan))))
          (i32.const 41))
        (func $b (param i32) (result i32)
          (i32.add (i32.const 1) (call $c (local.get 0))))
        (func $a (export \"a\") (param i32) (result i32)
          ;; What came and went before leaves no trace.
          (drop (call $b (i32.const 8)))
          (i32.add (i32.const 1) (call $b (local.get 0)))))";
    let source = Source::new(chain);
    let run = |module: &Module| -> Vec<_> {
        let (mut store, instance) = instantiate(module);
        let run = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        assert_eq!(run.call(&mut store, 8).unwrap(), 43);
        (0..8)
            .map(|what| {
                let error = run.call(&mut store, what).unwrap_err();
                (trap_of(&error), frames(&error))
            })
            .collect()
    };
    let expected = run(&Module::new(&Engine::default(), chain).unwrap());
    for (trap, frames) in &expected {
        let names: Vec<_> = frames.iter().map(|frame| &*frame.0).collect();
        assert_eq!(names, ["c", "b", "a"], "{trap}");
        assert!(frames.iter().all(|frame| frame.1.is_some()));
    }
    for tiers in combinations(3) {
        assert_eq!(run(&source.module(&tiers)), expected, "{tiers:?}");
    }
}

/// A frame that was left by a tail call is in no backtrace, whatever the tiers.
#[test]
fn backtraces_lack_what_was_left_by_tail_calls() {
    let source = Source::new(
        "(module
           (import \"\" \"h\" (func $h))
           (func $c (param i32) (if (local.get 0) (then (return_call $h))) (unreachable))
           (func $b (param i32) (return_call $c (local.get 0)))
           (func $a (export \"a\") (param i32) (call $b (local.get 0)) (nop))
           (func $trap (export \"trap\") (unreachable)))",
    );
    for tiers in combinations(3) {
        let module = source.module(&tiers);
        let mut store = Store::new(module.engine(), ());
        let host = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| {
            let trap = caller.get_export("trap").and_then(Extern::into_func);
            trap.unwrap()
                .typed::<(), ()>(&caller)?
                .call(&mut caller, ())
        });
        let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
        let run = instance.get_typed_func::<i32, ()>(&mut store, "a").unwrap();
        let error = run.call(&mut store, 0).unwrap_err();
        assert_eq!(names(&error), ["c", "a"], "{tiers:?}");
        let error = run.call(&mut store, 1).unwrap_err();
        assert_eq!(names(&error), ["trap", "a"], "{tiers:?}");
    }
}

/// A module whose functions call each other and the host in turn, for ever.
const DOWN: &str = "(module
    (import \"\" \"again\" (func $again (param i32) (result i32)))
    (func $a (export \"a\") (param i32) (result i32)
      (i32.add (i32.const 1) (call $b (local.get 0))))
    (func $b (param i32) (result i32)
      (local v128 i64 i64 i64 i64)
      (i32.add (i32.const 1) (call $c (local.get 0))))
    (func $c (param i32) (result i32)
      (if (result i32) (i32.and (local.get 0) (i32.const 1))
        (then (call $again (local.get 0)))
        (else (if (result i32) (local.get 0)
          (then (call $a (i32.sub (local.get 0) (i32.const 2))))
          (else (i32.const 0)))))))";

/// Recursion without end through all tiers, and through the host in between, is
/// a trap on stacks of every size, and what comes after it works.
#[test]
fn deep_recursion_across_tiers_is_a_trap() {
    let source = Source::new(DOWN);
    let descend = |module: &Module, through_host: bool| {
        let mut store = Store::new(module.engine(), ());
        let host = Func::wrap(&mut store, |mut caller: Caller<'_, ()>, n: i32| {
            let a = caller.get_export("a").and_then(Extern::into_func).unwrap();
            a.typed::<i32, i32>(&caller)?.call(&mut caller, n - 2)
        });
        let instance = Instance::new(&mut store, module, &[host.into()]).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        for _ in 0..2 {
            let forever = if through_host { i32::MAX } else { i32::MAX - 1 };
            let error = a.call(&mut store, forever).unwrap_err();
            assert_eq!(trap_of(&error), Trap::StackOverflow);
            let names = names(&error);
            assert!(names.len() > 3, "{}", names.len());
            // The ring of functions, from any of them on.
            let start = ["c", "b", "a"]
                .iter()
                .position(|name| *name == names[0])
                .unwrap();
            let innermost = names.iter().take(WasmBacktrace::KEPT / 2);
            for (number, name) in innermost.enumerate() {
                assert_eq!(name, ["c", "b", "a"][(start + number) % 3]);
            }
            assert_eq!(a.call(&mut store, 6).unwrap(), 8);
        }
    };
    for tiers in combinations(3) {
        for (thread_bytes, limit) in [
            (256 << 10, 512 << 10),
            (1 << 20, 128 << 10),
            (1 << 20, usize::MAX),
        ] {
            let module = source.module_with(&tiers, |config| {
                config.max_wasm_stack(limit);
            });
            // The frames of Rust in a build without optimization.
            let through_host = thread_bytes >= 1 << 20;
            thread::scope(|scope| {
                thread::Builder::new()
                    .stack_size(thread_bytes)
                    .spawn_scoped(scope, || {
                        descend(&module, false);
                        if through_host {
                            descend(&module, true);
                        }
                    })
                    .unwrap()
                    .join()
                    .unwrap_or_else(|_| panic!("{tiers:?}, {thread_bytes}, {limit}"));
            });
        }
    }
}

/// The interpreter's own frames, of which there are some in each step between it
/// and code, take nothing from the stack that guests may use.
#[test]
fn steps_between_tiers_leave_the_stack_to_guests() {
    let source = Source::new(DOWN);
    for tiers in combinations(3) {
        let module = source.module_with(&tiers, |config| {
            config.max_wasm_stack(192 << 10);
        });
        let mut store = Store::new(module.engine(), ());
        let never = Func::wrap(&mut store, |_: i32| -> i32 { unreachable!() });
        let instance = Instance::new(&mut store, &module, &[never.into()]).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        let sum = a.call(&mut store, 300).unwrap_or_else(|error| {
            panic!("{tiers:?}: {} frames: {error}", names(&error).len());
        });
        assert_eq!(sum, 302);
    }
}

/// Calls between tiers and of the host, of every kind and in a loop, leave nothing on
/// the native stack: an interpreter whose instructions are jumps must not come back to
/// any.
#[test]
fn calls_in_a_loop_leave_nothing_on_the_stack() {
    let source = Source::new(
        "(module
           (type $t (func (param i32) (result i32)))
           (import \"\" \"h\" (func $h (type $t)))
           (table 2 funcref) (elem (i32.const 0) $h $c)
           (func $c (type $t) (i32.add (local.get 0) (i32.const 1)))
           (func $b (type $t)
             (block $4 (block $3 (block $2 (block $1 (block $0
               (br_table $0 $1 $2 $3 $4 (i32.rem_u (local.get 0) (i32.const 5))))
               (return_call $c (local.get 0)))
               (return_call_indirect (type $t) (local.get 0) (i32.const 1)))
               (return_call_ref $t (local.get 0) (ref.func $c)))
               (return_call $h (local.get 0)))
             (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
           (func $a (export \"a\") (type $t)
             (local $i i32)
             (loop $again
               (local.set $i (call $b (local.get $i)))
               (local.set $i (call $h (local.get $i)))
               (local.set $i (call $c (local.get $i)))
               (local.set $i (call_indirect (type $t) (local.get $i) (i32.const 0)))
               (local.set $i (call_indirect (type $t) (local.get $i) (i32.const 1)))
               (local.set $i (call_ref $t (local.get $i) (ref.func $c)))
               (local.set $i (call_ref $t (local.get $i) (ref.func $h)))
               (br_if $again (i32.lt_u (local.get $i) (local.get 0))))
             (local.get $i)))",
    );
    for tiers in combinations(3) {
        let module = source.module(&tiers);
        // The lowest and the highest address of the stack in the host function.
        let mut store = Store::new(module.engine(), (usize::MAX, 0));
        let host = Func::wrap(
            &mut store,
            |mut caller: Caller<'_, (usize, usize)>, i: i32| {
                let here = stack::approximate_stack_pointer();
                let (lowest, highest) = *caller.data();
                *caller.data_mut() = (lowest.min(here), highest.max(here));
                i + 1
            },
        );
        let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        let sum = a.call(&mut store, 70_000);
        let sum = sum.unwrap_or_else(|error| panic!("{tiers:?}: {error}"));
        assert!((70_000..70_010).contains(&sum));
        let (lowest, highest) = *store.data();
        assert!(
            highest - lowest < 32 << 10,
            "{tiers:?}: {}",
            highest - lowest
        );
    }
}

/// Panics and errors of the host pass through frames of all tiers.
#[test]
fn host_errors_and_panics_pass_through_all_tiers() {
    let source = Source::new(
        "(module
           (import \"\" \"h\" (func $h (param i32) (result i32)))
           (func $c (param i32) (result i32) (call $h (local.get 0)))
           (func $b (param i32) (result i32) (i32.add (i32.const 1) (call $c (local.get 0))))
           (func $a (export \"a\") (param i32) (result i32)
             (i32.add (i32.const 1) (call $b (local.get 0)))))",
    );
    for tiers in combinations(3) {
        let module = source.module(&tiers);
        let mut linker = Linker::<u32>::new(module.engine());
        linker
            .func_wrap("", "h", |mut caller: Caller<'_, u32>, what: i32| {
                *caller.data_mut() += 1;
                match what {
                    0 => panic!("the host panics"),
                    1 => Err(Error::msg("as the host says")),
                    2..10 => {
                        let a = caller.get_export("a").and_then(Extern::into_func).unwrap();
                        a.typed::<i32, i32>(&caller)?.call(&mut caller, what - 2)
                    }
                    n => Ok(n),
                }
            })
            .unwrap();
        let mut store = Store::new(module.engine(), 0);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        for what in [0, 2, 8] {
            let payload = catch_unwind(AssertUnwindSafe(|| a.call(&mut store, what))).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"the host panics"));
            let error = a.call(&mut store, what + 1).unwrap_err();
            assert!(
                format!("{error:#}").contains("as the host says"),
                "{error:?}"
            );
            assert_eq!(a.call(&mut store, 40).unwrap(), 42, "{tiers:?}");
        }
        assert_eq!(*store.data(), 3 * 3 + 2 * (1 + 4));
    }
}

/// What one function changes, the next sees, whatever their tiers: memories that
/// move, tables, globals.
#[test]
fn changes_are_seen_in_all_tiers() {
    let source = Source::new(
        "(module
           (memory 1 40) (table $t 1 40 funcref) (global $g (mut i64) (i64.const 1))
           (elem declare func $grow)
           (func $grow (param i32) (result i32)
             (global.set $g (i64.mul (global.get $g) (i64.const 3)))
             (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
             (drop (table.grow $t (ref.func $grow) (local.get 0)))
             (memory.grow (local.get 0)))
           (func $last (result i32)
             (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))
               (i32.load (i32.const 8)))
             (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))))
           (func (export \"run\") (param $n i32) (result i64)
             (local $sum i64)
             (loop $again
               (drop (call $grow (i32.const 1)))
               (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (call $last))))
               ;; The end of the memory, as it is now, from here too.
               (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u
                 (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))))))
               (drop (call_indirect $t (param i32) (result i32) (i32.const 0)
                 (i32.sub (table.size $t) (i32.const 1))))
               (br_if $again
                 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
             (i64.add (local.get $sum) (global.get $g))))",
    );
    for tiers in combinations(3) {
        for reservation in [4 << 30, 0] {
            let module = source.module_with(&tiers, |config| {
                config.memory_reservation(reservation);
            });
            let (mut store, instance) = instantiate(&module);
            let run = instance
                .get_typed_func::<i32, i64>(&mut store, "run")
                .unwrap();
            // Calls number 1, 3, … 23, each seen twice; 24 calls in all.
            let expected = 2 * 12 * 12 + 3_i64.pow(24);
            assert_eq!(run.call(&mut store, 12).unwrap(), expected, "{tiers:?}");
        }
    }
}

/// A program that calls across tiers in a loop, and counts in a global.
const METERED: &str = "(module
    (import \"\" \"tick\" (func $tick))
    (global $g (export \"g\") (mut i32) (i32.const 0))
    (func $c (param i32) (result i32)
      (global.set $g (i32.add (global.get $g) (i32.const 1)))
      (if (i32.eqz (i32.rem_u (global.get $g) (i32.const 7))) (then (call $tick)))
      (loop $l (br_if $l (local.tee 0 (i32.shr_u (local.get 0) (i32.const 1)))))
      (global.get $g))
    (func $b (param i32) (result i32)
      (if (result i32) (i32.and (local.get 0) (i32.const 1))
        (then (return_call $c (local.get 0)))
        (else (i32.add (i32.const 1) (call $c (local.get 0))))))
    (func $a (export \"a\") (param i32) (result i32)
      (local $sum i32)
      (loop $again
        (local.set $sum (i32.add (local.get $sum) (call $b (local.get 0))))
        (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get $sum)))";

/// Fuel is the same in all tiers: what is left, and where it ends.
#[test]
fn fuel_is_the_same_in_all_tiers() {
    let source = Source::new(METERED);
    let run = |module: &Module| {
        let mut store = Store::new(module.engine(), ());
        let tick = Func::wrap(&mut store, || {});
        store.set_fuel(u64::MAX).unwrap();
        let instance = Instance::new(&mut store, module, &[tick.into()]).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        let global = instance.get_global(&mut store, "g").unwrap();
        store.set_fuel(1_000_000).unwrap();
        let result = a.call(&mut store, 50).unwrap();
        let used = 1_000_000 - store.get_fuel().unwrap();
        let mut ends = vec![(used, result)];
        for fuel in (0..used).step_by(11) {
            store.set_fuel(fuel).unwrap();
            global.set(&mut store, Val::I32(0)).unwrap();
            // What comes after the last comparison runs on credit.
            match a.call(&mut store, 50) {
                Ok(result) => ends.push((u64::MAX, result)),
                Err(error) => {
                    assert_eq!(trap_of(&error), Trap::OutOfFuel, "{fuel}");
                    let calls = global.get(&mut store).unwrap_i32();
                    ends.push((store.get_fuel().unwrap(), calls));
                }
            }
        }
        ends
    };
    let mut config = Config::new();
    config.consume_fuel(true);
    let expected = run(&Module::new(&Engine::new(&config).unwrap(), METERED).unwrap());
    assert!(expected[0].0 > 1000, "{}", expected[0].0);
    let credit = expected.iter().filter(|end| end.0 == u64::MAX).count();
    assert!(
        credit < expected.len() / 10,
        "{credit} of {}",
        expected.len()
    );
    for tiers in combinations(3) {
        let module = source.module_with(&tiers, |config| {
            config.consume_fuel(true);
        });
        assert_eq!(run(&module), expected, "{tiers:?}");
    }
}

/// A deadline is noticed at the same places in all tiers.
#[test]
fn epochs_are_the_same_in_all_tiers() {
    let source = Source::new(METERED);
    let run = |module: &Module| {
        let engine = module.engine().clone();
        let mut store = Store::new(&engine, 0_u32);
        let tick = Func::wrap(&mut store, {
            let engine = engine.clone();
            move || engine.increment_epoch()
        });
        store.set_epoch_deadline(1_000_000);
        let instance = Instance::new(&mut store, module, &[tick.into()]).unwrap();
        let a = instance
            .get_typed_func::<i32, i32>(&mut store, "a")
            .unwrap();
        let global = instance.get_global(&mut store, "g").unwrap();
        let mut ends = Vec::new();
        for deadline in 1..8 {
            global.set(&mut store, Val::I32(0)).unwrap();
            store.set_epoch_deadline(deadline);
            store.epoch_deadline_trap();
            let error = a.call(&mut store, 1000).unwrap_err();
            assert_eq!(trap_of(&error), Trap::Interrupt);
            ends.push((global.get(&mut store).unwrap_i32(), names(&error)));
        }
        // A callback that lets it go on, and changes what the guest sees.
        *store.data_mut() = 0;
        global.set(&mut store, Val::I32(0)).unwrap();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut context| {
            *context.data_mut() += 1;
            let now = global.get(&mut context).unwrap_i32();
            global.set(&mut context, Val::I32(now + 1))?;
            Ok(UpdateDeadline::Continue(2))
        });
        let result = a.call(&mut store, 300).unwrap();
        ends.push((result, vec![store.data().to_string()]));
        assert!(*store.data() > 5);
        ends
    };
    let mut config = Config::new();
    config.epoch_interruption(true);
    let expected = run(&Module::new(&Engine::new(&config).unwrap(), METERED).unwrap());
    for tiers in combinations(3) {
        let module = source.module_with(&tiers, |config| {
            config.epoch_interruption(true);
        });
        assert_eq!(run(&module), expected, "{tiers:?}");
    }
}

/// References that the host gets lead to functions of any tier, and host
/// functions among them are called from each.
#[test]
fn references_lead_to_every_tier() {
    let source = Source::new(
        "(module
           (type $t (func (param i32) (result i32)))
           (table (export \"t\") 4 funcref) (elem (i32.const 0) $a $b $c)
           (func $a (type $t) (i32.add (local.get 0) (i32.const 1)))
           (func $b (type $t) (i32.add (local.get 0) (i32.const 10)))
           (func $c (export \"c\") (type $t)
             (call_indirect (type $t) (call_indirect (type $t) (call_indirect (type $t)
               (local.get 0) (i32.const 0)) (i32.const 1)) (i32.const 3))))",
    );
    for tiers in combinations(3) {
        let module = source.module(&tiers);
        let (mut store, instance) = instantiate(&module);
        let table = instance.get_table(&mut store, "t").unwrap();
        let ty = FuncType::new(module.engine(), [ValType::I32], [ValType::I32]);
        let host = Func::new(&mut store, ty, |_, params, results| {
            results[0] = Val::I32(params[0].unwrap_i32() + 100);
            Ok(())
        });
        table.set(&mut store, 3, host.into()).unwrap();
        let c = instance
            .get_typed_func::<i32, i32>(&mut store, "c")
            .unwrap();
        assert_eq!(c.call(&mut store, 1000).unwrap(), 1111, "{tiers:?}");
        // In another instance's hands, too.
        let again = Instance::new(&mut store, &module, &[]).unwrap();
        let there = again.get_table(&mut store, "t").unwrap();
        for index in 0..3 {
            let function = table.get(&mut store, index).unwrap();
            there.set(&mut store, 3, function).unwrap();
            let c = again.get_typed_func::<i32, i32>(&mut store, "c");
            let sum = match index {
                0 => 1000 + 1 + 10 + 1,
                1 => 1000 + 1 + 10 + 10,
                _ => 1000 + 1 + 10 + 1 + 10 + 100,
            };
            assert_eq!(c.unwrap().call(&mut store, 1000).unwrap(), sum, "{tiers:?}");
        }
    }
}

/// Functions are translated when they are first called, by many threads at once.
#[test]
fn threads_share_a_module() {
    let source = Source::new(DOWN);
    for tiers in combinations(3) {
        let module = source.module(&tiers);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut store = Store::new(module.engine(), ());
                    let never = Func::wrap(&mut store, |_: i32| -> i32 { unreachable!() });
                    let instance = Instance::new(&mut store, &module, &[never.into()]).unwrap();
                    let a = instance
                        .get_typed_func::<i32, i32>(&mut store, "a")
                        .unwrap();
                    assert_eq!(a.call(&mut store, 100).unwrap(), 102);
                });
            }
        });
    }
}

/// Code of several compilers is in no image.
#[test]
fn there_are_no_images_of_mixed_tiers() {
    let mut config = Config::new();
    config.strategy(Strategy::Mixed { seed: 1 });
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, "(module (func (export \"f\")))").unwrap();
    let image = Module::new(&Engine::default(), module.binary())
        .unwrap()
        .serialize()
        .unwrap();
    // SAFETY: made just now.
    let loaded = unsafe { Module::deserialize(&engine, image) };
    for error in [
        module.serialize().unwrap_err(),
        engine.precompile_module(module.binary()).unwrap_err(),
        loaded.unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains("several tiers"), "{message}");
    }
}
