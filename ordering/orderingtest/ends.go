package orderingtest

import (
	"errors"
	"fmt"
	"testing"

	"lockstep/ordering"
)

func testClose(t *testing.T, h Harness) {
	l, other := h.Open(t), h.Open(t)
	mustAppend(t, l, "kept")
	done := make(chan error, 1)
	ctx := within(t)
	go func() {
		_, err := l.Read(ctx, h.First+1)
		done <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if err := <-done; !errors.Is(err, ordering.ErrClosed) {
		t.Errorf("Read that waited: %v, want ErrClosed", err)
	}
	_, readErr := l.Read(ctx, h.First)
	_, appendErr := l.Append(ctx, []byte("x"))
	_, stateErr := l.State(ctx)
	for what, err := range map[string]error{
		"Read": readErr, "Append": appendErr, "State": stateErr, "Truncate": l.Truncate(ctx, h.First),
	} {
		if !errors.Is(err, ordering.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
	if got := readTo(t, other, h, h.First, h.First); string(got[0].Data) != "kept" {
		t.Errorf("another handle reads %q", got[0].Data)
	}
}

// testRecreate makes the log anew with other entries. A handle of the old one must
// not go on as if nothing had happened, however far the new log has come.
func testRecreate(t *testing.T, h Harness) {
	for _, n := range []int{0, 5, 10, 15} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			l := h.Open(t)
			s, err := l.State(within(t))
			if err != nil {
				t.Fatal(err)
			}
			last := appendN(t, l, "old", 10-int(s.Last+1-h.First))
			readTo(t, l, h, h.First, last)
			h.Recreate(t)
			w := h.Open(t)
			if n > 0 {
				appendN(t, w, "new", n)
			}
			_, err = l.Read(within(t), last+1)
			wantBreak(t, "Read of a handle of the old log", err)
			_, err = l.Read(within(t), last+1)
			wantBreak(t, "Read after it", err)
			if n > 0 {
				if got := readTo(t, w, h, h.First, h.First); string(got[0].Data) != "new0" {
					t.Errorf("a handle of the new log reads %q", got[0].Data)
				}
			}
			h.Recreate(t)
		})
	}
}

// testRecreateBlocked has the reader wait while the log is created anew.
func testRecreateBlocked(t *testing.T, h Harness) {
	l := h.Open(t)
	last := appendN(t, l, "old", 3)
	readTo(t, l, h, h.First, last)
	done := make(chan error, 1)
	ctx := within(t)
	go func() {
		_, err := l.Read(ctx, last+1)
		done <- err
	}()
	h.Recreate(t)
	w := h.Open(t)
	appendN(t, w, "new", 2)
	wantBreak(t, "Read", <-done)
}

// testForget takes acknowledged entries away from a log, of which one handle has read
// all and one has read nothing.
func testForget(t *testing.T, h Harness) {
	l := h.Open(t)
	last := appendN(t, l, "e", 10)
	readTo(t, l, h, h.First, last)
	h.Forget(t, last-4)
	_, err := l.Read(within(t), last+1)
	wantBreak(t, "Read after the tail was lost", err)

	r := h.Open(t)
	readTo(t, r, h, h.First, last-4)
	l = h.Open(t)
	_, err = l.Read(within(t), last+1)
	wantBreak(t, "Read of a new handle that says what was read", err)
}

// testRestart stops and starts the log under a writer and a reader. What was
// acknowledged is there, at its position, and both go on by themselves.
func testRestart(t *testing.T, h Harness) {
	w, r := h.Open(t), h.Open(t)
	last := appendN(t, w, "before", 20)
	before := readTo(t, r, h, h.First, last)
	h.Restart(t)
	ctx := within(t)
	acked := map[ordering.Seq]string{}
	for i := 0; len(acked) < 20 && ctx.Err() == nil; i++ {
		data := fmt.Sprint("after", i)
		if seq, err := w.Append(ctx, []byte(data)); err == nil {
			acked[seq] = data
			last = max(last, seq)
		}
	}
	got := readTo(t, r, h, h.First+ordering.Seq(len(before)), last)
	seen := map[ordering.Seq]string{}
	for _, e := range got {
		seen[e.Seq] = string(e.Data)
	}
	for seq, want := range acked {
		if seen[seq] != want {
			t.Errorf("entry %d: got %q, want %q as acknowledged", seq, seen[seq], want)
		}
	}
	all := readTo(t, h.Open(t), h, h.First, last)
	sameEntries(t, "from the start", all[:len(before)], before)
	sameEntries(t, "after the restart", all[len(before):], got)
}
