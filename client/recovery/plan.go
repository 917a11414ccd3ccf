package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Errors that callers branch on.
var (
	// ErrNotNeeded says that the replicas go on, or will, by themselves.
	ErrNotNeeded = errors.New("no recovery is needed")
	// ErrSilent says that a voter neither answers nor was named as gone.
	ErrSilent = errors.New("a voter does not answer")
	// ErrChoose says that there is more than one way on, and none was chosen.
	ErrChoose = errors.New("there is more than one way on")
	// ErrMoved says that the replica that was chosen is no longer where it was seen.
	ErrMoved = errors.New("the replicas have moved on")
	// ErrNoKey says that the machine has an operator's key, and the order none.
	ErrNoKey = errors.New("the machine has an operator's key, and the order is not signed with it")
)

// Plan is a recovery that can be ordered.
type Plan struct {
	From   audit.ReplicaID   // goes ahead
	Base   ordering.Position // after which the next epoch goes on, at least
	Voters []audit.ReplicaID // that go on, ascending
	Gone   []audit.ReplicaID // voters that are to be members no more
	Losses []string          // what is given up or may be lost, a sentence for each replica
	Latest ordering.Epoch    // that may be opened
}

// Plan says how the machine can go on: from one replica, "" for the best, without those that are gone for ever.
func (s *Survey) Plan(from audit.ReplicaID, gone []audit.ReplicaID) (Plan, error) {
	if err := s.checkGone(gone); err != nil {
		return Plan{}, err
	}
	if err := s.needed(); err != nil {
		return Plan{}, err
	}
	for _, id := range s.unheard() {
		if !slices.Contains(gone, id) {
			return Plan{}, fmt.Errorf("%w: %s: start it, or say that it is gone for ever", ErrSilent, id)
		}
	}
	if len(s.Stands) == 0 {
		return Plan{}, errors.New("no voter that is left can state anything: begin anew from a checkpoint, 'lockstep checkpoint --help'")
	}
	if from == "" {
		if len(s.Ways) > 1 {
			return Plan{}, fmt.Errorf("%w: %s: choose one", ErrChoose, s.describeWays())
		}
		from = s.Ways[0].By[0]
	}
	i := slices.IndexFunc(s.Stands, func(st audit.Stand) bool { return st.Replica == from })
	if i < 0 {
		return Plan{}, fmt.Errorf("%s is no voter that states something: choose one of %v", from, replicasOf(s.Stands))
	}
	p := Plan{From: from, Base: s.Stands[i].Last, Voters: replicasOf(s.Stands), Gone: gone}
	slices.Sort(p.Voters)
	preview := epochs.Recovery{Base: p.Base}
	for j := range s.Stands {
		p.Latest = max(p.Latest, s.Stands[j].Next, s.Stands[j].Last.Epoch+epochs.Leap)
		if fork, _ := epochs.Fork(&s.Stands[i], &s.Stands[j]); fork < s.Stands[j].Last.Seq {
			preview.Tails = append(preview.Tails, epochs.Tail{Replica: s.Stands[j].Replica, Last: s.Stands[j].Last, Fork: fork})
		}
	}
	for _, id := range gone {
		preview.Tails = append(preview.Tails, s.tailOf(id, &s.Stands[i]))
	}
	p.Losses = preview.Losses()
	return p, nil
}

// fits tells whether what a replica proposes is what was planned.
func (p Plan) fits(r *epochs.Recovery, machine ordering.Name, reason string) error {
	if r.Base != p.Base || r.Epoch > p.Latest {
		return fmt.Errorf("%w: %s would open epoch %d after %v, and was seen at %v", ErrMoved, p.From, r.Epoch, r.Base, p.Base)
	}
	if r.Machine != string(machine) || r.Replica != p.From || !slices.Equal(r.Voters, p.Voters) || r.Reason != reason {
		return fmt.Errorf("%s proposes another recovery than was ordered: machine %s from %s with %v, %q", p.From, r.Machine, r.Replica, r.Voters, r.Reason)
	}
	return nil
}

// unheard are voters that do not answer, or can state nothing.
func (s *Survey) unheard() []audit.ReplicaID {
	list := slices.Clone(s.Silent)
	for i := range s.Replicas {
		r := &s.Replicas[i]
		if _, voter := s.Members.Voter(r.ID); voter && r.Stand == nil {
			list = append(list, r.ID)
		}
	}
	return list
}

// checkGone wants those that are gone to be voters that say nothing.
func (s *Survey) checkGone(gone []audit.ReplicaID) error {
	for _, id := range gone {
		if _, voter := s.Members.Voter(id); !voter {
			return fmt.Errorf("%s is no voter of machine %s: these are %v", id, s.Machine, s.voters())
		}
		if slices.ContainsFunc(s.Stands, func(st audit.Stand) bool { return st.Replica == id }) {
			return fmt.Errorf("%s is not gone: it answers. Stop its node for good first, if it is to be left behind", id)
		}
	}
	return nil
}

// needed tells why the machine goes on by itself, if it does.
func (s *Survey) needed() error {
	need, have := epochs.Needed(s.Members), len(s.Stands)
	if have < need {
		return nil
	}
	var next ordering.Epoch
	for i := range s.Stands {
		if s.Stands[i].Next == 0 {
			return fmt.Errorf("%w: %d of %d voters answer, %v, and %d are enough to go on; 'lockstep replace' is for one that is gone for ever",
				ErrNotNeeded, have, s.Members.Voters(), replicasOf(s.Stands), need)
		}
		next = max(next, s.Stands[i].Next)
	}
	switch v := epochs.Decide(string(s.Machine), s.Stands, s.Members, next); {
	case v.Decided:
		return fmt.Errorf("%w: statements of %d voters lead to seq %d, from where they go on by themselves in epoch %d%s", ErrNotNeeded, have, v.Base.Seq, next, s.hindrances())
	case v.Missing > 0:
		return fmt.Errorf("%w: the voters are about to stop for epoch %d: ask again in a moment", ErrNotNeeded, next)
	}
	return nil
}

// hindrances is why replicas say that they have no next epoch.
func (s *Survey) hindrances() (text string) {
	for i := range s.Replicas {
		if r := &s.Replicas[i]; r.Why != "" {
			text += fmt.Sprintf("; %s: %s", r.ID, r.Why)
		}
	}
	return text
}

// tailOf is what one that is gone is known to have had beyond another's journal.
func (s *Survey) tailOf(id audit.ReplicaID, base *audit.Stand) epochs.Tail {
	t := epochs.Tail{Replica: id, Gone: true}
	if h, known := s.Heard[id]; known {
		t.Last = h.Stand.Last
		t.Fork, _ = epochs.Fork(base, &h.Stand)
		t.Fork = min(t.Fork, base.Last.Seq)
	}
	return t
}

func (s *Survey) describeWays() string {
	var list []string
	for _, w := range s.Ways {
		list = append(list, fmt.Sprintf("%v at seq %d", w.By, w.Last.Seq))
	}
	return strings.Join(list, ", ")
}

func (s *Survey) voters() (list []audit.ReplicaID) {
	for _, m := range s.Members.List {
		if m.Voter {
			list = append(list, m.ID)
		}
	}
	return list
}

func replicasOf(stands []audit.Stand) (list []audit.ReplicaID) {
	for i := range stands {
		list = append(list, stands[i].Replica)
	}
	return list
}
