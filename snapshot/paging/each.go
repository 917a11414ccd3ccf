package paging

import (
	"runtime"
	"sync"
)

// shareOfEach is the number of pages from which on another goroutine takes part of
// them: to hash as many takes half a millisecond, to start one a few microseconds.
const shareOfEach = 256

// Each calls do with committed pages, by their place in the list. Where they are
// many it does so on all CPUs at once.
func (m *Memory) Each(pages []uint32, do func(i int, page []byte)) {
	workers := min(runtime.GOMAXPROCS(0), len(pages)/shareOfEach)
	if workers <= 1 {
		m.each(pages, 0, len(pages), do)
		return
	}
	share := (len(pages) + workers - 1) / workers
	var work sync.WaitGroup
	for from := 0; from < len(pages); from += share {
		work.Go(func() { m.each(pages, from, min(from+share, len(pages)), do) })
	}
	work.Wait()
}

func (m *Memory) each(pages []uint32, from, to int, do func(i int, page []byte)) {
	for i := from; i < to; i++ {
		if m.Blank(pages[i]) {
			do(i, zeroPage[:])
		} else {
			do(i, page(m.committed, pages[i]))
		}
	}
}

var zeroPage [PageSize]byte
