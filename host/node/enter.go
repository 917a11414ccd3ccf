package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// openPatience is how long the next epoch's log is waited for at a time, while servers that elect say nothing: the loop is to
// hear what others ask.
const openPatience = 2 * time.Second

// tryEnter enters the next epoch if its log is there and opens with a proof. A log that does not
// is left behind: the replica then waits for the epoch after it.
func (r *Replica) tryEnter(ctx context.Context) (bool, error) {
	next := r.promise.Next
	try, cancel := context.WithTimeout(ctx, openPatience)
	log, err := r.node.opts.OpenLog(try, r.name, next)
	cancel()
	if errors.Is(err, ordering.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open log of epoch %d: %w", next, err)
	}
	switch err := r.prove(ctx, log, next); {
	case errors.Is(err, errNotOpened):
		return false, log.Close()
	case errors.Is(err, errUnjudged):
		return false, errors.Join(r.unjudged(next), log.Close())
	case errors.Is(err, epochs.ErrNoOpening):
		r.logger.Error("log of the next epoch proves nothing", "epoch", uint64(next), "err", err)
		return false, errors.Join(log.Close(), r.halt(next+1, r.promise.Reason))
	case err != nil:
		return false, errors.Join(err, log.Close())
	}
	return true, r.enter(log, next)
}

// prove has the journal go on into an epoch, by the proof that its log opens with, or where that was cut, by what a majority
// says. Nothing is given up before.
func (r *Replica) prove(ctx context.Context, log ordering.Log, epoch ordering.Epoch) error {
	state, err := log.State(ctx)
	if err != nil {
		return err
	}
	o, opening, seeds, err := readOpening(ctx, log, state)
	if err != nil {
		return err
	}
	if o == nil {
		return r.startOver(state)
	}
	proved, err := r.believe(o)
	if err != nil {
		return err
	}
	if err := r.settle(ctx, o.Base, seeds, proved); err != nil {
		return fmt.Errorf("go to %v: %w", o.Base, err)
	}
	there, err := r.check(o)
	if err != nil {
		return err
	}
	// Whoever made the log may have stopped before it let clients in.
	f, err := r.node.opts.Found(ctx, r.name, epoch, opening.Seq, 0)
	if err == nil {
		err = f.Open(ctx)
	}
	if err != nil || !there {
		return err
	}
	// Whatever else the log shows there later is a break. With this the replica has entered: see loadPromise.
	if err := r.append([]ordering.Entry{opening}); err != nil {
		return err
	}
	return r.durable(ctx, opening.Seq)
}

// check has a replica that was behind come to where an opening can be checked, and checks it. It is not there where that takes a state of
// others.
func (r *Replica) check(o *epochs.Opening) (there bool, err error) {
	if err := r.walk(o.Base.Seq, r.carry); errors.Is(err, errGap) {
		r.logger.Debug("apply what came before the epoch", "err", err)
		return false, nil
	} else if err != nil {
		return false, err
	}
	if r.machine.Position() == o.Base {
		_, err = r.believe(o)
	}
	return true, err
}

// startOver gives up all that this replica has, where its journal overlaps with a log that does
// not show any more whether it is on its way: a majority that is in the epoch has a state. Without, the log may have lost its
// beginning, or be a liar's.
func (r *Replica) startOver(state ordering.State) error {
	if !r.followed(state.Epoch) {
		return errUnjudged
	}
	if state.First > max(r.journal.Last().Seq, r.machine.Seq()) {
		return nil
	}
	r.replay()
	nothing := func(ordering.Position) bool { return false }
	if err := r.discard(nothing); err != nil {
		return err
	}
	if err := r.resetTo(ordering.Position{}); err != nil {
		return err
	}
	r.partial = true // of its memory the pages that are alike need not be brought
	return nil
}

// replay has the memory be what the journal leads to, as far as it does here, so that a transfer brings what differs from
// that. Nobody is told of what comes of it.
func (r *Replica) replay() {
	err := r.walk(r.journal.Durable().Seq, func(e *host.Parsed) error {
		t, err := r.machine.ApplyParsed(e)
		if err == nil && t.Checkpoint != nil {
			t.Checkpoint.Memory.Release()
		}
		return err
	})
	if err != nil {
		r.logger.Debug("journal is not replayed to its end", "err", err)
	}
}

// enter makes the replica be in an epoch.
func (r *Replica) enter(log ordering.Log, epoch ordering.Epoch) error {
	if err := r.savePromise(promise{Epoch: epoch, Next: epoch}); err != nil {
		return &promiseError{errors.Join(err, log.Close())}
	}
	r.promised.Store(&promise{Epoch: epoch, Next: epoch})
	r.log.set(log)
	if err := r.resume(log); err != nil {
		return &promiseError{err}
	}
	r.logger.Info("entered epoch", "epoch", uint64(epoch), "after", r.journal.Last().String())
	r.halted, r.lonely, r.hindrance, r.entered = time.Time{}, time.Time{}, "", time.Now()
	r.hindered.Store(nil)
	// What was read in epochs before is not voted for any more.
	r.quietTo = r.journal.Last().Seq
	if !r.partial {
		r.quietTo = max(r.quietTo, r.machine.Seq())
	}
	r.outbox.open(r.journal.Durable().Seq)
	r.phase = host.PhaseStarting
	r.emit(Event{Kind: EventEpoch, Epoch: epoch, Seq: r.journal.Last().Seq})
	quiet := r.quietTo
	err := r.position()
	if r.machine.Epoch() < epoch {
		r.quietTo = quiet // nobody has voted for what is in the log beyond
	}
	return err
}

// errNotOpened says that the log of an epoch does not have its opening yet.
var errNotOpened = errors.New("epoch is not open yet")

// readOpening reads a log up to its epoch's first entry, which is to prove the epoch, and the entries of
// epochs before. It returns no opening where a log that clients may append to begins with something else: then the proof is behind a checkpoint
// already, or there never was one.
func readOpening(ctx context.Context, log ordering.Log, state ordering.State) (o *epochs.Opening, opening ordering.Entry, seeds []ordering.Entry, err error) {
	for next := state.First; next <= state.Last; {
		entries, err := log.Read(ctx, next)
		if errors.Is(err, ordering.ErrTruncated) {
			return nil, opening, nil, nil
		}
		if err != nil {
			return nil, opening, nil, err
		}
		for _, e := range entries {
			if e.Epoch < state.Epoch {
				seeds = append(seeds, e)
				continue
			}
			o = new(epochs.Opening)
			switch err := epochs.OpeningFormat.Decode(e.Data, o); {
			case err != nil && len(seeds) == 0 && e.Seq == state.First && e.Seq > 1 && !state.Founding:
				return nil, opening, nil, nil
			case err != nil:
				return nil, opening, nil, fmt.Errorf("%w: %w", epochs.ErrNoOpening, err)
			case o.Epoch != state.Epoch || o.Base.Seq+1 != e.Seq:
				return nil, opening, nil, fmt.Errorf("%w: it is of epoch %d after %v, and stands at %d/%d", epochs.ErrNoOpening, o.Epoch, o.Base, e.Epoch, e.Seq)
			}
			return o, e, seeds, nil
		}
		next = entries[len(entries)-1].Seq + 1
	}
	return nil, opening, nil, errNotOpened
}

// disown gives up an entry in the journal that was to open an epoch and proves nothing: nobody who means well has applied it, nor what comes after.
func (r *Replica) disown(why error) error {
	r.reader.end()
	r.reader = nil
	if err := r.journal.Rewind(r.machine.Position()); err != nil {
		return err
	}
	return r.doubt(why.Error())
}
