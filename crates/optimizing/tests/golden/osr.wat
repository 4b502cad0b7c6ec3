;; guarded
;; Entries at the inner and the outer loop: each keeps one header.
(module
  (func (param $n i32) (result i64) (local $i i32) (local $j i32)
    (i64.const 1)
    (loop $a (param i64) (result i64)
      (local.set $j (i32.const 0))
      (loop $b (param i64) (result i64)
        (i64.add (i64.extend_i32_u (local.get $j)))
        (br_if $b (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $a (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))))
