package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"lockstep/ordering"
)

// maxPatched bounds the entries of one batch that are fetched one by one. Only
// messages with headers of their own, or damage, make that necessary.
const maxPatched = 64

// Read is ordering.Log's.
func (l *Log) Read(ctx context.Context, from ordering.Seq) ([]ordering.Entry, error) {
	for idle := idleMin; ; idle = min(2*idle, idleMax) {
		sure, err := l.ready(ctx, from)
		if err != nil {
			return nil, err
		}
		wake, pause := l.tail.wake, idle
		if sure {
			out, gap := l.tail.take(from, batchEntries)
			if len(out) > 0 && !l.reconnected() {
				return l.handOut(out, true), nil
			}
			sure = !gap && len(out) == 0
		}
		if !sure || idle > idleMin {
			out, live, err := l.fill(ctx, from)
			if err != nil {
				return nil, err
			}
			if len(out) > 0 {
				return l.handOut(out, live), nil
			}
			l.setLive(from, live)
			if !live {
				// Asking again at once would give the same.
				wake, pause = nil, min(idle, retryMax)
			}
		}
		if l.wait(ctx, wake, pause) {
			idle = idleMin / 2 // there is news: look before asking
		}
	}
}

// Resume is ordering.Log's.
func (l *Log) Resume(last ordering.Entry) {
	l.mu.Lock()
	l.anchor, l.live = anchor{last}, false
	l.mu.Unlock()
	l.setFloor(last.Seq)
}

// ready checks whether there is a point in reading, and whether the fast path
// is sure to follow what was read.
func (l *Log) ready(ctx context.Context, from ordering.Seq) (sure bool, err error) {
	if l.isClosed() {
		return false, ordering.ErrClosed
	}
	if ctx.Err() != nil {
		return false, fmt.Errorf("read log %s: %w", l.ref, context.Cause(ctx))
	}
	doubt, reconnects := l.tail.doubt(), l.nc.Stats().Reconnects
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return false, l.broken
	}
	if doubt || reconnects != l.reconnects {
		l.live, l.reconnects = false, reconnects
	}
	return l.live && from == l.anchor.Seq+1, nil
}

// reconnected tells whether the connection is another one than ready saw: what came by it may
// be of a log that was rewritten meanwhile.
func (l *Log) reconnected() bool {
	now := l.nc.Stats().Reconnects
	l.mu.Lock()
	defer l.mu.Unlock()
	return now != l.reconnects
}

// wait waits for news, which it reports, for d, or for the end.
func (l *Log) wait(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-l.closed:
	}
	return false
}

// anchor is the entry before the one that is read next; the zero anchor is before all.
type anchor struct{ ordering.Entry }

// is tells whether an entry is the anchor itself.
func (a anchor) is(e ordering.Entry) bool {
	return a.Epoch == e.Epoch && a.Seq == e.Seq && a.Time == e.Time && bytes.Equal(a.Data, e.Data)
}

// handOut notes what the caller is about to have read.
func (l *Log) handOut(out []ordering.Entry, live bool) []ordering.Entry {
	last := anchor{out[len(out)-1]}
	l.mu.Lock()
	l.anchor, l.live, l.suspect = last, live, suspicion{}
	l.mu.Unlock()
	l.setFloor(last.Seq)
	return out
}

// setLive notes whether the log is known to end before from. It is known of one
// position only, the one after the anchor.
func (l *Log) setLive(from ordering.Seq, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.anchor.Seq+1 != from {
		l.live = false
		return
	}
	if l.live = live; live {
		l.suspect, l.doubted = suspicion{}, false
	}
}

// fill fetches what follows from-1 without the fast path. live says that what it
// returns, maybe nothing, is the end of the log for now.
func (l *Log) fill(ctx context.Context, from ordering.Seq) (out []ordering.Entry, live bool, err error) {
	start := from
	if from > 1 {
		start-- // to compare it with the anchor
	}
	got, refused, err := l.getBatch(ctx, start, batchEntries)
	if err != nil && len(got) == 0 {
		return l.askOn(ctx, from)
	}
	short := err == nil && !refused && len(got) < batchEntries && size(got) < batchBytes/2
	follows := false
	if len(got) > 0 && got[0].Seq+1 == from {
		if same, err := l.sameAnchor(ctx, got[0]); err != nil || !same {
			return nil, false, err
		}
		follows, got = true, got[1:]
	}
	if len(got) == 0 && follows && short && !l.doubtful() {
		return nil, true, nil
	}
	if out = l.join(ctx, from, got); len(out) > 0 {
		return out, short && len(out) == len(got), nil
	}
	return l.askOn(ctx, from)
}

func size(entries []ordering.Entry) (n int) {
	for _, e := range entries {
		n += len(e.Data)
	}
	return n
}

// join returns the run that starts at from, with the holes in it, which are not at
// its start, filled by the leader.
func (l *Log) join(ctx context.Context, from ordering.Seq, got []ordering.Entry) []ordering.Entry {
	if len(got) == 0 || got[0].Seq != from {
		return nil
	}
	if ordering.Seq(len(got)) == got[len(got)-1].Seq-from+1 {
		return got
	}
	out := make([]ordering.Entry, 0, batchEntries)
	patched := 0
	for _, e := range got {
		for next := from + ordering.Seq(len(out)); next < e.Seq; next++ {
			if patched++; patched > maxPatched {
				return out
			}
			hole, err := l.getOne(ctx, next)
			if err != nil {
				return out
			}
			out = append(out, hole)
		}
		out = append(out, e)
	}
	return out
}

// sameAnchor compares the entry before the next one with the one that was handed
// out. An answer that differs may be one server's damage; if the leader's differs
// too, the log is another one.
func (l *Log) sameAnchor(ctx context.Context, e ordering.Entry) (bool, error) {
	l.mu.Lock()
	if l.anchor.Seq == 0 {
		l.anchor = anchor{e} // nothing was read before: from now on it shall stay so
	}
	want := l.anchor
	l.mu.Unlock()
	if want.Seq != e.Seq || want.is(e) {
		return true, nil
	}
	_, err := l.leaderHas(ctx, want)
	return false, err
}

// leaderHas tells whether the stream's leader has the entry that was handed out last; if it
// has another there, the log is another one.
func (l *Log) leaderHas(ctx context.Context, want anchor) (bool, error) {
	e, err := l.getOne(ctx, want.Seq)
	if hasCode(err, codeNoMessage) {
		return true, nil // dropped or damaged since: there is nothing to compare
	}
	if err != nil || want.is(e) {
		return err == nil, nil
	}
	return false, l.fail(&ordering.BreakError{Epoch: l.ref.Epoch, Seq: e.Seq, Reason: "entry was rewritten"})
}

// askOn is ask, and what it says counts only if it goes on from what was read: a log that has
// lost entries may have grown again since others had none to compare.
func (l *Log) askOn(ctx context.Context, from ordering.Seq) (out []ordering.Entry, live bool, err error) {
	out, live, err = l.ask(ctx, from)
	l.mu.Lock()
	want := l.anchor
	l.mu.Unlock()
	if err != nil || len(out) == 0 && !live || want.Seq == 0 || want.Seq+1 != from {
		return out, live, err
	}
	if same, err := l.leaderHas(ctx, want); err != nil || !same {
		return nil, false, err
	}
	return out, live, nil
}

// ask asks the stream's leader for the entry at from, after others had none.
func (l *Log) ask(ctx context.Context, from ordering.Seq) (out []ordering.Entry, live bool, err error) {
	in, err := l.info(ctx)
	if hasCode(err, codeStreamNotFound) {
		return nil, false, l.suspectBreak("gone", ordering.BreakError{Seq: from, Reason: "the stream is gone"})
	}
	if err != nil {
		return nil, false, nil // no leader, no word
	}
	if br := l.identify(in); br != nil {
		return nil, false, l.fail(br)
	}
	switch s := in.state(l.ref); {
	case from < s.First:
		return nil, false, l.suspectTruncated(from, s.First)
	case from == s.Last+1:
		return nil, true, nil
	case from > s.Last:
		return nil, false, l.suspectBreak("missing", ordering.BreakError{Seq: from, Reason: fmt.Sprintf("the log ends at %d, before what was read", s.Last)})
	}
	e, err := l.getOne(ctx, from)
	if hasCode(err, codeNoMessage) {
		return nil, false, l.suspectBreak("missing", ordering.BreakError{Seq: from, Reason: "the entry is missing", Hole: true})
	}
	if err != nil {
		return nil, false, nil
	}
	return []ordering.Entry{e}, false, nil
}
