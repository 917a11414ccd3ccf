package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/local"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// state says that the impostor's replica has a root at a seq.
func (p *impostor) state(seq ordering.Seq, root byte) {
	p.t.Helper()
	r := audit.Record{
		Machine: p.info.Machine, Replica: p.id, Epoch: p.info.Epoch, Seq: seq, Chain: p.info.Chain,
		Members: p.info.Members.Seq, Root: audit.Digest{root},
	}
	r.Sign(p.key)
	p.publish(host.AuditSubject(p.info.Machine), audit.RecordFormat.Encode(r))
}

func (p *impostor) publish(subject string, data []byte) {
	p.t.Helper()
	if err := errors.Join(p.conn.Publish(subject, data), p.conn.Flush()); err != nil {
		p.t.Fatal(err)
	}
}

// kept is how much evidence against the last replica a node keeps, and how many bytes all of it has on disk.
func kept(t *testing.T, c *local.Cluster, dir string, i int) (faults uint32, size int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, string(c.Name(i)), "node", "machines", "kv", "evidence", "*.evidence"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		size += len(data)
	}
	return c.Node(i).Replica("kv").Faults()[c.Name(c.Len()-1)].Kept, size
}

// A replica that signs two states for one seq, and one that the others refute, is convicted on every node, durably,
// by evidence that verifies with nobody asked; what is forged convicts nobody, and a flood of it fills no disk.
func TestEvidenceOfLiar(t *testing.T) {
	dir := t.TempDir()
	c := startIn(t, dir, "kv", nil)
	cl := connect(t, c, "kv")
	deploy(t, c, cl, kv.V2, host.Config{AuditEvery: 4, CheckpointEvery: 1 << 20})
	seq := call(t, cl, kv.Put("k", []byte("v"))).Seq
	await(t, "the write at the last node", func() bool { return c.Node(2).Replica("kv").Info().Seq >= seq })
	members, err := cl.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	p := replace(t, c, dir, "kv")
	for i := range 2 {
		if n, _ := kept(t, c, dir, i); n != 0 {
			t.Errorf("there is evidence against an honest replica on node %d", i)
		}
	}
	// A contradiction: two roots for one seq.
	p.state(seq, 1)
	p.state(seq, 2)
	awaitFaults(t, c, dir, 1)
	// A refutation: another root than the two others, at a seq to come.
	next := seq/4*4 + 8
	p.state(next, 3)
	for call(t, cl, kv.Put("k", []byte("w"))).Seq < next {
		continue
	}
	awaitFaults(t, c, dir, 2)
	kinds := make(map[audit.EvidenceKind]bool)
	for i := range 2 {
		for _, k := range c.Node(i).Replica("kv").Evidence() {
			e, err := audit.DecodeEvidence(k.Evidence)
			if err != nil {
				t.Fatal(err)
			}
			fault, err := e.Verify(members)
			if err != nil || fault.Replica != p.id {
				t.Errorf("node %d keeps evidence against %q: %v", i, fault.Replica, err)
			}
			kinds[fault.Kind] = true
		}
	}
	if len(kinds) != 2 {
		t.Errorf("evidence is of kinds %v, want both", kinds)
	}
	// A client that was told two things by one replica hands that in; what does not show a fault is dropped.
	lie := func(seq ordering.Seq, output byte) []byte {
		v := audit.Vote{Machine: "kv", Replica: p.id, Epoch: 1, Seq: seq, Members: members.Seq, Outputs: audit.Digest{output}}
		v.Sign(p.key)
		return audit.VoteFormat.Encode(v)
	}
	forged := lie(seq+1, 5)
	forged[len(forged)-1] ^= 1
	p.publish(protocol.EvidenceSubject("kv"), audit.Contradict("kv", p.id, lie(seq+1, 4), forged).Encode())
	p.publish(protocol.EvidenceSubject("kv"), audit.Contradict("kv", "n1", lie(seq+1, 4), lie(seq+1, 5)).Encode())
	p.publish(protocol.EvidenceSubject("kv"), bytes.Repeat([]byte("LSd1"), 1000))
	p.publish(protocol.EvidenceSubject("kv"), audit.Contradict("kv", p.id, lie(seq+2, 4), lie(seq+2, 5)).Encode())
	awaitFaults(t, c, dir, 3)
	for i := range 2 {
		if all := c.Node(i).Replica("kv").Evidence(); len(all) != 3 {
			t.Errorf("node %d keeps %d pieces of evidence, want 3: what is forged is none", i, len(all))
		}
	}
	// Lies without end.
	for i := range ordering.Seq(100) {
		p.state(seq+1000+i, 1)
		p.state(seq+1000+i, 2)
	}
	awaitFaults(t, c, dir, 16)
	call(t, cl, kv.Put("k", []byte("x"))) // and the machine goes on
	for i := range 2 {
		if n, size := kept(t, c, dir, i); n != 16 || size > 64<<10 {
			t.Errorf("node %d keeps %d faults in %d bytes, want 16 in at most 64 KiB", i, n, size)
		}
	}
	// A restart loses none of it.
	before := c.Node(0).Replica("kv").Evidence()
	c.Kill(0)
	if err := c.Restart(within(t, patience), 0); err != nil {
		t.Fatal(err)
	}
	after := c.Node(0).Replica("kv").Evidence()
	if len(after) != len(before) {
		t.Fatalf("%d pieces of evidence after a restart, %d before", len(after), len(before))
	}
	for i := range after {
		if !bytes.Equal(after[i].Evidence, before[i].Evidence) {
			t.Errorf("piece %d is another after a restart", i)
		}
	}
}

func awaitFaults(t *testing.T, c *local.Cluster, dir string, want uint32) {
	t.Helper()
	await(t, "evidence on both nodes", func() bool {
		n, _ := kept(t, c, dir, 0)
		m, _ := kept(t, c, dir, 1)
		return n >= want && m >= want
	})
}
