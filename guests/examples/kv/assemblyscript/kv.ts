// An ordered map from text to text: an array that is sorted by key. Strings of
// AssemblyScript are UTF-16 and compare as such, so that keys are kept as bytes.
import { Machine, Reader, Request, Writer, register } from "../../../sdk/assemblyscript/lockstep";
export * from "../../../sdk/assemblyscript/exports";

const MAX_KEY = 1024, MAX_VALUE = 65536, MAX_RANGE: i64 = 1000;

class Entry {
  constructor(public key: string, public bytes: ArrayBuffer, public value: string) {}
}

function compare(a: ArrayBuffer, b: ArrayBuffer): i32 {
  const c = memory.compare(changetype<usize>(a), changetype<usize>(b), min(a.byteLength, b.byteLength));
  return c != 0 ? c : a.byteLength - b.byteLength;
}

class Kv extends Machine {
  entries: Entry[] = [];

  // find returns the first place whose key is not below the given one.
  private find(key: ArrayBuffer): i32 {
    let low = 0, high = this.entries.length;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (compare(this.entries[mid].bytes, key) < 0) low = mid + 1;
      else high = mid;
    }
    return low;
  }
  private has(i: i32, key: ArrayBuffer): bool {
    return i < this.entries.length && compare(this.entries[i].bytes, key) == 0;
  }
  private put(key: string, value: string): void {
    const bytes = String.UTF8.encode(key), i = this.find(bytes);
    if (this.has(i, bytes)) {
      this.entries[i].value = value;
      return;
    }
    this.entries.push(new Entry(key, bytes, value));
    for (let j = this.entries.length - 1; j > i; j--) this.entries[j] = this.entries[j - 1];
    this.entries[i] = new Entry(key, bytes, value);
  }

  apply(q: Request): Writer | null {
    if (q.op == "put") {
      const key = q.text(), value = q.text();
      if (!q.end(2)) return q.malformed();
      if (String.UTF8.byteLength(key) > MAX_KEY || String.UTF8.byteLength(value) > MAX_VALUE) return q.reject(17, "key or value too large");
      this.put(key, value);
      return new Writer().null();
    }
    if (q.op == "delete") {
      const key = String.UTF8.encode(q.text());
      if (!q.end(1)) return q.malformed();
      const i = this.find(key), existed = this.has(i, key);
      if (existed) this.entries.splice(i, 1);
      return new Writer().bool(existed);
    }
    return q.unknown();
  }

  query(q: Request): Writer | null {
    if (q.op == "get") {
      const key = String.UTF8.encode(q.text());
      if (!q.end(1)) return q.malformed();
      const i = this.find(key);
      return this.has(i, key) ? new Writer().text(this.entries[i].value) : new Writer().null();
    }
    if (q.op == "range") {
      const from = String.UTF8.encode(q.text()), to = String.UTF8.encode(q.text()), limit = q.int();
      if (!q.end(3) || limit < 1 || limit > MAX_RANGE) return q.malformed();
      const i = this.find(from), end = to.byteLength > 0 ? this.find(to) : this.entries.length;
      return this.write(new Writer(), i, max(i, min(end, i + <i32>limit)));
    }
    if (q.op == "count") return q.end(0) ? new Writer().int(this.entries.length) : q.malformed();
    return q.unknown();
  }

  private write(w: Writer, from: i32, to: i32): Writer {
    w.array(to - from);
    for (let i = from; i < to; i++) w.array(2).text(this.entries[i].key).text(this.entries[i].value);
    return w;
  }

  // The saved state is all of the map, the same in all languages.
  save(w: Writer): void { this.write(w, 0, this.entries.length); }
  load(r: Reader): bool {
    for (let n = r.array(); n > 0 && !r.bad; n--) {
      if (r.array() != 2) return false;
      const key = r.text(), value = r.text();
      this.put(key, value);
    }
    return r.done();
  }
}

register(new Kv());
