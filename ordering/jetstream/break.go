package jetstream

import (
	"fmt"
	"time"

	"lockstep/ordering"
)

// suspicion is the leader's word that entries are gone, which counts once it has been
// repeated: a leader that was cut off answers from what it had, and one with
// damaged files from what is left.
type suspicion struct {
	what  string
	seq   ordering.Seq
	since time.Time
	times int
}

// enough is how often the word must be heard. Between two times another server, picked
// at random, is asked for the entry.
const enough = 3

// suspects notes the leader's word about the entry at from.
func (l *Log) suspects(from ordering.Seq, what string) suspicion {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := &l.suspect; s.what != what || s.seq != from {
		*s = suspicion{what: what, seq: from, since: time.Now()}
	}
	l.suspect.times++
	return l.suspect
}

// doubtful tells whether the leader has said last that something is gone. Then no other server's word
// that there is nothing new counts, until the leader takes it back.
func (l *Log) doubtful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted || l.suspect.times > 0
}

// suspectBreak returns a break once it is certain: once the same thing has been heard for long
// enough. The reason that is told may change meanwhile.
func (l *Log) suspectBreak(what string, b ordering.BreakError) error {
	if s := l.suspects(b.Seq, what); s.times < enough || time.Since(s.since) < l.confirm {
		return nil
	}
	b.Epoch = l.ref.Epoch
	return l.fail(&b)
}

// suspectTruncated returns ErrTruncated once it is certain. No time has to pass: a
// leader that was cut off knows less of what was dropped, not more.
func (l *Log) suspectTruncated(from, first ordering.Seq) error {
	if s := l.suspects(from, "truncated"); s.times < enough {
		return nil
	}
	return fmt.Errorf("read log %s at %d, first is %d: %w", l.ref, from, first, ordering.ErrTruncated)
}

// identify says whether a stream is the one that was opened.
func (l *Log) identify(in *info) *ordering.BreakError {
	if id := in.Config.Metadata[metaID]; id != l.id {
		l.mu.Lock()
		defer l.mu.Unlock()
		return &ordering.BreakError{Epoch: l.ref.Epoch, Seq: l.anchor.Seq + 1,
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
