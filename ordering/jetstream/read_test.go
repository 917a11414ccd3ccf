package jetstream_test

import (
	"context"
	"testing"
	"time"

	"lockstep/ordering"
)

// readTo reads positions from to last.
func readTo(t testing.TB, l ordering.Log, from, last ordering.Seq) []ordering.Entry {
	t.Helper()
	got, err := tryReadTo(within(t, 2*time.Minute), l, from, last)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryReadTo(ctx context.Context, l ordering.Log, from, last ordering.Seq) (all []ordering.Entry, err error) {
	for from <= last {
		got, err := l.Read(ctx, from)
		if err != nil {
			return all, err
		}
		all = append(all, got...)
		from += ordering.Seq(len(got))
	}
	return all, nil
}

// chainOf is the chain over entries, which also checks that they are contiguous.
func chainOf(t testing.TB, entries []ordering.Entry) (c ordering.Chain) {
	t.Helper()
	for i, e := range entries {
		if e.Seq != entries[0].Seq+ordering.Seq(i) {
			t.Fatalf("entry %d comes after %d", e.Seq, entries[i-1].Seq)
		}
		c = c.Next(e)
	}
	return c
}
