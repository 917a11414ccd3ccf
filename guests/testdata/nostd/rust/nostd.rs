//! Is written without std: it has an allocator and a panic handler of its own.
#![no_std]
#![feature(default_alloc_error_handler)] // which Rust has by itself from 1.68 on

extern crate alloc;

use alloc::{format, vec};
use core::alloc::{GlobalAlloc, Layout};
use lockstep::{Answer, Ctx, Machine};

struct Bump;

static mut NEXT: usize = 0;

extern "C" {
    static __heap_base: u8; // the linker's: where nothing else is
}

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        NEXT = NEXT.max(&__heap_base as *const u8 as usize);
        let at = (NEXT + l.align() - 1) & !(l.align() - 1);
        NEXT = at + l.size();
        let pages = core::arch::wasm32::memory_size(0) << 16;
        if NEXT > pages && core::arch::wasm32::memory_grow(0, (NEXT - pages + 0xffff) >> 16) == usize::MAX {
            return core::ptr::null_mut();
        }
        at as *mut u8
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    lockstep::log(&format!("{info}"));
    core::arch::wasm32::unreachable()
}

#[derive(Default)]
struct Faulty;

impl Machine for Faulty {
    fn apply(&mut self, _: &Ctx, input: &[u8]) -> Answer {
        Ok(vec![input[10]])
    }
}

lockstep::machine!(Faulty, no_std);
