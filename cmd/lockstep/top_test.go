package main

import (
	"testing"
	"time"
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
