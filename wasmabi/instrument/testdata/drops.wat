;; Two segments that code drops, behind a global: the flag of each is a global of its own.
(module
  (memory (export "memory") 1)
  (global (mut i32) (i32.const 7))
  (data $a "abcd")
  (data "kept")
  (data $b "efgh")
  (func (export "a") (result i32) (memory.init $a (i32.const 0) (i32.const 0) (i32.const 4)) (i32.load (i32.const 0)))
  (func (export "b") (result i32) (memory.init $b (i32.const 0) (i32.const 0) (i32.const 4)) (i32.load (i32.const 0)))
  (func (export "drop_a") (data.drop $a))
  (func (export "drop_b") (data.drop $b)))
