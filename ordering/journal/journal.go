package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lockstep/ordering"
)

// Options of a journal. The zero value is right.
type Options struct {
	// SegmentBytes is the size from which on a segment is not appended to; 0 is
	// DefaultSegmentBytes. The journal is dropped by whole segments.
	SegmentBytes int64
	// OnSync is told how far the journal is durable, each time that this changes, and
	// each time that writing fails. It is called from the writing goroutine: it must
	// not block, and must not call Close, Rewind or Reset.
	OnSync func(durable ordering.Position, err error)
	// OnCommit is told of each write that became durable, from the same goroutine; nil: nobody is.
	OnCommit func(entries int, bytes int64, took time.Duration)

	create func(path string) (file, error)
}

// Limits.
const (
	DefaultSegmentBytes = 16 << 20
	// MaxQueued is the size of the queue in bytes from which on Full says so.
	MaxQueued = 32 << 20
)

// Journal is safe for concurrent use.
type Journal struct {
	dir  string
	opts Options
	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup

	idle *sync.Cond // on mu: a write has ended

	mu       sync.Mutex
	segments []*segment // oldest first; the newest is written to
	next     uint64     // number of the segment to be made next
	broken   bool       // the newest segment's file took a write that failed
	queue    []record   // not durable yet
	bytes    int        // of the queue
	writing  bool       // the first of the queue are being written
	queued   ordering.Position
	durable  ordering.Position
	fence    ordering.Position
	err      error // why writing failed the last time
	closed   bool
}

// Errors that callers branch on.
var (
	ErrClosed = errors.New("journal is closed")
	// ErrNotHere says that the journal does not have an entry, or not any more.
	ErrNotHere = errors.New("entry is not in the journal")
)

// FenceError says that the entry at a position that the journal once had durably
// is another one now: this replica may have voted for what is gone.
type FenceError struct{ Want, Got ordering.Position }

func (e *FenceError) Error() string {
	return fmt.Sprintf("journal once had %v, the log has %v", e.Want, e.Got)
}

// Append queues an entry that follows the last one; p is the position after it. The
// entry's data must not change afterwards. The caller looks at Full first.
func (j *Journal) Append(e ordering.Entry, p ordering.Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return ErrClosed
	case !j.queued.Follows(e) || p.Seq != e.Seq || p.Epoch != e.Epoch:
		return fmt.Errorf("append to journal: %d/%d does not follow %v", e.Epoch, e.Seq, j.queued)
	case len(e.Data) > ordering.MaxEntry:
		return fmt.Errorf("append to journal: %w", ordering.ErrTooLarge)
	case j.fence.Seq == e.Seq && j.fence != p:
		return &FenceError{j.fence, p}
	}
	j.queue = append(j.queue, record{entry: e, chain: p.Chain})
	j.bytes += recordHead + len(e.Data)
	j.queued = p
	j.poke()
	return nil
}

// Full tells that the queue is so long that the caller should wait: for OnSync.
func (j *Journal) Full() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes >= MaxQueued
}

// Err is why the journal cannot be written to at this time, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Last is the position after the newest entry, queued or durable; that of the base
// if there is none.
func (j *Journal) Last() ordering.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queued
}

// Durable is the newest position that survives a crash.
func (j *Journal) Durable() ordering.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Fence is the newest position that the journal has lost by damage and not reached
// again. Up to there a replica may have voted already.
func (j *Journal) Fence() (p ordering.Position, fenced bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fence, j.fence.Seq > j.queued.Seq
}

// First is the oldest entry that Read has, or the one after Durable if there is none.
func (j *Journal) First() ordering.Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return j.durable.Seq + 1
	}
	return j.segments[0].base.Seq + 1
}

// Base is the position before First.
func (j *Journal) Base() ordering.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return j.durable
	}
	return j.segments[0].base
}

// Read returns up to n durable entries from a seq on, at least one and not many more than
// maxBytes of data; ErrNotHere if the first of them is not here.
func (j *Journal) Read(from ordering.Seq, n, maxBytes int) ([]ordering.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []ordering.Entry
	bytes := 0
	for seq := from; len(out) < n && (len(out) == 0 || bytes < maxBytes); seq++ {
		r, err := j.record(seq)
		if err != nil && len(out) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r.entry)
		bytes += len(r.entry.Data)
	}
	return out, nil
}

// At returns the position after the entry at seq, or ErrNotHere. The base of the journal
// counts as an entry here.
func (j *Journal) At(seq ordering.Seq) (ordering.Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq == j.durable.Seq {
		return j.durable, nil
	}
	if len(j.segments) > 0 && j.segments[0].base.Seq == seq {
		return j.segments[0].base, nil
	}
	r, err := j.record(seq)
	if err != nil {
		return ordering.Position{}, err
	}
	return r.position(), nil
}

// record reads a durable record. The caller holds mu.
func (j *Journal) record(seq ordering.Seq) (record, error) {
	if seq > j.durable.Seq {
		return record{}, ErrNotHere
	}
	for i := len(j.segments) - 1; i >= 0; i-- {
		if s := j.segments[i]; seq > s.base.Seq {
			return s.read(seq)
		}
	}
	return record{}, ErrNotHere
}

// Drop forgets entries that are behind a checkpoint: those up to seq that are in segments
// of which none is needed any more.
func (j *Journal) Drop(to ordering.Seq) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n < len(j.segments)-1 && j.segments[n+1].base.Seq <= to {
		n++
	}
	void := j.segments[:n:n]
	j.segments = j.segments[n:]
	return remove(void)
}

// remove drops segments. The oldest goes first, so that what a crash leaves is a run.
func remove(void []*segment) error {
	for _, s := range void {
		if err := errors.Join(s.f.Close(), os.Remove(s.path)); err != nil {
			return fmt.Errorf("drop journal segment: %w", err)
		}
	}
	return nil
}

// Close ends the journal. What is queued and not durable is dropped.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.stop)
	j.mu.Unlock()
	j.done.Wait()
	var err error
	for _, s := range j.segments {
		err = errors.Join(err, s.f.Close())
	}
	return err
}

// newest is the last position in the files. The caller holds mu, or nobody else is there.
func (j *Journal) newest() ordering.Position {
	if len(j.segments) == 0 {
		return ordering.Position{}
	}
	return j.segments[len(j.segments)-1].last
}

func (j *Journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// dropFence forgets the fence once the journal has reached it. A file that stays is
// below what the journal has, and means nothing. The caller holds mu.
func (j *Journal) dropFence() {
	if j.fence.Seq > 0 && j.fence.Seq <= j.durable.Seq {
		j.fence = ordering.Position{}
		_ = os.Remove(filepath.Join(j.dir, fenceName))
	}
}
