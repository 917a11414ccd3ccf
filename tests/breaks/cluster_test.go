package breaks

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

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
	"lockstep/tests/nodeproc"
)

// all has every break happen; without, a share of them does.
var all = flag.Bool("all", false, "make the log break in every way")

// shared compiles the guest once for all tests.
var shared *engine.Engine

func TestMain(m *testing.M) {
	nodeproc.Main()
	var err error
	if shared, err = engine.New(engine.Config{Workers: 2}); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

const (
	// patience is how long anything may take that a test waits for.
	patience = 3 * time.Minute
	// callPatience is how long a call may: it waits for the end of what harms the log.
	callPatience = 5 * time.Minute
	machine      = ordering.Name("kv")
)

// cluster is three nodes with a machine, and what happened to them.
type cluster struct {
	*local.Cluster
	t  *testing.T
	cl *client.Client

	mu     sync.Mutex
	events []node.Event
}

func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	ctx := within(t, patience)
	var err error
	c.Cluster, err = local.Start(ctx, local.Options{
		Dir: t.TempDir(), Engines: []*engine.Engine{shared, shared, shared}, OnEvent: c.note,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Host(ctx, machine); err != nil {
		t.Fatal(err)
	}
	c.cl, err = client.Connect(ctx, client.Options{Machine: string(machine), URLs: c.URLs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cl.Close() })
	var voters []audit.ReplicaID
	for i := range c.Len() {
		voters = append(voters, c.Name(i))
	}
	if _, err := c.cl.Deploy(ctx, kv.V2, host.Config{AuditEvery: 16, CheckpointEvery: 256}, voters); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) note(e node.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// saw tells whether an event of a kind happened.
func (c *cluster) saw(kind node.EventKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// conn connects to one node's server.
func (c *cluster) conn(i int) *nats.Conn {
	c.t.Helper()
	nc, err := nats.Connect(c.URLs()[i], jetstream.ConnOptions(c.t.Name(), nil)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	return nc
}

func (c *cluster) info(i int) host.Info {
	if n := c.Node(i); n != nil && n.Replica(machine) != nil {
		return n.Replica(machine).Info()
	}
	return host.Info{}
}

// awaitEpoch waits until all replicas vote in an epoch at least that late.
func (c *cluster) awaitEpoch(epoch ordering.Epoch) {
	c.t.Helper()
	await(c.t, fmt.Sprint("all replicas to vote in epoch ", epoch), func() bool {
		for i := range c.Len() {
			if in := c.info(i); in.Log < epoch || in.Phase != host.PhaseVoting {
				return false
			}
		}
		return true
	})
}

// load starts callers.
func (c *cluster) load() *load { return startLoad(c.t, c.cl) }

// verify checks that all replicas are at the end of the log with the same chain and root.
func (c *cluster) verify() {
	t := c.t
	t.Helper()
	ctx := within(t, patience)
	await(t, "all replicas to arrive at the end of the log", func() bool {
		end, err := c.Node(0).Replica(machine).LogState(ctx)
		for i := range c.Len() {
			if err != nil || c.info(i).Seq != end.Last {
				return false
			}
		}
		return true
	})
	var first string
	for i := range c.Len() {
		var state string
		if err := c.Node(i).Replica(machine).Do(ctx, func(m *host.Machine) {
			if err := m.Rehash(); err != nil {
				t.Error(err)
			}
			state = fmt.Sprint(m.Position(), m.Root())
		}); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = state
		}
		if state != first {
			t.Errorf("replica %d is at %s, the first at %s", i, state, first)
		}
	}
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
			t.Fatalf("%s did not happen: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}
