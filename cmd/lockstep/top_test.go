package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/cmd/lockstep/screen"
	"lockstep/cmd/lockstep/screen/screentest"
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

// A node that does not answer is shown if a machine of another one counts on its vote, once for all of those.
func TestSilentNodes(t *testing.T) {
	hosted := func(voters ...audit.ReplicaID) []admin.Node {
		var m admin.Machine
		for _, id := range voters {
			m.Info.Members.List = append(m.Info.Members.List, audit.Member{ID: id, Voter: id != "observer"})
		}
		return []admin.Node{{Name: "a", Machine: []admin.Machine{m}}}
	}
	heard := []admin.Node{{Name: "a"}, {Name: "late"}} // which answered only the first question
	by := map[ordering.Name][]admin.Node{"kv": hosted("a", "c", "b"), "bank": hosted("a", "c", "observer", "late"), "own": hosted("a"), "unknown": nil}
	rows := silentNodes(heard, by)
	var text strings.Builder
	if err := writeNodes(&text, append(nodeRows(heard[:1]), rows...)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(text.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{"b no answer - - - kv", "c no answer - - - bank kv"}
	if !slices.Equal(got[2:], want) || len(rows) != 2 || !rows[0].Silent {
		t.Errorf("%q, want %q below two lines", got, want)
	}
}

// What is on the screen, for replicas that work and that do not, at sizes that have room and that have not. UPDATE=1
// writes it, for a person to read.
func TestTopScreen(t *testing.T) {
	rows := []topRow{
		{Machine: "bank", replicaStatus: replicaStatus{Node: "n1", Phase: "voting", Seq: 4096, Chain: "0123456789abcdef", Stored: 4000, Memory: 1 << 20, LogBytes: 12 << 20}, PerSecond: 812.5},
		{Machine: "bank", replicaStatus: replicaStatus{Node: "n2", Phase: "diverged", Seq: 4096, Lag: 7, Chain: "fedcba9876543210", Stored: 4000, Memory: 1 << 20, LogBytes: 12 << 20,
			Broken: "money is not conserved (code 21)\x1b[2J", BrokenAt: 4095}, Differs: true},
		{Machine: "bank", replicaStatus: replicaStatus{Node: "n3", Phase: silent, Voter: true}},
		{Machine: "kv", replicaStatus: replicaStatus{Node: "n1", Phase: "stopped", Seq: 2, Chain: "00", Problem: "log is not to be had"}},
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var got strings.Builder
	for _, tc := range []struct {
		name  string
		size  screen.Size
		lines []string
	}{
		{"room for all", screen.Size{Columns: 110, Rows: 13}, topLines(now, "nats://127.0.0.1:4222", rows, nil)},
		{"a small window", screen.Size{Columns: 44, Rows: 6}, topLines(now, "nats://127.0.0.1:4222", rows, nil)},
		{"no machine", screen.Size{Columns: 60, Rows: 5}, topLines(now, "nats://127.0.0.1:4222", nil, nil)},
		{"an error", screen.Size{Columns: 60, Rows: 4}, topLines(now, "no server", nil, errors.New("connection is closed"))},
	} {
		vt := screentest.New(tc.size.Columns, tc.size.Rows)
		_, _ = vt.Write([]byte(screen.Open + screen.Frame(tc.lines, tc.size)))
		fmt.Fprintf(&got, "== %s, %d by %d\n%s", tc.name, tc.size.Columns, tc.size.Rows, vt.Text())
		if _, _ = vt.Write([]byte(screen.Close)); vt.Left() != "" {
			t.Errorf("%s: left %s", tc.name, vt.Left())
		}
	}
	const golden = "testdata/top.golden"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the screens are\n%s, want\n%s", got.String(), want)
	}
}
