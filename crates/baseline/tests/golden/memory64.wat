;; guarded
(module
  (memory i64 1 16)
  (func $load (param i64) (result i32) (i32.load (local.get 0)))
  (func $offset (param i64) (result i64) (i64.load offset=0x12345678 (local.get 0)))
  (func $far (param i64) (result i32) (i32.load8_u offset=0xffffffff0 (local.get 0)))
  (func $store (param i64 f32) (f32.store offset=4 (local.get 0) (local.get 1)))
  (func $size (result i64) (memory.size)))
