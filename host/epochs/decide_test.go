package epochs

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

// voterSet is voters with keys, and what each has read.
type voterSet struct {
	panel audit.Members
	keys  []ed25519.PrivateKey
	paths [][]ordering.Position // by voter; the first is before the first entry
	floor []int                 // where each one's journal begins
}

func newVoters(n int) *voterSet {
	v := &voterSet{panel: audit.Members{Seq: 1}}
	for i := range n {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
		v.keys = append(v.keys, key)
		v.panel.List = append(v.panel.List, audit.Member{ID: voterID(i), Key: key.Public().(ed25519.PublicKey), Voter: true})
		v.paths = append(v.paths, []ordering.Position{{}})
		v.floor = append(v.floor, 0)
	}
	return v
}

func voterID(i int) audit.ReplicaID { return audit.ReplicaID(fmt.Sprint("r", i)) }

// read has a voter read n entries that differ by what they say.
func (v *voterSet) read(i, n int, say string) {
	for range n {
		last := v.paths[i][len(v.paths[i])-1]
		v.paths[i] = append(v.paths[i], last.Next(ordering.Entry{Epoch: 1, Seq: last.Seq + 1, Data: []byte(say)}))
	}
}

// stand is what a voter states.
func (v *voterSet) stand(i int, points []ordering.Seq, next ordering.Epoch) audit.Stand {
	path := v.paths[i]
	s := audit.Stand{Machine: "m", Replica: voterID(i), Last: path[len(path)-1], Floor: path[v.floor[i]], Next: next}
	for _, p := range points {
		if p >= s.Floor.Seq && p < s.Last.Seq {
			s.Points = append(s.Points, path[p])
		}
	}
	s.Sign(v.keys[i])
	return s
}

// decide asks until there is a verdict.
func (v *voterSet) decide(t testing.TB, who ...int) (Verdict, []audit.Stand) {
	t.Helper()
	var points []ordering.Seq
	for range 100 {
		var stands []audit.Stand
		for _, i := range who {
			stands = append(stands, v.stand(i, points, 2))
		}
		d := Decide("m", stands, v.panel, 2)
		if len(d.Ask) == 0 {
			return d, stands
		}
		for _, p := range d.Ask {
			if slices.Contains(points, p) {
				t.Fatalf("asks for %d again", p)
			}
		}
		points = append(points, d.Ask...)
		slices.Sort(points)
	}
	t.Fatal("asks for ever")
	return Verdict{}, nil
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads [][]string // by voter: each 10 entries
		who   []int
		want  string
	}{
		{"alike", [][]string{{"a"}, {"a"}, {"a"}}, []int{0, 1, 2}, "after 10 of r0"},
		{"a majority suffices", [][]string{{"a"}, {"a"}, {"a"}}, []int{1, 2}, "after 10 of r0"},
		{"one does not", [][]string{{"a"}, {"a"}, {"a"}}, []int{1}, "1 more"},
		{"the longest", [][]string{{"a"}, {"a", "a"}, {"a"}}, []int{0, 1, 2}, "after 20 of r1"},
		{"two went one way", [][]string{{"a", "b"}, {"a", "b"}, {"a", "c", "c"}}, []int{0, 1, 2}, "after 20 of r0"},
		{"one each, the third silent", [][]string{{"a", "b"}, {"a", "b"}, {"a", "c"}}, []int{0, 2}, "2 ways"},
		{"three ways", [][]string{{"a", "b"}, {"a", "c"}, {"a", "d"}}, []int{0, 1, 2}, "after 20 of any"},
		{"two share more", [][]string{{"a", "b", "c"}, {"a", "b", "d"}, {"a", "e", "e", "e"}}, []int{0, 1, 2}, "after 30 of r0 or r1"},
		{"five, two and two and one", [][]string{{"b"}, {"b"}, {"c"}, {"c"}, {"d"}}, []int{0, 1, 2, 3, 4}, "after 10 of any"},
		{"five, two and two, one silent", [][]string{{"b"}, {"b"}, {"c"}, {"c"}, {"c"}}, []int{0, 1, 2, 3}, "2 ways"},
		{"five, three of one way", [][]string{{"b"}, {"b"}, {"b"}, {"c"}, {"c"}}, []int{0, 1, 2, 3, 4}, "after 10 of r0"},
		{"nothing read", [][]string{{}, {}, {}}, []int{0, 1}, "after 0 of r0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVoters(len(c.reads))
			for i, reads := range c.reads {
				for _, say := range reads {
					v.read(i, 10, say)
				}
			}
			d, _ := v.decide(t, c.who...)
			got := fmt.Sprintf("%d more", d.Missing)
			switch {
			case d.Decided:
				got = fmt.Sprintf("after %d of", d.Base.Seq)
				for i, path := range v.paths {
					if path[len(path)-1] == d.Base {
						got = fmt.Sprintf("after %d of %s", d.Base.Seq, voterID(i))
						break
					}
				}
			case d.Split != nil:
				got = fmt.Sprintf("%d ways", len(d.Split))
			}
			prefix := c.want
			if i := len("after 20 of"); len(prefix) > i && (prefix[i:] == " any" || prefix[i:] == " r0 or r1") {
				prefix = prefix[:i]
			}
			if got != c.want && (len(got) < len(prefix) || got[:len(prefix)] != prefix) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if c.want == "after 30 of r0 or r1" && d.Base != v.paths[0][30] && d.Base != v.paths[1][30] {
				t.Error("what r0 and r1 share may have been accepted")
			}
		})
	}
}

// TestDecideLosesNothing has voters read along ways that part at random, and a majority of them
// stop. Whatever a majority of all read alike, and so may have been accepted, leads to the base,
// and is an ancestor of all ways where they are split; and what one majority decides, another one does
// not contradict about what was accepted.
func TestDecideLosesNothing(t *testing.T) {
	decided, split := 0, 0
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 9))
		n := []int{1, 3, 3, 5, 5, 7}[rng.IntN(6)]
		v := newVoters(n)
		for i := range n {
			if i > 0 && rng.IntN(3) > 0 { // follow another one for a while
				o := v.paths[rng.IntN(i)]
				v.paths[i] = slices.Clone(o[:1+rng.IntN(len(o))])
			}
			for range rng.IntN(3) {
				v.read(i, rng.IntN(12), string(rune('a'+rng.IntN(2))))
			}
		}
		accepted := v.accepted()
		for i := range n { // a floor is never beyond what was accepted
			v.floor[i] = rng.IntN(min(len(accepted), len(v.paths[i])))
			if v.paths[i][v.floor[i]] != accepted[v.floor[i]] {
				v.floor[i] = 0
			}
		}
		who := rng.Perm(n)[:n/2+1+rng.IntN(n-n/2)]
		d, stands := v.decide(t, who...)
		last := accepted[len(accepted)-1]
		ends := d.Split
		if d.Decided {
			decided++
			ends = []ordering.Position{d.Base}
			if n == len(who) && d.Split != nil {
				t.Fatalf("seed %d: split although all voters state something", seed)
			}
			slices.Reverse(stands)
			if again := Decide("m", stands, v.panel, 2); again.Decided && again.Base.Seq != d.Base.Seq {
				t.Fatalf("seed %d: another order decides %v, not %v", seed, again.Base, d.Base)
			}
		} else {
			split++
		}
		through := 0
		for _, end := range ends {
			if v.leads(last, end) {
				through++
			}
		}
		if d.Decided && !v.leads(last, d.Base) || through == 0 {
			for i, path := range v.paths {
				t.Logf("%s from %v: %v", voterID(i), path[v.floor[i]], path[1:])
			}
			t.Fatalf("seed %d: %v was accepted, the next epoch goes on from %v, stated by %v of %d", seed, last, ends, who, n)
		}
	}
	if decided < 200 || split < 10 {
		t.Errorf("%d decided, %d split", decided, split)
	}
}

// accepted is the longest path that a majority read alike.
func (v *voterSet) accepted() []ordering.Position {
	var best []ordering.Position
	for _, path := range v.paths {
		for k := range path {
			by := 0
			for _, o := range v.paths {
				if k < len(o) && o[k] == path[k] {
					by++
				}
			}
			if by >= v.panel.Majority() && k+1 > len(best) {
				best = path[:k+1]
			}
		}
	}
	return best
}

// leads tells whether one position is on the path to another.
func (v *voterSet) leads(from, to ordering.Position) bool {
	for _, path := range v.paths {
		if slices.Contains(path, from) && slices.Contains(path, to) {
			return true
		}
	}
	return false
}

// Statements that are forged, for another machine or epoch, by a stranger or twice, do not count.
func TestDecideCountsVotersOnce(t *testing.T) {
	v := newVoters(3)
	for i := range 3 {
		v.read(i, 5, "a")
	}
	good := v.stand(0, nil, 2)
	forged := v.stand(1, nil, 2)
	forged.Last = v.paths[1][4]
	other := v.stand(1, nil, 3)
	late := v.stand(1, nil, 2)
	late.Last.Epoch = 2
	late.Sign(v.keys[1])
	machine := v.stand(1, nil, 2)
	machine.Machine = "other"
	machine.Sign(v.keys[1])
	for what, s := range map[string]audit.Stand{"twice": good, "forged": forged, "other epoch": other, "read in the epoch": late, "other machine": machine} {
		if d := Decide("m", []audit.Stand{good, s}, v.panel, 2); d.Missing != 1 {
			t.Errorf("%s: %+v", what, d)
		}
	}
	observers := audit.Members{List: slices.Clone(v.panel.List)}
	observers.List[1].Voter = false
	if d := Decide("m", []audit.Stand{good, v.stand(1, nil, 2)}, observers, 2); d.Missing != 1 {
		t.Errorf("observer: %+v", d)
	}
}
