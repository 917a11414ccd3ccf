package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

func TestTallyNeedsMajority(t *testing.T) {
	var tally audit.Tally[int]
	steps := []struct {
		replica  audit.ReplicaID
		says     int
		decided  bool
		possible bool
	}{
		{"a", 1, false, true},
		{"a", 1, false, true}, // saying it twice is saying it once
		{"b", 2, false, true},
		{"c", 3, false, true},
		{"d", 2, false, true},
		{"e", 2, true, true},
	}
	for i, s := range steps {
		if err := tally.Add(s.replica, s.says); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if _, got := tally.Decided(3); got != s.decided {
			t.Errorf("step %d: decided = %v, want %v", i, got, s.decided)
		}
		if got := tally.Possible(3, 5); got != s.possible {
			t.Errorf("step %d: possible = %v, want %v", i, got, s.possible)
		}
	}
	if got, _ := tally.Decided(3); got != 2 {
		t.Errorf("decided %d, want 2", got)
	}
}

func TestTallyImpossible(t *testing.T) {
	var tally audit.Tally[int]
	for i, r := range []audit.ReplicaID{"a", "b", "c"} {
		if err := tally.Add(r, i); err != nil {
			t.Fatal(err)
		}
	}
	if tally.Possible(2, 3) {
		t.Error("three voters said three things, and a majority still counts as possible")
	}
}

func TestTallyConflict(t *testing.T) {
	var tally audit.Tally[int]
	_ = tally.Add("a", 1)
	var conflict *audit.ConflictError
	if err := tally.Add("a", 2); !errors.As(err, &conflict) || conflict.Replica != "a" {
		t.Fatalf("second statement: err = %v, want a conflict of a", err)
	}
	if s, _ := tally.Stated("a"); s != 1 {
		t.Errorf("stated = %d, want the first statement", s)
	}
}

func TestMajority(t *testing.T) {
	for voters, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 7: 4} {
		m := audit.Members{List: []audit.Member{{ID: "observer"}}}
		for i := range voters {
			m.List = append(m.List, audit.Member{ID: audit.ReplicaID(rune('a' + i)), Voter: true})
		}
		if got := m.Majority(); got != want {
			t.Errorf("majority of %d voters = %d, want %d", voters, got, want)
		}
	}
}

// Every field of a vote is under its signature.
func TestVoteSignature(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	vote := audit.Vote{Machine: "kv", Replica: "n1", Epoch: 1, Seq: 7, Members: 1}
	vote.Sign(key)
	if err := vote.Verify(public); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(*audit.Vote){
		"machine": func(v *audit.Vote) { v.Machine = "other" },
		"replica": func(v *audit.Vote) { v.Replica = "n2" },
		"epoch":   func(v *audit.Vote) { v.Epoch++ },
		"seq":     func(v *audit.Vote) { v.Seq++ },
		"chain":   func(v *audit.Vote) { v.Chain[31] ^= 1 },
		"members": func(v *audit.Vote) { v.Members++ },
		"outputs": func(v *audit.Vote) { v.Outputs[0] ^= 1 },
	}
	for name, change := range changes {
		forged := vote
		change(&forged)
		if err := forged.Verify(public); !errors.Is(err, audit.ErrSignature) {
			t.Errorf("vote with another %s: err = %v, want ErrSignature", name, err)
		}
	}
	if err := vote.Verify(public[:5]); err == nil {
		t.Error("a key of 5 bytes verified a vote")
	}
}

// A record does not pass as a holding, nor the other way round.
func TestStatementsAreSeparate(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	r := audit.Record{Machine: "kv", Replica: "n1"}
	r.Sign(key)
	h := audit.Holding{Machine: "kv", Replica: "n1", Signature: r.Signature}
	if h.Verify(key.Public().(ed25519.PublicKey)) == nil {
		t.Error("signature of a record verified as that of a holding")
	}
}

func TestFormatIsCanonical(t *testing.T) {
	vote := audit.Vote{Machine: "kv", Replica: "n1", Seq: 7, Signature: []byte{1}}
	data := audit.VoteFormat.Encode(vote)
	var back audit.Vote
	if err := audit.VoteFormat.Decode(data, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(audit.VoteFormat.Encode(back), data) {
		t.Error("vote does not encode to the bytes it was decoded from")
	}
	bad := map[string][]byte{
		"empty":         {},
		"other format":  append([]byte("LSA1"), data[4:]...),
		"cut":           data[:len(data)-1],
		"trailing byte": append(bytes.Clone(data), 0),
		// 7 as one byte is the only canonical form of 7.
		"long integer": bytes.Replace(data, []byte{7}, []byte{0x18, 7}, 1),
	}
	for name, b := range bad {
		if err := audit.VoteFormat.Decode(b, &back); err == nil {
			t.Errorf("%s: decoded without an error", name)
		}
	}
}

func FuzzVote(f *testing.F) {
	f.Add(audit.VoteFormat.Encode(audit.Vote{Machine: "kv", Replica: "n1", Seq: 7}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v audit.Vote
		if audit.VoteFormat.Decode(data, &v) == nil && !bytes.Equal(audit.VoteFormat.Encode(v), data) {
			t.Error("decodes, and re-encodes to other bytes")
		}
	})
}

func TestLedger(t *testing.T) {
	var l audit.Ledger
	at := audit.Position{Epoch: 1, Seq: 10}
	good, bad := audit.Digest{1}, audit.Digest{2}
	add := func(replica audit.ReplicaID, seq ordering.Seq, root audit.Digest, stored bool) {
		t.Helper()
		if err := l.Add(audit.Record{Replica: replica, Epoch: 1, Seq: seq, Root: root, Stored: stored}); err != nil {
			t.Fatal(err)
		}
	}
	add("a", 10, good, true)
	add("b", 10, bad, false)
	if d := l.Divergences(at, 2); d != nil {
		t.Errorf("one against one: divergences = %v, want none", d)
	}
	add("c", 10, good, false)
	d := l.Divergences(at, 2)
	if len(d) != 1 || d[0].Replica != "b" || d[0].Majority.Root != good {
		t.Errorf("divergences = %+v, want b alone", d)
	}
	if _, _, ok := l.Stored(2); ok {
		t.Error("one of three has stored it, and it counts as stored")
	}
	add("c", 10, good, true)
	if got, s, ok := l.Stored(2); !ok || got != at || s.Root != good {
		t.Errorf("stored = %v %v %v", got, s, ok)
	}
	l.Forget("b")
	if d := l.Divergences(at, 2); d != nil {
		t.Errorf("after repair: divergences = %v", d)
	}
	// One that states thousands of states of its own pushes out its own.
	for seq := ordering.Seq(11); seq < 2000; seq++ {
		add("b", 1<<40+seq, bad, true)
	}
	if s, ok := l.Judge(at, 2); !ok || s.Root != good {
		t.Error("a flood of one replica's records has pushed out what the others agreed on")
	}
	add("a", 11, good, false)
	add("c", 11, good, false)
	if s, ok := l.Judge(audit.Position{Epoch: 1, Seq: 11}, 2); !ok || s.Root != good {
		t.Error("a flood of one replica's records keeps those of others out")
	}
	for seq := ordering.Seq(12); seq < 1000; seq++ {
		add("a", seq, good, false)
		add("c", seq, good, false)
	}
	if _, ok := l.Stated(at, "a"); ok {
		t.Error("a ledger that is full still has its oldest position")
	}
}
