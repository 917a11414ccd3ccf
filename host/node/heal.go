package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

const (
	healEvery = time.Second
	// healGrace is how much longer than the log takes to be sure of a break the others have to find the same one.
	healGrace = 3 * time.Second
)

// heal has a replica that alone cannot follow the log go on in its epoch: from what a majority of the voters, without
// it, has in its journals. What this replica has beyond, or otherwise, was never accepted: a majority would have it.
func (r *Replica) heal(now time.Time) error {
	if now.Sub(r.doubted) < r.node.opts.ConfirmBreak+healGrace || now.Sub(r.tried) < healEvery {
		return nil
	}
	r.tried = now
	ctx, cancel := context.WithTimeout(r.ctx, renewPatience)
	defer cancel()
	err := r.tryHeal(ctx)
	if errors.Is(err, errNoCommon) {
		if next := r.leftAt(); next > r.promise.Epoch {
			return r.leave(next, r.promised.Load().Reason)
		}
	}
	if err != nil && r.ctx.Err() == nil && !breaks(err) {
		r.logger.Info("no way back into the log yet", "err", err)
		return nil
	}
	return err
}

// errNoCommon says that no majority of the others can say what is right; it passes.
var errNoCommon = errors.New("no majority of the other voters follows the log and states what it has")

func (r *Replica) tryHeal(ctx context.Context) error {
	base, err := r.common(ctx)
	if err != nil {
		return err
	}
	log, err := r.node.opts.OpenLog(ctx, r.name, r.promise.Epoch)
	if errors.Is(err, ordering.ErrNotFound) {
		return errors.New("open log: " + err.Error()) // not wrapped: it is what is complained of
	}
	if err != nil {
		return err
	}
	had := r.journal.Last().Seq
	fence, fenced := r.journal.Fence()
	if fenced {
		had = fence.Seq
	}
	if have, err := r.journal.At(base.Seq); base.Seq > 0 && (err != nil || have != base || fenced) {
		r.logger.Warn("this replica was given another log than a majority; it takes theirs", "at", base.String())
		if fenced {
			err = r.journal.Rewind(r.journal.Durable())
		} else {
			err = nil
		}
		if err == nil {
			err = r.settle(ctx, base, nil, true)
		}
		if err != nil {
			return errors.Join(err, log.Close())
		}
		r.quietTo = max(r.quietTo, had) // it may have voted for what it had
	}
	r.follows()
	r.log.set(log)
	if err := r.resume(log); err != nil {
		return err
	}
	r.outbox.open(r.journal.Durable().Seq)
	r.phase = host.PhaseStarting
	r.logger.Warn("follows the log again", "epoch", uint64(r.promise.Epoch), "after", r.journal.Last().String())
	r.emit(Event{Kind: EventRejoined})
	return r.position()
}

// wentOn is why a replica stops that has learnt it before anything else.
const wentOn = "others went on without this replica"

// seek is leftAt, asked once in a while.
func (r *Replica) seek(now time.Time) ordering.Epoch {
	if now.Sub(r.sought) <= seekEvery {
		return 0
	}
	r.sought = now
	return r.leftAt()
}

// leftAt is the epoch of those who went on without this replica, if it is no voter any more: by the ordered membership, or
// by an operator's word, when those that it knew to vote will never be a majority again. Its promise counts for nobody there, and what
// it is to find there has to prove itself as ever. 0: there are none. Where an operator gave two words it goes to neither,
// since what it then says of the membership would count for that one: it waits for the epoch after both.
func (r *Replica) leftAt() ordering.Epoch {
	known := r.machine.Members()
	if known.Voters() == 0 {
		return 0
	}
	infos, err := r.askAll(known)
	if err != nil {
		return 0
	}
	panel, torn, ok := host.Learn(infos, known)
	if torn > 0 && torn <= r.promise.Epoch+maxAhead {
		r.logger.Error("an operator gave two words, and neither goes on from the other: this replica follows neither, and votes no more", "epoch", uint64(torn))
		return torn + 1
	}
	if _, voter := panel.Voter(r.id); !ok || voter {
		return 0
	}
	if epoch := protocol.EpochOf(protocol.OfVoters(infos, panel)); epoch <= r.promise.Epoch+maxAhead {
		return epoch
	}
	return 0
}

// askAll asks all replicas where they stand, and waits for the voters of a membership.
func (r *Replica) askAll(panel audit.Members) ([]host.Info, error) {
	return r.gather(leftPatience, func(infos []host.Info) bool { return len(protocol.OfVoters(infos, panel)) >= panel.Voters() })
}

// follows ends the doubt.
func (r *Replica) follows() {
	r.doubted, r.lonely = time.Time{}, time.Time{}
	p := r.promise
	r.promised.Store(&p)
}

// common is the newest position not beyond what this replica has, or had, that a majority of the voters states, all of
// them others. It is zero where there is nothing to compare.
func (r *Replica) common(ctx context.Context) (ordering.Position, error) {
	panel := r.machine.Members()
	if panel.Voters() == 0 {
		return ordering.Position{}, nil
	}
	stands, err := r.otherStands(ctx, nil)
	if err != nil {
		return ordering.Position{}, err
	}
	var lasts []ordering.Seq
	for i := range stands {
		lasts = append(lasts, stands[i].Last.Seq)
	}
	if len(lasts) < panel.Majority() {
		return ordering.Position{}, errNoCommon
	}
	slices.Sort(lasts)
	limit := r.journal.Durable().Seq
	if fence, fenced := r.journal.Fence(); fenced {
		limit = fence.Seq
	}
	at := min(limit, lasts[len(lasts)-panel.Majority()])
	if stands, err = r.otherStands(ctx, []ordering.Seq{at}); err != nil {
		return ordering.Position{}, err
	}
	var tally audit.Tally[ordering.Position]
	behind := 0 // have dropped what is up to there
	for i := range stands {
		if p, ok := stands[i].At(at); ok {
			_ = tally.Add(stands[i].Replica, p) // its first statement counts
		} else if stands[i].Floor.Seq > at {
			behind++
		}
	}
	p, ok := tally.Decided(panel.Majority())
	if !ok && behind == 0 {
		return p, errNoCommon
	}
	return p, nil
}

// otherStands asks the other voters where they stand, and returns the statements of those that follow the log of this
// replica's epoch.
func (r *Replica) otherStands(ctx context.Context, points []ordering.Seq) (stands []audit.Stand, err error) {
	asked := epochs.StandAsk{By: audit.Stand{Machine: string(r.name), Replica: r.id}, Points: points}
	return r.collectStands(ctx, asked, func(s *audit.Stand) bool { return s.Reason == "" && s.Last.Epoch <= r.promise.Epoch })
}
