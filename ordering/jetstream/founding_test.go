package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// A log that nobody leads where the entry is sent, as one that was just made, is waited for.
func TestSeedWaitsForLeader(t *testing.T) {
	c := jetstreamtest.Start(t, 1)
	nc := c.ConnectAny(t)
	cfg := jetstream.Config{Ref: newRef(), FirstSeq: 7}
	cfg.Epoch = 2
	found := func() ordering.Founding {
		t.Helper()
		f, err := jetstream.Found(within(t, time.Minute), nc, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := found()
	if err := jetstream.Delete(within(t, time.Minute), nc, cfg.Ref); err != nil {
		t.Fatal(err)
	}
	e := ordering.Entry{Epoch: 1, Seq: 7, Time: 5, Data: []byte("a")}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := f.Seed(short, e); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with nobody to take it: %v, want to have waited as long as there was time", err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Seed(within(t, time.Minute), e) }()
	found()
	if err := <-done; err != nil {
		t.Errorf("once there is somebody: %v", err)
	}
}
