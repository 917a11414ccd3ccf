;; Each stores what a select between what is at 16 and a constant gives, at 4, and traps. Upper halves of f64 are at 4.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "\01\02\03\04\05\06\07\08")
  (global $left (mut i32) (i32.const 0))
  (func $next
    (global.set $left (i32.sub (global.get $left) (i32.const 1)))
    (if (i32.lt_s (global.get $left) (i32.const 0)) (then unreachable)))
  (func (export "f32") (param $c i32) (local $x f32)
    (global.set $left (i32.const 1))
    (local.set $x (f32.load (i32.const 20)))
    (loop
      (call $next)
      (f32.store (i32.const 4) (select (local.get $x) (f32.const 3) (local.get $c)))
      (br 0)))
  (func (export "f64") (param $c i32) (local $x f64)
    (global.set $left (i32.const 1))
    (local.set $x (f64.load (i32.const 16)))
    (loop
      (call $next)
      (f64.store (i32.const 0) (select (local.get $x) (f64.const 3) (local.get $c)))
      (br 0)))
  (func (export "v128") (param $c i32) (local $x v128)
    (global.set $left (i32.const 1))
    (local.set $x (v128.load (i32.const 20)))
    (loop
      (call $next)
      (v128.store (i32.const 4) (select (result v128) (local.get $x) (v128.const i32x4 3 0 0 0) (local.get $c)))
      (br 0)))
  ;; The condition is one that must be kept apart from a branch.
  (func (export "ordered") (param $c i32)
    (f64.store (i32.const 0) (select (f64.load (i32.const 16)) (f64.const 3) (i32.lt_s (i32.const 0) (i32.and (local.get $c) (i32.const 7)))))
    unreachable)
  (func (export "stored") (result i32) (i32.load (i32.const 4))))
