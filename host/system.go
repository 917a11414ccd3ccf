package host

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// system is the machine's state besides the guest's: everything of it is
// replicated, hashed into the root and carried by a checkpoint.
type system struct {
	machine  string
	epoch    ordering.Epoch
	seq      ordering.Seq
	time     ordering.Time
	chain    ordering.Chain
	deployed bool
	module   audit.Digest
	config   Config
	members  audit.Members
	sessions sessions
	timers   timers
	events   ordering.Seq // the last entry that had events
	// recoveries are the epochs that began on an operator's word, oldest first.
	recoveries []epochs.Recovery
}

// maxRecoveries bounds those that are kept: the newest.
const maxRecoveries = 16

// systemRecord is the part of the system state that a manifest carries as
// bytes; machine, epoch, seq and chain are fields of the manifest itself.
type systemRecord struct {
	_        struct{} `cbor:",toarray"`
	Time     ordering.Time
	Deployed bool
	Module   audit.Digest
	Config   Config
	Members  audit.Members
	Evicted  ordering.Seq
	Sessions []sessionRecord
	Timers   []Timer // ascending by id
	Events   ordering.Seq
	// Recoveries are in the order of their epochs.
	Recoveries []epochs.Recovery
}

// systemFormat is the encoding of the system state.
const systemFormat canonical.Format = "LSS2"

func (s *system) encode() []byte {
	return systemFormat.Encode(systemRecord{
		Time: s.time, Deployed: s.deployed, Module: s.module, Config: s.config, Members: s.members,
		Evicted: s.sessions.evicted, Sessions: s.sessions.records(), Timers: s.timers.records(), Events: s.events,
		Recoveries: s.recoveries,
	})
}

func (s *system) decode(data []byte) error {
	var r systemRecord
	if err := systemFormat.Decode(data, &r); err != nil {
		return err
	}
	for _, w := range r.Sessions {
		if !slices.IsSortedFunc(w.Receipts, func(a, b Receipt) int { return cmp.Compare(a.Number, b.Number) }) {
			return fmt.Errorf("receipts of client %v do not ascend", w.Client)
		}
	}
	s.time, s.deployed, s.module, s.config, s.members = r.Time, r.Deployed, r.Module, r.Config, r.Members
	s.sessions, s.timers, s.events = sessionsOf(r.Sessions, r.Evicted), timersOf(r.Timers), r.Events
	s.recoveries = r.Recoveries
	return nil
}

// errDoesNotFollow is our own broken invariant or a broken log; the node stops
// the replica on it.
var errDoesNotFollow = errors.New("entry does not follow the last one")

// follows checks that the entry is the next one.
func (s *system) follows(e ordering.Entry) error {
	if e.Seq != s.seq+1 || e.Epoch < s.epoch {
		return fmt.Errorf("%w: have epoch %d seq %d, got epoch %d seq %d", errDoesNotFollow, s.epoch, s.seq, e.Epoch, e.Seq)
	}
	return nil
}

// advance takes the entry's position, time and bytes into the state. Ordered
// time is clamped so that it grows with every entry.
func (s *system) advance(e ordering.Entry) {
	s.chain = s.chain.Next(e)
	s.epoch, s.seq = e.Epoch, e.Seq
	s.time = max(s.time+1, e.Time)
}
