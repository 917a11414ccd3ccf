;; Sets a timer and could not be told when it is due.
(module
  (import "lockstep_v1" "set_timer" (func $set_timer (param i64 i64)))
  (memory (export "memory") 1)
  (func (export "lockstep_apply") (result i32) (call $set_timer (i64.const 1) (i64.const 1)) (i32.const 0)))
