package jetstream_test

import (
	"bytes"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// TestDamagedServer cuts the files of one server, which does not notice: it reports
// healthy, answers reads with what it has left, and may lead. Readers get every entry
// from the others, whoever is asked and whoever leads.
func TestDamagedServer(t *testing.T) {
	const n = 2000
	c := jetstreamtest.Start(t, 3)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref, Replicas: 3})
	leader := c.Leader(t, ref.StreamName())
	w := open(t, c, leader, ref)
	want := make([][]byte, n)
	acks := make(chan error, n)
	for i := range want {
		want[i] = bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 200)
		if err := w.AppendAsync(want[i], func(_ ordering.Seq, err error) { acks <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range want {
		if err := <-acks; err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string) {
		t.Helper()
		start := time.Now()
		for i := range 3 {
			for j, e := range readTo(t, open(t, c, i, ref), 1, n)[:n] {
				if !bytes.Equal(e.Data, want[j]) {
					t.Fatalf("%s: reader %d: entry %d is not what was appended", what, i, e.Seq)
				}
			}
		}
		t.Logf("%s: three readers took %v", what, time.Since(start).Round(time.Millisecond))
	}
	js, err := njs.New(c.ConnectAny(t))
	if err != nil {
		t.Fatal(err)
	}
	// Now and then the server has a copy elsewhere that it recovers from.
	damaged := (leader + 1) % 3
	for range 10 {
		c.Stop(damaged)
		jetstreamtest.CutBlocks(t, c.Dir(damaged), ref.StreamName())
		c.Restart(t, damaged)
		check("a follower is damaged")
		for at := c.Leader(t, ref.StreamName()); at != damaged; at = c.Leader(t, ref.StreamName()) {
			if err := c.Server(at).StepDown(ref.StreamName()); err != nil {
				t.Log(err) // another has it already
			}
		}
		s, err := js.Stream(within(t, time.Minute), ref.StreamName())
		if err != nil {
			t.Fatal(err)
		}
		if state := s.CachedInfo().State; state.Msgs < n {
			t.Logf("the damaged leader has %d entries of %d to %d, and no complaint", state.Msgs, state.FirstSeq, state.LastSeq)
			check("the leader is damaged")
			return
		}
	}
	t.Fatal("the server recovered each time")
}
