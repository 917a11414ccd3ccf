package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Each replica tells the others once in a while where it stands, so that two that were told different things
// notice. A replica whose log breaks complains (doubt.go). Where enough do, they stop voting in that epoch for good and
// say so, signed: from what they state follows where the next epoch starts (renew.go).

const (
	standEvery = time.Second
	// minEpoch is how long a replica stays in an epoch, whatever others ask.
	minEpoch   = 3 * time.Second
	standQueue = 64
)

// standMessage is a StandAsk from the wire.
type standMessage struct {
	ask   epochs.StandAsk
	reply string
}

// halt stops voting in the replica's epoch, durably, and in all epochs below next.
func (r *Replica) halt(next ordering.Epoch, reason string) error {
	return r.stopFor(promise{Next: next, Reason: reason, Left: r.promise.Left})
}

// leave is halt for the epoch of those who went on without this replica.
func (r *Replica) leave(next ordering.Epoch, reason string) error {
	return r.stopFor(promise{Next: next, Reason: reason, Left: true})
}

func (r *Replica) stopFor(p promise) error {
	p.Epoch, p.Next = r.promise.Epoch, max(p.Next, r.promise.Epoch+1, r.promise.Next)
	p.Reason = audit.CutReason(p.Reason)
	r.outbox.shut()
	r.reader.end()
	r.reader = nil
	if r.promise.Next != p.Next || r.promise.Left != p.Left {
		if err := r.savePromise(p); err != nil {
			return err
		}
		r.raised = time.Now()
	}
	last := r.journal.Halt()
	p = r.promise
	r.promised.Store(&p)
	r.doubted = time.Time{}
	if r.halted.IsZero() {
		r.halted = time.Now()
		r.logger.Error("log is broken: this replica votes no more in its epoch", "epoch", uint64(r.promise.Epoch), "last", last.String(), "reason", p.Reason)
		r.emit(Event{Kind: EventBroken, Epoch: r.promise.Epoch, Seq: last.Seq, Err: fmt.Errorf("%s", p.Reason)})
	}
	r.repairAt = audit.Position{}
	r.setPhase(host.PhaseBroken)
	return nil
}

// stand is what this replica states to others. ok is false where nothing may be made of it: see state, and promise.Left.
func (r *Replica) stand(points []ordering.Seq) (s audit.Stand, ok bool) {
	if r.promised.Load().Left {
		return s, false
	}
	return r.state(points)
}

// state is where this replica is. ok is false while its journal has lost what it once had.
func (r *Replica) state(points []ordering.Seq) (s audit.Stand, ok bool) {
	if _, fenced := r.journal.Fence(); fenced {
		return s, false
	}
	s = audit.Stand{Machine: string(r.name), Replica: r.id, Last: r.journal.Durable(), Floor: r.journal.Base()}
	if p := r.promised.Load(); p.stopped() || p.Reason != "" {
		s.Next, s.Reason = p.Next, p.Reason
	}
	for _, seq := range points[:min(len(points), audit.MaxPoints)] {
		if seq <= s.Floor.Seq || seq >= s.Last.Seq {
			continue
		}
		if p, err := r.journal.At(seq); err == nil {
			s.Points = append(s.Points, p)
		}
	}
	s.Sign(r.key)
	return s, true
}

// tellStand says where this replica stands, once in a while.
func (r *Replica) tellStand(now time.Time) {
	if _, voter := r.machine.Members().Voter(r.id); !voter || now.Sub(r.told) < standEvery {
		return
	}
	r.told = now
	var points []ordering.Seq
	if r.contested > 0 {
		points = append(points, r.contested) // the other one is to see it too
	}
	if s, ok := r.stand(points); ok {
		r.publish(epochs.StandSubject(string(r.name)), epochs.StandAskFormat.Encode(epochs.StandAsk{By: s}))
	}
}

// receiveStand queues what another says. What comes faster than it is looked at is dropped: it
// comes again.
func (r *Replica) receiveStand(m *nats.Msg) {
	var ask epochs.StandAsk
	if epochs.StandAskFormat.Decode(m.Data, &ask) != nil || ask.By.Replica == r.id || ask.By.Machine != string(r.name) || len(ask.Points) > audit.MaxPoints || !ask.By.Fits() {
		return
	}
	p := r.promised.Load()
	if m.Reply != "" && (ask.By.Next == 0 || p.stopped() && ask.By.Next <= p.Next) {
		// Nothing changes by it, and the loop may be waiting for the answers of others.
		if s, ok := r.stand(ask.Points); ok {
			_ = m.Respond(audit.StandFormat.Encode(s)) // whoever misses it asks again
		}
		m.Reply = ""
	}
	select {
	case r.stands <- standMessage{ask, m.Reply}:
	default:
	}
}

// hearStands takes all that others have said until now, since a step towards the next epoch may take longer than until they say it again.
func (r *Replica) hearStands() error {
	for range len(r.stands) {
		if err := r.hearStand(<-r.stands); err != nil {
			return err
		}
	}
	return nil
}

// hearStand takes what another voter says of itself.
func (r *Replica) hearStand(m standMessage) error {
	by := &m.ask.By
	key, voter := r.machine.Members().Voter(by.Replica)
	if !voter || by.Verify(key) != nil {
		return nil
	}
	r.hear(*by)
	if err := r.takeStock(time.Now()); err != nil {
		return err
	}
	if m.reply == "" {
		return nil
	}
	if s, ok := r.stand(m.ask.Points); ok {
		r.publish(m.reply, audit.StandFormat.Encode(s))
	}
	return nil
}

// maxAhead bounds how far in the future epochs are believed to be.
const maxAhead = 1 << 20

// standPatience is how long statements are gathered.
const standPatience = 200 * time.Millisecond

// askStands asks all replicas to state where they stand. The first statement is this replica's own, and then comes one
// of each voter that answered.
func (r *Replica) askStands(ctx context.Context, points []ordering.Seq) ([]audit.Stand, error) {
	own, ok := r.stand(points)
	if !ok {
		return nil, nil // nobody may be asked to stop by one that cannot tell
	}
	others, err := r.collectStands(ctx, epochs.StandAsk{By: own, Points: points}, func(*audit.Stand) bool { return true })
	return append([]audit.Stand{own}, others...), err
}

// collectStands asks, and gathers what the other voters state that counts.
func (r *Replica) collectStands(ctx context.Context, ask epochs.StandAsk, counts func(*audit.Stand) bool) ([]audit.Stand, error) {
	c := hearing{machine: string(r.name), self: r.id, panel: r.machine.Members(), counts: counts}
	err := r.collect(ctx, epochs.StandSubject(string(r.name)), epochs.StandAskFormat.Encode(ask), standPatience, 0, c.whole, c.take)
	return c.stands, err
}

// hearing gathers one statement of each of the other voters, so that nobody speaks for another or takes the place of
// its answer.
type hearing struct {
	machine string
	self    audit.ReplicaID
	panel   audit.Members
	counts  func(*audit.Stand) bool
	stands  []audit.Stand
}

func (h *hearing) take(data []byte) {
	var s audit.Stand
	if audit.StandFormat.Decode(data, &s) != nil || s.Replica == h.self || s.Machine != h.machine || !s.Fits() || !h.counts(&s) {
		return
	}
	key, voter := h.panel.Voter(s.Replica)
	known := slices.ContainsFunc(h.stands, func(o audit.Stand) bool { return o.Replica == s.Replica })
	if voter && !known && s.Verify(key) == nil {
		h.stands = append(h.stands, s)
	}
}

// whole tells whether all have spoken.
func (h *hearing) whole() bool {
	others := h.panel.Voters()
	if _, voter := h.panel.Voter(h.self); voter {
		others--
	}
	return len(h.stands) >= others
}
