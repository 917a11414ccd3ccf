package host

import (
	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
)

// Transition is what one entry did: the state has changed already, and the
// fields say what is to be done in the world. The node carries it out in the
// order of the fields; nothing of it may be sent before Apply has returned.
type Transition struct {
	Epoch ordering.Epoch
	Seq   ordering.Seq
	Chain ordering.Chain

	// Reply goes to the client of the entry with this replica's vote, if this
	// replica is a voter and may vote. Nil if the entry asked nothing.
	Reply *Reply

	// Timers are those that ran, before anything that the entry asked.
	Timers []TimerRun

	// Events are for whoever subscribes.
	Events []Event

	eventBytes int // of Events, encoded

	// EventsBefore is the last entry before this one that had events, 0 if none:
	// by it a subscriber notices a gap.
	EventsBefore ordering.Seq

	// Audited says that every replica states its root at this seq.
	Audited *Audited

	// Checkpoint is to be made durable; after that the replica states so.
	Checkpoint *snapshot.Checkpoint

	// Opened is the proof with which the entry opened its epoch, if it did.
	Opened *epochs.Opening

	// Members is the membership after this entry, if the entry changed it.
	Members *audit.Members

	// Upgraded is the module that runs from here on, if the entry changed it.
	Upgraded *audit.Digest

	// Log is what the guest said to its operator.
	Log []byte

	// checkpoint asks for one once the entry has done all that it does.
	checkpoint bool
}

// TimerRun is a timer that was due and what became of it. The output of one
// that went well is nobody's.
type TimerRun struct {
	Timer   Timer
	Receipt Receipt // of number 0
}

// Reply is the outputs of an entry and whom they are for.
type Reply struct {
	Client   ClientID
	Receipts []byte // encoded Receipts
	// Statuses counts the receipts by status, Duplicates those that are given
	// again, and Gas is what the others used.
	Statuses   [wasmabi.Refused + 1]uint32
	Duplicates uint32
	Gas        uint64
	// Members is the entry that last changed the membership whose majority
	// makes these outputs accepted.
	Members ordering.Seq
	Mode    audit.Mode // of that membership
	// Responder is the voter that sends the receipts where they are large; the
	// others send their digest.
	Responder audit.ReplicaID
}

// Audited is what an audit record states.
type Audited struct {
	Members ordering.Seq
	Root    audit.Digest
}
