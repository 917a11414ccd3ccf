// The host functions of the guest contract.
@external("lockstep_v1", "input_size") export declare function input_size(): u32;
@external("lockstep_v1", "input_read") export declare function input_read(into: usize, size: u32, offset: u32): u32;
@external("lockstep_v1", "output_write") export declare function output_write(from: usize, size: u32): void;
@external("lockstep_v1", "time") export declare function time(): i64; // ordered, nanoseconds since 1970 UTC
@external("lockstep_v1", "seq") export declare function seq(): u64;
@external("lockstep_v1", "caller") export declare function host_caller(into: usize): void;
@external("lockstep_v1", "random") export declare function host_random(into: usize, size: u32): void;
@external("lockstep_v1", "emit") export declare function host_emit(from: usize, size: u32): void;
@external("lockstep_v1", "set_timer") export declare function set_timer(id: i64, at: i64): void; // at 0 cancels
@external("lockstep_v1", "log") export declare function host_log(from: usize, size: u32): void;
