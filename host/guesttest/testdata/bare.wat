;; A guest without memory of what happened: constructors, no init, and an apply
;; that always rejects.
(module
  (memory (export "memory") 1)
  (func (export "_initialize") (i32.store (i32.const 0) (i32.const 1)))
  (func (export "lockstep_apply") (result i32) (i32.const 7)))
