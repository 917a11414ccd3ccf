package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/host/admin"
)

// keptAgainst is what a node keeps of a replica that signed two roots.
func keptAgainst(replica audit.ReplicaID, seed byte) audit.Kept {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	state := func(root byte) []byte {
		r := audit.Record{Machine: "kv", Replica: replica, Epoch: 1, Seq: 256, Members: 1, Root: audit.Digest{root}}
		r.Sign(key)
		return audit.RecordFormat.Encode(r)
	}
	members := audit.Members{Seq: 1, List: []audit.Member{{ID: replica, Key: key.Public().(ed25519.PublicKey), Voter: true}}}
	return audit.Kept{Found: int64(seed), Members: members, Evidence: audit.Contradict("kv", replica, state(1), state(2)).Encode()}
}

func nodeKeeping(name audit.ReplicaID, list ...audit.Kept) admin.Node {
	m := admin.Machine{}
	for _, k := range list {
		m.Evidence = append(m.Evidence, audit.KeptFormat.Encode(k))
	}
	return admin.Node{Name: name, Machine: []admin.Machine{m}}
}

// verifyFiles runs 'lockstep verify'.
func verifyFiles(proof, members string) (string, error) {
	var out strings.Builder
	root := command(&remote{})
	root.SetOut(&out)
	root.SetArgs([]string{"verify", proof, "--members", members})
	err := root.Execute()
	return out.String(), err
}

// Evidence that nodes keep is shown once, and written to files that verify
// offline; one byte changed, they do not.
func TestEvidenceFiles(t *testing.T) {
	k := keptAgainst("n3", 3)
	rows, err := faultsOf("kv", []admin.Node{nodeKeeping("n1", k), nodeKeeping("n2", k), {Name: "n4"}})
	if err != nil || len(rows) != 1 || len(rows[0].KeptBy) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	dir := filepath.Join(t.TempDir(), "found")
	if err := writeEvidence(dir, rows); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := showFaults(&text, rows); err != nil || !strings.Contains(text.String(), "lockstep verify "+rows[0].File) {
		t.Errorf("shows %q, %v", text.String(), err)
	}
	members := filepath.Join(dir, "members.1")
	if out, err := verifyFiles(rows[0].File, members); err != nil || !strings.Contains(out, "valid: replica n3 of kv was at fault at epoch 1, seq 256") {
		t.Errorf("verify says %q, %v", out, err)
	}
	data, err := os.ReadFile(rows[0].File)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	forged := filepath.Join(dir, "forged")
	if err := os.WriteFile(forged, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verifyFiles(forged, members); err == nil {
		t.Errorf("forged evidence verifies: %q", out)
	}
	if err := showFaults(&text, nil); err != nil || !strings.Contains(text.String(), "no evidence") {
		t.Error("nothing is said of no evidence")
	}
}

// A node that answers with what shows nothing, or whose names are paths, is told.
func TestEvidenceOfHostileNode(t *testing.T) {
	cut := keptAgainst("n3", 3)
	cut.Evidence = cut.Evidence[:40]
	other := keptAgainst("n3", 3)
	other.Members = keptAgainst("n3", 4).Members
	for name, k := range map[string]audit.Kept{"a path": keptAgainst("../../n3", 3), "cut": cut, "other keys": other} {
		rows, err := faultsOf("kv", []admin.Node{nodeKeeping("n1", k)})
		if err == nil || len(rows) != 0 {
			t.Errorf("%s: %+v, %v", name, rows, err)
		}
	}
	if rows, err := faultsOf("bank", []admin.Node{nodeKeeping("n1", keptAgainst("n3", 3))}); err == nil || len(rows) != 0 {
		t.Errorf("another machine's: %+v, %v", rows, err)
	}
}
