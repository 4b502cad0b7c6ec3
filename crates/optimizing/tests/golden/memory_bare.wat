;; bare
;; Without hardening: a comparison and a branch.
(module
  (memory 1)
  (func (param i32) (result i32) (i32.load offset=16 (local.get 0)))
  (func (result i32) (memory.size)))
