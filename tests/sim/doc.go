// Package sim has the tests that run production code over a log in memory whose
// faults follow from a seed: ordering/memlog drops, repeats, delays, forgets and
// rewrites.
//
//   - Runs of the pure machine: whatever a run holds (clients that retry, guests
//     that trap, upgrades, members that come and go, nonsense in the log), every
//     checkpoint and the entries after it give what all entries give, to the byte,
//     on the other engine: replay_test.go.
//   - Runs of a cluster: nodes and clients as they are in production, with
//     crashes and restarts: cluster_test.go. What must hold is checked from the
//     outside, by checkers of their own: outputs_checker_test.go and
//     states_checker_test.go.
//
// A test that fails prints the command that runs its seed again. The entries and
// faults repeat themselves; what goroutines make of them does as far as the
// scheduler does. LOCKSTEP_SIM_SEEDS makes the tests try more seeds.
package sim
