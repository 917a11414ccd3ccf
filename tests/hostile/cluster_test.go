package hostile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

const (
	patience = 60 * time.Second
	// neighbourWait is the longest that a neighbour's caller may wait, under any
	// attack, on a machine that is busy with much else.
	neighbourWait = 30 * time.Second
)

// config has room for a guest's input and little more: each machine keeps a log.
var config = host.Config{MaxMemory: pages, InputGas: inputGas, LifecycleGas: inputGas, AuditEvery: 8}

// cluster is three nodes, as many as its logs need. The first two vote, one of
// them compiling and one interpreting; the third follows.
type cluster struct {
	*local.Cluster
	voters []audit.ReplicaID
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T) cluster {
	t.Helper()
	on := []*engine.Engine{engines[0], engines[1], engines[0]}
	c, err := local.Start(within(t, patience), local.Options{Dir: t.TempDir(), Engines: on})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster{c, []audit.ReplicaID{c.Name(0), c.Name(1)}}
}

// host has the nodes host a machine, and connects to it.
func (c cluster) host(t *testing.T, machine string) *client.Client {
	t.Helper()
	if err := c.Host(within(t, patience), ordering.Name(machine)); err != nil {
		t.Fatal(err)
	}
	cl, err := client.Connect(within(t, patience), client.Options{Machine: machine, URLs: c.URLs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// agree wants all replicas of a machine at the end of its log, voting, with the
// same root, computed from all of their memory.
func (c cluster) agree(t *testing.T, machine ordering.Name) {
	t.Helper()
	ctx := within(t, patience)
	for {
		var at, roots []string
		for i := range c.Len() {
			r := c.Node(i).Replica(machine)
			c.catchUp(ctx, t, r)
			if phase := r.Info().Phase; phase != host.PhaseVoting && i < len(c.voters) {
				t.Errorf("%s: replica %d is %v", machine, i, phase)
			}
			if err := r.Do(ctx, func(m *host.Machine) {
				if err := m.Rehash(); err != nil {
					t.Error(err)
				}
				at, roots = append(at, fmt.Sprint(m.Position())), append(roots, fmt.Sprint(m.Root()))
			}); err != nil {
				t.Fatal(err)
			}
		}
		if len(slices.Compact(slices.Clone(at))) > 1 {
			continue // a timer was due in between
		}
		if len(slices.Compact(slices.Clone(roots))) > 1 {
			t.Errorf("%s: at %s the roots are %v", machine, at[0], roots)
		}
		return
	}
}

// catchUp waits until a replica is at the end of its log.
func (c cluster) catchUp(ctx context.Context, t *testing.T, r *node.Replica) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		log, err := r.LogState(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Info().Seq == log.Last {
			return
		}
		<-tick.C // LogState ends the wait when ctx does
	}
}

// neighbour counts, all the while that others attack.
type neighbour struct {
	client  *client.Client
	count   int64
	slowest time.Duration
}

func (n *neighbour) add(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, neighbourWait)
	defer cancel()
	began := time.Now()
	out, err := n.client.Call(ctx, kv.Add("n", 1))
	n.slowest = max(n.slowest, time.Since(began))
	if err != nil {
		return fmt.Errorf("neighbour's call %d: %w", n.count+1, err)
	}
	n.count++
	if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != n.count {
		return fmt.Errorf("neighbour counts %d, %w, want %d", got, err, n.count)
	}
	return nil
}

// run counts until the context ends, and says on done how that went.
func (n *neighbour) run(ctx context.Context, done chan<- error) {
	for ctx.Err() == nil {
		if err := n.add(context.WithoutCancel(ctx)); err != nil {
			done <- err
			return
		}
	}
	done <- nil
}

func TestNeighbourUnaffected(t *testing.T) {
	c := start(t)
	n := &neighbour{client: c.host(t, "neighbour")}
	if _, err := n.client.Deploy(within(t, patience), kv.V2, host.Config{AuditEvery: 8}, c.voters); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go n.run(ctx, done)
	hostile := c.host(t, "hostile")
	if _, err := hostile.Deploy(within(t, patience), newModule().apply(), config, c.voters); err != nil {
		t.Fatal(err)
	}
	for _, g := range guests() {
		t.Run(g.name, func(t *testing.T) { attack(t, hostile, g) })
	}
	c.agree(t, "hostile")
	t.Run("trap in start", c.trapInStart)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := n.add(t.Context()); err != nil {
		t.Errorf("after the attacks: %v", err)
	}
	c.agree(t, "neighbour")
	t.Logf("neighbour counted to %d, the slowest call took %v", n.count, n.slowest)
}

// attack makes a guest that of the hostile machine: a log for each would take
// more room than the nodes have.
func attack(t *testing.T, cl *client.Client, g guest) {
	_, err := cl.Upgrade(within(t, patience), g.wasm())
	if g.refused != "" {
		var refused *client.RefusedError
		if !errors.As(err, &refused) || refused.Refusal != host.RefusedModule || !strings.HasPrefix(refused.Detail, g.refused) {
			t.Errorf("upgrade: %v, want refused with %q", err, g.refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := cl.Call(within(t, patience), nil)
	checkReceipt(t, g, out, err)
}

func checkReceipt(t *testing.T, g guest, out client.Output, err error) {
	t.Helper()
	var trapped *client.TrapError
	ok := false
	switch g.status {
	case wasmabi.OK:
		ok = err == nil
	case wasmabi.Trapped:
		ok = errors.As(err, &trapped) && trapped.Trap == g.trap
	case wasmabi.OutOfGas:
		ok = errors.Is(err, client.ErrOutOfGas)
	}
	if !ok || out.Gas != g.gas || string(out.Bytes) != g.output {
		t.Errorf("got %v, gas %d, %d bytes; want %v, %v, gas %d, %d bytes", err, out.Gas, len(out.Bytes), g.status, g.trap, g.gas, len(g.output))
	}
}

// trapInStart deploys a guest that traps as it comes up: there is no machine
// then, on any node, and the next deployment makes one.
func (c cluster) trapInStart(t *testing.T) {
	cl := c.host(t, "start")
	m := newModule()
	m.start = u32(m.proc(unreachable))
	// Nobody votes yet, so that the answer may be FAIL: what is asked is that
	// there is no guest.
	_, err := cl.Deploy(within(t, 2*time.Second), m.apply(), config, c.voters)
	var trapped *client.TrapError
	var fail *client.FailError
	if !errors.As(err, &trapped) && !errors.As(err, &fail) {
		t.Errorf("deploy: %v, want trapped or FAIL", err)
	}
	for i := range c.Len() {
		if c.Node(i).Replica("start").Info().Deployed {
			t.Errorf("node %d has the machine", i)
		}
	}
	if _, err := cl.Deploy(within(t, patience), kv.V1, host.Config{}, c.voters); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Call(within(t, patience), kv.Put("k", []byte("v"))); err != nil {
		t.Error(err)
	}
	c.agree(t, "start")
}
