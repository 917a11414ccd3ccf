package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"lockstep/audit"
	"lockstep/snapshot"
)

// digests are those of committed pages, in their order.
func digests(m *Memory, pages []uint32) []audit.Digest {
	list := make([]audit.Digest, len(pages))
	m.Each(pages, func(first int, data [][]byte) { snapshot.PageDigests(data, list[first:]) })
	return list
}

// Each is called with each page once, on however many CPUs.
func TestEach(t *testing.T) {
	const pages = 4 * shareOfEach
	m := open(t, Compare, (pages+1)*PageSize)
	m.Grow(pages * PageSize)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range pages {
		m.Live()[i*PageSize+r.IntN(PageSize)] = byte(r.Uint32())
	}
	m.Commit()
	m.Grow((pages + 1) * PageSize) // blank
	m.Commit()
	for _, n := range []int{0, 1, shareOfEach, 2*shareOfEach - 1, 2 * shareOfEach, 3*shareOfEach + 1, pages + 1} {
		var list []uint32
		for _, i := range r.Perm(pages + 1)[:n] {
			list = append(list, uint32(i))
		}
		for i, d := range digests(m, list) {
			if d != snapshot.PageDigest(page(m.Committed(), list[i])) {
				t.Fatalf("digest %d of %d is not its page's", i, n)
			}
		}
	}
}

// BenchmarkCommitAndRoot is what an audit costs after so many pages were written
// since the last one, spread over a memory of 1 GiB: commit, digests, tree and root.
func BenchmarkCommitAndRoot(b *testing.B) {
	const size = 1 << 30
	for _, dirty := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("1GiB/%d dirty", dirty), func(b *testing.B) {
			m := filled(b, Auto, size)
			tree := snapshot.NewTree()
			root := func(pages []uint32) audit.Digest {
				tree.Resize(size)
				for i, d := range digests(m, pages) {
					tree.Set(pages[i], d)
				}
				return tree.Root()
			}
			all := make([]uint32, size/PageSize)
			for i := range all {
				all[i] = uint32(i)
			}
			last := root(all)
			r := rand.New(rand.NewPCG(1, 1))
			for b.Loop() {
				b.StopTimer()
				for range dirty {
					m.Live()[r.IntN(size/8)*8]++
				}
				b.StartTimer()
				if next := root(m.Commit()); next == last {
					b.Fatal("the root stays as it was")
				} else {
					last = next
				}
			}
		})
	}
}
