package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
)

func keyOf(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
}

func panelOf(n int) audit.Members {
	m := audit.Members{Seq: 3, Mode: audit.Majority}
	for i := range n {
		m.List = append(m.List, audit.Member{ID: nameOf(i), Key: keyOf(i).Public().(ed25519.PublicKey), Voter: true})
	}
	return m
}

func nameOf(i int) audit.ReplicaID { return audit.ReplicaID(fmt.Sprint("n", i)) }

// record is what replica i states at seq 12, with a root.
func record(i int, root byte, change ...func(*audit.Record)) audit.Record {
	r := audit.Record{Machine: "kv", Replica: nameOf(i), Epoch: 1, Seq: 12, Chain: ordering.Chain{0xab}, Members: 3, Root: audit.Digest{root}}
	for _, f := range change {
		f(&r)
	}
	r.Sign(keyOf(i))
	return r
}

func vote(i int, outputs byte, change ...func(*audit.Vote)) audit.Vote {
	v := audit.Vote{Machine: "kv", Replica: nameOf(i), Epoch: 1, Seq: 12, Chain: ordering.Chain{0xab}, Members: 3, Outputs: audit.Digest{outputs}}
	for _, f := range change {
		f(&v)
	}
	v.Sign(keyOf(i))
	return v
}

func encoded(r audit.Record) []byte   { return audit.RecordFormat.Encode(r) }
func encodedVote(v audit.Vote) []byte { return audit.VoteFormat.Encode(v) }

func contradiction() audit.Evidence {
	return audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 9)))
}

func refutation(by int) audit.Evidence {
	e := audit.Evidence{Machine: "kv", Replica: "n2", Kind: audit.Refutation, Statements: [][]byte{encoded(record(2, 9))}}
	for i := range by {
		e.Statements = append(e.Statements, encoded(record(i, 1)))
	}
	return e
}

// What does show that a replica was at fault.
func TestEvidenceShows(t *testing.T) {
	otherChain := func(v *audit.Vote) { v.Chain[0] = 1 }
	for name, e := range map[string]audit.Evidence{
		"two roots":                contradiction(),
		"two outputs":              audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encodedVote(vote(2, 9))),
		"two chains":               audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encodedVote(vote(2, 1, otherChain))),
		"a vote and another chain": audit.Contradict("kv", "n2", encodedVote(vote(2, 1, otherChain)), encoded(record(2, 1))),
		"the majority's root":      refutation(2),
	} {
		back, err := audit.DecodeEvidence(e.Encode())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fault, err := back.Verify(panelOf(3))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fault.Replica != "n2" || fault.Machine != "kv" || fault.At != (audit.Position{Epoch: 1, Seq: 12}) {
			t.Errorf("%s shows %+v", name, fault)
		}
		if e.Kind == audit.Refutation && fmt.Sprint(fault.By) != "[n0 n1]" {
			t.Errorf("%s: by %v", name, fault.By)
		}
	}
	// The replica may have lost its vote, and the membership another seq: a
	// contradiction needs the key alone.
	later := panelOf(3)
	later.Seq, later.List[2].Voter = 99, false
	if _, err := contradiction().Verify(later); err != nil {
		t.Errorf("contradiction of a former voter: %v", err)
	}
}

// Whatever is made up or changed shows nothing.
func TestEvidenceForged(t *testing.T) {
	members := panelOf(3)
	stolen := record(0, 9) // signed by n0, and put into n2's mouth
	stolen.Replica = "n2"
	unsigned := record(2, 9)
	unsigned.Signature = nil
	swapped := contradiction()
	swapped.Statements[0], swapped.Statements[1] = swapped.Statements[1], swapped.Statements[0]
	kind := contradiction()
	kind.Kind = 3
	otherKind := refutation(2)
	otherKind.Kind = audit.Contradiction
	accused := refutation(2)
	accused.Replica = "n1"
	twice := refutation(1)
	twice.Statements = append(twice.Statements, twice.Statements[1])
	stored := func(r *audit.Record) { r.Stored = true }
	events := vote(2, 1)
	events.Outputs = audit.Digest{9}
	events.SignEvents(keyOf(2))
	later := panelOf(3)
	later.Seq = 4
	observer := panelOf(3)
	observer.List[1].Voter = false
	mixed := func(extra ...[]byte) audit.Evidence {
		e := refutation(1)
		e.Statements = append(e.Statements, extra...)
		return e
	}
	for name, c := range map[string]struct {
		e       audit.Evidence
		members audit.Members
	}{
		"one statement":              {audit.Evidence{Machine: "kv", Replica: "n2", Kind: audit.Contradiction, Statements: [][]byte{encoded(record(2, 1))}}, members},
		"the same twice":             {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 1))), members},
		"the same, now stored":       {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 1, stored))), members},
		"another's signature":        {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(stolen)), members},
		"no signature":               {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(unsigned)), members},
		"two seqs":                   {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 9, func(r *audit.Record) { r.Seq++ }))), members},
		"two epochs":                 {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 9, func(r *audit.Record) { r.Epoch++ }))), members},
		"two machines":               {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(2, 9, func(r *audit.Record) { r.Machine = "bank" }))), members},
		"another machine":            {audit.Contradict("bank", "n2", encoded(record(2, 1)), encoded(record(2, 9))), members},
		"two replicas":               {audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(record(1, 9))), members},
		"another accused":            {audit.Contradict("kv", "n1", encoded(record(2, 1)), encoded(record(2, 9))), members},
		"a stranger":                 {audit.Contradict("kv", "n7", encoded(record(7, 1)), encoded(record(7, 9))), members},
		"another order":              {swapped, members},
		"another kind":               {kind, members},
		"the other kind":             {otherKind, members},
		"a vote and a record":        {audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encoded(record(2, 9))), members},
		"a vote and one on events":   {audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encodedVote(events)), members},
		"no majority":                {refutation(1), members},
		"one voter twice":            {twice, members},
		"an observer counted":        {refutation(2), observer},
		"another membership":         {refutation(2), later},
		"more voters":                {refutation(2), panelOf(5)},
		"an accused of the majority": {accused, members},
		"itself among the majority":  {mixed(encoded(record(2, 1))), members},
		"a majority of two minds":    {mixed(encoded(record(1, 5))), members},
		"the majority's own root":    {audit.Evidence{Machine: "kv", Replica: "n2", Kind: audit.Refutation, Statements: [][]byte{encoded(record(2, 1)), encoded(record(0, 1)), encoded(record(1, 1))}}, members},
		"a vote in the majority":     {mixed(encodedVote(vote(1, 5))), members},
		"bytes":                      {mixed([]byte("LSA1")), members},
		"no members":                 {contradiction(), audit.Members{Seq: 3}},
	} {
		e, err := audit.DecodeEvidence(c.e.Encode())
		if err == nil {
			if _, err = e.Verify(c.members); !errors.Is(err, audit.ErrNoEvidence) {
				t.Errorf("%s: %v, want ErrNoEvidence", name, err)
			}
		} else if name != "one statement" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The ledger gives out what its records show, and nothing where they show nothing.
func TestLedgerEvidence(t *testing.T) {
	var l audit.Ledger
	at := audit.Position{Epoch: 1, Seq: 12}
	add := func(r audit.Record) bool {
		e, ok := l.Contradiction(r)
		if _, err := e.Verify(panelOf(3)); ok && err != nil {
			t.Errorf("contradiction of %s: %v", r.Replica, err)
		}
		_ = l.Add(r)
		return ok
	}
	bare := record(1, 1)
	bare.Signature = nil
	for _, r := range []audit.Record{record(2, 9), record(2, 9), bare, record(0, 1)} {
		if add(r) {
			t.Error("evidence of nothing")
		}
	}
	if _, ok := l.Refutation(at, "n2", panelOf(3)); ok {
		t.Error("refuted by one record that is signed and one that is not")
	}
	if !add(record(2, 1, func(r *audit.Record) { r.Stored = true })) {
		t.Error("two roots are no contradiction")
	}
	_ = l.Add(record(1, 1))
	e, ok := l.Refutation(at, "n2", panelOf(3))
	if _, err := e.Verify(panelOf(3)); !ok || err != nil {
		t.Errorf("refutation: %v, %v", ok, err)
	}
	if _, ok := l.Refutation(at, "n1", panelOf(3)); ok {
		t.Error("one of the majority is refuted")
	}
	l.Forget("n2")
	if _, ok := l.Refutation(at, "n2", panelOf(3)); ok {
		t.Error("refuted by what was forgotten")
	}
}

// The vectors are for other implementations: hex of the membership, and of
// evidence and whether it shows a fault, a line each. UPDATE=1 writes them.
func TestEvidenceVectors(t *testing.T) {
	var b strings.Builder
	members := panelOf(3)
	fmt.Fprintf(&b, "members %x\n", canonical.Format("LSM2").Encode(members))
	stolen := record(0, 9)
	stolen.Replica = "n2"
	for _, e := range []audit.Evidence{
		contradiction(), refutation(2), audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encodedVote(vote(2, 9))),
		refutation(1), audit.Contradict("kv", "n2", encoded(record(2, 1)), encoded(stolen)), audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encoded(record(2, 1))),
	} {
		_, err := e.Verify(members)
		fmt.Fprintf(&b, "evidence %v %x\n", err == nil, e.Encode())
	}
	const file = "testdata/evidence.txt"
	if os.Getenv("UPDATE") != "" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(b.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("vectors differ from %s:\n%s", file, b.String())
	}
}

// Whatever decodes re-encodes, and only what the replica signed convicts it.
func FuzzEvidence(f *testing.F) {
	members := panelOf(3)
	for _, e := range []audit.Evidence{contradiction(), refutation(1), refutation(2), audit.Contradict("kv", "n2", encodedVote(vote(2, 1)), encodedVote(vote(2, 9)))} {
		f.Add(e.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := audit.DecodeEvidence(data)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Encode(), data) {
			t.Error("decodes, and re-encodes to other bytes")
		}
		if fault, err := e.Verify(members); err == nil && fault.Replica != "n2" {
			t.Errorf("convicts %s, who signed nothing wrong", fault.Replica)
		}
	})
}
