;; guarded
(module
  (memory 1) (memory $w i64 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0)))
  (func (param i32) (result i64) (i64.load8_s (i32.add (local.get 0) (i32.const 4))))
  (func (param i32 i32) (i32.store16 (local.get 0) (local.get 1)))
  (func (param i32) (f64.store (local.get 0) (f64.const 1)))
  (func (param i32) (result i32) (i32.load offset=0xfffffff0 (local.get 0)))
  (func (param i64) (result i32) (i32.load $w offset=16 (local.get 0)))
  (func (param i32) (result i32) (memory.grow (local.get 0)))
  (func (result i32) (memory.size))
  (func (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))
