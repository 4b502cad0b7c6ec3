;; Where a loop, a function or a tail call ran out of fuel was said differently.
(module
  (func (export "loop") (param i32) (result i32) (local i64)
    loop (result i32)
      local.get 1
      i64.const 1
      i64.add
      local.set 1
      br 0
    end)
  (func $forever (export "forever") (param i32) (result i32) (local f64 i32 i32)
    local.get 0
    i32.const 1
    i32.add
    return_call $forever)
  (func $without_locals (export "without_locals")
    return_call $without_locals))
