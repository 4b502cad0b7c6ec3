//! Does the runner notice what goes wrong in a script, and say where?

use std::sync::{Arc, Mutex};
use tepui::{Config, Engine, Features};
use tepui_wast::{DirectiveKind, FailureKind, Report, WastRunner};

fn engine() -> Engine {
    let mut config = Config::new();
    config.features(Features::IMPLEMENTED);
    Engine::new(&config).expect("an engine with every proposal")
}

fn run(script: &str) -> Report {
    WastRunner::new(&engine()).run_source("test.wast", script)
}

/// Runs a script of which exactly one directive fails; gives its line, kind and
/// message.
fn one_failure(script: &str) -> (usize, FailureKind, String) {
    let report = run(script);
    assert_eq!(report.failures.len(), 1, "{:#?}", report.failures);
    let failure = &report.failures[0];
    (failure.line, failure.kind, failure.message.clone())
}

#[track_caller]
fn passes(script: &str) {
    let report = run(script);
    assert!(report.is_ok(), "{:#?}", report.failures);
}

#[test]
fn wrong_results_are_failures() {
    let report = run(r#"
        (module
          (func (export "i") (result i32) (i32.const 7))
          (func (export "l") (result i64) (i64.const 7))
          (func (export "f") (result f32) (f32.const -0))
          (func (export "two") (result i32 i32) (i32.const 1) (i32.const 2)))
        (assert_return (invoke "i") (i32.const 8))
        (assert_return (invoke "l") (i32.const 7))
        (assert_return (invoke "f") (f32.const 0))
        (assert_return (invoke "two") (i32.const 1))
        (assert_return (invoke "two") (i32.const 1) (i32.const 3))
        (assert_return (invoke "i"))
        (assert_return (invoke "i") (i32.const 7))
        (assert_return (invoke "f") (f32.const -0))
        (assert_return (invoke "two") (i32.const 1) (i32.const 2))"#);
    let lines: Vec<_> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [7, 8, 9, 10, 11, 12]);
    assert_eq!(
        report.failures[0].message,
        "expected (i32.const 8), got (i32.const 7)"
    );
    assert_eq!(
        report.failures[4].message,
        "result 1: expected (i32.const 3), got (i32.const 2)"
    );
    assert_eq!(report.counts[&DirectiveKind::AssertReturn].passed, 3);
    assert_eq!(report.counts[&DirectiveKind::AssertReturn].failed, 6);
    assert_eq!(report.passed(), 4);
    assert_eq!(report.failures[0].column, 10);
}

#[test]
fn another_trap_is_a_failure() {
    let script = |message: &str| {
        format!(
            r#"(module (func (export "f") (drop (i32.div_s (i32.const 1) (i32.const 0)))))
               (assert_trap (invoke "f") "{message}")"#
        )
    };
    passes(&script("integer divide by zero"));
    passes(&script("integer divide"));
    let (line, kind, message) = one_failure(&script("integer overflow"));
    assert_eq!((line, kind), (2, FailureKind::Mismatch));
    assert!(message.contains("IntegerDivisionByZero"), "{message}");
    let (_, kind, _) = one_failure(&script("no such trap"));
    assert_eq!(kind, FailureKind::Unsupported);
}

#[test]
fn a_return_is_no_trap() {
    let (_, _, message) = one_failure(
        r#"(module (func (export "f") (result i32) (i32.const 3)))
           (assert_trap (invoke "f") "unreachable")"#,
    );
    assert!(message.contains("(i32.const 3)"), "{message}");
}

#[test]
fn exhaustion_is_no_other_trap() {
    passes(
        r#"(module (func $f (export "f") (call $f)))
           (assert_exhaustion (invoke "f") "call stack exhausted")"#,
    );
    one_failure(
        r#"(module (func $f (export "f") unreachable))
           (assert_exhaustion (invoke "f") "call stack exhausted")"#,
    );
}

#[test]
fn traps_while_instantiating() {
    passes(
        r#"(assert_trap (module (func $f unreachable) (start $f)) "unreachable")
           (assert_trap (module (memory 0) (data (i32.const 0) "x"))
             "out of bounds memory access")"#,
    );
    let (_, _, message) = one_failure(r#"(assert_trap (module (func (start 9))) "unreachable")"#);
    assert!(!message.is_empty());
}

#[test]
fn accepted_modules_are_failures() {
    let report = run(r#"(assert_invalid (module) "x")
(assert_malformed (module quote "(func)") "x")
(assert_malformed (module binary "\00asm\01\00\00\00") "x")
(assert_unlinkable (module) "x")
(assert_invalid (module (func (result i32))) "whatever the words")
(assert_malformed (module binary "") "unexpected end")
(assert_malformed (module binary "(module)") "magic header not detected")
(assert_malformed (module quote "(func" ) "x")
(assert_malformed (module quote "\ff") "malformed UTF-8 encoding")
(assert_unlinkable (module (import "no" "thing" (func))) "unknown import")"#);
    let lines: Vec<_> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [1, 2, 3, 4], "{:#?}", report.failures);
}

#[test]
fn unlinkable_is_neither_invalid_nor_a_trap() {
    let report = run(
        r#"(assert_unlinkable (module (func (result i32))) "unknown import")
           (assert_unlinkable (module (func $f unreachable) (start $f)) "unknown import")"#,
    );
    assert_eq!(report.failures.len(), 2);
    assert!(report.failures[0].message.contains("refused"));
    assert!(report.failures[1].message.contains("traps"));
}

#[test]
fn a_bad_directive_does_not_stop_the_rest() {
    let report = run(r#"(module (func (export "f") (result i32) (i32.const 1)))
(assert_return (invoke "g"))
(assert_return (invoke $none "f"))
(register "x" $none)
(assert_return (invoke "f" (i32.const 1)) (i32.const 1))
(assert_return (get "f"))
(assert_return (invoke "f") (i32.const 1))"#);
    let lines: Vec<_> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6], "{:#?}", report.failures);
    assert_eq!(report.passed(), 2);
}

#[test]
fn after_a_module_that_fails_there_is_no_current_instance() {
    let report = run(
        r#"(module $m (func (export "f") (result i32) (i32.const 1)))
(module $m (func (result i32)))
(assert_return (invoke "f") (i32.const 1))
(assert_return (invoke $m "f") (i32.const 1))"#,
    );
    let lines: Vec<_> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 3, 4], "{:#?}", report.failures);
}

#[test]
fn scripts_that_cannot_be_parsed() {
    for script in [
        "(module",
        "(assert_nothing)",
        "(module)\n(assert_return (invoke \"f\") (i32.const x))",
        "\"",
        "(module) )",
    ] {
        let (_, kind, message) = one_failure(script);
        assert_eq!(kind, FailureKind::Parse, "{script}: {message}");
    }
    let (line, ..) = one_failure("(module)\n(assert_return (invoke \"f\") (i32.const x))");
    assert_eq!(line, 2);
    let deep = "(".repeat(100_000);
    assert_eq!(one_failure(&deep).1, FailureKind::Parse);
}

#[test]
fn an_empty_script_and_a_bare_module() {
    assert!(run("(module)").is_ok());
    assert!(run("(func (export \"f\"))").is_ok());
}

#[test]
fn names_and_registration() {
    passes(
        r#"(module $a (global (export "g") i32 (i32.const 5)) (func (export "f") (result i32) (i32.const 1)))
           (module $b (func (export "f") (result i32) (i32.const 2)))
           (register "a" $a)
           (register "b")
           (module
             (import "a" "f" (func $a (result i32)))
             (import "b" "f" (func $b (result i32)))
             (func (export "sum") (result i32) (i32.add (call $a) (call $b))))
           (assert_return (invoke "sum") (i32.const 3))
           (assert_return (invoke $a "f") (i32.const 1))
           (assert_return (get $a "g") (i32.const 5))"#,
    );
}

#[test]
fn definitions_and_instances() {
    passes(
        r#"(module definition $M
             (global $g (mut i32) (i32.const 0))
             (func (export "next") (result i32)
               (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))
           (module instance $I1 $M)
           (module instance $I2 $M)
           (assert_return (invoke $I1 "next") (i32.const 1))
           (assert_return (invoke $I1 "next") (i32.const 2))
           (assert_return (invoke $I2 "next") (i32.const 1))
           (assert_return (invoke "next") (i32.const 2))"#,
    );
    one_failure("(module instance $I $M)");
}

#[test]
fn references() {
    passes(
        r#"(module
             (func (export "id") (param externref) (result externref) (local.get 0))
             (func $f (export "func") (result funcref) (ref.func $f))
             (elem declare func $f)
             (func (export "null") (result funcref) (ref.null func)))
           (assert_return (invoke "id" (ref.extern 7)) (ref.extern 7))
           (assert_return (invoke "id" (ref.extern 7)) (ref.extern))
           (assert_return (invoke "id" (ref.null extern)) (ref.null extern))
           (assert_return (invoke "id" (ref.null extern)) (ref.null))
           (assert_return (invoke "func") (ref.func))
           (assert_return (invoke "null") (ref.null func))"#,
    );
    let report = run(r#"(module
             (func (export "id") (param externref) (result externref) (local.get 0))
             (func (export "null") (result funcref) (ref.null func)))
(assert_return (invoke "id" (ref.extern 7)) (ref.extern 8))
(assert_return (invoke "id" (ref.null extern)) (ref.extern))
(assert_return (invoke "null") (ref.null extern))
(assert_return (invoke "null") (ref.func))"#);
    assert_eq!(report.failures.len(), 4, "{:#?}", report.failures);
}

#[test]
fn vectors_nans_and_alternatives() {
    passes(
        r#"(module
             (func (export "v") (result v128) (v128.const i32x4 1 2 3 4))
             (func (export "nan") (result v128) (v128.const f32x4 nan 1 -nan nan:0x600000))
             (func (export "i") (result i32) (i32.const 2)))
           (assert_return (invoke "v") (v128.const i32x4 1 2 3 4))
           (assert_return (invoke "v") (v128.const i16x8 1 0 2 0 3 0 4 0))
           (assert_return (invoke "nan")
             (v128.const f32x4 nan:canonical 1 nan:canonical nan:arithmetic))
           (assert_return (invoke "i") (either (i32.const 1) (i32.const 2)))"#,
    );
    one_failure(
        r#"(module (func (export "i") (result i32) (i32.const 3)))
           (assert_return (invoke "i") (either (i32.const 1) (i32.const 2)))"#,
    );
    one_failure(
        r#"(module (func (export "v") (result v128) (v128.const f32x4 nan:0x600000 0 0 0)))
           (assert_return (invoke "v") (v128.const f32x4 nan:canonical 0 0 0))"#,
    );
}

#[test]
fn spectest_prints() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let report = WastRunner::new(&engine())
        .on_print(move |line| sink.lock().expect("one thread").push(line.to_string()))
        .run_source(
            "print.wast",
            r#"(module
                 (import "spectest" "print" (func $p))
                 (import "spectest" "print_i32_f32" (func $q (param i32 f32)))
                 (func (export "f") (call $p) (call $q (i32.const 3) (f32.const 1.5))))
               (invoke "f")"#,
        );
    assert!(report.is_ok(), "{:#?}", report.failures);
    assert_eq!(
        *lines.lock().expect("one thread"),
        ["print: ", "print_i32_f32: 3 : i32, 1.5 : f32"]
    );
}

#[test]
fn spectest_items() {
    passes(
        r#"(module
             (import "spectest" "global_i32" (global i32))
             (import "spectest" "global_i64" (global i64))
             (import "spectest" "global_f32" (global f32))
             (import "spectest" "global_f64" (global f64))
             (import "spectest" "table" (table 10 20 funcref))
             (import "spectest" "table64" (table i64 10 20 funcref))
             (import "spectest" "memory" (memory 1 2))
             (import "spectest" "shared_memory" (memory 1 2 shared))
             (func (export "i") (result i32) (global.get 0))
             (func (export "l") (result i64) (global.get 1))
             (func (export "f") (result f32) (global.get 2))
             (func (export "d") (result f64) (global.get 3)))
           (assert_return (invoke "i") (i32.const 666))
           (assert_return (invoke "l") (i64.const 666))
           (assert_return (invoke "f") (f32.const 666.6))
           (assert_return (invoke "d") (f64.const 666.6))"#,
    );
}

#[test]
fn threads_share_memory() {
    passes(
        r#"(module $Mem (memory (export "shared") 1 1 shared))
           (thread $T1 (shared (module $Mem))
             (register "mem" $Mem)
             (module
               (memory (import "mem" "shared") 1 1 shared)
               (func (export "run")
                 (i32.atomic.store (i32.const 4) (i32.const 42))
                 (i32.atomic.store (i32.const 0) (i32.const 1))
                 (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))))
             (invoke "run"))
           (thread $T2 (shared (module $Mem))
             (register "mem" $Mem)
             (module
               (memory (import "mem" "shared") 1 1 shared)
               (func (export "run") (result i32)
                 (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
                 (i32.atomic.load (i32.const 4))))
             (assert_return (invoke "run") (i32.const 42)))
           (wait $T1)
           (wait $T2)"#,
    );
}

#[test]
fn failures_in_threads_are_reported() {
    for wait in ["(wait $T)", ""] {
        let (line, kind, _) = one_failure(&format!(
            "(module)\n(thread $T\n(assert_return (invoke \"f\")))\n{wait}"
        ));
        assert_eq!((line, kind), (3, FailureKind::Mismatch));
    }
    let report = run("(module)\n(wait $T)\n(thread $T)\n(wait $T)\n(wait $T)");
    let lines: Vec<_> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 5]);
}

#[test]
fn what_is_not_supported_never_passes() {
    for script in [
        r#"(module (func (export "f"))) (assert_suspension (invoke "f") "x")"#,
        r#"(module (func (export "f") unreachable)) (assert_exception (invoke "f"))"#,
        r#"(module (func (export "f") (result i32) (i32.const 0))) (assert_return (invoke "f") (ref.i31))"#,
    ] {
        let (_, kind, message) = one_failure(script);
        assert_eq!(kind, FailureKind::Unsupported, "{message}");
    }
}
