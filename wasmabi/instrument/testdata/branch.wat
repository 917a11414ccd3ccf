;; Conditional branches on `0 < (x & y)`, which wazero v1.12.0's compiler takes the wrong way: the zero on the left, in
;; place, through a local and as i64. Each returns 1 where the condition holds.
(module
  (func (export "if_lt_s") (param i32 i32) (result i32)
    (if (result i32) (i32.lt_s (i32.const 0) (i32.and (local.get 0) (local.get 1))) (then (i32.const 1)) (else (i32.const 0))))
  (func (export "if_gt_s") (param i32 i32) (result i32)
    (if (result i32) (i32.gt_s (i32.const 0) (i32.and (local.get 0) (local.get 1))) (then (i32.const 1)) (else (i32.const 0))))
  (func (export "if_le_u") (param i32 i32) (result i32)
    (if (result i32) (i32.le_u (i32.const 0) (i32.and (local.get 0) (local.get 1))) (then (i32.const 1)) (else (i32.const 0))))
  (func (export "br_if_lt_s") (param i32 i32) (result i32)
    (block (br_if 0 (i32.lt_s (i32.const 0) (i32.and (local.get 0) (local.get 1)))) (return (i32.const 0)))
    (i32.const 1))
  (func (export "zero_local") (param i32 i32) (result i32) (local i32)
    (if (result i32) (i32.lt_s (local.get 2) (i32.and (local.get 0) (local.get 1))) (then (i32.const 1)) (else (i32.const 0))))
  (func (export "condition_local") (param i32 i32) (result i32) (local i32)
    (local.set 2 (i32.lt_s (i32.const 0) (i32.and (local.get 0) (local.get 1))))
    (if (result i32) (local.get 2) (then (i32.const 1)) (else (i32.const 0))))
  (func (export "i64") (param i32 i32) (result i32)
    (if (result i32) (i64.lt_s (i64.const 0) (i64.and (i64.extend_i32_s (local.get 0)) (i64.extend_i32_s (local.get 1)))) (then (i32.const 1)) (else (i32.const 0)))))
