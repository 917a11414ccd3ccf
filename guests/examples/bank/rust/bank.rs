//! A bank: accounts that are opened, and money that comes in, moves and goes out.
//! Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.

use lockstep::{Answer, Ctx, Machine, Reader, Reject, Request, Writer};
use std::collections::BTreeMap;

/// Of all money together.
const LIMIT: i64 = (1 << 53) - 1;

#[derive(Default)]
struct Bank {
    accounts: BTreeMap<String, i64>,
    /// That came in and did not go out.
    money: i64,
}

fn no_account() -> Reject {
    Reject::new(18, "no such account")
}

fn check(amount: i64) -> Result<(), Reject> {
    match amount {
        1..=LIMIT => Ok(()),
        _ => Err(Reject::new(20, "amount is not in range")),
    }
}

fn take(balance: &mut i64, amount: i64) -> Result<(), Reject> {
    if *balance < amount {
        return Err(Reject::new(19, "insufficient funds"));
    }
    *balance -= amount;
    Ok(())
}

impl Bank {
    fn total(&self) -> i64 {
        self.accounts.values().sum()
    }

    fn account(&mut self, name: &str) -> Result<&mut i64, Reject> {
        self.accounts.get_mut(name).ok_or_else(no_account)
    }

    fn transfer(&mut self, from: &str, to: &str, amount: i64) -> Result<(), Reject> {
        self.account(from)?;
        self.account(to)?;
        check(amount)?;
        take(self.account(from)?, amount)?;
        *self.account(to)? += amount;
        Ok(())
    }
}

impl Machine for Bank {
    fn apply(&mut self, ctx: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "open" => {
                let name = q.text()?;
                q.end(1)?;
                if name.is_empty() || name.len() > 64 {
                    return Err(Reject::malformed());
                }
                if self.accounts.contains_key(name) {
                    return Err(Reject::new(17, "account exists"));
                }
                self.accounts.insert(name.into(), 0);
                Ok(Writer::new().null().bytes)
            }
            "deposit" | "withdraw" => {
                let (name, amount) = (q.text()?, q.int()?);
                q.end(2)?;
                let money = self.money;
                let balance = self.account(name)?;
                check(amount)?;
                if q.op == "deposit" {
                    check(money + amount)?;
                    *balance += amount;
                } else {
                    take(balance, amount)?;
                }
                let answer = Writer::new().int(*balance).bytes;
                self.money += if q.op == "deposit" { amount } else { -amount };
                Ok(answer)
            }
            "transfer" => {
                let (from, to, amount) = (q.text()?, q.text()?, q.int()?);
                q.end(3)?;
                self.transfer(from, to, amount)?;
                ctx.emit(&Writer::new().array(4).text("transferred").text(from).text(to).int(amount).bytes);
                Ok(Writer::new().null().bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    fn query(&self, _: &Ctx, input: &[u8]) -> Answer {
        let mut q = Request::new(input)?;
        match q.op {
            "balance" => {
                let name = q.text()?;
                q.end(1)?;
                Ok(Writer::new().int(*self.accounts.get(name).ok_or_else(no_account)?).bytes)
            }
            "total" => {
                q.end(0)?;
                Ok(Writer::new().int(self.total()).bytes)
            }
            "invariant" => {
                q.end(0)?;
                Ok(Writer::new().bool(self.total() == self.money).bytes)
            }
            _ => Err(Reject::unknown()),
        }
    }

    fn invariant(&self) -> Result<(), Reject> {
        if self.total() == self.money {
            Ok(())
        } else {
            Err(Reject::new(21, "money is not conserved"))
        }
    }

    // The saved state is [money, [[name, balance], …]], the same in all languages.
    fn save(&self) -> Answer {
        let w = Writer::new().array(2).int(self.money).array(self.accounts.len());
        Ok(self.accounts.iter().fold(w, |w, (name, balance)| w.array(2).text(name).int(*balance)).bytes)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), Reject> {
        let mut r = Reader::new(saved);
        if r.array()? != 2 {
            return Err(Reject::malformed());
        }
        self.money = r.int()?;
        for _ in 0..r.array()? {
            if r.array()? != 2 {
                return Err(Reject::malformed());
            }
            let (name, balance) = (r.text()?, r.int()?);
            self.accounts.insert(name.into(), balance);
        }
        r.end()
    }
}

lockstep::machine!(Bank);
