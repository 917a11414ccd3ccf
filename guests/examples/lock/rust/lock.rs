//! Locks with leases. ["acquire", name, ms] answers with a token that grows with every
//! acquisition, for what the lock protects to refuse an older one; the holder extends its lease
//! by acquiring again. ["release", name] gives it back. A lease that ends is taken back by a
//! timer, at ordered time: all replicas agree on when, and no client's clock matters.

use lockstep::{Answer, Ctx, Machine, Reader, Reject, Request, Writer};
use std::collections::BTreeMap;

const MAX_NAME: usize = 128;
const MAX_LEASE: i64 = 86_400_000; // ms
const MAX_LOCKS: usize = 10_000; // held at once, each with a timer

struct Lease {
    token: i64,
    client: [u8; 32],
}

#[derive(Default)]
struct Locks {
    held: BTreeMap<String, Lease>,
    names: BTreeMap<i64, String>, // of the locks held, by token, which is the timer's id
    last: i64,                    // token
}

impl Locks {
    fn acquire(&mut self, ctx: &Ctx, name: &str, ms: i64) -> Result<i64, Reject> {
        let token = match self.held.get(name) {
            Some(lease) if lease.client != ctx.caller() => return Err(Reject::new(17, "held by another client")),
            Some(lease) => lease.token,
            None if self.held.len() == MAX_LOCKS => return Err(Reject::new(19, "too many locks are held")),
            None => {
                self.last += 1;
                self.hold(name, Lease { token: self.last, client: ctx.caller() });
                ctx.emit(&Writer::new().array(3).text("acquired").text(name).int(self.last).bytes);
                self.last
            }
        };
        ctx.set_timer(token, ctx.time() + ms * 1_000_000);
        Ok(token)
    }

    fn hold(&mut self, name: &str, lease: Lease) {
        self.names.insert(lease.token, name.into());
        self.held.insert(name.into(), lease);
    }

    fn free(&mut self, token: i64) -> Option<String> {
        let name = self.names.remove(&token)?;
        self.held.remove(&name);
        Some(name)
    }
}

impl Machine for Locks {
    fn apply(&mut self, ctx: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "acquire" => {
                let (name, ms) = (q.text()?, q.int()?);
                q.end(2)?;
                if name.len() > MAX_NAME || !(1..=MAX_LEASE).contains(&ms) {
                    return Err(Reject::malformed());
                }
                Ok(Writer::new().int(self.acquire(ctx, name, ms)?).bytes)
            }
            "release" => {
                let name = q.text()?;
                q.end(1)?;
                let token = match self.held.get(name) {
                    Some(lease) if lease.client == ctx.caller() => lease.token,
                    _ => return Err(Reject::new(18, "not held by this client")),
                };
                self.free(token);
                ctx.stop_timer(token);
                ctx.emit(&Writer::new().array(2).text("released").text(name).bytes);
                Ok(Writer::new().null().bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    /// ["token", name] answers with the holder's token, or null; ["held"] with the number of locks.
    fn query(&self, _: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "token" => {
                let name = q.text()?;
                q.end(1)?;
                Ok(match self.held.get(name) {
                    Some(lease) => Writer::new().int(lease.token).bytes,
                    None => Writer::new().null().bytes,
                })
            }
            "held" => {
                q.end(0)?;
                Ok(Writer::new().int(self.held.len() as i64).bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    fn timer(&mut self, ctx: &Ctx, token: i64) -> Result<(), Reject> {
        if let Some(name) = self.free(token) {
            ctx.emit(&Writer::new().array(3).text("expired").text(&name).int(token).bytes);
        }
        Ok(())
    }

    // [last token, [[name, token, client], …]]; the timers stay pending by themselves.
    fn save(&self) -> Answer {
        let w = Writer::new().array(2).int(self.last).array(self.held.len());
        Ok(self.held.iter().fold(w, |w, (name, l)| w.array(3).text(name).int(l.token).data(&l.client)).bytes)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), Reject> {
        let mut r = Reader::new(saved);
        if r.array()? != 2 {
            return Err(Reject::malformed());
        }
        self.last = r.int()?;
        for _ in 0..r.array()? {
            if r.array()? != 3 {
                return Err(Reject::malformed());
            }
            let (name, token, client) = (r.text()?, r.int()?, r.data()?);
            let client = client.try_into().map_err(|_| Reject::malformed())?;
            self.hold(name, Lease { token, client });
        }
        r.end()
    }
}

lockstep::machine!(Locks);
