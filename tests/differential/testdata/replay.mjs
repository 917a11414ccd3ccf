// A second host for guests, on V8: it runs a recorded run of calls.
//   node replay.mjs MODULE CALLS STATE
// MODULE is instrumented. CALLS has a line of JSON for each call:
//   {"export", "input": base64, "time", "gas", "random": base64}, random being the start of its stream.
// It writes a line of JSON for each, {"code", "end", "gas", "output": base64}, and at the end
// the memory to STATE and {"globals": [string]} as the last line. A call that fails is undone.
import { readFileSync, writeFileSync } from "node:fs";

const [, , modulePath, callsPath, statePath] = process.argv;
const callPrice = 64n, vectorPrice = 8n, streamPrice = 512n, bytesPerGas = 4, clockStep = 1000n;
const ok = 0, badf = 8, inval = 28, nosys = 52;

let exports, current, clock = 0n;
const view = () => new DataView(exports.memory.buffer);
const bytes = (at, n) => new Uint8Array(exports.memory.buffer, at >>> 0, n >>> 0);

function charge(price) {
  const gas = exports["lockstep:gas"];
  gas.value -= BigInt(price);
  if (gas.value < 0n) throw new WebAssembly.RuntimeError("gas");
}
const chargeBytes = (n) => charge(Math.floor(n / bytesPerGas));

function readClock() {
  clock += clockStep;
  if (clock < current.time) clock = current.time;
  return clock;
}

const host = {
  lockstep_v1: {
    input_size: () => current.input.length,
    input_read: (at, n, offset) => {
      const rest = current.input.subarray(Math.min(offset >>> 0, current.input.length));
      const count = Math.min(n >>> 0, rest.length);
      if (rest.length) chargeBytes(count);
      bytes(at, count).set(rest.subarray(0, count));
      return count;
    },
    output_write: (at, n) => {
      chargeBytes(n >>> 0);
      current.output.push(bytes(at, n).slice());
    },
  },
  wasi_snapshot_preview1: {
    args_get: () => ok,
    environ_get: () => ok,
    args_sizes_get: (a, b) => (view().setUint32(a, 0, true), view().setUint32(b, 0, true), ok),
    environ_sizes_get: (a, b) => (view().setUint32(a, 0, true), view().setUint32(b, 0, true), ok),
    clock_time_get: (id, _, at) => (id > 3 ? inval : (view().setBigUint64(at, readClock(), true), ok)),
    random_get: (at, n) => {
      charge((current.drawn === 0 ? streamPrice : 0n) + BigInt(n));
      if (current.drawn + n > current.random.length) throw new Error("the record has too little randomness");
      bytes(at, n).set(current.random.subarray(current.drawn, current.drawn + n));
      current.drawn += n;
      return ok;
    },
    fd_write: (fd, vectors, count, written) => {
      if (fd !== 1 && fd !== 2) return badf;
      charge(vectorPrice * BigInt(count));
      let all = 0;
      for (let i = 0; i < count; i++) {
        const n = view().getUint32(vectors + 8 * i + 4, true);
        chargeBytes(n);
        all += n;
      }
      view().setUint32(written, all, true);
      return ok;
    },
    poll_oneoff: (from, to, count, events) => {
      charge(vectorPrice * BigInt(count));
      const now = readClock();
      const subscriptions = [];
      for (let i = 0; i < count; i++) {
        const at = from + 48 * i, v = view();
        if (v.getUint8(at + 8) !== 0) throw new Error("poll of a stream");
        let wait = v.getBigUint64(at + 24, true);
        if (v.getUint16(at + 40, true) & 1) wait = wait > now ? wait - now : 0n;
        subscriptions.push({ user: v.getBigUint64(at, true), wait });
      }
      const first = subscriptions.reduce((a, s) => (s.wait < a ? s.wait : a), subscriptions[0].wait);
      clock += first;
      let ready = 0;
      for (const s of subscriptions) {
        if (s.wait > first) continue;
        bytes(to + 32 * ready, 32).fill(0);
        view().setBigUint64(to + 32 * ready++, s.user, true);
      }
      view().setUint32(events, ready, true);
      return ok;
    },
    sched_yield: () => ok,
    proc_exit: () => { throw new WebAssembly.RuntimeError("exit"); },
    fd_fdstat_get: (fd, at) => {
      if (fd > 2) return badf;
      bytes(at, 24).fill(0);
      view().setUint8(at, 2);
      view().setBigUint64(at + 8, fd === 0 ? 2n : 64n, true);
      return ok;
    },
    fd_prestat_get: () => badf,
    fd_prestat_dir_name: () => badf,
    fd_fdstat_set_flags: () => nosys,
  },
};
// Every call of the host costs the same, before it does anything.
for (const functions of Object.values(host))
  for (const [name, f] of Object.entries(functions)) functions[name] = (...args) => (charge(callPrice), f(...args));

const module = new WebAssembly.Module(readFileSync(modulePath));
let globals;
function instantiate() {
  ({ exports } = new WebAssembly.Instance(module, host));
  globals = Object.keys(exports)
    .filter((name) => name.startsWith("lockstep:global:"))
    .sort((a, b) => Number(a.split(":")[2]) - Number(b.split(":")[2]))
    .map((name) => exports[name]);
}
instantiate();

// undo makes an instance of what was before the call; a memory cannot shrink.
function undo(before) {
  if (before.memory.length !== exports.memory.buffer.byteLength) {
    instantiate();
    exports.memory.grow((before.memory.length - exports.memory.buffer.byteLength) / 65536);
  }
  new Uint8Array(exports.memory.buffer).set(before.memory);
  globals.forEach((g, i) => (g.value = before.globals[i]));
  clock = before.clock;
}

const out = [];
for (const line of readFileSync(callsPath, "utf8").trimEnd().split("\n")) {
  const c = JSON.parse(line);
  const decode = (text) => Buffer.from(text ?? "", "base64");
  current = { input: decode(c.input), time: BigInt(c.time), random: decode(c.random), drawn: 0, output: [] };
  const before = c.fails && { memory: new Uint8Array(exports.memory.buffer).slice(), globals: globals.map((g) => g.value), clock };
  exports["lockstep:gas"].value = BigInt(c.gas);
  exports["lockstep:reserve"].value = 0n;
  exports["lockstep:stack"].value = 1800;
  const o = { code: 0, end: "", gas: "", output: "" };
  try {
    if (c.export === "lockstep_init") {
      exports["lockstep:start"]?.();
      exports._initialize?.();
    }
    o.code = exports[c.export]();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    o.end = exports["lockstep:gas"].value < 0n ? "gas" : error.message;
  }
  const left = exports["lockstep:gas"].value;
  o.gas = (BigInt(c.gas) - (left < 0n ? 0n : left)).toString();
  if (o.end === "") o.output = Buffer.concat(current.output).toString("base64");
  if (o.end !== "" || o.code !== 0) {
    if (!before) throw new Error(`call ${out.length} failed: ${JSON.stringify(o)}`);
    undo(before);
  }
  out.push(JSON.stringify(o));
}
writeFileSync(statePath, new Uint8Array(exports.memory.buffer));
const unsigned = (v) => (typeof v === "bigint" ? BigInt.asUintN(64, v) : BigInt(v >>> 0)).toString();
out.push(JSON.stringify({ globals: [...globals.map((g) => unsigned(g.value)), clock.toString()] }));
process.stdout.write(out.join("\n") + "\n");
