package guesttest

import (
	"encoding/binary"
	"slices"
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// What effects.wat does, by the first byte of its input.
const (
	effectEmit     = 1 // ptr, len
	effectTimer    = 2 // id i64, at i64
	effectTimers   = 3 // n i32, at i64
	effectEvents   = 4 // n
	effectTrap     = 5 // after an event and a timer
	effectReject   = 6
	effectOutOfGas = 7
)

func timerInput(id, at int64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{effectTimer}, uint64(id))
	return binary.LittleEndian.AppendUint64(b, uint64(at))
}

func timersInput(n uint32) []byte {
	return binary.LittleEndian.AppendUint64(input(effectTimers, n), 5)
}

func testEvents(t *testing.T, open Open) {
	r := start(t, open, "effects")
	o := r.do(effectEmit, 2048, 4)
	if r.must(o); len(o.Events) != 1 || string(o.Events[0]) != "hell" {
		t.Fatalf("got events %q, want hell", o.Events)
	}
	o = r.do(effectEmit, 2048, 0)
	if r.must(o); len(o.Events) != 1 || len(o.Events[0]) != 0 {
		t.Errorf("got events %q, want an empty one", o.Events)
	}
	first := r.do(effectEvents, wasmabi.MaxEvents)
	r.must(first)
	r.must(r.do(effectEvents, 1))
	if len(first.Events) != wasmabi.MaxEvents || string(first.Events[wasmabi.MaxEvents-1]) != "hello" {
		t.Errorf("got %d events, want %d that belong to the caller", len(first.Events), wasmabi.MaxEvents)
	}
	r.wantTrap("too many events", r.do(effectEvents, wasmabi.MaxEvents+1), wasmabi.TooManyEvents)
	r.Undo()
	r.must(r.do(effectEmit, 0, wasmabi.MaxEventBytes))
	r.wantTrap("too large an event", r.do(effectEmit, 0, wasmabi.MaxEventBytes+1), wasmabi.TooManyEvents)
	r.Undo()
	r.wantTrap("event outside the memory", r.do(effectEmit, 2*wasmPage-1, 2), wasmabi.HostArgument)
}

func testTimers(t *testing.T, open Open) {
	r := start(t, open, "effects")
	for _, want := range []host.Timer{{ID: 5, At: 9}, {ID: -1, At: 1<<63 - 1}, {ID: -1 << 63, At: 0}, {ID: 1, At: -1 << 63}} {
		o := r.call(wasmabi.ExportApply, timerInput(want.ID, int64(want.At)))
		if r.must(o); !slices.Equal(o.Timers, []host.Timer{want}) {
			t.Errorf("got timers %v, want %v", o.Timers, want)
		}
	}
	o := r.call(wasmabi.ExportApply, timersInput(wasmabi.MaxTimers))
	if r.must(o); len(o.Timers) != wasmabi.MaxTimers || o.Timers[wasmabi.MaxTimers-1].ID != wasmabi.MaxTimers-1 {
		t.Errorf("got %d timers, want %d in order", len(o.Timers), wasmabi.MaxTimers)
	}
	r.wantTrap("too many timers", r.call(wasmabi.ExportApply, timersInput(wasmabi.MaxTimers+1)), wasmabi.TooManyTimers)
	r.Undo()
	o = r.Call(host.Call{Export: wasmabi.ExportTimer, Input: make([]byte, 8), Gas: gasLimit})
	if r.must(o); len(o.Events) != 1 {
		t.Errorf("timer emitted %d events, want 1", len(o.Events))
	}
	u := start(t, open, "untimed")
	u.wantTrap("timer of a guest without lockstep_timer", u.do(doNothing), wasmabi.MissingExport)
}

// testEffectsOfFailures checks that a call that fails gives neither events nor
// timers out, and that the next one does not give them either.
func testEffectsOfFailures(t *testing.T, open Open) {
	r := start(t, open, "effects")
	for command, want := range map[byte]wasmabi.Status{
		effectTrap: wasmabi.Trapped, effectReject: wasmabi.Rejected, effectOutOfGas: wasmabi.OutOfGas,
	} {
		o := r.do(command)
		if o.Status != want || len(o.Events) != 0 || len(o.Timers) != 0 {
			t.Errorf("command %d: got %v with %d events and %d timers, want %v with none", command, o.Status, len(o.Events), len(o.Timers), want)
		}
		r.Undo()
		o = r.do(effectEmit, 2048, 5)
		if r.must(o); len(o.Events) != 1 || len(o.Timers) != 0 {
			t.Errorf("after command %d: got %d events and %d timers, want 1 event", command, len(o.Events), len(o.Timers))
		}
	}
}
