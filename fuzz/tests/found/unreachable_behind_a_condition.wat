;; The optimizing compiler made a branch to a trap a conditional trap, at the
;; place of the branch, and of a meter without any place.
(module
  (global $g (mut i32) (i32.const 3))
  (func (export "if") (param i32)
    local.get 0
    if
      unreachable
    end
    global.get $g
    i32.eqz
    br_if 0
    unreachable)
  (func (export "both")
    i32.const 0
    if
    end
    unreachable)
  (func (export "at_once")
    unreachable)
  (func (export "loop") (param i32)
    loop
      unreachable
    end))
