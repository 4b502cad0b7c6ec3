;; guarded
;; Blocks that nothing leaves cost nothing; tables of branches; select.
(module
  (func (param i32) (result i32) (block (result i32) (block (result i32) (local.get 0))))
  (func (param i32) (result i32)
    (block $a (block $b (block $c
      (br_table $a $b $c (local.get 0))) (return (i32.const 1))) (return (i32.const 2)))
    (i32.const 3))
  (func (param i32 i32 i32) (result i32)
    (select (local.get 0) (local.get 1) (i32.lt_s (local.get 2) (i32.const 10))))
  (func (param i64) (result i64) (local i64)
    (loop $l
      (local.set 1 (i64.add (local.get 1) (local.get 0)))
      (br_if $l (i64.ne (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const 0))))
    (local.get 1)))
