package sim

import (
	"crypto/ed25519"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/ordering/memlog"
)

// The log breaks, and one that lies is faster than all others to make the next epoch's: one that hides how it begins, as if that
// were purged, or that begins with what nobody can judge who has not come so far, on another way. Nobody gives up for it what was
// accepted, and they go on in the epoch after it.
func TestFalseLog(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *memlog.Server{
		"no beginning": func() *memlog.Server {
			return seeded(t, 3, ordering.Entry{Epoch: 2, Seq: 3, Data: []byte("who knows")})
		},
		"no beginning, far ahead": func() *memlog.Server {
			return seeded(t, 5000, ordering.Entry{Epoch: 2, Seq: 5000, Data: []byte("who knows")})
		},
		"another way": func() *memlog.Server {
			var at ordering.Position
			var list []ordering.Entry
			for seq := range ordering.Seq(1000) {
				e := ordering.Entry{Epoch: 1, Seq: seq + 1, Data: []byte("never")}
				at, list = at.Next(e), append(list, e)
			}
			o := epochs.Opening{Machine: machine, Epoch: 2, Base: at}
			return seeded(t, 1, append(list, ordering.Entry{Epoch: 2, Seq: at.Seq + 1, Data: epochs.OpeningFormat.Encode(o)})...)
		},
	} {
		for _, mode := range []audit.Mode{audit.Signed, audit.Majority} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, 1, shared(t))
				c.deploy(mode)
				counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
				c.mu.Lock()
				c.logs[place{epoch: 2}] = make()
				c.mu.Unlock()
				c.log.Recreate()
				for _, n := range c.nodes {
					r := n.node.Replica(machine)
					c.await("the replicas to go on without it", func() bool { in := r.Info(); return in.Epoch == 3 && in.Phase == host.PhaseVoting })
				}
				c.end(counts, func(int) bool { return false })
			})
		}
	}
}

// seeded is an epoch's log with some entries.
func seeded(t *testing.T, first ordering.Seq, entries ...ordering.Entry) *memlog.Server {
	t.Helper()
	s := memlog.New(memlog.Config{Epoch: 2, First: first, Founding: true})
	for _, e := range entries {
		if err := s.Found().Seed(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Found().Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// The log breaks, and one that lies is faster than all others to make the next epoch's, by a recovery that it has signed: that the others are
// gone, and it is the only voter. With an operator's key in the membership that is nothing, and the others go on.
func TestFalseRecovery(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	operator := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	c.deployWith(host.Config{Mode: audit.Signed, Operator: audit.Operator(operator)})
	counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
	liar := c.nodes[2]
	key := c.replicaKey(2)
	var base ordering.Position
	c.await("the liar to be at the end of the log", func() bool {
		base = liar.node.Replica(machine).Standing(nil).Stand[0].Last
		return base.Seq == c.last()
	})
	c.crash(2)
	stand := audit.Stand{Machine: machine, Replica: liar.name, Last: base, Next: 2}
	stand.Sign(key)
	r := epochs.Recovery{Machine: machine, Epoch: 2, Base: base, Replica: liar.name, Voters: []audit.ReplicaID{liar.name}, Reason: "they are gone"}
	r.Sign(key)
	r.GiveWord(key)
	o := epochs.Opening{Machine: machine, Epoch: 2, Base: base, Stands: []audit.Stand{stand}, Recovery: []epochs.Recovery{r}}
	c.mu.Lock()
	c.logs[place{epoch: 2}] = seeded(t, base.Seq+1, ordering.Entry{Epoch: 2, Seq: base.Seq + 1, Data: epochs.OpeningFormat.Encode(o)})
	c.mu.Unlock()
	c.log.Recreate()
	for _, n := range c.nodes[:2] {
		r := n.node.Replica(machine)
		c.await("the others to go on without it", func() bool { in := r.Info(); return in.Epoch == 3 && in.Phase == host.PhaseVoting })
	}
	c.end(counts, func(i int) bool { return i == 2 })
}
