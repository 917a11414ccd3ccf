package paging

import (
	"runtime"
	"sync"
)

const (
	// shareOfEach is the number of pages from which on another goroutine takes part of
	// them: to hash as many takes two to five tenths of a millisecond, to start one a few microseconds.
	shareOfEach = 256
	together    = 32 // pages handed out at once
)

// Each calls do with committed pages, several at a time, and the place in the list of the first of them.
// Where they are many it does so on all CPUs at once. What do is called with is valid until it returns.
func (m *Memory) Each(pages []uint32, do func(first int, data [][]byte)) {
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

func (m *Memory) each(pages []uint32, from, to int, do func(first int, data [][]byte)) {
	data := make([][]byte, 0, min(to-from, together))
	for ; from < to; from += len(data) {
		data = data[:0]
		for _, i := range pages[from:min(from+together, to)] {
			if m.Blank(i) {
				data = append(data, zeroPage[:])
			} else {
				data = append(data, page(m.committed, i))
			}
		}
		do(from, data)
	}
}

var zeroPage [PageSize]byte
