package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

const (
	// standGrace is how long all voters are waited for, once a majority has stopped: with more
	// statements fewer entries are given up that only some have read.
	standGrace = time.Second
	// renewTurn is between one replica's turn to make the next log and the next one's.
	renewTurn = time.Second
	// renewPatience bounds one step.
	renewPatience = 15 * time.Second
	// maxRounds bounds the questions for positions of one decision.
	maxRounds = 64
	// Bounds of what is put into a new log from the epochs before.
	maxSeeds     = 2048
	maxSeedBytes = 32 << 20
)

// renew drives a replica that stopped one step towards the next epoch: it enters it where its log is
// there, and makes it where statements leave one position to go on from and this replica is there.
func (r *Replica) renew() error {
	if r.phase != host.PhaseBroken {
		return nil
	}
	if !r.promise.stopped() {
		return r.heal(time.Now())
	}
	if r.machine.Members().Voters() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, renewPatience)
	defer cancel()
	entered, err := r.tryEnter(ctx)
	if err == nil && !entered {
		if err = r.found(ctx); err == nil {
			_, err = r.tryEnter(ctx)
		}
	}
	var broken *promiseError
	if err != nil && !errors.As(err, &broken) {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		r.hinder(err.Error())
		return nil
	}
	return err
}

// promiseError is one after which the replica cannot know what it promised.
type promiseError struct{ error }

// found makes the log of the next epoch, if it is this replica's turn, and others are not in that already: their servers
// and this replica's may not have found together yet.
func (r *Replica) found(ctx context.Context) error {
	if r.promise.Left {
		r.hinder(wentOn + ", and their log is not here yet")
		return nil
	}
	base, stands, err := r.decide(ctx)
	if err != nil || stands == nil {
		return err
	}
	if next := r.leftAt(); next > r.promise.Epoch {
		return r.leave(next, r.promise.Reason)
	}
	if id := r.inside(time.Now()); id != "" {
		r.hinder(fmt.Sprintf("replica %s is in that epoch, whose log is not here yet", id))
		return nil
	}
	opening := epochs.Opening{Machine: string(r.name), Epoch: r.promise.Next, Base: base, Stands: stands}
	return r.seed(ctx, opening, r.lowest(stands))
}

// decide gathers statements until they decide. It returns none where that is another one's turn or
// they do not.
func (r *Replica) decide(ctx context.Context) (base ordering.Position, stands []audit.Stand, err error) {
	panel := r.machine.Members()
	var points []ordering.Seq
	for range maxRounds {
		all, err := r.askStands(ctx, points)
		if err != nil {
			return base, nil, err
		}
		stands = stands[:0]
		for _, s := range all {
			if s.Replica != r.id {
				r.hear(s) // see raise, inside
			}
			if s.Next == r.promise.Next {
				stands = append(stands, s)
			}
		}
		v := epochs.Decide(string(r.name), stands, panel, r.promise.Next)
		switch {
		case v.Missing > 0:
			r.hinder(fmt.Sprintf("statements of %d more voters are needed", v.Missing))
			return base, nil, nil
		case len(v.Split) > 0:
			r.hinder(fmt.Sprintf("more than one way on may have been accepted, %v: statements of more voters have to tell", v.Split))
			return base, nil, nil
		case v.Decided && r.turn(v.Base, stands):
			return v.Base, stands, nil
		case v.Decided:
			return base, nil, nil
		}
		if len(points)+len(v.Ask) > audit.MaxPoints || contains(points, v.Ask) {
			r.hinder(fmt.Sprintf("positions at %v cannot be compared", v.Ask))
			return base, nil, nil
		}
		points = append(points, v.Ask...)
		slices.Sort(points)
	}
	return base, nil, nil
}

// inside is a voter that said just now that it is in the epoch for which this replica has stopped, or in a later one, and that does
// not complain of its log. Where replicas may lie one's word is nothing.
func (r *Replica) inside(now time.Time) audit.ReplicaID {
	panel := r.machine.Members()
	for _, h := range r.lastHeard() {
		s := &h.Stand
		_, voter := panel.Voter(s.Replica)
		if voter && panel.Mode != audit.Signed && s.Last.Epoch >= r.promise.Next && s.Reason == "" && now.Sub(h.At) <= standFresh {
			return s.Replica
		}
	}
	return ""
}

func contains(points, asked []ordering.Seq) bool {
	return slices.ContainsFunc(asked, func(s ordering.Seq) bool { return slices.Contains(points, s) })
}

// hinder says, once for each reason, why there is no next epoch yet.
func (r *Replica) hinder(reason string) {
	if r.hindrance == reason {
		return
	}
	r.hindrance = reason
	r.hindered.Store(&reason)
	r.logger.Warn("no next epoch yet", "epoch", uint64(r.promise.Next), "reason", reason)
	r.emit(Event{Kind: EventHindered, Epoch: r.promise.Next, Err: errors.New(reason)})
}

// turn tells whether it is for this replica to make the next log: it has to be at its base, all voters
// have spoken or had time to, and those before it in the order of names had theirs.
func (r *Replica) turn(base ordering.Position, stands []audit.Stand) bool {
	wait := time.Duration(0)
	if len(stands) < r.machine.Members().Voters() {
		wait = standGrace
	}
	there := false
	for _, s := range stands {
		if s.Last == base && s.Replica < r.id {
			wait += renewTurn
		}
		there = there || s.Last == base && s.Replica == r.id
	}
	return there && time.Since(r.halted) >= wait
}

// lowest is the seq of the first entry that one of those that stated something lacks.
func (r *Replica) lowest(stands []audit.Stand) ordering.Seq {
	low := stands[0].Last.Seq
	for _, s := range stands {
		low = min(low, s.Last.Seq)
	}
	return low + 1
}

// seedsFrom is the first of the entries up to last that are put into a new log: not below from, and so
// many as the bounds allow. Who lacks earlier ones has them from others' journals, or a state.
func (r *Replica) seedsFrom(from, last ordering.Seq) (ordering.Seq, error) {
	if last >= maxSeeds {
		from = max(from, last-maxSeeds+1)
	}
	bytes := 0
	for seq := last; seq >= from && seq > 0; seq-- {
		e, err := r.journal.Read(seq, 1, 0)
		if err != nil {
			return 0, err
		}
		if bytes += len(e[0].Data); bytes > maxSeedBytes {
			return seq + 1, nil
		}
	}
	return from, nil
}

// seed makes the log with the entries from a seq on up to the opening's base, as far as that is
// not too much, and the opening after them.
func (r *Replica) seed(ctx context.Context, o epochs.Opening, from ordering.Seq) error {
	last := o.Base.Seq
	from, err := r.seedsFrom(max(from, r.journal.First()), last)
	if err != nil {
		return err
	}
	least := 0
	if len(o.Recovery) > 0 {
		least = 1 // servers may be lost for ever, as voters are
	}
	f, err := r.node.opts.Found(ctx, r.name, o.Epoch, min(from, last+1), least)
	if err != nil {
		return err
	}
	state, err := f.State(ctx)
	if err != nil {
		return err
	}
	r.logger.Info("making the log of the next epoch", "epoch", uint64(o.Epoch), "after", o.Base.String(), "entries", uint64(last+1-min(state.First, last+1)))
	for seq := max(state.Last+1, state.First); seq <= last; seq++ {
		e, err := r.journal.Read(seq, 1, 0)
		if err != nil {
			return err
		}
		if err := f.Seed(ctx, e[0]); err != nil {
			return ignoreTaken(err)
		}
	}
	err = f.Seed(ctx, ordering.Entry{Epoch: o.Epoch, Seq: last + 1, Data: epochs.OpeningFormat.Encode(o)})
	return ignoreTaken(err)
}

// ignoreTaken leaves it to what another put there.
func ignoreTaken(err error) error {
	if errors.Is(err, ordering.ErrTaken) {
		return nil
	}
	return err
}
