package node

import (
	"context"
	"errors"
	"fmt"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// settle brings the journal to the base of an epoch, and the machine to a state on the way there. What
// was read beyond it or on another way was never accepted, and is given up: checkpoints first, so
// that no start can take one of them. For a base that is not proved nothing is given up.
func (r *Replica) settle(ctx context.Context, base ordering.Position, seeds []ordering.Entry, proved bool) error {
	from, missing, err := r.way(ctx, base, seeds)
	if err != nil {
		return err
	}
	if !proved && from != r.journal.Last() {
		return errUnjudged
	}
	on := func(p ordering.Position) bool { return p.Seq < from.Seq && r.onWay(p) || p == from }
	if err := r.discard(on); err != nil {
		return err
	}
	if r.journal.Last() != from {
		give := r.resetTo
		if at, err := r.journal.At(from.Seq); err == nil && at == from {
			give = r.journal.Rewind
		}
		if err := give(from); err != nil {
			return err
		}
	}
	if !on(r.machine.Position()) {
		if err := r.stepBack(); err != nil {
			return err
		}
	}
	if err := r.append(missing); err != nil {
		return err
	}
	return r.durable(ctx, base.Seq)
}

// resetTo empties the journal. What it once had is given up too: an epoch's proof is above it.
func (r *Replica) resetTo(p ordering.Position) error {
	if err := r.journal.Reset(p); err != nil {
		return err
	}
	return r.journal.Rewind(p)
}

// way finds the newest position of this replica's that is on the way to the base, and the entries from
// there to it.
func (r *Replica) way(ctx context.Context, base ordering.Position, seeds []ordering.Entry) (from ordering.Position, missing []ordering.Entry, err error) {
	if at, err := r.journal.At(base.Seq); err == nil && at == base {
		return base, nil, nil
	}
	starts := []ordering.Position{r.journal.Durable()}
	for i := len(r.stored) - 1; i >= 0; i-- {
		s := r.stored[i]
		starts = append(starts, ordering.Position{Epoch: s.Epoch, Seq: s.Seq, Chain: s.Chain})
	}
	starts = append(starts, r.journal.Base())
	for _, start := range starts {
		if start.Seq > base.Seq {
			continue
		}
		if missing = between(start, base, seeds); missing == nil {
			missing, err = r.path(ctx, start, base)
		}
		if missing != nil || start == base {
			return start, missing, nil
		}
	}
	return from, nil, errors.Join(err, fmt.Errorf("nothing here leads to %v", base))
}

// between returns the seeds after one position up to another, if they lead there.
func between(from, to ordering.Position, seeds []ordering.Entry) []ordering.Entry {
	if end, out := along(from, to, seeds); end == to {
		return out
	}
	return nil
}

// onWay tells whether the journal has a position.
func (r *Replica) onWay(p ordering.Position) bool {
	at, err := r.journal.At(p.Seq)
	return err == nil && at == p || p.Seq < r.journal.Base().Seq
}

// discard drops the checkpoints that are on no way that counts.
func (r *Replica) discard(on func(ordering.Position) bool) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.releaseSaves()
	for len(r.saved) > 0 {
		r.keep(<-r.saved)
	}
	var kept []host.Stored
	for _, s := range r.stored {
		if on(ordering.Position{Epoch: s.Epoch, Seq: s.Seq, Chain: s.Chain}) {
			kept = append(kept, s)
		}
	}
	r.stored = kept
	return r.node.store.Discard(string(r.name), func(man snapshot.Manifest) bool {
		return on(ordering.Position{Epoch: man.Epoch, Seq: man.Seq, Chain: man.Chain})
	})
}

// stepBack puts the machine at the newest checkpoint that is left, or before the first entry. The
// journal has what follows.
func (r *Replica) stepBack() error {
	before := r.machine.Position()
	stored := r.stored
	r.machine.Close()
	r.machine = r.newMachine()
	if err := r.restore(); err != nil {
		return err
	}
	if len(stored) > 0 {
		r.stored = stored
	}
	at := r.machine.Position()
	r.logger.Warn("entries that were not accepted are undone", "from", before.String(), "to", at.String())
	if have, err := r.journal.At(at.Seq); err != nil || have != at {
		return r.journal.ResetFenced(at) // others have a state
	}
	return nil
}

// append puts entries into the journal.
func (r *Replica) append(entries []ordering.Entry) error {
	at := r.journal.Last()
	for _, e := range entries {
		at = at.Next(e)
		if err := r.journal.Append(e, at); err != nil {
			return fmt.Errorf("keep entry: %w", err)
		}
	}
	return nil
}

// durable waits until the journal has everything up to a seq on disk.
func (r *Replica) durable(ctx context.Context, seq ordering.Seq) error {
	for r.journal.Durable().Seq < seq {
		select {
		case <-r.room:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), r.journal.Err())
		}
	}
	return nil
}
