package sim

import (
	"context"
	"crypto/ed25519"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// replicaKey is the key of a node's replica.
func (c *cluster) replicaKey(i int) ed25519.PrivateKey {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.nodes[i].dir, "machines", machine, "replica.nk"))
	if err != nil {
		c.t.Fatal(err)
	}
	_, seed, err := nkeys.DecodeSeed(text)
	if err != nil {
		c.t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// alarms are what a voter may say, falsely, to make others leave an epoch.
func alarms(by audit.ReplicaID, last ordering.Position, next ordering.Epoch) []audit.Stand {
	other, later := last, last
	other.Chain[0] ^= 1
	later.Epoch = next
	base := audit.Stand{Machine: machine, Replica: by, Last: last}
	stopped, complains, contradicts, ahead, far := base, base, base, base, base
	stopped.Next, stopped.Reason = next, "the log broke"
	complains.Next, complains.Reason = 1, "the log looks broken"
	contradicts.Last = other
	ahead.Last = later
	far.Next, far.Reason = 1<<62, "the log broke"
	return []audit.Stand{stopped, complains, contradicts, ahead, far}
}

// One of three voters says for ever, in each way that there is, that the log is broken: no other one stops, and every call
// is answered in the first epoch.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	e := shared(t)
	c := newCluster(t, 1, e)
	c.deploy(audit.Signed)
	key := c.replicaKey(2)
	c.crash(2)
	cl := c.client()
	defer func() { _ = cl.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	calls := int64(0)
	for until := time.Now().Add(8 * time.Second); time.Now().Before(until); {
		in := c.nodes[0].node.Replica(machine).Info()
		last := ordering.Position{Epoch: in.Epoch, Seq: in.Seq, Chain: in.Chain}
		all := alarms("n3", last, ordering.Epoch(2+calls))
		// Each of them for a while, since others may look at the last one only.
		s := all[int(time.Until(until)/(1600*time.Millisecond))%len(all)]
		s.Sign(key)
		if err := c.conn.PublishRequest(epochs.StandSubject(machine), c.conn.NewRespInbox(), epochs.StandAskFormat.Encode(epochs.StandAsk{By: s})); err != nil {
			t.Fatal(err)
		}
		out, err := cl.Call(ctx, kv.Add("n", 1))
		if err != nil {
			t.Fatal(err)
		}
		calls++
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != calls {
			t.Fatalf("output %d is %d, %v", calls, got, err)
		}
		select {
		case <-time.After(20 * time.Millisecond): // bounds the load
		case <-ctx.Done():
		}
	}
	for i := range 2 {
		if in := c.nodes[i].node.Replica(machine).Info(); in.Log != 1 || in.Phase != host.PhaseVoting || in.Broken != "" {
			t.Errorf("%s is in epoch %d, %v: %s", c.nodes[i].name, in.Log, in.Phase, in.Broken)
		}
	}
	if c.logOf(2) != nil {
		t.Error("a log of a second epoch was made")
	}
	t.Logf("%d calls", calls)
}

// One of three replicas alone cannot follow the log any more, or is told another entry than the others. It notices, does
// not vote, and is back in the same epoch once it can, on the way that the others went; meanwhile they go on, and then they
// can do without one of theirs.
func TestLoneReplicaReturns(t *testing.T) {
	t.Parallel()
	e := shared(t)
	for name, harm := range map[string]func(*cluster, *simNode){
		"broken": func(_ *cluster, n *simNode) { n.lost.Store(true) },
		"told another entry": func(c *cluster, n *simNode) {
			b := host.Batch{Session: host.Session{Client: host.ClientID{66}}, Inputs: []host.Input{{Number: 1, Payload: kv.Add("counter-1", 1000)}}}
			c.crash(2)
			n.lies[c.last()+5] = b.Encode()
			c.start(2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1, e)
			c.deployWith(host.Config{AuditEvery: 1 << 20, CheckpointEvery: 1 << 20}) // no audit repairs it
			n := c.nodes[2]
			harm(c, n)
			counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
			c.await("it complains", func() bool { return n.node.Replica(machine).Info().Broken != "" })
			n.lost.Store(false)
			c.awaitReturn(n)
			c.settled(func(int) bool { return false }, slices.Collect(maps.Keys(counts)))
			c.crash(0)
			cl := c.client()
			defer func() { _ = cl.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for name, n := range counts {
				out, err := cl.Call(ctx, kv.Add(name, 0))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != n {
					t.Errorf("%s is %d, %v, accepted %d", name, got, err, n)
				}
			}
			if c.logOf(2) != nil {
				t.Error("a log of a second epoch was made")
			}
		})
	}
}

// await waits until a condition holds.
func (c *cluster) await(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not in time: %s", what)
		}
	}
}

// While the log does not answer, replicas that were started again come to where their journals end, and hear each other:
// none waits for the log.
func TestStartWithoutLog(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	c.load(20, true, patience, func(done <-chan struct{}) { <-done })
	c.settled(func(int) bool { return false }, nil)
	last := c.last()
	c.log.SetDown(true)
	for i := range c.nodes {
		c.crash(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	for i := range c.nodes {
		c.await("a replica votes where its journal ends", func() bool {
			in := c.nodes[i].node.Replica(machine).Info()
			return in.Phase == host.PhaseVoting && in.Seq == last
		})
	}
	c.log.SetDown(false)
	cl := c.client()
	defer func() { _ = cl.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := cl.Call(ctx, kv.Add("counter-1", 1)); err != nil {
		t.Error(err)
	}
}

// awaitReturn waits until a replica votes again, for what the others have.
func (c *cluster) awaitReturn(n *simNode) {
	c.t.Helper()
	c.await("it votes again, on the way of the others", func() bool {
		in := n.node.Replica(machine).Info()
		return in.Broken == "" && in.Phase == host.PhaseVoting && in.Chain == c.nodes[0].node.Replica(machine).Info().Chain
	})
}
