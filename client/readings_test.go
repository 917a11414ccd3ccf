package client

import (
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

func reading(i int, seq, members ordering.Seq, output string) (protocol.ReadAnswer, host.Receipts) {
	receipts := host.Receipts{{Number: 1, Output: []byte(output)}}
	a := protocol.ReadAnswer{Receipts: host.ReceiptsFormat.Encode(receipts)}
	a.Reading = audit.Reading{Machine: "kv", Replica: replica(i), Epoch: 1, Seq: seq, Members: members, Outputs: protocol.ReadDigest(a.Receipts)}
	a.Reading.Chain[0] = byte(seq)
	a.Reading.Sign(key(i))
	return a, receipts
}

// The read index is the highest seq of a majority, the lowest such majority,
// and there is none before a majority has spoken.
func TestReadIndex(t *testing.T) {
	for name, test := range map[string]struct {
		voters int
		seqs   []ordering.Seq
		index  ordering.Seq
		ok     bool
	}{
		"nobody":             {3, nil, 0, false},
		"one of three":       {3, []ordering.Seq{9}, 0, false},
		"two of three":       {3, []ordering.Seq{4, 9}, 9, true},
		"three of three":     {3, []ordering.Seq{4, 9, 7}, 7, true},
		"three of five":      {5, []ordering.Seq{1, 2, 3}, 3, true},
		"five of five":       {5, []ordering.Seq{5, 1, 4, 2, 3}, 3, true},
		"one alone":          {1, []ordering.Seq{6}, 6, true},
		"two of four":        {4, []ordering.Seq{6, 6}, 0, false},
		"a majority at once": {3, []ordering.Seq{6, 6}, 6, true},
	} {
		s := newReadings("kv", audit.Digest{}, panel(1, test.voters))
		for i, seq := range test.seqs {
			s.add(reading(i, seq, 1, "x"))
		}
		if index, ok := s.index(); ok != test.ok || ok && index != test.index {
			t.Errorf("%s: index %d, %v, want %d, %v", name, index, ok, test.index, test.ok)
		}
	}
}

// What is no voter's fresh and signed word on this machine counts for nothing.
func TestReadingsThatDoNotCount(t *testing.T) {
	s := newReadings("kv", audit.Digest{}, panel(1, 3))
	if a, r := reading(0, 7, 1, "x"); !s.add(a, r) || s.add(a, r) {
		t.Error("a voter counts once")
	}
	for name, change := range map[string]func(*audit.Reading){
		"a stranger":          func(r *audit.Reading) { r.Replica = replica(5); r.Sign(key(5)) },
		"another's name":      func(r *audit.Reading) { r.Replica = replica(2) },
		"an old question":     func(r *audit.Reading) { r.Question[0] = 1; r.Sign(key(1)) },
		"another machine":     func(r *audit.Reading) { r.Machine = "bank"; r.Sign(key(1)) },
		"another membership":  func(r *audit.Reading) { r.Members = 2; r.Sign(key(1)) },
		"a changed statement": func(r *audit.Reading) { r.Seq++ },
		"no signature":        func(r *audit.Reading) { r.Signature = nil },
	} {
		a, r := reading(1, 7, 1, "x")
		change(&a.Reading)
		if s.add(a, r) {
			t.Errorf("%s was counted", name)
		}
	}
	refusal := func(signer int) protocol.ReadAnswer {
		a := protocol.ReadAnswer{Busy: true, Reading: audit.Reading{Machine: "kv", Replica: replica(1)}}
		a.Reading.Sign(key(signer))
		return a
	}
	if s.add(refusal(2), nil) || s.busy[replica(1)] {
		t.Error("one voter refused in another's name")
	}
	if other := newReadings("kv", audit.Digest{}, panel(1, 3)); !other.add(refusal(1), nil) || !other.busy[replica(1)] || len(other.by) != 0 {
		t.Error("a voter that is busy is not known to be")
	}
	if a, r := reading(1, 7, 1, "y"); !s.add(a, r) {
		t.Error("a second voter does not count")
	}
	if _, ok := s.decided(); ok {
		t.Error("two voters with two outputs decide")
	}
	s.add(reading(2, 7, 1, "y"))
	if r, ok := s.decided(); !ok || string(s.receipts[r.Outputs][0].Output) != "y" {
		t.Error("two of three with one output do not decide")
	}
}
