package paging

import (
	"fmt"
	"slices"
	"sync"
)

// Frozen is the committed memory as it was when Freeze was called. It costs
// nothing to take: the pages are read where they are, and a commit that is about
// to overwrite one that was not read yet keeps a copy of it first. It
// implements snapshot.Frozen.
type Frozen struct {
	mu        sync.Mutex
	committed []byte   // the mapping, up to the size then; nil once released
	next      uint32   // pages below were read or passed over
	kept      []byte   // a mapping with the pages that were overwritten since, each at its place; nil while there is none
	has       []bool   // pages in kept
	dropped   uint32   // pages of kept below were given back
	last      []byte   // what Page returned
	mapping   *mapping // to give back on release; nil while the memory has it
}

// keptApart is the number of pages after which those of kept that were read are given back.
// They are in a mapping since the collector would let as much again pile up.
const keptApart = 64

// mapping is a committed memory that outlives its Memory while it is read.
type mapping struct {
	mu      sync.Mutex
	bytes   []byte
	readers int
}

// Freeze returns the committed memory as it is now.
func (m *Memory) Freeze() *Frozen {
	f := &Frozen{committed: m.Committed()}
	m.frozen = append(m.frozen, f)
	return f
}

// Page implements snapshot.Frozen.
func (f *Frozen) Page(index uint32) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if index < f.next {
		panic(fmt.Sprintf("paging: frozen page %d is read after %d", index, f.next-1))
	}
	if f.kept != nil && index >= f.dropped+keptApart {
		drop(f.kept[uint64(f.dropped)*PageSize : uint64(index)*PageSize])
		f.dropped = index
	}
	f.next = index + 1
	from := f.committed
	if f.kept != nil && f.has[index] {
		from = f.kept
	}
	f.last = append(f.last[:0], page(from, index)...)
	return f.last
}

// Release implements snapshot.Frozen.
func (f *Frozen) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept != nil {
		mustRelease(f.kept)
	}
	f.committed, f.kept, f.has = nil, nil, nil
	if f.mapping != nil {
		f.mapping.leave()
		f.mapping = nil
	}
}

// keep copies the pages that are about to change and are still to be read, and appends
// them to a list. It reports whether anybody reads at all.
func (f *Frozen) keep(pages []uint32, list *[]uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range pages {
		if i < f.next || uint64(i) >= uint64(len(f.committed))/PageSize {
			continue
		}
		if f.kept == nil {
			f.reserve()
		}
		if !f.has[i] {
			f.has[i] = true
			copy(page(f.kept, i), page(f.committed, i))
			*list = append(*list, i)
		}
	}
	return f.committed != nil
}

// reserve makes room for what is kept. To have no address space left is to have no memory left.
func (f *Frozen) reserve() {
	kept, err := reserve(uint64(len(f.committed)))
	if err != nil {
		panic(fmt.Sprintf("paging: reserve %d bytes: %v", len(f.committed), err))
	}
	sparse(kept)
	f.kept, f.has = kept, make([]bool, len(f.committed)/PageSize)
}

// keep is to be called before committed pages change. It lists those, ascending if pages do, that are there
// once more from now on, for who reads; the list is valid until the next call.
func (m *Memory) keep(pages []uint32) []uint32 {
	m.kept = m.kept[:0]
	readers := len(m.frozen)
	if readers > 0 {
		m.frozen = slices.DeleteFunc(m.frozen, func(f *Frozen) bool { return !f.keep(pages, &m.kept) })
	}
	if readers > 1 {
		slices.Sort(m.kept)
		m.kept = slices.Compact(m.kept)
	}
	return m.kept
}

// keepFrom is keep for all committed pages from a size on.
func (m *Memory) keepFrom(size uint64) {
	if len(m.frozen) == 0 {
		return
	}
	var cut []uint32
	for at := size; at < m.committedSize; at += PageSize {
		cut = append(cut, uint32(at/PageSize))
	}
	m.keep(cut)
}

// leaveFrozen hands the committed mapping to those who read it, the last of
// whom gives it back.
func (m *Memory) leaveFrozen() {
	m.keep(nil) // forgets who has ended
	if len(m.frozen) == 0 {
		return
	}
	left := &mapping{bytes: m.committed, readers: 1}
	for _, f := range m.frozen {
		f.mu.Lock()
		if f.committed != nil {
			left.join()
			f.mapping = left
		}
		f.mu.Unlock()
	}
	m.committed, m.frozen = nil, nil
	left.leave()
}

func (b *mapping) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers++
}

func (b *mapping) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readers--; b.readers > 0 {
		return
	}
	mustRelease(b.bytes)
}

// mustRelease gives address space back. That it fails is a mistake of ours.
func mustRelease(b []byte) {
	if err := release(b); err != nil {
		panic(fmt.Sprintf("paging: give back address space: %v", err))
	}
}
