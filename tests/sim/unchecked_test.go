package sim

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
)

// The check of the chain is what keeps replicas together whose log is not one: with it off, the checks with which every
// simulation ends find replicas in different states; with it on, and all else equal, they find nothing. No audit helps
// either of them.
func TestChainCheckOffIsCaught(t *testing.T) {
	t.Parallel()
	e := shared(t)
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprint("off=", off), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1, e)
			var mu sync.Mutex
			var found []string
			c.states.wrong = func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, fmt.Sprintf(format, args...))
			}
			c.deployWith(host.Config{AuditEvery: 1 << 20, CheckpointEvery: 1 << 20})
			c.crash(2)
			n := c.nodes[2]
			n.deaf = off
			lie := host.Batch{Session: host.Session{Client: host.ClientID{66}}, Inputs: []host.Input{{Number: 1, Payload: kv.Add("counter-1", 1000)}}}
			n.lies[c.last()+5] = lie.Encode()
			c.start(2)
			counts := c.load(20, true, patience, func(done <-chan struct{}) { <-done })
			if !off {
				c.await("the replica that was given another entry complains", func() bool { return n.node.Replica(machine).Info().Broken != "" })
				c.awaitReturn(n)
			}
			c.settled(func(int) bool { return false }, slices.Collect(maps.Keys(counts)))
			mu.Lock()
			defer mu.Unlock()
			if (len(found) > 0) != off {
				t.Errorf("found %q", found)
			}
			t.Logf("found %q", found)
		})
	}
}
