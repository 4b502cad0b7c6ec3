;; guarded
(module
  (import "m" "g" (global $imported (mut i64)))
  (global $i (mut i32) (i32.const 1))
  (global $d (mut f64) (f64.const 1))
  (global $v (mut v128) (v128.const i64x2 0 0))
  (global $k i32 (i32.const 77))
  (func $get (result i32) (global.get $i))
  (func $add (global.set $i (i32.add (global.get $i) (i32.const 16))))
  (func $constant (result i32) (i32.add (global.get $k) (global.get $i)))
  (func $import (param i64) (result i64) (global.set $imported (local.get 0)) (global.get $imported))
  (func $float (param f64) (global.set $d (f64.add (global.get $d) (local.get 0))))
  (func $vector (param v128) (result v128) (global.get $v) (global.set $v (local.get 0))))
