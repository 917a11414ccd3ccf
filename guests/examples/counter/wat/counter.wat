;; A counter: ["add", n] adds, ["get"] asks. It is written by hand, to show the guest
;; contract without an SDK: what is exported, how an input is read, and how an answer, a
;; rejection and an event are given. Requests and answers are CBOR.
(module
  (import "lockstep_v1" "input_size" (func $input_size (result i32)))
  (import "lockstep_v1" "input_read" (func $input_read (param $into i32) (param $size i32) (param $offset i32) (result i32)))
  (import "lockstep_v1" "output_write" (func $output_write (param $from i32) (param $size i32)))
  (import "lockstep_v1" "emit" (func $emit (param $from i32) (param $size i32)))

  ;; Memory: 0 texts, 1024 what is being written, 4096 the input, whose largest is 512 KiB.
  (memory (export "memory") 9)
  (data (i32.const 0) "malformed request")   ;; 17 bytes
  (data (i32.const 32) "unknown operation")  ;; 17 bytes
  (data (i32.const 64) "out of range")       ;; 12 bytes
  (data (i32.const 96) "\82\67changed")      ;; the event's begin: an array of 2, a text of 7

  (global $count (mut i64) (i64.const 0)) ;; globals are state as memory is
  (global $limit i64 (i64.const 9007199254740991)) ;; what every language can count to

  ;; Reading: the next byte, the input's end, whether something was not as it should be,
  ;; and the major type of the last head.
  (global $at (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))
  (global $bad (mut i32) (i32.const 0))
  (global $major (mut i32) (i32.const 0))

  (func $read_input
    (global.set $at (i32.const 4096))
    (global.set $end (i32.add (i32.const 4096) (call $input_read (i32.const 4096) (call $input_size) (i32.const 0))))
    (global.set $bad (i32.const 0)))

  (func $byte (result i64)
    (if (i32.ge_u (global.get $at) (global.get $end))
      (then (global.set $bad (i32.const 1)) (return (i64.const 0))))
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (i64.load8_u (i32.sub (global.get $at) (i32.const 1))))

  ;; The head of an item: three bits of type, and a number in its shortest form.
  (func $head (result i64) (local $n i64) (local $size i32) (local $left i32)
    (local.set $n (call $byte))
    (global.set $major (i32.wrap_i64 (i64.shr_u (local.get $n) (i64.const 5))))
    (local.set $n (i64.and (local.get $n) (i64.const 31)))
    (if (i64.lt_u (local.get $n) (i64.const 24)) (then (return (local.get $n))))
    (if (i64.gt_u (local.get $n) (i64.const 27)) (then (global.set $bad (i32.const 1)) (return (i64.const 0))))
    (local.set $size (i32.shl (i32.const 1) (i32.sub (i32.wrap_i64 (local.get $n)) (i32.const 24))))
    (local.set $left (local.get $size))
    (local.set $n (i64.const 0))
    (loop $next
      (local.set $n (i64.or (i64.shl (local.get $n) (i64.const 8)) (call $byte)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left)))
    ;; the least that needs this size: 24, and from 2 bytes on 2 to the power of half the bits
    (if (i64.lt_u (local.get $n)
          (select (i64.const 24) (i64.shl (i64.const 1) (i64.extend_i32_u (i32.mul (local.get $size) (i32.const 4))))
            (i32.eq (local.get $size) (i32.const 1))))
      (then (global.set $bad (i32.const 1))))
    (local.get $n))

  ;; Reads an array of some items whose first is a text of three bytes, and returns them
  ;; as a number; 0 is a text of another length, which is no operation of ours.
  (func $operation (result i32) (local $n i64) (local $from i32)
    (drop (call $head))
    (if (i32.ne (global.get $major) (i32.const 4)) (then (global.set $bad (i32.const 1))))
    (local.set $n (call $head))
    (local.set $from (global.get $at))
    (if (i32.or (i32.ne (global.get $major) (i32.const 3))
          (i64.gt_u (local.get $n) (i64.extend_i32_u (i32.sub (global.get $end) (global.get $at)))))
      (then (global.set $bad (i32.const 1)) (return (i32.const 0))))
    (global.set $at (i32.add (global.get $at) (i32.wrap_i64 (local.get $n))))
    (if (i64.ne (local.get $n) (i64.const 3)) (then (return (i32.const 0))))
    (i32.and (i32.load (local.get $from)) (i32.const 0xffffff)))

  ;; Reads an integer: n, or -1-n with major type 1.
  (func $int (result i64) (local $n i64)
    (local.set $n (call $head))
    (if (i32.or (i32.gt_u (global.get $major) (i32.const 1)) (i64.lt_s (local.get $n) (i64.const 0)))
      (then (global.set $bad (i32.const 1))))
    (i64.xor (local.get $n) (i64.sub (i64.const 0) (i64.extend_i32_u (global.get $major)))))

  ;; Whether the request has so many items, and all was read and as it should be.
  (func $done (param $items i32) (result i32)
    (i32.and (i32.eq (i32.load8_u (i32.const 4096)) (i32.or (i32.const 0x80) (local.get $items)))
      (i32.and (i32.eqz (global.get $bad)) (i32.eq (global.get $at) (global.get $end)))))

  ;; Writes an integer to memory, and returns the first byte behind it.
  (func $write_int (param $to i32) (param $n i64) (result i32) (local $type i32) (local $size i32)
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then (local.set $type (i32.const 0x20)) (local.set $n (i64.xor (local.get $n) (i64.const -1)))))
    (if (i64.lt_u (local.get $n) (i64.const 24))
      (then
        (i32.store8 (local.get $to) (i32.or (local.get $type) (i32.wrap_i64 (local.get $n))))
        (return (i32.add (local.get $to) (i32.const 1)))))
    (local.set $size (i32.const 3)) ;; as a power of two
    (if (i64.lt_u (local.get $n) (i64.const 0x100000000)) (then (local.set $size (i32.const 2))))
    (if (i64.lt_u (local.get $n) (i64.const 0x10000)) (then (local.set $size (i32.const 1))))
    (if (i64.lt_u (local.get $n) (i64.const 0x100)) (then (local.set $size (i32.const 0))))
    (i32.store8 (local.get $to) (i32.or (local.get $type) (i32.add (i32.const 24) (local.get $size))))
    (local.set $size (i32.shl (i32.const 1) (local.get $size)))
    (local.set $type (local.get $size))
    (loop $next ;; from the last byte to the first
      (i32.store8 (i32.add (local.get $to) (local.get $type)) (i32.wrap_i64 (local.get $n)))
      (local.set $n (i64.shr_u (local.get $n) (i64.const 8)))
      (local.set $type (i32.sub (local.get $type) (i32.const 1)))
      (br_if $next (local.get $type)))
    (i32.add (local.get $to) (i32.add (local.get $size) (i32.const 1))))

  (func $answer
    (call $output_write (i32.const 1024) (i32.sub (call $write_int (i32.const 1024) (global.get $count)) (i32.const 1024))))

  (func $malformed (result i32) (call $output_write (i32.const 0) (i32.const 17)) (i32.const 16))
  (func $unknown (result i32) (call $output_write (i32.const 32) (i32.const 17)) (i32.const 16))

  (func $beyond (param $n i64) (result i32)
    (i32.or (i64.gt_s (local.get $n) (global.get $limit)) (i64.lt_s (local.get $n) (i64.sub (i64.const 0) (global.get $limit)))))

  (func (export "lockstep_apply") (result i32) (local $op i32) (local $n i64)
    (call $read_input)
    (local.set $op (call $operation))
    (if (global.get $bad) (then (return (call $malformed))))
    (if (i32.ne (local.get $op) (i32.const 0x646461)) (then (return (call $unknown)))) ;; "add", its first byte the lowest
    (local.set $n (call $int))
    (if (i32.eqz (call $done (i32.const 2))) (then (return (call $malformed))))
    (if (i32.or (call $beyond (local.get $n)) (call $beyond (i64.add (global.get $count) (local.get $n))))
      (then (call $output_write (i32.const 64) (i32.const 12)) (return (i32.const 17))))
    (global.set $count (i64.add (global.get $count) (local.get $n)))
    (memory.copy (i32.const 2048) (i32.const 96) (i32.const 9))
    (call $emit (i32.const 2048) (i32.sub (call $write_int (i32.const 2057) (global.get $count)) (i32.const 2048)))
    (call $answer)
    (i32.const 0))

  (func (export "lockstep_query") (result i32) (local $op i32)
    (call $read_input)
    (local.set $op (call $operation))
    (if (global.get $bad) (then (return (call $malformed))))
    (if (i32.ne (local.get $op) (i32.const 0x746567)) (then (return (call $unknown)))) ;; "get"
    (if (i32.eqz (call $done (i32.const 1))) (then (return (call $malformed))))
    (call $answer)
    (i32.const 0))

  ;; The saved state is the same in all languages, so that any may take over.
  (func (export "lockstep_save") (result i32) (call $answer) (i32.const 0))
  (func (export "lockstep_load") (result i32)
    (call $read_input)
    (global.set $count (call $int))
    (i32.and (i32.const 16) (i32.sub (i32.const 0) (i32.or (global.get $bad) (i32.ne (global.get $at) (global.get $end)))))))
