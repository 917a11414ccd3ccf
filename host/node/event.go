package node

import (
	"time"

	"lockstep/audit"
	"lockstep/ordering"
)

// Event is something that happened to a replica which an operator wants to
// know of. Fields that a kind does not name are zero.
type Event struct {
	Kind    EventKind
	Machine ordering.Name
	Replica audit.ReplicaID
	Epoch   ordering.Epoch
	Seq     ordering.Seq

	Other  audit.ReplicaID // Diverged, Evidence: the replica that differs, which may be this one; Dropped: the donor
	Module audit.Digest    // Upgraded
	Root   audit.Digest    // Checkpointed, Transferred
	Pages  []uint32        // Transferred: pages that differed, ascending
	Bytes  uint64          // Transferred: payload received, tree traffic included
	Size   uint64          // Transferred: size of the state
	From   []audit.ReplicaID
	Took   time.Duration
	Err    error // Stopped, Stalled, Unsaved, Dropped, Invariant: why
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventPhase        EventKind = "phase"        // the replica's phase changed
	EventDiverged     EventKind = "diverged"     // a replica stated another state than the majority
	EventInvariant    EventKind = "invariant"    // the guest's invariant does not hold any more, Err says why
	EventTransferred  EventKind = "transferred"  // the replica took a state from others
	EventDropped      EventKind = "dropped"      // a donor of a state is not asked any more; its bytes were wrong or did not come
	EventRejoined     EventKind = "rejoined"     // it votes again after a repair
	EventCheckpointed EventKind = "checkpointed" // a checkpoint is durable here
	EventUnsaved      EventKind = "unsaved"      // a checkpoint could not be saved; another one follows
	EventTruncated    EventKind = "truncated"    // the log was cut up to a checkpoint
	EventUpgraded     EventKind = "upgraded"     // another module runs from this seq on
	EventEvidence     EventKind = "evidence"     // there is evidence, kept here, that the replica Other was at fault
	EventMembers      EventKind = "members"      // the membership changed
	EventStalled      EventKind = "stalled"      // votes wait: the journal cannot be written to
	EventDoubted      EventKind = "doubted"      // the replica cannot follow the log, and does not vote until that is mended or others say so too
	EventBroken       EventKind = "broken"       // the log broke: the replica stopped voting in its epoch, Err says why
	EventHindered     EventKind = "hindered"     // there can be no next epoch yet, Err says why
	EventEpoch        EventKind = "epoch"        // the replica entered an epoch
	EventStopped      EventKind = "stopped"      // the replica gave up
)
