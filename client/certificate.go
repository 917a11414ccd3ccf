package client

import (
	"lockstep/audit"
	"lockstep/host"
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
	Receipts host.Receipts // in the order of the entry's inputs
	Voters   []audit.ReplicaID
}

// Certificate is the proof of an accepted output, to be given to third parties
// and checked with Verify; docs/format/certificate.md has its bytes. It is nil
// for the output of a query, and on machines of mode crash, which sign nothing.
func (o Output) Certificate() []byte { return nil }

// Verify checks a certificate offline, by the membership that it refers to.
func Verify(certificate []byte, members audit.Members) (Certified, error) {
	return Certified{}, errNotBuilt
}
