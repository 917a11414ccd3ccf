package client

import (
	"slices"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// readings are what the voters of one membership answered to one question, each
// once. It is pure.
type readings struct {
	machine  string
	question audit.Digest
	members  audit.Members
	alone    bool // one replica was asked, for its own word
	by       map[audit.ReplicaID]audit.Reading
	busy     map[audit.ReplicaID]bool // refused for now
	denied   error                    // the servers do not let the client ask
	// receipts that a responder sent, by their digest, and who was first to.
	receipts map[audit.Digest]host.Receipts
}

func newReadings(machine string, question audit.Digest, members audit.Members) *readings {
	return &readings{
		machine: machine, question: question, members: members,
		by: make(map[audit.ReplicaID]audit.Reading), busy: make(map[audit.ReplicaID]bool), receipts: make(map[audit.Digest]host.Receipts),
	}
}

// add counts an answer. What is no voter's, not signed by it, not about this
// question or by another membership counts for nothing.
func (s *readings) add(a protocol.ReadAnswer, r host.Receipts) bool {
	key, voter := s.members.Voter(a.Reading.Replica)
	if !voter || a.Reading.Machine != s.machine || a.Reading.Question != s.question {
		return false
	}
	if a.Reading.Members != s.members.Seq && !s.alone && !a.Busy {
		return false
	}
	if _, again := s.by[a.Reading.Replica]; again || s.busy[a.Reading.Replica] {
		return false
	}
	if s.members.Mode != audit.Crash && a.Reading.Verify(key) != nil {
		return false
	}
	if a.Busy != (a.Reading.Seq == 0) {
		return false // who refuses states no position, and who states none refuses
	}
	if a.Busy {
		s.busy[a.Reading.Replica] = true
		return true
	}
	s.by[a.Reading.Replica] = a.Reading
	if r != nil {
		s.receipts[a.Reading.Outputs] = r
	}
	return true
}

// index is the read index: no entry was answered before the question was asked
// whose seq is above it. ok is false before a majority has answered.
//
// An answered entry was voted on by a majority, each replica of which states no
// lower seq afterwards. Any other majority shares a replica with that one, so
// that the highest seq of a majority, whichever, is not below the entry's. Of
// the majorities that have answered the lowest is taken.
func (s *readings) index() (index ordering.Seq, ok bool) {
	if len(s.by) < s.members.Majority() {
		return 0, false
	}
	seqs := make([]ordering.Seq, 0, len(s.by))
	for _, r := range s.by {
		seqs = append(seqs, r.Seq)
	}
	slices.Sort(seqs)
	return seqs[s.members.Majority()-1], true
}

// highest is the highest seq that any voter states.
func (s *readings) highest() (seq ordering.Seq) {
	for _, r := range s.by {
		seq = max(seq, r.Seq)
	}
	return seq
}

// agree counts the voters that state the position of a reading.
func (s *readings) agree(with audit.Reading) (n int) {
	for _, r := range s.by {
		if samePosition(r, with) {
			n++
		}
	}
	return n
}

func samePosition(a, b audit.Reading) bool {
	return a.Epoch == b.Epoch && a.Seq == b.Seq && a.Chain == b.Chain && a.Members == b.Members
}

// decided returns a reading whose position and outputs a majority states.
func (s *readings) decided() (audit.Reading, bool) {
	for _, r := range s.by {
		n := 0
		for _, other := range s.by {
			if samePosition(r, other) && r.Outputs == other.Outputs {
				n++
			}
		}
		if n >= s.members.Majority() {
			return r, true
		}
	}
	return audit.Reading{}, false
}
