package paging

import (
	"bytes"
	"errors"
	"fmt"
)

// Kind is how written pages are found.
type Kind uint8

// The trackers.
const (
	Auto        Kind = iota // the first of the others that works here
	Userfaultfd             // write protection lifted by the kernel; Linux 6.7 and later
	Memfd                   // copy on write of a file in memory; Linux
	Compare                 // comparison with the committed copy
)

func (k Kind) String() string {
	switch k {
	case Auto:
		return "auto"
	case Userfaultfd:
		return "userfaultfd"
	case Memfd:
		return "memfd"
	case Compare:
		return "compare"
	}
	return fmt.Sprintf("tracker %d", uint8(k))
}

// tracker finds the pages of the working memory that were written. Ranges are
// in bytes, multiples of PageSize.
type tracker interface {
	// peek appends the pages from from to below to that were written and not
	// forgotten since, ascending. They go on counting as written.
	peek(from, to uint64, list []uint32) []uint32
	// fresh is peek for pages that were never asked for: those that nobody touched
	// may be left out, and count as not written from here on.
	fresh(from, to uint64, list []uint32) []uint32
	// forget makes pages, ascending, count as not written, and maybe others that lie
	// between. The working bytes of all equal the committed ones.
	forget(pages []uint32)
	// restart makes all pages of a range count as not written.
	restart(from, to uint64)
	close() error
}

// candidates are the trackers to try for a choice, the best first.
func candidates(kind Kind) []Kind {
	if kind == Auto {
		return []Kind{Userfaultfd, Memfd, Compare}
	}
	return []Kind{kind}
}

// track starts the tracker of a kind on memories that are mapped for it.
func track(kind Kind, m *Memory) (tracker, error) {
	switch kind {
	case Userfaultfd:
		return newUserfaultfd(m.live)
	case Memfd:
		return newMemfd(m.live)
	case Compare:
		return compare{m}, nil
	}
	return nil, errors.New("no such tracker")
}

// compare finds the pages that differ from their committed copies.
type compare struct{ m *Memory }

func (c compare) peek(from, to uint64, list []uint32) []uint32 {
	for i := uint32(from / PageSize); i < uint32(to/PageSize); i++ {
		if !bytes.Equal(page(c.m.live, i), page(c.m.committed, i)) {
			list = append(list, i)
		}
	}
	return list
}

func (c compare) fresh(from, to uint64, list []uint32) []uint32 { return c.peek(from, to, list) }

func (compare) forget([]uint32)        {}
func (compare) restart(uint64, uint64) {}
func (compare) close() error           { return nil }

// runs calls do for each run of pages, as bytes from and to. Up to apart pages between two
// are taken into the run.
func runs(pages []uint32, apart uint32, do func(from, to uint64)) {
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n] <= pages[n-1]+1+apart {
			n++
		}
		do(uint64(pages[0])*PageSize, uint64(pages[n-1]+1)*PageSize)
		pages = pages[n:]
	}
}
