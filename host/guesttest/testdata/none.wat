;; A guest that may have no memory at all.
(module
  (memory (export "memory") 0 0)
  (func (export "lockstep_apply") (result i32) (i32.add (memory.grow (i32.const 1)) (i32.const 1))))
