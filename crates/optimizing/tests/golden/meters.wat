;; metered
;; Fuel and epoch at the entry and at loops.
(module
  (func (param i32) (result i32)
    (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 0)))
