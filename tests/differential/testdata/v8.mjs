// Runs modules on V8. In: for each run a line of JSON
//   {"wasm": base64, "calls": [{"name", "params", "results"}], "gas": number, "reserve": number}
// Out: for each a line of JSON, {"calls": [{"result", "end", "gas", "memory"}]} or {"error"}.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

const ends = [
  [/unreachable/, "unreachable"],
  [/memory access out of bounds/, "memory"],
  [/divide by zero|remainder by zero/, "divide"],
  [/divide result unrepresentable/, "overflow"],
  [/float unrepresentable/, "overflow"],
  [/table index is out of bounds|null function or function signature mismatch/, "table"],
  [/Maximum call stack size exceeded/, "engine stack"],
];

function end(error, exports) {
  if (exports["lockstep:gas"]?.value < 0n) return "gas";
  if (exports["lockstep:stack"]?.value < 0) return "stack";
  for (const [pattern, name] of ends) if (pattern.test(error.message)) return name;
  return String(error);
}

// The bits of the results. A NaN's are not kept by JavaScript.
function show(types, result) {
  const list = types.length === 1 ? [result] : [...(result ?? [])];
  return list.map((value, i) => {
    if (types[i] === "i32") return (value >>> 0).toString();
    if (types[i] === "i64") return BigInt.asUintN(64, value).toString();
    return Number.isNaN(value) ? "nan" : new BigUint64Array(new Float64Array([value]).buffer)[0].toString();
  }).join(" ");
}

// The imports of a module of binaryen's fuzzer do nothing.
function imports(module) {
  const all = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function") throw new Error("import of a " + kind);
    (all[from] ??= {})[name] = () => {};
  }
  return all;
}

function run({ wasm, calls, gas, reserve }) {
  const module = new WebAssembly.Module(Buffer.from(wasm, "base64"));
  const { exports } = new WebAssembly.Instance(module, imports(module));
  const out = { calls: [] };
  const used = exports["lockstep:gas"] && exports["lockstep:reserve"];
  const call = ({ name, params, results }) => {
    if (used) {
      exports["lockstep:gas"].value = BigInt(gas);
      exports["lockstep:reserve"].value = BigInt(reserve);
      exports["lockstep:stack"].value = 1800;
    }
    const o = { name, result: "", end: "", gas: "", memory: "" };
    try {
      const result = exports[name](...(params ?? []).map((type) => (type === "i64" ? 0n : 0)));
      o.result = show(results ?? [], result);
    } catch (error) {
      o.end = end(error, exports);
    }
    if (used) o.gas = (BigInt(gas) + BigInt(reserve) - exports["lockstep:gas"].value - exports["lockstep:reserve"].value).toString();
    return o;
  };
  if (exports["lockstep:start"]) calls = [{ name: "lockstep:start" }, ...calls];
  for (const c of calls) {
    const o = call(c);
    if (exports.dump) call({ name: "dump" });
    if (exports.memory) o.memory = createHash("sha256").update(new Uint8Array(exports.memory.buffer)).digest("hex").slice(0, 8);
    out.calls.push(o);
  }
  return out;
}

if (isMainThread) {
  // A guest may go deeper than Node's own stack.
  const worker = new Worker(new URL(import.meta.url), { resourceLimits: { stackSizeMb: 200 } });
  worker.on("message", (line) => process.stdout.write(line + "\n"));
  worker.on("error", (error) => { console.error(error); process.exit(1); });
  createInterface({ input: process.stdin }).on("line", (line) => worker.postMessage(line)).on("close", () => worker.postMessage(null));
} else {
  parentPort.on("message", (line) => {
    if (line === null) return parentPort.close();
    let out;
    try {
      out = run(JSON.parse(line));
    } catch (error) {
      out = { error: String(error) };
    }
    parentPort.postMessage(JSON.stringify(out));
  });
}
