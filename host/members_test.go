package host

import (
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

// A membership grows up to its bound, by voters and observers alike; one that is full still changes.
func TestMembersAreBounded(t *testing.T) {
	member := func(i int, voter bool) audit.Member {
		return audit.Member{ID: audit.ReplicaID(fmt.Sprintf("r%02d", i)), Key: make([]byte, 32), Voter: voter}
	}
	m := audit.Members{Seq: 1, List: []audit.Member{member(0, true)}}
	var err error
	for i := 1; i < maxMembers; i++ {
		if m, err = join(m, member(i, i%2 == 0), ordering.Seq(1+i)); err != nil {
			t.Fatalf("member %d of %d: %v", i+1, maxMembers, err)
		}
	}
	for _, voter := range []bool{true, false} {
		if next, err := join(m, member(maxMembers, voter), 90); err == nil || next.Seq != m.Seq || len(next.List) != maxMembers {
			t.Errorf("one member more, a voter: %v: %d members since %d, %v", voter, len(next.List), next.Seq, err)
		}
	}
	if m, err = join(m, member(1, true), 91); err != nil || m.Seq != 91 || len(m.List) != maxMembers {
		t.Errorf("an observer of a full membership that becomes a voter: %d members since %d, %v", len(m.List), m.Seq, err)
	}
	if m, err = quit(m, "r01", 92); err != nil {
		t.Fatal(err)
	}
	if m, err = join(m, member(maxMembers, false), 93); err != nil || len(m.List) != maxMembers {
		t.Errorf("in place of one that left: %d members, %v", len(m.List), err)
	}
}
