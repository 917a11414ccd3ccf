// What a guest exports, by the contract's names. An entry file has
//   export * from "<path>/exports";
import "./abort"; // for --use abort=, see lockstep.ts
import { runApply, runQuery, runInvariant, runInit, runTimer, runSave, runLoad } from "./lockstep";

export function lockstep_apply(): u32 { return runApply(); }
export function lockstep_query(): u32 { return runQuery(); }
export function lockstep_invariant(): u32 { return runInvariant(); }
export function lockstep_init(): u32 { return runInit(); }
export function lockstep_timer(): u32 { return runTimer(); }
export function lockstep_save(): u32 { return runSave(); }
export function lockstep_load(): u32 { return runLoad(); }
