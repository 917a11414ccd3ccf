package sim

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering"
	"lockstep/ordering/memlog"
	"lockstep/wasmabi"
)

// applied reports whether a receipt is of an input that ran.
func applied(r host.Receipt) bool { return r.Status != wasmabi.Refused }

// passing are faults after which the log is still one log.
var passing = memlog.Faults{
	Refuse: 10, DropEntry: 20, DropAck: 30, Duplicate: 40, StepBack: 30, StepTime: time.Minute,
	Delay: 2 * time.Millisecond, ShortRead: 200,
}

// caller calls a counter of its own until it has so many accepted outputs, or a
// call fails. The k-th accepted output of a counter is k: none is missing, and
// none was applied twice.
func (c *cluster) caller(ctx context.Context, name string, calls int) (accepted int64, err error) {
	cl := c.client()
	defer func() { _ = cl.Close() }()
	for range calls {
		out, err := cl.Call(ctx, kv.Add(name, 1))
		if err != nil {
			return accepted, err
		}
		accepted++
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != accepted {
			c.t.Errorf("output %d of %s is %d, %v", accepted, name, got, err)
		}
	}
	return accepted, nil
}

// load runs callers and meanwhile what disturbs them; it returns how many outputs
// of each counter were accepted.
func (c *cluster) load(calls int, mustEnd bool, limit time.Duration, disturb func(done <-chan struct{})) map[string]int64 {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	var mu sync.Mutex
	counts := make(map[string]int64)
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			name := fmt.Sprint("counter-", i)
			n, err := c.caller(ctx, name, calls)
			if err != nil && mustEnd {
				c.t.Errorf("%s after %d calls: %v", name, n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			counts[name] = n
		})
	}
	done := make(chan struct{})
	go func() { callers.Wait(); close(done) }()
	disturb(done)
	<-done
	return counts
}

func shared(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{CacheDir: t.TempDir(), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// pause waits a little, unless it is over.
func (c *cluster) pause(done <-chan struct{}, most time.Duration) (over bool) {
	select {
	case <-done:
		return true
	case <-time.After(time.Duration(c.rng.Int64N(int64(most)))):
		return false
	}
}

// The log loses, repeats and delays, and nodes crash and come back one at a
// time: every call is answered, once and rightly, and all end in one state.
func TestFaultsThatPass(t *testing.T) {
	e := shared(t)
	seeds(t, 1, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, e)
		c.deploy(audit.Majority)
		c.log.SetFaults(passing)
		counts := c.load(40, true, patience, func(done <-chan struct{}) {
			for !c.pause(done, 150*time.Millisecond) {
				i := c.rng.IntN(len(c.nodes))
				c.crash(i)
				c.pause(done, 100*time.Millisecond)
				c.start(i)
				c.voting(i)
			}
		})
		c.log.SetFaults(memlog.Faults{})
		c.end(counts, func(int) bool { return false })
		if n := c.output.check(nil); n < 4*40 {
			t.Errorf("%d inputs have an accepted output on the wire, want %d", n, 4*40)
		}
	})
}

// voting waits until a node that came back votes: more than a minority must not
// be away.
func (c *cluster) voting(i int) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for r := c.nodes[i].node.Replica(machine); r.Info().Phase != host.PhaseVoting; {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s does not vote again, it is %v", c.nodes[i].name, r.Info().Phase)
		}
		time.Sleep(time.Millisecond)
	}
}

// end checks what the replicas have against what the clients were told.
func (c *cluster) end(counts map[string]int64, excused func(int) bool) {
	c.t.Helper()
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	c.settled(excused, names)
	c.states.check()
	for name, n := range counts {
		if got := c.states.sums[name]; got != n {
			c.t.Errorf("%s is %d in the end, %d additions were accepted", name, got, n)
		}
	}
}

// The log tells one of three replicas other entries than the others: its votes
// count for nothing, every call is answered rightly, and the others are one; in the
// next epoch, if they notice before the load ends.
func TestOneIsToldOtherEntries(t *testing.T) {
	e := shared(t)
	seeds(t, 1, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, e)
		c.deploy(audit.Majority)
		c.log.SetFaults(passing)
		victim := c.rng.IntN(len(c.nodes))
		lied := map[audit.ReplicaID]bool{c.nodes[victim].name: true}
		c.states.excuse(c.nodes[victim].name)
		c.crash(victim)
		for range 3 {
			seq := c.last() + 1 + ordering.Seq(c.rng.IntN(60))
			b := host.Batch{Session: host.Session{Client: host.ClientID{66}}, Inputs: []host.Input{{Number: uint64(seq), Payload: kv.Add("counter-1", 1000)}}}
			c.nodes[victim].lies[seq] = b.Encode()
		}
		c.start(victim)
		counts := c.load(120, true, patience, func(done <-chan struct{}) { <-done })
		c.log.SetFaults(memlog.Faults{})
		c.end(counts, func(i int) bool { return i == victim })
		if n := c.output.check(lied); n < 4*120 {
			t.Errorf("%d inputs have an accepted output on the wire, want %d", n, 4*120)
		}
	})
}

// The log rewrites entries and loses acknowledged ones, and nodes crash: calls
// may fail, but no input ever has two accepted outputs, and none that was
// accepted is missing from what is accepted after it. Inputs are signed, since one
// flipped bit makes another input of one that is not.
func TestLogThatRewrites(t *testing.T) {
	e := shared(t)
	seeds(t, 2, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, e)
		c.deploy(audit.Signed)
		f := passing
		f.Rewrite, f.Forget = 15, 5
		c.log.SetFaults(f)
		counts := c.load(200, false, 2*time.Second, func(done <-chan struct{}) {
			for range 3 {
				if c.pause(done, 400*time.Millisecond) {
					return
				}
				i := c.rng.IntN(len(c.nodes))
				c.crash(i)
				c.pause(done, 50*time.Millisecond)
				c.restart(i)
			}
		})
		// Any of them may have been told what the others were not.
		all := map[audit.ReplicaID]bool{"n1": true, "n2": true, "n3": true}
		n := c.output.check(all)
		t.Logf("%v outputs were accepted by clients, of %d inputs on the wire", counts, n)
	})
}

// restart starts a node whose log may be broken for it.
func (c *cluster) restart(i int) {
	defer func() {
		if c.nodes[i].node == nil && c.nodes[i].conn != nil {
			c.nodes[i].conn.Close()
			c.nodes[i].conn = nil
		}
	}()
	if err := c.open(i); err != nil {
		c.t.Logf("%s does not start again: %v", c.nodes[i].name, err)
	}
}
