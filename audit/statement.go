package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// ReplicaID names a replica within its machine: the name of its node.
type ReplicaID string

// Vote is a replica's signed statement that after the entry at Seq the log's
// chain is Chain and that the entry's outputs digest to Outputs.
type Vote struct {
	_         struct{} `cbor:",toarray"`
	Machine   string
	Replica   ReplicaID
	Epoch     ordering.Epoch
	Seq       ordering.Seq
	Chain     ordering.Chain
	Members   ordering.Seq // entry that last changed the membership, which says who counts
	Outputs   Digest
	Signature []byte
}

// Record is a replica's signed statement that after the entry at Seq the
// digest of its whole state is Root. Every replica makes one at the same seqs.
type Record struct {
	_         struct{} `cbor:",toarray"`
	Machine   string
	Replica   ReplicaID
	Epoch     ordering.Epoch
	Seq       ordering.Seq
	Chain     ordering.Chain
	Members   ordering.Seq
	Root      Digest
	Stored    bool // the state at Seq is a durable checkpoint of this replica
	Signature []byte
}

// Formats of the statements. A signature covers the format's bytes of the
// statement with an empty Signature, so that no statement passes as another.
const (
	VoteFormat   canonical.Format = "LSV1"
	RecordFormat canonical.Format = "LSA1"
	// eventsVoteFormat is what a signature of a vote on events covers: of the votes
	// LSV1 of one replica there is one for each entry.
	eventsVoteFormat canonical.Format = "LSu1"
)

// ErrSignature is returned for a statement that its replica's key did not sign.
var ErrSignature = errors.New("signature is not the replica's")

// Sign sets the signature.
func (v *Vote) Sign(key ed25519.PrivateKey) { v.Signature = ed25519.Sign(key, v.signed()) }

// Verify checks the signature against the replica's public key.
func (v *Vote) Verify(key ed25519.PublicKey) error { return verify(key, v.signed(), v.Signature) }

func (v Vote) signed() []byte {
	v.Signature = nil
	return VoteFormat.Encode(v)
}

// SignEvents sets the signature of a vote on an entry's events.
func (v *Vote) SignEvents(key ed25519.PrivateKey) {
	v.Signature = ed25519.Sign(key, v.signedEvents())
}

// VerifyEvents checks the signature of a vote on an entry's events.
func (v *Vote) VerifyEvents(key ed25519.PublicKey) error {
	return verify(key, v.signedEvents(), v.Signature)
}

func (v Vote) signedEvents() []byte {
	v.Signature = nil
	return eventsVoteFormat.Encode(v)
}

// Sign sets the signature.
func (r *Record) Sign(key ed25519.PrivateKey) { r.Signature = ed25519.Sign(key, r.signed()) }

// Verify checks the signature against the replica's public key.
func (r *Record) Verify(key ed25519.PublicKey) error { return verify(key, r.signed(), r.Signature) }

func (r Record) signed() []byte {
	r.Signature = nil
	return RecordFormat.Encode(r)
}

func verify(key ed25519.PublicKey, message, signature []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("replica's key has %d bytes, want %d", len(key), ed25519.PublicKeySize)
	}
	if !ed25519.Verify(key, message, signature) {
		return ErrSignature
	}
	return nil
}

// Holding is a replica's signed statement that it holds a module, has checked
// and compiled it, and can run it at any seq.
type Holding struct {
	_         struct{} `cbor:",toarray"`
	Machine   string
	Replica   ReplicaID
	Module    Digest
	Signature []byte
}

// HoldingFormat is the encoding of a holding.
const HoldingFormat canonical.Format = "LSH1"

// Sign sets the signature.
func (h *Holding) Sign(key ed25519.PrivateKey) { h.Signature = ed25519.Sign(key, h.signed()) }

// Verify checks the signature against the replica's public key.
func (h *Holding) Verify(key ed25519.PublicKey) error { return verify(key, h.signed(), h.Signature) }

func (h Holding) signed() []byte {
	h.Signature = nil
	return HoldingFormat.Encode(h)
}
