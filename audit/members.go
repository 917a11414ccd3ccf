package audit

import (
	"crypto/ed25519"

	"lockstep/ordering"
)

// Member is a replica as the membership has it.
type Member struct {
	_     struct{} `cbor:",toarray"`
	ID    ReplicaID
	Key   []byte // ed25519 public key, 32 bytes
	Voter bool   // false: an observer, which follows and is not counted
}

// Operator is the ed25519 public key of a machine's operator; zeros where it has none. What it has signed is the operator's word
// for whoever knows the membership, also where replicas lie.
type Operator [ed25519.PublicKeySize]byte

// Members is the membership of a machine after the entry at Seq. List is
// ascending by ID.
type Members struct {
	_        struct{} `cbor:",toarray"`
	Seq      ordering.Seq
	Mode     Mode // how votes count
	List     []Member
	Operator Operator
}

// Find returns the member of that id, or nil.
func (m Members) Find(id ReplicaID) *Member {
	for i := range m.List {
		if m.List[i].ID == id {
			return &m.List[i]
		}
	}
	return nil
}

// Voter returns the public key of a voter; ok is false for an observer or a
// stranger.
func (m Members) Voter(id ReplicaID) (key ed25519.PublicKey, ok bool) {
	if p := m.Find(id); p != nil && p.Voter {
		return p.Key, true
	}
	return nil, false
}

// Voters is the number of voters.
func (m Members) Voters() int {
	n := 0
	for i := range m.List {
		if m.List[i].Voter {
			n++
		}
	}
	return n
}

// Majority is the number of voters that must agree: more than half. It is at
// least 1, so that an empty membership decides nothing.
func (m Members) Majority() int { return m.Voters()/2 + 1 }

// Quorum is the number of voters whose equal votes make an output accepted.
func (m Members) Quorum() int {
	if m.Mode == Crash {
		return 1
	}
	return m.Majority()
}
