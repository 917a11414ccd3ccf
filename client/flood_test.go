package client

import (
	"fmt"
	"strings"
	"testing"

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
	v.Vote.SignEvents(key(i))
	return v, e.List
}

// A voter that fills a subscription with votes on entries that emitted nothing,
// before and after one that did, does not keep its event from the subscriber.
func TestEventBesideFlood(t *testing.T) {
	const at = 3 * maxEventVotes
	f := newEventFilter(1)
	add := func(i int, seq, before ordering.Seq, data string) {
		v, list := eventsVote(i, seq, before, data)
		f.add(v, list, 2)
	}
	for seq := range ordering.Seq(2 * at) {
		if seq+1 != at {
			add(0, seq+1, 0, "lie")
		}
	}
	if len(f.entries) > maxEventVotes {
		t.Errorf("%d entries of one voter are kept", len(f.entries))
	}
	for i := range 100 {
		add(0, 1, 0, fmt.Sprint("lie ", i))
	}
	if n := len(f.entries[1]); n != 1 {
		t.Errorf("%d statements of one voter on one entry are kept, want 1", n)
	}
	add(1, at, 0, "truth")
	add(2, at, 0, "truth")
	if seq, events, ok := f.next(); !ok || len(events) != 1 || string(events[0].Data) != "truth" || seq != at {
		t.Errorf("next are %+v at %d, want the event of a majority at seq %d", events, seq, at)
	}
	for id, k := range f.kept {
		if k.votes > maxEventVotes || id != replica(0) && k != (kept{}) {
			t.Errorf("of %s %+v is kept", id, k)
		}
	}
}

// What is kept of one voter's events is bounded by bytes too, the latest go first, and
// the next entry's always find room: whoever was slow catches up.
func TestEventBytesAreBounded(t *testing.T) {
	f := newEventFilter(1)
	big := strings.Repeat("x", 1<<20)
	for seq := ordering.Seq(40); seq > 0; seq-- {
		for i := range 2 {
			v, list := eventsVote(i, seq, seq-1, big)
			f.add(v, list, 2)
		}
	}
	for id, k := range f.kept {
		if k.bytes > maxEventBytes || k.votes < 8 {
			t.Errorf("of %s %+v is kept, want at most %d bytes, and about that", id, k, maxEventBytes)
		}
	}
	for want := ordering.Seq(1); want <= 8; want++ {
		if seq, _, ok := f.next(); !ok || seq != want {
			t.Fatalf("next is %d, %v, want %d", seq, ok, want)
		}
	}
}

// A voter's statement of a new epoch takes the place of the one before.
func TestEventOfNewEpoch(t *testing.T) {
	f := newEventFilter(1)
	for epoch := range ordering.Epoch(2) {
		for i := range 2 {
			v, list := eventsVote(i, 7, 0, fmt.Sprint("epoch ", max(epoch, ordering.Epoch(i))))
			v.Vote.Epoch = epoch
			f.add(v, list, 2)
		}
	}
	if _, events, ok := f.next(); !ok || string(events[0].Data) != "epoch 1" {
		t.Errorf("next are %+v, %v, want those of epoch 1", events, ok)
	}
}

// One voter that floods the filter with votes on all kinds of positions, each signed and
// with receipts, keeps no other voter's votes from being counted.
func TestPositionsOfOneVoterDisplaceNobodys(t *testing.T) {
	f := trusting(panel(1, 3))
	f.add(answer(1, 7, 1, "truth"))
	big := strings.Repeat("x", 64<<10)
	for seq := range ordering.Seq(maxOpenEntries + 500) {
		output := "lie"
		if seq < 600 {
			output = big
		}
		f.add(answer(0, seq+8, 1, output))
		if b := f.open[replica(0)]; b.bytes > maxOpenReceipts || len(b.order) > maxOpenEntries {
			t.Fatalf("%d bytes of %d votes of one voter are kept", b.bytes, len(b.order))
		}
	}
	if v := f.add(answer(2, 7, 1, "truth")); v.accepted == nil {
		t.Error("the majority's votes were displaced")
	}
	// Nor does a stranger, whose votes are not kept at all.
	f = trusting(panel(1, 3))
	for seq := range ordering.Seq(100) {
		f.add(answer(5, seq+1, 1, "lie"))
	}
	if len(f.entries) != 0 {
		t.Errorf("%d entries of a stranger are kept", len(f.entries))
	}
}

// Votes of an unknown membership, as many and as large as one likes to send them, of a
// voter and of strangers, keep the other voters' from waiting for it.
func TestHeldOfOneVoterDisplaceNobodys(t *testing.T) {
	f := trusting(panel(1, 3))
	f.add(answer(1, 10, 9, "truth"))
	big := strings.Repeat("x", 64<<10)
	for seq := range ordering.Seq(500) {
		f.add(answer(0, seq+11, 9, big))
		f.add(answer(5, seq+11, 9, big)) // a stranger
		a, r := answer(5, seq+11, 9, big)
		a.Vote.Replica = replica(1) // in another's name
		f.add(a, r)
	}
	f.add(answer(2, 10, 9, "truth"))
	for id, h := range f.held.by {
		if h.bytes > maxHeldBytes || len(h.answers) > maxHeld {
			t.Errorf("%d answers of %d bytes of %q are held", len(h.answers), h.bytes, id)
		}
	}
	accepted := 0
	for _, v := range f.trust(panel(9, 3)) {
		if v.accepted != nil && v.at.seq == 10 && string(v.accepted[0].Output) == "truth" {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times what a majority had said before its membership was known, want once", accepted)
	}
}

// A flood of answers to a question fills nobody's room: each is judged as it comes.
func TestAnswersAreJudgedAsTheyCome(t *testing.T) {
	a := &asker{inbox: "in.", waits: make(map[string]*wait)}
	s := newReadings("kv", audit.Digest{}, panel(1, 3))
	w := &wait{enough: make(chan struct{}), take: func(data []byte) bool {
		answer, receipts, err := protocol.DecodeReadAnswer(data)
		return err == nil && s.add(answer, receipts) && len(s.by) == 2
	}}
	a.waits["t"] = w
	say := func(i int) {
		answer, _ := reading(i, 7, 1, "x")
		a.receive("in.t", protocol.ReadAnswerFormat.Encode(answer))
	}
	for range 1000 {
		say(0)
		say(5)
		a.receive("in.t", []byte("nothing"))
	}
	select {
	case <-w.enough:
		t.Fatal("one voter was enough")
	default:
	}
	say(1)
	select {
	case <-w.enough:
	default:
		t.Error("the second voter's answer does not count")
	}
	say(2)
	if len(s.by) != 2 {
		t.Error("an answer was taken after there were enough")
	}
}
