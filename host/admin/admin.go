// Package admin is what nodes are asked as nodes, before there is a machine to
// ask: who is there, what each hosts, and to host a machine. The questions go
// over NATS, each a request:
//
//	lockstep.$node.list          every node answers with a Node
//	lockstep.$node.host.<node>   the node hosts a machine, and makes its log if told to
//	lockstep.$node.stands        every node that hosts a machine says where its replica stands: see recover.go
//	lockstep.$node.recover.<node>  the machine goes on from the node's replica
//
// A machine's name has no dollar sign, so that these subjects are no machine's.
// Whoever may publish here may fill the nodes' disks: give it to operators.
package admin

import (
	"fmt"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
)

// Prefix is where all subjects of nodes begin.
const Prefix = "lockstep.$node"

// ListSubject is where every node answers.
const ListSubject = Prefix + ".list"

// HostSubject is where one node is asked to host a machine.
func HostSubject(node audit.ReplicaID) string { return fmt.Sprintf("%s.host.%s", Prefix, node) }

// ListRequest asks a node about itself and one machine.
type ListRequest struct {
	_       struct{}      `cbor:",toarray"`
	Machine ordering.Name // "" for none: the answer then has names alone
	// Evidence asks for what the node keeps against replicas of the machine.
	Evidence bool
}

// Node is what a node says of itself.
type Node struct {
	_         struct{} `cbor:",toarray"`
	Name      audit.ReplicaID
	Version   string // of the program
	Profile   uint32 // of the instrumentation
	Server    string // URL at which clients reach its NATS server; "" if that is not its own
	Started   int64  // Unix time in nanoseconds
	Engine    string // how it runs guests
	Machines  []ordering.Name
	Memory    uint64    // bytes that the guests of its machines may come to take
	MaxMemory uint64    // bound on that; 0: none
	Machine   []Machine // of the request, if the node hosts it: one or none
}

// Machine is what a node says of its replica of a machine.
type Machine struct {
	_    struct{} `cbor:",toarray"`
	Info host.Info
	// The log as the replica sees it; zero where Problem says why it does not.
	LogFirst ordering.Seq
	LogLast  ordering.Seq
	LogBytes uint64
	Tracker  string // how it finds written pages; "" before it has a guest
	Memory   uint64 // of the guest, in bytes
	Problem  string // why the replica does not go on, or the log cannot be read
	// Broken is why the guest's invariant did not hold at the last audit, since
	// that at BrokenAt; empty if it did, or there is none.
	Broken   string
	BrokenAt ordering.Seq
	Faults   []Faults
	Evidence [][]byte // messages audit.KeptFormat, in the order in which they were found; none unless asked for
}

// Faults is how much evidence a node has against one replica.
type Faults struct {
	_       struct{} `cbor:",toarray"`
	Replica audit.ReplicaID
	Kept    uint32
	More    uint64 // seen since the node started, and not kept since there is enough
}

// HostRequest asks a node to host a machine.
type HostRequest struct {
	_       struct{} `cbor:",toarray"`
	Machine ordering.Name
	// Create makes the log where there is none, kept by as many servers.
	Create   bool
	Replicas uint32 // servers that keep the log: 1, 3 or 5
	MaxBytes uint64 // of the log; 0 is the default
}

// HostResponse says whether the node hosts the machine now.
type HostResponse struct {
	_     struct{} `cbor:",toarray"`
	Node  audit.ReplicaID
	Error string // "" if it does
}

// Formats of what is sent.
const (
	ListFormat         canonical.Format = "LNL1"
	NodeFormat         canonical.Format = "LNN1"
	HostFormat         canonical.Format = "LNH1"
	HostResponseFormat canonical.Format = "LNR1"
)
