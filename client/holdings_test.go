package client

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/host"
)

// Each voter's answer counts once, as it signed it: one that lies neither keeps a majority from holding a module nor makes one.
func TestHoldings(t *testing.T) {
	members := audit.Members{Seq: 7}
	keys := make(map[audit.ReplicaID]ed25519.PrivateKey)
	for i := range 3 {
		public, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		id := audit.ReplicaID(fmt.Sprint("n", i+1))
		keys[id] = key
		members.List = append(members.List, audit.Member{ID: id, Key: public, Voter: true})
	}
	what := audit.Digest{1}
	answer := func(id, by audit.ReplicaID, change func(*host.Prepared)) host.Prepared {
		p := host.Prepared{Holding: audit.Holding{Machine: "m", Replica: id, Module: what}}
		if change == nil {
			p.Holding.Sign(keys[by])
		} else {
			change(&p)
		}
		p.Sign(keys[by])
		return p
	}
	refuse := func(p *host.Prepared) { p.Refused, p.Error = true, "no guest" }
	full := func(p *host.Prepared) { p.NoRoom, p.Error = true, "no memory" }
	fail := func(p *host.Prepared) { p.Error = "disk" }
	for name, tc := range map[string]struct {
		founding bool
		answers  []host.Prepared
		held     int
		decided  bool
		want     string // of "refused", "full"
	}{
		"nobody":                  {},
		"two of three":            {answers: []host.Prepared{answer("n1", "n1", nil), answer("n2", "n2", nil)}, held: 2},
		"all":                     {answers: []host.Prepared{answer("n1", "n1", nil), answer("n2", "n2", nil), answer("n3", "n3", nil)}, held: 3, decided: true},
		"one refuses":             {answers: []host.Prepared{answer("n1", "n1", refuse), answer("n2", "n2", nil)}, held: 1, want: "refused"},
		"one refuses often":       {answers: []host.Prepared{answer("n1", "n1", refuse), answer("n1", "n1", refuse), answer("n1", "n1", nil)}, want: "refused"},
		"one refuses for another": {answers: []host.Prepared{answer("n1", "n1", refuse), answer("n2", "n1", refuse)}, want: "refused"},
		"two refuse":              {answers: []host.Prepared{answer("n1", "n1", refuse), answer("n3", "n3", refuse)}, decided: true, want: "refused"},
		"two fail":                {answers: []host.Prepared{answer("n1", "n1", fail), answer("n3", "n3", fail)}, decided: true},
		"no room to found":        {founding: true, answers: []host.Prepared{answer("n1", "n1", full)}, decided: true, want: "full"},
		"no room for an upgrade":  {answers: []host.Prepared{answer("n1", "n1", full)}},
		"forged holding": {answers: []host.Prepared{answer("n1", "n1", func(p *host.Prepared) {
			p.Holding.Sign(keys["n2"])
		})}},
		"of another machine": {answers: []host.Prepared{answer("n1", "n1", func(p *host.Prepared) { p.Holding.Machine = "other"; p.Holding.Sign(keys["n1"]) })}},
		"of another module":  {answers: []host.Prepared{answer("n1", "n1", func(p *host.Prepared) { p.Holding.Module[1] = 1; p.Holding.Sign(keys["n1"]) })}},
		"of a stranger":      {answers: []host.Prepared{answer("n4", "n1", nil)}},
	} {
		h := holdings{machine: "m", what: what, members: members, answered: make(map[audit.ReplicaID]bool)}
		if tc.founding {
			h.members.Seq = 0
		}
		for _, p := range tc.answers {
			h.add(p)
		}
		if len(h.held) != tc.held || h.decided() != tc.decided || (h.refused != nil) != (tc.want == "refused") || (h.full != nil) != (tc.want == "full") {
			t.Errorf("%s: %d hold it, decided %v, refused %v, full %v", name, len(h.held), h.decided(), h.refused, h.full)
		}
	}
}

// Two replicas that answer under one name are told, and neither is taken.
func TestOnlyOneOfAName(t *testing.T) {
	infos := []host.Info{{Replica: "n1", Key: []byte{1}}, {Replica: "n2", Key: []byte{2}}, {Replica: "n1", Key: []byte{3}}}
	if _, ok, err := only(infos, "n1"); ok || err == nil {
		t.Errorf("n1: %v, %v", ok, err)
	}
	if m, ok, err := only(infos, "n2"); !ok || err != nil || m.Key[0] != 2 {
		t.Errorf("n2: %v, %v, %v", m, ok, err)
	}
	if _, ok, err := only(infos, "n3"); ok || err != nil {
		t.Errorf("n3: %v, %v", ok, err)
	}
	if members, err := foundersAmong(infos, []audit.ReplicaID{"n2", "n1"}); err == nil {
		t.Errorf("founders %v", members)
	}
}
