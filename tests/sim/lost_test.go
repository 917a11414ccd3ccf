package sim

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/node"
	"lockstep/ordering"
)

// A majority is lost, an operator has the machine go on from the one that is left, and then all that were lost come back as
// they were, to a log that is as it was: together they are a majority of what they know. They take the operator's word from the one
// that it was given to, and none votes beside it, nor makes an epoch while their servers do not know its log.
func TestLostMajorityReturns(t *testing.T) {
	t.Parallel()
	lostMajorityReturns(t, host.Config{AuditEvery: 8, CheckpointEvery: 40}, nil)
}

// The same where replicas may lie: they take the operator's word by its signature. One that is asked to go ahead only stops until it
// has that.
func TestLostMajorityReturnsByWord(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := audit.Operator(key.Public().(ed25519.PublicKey))
	lostMajorityReturns(t, host.Config{AuditEvery: 8, CheckpointEvery: 40, Mode: audit.Signed, Operator: public}, key)
}

func lostMajorityReturns(t *testing.T, config host.Config, key ed25519.PrivateKey) {
	t.Helper()
	c := newCluster(t, 1, shared(t))
	c.deployWith(config)
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
	order := node.Order{Base: base, Voters: []audit.ReplicaID{c.nodes[0].name}, Reason: reason}
	word, err := left.Recover(ctx, order)
	if key != nil {
		if !errors.Is(err, epochs.ErrNoWord) || left.Info().Log != 1 {
			t.Fatalf("without the operator's signature: in epoch %d, %v", left.Info().Log, err)
		}
		forged := word
		forged.GiveWord(ed25519.NewKeyFromSeed(append(make([]byte, 31), 1)))
		order.Word = &forged
		if _, err := left.Recover(ctx, order); !errors.Is(err, epochs.ErrNoWord) || left.Info().Log != 1 {
			t.Fatalf("with another's signature: in epoch %d, %v", left.Info().Log, err)
		}
		word.GiveWord(key)
		order.Word = &word
		_, err = left.Recover(ctx, order)
	}
	if err != nil {
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
		if in := n.node.Replica(machine).Info(); in.Phase == host.PhaseVoting {
			t.Errorf("%s votes, though the epoch begins with the end of its vote", n.name)
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

// An operator, told of both halves of a partition that the other one is gone, gives two words: for one epoch, or for two, where the one half
// had come an epoch further. Who hears of both follows neither: a replica that both leave out votes no more, and a client that knew
// the machine before gets FAIL.
func TestTwoWords(t *testing.T) {
	t.Parallel()
	t.Run("for one epoch", func(t *testing.T) { t.Parallel(); twoWords(t, 1) })
	t.Run("for two", func(t *testing.T) { t.Parallel(); twoWords(t, 2) })
}

// twoWords gives them to one that is in the first epoch, and to one in the epoch so named, as the third one is.
func twoWords(t *testing.T, epoch ordering.Epoch) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	c := newCluster(t, 1, shared(t))
	c.deployWith(host.Config{Mode: audit.Signed, Operator: audit.Operator(key.Public().(ed25519.PublicKey))})
	c.load(5, true, patience, func(done <-chan struct{}) { <-done })
	c.settled(func(int) bool { return false }, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := c.client()
	defer func() { _ = before.Close() }()
	if _, err := before.Members(ctx); err != nil {
		t.Fatal(err)
	}
	c.crash(0)
	if epoch > 1 {
		c.breakFirst()
		c.nodes[0].lost.Store(false)
	}
	for _, n := range c.nodes[1:] {
		r := n.node.Replica(machine)
		c.await("the others to vote in their epoch", func() bool { return r.Info().Epoch == epoch && r.Info().Phase == host.PhaseVoting })
	}
	c.crash(1)
	c.crash(2)
	for i := range 2 { // the first at servers of its own
		n := c.nodes[i]
		n.apart.Store(i == 0)
		c.start(i)
		r := n.node.Replica(machine)
		c.await("one half to be there", func() bool { return r.Info().Deployed && len(r.Standing(nil).Stand) == 1 })
		order := node.Order{Base: r.Standing(nil).Stand[0].Last, Voters: []audit.ReplicaID{n.name}}
		word, err := r.Recover(ctx, order)
		if !errors.Is(err, epochs.ErrNoWord) {
			t.Fatal(err)
		}
		word.GiveWord(key)
		order.Word = &word
		if _, err := r.Recover(ctx, order); err != nil {
			t.Fatal(err)
		}
		c.awaitEntered(i)
		if i == 0 {
			c.crash(i) // nobody is to hear of one alone
		}
	}
	c.start(0)
	c.awaitEntered(0)
	c.start(2)
	third := c.nodes[2].node.Replica(machine)
	c.await("the third one to vote no more", func() bool { return third.Info().Phase == host.PhaseBroken })
	short, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	var failed *client.FailError
	if out, err := before.Call(short, kv.Add("after", 1)); !errors.As(err, &failed) {
		t.Errorf("who knew the machine before gets %v, %v, want FAIL", out, err)
	}
	if in := third.Info(); in.Log != epoch || in.Phase != host.PhaseBroken {
		t.Errorf("the third one is %v in epoch %d", in.Phase, in.Log)
	}
}

// awaitEntered waits for a node to vote in an epoch that an operator had it open.
func (c *cluster) awaitEntered(i int) {
	c.t.Helper()
	r := c.nodes[i].node.Replica(machine)
	c.await("its epoch to be entered", func() bool { in := r.Info(); return in.Phase == host.PhaseVoting && len(in.Recoveries) == 1 })
}
