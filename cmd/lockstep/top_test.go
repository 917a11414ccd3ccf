package main

import (
	"strings"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/host/admin"
	"lockstep/ordering"
)

func TestTopRows(t *testing.T) {
	top := &top{last: make(map[topKey]topSeen)}
	now := time.Now()
	replicas := []replicaStatus{{Node: "a", Seq: 10, Chain: "x"}, {Node: "b", Seq: 10, Chain: "y"}, {Node: "c", Seq: 9, Chain: "z"}}
	rows := top.rows("m", replicas, now)
	if !rows[0].Differs || !rows[1].Differs || rows[2].Differs || rows[0].PerSecond != 0 {
		t.Errorf("first look: %+v", rows)
	}
	replicas[0].Seq, replicas[1].Seq, replicas[2].Seq = 30, 10, 5
	rows = top.rows("m", replicas, now.Add(2*time.Second))
	if rows[0].PerSecond != 10 || rows[1].PerSecond != 0 || rows[2].PerSecond != 0 || rows[0].Differs {
		t.Errorf("second look: %+v", rows)
	}
}

// A voter that does not answer is shown, by the newest membership that is known; one that votes no longer is not.
func TestSilentVoters(t *testing.T) {
	members := func(voters ...audit.ReplicaID) (m audit.Members) {
		for _, id := range voters {
			m.List = append(m.List, audit.Member{ID: id, Voter: true})
		}
		return m
	}
	replica := func(seq ordering.Seq, m audit.Members) (a []admin.Machine) {
		a = make([]admin.Machine, 1)
		a[0].Info.Seq, a[0].Info.Members = seq, m
		return a
	}
	all := []admin.Node{{Name: "b", Machine: replica(5, members("a", "b", "gone"))}, {Name: "a", Machine: replica(9, members("a", "b", "c"))}}
	rows := replicaRows(all)
	if len(rows) != 3 || rows[2].Node != "c" || rows[2].Phase != silent || !rows[2].Voter {
		t.Fatalf("rows %+v", rows)
	}
	top := &top{last: make(map[topKey]topSeen)}
	for _, row := range top.rows("m", []replicaStatus{{Node: "a", Chain: "x"}, rows[2]}, time.Now()) {
		if row.Differs {
			t.Errorf("%s differs, from one that did not answer", row.Node)
		}
	}
	var text strings.Builder
	if err := writeReplicas(&text, "kv", rows); err != nil || !strings.Contains(text.String(), "c     no answer") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
