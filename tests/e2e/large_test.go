package e2e

import (
	"bytes"
	"sync"
	"testing"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Outputs that are asked for at once, and together are larger than a message may be, come
// all the same.
func TestLargeOutputsTogether(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	value := bytes.Repeat([]byte("large "), 40000) // 240 KB
	call(t, cl, kv.Put("k", value))
	for range 2 {
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				out, err := cl.Call(within(t, patience), kv.Get("k"))
				if err != nil {
					t.Error(err)
					return
				}
				if v, ok, err := kv.DecodeGet(out.Bytes); err != nil || !ok || !bytes.Equal(v, value) {
					t.Errorf("read %d bytes, %v, %v", len(v), ok, err)
				}
			})
		}
		calls.Wait()
	}
	verify(t, c, "kv")
}

// Nor do events: those of calls that share an entry are spread over as many entries as it
// takes, and a subscriber gets them all.
func TestLargeEventsTogether(t *testing.T) {
	const n = 40
	c, cl := deployed(t, "effects", effects(t), host.Config{})
	s, err := cl.Subscribe(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	var calls []*client.Pending
	for range n {
		p, err := cl.CallAsync(cmd(1, 0, wasmabi.MaxEventBytes))
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, p)
	}
	seqs := make(map[ordering.Seq]int)
	for _, p := range calls {
		out, err := p.Wait(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		seqs[out.Seq]++
	}
	for range n {
		e := next(t, s)
		if seqs[e.Seq]--; len(e.Data) != wasmabi.MaxEventBytes || seqs[e.Seq] < 0 {
			t.Fatalf("event of %d bytes at seq %d, which %d calls too few had", len(e.Data), e.Seq, -seqs[e.Seq])
		}
	}
	verify(t, c, "effects")
}
