;; deterministic
(module
  (func $add (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1)))
  (func $vector (param v128 v128) (result v128) (f32x4.mul (local.get 0) (local.get 1))))
