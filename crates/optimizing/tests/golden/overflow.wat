;; guarded
;; What finds no register goes by the overflow area.
(module
  (type $f (func (param i32 i32 i32 i32 i32 i64) (result i32 i32 i32 i32 i32 i32 i32 i32 i64)))
  (func $f (type $f)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 0) (local.get 1) (local.get 2) (local.get 5))
  (func (result i64) (local i64)
    (call $f (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i64.const 5))
    (local.set 0) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop)
    (local.get 0)))
