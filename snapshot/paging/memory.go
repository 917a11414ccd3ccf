// Package paging is the linear memory of a guest: a reserved mapping with a
// fixed base, the pages written since the last commit, and the committed copy
// that a failed input is undone from.
package paging

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// PageSize is the unit of tracking, in bytes.
const PageSize = 4096

// Kind is how written pages are found.
type Kind uint8

// The trackers.
const (
	Auto    Kind = iota // the best that works here
	Compare             // by comparison with the committed copy: any OS, any sandbox
)

func (k Kind) String() string {
	switch k {
	case Auto:
		return "auto"
	case Compare:
		return "compare"
	}
	return fmt.Sprintf("tracker %d", uint8(k))
}

// Config of a memory.
type Config struct {
	MaxBytes uint64 // a multiple of PageSize; address space is reserved for all of it
	Tracker  Kind
}

// Memory is a working memory and the committed copy of it. It is used by one
// goroutine at a time.
type Memory struct {
	live, committed     []byte // mappings, MaxBytes long
	size, committedSize uint64
	dirty               []uint32
}

// New reserves the address space.
func New(cfg Config) (*Memory, error) {
	if cfg.MaxBytes == 0 || cfg.MaxBytes%PageSize != 0 {
		return nil, fmt.Errorf("memory of at most %d bytes, want a multiple of %d", cfg.MaxBytes, PageSize)
	}
	m := &Memory{}
	for _, to := range []*[]byte{&m.live, &m.committed} {
		mapping, err := unix.Mmap(-1, 0, int(cfg.MaxBytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reserve %d bytes: %w", cfg.MaxBytes, err), m.Close())
		}
		*to = mapping
	}
	return m, nil
}

// Tracker is how written pages are found.
func (m *Memory) Tracker() Kind { return Compare }

// Live is the working memory. Its base never moves.
func (m *Memory) Live() []byte { return m.live[:m.size:m.size] }

// Committed is the committed memory.
func (m *Memory) Committed() []byte { return m.committed[:m.committedSize:m.committedSize] }

// Grow makes the working memory larger, by zeros; nil over the limit.
func (m *Memory) Grow(size uint64) []byte {
	if size > uint64(len(m.live)) || size < m.size {
		return nil
	}
	m.size = size
	return m.Live()
}

// Commit makes the working memory the committed one, and returns the pages
// that changed, ascending.
func (m *Memory) Commit() []uint32 {
	m.dirty = m.dirty[:0]
	for at := uint64(0); at < m.size; at += PageSize {
		l, c := m.live[at:at+PageSize], m.committed[at:at+PageSize]
		if at >= m.committedSize || !bytes.Equal(l, c) {
			copy(c, l)
			m.dirty = append(m.dirty, uint32(at/PageSize))
		}
	}
	m.committedSize = m.size
	return m.dirty
}

// Undo makes the committed memory the working one again.
func (m *Memory) Undo() {
	clear(m.live[min(m.committedSize, m.size):m.size])
	m.size = m.committedSize
	for at := uint64(0); at < m.size; at += PageSize {
		if l, c := m.live[at:at+PageSize], m.committed[at:at+PageSize]; !bytes.Equal(l, c) {
			copy(l, c)
		}
	}
}

// Resize changes the size of both memories.
func (m *Memory) Resize(size uint64) {
	for _, b := range [][]byte{m.live, m.committed} {
		if size < max(m.size, m.committedSize) {
			clear(b[size:max(m.size, m.committedSize)])
		}
	}
	m.size, m.committedSize = size, size
}

// Write changes a page of both memories.
func (m *Memory) Write(index uint32, page []byte) {
	copy(m.live[uint64(index)*PageSize:m.size], page)
	copy(m.committed[uint64(index)*PageSize:m.committedSize], page)
}

// Close gives the address space back.
func (m *Memory) Close() error {
	var errs []error
	for _, b := range [][]byte{m.live, m.committed} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	m.live, m.committed, m.size, m.committedSize = nil, nil, 0, 0
	return errors.Join(errs...)
}
