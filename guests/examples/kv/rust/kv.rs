//! An ordered map from text to text.

use lockstep::{Answer, Ctx, Machine, Reader, Reject, Request, Writer};
use std::collections::BTreeMap;

const MAX_KEY: usize = 1024;
const MAX_VALUE: usize = 65536;
const MAX_RANGE: i64 = 1000;

#[derive(Default)]
struct Kv {
    map: BTreeMap<String, String>,
}

fn encode<'a>(entries: impl Iterator<Item = (&'a String, &'a String)>) -> Answer {
    let entries: Vec<_> = entries.collect();
    let w = Writer::new().array(entries.len());
    Ok(entries.iter().fold(w, |w, (k, v)| w.array(2).text(k).text(v)).bytes)
}

impl Machine for Kv {
    fn apply(&mut self, _: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "put" => {
                let (key, value) = (q.text()?, q.text()?);
                q.end(2)?;
                if key.len() > MAX_KEY || value.len() > MAX_VALUE {
                    return Err(Reject::new(17, "key or value too large"));
                }
                self.map.insert(key.into(), value.into());
                Ok(Writer::new().null().bytes)
            }
            "delete" => {
                let key = q.text()?;
                q.end(1)?;
                Ok(Writer::new().bool(self.map.remove(key).is_some()).bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    fn query(&self, _: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "get" => {
                let key = q.text()?;
                q.end(1)?;
                Ok(match self.map.get(key) {
                    Some(value) => Writer::new().text(value).bytes,
                    None => Writer::new().null().bytes,
                })
            }
            "range" => {
                let (from, to, limit) = (q.text()?, q.text()?, q.int()?);
                q.end(3)?;
                if !(1..=MAX_RANGE).contains(&limit) {
                    return Err(Reject::malformed());
                }
                let below = |k: &str| to.is_empty() || k < to;
                encode(self.map.range::<str, _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded)).take_while(|(k, _)| below(k)).take(limit as usize))
            }
            "count" => {
                q.end(0)?;
                Ok(Writer::new().int(self.map.len() as i64).bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    // The saved state is all of the map, the same in all languages.
    fn save(&self) -> Answer {
        encode(self.map.iter())
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), Reject> {
        let mut r = Reader::new(saved);
        for _ in 0..r.array()? {
            if r.array()? != 2 {
                return Err(Reject::malformed());
            }
            let (key, value) = (r.text()?, r.text()?);
            self.map.insert(key.into(), value.into());
        }
        r.end()
    }
}

lockstep::machine!(Kv);
