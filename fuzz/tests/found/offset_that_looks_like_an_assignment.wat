;; The offset of a load of a second memory, 33, with the loop behind it, was taken by
;; the baseline compiler for `local.set 3`, whose register it then used.
(module
  (memory i64 1 1)
  (memory $second i64 1 3)
  (global $g (export "g") (mut i64) (i64.const 0))
  (func (export "run") (param i32 f64 f64 i64)
    local.get 0
    if (result i64)
      i64.const 0
      i64.load16_s $second offset=33 align=1
      loop (result i64)
        local.get 3
      end
      i64.add
    else
      unreachable
    end
    global.set $g))
