import { log } from "./lockstep";

// abort is where `throw` and failed assertions end.
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  log((message ? message : "abort") + " at " + (file ? file : "?") + ":" + line.toString());
  unreachable();
}
