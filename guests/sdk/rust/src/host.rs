//! The functions of the guest contract.

use crate::Answer;
use alloc::{vec, vec::Vec};

#[link(wasm_import_module = "lockstep_v1")]
extern "C" {
    fn input_size() -> u32;
    fn input_read(into: *mut u8, size: u32, offset: u32) -> u32;
    fn output_write(from: *const u8, size: u32);
    fn time() -> i64;
    fn seq() -> u64;
    fn caller(into: *mut u8);
    fn random(into: *mut u8, size: u32);
    fn emit(from: *const u8, size: u32);
    fn set_timer(id: i64, at: i64);
    #[link_name = "log"]
    fn host_log(from: *const u8, size: u32);
}

/// A line for the operator of a replica; no part of the state.
pub fn log(line: &str) {
    unsafe { host_log(line.as_ptr(), line.len() as u32) }
}

/// What a machine may know about the input that it runs, and do besides
/// answering it.
pub struct Ctx(());

impl Ctx {
    #[doc(hidden)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Ctx(())
    }
    /// Ordered time in nanoseconds since 1970 UTC, the same on all replicas.
    pub fn time(&self) -> i64 {
        unsafe { time() }
    }
    /// Position of the input's entry in the log.
    pub fn seq(&self) -> u64 {
        unsafe { seq() }
    }
    /// The client that asks; zeros for a timer.
    pub fn caller(&self) -> [u8; 32] {
        let mut id = [0; 32];
        unsafe { caller(id.as_mut_ptr()) };
        id
    }
    /// Bytes that are the same on all replicas and that nobody could know before.
    pub fn random(&self, into: &mut [u8]) {
        unsafe { random(into.as_mut_ptr(), into.len() as u32) }
    }
    /// Tells whoever subscribes, if the input is accepted.
    pub fn emit(&self, event: &[u8]) {
        unsafe { emit(event.as_ptr(), event.len() as u32) }
    }
    /// Has [`crate::Machine::timer`] called at the first entry ordered at or after `at`.
    pub fn set_timer(&self, id: i64, at: i64) {
        unsafe { set_timer(id, at.max(1)) }
    }
    /// Cancels a timer, if it is pending.
    pub fn stop_timer(&self, id: i64) {
        unsafe { set_timer(id, 0) }
    }
    /// A line for the operator of a replica; no part of the state.
    pub fn log(&self, line: &str) {
        log(line)
    }
}

pub fn input() -> Vec<u8> {
    let mut b = vec![0; unsafe { input_size() } as usize];
    unsafe { input_read(b.as_mut_ptr(), b.len() as u32, 0) };
    b
}

pub fn output(answer: Answer) -> u32 {
    let write = |b: &[u8]| unsafe { output_write(b.as_ptr(), b.len() as u32) };
    match answer {
        Ok(bytes) => {
            write(&bytes);
            0
        }
        Err(reject) => {
            write(reject.message.as_bytes());
            reject.code.max(1)
        }
    }
}
