package node

import (
	"crypto/ed25519"
	"log/slog"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

// What shows no fault is not counted against anybody, also where there is enough against its replica already.
func TestForgedEvidenceIsNotCounted(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openEvidence(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store.counts["n2"] = Faults{Kept: maxFaults}
	members := audit.Members{Seq: 1, List: []audit.Member{{ID: "n2", Key: public, Voter: true}}}
	r := &Replica{name: "m", id: "n1", evidence: store, panels: map[ordering.Seq]audit.Members{1: members}, logger: slog.New(slog.DiscardHandler)}
	vote := func(seq ordering.Seq, output byte) []byte {
		v := audit.Vote{Machine: "m", Replica: "n2", Epoch: 1, Seq: seq, Members: 1, Outputs: audit.Digest{output}}
		v.Sign(key)
		return audit.VoteFormat.Encode(v)
	}
	forged := vote(2, 2)
	forged[len(forged)-1] ^= 1
	for _, tc := range []struct {
		name     string
		evidence audit.Evidence
		more     uint64
	}{
		{"a forged signature", audit.Contradict("m", "n2", vote(2, 1), forged), 0},
		{"another replica's", audit.Contradict("m", "n3", vote(2, 1), vote(2, 2)), 0},
		{"a fault", audit.Contradict("m", "n2", vote(2, 1), vote(2, 2)), 1},
	} {
		r.weigh(tc.evidence.Encode())
		if got := r.Faults(); got["n2"].More != tc.more || len(got) != 1 {
			t.Errorf("after %s: %v", tc.name, got)
		}
	}
}
