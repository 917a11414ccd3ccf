package host

import (
	"crypto/ed25519"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Info is what a replica tells of itself to whoever asks: the membership that
// a client counts votes by, and where the replica stands.
type Info struct {
	_        struct{} `cbor:",toarray"`
	Machine  string
	Replica  audit.ReplicaID
	Key      []byte // ed25519 public key of the replica
	Epoch    ordering.Epoch
	Seq      ordering.Seq
	Chain    ordering.Chain
	Deployed bool
	Module   audit.Digest
	Members  audit.Members
	Phase    Phase
	Stored   []Stored // durable checkpoints, oldest first
	// Log is the epoch whose log the replica reads, where inputs are to be sent.
	Log ordering.Epoch
	// Broken is why the replica has stopped voting in that epoch, for people; empty if it has not.
	Broken string
	// MaxMemory is the limit of the guest's memory in Wasm pages; 0 before DEPLOY.
	MaxMemory uint32
	// Recoveries are the epochs that began on an operator's word, oldest first: what may have been
	// lost, and why voters that a client knows are none any more.
	Recoveries []epochs.Recovery
	Signature  []byte
}

// Stored names a durable checkpoint of the replica.
type Stored struct {
	_     struct{} `cbor:",toarray"`
	Epoch ordering.Epoch
	Seq   ordering.Seq
	Chain ordering.Chain
	Root  audit.Digest
}

// InfoFormat is the encoding of an info.
const InfoFormat canonical.Format = "LSI2"

// Sign sets the signature.
func (i *Info) Sign(key ed25519.PrivateKey) { i.Signature = ed25519.Sign(key, i.signed()) }

// Verify checks the signature against the replica's public key.
func (i *Info) Verify(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, i.signed(), i.Signature)
}

func (i Info) signed() []byte {
	i.Signature = nil
	return InfoFormat.Encode(i)
}

// Phase is what a replica is doing.
type Phase uint8

// The phases. Values are part of the wire format; never renumber.
const (
	PhaseStarting  Phase = 0 // reading its checkpoint or waiting for the log
	PhaseObserving Phase = 1 // applying the log without a vote
	PhaseVoting    Phase = 2 // applying the log and voting
	PhaseDiverged  Phase = 3 // found different from the majority: applying, not voting
	PhaseRepairing Phase = 4 // fetching pages from other replicas
	PhaseBroken    Phase = 6 // cannot follow the log, or has stopped voting in its epoch for good and waits for the next
	PhaseStopped   Phase = 5 // not applying: the log is broken, or the node stopped it
)

func (p Phase) String() string {
	names := [...]string{"starting", "observing", "voting", "diverged", "repairing", "stopped", "broken"}
	if int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}
