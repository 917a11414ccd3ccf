package jetstream

import (
	"fmt"
	"time"

	"lockstep/ordering"
)

// suspicion is a leader's word that entries are gone. It counts once it has been
// repeated for long enough that this leader cannot be one that was cut off.
type suspicion struct {
	reason string
	seq    ordering.Seq
	since  time.Time
	times  int
}

// suspectBreak notes the leader's word and returns a break once it is certain.
func (l *Log) suspectBreak(from ordering.Seq, reason string) error {
	now := time.Now()
	l.mu.Lock()
	s := &l.suspect
	if s.reason != reason || s.seq != from {
		*s = suspicion{reason: reason, seq: from, since: now}
	}
	s.times++
	certain := s.times >= 3 && now.Sub(s.since) >= l.confirm
	l.mu.Unlock()
	if !certain {
		return nil
	}
	return l.fail(&ordering.BreakError{Epoch: l.ref.Epoch, Seq: from, Reason: reason})
}

// identify says whether a stream is the one that was opened.
func (l *Log) identify(in *info) *ordering.BreakError {
	if id := in.Config.Metadata[metaID]; id != l.id {
		l.mu.Lock()
		defer l.mu.Unlock()
		return &ordering.BreakError{Epoch: l.ref.Epoch, Seq: l.anchor.seq + 1,
			Reason: fmt.Sprintf("the stream was created anew: its identity is %.40q, was %q", id, l.id)}
	}
	return nil
}

// fail ends this Log's reads with the break that was noticed first.
func (l *Log) fail(br *ordering.BreakError) error {
	l.mu.Lock()
	if l.broken == nil {
		l.broken = br
	}
	br = l.broken
	l.mu.Unlock()
	l.tail.signal()
	return br
}
