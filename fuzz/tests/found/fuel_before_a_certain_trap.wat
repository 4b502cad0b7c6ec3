;; What was not charged before an access that is always out of bounds was charged
;; behind the block, by who came there another way: in the interpreter.
(module
  (memory 1 2)
  (global $g (mut i64) (i64.const 0))
  (func (export "run") (param i32) (result i32)
    block
      local.get 0
      br_if 0
      i32.const 0
      i32.const 0
      i32.load16_s offset=4294967295
      i32.add
      drop
    end
    i32.const 1))
