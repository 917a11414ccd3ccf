//! The Lockstep SDK for Rust: a replicated state machine is a type that
//! implements [`Machine`], and one line that makes it the guest's.
//!
//! ```ignore
//! use lockstep::{Answer, Ctx, Machine, Reject, Request};
//!
//! #[derive(Default)]
//! struct Counter { n: i64 }
//!
//! impl Machine for Counter {
//!     fn apply(&mut self, _: &Ctx, input: &[u8]) -> Answer {
//!         let mut q = Request::new(input)?;          // ["add", 2]
//!         match q.op {
//!             "add" => { self.n += q.int()?; q.end(1)? }
//!             _ => return Err(Reject::unknown()),
//!         }
//!         Ok(lockstep::Writer::new().int(self.n).bytes)
//!     }
//! }
//!
//! lockstep::machine!(Counter);
//! ```
//!
//! It is built for `wasm32-unknown-unknown` as a `cdylib` (of Cargo: `cargo build --release
//! --target wasm32-unknown-unknown`), and needs `alloc` but not `std`, and no other crate. An input that is rejected, panics or runs out of gas
//! leaves no trace: there is nothing to undo.
#![no_std]

extern crate alloc;

mod cbor;
mod host;

pub use cbor::{Reader, Request, Writer};
pub use host::{log, Ctx};
#[doc(hidden)]
pub use host::{input, output};

use alloc::{borrow::Cow, vec::Vec};

/// What a machine answers: the output, or why the input is rejected.
pub type Answer = Result<Vec<u8>, Reject>;

/// A rejection: a code for the caller to branch on, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub code: u32,
    pub message: Cow<'static, str>,
}

impl Reject {
    /// A rejection; codes of a machine's own begin at 17.
    pub fn new(code: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Reject { code, message: message.into() }
    }
    /// The input is no request that the machine could read.
    pub fn malformed() -> Self {
        Self::new(16, "malformed request")
    }
    /// The request is for something else than the machine does.
    pub fn unknown() -> Self {
        Self::new(16, "unknown operation")
    }
}

/// A replicated state machine. All of the guest's memory is its state.
pub trait Machine: Default {
    /// Runs one input.
    fn apply(&mut self, ctx: &Ctx, input: &[u8]) -> Answer;

    /// Answers a read.
    fn query(&self, _ctx: &Ctx, _input: &[u8]) -> Answer {
        Err(Reject::unknown())
    }
    /// Says when the state is not as it must always be. `lockstep test` asks after each input,
    /// replicas at each audit.
    fn invariant(&self) -> Result<(), Reject> {
        Ok(())
    }
    /// Is run once, when the machine is deployed.
    fn init(&mut self, _ctx: &Ctx) -> Result<(), Reject> {
        Ok(())
    }
    /// Is run when a timer that [`Ctx::set_timer`] set is due.
    fn timer(&mut self, _ctx: &Ctx, _id: i64) -> Result<(), Reject> {
        Err(Reject::unknown())
    }
    /// Writes the state, for a new build to load after an upgrade.
    fn save(&self) -> Answer {
        Err(Reject::unknown())
    }
    /// Reads what `save` wrote. `self` is new.
    fn load(&mut self, _saved: &[u8]) -> Result<(), Reject> {
        Err(Reject::unknown())
    }
}

/// Makes a type the guest's machine, by the exports of the contract. What a panic
/// says is logged. A crate without `std` has `machine!(Counter, no_std)`, and
/// a `#[panic_handler]` that may call [`log`].
#[macro_export]
macro_rules! machine {
    ($machine:ty) => {
        $crate::machine!($machine, ::std::panic::set_hook(::std::boxed::Box::new(|panic| $crate::log(&panic.to_string()))));
    };
    ($machine:ty, no_std) => {
        $crate::machine!($machine, ());
    };
    ($machine:ty, $first:expr) => {
        static mut MACHINE: Option<$machine> = None;

        // A guest has one thread, and no export calls another.
        #[allow(static_mut_refs)]
        fn machine() -> &'static mut $machine {
            unsafe {
                MACHINE.get_or_insert_with(|| {
                    $first;
                    Default::default()
                })
            }
        }
        #[no_mangle]
        pub extern "C" fn lockstep_apply() -> u32 {
            $crate::output($crate::Machine::apply(machine(), &$crate::Ctx::new(), &$crate::input()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_query() -> u32 {
            $crate::output($crate::Machine::query(machine(), &$crate::Ctx::new(), &$crate::input()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_invariant() -> u32 {
            $crate::output($crate::Machine::invariant(machine()).map(|_| Default::default()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_init() -> u32 {
            $crate::output($crate::Machine::init(machine(), &$crate::Ctx::new()).map(|_| Default::default()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_timer() -> u32 {
            let mut id = [0; 8];
            id.copy_from_slice(&$crate::input());
            $crate::output($crate::Machine::timer(machine(), &$crate::Ctx::new(), i64::from_le_bytes(id)).map(|_| Default::default()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_save() -> u32 {
            $crate::output($crate::Machine::save(machine()))
        }
        #[no_mangle]
        pub extern "C" fn lockstep_load() -> u32 {
            $crate::output($crate::Machine::load(machine(), &$crate::input()).map(|_| Default::default()))
        }
    };
}
