package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
)

// A node joins while its donors are slow, go on making checkpoints, drop the one it
// fetches, and cut the log behind the newest. It fetches one state, and goes on from
// there with what it read meanwhile.
func TestJoinWhileDonorsMoveOn(t *testing.T) {
	const machine = "join"
	var mu sync.Mutex
	events := make(map[node.EventKind][]node.Event)
	c, err := local.Start(within(t, patience), local.Options{
		Dir: t.TempDir(), Engines: []*engine.Engine{shared, shared, shared, shared}, TransferRate: 256 << 10, Logger: logger(t),
		OnEvent: func(e node.Event) {
			mu.Lock()
			defer mu.Unlock()
			events[e.Kind] = append(events[e.Kind], e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Host(within(t, patience), machine); err != nil {
		t.Fatal(err)
	}
	cl := connect(t, c, machine)
	deploy(t, c, cl, kv.V2, host.Config{CheckpointEvery: 256, AuditEvery: 256})
	randomMemory(t, cl, 48, 32<<10)
	stop := keepCalling(t, cl)
	logFirst := func(n int) uint64 {
		state, err := c.Node(n).Replica(machine).LogState(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		return uint64(state.First)
	}
	await(t, "a cut of the log", func() bool { return logFirst(0) > 100 })
	i, err := c.Add(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	began := callsAt(t, cl)
	r, err := c.Node(i).Host(within(t, patience), machine)
	if err != nil {
		t.Fatal(err)
	}
	count := func(kind node.EventKind) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events[kind] {
			if e.Replica == c.Name(i) {
				n++
			}
		}
		return n
	}
	await(t, "the transfer", func() bool { return count(node.EventTransferred) > 0 })
	state, err := r.LogState(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	at := events[node.EventTransferred][0].Seq
	mu.Unlock()
	t.Logf("state at %d, the log begins at %d; calls went from %d", at, state.First, began)
	if state.First <= at+1 {
		t.Errorf("the log still began at %d when the state at %d had arrived: donors did not move on, and this shows nothing", state.First, at)
	}
	await(t, "catching up", func() bool { return r.Info().Seq > state.Last })
	stop()
	if n := count(node.EventTransferred); n != 1 {
		t.Errorf("%d states were fetched, want one", n)
	}
	verify(t, c, machine)
}

// randomMemory stores values that do not compress.
func randomMemory(t *testing.T, cl *client.Client, values, size int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range values {
		value := make([]byte, size)
		for k := range value {
			value[k] = byte(r.Uint32())
		}
		call(t, cl, kv.Put(fmt.Sprint("random ", i), value))
	}
}

// keepCalling has two callers call one input after the other until it is stopped, at a pace that leaves room
// for a node to catch up.
func keepCalling(t *testing.T, cl *client.Client) (stop func()) {
	stopped := make(chan struct{})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for {
				ctx, cancel := context.WithTimeout(context.Background(), patience) // not cut off by the end of the test
				_, err := cl.Call(ctx, kv.Add("n", 1))
				cancel()
				if err != nil {
					t.Errorf("call: %v", err)
					return
				}
				select {
				case <-stopped:
					return
				case <-pace.C:
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(stopped); callers.Wait() })
	t.Cleanup(stop)
	return stop
}

// callsAt is the seq of a call made now.
func callsAt(t *testing.T, cl *client.Client) uint64 {
	t.Helper()
	return uint64(call(t, cl, kv.Add("n", 1)).Seq)
}
