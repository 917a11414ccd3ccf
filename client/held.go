package client

import (
	"lockstep/audit"
	"lockstep/host/protocol"
)

// heldAnswers wait for the membership that they refer to to be known. Each voter of a
// membership that is known has room of its own for those that it signed; strangers,
// who may be voters of the new one, share theirs.
type heldAnswers struct {
	by map[audit.ReplicaID]*held // "": of strangers
}

type held struct {
	answers []protocol.Answer // oldest first
	bytes   int
}

// Bounds of what is held of each voter, and of all strangers together. The oldest
// go: an input whose answers are lost is sent again.
const (
	maxHeld      = 256
	maxHeldBytes = 4 << 20
)

// answerSize is about what an answer takes besides its receipts.
const answerSize = 512

func newHeldAnswers() heldAnswers { return heldAnswers{by: make(map[audit.ReplicaID]*held)} }

// add holds an answer of a voter, or of a stranger.
func (h heldAnswers) add(voter audit.ReplicaID, a protocol.Answer) {
	of := h.by[voter]
	if of == nil {
		of = new(held)
		h.by[voter] = of
	}
	of.answers = append(of.answers, a)
	of.bytes += answerSize + len(a.Receipts)
	for len(of.answers) > maxHeld || of.bytes > maxHeldBytes {
		of.bytes -= answerSize + len(of.answers[0].Receipts)
		of.answers[0] = protocol.Answer{}
		of.answers = of.answers[1:]
	}
}

// take takes out all that is held.
func (h heldAnswers) take() (all []protocol.Answer) {
	for voter, of := range h.by {
		all = append(all, of.answers...)
		delete(h.by, voter)
	}
	return all
}

// hold holds an answer whose membership is not known.
func (f *filter) hold(a protocol.Answer) {
	if a.Vote.Members < f.latest {
		return // too old to be learned
	}
	var panel audit.Members // the newest that has it as a voter
	for _, m := range f.views {
		if _, voter := m.Voter(a.Vote.Replica); voter && m.Seq >= panel.Seq {
			panel = m
		}
	}
	signer := audit.ReplicaID("") // a stranger
	if key, voter := panel.Voter(a.Vote.Replica); voter && panel.Mode != audit.Crash && a.Vote.Verify(key) == nil {
		signer = a.Vote.Replica
	}
	f.held.add(signer, a)
}
