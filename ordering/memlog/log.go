package memlog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep/ordering"
)

// Log is a handle on a Server's log.
type Log struct {
	s      *Server
	id     int // of the log that was opened
	once   sync.Once
	closed chan struct{}

	// Guarded by s.mu.
	lies    map[ordering.Seq][]byte
	read    ordering.Seq   // the newest position handed out
	readSum ordering.Chain // of that entry alone
	broken  *ordering.BreakError
}

// Rewrite shows other bytes at a position to this handle alone, as a sequencer does
// whose servers went separate ways. The position need not be there yet.
func (l *Log) Rewrite(seq ordering.Seq, data []byte) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.lies[seq] = append([]byte{}, data...)
}

// Append is ordering.Log's.
func (l *Log) Append(ctx context.Context, data []byte) (ordering.Seq, error) {
	if len(data) > ordering.MaxEntry {
		return 0, ordering.ErrTooLarge
	}
	if err := l.late(ctx); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	l.s.mu.Lock()
	floor := l.read
	seq, err := l.s.order(data)
	if err == nil && seq <= floor && l.id == l.s.id {
		err = l.fail(seq, fmt.Sprintf("position was given out again after %d had been read", floor))
	}
	l.s.mu.Unlock()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if err := l.late(ctx); err != nil {
		return 0, fmt.Errorf("append: %w: %w", ErrNoAck, err)
	}
	return seq, nil
}

// Read is ordering.Log's.
func (l *Log) Read(ctx context.Context, from ordering.Seq) ([]ordering.Entry, error) {
	if err := l.late(ctx); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	for {
		l.s.mu.Lock()
		got, err := l.look(from)
		changed := l.s.changed
		l.s.mu.Unlock()
		if len(got) > 0 || err != nil {
			return got, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("read: %w", context.Cause(ctx))
		case <-l.closed:
			return nil, ordering.ErrClosed
		}
		if err := l.late(ctx); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
	}
}

// Resume is ordering.Log's.
func (l *Log) Resume(last ordering.Entry) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.read, l.readSum = last.Seq, sumOf(last)
}

// look returns what there is at from and after it. The caller holds s.mu.
func (l *Log) look(from ordering.Seq) ([]ordering.Entry, error) {
	s := l.s
	switch {
	case l.broken != nil:
		return nil, l.broken
	case s.down:
		return nil, nil
	case l.id != s.id:
		return nil, l.fail(s.first, "the log was created anew")
	case from < s.first:
		return nil, fmt.Errorf("read at %d, first is %d: %w", from, s.first, ordering.ErrTruncated)
	case from > s.last()+1:
		return nil, l.fail(from, fmt.Sprintf("the log ends at %d, before what was read", s.last()))
	case from == l.read+1 && s.has(l.read) && sumOf(l.entry(l.read)) != l.readSum:
		return nil, l.fail(l.read, "entry was rewritten")
	case from == s.last()+1:
		return nil, nil
	}
	n := int(s.last() - from + 1)
	if s.dice.hit(s.faults.ShortRead) {
		n = s.dice.some(n)
	}
	out := make([]ordering.Entry, n)
	for i := range out {
		out[i] = l.entry(from + ordering.Seq(i))
	}
	l.read, l.readSum = out[n-1].Seq, sumOf(out[n-1])
	return out, nil
}

// entry copies the entry at seq as this handle is to see it.
func (l *Log) entry(seq ordering.Seq) ordering.Entry {
	e := l.s.entries[seq-l.s.first]
	if lie, ok := l.lies[seq]; ok {
		e.Data = lie
	}
	e.Data = append([]byte(nil), e.Data...)
	return e
}

func sumOf(e ordering.Entry) ordering.Chain { return ordering.Chain{}.Next(e) }

func (l *Log) fail(seq ordering.Seq, reason string) error {
	if l.broken == nil {
		l.broken = &ordering.BreakError{Epoch: l.s.epoch, Seq: seq, Reason: reason}
	}
	return l.broken
}

// State is ordering.Log's.
func (l *Log) State(ctx context.Context) (ordering.State, error) {
	if err := l.check(ctx); err != nil {
		return ordering.State{}, fmt.Errorf("read state: %w", err)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.usable(); err != nil {
		return ordering.State{}, fmt.Errorf("read state: %w", err)
	}
	return ordering.State{Epoch: l.s.epoch, First: l.s.first, Last: l.s.last(), Bytes: uint64(l.s.bytes), MaxBytes: uint64(l.s.maxBytes), Founding: l.s.closed}, nil
}

// Truncate is ordering.Log's.
func (l *Log) Truncate(ctx context.Context, first ordering.Seq) error {
	if err := l.check(ctx); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.usable(); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	l.s.truncate(first)
	return nil
}

func (l *Log) usable() error {
	switch {
	case l.s.down:
		return ErrDown
	case l.id != l.s.id:
		return l.fail(l.s.first, "the log was created anew")
	}
	return nil
}

// Close is ordering.Log's.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *Log) check(ctx context.Context) error {
	select {
	case <-l.closed:
		return ordering.ErrClosed
	default:
		return ctx.Err()
	}
}

// late waits for as long as this step takes.
func (l *Log) late(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	l.s.mu.Lock()
	d := l.s.dice.upTo(l.s.faults.Delay)
	l.s.mu.Unlock()
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.closed:
		return ordering.ErrClosed
	}
}

var _ ordering.Log = (*Log)(nil)
