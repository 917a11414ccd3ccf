package guesttest

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// Agree runs the same calls on one guest of each kind, committing after each
// that is OK, and checks that outcomes, memory and globals never part. It
// returns the outcomes.
func Agree(t *testing.T, module []byte, kinds map[string]Open, calls []host.Call) []host.Outcome {
	t.Helper()
	var outcomes []host.Outcome
	var states []state
	for i, name := range slices.Sorted(maps.Keys(kinds)) {
		g := kinds[name](t, module)
		r := rig{g, t}
		for n, call := range calls {
			o := r.Call(call)
			if o.Status == wasmabi.OK {
				r.Commit()
			} else {
				r.Undo()
			}
			// Comparing all of the memory each time would dominate the run.
			full := n%16 == 0 || n == len(calls)-1
			switch {
			case i == 0:
				outcomes = append(outcomes, o)
				if full {
					states = append(states, r.state())
				}
				continue
			case !sameOutcome(o, outcomes[n]):
				t.Fatalf("%s: call %d (%s %.40x): got %v, %v, code %d, %d gas, output %.80x; want %v, %v, code %d, %d gas, output %.80x", name, n, call.Export, call.Input,
					o.Status, o.Trap, o.Code, o.Gas, o.Output, outcomes[n].Status, outcomes[n].Trap, outcomes[n].Code, outcomes[n].Gas, outcomes[n].Output)
			case full:
				if want := states[(n+15)/16]; !r.state().equal(want) {
					t.Fatalf("%s: state after call %d differs: %s", name, n, difference(r.state(), want))
				}
			}
		}
		if err := g.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	return outcomes
}

func sameOutcome(a, b host.Outcome) bool {
	return a.Status == b.Status && a.Code == b.Code && a.Trap == b.Trap && a.Gas == b.Gas &&
		bytes.Equal(a.Output, b.Output) && bytes.Equal(a.Log, b.Log) &&
		slices.EqualFunc(a.Events, b.Events, bytes.Equal) && slices.Equal(a.Timers, b.Timers)
}
