;; A guest that does what the first byte of its input says, for the conformance
;; suite of host.Guest. Arguments follow as little-endian i32s.
;; Memory: 0 input, 1024 marks that commands leave, 2048 scratch, 65536 and up grown.
(module
  (import "lockstep_v1" "input_size" (func $input_size (result i32)))
  (import "lockstep_v1" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "lockstep_v1" "output_write" (func $output_write (param i32 i32)))
  (import "lockstep_v1" "time" (func $time (result i64)))
  (import "lockstep_v1" "seq" (func $seq (result i64)))
  (import "lockstep_v1" "caller" (func $caller (param i32)))
  (import "lockstep_v1" "random" (func $random (param i32 i32)))
  (import "lockstep_v1" "log" (func $log (param i32 i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

  (memory (export "memory") 2 9)
  (global $count (mut i32) (i32.const 0))
  (global $wide (mut i64) (i64.const -1))
  (global $single (mut f32) (f32.const 1.5))
  (global $double (mut f64) (f64.const 2.5))
  (global $up (mut i32) (i32.const 0)) ;; 1 after start, 2 after _initialize, 3 after init or load

  (type $nullary (func))
  (type $unary (func (param i32) (result i32)))
  (table 3 3 funcref)
  (elem (i32.const 0) $touch $endless)
  (data (i32.const 3000) "hello")

  (func $start (global.set $up (i32.add (global.get $up) (i32.const 1))))
  (start $start)
  (func (export "_initialize")
    (if (i32.ne (global.get $up) (i32.const 1)) (then (unreachable)))
    (global.set $up (i32.const 2)))
  (func (export "lockstep_init") (result i32)
    (if (i32.ne (global.get $up) (i32.const 2)) (then (unreachable)))
    (global.set $up (i32.const 3))
    (global.set $count (i32.const 100))
    (call $touch)
    (i32.const 0))

  ;; leaves marks in memory and in every global
  (func $touch
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.set $wide (i64.mul (i64.add (global.get $wide) (i64.const 3)) (i64.const 0x5851f42d4c957f2d)))
    (global.set $single (f32.add (global.get $single) (f32.const 0.25)))
    (global.set $double (f64.mul (global.get $double) (f64.const 1.0625)))
    (i32.store (i32.const 1024) (global.get $count))
    (i64.store (i32.const 70000) (global.get $wide)))

  (func $arg (param $n i32) (result i32)
    (i32.load (i32.add (i32.const 1) (i32.mul (local.get $n) (i32.const 4)))))
  (func $answer (param $v i32)
    (i32.store (i32.const 2048) (local.get $v))
    (call $output_write (i32.const 2048) (i32.const 4)))
  (func $endless (param i32) (result i32)
    (i32.add (i32.const 1) (call $endless (i32.add (local.get 0) (i32.const 1)))))
  (func $depth (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (i32.add (i32.const 1) (call $depth (i32.sub (local.get $n) (i32.const 1)))))
      (else (i32.const 0))))

  (func (export "lockstep_apply") (result i32) (local $c i32)
    (i32.store8 (i32.const 0) (i32.const 0))
    (drop (call $input_read (i32.const 0) (i32.const 64) (i32.const 0)))
    (local.set $c (i32.load8_u (i32.const 0)))
    (if (i32.eq (local.get $c) (i32.const 0)) (then (return (i32.const 0))))

    ;; every command but the first leaves marks, which must go where it fails
    (call $touch)
    (if (i32.eq (local.get $c) (i32.const 1)) ;; count
      (then (call $answer (global.get $count)) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 2)) ;; reject(code)
      (then (call $output_write (i32.const 3000) (i32.const 5)) (return (call $arg (i32.const 0)))))
    (if (i32.eq (local.get $c) (i32.const 3)) (then (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 4)) (then (loop $l (br $l))))
    (if (i32.eq (local.get $c) (i32.const 5)) (then (drop (call $endless (i32.const 0)))))
    (if (i32.eq (local.get $c) (i32.const 6)) ;; grow(pages) and mark the last page
      (then
        (drop (memory.grow (call $arg (i32.const 0))))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (global.get $count))
        (call $answer (memory.size))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 7)) ;; grow(pages) and trap
      (then
        (drop (memory.grow (call $arg (i32.const 0))))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (i32.const -1))
        (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 8)) ;; who, when, where
      (then
        (i64.store (i32.const 2048) (call $time))
        (i64.store (i32.const 2056) (call $seq))
        (call $caller (i32.const 2064))
        (call $random (i32.const 2096) (i32.const 16))
        (call $random (i32.const 2112) (i32.const 16))
        (call $output_write (i32.const 2048) (i32.const 80))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 9)) ;; output(ptr, len)
      (then (call $output_write (call $arg (i32.const 0)) (call $arg (i32.const 1))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 10)) ;; input_read(ptr, len, offset) → ptr's bytes
      (then
        (call $answer (call $input_read (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2))))
        (call $output_write (call $arg (i32.const 0)) (i32.load (i32.const 2048)))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 11)) (then (drop (i32.load (i32.const 0x7fffffff)))))
    (if (i32.eq (local.get $c) (i32.const 12)) (then (drop (i32.div_u (i32.const 1) (i32.sub (local.get $c) (i32.const 12))))))
    (if (i32.eq (local.get $c) (i32.const 13)) (then (drop (i32.div_s (i32.const 0x80000000) (i32.sub (local.get $c) (i32.const 14))))))
    (if (i32.eq (local.get $c) (i32.const 14)) (then (drop (i32.trunc_f64_s (f64.div (f64.const 0) (f64.const 0))))))
    (if (i32.eq (local.get $c) (i32.const 15)) (then (call_indirect (type $nullary) (call $arg (i32.const 0)))))
    (if (i32.eq (local.get $c) (i32.const 16)) (then (drop (call_indirect (type $unary) (i32.const 7) (i32.const 0)))))
    (if (i32.eq (local.get $c) (i32.const 17)) (then (call $exit (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 18)) ;; log(ptr, len), three times
      (then
        (call $log (call $arg (i32.const 0)) (call $arg (i32.const 1)))
        (call $log (call $arg (i32.const 0)) (call $arg (i32.const 1)))
        (call $log (call $arg (i32.const 0)) (call $arg (i32.const 1)))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 19)) ;; the WASI clock, twice
      (then
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 2048)))
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 2056)))
        (call $output_write (i32.const 2048) (i32.const 16))
        (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 20)) ;; random for ever
      (then (loop $l (call $random (i32.const 4096) (i32.const 65536)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 21)) ;; log for ever
      (then (loop $l (call $log (i32.const 4096) (i32.const 65536)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 22)) ;; output for ever
      (then (loop $l (call $output_write (i32.const 4096) (i32.const 4096)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 23)) ;; depth(n)
      (then (call $answer (call $depth (call $arg (i32.const 0)))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 24)) ;; store(ptr, value)
      (then (i32.store (call $arg (i32.const 0)) (call $arg (i32.const 1))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 25)) ;; load(ptr)
      (then (call $answer (i32.load (call $arg (i32.const 0)))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 26)) ;; caller, random and log at ptr
      (then (call $caller (call $arg (i32.const 0))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 27))
      (then (call $random (call $arg (i32.const 0)) (call $arg (i32.const 1))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 28)) ;; fill(ptr, value, len) 
      (then (memory.fill (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2))) (return (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 29)) ;; the size of the input
      (then (call $answer (call $input_size)) (return (i32.const 0))))
    (unreachable))

  ;; counts, which must be undone, and answers with what it read
  (func (export "lockstep_query") (result i32)
    (call $touch)
    (call $answer (global.get $count))
    (i32.const 0))

  ;; more than an output may be, less than a state: 5 × 128 KiB
  (func (export "lockstep_save") (result i32) (local $n i32)
    (loop $l
      (call $output_write (i32.const 0) (i32.const 131072))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $n) (i32.const 5))))
    (i32.const 0))

  (func (export "lockstep_load") (result i32)
    (if (i32.ne (global.get $up) (i32.const 2)) (then (unreachable)))
    (global.set $up (i32.const 3))
    (drop (call $input_read (i32.const 4096) (i32.const 4096) (i32.const 0)))
    (call $answer (call $input_size))
    (i32.const 0)))
