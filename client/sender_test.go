package client

import (
	"context"
	"slices"
	"testing"

	"lockstep/host"
	"lockstep/ordering"
)

// takingLog keeps what is sent to it.
type takingLog struct{ entries [][]byte }

func (l *takingLog) Append(context.Context, []byte) (ordering.Seq, error) { return 0, nil }
func (l *takingLog) Close() error                                         { return nil }
func (l *takingLog) AppendAsync(data []byte, _ func(ordering.Seq, error)) error {
	l.entries = append(l.entries, data)
	return nil
}

// A call that finds the client idle goes out in the same step, alone: no timer is
// involved. Those that come while it is under way wait for company, and go together.
func TestIdleCallDoesNotWait(t *testing.T) {
	log := new(takingLog)
	c := &Client{opts: Options{Machine: "kv", Window: 4}, log: log, wake: make(chan struct{}, 1),
		calls: make(map[uint64]*Pending), flights: make(map[*flight]struct{}), next: 1, floor: 1}
	c.known.Store(true)
	call := func() {
		t.Helper()
		if _, err := c.CallAsync([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, sizes ...int) {
		t.Helper()
		var got []int
		for _, e := range log.entries {
			b, err := host.DecodeBatch(e)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, len(b.Inputs))
		}
		if !slices.Equal(got, sizes) {
			t.Fatalf("%s: entries of %v inputs, want %v", when, got, sizes)
		}
	}
	call()
	c.depart(false)
	want("an idle client's call", 1)
	for range 10 {
		call()
	}
	for c.depart(false) {
	}
	want("ten calls meanwhile", 1, 10)
	call()
	c.depart(false)
	want("a call while many are under way", 1, 10)
	c.depart(true)
	want("when it has waited for company", 1, 10, 1)
	for n := range 11 {
		c.mu.Lock()
		c.finish(c.calls[uint64(n+1)], Output{}, nil)
		c.mu.Unlock()
	}
	call()
	c.depart(false)
	want("a call when few are under way", 1, 10, 1, 1)
}
