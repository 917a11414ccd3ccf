// Package paging is the linear memory of a guest: a working memory at a fixed
// base, and the committed copy that a failed input is undone from.
//
// The guest's machine code writes to the working memory as it likes. Which
// pages it wrote since the last commit is found by a tracker, so that Commit
// and Undo cost what was written and not what there is:
//
//   - Userfaultfd, Linux 6.7 and later: the kernel write-protects pages and
//     lifts the protection by itself at the first write to each (about 1 µs);
//     one call of PAGEMAP_SCAN lists them, another protects them again. It needs
//     no privilege, but some container profiles forbid it.
//   - Memfd, Linux: /proc/self/pagemap tells the pages that were copied on
//     write. Each is given back at commit, so that the next write copies it again.
//   - Compare: every page is compared with its copy, at memory speed. It works
//     everywhere.
//
// For the first two the committed memory is a file in memory and the working memory a
// private mapping of it: a page that the guest did not write exists once, and
// pages that are given back cost nothing until they are touched again. That is what keeps
// a scan, which costs with the pages that the working memory has, from costing with the size
// of the memory: pages over which scans have passed in vain for long are given back.
//
// All trackers find the same pages but for some that were written with what
// they held, or only read for the first time; the committed bytes are the same.
package paging

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"lockstep/snapshot"
)

// PageSize is the unit of tracking, in bytes.
const PageSize = 4096

// Config of a memory.
type Config struct {
	MaxBytes uint64 // a multiple of PageSize; address space is reserved for all of it
	Tracker  Kind
}

// Memory is a working memory and the committed copy of it. It is used by one
// goroutine at a time.
type Memory struct {
	live, committed     []byte // mappings of MaxBytes; zero from the size on
	size, committedSize uint64
	kind                Kind
	tracker             tracker
	written             []uint32         // pages that count as written, from find on and until they are protected
	dirty               []uint32         // room for the list of a commit
	kept                []uint32         // room for the list of keep
	vain                int              // comparisons of pages that had not changed, since all were last protected
	watch               watch            // saves scans; see watch.go
	held                snapshot.PageSet // committed pages that were ever written; the others are zero
	frozen              []*Frozen        // being read; see frozen.go
}

// New reserves the address space. It takes memory only for pages that are
// written.
func New(cfg Config) (*Memory, error) {
	if cfg.MaxBytes == 0 || cfg.MaxBytes%PageSize != 0 {
		return nil, fmt.Errorf("memory of at most %d bytes, want a multiple of %d", cfg.MaxBytes, PageSize)
	}
	m := &Memory{}
	if err := m.open(cfg); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Memory) open(cfg Config) (err error) {
	for _, kind := range candidates(cfg.Tracker) {
		if err = m.start(kind, cfg.MaxBytes); err == nil {
			return nil
		}
		err = errors.Join(fmt.Errorf("track pages by %v: %w", kind, err), m.Close())
	}
	return err
}

// Tracker is how written pages are found.
func (m *Memory) Tracker() Kind { return m.kind }

// Live is the working memory. Its base never moves.
func (m *Memory) Live() []byte { return m.live[:m.size:m.size] }

// Committed is the committed memory, valid and unchanged until the next Commit,
// Write or Resize.
func (m *Memory) Committed() []byte { return m.committed[:m.committedSize:m.committedSize] }

// Blank tells that a page has been zero since it was added. To read it could take memory for it.
func (m *Memory) Blank(page uint32) bool { return !m.held.Has(page) }

// Grow makes the working memory larger, by zeros; nil over the limit.
func (m *Memory) Grow(size uint64) []byte {
	if size > uint64(len(m.live)) || size < m.size || size%PageSize != 0 {
		return nil
	}
	m.size = size
	return m.Live()
}

// Written pages stay unprotected for a while, to be compared with their copies
// at the next commits: a guest writes to the same few pages again and again, and a
// comparison costs less than a fault. What is compared in vain is weighed against
// the faults that protecting all of them would bring back, so that neither costs
// more than twice what knowing the future would.
const (
	maxWarm   = 512 // pages, above which all are protected at once
	scanCost  = 64  // comparisons that one more scan is worth
	faultCost = 4   // comparisons that a fault is worth
)

// Commit makes the working memory the committed one. It returns the pages that
// changed, or may have, ascending; the slice is valid until the next call.
func (m *Memory) Commit() []uint32 {
	before := m.committedSize
	m.find()
	m.dirty = m.dirty[:0]
	warm := len(m.written) <= maxWarm
	for _, i := range m.written {
		if !warm || !bytes.Equal(page(m.live, i), page(m.committed, i)) {
			m.dirty = append(m.dirty, i)
		}
	}
	n := len(m.dirty)
	m.dirty = m.tracker.peek(before, m.size, m.dirty)
	for part := range slices.Chunk(m.dirty, atOnce) {
		m.fold(part)
	}
	cold := m.dirty[n:]
	if m.cooled(n) {
		cold = append(m.written, cold...)
		m.written = cold[:0]
	}
	m.tracker.settle(cold, n)
	m.committedSize = m.size
	// What was added counts as changed, written or not.
	m.dirty = m.dirty[:n]
	for at := before; at < m.size; at += PageSize {
		m.dirty = append(m.dirty, uint32(at/PageSize))
	}
	return m.dirty
}

// atOnce is how many pages are kept for who reads before their working copies are given back.
const atOnce = 1024

// fold brings pages, ascending, into the committed memory. One that somebody is still to read as it was stays there for
// that: its working copy, which is no other than the committed one now, makes room for it.
func (m *Memory) fold(pages []uint32) {
	kept := m.keep(pages)
	for _, i := range pages {
		copy(page(m.committed, i), page(m.live, i))
		m.held.Add(i)
	}
	m.tracker.shed(kept)
}

// Undo makes the committed memory the working one again, bytes and size.
func (m *Memory) Undo() {
	m.find()
	if m.size > m.committedSize {
		m.tracker.cut(m.committedSize, m.size)
		m.size = m.committedSize
	}
	changed := m.putBack()
	var cold []uint32
	if m.cooled(changed) {
		cold, m.written = m.written, m.written[:0]
	}
	m.tracker.settle(cold, changed)
}

// cooled tells whether to protect the written pages again, of which some had changed and the others were compared
// in vain.
func (m *Memory) cooled(changed int) bool {
	m.vain += len(m.written) - changed
	if len(m.written) <= maxWarm && m.vain <= scanCost+faultCost*changed {
		return false
	}
	m.vain = 0
	return true
}

// putBack makes the written pages the committed ones, and returns how many differed.
func (m *Memory) putBack() (n int) {
	for _, i := range m.written {
		if !bytes.Equal(page(m.live, i), page(m.committed, i)) {
			copy(page(m.live, i), page(m.committed, i))
			n++
		}
	}
	return n
}

// Resize changes the size of both memories: cut off, or extended by zeros. It is
// for a memory with nothing uncommitted: what was, is forgotten to have been.
func (m *Memory) Resize(size uint64) {
	m.keepFrom(size)
	if size < m.size {
		m.tracker.cut(size, m.size)
	}
	m.held.Cut(uint32(size / PageSize))
	m.size, m.committedSize = size, size
	m.watch.listed = false
}

// Write changes pages of both memories. Those that follow one another in memory
// are best given one after another.
func (m *Memory) Write(pages ...snapshot.Page) {
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n].Index == pages[0].Index+uint32(n) {
			n++
		}
		for _, p := range pages[:n] {
			m.keep([]uint32{p.Index})
			m.held.Add(p.Index)
		}
		m.tracker.write(pages[:n])
		pages = pages[n:]
	}
}

// Close gives the address space back, but for what is still being read.
func (m *Memory) Close() error {
	m.leaveFrozen()
	var errs []error
	if m.tracker != nil {
		errs = append(errs, m.tracker.close())
	}
	for _, b := range [][]byte{m.live, m.committed} {
		if b != nil {
			errs = append(errs, release(b))
		}
	}
	*m = Memory{}
	return errors.Join(errs...)
}

func page(memory []byte, index uint32) []byte {
	return memory[uint64(index)*PageSize:][:PageSize]
}
