// Package memlog is an ordering.Log in memory whose faults are data: a Server keeps
// one log, handles on it are opened at will, and Faults says what goes wrong and
// how often, decided by a seed.
//
// A fault is one that a sequencer of the real world has shown: an acknowledgement that is
// lost, an entry that is ordered twice, a clock that steps back, a tail that was
// acknowledged and is gone, bytes that change, two readers that are told
// different things. Handles notice what a reader of one log can notice, as package jetstream does,
// and give a BreakError; what they cannot is what the chain is for.
//
// Time is the time package's, so that under testing/synctest a run takes no time and
// repeats itself as far as the scheduler does.
package memlog
