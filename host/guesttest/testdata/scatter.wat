;; A guest that stores 1 where its input says, and then traps if the byte before is not 0; the host gives it
;; a large memory, of which init writes to every page.
(module
  (import "lockstep_v1" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "lockstep_init") (result i32) (local $at i32)
    (loop $grow (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (loop $fill
      (i32.store (local.get $at) (i32.const 7))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (i32.const 0))
  (func (export "lockstep_apply") (result i32)
    (drop (call $input_read (i32.const 0) (i32.const 5) (i32.const 0)))
    (i32.store (i32.load (i32.const 1)) (i32.const 1))
    (if (i32.load8_u (i32.const 0)) (then (unreachable)))
    (i32.const 0)))
