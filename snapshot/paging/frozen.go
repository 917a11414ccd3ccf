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
	committed []byte            // the mapping, up to the size then; nil once released
	next      uint32            // pages below were read or passed over
	kept      map[uint32][]byte // overwritten since, at next and above
	last      []byte            // what Page returned
	mapping   *mapping          // to give back on release; nil while the memory has it
}

// mapping is a committed memory that outlives its Memory while it is read.
type mapping struct {
	mu      sync.Mutex
	bytes   []byte
	readers int
}

// Freeze returns the committed memory as it is now.
func (m *Memory) Freeze() *Frozen {
	f := &Frozen{committed: m.Committed(), kept: make(map[uint32][]byte)}
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
	f.next = index + 1
	if kept, ok := f.kept[index]; ok {
		delete(f.kept, index)
		return kept
	}
	f.last = append(f.last[:0], page(f.committed, index)...)
	return f.last
}

// Release implements snapshot.Frozen.
func (f *Frozen) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.committed, f.kept = nil, nil
	if f.mapping != nil {
		f.mapping.leave()
		f.mapping = nil
	}
}

// keep copies the pages that are about to change and are still to be read. It
// reports whether anybody reads at all.
func (f *Frozen) keep(pages []uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range pages {
		if i < f.next || uint64(i) >= uint64(len(f.committed))/PageSize {
			continue
		}
		if _, has := f.kept[i]; !has {
			f.kept[i] = slices.Clone(page(f.committed, i))
		}
	}
	return f.committed != nil
}

// keep is to be called before committed pages change.
func (m *Memory) keep(pages []uint32) {
	if len(m.frozen) > 0 {
		m.frozen = slices.DeleteFunc(m.frozen, func(f *Frozen) bool { return !f.keep(pages) })
	}
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
	if err := release(b.bytes); err != nil {
		panic(fmt.Sprintf("paging: give back address space: %v", err)) // a mistake of ours
	}
}
