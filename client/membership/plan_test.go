package membership

import (
	"errors"
	"slices"
	"strings"
	"testing"

	njs "github.com/nats-io/nats.go/jetstream"
)

// While servers elect, nothing is known of the copies, and nothing may be changed: the leader that is missing is not
// a server that is gone.
func TestCopies(t *testing.T) {
	in := &njs.StreamInfo{Config: njs.StreamConfig{Replicas: 3}, Cluster: &njs.ClusterInfo{
		Replicas: []*njs.PeerInfo{{Name: "b", Current: true}, {Name: "c"}},
	}}
	if got, err := copiesOf(in); !errors.Is(err, errNoLeader) {
		t.Errorf("without a leader the copies are %+v, %v, want errNoLeader", got, err)
	}
	in.Cluster.Leader = "a"
	got, err := copiesOf(in)
	if err != nil || got.replicas != 3 || !slices.Equal(got.keepers, []string{"a", "b", "c"}) || !slices.Equal(got.behind, []string{"c"}) {
		t.Errorf("copies are %+v, %v, want a, b and c of 3, c behind", got, err)
	}
}

func TestWanted(t *testing.T) {
	for _, c := range [][3]int{{0, 0, 1}, {1, 1, 1}, {1, 5, 1}, {2, 5, 1}, {3, 3, 3}, {3, 2, 1}, {4, 4, 3}, {5, 5, 5}, {5, 4, 3}, {31, 31, 5}} {
		if got := wanted(c[0], c[1]); got != c[2] {
			t.Errorf("%d voters, %d servers: %d copies, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name     string
		voters   string
		replicas int
		keepers  string // the leader first
		running  string
		leaver   string
		want     action
	}{
		{"nothing to do", "a b c", 3, "a b c", "a b c", "", action{}},
		{"one voter of three servers", "a", 1, "a", "a b c", "", action{}},
		{"second voter", "a b", 1, "a", "a b c", "", action{}},
		{"third voter", "a b c", 1, "a", "a b c", "", action{replicas: 3}},
		{"third voter without a server", "a b c", 1, "a", "a b", "", action{}},
		{"a voter is down", "a b c", 3, "a b c", "a b", "", action{}},
		{"fifth voter", "a b c d e", 3, "a b c", "a b c d e", "", action{replicas: 5}},
		{"from five to four", "a b c d", 5, "a b c d e", "a b c d e", "", action{replicas: 3}},
		{"another's copy", "a b c", 3, "a b e", "a b c d e", "", action{}},
		{"the leaver's copy", "a b c", 3, "a b e", "a b c d e", "e", action{remove: "e"}},
		{"the leaver keeps none", "a b c", 3, "a b c", "a b c d e", "e", action{}},
		{"nobody else is there", "a b", 1, "e", "e", "e", action{}},
		{"the last copy is the leaver's, which runs", "b", 1, "a", "a b", "a", action{remove: "a"}},
		{"the last copy is the leaver's, which is gone", "b", 1, "a", "b", "a", action{}},
		{"gone, and one is free", "a b d", 3, "a b c", "a b d", "", action{remove: "c", gone: true}},
		{"gone, and none is free", "a b", 3, "a b c", "a b", "", action{replicas: 1}},
		{"gone, of five", "a b c d", 5, "a b c d e", "a b c d", "", action{replicas: 3}},
		{"no server is known", "a b c", 3, "a b c", "", "", action{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := copies{replicas: c.replicas, keepers: strings.Fields(c.keepers)}
			if got := plan(strings.Fields(c.voters), have, strings.Fields(c.running), c.leaver); got != c.want {
				t.Errorf("plan is %+v, want %+v", got, c.want)
			}
		})
	}
}
