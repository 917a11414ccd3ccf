package client

import (
	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// filter is the output filter: it takes the answers of single replicas and
// gives out what a majority of voters stated alike, once. It is pure.
type filter struct {
	// views are the memberships that are trusted, by the entry that made them.
	views map[ordering.Seq]audit.Members
	// latest is the newest of them.
	latest  ordering.Seq
	entries map[position]*votes
	order   []position // of entries, oldest first, to bound them
}

type position struct {
	epoch ordering.Epoch
	seq   ordering.Seq
}

// statement is what voters must state alike.
type statement struct {
	chain   ordering.Chain
	members ordering.Seq
	outputs audit.Digest
}

type votes struct {
	tally    audit.Tally[statement]
	receipts map[audit.Digest]host.Receipts
	held     []heldAnswer // waiting for their membership to be known
	decided  bool
}

type heldAnswer struct {
	answer   host.Answer
	receipts host.Receipts
}

// Bounds on what unanswered or hostile traffic can make the filter keep.
const (
	maxOpenEntries = 4096
	maxHeld        = 64
	maxViews       = 64
)

func newFilter() *filter {
	return &filter{views: make(map[ordering.Seq]audit.Members), entries: make(map[position]*votes)}
}

// verdict is what an answer led to.
type verdict struct {
	accepted host.Receipts // non-nil once, when a majority is reached
	seq      ordering.Seq
	failed   bool         // no majority can be reached any more
	unknown  ordering.Seq // non-zero: the membership made at this entry must be learned
}

// add counts one replica's answer. Answers that are not a voter's, or not
// signed by it, count for nothing.
func (f *filter) add(a host.Answer, r host.Receipts) verdict {
	p := position{a.Vote.Epoch, a.Vote.Seq}
	v := f.entry(p)
	if v.decided {
		return verdict{}
	}
	members, known := f.views[a.Vote.Members]
	if !known {
		if len(v.held) < maxHeld {
			v.held = append(v.held, heldAnswer{a, r})
		}
		return verdict{unknown: a.Vote.Members}
	}
	key, voter := members.Voter(a.Vote.Replica)
	if !voter || a.Vote.Verify(key) != nil {
		return verdict{}
	}
	v.receipts[a.Vote.Outputs] = r
	// A voter that states two things is a fault, and its first statement counts:
	// nothing more is owed to it here. Evidence is the auditors' affair.
	_ = v.tally.Add(a.Vote.Replica, statement{a.Vote.Chain, a.Vote.Members, a.Vote.Outputs})
	if s, ok := v.tally.Decided(members.Majority()); ok {
		v.decided = true
		accepted := v.receipts[s.outputs]
		v.receipts = nil
		return verdict{accepted: accepted, seq: p.seq}
	}
	if !v.tally.Possible(members.Majority(), members.Voters()) {
		return verdict{failed: true, seq: p.seq}
	}
	return verdict{}
}

// entry finds or makes the tally of a position, forgetting the oldest ones.
func (f *filter) entry(p position) *votes {
	if v := f.entries[p]; v != nil {
		return v
	}
	for len(f.order) >= maxOpenEntries {
		delete(f.entries, f.order[0])
		f.order = f.order[1:]
	}
	v := &votes{receipts: make(map[audit.Digest]host.Receipts)}
	f.entries[p] = v
	f.order = append(f.order, p)
	return v
}

// trust adds a membership and returns the verdicts on answers that waited for it.
func (f *filter) trust(m audit.Members) []verdict {
	if _, known := f.views[m.Seq]; known {
		return nil
	}
	if len(f.views) >= maxViews {
		oldest := m.Seq
		for seq := range f.views {
			oldest = min(oldest, seq)
		}
		delete(f.views, oldest)
	}
	f.views[m.Seq] = m
	f.latest = max(f.latest, m.Seq)
	var verdicts []verdict
	for _, p := range append([]position(nil), f.order...) {
		v := f.entries[p]
		held := v.held
		v.held = nil
		for _, h := range held {
			if d := f.add(h.answer, h.receipts); d.accepted != nil || d.failed {
				verdicts = append(verdicts, d)
			}
		}
	}
	return verdicts
}

// learn judges what replicas say of the membership by the newest trusted one.
func (f *filter) learn(infos []host.Info) (audit.Members, bool) {
	return host.Learn(infos, f.views[f.latest])
}
