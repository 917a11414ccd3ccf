package recovery

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/host/admin"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

func key(id audit.ReplicaID) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, 30), id[:2]...))
}

// path is the positions of a journal whose entries say the letters of a text.
func path(text string) []ordering.Position {
	list := []ordering.Position{{}}
	for i := range text {
		last := list[len(list)-1]
		list = append(list, last.Next(ordering.Entry{Epoch: 1, Seq: last.Seq + 1, Data: []byte(text[i : i+1])}))
	}
	return list
}

// answer is a node's, whose journal has these entries; next is the epoch that it has stopped for.
func answer(id audit.ReplicaID, text string, next ordering.Epoch, points []ordering.Seq) admin.Stands {
	at := path(text)
	s := audit.Stand{Machine: "m", Replica: id, Last: at[len(at)-1], Next: next}
	for _, p := range points {
		if p < s.Last.Seq {
			s.Points = append(s.Points, at[p])
		}
	}
	s.Sign(key(id))
	return admin.Stands{Node: id, Stand: []audit.Stand{s}}
}

// survey is of those that answer, by what they have, until it can be compared.
func survey(t *testing.T, next ordering.Epoch, have map[audit.ReplicaID]string, heard ...admin.Heard) *Survey {
	t.Helper()
	s := &Survey{Machine: "m", Members: audit.Members{Seq: 1}, Heard: make(map[audit.ReplicaID]Heard)}
	for _, id := range []audit.ReplicaID{"n1", "n2", "n3"} {
		s.Members.List = append(s.Members.List, audit.Member{ID: id, Key: key(id).Public().(ed25519.PublicKey), Voter: true})
		if _, answers := have[id]; answers {
			s.Replicas = append(s.Replicas, Replica{ID: id})
		}
	}
	var points []ordering.Seq
	for range maxRounds {
		var answers []admin.Stands
		for id, text := range have {
			a := answer(id, text, next, points)
			a.Heard = heard
			answers = append(answers, a)
		}
		ask := s.take(answers)
		if len(ask) == 0 {
			return s
		}
		points = append(points, ask...)
		slices.Sort(points)
		points = slices.Compact(points)
	}
	t.Fatal("asks for ever")
	return nil
}

// What the replicas that are left have says whether a machine can be recovered, from whom, and what that costs.
func TestPlan(t *testing.T) {
	ids := func(list ...audit.ReplicaID) []audit.ReplicaID { return list }
	for _, c := range []struct {
		name  string
		have  map[audit.ReplicaID]string
		next  ordering.Epoch // that they have stopped for
		from  audit.ReplicaID
		gone  []audit.ReplicaID
		err   error
		want  string // in the error, or the replica that goes ahead
		seq   ordering.Seq
		loses []string
	}{
		{name: "two are gone", have: map[audit.ReplicaID]string{"n1": "abc"}, gone: ids("n2", "n3"), want: "n1", seq: 3,
			loses: []string{"n2 is gone", "n3 is gone"}},
		{name: "a silent one was not named", have: map[audit.ReplicaID]string{"n1": "abc"}, gone: ids("n2"), err: ErrSilent, want: "n3"},
		{name: "who answers is not gone", have: map[audit.ReplicaID]string{"n1": "abc", "n2": "abc"}, gone: ids("n2", "n3"), want: "n2 is not gone"},
		{name: "a stranger", have: map[audit.ReplicaID]string{"n1": "abc"}, gone: ids("n2", "n9"), want: "n9 is no voter"},
		{name: "a majority goes on", have: map[audit.ReplicaID]string{"n1": "abc", "n2": "abc"}, gone: ids("n3"), err: ErrNotNeeded, want: "replace"},
		{name: "a majority that stopped decides", have: map[audit.ReplicaID]string{"n1": "abc", "n2": "abc"}, next: 2, gone: ids("n3"), err: ErrNotNeeded, want: "by themselves in epoch 2"},
		{name: "two ways", have: map[audit.ReplicaID]string{"n1": "abxx", "n2": "abyyy"}, next: 2, gone: ids("n3"), err: ErrChoose, want: "[n2] at seq 5"},
		{name: "two ways, the longer one chosen", have: map[audit.ReplicaID]string{"n1": "abxx", "n2": "abyyy"}, next: 2, from: "n2", gone: ids("n3"), want: "n2", seq: 5,
			loses: []string{"n1 had 2 entries after seq 2", "n3 is gone"}},
		{name: "two ways, the shorter one chosen", have: map[audit.ReplicaID]string{"n1": "abxx", "n2": "abyyy"}, next: 2, from: "n1", gone: ids("n3"), want: "n1", seq: 4,
			loses: []string{"n2 had 3 entries after seq 2", "n3 is gone"}},
		{name: "three ways: no majority has any, and all say so", have: map[audit.ReplicaID]string{"n1": "ax", "n2": "ay", "n3": "az"}, next: 2, from: "n3", err: ErrNotNeeded, want: "by themselves in epoch 2"},
		{name: "chosen is one that is gone", have: map[audit.ReplicaID]string{"n1": "abc"}, from: "n2", gone: ids("n2", "n3"), want: "n2 is no voter that states something"},
		{name: "nobody is left", have: map[audit.ReplicaID]string{}, gone: ids("n1", "n2", "n3"), want: "from a checkpoint"},
		{name: "nothing was read", have: map[audit.ReplicaID]string{"n1": ""}, gone: ids("n2", "n3"), want: "n1", seq: 0, loses: []string{"n2 is gone", "n3 is gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := survey(t, c.next, c.have)
			p, err := s.Plan(c.from, c.gone)
			if c.seq == 0 && c.loses == nil {
				if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("planned %+v, %v; want an error that is %v and says %q", p, err, c.err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.From != audit.ReplicaID(c.want) || p.Base.Seq != c.seq || len(p.Voters) != len(c.have) || !slices.IsSorted(p.Voters) || !slices.Equal(p.Gone, c.gone) {
				t.Errorf("planned %+v, want %s to go ahead after %d with %d voters", p, c.want, c.seq, len(c.have))
			}
			if len(p.Losses) != len(c.loses) {
				t.Fatalf("losses are %q, want %q", p.Losses, c.loses)
			}
			for i, want := range c.loses {
				if !strings.Contains(p.Losses[i], want) {
					t.Errorf("loss %d is %q, want %q", i, p.Losses[i], want)
				}
			}
		})
	}
}

// What one that is gone said last is counted as lost, if it is signed by it; of several that heard it, the latest counts.
func TestPlanCountsWhatWasHeard(t *testing.T) {
	said := func(text string, ago int64) admin.Heard {
		return admin.Heard{Stand: answer("n2", text, 0, []ordering.Seq{1, 2, 3}).Stand[0], Ago: ago}
	}
	forged := said("abcdefghi", 0)
	forged.Stand.Last.Seq += 100
	s := survey(t, 0, map[audit.ReplicaID]string{"n1": "abc"}, said("ab", 9), said("abcde", 5), forged)
	p, err := s.Plan("", []audit.ReplicaID{"n2", "n3"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "n2 is gone, and was at seq 5 at least: 2 entries after seq 3 lost"; !strings.HasPrefix(p.Losses[0], want) {
		t.Errorf("it says %q, want %q", p.Losses[0], want)
	}
	if !strings.Contains(p.Losses[1], "where it was is not known") {
		t.Errorf("of one that nobody heard it says %q", p.Losses[1])
	}
}

// A statement that is not the voter's own, of this machine and signed, counts as none: the voter is unheard.
func TestSurveyBelievesSignatures(t *testing.T) {
	for name, spoil := range map[string]func(*admin.Stands){
		"forged":            func(a *admin.Stands) { a.Stand[0].Last.Seq++ },
		"another machine's": func(a *admin.Stands) { a.Stand[0].Machine = "k"; a.Stand[0].Sign(key("n2")) },
		"another's":         func(a *admin.Stands) { a.Stand = answer("n1", "abc", 0, nil).Stand },
		"two":               func(a *admin.Stands) { a.Stand = append(a.Stand, a.Stand[0]) },
		"none":              func(a *admin.Stands) { a.Stand = nil },
	} {
		s := survey(t, 0, map[audit.ReplicaID]string{"n1": "abc", "n2": "abc"})
		bad := answer("n2", "abc", 0, nil)
		spoil(&bad)
		s.Replicas = []Replica{{ID: "n1"}, {ID: "n2"}}
		s.take([]admin.Stands{answer("n1", "abc", 0, nil), bad})
		if len(s.Stands) != 1 || s.Stands[0].Replica != "n1" {
			t.Errorf("%s: believed %+v", name, s.Stands)
		}
		if _, err := s.Plan("", []audit.ReplicaID{"n3"}); !errors.Is(err, ErrSilent) {
			t.Errorf("%s: planned with one that can state nothing: %v", name, err)
		}
	}
}

// An operator signs what was planned and shown, and nothing else that a replica may propose.
func TestProposal(t *testing.T) {
	s := survey(t, 0, map[audit.ReplicaID]string{"n1": "abc"})
	p, err := s.Plan("", []audit.ReplicaID{"n2", "n3"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*epochs.Recovery)
		moved  bool   // the replicas are to be asked again
		says   string // "": it is signed
	}{
		"as planned":      {func(*epochs.Recovery) {}, false, ""},
		"more was read":   {func(r *epochs.Recovery) { r.Base = path("abcd")[4] }, true, "would open"},
		"another chain":   {func(r *epochs.Recovery) { r.Base = path("abd")[3] }, true, "would open"},
		"a later epoch":   {func(r *epochs.Recovery) { r.Epoch++ }, true, "would open epoch 1002"},
		"another machine": {func(r *epochs.Recovery) { r.Machine = "k" }, false, "another recovery"},
		"another voter":   {func(r *epochs.Recovery) { r.Voters = []audit.ReplicaID{"n1", "n2"} }, false, "another recovery"},
		"from another":    {func(r *epochs.Recovery) { r.Replica = "n2" }, false, "another recovery"},
		"another reason":  {func(r *epochs.Recovery) { r.Reason = "it asked for it" }, false, "another recovery"},
	} {
		r := epochs.Recovery{Machine: "m", Epoch: 1 + epochs.Leap, Base: p.Base, Replica: "n1", Voters: []audit.ReplicaID{"n1"}, Reason: "fire"}
		c.change(&r)
		err := p.fits(&r, "m", "fire")
		if errors.Is(err, ErrMoved) != c.moved || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q, moved %v", name, err, c.says, c.moved)
		}
	}
}
