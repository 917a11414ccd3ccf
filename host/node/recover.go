package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// A majority of voters that is gone for ever, or statements that leave more than one way on, end
// a machine's service until an operator says where it goes on. The replica that he chose goes
// ahead: those that go on stop, it signs a recovery, and makes the next epoch's log from its own
// journal. The others come to the epoch as to any other.

// Standing is where a replica stands, for an operator.
type Standing struct {
	Stand     []audit.Stand // one; none while its journal has lost what it once had
	Heard     []Heard       // what others said last, ascending by replica
	Hindrance string        // why there is no next epoch, where it has stopped
}

// Heard is the last statement of another voter, and when it came.
type Heard struct {
	Stand audit.Stand
	At    time.Time
}

// Errors of Recover that a caller branches on.
var (
	// ErrNotNeeded says that the replicas go on, or will, by themselves.
	ErrNotNeeded = errors.New("no recovery is needed")
	// ErrMoved says that the replica is no longer where the operator saw it.
	ErrMoved = errors.New("replica is not where it was")
)

// hear keeps what another voter said last.
func (r *Replica) hear(s audit.Stand) {
	r.heardMu.Lock()
	defer r.heardMu.Unlock()
	if r.heard == nil {
		r.heard = make(map[audit.ReplicaID]Heard)
	}
	r.heard[s.Replica] = Heard{s, time.Now()}
}

// lastHeard are the voters' last statements, ascending.
func (r *Replica) lastHeard() (list []Heard) {
	r.heardMu.Lock()
	defer r.heardMu.Unlock()
	for _, h := range r.heard {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Heard) int { return strings.Compare(string(a.Stand.Replica), string(b.Stand.Replica)) })
	return list
}

// Standing tells where the replica stands, with its positions at some seqs.
func (r *Replica) Standing(points []ordering.Seq) Standing {
	out := Standing{Heard: r.lastHeard()}
	if s, ok := r.state(points); ok {
		out.Stand = []audit.Stand{s}
	}
	if h := r.hindered.Load(); h != nil {
		out.Hindrance = *h
	}
	return out
}

// Order is what an operator has a replica do: to open the machine's next epoch after its last entry, with some voters alone.
type Order struct {
	Base   ordering.Position // where the operator saw the replica: it must have that still, and may have more
	Voters []audit.ReplicaID // ascending
	Reason string
	// Word is what the replica proposed, signed by the operator, where the machine has an operator's key; nil at first.
	Word *epochs.Recovery
}

// Recover carries out an operator's order. Where the machine has an operator's key and the order no word, the replica and those that
// are to go on only stop, and what it proposes is returned with epochs.ErrNoWord.
func (r *Replica) Recover(ctx context.Context, o Order) (epochs.Recovery, error) {
	type result struct {
		recovery epochs.Recovery
		err      error
	}
	done := make(chan result, 1)
	ask := func(r *Replica) {
		rec, err := r.recover(ctx, o)
		done <- result{rec, err}
	}
	select {
	case r.asks <- ask:
		res := <-done
		return res.recovery, res.err
	case <-ctx.Done():
		return epochs.Recovery{}, ctx.Err()
	case <-r.ctx.Done():
		return epochs.Recovery{}, errors.New("replica is stopped: its node's log says why")
	}
}

func (r *Replica) recover(ctx context.Context, o Order) (epochs.Recovery, error) {
	var none epochs.Recovery
	ctx, cancel := context.WithTimeout(ctx, 2*renewPatience)
	defer cancel()
	if at, err := r.journal.At(o.Base.Seq); err != nil || at != o.Base {
		return none, fmt.Errorf("%w: it was to have %v: %w", ErrMoved, o.Base, errors.Join(err, r.journal.Err()))
	}
	if err := r.needed(ctx); err != nil {
		return none, err
	}
	if err := r.stopFor(promise{Next: r.promise.Epoch + epochs.Leap, Reason: "an operator orders a recovery: " + o.Reason}); err != nil {
		return none, err
	}
	if err := r.applyJournal(); err != nil {
		return none, err
	}
	stands, err := r.stopped(ctx, o.Voters)
	if err != nil {
		return none, err
	}
	panel := r.machine.Members()
	if v := epochs.Decide(string(r.name), stands, panel, r.promise.Next); v.Decided {
		return none, fmt.Errorf("%w: statements of %d voters lead to %v: the replicas go on from there by themselves", ErrNotNeeded, len(stands), v.Base)
	}
	rec, err := r.word(o, stands)
	if err != nil {
		return none, err
	}
	opening := epochs.Opening{Machine: rec.Machine, Epoch: rec.Epoch, Base: rec.Base, Stands: stands, Recovery: []epochs.Recovery{rec}}
	if err := opening.Verify(panel); err != nil {
		return rec, fmt.Errorf("open epoch %d: %w", rec.Epoch, err)
	}
	r.logger.Warn("an operator has the machine go on from here", "epoch", uint64(rec.Epoch), "after", rec.Base.String(),
		"voters", fmt.Sprint(rec.Voters), "lost", strings.Join(rec.Losses(), "; "), "reason", rec.Reason)
	if err := r.seed(ctx, opening, r.lowest(stands)); err != nil {
		return none, fmt.Errorf("make the log of epoch %d: %w", rec.Epoch, err)
	}
	entered, err := r.tryEnter(ctx)
	if err == nil && entered {
		err = r.opens(ctx, opening)
	} else if err == nil {
		err = errNotOurs
	}
	if err != nil {
		return none, fmt.Errorf("enter epoch %d: %w", rec.Epoch, err)
	}
	return rec, nil
}

// word is the recovery that is to open the epoch: the one that the operator has signed, if that is where this replica is still.
func (r *Replica) word(o Order, stands []audit.Stand) (epochs.Recovery, error) {
	epoch, base := r.promise.Next, r.journal.Durable()
	if w := o.Word; w != nil {
		if w.Replica != r.id || w.Epoch != epoch || w.Base != base {
			return *w, fmt.Errorf("%w: what was signed opens epoch %d after %v, from %s; it is at %v and has stopped for epoch %d", ErrMoved, w.Epoch, w.Base, w.Replica, base, epoch)
		}
		return *w, nil
	}
	rec := epochs.Recovery{
		Machine: string(r.name), Epoch: epoch, Base: base, Replica: r.id, Voters: o.Voters, Reason: o.Reason, Tails: r.tails(stands, o.Voters),
	}
	rec.Sign(r.key)
	return rec, nil
}

// errNotOurs says that another replica was faster.
var errNotOurs = errors.New("its log is not there, or opens otherwise: look where the replicas are, and order it again if it still must be")

// opens checks that the log of the epoch that was entered has an opening, and not another one.
func (r *Replica) opens(ctx context.Context, o epochs.Opening) error {
	entries, err := r.log.get().Read(ctx, o.Base.Seq+1)
	if err == nil && !bytes.Equal(entries[0].Data, epochs.OpeningFormat.Encode(o)) {
		err = errNotOurs
	}
	return err
}

// needed asks whether an operator is needed at all, before anybody stops for it.
func (r *Replica) needed(ctx context.Context) error {
	panel := r.machine.Members()
	if _, voter := panel.Voter(r.id); !voter {
		return fmt.Errorf("replica %s is no voter: choose one that is", r.id)
	}
	if _, fenced := r.journal.Fence(); fenced {
		return fmt.Errorf("journal of replica %s has lost what it once had: choose another one", r.id)
	}
	all, err := r.askStands(ctx, nil)
	if err != nil {
		return err
	}
	going := slices.ContainsFunc(all, func(s audit.Stand) bool { return s.Next == 0 }) // not all have stopped
	if need := epochs.Needed(panel); len(all) >= need && going {
		return fmt.Errorf("%w: %d of %d voters answer, and %d are enough", ErrNotNeeded, len(all), panel.Voters(), need)
	}
	return nil
}

// applyJournal has the machine come to the end of the journal, so that the membership there is known. Nobody votes
// for it any more.
func (r *Replica) applyJournal() error {
	if err := r.walk(r.journal.Last().Seq, r.carry); err != nil {
		return err
	}
	if at := r.journal.Last(); r.machine.Position() != at {
		return fmt.Errorf("state is at %v, and the journal at %v: this replica cannot go ahead", r.machine.Position(), at)
	}
	return nil
}

// stopped gathers the statements of voters, each of which must have stopped for the epoch that this replica has, with
// the positions that it takes to compare them.
func (r *Replica) stopped(ctx context.Context, voters []audit.ReplicaID) ([]audit.Stand, error) {
	var points []ordering.Seq
	why := errors.New("no answer")
	for range maxRounds {
		all, err := r.askStands(ctx, points)
		if err != nil || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err(), why)
		}
		if i := slices.IndexFunc(all, func(s audit.Stand) bool {
			return s.Last.Epoch >= r.promise.Next && slices.Contains(voters, s.Replica)
		}); i >= 0 {
			return nil, fmt.Errorf("%w: replica %s is in epoch %d already", ErrNotNeeded, all[i].Replica, all[i].Last.Epoch)
		}
		stands, missing, higher := r.sort(all, voters)
		switch {
		case higher > 0:
			if err := r.halt(higher, r.promise.Reason); err != nil {
				return nil, err
			}
			continue
		case len(missing) > 0:
			why = fmt.Errorf("%v do not state that they have stopped for epoch %d", missing, r.promise.Next)
			if !r.sleep(tickEvery) {
				return nil, r.ctx.Err()
			}
			continue
		}
		v := epochs.Decide(string(r.name), stands, r.machine.Members(), r.promise.Next)
		ask := v.Ask
		for i := range stands {
			if seq, exact := epochs.Fork(&stands[0], &stands[i]); !exact {
				ask = append(ask, seq)
			}
		}
		if len(ask) == 0 || len(points)+len(ask) > audit.MaxPoints || contains(points, ask) {
			return stands, nil
		}
		points = append(points, ask...)
		slices.Sort(points)
		points = slices.Compact(points)
	}
	return nil, why
}

// sort takes the statements of voters that have stopped for this replica's next epoch, its own first. missing are
// those that have not, and higher is a later epoch for which one has.
func (r *Replica) sort(all []audit.Stand, voters []audit.ReplicaID) (stands []audit.Stand, missing []audit.ReplicaID, higher ordering.Epoch) {
	for _, id := range append([]audit.ReplicaID{r.id}, slices.DeleteFunc(slices.Clone(voters), func(id audit.ReplicaID) bool { return id == r.id })...) {
		i := slices.IndexFunc(all, func(s audit.Stand) bool { return s.Replica == id })
		switch {
		case i < 0 || all[i].Next < r.promise.Next:
			missing = append(missing, id)
		case all[i].Next > r.promise.Next && all[i].Next <= r.promise.Next+maxAhead:
			higher = max(higher, all[i].Next)
		default:
			stands = append(stands, all[i])
		}
	}
	return stands, missing, higher
}

// tails are what the other voters have, or said that they have, beyond this replica's journal.
func (r *Replica) tails(stands []audit.Stand, voters []audit.ReplicaID) (tails []epochs.Tail) {
	for i := range stands[1:] {
		s := &stands[i+1]
		if fork, _ := epochs.Fork(&stands[0], s); fork < s.Last.Seq {
			tails = append(tails, epochs.Tail{Replica: s.Replica, Last: s.Last, Fork: fork})
		}
	}
	heard := r.lastHeard()
	for _, m := range r.machine.Members().List {
		if !m.Voter || slices.Contains(voters, m.ID) {
			continue
		}
		t := epochs.Tail{Replica: m.ID, Gone: true}
		if i := slices.IndexFunc(heard, func(h Heard) bool { return h.Stand.Replica == m.ID }); i >= 0 {
			t.Last = heard[i].Stand.Last
			t.Fork = r.alike(&heard[i].Stand)
		}
		tails = append(tails, t)
	}
	slices.SortFunc(tails, func(a, b epochs.Tail) int { return strings.Compare(string(a.Replica), string(b.Replica)) })
	return tails
}

// alike is the last seq at which another's statement is known to be alike with this journal.
func (r *Replica) alike(s *audit.Stand) ordering.Seq {
	for _, p := range []ordering.Position{s.Last, r.journal.Durable(), s.Floor} {
		if p.Seq > s.Last.Seq {
			continue
		}
		at, err := r.journal.At(p.Seq)
		if known, ok := s.At(p.Seq); err == nil && (!ok || known == at) {
			return p.Seq // beyond this journal's end nothing shows that it went another way
		}
	}
	return r.journal.Base().Seq
}
