;; The baseline compiler had no register left when it assigned a local that the
;; stack named more often than there are registers: integers and floats.
(module
  (func (export "tee") (param i64 i64) (result i64)
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 1
    local.tee 0
    i64.add i64.sub i64.xor i64.add i64.sub i64.xor i64.add i64.sub i64.xor
    i64.add i64.sub i64.xor i64.add i64.sub i64.xor i64.add i64.sub i64.xor
    local.get 0
    i64.sub)
  (func (export "set") (param f64 i32) (result f64)
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 0
    local.get 1
    f64.convert_i32_s
    local.set 0
    f64.add f64.sub f64.sub f64.add f64.sub f64.sub f64.add f64.sub f64.sub
    f64.add f64.sub f64.sub f64.add f64.sub f64.sub f64.add f64.sub
    local.get 0
    f64.sub))
