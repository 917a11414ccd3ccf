package admin

import (
	"fmt"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// A machine whose voters are gone for ever, or cannot tell where it goes on from, is recovered by its operator:
// see package client/recovery.

// StandsSubject is where every node that hosts a machine answers with Stands.
const StandsSubject = Prefix + ".stands"

// RecoverSubject is where one node is ordered to have a machine go on from its replica.
func RecoverSubject(node audit.ReplicaID) string { return fmt.Sprintf("%s.recover.%s", Prefix, node) }

// StandsRequest asks where replicas of a machine stand.
type StandsRequest struct {
	_       struct{} `cbor:",toarray"`
	Machine ordering.Name
	Points  []ordering.Seq // at most audit.MaxPoints: positions that are wanted too
}

// Stands is what a node says of where its replica of a machine stands.
type Stands struct {
	_         struct{} `cbor:",toarray"`
	Node      audit.ReplicaID
	Stand     []audit.Stand // one; none where the replica's journal has lost what it once had
	Heard     []Heard       // what other voters stated last, as far as this node knows since its start
	Hindrance string        // why there is no next epoch, where the replica has stopped; "" if not
}

// Heard is another replica's statement.
type Heard struct {
	_     struct{} `cbor:",toarray"`
	Stand audit.Stand
	Ago   int64 // nanoseconds
}

// RecoverRequest is an operator's order.
type RecoverRequest struct {
	_       struct{} `cbor:",toarray"`
	Machine ordering.Name
	Base    ordering.Position // that the replica was seen at; it may have come further
	Voters  []audit.ReplicaID // that go on, ascending, the node's own among them
	Reason  string            // at most audit.MaxReason bytes
	// Word is what the node proposed, signed by the operator: at most one.
	Word []epochs.Recovery
}

// RecoverResponse says what became of it.
type RecoverResponse struct {
	_        struct{} `cbor:",toarray"`
	Node     audit.ReplicaID
	Recovery []epochs.Recovery // one if it is done, or proposed
	// Proposed says that the machine has an operator's key: nothing is opened, and the order is to be given again with the
	// recovery signed.
	Proposed bool
	// NotNeeded says that the replicas go on by themselves, Moved that the replica is not where it was seen.
	NotNeeded bool
	Moved     bool
	Error     string // "" if it is done
}

// Formats of what is sent.
const (
	StandsFormat          canonical.Format = "LNS1"
	StandsResponseFormat  canonical.Format = "LNT1"
	RecoverFormat         canonical.Format = "LNC2"
	RecoverResponseFormat canonical.Format = "LND2"
)
