;; A guest that emits events and sets timers as the first byte of its input says,
;; for the conformance suite of host.Guest and the tests of the machine.
;; Memory: 0 input, 1024 an event, 2048 "hello", 4096 and up the ids of the timers that ran.
(module
  (import "lockstep_v1" "input_size" (func $input_size (result i32)))
  (import "lockstep_v1" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "lockstep_v1" "output_write" (func $output_write (param i32 i32)))
  (import "lockstep_v1" "time" (func $time (result i64)))
  (import "lockstep_v1" "seq" (func $seq (result i64)))
  (import "lockstep_v1" "caller" (func $caller (param i32)))
  (import "lockstep_v1" "random" (func $random (param i32 i32)))
  (import "lockstep_v1" "emit" (func $emit (param i32 i32)))
  (import "lockstep_v1" "set_timer" (func $set_timer (param i64 i64)))
  (memory (export "memory") 2)
  (global $ran (mut i32) (i32.const 0))
  (data (i32.const 2048) "hello")

  (func $arg (param $n i32) (result i32)
    (i32.load (i32.add (i32.const 1) (i32.mul (local.get $n) (i32.const 4)))))
  (func $hello (call $emit (i32.const 2048) (i32.const 5)))
  ;; n timers with ids from 0, at the same time
  (func $many (param $n i32) (param $at i64) (local $i i32)
    (loop $l
      (call $set_timer (i64.extend_i32_u (local.get $i)) (local.get $at))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n)))))

  (func (export "lockstep_apply") (result i32) (local $c i32)
    (drop (call $input_read (i32.const 0) (i32.const 64) (i32.const 0)))
    (local.set $c (i32.load8_u (i32.const 0)))
    (if (i32.eq (local.get $c) (i32.const 1)) ;; emit(ptr, len)
      (then (call $emit (call $arg (i32.const 0)) (call $arg (i32.const 1))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 2)) ;; set_timer(id i64, at i64)
      (then (call $set_timer (i64.load (i32.const 1)) (i64.load (i32.const 9))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 3)) ;; set_timer(0…n-1, at), n i32, at i64
      (then (call $many (call $arg (i32.const 0)) (i64.load (i32.const 5))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 4)) ;; emit n times
      (then
        (loop $l
          (call $hello)
          (i32.store (i32.const 1) (i32.sub (call $arg (i32.const 0)) (i32.const 1)))
          (br_if $l (call $arg (i32.const 0))))
        (return (i32.const 0))))
    (call $hello) ;; what follows fails, and leaves neither event nor timer
    (call $set_timer (i64.const 77) (i64.const 1))
    (if (i32.eq (local.get $c) (i32.const 5)) (then (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 6)) (then (return (i32.const 9))))
    (loop $l (br $l))
    (unreachable))

  ;; the ids of the timers that ran, in order
  (func (export "lockstep_query") (result i32)
    (call $hello)
    (call $set_timer (i64.const 77) (i64.const 1))
    (call $output_write (i32.const 4096) (i32.shl (global.get $ran) (i32.const 3)))
    (i32.const 0))

  (func (export "lockstep_init") (result i32)
    (call $hello)
    (call $set_timer (i64.const 100) (i64.const 1))
    (i32.const 0))

  ;; emits id, time, seq, caller and 16 random bytes. Timer -13 traps, -14
  ;; rejects, -15 cancels -14, -17 sets itself again at once.
  (func (export "lockstep_timer") (result i32) (local $id i64)
    (if (i32.ne (call $input_size) (i32.const 8)) (then (unreachable)))
    (drop (call $input_read (i32.const 1024) (i32.const 64) (i32.const 0)))
    (local.set $id (i64.load (i32.const 1024)))
    (i64.store (i32.add (i32.const 4096) (i32.shl (i32.and (global.get $ran) (i32.const 1023)) (i32.const 3))) (local.get $id))
    (global.set $ran (i32.add (global.get $ran) (i32.const 1)))
    (i64.store (i32.const 1032) (call $time))
    (i64.store (i32.const 1040) (call $seq))
    (call $caller (i32.const 1048))
    (call $random (i32.const 1080) (i32.const 16))
    (call $emit (i32.const 1024) (i32.const 72))
    (memory.fill (i32.const 1080) (i32.const 0) (i32.const 16)) ;; the state is to be that of ids and times alone
    (if (i64.eq (local.get $id) (i64.const -13)) (then (unreachable)))
    (if (i64.eq (local.get $id) (i64.const -14)) (then (return (i32.const 9))))
    (if (i64.eq (local.get $id) (i64.const -15)) (then (call $set_timer (i64.const -14) (i64.const 0))))
    (if (i64.eq (local.get $id) (i64.const -17)) (then (call $set_timer (i64.const -17) (call $time))))
    (i32.const 0))

  (func (export "lockstep_save") (result i32) (i32.const 0))
  (func (export "lockstep_load") (result i32) (call $hello) (i32.const 0)))
