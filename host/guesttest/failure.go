package guesttest

import (
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// failing are commands that end in a trap after they left marks in memory and
// globals.
var failing = []struct {
	name  string
	input []byte
	want  wasmabi.Trap
}{
	{"unreachable", input(doUnreachable), wasmabi.Unreachable},
	{"unknown command", input(99), wasmabi.Unreachable},
	{"load outside", input(doLoadOutside), wasmabi.MemoryOutOfBounds},
	{"store outside", input(doStore, 2*wasmPage-3, 1), wasmabi.MemoryOutOfBounds},
	{"fill outside", input(doFill, 1, 7, 2*wasmPage), wasmabi.MemoryOutOfBounds},
	{"divide by zero", input(doDivideByZero), wasmabi.DivideByZero},
	{"division overflow", input(doOverflow), wasmabi.IntegerOverflow},
	{"convert NaN", input(doConvertNaN), wasmabi.InvalidConversion},
	{"call outside the table", input(doCallTable, 3), wasmabi.TableOutOfBounds},
	{"call of an empty entry", input(doCallTable, 2), wasmabi.TableOutOfBounds},
	{"call of another type", input(doCallWrongType), wasmabi.IndirectCallType},
	{"exit", input(doExit), wasmabi.Exited},
	{"recursion", input(doRecurse), wasmabi.StackOverflow},
	{"output too large", input(doOutputFlood), wasmabi.OutputTooLarge},
	{"grow and trap", input(doGrowTrap, 1), wasmabi.Unreachable},
}

// testTraps checks the name of each trap, that nothing of it stays, and that
// the instance goes on like one that never trapped.
func testTraps(t *testing.T, open Open) {
	r, twin := start(t, open, "probe"), start(t, open, "probe")
	for _, tc := range failing {
		before := r.state()
		o := r.call(wasmabi.ExportApply, tc.input)
		r.wantTrap(tc.name, o, tc.want)
		if o.Gas == 0 || o.Gas >= gasLimit {
			t.Errorf("%s used %d gas, want some", tc.name, o.Gas)
		}
		r.Undo()
		r.wantState(tc.name, before)
		again := r.call(wasmabi.ExportApply, tc.input)
		if again.Gas != o.Gas || again.Trap != o.Trap {
			t.Errorf("%s: got %v with %d gas, then %v with %d", tc.name, o.Trap, o.Gas, again.Trap, again.Gas)
		}
		r.Undo()
		good, want := r.do(doCount), twin.do(doCount)
		if string(r.must(good)) != string(twin.must(want)) || good.Gas != want.Gas {
			t.Errorf("after %s: got %x with %d gas, want %x with %d", tc.name, good.Output, good.Gas, want.Output, want.Gas)
		}
		r.Commit()
		twin.Commit()
		r.wantState("after "+tc.name, twin.state())
	}
}

func testHostArguments(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	const end = 2 * wasmPage
	for _, tc := range []struct {
		name string
		in   []byte
	}{
		{"output over the end", input(doOutput, end-3, 4)},
		{"output from nowhere", input(doOutput, 0xffffffff, 0xffffffff)},
		{"input over the end", input(doInput, end-3, 4, 0)},
		{"input of nothing to nowhere", input(doInput, end+1, 0, 0)},
		{"input of less than fits", input(doInput, end-64, 65, 1000)},
		{"caller over the end", input(doCaller, end-31)},
		{"random over the end", input(doRandom, end-3, 4)},
		{"random of 4 GiB", input(doRandom, 1, 0xffffffff)},
		{"log over the end", input(doLog, end-3, 4)},
	} {
		r.wantTrap(tc.name, r.call(wasmabi.ExportApply, tc.in), wasmabi.HostArgument)
		r.Undo()
		r.wantState(tc.name, before)
	}
	for _, in := range [][]byte{
		input(doOutput, end-4, 4), input(doOutput, end, 0), input(doInput, end-4, 4, 0),
		input(doCaller, end-32), input(doRandom, end-4, 4), input(doLog, end, 0),
	} {
		r.must(r.call(wasmabi.ExportApply, in))
	}
}

// testGas checks that a limit is exact: what a call used is enough for it, and
// one less is not.
func testGas(t *testing.T, open Open) {
	r := start(t, open, "probe")
	for _, in := range [][]byte{
		input(doNothing), input(doCount), input(doDepth, 100), input(doAmbient),
		input(doFill, 4096, 1, 60_000), input(doGrow, 1), input(doOutput, 0, 70_000), input(doLog, 0, 70_000),
	} {
		call := host.Call{Export: wasmabi.ExportApply, Input: in, Gas: gasLimit}
		used := r.Call(call)
		r.must(used)
		r.Undo()
		if used.Gas == 0 {
			t.Fatalf("command %d used no gas", in[0])
		}
		call.Gas = used.Gas
		if o := r.Call(call); o.Status != wasmabi.OK || o.Gas != used.Gas {
			t.Errorf("command %d with its gas of %d: got %v with %d", in[0], used.Gas, o.Status, o.Gas)
		}
		r.Undo()
		call.Gas--
		if o := r.Call(call); o.Status != wasmabi.OutOfGas || o.Gas != call.Gas || o.Trap != wasmabi.NoTrap || len(o.Output) != 0 {
			t.Errorf("command %d with a gas of %d: got %v, %v with %d", in[0], call.Gas, o.Status, o.Trap, o.Gas)
		}
		r.Undo()
	}
	small, large := r.do(doRandom, 4096, 100), r.do(doRandom, 4096, 60_000)
	if large.Gas < small.Gas+10_000 {
		t.Errorf("100 random bytes cost %d gas, 60,000 cost %d", small.Gas, large.Gas)
	}
}

func testOutOfGas(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	for _, command := range []byte{doLoop, doRandomFlood, doLogFlood} {
		for _, limit := range []uint64{1, 10, 100, 5_000, 1_000_000} {
			o := r.Call(host.Call{Export: wasmabi.ExportApply, Input: input(command), Gas: limit})
			if o.Status != wasmabi.OutOfGas || o.Gas != limit || o.Trap != wasmabi.NoTrap || o.Code != 0 {
				t.Errorf("command %d with %d gas: got %v, %v, code %d, %d gas", command, limit, o.Status, o.Trap, o.Code, o.Gas)
			}
			r.Undo()
			r.wantState("out of gas", before)
		}
	}
}

// testRecursion checks that depth is bounded alike whatever ran before.
func testRecursion(t *testing.T, open Open) {
	r := start(t, open, "probe")
	if got := r.number(r.do(doDepth, 200)); got != 200 {
		t.Errorf("recursion to 200 gave %d", got)
	}
	r.Commit()
	deepest := func() uint32 {
		low, high := uint32(200), uint32(1<<20)
		for low+1 < high {
			middle := (low + high) / 2
			o := r.do(doDepth, middle)
			r.Undo()
			if o.Status == wasmabi.OK {
				low = middle
			} else {
				r.wantTrap("recursion", o, wasmabi.StackOverflow)
				high = middle
			}
		}
		return low
	}
	first := deepest()
	if again := deepest(); again != first {
		t.Errorf("deepest recursion was %d, then %d", first, again)
	}
}
