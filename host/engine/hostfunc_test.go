package engine

import (
	"errors"
	"fmt"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/wasmabi"
)

// Every function that a guest may import exists under its name.
func TestHostFunctionsComplete(t *testing.T) {
	for _, f := range append(lockstepFuncs(), wasiFuncs()...) {
		if f.run == nil {
			t.Errorf("%s.%s does nothing", f.decl.Module, f.decl.Name)
		}
	}
	if got, want := len(lockstepFuncs())+len(wasiFuncs()), len(wasmabi.Imports)+len(wasmabi.WASI); got != want {
		t.Errorf("there are %d host functions, want %d", got, want)
	}
}

// FuzzHostFunctions calls host functions with whatever arguments, on whatever
// memory. They may end the call, by a trap of ours, and nothing else.
func FuzzHostFunctions(f *testing.F) {
	f.Add(kv.Put("seed", make([]byte, 200)))
	f.Add([]byte{27, 0, 0, 0, 16, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	funcs := append(lockstepFuncs(), wasiFuncs()...)
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newWASIRig(t)
		copy(r.memory.pages.Live(), script)
		r.begin(host.Call{Gas: 50_000_000, Input: script})
		next := func() (b byte) {
			if len(script) > 0 {
				b, script = script[0], script[1:]
			}
			return b
		}
		for calls := 0; len(script) > 0 && calls < 64; calls++ {
			fn := funcs[int(next())%len(funcs)]
			stack := make([]uint64, 16)
			for i := range len(fn.decl.Params) {
				// Pointers near the start, the end and the outside of memory.
				stack[i] = uint64(next()) | uint64(next())<<8 | uint64(next()%3)<<15 | uint64(next())<<56
			}
			if trapped := attempt(&fn, r.guest, stack); trapped {
				break
			}
		}
		if len(r.log) > wasmabi.MaxLog || len(r.output) > wasmabi.MaxOutput {
			t.Errorf("log has %d bytes, output %d", len(r.log), len(r.output))
		}
	})
}

func attempt(fn *hostFunc, g *guest, stack []uint64) (trapped bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(*hostTrap); !ours {
				panic(r)
			}
			trapped = true
		}
	}()
	fn.Call(g.context, stack)
	return false
}

// What wazero says that no guest can cause stops the replica.
func TestClassifyPanics(t *testing.T) {
	for _, err := range []error{
		errors.New("module closed with exit_code(0)"),
		fmt.Errorf("%w (recovered by wazero)", errors.New("runtime error: index out of range")),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v is taken for a trap", err)
				}
			}()
			classify(err)
		}()
	}
	if got := classify(fmt.Errorf("wasm error: %w", errors.New("news to us"))); got != wasmabi.UnclassifiedTrap {
		t.Errorf("an unknown trap is %v", got)
	}
}

// The trace begins a line of the log.
func TestTraceLine(t *testing.T) {
	r := newWASIRig(t)
	for _, log := range []string{"", "half a line", "a line\n"} {
		r.log, r.trapped = []byte(log), errors.New("wasm error: unreachable")
		o := host.Outcome{Status: wasmabi.Trapped, Trap: wasmabi.Unreachable}
		r.logTrace(&o)
		want := log + "trap: unreachable\n"
		if log == "half a line" {
			want = log + "\ntrap: unreachable\n"
		}
		if string(o.Log) != want {
			t.Errorf("after %q the log is %q, want %q", log, o.Log, want)
		}
	}
}

// Misuse by the host is a bug of the host.
func TestMisusePanics(t *testing.T) {
	r := newWASIRig(t)
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		f()
	}
	ok := host.Call{Export: wasmabi.ExportApply, Gas: 1000}
	panics("no gas", func() { r.Call(host.Call{Export: wasmabi.ExportApply}) })
	panics("gas over the counter", func() { r.Call(host.Call{Export: wasmabi.ExportApply, Gas: 1 << 63}) })
	r.Call(host.Call{Export: wasmabi.ExportQuery, Gas: 1000}) // it has none
	panics("call after a failure", func() { r.Call(ok) })
	panics("commit after a failure", func() { r.Commit() })
	r.Undo()
	if o := r.Call(ok); o.Status != wasmabi.OK {
		t.Errorf("call after undo: %v", o.Status)
	}
	panics("a global that is not there", func() { mutable(r.instance, "none") })
}
