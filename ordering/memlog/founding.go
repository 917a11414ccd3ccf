package memlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep/ordering"
)

// Founding is the ordering.Founding of a Server.
type Founding struct{ s *Server }

// Found is for those who make the log, of which nobody appends before it is opened.
func (s *Server) Found() Founding { return Founding{s} }

// State is ordering.Founding's.
func (f Founding) State(context.Context) (ordering.State, error) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	return ordering.State{Epoch: s.epoch, First: s.first, Last: s.last(), Bytes: uint64(s.bytes), MaxBytes: uint64(s.maxBytes), Founding: s.closed}, nil
}

// Seed is ordering.Founding's.
func (f Founding) Seed(_ context.Context, e ordering.Entry) error {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Seq != s.last()+1 {
		return fmt.Errorf("seed at %d, the last is %d: %w", e.Seq, s.last(), ordering.ErrTaken)
	}
	if e.Epoch == s.epoch {
		e.Time = ordering.Time(time.Now().UnixNano())
	}
	e.Data = slices.Clone(e.Data)
	s.entries = append(s.entries, e)
	s.bytes += len(e.Data) + entryOverhead
	s.notify()
	return nil
}

// Open is ordering.Founding's.
func (f Founding) Open(context.Context) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.closed = false
	return nil
}

var _ ordering.Founding = Founding{}
