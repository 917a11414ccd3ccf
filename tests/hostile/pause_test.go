package hostile

import (
	"runtime"
	"slices"
	"testing"
	"time"

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
			done := make(chan host.Outcome)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			start := time.Now()
			go func() { done <- instance.Call(host.Call{Export: wasmabi.ExportApply, Gas: tc.gas}) }()
			var waits []time.Duration
			var stats runtime.MemStats
			for {
				select {
				case o := <-done:
					if o.Status != wasmabi.OutOfGas || o.Gas != tc.gas {
						t.Errorf("ended as %v after %d gas", o.Status, o.Gas)
					}
					slices.Sort(waits)
					n := len(waits)
					// Half of them: on a machine that has other things to do some wait for a processor.
					if n < 20 || waits[n/2] > limit {
						t.Errorf("want it to be stopped at least 20 times, half of them within %v", limit)
					}
					t.Logf("in %v the world was stopped %d times: half within %v, 9 of 10 within %v, all within %v",
						time.Since(start), n, waits[n/2], waits[n*9/10], waits[n-1])
					return
				case <-tick.C:
					from := time.Now()
					runtime.ReadMemStats(&stats) // stops the world, and does no more
					waits = append(waits, time.Since(from))
				}
			}
		})
	}
}
