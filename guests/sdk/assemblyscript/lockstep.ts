// The Lockstep SDK for AssemblyScript: a machine is a class that extends Machine,
// and an entry file that makes one and hands on the exports:
//
//   import { Machine, Request, Writer, register } from "../lockstep";
//   export * from "../exports";
//
//   class Counter extends Machine {
//     n: i64 = 0;
//     apply(q: Request): Writer | null {
//       if (q.op != "add") return q.unknown();
//       const n = q.int();
//       if (!q.end(1)) return q.malformed();
//       this.n += n;
//       return new Writer().int(this.n);
//     }
//   }
//   register(new Counter());
//
// It is built with --exportStart _initialize --runtime incremental, and
// --use abort=<path>/abort/abort, so that what `throw` says is logged. An
// input that is rejected or aborts leaves no trace: there is nothing to undo.

import { input_read, input_size, output_write, host_emit, host_log, host_random, host_caller } from "./host";
export { time, seq, set_timer as setTimer } from "./host";
import { Writer, Reader, Request } from "./cbor";
export { Writer, Reader, Request };

// Machine is a replicated state machine. All of the guest's memory is its state.
export abstract class Machine {
  // apply runs one input. It returns the answer, or q.reject(code, why).
  abstract apply(q: Request): Writer | null;
  // query answers a read. What it changes is undone.
  query(q: Request): Writer | null { return q.unknown(); }
  // invariant says why the state is not as it must always be, "" where it is. lockstep
  // test asks after each input, replicas at each audit.
  invariant(): string { return ""; }
  // init is run once, when the machine is deployed.
  init(): void {}
  // timer is run when a timer that setTimer(id, at) set is due.
  timer(id: i64): void {}
  // save writes the state, for a new build to load after an upgrade.
  save(w: Writer): void { unreachable(); }
  load(r: Reader): bool { return false; }
}

let machine: Machine | null = null;

// register makes m the guest's machine.
export function register(m: Machine): void { machine = m; }

export function emit(event: Writer): void { host_emit(event.at, event.size); }

export function log(line: string): void {
  const b = String.UTF8.encode(line);
  host_log(changetype<usize>(b), b.byteLength);
}

export function random(size: i32): Uint8Array {
  const b = new Uint8Array(size);
  host_random(b.dataStart, size);
  return b;
}

export function caller(): Uint8Array {
  const b = new Uint8Array(32);
  host_caller(b.dataStart);
  return b;
}

function input(): Uint8Array {
  const b = new Uint8Array(input_size());
  input_read(b.dataStart, b.length, 0);
  return b;
}

// answer sends the output and returns the code.
function answer(q: Request, w: Writer | null): u32 {
  if (w !== null) {
    output_write(w.at, w.size);
    return 0;
  }
  const why = String.UTF8.encode(q.why);
  output_write(changetype<usize>(why), why.byteLength);
  return max<u32>(q.code, 1);
}

export function runApply(): u32 {
  const q = new Request(input());
  return answer(q, q.bad ? q.malformed() : machine!.apply(q));
}
export function runQuery(): u32 {
  const q = new Request(input());
  return answer(q, q.bad ? q.malformed() : machine!.query(q));
}
export function runInvariant(): u32 {
  const why = String.UTF8.encode(machine!.invariant());
  output_write(changetype<usize>(why), why.byteLength);
  return why.byteLength > 0 ? 1 : 0;
}
export function runInit(): u32 { machine!.init(); return 0; }
export function runTimer(): u32 {
  machine!.timer(load<i64>(input().dataStart));
  return 0;
}
export function runSave(): u32 {
  const w = new Writer();
  machine!.save(w);
  output_write(w.at, w.size);
  return 0;
}
export function runLoad(): u32 { return machine!.load(new Reader(input())) ? 0 : 16; }
