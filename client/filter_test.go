package client

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

func key(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
}

// panel is a membership of n voters, r0 to rn, made at an entry.
func panel(seq ordering.Seq, n int) audit.Members {
	m := audit.Members{Seq: seq}
	for i := range n {
		m.List = append(m.List, audit.Member{ID: replica(i), Key: key(i).Public().(ed25519.PublicKey), Voter: true})
	}
	return m
}

func replica(i int) audit.ReplicaID { return audit.ReplicaID(fmt.Sprintf("r%d", i)) }

// answer is what replica i says that the entry at seq put out.
func answer(i int, seq, members ordering.Seq, output string) (protocol.Answer, host.Receipts) {
	receipts := host.Receipts{{Number: 1, Output: []byte(output)}}
	a := protocol.Answer{Receipts: host.ReceiptsFormat.Encode(receipts)}
	a.Vote = audit.Vote{Machine: "kv", Replica: replica(i), Epoch: 1, Seq: seq, Members: members, Outputs: protocol.OutputsDigest(host.ClientID{}, a.Receipts)}
	a.Vote.Sign(key(i))
	return a, receipts
}

func trusting(members ...audit.Members) *filter {
	f := newFilter(host.ClientID{})
	for _, m := range members {
		f.trust(m)
	}
	return f
}

// The filter gives out what a majority of voters says, and nothing before.
func TestFilterWantsMajority(t *testing.T) {
	for voters, majority := range map[int]int{1: 1, 3: 2, 5: 3} {
		f := trusting(panel(1, voters))
		for i := range voters {
			v := f.add(answer(i, 7, 1, "yes"))
			if got, want := v.accepted != nil, i+1 == majority; got != want {
				t.Errorf("%d voters, %d agree: accepted = %v, want %v", voters, i+1, got, want)
			}
		}
	}
}

func TestFilterDropsLies(t *testing.T) {
	f := trusting(panel(1, 3))
	if v := f.add(answer(0, 7, 1, "lie")); v.accepted != nil {
		t.Fatal("accepted what one of three says")
	}
	if v := f.add(answer(0, 7, 1, "lie")); v.accepted != nil {
		t.Fatal("accepted what one of three says twice")
	}
	f.add(answer(1, 7, 1, "truth"))
	v := f.add(answer(2, 7, 1, "truth"))
	if v.accepted == nil || string(v.accepted[0].Output) != "truth" {
		t.Errorf("accepted %v, want the truth", v.accepted)
	}
}

func TestFilterCountsOnlyVoters(t *testing.T) {
	members := panel(1, 3)
	members.List = append(members.List, audit.Member{ID: replica(3), Key: key(3).Public().(ed25519.PublicKey)})
	f := trusting(members)
	f.add(answer(0, 7, 1, "x"))
	for name, change := range map[string]func(*protocol.Answer){
		"an observer":          func(a *protocol.Answer) { *a, _ = answer(3, 7, 1, "x") },
		"a stranger":           func(a *protocol.Answer) { *a, _ = answer(4, 7, 1, "x") },
		"no signature":         func(a *protocol.Answer) { a.Vote.Signature = nil },
		"another's signature":  func(a *protocol.Answer) { a.Vote.Replica = replica(2) },
		"a vote on other seq":  func(a *protocol.Answer) { a.Vote.Seq = 8 },
		"a vote on other time": func(a *protocol.Answer) { a.Vote.Epoch = 2 },
	} {
		a, r := answer(1, 7, 1, "x")
		change(&a)
		if v := f.add(a, r); v.accepted != nil {
			t.Errorf("%s made a majority", name)
		}
	}
	if v := f.add(answer(1, 7, 1, "x")); v.accepted == nil {
		t.Error("the second voter makes no majority")
	}
}

// In mode crash nothing is signed and one answer is enough, but it must be a voter's.
func TestCrashModeCountsOnlyVoters(t *testing.T) {
	members := panel(1, 3)
	members.Mode = audit.Crash
	members.List = append(members.List, audit.Member{ID: replica(3), Key: key(3).Public().(ed25519.PublicKey)})
	f := trusting(members)
	asked := newReadings("kv", audit.Digest{}, members)
	c := &Client{opts: Options{Machine: "kv"}, filter: f}
	emitted := func(i int) bool {
		s := &Subscription{c: c, wake: make(chan struct{}, 1), filter: newEventFilter(7)}
		events := protocol.EventsFormat.Encode(protocol.Events{List: []host.Event{{Data: []byte("x")}}})
		s.receive(protocol.EventsVoteFormat.Encode(protocol.EventsVote{Events: events, Vote: audit.Vote{
			Machine: "kv", Replica: replica(i), Epoch: 1, Seq: 7, Members: members.Seq, Outputs: protocol.EventsDigest(0, events),
		}}))
		return s.filter.ready()
	}
	for name, i := range map[string]int{"an observer": 3, "a stranger": 4} {
		if emitted(i) {
			t.Errorf("events of %s were accepted", name)
		}
		if v := f.add(answer(i, 7, 1, "x")); v.accepted != nil {
			t.Errorf("the vote of %s was accepted", name)
		}
		if a, r := reading(i, 7, 1, "x"); asked.add(a, r) {
			t.Errorf("the reading of %s was counted", name)
		}
	}
	if !emitted(1) {
		t.Error("a voter's events were not accepted")
	}
	if v := f.add(answer(1, 7, 1, "x")); v.accepted == nil {
		t.Error("a voter's vote was not accepted")
	}
	if a, r := reading(1, 7, 1, "x"); !asked.add(a, r) {
		t.Error("a voter's reading was not counted")
	}
}

// Equal outputs behind different logs are not equal statements.
func TestFilterWantsEqualChain(t *testing.T) {
	f := trusting(panel(1, 3))
	f.add(answer(0, 7, 1, "x"))
	a, r := answer(1, 7, 1, "x")
	a.Vote.Chain[0] = 1
	a.Vote.Sign(key(1))
	if v := f.add(a, r); v.accepted != nil {
		t.Error("accepted outputs of two different logs as one")
	}
}

func TestFilterFails(t *testing.T) {
	f := trusting(panel(1, 3))
	f.add(answer(0, 7, 1, "a"))
	f.add(answer(1, 7, 1, "b"))
	if v := f.add(answer(2, 7, 1, "c")); !v.failed || v.accepted != nil {
		t.Errorf("three voters say three things: %+v, want failed", v)
	}
}

// Votes by a membership that is not known yet wait for it.
func TestFilterLearnsMembership(t *testing.T) {
	f := trusting(panel(1, 3))
	old := panel(1, 3)
	next := panel(9, 4)
	for i := range 2 {
		if v := f.add(answer(i, 10, 9, "x")); v.unknown != 9 || v.accepted != nil {
			t.Fatalf("vote by an unknown membership: %+v", v)
		}
	}
	info := func(i int, m audit.Members) host.Info {
		in := host.Info{Machine: "kv", Replica: replica(i), Deployed: true, Members: m}
		in.Sign(key(i))
		return in
	}
	if _, ok := f.learn([]host.Info{info(0, next)}); ok {
		t.Error("believed a membership that one of three states")
	}
	if _, ok := f.learn([]host.Info{info(0, next), info(3, next)}); ok {
		t.Error("counted a replica that the trusted membership does not know")
	}
	m, ok := f.learn([]host.Info{info(0, next), info(1, next), info(2, old)})
	if !ok || m.Seq != 9 {
		t.Fatalf("learned %+v, %v", m, ok)
	}
	if v := f.trust(m); len(v) != 0 {
		t.Errorf("two of four votes were accepted: %+v", v)
	}
	if v := f.add(answer(2, 10, 9, "x")); v.accepted == nil {
		t.Error("three of four votes are no majority")
	}
}

// However many answers come to nothing, the filter stays bounded.
func TestFilterIsBounded(t *testing.T) {
	f := trusting(panel(1, 3))
	for seq := range ordering.Seq(maxOpenEntries + 100) {
		f.add(answer(0, seq+1, 1, "x"))
	}
	if n := len(f.entries); n > maxOpenEntries {
		t.Errorf("filter keeps %d entries of one voter", n)
	}
	for seq := range ordering.Seq(maxOpenEntries + 100) {
		f.add(answer(1, seq+1, 1, "x"))
		f.add(answer(2, seq+1, 1, "x"))
	}
	if n := len(f.entries); n > 2*maxOpenEntries || len(f.agreed) > maxOpenEntries {
		t.Errorf("filter keeps %d entries, %d agreed on", n, len(f.agreed))
	}
	for id, b := range f.open {
		if b.bytes != 0 {
			t.Errorf("%d bytes of receipts of %s are counted, and all is agreed on", b.bytes, id)
		}
	}
	for seq := range ordering.Seq(maxViews + 10) {
		f.trust(panel(seq+2, 1))
	}
	if len(f.views) > maxViews {
		t.Errorf("filter keeps %d memberships", len(f.views))
	}
}

// Before there is a machine, a majority of those that a DEPLOY names says why it was refused; nobody else, and nobody for
// what came out of a membership.
func TestFilterBelievesFounders(t *testing.T) {
	if v := trusting(panel(1, 3)).add(answer(0, 7, 0, "no")); v.accepted != nil {
		t.Error("believed one whom nobody named")
	}
	f := trusting()
	f.founders = panel(0, 3)
	f.add(answer(0, 7, 0, "no"))
	if v := f.add(answer(3, 7, 0, "no")); v.accepted != nil {
		t.Error("believed one who was not named")
	}
	if v := f.add(answer(1, 8, 0, "no")); v.accepted != nil {
		t.Error("counted answers on different entries together")
	}
	if v := f.add(answer(1, 7, 0, "no")); v.accepted == nil || string(v.accepted[0].Output) != "no" {
		t.Error("did not believe a majority of those named")
	}
	f.add(answer(0, 9, 5, "yes"))
	if v := f.add(answer(1, 9, 5, "yes")); v.accepted != nil {
		t.Error("believed the founders for a membership that nobody knows")
	}
}
