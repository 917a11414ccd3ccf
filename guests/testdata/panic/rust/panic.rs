//! Reads past the end of a slice, and fills the memory.
use lockstep::{Answer, Ctx, Machine};

#[derive(Default)]
struct Faulty(Vec<Vec<u8>>);

impl Machine for Faulty {
    fn apply(&mut self, _: &Ctx, input: &[u8]) -> Answer {
        while input.len() == 2 {
            self.0.push(Vec::with_capacity(1 << 20));
        }
        Ok(vec![input[10]])
    }
}

lockstep::machine!(Faulty);
