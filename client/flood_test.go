package client

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// A voter that states ever other outputs of one entry has only the first kept.
func TestFilterKeepsOneStatementOfAVoter(t *testing.T) {
	f := trusting(panel(1, 3))
	for i := range 100 {
		f.add(answer(0, 7, 1, fmt.Sprint("lie ", i)))
	}
	if n := len(f.entries[position{1, 7}].sent); n != 1 {
		t.Errorf("the receipts of %d statements of one voter are kept, want 1", n)
	}
	f.add(answer(1, 7, 1, "truth"))
	if v := f.add(answer(2, 7, 1, "truth")); v.accepted == nil || string(v.accepted[0].Output) != "truth" {
		t.Errorf("accepted %v, want the truth", v.accepted)
	}
}

// eventsVote is what replica i says that the entry at seq emitted.
func eventsVote(i int, seq, before ordering.Seq, data string) (protocol.EventsVote, []host.Event) {
	e := protocol.Events{Before: before, List: []host.Event{{Data: []byte(data)}}}
	v := protocol.EventsVote{Before: before, Events: protocol.EventsFormat.Encode(e)}
	v.Vote = audit.Vote{Machine: "kv", Replica: replica(i), Epoch: 1, Seq: seq, Members: 1, Outputs: protocol.EventsDigest(before, v.Events)}
	v.Vote.Sign(key(i))
	return v, e.List
}

func subscribed(from ordering.Seq) *Subscription {
	c := &Client{opts: Options{Machine: "kv"}, filter: trusting(panel(1, 3))}
	return &Subscription{c: c, from: from, pushed: make(chan *nats.Msg), closed: make(chan struct{}), entries: make(map[ordering.Seq]*eventVotes)}
}

// A voter that fills a subscription with votes on entries that emitted nothing,
// before and after one that did, does not keep its event from the subscriber.
func TestEventBesideFlood(t *testing.T) {
	const at = 10 * maxEventVotes
	s := subscribed(1)
	for seq := range ordering.Seq(2 * at) {
		if seq+1 != at {
			s.count(eventsVote(0, seq+1, 0, "lie"))
		}
	}
	if len(s.entries) > maxEventVotes {
		t.Errorf("%d entries of one voter are kept", len(s.entries))
	}
	for i := range 100 {
		s.count(eventsVote(0, 1, 0, fmt.Sprint("lie ", i)))
	}
	if n := len(s.entries[1].events); n != 1 {
		t.Errorf("the events of %d statements of one voter are kept, want 1", n)
	}
	s.count(eventsVote(1, at, 0, "truth"))
	s.count(eventsVote(2, at, 0, "truth"))
	if !s.advance() || len(s.ready) != 1 || string(s.ready[0].Data) != "truth" || s.ready[0].Seq != at {
		t.Errorf("ready are %+v, want the event of a majority at seq %d", s.ready, at)
	}
}
