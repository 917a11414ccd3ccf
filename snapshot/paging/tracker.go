package paging

import (
	"bytes"
	"errors"
	"fmt"

	"lockstep/snapshot"
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

// tracker finds the pages of the working memory that were written, and changes both
// memories behind the guest's back as they are mapped for it. Ranges are in bytes,
// multiples of PageSize.
type tracker interface {
	// peek appends the pages from from to below to that were written and not
	// forgotten since, ascending. They go on counting as written.
	peek(from, to uint64, list []uint32) []uint32
	// settle tells that the working bytes equal the committed ones, after each commit and
	// undo, and how many of the pages that count as written had changed. Pages, ascending, count
	// as not written from here on, and others may.
	settle(pages []uint32, changed int)
	// shed gives back pages, ascending, whose working bytes are the committed ones, where that makes
	// room.
	shed(pages []uint32)
	// write puts pages that follow one another into both memories.
	write(run []snapshot.Page)
	// cut makes a range zero in both memories.
	cut(from, to uint64)
	close() error
}

// candidates are the trackers to try for a choice, the best first.
func candidates(kind Kind) []Kind {
	if kind == Auto {
		return []Kind{Userfaultfd, Memfd, Compare}
	}
	return []Kind{kind}
}

// start maps the memories as a kind of tracker needs them, and starts it. Where that
// fails, they may be mapped all the same.
func (m *Memory) start(kind Kind, size uint64) (err error) {
	m.kind = kind
	switch kind {
	case Userfaultfd:
		return m.startOnFile(size, newUserfaultfd)
	case Memfd:
		return m.startOnFile(size, newMemfd)
	case Compare:
		memories, err := mapAnonymous(size)
		m.live, m.committed = memories.live, memories.committed
		m.tracker = compare{memories}
		return err
	}
	return errors.New("no such tracker")
}

func (m *Memory) startOnFile(size uint64, start func(*file) (tracker, error)) error {
	memories, err := mapFile(size)
	m.live, m.committed = memories.live, memories.committed
	if err == nil {
		if m.tracker, err = start(memories); err == nil {
			m.watch.counts = m.probeFaults()
			return nil
		}
	}
	return errors.Join(err, memories.close())
}

// compare finds the pages that differ from their committed copies.
type compare struct{ anonymous }

func (c compare) peek(from, to uint64, list []uint32) []uint32 {
	for i := uint32(from / PageSize); i < uint32(to/PageSize); i++ {
		if !bytes.Equal(page(c.live, i), page(c.committed, i)) {
			list = append(list, i)
		}
	}
	return list
}

func (compare) settle([]uint32, int) {}
func (compare) shed([]uint32)        {} // its working memory is all its own
func (compare) close() error         { return nil }

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
