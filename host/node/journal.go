package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/journal"
)

// openJournal opens the replica's own entry log and makes it and the restored machine
// one: what the machine has applied, the journal has, or is not before.
func (r *Replica) openJournal() error {
	j, err := journal.Open(r.node.path("machines", string(r.name), "journal"), journal.Options{OnSync: r.synced, OnCommit: r.meter.Synced})
	if err != nil {
		return err
	}
	r.journal = j
	r.outbox.release(j.Durable().Seq)
	at := r.machine.Position()
	have, err := j.At(at.Seq)
	r.quietTo = j.Last().Seq // answered before, if at all
	if fence, fenced := j.Fence(); fenced {
		r.logger.Error("journal was damaged; entries are fetched again", "after", j.Last().String(), "had", fence.String())
		r.quietTo = fence.Seq
	}
	switch {
	case err == nil && have == at:
		return nil
	case j.Last().Seq <= at.Seq:
		return j.Reset(at) // the checkpoint was faster
	}
	// The journal is ahead of the machine, with a gap between or on another chain, as after
	// a state was transferred and not stored. What it has may have been voted for.
	r.logger.Warn("journal does not go on from the checkpoint", "checkpoint", at.String(), "journal", j.Last().String())
	return j.ResetFenced(at)
}

// journalAt makes the journal go on after a state that was transferred.
func (r *Replica) journalAt(at ordering.Position) error {
	if have, err := r.journal.At(at.Seq); err == nil && have == at {
		return nil
	}
	r.reader.end()
	if err := r.journal.Reset(at); err != nil {
		return err
	}
	r.outbox.release(at.Seq)
	return nil
}

// synced is told by the journal how far it is durable.
func (r *Replica) synced(durable ordering.Position, err error) {
	if err != nil {
		r.stalled(err)
		return
	}
	if r.stall.Swap(nil) != nil {
		r.logger.Info("journal can be written to again", "seq", uint64(durable.Seq))
	}
	r.outbox.release(durable.Seq)
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// stalled notes, once, that votes wait because the journal cannot be written to.
func (r *Replica) stalled(err error) {
	if r.stall.Swap(&err) != nil {
		return
	}
	r.logger.Error("journal cannot be written to: votes wait until it can", "err", err)
	r.node.opts.OnEvent(Event{Kind: EventStalled, Machine: r.name, Replica: r.id, Err: err})
}

// Stalled is why the replica's votes wait, nil if they do not.
func (r *Replica) Stalled() error {
	if err := r.stall.Load(); err != nil {
		return *err
	}
	return nil
}

// outbox holds back what states something about an entry until the journal has the entry on
// disk.
type outbox struct {
	send  func(subject string, data []byte)
	bound func(durable ordering.Seq, closed bool) // told before anything is sent; may be nil

	mu      sync.Mutex
	durable ordering.Seq
	waiting []statement // ascending by seq
	closed  bool
}

type statement struct {
	seq     ordering.Seq
	subject string
	data    []byte
}

// put sends a statement about the entry at seq as soon as it may be sent.
func (o *outbox) put(seq ordering.Seq, subject string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
	case seq <= o.durable:
		o.send(subject, data)
	default:
		o.waiting = append(o.waiting, statement{seq, subject, data})
	}
}

// release sends what waited for the entries up to durable.
func (o *outbox) release(durable ordering.Seq) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.durable = durable
	o.told()
	n := 0
	for n < len(o.waiting) && o.waiting[n].seq <= durable {
		o.send(o.waiting[n].subject, o.waiting[n].data)
		n++
	}
	if o.waiting = o.waiting[n:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
}

// shut drops what waits and lets nothing more out, until open.
func (o *outbox) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.waiting = true, nil
	o.told()
}

// open lets statements out again.
func (o *outbox) open(durable ordering.Seq) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.durable = false, durable
	o.told()
}

// told passes on how far statements may go. The caller holds mu.
func (o *outbox) told() {
	if o.bound != nil {
		o.bound(o.durable, o.closed)
	}
}

// Bounds of one read of the journal.
const (
	journalEntries = 256
	journalBytes   = 4 << 20
)

// next reads the entries from a seq on: from the journal what it has, and from the log what comes
// then, which goes into the journal.
func (r *Replica) next(ctx context.Context, from ordering.Seq) ([]ordering.Entry, error) {
	if from <= r.journal.Last().Seq {
		return r.recall(ctx, from)
	}
	for r.journal.Full() {
		select {
		case <-r.room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	entries, err := r.log.get().Read(ctx, from)
	var broken *ordering.BreakError
	if errors.As(err, &broken) && broken.Hole {
		return r.patch(ctx, broken)
	}
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if err := r.append(entries); err != nil {
		if !errors.Is(err, journal.ErrClosed) {
			err = &ordering.BreakError{Epoch: entries[0].Epoch, Seq: entries[0].Seq, Reason: err.Error()}
		}
		return nil, err
	}
	return entries, nil
}

// recall reads from the journal. What is queued there is waited for.
func (r *Replica) recall(ctx context.Context, from ordering.Seq) ([]ordering.Entry, error) {
	for {
		entries, err := r.journal.Read(from, journalEntries, journalBytes)
		if !errors.Is(err, journal.ErrNotHere) || from <= r.journal.Durable().Seq {
			return entries, err
		}
		select {
		case <-r.room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// forget drops from the journal what is behind the checkpoints of a majority and of this
// replica, the oldest included: a replica that has to step back starts there.
func (r *Replica) forget(to ordering.Seq) {
	if len(r.stored) == 0 {
		return
	}
	if err := r.journal.Drop(min(to, r.stored[0].Seq)); err != nil {
		r.logger.Warn("drop entries from the journal", "err", err)
	}
}

// errGap says that the journal does not go on from the machine's state.
var errGap = errors.New("journal does not go on from the state")

// walk has the machine go on by what the journal has, up to a seq, an entry at a time.
func (r *Replica) walk(end ordering.Seq, apply func(*host.Parsed) error) error {
	for r.machine.Seq() < end {
		entries, err := r.journal.Read(r.machine.Seq()+1, 1, 0)
		if err != nil {
			return fmt.Errorf("%w: %w", errGap, err)
		}
		if err := apply(r.parse(entries)[0]); err != nil {
			return fmt.Errorf("apply journal: %w", err)
		}
	}
	return nil
}

// carry applies an entry and does what follows from it.
func (r *Replica) carry(e *host.Parsed) error {
	t, err := r.apply(e)
	if err != nil {
		return err
	}
	r.carryOut(t)
	return nil
}
