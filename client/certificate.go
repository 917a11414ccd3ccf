package client

import (
	"slices"
	"strings"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// Certified is what a certificate proves: a majority of the voters of a
// membership stated that the entry at Seq of the machine's log, with that
// chain, put out these receipts to that client.
type Certified struct {
	Machine  string
	Epoch    ordering.Epoch
	Seq      ordering.Seq
	Chain    ordering.Chain
	Client   host.ClientID
	Receipt  host.Receipt  // of the input that the certificate was asked for
	Receipts host.Receipts // all, in the order of the entry's inputs
	Voters   []audit.ReplicaID
}

// proof is what all certificates of one entry have in common.
type proof struct {
	votes    []audit.Vote // equal but for replica and signature
	client   host.ClientID
	receipts []byte
}

// Certificate is the proof of an accepted output, to be given to third parties
// and checked with Verify; docs/format/certificate.md has its bytes. It carries
// the receipts of the whole entry, those of the client's other callers too. It
// is nil for the output of a query, and on machines of mode crash, which sign
// nothing.
func (o Output) Certificate() []byte {
	if o.proof == nil {
		return nil
	}
	v := o.proof.votes[0]
	c := protocol.Certificate{
		Machine: v.Machine, Epoch: v.Epoch, Seq: v.Seq, Chain: v.Chain, Members: v.Members,
		Client: o.proof.client, Number: o.number, Receipts: o.proof.receipts,
	}
	for i := range o.proof.votes {
		c.Signatures = append(c.Signatures, protocol.Signature{Replica: o.proof.votes[i].Replica, Signature: o.proof.votes[i].Signature})
	}
	slices.SortFunc(c.Signatures, func(a, b protocol.Signature) int { return strings.Compare(string(a.Replica), string(b.Replica)) })
	return c.Encode()
}

// Verify checks a certificate offline. members is the membership that it refers
// to, from somebody whom the caller trusts. An error that wraps
// protocol.ErrNotProven says that the certificate is forged, of a minority, or
// of another machine's or another time's voters.
func Verify(certificate []byte, members audit.Members) (Certified, error) {
	c, err := protocol.DecodeCertificate(certificate)
	if err != nil {
		return Certified{}, err
	}
	receipts, err := c.Verify(members)
	if err != nil {
		return Certified{}, err
	}
	out := Certified{Machine: c.Machine, Epoch: c.Epoch, Seq: c.Seq, Chain: c.Chain, Client: c.Client, Receipts: receipts}
	for _, r := range receipts {
		if r.Number == c.Number {
			out.Receipt = r
		}
	}
	for _, s := range c.Signatures {
		out.Voters = append(out.Voters, s.Replica)
	}
	return out, nil
}
