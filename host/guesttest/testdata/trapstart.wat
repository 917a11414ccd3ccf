;; A guest that traps as it comes up, after it left marks.
(module
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 5))
  (func $start
    (global.set $g (i32.const 6))
    (i32.store (i32.const 0) (i32.const 7))
    (unreachable))
  (start $start)
  (func (export "lockstep_load") (result i32) (i32.const 0))
  (func (export "lockstep_apply") (result i32) (global.get $g)))
