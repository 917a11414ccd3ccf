package audit

import (
	"crypto/ed25519"
	"strings"

	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Stand is a replica's signed statement of how far it has read the log, durably: it
// has voted for nothing beyond. With Next it is a promise as well: the replica votes in no epoch
// below Next again.
type Stand struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Replica ReplicaID
	Last    ordering.Position
	// Floor is where the replica's journal begins. What is not beyond it is behind a
	// checkpoint that a majority of voters has.
	Floor ordering.Position
	// Points are positions of the journal at seqs that were asked for, ascending: with
	// them statements can be compared.
	Points []ordering.Position
	Next   ordering.Epoch // 0: the replica goes on
	Reason string         // why it stopped, for people
	// Signature is over all of the above.
	Signature []byte
}

// StandFormat is the encoding of a stand.
const StandFormat canonical.Format = "LSW1"

// Bounds of a stand.
const (
	MaxPoints = 256
	MaxReason = 512
)

// CutReason makes a text fit for a statement: short enough, and UTF-8 to its end, or nobody could read what has it.
func CutReason(text string) string { return strings.ToValidUTF8(text[:min(len(text), MaxReason)], "") }

// Fits tells whether the statement is within the bounds: one that is not is nobody's who means well, and may take long to compare.
func (s *Stand) Fits() bool { return len(s.Points) <= MaxPoints && len(s.Reason) <= MaxReason }

// Sign sets the signature.
func (s *Stand) Sign(key ed25519.PrivateKey) { s.Signature = ed25519.Sign(key, s.signed()) }

// Verify checks the signature against the replica's public key.
func (s *Stand) Verify(key ed25519.PublicKey) error { return verify(key, s.signed(), s.Signature) }

func (s Stand) signed() []byte {
	s.Signature = nil
	return StandFormat.Encode(s)
}

// At returns the position that the statement has at a seq, if it says so.
func (s *Stand) At(seq ordering.Seq) (ordering.Position, bool) {
	switch seq {
	case s.Last.Seq:
		return s.Last, true
	case s.Floor.Seq:
		return s.Floor, true
	}
	for _, p := range s.Points {
		if p.Seq == seq {
			return p, true
		}
	}
	return ordering.Position{}, false
}
