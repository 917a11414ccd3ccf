// A counter: ["add", n] adds, ["get"] asks.
import { Machine, Reader, Request, Writer, emit, register } from "../../../sdk/assemblyscript/lockstep";
export * from "../../../sdk/assemblyscript/exports";

const LIMIT: i64 = (1 << 53) - 1; // what every language can count to, JavaScript too

class Counter extends Machine {
  n: i64 = 0;

  apply(q: Request): Writer | null {
    if (q.op != "add") return q.unknown();
    const n = q.int();
    if (!q.end(1)) return q.malformed();
    if (n < -LIMIT || n > LIMIT || this.n + n < -LIMIT || this.n + n > LIMIT) return q.reject(17, "out of range");
    this.n += n;
    emit(new Writer().array(2).text("changed").int(this.n));
    return new Writer().int(this.n);
  }

  query(q: Request): Writer | null {
    if (q.op != "get") return q.unknown();
    return q.end(0) ? new Writer().int(this.n) : q.malformed();
  }

  // The saved state is the same in all languages, so that any may take over.
  save(w: Writer): void { w.int(this.n); }
  load(r: Reader): bool {
    this.n = r.int();
    return r.done();
  }
}

register(new Counter());
