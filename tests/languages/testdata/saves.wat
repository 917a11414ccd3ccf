;; A guest that saves its last input: whatever a test wants another guest to load.
(module
  (import "lockstep_v1" "input_size" (func $size (result i32)))
  (import "lockstep_v1" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "lockstep_v1" "output_write" (func $write (param i32 i32)))
  (memory (export "memory") 1)
  (global $length (mut i32) (i32.const 0))
  (func (export "lockstep_apply") (result i32)
    (global.set $length (call $read (i32.const 0) (call $size) (i32.const 0)))
    (i32.const 0))
  (func (export "lockstep_save") (result i32)
    (call $write (i32.const 0) (global.get $length))
    (i32.const 0)))
