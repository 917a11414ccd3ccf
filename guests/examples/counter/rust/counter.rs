//! A counter: ["add", n] adds, ["get"] asks.

use lockstep::{Answer, Ctx, Machine, Reader, Reject, Request, Writer};

/// What every language can count to, JavaScript too.
const LIMIT: i64 = (1 << 53) - 1;

#[derive(Default)]
struct Counter {
    n: i64,
}

impl Machine for Counter {
    fn apply(&mut self, ctx: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        if q.op != "add" {
            return Err(Reject::unknown());
        }
        let n = q.int()?;
        q.end(1)?;
        let sum = self.n.checked_add(n).filter(|sum| sum.abs() <= LIMIT && n >= -LIMIT && n <= LIMIT);
        self.n = sum.ok_or(Reject::new(17, "out of range"))?;
        ctx.emit(&Writer::new().array(2).text("changed").int(self.n).bytes);
        self.save()
    }

    fn query(&self, _: &Ctx, input: &[u8]) -> Answer {
        let q = Request::new(input)?;
        if q.op != "get" {
            return Err(Reject::unknown());
        }
        q.end(0)?;
        self.save()
    }

    // The saved state is the same in all languages, so that any may take over.
    fn save(&self) -> Answer {
        Ok(Writer::new().int(self.n).bytes)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), Reject> {
        let mut r = Reader::new(saved);
        self.n = r.int()?;
        r.end()
    }
}

lockstep::machine!(Counter);
