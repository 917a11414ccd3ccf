package client

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

const (
	// roundPatience is how long one round waits for the replicas' answers.
	roundPatience = 500 * time.Millisecond
	// roundPause is between two rounds of which the first led to nothing. It doubles,
	// up to maxRoundPause, while replicas are too busy.
	roundPause    = 5 * time.Millisecond
	maxRoundPause = 200 * time.Millisecond
	maxMargin     = 64
)

// round asks until each of its reads has an answer, or its caller has given up.
// Each attempt is at most two round trips; the next one has another responder.
func (c *Client) round(mode Mode, batch []*read) {
	t := attempt{c: c, mode: mode}
	for pause := roundPause; ; {
		batch = waiting(batch)
		if len(batch) == 0 || c.run.Err() != nil {
			return
		}
		reading, receipts := t.ask(batch)
		for i, r := range receipts {
			if i < len(batch) {
				batch[i].done <- answered{Output{Seq: reading.Seq, Bytes: r.Output, Gas: r.Gas}, outcome(r)}
			}
		}
		batch = batch[min(len(receipts), len(batch)):]
		if t.denied != nil {
			for _, q := range batch {
				q.done <- answered{err: t.denied}
			}
			return
		}
		for _, q := range batch {
			q.busy.Store(t.busy)
		}
		if !t.busy {
			pause = roundPause
		}
		if len(receipts) == 0 && t.pause {
			select {
			case <-c.run.Done():
			case <-time.After(pause/2 + mathrand.N(pause)):
			}
			pause = min(2*pause, maxRoundPause)
		}
	}
}

// waiting leaves out the reads whose callers have given up.
func waiting(batch []*read) []*read {
	var kept []*read
	for _, q := range batch {
		if q.ctx.Err() == nil {
			kept = append(kept, q)
		}
	}
	return kept
}

// attempt is one try after the other at the same reads.
type attempt struct {
	c      *Client
	mode   Mode
	from   ordering.Seq // learned: an answer from before it is too old
	margin ordering.Seq // voted: how far ahead of the log replicas are to meet
	marked ordering.Seq // of the entry that was put into the log for the reads, on a machine of mode crash
	pause  bool         // the last try failed for a reason that takes time to pass
	busy   bool         // which is that replicas are too busy
	denied error        // the servers do not let the client ask, which no other try changes
}

// refused reports whether replicas were too busy for a question.
func (t *attempt) refused(busy bool) bool {
	if busy {
		t.pause, t.busy = true, true
	}
	return busy
}

// ask tries once. It returns receipts of the first queries and the reading that
// they belong to, or nothing.
func (t *attempt) ask(batch []*read) (audit.Reading, host.Receipts) {
	t.pause, t.busy = false, false
	members, responder := t.c.nextResponder(t.c.run)
	if responder == "" {
		t.pause = true
		return audit.Reading{}, nil
	}
	q := protocol.Question{Client: t.c.session.Client, Responder: responder, All: t.mode == Voted}
	for _, r := range batch {
		q.Queries = append(q.Queries, r.input)
		q.From = max(q.From, r.from)
	}
	if members.Mode == audit.Crash && t.mode != Stale {
		if t.marked == 0 {
			t.marked, t.denied = t.c.marker()
		}
		if t.pause = t.marked == 0; t.pause {
			return audit.Reading{}, nil
		}
		q.From = max(q.From, t.marked)
	}
	switch {
	case t.mode == Voted:
		return t.voted(q, members)
	case t.mode == Stale, members.Mode == audit.Crash:
		return t.stale(q, members)
	}
	return t.linearizable(q, members)
}

// marker puts an entry that asks nothing into the log and returns its seq, or 0, with an
// error if the servers do not let the client.
// On a machine of mode crash one replica's answer is enough for an input, so
// that no majority knows of every input that was answered: but the log does,
// whose word that mode takes.
func (c *Client) marker() (ordering.Seq, error) {
	c.mu.Lock()
	log, ref := c.log, jetstream.Ref{Machine: ordering.Name(c.opts.Machine), Epoch: c.epoch}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.run, c.opts.Retry)
	defer cancel()
	ctx, stop := c.denials.guard(ctx, PermissionError{Subject: ref.InputSubject()})
	defer stop()
	seq, err := log.Append(ctx, host.Tick{}.Encode())
	if err != nil {
		c.opts.Logger.Debug("append marker", "err", err)
		return 0, denied(ctx)
	}
	return seq, nil
}

// stale takes one replica's word.
func (t *attempt) stale(q protocol.Question, members audit.Members) (audit.Reading, host.Receipts) {
	s := t.poll(protocol.QuerySubjectOf(t.c.opts.Machine, q.Responder), q, members, func(s *readings) bool { return len(s.by) > 0 })
	reading, ok := s.by[q.Responder]
	if t.refused(s.busy[q.Responder]) {
		return audit.Reading{}, nil
	}
	if !ok || reading.Seq < q.From {
		t.c.blame(q.Responder)
		return audit.Reading{}, nil
	}
	return reading, s.receipts[reading.Outputs]
}

// linearizable has one replica run the queries while all state where they are.
// The answer, from seq t, is given out if t is not below the read index, so that
// it is not too old, and if a majority has the log up to t under the same chain,
// so that what it shows is final and no later read is older.
func (t *attempt) linearizable(q protocol.Question, members audit.Members) (audit.Reading, host.Receipts) {
	q.From = max(q.From, t.from)
	s := t.poll(protocol.QuerySubject(t.c.opts.Machine), q, members, func(s *readings) bool {
		_, answered := s.by[q.Responder]
		_, indexed := s.index()
		return answered && indexed
	})
	index, ok := s.index()
	reading, answered := s.by[q.Responder]
	switch {
	case t.refused(s.busy[q.Responder]):
		return audit.Reading{}, nil
	case !ok:
		t.pause = true
		return audit.Reading{}, nil
	case !answered || s.receipts[reading.Outputs] == nil:
		t.c.blame(q.Responder)
		return audit.Reading{}, nil
	case reading.Seq < max(index, q.From):
		t.from = index // what was asked for is older than what is known to be answered
		return audit.Reading{}, nil
	}
	if s.agree(reading) >= members.Majority() || t.confirmed(reading, members) {
		return reading, s.receipts[reading.Outputs]
	}
	t.c.blame(q.Responder)
	return audit.Reading{}, nil
}

// poll is the client's, and takes note of what is denied.
func (t *attempt) poll(subject string, q protocol.Question, members audit.Members, enough func(*readings) bool) *readings {
	s := t.c.poll(subject, q, members, enough)
	t.denied = s.denied
	return s
}

// confirmed asks whether a majority has the log up to a reading's seq under its
// chain.
func (t *attempt) confirmed(reading audit.Reading, members audit.Members) bool {
	q := protocol.Question{From: reading.Seq, Exact: true}
	s := t.poll(protocol.QuerySubject(t.c.opts.Machine), q, members, func(s *readings) bool {
		return s.agree(reading) >= members.Majority()
	})
	return s.agree(reading) >= members.Majority()
}

// voted has all replicas run the queries at one seq. Where the log moves they
// are at different ones; then the next try names a seq ahead of them.
func (t *attempt) voted(q protocol.Question, members audit.Members) (audit.Reading, host.Receipts) {
	least := q.From
	q.From = max(q.From, t.from)
	q.Exact = q.From > 0
	s := t.poll(protocol.QuerySubject(t.c.opts.Machine), q, members, func(s *readings) bool {
		r, ok := s.decided()
		return ok && s.receipts[r.Outputs] != nil
	})
	reading, ok := s.decided()
	switch {
	case !ok && t.refused(len(s.busy) > members.Voters()-members.Majority()):
		return audit.Reading{}, nil
	case !ok || reading.Seq < least:
		t.margin = min(max(1, 2*t.margin), maxMargin)
		t.from = s.highest() + t.margin
		t.pause = len(s.by) < members.Majority()
		return audit.Reading{}, nil
	case s.receipts[reading.Outputs] == nil:
		t.c.blame(q.Responder)
		return audit.Reading{}, nil
	}
	return reading, s.receipts[reading.Outputs]
}

// poll asks a question and counts the answers until enough says that it has
// seen enough, all voters have answered, or it takes too long.
func (c *Client) poll(subject string, q protocol.Question, members audit.Members, enough func(*readings) bool) *readings {
	_, _ = rand.Read(q.Nonce[:]) // never fails
	data := q.Encode()
	s := newReadings(c.opts.Machine, protocol.QuestionDigest(data), members)
	s.alone = subject != protocol.QuerySubject(c.opts.Machine)
	ctx, stop := c.denials.guard(c.run, PermissionError{Subject: subject})
	defer stop()
	suffices, done, err := c.asker.ask(subject, data, func(data []byte) bool {
		a, receipts, err := protocol.DecodeReadAnswer(data)
		if err != nil {
			c.opts.Logger.Debug("drop answer to a question", "err", err)
			return false
		}
		if a.Reading.Members > members.Seq {
			c.learnOnce()
		}
		return s.add(a, receipts) && (enough(s) || s.busy[q.Responder] || len(s.by)+len(s.busy) == members.Voters())
	})
	if err != nil {
		c.opts.Logger.Debug("ask", "err", err)
		return s
	}
	timer := time.NewTimer(roundPatience)
	defer timer.Stop()
	select {
	case <-suffices:
	case <-timer.C:
	case <-ctx.Done():
	}
	done()
	s.denied = denied(ctx)
	return s
}

// nextResponder returns the newest membership that is known, asking for it if
// none is, and the voter whose turn it is.
func (c *Client) nextResponder(ctx context.Context) (audit.Members, audit.ReplicaID) {
	c.mu.Lock()
	members := c.members
	c.mu.Unlock()
	if len(members.List) == 0 {
		ctx, cancel := context.WithTimeout(ctx, c.opts.Retry)
		defer cancel()
		var err error
		if members, err = c.Members(ctx); err != nil {
			c.opts.Logger.Debug("ask for membership", "err", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return members, c.responders.pick(members, time.Now())
}

func (c *Client) blame(id audit.ReplicaID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.responders.blame(id, time.Now())
}
