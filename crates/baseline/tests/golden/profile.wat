;; profile
;; What is counted, and how a frame is left for better code.
(module
  (type $t (func (param i32) (result i32)))
  (table 4 funcref)
  (func $entry (param i32 f64) (result i32)
    (local.get 0))
  ;; The locals are in registers of all kinds, and two values lie on the stack.
  (func $loop (param $n i32) (param $v v128) (result i64)
    (local $f f32) (local $r funcref) (local $sum i64)
    (i64.const 7)
    (i32.const 1)
    (loop $l (param i32) (result i32)
      (local.set $f (f32.add (local.get $f) (f32.const 1)))
      (local.set $sum (i64.add (local.get $sum) (i64.const 3)))
      (local.set $v (i32x4.add (local.get $v) (local.get $v)))
      (i32.add (local.get $n))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (drop)
    (i64.add (local.get $sum)))
  ;; What lies in registers that calls keep is stored as well.
  (func $nest (param $n i32) (result i32) (local $i i32) (local $j i32)
    (loop $outer
      (local.set $j (i32.const 0))
      (loop $inner
        (local.set $j (call $entry (i32.add (local.get $j) (i32.const 1)) (f64.const 0)))
        (br_if $inner (i32.lt_u (local.get $j) (local.get $n))))
      (br_if $outer (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $i))
  (func $indirect (param i32) (result i32)
    (call_indirect (type $t) (i32.const 5) (local.get 0)))
  (func $reference (param (ref null $t)) (result i32)
    (call_ref $t (i32.const 5) (local.get 0))
    (return_call_ref $t (local.get 0)))
  ;; Loops that cannot be reached have a count as well.
  (func $unreachable (param i32)
    (return)
    (loop (br 0))))
