// A bank: accounts that are opened, and money that comes in, moves and goes out.
// Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.
import { Machine, Reader, Request, Writer, emit, register } from "../../../sdk/assemblyscript/lockstep";
export * from "../../../sdk/assemblyscript/exports";

const LIMIT: i64 = (1 << 53) - 1; // of all money together
const MAX_NAME = 64;

// order is that of the bytes, as in the other languages.
function order(a: string, b: string): i32 {
  const x = String.UTF8.encode(a), y = String.UTF8.encode(b);
  const c = memory.compare(changetype<usize>(x), changetype<usize>(y), min(x.byteLength, y.byteLength));
  return c != 0 ? c : x.byteLength - y.byteLength;
}

function noAccount(q: Request): Writer | null { return q.reject(18, "no such account"); }
function badAmount(q: Request): Writer | null { return q.reject(20, "amount is not in range"); }
function insufficient(q: Request): Writer | null { return q.reject(19, "insufficient funds"); }

class Bank extends Machine {
  accounts: Map<string, i64> = new Map();
  money: i64 = 0; // that came in and did not go out

  apply(q: Request): Writer | null {
    if (q.op == "open") return this.open(q);
    if (q.op == "deposit") return this.change(q, 1);
    if (q.op == "withdraw") return this.change(q, -1);
    if (q.op == "transfer") return this.transfer(q);
    return q.unknown();
  }

  private open(q: Request): Writer | null {
    const name = q.text();
    if (!q.end(1) || name.length == 0 || String.UTF8.byteLength(name) > MAX_NAME) return q.malformed();
    if (this.accounts.has(name)) return q.reject(17, "account exists");
    this.accounts.set(name, 0);
    return new Writer().null();
  }

  // change deposits with sign 1, and withdraws with -1.
  private change(q: Request, sign: i64): Writer | null {
    const name = q.text(), amount = q.int();
    if (!q.end(2)) return q.malformed();
    if (!this.accounts.has(name)) return noAccount(q);
    if (amount < 1 || amount > LIMIT || (sign > 0 && this.money + amount > LIMIT)) return badAmount(q);
    const balance = this.accounts.get(name) + sign * amount;
    if (balance < 0) return insufficient(q);
    this.accounts.set(name, balance);
    this.money += sign * amount;
    return new Writer().int(balance);
  }

  private transfer(q: Request): Writer | null {
    const from = q.text(), to = q.text(), amount = q.int();
    if (!q.end(3)) return q.malformed();
    if (!this.accounts.has(from) || !this.accounts.has(to)) return noAccount(q);
    if (amount < 1 || amount > LIMIT) return badAmount(q);
    if (this.accounts.get(from) < amount) return insufficient(q);
    this.accounts.set(from, this.accounts.get(from) - amount);
    this.accounts.set(to, this.accounts.get(to) + amount);
    emit(new Writer().array(4).text("transferred").text(from).text(to).int(amount));
    return new Writer().null();
  }

  query(q: Request): Writer | null {
    if (q.op == "balance") {
      const name = q.text();
      if (!q.end(1)) return q.malformed();
      return this.accounts.has(name) ? new Writer().int(this.accounts.get(name)) : noAccount(q);
    }
    if (q.op != "total" && q.op != "invariant") return q.unknown();
    if (!q.end(0)) return q.malformed();
    return q.op == "total" ? new Writer().int(this.total()) : new Writer().bool(this.total() == this.money);
  }

  private total(): i64 {
    let sum: i64 = 0;
    const balances = this.accounts.values();
    for (let i = 0; i < balances.length; i++) sum += balances[i];
    return sum;
  }

  invariant(): string { return this.total() == this.money ? "" : "money is not conserved"; }

  // The saved state is [money, [[name, balance], …]], ascending by name, the same
  // in all languages.
  save(w: Writer): void {
    const names = this.accounts.keys().sort(order);
    w.array(2).int(this.money).array(names.length);
    for (let i = 0; i < names.length; i++) w.array(2).text(names[i]).int(this.accounts.get(names[i]));
  }
  load(r: Reader): bool {
    if (r.array() != 2) return false;
    this.money = r.int();
    for (let n = r.array(); n > 0 && !r.bad; n--) {
      if (r.array() != 2) return false;
      const name = r.text();
      this.accounts.set(name, r.int());
    }
    return r.done();
  }
}

register(new Bank());
