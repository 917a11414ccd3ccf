package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
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

// Subscription is a stream of events: ordered, each once, without a gap. Next is
// for one goroutine at a time.
type Subscription struct {
	c      *Client
	sub    *nats.Subscription
	wake   chan struct{} // has one when the filter has changed
	closed chan struct{}
	once   sync.Once
	denied context.Context // ends if the servers do not let the client subscribe or ask
	free   func()          // of it

	mu     sync.Mutex // guards filter; taken without judge
	filter eventFilter

	// Of the goroutine that calls Next:
	ready  []Event
	polled time.Time
	pause  time.Duration // before the next poll while votes are kept that decide nothing
	more   ordering.Seq  // the last poll was from here and left something; 0: it did not
}

const (
	// eventPoll is how often a subscription that hears nothing asks whether it has
	// missed something.
	eventPoll = time.Second
	// eventGap is how soon one asks that holds votes which do not decide what is
	// next. It asks half as often each time, so that votes which never will, of one
	// that lies, cost next to nothing.
	eventGap = 20 * time.Millisecond
	// maxLiveVotes and maxLiveBytes bound the votes that wait to be judged; what
	// does not fit is asked for.
	maxLiveVotes = 8192
	maxLiveBytes = 16 << 20
)

// Subscribe follows the guest's events from the entry at from on; with 0 from
// the next one on. To resume after an event e, ask from e.Seq and leave out what
// was seen, or from e.Seq+1 after the last one of an entry.
func (c *Client) Subscribe(ctx context.Context, from ordering.Seq) (*Subscription, error) {
	if err := c.deployed(ctx); err != nil {
		return nil, err
	}
	if c.run.Err() != nil {
		return nil, ErrClosed
	}
	s := &Subscription{
		c: c, wake: make(chan struct{}, 1), closed: make(chan struct{}), filter: newEventFilter(from), pause: eventGap,
	}
	s.denied, s.free = c.denials.guard(c.run, PermissionError{Subject: protocol.EventsSubject(c.opts.Machine), Subscribe: true},
		PermissionError{Subject: protocol.QuerySubject(c.opts.Machine)})
	var err error
	if s.sub, err = c.conn.Subscribe(protocol.EventsSubject(c.opts.Machine), func(m *nats.Msg) { s.receive(m.Data) }); err != nil {
		s.free()
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	if err := s.sub.SetPendingLimits(maxLiveVotes, maxLiveBytes); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to events: %w", err), s.Close())
	}
	if from == 0 {
		if from, err = c.positionNow(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.mu.Lock()
		s.filter.advance(from + 1)
		s.mu.Unlock()
	}
	return s, nil
}

// positionNow asks a majority where the log is, until it answers or ctx ends.
func (c *Client) positionNow(ctx context.Context) (ordering.Seq, error) {
	for t := (attempt{c: c}); ; {
		if at, ok := t.position(ctx); ok {
			return at, nil
		}
		if t.denied != nil {
			return 0, t.denied
		}
		select {
		case <-ctx.Done():
			return 0, &FailError{Err: ctx.Err()}
		case <-c.run.Done():
			return 0, ErrClosed
		case <-time.After(roundPause):
		}
	}
}

// position is a read index: no lower than any entry that was answered.
func (t *attempt) position(ctx context.Context) (ordering.Seq, bool) {
	members, _ := t.c.nextResponder(ctx)
	if members.Mode == audit.Crash {
		var seq ordering.Seq
		seq, t.denied = t.c.marker()
		return seq, seq > 0
	}
	s := t.poll(protocol.QuerySubject(t.c.opts.Machine), protocol.Question{}, members, func(s *readings) bool {
		_, ok := s.index()
		return ok
	})
	return s.index()
}

// Next waits for the next event. Errors: *EventsGoneError; *PermissionError; ErrClosed;
// ctx's.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if len(s.ready) > 0 {
			e := s.ready[0]
			s.ready = s.ready[1:]
			return e, nil
		}
		wait, more := s.advance()
		if more {
			continue
		}
		timer := time.NewTimer(time.Until(s.polled.Add(wait)))
		select {
		case <-s.wake:
		case <-timer.C:
			if err := s.poll(ctx); err != nil {
				return Event{}, err
			}
		case <-s.closed:
			return Event{}, ErrClosed
		case <-s.denied.Done():
			if err := denied(s.denied); err != nil {
				return Event{}, err
			}
			return Event{}, ErrClosed
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
		timer.Stop()
	}
}

// advance makes the next entry's events ready, if they are decided. Without, it
// returns how long after the last poll the next one is due.
func (s *Subscription) advance() (wait time.Duration, ok bool) {
	s.mu.Lock()
	seq, events, ok := s.filter.next()
	undecided, from := len(s.filter.entries) > 0, s.filter.from
	s.mu.Unlock()
	switch {
	case ok:
		s.pause = eventGap
		for i, e := range events {
			s.ready = append(s.ready, Event{Seq: seq, Index: i, Event: e})
		}
		return 0, true
	case s.more > 0 && from > s.more:
		s.more = 0
		return 0, false // the last page was used up, and there is another one
	case undecided:
		return s.pause, false
	}
	return eventPoll, false
}

// receive takes one replica's vote from the wire.
func (s *Subscription) receive(data []byte) {
	if v, e, err := protocol.DecodeEventsVote(data); err == nil {
		s.count(v, e.List)
	}
}

// count counts one replica's vote on an entry's events.
func (s *Subscription) count(vote protocol.EventsVote, list []host.Event) {
	s.mu.Lock()
	wanted := vote.Vote.Machine == s.c.opts.Machine && s.filter.wants(vote)
	s.mu.Unlock()
	if !wanted {
		return
	}
	s.c.judge.Lock()
	members, known := s.c.filter.view(vote.Vote.Members)
	latest := s.c.filter.latest
	s.c.judge.Unlock()
	if !known && vote.Vote.Members > latest {
		s.c.learnOnce() // and it is asked for again
	}
	key, voter := members.Voter(vote.Vote.Replica)
	if !voter || members.Mode != audit.Crash && vote.Vote.VerifyEvents(key) != nil {
		return
	}
	s.mu.Lock()
	s.filter.add(vote, list, members.Quorum())
	ready := s.filter.ready()
	s.mu.Unlock()
	if !ready {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// poll asks the replicas for what is missing, until there is something to give
// out, all have answered, or it takes too long.
func (s *Subscription) poll(ctx context.Context) error {
	s.polled = time.Now()
	s.pause = min(2*s.pause, eventPoll)
	members, _ := s.c.nextResponder(ctx)
	s.mu.Lock()
	q := protocol.EventsSince{From: s.filter.from}
	s.mu.Unlock()
	_, _ = rand.Read(q.Nonce[:]) // never fails
	request := protocol.EventsSinceFormat.Encode(q)
	got := &pages{
		machine: s.c.opts.Machine, request: protocol.QuestionDigest(request), from: q.From, members: members,
		by: make(map[audit.ReplicaID]protocol.EventsPage),
	}
	all, done, err := s.c.asker.ask(protocol.QuerySubject(s.c.opts.Machine), request, func(data []byte) bool {
		var page protocol.EventsPage
		if protocol.EventsPageFormat.Decode(data, &page) == nil && got.add(page) {
			for _, v := range page.Votes {
				if e, err := v.Open(); err == nil {
					s.count(v, e.List)
				}
			}
		}
		return len(got.by) == members.Voters()
	})
	if err != nil {
		s.c.opts.Logger.Debug("ask for events", "err", err)
		return nil // the connection is away, and comes back
	}
	timer := time.NewTimer(roundPatience)
	defer timer.Stop()
	select {
	case <-all:
	case <-s.wake: // an entry is decided
	case <-timer.C:
	case <-s.closed:
	case <-s.denied.Done():
	case <-ctx.Done():
	}
	done()
	s.more = 0
	if got.more() {
		s.more = q.From
	}
	if first, gone := got.gone(); gone {
		return &EventsGoneError{From: q.From, First: first}
	}
	return nil
}

// Close ends the subscription; a Next that waits returns ErrClosed.
func (s *Subscription) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		s.free()
		if s.c.conn.IsConnected() {
			err = s.sub.Unsubscribe()
		}
	})
	return err
}
