package node

import (
	"lockstep/host"
	"lockstep/ordering"
)

// fill is how much of the log came after the newest checkpoint. A log that fills up with few large entries is full long
// before the checkpoint that is due by their number, and then has no room for a CHECKPOINT: so one is made whenever a share of
// the log's bound has come. All replicas count alike from the checkpoint before, and so make it after the same entry.
type fill struct {
	bound uint64       // of the log in bytes; 0: none
	last  ordering.Seq // that was counted
	bytes uint64
}

const (
	// fillShare is the part of a log that may come between two checkpoints: while one is stored by
	// a majority, there is room for three more.
	fillShare = 4
	// fillEntry is what an entry takes besides its data.
	fillEntry = 256
)

// add counts an entry and tells whether a checkpoint is due after it.
func (f *fill) add(e *ordering.Entry) bool {
	if e.Seq != f.last+1 {
		f.bytes = 0 // the machine is somewhere else, which is at a checkpoint
	}
	f.last = e.Seq
	f.bytes += uint64(len(e.Data)) + fillEntry
	return f.bound > 0 && f.bytes >= f.bound/fillShare
}

// checkpointed starts anew.
func (f *fill) checkpointed() { f.bytes = 0 }

// relieve makes a checkpoint after an entry if the log fills up otherwise.
func (r *Replica) relieve(e *ordering.Entry, t *host.Transition) {
	due := r.fill.add(e)
	if _, deployed := r.machine.Module(); due && deployed && t.Checkpoint == nil {
		t.Checkpoint = r.machine.Checkpoint()
		t.Audited = &host.Audited{Members: r.machine.Members().Seq, Root: r.machine.Root()}
	}
	if t.Checkpoint != nil {
		r.fill.checkpointed()
	}
}
