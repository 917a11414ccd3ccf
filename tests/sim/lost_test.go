package sim

import (
	"context"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// A majority is lost, an operator has the machine go on from the one that is left, and then all that were lost come back as
// they were, to a log that is as it was: together they are a majority of what they know. They take the operator's word from the one
// that it was given to, and none votes beside it, nor makes an epoch while their servers do not know its log.
func TestLostMajorityReturns(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	c.load(5, true, patience, func(done <-chan struct{}) { <-done })
	c.settled(func(int) bool { return false }, nil)
	c.crash(1)
	c.crash(2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left := c.nodes[0].node.Replica(machine)
	in := left.Info()
	base := ordering.Position{Epoch: in.Epoch, Seq: in.Seq, Chain: in.Chain}
	reason := strings.Repeat("ü", audit.MaxReason/2) // as long as may be, and with what comes before it cut within a letter
	if _, err := left.Recover(ctx, base, []audit.ReplicaID{c.nodes[0].name}, reason); err != nil {
		t.Fatal(err)
	}
	cl := c.client()
	defer func() { _ = cl.Close() }()
	calls := int64(0)
	call := func() {
		t.Helper()
		out, err := cl.Call(ctx, kv.Add("after", 1))
		if err != nil {
			t.Fatal(err)
		}
		calls++
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != calls {
			t.Fatalf("the count is %d, %v, after %d calls", got, err, calls)
		}
	}
	call()
	astray := host.Batch{Session: host.Session{Client: host.ClientID{66}}, Inputs: []host.Input{{Number: 1, Payload: kv.Add("after", 1)}}}
	votes, err := c.conn.SubscribeSync(host.OutputSubject(machine, astray.Session.Client))
	if err != nil {
		t.Fatal(err)
	}
	back := c.nodes[1:]
	for i, n := range back {
		n.apart.Store(true)
		n.held = make(chan struct{})
		c.start(1 + i)
	}
	log := c.log.Open()
	defer func() { _ = log.Close() }()
	if _, err := log.Append(ctx, astray.Encode()); err != nil { // by who does not know yet
		t.Fatal(err)
	}
	const enough = 20 // looks for a log that is not there: each time one could be made
	for _, n := range back {
		c.await("one that was lost to look for the log", func() bool { return n.looked.Load() >= enough })
	}
	for _, n := range back {
		n.apart.Store(false)
		c.await("one that was lost to enter the epoch", func() bool { return n.node.Replica(machine).Info().Log == epochs.Leap+1 })
		if in := n.node.Replica(machine).Info(); in.Phase != host.PhaseStarting {
			t.Errorf("%s is %v before it knows what the epoch begins with", n.name, in.Phase)
		}
		close(n.held)
		c.await("one that was lost to go to where the other one is, without a vote", func() bool {
			in := n.node.Replica(machine).Info()
			return in.Phase == host.PhaseObserving && in.Seq == c.last() && in.Chain == left.Info().Chain
		})
		call()
	}
	for epoch := range ordering.Epoch(epochs.Leap + 2) {
		if c.logAt(place{epoch, true}, 0) != nil && epoch > 1 {
			t.Errorf("those that were lost made a log of epoch %d", epoch)
		}
	}
	if n, _, err := votes.Pending(); err != nil || n > 0 {
		t.Errorf("%d votes, %v, for an entry of the epoch that an operator has ended", n, err)
	}
}
