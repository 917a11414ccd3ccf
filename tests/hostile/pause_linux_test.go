package hostile

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/host"
	"lockstep/wasmabi"
)

// While a guest runs for long in compiled code, a garbage collection
// of the host does not wait for it: gas slices stop it in between.
func TestCollectorDoesNotWait(t *testing.T) {
	const (
		limit = 10 * time.Millisecond
		large = 4096 // pages
	)
	fib := func() []byte {
		m := newModule()
		typ := m.typ([]byte{i32}, []byte{i32})
		step := func(k int32) []byte { return cat(get(0), con(k), sub, call(0)) }
		f := m.fn(typ, 0, i32, get(0), con(2), []byte{0x48, 0x04, i32}, get(0), []byte{0x05}, step(1), step(2), add, []byte{0x0b}) // i32.lt_s; if
		return m.apply(con(100), call(f), drop)
	}
	memory := func(op []byte, from int32) func() []byte {
		return code(con(large-1), grow, drop, forever(con(0), con(from), con((large<<16)-8), op))
	}
	for _, tc := range []struct {
		name string
		wasm []byte
		gas  uint64
	}{
		{"loop", code(forever())(), 500_000_000},
		{"loop over memory", code(forever(get(0), con(8), add, tee(0), con(0xfff8), []byte{0x71}, load, drop))(), 5_000_000_000}, // i32.and
		{"calls", fib(), 1_000_000_000},
		{"memory.fill", memory(memoryFill, 1)(), 1_500_000_000},
		{"memory.copy down", memory([]byte{0xfc, 10, 0, 0}, 8)(), 1_500_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compiled, err := engines[0].Compile(tc.wasm, large)
			if err != nil {
				t.Fatal(err)
			}
			instance, err := compiled.Instantiate()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = instance.Close() }()
			got := stops(t, func() {
				if o := instance.Call(host.Call{Export: wasmabi.ExportApply, Gas: tc.gas}); o.Status != wasmabi.OutOfGas || o.Gas != tc.gas {
					t.Errorf("ended as %v after %d gas", o.Status, o.Gas)
				}
			})
			half, most, all := got[len(got)/2], got[len(got)*9/10], got[len(got)-1]
			t.Logf("stopped %d times; ran on for %v in half of them, %v in 9 of 10, %v in all", len(got), half, most, all)
			// On a busy machine it now and then runs again before what measures does.
			if len(got) < 20 || most > limit || all > 10*limit {
				t.Errorf("want it to be stopped at least 20 times, and to run on for at most %v in 9 of 10, and %v in all", limit, 10*limit)
			}
		})
	}
}

// stops stops the world again and again while something runs, and returns for how long each time that kept
// a processor busy, the shortest first.
func stops(t *testing.T, run func()) (ranOn []time.Duration) {
	t.Helper()
	thread, done := make(chan int, 1), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		run()
	}()
	clock := ^int32(<-thread)<<3 | 6 // of that thread's processor time, as pthread_getcpuclockid makes it
	read := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var stats runtime.MemStats
	for {
		select {
		case <-done:
			slices.Sort(ranOn)
			return ranOn
		case <-tick.C:
			from := read()
			runtime.ReadMemStats(&stats) // stops the world, and does no more
			ranOn = append(ranOn, read()-from)
		}
	}
}
