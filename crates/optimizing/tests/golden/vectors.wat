;; guarded
;; No casts are left between vector instructions of different shapes.
(module
  (memory 1)
  (func (param v128 v128) (result v128)
    (i32x4.add (i16x8.add (local.get 0) (local.get 1)) (f32x4.mul (local.get 0) (local.get 1))))
  (func (param v128 v128 v128) (result v128)
    (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))
  (func (param i32 v128) (v128.store offset=8 (local.get 0) (local.get 1)))
  (func (param v128) (result i32) (i8x16.bitmask (local.get 0))))
