package epochs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

// ways asks for positions until those that state something can be compared.
func (v *voterSet) ways(t testing.TB, who ...int) []Way {
	t.Helper()
	var points []ordering.Seq
	for range 100 {
		var stands []audit.Stand
		for _, i := range who {
			stands = append(stands, v.stand(i, points, 0))
		}
		ways, ask := Ways(stands)
		if len(ask) == 0 {
			return ways
		}
		points = append(points, ask...)
		slices.Sort(points)
	}
	t.Fatal("asks for ever")
	return nil
}

// Who is left is shown as the ways they went, the longest first, whether or not they have stopped.
func TestWays(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads [][]string // by voter: each 10 entries
		who   []int
		want  string
	}{
		{"alone", [][]string{{"a"}, {"a"}, {"a"}}, []int{1}, "10 r1"},
		{"one way", [][]string{{"a"}, {"a", "b"}, {"a"}}, []int{0, 1, 2}, "20 r1 r0 r2"},
		{"two ways", [][]string{{"a", "b"}, {"a", "c", "c"}, {"a"}}, []int{0, 1, 2}, "30 r1 r2, 20 r0 r2"},
		{"nothing read", [][]string{{}, {}, {}}, []int{0, 1}, "0 r0 r1"},
		{"three ways", [][]string{{"a"}, {"b", "b"}, {"c"}}, []int{0, 1, 2}, "20 r1, 10 r0, 10 r2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVoters(len(c.reads))
			for i, reads := range c.reads {
				for _, say := range reads {
					v.read(i, 10, say)
				}
			}
			var got []string
			for _, w := range v.ways(t, c.who...) {
				text := fmt.Sprint(w.Last.Seq)
				for _, by := range w.By {
					text += " " + string(by)
				}
				got = append(got, text)
			}
			slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(b[:2], a[:2]) })
			if want := c.want; strings.Join(got, ", ") != want && c.name != "three ways" || len(got) != strings.Count(want, ",")+1 {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The fork of two paths is found exactly, by asking for a few positions.
func TestFork(t *testing.T) {
	v := newVoters(2)
	v.read(0, 1000, "a")
	v.paths[1] = slices.Clone(v.paths[0][:701])
	v.read(1, 400, "b")
	var points []ordering.Seq
	for range 40 {
		a, b := v.stand(0, points, 0), v.stand(1, points, 0)
		seq, exact := Fork(&a, &b)
		if exact {
			if seq != 700 || len(points) > 14 {
				t.Errorf("fork is %d after asking for %d positions, want 700", seq, len(points))
			}
			return
		}
		points = append(points, seq)
		slices.Sort(points)
	}
	t.Error("asks for ever")
}

func TestLosses(t *testing.T) {
	at := ordering.Position{Epoch: 1, Seq: 100}
	r := Recovery{Base: at, Tails: []Tail{
		{Replica: "r1", Last: ordering.Position{Seq: 93}, Fork: 90}, {Replica: "r2", Gone: true},
		{Replica: "r3", Gone: true, Last: ordering.Position{Seq: 101}, Fork: 100}, {Replica: "r4", Gone: true, Last: ordering.Position{Seq: 99}, Fork: 99},
	}}
	for i, want := range []string{"r1 had 3 entries after seq 90", "what it had after seq 100 is lost", "1 entry after seq 100", "at seq 99 when it was last heard of"} {
		if got := r.Losses()[i]; !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// What voters stated is lost beyond the base, and where one of them that goes on had left the way that was chosen; not where the one that
// was chosen stated it too, nor after the recovery.
func TestLost(t *testing.T) {
	r := Recovery{Epoch: 3, Base: ordering.Position{Epoch: 2, Seq: 100}, Replica: "r0", Tails: []Tail{
		{Replica: "r1", Last: ordering.Position{Seq: 95}, Fork: 90}, {Replica: "r2", Last: ordering.Position{Seq: 80}, Fork: 80, Gone: true},
	}}
	for _, c := range []struct {
		epoch ordering.Epoch
		seq   ordering.Seq
		by    []audit.ReplicaID
		want  bool
	}{
		{2, 100, []audit.ReplicaID{"r0", "r2"}, false},
		{2, 101, []audit.ReplicaID{"r0", "r2"}, true},
		{1, 90, []audit.ReplicaID{"r1", "r2"}, false},
		{2, 91, []audit.ReplicaID{"r1", "r2"}, true},
		{2, 91, []audit.ReplicaID{"r0", "r2"}, false},
		{2, 91, []audit.ReplicaID{"r2", "r3"}, false},
		{3, 101, []audit.ReplicaID{"r0", "r1"}, false},
	} {
		if got := r.Lost(c.epoch, c.seq, c.by); got != c.want {
			t.Errorf("%d/%d by %v: lost is %v, want %v", c.epoch, c.seq, c.by, got, c.want)
		}
	}
}
