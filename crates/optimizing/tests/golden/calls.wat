;; guarded
;; Direct, imported, tail and indirect calls.
(module
  (type $f (func (param i32) (result i32)))
  (import "host" "f" (func $host (type $f)))
  (table $any 10 funcref)
  (table $typed 10 (ref null $f))
  (table $grows 10 100 funcref)
  (func $g (type $f) (local.get 0))
  (func (type $f) (call $g (call $host (local.get 0))))
  (func (type $f) (return_call $host (local.get 0)))
  (func (type $f) (call_indirect $any (type $f) (i32.const 1) (local.get 0)))
  (func (type $f) (call_indirect $typed (type $f) (i32.const 1) (local.get 0)))
  (func (type $f) (call_indirect $grows (type $f) (i32.const 1) (local.get 0)))
  (func (param (ref null $f)) (result i32) (call_ref $f (i32.const 1) (local.get 0))))
