package engine_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/guesttest"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// kvCall is the nth call of a machine that runs the store.
func kvCall(n int, export string, input []byte) host.Call {
	c := host.Call{Export: export, Input: input, Seq: ordering.Seq(n), Time: ordering.Time(n) * 1_000_000, Gas: 1_000_000_000}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(n))
	c.Random = host.RandomKey{Seed: key}
	return c
}

// kvCalls are calls that put several times what the store holds, so that the
// guest's garbage collector runs again and again, and some that fail.
func kvCalls() []host.Call {
	calls := []host.Call{kvCall(0, wasmabi.ExportInit, nil)}
	add := func(export string, input []byte) { calls = append(calls, kvCall(len(calls), export, input)) }
	value := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	for i := range 250 {
		key := fmt.Sprint("key ", i%40)
		add(wasmabi.ExportApply, kv.Put(key, value[:len(value)-i]))
		if i%10 == 0 {
			add(wasmabi.ExportApply, kv.Get(key))
			add(wasmabi.ExportApply, kv.Delete(fmt.Sprint("key ", i%30)))
			add(wasmabi.ExportApply, kv.Add("n", int64(i)))
			add(wasmabi.ExportApply, kv.Add(key, 1)) // rejected
			add(wasmabi.ExportQuery, kv.Count())
			add(wasmabi.ExportApply, []byte{99})
			small := kvCall(len(calls), wasmabi.ExportApply, kv.Put(key, value))
			small.Gas = 2000 + uint64(i)*50
			calls = append(calls, small)
		}
	}
	add(wasmabi.ExportSave, nil)
	return calls
}

// TestEnginesAgree runs a real Go program, with its scheduler and garbage
// collector, on both engines.
func TestEnginesAgree(t *testing.T) {
	opens := make(map[string]guesttest.Open)
	for _, name := range []string{"compiler/auto", "compiler/compare", "interpreter/auto"} {
		config, ok := configs()[name]
		if !ok {
			t.Fatalf("no config %s", name)
		}
		opens[name] = opener(t, config)
	}
	counts := make(map[wasmabi.Status]int)
	for _, o := range guesttest.Agree(t, kv.V2, opens, kvCalls()) {
		counts[o.Status]++
	}
	for _, s := range []wasmabi.Status{wasmabi.OK, wasmabi.Rejected, wasmabi.OutOfGas} {
		if counts[s] == 0 {
			t.Errorf("no call ended %v", s)
		}
	}
	if counts[wasmabi.Trapped] != 0 {
		t.Errorf("%d calls trapped", counts[wasmabi.Trapped])
	}
}

// TestUpgrade carries the state from one build to another and back.
func TestUpgrade(t *testing.T) {
	open := opener(t, engine.Config{})
	run := func(g host.Guest, export string, input []byte) []byte {
		t.Helper()
		o := g.Call(kvCall(1, export, input))
		if o.Status != wasmabi.OK {
			t.Fatalf("%s: %v, %v, %s%s", export, o.Status, o.Trap, o.Output, o.Log)
		}
		return o.Output
	}
	v1, v2, back, spare := open(t, kv.V1), open(t, kv.V2), open(t, kv.V1), open(t, kv.V1)
	for _, g := range []host.Guest{v1, v2, back, spare} {
		defer func() { _ = g.Close() }()
	}
	run(v1, wasmabi.ExportInit, nil)
	for i := range 5000 {
		run(v1, wasmabi.ExportApply, kv.Put(fmt.Sprint("key ", i), bytes.Repeat([]byte{byte(i)}, 128)))
	}
	v1.Commit()
	if o := v1.Call(kvCall(1, wasmabi.ExportApply, kv.Add("n", 1))); o.Status != wasmabi.Rejected || o.Code != kv.CodeUnknown {
		t.Errorf("v1 adds: %v, code %d", o.Status, o.Code)
	}
	v1.Undo()
	saved := run(v1, wasmabi.ExportSave, nil)
	if len(saved) <= wasmabi.MaxOutput {
		t.Errorf("saved %d bytes, want more than an output may have", len(saved))
	}
	run(v2, wasmabi.ExportLoad, saved)
	if n, err := kv.DecodeNumber(run(v2, wasmabi.ExportApply, kv.Count())); n != 5000 || err != nil {
		t.Errorf("v2 has %d keys, %v", n, err)
	}
	run(v2, wasmabi.ExportApply, kv.Add("n", 41))
	run(back, wasmabi.ExportLoad, run(v2, wasmabi.ExportSave, nil))
	if v, ok, err := kv.DecodeGet(run(back, wasmabi.ExportQuery, kv.Get("n"))); !ok || err != nil || v[7] != 41 {
		t.Errorf("back in v1 the number is %x, %v, %v", v, ok, err)
	}
	if o := spare.Call(kvCall(1, wasmabi.ExportLoad, []byte("garbage"))); o.Status != wasmabi.Rejected {
		t.Errorf("load of garbage: %v", o.Status)
	}
}
