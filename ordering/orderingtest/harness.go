// Package orderingtest is the conformance suite of ordering.Log: what a
// sequencer must do to be one.
package orderingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep/ordering"
)

// Harness is one log, empty and new, and what may happen to it. Hooks that are nil
// leave out the tests that need them.
type Harness struct {
	Epoch ordering.Epoch
	// First is the position of the first entry.
	First ordering.Seq
	// Open returns another handle; the harness closes it when the test ends.
	Open func(t *testing.T) ordering.Log
	// Recreate deletes the log and creates it anew under its name.
	Recreate func(t *testing.T)
	// Forget drops all entries after last, though they were acknowledged.
	Forget func(t *testing.T, last ordering.Seq)
	// Restart stops what keeps the log and starts it again.
	Restart func(t *testing.T)
	// Full opens a log of its own that has room for at least one entry and at
	// most 64 of FullSize bytes.
	Full func(t *testing.T) ordering.Log
	// Next is the log of a next epoch.
	Next *Next
}

// FullSize is the size of the entries that fill Harness.Full.
const FullSize = 64 << 10

// patience bounds every wait that is to succeed. It says nothing about speed.
const patience = 60 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustAppend(t *testing.T, l ordering.Log, data string) ordering.Seq {
	t.Helper()
	seq, err := l.Append(within(t), []byte(data))
	if err != nil {
		t.Fatalf("Append(%.40q): %v", data, err)
	}
	return seq
}

// appendN appends n entries, one after another, and returns the last position.
func appendN(t *testing.T, l ordering.Log, prefix string, n int) (last ordering.Seq) {
	t.Helper()
	for i := range n {
		last = mustAppend(t, l, fmt.Sprint(prefix, i))
	}
	return last
}

// readTo reads positions from to last and checks what the seam promises of
// them.
func readTo(t *testing.T, l ordering.Log, h Harness, from, last ordering.Seq) []ordering.Entry {
	t.Helper()
	got, err := tryReadTo(within(t), l, h, from, last)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryReadTo(ctx context.Context, l ordering.Log, h Harness, from, last ordering.Seq) ([]ordering.Entry, error) {
	var all []ordering.Entry
	for next := from; next <= last; {
		got, err := l.Read(ctx, next)
		if err != nil {
			return all, fmt.Errorf("read at %d: %w", next, err)
		}
		if len(got) == 0 {
			return all, fmt.Errorf("read at %d returned nothing and no error", next)
		}
		for _, e := range got {
			if e.Seq != next || e.Epoch != h.Epoch {
				return all, fmt.Errorf("read: got position %d/%d, want %d/%d", e.Epoch, e.Seq, h.Epoch, next)
			}
			next++
		}
		all = append(all, got...)
	}
	return all, nil
}

func sameEntries(t *testing.T, what string, got, want []ordering.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if g.Epoch != w.Epoch || g.Seq != w.Seq || g.Time != w.Time || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("%s: entry %d is %d/%d at %d %.40q, want %d/%d at %d %.40q",
				what, i, g.Epoch, g.Seq, g.Time, g.Data, w.Epoch, w.Seq, w.Time, w.Data)
		}
	}
}

func wantBreak(t *testing.T, what string, err error) {
	t.Helper()
	var br *ordering.BreakError
	if !errors.As(err, &br) {
		t.Fatalf("%s: %v, want a *BreakError", what, err)
	}
}
