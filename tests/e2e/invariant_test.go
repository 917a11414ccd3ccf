package e2e

import (
	"os"
	"testing"

	"lockstep/host"
	"lockstep/host/node"
)

// A state that the guest itself calls wrong is told of by every replica at the audit, and changes nothing else: calls
// go on, the replicas agree, and when the state is right again they say no more.
func TestBrokenInvariantIsToldOf(t *testing.T) {
	wasm, err := os.ReadFile("../../host/guesttest/testdata/invariant.wasm")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan node.Event, 16)
	c := start(t, "even", func(e node.Event) {
		if e.Kind == node.EventInvariant || e.Kind == node.EventDiverged {
			told <- e
		}
	})
	cl := connect(t, c, "even")
	deploy(t, c, cl, wasm, host.Config{AuditEvery: 1})
	broken := func(want bool) func() bool {
		return func() bool {
			for i := range c.Len() {
				if (c.Node(i).Replica("even").Broken() != nil) != want {
					return false
				}
			}
			return true
		}
	}
	call(t, cl, []byte{2})
	at := call(t, cl, []byte{1}).Seq
	await(t, "every replica finds it broken", broken(true))
	call(t, cl, []byte{2})
	for i := range c.Len() {
		if b := c.Node(i).Replica("even").Broken(); b.Since != at || b.Why != "it is odd (code 9)" {
			t.Errorf("replica %d says %+v, want since %d", i, *b, at)
		}
	}
	call(t, cl, []byte{1})
	await(t, "every replica finds it whole", broken(false))
	verify(t, c, "even")
	if len(told) != c.Len() {
		t.Errorf("%d events, want one of each replica", len(told))
	}
	for range len(told) {
		if e := <-told; e.Kind != node.EventInvariant || e.Seq != at || e.Err == nil {
			t.Errorf("event %+v, want the invariant at seq %d", e, at)
		}
	}
}
