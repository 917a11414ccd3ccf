package sim

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/guests/examples/kv"
	"lockstep/ordering"
	"lockstep/ordering/journal"
	"lockstep/ordering/memlog"
)

// forge puts an entry that opens nothing to where the log of an epoch is to begin, so many entries before the end of the one before, and
// returns what there is of it.
func (c *cluster) forge(epoch ordering.Epoch, back ordering.Seq) memlog.Founding {
	c.t.Helper()
	last := c.last()
	first := last + 1 - min(back, last)
	f := c.logAt(place{epoch: epoch}, first).Found()
	if err := f.Seed(c.t.Context(), ordering.Entry{Epoch: epoch, Seq: first, Data: []byte("no opening")}); err != nil {
		c.t.Fatal(err)
	}
	return f
}

// breakFirst has all replicas find the log of the first epoch broken.
func (c *cluster) breakFirst() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.lost.Store(true)
	}
	log := c.log.Open()
	if _, err := log.Append(c.t.Context(), nil); err != nil { // they read, and find it so
		c.t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// Somebody who is no replica, or one that lies, puts an entry to where the log of the next epoch is to begin. Nothing that was
// accepted is given up for it: the replicas go on in an epoch that proves itself.
func TestForgedFounding(t *testing.T) {
	t.Parallel()
	e := shared(t)
	for name, forge := range map[string]func(*cluster){
		"after all entries":         func(c *cluster) { c.forge(2, 0) },
		"in place of the last ones": func(c *cluster) { c.forge(2, 2) },
		"in place of all":           func(c *cluster) { c.forge(2, 1<<20) },
		"twice":                     func(c *cluster) { c.forge(2, 2); c.forge(3, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1, e)
			c.deploy(audit.Majority)
			counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
			forge(c)
			c.breakFirst()
			c.keeps(counts)
		})
	}
}

// keeps checks that the machine answers, with all that was accepted before, and that all replicas are alike.
func (c *cluster) keeps(counts map[string]int64) {
	c.t.Helper()
	cl := c.client()
	defer func() { _ = cl.Close() }()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for name, n := range counts {
		out, err := cl.Call(ctx, kv.Add(name, 0))
		if err != nil {
			c.t.Fatal(err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != n {
			c.t.Errorf("%s is %d, %v, accepted %d", name, got, err, n)
		}
	}
	c.settled(func(int) bool { return false }, slices.Collect(maps.Keys(counts)))
}

// A replica whose journal has come to hold an entry that opens nothing gives it up, and goes on with the others.
func TestForgedJournal(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
	n := c.nodes[2]
	c.await("all entries", func() bool { return n.node.Replica(machine).Info().Seq == c.last() })
	c.crash(2)
	j, err := journal.Open(filepath.Join(n.dir, "machines", machine, "journal"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := ordering.Entry{Epoch: 2, Seq: j.Last().Seq + 1, Data: []byte("no opening")}
	p := j.Last().Next(e)
	if err := j.Append(e, p); err != nil {
		t.Fatal(err)
	}
	c.await("the entry on disk", func() bool { return j.Durable() == p })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c.start(2)
	c.awaitReturn(n)
	c.keeps(counts)
}

// The logs of epochs before are deleted, also where that fails at first, and once.
func TestOldLogsAreDeleted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	c.breakFirst()
	c.await("the second epoch", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *simNode) bool { return n.node.Replica(machine).Info().Epoch != 2 })
	})
	cl := c.client()
	defer func() { _ = cl.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 400 { // ten checkpoints
		if _, err := cl.Call(ctx, kv.Add("n", 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		c.await("a second try", func() bool { return n.prunes.Load() >= 2 })
	}
	for range 100 {
		if _, err := cl.Call(ctx, kv.Add("n", 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		if got := n.prunes.Load(); got != 2 {
			t.Errorf("%s has deleted them %d times", n.name, got)
		}
	}
}

// A replica whose journal has the proof of an epoch is in that epoch, though it was killed before it noted so: also where its
// servers do not know the log any more.
func TestKilledAsItEntered(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	c.breakFirst()
	for _, n := range c.nodes {
		c.await("the second epoch", func() bool { return n.node.Replica(machine).Info().Epoch == 2 })
	}
	n := c.nodes[2]
	c.crash(2)
	stopped := struct {
		_           struct{} `cbor:",toarray"`
		Epoch, Next ordering.Epoch
		Reason      string
		Left        bool
	}{Epoch: 1, Next: 2}
	if err := os.WriteFile(filepath.Join(n.dir, "machines", machine, "epoch"), canonical.Format("LSp2").Encode(stopped), 0o600); err != nil {
		t.Fatal(err)
	}
	n.apart.Store(true)
	c.start(2)
	c.await("it to be there", func() bool { return n.node.Replica(machine).Info().Log == 2 })
	n.apart.Store(false)
	c.awaitReturn(n)
	c.keeps(nil)
}
