package jetstream_test

import (
	"errors"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// An epoch need not follow the one before at once: its log is kept as that one's is, and once it is pruned, no log of
// epochs before is left, nor one of other machines or later epochs gone.
func TestSkippedEpochs(t *testing.T) {
	c := jetstreamtest.Start(t, 3)
	nc := c.ConnectAny(t)
	ref, other := newRef(), newRef()
	const bytes = 3 << 20
	for _, r := range []jetstream.Ref{ref, other} {
		if _, err := jetstream.Create(within(t, time.Minute), nc, jetstream.Config{Ref: r, Replicas: 3, MaxBytes: bytes}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(epoch ordering.Epoch) jetstream.Ref { return jetstream.Ref{Machine: ref.Machine, Epoch: epoch} }
	for _, epoch := range []ordering.Epoch{1001, 1002} {
		if _, err := jetstream.Found(within(t, time.Minute), nc, jetstream.Config{Ref: at(epoch), FirstSeq: 7}); err != nil {
			t.Fatal(err)
		}
	}
	js, err := njs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(within(t, time.Minute), at(1001).StreamName())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.CachedInfo().Config; got.Replicas != 3 || got.MaxBytes != bytes {
		t.Errorf("the log of epoch 1001 has %d copies and %d bytes, want 3 and %d", got.Replicas, got.MaxBytes, bytes)
	}
	if err := jetstream.Prune(within(t, time.Minute), nc, at(1002)); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[jetstream.Ref]bool{ref: false, at(1001): false, at(1002): true, other: true} {
		_, err := js.Stream(within(t, time.Minute), r.StreamName())
		if err != nil && !errors.Is(err, njs.ErrStreamNotFound) {
			t.Fatal(err)
		}
		if (err == nil) != want {
			t.Errorf("log %s is there: %v, want %v", r, err == nil, want)
		}
	}
}
