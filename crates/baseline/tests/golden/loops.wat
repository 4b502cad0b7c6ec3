;; guarded
(module
  (import "m" "f" (func $f (param i32) (result i32)))
  (memory 1)
  (func $sum (param $p i32) (param $n i32) (result i32) (local $s i32)
    (if (local.get $n) (then
      (loop $l
        (local.set $s (i32.add (local.get $s) (i32.load (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
    (local.get $s))
  (func $nested (param $n i32) (result i32) (local $i i32) (local $j i32) (local $s i32)
    (loop $outer
      (local.set $j (i32.const 0))
      (loop $inner
        (local.set $s (i32.add (local.get $s) (i32.mul (local.get $i) (local.get $j))))
        (br_if $inner (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1)))
                                (local.get $n))))
      (br_if $outer (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                              (local.get $n))))
    (local.get $s))
  (func $calls (param $n i32) (result i32) (local $s i32)
    (loop $l
      (local.set $s (i32.add (local.get $s) (call $f (local.get $n))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))
  (func $search (param $p i32) (result i32) (local $c i32)
    (block $found
      (loop $l
        (br_if $found (i32.eq (local.tee $c (i32.load8_u (local.get $p))) (i32.const 10)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br_if $l (local.get $c)))
      (return (i32.const -1)))
    (local.get $p))
  (func $dot (param $a i32) (param $b i32) (param $n i32) (result f64) (local $s f64)
    (loop $l
      (local.set $s (f64.add (local.get $s)
        (f64.mul (f64.load (local.get $a)) (f64.load (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 8)))
      (local.set $b (i32.add (local.get $b) (i32.const 8)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))
  (func $parameters (param i32) (result i32)
    (i32.const 0) (local.get 0)
    (loop $l (param i32 i32) (result i32)
      (local.set 0) (i32.add (local.get 0)) (i32.sub (local.get 0) (i32.const 1))
      (br_if $l (local.get 0)) (drop))))
