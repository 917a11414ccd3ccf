package journal

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/journal/durable"
)

// retryPause is how long a write that failed waits until it is tried again.
const retryPause = 200 * time.Millisecond

// write is the journal's one writing goroutine.
func (j *Journal) write() {
	defer j.done.Done()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		}
		for {
			more, err := j.commit()
			if err == nil && !more {
				break
			}
			if err == nil {
				continue
			}
			select {
			case <-j.stop:
				return
			case <-time.After(retryPause):
			}
		}
	}
}

// commit writes what is queued and syncs it. more says that there was something.
func (j *Journal) commit() (more bool, err error) {
	j.mu.Lock()
	batch := j.queue
	if len(batch) == 0 || j.closed {
		j.mu.Unlock()
		return false, nil
	}
	j.writing = true
	j.mu.Unlock()

	began := time.Now()
	s, err := j.target()
	var at []int64
	var size int64
	if err == nil {
		at, size, err = s.append(batch, j.opts.SegmentBytes)
	}

	if err == nil && j.opts.OnCommit != nil {
		written := int64(0)
		for i := range batch {
			written += int64(batch[i].size())
		}
		j.opts.OnCommit(len(batch), written, time.Since(began))
	}

	j.mu.Lock()
	j.writing = false
	if err != nil {
		j.broken = j.broken || s != nil
		err = fmt.Errorf("write journal: %w", err)
	} else {
		last := batch[len(batch)-1].position()
		s.offsets, s.size, s.last = append(s.offsets, at...), size, last
		j.durable = last
		for i := range batch {
			j.bytes -= batch[i].size()
		}
		j.queue = slices.Clone(j.queue[len(batch):])
		j.dropFence()
	}
	j.err = err
	j.idle.Broadcast()
	durable := j.durable
	j.mu.Unlock()
	j.opts.OnSync(durable, err)
	return true, err
}

// target is the segment to be written to: a new one where the newest is full, or took a
// write that failed, whose file's tail cannot be known.
func (j *Journal) target() (*segment, error) {
	j.mu.Lock()
	if n := len(j.segments); n > 0 && !j.broken && j.segments[n-1].size < j.opts.SegmentBytes {
		defer j.mu.Unlock()
		return j.segments[n-1], nil
	}
	number, base := j.next, j.durable
	j.next++ // also if it fails: its file may be there
	j.mu.Unlock()
	s, err := createSegment(j.dir, number, base, goesOn, j.opts.create)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments, j.broken = append(j.segments, s), false
	return s, nil
}

// append writes records behind what the segment has, which is to have limit bytes, and syncs them.
func (s *segment) append(batch []record, limit int64) (at []int64, size int64, err error) {
	n := 0
	for i := range batch {
		n += batch[i].size()
	}
	b := make([]byte, 0, n)
	for i, r := range batch {
		r.group = i == 0 // of the copy: the queue is another goroutine's as well
		at = append(at, s.size+int64(len(b)))
		b = r.appendTo(b)
	}
	s.extend(s.size+int64(len(b)), limit)
	if _, err := s.f.Write(b); err != nil {
		return nil, 0, err
	}
	if err := s.f.Sync(); err != nil {
		return nil, 0, err
	}
	return at, s.size + int64(len(b)), nil
}

// Reset empties the journal and makes it go on after a position, as after a state was
// transferred. It is durable when it returns.
func (j *Journal) Reset(to ordering.Position) error { return j.turn(to, restart) }

// ResetFenced is Reset that does not forget what the journal had: its last position becomes
// the fence.
func (j *Journal) ResetFenced(to ordering.Position) error {
	j.mu.Lock()
	if j.queued.Seq > max(j.fence.Seq, to.Seq) {
		if err := durable.WriteFile(filepath.Join(j.dir, fenceName), appendHeader(nil, j.queued, goesOn)); err != nil {
			j.mu.Unlock()
			return fmt.Errorf("fence journal: %w", err)
		}
		j.fence = j.queued
	}
	j.mu.Unlock()
	return j.turn(to, restart)
}

// Rewind gives up the entries after a position that the journal has, and the fence, if it
// is beyond. It is durable when it returns.
func (j *Journal) Rewind(to ordering.Position) error {
	have, err := j.At(to.Seq)
	if err == nil && have != to {
		err = fmt.Errorf("it has %v there", have)
	}
	if err != nil {
		return fmt.Errorf("rewind journal to %v: %w", to, err)
	}
	j.mu.Lock()
	j.fence.Seq = min(j.fence.Seq, to.Seq) // it is given up with the rest
	j.mu.Unlock()
	return j.turn(to, goesOn)
}

// turn starts a segment at a position. Of those before, it keeps what leads there, or nothing
// if it is a restart.
func (j *Journal) turn(to ordering.Position, kind byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.writing {
		j.idle.Wait()
	}
	if j.closed {
		return ErrClosed
	}
	number := j.next
	j.next++
	turned, err := createSegment(j.dir, number, to, kind, j.opts.create)
	if err != nil {
		return fmt.Errorf("turn journal to %v: %w", to, err)
	}
	var kept, void []*segment
	for _, s := range j.segments {
		if kind == restart || s.base.Seq > to.Seq {
			void = append(void, s)
			continue
		}
		if s.last.Seq > to.Seq {
			s.cut(to)
		}
		kept = append(kept, s)
	}
	j.segments = append(kept, turned)
	j.queue, j.bytes, j.broken, j.err = nil, 0, false, nil
	j.queued, j.durable = to, to
	j.dropFence()
	if err := remove(void); err != nil {
		return fmt.Errorf("turn journal to %v: %w", to, err)
	}
	return nil
}

// Halt drops what is queued and not durable, and returns the position after what is: it does not
// change any more until something is appended.
func (j *Journal) Halt() ordering.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.writing {
		j.idle.Wait()
	}
	j.queue, j.bytes, j.queued = nil, 0, j.durable
	return j.durable
}
