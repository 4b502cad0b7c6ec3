;; guarded
;; Constants are folded; a store to one global leaves what is known of another.
(module
  (import "host" "g" (global $imported (mut i32)))
  (global $constant i32 (i32.const 7))
  (global $a (mut i32) (i32.const 0))
  (global $b (mut i32) (i32.const 0))
  (global $v (mut v128) (v128.const i64x2 0 0))
  (func (result i32) (global.get $constant))
  (func (param i32) (result i32)
    (i32.add (global.get $a)
      (block (result i32) (global.set $b (local.get 0)) (global.get $a))))
  (func (param i32) (global.set $imported (local.get 0)))
  (func (param v128) (result v128) (global.get $v) (global.set $v (local.get 0))))
