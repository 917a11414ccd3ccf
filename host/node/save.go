package node

import (
	"errors"
	"time"

	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/snapshot/store"
)

// save writes a checkpoint and drops the ones that are too many.
func (r *Replica) save(job saveJob) error {
	defer job.checkpoint.Memory.Release()
	// A checkpoint is not ahead of the journal: what is behind it can be proved then.
	for seq := job.record.Seq; r.journal.Durable().Seq < seq; {
		if r.journal.Last().Seq < seq || !r.sleep(time.Millisecond) {
			return errors.Join(errors.New("its entries were given up"), r.ctx.Err())
		}
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	err := r.node.store.Save(r.ctx, job.checkpoint)
	r.leaveRotten(err)
	if err != nil {
		return err
	}
	return r.node.store.Expire(string(r.name), r.retention())
}

// retention is which checkpoints this replica keeps.
func (r *Replica) retention() store.Retention {
	return store.Retention{Newest: r.node.opts.Keep, Agreed: ordering.Seq(r.cutTo.Load())}
}

// leaveRotten has the store made anew where an error shows that a part of it
// went bad, so that no checkpoint builds on that.
func (r *Replica) leaveRotten(err error) {
	var corrupt *store.CorruptError
	if !errors.As(err, &corrupt) {
		return
	}
	lost, err := r.node.store.Rebuild(r.ctx)
	if err != nil {
		r.logger.Error("rebuild checkpoint store", "err", err)
	}
	for _, man := range lost {
		r.logger.Error("checkpoint is lost", "of", man.Machine, "seq", uint64(man.Seq), "err", corrupt)
	}
}

// retry is when a replica whose checkpoint could not be saved asks for another.
type retry struct {
	at    time.Time // zero: nothing to do
	pause time.Duration
}

// The pauses between tries to save a checkpoint.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// unsaved plans another checkpoint. It is an ordered one, since only one that
// all replicas have at one seq lets the log be cut.
func (r *Replica) unsaved(err error) {
	r.retry.pause = min(max(2*r.retry.pause, firstRetry), lastRetry)
	r.retry.at = time.Now().Add(r.retry.pause)
	r.emit(Event{Kind: EventUnsaved, Err: err})
}

// resave asks for the checkpoint that is due after one could not be saved, once
// there is room for it.
func (r *Replica) resave() {
	if r.retry.at.IsZero() || time.Now().Before(r.retry.at) {
		return
	}
	// Until one is saved: an ask may be lost, and the disk may fill again.
	r.retry.pause = min(2*r.retry.pause, lastRetry)
	r.retry.at = time.Now().Add(r.retry.pause)
	if r.node.store.Room() == nil {
		r.askCheckpoint()
	}
}

// releaseSaves ends the reading of checkpoints that nobody will write any more.
func (r *Replica) releaseSaves() {
	for {
		select {
		case job := <-r.saves:
			job.checkpoint.Memory.Release()
		default:
			return
		}
	}
}

// restoreStored patches the machine with the pages in which it differs from a
// checkpoint that is stored here.
func (r *Replica) restoreStored(man snapshot.Manifest) error {
	return r.node.store.Restore(man, r.machine.Tree().View(), func(pages []snapshot.Page) error {
		return r.machine.Patch(snapshot.Delta{Size: man.Size, Pages: pages})
	})
}
