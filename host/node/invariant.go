package node

import (
	"errors"

	"lockstep/host"
	"lockstep/ordering"
)

// Broken says that the guest's invariant does not hold, and since when.
type Broken struct {
	Since ordering.Seq // the audit that found it first
	Why   string
}

// checkInvariant asks for the guest's invariant at an audit, at the same seq as every other
// replica. One that does not hold is the guest's fault, and alike on all: it is told
// of, and changes nothing. It comes after the entry's votes.
func (r *Replica) checkInvariant(t *host.Transition) {
	why, log := r.machine.Invariant()
	was := r.broken.Load()
	switch {
	case why == "" && was == nil:
		return
	case why == "":
		r.broken.Store(nil)
		r.logger.Info("invariant holds again", "seq", uint64(t.Seq), "broken_since", uint64(was.Since))
	case was == nil:
		r.broken.Store(&Broken{t.Seq, why})
		r.logger.Error("invariant does not hold", "seq", uint64(t.Seq), "why", why, "log", string(log))
		r.emit(Event{Kind: EventInvariant, Epoch: t.Epoch, Seq: t.Seq, Err: errors.New(why)})
	default:
		r.broken.Store(&Broken{was.Since, why})
	}
}

// Broken is why the guest's invariant did not hold at the last audit, nil if it did.
func (r *Replica) Broken() *Broken { return r.broken.Load() }
