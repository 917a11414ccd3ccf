;; A guest whose memory is empty, for as long as it likes.
(module
  (memory (export "memory") 0 2)
  (func (export "lockstep_init") (result i32) (memory.size))
  (func (export "lockstep_apply") (result i32) (drop (memory.grow (i32.const 1))) (i32.const 0)))
