// Package guesttest is the conformance suite of host.Guest: what each method
// promises, and above all that a call that failed leaves nothing behind.
//
// Run checks one implementation, Agree that several do the same, to the byte.
// The guests that they run are in testdata, with their sources.
package guesttest

import (
	"bytes"
	"embed"
	"encoding/binary"
	"slices"
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// Open gives a new instance of a module that may have 9 Wasm pages or more. The
// suite closes it.
type Open func(t testing.TB, module []byte) host.Guest

//go:embed testdata/*.wasm
var files embed.FS

// Module returns a guest of testdata by its name.
func Module(t testing.TB, name string) []byte {
	t.Helper()
	b, err := files.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Run checks the guests that open gives.
func Run(t *testing.T, open Open) {
	for _, tc := range []struct {
		name string
		test func(t *testing.T, open Open)
	}{
		{"Lifecycle", testLifecycle},
		{"LifecycleOrder", testLifecycleOrder},
		{"TrapInStart", testTrapInStart},
		{"MissingExport", testMissingExport},
		{"Input", testInput},
		{"Rejected", testRejected},
		{"OutputOwned", testOutputOwned},
		{"Traps", testTraps},
		{"HostArguments", testHostArguments},
		{"Gas", testGas},
		{"OutOfGas", testOutOfGas},
		{"Recursion", testRecursion},
		{"Limits", testLimits},
		{"Log", testLog},
		{"Query", testQuery},
		{"Commit", testCommit},
		{"UndoSeveral", testUndoSeveral},
		{"Grow", testGrow},
		{"GrowUndone", testGrowUndone},
		{"EmptyMemory", testEmptyMemory},
		{"Patch", testPatch},
		{"PatchShrinks", testPatchShrinks},
		{"PatchRefuses", testPatchRefuses},
		{"Ambient", testAmbient},
		{"Random", testRandom},
		{"Clock", testClock},
		{"Events", testEvents},
		{"Timers", testTimers},
		{"EffectsOfFailures", testEffectsOfFailures},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, open) })
	}
}

// What probe.wat does, by the first byte of its input.
const (
	doNothing = iota
	doCount
	doReject      // code
	doUnreachable // and so on: one for each trap
	doLoop
	doRecurse
	doGrow     // pages → pages of memory
	doGrowTrap // pages
	doAmbient  // → time, seq, caller, 2 × 16 bytes of random
	doOutput   // ptr, len → bytes
	doInput    // ptr, len, offset → bytes read, and they
	doLoadOutside
	doDivideByZero
	doOverflow
	doConvertNaN
	doCallTable // index
	doCallWrongType
	doExit
	doLog   // ptr, len
	doClock // → two reads
	doRandomFlood
	doLogFlood
	doOutputFlood
	doDepth  // calls → calls
	doStore  // ptr, value
	doLoad   // ptr → value
	doCaller // ptr
	doRandom // ptr, len
	doFill   // ptr, value, len
	doInputSize
)

const gasLimit = 10_000_000

// rig is a guest under test.
type rig struct {
	host.Guest
	t *testing.T
}

// start opens a guest, brings it up and commits.
func start(t *testing.T, open Open, module string) rig {
	t.Helper()
	r := fresh(t, open, module)
	r.must(r.call(wasmabi.ExportInit, nil))
	r.Commit()
	return r
}

// fresh opens a guest that has not run.
func fresh(t *testing.T, open Open, module string) rig {
	t.Helper()
	g := open(t, Module(t, module))
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return rig{g, t}
}

func (r rig) call(export string, input []byte) host.Outcome {
	return r.Call(host.Call{Export: export, Input: input, Seq: 7, Time: 1_000_000, Gas: gasLimit})
}

// input is a command of probe.wat.
func input(command byte, args ...uint32) []byte {
	b := []byte{command}
	for _, a := range args {
		b = binary.LittleEndian.AppendUint32(b, a)
	}
	return b
}

// do applies a command.
func (r rig) do(command byte, args ...uint32) host.Outcome {
	return r.call(wasmabi.ExportApply, input(command, args...))
}

// must fails the test unless the outcome is OK, and returns its output.
func (r rig) must(o host.Outcome) []byte {
	r.t.Helper()
	if o.Status != wasmabi.OK || o.Code != 0 || o.Trap != wasmabi.NoTrap {
		r.t.Fatalf("got %v, code %d, %v, log %q; want ok", o.Status, o.Code, o.Trap, o.Log)
	}
	return o.Output
}

// number is the output of a call that must be OK, as an i32.
func (r rig) number(o host.Outcome) uint32 {
	r.t.Helper()
	b := r.must(o)
	if len(b) != 4 {
		r.t.Fatalf("output is %x, want 4 bytes", b)
	}
	return binary.LittleEndian.Uint32(b)
}

// wantTrap checks the outcome of a call that traps.
func (r rig) wantTrap(what string, o host.Outcome, want wasmabi.Trap) {
	r.t.Helper()
	if o.Status != wasmabi.Trapped || o.Trap != want || o.Code != 0 || len(o.Output) != 0 {
		r.t.Errorf("%s: got %v, %v, code %d, %d bytes of output; want %v", what, o.Status, o.Trap, o.Code, len(o.Output), want)
	}
}

// state is a copy of all that is committed.
type state struct {
	memory  []byte
	globals []uint64
}

func (r rig) state() state {
	return state{bytes.Clone(r.Memory()), slices.Clone(r.Globals())}
}

func (s state) equal(o state) bool {
	return bytes.Equal(s.memory, o.memory) && slices.Equal(s.globals, o.globals)
}

// wantState checks both the committed state and, by committing it, the working
// one.
func (r rig) wantState(what string, want state) {
	r.t.Helper()
	if got := r.state(); !got.equal(want) {
		r.t.Errorf("%s: committed state differs: %s", what, difference(got, want))
	}
	r.Commit()
	if got := r.state(); !got.equal(want) {
		r.t.Errorf("%s: working state differs: %s", what, difference(got, want))
	}
}
