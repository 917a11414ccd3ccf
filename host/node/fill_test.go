package node

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/ordering"
)

// A replica that starts again at any checkpoint, or is brought to one by a transfer, makes the same ones after it, and no more
// than a share of the log comes between two.
func TestFillAlike(t *testing.T) {
	const n, bound = 2000, 1 << 20
	r := rand.New(rand.NewPCG(1, 1))
	entries := make([]ordering.Entry, n)
	for i := range entries {
		entries[i] = ordering.Entry{Seq: ordering.Seq(i + 1), Data: make([]byte, r.IntN(40_000))}
	}
	due := func(f fill, from int) (at []ordering.Seq) {
		bytes := 0
		for i := range entries[from:] {
			e := &entries[from+i]
			bytes += len(e.Data) + fillEntry
			if f.add(e) {
				at = append(at, e.Seq)
				f.checkpointed()
				bytes = 0
			}
			if bytes > bound/fillShare+40_000 {
				t.Fatalf("no checkpoint at seq %d, %d bytes after the last", e.Seq, bytes)
			}
		}
		return at
	}
	all := due(fill{bound: bound}, 0)
	if len(all) < 50 {
		t.Fatalf("%d checkpoints", len(all))
	}
	for i, at := range all {
		for _, f := range []fill{{bound: bound}, {bound: bound, last: at + 7, bytes: bound / 5}, {bound: bound, last: at - 3, bytes: 99}} {
			if got := due(f, int(at)); !slices.Equal(got, all[i+1:]) {
				t.Fatalf("from the checkpoint at %d on, checkpoints are at %v, want %v", at, got, all[i+1:])
			}
		}
	}
	if got := dueOf(fill{}, entries); got != 0 {
		t.Errorf("%d checkpoints of a log without a bound", got)
	}
}

func dueOf(f fill, entries []ordering.Entry) (n int) {
	for i := range entries {
		if f.add(&entries[i]) {
			n++
		}
	}
	return n
}
