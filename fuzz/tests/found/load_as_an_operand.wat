;; A load that is out of bounds, in the optimizing tier an operand of the next.
(module
  (memory 0)
  (memory $second 0)
  (func (export "run")
    i32.const 0
    i32.load $second align=1
    i32.load16_s $second align=1
    unreachable))
