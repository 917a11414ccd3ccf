package audit

import (
	"crypto/ed25519"

	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Reading is a replica's signed statement, in answer to one question, that it
// has applied the log up to Seq or further, that the chain after Seq is Chain,
// and that the question's queries, if it ran them, put out Outputs at Seq.
type Reading struct {
	_         struct{} `cbor:",toarray"`
	Machine   string
	Replica   ReplicaID
	Epoch     ordering.Epoch
	Seq       ordering.Seq
	Chain     ordering.Chain
	Members   ordering.Seq // as in a vote
	Question  Digest       // of the question, which is fresh: so the statement is younger than it
	Outputs   Digest       // zero if the replica ran no query
	Signature []byte
}

// ReadingFormat is the encoding of a reading.
const ReadingFormat canonical.Format = "LSr1"

// Sign sets the signature.
func (r *Reading) Sign(key ed25519.PrivateKey) { r.Signature = ed25519.Sign(key, r.signed()) }

// Verify checks the signature against the replica's public key.
func (r *Reading) Verify(key ed25519.PublicKey) error { return verify(key, r.signed(), r.Signature) }

func (r Reading) signed() []byte {
	r.Signature = nil
	return ReadingFormat.Encode(r)
}
