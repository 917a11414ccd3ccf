;; The least that is a guest.
(module
  (memory (export "memory") 1)
  (func (export "lockstep_apply") (result i32) (i32.const 0)))
