package client

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// Event is what a guest emitted, as a majority of voters states it.
type Event struct {
	Seq   ordering.Seq // of the entry
	Index int          // among the events of its entry, from 0
	host.Event
}

// EventsGoneError says that events are kept no longer that a subscription still
// wanted.
type EventsGoneError struct {
	From  ordering.Seq // what was wanted
	First ordering.Seq // what is still to be had, from there on
}

func (e *EventsGoneError) Error() string {
	return fmt.Sprintf("events from seq %d on are no longer kept, the first that are is at seq %d: read the state and subscribe from there", e.From, e.First)
}

// Subscription is a stream of events: ordered, each once, without a gap. It is
// for one goroutine at a time.
type Subscription struct {
	c      *Client
	sub    *nats.Subscription
	pushed chan *nats.Msg
	closed chan struct{}

	from    ordering.Seq // the next entry's events are of this one or a later one
	entries map[ordering.Seq]*eventVotes
	ready   []Event
	polled  time.Time
}

// eventVotes are the votes on one entry's events.
type eventVotes struct {
	tally  audit.Tally[statement]
	before map[audit.Digest]ordering.Seq
	events map[audit.Digest][]host.Event
}

const (
	// maxEventVotes bounds the entries whose events are counted ahead, for each
	// voter, so that none fills what others need; those that do not fit are asked
	// for later.
	maxEventVotes = 1024
	// eventPoll is how often a subscription that hears nothing asks whether it has
	// missed something.
	eventPoll = time.Second
	// eventGap is how soon one asks that hears of an entry whose predecessor it
	// lacks.
	eventGap = 20 * time.Millisecond
)

// Subscribe follows the guest's events from the entry at from on; with 0 from
// the next one on. To resume after an event e, ask from e.Seq and leave out what
// was seen, or from e.Seq+1 after the last one of an entry.
func (c *Client) Subscribe(ctx context.Context, from ordering.Seq) (*Subscription, error) {
	if err := c.deployed(ctx); err != nil {
		return nil, err
	}
	s := &Subscription{
		c: c, from: from, pushed: make(chan *nats.Msg, maxEventVotes), closed: make(chan struct{}),
		entries: make(map[ordering.Seq]*eventVotes),
	}
	var err error
	if s.sub, err = c.conn.ChanSubscribe(protocol.EventsSubject(c.opts.Machine), s.pushed); err != nil {
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	if from == 0 {
		// Where the log is now, a majority knows.
		t := attempt{c: c}
		for s.from == 0 {
			if at, ok := t.position(ctx); ok {
				s.from = at + 1
			} else if ctx.Err() != nil {
				_ = s.sub.Unsubscribe() // fails only with the connection
				return nil, &FailError{Err: ctx.Err()}
			}
		}
	}
	return s, nil
}

// position is a read index: no lower than any entry that was answered.
func (t *attempt) position(ctx context.Context) (ordering.Seq, bool) {
	members, _ := t.c.nextResponder(ctx)
	if members.Mode == audit.Crash {
		seq := t.c.marker()
		return seq, seq > 0
	}
	s := t.c.poll(protocol.QuerySubject(t.c.opts.Machine), protocol.Question{}, members, func(s *readings) bool {
		_, ok := s.index()
		return ok
	})
	return s.index()
}

// Next waits for the next event. Errors: *EventsGoneError; ErrClosed; ctx's.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if len(s.ready) > 0 {
			e := s.ready[0]
			s.ready = s.ready[1:]
			return e, nil
		}
		if s.advance() {
			continue
		}
		wait := eventPoll
		if len(s.entries) > 0 {
			wait = eventGap
		}
		timer := time.NewTimer(time.Until(s.polled.Add(wait)))
		select {
		case m := <-s.pushed:
			if v, e, err := protocol.DecodeEventsVote(m.Data); err == nil {
				s.count(v, e.List)
			}
		case <-timer.C:
			if err := s.poll(ctx); err != nil {
				return Event{}, err
			}
		case <-s.closed:
			return Event{}, ErrClosed
		case <-s.c.run.Done():
			return Event{}, ErrClosed
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
		timer.Stop()
	}
}

// advance makes the next entry's events ready, if enough voters state what they
// are and that there are none between.
func (s *Subscription) advance() bool {
	for seq, v := range s.entries {
		if seq < s.from {
			delete(s.entries, seq)
			continue
		}
		members, st, ok := s.decided(v)
		if !ok || v.events[st.outputs] == nil || v.before[st.outputs] >= s.from || len(members.List) == 0 {
			continue
		}
		for i, e := range v.events[st.outputs] {
			s.ready = append(s.ready, Event{Seq: seq, Index: i, Event: e})
		}
		delete(s.entries, seq)
		s.from = seq + 1
		return true
	}
	return false
}

// decided is what enough voters of the membership that they name state.
func (s *Subscription) decided(v *eventVotes) (members audit.Members, st statement, ok bool) {
	// One is enough to find out which membership it is about: whoever makes up a
	// quorum states the same one.
	if st, ok = v.tally.Decided(1); !ok {
		return members, st, false
	}
	s.c.judge.Lock()
	defer s.c.judge.Unlock()
	for seq := range s.c.filter.views {
		m := s.c.filter.views[seq]
		if st, ok = v.tally.Decided(m.Quorum()); ok && st.members == seq {
			return m, st, true
		}
	}
	return members, st, false
}

// count counts one replica's vote on an entry's events.
func (s *Subscription) count(vote protocol.EventsVote, list []host.Event) {
	seq := vote.Vote.Seq
	v := s.entries[seq]
	if vote.Vote.Machine != s.c.opts.Machine || seq < s.from {
		return
	}
	s.c.judge.Lock()
	members, known := s.c.filter.views[vote.Vote.Members]
	s.c.judge.Unlock()
	if !known {
		s.c.learnOnce() // and it is asked for again
		return
	}
	key, voter := members.Voter(vote.Vote.Replica)
	if !voter || members.Mode != audit.Crash && vote.Vote.Verify(key) != nil {
		return
	}
	if v == nil {
		if len(s.entries) >= maxEventVotes && s.ahead(vote.Vote.Replica) >= maxEventVotes {
			return
		}
		v = &eventVotes{before: make(map[audit.Digest]ordering.Seq), events: make(map[audit.Digest][]host.Event)}
		s.entries[seq] = v
	}
	// A voter that states two things is a fault; its first statement counts.
	if v.tally.Add(vote.Vote.Replica, statement{vote.Vote.Chain, vote.Vote.Members, vote.Vote.Outputs}) == nil && len(vote.Events) > 0 {
		v.events[vote.Vote.Outputs], v.before[vote.Vote.Outputs] = list, vote.Before
	}
}

// ahead is the number of entries that a voter has voted on and that are kept.
func (s *Subscription) ahead(replica audit.ReplicaID) (n int) {
	for _, v := range s.entries {
		if _, voted := v.tally.Stated(replica); voted {
			n++
		}
	}
	return n
}

// poll asks the replicas for what is missing.
func (s *Subscription) poll(ctx context.Context) error {
	s.polled = time.Now()
	members, _ := s.c.nextResponder(ctx)
	answers, done, err := s.c.asker.ask(protocol.QuerySubject(s.c.opts.Machine), protocol.EventsSinceFormat.Encode(protocol.EventsSince{From: s.from}))
	if err != nil {
		return nil // the connection is away, and comes back
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	said := make(map[audit.ReplicaID]bool)
	var gone []ordering.Seq
	for len(said) < members.Voters() {
		select {
		case data := <-answers:
			var page protocol.EventsPage
			if protocol.EventsPageFormat.Decode(data, &page) != nil {
				continue
			}
			if _, voter := members.Voter(page.Replica); !voter || said[page.Replica] {
				continue
			}
			said[page.Replica] = true
			if page.First > s.from {
				gone = append(gone, page.First)
			}
			for _, v := range page.Votes {
				if e, err := v.Open(); err == nil {
					s.count(v, e.List)
				}
			}
		case <-ctx.Done():
			return s.lost(gone, members)
		}
	}
	return s.lost(gone, members)
}

// lost tells that so many voters have dropped the next events that no majority
// is left to state them.
func (s *Subscription) lost(gone []ordering.Seq, members audit.Members) error {
	if members.Voters() == 0 || members.Voters()-len(gone) >= members.Quorum() {
		return nil
	}
	e := &EventsGoneError{From: s.from}
	for _, first := range gone {
		e.First = max(e.First, first)
	}
	return e
}

// Close ends the subscription; a Next that waits returns ErrClosed.
func (s *Subscription) Close() error {
	select {
	case <-s.closed:
		return nil
	default:
	}
	close(s.closed)
	if !s.c.conn.IsConnected() {
		return nil
	}
	return s.sub.Unsubscribe()
}
