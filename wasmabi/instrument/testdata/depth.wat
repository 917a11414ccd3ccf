;; Which functions count their depth: those from which calls may come back, and their callers.
(module
  (type $t (func (param i32) (result i32)))
  (table 1 funcref)
  (elem (i32.const 0) $through)
  (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $chain (param i32) (result i32) (call $leaf (call $leaf (local.get 0))))
  (func $self (export "self") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (call $chain (i32.const 0)))
      (else (call $self (i32.sub (local.get 0) (i32.const 1))))))
  (func $through (export "through") (type $t)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 5))
      (else (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
  (func (export "chained") (param i32) (result i32) (call $chain (local.get 0)))
  ;; A loop that calls nothing, behind one that calls: both are paid for.
  (func (export "loops") (param i32) (result i32) (local $i i32)
    (loop $outer
      (drop (call $self (i32.const 3)))
      (local.set $i (i32.const 10))
      (loop $inner (br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $outer (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $i))
  (func (export "caller") (param i32) (result i32) (call $self (local.get 0))))
