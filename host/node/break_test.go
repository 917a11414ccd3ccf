package node

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// A replica that answers often, for others, or for another machine, takes nobody's place.
func TestHearing(t *testing.T) {
	var panel audit.Members
	keys := make(map[audit.ReplicaID]ed25519.PrivateKey)
	for _, id := range []audit.ReplicaID{"n1", "n2", "n3", "n4"} {
		public, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		keys[id] = key
		panel.List = append(panel.List, audit.Member{ID: id, Key: public, Voter: id != "n4"})
	}
	stand := func(machine string, id, by audit.ReplicaID, last ordering.Seq) []byte {
		s := audit.Stand{Machine: machine, Replica: id, Last: ordering.Position{Epoch: 1, Seq: last}}
		s.Sign(keys[by])
		return audit.StandFormat.Encode(s)
	}
	h := hearing{machine: "m", self: "n1", panel: panel, counts: func(s *audit.Stand) bool { return s.Last.Seq < 100 }}
	for _, data := range [][]byte{
		nil, []byte("garbage"),
		stand("m", "n1", "n1", 1),     // itself
		stand("m", "n4", "n4", 1),     // no voter
		stand("m", "n3", "n2", 1),     // signed by another
		stand("other", "n2", "n2", 1), // of another machine
		stand("m", "n2", "n2", 100),   // does not count
		stand("m", "n2", "n2", 2),
		stand("m", "n2", "n2", 3), // once more
	} {
		h.take(data)
		if h.whole() {
			t.Fatal("all have spoken, without n3")
		}
	}
	h.take(stand("m", "n3", "n3", 4))
	if !h.whole() || len(h.stands) != 2 || h.stands[0].Last.Seq != 2 || h.stands[1].Replica != "n3" {
		t.Errorf("heard %v", h.stands)
	}
}

// What is larger than any replica says that means well is not looked at, however well it is signed: each of its positions
// would be looked up.
func TestStandsAreBounded(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		points, asked, reason int
		want                  bool
	}{
		"as much as there may be": {audit.MaxPoints, audit.MaxPoints, audit.MaxReason, true},
		"too many positions":      {audit.MaxPoints + 1, 0, 0, false},
		"too many questions":      {0, audit.MaxPoints + 1, 0, false},
		"too long a reason":       {0, 0, audit.MaxReason + 1, false},
	} {
		by := audit.Stand{Machine: "m", Replica: "n2", Points: make([]ordering.Position, c.points), Reason: strings.Repeat("x", c.reason)}
		by.Sign(key)
		r := &Replica{name: "m", id: "n1", stands: make(chan standMessage, 1)}
		r.promised.Store(&promise{})
		r.receiveStand(&nats.Msg{Data: epochs.StandAskFormat.Encode(epochs.StandAsk{By: by, Points: make([]ordering.Seq, c.asked)})})
		if got := len(r.stands) == 1; got != c.want {
			t.Errorf("%s: looked at is %v, want %v", name, got, c.want)
		}
		h := hearing{machine: "m", self: "n1", panel: audit.Members{List: []audit.Member{{ID: "n2", Key: public, Voter: true}}}, counts: func(*audit.Stand) bool { return true }}
		h.take(audit.StandFormat.Encode(by))
		if got := len(h.stands) == 1; got != (c.want || c.asked > 0) {
			t.Errorf("%s: heard is %v", name, got)
		}
	}
}
