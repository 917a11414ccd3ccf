package host_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

func effects(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile("guesttest/testdata/effects.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// setTimer is a command of the effects guest.
func setTimer(id int64, at ordering.Time) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{2}, uint64(id))
	return binary.LittleEndian.AppendUint64(b, uint64(at))
}

func setTimers(n uint32, at ordering.Time) []byte {
	return binary.LittleEndian.AppendUint64(cmd(3, n), uint64(at))
}

var hello = cmd(1, 2048, 5)

// applyAt applies data as an entry ordered at a time.
func (b *bench) applyAt(at ordering.Time, data []byte) *host.Transition {
	b.t.Helper()
	b.time = at - 1000
	t, _ := b.apply(data)
	return t
}

// fired is the ids that the guest itself has seen, in order.
func (b *bench) fired() []int64 {
	b.t.Helper()
	r := b.Query(nil, alice)
	if r.Status != wasmabi.OK {
		b.t.Fatalf("query: %+v", r)
	}
	ids := []int64{}
	for i := 0; i < len(r.Output); i += 8 {
		ids = append(ids, int64(binary.LittleEndian.Uint64(r.Output[i:])))
	}
	return ids
}

func ran(t *host.Transition) []int64 {
	ids := []int64{}
	for _, r := range t.Timers {
		ids = append(ids, r.Timer.ID)
	}
	return ids
}

// Timers run before the inputs of the first entry at or after their time, by
// (time, id), with the entry's seq and time, no caller, and randomness of their own.
func TestTimersRunInOrder(t *testing.T) {
	b := deployed(t, newWorld(t, effects(t)), effects(t))
	if at, ok := b.NextTimer(); !ok || at != 1 {
		t.Fatalf("init set a timer for 1, got %d %v", at, ok)
	}
	b.applyAt(50_000, batch(0, 1, setTimer(3, 70_000), setTimer(1, 80_000), setTimer(2, 70_000), setTimer(-9, 80_000), setTimer(4, 80_001)))
	if got := b.fired(); !slices.Equal(got, []int64{100}) {
		t.Errorf("ran %d, want the timer of init alone", got)
	}
	b.applyAt(69_999, []byte("asks nothing"))
	tr := b.applyAt(80_000, batch(0, 6, hello))
	if want := []int64{2, 3, -9, 1}; !slices.Equal(ran(tr), want) || !slices.Equal(b.fired()[1:], want) {
		t.Errorf("ran %d, the guest saw %d, want %d", ran(tr), b.fired(), want)
	}
	if len(tr.Events) != 5 || tr.Events[4].Source != host.EventOfInput || string(tr.Events[4].Data) != "hello" {
		t.Fatalf("got events %v, want four of timers, then the input's", tr.Events)
	}
	var zero [32]byte
	drawn := make(map[string]bool)
	for i, e := range tr.Events[:4] {
		id, at, seq := binary.LittleEndian.Uint64(e.Data), binary.LittleEndian.Uint64(e.Data[8:]), binary.LittleEndian.Uint64(e.Data[16:])
		if e.Source != host.EventOfTimer || e.Index != ran(tr)[i] || int64(id) != ran(tr)[i] || at != 80_000 || seq != uint64(b.Seq()) || [32]byte(e.Data[24:56]) != zero {
			t.Errorf("timer %d: got event %+v", ran(tr)[i], e)
		}
		drawn[string(e.Data[56:])] = true
	}
	if len(drawn) != 4 {
		t.Error("two timers drew the same randomness")
	}
	if at, ok := b.NextTimer(); !ok || at != 80_001 {
		t.Errorf("next timer is at %d, %v; want 80,001", at, ok)
	}
	if tr := b.applyAt(90_000, host.Tick{At: 80_001}.Encode()); tr.Reply != nil || !slices.Equal(ran(tr), []int64{4}) {
		t.Errorf("a tick ran %d, want 4 and no reply", ran(tr))
	}
	if _, ok := b.NextTimer(); ok {
		t.Error("a timer is pending that ran")
	}
}

// A timer moves when it is set again, goes when it is set to 0, also by a timer
// before it in the same entry, and runs once when it moved away and back.
func TestTimersMove(t *testing.T) {
	b := deployed(t, newWorld(t, effects(t)), effects(t))
	b.applyAt(50_000, batch(0, 1, setTimer(1, 60_000), setTimer(2, 60_000), setTimer(3, 60_000), setTimer(1, 70_000), setTimer(2, 0),
		setTimer(3, 65_000), setTimer(3, 60_000), setTimer(-15, 60_000), setTimer(-14, 60_000), setTimer(-17, 60_000), setTimer(5, -1)))
	tr := b.applyAt(60_000, host.Tick{}.Encode())
	if want := []int64{-17, -15, 3}; !slices.Equal(ran(tr), want) {
		t.Errorf("ran %d, want %d: -15 cancels -14", ran(tr), want)
	}
	// -17 set itself again for now: it runs with the next entry, not in this one.
	if tr := b.applyAt(60_001, host.Tick{}.Encode()); !slices.Equal(ran(tr), []int64{-17}) {
		t.Errorf("ran %d, want -17 again", ran(tr))
	}
}

// A timer that fails leaves no trace in the guest, whatever ran before and after
// it in the entry, gives no events, and is gone.
func TestFailedTimerLeavesNoTrace(t *testing.T) {
	w := newWorld(t, effects(t))
	for _, bad := range []int64{-13, -14} {
		b, clean := deployed(t, w, effects(t)), deployed(t, w, effects(t))
		b.applyAt(50_000, batch(0, 1, setTimer(-30, 60_000), setTimer(bad, 60_000), setTimer(20, 60_000)))
		clean.applyAt(50_000, batch(0, 1, setTimer(-30, 60_000), setTimer(20, 60_000)))
		tr := b.applyAt(60_000, batch(0, 4, hello))
		clean.applyAt(60_000, batch(0, 4, hello))
		if !slices.Equal(ran(tr), []int64{-30, bad, 20}) || tr.Timers[1].Receipt.Status == wasmabi.OK {
			t.Errorf("ran %+v, want %d to fail between -30 and 20", tr.Timers, bad)
		}
		if got := b.fired(); !slices.Equal(got, []int64{100, -30, 20}) {
			t.Errorf("the guest saw %d, want -30 and 20", got)
		}
		if b.MemoryAndGlobals() != clean.MemoryAndGlobals() {
			t.Errorf("timer %d failed and left a trace in the guest", bad)
		}
		if len(tr.Events) != 3 {
			t.Errorf("got %d events, want those of -30, 20 and the input", len(tr.Events))
		}
		if want := fmt.Sprintf("timer %d, due at 60000, failed and is gone: ", bad); !strings.Contains(string(tr.Log), want) {
			t.Errorf("log is %q, want %q", tr.Log, want)
		}
		if _, ok := b.NextTimer(); ok {
			t.Error("a timer that failed is still pending")
		}
	}
}

// What an input that fails set or emitted is forgotten, and what a query does.
func TestFailedInputHasNoEffects(t *testing.T) {
	b := deployed(t, newWorld(t, effects(t)), effects(t))
	b.applyAt(50_000, host.Tick{}.Encode())
	before := b.Root()
	tr := b.applyAt(51_000, batch(0, 1, hello, cmd(5), hello, cmd(6), cmd(7), hello))
	var from []int64
	for _, e := range tr.Events {
		from = append(from, e.Index)
	}
	if want := []int64{0, 2, 5}; !slices.Equal(from, want) {
		t.Errorf("events are of inputs %d, want %d", from, want)
	}
	b.Query(nil, alice)
	if _, ok := b.NextTimer(); ok || b.Root() == before {
		t.Error("a timer of a failed input or of a query is pending")
	}
	// The retry of an input that was applied emits nothing.
	if tr := b.applyAt(52_000, batch(0, 1, hello)); len(tr.Events) != 0 {
		t.Errorf("a retry emitted %v", tr.Events)
	}
}

// A machine holds a bounded number of timers, and runs a bounded number of them
// with one entry; what is left runs with the next ones, none twice.
func TestTimersAreBounded(t *testing.T) {
	b := deployed(t, newWorld(t, effects(t)), effects(t))
	at := ordering.Time(50_000)
	b.applyAt(at, batch(0, 1, setTimers(wasmabi.MaxTimers, 60_000)))
	tr, r := b.apply(batch(0, 2, setTimer(wasmabi.MaxTimers, 1), setTimer(7, 61_000), setTimer(0, 0), setTimer(wasmabi.MaxTimers, 60_000)))
	if len(tr.Timers) != 0 || r[0].Trap != wasmabi.TooManyTimers || r[1].Status != wasmabi.OK || r[2].Status != wasmabi.OK || r[3].Status != wasmabi.OK {
		t.Fatalf("got %+v, want too many timers for the first input alone", r)
	}
	var order []int64
	for at = 62_000; ; at++ {
		tr := b.applyAt(at, host.Tick{}.Encode())
		if len(tr.Timers) > wasmabi.MaxTimersPerEntry {
			t.Fatalf("%d timers ran with one entry", len(tr.Timers))
		}
		order = append(order, ran(tr)...)
		if next, ok := b.NextTimer(); !ok {
			break
		} else if next > at {
			t.Fatalf("timer is due at %d, after %d", next, at)
		}
	}
	if len(order) != wasmabi.MaxTimers || order[0] != 1 || order[len(order)-1] != 7 || order[6] != 8 {
		t.Errorf("%d timers ran, want %d by (time, id)", len(order), wasmabi.MaxTimers)
	}
}

// Timers are part of the state: a machine that was restored in between does
// what one that ran through does, also where timers had moved.
func TestTimersAreState(t *testing.T) {
	w := newWorld(t, effects(t))
	one := deployed(t, w, effects(t))
	one.applyAt(50_000, batch(0, 1, setTimers(40, 90_000), setTimer(3, 60_000), setTimer(3, 95_000), setTimer(3, 70_000), setTimer(4, 0), setTimer(-13, 65_000)))
	root := one.Root()
	without := deployed(t, w, effects(t))
	without.applyAt(50_000, batch(0, 1, setTimers(40, 90_000), setTimer(3, 60_000), setTimer(3, 95_000), setTimer(3, 70_000), setTimer(4, 1), setTimer(-13, 65_000)))
	if without.Root() == root {
		t.Error("a machine with another timer has the same root")
	}
	tr, _ := one.apply(control(2, host.ControlCheckpoint, nil))
	two := newBench(t, w)
	restore(t, two, tr.Checkpoint, one)
	for _, at := range []ordering.Time{65_000, 70_000, 90_000} {
		a, b := one.applyAt(at, host.Tick{}.Encode()), two.applyAt(at, host.Tick{}.Encode())
		if !slices.Equal(ran(a), ran(b)) || len(ran(a)) == 0 {
			t.Errorf("at %d: ran %d, the restored one %d", at, ran(a), ran(b))
		}
		if one.Root() != two.Root() {
			t.Errorf("at %d: roots differ", at)
		}
	}
}

// An upgrade keeps timers pending; a guest that cannot run them loses them.
func TestTimersOutliveAnUpgrade(t *testing.T) {
	w := newWorld(t, effects(t), probe(t))
	b := deployed(t, w, effects(t))
	b.applyAt(50_000, batch(0, 1, setTimer(1, 60_000), setTimer(2, 70_000)))
	upgrade := func(number uint64, module []byte) *host.Transition {
		d := host.ModuleDigest(module)
		return b.applyAt(b.Time()+1000, control(number, host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: d, Holders: holdings(d, "a", "b")})))
	}
	tr := upgrade(2, effects(t))
	if tr.Upgraded == nil || len(tr.Events) != 1 || tr.Events[0].Source != host.EventOfControl {
		t.Fatalf("upgrade: %+v, want it done with one event of lockstep_load", tr)
	}
	if tr := b.applyAt(60_000, host.Tick{}.Encode()); !slices.Equal(ran(tr), []int64{1}) || !slices.Equal(b.fired(), []int64{1}) {
		t.Errorf("ran %d, the new guest saw %d; want 1", ran(tr), b.fired())
	}
	if tr := upgrade(3, probe(t)); tr.Upgraded == nil {
		t.Fatalf("upgrade to a guest without timers: %+v", receipts(t, tr))
	}
	tr = b.applyAt(70_000, host.Tick{}.Encode())
	if len(tr.Timers) != 1 || tr.Timers[0].Receipt.Trap != wasmabi.MissingExport {
		t.Errorf("ran %+v, want timer 2 to find no export", tr.Timers)
	}
}
