// Package recovery has a machine go on that cannot by itself: a majority of its voters is gone for ever,
// or what they state leaves more than one way on. An operator decides, and may lose what was accepted; so the
// package shows first what each replica that is left has, refuses where the replicas go on by
// themselves, and wants every voter to answer or to be named as gone.
//
//	Survey   what the replicas that are left state, compared
//	Plan     what is to be done, or why not: a pure function of a survey
//	Order    the replica that was chosen opens the next epoch, the others follow
package recovery

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client/nodes"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Cluster is one machine and how to reach its nodes.
type Cluster struct {
	Machine ordering.Name
	Conn    *nats.Conn // one that may ask nodes as nodes
}

// Replica is one of the machine's, as it says of itself.
type Replica struct {
	ID     audit.ReplicaID
	Info   host.Info
	Stand  *audit.Stand // nil: its journal has lost what it once had, so that it can state nothing
	Why    string       // it has no next epoch
	Server bool         // its node has a NATS server of its own
}

// Survey is what the replicas that answer state.
type Survey struct {
	Machine  ordering.Name
	Members  audit.Members // of the replica that is furthest
	Replicas []Replica     // that answer, ascending
	Silent   []audit.ReplicaID
	Heard    map[audit.ReplicaID]Heard // of the silent
	Ways     []epochs.Way              // where the voters that state something have come to
	Stands   []audit.Stand             // of these, with the positions to compare them
}

// Heard is what a replica that does not answer said last, and when.
type Heard struct {
	Stand audit.Stand
	Ago   time.Duration
}

// How often statements are asked for until they can be compared, and how long answers are waited for that have
// not come once one has.
const (
	maxRounds = 64
	patience  = 500 * time.Millisecond
)

// Survey asks all nodes. It is nodes.ErrNone if none answers.
func (c *Cluster) Survey(ctx context.Context) (*Survey, error) {
	all, err := nodes.List(ctx, c.Conn, c.Machine)
	if err != nil {
		return nil, err
	}
	s := &Survey{Machine: c.Machine, Heard: make(map[audit.ReplicaID]Heard)}
	for _, n := range all {
		for i := range n.Machine {
			s.Replicas = append(s.Replicas, Replica{ID: n.Name, Info: n.Machine[i].Info, Server: n.Server != ""})
		}
	}
	if len(s.Replicas) == 0 {
		return s, nil
	}
	s.Members = furthest(s.Replicas)
	var points []ordering.Seq
	for range maxRounds {
		answers, err := c.stands(ctx, points, s.Replicas)
		if err != nil {
			return nil, err
		}
		ask := s.take(answers)
		ask = slices.DeleteFunc(ask, func(seq ordering.Seq) bool { return slices.Contains(points, seq) })
		if len(ask) == 0 || len(points)+len(ask) > audit.MaxPoints {
			break
		}
		points = append(points, ask...)
		slices.Sort(points)
	}
	return s, nil
}

// furthest is the membership of the replica that has applied most.
func furthest(list []Replica) audit.Members {
	best := &list[0].Info
	for i := range list {
		if in := &list[i].Info; in.Epoch > best.Epoch || in.Epoch == best.Epoch && in.Seq > best.Seq {
			best = in
		}
	}
	return best.Members
}

// stands asks where the replicas stand, until all have answered or no more do.
func (c *Cluster) stands(ctx context.Context, points []ordering.Seq, of []Replica) (list []admin.Stands, err error) {
	inbox := c.Conn.NewRespInbox()
	sub, err := c.Conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	q := admin.StandsFormat.Encode(admin.StandsRequest{Machine: c.Machine, Points: points})
	if err := c.Conn.PublishRequest(admin.StandsSubject, inbox, q); err != nil {
		return nil, fmt.Errorf("ask nodes: %w", err)
	}
	silent := func(r Replica) bool {
		return !slices.ContainsFunc(list, func(a admin.Stands) bool { return a.Node == r.ID })
	}
	for slices.ContainsFunc(of, silent) {
		try, cancel := context.WithTimeout(ctx, patience)
		m, err := sub.NextMsgWithContext(try)
		cancel()
		if err != nil {
			return list, ctx.Err()
		}
		var a admin.Stands
		if admin.StandsResponseFormat.Decode(m.Data, &a) == nil {
			list = append(list, a)
		}
	}
	return list, nil
}

// take sorts the answers in, and returns positions that are lacking to compare them.
func (s *Survey) take(answers []admin.Stands) (ask []ordering.Seq) {
	s.Stands, s.Silent = nil, nil
	for i := range s.Replicas {
		r := &s.Replicas[i]
		at := slices.IndexFunc(answers, func(a admin.Stands) bool { return a.Node == r.ID })
		if at < 0 {
			continue
		}
		r.Why = answers[at].Hindrance
		for _, h := range answers[at].Heard {
			s.hear(h)
		}
		if stand := s.genuine(answers[at].Stand, r.ID); stand != nil {
			r.Stand = stand
			s.Stands = append(s.Stands, *stand)
		}
	}
	for _, m := range s.Members.List {
		if m.Voter && !slices.ContainsFunc(s.Replicas, func(r Replica) bool { return r.ID == m.ID }) {
			s.Silent = append(s.Silent, m.ID)
		}
	}
	s.Ways, ask = epochs.Ways(s.Stands)
	for i := range s.Stands {
		for j := range i {
			if seq, exact := epochs.Fork(&s.Stands[i], &s.Stands[j]); !exact {
				ask = append(ask, seq)
			}
		}
	}
	slices.Sort(ask)
	return slices.Compact(ask)
}

// genuine is a voter's statement, if it is one.
func (s *Survey) genuine(list []audit.Stand, id audit.ReplicaID) *audit.Stand {
	key, voter := s.Members.Voter(id)
	if len(list) != 1 || !voter || list[0].Replica != id || list[0].Machine != string(s.Machine) || list[0].Verify(key) != nil {
		return nil
	}
	return &list[0]
}

// hear keeps the latest of what a voter said.
func (s *Survey) hear(h admin.Heard) {
	id, ago := h.Stand.Replica, time.Duration(h.Ago)
	key, voter := s.Members.Voter(id)
	old, known := s.Heard[id]
	if voter && h.Stand.Machine == string(s.Machine) && h.Stand.Verify(key) == nil && (!known || ago < old.Ago) {
		s.Heard[id] = Heard{h.Stand, ago}
	}
}

// Order has the replica of a plan open the next epoch. It is ErrNotNeeded or ErrMoved if what was surveyed is no
// longer so; then the replicas are to be surveyed again. Where the machine has an operator's key, those that go on stop first, and
// what the replica proposes, if it is what was planned, is signed with key; nil: there is none.
func (c *Cluster) Order(ctx context.Context, p Plan, reason string, key ed25519.PrivateKey) (epochs.Recovery, error) {
	q := admin.RecoverRequest{Machine: c.Machine, Base: p.Base, Voters: p.Voters, Reason: reason}
	r, proposed, err := c.order(ctx, p.From, q)
	switch {
	case err != nil || !proposed:
		return r, err
	case key == nil:
		return r, ErrNoKey
	}
	if err := p.fits(&r, c.Machine, reason); err != nil {
		return r, err
	}
	r.GiveWord(key)
	q.Word = []epochs.Recovery{r}
	if r, proposed, err = c.order(ctx, p.From, q); err == nil && proposed {
		err = fmt.Errorf("order %s to go ahead: it asks again for what was signed", p.From)
	}
	return r, err
}

// order asks one node once.
func (c *Cluster) order(ctx context.Context, from audit.ReplicaID, q admin.RecoverRequest) (r epochs.Recovery, proposed bool, err error) {
	m, err := c.Conn.RequestWithContext(ctx, admin.RecoverSubject(from), admin.RecoverFormat.Encode(q))
	if err != nil {
		return r, false, fmt.Errorf("order %s to go ahead: %w", from, err)
	}
	var a admin.RecoverResponse
	if err := admin.RecoverResponseFormat.Decode(m.Data, &a); err != nil {
		return r, false, fmt.Errorf("order %s to go ahead: %w", from, err)
	}
	switch {
	case a.NotNeeded:
		return r, false, fmt.Errorf("%w: %s", ErrNotNeeded, strings.TrimPrefix(a.Error, ErrNotNeeded.Error()+": "))
	case a.Moved:
		return r, false, fmt.Errorf("%w: %s", ErrMoved, a.Error)
	case len(a.Recovery) != 1:
		return r, false, fmt.Errorf("order %s to go ahead: %s", from, a.Error)
	}
	return a.Recovery[0], a.Proposed, nil
}

// Await waits until those that go on vote in the epoch that a recovery opened.
func (c *Cluster) Await(ctx context.Context, r epochs.Recovery) error {
	var missing []audit.ReplicaID
	for {
		all, err := nodes.List(ctx, c.Conn, c.Machine)
		if err == nil {
			missing = slices.Clone(r.Voters)
			for _, n := range all {
				for i := range n.Machine {
					if in := &n.Machine[i].Info; in.Phase == host.PhaseVoting && in.Epoch >= r.Epoch {
						missing = slices.DeleteFunc(missing, func(id audit.ReplicaID) bool { return id == n.Name })
					}
				}
			}
			if len(missing) == 0 {
				return nil
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("epoch %d is open, and %v do not vote in it yet: %w", r.Epoch, missing, errors.Join(ctx.Err(), err))
		}
	}
}
