package client

import (
	"maps"
	"slices"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// eventFilter is the output filter of events: it takes votes of single replicas, as
// they are sent or from pages of older ones, and gives out the events that enough
// voters state alike, in the order of the log and without a gap. It is pure.
type eventFilter struct {
	from    ordering.Seq // the next events are of this entry or a later one
	entries map[ordering.Seq]map[audit.ReplicaID]eventBallot
	decided map[ordering.Seq]eventBallot // what enough voters state of an entry, with its events
	kept    map[audit.ReplicaID]kept
}

// eventBallot is what one voter states of one entry.
type eventBallot struct {
	epoch  ordering.Epoch
	quorum int // of the membership by which it is counted
	statement
	before ordering.Seq // the entry with events before this one
	events []host.Event // nil where another voter sends them
	size   int
}

// kept is what is kept of one voter.
type kept struct{ votes, bytes int }

// Bounds on what is kept of each voter, so that none fills what others need. Of a
// voter that exceeds them the votes on the latest entries go: they can be asked for
// again.
const (
	maxEventVotes = 1024
	maxEventBytes = 16 << 20
)

func newEventFilter(from ordering.Seq) eventFilter {
	return eventFilter{
		from: from, entries: make(map[ordering.Seq]map[audit.ReplicaID]eventBallot),
		decided: make(map[ordering.Seq]eventBallot), kept: make(map[audit.ReplicaID]kept),
	}
}

// wants reports whether a vote, were it genuine, would change anything.
func (f *eventFilter) wants(v protocol.EventsVote) bool {
	seq, replica := v.Vote.Seq, v.Vote.Replica
	if seq < f.from {
		return false
	}
	if b, again := f.entries[seq][replica]; again {
		sends := b.events == nil && len(v.Events) > 0 && b.statement == statement{v.Vote.Chain, v.Vote.Members, v.Vote.Outputs}
		return v.Vote.Epoch > b.epoch || v.Vote.Epoch == b.epoch && sends
	}
	return f.fits(replica, len(v.Events)) || seq < f.farthest(replica)
}

// add counts a vote. The caller has checked that it is signed by a voter of a
// membership with that quorum, and that list are the events that it is about, or nil
// if it has none. A voter's first statement of an entry counts, in the newest epoch.
func (f *eventFilter) add(v protocol.EventsVote, list []host.Event, quorum int) {
	if !f.wants(v) {
		return
	}
	seq, replica := v.Vote.Seq, v.Vote.Replica
	f.drop(seq, replica)
	for !f.fits(replica, len(v.Events)) {
		far := f.farthest(replica)
		if far <= seq {
			return
		}
		f.drop(far, replica)
	}
	k := f.kept[replica]
	f.kept[replica] = kept{k.votes + 1, k.bytes + len(v.Events)}
	if f.entries[seq] == nil {
		f.entries[seq] = make(map[audit.ReplicaID]eventBallot)
	}
	f.entries[seq][replica] = eventBallot{
		epoch: v.Vote.Epoch, quorum: quorum, statement: statement{v.Vote.Chain, v.Vote.Members, v.Vote.Outputs},
		before: v.Before, events: list, size: len(v.Events),
	}
	f.decide(seq)
}

func (f *eventFilter) fits(replica audit.ReplicaID, size int) bool {
	k := f.kept[replica]
	return k.votes == 0 || k.votes < maxEventVotes && k.bytes+size <= maxEventBytes
}

// farthest is the latest entry that a voter's vote is kept on, or 0.
func (f *eventFilter) farthest(replica audit.ReplicaID) (far ordering.Seq) {
	for seq, ballots := range f.entries {
		if _, ok := ballots[replica]; ok {
			far = max(far, seq)
		}
	}
	return far
}

func (f *eventFilter) drop(seq ordering.Seq, replica audit.ReplicaID) {
	b, ok := f.entries[seq][replica]
	if !ok {
		return
	}
	k := f.kept[replica]
	f.kept[replica] = kept{k.votes - 1, k.bytes - b.size}
	if delete(f.entries[seq], replica); len(f.entries[seq]) == 0 {
		delete(f.entries, seq)
	}
	f.decide(seq)
}

// decide looks whether enough voters state the same of an entry, and one of them
// has sent its events. What digests to the outputs that they state is right, whoever
// sent it.
func (f *eventFilter) decide(seq ordering.Seq) {
	delete(f.decided, seq)
	for _, b := range f.entries[seq] {
		n, sent := 0, eventBallot{}
		for _, other := range f.entries[seq] {
			if other.outputs == b.outputs && other.events != nil {
				sent = other
			}
			if other.statement == b.statement {
				n++
			}
		}
		if n >= b.quorum && sent.events != nil {
			f.decided[seq] = sent
			return
		}
	}
}

// next takes out the events of the next entry that had some, if they are decided,
// and that there are none between.
func (f *eventFilter) next() (at ordering.Seq, events []host.Event, ok bool) {
	for seq, d := range f.decided {
		if d.before < f.from {
			f.advance(seq + 1)
			return seq, d.events, true
		}
	}
	return 0, nil, false
}

// ready reports whether next has events.
func (f *eventFilter) ready() bool {
	for _, d := range f.decided {
		if d.before < f.from {
			return true
		}
	}
	return false
}

// advance drops what is about entries before from.
func (f *eventFilter) advance(from ordering.Seq) {
	f.from = from
	for seq, ballots := range f.entries {
		if seq >= from {
			continue
		}
		for _, replica := range slices.Collect(maps.Keys(ballots)) {
			f.drop(seq, replica)
		}
	}
}
