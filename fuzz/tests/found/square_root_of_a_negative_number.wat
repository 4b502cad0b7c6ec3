;; The interpreter's canonical NaN was taken for the square root's own by the
;; compiler that the interpreter was built with.
(module
  (func (export "f32") (param f32) (result f32)
    local.get 0
    f32.sqrt
    local.set 0
    f32.const -4
    f32.sqrt
    local.get 0
    f32.copysign)
  (func (export "f64") (result f64)
    (f64.sqrt (f64.const -1)))
  (func (export "f32x4") (result v128)
    (f32x4.sqrt (v128.const f32x4 -1 4 -0 nan)))
  (func (export "f64x2") (result v128)
    (f64x2.sqrt (v128.const f64x2 -1 nan)))
  (func (export "bits") (result i32)
    (i32.reinterpret_f32 (f32.sqrt (f32.const -1)))))
