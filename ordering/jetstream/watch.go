package jetstream

import (
	"context"
	"time"

	"lockstep/ordering"
)

// watchEvery is how often the leader is asked for the entry that was read last. Entries that come by the
// fast path, and other servers, which may have been left behind with a log of their own, say nothing of what the
// leader has lost.
const watchEvery = 2 * time.Second

// watch compares what was read last with what the leader has, once in a while until the log is closed, so
// that a reader who is never at a loss notices a break too.
func (l *Log) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		want, broken := l.anchor, l.broken != nil
		l.mu.Unlock()
		if broken {
			return
		}
		if want.Seq > 0 {
			l.compare(want)
		}
	}
}

// compare asks the leader for an entry that was handed out. Where the leader does not have it, the reader is to
// find out why; no answer says nothing.
func (l *Log) compare(want anchor) {
	e, err := l.getOne(context.Background(), want.Seq)
	switch {
	case err == nil && !want.is(e):
		_ = l.fail(&ordering.BreakError{Epoch: l.ref.Epoch, Seq: e.Seq, Reason: "entry was rewritten"})
	case err == nil:
		l.mu.Lock()
		l.doubted = false
		l.mu.Unlock()
	case hasCode(err, codeNoMessage), hasCode(err, codeStreamNotFound):
		l.mu.Lock()
		l.doubted, l.live = true, false
		l.mu.Unlock()
		l.tail.signal()
	}
}
