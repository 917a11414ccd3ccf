package node

import (
	"errors"
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// A log of the next epoch that begins with a proof is entered. One whose beginning is gone, or proves nothing by the membership
// that a replica knows which has not come so far, may be the right one, or have lost its beginning, or be a liar's that
// was faster than those who go on: nothing is given up for it before a majority is there.

// judgePatience is how long others are waited for to be in an epoch whose log this replica cannot judge.
const judgePatience = 30 * time.Second

// errUnjudged says that the replica cannot tell whether a log is the next epoch's.
var errUnjudged = errors.New("a log of the next epoch cannot be judged here, and no majority of the voters says that it is in that epoch")

// believe checks an opening before anything is given up for it. Where the machine has not come to
// its base, the membership there may be another one. Then a majority that is there proves it; without, where replicas do not lie, it is
// gone to if that takes nothing but more entries, and checked there.
func (r *Replica) believe(o *epochs.Opening) (proved bool, err error) {
	panel := r.machine.Members()
	err = o.Verify(panel)
	switch {
	case err == nil:
		return true, nil
	case r.machine.Seq() >= o.Base.Seq:
		return false, fmt.Errorf("%w: %w", epochs.ErrNoOpening, err)
	case r.followed(o.Epoch):
		return true, nil
	case panel.Mode == audit.Signed:
		return false, errUnjudged
	}
	return false, nil
}

// followed tells whether a majority of the voters, as far as this replica can learn who they are, is in an epoch or in a later one.
func (r *Replica) followed(epoch ordering.Epoch) bool {
	panel := r.machine.Members()
	infos, err := r.askAll(panel)
	if err != nil {
		return false
	}
	if learned, _, ok := host.Learn(infos, panel); ok {
		panel = learned
	}
	n := 0
	for _, in := range protocol.OfVoters(infos, panel) {
		if in.Epoch >= epoch {
			n++
		}
	}
	return n >= panel.Majority()
}

// unjudged has the replica wait for a majority to be in the epoch, but not for ever, since none may ever be.
func (r *Replica) unjudged(next ordering.Epoch) error {
	since := r.halted
	if r.raised.After(since) {
		since = r.raised
	}
	if !r.promise.Left && time.Since(since) > judgePatience {
		r.logger.Error("log of the next epoch is left behind", "epoch", uint64(next), "err", errUnjudged)
		return r.halt(next+1, r.promise.Reason)
	}
	return errUnjudged
}
