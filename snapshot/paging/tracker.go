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
	// written appends the pages from from to below to that were written since
	// they were last asked for or restarted, ascending. fresh says that they
	// never were: then pages that nobody touched may be left out.
	written(from, to uint64, fresh bool, list []uint32) []uint32
	// restart forgets what was written in a range.
	restart(from, to uint64)
	// fold says that the working bytes of these pages equal the committed ones.
	fold(pages []uint32)
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

func (c compare) written(from, to uint64, _ bool, list []uint32) []uint32 {
	for i := uint32(from / PageSize); i < uint32(to/PageSize); i++ {
		if !bytes.Equal(page(c.m.live, i), page(c.m.committed, i)) {
			list = append(list, i)
		}
	}
	return list
}

func (compare) fold([]uint32)          {}
func (compare) restart(uint64, uint64) {}
func (compare) close() error           { return nil }
