package client

import (
	"testing"

	"lockstep/audit"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// page is replica i's: it keeps events from first on and is at seq at, and its votes
// are on the events of these entries.
func page(i int, first, at ordering.Seq, events ...ordering.Seq) protocol.EventsPage {
	p := protocol.EventsPage{Machine: "kv", Replica: replica(i), First: first, At: at}
	for n, seq := range events {
		before := ordering.Seq(0)
		if n > 0 {
			before = events[n-1]
		}
		v, _ := eventsVote(i, seq, before, "e")
		p.Votes, p.Last = append(p.Votes, v), seq
	}
	p.Sign(key(i))
	return p
}

func pagesFrom(from ordering.Seq, voters int) *pages {
	return &pages{machine: "kv", from: from, members: panel(1, voters), by: make(map[audit.ReplicaID]protocol.EventsPage)}
}

// What pages say of events that are gone is each voter's word, and counted as such: one
// that lies ends no subscription, whatever it says and in whoever's name.
func TestPagesThatEndASubscription(t *testing.T) {
	const from = 60
	for name, test := range map[string]struct {
		pages []protocol.EventsPage
		first ordering.Seq // 0: not gone
	}{
		"nobody has answered":               {nil, 0},
		"one lost them":                     {[]protocol.EventsPage{page(0, 100, 200)}, 0},
		"one lost them, two keep them":      {[]protocol.EventsPage{page(0, 1<<60, 200), page(1, 0, 200, 70), page(2, 50, 200, 70)}, 0},
		"one lost them, two had none":       {[]protocol.EventsPage{page(0, 100, 200), page(1, 50, 200), page(2, 50, 200)}, 0},
		"one lost them, one is late":        {[]protocol.EventsPage{page(0, 100, 200), page(1, 50, 200, 70), page(2, 50, 65)}, 0},
		"two lost them":                     {[]protocol.EventsPage{page(0, 100, 200), page(1, 90, 200), page(2, 50, 200, 70)}, 90},
		"two lost them, one exaggerates":    {[]protocol.EventsPage{page(0, 100, 200), page(1, 1<<60, 200), page(2, 50, 200, 70)}, 100},
		"two lost them, one is silent":      {[]protocol.EventsPage{page(0, 100, 200), page(1, 90, 200)}, 90},
		"all lost them":                     {[]protocol.EventsPage{page(0, 100, 200), page(1, 90, 200), page(2, 80, 200)}, 90},
		"one lost them, one withholds them": {[]protocol.EventsPage{page(0, 100, 200), page(1, 0, 200), page(2, 50, 200, 70)}, 100},
		"one lost them, one states others":  {[]protocol.EventsPage{page(0, 100, 200), page(1, 0, 200, 71), page(2, 50, 200, 70)}, 100},
	} {
		s := pagesFrom(from, 3)
		for _, p := range test.pages {
			if !s.add(p) {
				t.Fatalf("%s: a voter's page does not count", name)
			}
		}
		if first, gone := s.gone(); gone != (test.first > 0) || first != test.first {
			t.Errorf("%s: gone %v, first %d, want first %d", name, gone, first, test.first)
		}
	}
}

// A page counts once, if a voter has signed it for this very request.
func TestPagesThatDoNotCount(t *testing.T) {
	s := pagesFrom(60, 3)
	if p := page(0, 1, 200); !s.add(p) || s.add(p) {
		t.Error("a voter's page counts once")
	}
	for name, change := range map[string]func(*protocol.EventsPage){
		"a stranger's":          func(p *protocol.EventsPage) { p.Replica = replica(5); p.Sign(key(5)) },
		"in another's name":     func(p *protocol.EventsPage) { p.Replica = replica(1); p.Sign(key(0)) },
		"unsigned":              func(p *protocol.EventsPage) { p.Signature = nil },
		"of another machine":    func(p *protocol.EventsPage) { p.Machine = "bank"; p.Sign(key(1)) },
		"of an earlier request": func(p *protocol.EventsPage) { p.Request[0] = 1; p.Sign(key(1)) },
		"changed":               func(p *protocol.EventsPage) { p.First = 100 },
	} {
		p := page(1, 1, 200)
		change(&p)
		if s.add(p) {
			t.Errorf("a page %s was counted", name)
		}
	}
}
