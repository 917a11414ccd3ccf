;; A passive segment that is dropped, and what memory.init makes of it before and after.
(module
  (memory (export "memory") 1)
  (data $d "abcd")
  (func (export "init") (param i32 i32) (result i32)
    (memory.init $d (i32.const 16) (local.get 0) (local.get 1))
    (i32.load (i32.const 16)))
  (data $a (i32.const 32) "efgh") ;; active: dropped from the start
  (func (export "active") (param i32 i32) (memory.init $a (i32.const 16) (local.get 0) (local.get 1)) (data.drop $a))
  (func (export "outside") (memory.init $d (i32.const 65537) (i32.const 0) (i32.const 0)))
  (func (export "drop") (data.drop $d)))
