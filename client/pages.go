package client

import (
	"slices"

	"lockstep/audit"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// pages are what the voters of one membership answered to one request for events,
// each once. It is pure.
type pages struct {
	machine string
	request audit.Digest
	from    ordering.Seq
	members audit.Members
	by      map[audit.ReplicaID]protocol.EventsPage
}

// add takes a page. What is no voter's, not signed by it or not about this request
// counts for nothing.
func (s *pages) add(p protocol.EventsPage) bool {
	key, voter := s.members.Voter(p.Replica)
	if _, again := s.by[p.Replica]; again || !voter || p.Machine != s.machine || p.Request != s.request {
		return false
	}
	if s.members.Mode != audit.Crash && !p.Verify(key) {
		return false
	}
	s.by[p.Replica] = p
	return true
}

// next is what a page says of the next entry with events: which it is and what they
// are, or, with ok false, nothing, since the replica has not come to one or does not
// keep it any more.
func (s *pages) next(p protocol.EventsPage) (v audit.Vote, ok bool) {
	if len(p.Votes) == 0 || p.Votes[0].Before >= s.from {
		return v, false
	}
	v = p.Votes[0].Vote
	v.Replica, v.Signature = "", nil
	return v, v.Seq >= s.from
}

// allows reports whether the voter that sent a page can still be one of those that
// state v of the next entry, or, without v, that there was none yet.
func (s *pages) allows(p protocol.EventsPage, v *audit.Vote) bool {
	own, ok := s.next(p)
	switch {
	case ok:
		return v != nil && own.Seq == v.Seq && own.Chain == v.Chain && own.Outputs == v.Outputs
	case p.First > s.from:
		return false
	}
	return v == nil || p.At < v.Seq
}

// gone tells that the next events are not to be had: whatever they are, too few
// voters are left that keep them. first is the seq from which on enough of them do.
func (s *pages) gone() (first ordering.Seq, gone bool) {
	quorum, silent := s.members.Quorum(), s.members.Voters()-len(s.by)
	possible := func(v *audit.Vote) bool {
		n := silent
		for _, p := range s.by {
			if s.allows(p, v) {
				n++
			}
		}
		return n >= quorum
	}
	if s.members.Voters() == 0 || possible(nil) {
		return 0, false
	}
	var firsts []ordering.Seq
	for _, p := range s.by {
		if v, ok := s.next(p); ok && possible(&v) {
			return 0, false
		}
		if _, ok := s.next(p); !ok && p.First > s.from {
			firsts = append(firsts, p.First)
		}
	}
	// The lowest that enough voters can state: those that keep more than others, and
	// the others from there on. A page that claims much does not raise it.
	slices.Sort(firsts)
	if len(firsts) == 0 {
		return 0, false // they contradict one another: there is nothing to go on from
	}
	need := max(0, quorum-(s.members.Voters()-len(firsts)))
	return firsts[min(max(need-1, 0), len(firsts)-1)], true
}

// more reports whether a voter has more than fit on its page.
func (s *pages) more() bool {
	for _, p := range s.by {
		if n := len(p.Votes); n > 0 && p.Votes[n-1].Vote.Seq < p.Last {
			return true
		}
	}
	return false
}
