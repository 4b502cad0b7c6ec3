;; Adds up the primes below a bound, by the sieve of Eratosthenes.
(module
  (import "host" "print" (func $print (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "the guest sieves\n")
  (func (export "primes") (param $bound i32) (result i32)
    (local $n i32) (local $multiple i32) (local $sum i32)
    (call $print (i32.const 0) (i32.const 17))
    ;; The sieve lies behind the text; 1 says that a number is composite.
    (local.set $n (i32.const 2))
    (loop $next
      (if (i32.lt_u (local.get $n) (local.get $bound))
        (then
          (if (i32.eqz (i32.load8_u offset=64 (local.get $n)))
            (then
              (local.set $sum (i32.add (local.get $sum) (local.get $n)))
              (local.set $multiple (i32.mul (local.get $n) (local.get $n)))
              (loop $mark
                (if (i32.lt_u (local.get $multiple) (local.get $bound))
                  (then
                    (i32.store8 offset=64 (local.get $multiple) (i32.const 1))
                    (local.set $multiple (i32.add (local.get $multiple) (local.get $n)))
                    (br $mark))))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next))))
    (local.get $sum))
  (func (export "endless") (result i32) (i32.add (i32.const 1) (call $endless)))
  (func $endless (result i32) (i32.add (i32.const 1) (call $endless))))
