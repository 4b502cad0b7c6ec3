;; guarded
(module
  (func (param i32) (result i32) (if (result i32) (i32.lt_s (local.get 0) (i32.const 3))
    (then (i32.const 1)) (else (i32.const 2))))
  (func (param i32 i32 i32) (result i32)
    (select (local.get 0) (local.get 1) (i32.eqz (local.get 2))))
  (func (param f64 f64) (result i32) (block (br_if 0 (f64.eq (local.get 0) (local.get 1)))
    (return (i32.const 7))) (i32.const 8))
  (func (param i32) (result i32) (local i32)
    (loop $l (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (param i32) (result i32) (block $a (block $b (block $c
    (br_table $a $b $c (local.get 0))) (return (i32.const 1))) (return (i32.const 2))) (i32.const 3))
  (func (unreachable)))
