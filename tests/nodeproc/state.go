package nodeproc

import (
	"context"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/host"
)

// stateWithin bounds the wait for replicas to come to one state.
const stateWithin = 2 * time.Minute

// OneState orders a checkpoint and wants n replicas to have stored the same state there, after the same log.
func OneState(t testing.TB, cl *client.Client, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stateWithin)
	defer cancel()
	out, err := cl.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		infos, err := cl.Infos(ctx)
		states := make(map[host.Stored]int)
		stored := 0
		for _, in := range infos {
			for _, s := range in.Stored {
				if s.Seq == out.Seq {
					states[s]++
					stored++
				}
			}
		}
		if len(states) > 1 {
			t.Fatalf("replicas stored different states at seq %d: %v", out.Seq, states)
		}
		if err == nil && stored == n {
			return
		}
		<-tick.C
	}
	t.Fatalf("%d replicas do not come to have a checkpoint at seq %d", n, out.Seq)
}
