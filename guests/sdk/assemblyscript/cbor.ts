// The part of CBOR (RFC 8949) that messages are made of: integers, byte and text
// strings, arrays, booleans and null, each in its one shortest form.

export class Writer {
  private buffer: Uint8Array = new Uint8Array(64);
  size: i32 = 0;

  get at(): usize { return this.buffer.dataStart; }

  private put(from: usize, size: i32): Writer {
    if (this.size + size > this.buffer.length) {
      const larger = new Uint8Array(2 * this.buffer.length + size);
      memory.copy(larger.dataStart, this.buffer.dataStart, this.size);
      this.buffer = larger;
    }
    memory.copy(this.buffer.dataStart + this.size, from, size);
    this.size += size;
    return this;
  }
  private byte(b: u8): Writer {
    const one = new StaticArray<u8>(1);
    one[0] = b;
    return this.put(changetype<usize>(one), 1);
  }
  private head(major: u8, n: u64): Writer {
    if (n < 24) return this.byte((major << 5) | <u8>n);
    const size = n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
    this.byte((major << 5) | <u8>(size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27));
    for (let i = size - 1; i >= 0; i--) this.byte(<u8>(n >> (8 * i)));
    return this;
  }
  int(n: i64): Writer { return n < 0 ? this.head(1, ~n) : this.head(0, n); }
  text(s: string): Writer {
    const b = String.UTF8.encode(s);
    return this.head(3, b.byteLength).put(changetype<usize>(b), b.byteLength);
  }
  data(b: Uint8Array): Writer { return this.head(2, b.length).put(b.dataStart, b.length); }
  array(n: i32): Writer { return this.head(4, n); } // of the next n items
  bool(b: bool): Writer { return this.byte(b ? 0xf5 : 0xf4); }
  null(): Writer { return this.byte(0xf6); }
}

// Reader reads items. One that is not what is asked for makes it bad, and what
// it reads from then on is 0.
export class Reader {
  bad: bool = false;
  private at: i32 = 0;
  private major: i32 = 0; // of the head that was read last

  constructor(private from: Uint8Array) {}

  private left(): i32 { return this.from.length - this.at; }
  private spoil(): u64 {
    this.bad = true;
    this.major = -1;
    return 0;
  }
  private head(): u64 {
    if (this.bad || this.left() < 1) return this.spoil();
    const first = this.from[this.at++], info = first & 31;
    this.major = first >> 5;
    if (info < 24) return info;
    const size = 1 << (info - 24);
    if (info > 27 || this.left() < size) return this.spoil();
    let n: u64 = 0;
    for (let i = 0; i < size; i++) n = (n << 8) | this.from[this.at++];
    const least: u64 = size == 1 ? 24 : size == 2 ? 0x100 : size == 4 ? 0x10000 : 0x100000000;
    return n < least ? this.spoil() : n; // it has a shorter form
  }
  private want(major: i32): u64 {
    const n = this.head();
    return this.major == major ? n : this.spoil();
  }
  int(): i64 {
    const n = this.head();
    if (this.bad || this.major > 1 || n > <u64>i64.MAX_VALUE) return <i64>this.spoil();
    return this.major ? ~(<i64>n) : <i64>n;
  }
  private string(major: i32): Uint8Array {
    let n = this.want(major);
    if (n > <u64>this.left()) n = this.spoil();
    this.at += <i32>n;
    return this.from.slice(this.at - <i32>n, this.at);
  }
  text(): string {
    const b = this.string(3);
    return String.UTF8.decodeUnsafe(b.dataStart, b.length);
  }
  data(): Uint8Array { return this.string(2); }
  array(): i32 {
    const n = this.want(4);
    return n > <u64>this.left() ? <i32>this.spoil() : <i32>n;
  }
  done(): bool { return !this.bad && this.left() == 0; }
}

// Request is an array of the name of an operation and its arguments.
export class Request extends Reader {
  op: string;
  args: i32;
  code: u32 = 0; // of the rejection, and
  why: string = "";

  constructor(from: Uint8Array) {
    super(from);
    this.op = "";
    this.args = 0;
    this.args = this.array() - 1;
    this.op = this.text();
  }
  // end tells whether there were so many arguments, and all as they were asked for.
  end(args: i32): bool { return this.args == args && this.done(); }
  reject(code: u32, why: string): Writer | null {
    this.code = code;
    this.why = why;
    return null;
  }
  malformed(): Writer | null { return this.reject(16, "malformed request"); }
  unknown(): Writer | null { return this.reject(16, "unknown operation"); }
}
