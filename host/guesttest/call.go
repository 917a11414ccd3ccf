package guesttest

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

func testLifecycle(t *testing.T, open Open) {
	r := fresh(t, open, "probe")
	before := r.state()
	if len(before.memory) != 2*wasmPage || string(before.memory[3000:3005]) != "hello" {
		t.Errorf("a new guest has %d bytes of memory, want its data in %d", len(before.memory), 2*wasmPage)
	}
	r.must(r.call(wasmabi.ExportInit, nil))
	r.Undo()
	r.wantState("init undone", before)
	r.must(r.call(wasmabi.ExportInit, nil)) // the start function runs again
	r.Commit()
	if got := r.number(r.do(doCount)); got != 102 {
		t.Errorf("count after init is %d, want 102", got)
	}

	m := fresh(t, open, "minimal")
	m.must(m.call(wasmabi.ExportInit, nil))
	m.must(m.call(wasmabi.ExportApply, []byte("anything")))

	// Constructors have no result, least of all that of the call before.
	b := fresh(t, open, "bare")
	if o := b.call(wasmabi.ExportApply, nil); o.Status != wasmabi.Rejected || o.Code != 7 {
		t.Errorf("got %v with code %d, want rejected with 7", o.Status, o.Code)
	}
	b.Undo()
	b.must(b.call(wasmabi.ExportInit, nil))
	b.Commit()
	if b.Memory()[0] != 1 {
		t.Error("init did not run the constructors")
	}
}

func testLifecycleOrder(t *testing.T, open Open) {
	r := fresh(t, open, "probe")
	if got := r.number(r.call(wasmabi.ExportLoad, []byte("state"))); got != 5 {
		t.Errorf("load read an input of %d bytes, want 5", got)
	}
	r.Commit()
	if got := r.Memory()[4096:4101]; string(got) != "state" {
		t.Errorf("load read %q, want state", got)
	}
	// init and load both want what start and _initialize left: not twice.
	r.wantTrap("init after load", r.call(wasmabi.ExportInit, nil), wasmabi.Unreachable)
}

func testTrapInStart(t *testing.T, open Open) {
	r := fresh(t, open, "trapstart")
	before := r.state()
	for _, export := range []string{wasmabi.ExportInit, wasmabi.ExportLoad} {
		r.wantTrap(export, r.call(export, nil), wasmabi.Unreachable)
		r.Undo()
		r.wantState(export, before)
	}
	if o := r.call(wasmabi.ExportApply, nil); o.Code != 5 {
		t.Errorf("apply sees %d, want the global's first value", o.Code)
	}
}

func testMissingExport(t *testing.T, open Open) {
	m := start(t, open, "minimal")
	before := m.state()
	for _, name := range []string{wasmabi.ExportQuery, wasmabi.ExportInvariant, wasmabi.ExportSave, wasmabi.ExportLoad, wasmabi.ExportInitialize, wasmabi.ExportMemory, "", "other"} {
		o := m.call(name, nil)
		m.wantTrap("call of "+name, o, wasmabi.MissingExport)
		if o.Gas != 0 {
			t.Errorf("call of %q used %d gas", name, o.Gas)
		}
		m.Undo()
	}
	m.wantState("missing exports", before)
	r := start(t, open, "probe")
	r.wantTrap("call of _initialize", r.call(wasmabi.ExportInitialize, nil), wasmabi.MissingExport)
}

func testInput(t *testing.T, open Open) {
	r := start(t, open, "probe")
	for _, size := range []int{1, 13, 64, wasmabi.MaxInput} {
		in := make([]byte, size)
		in[0] = doInputSize
		if got := r.number(r.call(wasmabi.ExportApply, in)); got != uint32(size) {
			t.Errorf("input of %d bytes has %d for the guest", size, got)
		}
	}
	for _, tc := range []struct {
		size, offset uint32
		want         string
	}{
		{4, 13, "abcd"}, {100, 13, "abcdef"}, {4, 18, "f"}, {4, 19, ""}, {4, 20, ""}, {4, 0xffffffff, ""}, {0, 13, ""},
	} {
		in := append(input(doInput, 5000, tc.size, tc.offset), "abcdef"...)
		out := r.must(r.call(wasmabi.ExportApply, in))
		if n := binary.LittleEndian.Uint32(out); n != uint32(len(tc.want)) || string(out[4:]) != tc.want {
			t.Errorf("read %d at %d: got %d bytes %q, want %q", tc.size, tc.offset, n, out[4:], tc.want)
		}
	}
	r.must(r.call(wasmabi.ExportApply, nil))
}

func testRejected(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	for _, code := range []uint32{1, 7, 0x80000000, 0xffffffff} {
		o := r.do(doReject, code)
		if o.Status != wasmabi.Rejected || o.Code != code || o.Trap != wasmabi.NoTrap || string(o.Output) != "hello" {
			t.Errorf("got %v with code %#x, %v, output %q; want rejected with %#x and hello", o.Status, o.Code, o.Trap, o.Output, code)
		}
		if o.Gas == 0 || o.Gas >= gasLimit {
			t.Errorf("rejection used %d gas", o.Gas)
		}
		r.Undo()
		r.wantState("rejected", before)
	}
}

func testOutputOwned(t *testing.T, open Open) {
	r := start(t, open, "probe")
	in := input(doOutput, 3000, 5)
	first := r.must(r.call(wasmabi.ExportApply, in))
	clear(in) // the input is not kept
	r.must(r.do(doOutput, 1024, 5))
	if string(first) != "hello" {
		t.Errorf("output became %q with the next call, want hello", first)
	}
	clear(first)
	if got := r.must(r.do(doOutput, 3000, 5)); string(got) != "hello" {
		t.Errorf("got output %q, want hello", got)
	}
	if got := r.must(r.do(doNothing)); len(got) != 0 {
		t.Errorf("call without output gave %q", got)
	}
}

func testLimits(t *testing.T, open Open) {
	r := start(t, open, "probe")
	r.must(r.do(doGrow, 7))
	r.Commit()
	for _, tc := range []struct {
		size uint32
		fits bool
	}{{0, true}, {wasmabi.MaxOutput, true}, {wasmabi.MaxOutput + 1, false}} {
		o := r.do(doOutput, 0, tc.size)
		if !tc.fits {
			r.wantTrap("output over the limit", o, wasmabi.OutputTooLarge)
		} else if got := r.must(o); len(got) != int(tc.size) {
			t.Errorf("output has %d bytes, want %d", len(got), tc.size)
		}
		r.Undo()
	}
	r.wantTrap("endless output", r.do(doOutputFlood), wasmabi.OutputTooLarge)
	r.Undo()
	saved := r.must(r.call(wasmabi.ExportSave, nil))
	if len(saved) <= wasmabi.MaxOutput {
		t.Errorf("saved state has %d bytes, want more than an output may have", len(saved))
	}
}

func testLog(t *testing.T, open Open) {
	r := start(t, open, "probe")
	o := r.do(doLog, 3000, 5)
	r.must(o)
	if string(o.Log) != "hello\nhello\nhello\n" {
		t.Errorf("got log %q", o.Log)
	}
	o = r.do(doLog, 4096, 10_000)
	r.must(o)
	if len(o.Log) != wasmabi.MaxLog || !bytes.Equal(o.Log[:10_001], append(make([]byte, 10_000), '\n')) {
		t.Errorf("got %d bytes of log, want the first %d", len(o.Log), wasmabi.MaxLog)
	}
	if o := r.do(doNothing); len(o.Log) != 0 {
		t.Errorf("call without log gave %q", o.Log)
	}
	if o := r.do(doLogFlood); o.Status != wasmabi.OutOfGas || len(o.Log) > wasmabi.MaxLog {
		t.Errorf("endless log: got %v with %d bytes, want out of gas", o.Status, len(o.Log))
	}
}

func testQuery(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	for range 3 {
		if got := r.number(r.call(wasmabi.ExportQuery, nil)); got != 102 {
			t.Errorf("query counted %d, want 102", got)
		}
		r.Undo()
		r.wantState("query undone", before)
	}
}

func testAmbient(t *testing.T, open Open) {
	r := start(t, open, "probe")
	var caller [32]byte
	copy(caller[:], "the client that asks, by its id.")
	out := r.must(r.Call(host.Call{
		Export: wasmabi.ExportApply, Input: input(doAmbient), Gas: gasLimit,
		Time: 1<<62 + 5, Seq: 1<<63 + 9, Caller: caller, Random: host.RandomKey{Seed: [32]byte{1}},
	}))
	if got := binary.LittleEndian.Uint64(out); got != 1<<62+5 {
		t.Errorf("guest saw time %d, want %d", got, uint64(1<<62+5))
	}
	if got := binary.LittleEndian.Uint64(out[8:]); got != 1<<63+9 {
		t.Errorf("guest saw seq %d, want %d", got, uint64(1<<63+9))
	}
	if !bytes.Equal(out[16:48], caller[:]) {
		t.Errorf("guest saw caller %q, want %q", out[16:48], caller)
	}
}

// testRandom checks that the stream is a function of the key and begins anew.
func testRandom(t *testing.T, open Open) {
	r := start(t, open, "probe")
	draw := func(key byte) []byte {
		return r.must(r.Call(host.Call{Export: wasmabi.ExportApply, Input: input(doAmbient), Gas: gasLimit, Random: host.RandomKey{Seed: [32]byte{key}}}))[48:]
	}
	first := draw(1)
	if again := draw(1); !bytes.Equal(first, again) {
		t.Errorf("one key gave %x, then %x", first, again)
	}
	if other := draw(2); bytes.Equal(first, other) {
		t.Errorf("two keys gave %x", first)
	}
	if bytes.Equal(first[:16], first[16:]) || bytes.Equal(first[:16], make([]byte, 16)) {
		t.Errorf("two draws of a call gave %x", first)
	}
}

func testClock(t *testing.T, open Open) {
	r := start(t, open, "probe")
	read := func(now int64) (a, b uint64) {
		out := r.must(r.Call(host.Call{Export: wasmabi.ExportApply, Input: input(doClock), Gas: gasLimit, Time: 1_000_000 + ordered(now)}))
		return binary.LittleEndian.Uint64(out), binary.LittleEndian.Uint64(out[8:])
	}
	a, b := read(0)
	if a != 1_000_000 || b != a+1000 {
		t.Errorf("clock read %d and %d, want ordered time and 1,000 ns more", a, b)
	}
	if c, _ := read(0); c != b+1000 {
		t.Errorf("clock read %d at the same ordered time, want %d", c, b+1000)
	}
	if c, _ := read(5_000_000); c != 6_000_000 {
		t.Errorf("clock read %d later, want ordered time", c)
	}
	r.Commit()
	before := r.state()
	if a, _ := read(9_000_000); a != 10_000_000 {
		t.Errorf("clock read %d, want 10,000,000", a)
	}
	r.Undo()
	r.wantState("clock undone", before)
	if a, _ := read(0); a != 6_002_000 {
		t.Errorf("clock read %d after undo, want 6,002,000", a)
	}
}
