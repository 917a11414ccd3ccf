package client

import (
	"crypto/ed25519"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// infoOf is what replica i says: that it is at seq, in the log of an epoch.
func infoOf(i int, epoch ordering.Epoch, seq ordering.Seq) host.Info {
	in := host.Info{Machine: "kv", Replica: replica(i), Key: key(i).Public().(ed25519.PublicKey), Log: epoch, Seq: seq}
	in.Sign(key(i))
	return in
}

// One voter sends no client to an epoch that there is not, however often and in however
// many names it answers, and sees to it that none stays behind in an old one.
func TestEpochOfInfos(t *testing.T) {
	liar := func(all *protocol.Infos) {
		for i := range 128 {
			all.Add(infoOf(0, 1<<40, 1<<40))
			in := infoOf(0, 1<<40, 1<<40)
			in.Replica = replica(i) // in the others' names, with its own key
			in.Sign(key(0))
			if i%64 == 0 {
				all.Add(in)
			}
		}
	}
	for name, test := range map[string]struct {
		infos []host.Info
		epoch ordering.Epoch
		seq   ordering.Seq
		ok    bool
	}{
		"nobody else answers": {nil, 0, 0, false},
		"one answers":         {[]host.Info{infoOf(1, 2, 20)}, 2, 20, true},
		"both answer":         {[]host.Info{infoOf(1, 2, 20), infoOf(2, 2, 19)}, 2, 20, true},
		"both in another":     {[]host.Info{infoOf(1, 3, 20), infoOf(2, 3, 19)}, 3, 20, true},
	} {
		all := protocol.Infos{Machine: "kv"}
		liar(&all)
		for _, in := range test.infos {
			all.Add(in)
		}
		epoch, ok := epochOf(all.List, panel(1, 3))
		if ok != test.ok || epoch != test.epoch {
			t.Errorf("%s: epoch %d, %v, want %d, %v", name, epoch, ok, test.epoch, test.ok)
		}
		if seq := reached(all.List, panel(1, 3)); seq != test.seq {
			t.Errorf("%s: seq %d, want %d", name, seq, test.seq)
		}
	}
	// Low lies and late voters keep nobody from where a majority is.
	all := protocol.Infos{Machine: "kv"}
	for _, in := range []host.Info{infoOf(0, 1, 1), infoOf(1, 2, 20), infoOf(2, 2, 21)} {
		all.Add(in)
	}
	if epoch, ok := epochOf(all.List, panel(1, 3)); !ok || epoch != 2 {
		t.Errorf("epoch %d, %v, want 2", epoch, ok)
	}
}

func TestInfosThatDoNotCount(t *testing.T) {
	all := protocol.Infos{Machine: "kv"}
	good := infoOf(0, 1, 1)
	all.Add(good)
	all.Add(good)
	unsigned, other := infoOf(1, 1, 1), infoOf(1, 1, 1)
	unsigned.Seq++
	other.Machine = "bank"
	other.Sign(key(1))
	all.Add(unsigned)
	all.Add(other)
	if len(all.List) != 1 {
		t.Errorf("%d count, want one", len(all.List))
	}
	if _, ok := epochOf(all.List, audit.Members{}); !ok {
		t.Error("without a membership no epoch is told")
	}
}
