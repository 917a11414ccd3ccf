// The Lockstep SDK for JavaScript: it is run before the guest's own script, which
// registers a machine:
//
//   let n = 0;
//   register({
//     apply(request, ctx) {                 // ["add", 2]
//       if (request[0] !== "add") throw unknown();
//       const [d] = args(request, "int");
//       return n += d;                      // or throw reject(17, "why")
//     },
//     query(request) { … },                 // what it changes is undone
//     invariant() { … },                    // throws reject(17, "why") where the state is not as it must be:
//                                           // asked in tests after each input, by replicas at each audit
//     init(ctx) { … }, timer(id, ctx) { … }, save() { return n; }, load(saved) { n = saved; },
//   });
//
// Requests and answers are CBOR outside: integers (BigInt beyond 2^53), strings,
// Uint8Array, arrays, booleans and null. An input that is rejected, or throws anything
// else, leaves no trace in any variable: there is nothing to undo.
"use strict";
(function (global, host) {
  delete global.__host;

  class Reject extends Error {
    constructor(code, message) { super(message); this.code = code; }
  }
  const reject = (code, message) => new Reject(code, message); // codes from 17
  const malformed = () => reject(16, "malformed request");
  const unknown = () => reject(16, "unknown operation");

  // buffer is the ArrayBuffer with just these bytes.
  const buffer = (b) => b.byteLength === b.buffer.byteLength ? b.buffer : b.slice().buffer;
  const encode = (value) => new Uint8Array(host.encode(value));
  function decode(b) {
    const value = host.decode(buffer(b));
    if (value === undefined) throw malformed();
    return value;
  }
  const compare = (a, b) => host.compare(a, b); // the order of the bytes, for sort
  const byteLength = (text) => host.utf8(text).byteLength; // in UTF-8

  const is = {
    int: (v) => typeof v === "number" || typeof v === "bigint", text: (v) => typeof v === "string",
    bytes: (v) => v instanceof Uint8Array, bool: (v) => typeof v === "boolean", array: Array.isArray,
  };
  // args returns what follows the name of the operation, if it is of these types.
  function args(request, ...types) {
    if (request.length !== types.length + 1 || !types.every((t, i) => is[t](request[i + 1]))) throw malformed();
    return request.slice(1);
  }

  const ctx = Object.freeze({
    time: () => host.time(), // ordered, BigInt of nanoseconds since 1970 UTC
    seq: () => host.seq(),
    caller: () => new Uint8Array(host.caller()),
    random: (n) => new Uint8Array(host.random(n)),
    emit: (event) => host.emit(host.encode(event)),
    setTimer: (id, at) => host.setTimer(BigInt(id), BigInt(at)), // at 0 cancels
    log: (line) => host.log(String(line)),
  });
  Math.random = () => {
    const [a, b] = new Uint32Array(host.random(8));
    return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
  };

  let machine = null;
  function register(m) {
    if (machine) throw new Error("register was called twice");
    if (typeof m.apply !== "function") throw new TypeError("a machine has a function apply");
    machine = m;
  }

  function request() {
    const q = decode(new Uint8Array(host.input()));
    if (!Array.isArray(q) || typeof q[0] !== "string") throw malformed();
    return q;
  }
  const optional = (f, ...rest) => {
    if (typeof machine[f] !== "function") throw unknown();
    return machine[f](...rest);
  };
  const run = {
    apply: () => machine.apply(request(), ctx),
    query: () => optional("query", request(), ctx),
    timer: () => optional("timer", new BigInt64Array(host.input())[0], ctx),
    save: () => optional("save"),
    invariant: () => { if (machine.invariant) machine.invariant(); },
    init: () => { if (machine.init) machine.init(ctx); },
    load: () => { optional("load", decode(new Uint8Array(host.input()))); },
  };
  const answers = { apply: true, query: true, save: true };

  function lockstep(what) {
    if (!machine) throw new Error("the script registered no machine");
    try {
      const answer = run[what]();
      if (answers[what]) host.output(host.encode(answer));
      return 0;
    } catch (e) {
      if (!(e instanceof Reject)) throw e;
      host.output(host.utf8(e.message));
      return e.code || 1;
    }
  }

  Object.assign(global, { register, reject, malformed, unknown, args, byteLength, compare, cbor: Object.freeze({ encode, decode }) });
  Object.defineProperty(global, "__lockstep", { value: lockstep });
})(globalThis, __host);
