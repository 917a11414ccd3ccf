package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// A replica that cannot follow the log, or finds that no majority follows it as it does, does not vote and complains:
// that is a doubt, and no promise. Once enough voters say so that one of them is right, they stop for good (Leave). Until
// then the doubt may be this replica's own trouble: it goes back to what a majority of the others has, and on (heal.go).

const (
	// standFresh is how long it counts what a voter said last that did not promise anything.
	standFresh = 5 * time.Second
	// lonelyFor is how long no majority may follow the log as this replica does, if another one says that it does not.
	lonelyFor = 2500 * time.Millisecond
	// lateEntry is how long after this replica another one may still be about to enter the epoch.
	lateEntry = 15 * time.Second
	// seekEvery is between one question whether others went on without this replica and the next one, and leftPatience
	// how long answers are waited for.
	seekEvery    = 2 * time.Second
	leftPatience = time.Second / 2
	// raisePatience is how long a replica that has stopped waits before it follows a single voter to a later epoch.
	raisePatience = 5 * time.Second
)

// doubt stops voting, and says why, until the replica can follow the log again or enough others cannot either.
func (r *Replica) doubt(reason string) error {
	if r.promise.stopped() {
		return r.halt(0, reason)
	}
	reason = audit.CutReason(reason)
	r.outbox.shut()
	r.reader.end()
	r.reader = nil
	if r.doubted.IsZero() {
		r.doubted = time.Now()
	}
	r.promised.Store(&promise{Epoch: r.promise.Epoch, Next: r.promise.Epoch, Reason: reason})
	r.logger.Warn("the log looks broken: this replica does not vote until it is clear whether it is", "epoch", uint64(r.promise.Epoch), "reason", reason)
	r.emit(Event{Kind: EventDoubted, Epoch: r.promise.Epoch, Err: fmt.Errorf("%s", reason)})
	r.repairAt = audit.Position{}
	r.setPhase(host.PhaseBroken)
	if err := r.applyKept(); err != nil {
		return err
	}
	r.told = time.Time{}
	r.tellStand(time.Now())
	return r.takeStock(time.Now())
}

// doubting tells whether the replica complains of the log.
func (r *Replica) doubting() bool { return !r.doubted.IsZero() }

// applyKept has the machine come to the end of what the journal has on disk, so that the membership is known.
func (r *Replica) applyKept() error {
	err := r.walk(r.journal.Durable().Seq, r.carry)
	if errors.Is(err, errGap) {
		r.logger.Debug("apply what is kept", "err", err)
		return nil
	}
	return err
}

// takeStock looks at how the voters stand to the replica's epoch, and stops, complains, or goes on.
func (r *Replica) takeStock(now time.Time) error {
	panel := r.machine.Members()
	if r.promise.stopped() {
		return r.raise(now, panel)
	}
	p, against := r.parting(now, panel)
	if next, leave := p.Leave(panel); leave && (r.doubting() || now.Sub(r.entered) > minEpoch) {
		return r.halt(next, r.why(against))
	}
	if slices.ContainsFunc(p.Wants, func(e ordering.Epoch) bool { return e > p.Epoch }) {
		if next := r.seek(now); next > p.Epoch {
			return r.leave(next, r.why(against))
		}
	}
	if _, voter := panel.Voter(r.id); voter && p.Lonely && !r.doubting() {
		return r.doubt("no majority follows the log as this replica does: " + strings.Join(against, "; "))
	}
	return nil
}

func (r *Replica) why(against []string) string {
	if own := r.promised.Load().Reason; own != "" {
		against = append([]string{own}, against...)
	}
	return strings.Join(against, "; ")
}

// parting is how the voters stand to this replica's epoch. against says what those say, or show, that do not
// follow the log as it does.
func (r *Replica) parting(now time.Time, panel audit.Members) (p epochs.Parting, against []string) {
	epoch := r.promise.Epoch
	_, voter := panel.Voter(r.id)
	p = epochs.Parting{Epoch: epoch, Doubting: voter && r.doubting()}
	well := 1
	r.contested = 0
	for _, h := range r.lastHeard() {
		s := &h.Stand
		if _, voter := panel.Voter(s.Replica); !voter {
			continue
		}
		want := max(s.Next, s.Last.Epoch)
		late := s.Last.Epoch < epoch && now.Sub(r.entered) < lateEntry
		differs, at := r.differs(s)
		switch {
		case want > epoch+maxAhead:
			against = append(against, fmt.Sprintf("replica %s is in epoch %d", s.Replica, want))
		case want > epoch:
			p.Wants = append(p.Wants, want)
			against = append(against, fmt.Sprintf("replica %s is in epoch %d, or has stopped for it: %s", s.Replica, want, s.Reason))
		case now.Sub(h.At) > standFresh:
		case want == epoch && s.Reason != "" && !late:
			p.Wants = append(p.Wants, epoch)
			against = append(against, fmt.Sprintf("replica %s complains: %s", s.Replica, s.Reason))
		case differs && !late:
			r.contested = at
			against = append(against, fmt.Sprintf("replica %s was given another log at %d", s.Replica, at))
		default:
			well++
		}
	}
	if len(against) == 0 || well >= panel.Majority() {
		r.lonely = time.Time{}
	} else if r.lonely.IsZero() {
		r.lonely = now
	}
	// Who believes the first answer cannot wait for others to contradict it.
	p.Lonely = !r.lonely.IsZero() && (now.Sub(r.lonely) >= lonelyFor || panel.Mode == audit.Crash)
	return p, against
}

// differs tells whether another one states a position that this replica's journal has otherwise.
func (r *Replica) differs(s *audit.Stand) (bool, ordering.Seq) {
	for _, p := range append([]ordering.Position{s.Last}, s.Points...) {
		if p.Seq <= s.Floor.Seq {
			continue
		}
		if at, err := r.journal.At(p.Seq); err == nil && at != p {
			return true, p.Seq
		}
	}
	return false, 0
}

// raise follows those that have stopped for a later epoch than this replica has, or are in one: one of them alone not at
// once, since it may go ahead for ever, but where it shows that it went on without this replica.
func (r *Replica) raise(now time.Time, panel audit.Members) error {
	var wants []ordering.Epoch
	for _, h := range r.lastHeard() {
		want := max(h.Stand.Next, h.Stand.Last.Epoch)
		if _, voter := panel.Voter(h.Stand.Replica); voter && want > r.promise.Next && want <= r.promise.Next+maxAhead {
			wants = append(wants, want)
		}
	}
	slices.Sort(wants)
	slices.Reverse(wants)
	if len(wants) > 0 && !r.promise.Left {
		if next := r.seek(now); next > r.promise.Epoch {
			return r.leave(next, r.promise.Reason)
		}
	}
	if n := epochs.Warrant(panel); n > 0 && len(wants) >= n {
		return r.halt(wants[n-1], r.promise.Reason)
	}
	if len(wants) > 0 && now.Sub(r.raised) > raisePatience {
		return r.halt(wants[0], r.promise.Reason)
	}
	return nil
}
