package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// What the machines of a node may come to take is bounded by their limits, as they are deployed and as they join; what
// would exceed it is refused, names who takes it, and leaves nothing behind. A guest at its limit is none of that.
func TestMemoryBound(t *testing.T) {
	const limit = 256 // Wasm pages of each machine; the bound has room for two and a half
	bound := node.Resident(limit*2 + limit/2)
	ctx := within(t, 4*patience)
	c, err := local.Start(ctx, local.Options{
		Dir: t.TempDir(), Engines: []*engine.Engine{shared, shared, shared, shared}, MaxMemory: bound, Logger: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	deployOn := func(machine ordering.Name, pages uint32, voters ...audit.ReplicaID) (*client.Client, error) {
		t.Helper()
		// A server that is new to the cluster may not know the machine yet: that is for the caller to judge.
		cl, err := client.Connect(ctx, client.Options{Machine: string(machine), URLs: c.URLs()})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = cl.Close() })
		_, err = cl.Deploy(ctx, kv.V2, host.Config{MaxMemory: pages}, voters)
		return cl, err
	}
	for _, machine := range []ordering.Name{"a", "b", "c"} {
		if err := c.Host(ctx, machine); err != nil {
			t.Fatal(err)
		}
	}
	all := voters(c)
	for _, machine := range []ordering.Name{"a", "b"} {
		if _, err := deployOn(machine, limit, all...); err != nil {
			t.Fatal(err)
		}
	}
	_, err = deployOn("c", limit, all...)
	if err == nil || !strings.Contains(err.Error(), "has no memory for machine c") || !strings.Contains(err.Error(), "a, b may take") {
		t.Fatalf("a third machine: %v", err)
	}
	if c.Node(0).Replica("c").Info().Deployed {
		t.Error("what was refused is deployed")
	}
	cl, err := deployOn("c", limit/2, all...)
	if err != nil {
		t.Fatalf("a third machine that fits: %v", err)
	}
	call(t, cl, kv.Put("k", []byte("v")))
	if taken, of := c.Node(1).Memory(); taken != bound || of != bound {
		t.Errorf("machines may take %d of %d bytes, want all of %d", taken, of, bound)
	}
	// An upgrade needs no more room.
	if _, err := cl.Upgrade(ctx, kv.V2); err != nil {
		t.Errorf("upgrade on a node that is full: %v", err)
	}

	// A node that has a machine of its own, and is to have two of the others.
	i, err := c.Add(ctx)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(c.URLs()[0], jetstream.ConnOptions(t.Name(), nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := jetstream.Create(ctx, conn, jetstream.Config{Ref: jetstream.Ref{Machine: "d", Epoch: 1}, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Node(i).Host(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	await(t, "the other servers to know of d", func() bool {
		_, err := deployOn("d", limit, c.Name(i))
		if err != nil && !errors.Is(err, client.ErrUnknownMachine) {
			t.Fatal(err)
		}
		return err == nil
	})
	r, err := c.Node(i).Host(ctx, "a")
	if err != nil {
		t.Fatalf("a machine that fits: %v", err)
	}
	await(t, "the state of a", func() bool { return r.Info().Deployed })
	var full *node.MemoryError
	if _, err := c.Node(i).Host(ctx, "b"); !errors.As(err, &full) || full.Machine != "b" || len(full.Others) != 2 {
		t.Fatalf("a machine that does not fit: %v", err)
	}
	if c.Node(i).Replica("b") != nil {
		t.Error("what was refused is hosted")
	}

	// Started with too low a bound it says so, and loses nothing; it does not host what was refused.
	before := r.Info()
	c.Kill(i)
	c.SetMaxMemory(node.Resident(limit))
	if err := c.Restart(ctx, i); !errors.As(err, &full) {
		t.Fatalf("start with a bound below what is hosted: %v", err)
	}
	c.Kill(i)
	c.SetMaxMemory(bound)
	if err := c.Restart(ctx, i); err != nil {
		t.Fatal(err)
	}
	if c.Node(i).Replica("b") != nil {
		t.Error("what was refused is hosted after a restart")
	}
	await(t, "a after the restart", func() bool { return c.Node(i).Replica("a").Info().Seq >= before.Seq })
}
