;; checked
;; With hardening: a comparison and a conditional move, no branch.
(module
  (memory $m 1)
  (memory $w i64 1)
  (func (param i32) (result i32) (i32.load offset=16 (local.get 0)))
  (func (param i64) (result i32) (i32.load $w offset=16 (local.get 0)))
  (func (param i64) (result i32) (i32.load $w offset=0x20000 (local.get 0)))
  (func (param i32) (result i32)
    (i32.add (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)))))
