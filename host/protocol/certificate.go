package protocol

import (
	"errors"
	"fmt"
	"slices"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
)

// Certificate proves an accepted output to a third party: the votes of a
// majority on one entry, their common part once, and what they vote on.
type Certificate struct {
	_          struct{} `cbor:",toarray"`
	Machine    string
	Epoch      ordering.Epoch
	Seq        ordering.Seq
	Chain      ordering.Chain
	Members    ordering.Seq // the entry that made the membership by which the votes count
	Client     host.ClientID
	Number     uint64      // of the input that the certificate was asked for
	Receipts   []byte      // encoded host.Receipts of the whole entry
	Signatures []Signature // of the votes, ascending by replica, each once
}

// Signature is one voter's.
type Signature struct {
	_         struct{} `cbor:",toarray"`
	Replica   audit.ReplicaID
	Signature []byte
}

// CertificateFormat is the encoding of a certificate.
const CertificateFormat canonical.Format = "LSc1"

// Encode returns the certificate's bytes.
func (c Certificate) Encode() []byte { return CertificateFormat.Encode(c) }

// maxSignatures bounds what is checked; no machine has more voters.
const maxSignatures = 64

// DecodeCertificate reads a certificate, which proves nothing before Verify.
func DecodeCertificate(data []byte) (Certificate, error) {
	var c Certificate
	if err := CertificateFormat.Decode(data, &c); err != nil {
		return c, err
	}
	if len(c.Signatures) > maxSignatures {
		return c, fmt.Errorf("certificate has %d signatures, want at most %d", len(c.Signatures), maxSignatures)
	}
	for i := 1; i < len(c.Signatures); i++ {
		if c.Signatures[i-1].Replica >= c.Signatures[i].Replica {
			return c, errors.New("signatures of the certificate are not ascending by replica")
		}
	}
	return c, nil
}

// ErrNotProven says that a certificate does not prove what it says.
var ErrNotProven = errors.New("certificate does not prove its output")

// Verify checks the certificate by a membership, which the caller trusts to be
// that of the machine, and returns the receipts that it proves. Its errors wrap
// ErrNotProven.
func (c Certificate) Verify(members audit.Members) (host.Receipts, error) {
	if members.Seq != c.Members {
		return nil, fmt.Errorf("%w: it counts by the membership of seq %d, this one is of seq %d", ErrNotProven, c.Members, members.Seq)
	}
	if members.Mode == audit.Crash {
		return nil, fmt.Errorf("%w: replicas of a machine of mode crash sign nothing", ErrNotProven)
	}
	vote := audit.Vote{
		Machine: c.Machine, Epoch: c.Epoch, Seq: c.Seq, Chain: c.Chain, Members: c.Members,
		Outputs: OutputsDigest(c.Client, c.Receipts),
	}
	for _, s := range c.Signatures {
		key, voter := members.Voter(s.Replica)
		if !voter {
			return nil, fmt.Errorf("%w: %s is no voter of the membership", ErrNotProven, s.Replica)
		}
		vote.Replica, vote.Signature = s.Replica, s.Signature
		if err := vote.Verify(key); err != nil {
			return nil, fmt.Errorf("%w: vote of %s: %w", ErrNotProven, s.Replica, err)
		}
	}
	if len(c.Signatures) < members.Majority() {
		return nil, fmt.Errorf("%w: %d of %d voters signed, want %d", ErrNotProven, len(c.Signatures), members.Voters(), members.Majority())
	}
	receipts, err := host.DecodeReceipts(c.Receipts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotProven, err)
	}
	if !slices.ContainsFunc(receipts, func(r host.Receipt) bool { return r.Number == c.Number }) {
		return nil, fmt.Errorf("%w: the entry has no receipt of input %d", ErrNotProven, c.Number)
	}
	return receipts, nil
}
