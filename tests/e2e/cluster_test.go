package e2e

import (
	"context"
	"log"
	"log/slog"
	"os"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// shared compiles each guest once for all tests.
var shared *engine.Engine

func TestMain(m *testing.M) {
	if name := os.Getenv(envNode); name != "" {
		if err := runNode(name); err != nil {
			log.Fatal(err)
		}
		return
	}
	var err error
	if shared, err = engine.New(engine.Config{Workers: 2}); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		log.Fatal(err)
	}
	jetstreamtest.RemoveOutside()
	os.Exit(code)
}

// patience is how long anything may take that a test waits for.
const patience = 60 * time.Second

// start starts three nodes that host a machine.
func start(t *testing.T, machine string, onEvent func(node.Event)) *local.Cluster {
	t.Helper()
	return startIn(t, t.TempDir(), machine, onEvent)
}

func startIn(t *testing.T, dir, machine string, onEvent func(node.Event)) *local.Cluster {
	t.Helper()
	ctx := within(t, patience)
	c, err := local.Start(ctx, local.Options{
		Dir: dir, Engines: []*engine.Engine{shared, shared, shared, shared}, OnEvent: onEvent, Logger: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Host(ctx, ordering.Name(machine)); err != nil {
		t.Fatal(err)
	}
	return c
}

// logger writes what nodes warn of to the test's log.
func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func connect(t *testing.T, c *local.Cluster, machine string) *client.Client {
	t.Helper()
	return connectWith(t, client.Options{Machine: machine, URLs: c.URLs()})
}

func connectWith(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	cl, err := client.Connect(within(t, patience), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// deployed starts a cluster and deploys a module on all of its nodes.
func deployed(t *testing.T, machine string, wasm []byte, config host.Config) (*local.Cluster, *client.Client) {
	t.Helper()
	c := start(t, machine, nil)
	cl := connect(t, c, machine)
	deploy(t, c, cl, wasm, config)
	return c, cl
}

func deploy(t *testing.T, c *local.Cluster, cl *client.Client, wasm []byte, config host.Config) {
	t.Helper()
	var voters []audit.ReplicaID
	for i := range c.Len() {
		voters = append(voters, c.Name(i))
	}
	if _, err := cl.Deploy(within(t, patience), wasm, config, voters); err != nil {
		t.Fatal(err)
	}
}

// call calls and wants an output.
func call(t *testing.T, cl *client.Client, input []byte) client.Output {
	t.Helper()
	out, err := cl.Call(within(t, patience), input)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := within(t, patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		case <-tick.C:
		}
	}
}

// verify ends a test: every replica that runs is at the end of the log, with
// the same chain and the same root, computed from all of its memory.
func verify(t *testing.T, c *local.Cluster, machine ordering.Name) {
	t.Helper()
	ctx := within(t, patience)
	var replicas []*node.Replica
	for i := range c.Len() {
		if n := c.Node(i); n != nil && n.Replica(machine) != nil {
			replicas = append(replicas, n.Replica(machine))
		}
	}
	await(t, "arrival of all replicas at the end of the log", func() bool {
		end, err := replicas[0].LogState(ctx)
		for _, r := range replicas {
			if err != nil || r.Info().Seq != end.Last {
				return false
			}
		}
		return same(ctx, t, replicas)
	})
}

// same compares the replicas' states if all are at one position. A call that was given up may still come into the log
// and move some of them.
func same(ctx context.Context, t *testing.T, replicas []*node.Replica) bool {
	t.Helper()
	positions, roots := make([]ordering.Position, len(replicas)), make([]audit.Digest, len(replicas))
	for i, r := range replicas {
		if err := r.Do(ctx, func(m *host.Machine) {
			if err := m.Rehash(); err != nil {
				t.Error(err)
			}
			positions[i], roots[i] = m.Position(), m.Root()
		}); err != nil {
			t.Fatal(err)
		}
		if positions[i].Seq != positions[0].Seq {
			return false
		}
	}
	for i := range replicas {
		if positions[i] != positions[0] || roots[i] != roots[0] {
			t.Errorf("replica %d is at %v %v, the first at %v %v", i, positions[i], roots[i], positions[0], roots[0])
		}
	}
	return true
}
