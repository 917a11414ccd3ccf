package epochs

import (
	"fmt"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// StandSubject is where replicas tell each other where they stand, and ask each other to.
func StandSubject(machine string) string { return fmt.Sprintf("lockstep.%s.stand", machine) }

// EntrySubject is where one replica serves entries of its journal to others.
func EntrySubject(machine string, r audit.ReplicaID) string {
	return fmt.Sprintf("lockstep.%s.entry.%s", machine, r)
}

// StandAsk tells where a replica stands. With a subject to reply to it asks the others to state
// the same. If By has stopped for an epoch, with a signature, the others are to stop for it too.
type StandAsk struct {
	_      struct{} `cbor:",toarray"`
	By     audit.Stand
	Points []ordering.Seq // at most audit.MaxPoints
}

// StandAskFormat is the encoding of a StandAsk.
const StandAskFormat canonical.Format = "LSF1"

// EntriesAsk asks for entries of a journal.
type EntriesAsk struct {
	_    struct{} `cbor:",toarray"`
	From ordering.Seq
	Most uint64 // entries
}

// Entries are what a journal has from a seq on, as much as fits; none if it does not have the first.
type Entries struct {
	_    struct{} `cbor:",toarray"`
	List []KeptEntry
}

// KeptEntry is an ordering.Entry.
type KeptEntry struct {
	_     struct{} `cbor:",toarray"`
	Epoch ordering.Epoch
	Seq   ordering.Seq
	Time  ordering.Time
	Data  []byte
}

// Entry is the same as a reader gets it.
func (k KeptEntry) Entry() ordering.Entry {
	return ordering.Entry{Epoch: k.Epoch, Seq: k.Seq, Time: k.Time, Data: k.Data}
}

// Kept is an entry as a journal gives it to others.
func Kept(e ordering.Entry) KeptEntry {
	return KeptEntry{Epoch: e.Epoch, Seq: e.Seq, Time: e.Time, Data: e.Data}
}

// Formats of the asking for entries and its answer.
const (
	EntriesAskFormat canonical.Format = "LSx1"
	EntriesFormat    canonical.Format = "LSz1"
)
