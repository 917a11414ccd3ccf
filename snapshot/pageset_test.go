package snapshot_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/snapshot"
)

// A set of pages does what a map does, across the bounds of its words.
func TestPageSet(t *testing.T) {
	const pages = 300
	r := rand.New(rand.NewPCG(1, 2))
	var set snapshot.PageSet
	want := make(map[uint32]bool)
	for step := range 5000 {
		i := r.Uint32N(pages)
		switch r.IntN(20) {
		case 0:
			set.Cut(i)
			maps.DeleteFunc(want, func(k uint32, _ bool) bool { return k >= i })
		case 1, 2, 3:
			set.Remove(i)
			delete(want, i)
		default:
			set.Add(i, i/2)
			want[i], want[i/2] = true, true
		}
		limit := r.Uint32N(pages)
		below := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(k uint32) bool { return k >= limit })
		if got := set.List(limit); !slices.Equal(got, below) || set.Len() != len(want) || set.Has(i) != want[i] {
			t.Fatalf("step %d: %v below %d of %d, has %d is %v; want %v of %d, %v", step, got, limit, set.Len(), i, set.Has(i), below, len(want), want[i])
		}
	}
}
