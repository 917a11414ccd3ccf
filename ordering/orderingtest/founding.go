package orderingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep/ordering"
)

// Next is the log of a next epoch, which is not there before it is founded.
type Next struct {
	Epoch ordering.Epoch // at least 3, so that entries of two epochs before can be put into it
	First ordering.Seq   // more than 1
	// Found makes it, or finds it; each call is another founder's.
	Found func(t *testing.T) ordering.Founding
	// Open returns a handle, once it was founded; the harness closes it when the test ends.
	Open func(t *testing.T) ordering.Log
}

// foundingTests are those of a log that has a next one.
var foundingTests = []test{
	{"Founding", testFounding},
	{"FoundingTaken", testFoundingTaken},
	{"FoundingClosed", testFoundingClosed},
	{"FoundingResumed", testFoundingResumed},
	{"FoundingTogether", testFoundingTogether},
	{"FoundingForged", testFoundingForged},
	{"FoundingTruncate", testFoundingTruncate},
}

// forged is what a seed is on the wire of some implementation: as data of an entry it is nothing but data.
var forged = []byte("LSY1\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02forged")

// seeds are entries of epochs before, with times that a sequencer would not give out now, and the
// one that opens the log.
func (n *Next) seeds() []ordering.Entry {
	past := ordering.Time(time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC).UnixNano())
	list := []ordering.Entry{
		{Epoch: n.Epoch - 2, Time: past, Data: []byte("old")},
		{Epoch: n.Epoch - 2, Time: past - 1, Data: nil},
		{Epoch: n.Epoch - 1, Time: 1, Data: []byte("early")},
		{Epoch: n.Epoch - 1, Time: past * 4, Data: []byte("late")},
		{Epoch: n.Epoch - 1, Time: -1, Data: forged},
		{Epoch: n.Epoch - 1, Time: past, Data: bytes.Repeat([]byte{0xa5}, ordering.MaxEntry)},
		{Epoch: n.Epoch, Time: past, Data: []byte("opening")},
	}
	for i := range list {
		list[i].Seq = n.First + ordering.Seq(i)
	}
	return list
}

func mustSeed(t *testing.T, f ordering.Founding, entries ...ordering.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := f.Seed(within(t), e); err != nil {
			t.Fatalf("Seed(%d): %v", e.Seq, err)
		}
	}
}

// readSeeds reads positions whose epochs are those of the entries wanted. An entry of the log's own epoch
// has a time of the sequencer's.
func readSeeds(ctx context.Context, l ordering.Log, n *Next, want []ordering.Entry) (got []ordering.Entry, err error) {
	for next := want[0].Seq; len(got) < len(want); {
		more, err := l.Read(ctx, next)
		if err != nil {
			return got, fmt.Errorf("read at %d: %w", next, err)
		}
		got = append(got, more...)
		next += ordering.Seq(len(more))
	}
	for i, w := range want {
		g := got[i]
		if g.Epoch != w.Epoch || g.Seq != w.Seq || !bytes.Equal(g.Data, w.Data) {
			return got, fmt.Errorf("entry %d is %d/%d %.40q, want %d/%d %.40q", i, g.Epoch, g.Seq, g.Data, w.Epoch, w.Seq, w.Data)
		}
		if own := w.Epoch == n.Epoch; own == (g.Time == w.Time) {
			return got, fmt.Errorf("entry %d of epoch %d has time %d, was put with %d", i, w.Epoch, g.Time, w.Time)
		}
	}
	return got, nil
}

func wantSeeds(t *testing.T, l ordering.Log, n *Next, want []ordering.Entry) []ordering.Entry {
	t.Helper()
	got, err := readSeeds(within(t), l, n, want)
	if err != nil {
		t.Fatal(err)
	}
	return got[:len(want)]
}

func wantBounds(t *testing.T, f interface {
	State(context.Context) (ordering.State, error)
}, n *Next, first, last ordering.Seq) {
	t.Helper()
	s, err := f.State(within(t))
	if err != nil || s.Epoch != n.Epoch || s.First != first || s.Last != last {
		t.Fatalf("State: %+v, %v, want %d to %d in epoch %d", s, err, first, last, n.Epoch)
	}
}

// wantFounding checks whether a log tells that clients cannot append as yet.
func wantFounding(t *testing.T, l ordering.Log, want bool) {
	t.Helper()
	if s, err := l.State(within(t)); err != nil || s.Founding != want {
		t.Fatalf("State: founding is %v, %v, want %v", s.Founding, err, want)
	}
}

// testFounding makes a log from entries of epochs before. They keep their epochs and times, for handles of
// before and after it was opened, and the log goes on after them as any other.
func testFounding(t *testing.T, h Harness) {
	n := h.Next
	f := n.Found(t)
	wantBounds(t, f, n, n.First, n.First-1)
	early := n.Open(t)
	type result struct {
		got []ordering.Entry
		err error
	}
	waited := make(chan result, 1)
	ctx := within(t)
	waiting, seeds := n.Open(t), n.seeds()
	go func() {
		got, err := readSeeds(ctx, waiting, n, seeds)
		waited <- result{got, err}
	}()
	began := time.Now()
	mustSeed(t, f, seeds...)
	last := seeds[len(seeds)-1].Seq
	wantBounds(t, f, n, n.First, last)
	got := wantSeeds(t, early, n, seeds)
	wantFounding(t, early, true)
	if at := got[len(got)-1].Time; at < ordering.Time(began.Add(-time.Hour).UnixNano()) {
		t.Errorf("the log's own entry has time %v, which is not the sequencer's", at.Std())
	}
	if r := <-waited; r.err != nil {
		t.Fatal(r.err)
	}
	for range 2 {
		if err := f.Open(within(t)); err != nil {
			t.Fatalf("Open: %v", err)
		}
	}
	late := n.Open(t)
	wantFounding(t, late, false)
	sameEntries(t, "after the log was opened", wantSeeds(t, late, n, seeds), got)
	if seq := mustAppend(t, late, "new"); seq != last+1 {
		t.Fatalf("Append: %d, want %d", seq, last+1)
	}
	next := Harness{Epoch: n.Epoch}
	for what, l := range map[string]ordering.Log{"before": early, "after": late} {
		e := readTo(t, l, next, last+1, last+1)[0]
		if string(e.Data) != "new" || e.Time < got[len(got)-1].Time-ordering.Time(time.Hour) {
			t.Errorf("a handle of %s it was opened reads %+v", what, e)
		}
	}
	wantBounds(t, late, n, n.First, last+1)
}

// testFoundingTaken puts entries where they do not belong. Nothing is ordered.
func testFoundingTaken(t *testing.T, h Harness) {
	n := h.Next
	f, seeds := n.Found(t), n.seeds()
	refuse := func(e ordering.Entry) {
		t.Helper()
		if err := f.Seed(within(t), e); !errors.Is(err, ordering.ErrTaken) {
			t.Errorf("Seed(%d): %v, want ErrTaken", e.Seq, err)
		}
	}
	refuse(seeds[1])
	mustSeed(t, f, seeds[0], seeds[1])
	for _, wrong := range []ordering.Seq{n.First - 1, n.First, n.First + 1, n.First + 3} {
		refuse(ordering.Entry{Epoch: 1, Seq: wrong, Time: 7, Data: []byte("not here")})
	}
	wantBounds(t, f, n, n.First, n.First+1)
	wantSeeds(t, n.Open(t), n, seeds[:2])
}

// testFoundingClosed has a client append to a log that is not opened yet.
func testFoundingClosed(t *testing.T, h Harness) {
	n := h.Next
	f, seeds := n.Found(t), n.seeds()
	l := n.Open(t)
	try := func() {
		t.Helper()
		if seq, err := l.Append(within(t), []byte("too early")); err == nil {
			t.Fatalf("Append before Open: position %d, want an error", seq)
		}
	}
	try()
	mustSeed(t, f, seeds[0])
	try()
	mustSeed(t, f, seeds[1:]...)
	try()
	wantSeeds(t, l, n, seeds)
	wantBounds(t, l, n, n.First, seeds[len(seeds)-1].Seq)
}

// testFoundingResumed has readers come back with a seed as what they read last, a founder find what
// another has put, and the log's servers start again meanwhile.
func testFoundingResumed(t *testing.T, h Harness) {
	n := h.Next
	seeds := n.seeds()
	mustSeed(t, n.Found(t), seeds[:4]...)
	if h.Restart != nil {
		h.Restart(t)
	}
	f := n.Found(t)
	wantBounds(t, f, n, n.First, n.First+3)
	l := n.Open(t)
	l.Resume(seeds[3])
	mustSeed(t, f, seeds[4:]...)
	wantSeeds(t, l, n, seeds[4:])

	other := seeds[3]
	other.Time++
	l = n.Open(t)
	l.Resume(other)
	_, err := l.Read(within(t), other.Seq+1)
	wantBreak(t, "Read after a seed with another time", err)
	other = seeds[3]
	other.Epoch--
	l = n.Open(t)
	l.Resume(other)
	_, err = l.Read(within(t), other.Seq+1)
	wantBreak(t, "Read after a seed of another epoch", err)
}

// testFoundingTogether has several founders put the same entries at once: each is there once.
func testFoundingTogether(t *testing.T, h Harness) {
	n := h.Next
	seeds := n.seeds()
	founders := []ordering.Founding{n.Found(t), n.Found(t), n.Found(t)}
	ctx := within(t)
	var mu sync.Mutex
	put := map[ordering.Seq]int{}
	var wg sync.WaitGroup
	for _, f := range founders {
		wg.Go(func() {
			for _, e := range seeds {
				err := f.Seed(ctx, e)
				if err != nil && !errors.Is(err, ordering.ErrTaken) {
					t.Errorf("Seed(%d): %v", e.Seq, err)
				}
				if err == nil {
					mu.Lock()
					put[e.Seq]++
					mu.Unlock()
				}
			}
			if err := f.Open(ctx); err != nil {
				t.Errorf("Open: %v", err)
			}
		})
	}
	wg.Wait()
	for _, e := range seeds {
		if put[e.Seq] != 1 {
			t.Errorf("entry %d was put %d times", e.Seq, put[e.Seq])
		}
	}
	l := n.Open(t)
	wantSeeds(t, l, n, seeds)
	if seq := mustAppend(t, l, "new"); seq != n.First+ordering.Seq(len(seeds)) {
		t.Errorf("Append: %d, want %d", seq, n.First+ordering.Seq(len(seeds)))
	}
}

// testFoundingForged has a client append what looks like a seed: it stays what it is.
func testFoundingForged(t *testing.T, h Harness) {
	n := h.Next
	f, seeds := n.Found(t), n.seeds()
	mustSeed(t, f, seeds...)
	if err := f.Open(within(t)); err != nil {
		t.Fatal(err)
	}
	l, other := n.Open(t), n.Open(t)
	at := mustAppend(t, l, string(forged))
	mustAppend(t, l, "next")
	next := Harness{Epoch: n.Epoch}
	for _, r := range []ordering.Log{l, other, n.Open(t)} {
		e := readTo(t, r, next, at, at+1)[0]
		if !bytes.Equal(e.Data, forged) || e.Time < seeds[0].Time {
			t.Errorf("read %+v, want the bytes that were appended", e)
		}
	}
}

// testFoundingTruncate drops seeds behind a checkpoint.
func testFoundingTruncate(t *testing.T, h Harness) {
	n := h.Next
	f, seeds := n.Found(t), n.seeds()
	mustSeed(t, f, seeds...)
	l := n.Open(t)
	mustTruncate(t, l, n.First+2)
	if _, err := n.Open(t).Read(within(t), n.First); !errors.Is(err, ordering.ErrTruncated) {
		t.Errorf("Read: %v, want ErrTruncated", err)
	}
	wantSeeds(t, n.Open(t), n, seeds[2:])
	wantBounds(t, n.Found(t), n, n.First+2, seeds[len(seeds)-1].Seq)
}
