package orderingtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lockstep/ordering"
)

func mustTruncate(t *testing.T, l ordering.Log, first ordering.Seq) {
	t.Helper()
	if err := l.Truncate(within(t), first); err != nil {
		t.Fatalf("Truncate(%d): %v", first, err)
	}
}

func testTruncate(t *testing.T, h Harness) {
	l, other := h.Open(t), h.Open(t)
	last := appendN(t, l, "e", 20)
	all := readTo(t, other, h, h.First, last)
	for _, first := range []ordering.Seq{0, h.First, h.First + 5, h.First + 3, h.First + 15} {
		mustTruncate(t, l, first)
	}
	fresh := h.Open(t)
	for _, r := range []ordering.Log{l, other, fresh} {
		for _, from := range []ordering.Seq{h.First, h.First + 14} {
			if _, err := r.Read(within(t), from); !errors.Is(err, ordering.ErrTruncated) {
				t.Fatalf("Read(%d) below the first: %v, want ErrTruncated", from, err)
			}
		}
		sameEntries(t, "what is left", readTo(t, r, h, h.First+15, last), all[15:])
	}
	if seq := mustAppend(t, l, "next"); seq != last+1 {
		t.Errorf("Append after Truncate: %d, want %d", seq, last+1)
	}
	readTo(t, other, h, last+1, last+1)
}

// testTruncateClamped asks for more than there is: the newest entry stays, and
// positions go on where they were.
func testTruncateClamped(t *testing.T, h Harness) {
	l := h.Open(t)
	mustTruncate(t, l, h.First+1000)
	if seq := mustAppend(t, l, "a"); seq != h.First {
		t.Fatalf("Append after Truncate of an empty log: %d, want %d", seq, h.First)
	}
	last := appendN(t, l, "e", 9)
	mustTruncate(t, l, last+1000)
	if s, err := l.State(within(t)); err != nil || s.First != last || s.Last != last {
		t.Fatalf("State: %+v, %v, want the entry at %d alone", s, err, last)
	}
	if seq := mustAppend(t, l, "next"); seq != last+1 {
		t.Fatalf("Append: %d, want %d", seq, last+1)
	}
	readTo(t, l, h, last, last+1)
}

func testTruncateUnderAppend(t *testing.T, h Harness) {
	const n = 200
	w, r, cut := h.Open(t), h.Open(t), h.Open(t)
	last := h.First + n - 1
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if seq, err := w.Append(ctx, fmt.Append(nil, i)); err != nil || seq != h.First+ordering.Seq(i) {
				t.Errorf("Append: %d, %v, want %d", seq, err, h.First+ordering.Seq(i))
				cancel()
				return
			}
		}
	})
	// What was read is dropped, as a checkpoint would.
	for next := h.First; next <= last; {
		got, err := r.Read(ctx, next)
		if err != nil {
			t.Fatalf("Read(%d): %v", next, err)
		}
		for _, e := range got {
			if want := fmt.Sprint(e.Seq - h.First); e.Seq != next || string(e.Data) != want {
				t.Fatalf("Read(%d): entry %d %q, want %q", next, e.Seq, e.Data, want)
			}
			next++
		}
		if err := cut.Truncate(ctx, next); err != nil {
			t.Fatalf("Truncate(%d): %v", next, err)
		}
	}
	wg.Wait()
	if s, err := cut.State(within(t)); err != nil || s.Last != last || s.First != last {
		t.Errorf("State: %+v, %v, want the entry at %d alone", s, err, last)
	}
}
